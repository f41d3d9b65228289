"""Text: messages compacted and free of secrets, values as people write them, paths as URLs and back."""

from __future__ import annotations

import os
import re

__all__ = [
    "compact",
    "escape_unprintable",
    "mask_secrets",
    "parse_boolean",
    "parse_size",
    "parse_timespan",
    "shown_lines",
    "without_users",
    "path_to_url",
    "url_to_path",
]

_MASK = "****"
_SIZE_UNITS = "kmgtp"
_TIME_UNITS = {
    1: ("", "s", "sec", "secs", "second", "seconds"),
    60: ("m", "min", "mins", "minute", "minutes"),
    3600: ("h", "hour", "hours"),
    86400: ("d", "day", "days"),
    604800: ("w", "week", "weeks"),
}


#: Beginnings of what is printed of what pip said of a plan.
_SHOWN = ("Requirement already satisfied:", "WARNING:", "Reason for being yanked:")


def shown_lines(text: str) -> str:
    """Give the lines that are printed of what pip said of a plan."""
    return "\n".join(line for line in text.splitlines() if line.startswith(_SHOWN))


def compact(text: str, **kw: object) -> str:
    """Give ``text`` on one line per paragraph, with the values of ``kw`` put in.

    :param text: a format string; every run of white space becomes one blank, blank lines separate paragraphs.
    :param kw: values for :meth:`str.format`. They go in last and so keep their white space and their braces: what comes
               from outside belongs here and never into ``text``.
    """
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).format(**kw)


def escape_unprintable(text: str) -> str:
    """Give ``text`` with a backslash and a code for what would move a terminal's cursor, colour or reorder its text."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def mask_secrets(text: str) -> str:
    """Give ``text`` with ``****`` for what may be secret in it: user and password, and the values of a URL's query.

    The user's name goes too, as some services take a token in its place. Outside of URLs, ``user:password@`` is masked
    at the beginning of a word: pip takes proxies in that form.
    """
    if "@" not in text and "://" not in text:
        return text
    # A URL ends before the punctuation of the sentence around it.
    text = re.sub(r"""://[^\s"<>]*[^\s"<>'`.,;:!)\]}]""", _mask_url, text)
    return re.sub(r"""(?<![^\s"'=(])[^\s"'=:/@]+:[^\s/]*@(?=[\w\[])""", f"{_MASK}@", text)


def without_users(text: str) -> str:
    """Give ``text`` with URLs that have no user and password, as pip shows them."""
    return re.sub(r"(?<=:)//[^/@]*@", "//", text)


def _mask_url(found: re.Match[str]) -> str:
    """Give what follows the scheme of a URL, masked. When in doubt, too much of it."""
    # Up to the last "@": passwords hold "@", "?" and "#" that nobody quoted. "/" too: then no port follows the ":".
    url = re.sub(r"://(?:[^/]*|[^/:@[]*:(?![0-9]+(?:/|$)).*)@", f"://{_MASK}@", found[0])
    location, mark, query = url.partition("?")
    query, sharp, fragment = query.partition("#")
    # A field without a name is a token for all we know.
    query = re.sub(r"(^|&)([^&=]*=)?[^&]+", rf"\1\2{_MASK}", query)
    return location + mark + query + sharp + fragment


def parse_boolean(text: str) -> bool:
    """Read a boolean, by the same words as ``humanfriendly.coerce_boolean``.

    :raises ValueError: it is none; the error's text says what is.
    """
    word = text.strip().lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("0", "no", "false", "off"):
        return False
    raise ValueError("yes, true, on, 1, no, false, off or 0")


def parse_size(text: str) -> int | None:
    """Read a number of bytes. As in ``humanfriendly.parse_size``, ``M`` and ``MB`` count by 1000, ``MiB`` by 1024.

    :returns: bytes, or ``None`` for ``unlimited``.
    :raises ValueError: it is no size; the error's text says what is.
    """
    word = text.strip().lower()
    if word == "unlimited":
        return None
    if found := re.fullmatch(rf"([0-9.]+)\s*(?:([{_SIZE_UNITS}])(i?)b?|b|bytes?)?", word):
        number, prefix, binary = found.groups()
        factor = (1024 if binary else 1000) ** (_SIZE_UNITS.index(prefix) + 1) if prefix else 1
        if (size := _multiply(number, factor)) is not None:
            return size
    raise ValueError("a number of bytes, a size such as 500M or 10 GiB, or unlimited")


def parse_timespan(text: str) -> int | None:
    """Read a span of time: a number of seconds, or a number with a unit from seconds (``s``) to weeks (``w``).

    :returns: seconds, or ``None`` for ``unlimited``.
    :raises ValueError: it is no span of time; the error's text says what is.
    """
    word = text.strip().lower()
    if word == "unlimited":
        return None
    if found := re.fullmatch(r"([0-9.]+)\s*([a-z]*)", word):
        for factor, names in _TIME_UNITS.items():
            if found[2] in names and (seconds := _multiply(found[1], factor)) is not None:
                return seconds
    raise ValueError("a number of seconds, a time such as 30m, 12h, 7d or 2w, or unlimited")


def _multiply(number: str, factor: int) -> int | None:
    """Give ``number`` times ``factor``, rounded down, or ``None`` if it is no number of a reasonable length."""
    found = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", number)
    if not found:
        return None
    fraction = found[2] or ""
    return int(found[1] + fraction) * factor // int(f"1{'0' * len(fraction)}")


def path_to_url(path: str) -> str:
    """Give the ``file:`` URL of an absolute path."""
    if os.name == "nt":
        from urllib.request import pathname2url

        return "file://" + pathname2url(path)
    from urllib.parse import quote  # the same, without ssl and what else urllib.request brings along

    return "file://" + quote(path)


def url_to_path(path: str) -> str:
    """Give the path that the path of a ``file:`` URL means."""
    if os.name == "nt":
        from urllib.request import url2pathname

        return url2pathname(path)
    from urllib.parse import unquote

    return unquote(path)
