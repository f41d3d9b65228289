"""Stands between pip and build backends: while pip plans, metadata of sdists is prepared by pip-accel.

pip runs with ``--no-build-isolation`` and with this directory on ``PYTHONPATH``. In the processes in which it calls a
build backend, the backend is replaced by ours; every other process goes on as if this file was not there.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _step_aside() -> None:
    """Let the environment's own ``sitecustomize`` run, if it has one."""
    import importlib

    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != _HERE]
    this = sys.modules.pop("sitecustomize", None)
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        if this is not None:
            sys.modules["sitecustomize"] = this


_step_aside()

if os.environ.get("PIP_ACCEL_PREPARE") and os.environ.get("_PYPROJECT_HOOKS_BUILD_BACKEND"):
    sys.path.insert(0, _HERE)
    os.environ["_PYPROJECT_HOOKS_BUILD_BACKEND"] = "pip_accel_backend"
    for _name in [_name for _name in os.environ if _name.startswith("_PYPROJECT_HOOKS_BACKEND_PATH")]:
        del os.environ[_name]
