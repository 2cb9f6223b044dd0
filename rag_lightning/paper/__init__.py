"""paper: the paper's tables and figures from stored runs, each cell beside the published number."""
