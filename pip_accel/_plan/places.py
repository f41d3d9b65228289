"""Places where pip looks for archives, as they are known from run to run: without secrets, and with what lies there."""

from __future__ import annotations

import os

from pip_accel import _fs
from pip_accel._digests import digest_of
from pip_accel._text import url_to_path

__all__ = ["describe_place", "digest_place", "is_elsewhere", "is_there", "without_secrets"]


def is_there(link: str) -> bool:
    """Whether a place of ``--find-links`` is there, as far as that can be told from here."""
    return is_elsewhere(link) or os.path.exists(_path_of(link))


def describe_place(link: str) -> str:
    """Give a place of ``--find-links``, with what lies there if it is a directory or a page of this machine."""
    if is_elsewhere(link):
        return without_secrets(link)
    path = _path_of(link)
    paths = [os.path.join(path, name) for name in sorted(os.listdir(path))] if os.path.isdir(path) else [path]
    return f"{path} {digest_of([[each, *_fs.state(each)] for each in paths])}"


def digest_place(link: str) -> str:
    """Give a place of ``--find-links`` as it is known from machine to machine: what lies there, wherever that is.

    It is empty for a page on this machine, which may lead anywhere on it.
    """
    if is_elsewhere(link):
        return without_secrets(link)
    path = _path_of(link)
    names = sorted(os.listdir(path)) if os.path.isdir(path) else [os.path.basename(path)]
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    if any(name.lower().endswith((".html", ".htm")) for name in names):
        return ""
    paths = [(name, os.path.join(directory, name)) for name in names]
    return digest_of([[name, _fs.hash_file(each)] for name, each in paths if os.path.isfile(each)])


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
