"""Byte code for files of the store: runs as a script in the interpreter that will load it.

Reads a JSON list of ``[source, byte code file, name in tracebacks]`` from standard input, and prints those byte code
files that could be made: not every file that ends in ``.py`` is Python for this interpreter.
"""

from __future__ import annotations

import json
import os
import py_compile
import sys

if __name__ == "__main__":
    by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))
    mode = py_compile.PycInvalidationMode.CHECKED_HASH if by_hash else py_compile.PycInvalidationMode.TIMESTAMP
    for source, target, shown in json.load(sys.stdin):
        try:
            py_compile.compile(source, target, shown, doraise=True, invalidation_mode=mode)
        except (py_compile.PyCompileError, SyntaxError, ValueError, RecursionError, UnicodeError):
            continue
        print(json.dumps(target))
