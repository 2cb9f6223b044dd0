"""FAISS indexes over vectors."""
