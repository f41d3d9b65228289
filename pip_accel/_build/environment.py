"""An isolated build environment: a virtual environment made by hand and filled from the store, by reflink or copy.

Never by hard link: what a build script does to its environment must not reach the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pip_accel._install.link import Linker
from pip_accel._install.transaction import install
from pip_accel._values import Change, Scheme, Target, Tree

__all__ = ["BuildEnvironment", "fill_environment", "make_environment"]

_DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PIP_ACCEL_PREPARE", "__PYVENV_LAUNCHER__")


class BuildEnvironment(NamedTuple):
    """Where a build runs."""

    target: Target
    environ: Mapping[str, str]


def make_environment(directory: str, target: Target, environ: Mapping[str, str], temporary: str) -> BuildEnvironment:
    """Make an empty environment with the interpreter of a target.

    :param directory: made here.
    :param temporary: where the build may leave its temporary files.
    """
    scripts = os.path.join(directory, "bin")
    minor = ".".join(target.version.split(".")[:2])
    implementation = "pypy" if target.implementation == "pypy" else "python"
    library = os.path.join(directory, "lib", f"{implementation}{minor}", "site-packages")
    os.makedirs(scripts)
    os.makedirs(library)
    os.makedirs(temporary, exist_ok=True)
    for name in ("python", "python3", f"{implementation}{minor}"):
        os.symlink(target.base_python, os.path.join(scripts, name))
    with open(os.path.join(directory, "pyvenv.cfg"), "w", encoding="utf-8") as stream:
        stream.write(f"home = {os.path.dirname(target.base_python)}\n")
        stream.write(f"include-system-site-packages = false\nversion = {target.version}\n")
    python = os.path.join(scripts, "python")
    headers = os.path.join(directory, "include", "site", f"python{minor}")
    scheme = Scheme(library, library, headers, scripts, directory)
    inner = target._replace(
        python=python, prefix=directory, scheme=scheme, path=(library,), virtual=True, externally_managed=""
    )
    variables = {name: value for name, value in environ.items() if name not in _DROPPED}
    variables["PATH"] = scripts + os.pathsep + environ.get("PATH", os.defpath)
    # Messages that are read for missing system packages are to be in English, and files in UTF-8.
    variables.update(VIRTUAL_ENV=directory, PYTHONNOUSERSITE="1", LC_ALL="C.UTF-8", TMPDIR=temporary)
    return BuildEnvironment(inner, variables)


def fill_environment(environment: BuildEnvironment, trees: Iterable[Tree], template: str, umask: int) -> None:
    """Install build requirements into a build environment."""
    changes = [Change(tree, False, "", None) for tree in trees]
    if changes:
        linker = Linker("reflink", ())
        install(changes, environment.target, linker=linker, byte_code=True, template=template, umask=umask)
