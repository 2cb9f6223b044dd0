"""The hot-swap of the paper's section 4.5: one model, asked with two dated corpora."""
