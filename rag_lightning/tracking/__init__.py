"""tracking: run.json of every run, and its mirror in MLflow."""
