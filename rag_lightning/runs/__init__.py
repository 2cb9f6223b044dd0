"""runs: systems, their evaluation, and run folders; shared by sweep, matrix and claims."""
