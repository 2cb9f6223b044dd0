"""stages: configuration + artifacts -> an artifact. Most files are one stage, with its code version."""
