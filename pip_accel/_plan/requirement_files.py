"""Requirement and constraint files, as ``pip._internal.req.req_file`` reads them."""

from __future__ import annotations

import codecs
import os
import re
from typing import NamedTuple

from pip_accel._plan.options import Given, scan
from pip_accel._plan.pylock import is_lock
from pip_accel._text import url_to_path
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Line", "decode", "is_remote", "locate", "read_requirement_file"]


class Line(NamedTuple):
    """One line of a requirement or constraint file, comments and continuations resolved."""

    path: str  #: of its file, absolute; or its URL
    number: int  #: of the first of the lines it was joined from
    requirement: str  #: empty if the line has options only
    given: tuple[Given, ...]
    constraint: bool  #: whether the file is a constraint file
    last: int = 0  #: number of the last of the lines it was joined from
    included: str = ""  #: path or URL of the file that it includes
    shown: str = ""  #: its file as pip names that in its lines


_REMOTE = re.compile(r"https?:", re.IGNORECASE)
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
#: longer marks before those they begin with
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_requirement_file(
    path: str,
    *,
    constraint: bool,
    environ: Mapping[str, str],
    read: Callable[[str], bytes],
    parents: tuple[str, ...] = (),
    shown: str = "",
) -> Iterator[Line]:
    """The lines of a file, each followed by those of the file that it includes, if any.

    :param path: as written: relative to the working directory, or for an included file absolute; or a URL.
    :param read: gives the contents of a file by its absolute path or its URL, or raises :class:`OSError`.
    :param parents: the files that include this one.
    :param shown: as pip names the file in its lines, if that is not ``path``.
    :raises Unsupported: a file that pip cannot read either, or one that only pip itself can serve.
    """
    shown = shown or path
    if is_lock(path):
        raise Unsupported("only pip itself can serve {path}", path=path)
    path = locate(path)
    if path in parents:
        raise Unsupported("{path} includes itself", path=path)
    try:
        # pip guesses the encoding of what it gets by a URL.
        content = read(path).decode("ascii") if _is_url(shown) else decode(read(path))
    except (OSError, LookupError, ValueError) as error:
        raise Unsupported("{path} cannot be read: {error}", path=path, error=type(error).__name__) from error
    for number, last, text in _join_lines(content.splitlines()):
        text = _expand_variables(_COMMENT.sub("", text).strip(), environ)
        if not text:
            continue
        line = _parse_line(path, number, text, constraint)._replace(last=last, shown=shown)
        nested = _included(line.given) if not line.requirement else None
        if nested is None:
            yield line
            continue
        name, is_constraint = nested
        there, name_shown = (_join(place, name) for place in (path, shown))
        yield line._replace(included=locate(there))
        yield from read_requirement_file(
            there,
            constraint=is_constraint,
            environ=environ,
            read=read,
            parents=(*parents, path),
            shown=name_shown,
        )


def is_remote(name: str) -> bool:
    """Whether a file lies on another machine."""
    return bool(_REMOTE.match(name))


def _is_url(name: str) -> bool:
    return name.lower().startswith(("http:", "https:", "file:"))


def locate(path: str) -> str:
    """Give a path as an absolute one; a URL of another machine stays what it is."""
    if path.lower().startswith("file:"):
        from urllib.parse import urlsplit

        try:
            return url_to_path(urlsplit(path).path)
        except ValueError as error:
            raise Unsupported("{path} is no URL: {error}", path=path, error=error) from error
    return path if is_remote(path) else os.path.abspath(path)


def _join(place: str, name: str) -> str:
    """Give the file that a file names, both as they are written."""
    if _is_url(place):
        from urllib.parse import urljoin

        return urljoin(place, name)
    return name if _is_url(name) else os.path.abspath(os.path.join(os.path.dirname(place), name))


def decode(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    for line in content.split(b"\n", 2)[:2]:
        if line.startswith(b"#") and (coding := _CODING.search(line)):
            return content.decode(coding[1].decode("ascii"))
    # Where this fails pip warns, and tries the encoding of the locale: the caller leaves that to pip.
    return content.decode("utf-8")


def _join_lines(lines: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Undo continuations; give the numbers of the first line and the last, and their text.

    A comment ends one, even if a backslash ends the comment.
    """
    parts: list[str] = []
    first = 0
    for number, line in enumerate(lines, 1):
        first = first if parts else number
        comment = _COMMENT.match(line)
        if line.endswith("\\") and not comment:
            parts.append(line.strip("\\"))
            continue
        # The blank lets the comment be recognised behind what it is joined to.
        yield first, number, "".join([*parts, " " + line if comment else line])
        parts = []
    if parts:
        yield first, number, "".join(parts)


def _expand_variables(text: str, environ: Mapping[str, str]) -> str:
    """Variables that are unset or empty stay as they are written."""
    for name in _VARIABLE.findall(text) if "${" in text else ():
        if value := environ.get(name):
            text = text.replace(f"${{{name}}}", value)
    return text


def _parse_line(path: str, number: int, text: str, constraint: bool) -> Line:
    """Only words from the first one on that begins with a dash are split as a shell would: markers have quotes too."""
    tokens = text.split(" ")
    options = next((place for place, token in enumerate(tokens) if token.startswith("-")), len(tokens))
    requirement = " ".join(tokens[:options])
    try:
        words = _split(" ".join(tokens[options:]))
        given = scan(words, "f").given
    except (Unsupported, ValueError) as error:
        raise Unsupported(
            "line {number} of {path} cannot be understood: {error}", number=number, path=path, error=error
        ) from error
    return Line(path, number, requirement, given, constraint)


def _split(text: str) -> list[str]:
    if not any(each in text for each in "'\"\\"):
        return text.split()
    import shlex

    return shlex.split(text)


def _included(given: Iterable[Given]) -> tuple[str, bool] | None:
    """The file that a line includes, and whether as constraints: the first ``-r``, else the first ``-c``."""
    for dest in ("requirements", "constraints"):
        for each in given:
            if each.option.dest == dest:
                return each.value, dest == "constraints"
    return None
