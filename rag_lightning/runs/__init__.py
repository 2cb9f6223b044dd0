"""runs: systems, their evaluation, run folders and the MLflow mirror; shared by sweep, matrix and claims."""
