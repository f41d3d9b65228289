"""Requirement and constraint files, as ``pip._internal.req.req_file`` reads them."""

from __future__ import annotations

import codecs
import os
import re
from typing import NamedTuple

from pip_accel._plan.options import Given, scan
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Line", "read_requirement_file"]


class Line(NamedTuple):
    """One line of a requirement or constraint file, comments and continuations resolved."""

    path: str  #: of its file, absolute
    number: int  #: of the first of the lines it was joined from
    requirement: str  #: empty if the line has options only
    given: tuple[Given, ...]
    constraint: bool  #: whether the file is a constraint file


_REMOTE = re.compile(r"(?:http|https|file):", re.IGNORECASE)
_PYLOCK = re.compile(r"pylock(?:\.[^.]+)?\.toml")
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
) -> Iterator[Line]:
    """The lines of a file, each followed by those of the file that it includes, if any.

    :param path: as written: relative to the working directory, or for an included file absolute.
    :param read: gives the contents of a file by its absolute path, or raises :class:`OSError`.
    :param parents: the files that include this one.
    :raises Unsupported: a file that pip cannot read either, or one that only pip itself can serve.
    """
    if _REMOTE.match(path):
        raise Unsupported("a requirement file is given by a URL")
    if _PYLOCK.fullmatch(os.path.basename(path).partition("[")[0]):
        raise Unsupported("only pip itself can serve {path}", path=path)
    path = os.path.abspath(path)
    if path in parents:
        raise Unsupported("{path} includes itself", path=path)
    try:
        content = _decode(read(path))
    except (OSError, LookupError, ValueError) as error:
        raise Unsupported("{path} cannot be read: {error}", path=path, error=type(error).__name__) from error
    for number, text in _join_lines(content.splitlines()):
        text = _expand_variables(_COMMENT.sub("", text).strip(), environ)
        if not text:
            continue
        line = _parse_line(path, number, text, constraint)
        yield line
        if not line.requirement and (nested := _included(line.given)):
            name, is_constraint = nested
            if not _REMOTE.match(name):
                name = os.path.join(os.path.dirname(path), name)
            yield from read_requirement_file(
                name, constraint=is_constraint, environ=environ, read=read, parents=(*parents, path)
            )


def _decode(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    for line in content.split(b"\n", 2)[:2]:
        if line.startswith(b"#") and (coding := _CODING.search(line)):
            return content.decode(coding[1].decode("ascii"))
    # Where this fails pip warns, and tries the encoding of the locale: the caller leaves that to pip.
    return content.decode("utf-8")


def _join_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Undo continuations. A comment ends one, even if a backslash ends the comment."""
    parts: list[str] = []
    first = 0
    for number, line in enumerate(lines, 1):
        first = first if parts else number
        comment = _COMMENT.match(line)
        if line.endswith("\\") and not comment:
            parts.append(line.strip("\\"))
            continue
        # The blank lets the comment be recognised behind what it is joined to.
        yield first, "".join([*parts, " " + line if comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)


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
