"""results: result files of other toolkits, read to be scored here and written to be scored there."""
