"""Virtual environments for tests, made quickly, and process environments without the machine's settings."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pip_accel._fs import lock_file

__all__ = [
    "MACHINE_ENVIRON",
    "Environment",
    "cache_directory",
    "clean_environ",
    "fetching",
    "make_environment",
    "setuptools_wheel",
    "temporary_home",
]

#: The process environment as it was before any test changed it: what may contact the package index runs with it.
MACHINE_ENVIRON = dict(os.environ)
#: Variables of the caller that would change what pip, pip-accel or the interpreters they start do.
FOREIGN_PREFIXES = ("PIP_", "PIP_ACCEL_", "PYTHON", "VIRTUAL_ENV", "XDG_", "LC_")
FOREIGN_NAMES = frozenset({"HOME", "LANG", "LANGUAGE", "SOURCE_DATE_EPOCH", "__PYVENV_LAUNCHER__"})
#: With them, requests to an index on the loopback would go through the machine's proxy.
PROXY_NAMES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})

_HOME: list[tempfile.TemporaryDirectory[str]] = []


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment on disk."""

    prefix: str  #: absolute
    python: str  #: absolute path of its interpreter
    site_packages: str  #: absolute

    def run(
        self, words: list[str], *, environ: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter with ``words``; both streams are captured as text.

        :param environ: the whole process environment, :func:`clean_environ` by default.
        :param check: whether a status other than 0 is an :exc:`AssertionError` that shows the output.
        """
        done = subprocess.run(
            [self.python, *words], env=clean_environ() if environ is None else environ, capture_output=True, text=True
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{words} gave status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done


def make_environment(directory: str, python: str = sys.executable, pip: str | None = None) -> Environment:
    """Make a virtual environment of the interpreter ``python``.

    :param directory: where to; must not exist, or be empty.
    :param pip: version of the pip to install in it, fetched once from the package index; no pip if it is None.
    """
    directory = os.path.abspath(directory)
    subprocess.run([python, "-m", "venv", "--without-pip", directory], env=clean_environ(), check=True)
    if os.name == "nt":
        interpreter, pattern = os.path.join(directory, "Scripts", "python.exe"), os.path.join("Lib", "site-packages")
    else:
        interpreter, pattern = os.path.join(directory, "bin", "python"), os.path.join("lib", "p*", "site-packages")
    [site_packages] = glob.glob(os.path.join(glob.escape(directory), pattern))
    if pip is not None:
        command = [sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet", "--no-index"]
        command += ["--find-links", _pip_wheels(pip), f"pip=={pip}"]
        subprocess.run(command, env=clean_environ(), check=True)
    return Environment(directory, interpreter, site_packages)


def clean_environ(**extra: str) -> dict[str, str]:
    """A copy of the process environment without settings for pip, pip-accel, Python and proxies, plus ``extra``.

    It names an empty pip configuration, the ``C.UTF-8`` locale and a temporary ``HOME``, which lasts as long as this
    process.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and name not in FOREIGN_NAMES and name.lower() not in PROXY_NAMES
    }
    environ.update(
        HOME=temporary_home(), LC_ALL="C.UTF-8", PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1"
    )
    environ.update(extra)
    return environ


def temporary_home() -> str:
    """The ``HOME`` of :func:`clean_environ`, made at first use."""
    if not _HOME:
        _HOME.append(tempfile.TemporaryDirectory(prefix="pip-accel-home-"))
    return _HOME[0].name


def cache_directory(name: str) -> str:
    """A directory for what tests fetch once: below ``$PIP_ACCEL_TEST_CACHE``, or ``.cache`` of the checkout."""
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    base = MACHINE_ENVIRON.get("PIP_ACCEL_TEST_CACHE") or os.path.join(checkout, ".cache")
    directory = os.path.join(base, name)
    os.makedirs(directory, exist_ok=True)
    return directory


def setuptools_wheel() -> str:
    """Path of a wheel of setuptools, the newest when it was fetched."""
    directory = _fetch_wheel("setuptools", "setuptools")
    return os.path.join(directory, sorted(os.listdir(directory))[-1])


@contextmanager
def fetching(name: str) -> Iterator[None]:
    """Keeps other processes that run tests from fetching the same at the same time."""
    with lock_file(os.path.join(cache_directory("locks"), name)):
        yield


def _pip_wheels(version: str) -> str:
    """A directory with the wheel of this pip."""
    return _fetch_wheel(os.path.join("pips", version), f"pip=={version}")


def _fetch_wheel(name: str, requirement: str) -> str:
    """A directory with a wheel, fetched with the machine's own settings if it is not there yet."""
    directory = cache_directory(name)
    with fetching(requirement):
        if not os.listdir(directory):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            command += ["--dest", directory, requirement]
            subprocess.run(command, env=MACHINE_ENVIRON, check=True, stderr=subprocess.DEVNULL)
    return directory
