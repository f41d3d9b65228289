"""What a distribution may have: names that stay in their place, and no files that belong to others.

Anybody may have made it. What pip would install all the same, though nobody makes it who means well, is left to pip
where it is a wheel, is not taken where it comes from a cache, and is never written into one.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterable

from pip_accel._names import canonical_name
from pip_accel._values import Launcher
from pip_accel.exceptions import UnsafeArchive

__all__ = ["WRITTEN_AT_INSTALLATION", "check_member_name", "find_fault", "is_script_name"]

#: What pip writes into ``*.dist-info``.
WRITTEN_AT_INSTALLATION = frozenset(("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"))
_LONGEST_PATH, _LONGEST_NAME = 1024, 255  # bytes

#: What means something else on another system or to who looks at it, in the name of a file: control characters but for
#: line feeds, those that turn text, halves of characters, and Windows' ways to other directories.
_ODD = re.compile(
    "[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    r"|^[A-Za-z]:[\\/]|^\\|(?:^|[\\/])\.\.(?:[\\/]|$)"
)
#: Names of scripts that are none for a shell.
_SCRIPT = re.compile(r"\w[\w.+@~-]*")
#: What an environment cannot do without, and no distribution brings, but for pip.
_PROGRAMS = re.compile(r"(?:(?:python|pypy)w?[\d.]*t?|(?P<pip>pip[\d.]*)|activate(?:[._].*)?)(?:\.exe)?", re.IGNORECASE)
#: Names that mean a device on Windows, whatever follows a dot, and what no name there may contain or end with.
_RESERVED = re.compile(
    r"(?:.*/)?(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])[ ]*(?:[.:][^/]*)?(?:/.*)?"
    r"|.*[\0-\x1f\"*:<>?|\\].*|(?:.*/)?(?!\.{1,2}(?:/|$))[^/]*[. ](?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)


def check_member_name(name: str, archive: str) -> str:
    """Give the normalised name of a member, relative and below its root.

    :raises UnsafeArchive: it would be written outside of that.
    """
    parts = name.split("/")
    foreign = os.name == "nt" and _RESERVED.fullmatch(name) is not None
    if not name or name.startswith("/") or ".." in parts or "\0" in name or foreign:
        raise UnsafeArchive(
            "{archive} has a member named {name!r}, which would land outside of its place: nothing was installed.",
            archive=archive,
            name=name,
        )
    if "" not in parts and "." not in parts:  # as with nearly all, and there are thousands
        return name
    return "/".join(part for part in parts if part not in ("", "."))


def find_fault(
    project: str,
    lib: str,
    dist_info: str,
    places: Collection[tuple[str, str]],
    launchers: Collection[Launcher],
    *,
    strict: bool = True,
) -> str | None:
    """Say what a distribution has that nobody would put into one who means well, or ``None`` if there is no such thing.

    :param places: of its files: schemes, and normalised paths in them.
    :param strict: also what only some file systems allow, and other programs stumble over.
    """
    names = [path for _, path in places]
    names += [launcher.name for launcher in launchers]
    text = "".join(names)
    short = max(map(len, names), default=0) <= (_LONGEST_NAME if text.isascii() else _LONGEST_NAME // 4)
    # Looking at them one by one takes longer than all the rest.
    if not short or not text.isprintable() or "\\" in text or ":/" in text:
        for name in names:
            if _ODD.search(name) or _is_long(name, strict) or (strict and "\n" in name):
                return f"{name[:100]!r}, which is no good name"
    clash = _find_clash(places, launchers)
    if clash is not None:
        return clash
    for path in {path.partition("/")[0] for scheme, path in places if scheme == lib}:
        if path.lower().endswith(".dist-info") and path != dist_info:
            return f"{path!r}, the metadata of another distribution"
    if not {f"{dist_info}/{name}" for name in WRITTEN_AT_INSTALLATION}.isdisjoint(
        posixpath.dirname(path) for scheme, path in places if scheme == lib and path.startswith(dist_info)
    ):
        return "a directory where a file will be"
    for scheme, path in places:
        if scheme != lib and _is_of_others(scheme, path, project):
            return f"{path!r}, which belongs to another"
    for launcher in launchers:
        if _is_of_others("scripts", launcher.name, project):
            return f"{launcher.name!r}, which belongs to another"
    return None


def is_script_name(name: str) -> bool:
    """Whether a script may be called so: it is no word of a shell's, and no path."""
    return _SCRIPT.fullmatch(name) is not None and not _is_long(name, True)


def _is_long(name: str, strict: bool) -> bool:
    encoded = name.encode()
    return len(encoded) > _LONGEST_PATH or (strict and max(map(len, encoded.split(b"/"))) > _LONGEST_NAME)


def _find_clash(places: Collection[tuple[str, str]], launchers: Iterable[Launcher]) -> str | None:
    """Say which files would be one on a file system that does not tell case or Unicode's forms, or are directories."""
    paths = [f"{scheme}/{path}" for scheme, path in places]
    paths += dict.fromkeys(f"scripts/{launcher.name}" for launcher in launchers)
    folded = _fold("\0".join(paths)).split("\0")
    known = set(folded)
    if len(known) != len(folded):
        seen: dict[str, str] = {}
        for path, key in zip(paths, folded, strict=True):
            if key in seen:
                return f"{path!r}, which is {seen[key]!r} for some file systems"
            seen[key] = path
    directories: set[str] = set()
    for directory in {key.rpartition("/")[0] for key in folded}:
        while directory and directory not in directories:
            directories.add(directory)
            directory = directory.rpartition("/")[0]
    both = directories & known
    return f"{min(both)!r}, which is a directory as well" if both else None


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    from unicodedata import normalize

    return normalize("NFC", normalize("NFC", text).casefold())


def _is_of_others(scheme: str, path: str, project: str) -> bool:
    """Whether a file outside of a distribution's own library belongs to the environment, or to another distribution."""
    top, _, name = path.rpartition("/")
    if scheme in ("purelib", "platlib"):
        return path.partition("/")[0].lower().endswith((".dist-info", ".egg-info"))
    if any(part.endswith((".dist-info", ".egg-info")) for part in path.lower().split("/")):
        return True
    if scheme == "data" and name.lower().endswith(".pth"):
        return True
    program = _PROGRAMS.fullmatch(name) if scheme == "scripts" or top.lower() in ("bin", "scripts") else None
    return program is not None and (program["pip"] is None or canonical_name(project) != "pip")
