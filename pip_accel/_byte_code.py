"""Byte code of one tree of the store as one file, so that machines of a kind need not all compile the same.

The file is one zlib stream: the length of a head, the head (JSON: format, what it belongs to, and path and size of each
file), and the contents of the files, one after the other. The stream ends with a checksum over all of it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

from pip_accel._trees import expand
from pip_accel._values import Tree

__all__ = ["pack", "read_packed", "unpack"]

_FORMAT = 1
_LENGTH = 8  # bytes that hold the length of the head
_LONGEST = 1 << 28  # bytes of byte code
_LONGEST_HEAD = 16 << 20  # bytes
_LEVEL = 1  # three times as fast as usual, a sixth larger


def pack(tree: Tree, name: str) -> bytes:
    """Give the byte code of a tree.

    :param name: of what it belongs to: a tree, and a kind of interpreter.
    :raises OSError: a file of it cannot be read.
    """
    files = [file for file in expand(tree).files if file.kind.endswith("bytecode")]
    contents = []
    for file in files:
        with open(os.path.join(tree.byte_code, file.scheme, *file.path.split("/")), "rb") as stream:
            contents.append(stream.read())
    rows = [[file.scheme, file.path, len(data)] for file, data in zip(files, contents, strict=True)]
    head = json.dumps({"format": _FORMAT, "name": name, "files": rows}, separators=(",", ":")).encode()
    return zlib.compress(b"".join([len(head).to_bytes(_LENGTH, "big"), head, *contents]), _LEVEL)


def read_packed(path: str) -> bytes:
    """Give what :func:`pack` gave, from a file.

    :raises ValueError: it is too long to be that.
    """
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size > _LONGEST:
            raise ValueError("it is too long")
        return stream.read()


def unpack(packed: bytes, name: str) -> Iterator[tuple[str, str, memoryview]]:
    """Give scheme, path and content of each file of byte code. Anybody may have written it.

    :param name: of what it has to belong to.
    :raises ValueError: it is damaged, or something else.
    """
    try:
        stream = zlib.decompressobj()
        data = memoryview(stream.decompress(packed, _LONGEST))
        if not stream.eof or stream.unused_data:
            raise ValueError("it does not end where it should")
        start = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
        if start > min(len(data), _LONGEST_HEAD):
            raise ValueError("it has a head that is too long")
        head: Any = json.loads(bytes(data[_LENGTH:start]))
        rows = [(str(scheme), str(path), int(size)) for scheme, path, size in head["files"]]
        sound = head["format"] == _FORMAT and head["name"] == name and all(size >= 0 for *_, size in rows)
    except (zlib.error, KeyError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError("it is damaged") from error
    if not sound or start + sum(size for *_, size in rows) != len(data):
        raise ValueError("it is not what its name says")
    for scheme, path, size in rows:
        yield scheme, path, data[start : start + size]
        start += size
