"""index: FAISS indexes over passage vectors."""
