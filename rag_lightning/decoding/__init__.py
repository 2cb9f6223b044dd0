"""decoding: log-probs -> hypotheses. Every score is a true log-probability in float32."""
