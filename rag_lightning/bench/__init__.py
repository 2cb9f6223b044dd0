"""The bench of indexes: recall, speed, memory and size of every kind, on real and on generated vectors."""
