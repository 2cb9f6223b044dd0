"""claims: the claims of experiments/claims.yaml, tested on cells of the matrix."""
