"""config: what an experiment is, one file a section; loading from YAML and the command line."""
