"""What builds leave, in the form that can be installed under any prefix."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator

from pip_accel._archives import Contents, Entry, check_member_name, parse_entry_points, record_digest
from pip_accel._values import Launcher
from pip_accel.exceptions import BinaryDistributionError

__all__ = ["read_dumb", "with_digests"]

_HEADERS = re.compile(r"include/(?:site/)?(?:python|pypy)[^/]*/[^/]+/(?P<rest>.+)")


def with_digests(contents: Contents) -> Contents:
    """Give every entry the digest of what it holds: an archive of ours is checked by them whenever it is read."""
    entries = (entry._replace(digest=record_digest(entry.data)) for entry in contents.entries)
    return contents._replace(entries=entries)


def read_dumb(payload: str, metadata: str, prefix: str) -> Contents:
    """Read the tarball of ``bdist_dumb`` and the ``.dist-info`` of the same run.

    :param payload: the tarball, with members named from the root of the file system.
    :param metadata: the directory that holds the ``.dist-info``.
    :param prefix: of the environment it was built in.
    :raises UnsafeArchive: it has files outside of the prefix.
    :raises BinaryDistributionError: it has files that a wheel of the project would hold in another place, or not at all.
    """
    (dist_info,) = (name for name in os.listdir(metadata) if name.endswith(".dist-info"))
    base = os.path.join(metadata, dist_info)
    headers = _read_headers(os.path.join(base, "METADATA"))
    pure = _read_headers(os.path.join(base, "WHEEL")).get("root-is-purelib", "").lower() == "true"
    lib = "purelib" if pure else "platlib"
    points = os.path.join(base, "entry_points.txt")
    launchers: tuple[Launcher, ...] = ()
    if os.path.exists(points):
        with open(points, encoding="utf-8") as stream:
            launchers = parse_entry_points(stream.read())
    wrappers = {each.name for each in launchers}
    entries = [*_payload(payload, prefix, lib, wrappers), *_files(base, lib, dist_info)]
    return Contents(headers["name"], headers["version"], lib, dist_info, launchers, entries)


def _read_headers(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.strip():
                break
            name, _, value = line.partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _payload(path: str, prefix: str, lib: str, wrappers: set[str]) -> Iterator[Entry]:
    root = prefix.strip("/") + "/"
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            name = member.name.removeprefix("./").lstrip("/")
            stream = archive.extractfile(member) if member.isreg() or member.islnk() else None
            if stream is None or not name.startswith(root):
                raise BinaryDistributionError("{name} would be installed outside of the prefix", name=member.name)
            scheme, relative = _place(check_member_name(name.removeprefix(root), path), lib)
            if scheme is None or (scheme == "scripts" and relative in wrappers):
                continue
            data = stream.read()
            script = scheme == "scripts" and data.startswith(b"#!python")
            yield Entry(scheme, relative, bool(member.mode & 0o111), script, "", data)


def _place(name: str, lib: str) -> tuple[str | None, str]:
    """Say which scheme a member belongs to, and its path there; no scheme for what is made anew at installation."""
    parts = name.split("/")
    if parts[0] in ("lib", "lib64") and len(parts) > 3 and parts[2] in ("site-packages", "dist-packages"):
        inner = parts[3:]
        if "__pycache__" in inner or inner[0].endswith(".egg-info"):
            return None, ""
        return lib, "/".join(inner)
    if parts[0] == "bin" and len(parts) == 2:
        return "scripts", parts[1]
    if headers := _HEADERS.fullmatch(name):
        return "headers", headers["rest"]
    return "data", name


def _files(base: str, lib: str, dist_info: str) -> Iterator[Entry]:
    for directory, _, names in os.walk(base):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as stream:
                data = stream.read()
            relative = os.path.relpath(path, base).replace(os.sep, "/")
            yield Entry(lib, f"{dist_info}/{relative}", False, False, "", data)
