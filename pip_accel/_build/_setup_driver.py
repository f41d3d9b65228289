"""Runs a ``setup.py`` in its build environment: the payload by ``bdist_dumb``, the metadata by ``dist_info``.

Both in one run of the script, so that they belong together. Arguments: directory of the payload, directory of the metadata.
"""

from __future__ import annotations

import os
import sys
from typing import Any

if __name__ == "__main__":
    payload, metadata = sys.argv[1:3]
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd(), *(each for each in sys.path if os.path.abspath(each or ".") != here)]
    import setuptools  # noqa: F401, I001  (it has to come first: it brings its own distutils)
    from distutils.core import run_setup

    # Hashbangs become "#!python", as in a wheel: the interpreter is named when the scripts are installed.
    words = ["build", "--executable", "python", "bdist_dumb", "--format", "tar", "--dist-dir", payload]
    words += ["dist_info", "--output-dir", metadata]
    distribution = run_setup("setup.py", words, stop_after="run")
    command: Any = distribution.get_command_obj("bdist_wheel")
    command.ensure_finalized()
    (directory,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    command.write_wheelfile(os.path.join(metadata, directory))
