"""Settings of Sphinx."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

project = "pip-accel"
author = "the pip-accel contributors"
copyright = "2016 Peter Odding and Paylogic International, 2026 the pip-accel contributors"
source = (Path(__file__).resolve().parent.parent / "pip_accel" / "__init__.py").read_text(encoding="utf-8")
version = release = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)

exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "A drop-in wrapper around pip"}

# The reference of the API comes from docstrings.
extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
DOCUMENTED = ("_embedding", "bdist", "caches", "caches.local", "caches.s3", "cli", "config", "deps", "req", "utils")
#: What the reference names and other projects document: there is no network to look it up.
nitpick_ignore = [
    *(("py:class", f"collections.abc.{name}") for name in ("Callable", "Iterable", "Iterator", "Mapping", "Sequence")),
    ("py:class", "coloredlogs.ColoredFormatter"),
    ("py:class", "email.message.Message"),
    ("py:class", "os.PathLike"),
    ("py:class", "re.Match"),
    ("py:class", "tarfile.TarInfo"),
    ("py:exc", "packaging.requirements.InvalidRequirement"),
    ("py:func", "hashlib.new"),
    ("py:meth", "str.format"),
    ("py:mod", "logging"),
]


def import_types(module: ModuleType) -> None:
    """Give a module the names that it imports for annotations only, so that these can be resolved."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__file__, "exec"), vars(module))


def setup(app: Sphinx) -> None:
    """Prepare the documented modules for autodoc."""
    from pip_accel.config import Config

    for name in DOCUMENTED:
        import_types(importlib.import_module(f"pip_accel.{name}"))
    # Options are descriptors of a class of our own, and are to be shown as the properties that they are to users.
    for name, option in list(vars(Config).items()):
        if hasattr(option, "default"):
            setattr(Config, name, property(option.default, doc=option.__doc__))
