"""The matrix of experiments, and the claims that are tested on its cells."""
