"""Which package has a file: the index of a Debian distribution, reduced to what builds miss, and looked up.

Source of the input: the format of ``Contents`` indices, https://wiki.debian.org/DebianRepository/Format. What it is
reduced to is text, one row for the names that a directory has from the same packages::

    header <tab> openssl <tab> libdevel/libssl-dev <tab> <blank> aes.h asn1.h bio.h <blank>

The directory is relative to where compilers look, and empty if that is the place itself. A row whose one name is ``*``
stands for all that lies in the directory and below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["FileIndex", "Provider", "Rows", "reduce_contents", "write_rows"]

#: Packages for other machines, or for other interpreters and C libraries than those that builds use here.
_FOREIGN = re.compile(
    r"android|arm-|avr|-cross\b|-dbgsym|-dbg$|dietlibc|djgpp|emscripten|gcc-\d|klibc|lib(?:32|64|n32|x32)|linux-headers"
    r"|mingw|msp430|musl|newlib|osmocom|picolibc|pypy|rust-.*-source|-source$|uclibc|wine|z88dk"
)
_ALL = "*"

#: Where files of each kind lie; the first group is the directory below that, the last one the name. Of several rules
#: for a kind the first that fits counts.
_TRIPLET = r"(?:[a-z0-9_]+-linux-gnu[a-z0-9]*/)?"
_HEADERS = r"(?:h|hh|hpp|hxx|h\+\+|H|inc|mod)"
_OTHERS = r"gcc|node|perl|python\d|ruby"
_RULES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("pkgconfig", rf"usr/(?:lib|share)/{_TRIPLET}(.*?)/?pkgconfig/([^/]+)\.pc"),
        ("header", rf"usr/include/{_TRIPLET}(?!python\d|pypy|ruby-|node/|php/)(?:(.+)/)?([^/ ]+\.{_HEADERS})"),
        ("header", rf"usr/lib/{_TRIPLET}(?!{_OTHERS})((?:[^/]+/){{1,4}}include(?:/[^/]+)?)/([^/ ]+\.h)"),
        ("library", rf"(?:usr/)?lib/{_TRIPLET}(?:(.+)/)?lib([^/ ]+?)\.(?:so|a)"),
        ("program", r"(?:usr/)?s?bin()/([^/ ]+)"),
        ("cmake", rf"usr/(?:lib|share)/{_TRIPLET}(?:cmake/)?(.*/)?([^/ ]+?)(?:Config|-config)\.cmake"),
        ("introspection", r"usr/share/gir-1\.0()/([^/ ]+)\.gir"),
    )
)
#: What they have in common.
_PLACES = ("bin/", "lib/", "sbin/", "usr/bin/", "usr/include/", "usr/lib/", "usr/sbin/", "usr/share/")
_DEEPEST = {"library": 2, "pkgconfig": 2}


class Provider(NamedTuple):
    """A package that has what was looked for."""

    package: str
    section: str
    exact: bool  #: whether it lies where programs look without being told


_Rank = tuple[bool, bool, int, int, str, list[int]]


class FileIndex:
    """A reduced index in memory.

    :param text: its rows, UTF-8.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text

    def find(self, kind: str, name: str) -> list[Provider]:
        """Give the packages that have something, the most probable first.

        :param kind: of the rules above.
        :param name: of a header as in ``#include``; of a library without ``lib`` and suffix; else that of the file,
            without suffix.
        """
        directory, _, base = name.rpartition("/")
        found: dict[str, tuple[_Rank, Provider]] = {}
        for place, providers in self._rows(kind, base):
            if directory and place != directory and not place.endswith("/" + directory):
                continue
            depth = 0 if place == directory or kind == "cmake" else place.count("/") + 1
            for each in providers:
                package, section = _split_provider(each)
                # Of those that only differ in numbers, the newest.
                stem, numbers = re.sub(r"\d+", "", package), [-int(each) for each in re.findall(r"\d+", package)]
                rank = (depth > 0, not section.endswith("libdevel"), depth, len(stem), stem, numbers)
                if package not in found or rank < found[package][0]:
                    found[package] = rank, Provider(package, section, depth == 0)
        if not found and directory:
            for provider in self._folded(kind, directory):
                name = provider.package
                found[name] = (False, False, 0, len(name), name, []), provider
        return [provider for _, provider in sorted(found.values())]

    def section_of(self, package: str) -> str | None:
        """Give the section of a package, ``None`` if none of the files here is in it."""
        for end in b",", b"\t":
            at = -1
            while (at := self._text.find(b"/" + package.encode() + end, at + 1)) != -1:
                begin = self._text.rfind(b"\n", 0, at) + 1
                if self._text.count(b"\t", begin, at) == 2:  # it stands among the packages, and not in a directory
                    return re.split(rb"[/,\t]", self._text[begin:at])[-1].decode("utf-8", "replace")
        return None

    def _rows(self, kind: str, name: str) -> Iterator[tuple[str, list[str]]]:
        """Give the rows of a kind that have a name: the directory, and the packages with their sections."""
        text, sought, start = self._text, f" {name} ".encode(), 0
        while (at := text.find(sought, start)) != -1:
            begin = text.rfind(b"\n", 0, at) + 1
            start = text.find(b"\n", at)
            fields = text[begin : at + 1].decode("utf-8", "replace").split("\t")
            if len(fields) == 4 and fields[0] == kind:
                yield fields[1], fields[2].split(",")

    def _folded(self, kind: str, directory: str) -> Iterator[Provider]:
        while directory:
            sought = f"\n{kind}\t{directory}\t".encode()
            start = 0
            while (at := self._text.find(sought, start)) != -1:
                start = self._text.find(b"\n", at + 1)
                providers, _, names = self._text[at + len(sought) : start].decode("utf-8", "replace").partition("\t")
                if names.strip() == _ALL:
                    for provider in providers.split(","):
                        yield Provider(*_split_provider(provider), exact=True)
            directory = directory.rpartition("/")[0]


def _split_provider(text: str) -> tuple[str, str]:
    """Split what stands for a package in an index; give its name and section, without Ubuntu's component."""
    sections, _, package = text.rpartition("/")
    return package, sections.rpartition("/")[2]


#: Names by kind, directory, and packages with their sections, joined by commas.
Rows = dict[tuple[str, str, str], set[str]]


def reduce_contents(lines: Iterable[str]) -> Rows:
    """Reduce a ``Contents`` index; give names by kind, directory, and the packages with their sections."""
    rows: Rows = {}
    for line in lines:
        if not line.startswith(_PLACES):
            continue
        path, _, providers = line.rstrip("\n").rpartition(" ")
        path = path.rstrip()
        for kind, rule in _RULES:
            found = rule.fullmatch(path)
            if found is None:
                continue
            place, name = found[1] or "", found[2]
            kept = [each for each in providers.split(",") if not _FOREIGN.search(each.rpartition("/")[2])]
            if kept and place.count("/") < _DEEPEST.get(kind, 99) and " " not in name:
                rows.setdefault((kind, place.strip("/"), ",".join(sorted(kept))), set()).add(name)
            break
    return rows


def write_rows(rows: Mapping[tuple[str, str, str], Iterable[str]]) -> bytes:
    """Give reduced rows as text."""
    lines = []
    for kind, place, who in sorted(rows):
        lines.append(f"{kind}\t{place}\t{who}\t {' '.join(sorted(rows[kind, place, who]))} \n")
    return ("\n" + "".join(lines)).encode()
