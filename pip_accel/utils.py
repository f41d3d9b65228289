"""The documented helpers. Code inside pip-accel takes them from the modules that own them."""

from __future__ import annotations

import os
import sys

from pip_accel import _fs
from pip_accel._text import compact
from pip_accel.config import expand_path, find_home_directory, is_root
from pip_accel.exceptions import PipFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = [
    "AtomicReplace",
    "compact",
    "contains_sublist",
    "create_file_url",
    "expand_path",
    "find_home_directory",
    "get_python_version",
    "hash_files",
    "is_installed",
    "is_root",
    "is_short_option",
    "makedirs",
    "match_option",
    "match_option_with_value",
    "replace_file",
    "requirement_is_installed",
    "same_directories",
    "uninstall",
]

_FLAGS = frozenset("hIqUvV")  # the short options of ``pip install`` that take no value


def create_file_url(pathname: str) -> str:
    """Give the ``file:`` URL of a path, which may be relative."""
    from pathlib import Path

    return Path(pathname).absolute().as_uri()


def get_python_version() -> str:
    """Give implementation and version of the running Python, like ``CPython-3.12``."""
    import platform

    return f"{platform.python_implementation()}-{sys.version_info[0]}.{sys.version_info[1]}"


def makedirs(path: str, mode: int = 0o777) -> bool:
    """Make a directory and those above it; ``False`` if it is there already."""
    try:
        os.makedirs(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return False
    return True


def same_directories(path1: str, path2: str) -> bool:
    """Say whether two paths lead to the same directory, which exists."""
    return os.path.isdir(path1) and os.path.isdir(path2) and os.path.samefile(path1, path2)


def hash_files(method: str, *files: str) -> str:
    """Give the hex digest over the contents of all files, one behind the other.

    :param method: an algorithm that :func:`hashlib.new` knows.
    """
    import hashlib

    digest = hashlib.new(method)
    for path in files:
        with open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def replace_file(src: str, dst: str) -> None:
    """Move a file over another one, atomically: no reader finds neither or half of one."""
    os.replace(src, dst)


class AtomicReplace:
    """Context manager that gives a temporary path beside ``filename``, and moves what was written there over it.

    After an exception the file stays as it was, and the temporary one is removed.
    """

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.temporary_file = _fs.unique_name(filename)

    def __enter__(self) -> str:
        return self.temporary_file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                replace_file(self.temporary_file, self.filename)
        finally:
            try:
                os.unlink(self.temporary_file)
            except FileNotFoundError:
                pass


def requirement_is_installed(expr: str) -> bool:
    """Say whether the running interpreter's environment has the distribution that a requirement (PEP 508) asks for.

    A requirement whose marker does not apply asks for nothing, so it is. What extras add is not looked at.

    :raises packaging.requirements.InvalidRequirement: ``expr`` is no requirement.
    """
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion

    requirement = Requirement(expr)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    version = _find_version(requirement.name)
    if version is None or not requirement.specifier:
        return version is not None
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def is_installed(package_name: str) -> bool:
    """Say whether the running interpreter's environment has a distribution of that project, however it is spelled."""
    return _find_version(package_name) is not None


def _find_version(name: str) -> str | None:
    """Give the version that is installed now, empty if the metadata does not tell, or ``None``."""
    import importlib
    from importlib.metadata import PackageNotFoundError, distribution

    importlib.invalidate_caches()  # another process may have changed the environment since we last looked
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found.metadata["Version"] if "Version" in found.metadata else ""  # noqa: SIM401 (its protocol has no get)


def uninstall(*package_names: str) -> None:
    """Remove distributions from the running interpreter's environment, with pip and without a question.

    :raises PipFailed: one of them is not installed (then all of them stay), or pip says why it cannot.
    """
    from pip_accel._plan.pip import pip_command

    command = [*pip_command(None), "uninstall", "--yes", *package_names]
    for name in package_names:
        # pip only warns then, and ends with 0.
        if not is_installed(name):
            raise PipFailed(
                "{name} cannot be removed: it is not installed for {python}.",
                name=name,
                python=sys.executable,
                command=command,
                status=None,
                output="",
            )
    if package_names:
        from pip_accel import _process

        done = _process.run(command, merge=True)
        if done.status:
            raise PipFailed(
                "pip failed to remove {names} (status {status}): {output}",
                names=", ".join(package_names),
                command=command,
                status=done.status,
                output=done.output,
            )


def is_short_option(argument: str) -> bool:
    """Say whether a word is a short option, or a cluster of them: one dash and something behind it."""
    return len(argument) > 1 and argument[0] == "-" and argument[1] != "-"


def match_option(argument: str, short_option: str, long_option: str) -> bool:
    """Say whether a word is the given option, in its long form, its short form, or a cluster of flags with that."""
    if is_short_option(argument):
        letters, letter = set(argument[1:]), short_option[1:]
        return letter in letters and letters <= _FLAGS | {letter}
    return argument == long_option


def match_option_with_value(arguments: Sequence[str], option: str, value: str) -> bool:
    """Say whether the words have ``option`` with ``value``, as two words or joined by ``=``."""
    return f"{option}={value}" in arguments or contains_sublist(arguments, [option, value])


def contains_sublist(lst: Sequence[object], sublst: Sequence[object]) -> bool:
    """Say whether ``sublst`` is part of ``lst``, in order and without gaps."""
    wanted = list(sublst)
    return any(list(lst[i : i + len(wanted)]) == wanted for i in range(len(lst) - len(wanted) + 1))
