"""serving: a finished system as a registered MLflow model, and its stored answers as MLflow traces."""
