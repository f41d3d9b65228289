"""A build backend (PEP 517) that only prepares metadata, and has pip-accel do that. Runs in the target's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Give the ``.dist-info`` directory of the source tree that is the current directory."""
    with open(os.environ["PIP_ACCEL_PREPARE"], encoding="utf-8") as stream:
        order = json.load(stream)
    name = _prepare_statically(order, metadata_directory)
    if name is not None:
        return name
    environ = {name: value for name, value in os.environ.items() if not name.startswith("_PYPROJECT_HOOKS_")}
    environ["PYTHONPATH"] = order["package-root"]
    words = ["-m", "pip_accel._prepare", os.environ["PIP_ACCEL_PREPARE"], os.getcwd()]
    words.append(os.path.abspath(metadata_directory))
    # Not in the source tree: Python would look there first for every module.
    place = order["package-root"]
    command = [order["host"], *words]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environ, cwd=place)
    if answer.returncode != 0:
        sys.exit(answer.returncode)
    return answer.stdout.decode("utf-8").splitlines()[-1]


def _prepare_statically(order: dict[str, str], directory: str) -> str | None:
    """Answer right here where the sdist's own metadata binds its builds; give ``None`` if it does not."""
    sys.path.append(order["package-root"])
    try:
        from pip_accel._prepare import prepare_statically

        return prepare_statically(order["spool"], os.getcwd(), directory)
    except ImportError:  # a Python that is too old for pip-accel itself
        return None
    finally:
        sys.path.remove(order["package-root"])


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """Never asked for while pip plans."""
    raise NotImplementedError("pip-accel builds by itself")
