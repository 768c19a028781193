"""Speed of training steps: against the machine's floor, and against PyTorch in the same run."""
