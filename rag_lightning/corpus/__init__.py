"""Passages: readers, chunking and the store on disk."""
