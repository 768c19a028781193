"""Papers whose experiments this package runs, one file each."""
