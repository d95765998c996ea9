"""The documentation as a site: ``make docs`` builds it from these pages, the commands' help and the docstrings."""

from __future__ import annotations

import dropbeard

project = "dropbeard"
version = release = dropbeard.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]  # hex digits are no language

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "literal"

html_theme = "alabaster"
html_theme_options = {"description": "Certified inference", "page_width": "1080px"}
html_show_sourcelink = False
