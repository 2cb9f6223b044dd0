"""claims: what experiments/claims.yaml claims, tested on cells of the matrix."""
