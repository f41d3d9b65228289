"""Who is compared: the programs, set up below one directory, and the commands by which each fills an environment."""

from __future__ import annotations

import ast
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measuring import Command, Contestant
from tests.run import CHECKOUT, interpreter

__all__ = [
    "Bench",
    "Caches",
    "Tools",
    "Wanted",
    "pip_settings",
    "provide_package",
    "provide_tools",
    "site_packages",
    "uv_settings",
]

#: What would make the contestants do something else than they do for a user who set nothing.
_FOREIGN_PREFIXES = ("PIP_ACCEL_", "UV_", "PYTHON", "VIRTUAL_ENV", "CONDA_")
_FOREIGN_NAMES = ("PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "__PYVENV_LAUNCHER__")
#: What the package of pip-accel is made from.
_SOURCES = ("setup.py", "pyproject.toml", "README.rst", "LICENSE.txt")


class Tools(NamedTuple):
    """The programs, as absolute paths."""

    python: Path  #: interpreter that has pip-accel, with a pip beside it
    accelerator: Path  #: the command ``pip-accel``
    pip: Path  #: what any interpreter can run as that pip
    uv: Path


class Caches(NamedTuple):
    """Where each program keeps its own."""

    pip: Path
    uv: Path
    accelerator: Path

    @classmethod
    def below(cls, directory: Path) -> Caches:
        """Give caches that lie in one directory."""
        return cls(directory / "pip", directory / "uv", directory / "pip-accel")


class Wanted(NamedTuple):
    """What is to be installed, and from where."""

    words: tuple[tuple[str, ...], ...]  #: requirements as words, by round; then again from the first
    caches: Caches | None = None  #: ``None``: empty ones for each run
    index: str = ""  #: URL of the only index; else pip's settings on this machine say where
    variables: Mapping[str, str] = {}  #: more of them for pip-accel

    def asked(self, number: int) -> tuple[str, ...]:
        """Give the requirements for a round."""
        return self.words[number % len(self.words)]


def provide_package(directory: Path, *packages: str) -> Path:
    """Give the interpreter of an environment that has packages, the newest at the time when it was made."""
    return _provide(directory, [["--upgrade", "pip"], packages], " ".join(packages))


def provide_tools(directory: Path) -> Tools:
    """Give the programs; pip-accel is installed as its users have it, and anew whenever its sources changed."""
    names = sorted(
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "pip_accel").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    digest = hashlib.sha256()
    for name in (*_SOURCES, *names):
        digest.update(f"{name}\0".encode() + (CHECKOUT / name).read_bytes())
    source = directory / "source"  # setuptools would leave its own files in the checkout, and take up old ones
    shutil.rmtree(source, ignore_errors=True)
    for name in (*_SOURCES, *names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, source / name)
    python = _provide(directory / "pip-accel", [["--upgrade", "pip"], [f"{source}[s3]"]], digest.hexdigest())
    shutil.rmtree(source)
    uv = provide_package(directory / "uv", "uv").with_name("uv")
    code = "import os, pip; print(os.path.dirname(pip.__file__))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return Tools(python, python.with_name("pip-accel"), Path(found, "__pip-runner__.py"), uv)


def _provide(directory: Path, installations: Sequence[Sequence[str]], made_from: str) -> Path:
    """Give the interpreter of an environment; the one of an earlier call stays if it was made from the same.

    :param installations: the words of one ``pip install`` after the other.
    :raises SystemExit: it cannot be made; pip said why.
    """
    python, stamp = interpreter(directory), directory / "made-from"
    content = "\n".join([str(directory), sys.version, made_from])
    if stamp.exists() and stamp.read_text() == content:
        return python
    print(f"Making {directory.relative_to(CHECKOUT)} ...", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    for command in [sys.executable, "-m", "venv", directory], *([*install, *words] for words in installations):
        status = subprocess.run(command).returncode
        if status:
            sys.exit(status)
    stamp.write_text(content)
    return python


def pip_settings(listing: str) -> dict[str, str]:
    """Read what ``pip config list`` prints: the settings that count for ``pip install``, by the names of its options.

    A section for the command beats the global one, and the environment beats both.
    """
    found = {}
    sections = ("global", "install", ":env:")
    rows = [line.partition("=") for line in listing.splitlines() if "=" in line]
    for wanted in sections:
        for key, _, value in rows:
            section, _, option = key.rpartition(".")
            if section == wanted:
                found[option] = str(ast.literal_eval(value))
    return found


def uv_settings(settings: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Say to uv, which reads none of pip's settings, where packages come from: variables, and words.

    :param settings: by the names of pip's options.
    """
    environ = {}
    if "index-url" in settings:
        environ["UV_DEFAULT_INDEX"] = settings["index-url"]
    if extra := settings.get("extra-index-url", "").split():
        # pip takes the best from all indexes, uv by default from the first one that has the project.
        environ.update(UV_INDEX=" ".join(extra), UV_INDEX_STRATEGY="unsafe-best-match")
    if links := settings.get("find-links", "").split():
        environ["UV_FIND_LINKS"] = ",".join(links)
    if hosts := settings.get("trusted-host", "").split():
        environ["UV_INSECURE_HOST"] = " ".join(hosts)
    if "cert" in settings:
        environ["SSL_CERT_FILE"] = settings["cert"]
    if "proxy" in settings:
        environ["ALL_PROXY"] = settings["proxy"]
    no_index = settings.get("no-index", "").lower() in ("1", "true", "yes", "on")
    return environ, ("--no-index",) if no_index else ()


def site_packages(environment: Path) -> Path:
    """The directory that an environment's distributions lie in."""
    [found] = environment.glob("lib/python*/site-packages")
    return found


class Bench:
    """One run of the whole comparison: makes environments, and says how each contestant fills them.

    :param tools: the programs.
    :param root: a directory that is removed at the end of it.
    """

    def __init__(self, tools: Tools, root: Path) -> None:
        self.tools = tools
        self.root = root
        self._numbers = itertools.count(1)
        self._environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
        }
        self._environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        self._uv_environ, self._uv_words = uv_settings(pip_settings(self.ask("config", "list")))

    def environment(self) -> Path:
        """Make a new environment that has nothing."""
        path = self.root / "environments" / f"{next(self._numbers):04}"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
        return path

    def ask(self, *words: str) -> str:
        """Give what pip prints, with this machine's settings.

        :raises SystemExit: it failed; what it said is shown.
        """
        command = [self.tools.python, "-m", "pip", *words]
        done = subprocess.run(command, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}pip {' '.join(words)}\nfailed with status {done.returncode}.")
        return done.stdout

    def pip(self, wanted: Wanted) -> Contestant:
        """pip in the environment's own interpreter, started once: ``--python`` would start it twice."""

        def command(number: int, environment: Path) -> Command:
            caches = _caches(wanted, environment)
            words = (str(interpreter(environment)), str(self.tools.pip), "install", *wanted.asked(number))
            return Command(words, {**self._pip_environ(wanted), "PIP_CACHE_DIR": str(caches.pip)})

        return Contestant("pip", command)

    def uv(self, wanted: Wanted, *options: str) -> Contestant:
        """uv, with options of its own."""

        def command(number: int, environment: Path) -> Command:
            index = {"UV_DEFAULT_INDEX": wanted.index} if wanted.index else self._uv_environ
            environ = {
                **{name: value for name, value in self._environ.items() if not name.startswith("PIP_")},
                **index,
                "UV_CACHE_DIR": str(_caches(wanted, environment).uv),
                "UV_NO_CONFIG": "1",
                "UV_PYTHON_DOWNLOADS": "never",
            }
            words = [str(self.tools.uv), "pip", "install", "--python", str(interpreter(environment)), *options]
            words += () if wanted.index else self._uv_words
            return Command((*words, *wanted.asked(number)), environ)

        return Contestant(" ".join(["uv", *options]), command)

    def accelerator(self, wanted: Wanted, note: str = "") -> Contestant:
        """pip-accel, from outside of the environment.

        :param note: what sets it apart from others in the same scenario.
        """

        def command(number: int, environment: Path) -> Command:
            caches = _caches(wanted, environment)
            words = (*self.accelerator_words(environment), *wanted.asked(number))
            return Command((str(self.tools.accelerator), *words), self.accelerator_environ(wanted, caches))

        return Contestant(f"pip-accel, {note}" if note else "pip-accel", command)

    def accelerator_words(self, environment: Path) -> tuple[str, ...]:
        """What stands between the name of the program and the requirements."""
        return ("--python", str(interpreter(environment)), "install")

    def accelerator_environ(self, wanted: Wanted, caches: Caches) -> dict[str, str]:
        """The process environment of pip-accel."""
        own = {"PIP_CACHE_DIR": str(caches.pip), "PIP_ACCEL_CACHE": str(caches.accelerator)}
        return {**self._pip_environ(wanted), **own, **wanted.variables}

    def copy(self, tree: Path, option: str) -> Contestant:
        """``cp`` of all that lies in a directory ``site-packages``."""

        def command(number: int, environment: Path) -> Command:
            return Command(("cp", option, f"{tree}/.", str(site_packages(environment))), self._environ)

        return Contestant(f"cp {option}", command)

    def check(self, environments: Mapping[str, Path]) -> None:
        """See that what the contestants installed is complete, and the same.

        :param environments: by the contestants' names.
        :raises SystemExit: it is not; says where.
        """
        listings = {}
        for name, environment in environments.items():
            python = str(interpreter(environment))
            self.ask("--python", python, "check")
            listings[name] = set(self.ask("--python", python, "freeze", "--all").splitlines())
        first, *others = listings
        for other in others:
            if differing := sorted(listings[first] ^ listings[other]):
                sys.exit(f"{first} and {other} did not install the same: {', '.join(differing)}")

    def _pip_environ(self, wanted: Wanted) -> dict[str, str]:
        if not wanted.index:
            return self._environ
        environ = {name: value for name, value in self._environ.items() if not name.startswith("PIP_")}
        environ.update(PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=wanted.index, PIP_DISABLE_PIP_VERSION_CHECK="1")
        return environ


def _caches(wanted: Wanted, environment: Path) -> Caches:
    return wanted.caches or Caches.below(environment.with_name(environment.name + "-caches"))
