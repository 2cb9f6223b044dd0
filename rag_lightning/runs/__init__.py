"""runs: a system, its evaluation, its record and its MLflow mirror; shared by sweep, matrix and claims."""
