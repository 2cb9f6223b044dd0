"""Command `artifacts`: what artifacts there are, which runs use them, how large they are, and removal of the others."""
