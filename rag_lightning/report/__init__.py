"""From run folders to tables, each cell beside the number of the paper."""
