"""retrieval: from query texts to ranked rows of the corpus."""
