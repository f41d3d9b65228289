"""Byte code for files of the store: runs as a script in the interpreter that will load it.

Reads from standard input, as JSON, permission bits and a list of ``[source, byte code file, name in tracebacks,
modification time of the source]``. Prints path and size of the byte code files that could be made: not every file that
ends in ``.py`` is Python for this interpreter. It writes what :mod:`py_compile` would (PEP 552), without importing that
and without renaming each file: for most files, both take longer than the rest.
"""

from __future__ import annotations

import json
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER, source_hash


def _header(source: bytes, mtime: int, *, by_hash: bool) -> bytes:
    if by_hash:
        return MAGIC_NUMBER + (0b11).to_bytes(4, "little") + source_hash(source)
    numbers = (0, mtime & 0xFFFFFFFF, len(source) & 0xFFFFFFFF)
    return MAGIC_NUMBER + b"".join(number.to_bytes(4, "little") for number in numbers)


def _main() -> None:
    by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))
    mode, tasks = json.load(sys.stdin)
    made = []
    for path, target, shown, mtime in tasks:
        with open(path, "rb") as stream:
            source = stream.read()
        try:
            code = compile(source, shown, "exec", dont_inherit=True)
        except Exception:
            continue
        data = _header(source, mtime, by_hash=by_hash) + marshal.dumps(code)
        try:
            with open(target, "wb") as stream:
                stream.write(data)
            os.chmod(target, mode)
            os.utime(target, (mtime, mtime))
        except OSError as error:
            sys.exit(f"{target}: {error.strerror}")
        made.append((target, len(data)))
    print(json.dumps(made))


if __name__ == "__main__":
    _main()
