"""What builds leave, in the form that can be installed under any prefix."""

from __future__ import annotations

import json
import os
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pip_accel._archives import SCHEMES, Contents, Entry, is_wrapper, parse_entry_points, record_digest
from pip_accel._plausibility import check_member_name
from pip_accel._metadata import read_headers
from pip_accel._install.scripts import split_hashbang
from pip_accel._values import Launcher, Row
from pip_accel.exceptions import BinaryDistributionError, UnsafeArchive

__all__ = ["read_dumb", "read_foreign"]

#: Where Pythons keep modules and headers below their prefix; some PyPys have ``site-packages`` right there.
_MODULES = re.compile(r"(?:(lib|lib64)/(?:python|pypy)[\d.]*t?/)?(?:site|dist)-packages/(.+)", re.DOTALL)
_HEADERS = re.compile(r"include/(?:site/)?(?:python|pypy)[\d.]*[a-z]*/[^/]+/(.+)", re.DOTALL)
_MOST_LINKS = 40  # that lead to one file: as many as Linux follows


class _File(NamedTuple):
    """A file of a tarball, or what a link in it leads to."""

    name: str  #: normalised
    executable: bool
    data: bytes


def read_dumb(payload: str, metadata: str) -> Contents:
    """Read the tarball of ``bdist_dumb`` and the ``.dist-info`` of the same run, as ``bdist_wheel`` would pack them.

    :param payload: the tarball; its top directories are named after the schemes.
    :param metadata: where :mod:`pip_accel._build._setup_driver` left the ``.dist-info`` and ``names.json``.
    :raises BinaryDistributionError: it has files that a wheel would hold in another place, otherwise, or not at all.
    """
    (dist_info,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    base = os.path.join(metadata, dist_info)
    headers, wheel = read_headers(_read(base, "METADATA")), read_headers(_read(base, "WHEEL"))
    names = json.loads(_read(metadata, "names.json"))
    lib = "purelib" if wheel.get("root-is-purelib", "").lower() == "true" else "platlib"
    launchers: tuple[Launcher, ...] = ()
    if os.path.exists(os.path.join(base, "entry_points.txt")):
        launchers = parse_entry_points(_read(base, "entry_points.txt").decode("utf-8"))
    wrappers = {each.name for each in launchers}
    entries: list[Entry] = []
    rows: list[Row] = []
    for name, executable, data in _read_files(payload):
        scheme, _, path = name.partition("/")
        if scheme not in SCHEMES or not path:
            raise _outside(name)
        # Byte code names the directory it was made in, and pip reads RECORD line by line.
        if "__pycache__" in path.split("/") or name.splitlines() != [name]:
            raise BinaryDistributionError("{name!r} would be something else in a wheel", name=name)
        if (name + "/").startswith(names["egg-info"] + "/"):
            continue
        entry = _make_entry(scheme, path, executable, data)
        if scheme == "scripts" and is_wrapper(path, wrappers):
            # It is in the wheel all the same, and pip keeps its row.
            rows.append((f"{names['data']}/{name}", entry.digest, str(len(data))))
        else:
            entries.append(entry)
    entries += _dist_info_entries(base, lib, dist_info)
    return Contents(headers["name"], headers["version"], lib, dist_info, launchers, entries, tuple(rows))


def read_foreign(path: str, prefix: str) -> Iterator[Entry]:
    """Read a tarball of ``bdist_dumb`` or ``bdist`` as they are by themselves: made for one prefix.

    Its members have the prefix in their names (``./usr/local/lib/python3.11/dist-packages/six.py``). They are sorted
    into schemes by where Pythons keep such files, Debian's too; ``local/`` at the beginning is left out. The hashbangs
    of scripts become neutral. Byte code beside its source is left out, as it is made anew.

    :param prefix: of the Python that made it, absolute.
    :raises BinaryDistributionError: a member lies outside of the prefix, or is no file; it is named.
    """
    files = _read_files(path)
    home = prefix.strip("/") + "/" if prefix.strip("/") else ""
    for file in files:
        if not file.name.startswith(home):
            raise _outside(file.name)
    for name, executable, data in files:
        scheme, relative = _find_place(name.removeprefix(home).removeprefix("local/"))
        if relative.endswith(".pyc") and posixpath.basename(posixpath.dirname(relative)) == "__pycache__":
            continue
        found = split_hashbang(data) if scheme == "scripts" else None
        if found is not None:
            data = " ".join(["#!python", *found[0]]).encode("utf-8", "surrogateescape") + b"\n" + found[1]
        yield _make_entry(scheme, relative, executable, data)


def _find_place(path: str) -> tuple[str, str]:
    """Give scheme and path in it for a path below a prefix."""
    modules, headers = _MODULES.fullmatch(path), _HEADERS.fullmatch(path)
    if modules is not None:
        return ("platlib" if modules[1] == "lib64" else "purelib"), modules[2]
    if headers is not None:
        return "headers", headers[1]
    if path.startswith("bin/"):
        return "scripts", path.removeprefix("bin/")
    return "data", path


def _make_entry(scheme: str, path: str, executable: bool, data: bytes) -> Entry:
    script = scheme == "scripts" and data.startswith(b"#!python")
    return Entry(scheme, path, executable, script, record_digest(data), data)


def _read_files(path: str) -> list[_File]:
    """Read the files of a tarball, each name once; directories that have none are lost, as they are in wheels.

    :raises BinaryDistributionError: there is something in it that no wheel could hold; it is named.
    """
    try:
        with tarfile.open(path) as archive:
            members = {_normalise(member.name, path): member for member in archive if not member.isdir()}
            files = []
            for name in members:
                member = _follow(name, members)
                stream = None if member is None else archive.extractfile(member)
                if member is None or stream is None:
                    raise BinaryDistributionError(
                        "{name} is neither a file nor a link to one in the archive", name=name
                    )
                files.append(_File(name, bool(member.mode & 0o111), stream.read()))
            return files
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BinaryDistributionError("{path} cannot be read: {error}", path=path, error=error) from error


def _normalise(name: str, path: str) -> str:
    try:
        name = check_member_name(name, path)
        name.encode("utf-8")
    except UnsafeArchive as error:
        raise _outside(name) from error
    except UnicodeEncodeError as error:
        raise BinaryDistributionError("{name!r} is not a name in UTF-8, as RECORD needs it", name=name) from error
    return name


def _follow(name: str, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Give the file that a member is, or leads to by links; the archive's root is that of the file system."""
    for _ in range(_MOST_LINKS):
        member = members.get(name)
        if member is None or not (member.issym() or member.islnk()):
            return member if member is not None and member.isreg() else None
        beginning = posixpath.dirname(name) if member.issym() else ""
        name = posixpath.normpath(posixpath.join("/", beginning, member.linkname)).lstrip("/")
    return None


def _outside(name: str) -> BinaryDistributionError:
    return BinaryDistributionError("{name!r} would be installed outside of the prefix", name=name)


def _dist_info_entries(base: str, lib: str, dist_info: str) -> Iterator[Entry]:
    for directory, _, names in os.walk(base):
        for name in names:
            executable = bool(os.stat(os.path.join(directory, name)).st_mode & 0o111)
            relative = os.path.relpath(os.path.join(directory, name), base).replace(os.sep, "/")
            yield _make_entry(lib, f"{dist_info}/{relative}", executable, _read(directory, name))


def _read(directory: str, name: str) -> bytes:
    with open(os.path.join(directory, name), "rb") as stream:
        return stream.read()
