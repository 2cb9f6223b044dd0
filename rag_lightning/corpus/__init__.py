"""corpus: readers of passages, chunking, and the corpus on disk."""
