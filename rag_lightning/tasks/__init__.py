"""What is asked: question files and splits."""
