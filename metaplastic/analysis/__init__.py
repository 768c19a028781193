"""Measures of how networks learn."""
