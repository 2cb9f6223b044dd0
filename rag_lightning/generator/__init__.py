"""generator: (query, passage) -> token log-probs; never sees a retriever."""
