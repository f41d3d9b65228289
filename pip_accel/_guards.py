"""Opens archives that anybody may have made, and ends in an error before they use up memory or disk."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from pip_accel.exceptions import UnsafeArchive

try:
    from lzma import LZMAError
except ImportError:  # a Python that was built without it
    LZMAError = zlib.error  # type: ignore[misc, assignment]

__all__ = ["UNREADABLE", "Implausible", "check_amount", "check_zip", "is_too_much", "open_tarball"]

#: What :mod:`zipfile` and :mod:`tarfile` raise for a file that is damaged, encrypted, compressed in a way that Python
#: does not know, or full of numbers and names that are none.
UNREADABLE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, RuntimeError),
    *(ValueError, ArithmeticError, LookupError, MemoryError),
)

# What an archive may hold at most. Of wheels, the best compressed ones grow thirtyfold, and bombs a thousandfold.
_ROOM, _GROWTH = 256 << 20, 200  # bytes, or so many times its own size if that is more
_MOST_FILES, _SMALLEST_FILE = 50_000, 256  # files, or one for so many bytes of its own size if that is more
_LONGEST_HEADER = 256 << 10  # bytes of headers of one member of a tarball
_MOST_FACTS = 1000  # in headers of a tarball that count for all of its members
_LONGEST_NUMBER = 100  # digits in a header: older releases of Python look for the end of each at each (CVE-2024-6232)


class Implausible(UnsafeArchive):
    """An archive is as only who means harm would make it: many times larger than it looks, say."""


def is_too_much(own: int, count: int, size: int) -> bool:
    """Whether an archive holds many times what its own size lets expect.

    :param own: that, bytes.
    :param size: of all files, bytes.
    """
    return count > max(_MOST_FILES, own // _SMALLEST_FILE) or size > max(_ROOM, own * _GROWTH)


def check_amount(path: str, count: int, size: int) -> None:
    """See that an archive does not hold many times what its own size lets expect.

    :param size: of all files, bytes.
    :raises Implausible: it does.
    """
    own = os.path.getsize(path)
    if is_too_much(own, count, size):
        text = "{path} has {own} bytes, and {count} files with {size} bytes would come out of it"
        raise Implausible(text, path=path, own=own, count=count, size=size)


def check_zip(archive: zipfile.ZipFile, path: str) -> None:
    """See that a zip archive can be unpacked without using up memory and disk.

    :raises Implausible: it cannot.
    """
    members = archive.infolist()
    check_amount(path, len(members), sum([member.file_size for member in members]))
    # What is compressed in other ways, zipfile unpacks as a whole, whatever its size is said to be.
    if not {member.compress_type for member in members} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        name = next(each.filename for each in members if each.compress_type not in (0, zipfile.ZIP_DEFLATED))
        raise Implausible("{path} has {name!r}, compressed in an unusual way", path=path, name=name)


class _Guard:
    """The stream of a tarball that anybody may have written. It ends in an error before it is too much."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._path = path
        self.own = os.path.getsize(path)
        self._end = max(_ROOM, self.own * _GROWTH)
        self.header: int | None = _LONGEST_HEADER  #: bytes that the next header may still have; ``None``: no header

    def _refuse(self) -> None:
        raise Implausible("{path} has headers, or an end, as no program writes them", path=self._path)

    def read(self, size: int = -1) -> bytes:
        if self.header is None:
            data = self._stream.read(size)
        else:
            if not 0 <= size <= self.header:
                self._refuse()
            self.header -= size
            data = self._stream.read(size)
            numbers = re.findall(rb"\d+", data) if size > tarfile.BLOCKSIZE else ()
            if max(map(len, numbers), default=0) > _LONGEST_NUMBER:
                self._refuse()
        if self._stream.tell() > self._end:
            self._refuse()
        return data

    def seek(self, position: int) -> None:
        if position > self._end:
            self._refuse()
        self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()


@contextmanager
def open_tarball(path: str, kind: str = "") -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open a tarball that anybody may have written, compressed or not; give it with its members, to be read in order.

    :param kind: ``gz``: it has to be compressed by gzip.
    :raises Implausible: it has more, or longer headers, than such a file would have; also while members are read.
    """
    with open(path, "rb") as file, _decompress(file, kind) as stream:
        guard = _Guard(stream, path)
        with tarfile.open(fileobj=cast(BinaryIO, guard), mode="r:") as archive:
            yield archive, _read_members(archive, guard, path)


def _decompress(file: BinaryIO, kind: str) -> BinaryIO:
    start = file.read(6)
    file.seek(0)
    try:
        if kind == "gz" or start.startswith(b"\x1f\x8b"):
            return cast(BinaryIO, gzip.GzipFile(fileobj=file))
        if start.startswith(b"BZh"):
            import bz2

            return cast(BinaryIO, bz2.BZ2File(file))
        if start.startswith((b"\xfd7zXZ", b"\x5d\0\0")):
            import lzma

            return cast(BinaryIO, lzma.LZMAFile(file))
    except ImportError as error:
        raise tarfile.CompressionError(str(error)) from error
    return file


def _read_members(archive: tarfile.TarFile, guard: _Guard, path: str) -> Iterator[tarfile.TarInfo]:
    count = size = 0
    while True:
        guard.header = _LONGEST_HEADER
        member = archive.next()
        guard.header = None
        if member is None:
            return
        # A negative size leads back to what was read already (CVE-2025-8194).
        if member.size < 0 or len(archive.pax_headers) > _MOST_FACTS:
            raise Implausible("{path} has {name!r} with headers that make no sense", path=path, name=member.name)
        member.pax_headers = {}  # a copy of all that count for several, which has had its effect
        count, size = count + 1, size + member.size
        if is_too_much(guard.own, count, size):
            text = "{path} has {own} bytes, and {count} files and more with {size} bytes would come out of it"
            raise Implausible(text, path=path, own=guard.own, count=count, size=size)
        yield member
