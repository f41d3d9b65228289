"""Wheels (PEP 427) and binary distribution archives: both read into one stream of entries, safely; the latter written.

A binary distribution archive is a gzipped tarball. Its members are named relative to a prefix, as a person would expect
(``lib/python3.12/site-packages/…``, ``bin/…``); its first member, a manifest, says which scheme each belongs to.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import posixpath
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import takewhile
from typing import Any, BinaryIO, NamedTuple

from pip_accel._digests import spell
from pip_accel._guards import UNREADABLE, Implausible, check_amount, check_zip, is_too_much, open_tarball
from pip_accel._metadata import read_headers
from pip_accel._names import canonical_name, canonical_version, split_wheel_name
from pip_accel._plausibility import WRITTEN_AT_INSTALLATION, check_member_name, find_fault, is_script_name
from pip_accel._values import Launcher, Row
from pip_accel.exceptions import UnsafeArchive, Unsupported

__all__ = [
    "MANIFEST_NAME",
    "SCHEMES",
    "Contents",
    "Entry",
    "is_whole",
    "is_wrapper",
    "parse_entry_points",
    "read_bdist",
    "read_manifest",
    "read_wheel",
    "record_digest",
    "wheel_metadata",
    "write_bdist",
]

MANIFEST_NAME = "PIP-ACCEL-MANIFEST.json"
SCHEMES = frozenset(("purelib", "platlib", "headers", "scripts", "data"))
#: What :mod:`importlib.metadata`, ``pkg_resources`` and distlib, all of which pip asks, read in the same way.
_ENTRY_POINT = re.compile(r"[^=]+=\s*\w+(?:\.\w+)*\s*(?::\s*[\w.]+\s*)?(?:\[\s*(?:[\w.-]+(?:\s*,\s*[\w.-]+)*\s*)?\])?")
_CALLABLE = re.compile(r"(\w+(?:\.\w+)*):(\w+(?:\.\w+)*)\s*(?:\[\s*[\w-]+(?:,\s*\w+)*\s*\])?")
_HEADER = re.compile(r"[^\s:]+:")

# What is read as a whole may have so much at most.
_LONGEST_TEXT = 8 << 20  # bytes of METADATA
_LONGEST_LIST = 1 << 20  # bytes of WHEEL and entry_points.txt
_LONGEST_ROW = 1200  # bytes of RECORD for each file
_LONGEST_MANIFEST = 16 << 20  # bytes

#: Types in the rows of a manifest. Files: member, scheme, path, executable, script, digest, size.
_FILE = [str, str, str, bool, bool, str, int]
#: What RECORD says of a file, where it is not its SHA-256 and its size: index among the files, digest, size.
_RECORDED = [int, str, str]
#: What RECORD says beyond that: path, digest, size.
_OTHER = [str, str, str]


class Entry(NamedTuple):
    """One file of a distribution on its way into the store."""

    scheme: str
    path: str  #: relative to the scheme's directory, ``/`` on every system
    executable: bool
    script: bool  #: line one is ``#!python`` and will name the target's interpreter
    digest: str  #: as the distribution's own RECORD has it; empty where that has none
    data: bytes
    size: str | None = None  #: as RECORD has it; ``None``: that of the data, or nothing without a digest


class Contents(NamedTuple):
    """A distribution as its archive has it."""

    name: str
    version: str
    lib: str  #: ``purelib`` or ``platlib``
    dist_info: str
    launchers: tuple[Launcher, ...]
    entries: Iterable[Entry]  #: can be read once, while the archive is open
    rows: tuple[Row, ...] = ()  #: of the distribution's RECORD, for what is not among the entries


def _is_info_of(dist_info: str, name: str, version: str) -> bool:
    """Whether a directory of metadata is called after a project and a version."""
    own_name, _, own_version = dist_info.removesuffix(".dist-info").rpartition("-")
    return canonical_name(own_name) == canonical_name(name) and _are_equal(own_version, version)


def _are_equal(version: str, other: str) -> bool:
    """Whether two versions are the same; in names of files, some have an underscore for a dash."""
    version, other = version.replace("_", "-"), other.replace("_", "-")
    return version == other or canonical_version(version) == canonical_version(other)


def record_digest(data: bytes) -> str:
    """Give the digest of a file as RECORD spells it."""
    import hashlib  # whose SHA-256 is several times as fast where there is much of it

    return spell(hashlib.sha256(data).digest())


def parse_entry_points(text: str, archive: str = "a distribution") -> tuple[Launcher, ...]:
    """Give the scripts that an ``entry_points.txt`` asks for.

    :param archive: what errors are to call that.
    :raises Unsupported: pip would word an error, or make something else of it with another Python; the context has the
        name of the ``script``, if it is about one.
    """
    found: list[Launcher] = []
    seen: set[tuple[str, str]] = set()
    section = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line[1:-1]
            key, sound = (section, ""), line.endswith("]") and bool(section) and section == section.strip(" \t[]")
        else:
            name, _, value = (part.strip() for part in line.partition("="))
            key, sound = (section, name), bool(section and name and _ENTRY_POINT.fullmatch(line))
            if section in ("console_scripts", "gui_scripts"):
                launcher = _make_launcher(name, value, section == "gui_scripts")
                sound = sound and launcher is not None
                if launcher is not None:
                    found.append(launcher)
        if not sound or key in seen:
            text = "{line!r} in entry_points.txt of {archive} is something that pip has to judge"
            script = line.partition("=")[0].strip() if section in ("console_scripts", "gui_scripts") else ""
            raise Unsupported(text, line=line[:100], archive=archive, script=script)
        seen.add(key)
    return tuple(found)


def _make_launcher(name: str, value: str, gui: bool) -> Launcher | None:
    """Give the script for an entry point, or ``None`` if pip would not make one of this name or for this callable."""
    match = _CALLABLE.fullmatch(value)
    if match is None or not is_script_name(name):
        return None
    return Launcher(name, match[1], match[2], gui)


def wheel_metadata(path: str) -> bytes:
    """Give the core metadata of a wheel.

    :raises Unsupported: the file is no wheel that can be read; pip says what is wrong with it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_text(archive, _find_dist_info(archive, path) + "/METADATA", _LONGEST_TEXT, path)
    except UNREADABLE as error:
        raise Unsupported("{path} is not a wheel that can be read", path=path) from error


def _read_text(archive: zipfile.ZipFile, name: str, limit: int, path: str) -> bytes:
    """Read a member that is not to be long.

    :param limit: bytes.
    :raises Unsupported: it is.
    """
    member = archive.getinfo(name)
    if member.file_size > limit or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unsupported("{path} has {name}, which is too long", path=path, name=name)
    return _read_member(archive, member)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member; of one that is longer than it is said to be, no more is unpacked, and its checksum is wrong."""
    if not member.file_size:
        if member.CRC:
            raise zipfile.BadZipFile(f"{member.filename} is not empty")
        return b""
    with archive.open(member) as stream:
        return stream.read(member.file_size)


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
    except UNREADABLE as error:
        raise Unsupported("{path} is not a wheel that can be read", path=path) from error
    try:
        check_zip(archive, path)
        _check_frame(archive, path)
        return _read_contents(archive, path), archive
    except Implausible as error:
        archive.close()
        raise Unsupported("{error}", error=error) from error
    except UNREADABLE as error:
        archive.close()
        if _is_of_the_disk(error):
            raise
        raise Unsupported("{path} is not a complete wheel", path=path) from error
    except BaseException:
        archive.close()
        raise


def _check_frame(archive: zipfile.ZipFile, path: str) -> None:
    """See that a file is a zip archive from its first to its last byte, and that its names are what they seem.

    :raises Implausible: something else may be in it as well, for other programs.
    """
    with open(path, "rb") as stream:
        stream.seek(-22 - len(archive.comment), os.SEEK_END)
        ends = stream.read(4) == b"PK\5\6" and b"PK\5\6" not in archive.comment
    members = archive.infolist()
    if not ends or min([member.header_offset for member in members], default=0):
        raise Implausible("{path} is a zip archive and something else", path=path)
    if "\0" in "".join([member.orig_filename for member in members]):
        name = next(each.orig_filename for each in members if "\0" in each.orig_filename)
        raise Implausible("{path} has the name {name!r}", path=path, name=name[:100])


def _read_contents(archive: zipfile.ZipFile, path: str) -> Contents:
    dist_info = _find_dist_info(archive, path)
    lib = _read_lib(_read_text(archive, f"{dist_info}/WHEEL", _LONGEST_LIST, path).decode("utf-8"), path)
    metadata = read_headers(_read_text(archive, f"{dist_info}/METADATA", _LONGEST_TEXT, path))
    name, version = metadata["name"], metadata["version"]
    if not name or not version or "\n" in name + version:
        raise Unsupported("{path} does not say what it is", path=path)
    own = split_wheel_name(os.path.basename(path))
    own_name, own_version = (own.name, own.version) if own is not None else (canonical_name(name), version)
    if own_name != canonical_name(name) or not _are_equal(own_version, version):
        raise Unsupported("{path} says that it is {name} {version}", path=path, name=name, version=version)
    if not _is_info_of(dist_info, name, version):
        raise Unsupported("{path} has a .dist-info called {name}", path=path, name=dist_info)
    members = dict.fromkeys(archive.namelist())
    points = f"{dist_info}/entry_points.txt"
    launchers: tuple[Launcher, ...] = ()
    if points in members:
        text = _read_text(archive, points, _LONGEST_LIST, path).decode("utf-8")
        try:
            launchers = parse_entry_points(text, path)
        except Unsupported as error:
            # Not all releases of pip see that.
            check_member_name(str(error.context["script"]) or "-", path)
            raise
    places = _place_members(members, path, lib, dist_info)
    wrappers = {each.name for each in launchers}
    left_out = [member for member, (scheme, to) in places.items() if scheme == "scripts" and is_wrapper(to, wrappers)]
    for member in left_out:
        del places[member]
    fault = find_fault(name, lib, dist_info, places.values(), launchers, strict=False)
    if fault is not None:
        raise Unsupported("{path} has {fault}", path=path, fault=fault)
    record = f"{dist_info}/RECORD"
    text = _read_text(archive, record, _LONGEST_ROW * (len(members) + 200), path).decode("utf-8")
    rows, others = _read_record(text, {*places, record}, path)
    if rows.get(record, ("", "")) != ("", ""):
        raise Unsupported("The RECORD of {path} has a digest of itself", path=path)
    return Contents(name, version, lib, dist_info, launchers, _wheel_entries(archive, path, places, rows), others)


def _read_lib(text: str, path: str) -> str:
    """Give the scheme of what lies at the root of a wheel."""
    lines = list(takewhile(bool, text.splitlines()))
    headers = read_headers(text.encode())
    # Of a newer minor version pip warns.
    if not all(map(_HEADER.match, lines)) or headers.get("wheel-version") not in ("1.0", "1"):
        raise Unsupported("{path} has a wheel version that is not known here", path=path)
    return "purelib" if headers.get("root-is-purelib", "").lower() == "true" else "platlib"


def _place_members(members: Iterable[str], path: str, lib: str, dist_info: str) -> dict[str, tuple[str, str]]:
    """Give the scheme and the path in it of each file but RECORD, in the order in which pip writes them.

    :raises Unsupported: one has no place, or has its place in common with another one.
    """
    ranked: list[tuple[int, str, tuple[str, str]]] = []
    taken: set[tuple[str, str]] = set()
    for member in members:
        if member.endswith("/"):
            continue
        scheme, name, rank = lib, _check_wheel_name(member, path), 0
        plain = name == member
        top, _, rest = name.partition("/")
        if top.endswith(".data"):
            scheme, _, name = rest.partition("/")
            rank = 2 if scheme == "scripts" else 1
        elif top == dist_info and rest.partition("/")[0] in WRITTEN_AT_INSTALLATION and "/" in rest:
            name = ""  # a directory where a file will be
        if not plain or scheme not in SCHEMES or not name or (scheme, name) in taken:
            raise Unsupported("{path} has no place of its own for the file {member}", path=path, member=member)
        taken.add((scheme, name))
        if name != f"{dist_info}/RECORD" or scheme != lib:
            ranked.append((rank, member, (scheme, name)))
    ranked.sort(key=lambda each: each[0])
    return {member: place for _, member, place in ranked}


def _check_wheel_name(name: str, path: str) -> str:
    """Do as :func:`check_member_name`, but for names that only look as if they led out of a wheel: these pip takes."""
    try:
        return check_member_name(name, path)
    except UnsafeArchive as error:
        parts = posixpath.normpath(name).split("/")
        if name.partition("/")[0].endswith(".data"):
            stays = len(parts) > 2 and parts[1] in SCHEMES
        else:
            stays = parts[0] not in ("", ".", "..")
        if os.name == "nt" or not stays:
            raise
        raise Unsupported("{path} has no place of its own for {name!r}", path=path, name=name) from error


def _read_record(text: str, files: Container[str], path: str) -> tuple[dict[str, tuple[str, str]], tuple[Row, ...]]:
    """Give digest and size by name for files, and the rows that belong to none, or to one that has had its row.

    :raises Unsupported: pip warns of the RECORD, cannot read it, or not with every Python.
    """
    import csv

    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise Unsupported("The RECORD of {path} is not right: {error}", path=path, error=error) from error
    if "\0" in text or not all(1 <= len(row) <= 3 for row in rows):
        raise Unsupported("The RECORD of {path} is not right", path=path)
    found: dict[str, tuple[str, str]] = {}
    others: list[Row] = []
    for row in rows:
        name, digest, size = (*row, "", "")[:3]
        if name in files and name not in found:
            found[name] = digest, size
        else:
            others.append((name, digest, size))
    return found, tuple(others)


def _wheel_entries(
    archive: zipfile.ZipFile, path: str, places: dict[str, tuple[str, str]], rows: dict[str, tuple[str, str]]
) -> Iterator[Entry]:
    for member, (scheme, name) in places.items():
        info = archive.getinfo(member)
        mode = info.external_attr >> 16
        try:
            data = _read_member(archive, info)
        except UNREADABLE as error:
            if _is_of_the_disk(error):
                raise
            text = "{path} is damaged in {member!r}: {error}"
            raise Unsupported(text, path=path, member=member, error=error) from error
        executable = stat.S_ISREG(mode) and bool(mode & 0o111)
        script = scheme == "scripts" and data.startswith(b"#!python")
        # Changed scripts get a digest if they have a row, and a REQUESTED that is emptied keeps its mode.
        if (script and member not in rows) or (executable and name.endswith(".dist-info/REQUESTED")):
            raise Unsupported("{path} has {member}, which pip treats in its own way", path=path, member=member)
        digest, size = rows.get(member, ("", ""))
        yield Entry(scheme, name, executable, script, digest, data, _odd_size(data, digest, size))


def _is_of_the_disk(error: BaseException) -> bool:
    """Whether an error is no word about an archive: what :mod:`bz2` and others raise has no number."""
    return isinstance(error, OSError) and error.errno is not None


def _odd_size(data: bytes, digest: str, size: str) -> str | None:
    """Give the size in RECORD if it is not what goes without saying."""
    return None if size == (str(len(data)) if digest else "") else size


def is_wrapper(name: str, launchers: Container[str]) -> bool:
    """Whether a script is what setuptools once wrote for an entry point: it is made anew instead."""
    base = name.rsplit("/", 1)[-1]
    lowered = base.lower()
    for ending in (".exe", "-script.py", ".pya"):
        if lowered.endswith(ending):
            base = base[: -len(ending)]
            break
    return base in launchers


def write_bdist(
    contents: Contents,
    stream: BinaryIO,
    *,
    key: dict[str, Any],
    key_digest: str,
    revision: int,
    version: str,
    describe_links: Callable[[Iterable[Entry]], dict[str, Any]] | None = None,
) -> None:
    """Write a binary distribution archive.

    :param key: what the result depends on, in the clear.
    :param version: of the Python it is for, ``3.12``; names directories only.
    :param describe_links: gives what files are linked with.
    :raises Unsupported: it would be one that nobody takes.
    """
    entries = list(contents.entries)
    fault = find_fault(
        contents.name,
        contents.lib,
        contents.dist_info,
        [(entry.scheme, entry.path) for entry in entries],
        contents.launchers,
    )
    if fault is not None:
        raise Unsupported("{name} {version} has {fault}", name=contents.name, version=contents.version, fault=fault)
    start = stream.tell()
    files: list[list[object]] = []
    recorded: list[list[object]] = []
    for entry in entries:
        member, digest = _member_name(entry, contents.name, version), record_digest(entry.data)
        if entry.digest != digest or entry.size is not None:
            size = str(len(entry.data)) if entry.digest else ""
            recorded.append([len(files), entry.digest, size if entry.size is None else entry.size])
        files.append([member, entry.scheme, entry.path, entry.executable, entry.script, digest, len(entry.data)])
    manifest = {
        "format": revision,
        "key": key,
        "key-digest": key_digest,
        "signature": None,  # room for one, by whoever built it
        "libraries": describe_links(entries) if describe_links is not None else {},
        "name": contents.name,
        "version": contents.version,
        "lib": contents.lib,
        "dist-info": contents.dist_info,
        "launchers": [list(each) for each in contents.launchers],
        "files": files,
        "recorded": recorded,
        "rows": contents.rows,
    }
    text = json.dumps(manifest, indent=1).encode()
    # Neither names nor times: equal builds on two machines give equal archives.
    with (
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add_member(archive, MANIFEST_NAME, text, False)
        for entry in entries:
            _add_member(archive, _member_name(entry, contents.name, version), entry.data, entry.executable)
    count, amount = len(entries) + len(contents.rows) + 1, sum(len(entry.data) for entry in entries) + len(text)
    if len(text) > _LONGEST_MANIFEST or is_too_much(stream.tell() - start, count, amount):
        raise Unsupported("{name} {version} packs too well", name=contents.name, version=contents.version)


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
        with open_tarball(path, "gz") as (archive, members):
            first = next(members, None)
            if first is None or first.name != MANIFEST_NAME or not first.isreg() or first.size > _LONGEST_MANIFEST:
                return None
            stream = archive.extractfile(first)
            manifest = json.load(stream) if stream is not None else None
    except (*UNREADABLE, Implausible):
        return None
    return manifest if isinstance(manifest, dict) else None


def read_bdist(path: str) -> tuple[Contents, Callable[[], None]]:
    """Open a binary distribution archive: its contents, and what closes it.

    :raises UnsafeArchive: it is damaged, or nothing that a build would have left.
    """
    manifest = read_manifest(path)
    if manifest is None:
        raise UnsafeArchive("{path} has no manifest that can be read.", path=path)
    try:
        texts = [manifest["name"], manifest["version"], manifest["lib"], manifest["dist-info"]]
        launchers = tuple(Launcher(*each) for each in manifest["launchers"])
        files, recorded, rows = manifest["files"], manifest["recorded"], manifest["rows"]
        sound = (
            all(isinstance(text, str) for text in texts)
            and all(_is_name(text) for text in (texts[0], texts[3]))
            and texts[2] in ("purelib", "platlib")
            and texts[3].endswith(".dist-info")
            and _is_info_of(texts[3], texts[0], texts[1])
            and _is_key_of(manifest["key"], texts[0], texts[1])
            and isinstance(files, list)
            and all(_is_launcher(each) for each in launchers)
            and all([type(value) for value in row] == _FILE for row in files)
            and all([type(value) for value in row] == _RECORDED and 0 <= row[0] < len(files) for row in recorded)
            and all([type(value) for value in row] == _OTHER for row in rows)
            and len({(row[1], row[2]) for row in files}) == len(files)
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise UnsafeArchive("{path} has a manifest that makes no sense.", path=path)
    for row in files:
        _check_place(row, texts[2], texts[3], path)
    check_amount(path, len(files) + len(rows), sum(row[6] for row in files))
    fault = find_fault(texts[0], texts[2], texts[3], [(row[1], row[2]) for row in files], launchers)
    if fault is not None:
        raise UnsafeArchive("{path} has {fault}.", path=path, fault=fault)
    says = {index: (digest, size) for index, digest, size in recorded}
    others = tuple((name, digest, size) for name, digest, size in rows)
    contents = Contents(texts[0], texts[1], texts[2], texts[3], launchers, (), others)
    stack = ExitStack()
    archive, members = stack.enter_context(open_tarball(path, "gz"))
    entries = _bdist_entries(archive, members, path, files, says, contents)
    return contents._replace(entries=entries), stack.close


def _is_key_of(key: Any, name: str, version: str) -> bool:
    """Whether a key may be that of a distribution; parts that it does not have are as they have to be."""
    if not isinstance(key, dict):
        return False
    own_name, own_version = key.get("name", canonical_name(name)), key.get("version", version)
    return canonical_name(name) == own_name and isinstance(own_version, str) and _are_equal(version, own_version)


def _is_launcher(launcher: Launcher) -> bool:
    name, module, function, gui = launcher
    texts = all(isinstance(text, str) for text in launcher[:3])
    return texts and type(gui) is bool and _make_launcher(name, f"{module}:{function}", gui) == launcher


def _check_place(row: list[Any], lib: str, dist_info: str, path: str) -> None:
    """See that a row of a manifest names a place that a file of a distribution can have.

    :raises UnsafeArchive: it does not.
    """
    _, scheme, relative, _, script, _, _ = row
    record = scheme == lib and (relative + "/").startswith(f"{dist_info}/RECORD/")
    plain = check_member_name(relative, path) == relative
    if scheme not in SCHEMES or not plain or record or (script and scheme != "scripts"):
        raise UnsafeArchive("{path} has no place for the file {name!r}.", path=path, name=relative)


def is_whole(path: str) -> bool:
    """Whether everything in a binary distribution archive is what its manifest says, and may be installed."""
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


def _bdist_entries(
    archive: tarfile.TarFile,
    members: Iterator[tarfile.TarInfo],
    path: str,
    files: Sequence[list[Any]],
    recorded: dict[int, tuple[str, str]],
    contents: Contents,
) -> Iterator[Entry]:
    metadata = (contents.lib, f"{contents.dist_info}/METADATA")
    try:
        next(members, None)  # the manifest
        for index, (name, scheme, relative, executable, script, digest, size) in enumerate(files):
            member = next(members, None)
            sound = member is not None and member.isreg() and member.name == name and member.size == size
            stream = archive.extractfile(member) if sound and member is not None else None
            data = stream.read() if stream is not None else b""
            if stream is None or len(data) != size or record_digest(data) != digest:
                raise UnsafeArchive("{path} is damaged: {name} is not what its manifest says.", path=path, name=name)
            if (scheme, relative) == metadata and not _is_metadata_of(data, contents.name, contents.version):
                raise UnsafeArchive("{path} has the metadata of something else.", path=path)
            said, told = recorded.get(index, (digest, str(size)))
            yield Entry(scheme, relative, executable, script, said, data, _odd_size(data, said, told))
        # To its end, where gzip has the checksum over all of it, the manifest included.
        while archive.fileobj is not None and archive.fileobj.read(1 << 16):
            pass
    except UNREADABLE as error:
        raise UnsafeArchive("{path} is damaged: {error}", path=path, error=error) from error


def _is_metadata_of(data: bytes, name: str, version: str) -> bool:
    """Whether core metadata are those of a distribution, as far as they say so."""
    headers = read_headers(data)
    own_name, own_version = headers.get("name", name), headers.get("version", version)
    return canonical_name(own_name) == canonical_name(name) and _are_equal(own_version, version)
