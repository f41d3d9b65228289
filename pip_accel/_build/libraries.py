"""The shared libraries that what was built is linked with, and whether another machine has them.

An extension module names them in its dynamic section (``DT_NEEDED``; System V ABI, "Dynamic Section", and ``ld.so(8)``).
Where Debian's package manager is, the packages that they came from are noted with their versions.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

__all__ = ["Library", "Machine", "find_needed"]

#: The C library, its loader and their parts: their version stands in the key of each build.
_C_LIBRARY = re.compile(
    r"(ld-linux.*|ld-musl-.*|ld64|libc|libm|libdl|librt|libpthread|libutil|libnsl|libresolv|libcrypt"
    r"|libc\.musl-.*|linux-vdso)\.so(\..*)?"
)
_PACKAGE = re.compile("[a-z0-9][a-z0-9+.-]+")
_LOAD, _DYNAMIC = 1, 2  # types of segments
_NULL, _NEEDED, _STRTAB, _RPATH, _RUNPATH = 0, 1, 5, 15, 29  # tags
_MOST = 1 << 20  # bytes of a dynamic section or a name in it: more is no sound file


class Library(NamedTuple):
    """A shared library as the manifest of a binary distribution archive has it."""

    name: str  #: as it is looked for: ``libpq.so.5``
    package: str = ""  #: Debian's, without architecture; empty if that is not known
    version: str = ""  #: of the package


def find_needed(files: Iterable[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
    """Give the names of the libraries that files are linked with and do not bring along, sorted; and where they look.

    :param files: paths and contents; those that are not ELF are passed over, and so are damaged ones.
    :returns: names, and absolute paths of directories that they were told to look into first.
    """
    needed: set[str] = set()
    directories: set[str] = set()
    brought = set()
    for path, data in files:
        brought.add(path.rpartition("/")[2])
        names, places = _read_needed(data)
        needed.update(names)
        directories.update(place for each in places for place in each.split(":") if place.startswith("/"))
    wanted = (each for each in needed - brought if "/" not in each and not _C_LIBRARY.fullmatch(each))
    return sorted(wanted), sorted(directories)


def _read_needed(data: bytes) -> tuple[list[str], list[str]]:
    if data[:4] != b"\x7fELF":
        return [], []
    try:
        return _read_dynamic(data)
    except (struct.error, IndexError, ValueError, OverflowError):
        return [], []


def _read_dynamic(data: bytes) -> tuple[list[str], list[str]]:
    """Give the libraries that an ELF file needs, and its search paths."""
    wide = data[4] == 2
    order = ">" if data[5] == 2 else "<"
    if wide:
        offset, size, count = (*struct.unpack_from(order + "Q", data, 32), *struct.unpack_from(order + "HH", data, 54))
    else:
        offset, size, count = (*struct.unpack_from(order + "I", data, 28), *struct.unpack_from(order + "HH", data, 42))
    segments = []
    for start in range(offset, offset + size * count, size or 1):
        if wide:
            kind, _, place, address, _, length = struct.unpack_from(order + "IIQQQQ", data, start)
        else:
            kind, place, address, _, length = struct.unpack_from(order + "IIIII", data, start)
        segments.append((kind, place, address, length))
    entries: list[tuple[int, int]] = []
    step = order + ("qQ" if wide else "iI")
    for kind, place, _, length in segments:
        if kind == _DYNAMIC and length < _MOST:
            entries += struct.iter_unpack(step, data[place : place + length - length % struct.calcsize(step)])
    if _NULL in [tag for tag, _ in entries]:
        entries = entries[: [tag for tag, _ in entries].index(_NULL)]
    table = next((value for tag, value in entries if tag == _STRTAB), None)
    if table is None:
        return [], []
    for kind, place, address, length in segments:
        if kind == _LOAD and address <= table < address + length:
            names = place + table - address
            needed = [_name_at(data, names + value) for tag, value in entries if tag == _NEEDED]
            return needed, [_name_at(data, names + value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
    return [], []


def _name_at(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


class Machine:
    """What this machine has of libraries.

    :param environ: of the program that will load them.
    :param directories: where else its loader looks: the library directory of its interpreter.
    :param run: runs a command and gives its output, ``None`` if it fails.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        directories: Iterable[str] = (),
        run: Callable[[list[str]], str | None] | None = None,
    ) -> None:
        self._environ = environ
        self._directories = tuple(directories)
        self._run = run or _output

    def describe(self, names: Iterable[str]) -> list[Library]:
        """Give libraries with the packages that they are from."""
        return [Library(name, *self._package_of(name)) for name in names]

    def find_missing(self, libraries: Iterable[Library]) -> Library | None:
        """Give the first library that is not here, or is of an older version of its package; ``None`` if all is well."""
        for library in libraries:
            if self._find(library.name) is None:
                return library
            # Without the package it may be from elsewhere, and then nothing tells its version.
            here = self._version_of(library.package) if library.package else ""
            if here and self._is_older(here, library.version):
                return library
        return None

    def _find(self, name: str) -> str | None:
        for directory in (*self._environ.get("LD_LIBRARY_PATH", "").split(":"), *self._directories):
            if directory and os.path.exists(os.path.join(directory, name)):
                return os.path.join(directory, name)
        return self._known.get(name)

    @cached_property
    def _known(self) -> dict[str, str]:
        """Paths by name of what the loader finds by itself."""
        found: dict[str, str] = {}
        for directory in ("/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64"):
            try:
                found.update((entry.name, entry.path) for entry in os.scandir(directory) if ".so" in entry.name)
            except OSError:
                continue
        program = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
        for line in (self._run([program, "-p"]) or "").splitlines() if program else ():
            name, _, path = line.strip().partition(" => ")
            if path:
                found.setdefault(name.partition(" ")[0], path)
        return found

    @cached_property
    def _query(self) -> str | None:
        return shutil.which("dpkg-query", path="/bin:/usr/bin")

    def _package_of(self, name: str) -> tuple[str, str]:
        path = self._find(name)
        if path is None or self._query is None:
            return "", ""
        # The package has the file under the name that it had before directories were merged, or the present one.
        real = os.path.realpath(path)
        for each in dict.fromkeys((real, real.removeprefix("/usr"), path)):
            package = (self._run([self._query, "--search", each]) or "").partition(": ")[0].partition(":")[0]
            if _PACKAGE.fullmatch(package):
                return package, self._version_of(package)
        return "", ""

    def _version_of(self, package: str) -> str:
        if self._query is None or not _PACKAGE.fullmatch(package):
            return ""
        words = [self._query, "--show", "--showformat=${db:Status-Status} ${Version}\\n", package]
        for line in (self._run(words) or "").splitlines():
            status, _, version = line.partition(" ")
            if status == "installed":
                return version
        return ""

    def _is_older(self, here: str, there: str) -> bool:
        """Whether the upstream part of a version comes before that of another one: what Debian mends adds no symbols."""
        mine, theirs = here.rpartition("-")[0] or here, there.rpartition("-")[0] or there
        program = shutil.which("dpkg", path="/bin:/usr/bin")
        if program is None or not re.fullmatch(r"[A-Za-z0-9.+~:-]+", theirs):
            return False
        return self._run([program, "--compare-versions", mine, "lt", theirs]) is not None


def _output(command: list[str]) -> str | None:
    from pip_accel._process import run

    try:
        answer = run(command, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError:
        return None
    return answer.output if answer.status == 0 else None
