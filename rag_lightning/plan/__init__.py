"""plan: estimates of size, memory, disk and time of an experiment."""
