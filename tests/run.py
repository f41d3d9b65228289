"""Everything that must hold before a change is merged: ``python3 tests/run.py``.

Makes a virtual environment below ``.venv/`` of the checkout, installs pip-accel and the tools that check it there, and
runs ruff, mypy, the documentation and the tests (all but the slow ones). Arguments go to pytest. Needs the standard
library only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["CHECKOUT", "interpreter", "main", "provide_environment"]

CHECKOUT = Path(__file__).resolve().parent.parent


def interpreter(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def provide_environment(directory: Path, extras: str = "") -> Path:
    """The interpreter of a virtual environment with the checkout installed in it, as an editable.

    :param directory: of the environment; the one of an earlier call stays if it would be made the same again.
    :param extras: of pip-accel, separated by commas.
    :raises SystemExit: it cannot be made; says why.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 (nothing else has looked at it yet)
        sys.exit("pip-accel needs Python 3.10 or newer, and this is Python {}.{}".format(*sys.version_info[:2]))
    if find_spec("ensurepip") is None:
        sys.exit(f"{sys.executable} cannot make virtual environments; on Debian, install the package python3-venv")
    python = interpreter(directory)
    stamp = directory / "made-from"
    # What the environment depends on; its own place is in it, as a copied environment still points to the old one.
    parts = [str(directory).encode(), sys.version.encode(), sys.base_prefix.encode(), extras.encode()]
    parts += [(CHECKOUT / name).read_bytes() for name in ("setup.py", "pyproject.toml", "pip_accel/__init__.py")]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python
    print(f"Making {directory.relative_to(CHECKOUT)} ...", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    # Quiet about all but errors: the pip that comes with Python may be old, and warn of what newer ones accept.
    words = ["install", "-qq", "--disable-pip-version-check", "--editable", f".[{extras}]" if extras else "."]
    for command in [sys.executable, "-m", "venv", directory], [python, "-m", "pip", *words]:
        status = subprocess.run(command, cwd=CHECKOUT).returncode
        if status:
            sys.exit(status)
    stamp.write_text(digest)
    return python


def main(words: list[str]) -> int:
    """Exit status of the first check that fails, all of them having run; the tests come last."""
    name = f"{sys.implementation.cache_tag}-checks"
    python = provide_environment(CHECKOUT / ".venv" / name, "test,lint,docs,s3")
    checks = {
        "ruff": ["ruff", "check", "."],
        "mypy": ["mypy", "--strict", "pip_accel"],
        "sphinx": ["sphinx", "-E", "-W", "--keep-going", "-n", "-q", "docs", "docs/_build/html"],
        # Over all cores: much of the time is that of one pip after the other. The order is that of tests/conftest.py.
        "pytest": ["pytest", "-m", "not slow", "-n", "auto", "--dist=loadfile", "--no-loadscope-reorder", *words],
    }
    failed = {}
    for check, command in checks.items():
        print(f"== {check}", flush=True)
        status = subprocess.run([python, "-m", *command], cwd=CHECKOUT).returncode
        if status:
            failed[check] = status
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return next(iter(failed.values()), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
