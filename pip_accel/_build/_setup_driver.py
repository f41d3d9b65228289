"""Runs a ``setup.py`` in its build environment: the payload by ``bdist_dumb``, the metadata by ``dist_info``.

Both in one run of the script, so that they belong together. Arguments: directory of the payload, directory of the
metadata, and the command that makes the payload, ``bdist_dumb`` or ``bdist``. The script is run as setuptools' own
build backend runs it, and with the settings with which ``bdist_wheel`` installs into its archive.
"""

from __future__ import annotations

import json
import os
import sys
import tokenize
from typing import Any

#: Where ``install`` puts what: directories below the payload's root, as ``bdist_wheel`` has them in its ``.data``.
_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
_COMMANDS = {"bdist_dumb": ["bdist_dumb", "--format", "tar"], "bdist": ["bdist", "--formats", "gztar"]}
_SETTINGS: dict[str, dict[str, object]] = {
    # Hashbangs become "#!python": the interpreter is named when the scripts are installed. A source distribution may
    # bring along scripts that were built before.
    "build_scripts": {"executable": "python", "force": True},
    "build_ext": {"inplace": False},
    "install": {"compile": False, **{f"install_{scheme}": f"{os.sep}{scheme}" for scheme in _SCHEMES}},
    "install_scripts": {"no_ep": True},  # those of entry points are made at installation
}


def _watch(distributions: list[Any]) -> None:
    """Note each distribution whose commands are run, and have it installed by scheme."""
    from setuptools import dist

    distribution_class: Any = dist.Distribution
    run_commands = distribution_class.run_commands

    def run_and_note(self: Any) -> None:
        for command, settings in _SETTINGS.items():
            for name, value in settings.items():
                self.get_option_dict(command)[name] = ("pip-accel", value)
        run_commands(self)
        distributions.append(self)

    distribution_class.run_commands = run_and_note


def _main(payload: str, metadata: str, command: str) -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd(), *(each for each in sys.path if os.path.abspath(each or ".") != here)]
    import setuptools  # noqa: F401  (it brings its own distutils, and has to come before that)

    distributions: list[Any] = []
    _watch(distributions)
    sys.argv = ["setup.py", *_COMMANDS[command], "--dist-dir", payload, "dist_info", "--output-dir", metadata]
    path = os.path.abspath("setup.py")
    with tokenize.open(path) as stream:
        code = stream.read().replace("\r\n", "\n")
    try:
        exec(compile(code, path, "exec"), {"__file__": path, "__name__": "__main__"})
    except SystemExit as error:
        if error.code:
            raise
    (distribution,) = distributions
    wheel = distribution.get_command_obj("bdist_wheel")
    wheel.ensure_finalized()
    (directory,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    wheel.write_wheelfile(os.path.join(metadata, directory))
    install = distribution.get_command_obj("install")
    egg_info = os.path.relpath(distribution.get_command_obj("install_egg_info").target, install.root)
    with open(os.path.join(metadata, "names.json"), "w", encoding="utf-8") as names:
        json.dump({"data": wheel.data_dir, "egg-info": egg_info.replace(os.sep, "/")}, names)


if __name__ == "__main__":
    _main(*sys.argv[1:4])
