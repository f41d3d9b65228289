"""Archives that somebody made to do harm, each with a short name, and what becomes of them: with us, and with pip."""

from __future__ import annotations

import base64
import bz2
import functools
import gzip
import hashlib
import json
import lzma
import os
import signal
import struct
import sys
import tarfile
import tempfile
import traceback
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.lib.archives import make_sdist

__all__ = [
    "ABSENT",
    "BUILT",
    "BYTE_CODE",
    "DAMAGED",
    "LEFT",
    "PLAIN",
    "PLANS",
    "SDISTS",
    "UNSAFE",
    "WHEELS",
    "WINDOWS_NAMES",
    "Case",
    "Outcome",
    "run_bounded",
]

# What becomes of an archive with us.
UNSAFE = "unsafe"  #: ``UnsafeArchive``: the run fails, as pip's does
DAMAGED = "damaged"  #: ``DamagedSourceDistribution``: likewise
LEFT = "left to pip"  #: ``Unsupported``: pip does the run
ABSENT = "absent"  #: what a cache gave is not taken
PLAIN = "plain"  #: what is odd about it has no effect: plain files with the usual modes, in their place, as with pip

MEGABYTE = 1 << 20
MODULES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


class Case(NamedTuple):
    """One hostile archive.

    What pip does was tried with Python 3.12.1. With that, as with all releases of Python before those of June 2025, it
    writes files outside of its directories for the sdists ``link-too-long-to-resolve-…`` before it refuses them.
    """

    id: str
    filename: str
    make: Callable[..., bytes]
    ours: str  #: one of the words above
    pip: str  #: what pip 25.3 and 26.3 do: ``refuses`` or ``installs``; empty where it has no part in it
    says: str  #: part of the error: what it names beside the archive


# Made by hand


class Member(NamedTuple):
    """A file of a zip archive, and the lies about it."""

    name: str | bytes
    data: bytes = b"x\n"
    mode: int = 0o100644
    method: int = 0
    packed: bytes | None = None  #: as it lies in the archive; ``None``: by the method
    size: int | None = None  #: as the archive has it
    crc: int | None = None
    inside: bytes | None = None  #: the name beside the data, if that is another one
    flags: int = 0
    needs: int = 20  #: version of the format, times ten
    listed: bool = True  #: whether the central directory has it
    again: bool = False  #: whether it has the data of the one before


def zip_of(members: Iterable[Member], *, before: bytes = b"", after: bytes = b"", comment: bytes = b"") -> bytes:
    """Write a zip archive that is as right or as wrong as its members say."""
    body, listing, count, offset = bytearray(before), bytearray(), 0, 0
    for member in members:
        name = member.name.encode("utf-8") if isinstance(member.name, str) else member.name
        flags = member.flags | (0 if name.isascii() or isinstance(member.name, bytes) else 0x800)
        packed = _pack(member.data, member.method) if member.packed is None else member.packed
        size = len(member.data) if member.size is None else member.size
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        facts = struct.pack("<HHHHHLLL", member.needs, flags, member.method, 0, 0x5042, crc, len(packed), size)
        if not member.again:
            offset = len(body)
            inside = name if member.inside is None else member.inside
            body += b"PK\3\4" + facts + struct.pack("<HH", len(inside), 0) + inside + packed
        if member.listed:
            count += 1
            listing += b"PK\1\2" + struct.pack("<H", 0x0314) + facts
            listing += struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, member.mode << 16, offset - len(before)) + name
    start, few = len(body) - len(before), count & 0xFFFF
    end = struct.pack("<HHHHLLH", 0, 0, few, few, len(listing), start, len(comment))
    if count > 0xFFFF:
        record = struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, count, count, len(listing), start)
        listing += b"PK\6\6" + record + b"PK\6\7" + struct.pack("<LQL", 0, start + len(listing), 1)
    return bytes(body + listing + b"PK\5\6" + end + comment + after)


def _pack(data: bytes, method: int) -> bytes:
    if method == 8:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(data) + packer.flush()
    return bz2.compress(data) if method == 12 else data


@functools.cache
def _deflated_zeros(megabytes: int) -> tuple[bytes, int]:
    """Give zeros as zip holds them, and their checksum; a thousand times quicker than to compress them."""
    block, checksum = bytes(MEGABYTE), 0
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(megabytes):
        checksum = zlib.crc32(block, checksum)
    return packed * megabytes + b"\3\0", checksum


def zeros(name: str, megabytes: int, **lies: Any) -> Member:
    """Give a member of zeros, a thousandth as long in the archive."""
    packed, crc = _deflated_zeros(megabytes)
    return Member(name, method=8, packed=packed, crc=crc, **{"size": megabytes * MEGABYTE, **lies})


def _gzipped_zeros(head: bytes, megabytes: int, tail: bytes = b"") -> bytes:
    """Give a gzip file with zeros between its beginning and its end: three streams of one file."""
    packed, crc = _deflated_zeros(megabytes)
    middle = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + struct.pack("<LL", crc, megabytes * MEGABYTE & 0xFFFFFFFF)
    return gzip.compress(head, mtime=0) + middle + gzip.compress(tail, mtime=0)


def tar_entry(
    name: str,
    data: bytes = b"x\n",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
    size: int | None = None,
    before: bytes = b"",
) -> bytes:
    """Give a member of a tarball.

    :param size: as the header has it.
    :param before: headers in front, see :func:`pax`.
    """
    data = data if kind in (tarfile.REGTYPE, b"8") else b""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    member.size = len(data) if size is None else size
    return before + member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(records: Mapping[str, str | bytes], kind: bytes = tarfile.XHDTYPE, *, size: int | None = None) -> bytes:
    """Give a header of more facts about the next member, or about all that follow (``XGLTYPE``)."""
    body = b""
    for key, value in records.items():
        line = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
        length = len(line) + len(str(len(line)))
        length += len(str(length)) - len(str(len(line)))
        body += str(length).encode() + line
    return _special_header(kind, body, size)


def _special_header(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, len(body) if size is None else size
    return header.tobuf(tarfile.GNU_FORMAT) + _padded(body)


def tar_of(entries: Iterable[bytes], suffix: str = ".tar.gz") -> bytes:
    """Put members together, compressed as the suffix says."""
    return _compress(b"".join(entries) + bytes(1024), suffix)


def _compress(data: bytes, suffix: str) -> bytes:
    if suffix.endswith(".bz2"):
        return bz2.compress(data)
    if suffix.endswith(".xz"):
        return lzma.compress(data, preset=1)
    return gzip.compress(data, 6, mtime=0) if suffix.endswith("gz") else data


def spell(data: bytes) -> str:
    """Give a digest as RECORD and manifests have it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


# Wheels

WHEELS: list[Case] = []
_INFO = "alpha-1.0.dist-info"
_METADATA = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
_WHEEL = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel_of(
    *members: Member,
    info: str = _INFO,
    instead: Mapping[str, bytes | None] = {},
    rows: Callable[[str], str | bytes] = lambda text: text,
    **more: Any,
) -> bytes:
    """Write a wheel of one text file, and more.

    :param instead: contents of files in ``.dist-info``; ``None``: it is missing.
    :param rows: changes the text of RECORD.
    """
    inside = {"METADATA": _METADATA, "WHEEL": _WHEEL, **instead}
    files = [Member("alpha.txt"), *members]
    files += [Member(f"{info}/{name}", data) for name, data in inside.items() if data is not None and name != "RECORD"]
    text = "".join(f"{_row_name(each.name)},{spell(each.data)},{len(each.data)}\n" for each in files)
    record = rows(f"{text}{info}/RECORD,,\n")
    record = record.encode("utf-8", "replace") if isinstance(record, str) else record
    if instead.get("RECORD", b"") is not None:
        files.append(Member(f"{info}/RECORD", record))
    return zip_of(files, **more)


def _row_name(name: str | bytes) -> str:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return '"' + text.replace('"', '""') + '"' if any(each in text for each in ',"\n\r') else text


def _wheel(name: str, ours: str, pip: str, says: str, make: Callable[[], bytes]) -> None:
    WHEELS.append(Case(name, "alpha-1.0-py3-none-any.whl", make, ours, pip, says))


def _wheel_with(name: str, ours: str, pip: str, says: str, *members: Member, **more: Any) -> None:
    _wheel(name, ours, pip, says, lambda: wheel_of(*members, **more))


for _id, _name, _ours, _pip in (
    # Out of the tree, as a whole or part by part
    ("absolute", "/evil", UNSAFE, "refuses"),
    ("absolute-two-slashes", "//evil", UNSAFE, "refuses"),
    ("parent", "../evil", UNSAFE, "refuses"),
    ("parent-of-parent", "../../../../../../evil", UNSAFE, "refuses"),
    ("parent-in-the-middle", "alpha/../../evil", UNSAFE, "refuses"),
    ("parent-after-a-dot", "./../evil", UNSAFE, "refuses"),
    ("parent-after-two-slashes", "alpha//../..//../evil", UNSAFE, "refuses"),
    ("parent-alone", "..", UNSAFE, "refuses"),
    ("parent-at-the-end", "alpha/../..", UNSAFE, "refuses"),
    ("root-itself", "alpha/..", UNSAFE, "refuses"),
    ("parent-that-stays", "alpha/../beta.txt", LEFT, "installs"),
    ("dot", "./beta.txt", LEFT, "installs"),
    ("two-slashes", "beta//beta.txt", LEFT, "installs"),
    ("empty-name", "", UNSAFE, "refuses"),
    ("only-a-dot", ".", LEFT, "refuses"),
    # For other systems, and for those who look
    ("backslashes", "..\\..\\evil.txt", LEFT, "installs"),
    ("backslashes-in-the-middle", "beta\\..\\..\\evil.txt", LEFT, "installs"),
    ("backslash-first", "\\evil.txt", LEFT, "installs"),
    ("drive", "C:\\evil.txt", LEFT, "installs"),
    ("drive-and-slash", "C:/evil.txt", LEFT, "installs"),
    ("share", "\\\\server\\share\\evil.txt", LEFT, "installs"),
    ("trailing-dots", "beta.../...", PLAIN, "installs"),
    ("zero-byte", "beta.txt\0.png", LEFT, "installs"),
    ("zero-byte-first", "\0evil", LEFT, "refuses"),
    ("line-feed", "be\nta.txt", PLAIN, "installs"),
    ("carriage-return", "be\rta.txt", LEFT, "installs"),
    ("line-separator", "be\u2028ta.txt", LEFT, "installs"),
    ("escape", "be\x1b[2Jta.txt", LEFT, "installs"),
    ("delete", "be\x7fta.txt", LEFT, "installs"),
    ("next-line", "be\x85ta.txt", LEFT, "installs"),
    ("right-to-left", "be\u202etxt.exe", LEFT, "installs"),
    ("isolate", "be\u2066ta.txt", LEFT, "installs"),
    ("long-name", "b" * 5000, LEFT, "refuses"),
    ("long-name-in-utf-8", "ü" * 200, LEFT, "refuses"),
    ("long-path", "b/" * 2500 + "b", LEFT, "refuses"),
    ("deep-path", "b/" * 700 + "b", LEFT, "installs"),
    ("latin-1", b"gr\xfc\xdfe.txt", PLAIN, "installs"),
    # Schemes
    ("scheme-parent", "alpha-1.0.data/scripts/../../../evil", UNSAFE, "refuses"),
    ("scheme-parent-first", "alpha-1.0.data/../../evil", UNSAFE, "refuses"),
    ("scheme-parent-many", "alpha-1.0.data/data/../../../../../evil", UNSAFE, "refuses"),
    ("scheme-parent-that-stays", "alpha-1.0.data/scripts/../purelib/beta.txt", LEFT, "installs"),
    ("scheme-parent-to-another-scheme", "alpha-1.0.data/../../scripts/evil", LEFT, "installs"),
    ("scheme-is-parent", "alpha-1.0.data/../evil", UNSAFE, "refuses"),
    ("scheme-unknown", "alpha-1.0.data/etc/evil", LEFT, "refuses"),
    ("scheme-empty", "alpha-1.0.data//evil", LEFT, "refuses"),
    ("scheme-of-another", "beta-2.0.data/etc/evil", LEFT, "refuses"),
    ("scheme-in-capitals", "alpha-1.0.data/Scripts/evil", LEFT, "refuses"),
    ("scheme-without-a-file", "alpha-1.0.data/evil", LEFT, "refuses"),
    ("scheme-absolute", "alpha-1.0.data/data//etc/evil", LEFT, "installs"),
    ("scheme-stdlib", "alpha-1.0.data/stdlib/os.py", LEFT, "refuses"),
    # Over what belongs to others, or is written by an installation
    ("record-by-data", f"alpha-1.0.data/data/{MODULES}/{_INFO}/RECORD", LEFT, "installs"),
    ("installer-of-another-by-data", f"alpha-1.0.data/data/{MODULES}/beta-2.0.dist-info/INSTALLER", LEFT, "installs"),
    ("record-by-platlib", f"alpha-1.0.data/platlib/{_INFO}/RECORD", LEFT, "installs"),
    ("record-by-purelib", f"alpha-1.0.data/purelib/{_INFO}/RECORD", LEFT, "installs"),
    ("metadata-of-another-by-purelib", "alpha-1.0.data/purelib/beta-2.0.dist-info/METADATA", LEFT, "installs"),
    ("metadata-of-another-by-scripts", "alpha-1.0.data/scripts/../beta-2.0.dist-info/METADATA", UNSAFE, "refuses"),
    ("record-is-a-directory", f"{_INFO}/RECORD/evil", LEFT, "refuses"),
    ("installer-is-a-directory", f"{_INFO}/INSTALLER/evil", LEFT, "refuses"),
    ("path-file-by-data", f"alpha-1.0.data/data/{MODULES}/evil.pth", LEFT, "installs"),
    ("python-by-data", "alpha-1.0.data/data/bin/python3", LEFT, "installs"),
    ("python-as-script", "alpha-1.0.data/scripts/python", LEFT, "installs"),
    ("python-of-a-version-as-script", "alpha-1.0.data/scripts/python3.12", LEFT, "installs"),
    ("python-in-capitals-as-script", "alpha-1.0.data/scripts/Python3", LEFT, "installs"),
    ("pip-as-script", "alpha-1.0.data/scripts/pip3", LEFT, "installs"),
    ("activate-as-script", "alpha-1.0.data/scripts/activate", LEFT, "installs"),
    ("script-with-an-escape", "alpha-1.0.data/scripts/ev\x1bil", LEFT, "installs"),
    ("requested-of-its-own", f"{_INFO}/REQUESTED", PLAIN, "installs"),
    ("installer-of-its-own", f"{_INFO}/INSTALLER", PLAIN, "installs"),
    ("direct-url-of-its-own", f"{_INFO}/direct_url.json", PLAIN, "installs"),
):
    _wheel_with(f"name-{_id}", _ours, _pip, "" if _ours == PLAIN else "alpha", Member(_name))

_wheel_with(
    "name-egg-info-of-another-by-data", LEFT, "installs", "beta.egg-info",
    Member(f"alpha-1.0.data/data/{MODULES}/beta.egg-info/PKG-INFO", _METADATA.replace(b"alpha", b"beta")),
)  # fmt: skip

for _id, _mode in (
    ("symbolic-link", 0o120777), ("character-device", 0o020666), ("block-device", 0o060666), ("pipe", 0o010666),
    ("socket", 0o140777), ("directory", 0o040755), ("set-user-id", 0o104755), ("set-group-id", 0o102755),
    ("sticky", 0o101755), ("writable-by-all", 0o100777), ("unreadable", 0o100000), ("no-type", 0o000777),
):  # fmt: skip
    _wheel_with(f"mode-{_id}", PLAIN, "installs", "", Member("beta.txt", b"../../../../etc/passwd", _mode))
_wheel_with(
    "link-and-a-file-through-it", LEFT, "refuses", "beta",
    Member("beta", b"../../../..", 0o120777), Member("beta/evil"),
)  # fmt: skip
_wheel_with(
    "link-and-a-file-in-its-place", PLAIN, "installs", "",
    Member("beta", b"../../../../evil", 0o120777), Member("beta"),
)  # fmt: skip

# Bombs
_wheel_with("bomb-zeros", LEFT, "installs", "alpha-1.0", zeros("beta.bin", 300))
_wheel_with("bomb-many-zeros", LEFT, "installs", "alpha-1.0", *(zeros(f"b{n}.bin", 30) for n in range(10)))
_wheel_with("bomb-of-declared-size", LEFT, "installs", "alpha-1.0", Member("beta.bin", size=0xF0000000))
_wheel_with("bomb-that-says-it-is-small", LEFT, "refuses", "alpha-1.0", zeros("beta.bin", 300, size=100))
_wheel_with("bomb-that-says-it-is-empty", LEFT, "installs", "alpha-1.0", zeros("beta.bin", 300, size=0))
_wheel_with(
    "bomb-of-shared-data", LEFT, "installs", "alpha-1.0",
    *(zeros("beta.bin", 30)._replace(again=n > 0) for n in range(20)),
)  # fmt: skip
_wheel_with(
    "bomb-bzip2", LEFT, "refuses", "alpha-1.0",
    Member("beta.bin", bytes(4 * MEGABYTE), method=12, size=10),
)  # fmt: skip
_wheel_with(
    "bomb-lzma", LEFT, "refuses", "alpha-1.0",
    Member("beta.bin", method=14, packed=b"\x09\x04\x05\0\x5d\0\0\0\x40" + b"\0" * 5000, size=100),
)  # fmt: skip
_LZMA = b"\x09\x04\x05\0"  # what zip has in front of it
_wheel_with(
    "lzma-damaged", LEFT, "refuses", "alpha-1.0", Member("beta.bin", method=14, packed=_LZMA + b"\xff" * 50),
)  # fmt: skip
_wheel_with("bzip2-damaged", LEFT, "refuses", "alpha-1.0", Member("beta.bin", method=12, packed=b"BZh9" + b"\xff" * 50))
_wheel("bomb-many-files", LEFT, "installs", "alpha-1.0", lambda: _many_files(100_000))
_wheel("bomb-inside", PLAIN, "installs", "", lambda: wheel_of(Member("beta.zip", zip_of([zeros("beta.bin", 300)]))))
for _id in ("METADATA", "WHEEL", "entry_points.txt"):
    _wheel_with(
        f"bomb-{_id.lower()}", LEFT, "installs" if _id == "entry_points.txt" else "refuses", _id,
        zeros(f"{_INFO}/{_id}", 40), instead={} if _id == "entry_points.txt" else {_id: None},
    )  # fmt: skip
_wheel_with("bomb-record", LEFT, "refuses", "RECORD", zeros(f"{_INFO}/RECORD", 40), instead={"RECORD": None})


def _many_files(count: int) -> bytes:
    return wheel_of(*(Member(f"b/{n}", b"") for n in range(count)), rows=lambda text: f"{_INFO}/RECORD,,\n")


# One name for two files
_wheel_with("same-name-by-case", LEFT, "installs", "beta.txt", Member("Beta.txt"), Member("beta.txt", b"evil"))
_wheel_with(
    "same-name-by-case-of-directory", LEFT, "installs", "beta/b.txt", Member("Beta/b.txt"), Member("beta/b.txt"),
)  # fmt: skip
_wheel_with("same-name-by-folding", LEFT, "installs", "strasse", Member("straße.txt"), Member("strasse.txt"))
_wheel_with(
    "same-name-by-unicode-form", LEFT, "installs", "gr",
    Member(unicodedata.normalize("NFC", "größe.txt")), Member(unicodedata.normalize("NFD", "größe.txt")),
)  # fmt: skip
_wheel_with(
    "same-name-by-scheme", LEFT, "installs", "beta.txt", Member("beta.txt"), Member("alpha-1.0.data/purelib/beta.txt")
)
_wheel_with("same-name", PLAIN, "installs", "", Member("beta.txt"), Member("beta.txt", b"evil"))
_wheel_with("same-name-as-metadata", PLAIN, "installs", "", Member(f"{_INFO}/METADATA", _METADATA + b"\nevil"))
_wheel_with("file-is-a-directory", LEFT, "refuses", "beta", Member("beta"), Member("beta/b.txt"))
_wheel_with("directory-is-a-file", LEFT, "refuses", "beta", Member("beta/b.txt"), Member("beta"))
_wheel_with("file-is-a-directory-by-case", LEFT, "installs", "beta", Member("Beta"), Member("beta/b.txt"))
_wheel_with(
    "scripts-by-case", LEFT, "installs", "tool",
    Member("alpha-1.0.data/scripts/Tool"), instead={"entry_points.txt": b"[console_scripts]\ntool = a:b\n"},
)  # fmt: skip

# What it says of itself
_wheel_with("two-dist-info", LEFT, "refuses", "dist-info", Member("beta-2.0.dist-info/METADATA", _METADATA))
_wheel_with("two-dist-info-by-case", LEFT, "refuses", "dist-info", Member("Alpha-1.0.dist-info/METADATA", _METADATA))
_wheel("dist-info-of-another", LEFT, "refuses", "dist-info", lambda: wheel_of(info="beta-1.0.dist-info"))
_wheel("dist-info-of-a-longer-name", LEFT, "installs", "alphabet", lambda: wheel_of(info="alphabet-1.0.dist-info"))
_wheel("dist-info-of-another-version", LEFT, "installs", "9.0", lambda: wheel_of(info="alpha-9.0.dist-info"))
_wheel("dist-info-without-version", LEFT, "installs", "alpha.dist-info", lambda: wheel_of(info="alpha.dist-info"))
_wheel("no-dist-info", LEFT, "refuses", "dist-info", lambda: zip_of([Member("alpha.txt")]))
for _id, _text in (
    ("name-of-another", b"Metadata-Version: 2.1\nName: beta\nVersion: 1.0\n"),
    ("name-on-two-lines", b"Metadata-Version: 2.1\nName: alpha\n evil\nVersion: 1.0\n"),
    ("name-is-a-path", b"Metadata-Version: 2.1\nName: ../alpha\nVersion: 1.0\n"),
    ("version-is-a-path", b"Metadata-Version: 2.1\nName: alpha\nVersion: ../1.0\n"),
    ("no-name", b"Metadata-Version: 2.1\nVersion: 1.0\n"),
):
    _wheel_with(f"metadata-{_id}", LEFT, "refuses", "alpha-1.0", instead={"METADATA": _text})
_wheel_with(
    "metadata-version-of-another", LEFT, "installs", "alpha-1.0",
    instead={"METADATA": _METADATA.replace(b"1.0", b"2.0")},
)  # fmt: skip
_wheel_with("metadata-missing", LEFT, "refuses", "alpha-1.0", instead={"METADATA": None})
_wheel_with("wheel-missing", LEFT, "refuses", "alpha-1.0", instead={"WHEEL": None})
_wheel_with("wheel-of-the-future", LEFT, "refuses", "version", instead={"WHEEL": b"Wheel-Version: 9.0\n"})

for _id, _ours, _pip, _says, _rows in (
    ("wrong-digest", PLAIN, "installs", "", lambda text: text.replace("sha256=", "sha256=evil", 1)),
    ("wrong-size", PLAIN, "installs", "", lambda text: text.replace(",2\n", ",99999999999\n", 1)),
    ("row-missing", PLAIN, "installs", "", lambda text: text.partition("\n")[2]),
    ("empty", PLAIN, "installs", "", lambda text: ""),
    ("rows-outside", PLAIN, "installs", "", lambda text: text + "../../../../../../../etc/passwd,,\n/etc/passwd,,\n"),
    ("rows-of-no-file", PLAIN, "installs", "", lambda text: text + "beta.txt,sha256=x,1\n"),
    ("of-another", PLAIN, "installs", "", lambda text: "beta.txt,,\nbeta-2.0.dist-info/RECORD,,\n"),
    ("digest-of-itself", LEFT, "installs", "RECORD", lambda text: text.replace("RECORD,,", "RECORD,sha256=x,1")),
    ("zero-byte", LEFT, "installs", "RECORD", lambda text: text + "be\0ta,,\n"),
    ("no-text", LEFT, "refuses", "alpha-1.0", lambda text: b"\xff\xfe"),
    ("four-columns", LEFT, "installs", "RECORD", lambda text: text + "a,b,c,d\n"),
    ("empty-line", LEFT, "refuses", "RECORD", lambda text: text + "\n"),
    ("long-field", LEFT, "refuses", "RECORD", lambda text: text + "b" * 140_000 + ",,\n"),
):
    _wheel_with(f"record-{_id}", _ours, _pip, _says, rows=_rows)
_wheel_with("record-missing", LEFT, "refuses", "alpha-1.0", instead={"RECORD": None})

def _entry_point(name: str, ours: str, pip: str, says: str, line: str) -> None:
    text = f"[console_scripts]\n{line}\n".encode()
    _wheel_with(f"entry-point-{name}", ours, pip, says, instead={"entry_points.txt": text})


_entry_point("parent", UNSAFE, "refuses", "../evil", "../evil = a:b")
_entry_point("parent-alone", UNSAFE, "refuses", "'..'", ".. = a:b")
# pip 25.3 writes such a script wherever that is possible.
_entry_point("absolute", UNSAFE, "refuses", "/dev/null/evil", "/dev/null/evil = a:b")
for _id, _line, _pip in (
    ("separator", "sub/evil = a:b", "installs"),
    ("backslash", "..\\evil = a:b", "installs"),
    ("blank", "ev il = a:b", "installs"),
    ("escape", "ev\x1bil = a:b", "installs"),
    ("tab", "ev\til = a:b", "installs"),
    ("no-break-space", "ev\xa0il = a:b", "installs"),
    ("option", "-rf = a:b", "installs"),
    ("shell", "$(touch${IFS}evil) = a:b", "installs"),
    ("backticks", "`touch${IFS}evil` = a:b", "installs"),
    ("semicolon", "ev;il = a:b", "installs"),
    ("pipe", "ev|il = a:b", "installs"),
    ("ampersand", "ev&il = a:b", "installs"),
    ("quote", "ev'il = a:b", "installs"),
    ("star", "ev*il = a:b", "installs"),
    ("hidden", ".evil = a:b", "installs"),
    ("long", "e" * 300 + " = a:b", "refuses"),
    ("python", "python = a:b", "installs"),
    ("python-of-a-version", "python3.12 = a:b", "installs"),
    ("python-in-capitals", "PYTHON3 = a:b", "installs"),
    ("pypy", "pypy3 = a:b", "installs"),
    ("pip", "pip = a:b", "installs"),
    ("pip-of-a-version", "pip3.12 = a:b", "installs"),
    ("activate", "activate = a:b", "installs"),
    ("call", "evil = a:b()", "installs"),
    ("statement", "evil = a:b;import os", "installs"),
    ("module-with-a-dash", "evil = a-b:c", "refuses"),
    ("no-function", "evil = a", "refuses"),
    ("twice", "evil = a:b\nevil = c:d", "installs"),
    ("section-without-end", "[gui_scripts\nevil = a:b", "refuses"),
):
    _entry_point(_id, LEFT, _pip, "evil" if _line.startswith("evil") else "", _line)
_wheel_with("entry-point-no-text", LEFT, "refuses", "alpha-1.0", instead={"entry_points.txt": b"\xff\xfe"})
_wheel_with(
    "entry-points-by-case", LEFT, "installs", "tool",
    instead={"entry_points.txt": b"[console_scripts]\nTool = a:b\ntool = a:c\n"},
)  # fmt: skip

for _id, _text in (
    ("options", b"#!python -c 'import evil'\nx\n"), ("no-end", b"#!python" + b" " * 5000),
    ("another-name", b"#!python/../evil\n"), ("carriage-return", b"#!python\rimport evil\r"),
    ("zero-byte", b"#!python\0evil\n"), ("shell", b"#!/bin/sh\n'''exec' evil\n"),
    ("another-program", b"#!../../../evil\n"), ("blank", b"#! python\n"),
):  # fmt: skip
    _wheel_with(f"hashbang-{_id}", PLAIN, "installs", "", Member("alpha-1.0.data/scripts/tool", _text, 0o100755))

# The zip archive itself
_wheel("zip-empty", LEFT, "refuses", "alpha-1.0", lambda: b"")
_wheel("zip-no-members", LEFT, "refuses", "alpha-1.0", lambda: zip_of([]))
_wheel("zip-truncated", LEFT, "refuses", "alpha-1.0", lambda: wheel_of()[:-40])
_wheel("zip-cut-in-the-middle", LEFT, "refuses", "alpha-1.0", lambda: wheel_of()[:200])
_wheel("zip-something-behind", LEFT, "installs", "alpha-1.0", lambda: wheel_of(after=b"evil" * 50))
_wheel("zip-something-in-front", LEFT, "installs", "alpha-1.0", lambda: wheel_of(before=b"#!/bin/sh\nevil\n"))
_wheel("zip-behind-another", LEFT, "installs", "alpha-1.0", lambda: wheel_of(before=wheel_of(Member("beta.txt"))))
_wheel("zip-in-a-comment", LEFT, "installs", "alpha-1.0", lambda: wheel_of(comment=wheel_of(Member("beta.txt"))))
_wheel("zip-as-a-tarball-too", LEFT, "installs", "alpha-1.0", lambda: wheel_of(before=tar_of([tar_entry("a/b")])))
_wheel_with("zip-names-disagree", LEFT, "refuses", "alpha-1.0", Member("beta.txt", inside=b"../../evil"))
_wheel_with("zip-name-not-listed", PLAIN, "installs", "", Member("../../evil", listed=False))
_wheel_with("zip-wrong-checksum", LEFT, "refuses", "beta.txt", Member("beta.txt", crc=1))
_wheel_with("zip-encrypted", LEFT, "refuses", "beta.txt", Member("beta.txt", b"x" * 40, flags=1))
_wheel_with("zip-strongly-encrypted", LEFT, "refuses", "beta.txt", Member("beta.txt", flags=0x41))
_wheel_with("zip-patched-data", LEFT, "refuses", "beta.txt", Member("beta.txt", flags=0x20))
_wheel_with("zip-unknown-method", LEFT, "refuses", "beta.txt", Member("beta.txt", method=99))
_wheel_with("zip-of-the-future", LEFT, "refuses", "alpha-1.0", Member("beta.txt", needs=99))
_wheel_with("zip-name-not-utf-8", LEFT, "refuses", "alpha-1.0", Member(b"be\xff\xfeta.txt", flags=0x800))
_wheel_with("zip-damaged-data", LEFT, "refuses", "beta.txt", Member("beta.txt", method=8, packed=b"\xff" * 30))
_wheel("zip-offset-behind-the-end", LEFT, "refuses", "alpha-1.0", lambda: _moved(wheel_of(), 0x7FFFFFF0))
_wheel("zip-offset-of-another", LEFT, "refuses", "alpha-1.0", lambda: _moved(wheel_of(), 7))


def _moved(data: bytes, offset: int) -> bytes:
    """Give a zip archive whose first member is said to lie elsewhere."""
    at = data.index(b"PK\1\2") + 42
    return data[:at] + struct.pack("<L", offset) + data[at + 4 :]


#: Names of members that mean something else on Windows, and are refused there.
WINDOWS_NAMES = (
    "..\\evil", "a\\b", "C:/evil", "C:evil", "a/b:stream", "CON", "con.py", "a/aux.txt", "NUL", "PRN.tar.gz", "com1",
    "LPT9.x", "COM\u00b9", "CONIN$", "conout$.txt", "a./b", "a /b", "a/b.", "a/b ", "a/...", 'a"b', "a<b", "a|b", "a?b",
    "a*b", "a\x01b",
)  # fmt: skip

# Sdists

SDISTS: list[Case] = []
_TARBALLS = (".tar.gz", ".tar.bz2", ".tar.xz")


@functools.cache
def _source() -> tuple[tuple[str, bytes], ...]:
    """The files of an sdist that needs nothing to be built."""
    with tempfile.TemporaryDirectory() as directory:
        path = make_sdist(directory, "alpha", "1.0", files={"alpha.txt": "x\n"})
        with tarfile.open(path) as archive:
            return tuple((member.name, archive.extractfile(member.name).read()) for member in archive)


def sdist_of(*entries: bytes, suffix: str = ".tar.gz") -> bytes:
    """Write an sdist with more members behind its own."""
    return tar_of([*(tar_entry(name, data) for name, data in _source()), *entries], suffix)


def zipped_sdist_of(*members: Member, **more: Any) -> bytes:
    """Write an sdist as a zip archive."""
    return zip_of([*(Member(name, data) for name, data in _source()), *members], **more)


def _sdist(name: str, ours: str, pip: str, says: str, make: Callable[[], bytes], suffix: str = ".tar.gz") -> None:
    SDISTS.append(Case(name, f"alpha-1.0{suffix}", make, ours, pip, says))


def _sdist_with(name: str, ours: str, pip: str, says: str, *entries: bytes, suffix: str = ".tar.gz") -> None:
    _sdist(name, ours, pip, says, lambda: sdist_of(*entries, suffix=suffix), suffix)


def _zipped_sdist(name: str, ours: str, pip: str, says: str, *members: Member, **more: Any) -> None:
    _sdist(name, ours, pip, says, lambda: zipped_sdist_of(*members, **more), ".zip")


for _id, _name, _tar_pip, _zip_pip in (
    ("absolute", "/evil", "refuses", "refuses"),
    ("absolute-two-slashes", "//evil", "refuses", "refuses"),
    ("absolute-below-its-own", "/alpha-1.0/evil", "installs", "installs"),
    ("parent", "../evil", "refuses", "refuses"),
    ("parent-in-the-middle", "alpha-1.0/../../evil", "refuses", "refuses"),
    ("parent-at-the-end", "alpha-1.0/beta/../../../evil", "refuses", "refuses"),
    ("parent-after-a-dot", "./../../evil", "refuses", "refuses"),
    ("parent-after-slashes", "alpha-1.0//..//..//evil", "refuses", "refuses"),
):
    for _suffix in _TARBALLS:
        _sdist_with(f"name-{_id}{_suffix}", UNSAFE, _tar_pip, "evil", tar_entry(_name), suffix=_suffix)
    _zipped_sdist(f"name-{_id}.zip", UNSAFE, _zip_pip, "evil", Member(_name))

for _id, _name, _ours, _pip in (
    ("backslashes", "alpha-1.0/..\\..\\evil", PLAIN, "installs"),
    ("line-feed", "alpha-1.0/ev\nil", PLAIN, "installs"),
    ("escape", "alpha-1.0/ev\x1b[2Jil", PLAIN, "installs"),
    ("not-utf-8", "alpha-1.0/ev\udcffil", PLAIN, "installs"),
    ("long", "alpha-1.0/" + "e" * 5000, DAMAGED, "refuses"),
    ("long-path", "alpha-1.0/" + "e/" * 4000 + "e", DAMAGED, "refuses"),
    ("trailing-dots", "alpha-1.0/.../evil", PLAIN, "installs"),
):
    _sdist_with(f"name-{_id}.tar.gz", _ours, _pip, "" if _ours == PLAIN else "alpha-1.0", tar_entry(_name))
_zipped_sdist("name-zero-byte.zip", PLAIN, "installs", "", Member("alpha-1.0/be\0ta"))
_zipped_sdist("name-empty.zip", DAMAGED, "refuses", "alpha-1.0", Member(""))
_zipped_sdist("name-long.zip", DAMAGED, "refuses", "alpha-1.0", Member("alpha-1.0/" + "e" * 5000))
_zipped_sdist("name-not-utf-8.zip", DAMAGED, "refuses", "alpha-1.0", Member(b"alpha-1.0/\xff", flags=0x800))


def _link(name: str, target: str, **more: Any) -> bytes:
    return tar_entry(name, kind=tarfile.SYMTYPE, link=target, **more)


def _hard(name: str, target: str) -> bytes:
    return tar_entry(name, kind=tarfile.LNKTYPE, link=target)


_sdist_with("link-absolute", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "/etc/passwd"))
_sdist_with("link-absolute.tar.bz2", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "/etc"), suffix=".tar.bz2")
_sdist_with("link-absolute.tar.xz", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "/etc"), suffix=".tar.xz")
_sdist_with("link-out", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "../../evil"))
_sdist_with("link-to-a-device", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "/dev/mem"))
_sdist_with("link-to-proc", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "/proc/self/root"))
_sdist_with("link-out-by-a-detour", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "c/../d/../../../evil"))
_sdist_with(
    "link-out-by-a-link", UNSAFE, "refuses", "alpha-1.0/c",
    tar_entry("alpha-1.0/d/e/f"), _link("alpha-1.0/b", "d/e"), _link("alpha-1.0/c", "b/../../../../evil"),
)  # fmt: skip
_sdist_with(
    "link-out-by-links-in-a-row", UNSAFE, "refuses", "alpha-1.0/d",
    _link("alpha-1.0/b", "."), _link("alpha-1.0/c", "b/.."), _link("alpha-1.0/d", "c/../evil"),
)  # fmt: skip
_sdist_with(
    "link-out-by-a-later-link", UNSAFE, "refuses", "alpha-1.0/b",
    _link("alpha-1.0/b", "c/../../evil"), tar_entry("alpha-1.0/d/e"), _link("alpha-1.0/c", "."),
)  # fmt: skip
_sdist_with(
    "file-through-a-link-out", UNSAFE, "refuses", "alpha-1.0/b",
    _link("alpha-1.0/b", "/tmp"), tar_entry("alpha-1.0/b/evil"),
)  # fmt: skip
_sdist_with(
    "file-through-a-link", LEFT, "installs", "alpha-1.0/b/evil",
    tar_entry("alpha-1.0/c/d"), _link("alpha-1.0/b", "c"), tar_entry("alpha-1.0/b/evil"),
)  # fmt: skip
_sdist_with(
    "file-in-place-of-a-link", LEFT, "installs", "alpha-1.0/b",
    tar_entry("alpha-1.0/c"), _link("alpha-1.0/b", "c"), tar_entry("alpha-1.0/b", b"evil"),
)  # fmt: skip
_sdist_with(
    "link-in-place-of-a-directory", LEFT, "installs", "alpha-1.0/b",
    tar_entry("alpha-1.0/b/c"), _link("alpha-1.0/b", "."), tar_entry("alpha-1.0/b/d"),
)  # fmt: skip
_sdist_with("link-to-itself", LEFT, "installs", "alpha-1.0/b", _link("alpha-1.0/b", "b"))
_sdist_with("link-to-nothing", PLAIN, "installs", "", _link("alpha-1.0/b", "c"))
_sdist_with("link-long", UNSAFE, "installs", "alpha-1.0", _link("alpha-1.0/b", "c/" * 5000))
_sdist_with("hard-link-absolute", UNSAFE, "refuses", "alpha-1.0/b", _hard("alpha-1.0/b", "/etc/passwd"))
_sdist_with("hard-link-out", UNSAFE, "refuses", "alpha-1.0/b", _hard("alpha-1.0/b", "../evil"))
_sdist_with("hard-link-out-by-a-detour", UNSAFE, "refuses", "alpha-1.0/b", _hard("alpha-1.0/b", "alpha-1.0/../../evil"))
_sdist_with("hard-link-to-nothing", LEFT, "refuses", "alpha-1.0/b", _hard("alpha-1.0/b", "alpha-1.0/c"))
_sdist_with("hard-link-to-itself", LEFT, "refuses", "alpha-1.0/b", _hard("alpha-1.0/b", "alpha-1.0/b"))
_sdist_with(
    "hard-link-through-a-link", PLAIN, "installs", "",
    tar_entry("alpha-1.0/c/d"), _link("alpha-1.0/b", "c"), _hard("alpha-1.0/e", "alpha-1.0/b/d"),
)  # fmt: skip
_sdist_with(
    "hard-link-to-a-link", LEFT, "installs", "alpha-1.0/e",
    tar_entry("alpha-1.0/c"), _link("alpha-1.0/b", "c"), _hard("alpha-1.0/e", "alpha-1.0/b"),
)  # fmt: skip


def _too_long_to_resolve(*last: bytes, out: str = "../" * 6) -> bytes:
    """Links that lead to a path longer than the system resolves, where what comes next is not seen (CVE-2025-4517)."""
    entries, path, part = [], "", "d" * 247
    for letter in "abcdefghijklmnop":
        entries += [tar_entry(path + part, kind=tarfile.DIRTYPE, mode=0o755), _link(path + letter, part)]
        path += part + "/"
    end = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    entries += [_link(end, "../" * 16), _link("escape", f"{end}/{out}")]
    return tar_of([*entries, *last])


for _id, _last in (
    ("file", (tar_entry("escape/evil"),)),
    ("directory", (tar_entry("escape/evil", kind=tarfile.DIRTYPE),)),
    ("hard-link", (_hard("flag", "escape/canary.txt"), tar_entry("flag", b"evil"))),
    ("link", (_link("flag", "escape/canary.txt"), tar_entry("flag", b"evil"))),
):
    _name = f"link-too-long-to-resolve-{_id}"
    _sdist(_name, UNSAFE, "refuses", "alpha-1.0", lambda last=_last: _too_long_to_resolve(*last))

for _id, _kind in (
    ("character-device", tarfile.CHRTYPE), ("block-device", tarfile.BLKTYPE), ("pipe", tarfile.FIFOTYPE),
    ("unknown", b"8"),
):  # fmt: skip
    _sdist_with(f"special-{_id}", UNSAFE, "refuses", "alpha-1.0/b", tar_entry("alpha-1.0/b", kind=_kind))
for _id, _mode in (("set-user-id", 0o4755), ("set-group-id", 0o2755), ("sticky", 0o1755), ("writable-by-all", 0o777)):
    _sdist_with(f"mode-{_id}", PLAIN, "installs", "", tar_entry("alpha-1.0/b", mode=_mode))
    _zipped_sdist(f"mode-{_id}.zip", PLAIN, "installs", "", Member("alpha-1.0/b", mode=0o100000 | _mode))
_sdist_with("mode-directory", PLAIN, "installs", "", tar_entry("alpha-1.0/b", kind=tarfile.DIRTYPE, mode=0o7777))
for _id, _mode in (("link", 0o120777), ("device", 0o020666), ("pipe", 0o010666), ("socket", 0o140777)):
    _zipped_sdist(f"mode-{_id}.zip", PLAIN, "installs", "", Member("alpha-1.0/b", b"/etc/passwd", _mode))

# Bombs
for _suffix in (".tar.gz", ".tgz", ".tar"):
    _sdist_with(
        f"bomb-declared{_suffix}", LEFT, "refuses", "alpha-1.0",
        tar_entry("alpha-1.0/b", b"", size=10 << 30), suffix=_suffix,
    )  # fmt: skip
for _suffix in (".tar.bz2", ".tar.xz"):
    _sdist(
        f"bomb-zeros{_suffix}", LEFT, "installs", "alpha-1.0", lambda suffix=_suffix: _in_streams(
            suffix, _plain_sdist() + tar_entry("alpha-1.0/b", b"", size=300 * MEGABYTE), 300
        ), _suffix,
    )  # fmt: skip
_sdist(
    "bomb-zeros.tar.gz", LEFT, "installs", "alpha-1.0",
    lambda: _gzipped_zeros(_plain_sdist() + tar_entry("alpha-1.0/b", b"", size=300 * MEGABYTE), 300),
)  # fmt: skip
_sdist(
    "bomb-many-zeros.tar.gz", LEFT, "installs", "alpha-1.0",
    lambda: b"".join(
        _gzipped_zeros(tar_entry(f"alpha-1.0/b{n}", b"", size=30 * MEGABYTE), 30) for n in range(10)
    ) + gzip.compress(_plain_sdist()),
)  # fmt: skip
_sdist("bomb-behind-its-end.tar.gz", PLAIN, "installs", "", lambda: _gzipped_zeros(_plain_sdist() + bytes(1024), 300))
_sdist(
    "bomb-many-files.tar.gz", LEFT, "installs", "alpha-1.0", lambda: sdist_of(tar_entry("alpha-1.0/b", b"") * 60_000),
)  # fmt: skip
_sdist("bomb-winding-links.tar.gz", UNSAFE, "installs", "alpha-1.0/l", lambda: sdist_of(*_winding_links()))
_sdist("bomb-compressed-twice.tar.gz", DAMAGED, "refuses", "alpha-1.0", lambda: gzip.compress(sdist_of()))
_sdist("bomb-no-tarball.tar.gz", DAMAGED, "refuses", "alpha-1.0", lambda: _gzipped_zeros(b"evil" * 200, 300))
_sdist(
    "bomb-long-name.tar.gz", LEFT, "refuses", "alpha-1.0",
    lambda: _gzipped_zeros(_plain_sdist() + _special_header(tarfile.GNUTYPE_LONGNAME, b"", 2 << 30), 300),
)  # fmt: skip
_sdist(
    "bomb-long-link.tar.gz", LEFT, "refuses", "alpha-1.0",
    lambda: _gzipped_zeros(_plain_sdist() + _special_header(tarfile.GNUTYPE_LONGLINK, b"", 2 << 30), 300),
)  # fmt: skip
_sdist(
    "bomb-pax-header.tar.gz", LEFT, "refuses", "alpha-1.0",
    lambda: _gzipped_zeros(_plain_sdist() + _special_header(tarfile.XHDTYPE, b"", 2 << 30), 300),
)  # fmt: skip
_sdist(
    "bomb-pax-header-of-negative-size.tar.gz", LEFT, "refuses", "alpha-1.0",
    lambda: _gzipped_zeros(_plain_sdist() + _special_header(tarfile.XHDTYPE, b"", -1024), 300),
)  # fmt: skip
_sdist_with("bomb-pax-digits.tar.gz", LEFT, "refuses", "alpha-1.0", _special_header(tarfile.XHDTYPE, b"1" * 60_000))
_sdist_with(
    "bomb-pax-global.tar.gz", LEFT, "installs", "alpha-1.0",
    pax({f"k{number}": "v" for number in range(10_000)}, tarfile.XGLTYPE), *[tar_entry("alpha-1.0/b")] * 200,
)  # fmt: skip
_sdist_with("bomb-headers-in-headers.tar.gz", LEFT, "refuses", "alpha-1.0", pax({"comment": "x"}) * 5000)
_sdist_with("negative-size.tar.gz", LEFT, "refuses", "alpha-1.0", tar_entry("alpha-1.0/b", b"", size=-1024))
_sdist_with(
    "pax-negative-size.tar.gz", LEFT, "refuses", "alpha-1.0",
    tar_entry("alpha-1.0/b", b"", before=pax({"size": "-1024"})),
)  # fmt: skip
_sdist_with(
    "pax-size.tar.gz", LEFT, "refuses", "alpha-1.0", tar_entry("alpha-1.0/b", b"", before=pax({"size": str(10 << 40)}))
)
_sdist_with("pax-path.tar.gz", UNSAFE, "refuses", "evil", tar_entry("alpha-1.0/b", before=pax({"path": "../../evil"})))
_sdist_with(
    "pax-path-absolute.tar.gz", UNSAFE, "refuses", "evil", tar_entry("alpha-1.0/b", before=pax({"path": "/evil"})),
)  # fmt: skip
_sdist_with(
    "pax-path-zero-byte.tar.gz", UNSAFE, "refuses", "evil",
    tar_entry("alpha-1.0/b", before=pax({"path": b"alpha-1.0/evil\0b"})),
)  # fmt: skip
_sdist_with(
    "pax-link.tar.gz", UNSAFE, "refuses", "alpha-1.0/b",
    _link("alpha-1.0/b", "c", before=pax({"linkpath": "/etc/passwd"})),
)  # fmt: skip
_sdist_with(
    "pax-global-path.tar.gz", UNSAFE, "refuses", "evil",
    pax({"path": "../../evil"}, tarfile.XGLTYPE), tar_entry("alpha-1.0/b"),
)  # fmt: skip
_sdist_with(
    "pax-global-link.tar.gz", UNSAFE, "refuses", "alpha-1.0/b",
    pax({"linkpath": "../../../evil"}, tarfile.XGLTYPE), _link("alpha-1.0/b", "c"),
)  # fmt: skip
_sdist_with(
    "pax-time.tar.gz", DAMAGED, "refuses", "alpha-1.0", tar_entry("alpha-1.0/b", before=pax({"mtime": "1e400"})),
)  # fmt: skip
_sdist_with(
    "long-name-out.tar.gz", UNSAFE, "refuses", "evil", tar_entry("alpha-1.0/" + "e/" * 100 + "../" * 102 + "evil"),
)  # fmt: skip
_sdist_with(
    "long-link-out.tar.gz", UNSAFE, "refuses", "alpha-1.0/b", _link("alpha-1.0/b", "e/" * 100 + "../" * 102 + "evil"),
)  # fmt: skip


def _sparse(real: int, *, digits: int = 0) -> bytes:
    """Give a member with holes, in the form that GNU tar writes into headers for all systems."""
    facts = {"major": "1", "minor": "0", "name": "alpha-1.0/b", "realsize": str(real)}
    before = pax({f"GNU.sparse.{key}": value for key, value in facts.items()})
    return tar_entry("alpha-1.0/b", _padded(b"1" * digits or b"1\n0\n1\n") + _padded(b"x"), before=before)


_sdist_with("sparse-huge.tar.gz", LEFT, "installs", "alpha-1.0", _sparse(1 << 40))
_sdist_with("sparse-negative.tar.gz", LEFT, "refuses", "alpha-1.0", _sparse(-5))
_sdist_with("sparse-endless-number.tar.gz", DAMAGED, "refuses", "alpha-1.0", _sparse(1, digits=2 * MEGABYTE))
_sdist_with(
    "sparse-name-out.tar.gz", UNSAFE, "refuses", "evil", _sparse(1).replace(b"name=alpha-1.0/b", b"name=../../evilx"),
)  # fmt: skip


def _in_streams(suffix: str, head: bytes, megabytes: int) -> bytes:
    """Give a compressed file with zeros behind its beginning, one stream for each megabyte."""
    return _compress(head, suffix) + _compress(bytes(MEGABYTE), suffix) * megabytes + _compress(bytes(1024), suffix)


def _plain_sdist() -> bytes:
    return b"".join(tar_entry(name, data) for name, data in _source())


def _winding_links() -> list[bytes]:
    """Links that each take a thousand steps."""
    return [_link(f"alpha-1.0/l{number}", "d/../" * 500 + "x") for number in range(100)]


# The archive itself
for _suffix in (*_TARBALLS, ".zip"):
    _make = zipped_sdist_of if _suffix == ".zip" else functools.partial(sdist_of, suffix=_suffix)
    _sdist(f"empty{_suffix}", DAMAGED, "refuses", "alpha-1.0", lambda: b"", _suffix)
    _sdist(f"text{_suffix}", DAMAGED, "refuses", "alpha-1.0", lambda: b"evil" * 500, _suffix)
    _sdist(f"truncated{_suffix}", DAMAGED, "refuses", "alpha-1.0", lambda make=_make: make()[:-300], _suffix)
_sdist(
    "streams.tar.gz", PLAIN, "installs", "",
    lambda: gzip.compress(_plain_sdist() + bytes(1024)) + gzip.compress(b"evil"),
)  # fmt: skip
_sdist(
    "streams-out.tar.gz", UNSAFE, "refuses", "evil",
    lambda: gzip.compress(_plain_sdist()) + tar_of([tar_entry("../../evil")]),
)  # fmt: skip
_sdist("something-behind.tar.gz", PLAIN, "installs", "", lambda: sdist_of() + b"evil" * 50)
_sdist("something-in-front.tar.gz", DAMAGED, "refuses", "alpha-1.0", lambda: b"evil" + sdist_of())
_zipped_sdist("bomb-zeros.zip", LEFT, "installs", "alpha-1.0", zeros("alpha-1.0/b", 300))
_zipped_sdist("bomb-declared.zip", LEFT, "installs", "alpha-1.0", Member("alpha-1.0/b", size=0xF0000000))
_zipped_sdist("bomb-that-says-it-is-small.zip", DAMAGED, "refuses", "alpha-1.0", zeros("alpha-1.0/b", 300, size=100))
_sdist(
    "bomb-many-files.zip", LEFT, "installs", "alpha-1.0",
    lambda: zipped_sdist_of(*(Member(f"alpha-1.0/b/{n}", b"") for n in range(60_000))), ".zip",
)  # fmt: skip
_zipped_sdist("encrypted.zip", DAMAGED, "refuses", "alpha-1.0", Member("alpha-1.0/b", b"x" * 40, flags=1))
_zipped_sdist("names-disagree.zip", DAMAGED, "refuses", "alpha-1.0", Member("alpha-1.0/b", inside=b"../../evil"))
_zipped_sdist("unknown-method.zip", LEFT, "refuses", "alpha-1.0", Member("alpha-1.0/b", method=99))
_zipped_sdist("of-the-future.zip", DAMAGED, "refuses", "alpha-1.0", Member("alpha-1.0/b", needs=99))
_zipped_sdist(
    "lzma-damaged.zip", LEFT, "refuses", "alpha-1.0", Member("alpha-1.0/b", method=14, packed=_LZMA + b"\xff" * 50),
)  # fmt: skip
_zipped_sdist("same-name.zip", PLAIN, "installs", "", Member("alpha-1.0/b"), Member("alpha-1.0/b", b"evil"))
_zipped_sdist(
    "file-is-a-directory.zip", DAMAGED, "refuses", "alpha-1.0", Member("alpha-1.0/b"), Member("alpha-1.0/b/c"),
)  # fmt: skip

# Binary distribution archives, as a cache gives them

BUILT: list[Case] = []


class Listed(NamedTuple):
    """A file of a binary distribution archive, and what its manifest says of it."""

    path: str
    data: bytes = b"x\n"
    scheme: str = "purelib"
    executable: bool = False
    script: bool = False
    says: Mapping[str, Any] = {}  #: other values in the manifest: ``name``, ``digest``, ``size``
    entry: bytes | None = None  #: the member of the tarball, if it is another one

    @property
    def member(self) -> str:
        return f"{self.scheme}/{self.path}"

    @property
    def row(self) -> list[Any]:
        says = {"name": self.member, "digest": spell(self.data), "size": len(self.data), **self.says}
        return [says["name"], self.scheme, self.path, self.executable, self.script, says["digest"], says["size"]]


def built_of(
    *files: Listed, text: bytes | None = None, tail: bytes = b"", metadata: bytes = _METADATA, **manifest: Any
) -> bytes:
    """Write a binary distribution archive.

    :param text: of the manifest.
    :param tail: members behind those that the manifest has.
    :param manifest: what it says instead.
    """
    listed = [Listed("alpha.txt"), Listed(f"{_INFO}/METADATA", metadata), Listed(f"{_INFO}/WHEEL", _WHEEL), *files]
    value = {
        "format": 8, "key": {"name": "alpha", "version": "1"}, "key-digest": "ab", "signature": None, "libraries": {},
        "name": "alpha", "version": "1.0", "lib": "purelib", "dist-info": _INFO, "launchers": [],
        "files": [each.row for each in listed], "recorded": [], "rows": [], **manifest,
    }  # fmt: skip
    text = json.dumps(value).encode() if text is None else text
    entries = [tar_entry("PIP-ACCEL-MANIFEST.json", text)]
    entries += [tar_entry(each.member, each.data) if each.entry is None else each.entry for each in listed]
    return tar_of([*entries, tail])


def _built(name: str, make: Callable[[], bytes], ours: str = ABSENT) -> None:
    BUILT.append(Case(name, "alpha-1.0-cpython.tar.gz", make, ours, "", "alpha-1.0"))


def _built_with(name: str, /, *files: Listed, ours: str = ABSENT, **more: Any) -> None:
    _built(name, lambda: built_of(*files, **more), ours)


for _id, _listed in (
    ("absolute", Listed("/evil", scheme="data")),
    ("absolute-two-slashes", Listed("//evil", scheme="data")),
    ("parent", Listed("../evil")),
    ("parent-in-the-middle", Listed("alpha/../../evil")),
    ("parent-that-stays", Listed("alpha/../beta.txt")),
    ("dot", Listed("./beta.txt")),
    ("two-slashes", Listed("beta//beta.txt")),
    ("slash-at-the-end", Listed("beta/")),
    ("empty", Listed("")),
    ("only-a-dot", Listed(".")),
    ("backslashes", Listed("..\\..\\evil")),
    ("backslash-first", Listed("\\evil")),
    ("drive", Listed("C:\\evil")),
    ("zero-byte", Listed("be\0ta")),
    ("line-feed", Listed("be\nta")),
    ("escape", Listed("be\x1b[2Jta")),
    ("right-to-left", Listed("be\u202etxt.exe")),
    ("not-unicode", Listed("be\udcffta")),
    ("long", Listed("b" * 5000)),
    ("long-path", Listed("b/" * 2500 + "b")),
    ("scheme-unknown", Listed("evil", scheme="etc")),
    ("scheme-parent", Listed("evil", scheme="..")),
    ("scheme-empty", Listed("evil", scheme="")),
    ("scheme-path", Listed("evil", scheme="data/../..")),
    ("record", Listed(f"{_INFO}/RECORD")),
    ("below-record", Listed(f"{_INFO}/RECORD/evil")),
    ("below-installer", Listed(f"{_INFO}/INSTALLER/evil")),
    ("record-by-data", Listed(f"{MODULES}/{_INFO}/RECORD", scheme="data")),
    ("record-by-platlib", Listed(f"{_INFO}/RECORD", scheme="platlib")),
    ("record-of-another", Listed("beta-2.0.dist-info/RECORD")),
    ("record-of-another-by-platlib", Listed("beta-2.0.dist-info/RECORD", scheme="platlib")),
    ("record-of-another-by-data", Listed(f"{MODULES}/beta-2.0.dist-info/RECORD", scheme="data")),
    ("path-file-by-data", Listed(f"{MODULES}/evil.pth", scheme="data")),
    ("python-by-data", Listed("bin/python", scheme="data")),
    ("python-as-script", Listed("python3", scheme="scripts", executable=True)),
    ("pip-as-script", Listed("pip", scheme="scripts", executable=True)),
    ("script-elsewhere", Listed("evil", b"#!python\n", script=True)),
):
    _built_with(f"name-{_id}", _listed)
_built_with("same-name-by-case", Listed("Beta.txt"), Listed("beta.txt"))
_built_with("same-name-by-unicode-form", Listed("gr\u00f6\u00dfe"), Listed("gro\u0308\u00dfe"))
_built_with("same-name", Listed("beta.txt"), Listed("beta.txt"))
_built_with("file-is-a-directory", Listed("beta"), Listed("beta/b.txt"))
_built_with("file-is-a-directory-by-case", Listed("BETA"), Listed("beta/b.txt"))
_built_with("script-is-a-launcher", Listed("Tool", scheme="scripts"), launchers=[["tool", "a", "b", False]])
for _id, _entry in (
    ("link", _link("purelib/beta.txt", "/etc/passwd")),
    ("link-within", _link("purelib/beta.txt", "alpha.txt")),
    ("hard-link", _hard("purelib/beta.txt", "/etc/passwd")),
    ("hard-link-within", _hard("purelib/beta.txt", "purelib/alpha.txt")),
    ("character-device", tar_entry("purelib/beta.txt", kind=tarfile.CHRTYPE)),
    ("block-device", tar_entry("purelib/beta.txt", kind=tarfile.BLKTYPE)),
    ("pipe", tar_entry("purelib/beta.txt", kind=tarfile.FIFOTYPE)),
    ("directory", tar_entry("purelib/beta.txt", kind=tarfile.DIRTYPE)),
    ("unknown", tar_entry("purelib/beta.txt", kind=b"8")),
    ("of-another-name", tar_entry("../../evil")),
    ("of-another-name-by-pax", tar_entry("purelib/beta.txt", before=pax({"path": "../../evil"}))),
    ("of-another-content", tar_entry("purelib/beta.txt", b"y\n")),
    ("of-another-size", tar_entry("purelib/beta.txt", b"x\nx\n")),
    ("of-another-size-by-pax", tar_entry("purelib/beta.txt", before=pax({"size": "1"}))),
    ("of-negative-size", tar_entry("purelib/beta.txt", b"", size=-1024)),
    ("missing", b""),
):
    _built_with(f"member-{_id}", Listed("beta.txt", entry=_entry))
for _id, _mode in (("set-user-id", 0o4755), ("set-group-id", 0o2755), ("writable-by-all", 0o777)):
    _built_with(f"mode-{_id}", Listed("beta.txt", entry=tar_entry("purelib/beta.txt", mode=_mode)), ours=PLAIN)
_built_with("members-behind", tail=tar_entry("../../evil"), ours=PLAIN)
_built_with("digest-of-nothing", Listed("beta.txt", says={"digest": ""}))
_built_with("digest-of-another-kind", Listed("beta.txt", says={"digest": "md5=x"}))
_built_with("size-that-is-negative", Listed("beta.txt", says={"size": -2}))
_built_with("size-that-is-none", Listed("beta.txt", says={"size": True}))
for _id, _changes in (
    ("name-is-a-path", {"name": "../alpha"}),
    ("name-with-an-escape", {"name": "al\x1bpha"}),
    ("name-is-none", {"name": None}),
    ("name-is-empty", {"name": ""}),
    ("name-of-another", {"name": "beta"}),
    ("version-of-another", {"version": "2.0"}),
    ("version-is-a-path", {"version": "../1.0"}),
    ("key-of-another", {"key": {"name": "beta", "version": "1"}}),
    ("key-of-another-version", {"key": {"name": "alpha", "version": "2"}}),
    ("key-is-none", {"key": 1}),
    ("dist-info-is-a-path", {"dist-info": f"../{_INFO}"}),
    ("dist-info-is-absolute", {"dist-info": f"/{_INFO}"}),
    ("dist-info-is-none", {"dist-info": "alpha"}),
    ("dist-info-of-another", {"dist-info": "beta-1.0.dist-info"}),
    ("dist-info-of-another-version", {"dist-info": "alpha-2.0.dist-info"}),
    ("dist-info-is-nothing", {"dist-info": ".dist-info"}),
    ("lib-is-a-path", {"lib": "../purelib"}),
    ("lib-is-scripts", {"lib": "scripts"}),
    ("launcher-is-a-path", {"launchers": [["../evil", "a", "b", False]]}),
    ("launcher-is-absolute", {"launchers": [["/evil", "a", "b", False]]}),
    ("launcher-is-python", {"launchers": [["python", "a", "b", False]]}),
    ("launcher-is-pip", {"launchers": [["pip3", "a", "b", False]]}),
    ("launcher-with-an-escape", {"launchers": [["ev\x1bil", "a", "b", False]]}),
    ("launcher-for-a-shell", {"launchers": [["$(evil)", "a", "b", False]]}),
    ("launcher-of-more-than-a-module", {"launchers": [["evil", "a\nimport os", "b", False]]}),
    ("launcher-of-more-than-a-function", {"launchers": [["evil", "a", "b()", False]]}),
    ("launcher-with-a-format", {"launchers": [["evil", "%(module)s", "b", False]]}),
    ("launchers-by-case", {"launchers": [["Tool", "a", "b", False], ["tool", "a", "c", False]]}),
    ("launchers-are-none", {"launchers": 1}),
    ("files-are-none", {"files": {}}),
    ("files-of-numbers", {"files": [[1] * 7]}),
    ("recorded-of-no-file", {"recorded": [[99, "", ""]]}),
    ("recorded-before-the-first", {"recorded": [[-1, "", ""]]}),
    ("rows-are-none", {"rows": [["x"]]}),
):
    _built_with(f"manifest-{_id}", **_changes)
# What RECORD says of other files has no effect on them, as with a wheel's: see the tests of uninstalling.
_built_with("rows-absolute", rows=[["/etc/passwd", "", ""]], ours=PLAIN)
_built_with("rows-outside", rows=[["../../../../../etc/passwd", "", ""]], ours=PLAIN)
_built_with("metadata-of-another", metadata=_METADATA.replace(b"alpha", b"beta"))
_built_with("metadata-of-another-version", metadata=_METADATA.replace(b"1.0", b"2.0"))
for _id, _text in (
    ("empty", b""), ("text", b"evil"), ("a-list", b"[]"), ("no-text", b"\xff\xfe"), ("cut-short", b'{"name": "alpha"'),
    ("deep", b"[" * 100_000), ("deep-objects", b'{"a":' * 100_000),
    ("long-number", b'{"format": ' + b"9" * 100_000 + b"}"), ("no-number", b'{"format": NaN}'),
):  # fmt: skip
    _built_with(f"manifest-{_id}", text=_text)
_built("manifest-missing", lambda: tar_of([tar_entry("purelib/alpha.txt")]))
_built("manifest-second", lambda: tar_of([tar_entry("purelib/alpha.txt"), tar_entry("PIP-ACCEL-MANIFEST.json", b"{}")]))
_built("manifest-is-a-link", lambda: tar_of([_link("PIP-ACCEL-MANIFEST.json", "/etc/passwd")]))
_built("manifest-is-a-pipe", lambda: tar_of([tar_entry("PIP-ACCEL-MANIFEST.json", kind=tarfile.FIFOTYPE)]))
_built(
    "bomb-manifest",
    lambda: _gzipped_zeros(tar_entry("PIP-ACCEL-MANIFEST.json", b"", size=300 * MEGABYTE), 300),
)
_built(
    "bomb-manifest-of-lists", lambda: tar_of([tar_entry("PIP-ACCEL-MANIFEST.json", b"[" + b"[]," * (10 * MEGABYTE))]),
)  # fmt: skip
_built(
    "bomb-manifest-of-negative-size", lambda: _gzipped_zeros(tar_entry("PIP-ACCEL-MANIFEST.json", b"", size=-512), 300),
)  # fmt: skip
_built("bomb-header", lambda: _gzipped_zeros(_special_header(tarfile.XHDTYPE, b"", 2 << 30), 300))
_built("bomb-header-of-negative-size", lambda: _gzipped_zeros(_special_header(tarfile.XHDTYPE, b"", -1024), 300))
_built("bomb-headers-in-headers", lambda: tar_of([pax({"comment": "x"}) * 5000]))
_built("bomb-zeros", lambda: _built_of_zeros(300, 300 * MEGABYTE))
_built("bomb-that-says-it-is-small", lambda: _built_of_zeros(300, 2))
_built_with("bomb-sparse", Listed("alpha-1.0/b", says={"name": "alpha-1.0/b", "size": 1 << 40}, entry=_sparse(1 << 40)))
_built("bomb-behind-its-end", lambda: _gzipped_zeros(gzip.decompress(built_of()), 300))
_built_with("bomb-many-files", *(Listed(f"b/{n}", b"", entry=b"") for n in range(60_000)))
_built("bomb-many-rows", lambda: built_of(text=b'{"rows": [["", "", ""]' + b', ["", "", ""]' * 1_300_000 + b"]}"))
_built("truncated", lambda: built_of()[:-100])
_built("something-behind", lambda: built_of() + b"evil" * 50)
_built("compressed-twice", lambda: gzip.compress(built_of()))
_built("no-archive", lambda: b"evil" * 100)


def _built_of_zeros(megabytes: int, said: int) -> bytes:
    listed = Listed("beta.bin", says={"size": said, "digest": "sha256=x"}, entry=b"")
    whole = gzip.decompress(built_of(listed)).rstrip(b"\0")
    return _gzipped_zeros(_padded(whole) + tar_entry("purelib/beta.bin", b"", size=megabytes * MEGABYTE), megabytes)


# Byte code, as a shared cache gives it


class Code(NamedTuple):
    """What byte code for a tree has to be."""

    name: str  #: of what it belongs to
    path: str  #: of a file of it
    data: bytes  #: as it is when it is made here


BYTE_CODE: list[Case] = []


def code_of(
    code: Code, *rows: Sequence[Any], data: bytes | None = None, head: bytes | None = None, **says: Any
) -> bytes:
    """Write byte code: one file, and more rows for files of the same content."""
    files = [list(row) for row in rows] or [["purelib", code.path, len(code.data)]]
    value = {"format": 1, "name": code.name, "files": files, **says}
    text = json.dumps(value).encode() if head is None else head
    content = code.data * len(files) if data is None else data
    return zlib.compress(len(text).to_bytes(8, "big") + text + content, 1)


def _code(name: str, make: Callable[[Code], bytes]) -> None:
    BYTE_CODE.append(Case(name, "packed", make, ABSENT, "", ""))


for _id, _path in (
    ("absolute", "/evil.pyc"), ("parent", "../../../../evil.pyc"), ("parent-in-the-middle", "a/../../../../evil.pyc"),
    ("zero-byte", "evil\0.pyc"), ("empty", ""), ("parent-alone", ".."), ("source", "alpha.py"),
    ("metadata", f"{_INFO}/RECORD"),
    ("other-file", "beta.pyc"), ("beside-its-source", "alpha.pyc"), ("long", "e" * 5000), ("not-unicode", "\udcff.pyc"),
):  # fmt: skip
    _code(f"name-{_id}", lambda code, path=_path: code_of(code, ["purelib", path, len(code.data)]))
for _id, _scheme in (("parent", ".."), ("absolute", "/"), ("empty", ""), ("another", "data")):
    _code(f"scheme-{_id}", lambda code, scheme=_scheme: code_of(code, [scheme, code.path, len(code.data)]))
_code(
    "second-file-elsewhere",
    lambda code: code_of(code, *(["purelib", each, len(code.data)] for each in (code.path, "../evil"))),
)
_code("same-file-twice", lambda code: code_of(code, *[["purelib", code.path, len(code.data)]] * 2))
for _id, _change in (
    ("unchecked", lambda data: data[:4] + b"\1\0\0\0" + data[8:]),
    ("checked-by-hash", lambda data: data[:4] + b"\3\0\0\0" + data[8:]),
    ("of-another-time", lambda data: data[:8] + b"\1\2\3\4" + data[12:]),
    ("of-another-size", lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:]),
    ("of-another-interpreter", lambda data: b"\0\0\0\0" + data[4:]),
    ("of-a-header", lambda data: data[:15]),
    ("of-nothing", lambda data: b""),
):


    def _make_changed(code: Code, change: Callable[[bytes], bytes] = _change) -> bytes:
        data = change(code.data)
        return code_of(code, ["purelib", code.path, len(data)], data=data)

    _code(f"data-{_id}", _make_changed)
_code("size-negative", lambda code: code_of(code, ["purelib", code.path, -5]))
_code("size-infinite", lambda code: code_of(code, ["purelib", code.path, float("inf")]))
_code("size-too-large", lambda code: code_of(code, ["purelib", code.path, 1 << 62]))
_code("of-another", lambda code: code_of(code, name="another"))
_code("head-deep", lambda code: code_of(code, head=b"[" * 100_000))
_code("head-no-object", lambda code: code_of(code, head=b"[]"))
_code("head-longer-than-all", lambda code: zlib.compress(b"\xff" * 8 + b"{}"))
_code("bomb-head-of-lists", lambda code: code_of(code, head=b"[" + b"[]," * (20 * MEGABYTE)))
_code("bomb-zeros", lambda code: _zlib_zeros(2000))
_code("bomb-file", lambda code: bytes(300 * MEGABYTE))
_code("truncated", lambda code: code_of(code)[:-5])
_code("something-behind", lambda code: code_of(code) + b"evil")
_code("wrong-checksum", lambda code: code_of(code)[:-1] + b"\0")


def _zlib_zeros(megabytes: int) -> bytes:
    packed = _deflated_zeros(1)[0][:-2]
    return b"\x78\x01" + packed * megabytes + b"\3\0" + bytes(4)


# Plans, as a shared cache gives them

PLANS: list[Case] = []


def _plan(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    def make(value: dict[str, Any]) -> bytes:
        change(value)
        return gzip.compress(json.dumps(value).encode(), mtime=0)

    PLANS.append(Case(name, "0.json.gz", make, ABSENT, "", ""))


def _raw_plan(name: str, make: Callable[[dict[str, Any]], bytes]) -> None:
    PLANS.append(Case(name, "0.json.gz", make, ABSENT, "", ""))


#: Places in a row of a plan.
_FOUND = {"name": 0, "version": 1, "project": 2, "filename": 3, "sha256": 4, "yanked": 6, "link": 7, "known": 8}
for _id, _place, _value in (
    ("name-is-a-path", "name", "../alpha"),
    ("name-with-an-escape", "name", "alpha\x1b[2J"),
    ("version-is-a-path", "version", "../1.0"),
    ("version-with-a-line-feed", "version", "1.0\n"),
    ("project-is-a-path", "project", "../../alpha"),
    ("project-is-empty", "project", ""),
    ("file-is-a-path", "filename", "../alpha-1.0.tar.gz"),
    ("file-is-absolute", "filename", "/alpha-1.0.tar.gz"),
    ("file-with-backslashes", "filename", "..\\alpha-1.0.tar.gz"),
    ("file-with-a-zero-byte", "filename", "alpha-1.0\0.tar.gz"),
    ("file-of-another", "filename", "beta-1.0.tar.gz"),
    ("file-of-no-archive", "filename", "alpha-1.0.exe"),
    ("digest-is-a-path", "sha256", "../" * 21 + "x"),
    ("digest-in-capitals", "sha256", "AB" * 32),
    ("digest-is-short", "sha256", "ab"),
    ("yanked-is-a-list", "yanked", [1]),
    ("link-is-a-number", "link", 1),
    ("known-is-a-number", "known", 1),
    ("known-of-no-time", "known", [[["=="], "1", float("nan"), ""]]),
):
    _plan(f"found-{_id}", lambda value, place=_place, new=_value: value["found"][0].__setitem__(_FOUND[place], new))
for _id, _key, _value in (
    ("format-of-the-future", "format", 9),
    ("question-of-another", "question", "evil"),
    ("number-of-another", "number", 7),
    ("found-is-a-number", "found", 1),
    ("learned-never", "learned", float("inf")),
    ("learned-is-a-text", "learned", "evil"),
    ("spelling-is-a-path", "spellings", {"alpha": "../alpha"}),
    ("spelling-of-another", "spellings", {"alpha": "beta"}),
    ("sdists-elsewhere", "sdists", {"../evil": ["", {}, ""]}),
    ("builds-elsewhere", "builds", [[["a"], [["a", "1", "../a-1.tar.gz", "ab" * 32]], 1.0]]),
    ("trees-elsewhere", "trees", ["../evil"]),
    ("output-is-a-number", "output", 1),
    ("template-of-nothing", "template", "import os"),
    ("template-of-more", "template", "%(module)s %(import_name)s %(func)s %(more)s"),
    ("template-of-a-width", "template", "%(module)s %(import_name)s %(func)s %(module)300000000s"),
    ("template-of-a-precision", "template", "%(module)s %(import_name)s %(func)s %(module).300000000r"),
    ("template-with-stars", "template", "%(module)s %(import_name)s %(func)s %*s"),
    ("template-that-is-long", "template", "%(module)s %(import_name)s %(func)s" + "#" * 3 * MEGABYTE),
):
    _plan(_id, lambda value, key=_key, new=_value: value.__setitem__(key, new))
_plan("found-twice", lambda value: value["found"].append(value["found"][0]))
_raw_plan("empty", lambda value: b"")
_raw_plan("no-gzip", lambda value: json.dumps(value).encode())
_raw_plan("no-json", lambda value: gzip.compress(b"{"))
_raw_plan("truncated", lambda value: gzip.compress(json.dumps(value).encode())[:-9])
_raw_plan("something-behind", lambda value: gzip.compress(json.dumps(value).encode()) + b"evil")
_raw_plan("deep", lambda value: gzip.compress(b"[" * 100_000))
_raw_plan("long-number", lambda value: gzip.compress(b"9" * 100_000))
_raw_plan("bomb-zeros", lambda value: _gzipped_zeros(b"", 300))
_raw_plan("bomb-blanks", lambda value: gzip.compress(json.dumps(value).encode() + b" " * 70 * MEGABYTE, 1))
_raw_plan("bomb-of-lists", lambda value: gzip.compress(b"[" + b"[]," * (20 * MEGABYTE), 1))


# Limits

_LARGEST = 16 * MEGABYTE  #: bytes of a file


class Outcome(NamedTuple):
    """What became of a call."""

    error: str  #: name of the exception's class; empty if there was none
    said: str  #: text of the exception, or what was returned as JSON has it
    trace: str = ""


def run_bounded(function: Callable[[], Any], *, memory: int = 400 * MEGABYTE, seconds: int = 20) -> Outcome:
    """Call a function in a process of its own, which may not take more than this.

    :param memory: bytes beyond what this process has.
    """
    if sys.platform != "linux":
        return _call(function)
    import resource

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open("/proc/self/statm", encoding="ascii") as stream:
                used = int(stream.read().split()[0]) * resource.getpagesize()
            signal.alarm(seconds)
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST, resource.RLIM_INFINITY))
            outcome = _call(function)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            with open(writing, "w", encoding="utf-8") as stream:
                json.dump(outcome, stream)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    return Outcome(*json.loads(text)) if text else Outcome("Killed", f"status {status}")


def _call(function: Callable[[], Any]) -> Outcome:
    try:
        return Outcome("", json.dumps(function()))
    except Exception as error:
        names = [each.__name__ for each in type(error).__mro__ if each.__module__ == "pip_accel.exceptions"]
        return Outcome(names[0] if names else type(error).__name__, str(error), traceback.format_exc())
