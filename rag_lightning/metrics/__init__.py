"""From predictions to scores, estimates and tests."""
