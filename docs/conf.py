"""Settings of Sphinx."""

import re
from pathlib import Path

project = "pip-accel"
author = "the pip-accel contributors"
copyright = "2016 Peter Odding and Paylogic International, 2026 the pip-accel contributors"
source = (Path(__file__).resolve().parent.parent / "pip_accel" / "__init__.py").read_text(encoding="utf-8")
version = release = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)

exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "A drop-in wrapper around pip"}
