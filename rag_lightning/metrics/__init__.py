"""metrics: definitions of the metrics, and scores, estimates and tests made with them."""
