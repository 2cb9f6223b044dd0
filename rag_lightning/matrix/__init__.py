"""matrix: the cells of experiments/matrix.yaml, their runs and their table."""
