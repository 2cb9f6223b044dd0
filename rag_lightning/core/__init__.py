"""core: records, errors, files, artifacts and other shared code; imports no torch, faiss or mlflow."""
