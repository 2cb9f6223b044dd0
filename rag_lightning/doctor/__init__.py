"""doctor: checks of the installation and of files of examples."""
