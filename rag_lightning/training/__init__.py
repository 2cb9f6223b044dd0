"""training: the LightningModules, their data, the loop, and what watches a training."""
