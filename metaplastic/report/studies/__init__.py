"""Figures of studies: `StudyArm.figure` names the module, `figures(entries)` draws."""
