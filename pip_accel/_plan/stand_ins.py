"""What pip is asked in place of requirements by URL, and of editables: local things that it can plan with.

For what is found by URL that is a wheel of nothing but metadata, for an editable its directory. Both have been fetched
and described before, so that pip opens no connection, builds nothing and changes nothing when it plans. Words and
requirement files are handed to it with the stand-ins in their places, line by line; what it says is led back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pip_accel import _fs
from pip_accel._metadata import read_headers
from pip_accel._names import leading_name
from pip_accel._plan.arguments import Request
from pip_accel._plan.options import Given, scan
from pip_accel._plan.requirement_files import Line, decode, is_remote, locate
from pip_accel._plan.requirements import Root, split_url
from pip_accel._text import path_to_url, without_users
from pip_accel._values import Archive
from pip_accel.exceptions import Unsupported

__all__ = ["StandIn", "Substituted", "lead_back", "needs_stand_in", "reword", "shown_as", "substitute", "write_stub"]

_WHEEL = "Wheel-Version: 1.0\nGenerator: pip-accel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class StandIn(NamedTuple):
    """What takes the place of a requirement by URL, or of an editable."""

    name: str  #: canonical
    path: str  #: absolute, of a wheel without modules, or of a directory
    archive: Archive  #: what is installed
    direct: Mapping[str, Any]  #: contents of ``direct_url.json``
    editable: bool


class Substituted(NamedTuple):
    """A request with stand-ins in it."""

    request: Request
    stand_ins: Mapping[str, StandIn]  #: by the URL that pip finds them under
    shown: tuple[tuple[str, str], ...]  #: what pip says of stand-ins and their files, and what it would say without
    nested: tuple[Root, ...] = ()  #: what is not asked for, but required by a ``file:`` URL


def needs_stand_in(root: Root) -> bool:
    return root.editable or bool(root.url)


def write_stub(metadata: bytes, directory: str) -> str:
    """Write a wheel that has core metadata and nothing else; give its path.

    :raises Unsupported: there is no wheel for such a name or version.
    """
    import zipfile

    headers = read_headers(metadata)
    name = re.sub("[-_.]+", "_", headers.get("name", ""))
    version = headers.get("version", "").replace("-", "_")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or not re.fullmatch(r"[\w.!+]+", version):
        raise Unsupported("{name} {version} cannot be the name of a wheel", name=name, version=version)
    info = f"{name}-{version}.dist-info"
    path = os.path.join(directory, f"{name}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", _WHEEL)
        archive.writestr(f"{info}/RECORD", "".join(f"{info}/{each},,\n" for each in ("METADATA", "WHEEL", "RECORD")))
    return path


def substitute(request: Request, find: Callable[[Root], StandIn | None], directory: str) -> Substituted:
    """Put stand-ins into a request.

    :param find: gives that of a requirement; ``None`` if it does not count in the target.
    :param directory: where requirement files are written.
    :raises Unsupported: pip's settings have a say in it.
    """
    remote = any(map(is_remote, request.files))
    if not remote and not any(map(needs_stand_in, request.requirements)):
        return Substituted(request, {}, ())
    if request.locks:
        raise Unsupported("a lock, and something that is asked for by URL")
    if request.from_settings:
        raise Unsupported("pip's settings name requirement files or editables, and something is asked for by URL")
    editables = {os.path.realpath(root.direct) for root in request.requirements if root.editable and root.direct}
    if any(
        root.kind == "directory" and not root.editable and os.path.realpath(root.direct) in editables
        for root in request.requirements
    ):
        raise Unsupported("a directory is asked for as editable and as it is")
    asked = ((root, find(root)) for root in request.requirements if needs_stand_in(root))
    found = {root: stand_in for root, stand_in in asked if stand_in is not None}
    hashes = request.manner.require_hashes
    texts = {(root.source, root.text): _spell(root, each, hashes) for root, each in found.items()}
    requirements = tuple(_known_now(root, found.get(root)) for root in request.requirements)
    copies = _copy_files(request, texts, directory)
    return Substituted(
        request._replace(
            requirements=requirements,
            command_words=reword(request.command_words, texts, copies),
        ),
        {path_to_url(each.path): each for each in found.values()},
        (
            *((copies[line.path], line.shown) for line in {line.path: line for line in request.lines}.values()),
            *(pair for root, each in found.items() for pair in shown_as(root, each)),
        ),
    )


def _known_now(root: Root, stand_in: StandIn | None) -> Root:
    if stand_in is None:
        return root
    return root._replace(name=stand_in.name, direct=stand_in.path)


def _spell(root: Root, stand_in: StandIn, hashed: bool) -> str:
    """Give what pip is asked for in place of a requirement, with the name and extras that the user wrote."""
    extras = f"[{','.join(root.extras)}]" if root.extras else ""
    marker = f" ; {root.marker}" if root.marker else ""
    name = _written_name(root)
    if not name and not root.url:
        return stand_in.path + extras + marker
    url = path_to_url(stand_in.path)
    if hashed:
        url += f"#sha256={_fs.hash_file(stand_in.path)}"
    return (f"{name}{extras} @ {url}" if name else url) + marker


def _written_name(root: Root) -> str:
    """Give the name of a requirement by URL as the user wrote it, or nothing if there is none."""
    name, at, _url = root.text.partition("@")
    if at and ":" not in name:
        return leading_name(name.strip())
    return split_url(root.url or root.text)[1].get("egg", "")


def shown_as(root: Root, stand_in: StandIn) -> list[tuple[str, str]]:
    """Give what pip says of a stand-in, and what it would say of the requirement."""
    named = root.text.partition("@")[1] and ":" not in root.text.partition("@")[0]
    url = without_users(root.url or path_to_url(stand_in.path))
    pairs = [(f" @ {path_to_url(stand_in.path)}", f" @ {url}" if named else "")]
    return [*pairs, (f" (from {stand_in.path})", f" (from {url})")] if root.url else pairs


def _copy_files(request: Request, texts: Mapping[tuple[str, str], str], directory: str) -> dict[str, str]:
    """Write the requirement and constraint files anew, each line where it was; give the new paths by the old ones."""
    copies = {path: os.path.join(directory, f"{number}.txt") for number, path in enumerate(request.contents)}
    for path, copy in copies.items():
        lines = decode(request.contents[path]).splitlines()
        lines[:2] = ["" if line.startswith("#") else line for line in lines[:2]]  # which may name another encoding
        for line in request.lines:
            if line.path == path:
                text = _rewrite(line, texts, copies)
                if text is not None:
                    lines[line.number - 1 : line.last] = [text, *[""] * (line.last - line.number)]
        _fs.write_file(copy, "\n".join(lines) + "\n")
    return copies


def _rewrite(line: Line, texts: Mapping[tuple[str, str], str], copies: Mapping[str, str]) -> str | None:
    """Give a line as pip is to read it, or ``None`` if that is as it was."""
    import shlex

    source = f"{line.path}:{line.number}"
    if line.included:
        constraint = all(each.option.dest != "requirements" for each in line.given)
        return f"{'-c' if constraint else '-r'} {shlex.quote(copies[line.included])}"
    if line.requirement:
        return texts.get((source, line.requirement))
    editables = [each.value for each in line.given if each.option.dest == "editables"]
    if editables:
        return texts.get((source, editables[0]))
    links = [each for each in line.given if each.option.dest == "find_links"]
    if links:
        beside = os.path.join(os.path.dirname(os.path.abspath(line.shown)), links[0].value)
        if os.path.exists(beside):
            return " ".join(shlex.quote(_word(each, beside if each is links[0] else each.value)) for each in line.given)
    return None


def reword(words: Sequence[str], texts: Mapping[tuple[str, str], str], copies: Mapping[str, str]) -> tuple[str, ...]:
    """Put other requirements and other files into words.

    :param texts: requirements, by where those stand that they take the place of, and by their text.
    :param copies: paths of files, by those that they take the place of.
    """
    scanned = scan(words, "i")
    options: list[str] = []
    editables: list[str] = []
    for given in scanned.given:
        if given.option.dest == "editables":
            editables.append(texts.get(("command line", given.value), given.value))
        elif given.option.dest in ("requirements", "constraints"):
            options.append(_word(given, copies.get(locate(given.value), given.value)))
        else:
            options.append(_word(given, given.value))
    positional = (texts.get(("command line", word), word) for word in scanned.positional)
    return (*options, *positional, *editables)


def _word(given: Given, value: str) -> str:
    return f"{given.option.long}={value}" if given.option.takes_value else given.option.long


def lead_back(text: str, shown: Iterable[tuple[str, str]]) -> str:
    """Give what pip said with the names of files and URLs that the user knows."""
    for strange, known in shown:
        text = text.replace(strange, known)
    return text
