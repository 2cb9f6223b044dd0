"""matrix: every cell of experiments/matrix.yaml, run and told in one table."""
