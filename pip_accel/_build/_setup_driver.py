"""Runs a ``setup.py`` in its build environment: the payload by ``bdist_dumb``, the metadata by ``dist_info``.

Both in one run of the script, so that they belong together. Arguments: directory of the payload, directory of the
metadata. The script is run as setuptools' own build backend runs it.
"""

from __future__ import annotations

import os
import sys
import tokenize
from typing import Any

#: Where ``install`` puts what: directories below the payload's root, as ``bdist_wheel`` has them in its ``.data``.
_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")


def _watch(distributions: list[Any]) -> None:
    """Note each distribution whose commands are run, and have it installed by scheme."""
    from setuptools import dist

    distribution_class: Any = dist.Distribution
    run_commands = distribution_class.run_commands

    def run_and_note(self: Any) -> None:
        for scheme in _SCHEMES:
            self.get_option_dict("install")[f"install_{scheme}"] = ("pip-accel", f"{os.sep}{scheme}")
        run_commands(self)
        distributions.append(self)

    distribution_class.run_commands = run_and_note


def _main(payload: str, metadata: str) -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd(), *(each for each in sys.path if os.path.abspath(each or ".") != here)]
    import setuptools  # noqa: F401  (it brings its own distutils, and has to come before that)

    distributions: list[Any] = []
    _watch(distributions)
    # Hashbangs become "#!python", as in a wheel: the interpreter is named when the scripts are installed.
    words = ["build", "--executable", "python", "bdist_dumb", "--format", "tar", "--dist-dir", payload]
    sys.argv = ["setup.py", *words, "dist_info", "--output-dir", metadata]
    path = os.path.abspath("setup.py")
    with tokenize.open(path) as stream:
        code = stream.read().replace("\r\n", "\n")
    try:
        exec(compile(code, path, "exec"), {"__file__": path, "__name__": "__main__"})
    except SystemExit as error:
        if error.code:
            raise
    (distribution,) = distributions
    command = distribution.get_command_obj("bdist_wheel")
    command.ensure_finalized()
    (directory,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    command.write_wheelfile(os.path.join(metadata, directory))


if __name__ == "__main__":
    _main(*sys.argv[1:3])
