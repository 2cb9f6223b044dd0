"""Query text to ranked rows of the corpus."""
