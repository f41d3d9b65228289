"""Wheels (PEP 427) and binary distribution archives: both read into one stream of entries, safely; the latter written.

A binary distribution archive is a gzipped tarball. Its members are named relative to a prefix, as a person would expect
(``lib/python3.12/site-packages/…``, ``bin/…``); its first member, a manifest, says which scheme each belongs to.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from pip_accel._names import canonical_name
from pip_accel._values import Launcher
from pip_accel.exceptions import UnsafeArchive, Unsupported

__all__ = [
    "MANIFEST_NAME",
    "SCHEMES",
    "Contents",
    "Entry",
    "check_member_name",
    "is_whole",
    "parse_entry_points",
    "read_bdist",
    "read_headers",
    "read_manifest",
    "read_wheel",
    "record_digest",
    "wheel_metadata",
    "write_bdist",
]

MANIFEST_NAME = "PIP-ACCEL-MANIFEST.json"
SCHEMES = frozenset(("purelib", "platlib", "headers", "scripts", "data"))
_WRITTEN_AT_INSTALLATION = frozenset(("RECORD", "INSTALLER"))
#: What :mod:`zipfile` raises for a file that is damaged, encrypted or compressed in a way that Python does not know.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
#: Types in a row of the manifest: member, scheme, path, executable, script, digest, size.
_ROW = [str, str, str, bool, bool, str, int]


class Entry(NamedTuple):
    """One file of a distribution on its way into the store."""

    scheme: str
    path: str  #: relative to the scheme's directory, ``/`` on every system
    executable: bool
    script: bool  #: line one is ``#!python`` and will name the target's interpreter
    digest: str  #: as the distribution's own RECORD has it; empty where that has none
    data: bytes


class Contents(NamedTuple):
    """A distribution as its archive has it."""

    name: str
    version: str
    lib: str  #: ``purelib`` or ``platlib``
    dist_info: str
    launchers: tuple[Launcher, ...]
    entries: Iterable[Entry]  #: can be read once, while the archive is open


def check_member_name(name: str, archive: str) -> str:
    """Give the normalised name of a member, relative and below its root.

    :raises UnsafeArchive: it would be written outside of that.
    """
    parts = name.split("/")
    foreign = os.name == "nt" and (":" in name or "\\" in name)
    if not name or name.startswith("/") or ".." in parts or "\0" in name or foreign:
        raise UnsafeArchive(
            "{archive} has a member named {name!r}, which would land outside of its place: nothing was installed.",
            archive=archive,
            name=name,
        )
    return "/".join(part for part in parts if part not in ("", "."))


def record_digest(data: bytes) -> str:
    """Give the digest of a file as RECORD spells it."""
    import base64
    import hashlib

    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def parse_entry_points(text: str) -> tuple[Launcher, ...]:
    """Give the scripts that an ``entry_points.txt`` asks for.

    :raises Unsupported: one of them names no callable; pip words that error.
    """
    found: dict[tuple[bool, str], Launcher] = {}
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section in ("console_scripts", "gui_scripts") and "=" in line:
            name, _, value = (part.strip() for part in line.partition("="))
            module, _, function = (part.strip() for part in value.split("[")[0].partition(":"))
            if not function or not name or "/" in name or name in (".", ".."):
                raise Unsupported("The entry point {line!r} is not one that a script can be made of", line=line)
            gui = section == "gui_scripts"
            found[gui, name] = Launcher(name, module, function, gui)
    return tuple(found.values())


def wheel_metadata(path: str) -> bytes:
    """Give the core metadata of a wheel.

    :raises Unsupported: the file is no wheel that can be read; pip says what is wrong with it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(_find_dist_info(archive, path) + "/METADATA")
    except (*_UNREADABLE, KeyError, OSError) as error:
        raise Unsupported("{path} is not a wheel that can be read", path=path) from error


def _find_dist_info(archive: zipfile.ZipFile, path: str) -> str:
    found = {name.split("/", 1)[0] for name in archive.namelist()}
    found = {name for name in found if name.endswith(".dist-info")}
    project = canonical_name(os.path.basename(path).split("-")[0])
    if len(found) != 1 or not canonical_name(min(found)).startswith(project):
        raise Unsupported("{path} does not have exactly one .dist-info directory of its project", path=path)
    return found.pop()


def read_wheel(path: str) -> tuple[Contents, zipfile.ZipFile]:
    """Open a wheel: its contents, and the open archive that they are read from.

    :raises Unsupported: pip would not install it, or not this way; pip words the error.
    :raises UnsafeArchive: a member would land outside of the environment.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise Unsupported("{path} is not a wheel that can be read", path=path) from error
    try:
        dist_info = _find_dist_info(archive, path)
        wheel = read_headers(archive.read(f"{dist_info}/WHEEL"))
        metadata = read_headers(archive.read(f"{dist_info}/METADATA"))
        name, version = metadata["name"], metadata["version"]
        names = set(archive.namelist())
        points = f"{dist_info}/entry_points.txt"
        launchers = parse_entry_points(archive.read(points).decode("utf-8")) if points in names else ()
        record = _read_record(archive, dist_info) if f"{dist_info}/RECORD" in names else {}
    except (*_UNREADABLE, KeyError, UnicodeDecodeError) as error:
        archive.close()
        raise Unsupported("{path} is not a complete wheel", path=path) from error
    except BaseException:
        archive.close()
        raise
    if wheel.get("wheel-version", "").split(".")[0] != "1":
        archive.close()
        raise Unsupported("{path} has a wheel version that is not known here", path=path)
    lib = "purelib" if wheel.get("root-is-purelib", "").lower() == "true" else "platlib"
    entries = _wheel_entries(archive, path, lib, dist_info, {each.name for each in launchers}, record)
    return Contents(name, version, lib, dist_info, launchers, entries), archive


def _wheel_entries(
    archive: zipfile.ZipFile, path: str, lib: str, dist_info: str, wrappers: set[str], record: dict[str, str]
) -> Iterator[Entry]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        name = check_member_name(info.filename, path)
        top, _, rest = name.partition("/")
        scheme = lib
        if top == dist_info and rest in _WRITTEN_AT_INSTALLATION:
            continue
        if rest and top.endswith(".data"):
            scheme, _, name = rest.partition("/")
            if scheme not in SCHEMES or not name:
                raise Unsupported("{path} has the file {name}, which belongs to no known scheme", path=path, name=rest)
            if scheme == "scripts" and _is_wrapper(name, wrappers):
                continue
        mode = info.external_attr >> 16
        try:
            data = archive.read(info)
        except _UNREADABLE as error:
            raise Unsupported("{path} is damaged: {error}", path=path, error=error) from error
        yield Entry(
            scheme=scheme,
            path=name,
            executable=bool(mode & 0o111) and (mode & 0o170000) in (0o100000, 0),
            script=scheme == "scripts" and data.startswith(b"#!python"),
            digest=record.get(info.filename, ""),
            data=data,
        )


def _is_wrapper(name: str, launchers: set[str]) -> bool:
    """Whether a script is what setuptools once wrote for an entry point: it is made anew instead."""
    base = name.rsplit("/", 1)[-1]
    lowered = base.lower()
    for ending in (".exe", "-script.py", ".pya"):
        if lowered.endswith(ending):
            base = base[: -len(ending)]
            break
    return base in launchers


def read_headers(data: bytes) -> dict[str, str]:
    """Give the first value of each header, names in lower case."""
    found: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _read_record(archive: zipfile.ZipFile, dist_info: str) -> dict[str, str]:
    import csv

    rows = csv.reader(archive.read(f"{dist_info}/RECORD").decode("utf-8").splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def write_bdist(
    contents: Contents, stream: BinaryIO, *, key: dict[str, Any], key_digest: str, revision: int, version: str
) -> None:
    """Write a binary distribution archive.

    :param key: what the result depends on, in the clear.
    :param version: of the Python it is for, ``3.12``; names directories only.
    """
    entries = list(contents.entries)
    rows = []
    for entry in entries:
        member = _member_name(entry, contents.name, version)
        rows.append([member, entry.scheme, entry.path, entry.executable, entry.script, entry.digest, len(entry.data)])
    manifest = {
        "format": revision,
        "key": key,
        "key-digest": key_digest,
        "signature": None,
        "name": contents.name,
        "version": contents.version,
        "lib": contents.lib,
        "dist-info": contents.dist_info,
        "launchers": [list(each) for each in contents.launchers],
        "files": rows,
    }
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6, format=tarfile.PAX_FORMAT) as archive:
        _add_member(archive, MANIFEST_NAME, json.dumps(manifest, indent=1).encode(), False)
        for entry in entries:
            _add_member(archive, _member_name(entry, contents.name, version), entry.data, entry.executable)


def _member_name(entry: Entry, project: str, version: str) -> str:
    if entry.scheme in ("purelib", "platlib"):
        return f"lib/python{version}/site-packages/{entry.path}"
    if entry.scheme == "scripts":
        return f"bin/{entry.path}"
    if entry.scheme == "headers":
        return f"include/site/python{version}/{project}/{entry.path}"
    return entry.path


def _add_member(archive: tarfile.TarFile, name: str, data: bytes, executable: bool) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = 0o755 if executable else 0o644
    archive.addfile(member, io.BytesIO(data))


def read_manifest(path: str) -> dict[str, Any] | None:
    """Give the manifest of a binary distribution archive, or ``None`` if it has none that can be read."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST_NAME or not first.isreg():
                return None
            stream = archive.extractfile(first)
            manifest = json.load(stream) if stream is not None else None
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def read_bdist(path: str) -> tuple[Contents, Callable[[], None]]:
    """Open a binary distribution archive: its contents, and what closes it.

    :raises UnsafeArchive: it is damaged, or a member would land outside of the environment.
    """
    manifest = read_manifest(path)
    if manifest is None:
        raise UnsafeArchive("{path} has no manifest that can be read.", path=path)
    try:
        texts = [manifest["name"], manifest["version"], manifest["lib"], manifest["dist-info"]]
        launchers = tuple(Launcher(*each) for each in manifest["launchers"])
        rows = manifest["files"]
        sound = (
            all(isinstance(text, str) for text in (*texts, *(text for each in launchers for text in each[:3])))
            and texts[2] in ("purelib", "platlib")
            and texts[3].endswith(".dist-info")
            and all(_is_name(text) for text in (texts[0], texts[3], *(each.name for each in launchers)))
            and all([type(value) for value in row] == _ROW for row in rows)
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise UnsafeArchive("{path} has a manifest that makes no sense.", path=path)
    archive = tarfile.open(path, "r:gz")  # noqa: SIM115  (the caller closes it, after reading the entries)
    contents = Contents(texts[0], texts[1], texts[2], texts[3], launchers, _bdist_entries(archive, path, rows))
    return contents, archive.close


def is_whole(path: str) -> bool:
    """Whether everything in a binary distribution archive is what its manifest says."""
    try:
        contents, close = read_bdist(path)
    except UnsafeArchive:
        return False
    try:
        for _ in contents.entries:
            pass
    except UnsafeArchive:
        return False
    finally:
        close()
    return True


def _is_name(text: str) -> bool:
    """Whether a text can be the name of one file."""
    return text not in ("", ".", "..") and not any(each in text for each in ("/", os.sep, "\0"))


def _bdist_entries(archive: tarfile.TarFile, path: str, rows: list[list[Any]]) -> Iterator[Entry]:
    try:
        archive.next()  # the manifest
        for name, scheme, relative, executable, script, digest, size in rows:
            member = archive.next()
            stream = archive.extractfile(member) if member is not None and member.isreg() else None
            data = stream.read() if stream is not None else b""
            wrong = stream is None or member is None or member.name != name or len(data) != size
            if wrong or scheme not in SCHEMES or record_digest(data) != digest:
                raise UnsafeArchive("{path} is damaged: {name} is not what its manifest says.", path=path, name=name)
            yield Entry(scheme, check_member_name(relative, path), executable, script, digest, data)
        # To its end, where gzip has the checksum over all of it, the manifest included.
        while archive.fileobj is not None and archive.fileobj.read(1 << 16):
            pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UnsafeArchive("{path} is damaged: {error}", path=path, error=error) from error
