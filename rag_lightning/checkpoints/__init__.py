"""checkpoints: model folders: their architectures, the layout of transformers' RAG, and how parts of them load."""
