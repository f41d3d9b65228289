"""What was asked for: one requirement as pip accepts it on its command line and in requirement files.

That is a requirement by name or by ``name @ URL`` (PEP 508), or a path or a URL alone: of a wheel, of an sdist, of a
directory that holds a project, or of a repository of version control.

``packaging`` takes 80 ms to import. Two expressions know the forms that nearly all requirements have, and no others:
what they match, ``packaging`` accepts with the same meaning.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from pip_accel import _fs
from pip_accel._names import canonical_name, split_sdist_name, split_wheel_name
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    #: in the order of first mention; a key given more than once has all its values, in their order
    ConfigSettings: TypeAlias = tuple[tuple[str, str | tuple[str, ...]], ...]

__all__ = ["Root", "parse_editable", "parse_requirement", "split_url"]


class Root(NamedTuple):
    """A requirement of the user, or a constraint."""

    #: canonical. Of an sdist without ``name @``: what its file name says, which its metadata may contradict, or empty;
    #: of a directory without it: empty
    name: str
    extras: tuple[str, ...]  #: canonical, sorted
    specifier: str  #: its clauses sorted, without blanks, joined by commas; empty when any version will do
    marker: str  #: as written, empty if there is none
    hashes: tuple[str, ...]  #: ``sha256:…``, as given by ``--hash``, in that order
    source: str  #: ``command line``, or the absolute path of a file and a line in it: ``/srv/requirements.txt:3``
    direct: str  #: absolute path of what was asked for by path or ``file:`` URL, else empty
    #: what is at ``direct``: ``wheel``, ``sdist`` or ``directory``; or at ``url``: ``archive`` or ``vcs``; else empty
    kind: str
    text: str  #: as written
    #: what the build backend gets if this project has to be built. From the command line and pip's settings for
    #: requirements on the command line only; for those in a file from their own lines only; none for constraints.
    #: Dependencies get none, unless they are themselves asked for
    config_settings: ConfigSettings
    url: str = ""  #: of what was asked for by a URL to elsewhere, with its fragment; may hold a password
    editable: bool = False


class _Wanted(NamedTuple):
    """What a requirement says without its marker, as spelled."""

    name: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    direct: str = ""
    kind: str = ""
    url: str = ""


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
_SCHEME = re.compile(
    r"(?:https?|git\+(?:https?|ssh|git|file)|hg\+(?:https?|ssh|file|static-http)|svn\+(?:https?|ssh|svn|file)"
    r"|bzr\+(?:https?|ssh|sftp|ftp|lp|file))://"
)
_FRAGMENTS = frozenset(("egg", "subdirectory", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"))
_EXTRAS = re.compile(r"(.+)\[([^\]]+)\]")
_EXTRA_NAMES = re.compile(rf"[ \t]*{_NAME}(?:[ \t]*,[ \t]*{_NAME})*[ \t]*")
_WHEEL_VERSION = rf"{_RELEASE}{_SUFFIX}(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?"


def parse_requirement(
    text: str, source: str, hashes: tuple[str, ...] = (), config_settings: ConfigSettings = ()
) -> Root:
    """Understand a requirement as pip would; its rules for telling names, paths and URLs apart are not PEP 508's.

    :raises Unsupported: it is not a requirement, or one of a kind that only pip can serve.
    """
    looks_like_url = _URL.match(text.lstrip())
    words, _separator, marker = text.partition("; " if looks_like_url else ";")
    words, marker = words.strip(), marker.strip()
    _check_marker(marker, source)
    if looks_like_url:
        wanted = _from_url(words, source)
    elif (path := _find_path(words, source)) is not None:
        wanted = _from_path(*path, source)
    elif plain := _PLAIN.fullmatch(words):
        wanted = _Wanted(plain[1], tuple((plain[2] or "").split(",")), plain[3] or "")
    else:
        wanted = _parse_with_packaging(words, source)
    return _make_root(wanted, marker, text, source, hashes, config_settings)


def parse_editable(text: str, source: str, config_settings: ConfigSettings = ()) -> Root:
    """Understand the value of ``-e`` as pip would.

    :raises Unsupported: it is not one, or of a kind that only pip can serve.
    """
    marker = ""
    stripped = _EXTRAS.fullmatch(text)
    path, extras = (stripped[1].rstrip(), stripped[2]) if stripped else (text, "")
    if os.path.isdir(path):
        wanted = _from_path(os.path.abspath(path), extras, source)
    elif text.startswith("file:"):
        bare, fields = split_url(text)
        if not fields.keys() <= {"egg"}:
            raise Unsupported("an editable requirement ({source}) is a URL of an unknown kind", source=source)
        wanted = _from_path(_path_of(bare, source), "", source)._replace(name=fields.get("egg", ""))
    elif _URL.match(text):
        wanted = _from_url(text, source)
    else:
        _words, _semicolon, marker = text.partition("; ")
        marker = marker.strip()
        _check_marker(marker, source)
        wanted = _parse_with_packaging(text.partition("; ")[0].strip(), source)
    if wanted.kind not in ("directory", "vcs") or (wanted.kind == "vcs" and not wanted.name):
        raise Unsupported("an editable requirement ({source}) is no directory of a project", source=source)
    return _make_root(wanted, marker, text, source, (), config_settings)._replace(editable=True)


def _make_root(
    wanted: _Wanted, marker: str, text: str, source: str, hashes: tuple[str, ...], config_settings: ConfigSettings
) -> Root:
    return Root(
        name=canonical_name(wanted.name),
        extras=tuple(sorted({canonical_name(extra.strip()) for extra in wanted.extras} - {""})),
        specifier=",".join(sorted(re.sub(r"\s+", "", wanted.specifier).split(","))),
        marker=marker,
        hashes=hashes,
        source=source,
        direct=wanted.direct,
        kind=wanted.kind,
        text=text,
        config_settings=config_settings,
        url=wanted.url,
    )


def split_url(url: str) -> tuple[str, dict[str, str]]:
    """Give a URL without its fragment, and the fields of that: ``egg``, ``subdirectory`` and hashes."""
    from urllib.parse import unquote

    bare, _sharp, fragment = url.partition("#")
    fields = (field.partition("=") for field in fragment.split("&") if field)
    return bare, {name: unquote(value) for name, _equals, value in fields}


def _from_url(url: str, source: str) -> _Wanted:
    """What pip takes a URL alone for."""
    bare, fields = split_url(url)
    if url.startswith("file:"):
        exact = bare if fields.keys() == {"sha256"} else url
        path = _path_of(exact, source)
        if exact != url and not (os.path.isfile(path) and _fs.hash_file(path) == fields["sha256"].lower()):
            raise Unsupported("a requirement ({source}) is a URL of something else", source=source)
        return _from_path(path, "", source)
    egg = fields.get("egg", "")
    if not _SCHEME.match(url) or not fields.keys() <= _FRAGMENTS or (egg and not re.fullmatch(_NAME, egg)):
        raise Unsupported("a requirement ({source}) is a URL of an unknown kind", source=source)
    if not url.startswith("http"):
        return _Wanted(egg, kind="vcs", url=url)
    wheel = _wheel_at(bare)
    if wheel is not None and "subdirectory" in fields:
        raise Unsupported("a requirement ({source}) is a directory in a wheel", source=source)
    if wheel is not None:
        return _Wanted(*wheel, kind="archive", url=url)
    return _Wanted(egg, kind="archive", url=url)


def _wheel_at(url: str) -> tuple[str, tuple[str, ...], str] | None:
    """Name, extras and specifier of the wheel at a URL, if it is one."""
    from urllib.parse import unquote

    filename = unquote(url.partition("?")[0].rpartition("/")[2])
    wheel = split_wheel_name(filename) if filename.endswith(".whl") else None
    if wheel is None or not re.fullmatch(_WHEEL_VERSION, wheel.version):
        return None
    return wheel.name, (), f"=={wheel.version}"


def _check_marker(marker: str, source: str) -> None:
    if not marker or re.fullmatch(_PLAIN_MARKER, marker):
        return
    from packaging.markers import InvalidMarker, Marker

    try:
        Marker(marker)
    except InvalidMarker as error:
        raise Unsupported("a requirement ({source}) has an invalid marker", source=source) from error


def _find_path(words: str, source: str) -> tuple[str, str] | None:
    """The path and the extras of a requirement that pip takes for a file or a directory."""
    stripped = _EXTRAS.fullmatch(words)
    name, extras = (stripped[1].rstrip(), stripped[2]) if stripped else (words, "")
    if _looks_like_path(words) and os.path.isdir(os.path.abspath(name)):
        return os.path.abspath(name), extras
    if not _ARCHIVE.search(name):
        return None
    path = os.path.abspath(name)
    if not os.path.isfile(path):
        before, at, _url = words.partition("@")
        if at and not _looks_like_path(before):
            return None
        raise Unsupported("a requirement ({source}) looks like a file that does not exist", source=source)
    return path, extras


def _looks_like_path(words: str) -> bool:
    return words.startswith(".") or os.sep in words or (os.altsep or os.sep) in words


def _path_of(url: str, source: str) -> str:
    """The path that a ``file:`` URL names, when it is spelled as pip itself would spell it.

    Then it does not matter for ``direct_url.json`` whether the path or the URL was given.
    """
    from urllib.parse import quote, unquote

    path = unquote(url.removeprefix("file://"))
    if url != "file://" + quote(path) or path != os.path.abspath(path) or not os.path.exists(path):
        raise Unsupported("a requirement ({source}) is a URL", source=source)
    return path


def _from_path(path: str, extras: str, source: str) -> _Wanted:
    """What pip takes a path for that exists.

    :raises Unsupported: nothing that it can install.
    """
    if extras and not _EXTRA_NAMES.fullmatch(extras):
        raise Unsupported("a requirement ({source}) has extras that cannot be understood", source=source)
    wanted = _Wanted("", tuple(extras.lower().split(",")), direct=path)
    filename = os.path.basename(path)
    if os.path.isdir(path):
        # pip takes a directory for a wheel that is called like one, and then fails.
        if filename.endswith(".whl") or not any(
            os.path.isfile(os.path.join(path, name)) for name in ("pyproject.toml", "setup.py")
        ):
            raise Unsupported("a requirement ({source}) is a directory without a project", source=source)
        return wanted._replace(kind="directory")
    if not _ARCHIVE.search(filename):
        raise Unsupported("a requirement ({source}) is a file that is no archive", source=source)
    if not filename.lower().endswith(".whl"):
        parts = split_sdist_name(filename)
        name = parts[0] if parts and re.fullmatch(_NAME, parts[0]) else ""
        return wanted._replace(name=name, kind="sdist")
    wheel = split_wheel_name(filename)
    # pip takes ``.WHL`` for an sdist.
    if wheel is None or not re.fullmatch(_WHEEL_VERSION, wheel.version) or not filename.endswith(".whl"):
        raise Unsupported("a requirement ({source}) has not the name of a wheel", source=source)
    return wanted._replace(name=wheel.name, specifier=f"=={wheel.version}", kind="wheel")


def _parse_with_packaging(words: str, source: str) -> _Wanted:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(words)
    except InvalidRequirement as error:
        raise Unsupported("a requirement ({source}) cannot be understood", source=source) from error
    name, extras = requirement.name, tuple(requirement.extras)
    if not requirement.url:
        return _Wanted(name, extras, str(requirement.specifier))
    found = _from_url(requirement.url, source)
    if found.specifier and found.name != canonical_name(name):
        raise Unsupported("a requirement ({source}) and its wheel have different names", source=source)
    return _Wanted(name, extras, direct=found.direct, kind=found.kind, url=found.url)
