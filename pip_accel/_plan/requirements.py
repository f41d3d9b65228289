"""What was asked for: one requirement as pip accepts it on its command line and in requirement files (PEP 508).

``packaging`` takes 80 ms to import. Two expressions know the forms that nearly all requirements have, and no others:
what they match, ``packaging`` accepts with the same meaning.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from pip_accel._names import canonical_name, split_wheel_name
from pip_accel.exceptions import Unsupported

__all__ = ["Root", "parse_requirement"]


class Root(NamedTuple):
    """A requirement of the user, or a constraint."""

    name: str  #: canonical
    extras: tuple[str, ...]  #: canonical, sorted
    specifier: str  #: its clauses sorted, without blanks, joined by commas; empty when any version will do
    marker: str  #: as written, empty if there is none
    hashes: tuple[str, ...]  #: ``sha256:…``, as given by ``--hash``, in that order
    source: str  #: ``command line``, or the absolute path of a file and a line in it: ``/srv/requirements.txt:3``
    direct: str  #: absolute path of the wheel that was asked for, empty unless it was given by path or ``file:`` URL
    text: str  #: as written


_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_RELEASE = r"[0-9]+(?:\.[0-9]+)*"
_SUFFIX = r"(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?(?:\.dev[0-9]+)?"
_CLAUSE = (
    rf"(?:[<>]=?[ \t]*{_RELEASE}{_SUFFIX}"
    rf"|~=[ \t]*[0-9]+(?:\.[0-9]+)+{_SUFFIX}"
    rf"|[=!]=[ \t]*{_RELEASE}(?:\.\*|{_SUFFIX}(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?))"
)
_PLAIN = re.compile(
    rf"({_NAME})[ \t]*(?:\[[ \t]*({_NAME}(?:[ \t]*,[ \t]*{_NAME})*)[ \t]*\][ \t]*)?"
    rf"({_CLAUSE}(?:[ \t]*,[ \t]*{_CLAUSE})*)?"
)
_VARIABLE = (
    r"(?:python_(?:full_)?version|os_name|sys_platform|platform_(?:release|system|version|machine|python_implementation)"
    r"|implementation_(?:name|version)|extra)"
)
_STRING = r"""(?:'[^']*'|"[^"]*")"""
_OPERATOR = r"(?:[ \t]*(?:[=!~<>]=|<|>)[ \t]*|[ \t]+(?:not[ \t]+)?in[ \t]+)"
_TERM = rf"(?:{_VARIABLE}{_OPERATOR}{_STRING}|{_STRING}{_OPERATOR}{_VARIABLE})"
_PLAIN_MARKER = rf"{_TERM}(?:[ \t]+(?:and|or)[ \t]+{_TERM})*"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ARCHIVE = re.compile(r".\.(?:zip|whl|tar\.bz2|tbz|tar\.gz|tgz|tar|tar\.xz|txz|tlz|tar\.lz|tar\.lzma)$", re.IGNORECASE)
_EXTRAS = re.compile(r"(.+)\[([^\]]+)\]")
_WHEEL_VERSION = rf"{_RELEASE}{_SUFFIX}(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?"


def parse_requirement(text: str, source: str, hashes: tuple[str, ...] = ()) -> Root:
    """Understand a requirement as pip would; its rules for telling names, paths and URLs apart are not PEP 508's.

    :raises Unsupported: it is not a requirement, or one by directory, sdist, URL or version control.
    """
    looks_like_url = _URL.match(text.lstrip())
    wanted, _separator, marker = text.partition("; " if looks_like_url else ";")
    wanted, marker = wanted.strip(), marker.strip()
    _check_marker(marker, source)
    if looks_like_url:
        parsed = _from_wheel(_path_of(wanted, source), "", source)
    elif (path := _find_path(wanted, source)) is not None:
        parsed = _from_wheel(*path, source)
    elif plain := _PLAIN.fullmatch(wanted):
        parsed = Root(plain[1], tuple((plain[2] or "").split(",")), plain[3] or "", "", (), "", "", "")
    else:
        parsed = _parse_with_packaging(wanted, source)
    return Root(
        name=canonical_name(parsed.name),
        extras=tuple(sorted({canonical_name(extra.strip()) for extra in parsed.extras} - {""})),
        specifier=",".join(sorted(re.sub(r"\s+", "", parsed.specifier).split(","))),
        marker=marker,
        hashes=hashes,
        source=source,
        direct=parsed.direct,
        text=text,
    )


def _check_marker(marker: str, source: str) -> None:
    if not marker or re.fullmatch(_PLAIN_MARKER, marker):
        return
    from packaging.markers import InvalidMarker, Marker

    try:
        Marker(marker)
    except InvalidMarker as error:
        raise Unsupported("a requirement ({source}) has an invalid marker", source=source) from error


def _find_path(wanted: str, source: str) -> tuple[str, str] | None:
    """The path and the extras of a requirement that pip takes for a file."""
    stripped = _EXTRAS.fullmatch(wanted)
    name, extras = (stripped[1].rstrip(), stripped[2]) if stripped else (wanted, "")
    separators = [os.sep, os.altsep or os.sep]
    if (wanted.startswith(".") or any(each in wanted for each in separators)) and os.path.isdir(name):
        raise Unsupported("a requirement ({source}) is a directory", source=source)
    if not _ARCHIVE.search(name):
        return None
    path = os.path.abspath(name)
    if not os.path.isfile(path):
        before, at, _url = wanted.partition("@")
        if at and not before.startswith(".") and not any(each in before for each in separators):
            return None
        raise Unsupported("a requirement ({source}) looks like a file that does not exist", source=source)
    return path, extras


def _path_of(url: str, source: str) -> str:
    """The path that a ``file:`` URL names, when it is spelled as pip itself would spell it."""
    from urllib.parse import quote, unquote

    path = unquote(url.removeprefix("file://"))
    if url != "file://" + quote(path) or path != os.path.abspath(path) or not os.path.isfile(path):
        raise Unsupported("a requirement ({source}) is a URL", source=source)
    return path


def _from_wheel(path: str, extras: str, source: str) -> Root:
    wheel = split_wheel_name(os.path.basename(path))
    if wheel is None or not re.fullmatch(_WHEEL_VERSION, wheel.version):
        raise Unsupported("a requirement ({source}) is an archive other than a wheel", source=source, archive=path)
    return Root(wheel.name, tuple(extras.lower().split(",")), f"=={wheel.version}", "", (), "", path, "")


def _parse_with_packaging(wanted: str, source: str) -> Root:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(wanted)
    except InvalidRequirement as error:
        raise Unsupported("a requirement ({source}) cannot be understood", source=source) from error
    if not requirement.url:
        specifier, direct = str(requirement.specifier), ""
    else:
        wheel = _from_wheel(_path_of(requirement.url, source), "", source)
        if wheel.name != canonical_name(requirement.name):
            raise Unsupported("a requirement ({source}) and its wheel have different names", source=source)
        specifier, direct = "", wheel.direct
    return Root(requirement.name, tuple(requirement.extras), specifier, "", (), "", direct, "")
