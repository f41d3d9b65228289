"""Core metadata: headers as in mail, read as pip's own parser reads them, without the time that takes to import."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["all_headers", "header_values", "iterate_headers", "parse_metadata", "read_headers"]

_NAME = re.compile("[!-9;-~]+")


def iterate_headers(data: bytes) -> Iterator[tuple[str, str]]:
    """Give names, in lower case, and values, without blanks around; they may have line ends in them.

    They end at the first line that is none, such as an empty one; what begins with white space goes on with a value.
    """
    name, value = "", ""
    head, _, _ = data.partition(b"\n\n")  # what comes behind that is often ten times as long
    for line in head.decode("utf-8", "replace").split("\n"):
        line = line.removesuffix("\r")
        if line[:1] in (" ", "\t"):
            value += "\n" + line
            continue
        if name:
            yield name, value.strip(" \t")
        name, colon, value = line.partition(":")
        if not colon or _NAME.fullmatch(name) is None:
            return
        name = name.lower()
    if name:
        yield name, value.strip(" \t")


def all_headers(data: bytes) -> dict[str, list[str]]:
    """Give all values of each header, names in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in iterate_headers(data):
        found.setdefault(name, []).append(value)
    return found


def read_headers(data: bytes) -> dict[str, str]:
    """Give the first value of each header, names in lower case."""
    return {name: values[0] for name, values in all_headers(data).items()}


def parse_metadata(data: bytes) -> tuple[str, str, list[str]]:
    """Give name, version and ``Requires-Dist`` of core metadata."""
    headers = all_headers(data)
    name, version = (headers.get(each, [""])[0] for each in ("name", "version"))
    return name, version, headers.get("requires-dist", [])


def header_values(data: bytes, name: str) -> list[str]:
    """Give all values of a header.

    :param name: in lower case.
    """
    return all_headers(data).get(name, [])
