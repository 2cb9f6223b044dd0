"""bundle: a run, or all runs of a sweep, as one file that others can verify, browse and read with their tools."""
