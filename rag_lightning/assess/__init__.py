"""Human assessment of pairs of outputs, as in the paper's Table 4: the page, what annotators saved, and a proxy."""
