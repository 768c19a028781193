"""Run folders, tables, figures and pages."""
