"""tracking: what MLflow shows of runs, sweeps and trainings; a mirror of the run folders, which are the source."""
