"""Isolated build environments: virtual environments made by hand and filled from the store, by reflink or copy.

Never by hard link: what a build script does to its environment must not reach the store. One that a build left exactly
as it was serves the next build with the same requirements.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from pip_accel import _fs
from pip_accel._install.layout import plan
from pip_accel._install.link import Linker
from pip_accel._values import Change, Scheme, Target, Tree

__all__ = ["BuildEnvironment", "Environments", "fill_environment", "make_environment"]

_DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PIP_ACCEL_PREPARE", "__PYVENV_LAUNCHER__")


class BuildEnvironment:
    """Where a build runs.

    :ivar target: its interpreter and directories.
    :ivar environ: the variables that programs get there, but for ``TMPDIR``.
    :ivar contents: digests of the archives that were installed into it.
    """

    def __init__(self, target: Target, environ: Mapping[str, str]) -> None:
        self.target = target
        self.environ = environ
        self.contents: frozenset[str] = frozenset()
        self.state: dict[str, tuple[int, ...]] = {}  #: what lies there, as :class:`Environments` left it


class Environments:
    """Lends build environments, each to one build at a time.

    :param place: gives a new path for an environment.
    :param install: installs the archives with these digests into an environment.
    """

    def __init__(
        self,
        place: Callable[[], str],
        target: Target,
        environ: Mapping[str, str],
        install: Callable[[BuildEnvironment, Sequence[str]], None],
    ) -> None:
        self._place = place
        self._target = target
        self._environ = environ
        self._install = install
        self._idle: dict[frozenset[str], list[BuildEnvironment]] = {}
        self._lock = threading.Lock()

    def borrow(self, wanted: Iterable[str]) -> BuildEnvironment:
        """Give an environment with these archives and nothing else.

        :param wanted: their digests, in the order of installation.
        """
        wanted = list(wanted)
        key = frozenset(wanted)
        with self._lock:
            idle = self._idle.get(key)
            if idle:
                return idle.pop()
        environment = make_environment(self._place(), self._target, self._environ)
        self.extend(environment, wanted)
        return environment

    def extend(self, environment: BuildEnvironment, wanted: Iterable[str]) -> None:
        """Install more into an environment that is lent."""
        more = [each for each in wanted if each not in environment.contents]
        if more:
            self._install(environment, more)
            environment.contents |= frozenset(more)
        if more or not environment.state:
            environment.state = _look_at(environment.target.prefix)

    def give_back(self, environment: BuildEnvironment) -> None:
        """Take an environment back; one in which anything has changed goes."""
        try:
            changed = _look_at(environment.target.prefix) != environment.state
        except OSError:  # somebody has closed a directory
            changed = True
        if changed:
            _fs.remove_tree(environment.target.prefix)
            return
        with self._lock:
            self._idle.setdefault(environment.contents, []).append(environment)


def _look_at(directory: str) -> dict[str, tuple[int, ...]]:
    """Give what changes with any change to what lies below a directory: the time of the last one cannot be set back."""
    found: dict[str, tuple[int, ...]] = {}
    waiting = [directory]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                found[entry.path] = (status.st_ino, status.st_mode)  # what is new in it is found anyway
            else:
                found[entry.path] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def make_environment(directory: str, target: Target, environ: Mapping[str, str]) -> BuildEnvironment:
    """Make an empty environment with the interpreter of a target.

    :param directory: made here.
    """
    scripts = os.path.join(directory, "bin")
    minor = ".".join(target.version.split(".")[:2])
    implementation = "pypy" if target.implementation == "pypy" else "python"
    library = os.path.join(directory, "lib", f"{implementation}{minor}", "site-packages")
    os.makedirs(scripts)
    os.makedirs(library)
    for name in ("python", "python3", f"{implementation}{minor}"):
        os.symlink(target.base_python, os.path.join(scripts, name))
    settings = os.path.join(directory, "pyvenv.cfg")
    with _fs.naming(settings), open(settings, "w", encoding="utf-8") as stream:
        stream.write(f"home = {os.path.dirname(target.base_python)}\n")
        stream.write(f"include-system-site-packages = false\nversion = {target.version}\n")
    python = os.path.join(scripts, "python")
    headers = os.path.join(directory, "include", "site", f"python{minor}")
    scheme = Scheme(library, library, headers, scripts, directory)
    inner = target._replace(
        python=python,
        prefix=directory,
        scheme=scheme,
        path=(library,),
        virtual=True,
        externally_managed="",
        kind="environment",
        place=directory,
        scripts=scripts,
    )
    variables = {name: value for name, value in environ.items() if name not in _DROPPED}
    variables["PATH"] = scripts + os.pathsep + environ.get("PATH", os.defpath)
    # Messages that are read for missing system packages are to be in English, and files in UTF-8.
    variables.update(VIRTUAL_ENV=directory, PYTHONNOUSERSITE="1", LC_ALL="C.UTF-8")
    return BuildEnvironment(inner, variables)


def fill_environment(environment: BuildEnvironment, trees: Iterable[Tree], template: str, umask: int) -> None:
    """Install build requirements into a build environment. Nobody else uses it, so it takes no transaction."""
    linker = Linker("reflink", ())
    made: set[str] = set()

    def clear(path: str) -> None:
        """Make room for a file: its directory is there, and of two files with one name the later stays."""
        directory = os.path.dirname(path)
        if directory not in made:
            os.makedirs(directory, exist_ok=True)
            made.add(directory)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    for tree in trees:
        layout = plan(
            Change(tree, False, "", None), environment.target, byte_code=True, template=template, umask=umask
        )
        for _, destination in layout.links:
            clear(destination)
        linker.link(tree.path, layout.links)
        for write in filter(None, (*layout.writes, layout.record)):
            clear(write.path)
            with _fs.naming(write.path), open(write.path, "wb") as stream:
                stream.write(write.data)
            os.chmod(write.path, write.mode)
            if write.mtime is not None:
                os.utime(write.path, (write.mtime, write.mtime))
