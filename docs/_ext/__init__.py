"""What the documentation makes from the source, and the check that no public name is missing."""
