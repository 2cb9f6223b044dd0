"""config: the dataclasses of an experiment's configuration, and their loading from YAML and the command line."""
