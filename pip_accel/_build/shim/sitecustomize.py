"""Stands between pip and build backends: while pip plans, metadata of sdists is prepared by pip-accel.

pip runs with ``--no-build-isolation`` and with this directory on ``PYTHONPATH``. In the processes in which it calls a
build backend, the backend is replaced by ours; every other process goes on as if this file was not there.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_BACKEND = "_PYPROJECT_HOOKS_BUILD_BACKEND"


def _step_aside() -> None:
    """Let the environment's own ``sitecustomize`` run, if it has one."""
    import importlib

    this = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != _HERE]
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        if this is not None:
            sys.modules["sitecustomize"] = this


_replaces = bool(os.environ.get("PIP_ACCEL_PREPARE") and os.environ.get(_BACKEND))
if _replaces:
    os.environ[_BACKEND] = "pip_accel_backend"
    for _name in [_name for _name in os.environ if _name.startswith("_PYPROJECT_HOOKS_BACKEND_PATH")]:
        del os.environ[_name]
try:
    _step_aside()
finally:
    if _replaces:
        sys.path.insert(0, _HERE)
