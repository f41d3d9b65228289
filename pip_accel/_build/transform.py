"""What builds leave, in the form that can be installed under any prefix."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator

from pip_accel._archives import (
    SCHEMES,
    Contents,
    Entry,
    check_member_name,
    parse_entry_points,
    read_headers,
    record_digest,
)
from pip_accel._values import Launcher
from pip_accel.exceptions import BinaryDistributionError

__all__ = ["read_dumb", "with_digests"]

def with_digests(contents: Contents) -> Contents:
    """Give every entry the digest of what it holds: an archive of ours is checked by them whenever it is read."""
    entries = (entry._replace(digest=record_digest(entry.data)) for entry in contents.entries)
    return contents._replace(entries=entries)


def read_dumb(payload: str, metadata: str) -> Contents:
    """Read the tarball of ``bdist_dumb`` and the ``.dist-info`` of the same run.

    :param payload: the tarball; its top directories are named after the schemes.
    :param metadata: the directory that holds the ``.dist-info``.
    :raises BinaryDistributionError: it has files that a wheel of the project would hold in another place, or not at all.
    """
    (dist_info,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    base = os.path.join(metadata, dist_info)
    headers, wheel = _read_headers(os.path.join(base, "METADATA")), _read_headers(os.path.join(base, "WHEEL"))
    lib = "purelib" if wheel.get("root-is-purelib", "").lower() == "true" else "platlib"
    points = os.path.join(base, "entry_points.txt")
    launchers: tuple[Launcher, ...] = ()
    if os.path.exists(points):
        with open(points, encoding="utf-8") as stream:
            launchers = parse_entry_points(stream.read())
    wrappers = {each.name for each in launchers}
    entries = [*_payload(payload, wrappers), *_files(base, lib, dist_info)]
    return Contents(headers["name"], headers["version"], lib, dist_info, launchers, entries)


def _read_headers(path: str) -> dict[str, str]:
    with open(path, "rb") as stream:
        return read_headers(stream.read())


def _payload(path: str, wrappers: set[str]) -> Iterator[Entry]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            name = check_member_name(member.name, path)
            scheme, _, relative = name.partition("/")
            stream = archive.extractfile(member) if member.isreg() or member.islnk() else None
            if stream is None or scheme not in SCHEMES or not relative:
                raise BinaryDistributionError("{name} would be installed outside of the prefix", name=name)
            if _is_made_anew(scheme, relative, wrappers):
                continue
            data = stream.read()
            script = scheme == "scripts" and data.startswith(b"#!python")
            yield Entry(scheme, relative, bool(member.mode & 0o111), script, "", data)


def _is_made_anew(scheme: str, path: str, wrappers: set[str]) -> bool:
    """Whether a file is left out, as it comes from elsewhere: byte code, metadata, scripts of entry points."""
    if scheme in ("purelib", "platlib"):
        return "__pycache__" in path.split("/") or path.partition("/")[0].endswith(".egg-info")
    return scheme == "scripts" and path in wrappers


def _files(base: str, lib: str, dist_info: str) -> Iterator[Entry]:
    for directory, _, names in os.walk(base):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as stream:
                data = stream.read()
            relative = os.path.relpath(path, base).replace(os.sep, "/")
            yield Entry(lib, f"{dist_info}/{relative}", False, False, "", data)
