"""Configuration of Sphinx."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "metaplastic"
author = "The metaplastic developers"
copyright = f"2026, {author}"
release = version = installed_version("metaplastic")

extensions = ["myst_parser", "_ext.hook"]
exclude_patterns = ["_build", "generated/fragments", "results"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]
python_maximum_signature_line_length = 88
add_module_names = False
smartquotes = False  # they would turn the prime of f' into a quotation mark
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "metaplastic"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False
