"""core: records, configuration, artifacts; no torch, no faiss, no mlflow."""
