"""stages: configuration + artifacts -> an artifact. Each file is one stage, with its code version."""
