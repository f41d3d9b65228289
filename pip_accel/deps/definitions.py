"""What is known about a platform: definition files, in which rules and names stand that no program can find out.

The format is documented in ``docs/system-packages.rst``. Those that come with pip-accel lie beside this module; the
user's own add to them, and to each other, and win.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from pip_accel._names import canonical_name
from pip_accel.config import expand_path
from pip_accel.exceptions import ConfigFileError

__all__ = ["Definition", "OWN", "check_owner", "find_definitions", "is_package_name", "read_definition"]

#: Directories of the user's own files, in the order in which they are read; later ones win.
OWN = ("/etc/pip-accel/deps", "~/.pip-accel/deps")

_COMMANDS = ("supported", "list", "install", "tool")
_KINDS = ("header", "library", "pkgconfig", "cmake", "dependency", "program", "newer")
_SECTIONS = ("commands", "harmless", "dependencies", "things", "names")

#: Packages that are needed together; of each, the names that it has in some release.
Needed = tuple[tuple[str, ...], ...]


class Definition(NamedTuple):
    """A definition file, or several put together."""

    path: str
    commands: Mapping[str, str]  #: ``supported``, ``list``, ``install`` and ``tool``, as far as they stand there
    sections: frozenset[str]  #: of packages that are harmless
    packages: frozenset[str]  #: that are harmless
    dependencies: Mapping[str, Needed]  #: by canonical name of the project
    things: Mapping[tuple[str, str], Needed]  #: by kind and name, of which that of a header may be a pattern
    names: Mapping[str, Needed]  #: by what people call it, in small letters

    def command(self, name: str) -> list[str]:
        """Give the words of a command, none if it does not stand there."""
        return shlex.split(self.commands.get(name, ""))

    def find_thing(self, kind: str, name: str) -> Needed | None:
        """Give what is written about a thing; ``None`` if nothing is, and nothing at all if no package helps."""
        found = self.things.get((kind, name))
        if found is None and kind in ("header", "cmake"):
            patterns = [
                each
                for place, each in self.things
                if place == kind and (fnmatchcase(name, each) if kind == "header" else name.lower() == each.lower())
            ]
            found = self.things[kind, max(patterns, key=len)] if patterns else None
        return found

    @property
    def vetted(self) -> frozenset[str]:
        """All packages that it names."""
        tables: Iterable[Needed] = (*self.dependencies.values(), *self.things.values(), *self.names.values())
        return self.packages.union(name for needed in tables for names in needed for name in names)

    def extended(self, other: Definition) -> Definition:
        """Give both together; where both say something, what the other one says."""
        return Definition(
            self.path,
            {**self.commands, **other.commands},
            self.sections | other.sections,
            self.packages | other.packages,
            {**self.dependencies, **other.dependencies},
            {**self.things, **other.things},
            {**self.names, **other.names},
        )


def read_definition(path: str) -> Definition:
    """Read a definition file.

    :raises ConfigFileError: it cannot be read, or holds what has no place in it.
    """
    marks = ("#", ";")
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=marks, inline_comment_prefixes=marks, interpolation=None
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with open(path, encoding="utf-8") as stream:
            parser.read_file(stream)
        for name in parser.sections():
            if name not in _SECTIONS:
                raise ValueError(f"[{name}] is none of its sections: {', '.join(_SECTIONS)}")
        commands = dict(parser["commands"]) if parser.has_section("commands") else {}
        for name, words in commands.items():
            if name not in _COMMANDS:
                raise ValueError(f"{name} is none of its commands: {', '.join(_COMMANDS)}")
            shlex.split(words)
        things = {}
        for key, value in _items(parser, "things"):
            kind, _, name = key.partition(" ")
            if not name:
                raise ValueError(f"{key} has no kind: write header {key}, for example")
            if kind not in _KINDS:
                raise ValueError(f"{kind} is none of the kinds of things: {', '.join(_KINDS)}")
            things[kind, name.strip()] = _needed(value)
        dependencies = {canonical_name(name): _needed(value) for name, value in _items(parser, "dependencies")}
        names = {name.lower(): _needed(value) for name, value in _items(parser, "names")}
    except (OSError, UnicodeDecodeError, ValueError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        text = "The definition file {path} cannot be used: {reason}"
        raise ConfigFileError(text, path=path, reason=reason) from error
    harmless = dict(_items(parser, "harmless"))
    return Definition(
        path,
        commands,
        frozenset(harmless.get("sections", "").split()),
        frozenset(harmless.get("packages", "").split()),
        dependencies,
        things,
        names,
    )


def _items(parser: configparser.ConfigParser, section: str) -> Sequence[tuple[str, str]]:
    return parser.items(section) if parser.has_section(section) else ()


def _needed(value: str) -> Needed:
    needed = tuple(tuple(word.split("|")) for word in value.split())
    for name in (name for names in needed for name in names):
        if not is_package_name(name):
            raise ValueError(f"{name!r} is no name of a package")
    return needed


def is_package_name(name: str) -> bool:
    """Whether something may be handed to a package manager as a name: it is no option, and nothing else than a name."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", name) is not None


def check_owner(path: str) -> str:
    """Give a path if nobody else can have written what lies there: the commands in such a file are run.

    :raises ConfigFileError: it belongs to another user than us or root, or others may write to it or its directory.
    """
    for each in (path, os.path.dirname(path)):
        try:
            found = os.stat(each)
        except OSError:  # whoever reads it says so
            continue
        if os.name != "nt" and (found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022):
            what = "it" if each == path else "its directory"
            reason = f"{what} belongs to another user, or others may write to it"
            raise ConfigFileError("The definition file {path} is not used: {reason}", path=path, reason=reason)
    return path


def find_definitions(directory: str) -> list[str]:
    """Give the paths of the definition files in a directory, sorted; none if there is no such directory."""
    directory = expand_path(directory)
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(".ini")]
