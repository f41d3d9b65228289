"""Sdists: unpacked safely, and what they say about themselves (PEP 517, 518, 621 and 643)."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from typing import Literal, NamedTuple, overload

from pip_accel import _fs
from pip_accel._guards import UNREADABLE, Implausible, check_zip, open_tarball
from pip_accel._plausibility import check_member_name
from pip_accel._metadata import all_headers
from pip_accel.exceptions import DamagedSourceDistribution, InvalidSourceDistribution, UnsafeArchive, Unsupported

__all__ = [
    "BuildSystem",
    "check_sdist",
    "link_eggs",
    "named_variables",
    "read_build_system",
    "read_external",
    "static_metadata",
    "unpack_sdist",
]

#: Errors that speak for the names in an archive: too long, or those of a file and of a directory.
_SENSELESS = frozenset((errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP))
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
#: Metadata that a plan rests on: where one of these is dynamic, only the build backend knows it.
_DECISIVE = frozenset(("name", "version", "requires-dist", "requires-python", "provides-extra"))


#: Where a build script in Python, CMake or Rust speaks of an environment variable, in the ways that are usual there.
_VARIABLE = re.compile(
    rb"""(?:environb?|getenvb?|\$?ENV|env::var(?:_os)?|env!|option_env!)(?:\.\w+)?\s*[\[({]\s*r?b?["']?([A-Z][A-Z0-9_]+)"""
    rb"""|["']([A-Z][A-Z0-9_]+)["']\s+(?:not\s+)?in\s+(?:os\.)?environ"""
)
_SCRIPTS = ("setup.py", "CMakeLists.txt", "build.rs")
_LONGEST_SCRIPT = 1 << 20  # bytes
_LONGEST_METADATA = 8 << 20  # bytes of PKG-INFO and of pyproject.toml
_LONGEST_WAY = 2048  # characters of the names of directories: systems stop at twice that, which some do not expect
_MOST_STEPS = 20  # from one directory to the next, for each member of an sdist, in finding out where its links lead
_MOST_LINKS = 40  # that lead to one file: as many as Linux follows


class BuildSystem(NamedTuple):
    """How a source tree wants to be built."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...]
    legacy: bool  #: has only a ``setup.py`` and says nothing about its build


def unpack_sdist(path: str, into: str) -> str:
    """Unpack an sdist; give its top directory.

    :raises UnsafeArchive: a member would leave that directory.
    :raises DamagedSourceDistribution: it is no archive that can be read.
    :raises Unsupported: it is as only who means harm would make it, and yet pip may unpack it.
    :raises OSError: its files cannot be written.
    """
    os.makedirs(into, exist_ok=True)
    try:
        with _fs.naming(into):
            if path.endswith(".zip"):
                _unpack_zip(path, into)
            else:
                _unpack_tar(path, into)
    except Implausible as error:
        raise Unsupported("{error}", error=error) from error
    except UNREADABLE as error:
        # Of the system: what is damaged has no number, or its names make no sense to it.
        if isinstance(error, OSError) and error.errno not in (None, *_SENSELESS):
            raise
        raise DamagedSourceDistribution("{path} cannot be unpacked: {error}", path=path, error=error) from error
    entries = os.listdir(into)
    if len(entries) == 1 and os.path.isdir(os.path.join(into, entries[0])):
        return os.path.join(into, entries[0])
    return into


def check_sdist(path: str) -> None:
    """See that an sdist can be read to its end.

    :raises DamagedSourceDistribution: it cannot.
    :raises Unsupported: it is as only who means harm would make it, and yet pip may unpack it.
    """
    try:
        if path.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                check_zip(archive, path)
                damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
        else:
            with open_tarball(path) as (_, members):
                for _ in members:
                    pass
    except Implausible as error:
        raise Unsupported("{error}", error=error) from error
    except UNREADABLE as error:
        raise DamagedSourceDistribution("{path} cannot be unpacked: {error}", path=path, error=error) from error


def _unpack_tar(path: str, into: str) -> None:
    with open_tarball(path) as (archive, found):
        members = list(found)
        for member in members:
            check_member_name(member.name.rstrip("/") or ".", path)
            if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                raise UnsafeArchive("{path} has the special file {name!r}", path=path, name=member.name)
        _check_links(members, path)
        data_filter = getattr(tarfile, "data_filter", None)
        try:
            if data_filter is not None:
                archive.extractall(into, members, filter="data")
            else:  # Python 3.10 and 3.11 without the security releases
                for member in members:
                    if not (member.isreg() or member.isdir()):
                        raise UnsafeArchive("{path} has the special file {name}", path=path, name=member.name)
                    member.mode &= 0o755
                archive.extractall(into, members)
        except getattr(tarfile, "FilterError", ()) as error:
            raise UnsafeArchive("{path} is not safe to unpack: {error}", path=path, error=error) from error


def _check_links(members: Sequence[tarfile.TarInfo], path: str) -> None:
    """See where the links of a tarball lead, by the names of its members alone.

    Python looks at what it has unpacked already. Releases before those of June 2025 can be led out of the tree so
    (CVE-2025-4517 and others), with pip as well, and in none of them a link may not be led out by a later one.

    :raises UnsafeArchive: one leads out of it.
    :raises Implausible: what is in it depends on the order in which it is unpacked.
    """
    if not any(member.issym() or member.islnk() for member in members):
        return
    links, named = _Links(path, _MOST_STEPS * (len(members) + 1000)), dict[str, tarfile.TarInfo]()
    found: list[tuple[str, list[str], str]] = []
    odd = ""
    for member in members:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if not parts:
            continue
        place = links.follow(member.name, [], parts[:-1], strict=True)
        name = "/".join([*place, parts[-1]])
        before = named.setdefault(name, member)
        again = before is not member and not (before.type == member.type in (tarfile.REGTYPE, tarfile.DIRTYPE))
        if again or place != parts[:-1]:
            odd = odd or member.name
        if member.islnk():
            *way, last = member.linkname.split("/")
            target = named.get("/".join([*links.follow(member.name, [], way, strict=True), last]))
            if last == ".." or member.linkname.startswith("/"):
                raise _leads_out(member.name, path)
            if target is None or target is member or target.issym() or target.isdir():
                odd = odd or member.name
        elif member.issym():
            if member.linkname.startswith("/"):
                raise _leads_out(member.name, path)
            links.targets[name] = member.linkname
            found.append((member.name, place, member.linkname))
    for name, place, target_name in found:
        if links.follow(name, place, target_name.split("/")) is None:
            odd = odd or name
    if odd:
        raise Implausible("{path} has {name!r} behind, in place of, or as a link to no file", path=path, name=odd[:100])


class _Links:
    """The symbolic links of a tarball that were met so far.

    :param steps: that may be taken, from one directory to the next.
    """

    def __init__(self, path: str, steps: int) -> None:
        self.targets: dict[str, str] = {}  #: by name; relative to its directory
        self._path = path
        self._steps = steps

    @overload
    def follow(self, name: str, start: Sequence[str], way: Sequence[str], *, strict: Literal[True]) -> list[str]: ...
    @overload
    def follow(self, name: str, start: Sequence[str], way: Sequence[str]) -> list[str] | None: ...
    def follow(self, name: str, start: Sequence[str], way: Sequence[str], *, strict: bool = False) -> list[str] | None:
        """Give the directory that a way leads to; ``None`` if there is no end to it.

        :param name: of the member whose way it is.
        :param strict: there has to be an end.
        :raises UnsafeArchive: it leads out, or so far that nobody can say where.
        """
        place, ahead, followed = list(start), list(way)[::-1], 0
        length = sum(map(len, place))
        while ahead:
            self._steps -= 1
            part = ahead.pop()
            if part == "..":
                if not place:
                    raise _leads_out(name, self._path)
                length -= len(place.pop())
            elif part not in ("", "."):
                place.append(part)
                length += len(part)
                target = self.targets.get("/".join(place)) if self.targets else None
                if target is not None:
                    followed += 1
                    if followed > _MOST_LINKS and not strict:
                        return None
                    length -= len(place.pop())
                    ahead += target.split("/")[::-1]
            if self._steps < 0 or followed > _MOST_LINKS or length > _LONGEST_WAY:
                raise _leads_out(name, self._path)
        return place


def _leads_out(name: str, path: str) -> UnsafeArchive:
    text = "{path} has {name!r}, a link that leads out of it, or too far to say where: nothing was installed."
    return UnsafeArchive(text, path=path, name=name[:100])


def _unpack_zip(path: str, into: str) -> None:
    with zipfile.ZipFile(path) as archive:
        check_zip(archive, path)
        for info in archive.infolist():
            check_member_name(info.filename.rstrip("/") or ".", path)
        for info in archive.infolist():
            extracted = archive.extract(info, into)
            mode = info.external_attr >> 16
            if stat.S_ISREG(mode) and mode & 0o111:
                os.chmod(extracted, os.stat(extracted).st_mode | 0o111)


def read_external(source: str) -> tuple[str, ...]:
    """Read what a source tree declares that its builds need of the system (PEP 725); empty where nothing can be read."""
    try:
        table = _load_toml(os.path.join(source, "pyproject.toml")).get("external")
    except (InvalidSourceDistribution, OSError):
        return ()
    lists = [table.get(key) for key in ("build-requires", "host-requires")] if isinstance(table, dict) else []
    return tuple(text for each in lists if isinstance(each, list) for text in each if isinstance(text, str))


def read_build_system(source: str) -> BuildSystem:
    """Read how a source tree wants to be built, with pip's defaults for what it leaves out.

    :raises InvalidSourceDistribution: there is nothing to build with, or ``pyproject.toml`` is not right.
    """
    pyproject = os.path.join(source, "pyproject.toml")
    has_setup = os.path.isfile(os.path.join(source, "setup.py"))
    table: object = None
    if os.path.isfile(pyproject):
        table = _load_toml(pyproject).get("build-system")
    elif not has_setup:
        raise InvalidSourceDistribution(
            "{source} has neither a setup.py nor a pyproject.toml: there is nothing to build it with.",
            source=os.path.basename(source),
        )
    if table is None:
        return BuildSystem(_LEGACY_REQUIRES, _LEGACY_BACKEND, (), has_setup)
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(requires, list) or not all(isinstance(r, str) for r in requires):
        raise InvalidSourceDistribution(
            "The [build-system] in pyproject.toml of {source} needs requires = [...], a list of strings.",
            source=os.path.basename(source),
        )
    backend = table.get("build-backend")
    if not isinstance(backend, str):
        return BuildSystem(tuple(requires) or _LEGACY_REQUIRES, _LEGACY_BACKEND, (), False)
    places = table.get("backend-path", [])
    top = os.path.realpath(source)
    if not isinstance(places, list) or not all(
        isinstance(place, str) and f"{os.path.realpath(os.path.join(top, place))}{os.sep}".startswith(top + os.sep)
        for place in places
    ):
        raise InvalidSourceDistribution(
            "The backend-path in pyproject.toml of {source} has to be a list of directories in it.",
            source=os.path.basename(source),
        )
    return BuildSystem(tuple(requires), backend, tuple(places), False)


def _load_toml(path: str) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        if os.path.getsize(path) > _LONGEST_METADATA:
            raise InvalidSourceDistribution("{path} is too long", path=path)
        with open(path, "rb") as stream:
            value: dict[str, object] = tomllib.load(stream)
            return value
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidSourceDistribution("{path} is not valid TOML: {error}", path=path, error=error) from error


def link_eggs(source: str, directory: str) -> None:
    """Let a setup script with ``setup_requires`` keep what old releases of setuptools fetch for it.

    :param source: an unpacked sdist.
    :param directory: where eggs are kept; made here. Where links are not possible, nothing happens.
    """
    try:
        with open(os.path.join(source, "setup.py"), "rb") as stream:
            if b"setup_requires" not in stream.read(_LONGEST_SCRIPT):
                return
        _fs.make_directory(directory)
        os.symlink(directory, os.path.join(source, ".eggs"))
    except OSError:
        pass


def named_variables(source: str, system: BuildSystem) -> list[str]:
    """Give the names of the environment variables that the scripts of a build read, sorted, as far as they name them.

    ``HDF5_DIR`` or ``WITH_XSLT`` belong to one project; no list could have them all.
    """
    paths = [os.path.join(source, name) for name in _SCRIPTS]
    for directory in system.backend_path:
        for place, _, names in os.walk(os.path.join(source, directory)):
            paths += [os.path.join(place, name) for name in names if name.endswith(".py")]
            if len(paths) > 100:  # the backend is the project itself, as that of setuptools
                break
    found: set[bytes] = set()
    for path in paths:
        try:
            with open(path, "rb") as stream:
                found.update(b"".join(names) for names in _VARIABLE.findall(stream.read(_LONGEST_SCRIPT)))
        except OSError:
            continue
    return sorted(name.decode("ascii") for name in found)


def static_metadata(source: str) -> bytes | None:
    """Give the core metadata of an sdist where it binds every build of it (PEP 643), else ``None``."""
    try:
        with open(os.path.join(source, "PKG-INFO"), "rb") as stream:
            data = stream.read(_LONGEST_METADATA + 1)
    except OSError:
        return None
    if len(data) > _LONGEST_METADATA:
        return None
    headers = all_headers(data)
    version = headers.get("metadata-version", ["0"])[0].split(".")
    if not all(part.isdigit() for part in version) or tuple(map(int, version)) < (2, 2):
        return None
    if "name" not in headers or "version" not in headers:
        return None
    dynamic = {value.lower() for value in headers.get("dynamic", [])}
    return None if dynamic & _DECISIVE else data
