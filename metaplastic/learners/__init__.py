"""Learners, one file each: what changes during a lifetime."""
