"""Lock files (PEP 751): which distributions they name, and copies of them in which archives lie on this machine.

pip selects from a lock by itself, by the target's markers and tags. It is given a copy in which the URLs of archives
that the local index has are those of the files there.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pip_accel._names import canonical_name
from pip_accel._text import path_to_url
from pip_accel.exceptions import Unsupported

__all__ = ["Lock", "Locked", "is_lock", "read_lock"]

_NAME = re.compile(r"pylock(?:\.[^.]+)?\.toml")


class Locked(NamedTuple):
    """One distribution in a lock."""

    name: str  #: canonical
    version: str
    marker: str
    hashes: tuple[str, ...]  #: ``sha256:…`` of its archives


class Lock(NamedTuple):
    """A lock file."""

    path: str  #: absolute
    shown: str  #: as it was written
    text: str
    packages: tuple[Locked, ...]
    urls: tuple[tuple[str, str], ...]  #: URLs of archives, as they are written, and SHA-256 of what lies there

    def localize(self, find: Callable[[str, str], str | None]) -> tuple[str, dict[str, str]]:
        """Give the text with URLs of files on this machine, and by those the ones that they stand for.

        :param find: gives the path of the archive with a file name and a SHA-256, if there is one.
        """
        from urllib.parse import unquote

        text, origins = self.text, {}
        for url, sha256 in self.urls:
            path = find(unquote(url.partition("?")[0].rpartition("/")[2]), sha256)
            if path is not None:
                origins[path_to_url(path)] = url
                for quote in "\"'":
                    text = text.replace(f"{quote}{url}{quote}", f"{quote}{path_to_url(path)}{quote}")
        return text, origins


def is_lock(path: str) -> bool:
    """Whether pip takes a requirement file for a lock, whose extras may follow in brackets."""
    return _NAME.fullmatch(os.path.basename(path).partition("[")[0]) is not None


def read_lock(path: str, shown: str, content: bytes) -> Lock:
    """Understand a lock of distributions by name and version, with archives at URLs.

    :raises Unsupported: it has more than that, or pip would refuse it.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        text = content.decode("utf-8")
        table = tomllib.loads(text)
        packages = tuple(_read_packages(table))
        urls = tuple(_read_urls(table))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unsupported("{path} cannot be understood: {error}", path=path, error=error) from error
    return Lock(path, shown, text, packages, urls)


def _archives(package: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]


def _read_packages(table: Mapping[str, Any]) -> Iterator[Locked]:
    for package in table["packages"]:
        marker = package.get("marker", "")
        if re.search(r"\b(?:extras|dependency_groups)\b", marker) or not package.get("version"):
            raise ValueError("its packages depend on extras, groups or directories")
        hashes = tuple(f"sha256:{archive['hashes']['sha256']}" for archive in _archives(package))
        yield Locked(canonical_name(package["name"]), package["version"], marker, hashes)


def _read_urls(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for package in table["packages"]:
        if not _archives(package) or not package.keys().isdisjoint(("vcs", "directory", "archive")):
            raise ValueError("a package has no wheel and no sdist")
        for archive in _archives(package):
            if "path" in archive:
                raise ValueError("it has archives by their paths")
            yield archive["url"], archive["hashes"]["sha256"]
