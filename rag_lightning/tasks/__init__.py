"""tasks: question files, their layouts, and splits."""
