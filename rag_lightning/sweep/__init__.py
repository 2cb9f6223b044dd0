"""sweep: an Optuna study over ordinary stage calls; work that was done is looked up."""
