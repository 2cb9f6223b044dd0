"""plan: bytes, memory, disk and hours of an experiment before anything is built."""
