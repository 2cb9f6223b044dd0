"""The embedded default: corpus and task data made from pinned packages, labelled `mini` everywhere."""
