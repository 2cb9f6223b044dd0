"""sweep: an Optuna study over systems; each trial calls stages, which reuse existing artifacts."""
