"""Places where pip looks for archives, as they are known from run to run: without secrets, and with what lies there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pip_accel import _fs
from pip_accel._digests import digest_of
from pip_accel._text import url_to_path

__all__ = [
    "describe_place",
    "digest_place",
    "hide_places",
    "is_elsewhere",
    "is_there",
    "show_places",
    "without_secrets",
]


def is_there(link: str) -> bool:
    """Whether a place of ``--find-links`` is there, as far as that can be told from here."""
    return is_elsewhere(link) or os.path.exists(_path_of(link))


def describe_place(link: str, *, trust: bool = True) -> str:
    """Give a place of ``--find-links``, with what lies there if it is a directory or a page of this machine.

    :param trust: whether a file of the same size and modification time is still the same; else all of them are read.
    """
    if is_elsewhere(link):
        return without_secrets(link)
    path = _path_of(link)
    paths = [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]
    describe = _fs.state if trust else _read
    return f"{path} {digest_of([[each, *describe(each)] for each in paths])}"


def _read(path: str) -> list[str]:
    """Give the digest of a file; nothing for what is none."""
    return [_fs.hash_file(path)] if os.path.isfile(path) else []


def digest_place(link: str) -> str:
    """Give a place of ``--find-links`` as it is known from machine to machine: what lies there, wherever that is.

    It is empty for a page on this machine, which may lead anywhere on it, and where something cannot be read.
    """
    if is_elsewhere(link):
        return without_secrets(link)
    path = _path_of(link)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else [os.path.basename(path)]
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    if any(name.lower().endswith((".html", ".htm")) for name in names):
        return ""
    paths = [(name, os.path.join(directory, name)) for name in names]
    try:
        return digest_of([[name, _fs.hash_file(each)] for name, each in paths if os.path.isfile(each)])
    except OSError:
        return ""


def hide_places(text: str, urls: Iterable[str]) -> str:
    """Give a text that names places so that only those understand it who know where they are: paths may hold tokens.

    :param urls: without secrets; in the text, they and the directories that they lie in become numbers.
    """
    for number, directory in _number_directories(urls):
        text = text.replace(directory, number)
    return text


def show_places(text: str, urls: Iterable[str]) -> str:
    """Give a text as it was before :func:`hide_places`."""
    for number, directory in _number_directories(urls):
        text = text.replace(number, directory)
    return text


def _number_directories(urls: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the directories that places are, or lie in, with a number for each: longer ones first."""
    for place, url in enumerate(urls):
        scheme, _, path = url.rstrip("/").partition("://")
        parts = path.split("/")
        for length in range(len(parts), 0, -1):
            yield f"{{{place}.{length}}}/", f"{scheme}://{'/'.join(parts[:length])}/"


def without_secrets(url: str) -> str:
    """Give a URL without user, password, query and fragment."""
    if "://" not in url:
        return url
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def is_elsewhere(link: str) -> bool:
    """Whether a place lies on another machine."""
    return "://" in link and not link.startswith("file:")


def _path_of(link: str) -> str:
    """Give the path of a place on this machine."""
    if not link.startswith("file:"):
        return link
    from urllib.parse import urlsplit

    return url_to_path(urlsplit(link).path)
