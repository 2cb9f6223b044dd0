"""matrix: runs the cells of experiments/matrix.yaml and shows them in one table."""
