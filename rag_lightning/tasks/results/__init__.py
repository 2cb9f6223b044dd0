"""Other toolkits' result files: read to be scored here, written to be scored there."""
