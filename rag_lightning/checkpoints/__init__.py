"""checkpoints: what model folders are: architectures, the layout of transformers' RAG in and out."""
