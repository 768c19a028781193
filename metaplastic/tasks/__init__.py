"""Tasks, one file a family: what a lifetime consists of."""
