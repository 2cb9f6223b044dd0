"""doctor: what works on this machine, and what is wrong with a file."""
