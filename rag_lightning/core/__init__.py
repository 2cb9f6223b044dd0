"""core: records, errors, files, artifacts and what every package needs; imports no torch, faiss or mlflow."""
