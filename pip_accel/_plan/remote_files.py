"""Requirement files on other machines, fetched in the way that pip would, or left to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pip_accel._text import mask_secrets
from pip_accel.exceptions import NothingFound, Unsupported

__all__ = ["fetch_file", "refuse_file"]

#: Options that say how pip reaches other machines: where one is set, pip does.
_CONNECTION = ("cert", "client_cert", "proxy", "no_proxy_env", "trusted_hosts")
_LIMIT = 15.0  # seconds, as pip's own


def fetch_file(url: str, options: Mapping[str, Any]) -> bytes:
    """Give the contents of a requirement file at a URL.

    :param options: values of pip's options.
    :raises Unsupported: it is not simply there, for anybody: pip asks keyrings, follows its settings, and tries again.
    """
    from http.client import HTTPException
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if "@" in urlsplit(url).netloc or any(options.get(each) for each in _CONNECTION) or _has_netrc():
        raise Unsupported("a requirement file is given by a URL that takes pip's settings to read")
    try:
        with urlopen(Request(url, headers={"User-Agent": "pip-accel"}), timeout=_LIMIT) as answer:
            if answer.url != url:  # what it includes is looked for beside where it is
                raise Unsupported("a requirement file is given by a URL that leads elsewhere")
            content: bytes = answer.read()
            return content
    except (HTTPException, OSError, ValueError) as error:
        raise Unsupported("a requirement file is given by a URL that cannot be read: {error}", error=error) from error


def refuse_file(url: str, options: Mapping[str, Any]) -> bytes:
    """Do instead of :func:`fetch_file` where no connection may be opened.

    :raises NothingFound: always.
    """
    message = "The requirement file {url} is on another machine, and offline = yes forbids to ask there"
    raise NothingFound(message, url=mask_secrets(url), status=1)


def _has_netrc() -> bool:
    """Whether pip may find a password for the URL."""
    names = (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")
    return any(name and os.path.exists(os.path.expanduser(name)) for name in names)
