"""Make the table of a release that ships with pip-accel, from the file indices of its distribution.

    python3 tools/reduce_contents.py debian-12 Contents-amd64.gz Contents-all.gz

The indices lie beside the release files of a mirror, as ``main/Contents-amd64.gz`` and ``main/Contents-all.gz``. Of all
that :mod:`pip_accel.deps.file_index` keeps, the table has what development packages bring; directories of headers that
have hundreds of files are one row in it.
"""

from __future__ import annotations

import gzip
import lzma
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pip_accel.deps.file_index import Rows, reduce_contents, write_rows  # noqa: E402

#: Of these sections, or called like a development package.
_SECTIONS = re.compile(r"(?:^|/)(?:devel|golang|interpreters|java|libdevel|perl|rust|vcs)/|-dev$")
#: Those that other languages need, and frameworks that nothing from the index is built with.
_ELSEWHERE = re.compile(
    r"/(?:elpa-|golang-|libghc-|libkf[56]|libocaml|libtorch|librust-|node-|ocaml|r-cran-|ros-)|ocaml-dev$"
)
_SECTIONS_OF_PROGRAMS = re.compile(r"(?:^|/)(?:devel|libdevel|rust|vcs)/")
_MANY = 30  # names below a directory of headers
_TOO_MANY = 80  # names in it


def shorten(rows: Rows) -> Rows:
    """Leave out what builds seldom miss."""
    kept: Rows = {}
    for (kind, place, who), names in rows.items():
        wanted = _SECTIONS_OF_PROGRAMS if kind == "program" else _SECTIONS
        providers = [each for each in who.split(",") if wanted.search(each) and not _ELSEWHERE.search(each)]
        if providers and not (kind == "library" and "/" in place):
            kept[kind, place, ",".join(providers)] = names
    counts = Counter[str]()
    for (kind, place, _), names in kept.items():
        if kind == "header" and "/" in place:
            counts[place.partition("/")[0]] += len(names)
    short: Rows = {}
    for (kind, place, who), names in kept.items():
        top, _, below = place.partition("/")
        if kind == "header" and place and (len(names) > _TOO_MANY or (below and counts[top] > _MANY)):
            place, names = top, {"*"}
        short.setdefault((kind, place, who), set()).update(names)
    return short


def read_lines(path: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
        yield from stream


def main() -> None:
    release, *paths = sys.argv[1:]
    lines = (line for path in paths for line in read_lines(path))
    data = lzma.compress(write_rows(shorten(reduce_contents(lines))), preset=9 | lzma.PRESET_EXTREME)
    path = HERE.parent / "pip_accel" / "deps" / f"{release}.files.xz"
    path.write_bytes(data)
    print(f"{path.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
