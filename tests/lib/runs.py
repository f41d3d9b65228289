"""Runs of pip and of pip-accel as their users start them: as subprocesses, into fresh environments."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.lib.environments import Environment, clean_environ, temporary_home

__all__ = [
    "PIP",
    "PIP_ACCEL",
    "Run",
    "find_interpreters",
    "installed",
    "lend_templates",
    "run_pip",
    "run_pip_accel",
    "summary",
    "without_network",
]

PIP = (sys.executable, "-m", "pip")
PIP_ACCEL = (sys.executable, "-m", "pip_accel")
CHECKOUT = str(Path(__file__).resolve().parent.parent.parent)


@dataclass(frozen=True, slots=True)
class Run:
    """What a program left behind."""

    status: int
    stdout: str
    stderr: str
    seconds: float  #: wall-clock time

    @property
    def summary(self) -> str:
        """pip-accel's own closing line, the last one on standard error, without the date; empty if there is none."""
        return summary(self.stderr)


def run_pip_accel(
    words: Sequence[str],
    environment: Environment | str,
    data: str | os.PathLike[str],
    *,
    before: Sequence[str] = (),
    status: int | None = 0,
    umask: int = -1,
    cwd: str | os.PathLike[str] | None = None,
    lends: bool = True,
    **variables: str,
) -> Run:
    """Run ``pip-accel --python ENVIRONMENT WORDS``.

    :param words: from ``install`` on.
    :param environment: the target, or the path of its interpreter.
    :param data: the data directory.
    :param before: words in front of the whole command, such as ``strace -f``.
    :param status: what the run must give, None for any.
    :param umask: -1 leaves the caller's.
    :param lends: whether a data directory that is not there yet is made by :func:`lend_templates`.
    :param variables: more variables for the run, such as ``PIP_ACCEL_OFFLINE``.
    :raises AssertionError: the run gave another status, or a traceback.
    """
    command = [*before, *PIP_ACCEL, "--python", _python(environment), *words]
    variables = {"PIP_ACCEL_CACHE": os.fspath(data), **variables}
    if lends and not os.path.exists(data):
        lend_templates(data)
    run = _run(command, status=status, umask=umask, cwd=cwd, variables=variables)
    _keep_templates(data)
    return run


def lend_templates(data: str | os.PathLike[str]) -> None:
    """Make a data directory that knows how the scripts of entry points are written, if another run has learned that.

    A run that has to learn it lets a pip install something, which takes longer than all else in a small one.
    """
    kept = _templates()
    if os.listdir(kept):
        shutil.copytree(kept, os.path.join(data, "templates"))


def _keep_templates(data: str | os.PathLike[str]) -> None:
    for path in Path(data, "templates").glob("pip-*"):
        kept = os.path.join(_templates(), path.name)
        if re.fullmatch(r"pip-[\w.]+", path.name) and not os.path.exists(kept):
            with contextlib.suppress(FileNotFoundError):  # another run may just be pruning it
                content = path.read_bytes()
                with tempfile.NamedTemporaryFile(dir=temporary_home(), delete=False) as file:
                    file.write(content)
                os.replace(file.name, kept)  # another thread may be lending it


@cache
def _templates() -> str:
    path = os.path.join(temporary_home(), "templates")
    os.mkdir(path)
    return path


def run_pip(
    words: Sequence[str],
    environment: Environment | str,
    *,
    status: int | None = 0,
    umask: int = -1,
    cwd: str | os.PathLike[str] | None = None,
    **variables: str,
) -> Run:
    """Run ``pip --python ENVIRONMENT WORDS``, without a cache. The parameters are those of :func:`run_pip_accel`."""
    variables = {"PIP_NO_CACHE_DIR": "1", **variables}
    command = [*PIP, "--python", _python(environment), *words]
    return _run(command, status=status, umask=umask, cwd=cwd, variables=variables)


def installed(environment: Environment) -> dict[str, str]:
    """Versions by name of what is installed, as the metadata directories are called."""
    found = {}
    for entry in os.listdir(environment.site_packages):
        name, _, version = entry.removesuffix(".dist-info").partition("-")
        if entry.endswith(".dist-info"):
            found[name] = version
    return found


def summary(stderr: str) -> str:
    """pip-accel's closing line among its standard error."""
    lines = [line for line in stderr.splitlines() if re.search(r"Installed \d+ distributions? in ", line)]
    return lines[-1] if lines else ""


@cache
def without_network() -> tuple[str, ...]:
    """Words in front of a command that take every network from it; empty where that is not possible."""
    words = ("unshare", "--net")
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return ()
    return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else ()


@cache
def find_interpreters() -> dict[str, str]:
    """Paths of the Python interpreters of this machine that can make environments, by version (``3.12``)."""
    found = {}
    for minor in range(10, 20):
        version = f"3.{minor}"
        places = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), shutil.which(f"python{version}")]
        if sys.version_info[:2] == (3, minor):
            places.insert(0, getattr(sys, "_base_executable", sys.executable))
        for place in filter(None, places):
            code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
            answer = subprocess.run([str(place), "-I", "-c", code], capture_output=True, text=True)
            if answer.stdout.strip() == version:  # a shim of pyenv is there for versions that are not
                found[version] = str(place)
                break
    return found


def _python(environment: Environment | str) -> str:
    return environment if isinstance(environment, str) else environment.python


def _run(
    command: Sequence[str],
    *,
    status: int | None,
    umask: int,
    cwd: str | os.PathLike[str] | None,
    variables: dict[str, str],
) -> Run:
    environ = clean_environ(**variables)
    if cwd is not None:  # or `-m` would not find a pip-accel that is not installed
        environ["PYTHONPATH"] = CHECKOUT
    started = time.monotonic()
    done = subprocess.run(
        command,
        env=environ,
        umask=umask,
        cwd=CHECKOUT if cwd is None else cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    run = Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started)
    output = f"{' '.join(command)} gave status {run.status}:\n{run.stdout}{run.stderr}"
    assert status is None or run.status == status, output
    assert not run.stderr.startswith("Traceback"), output  # a build may print one further down
    assert "pip-accel itself failed" not in run.stderr, output
    return run
