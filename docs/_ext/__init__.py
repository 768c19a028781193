"""What the documentation makes from the source: pages, tables, and the check that none is missing."""
