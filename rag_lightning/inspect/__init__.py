"""One answer of a system, looked into: in the terminal and as a page."""
