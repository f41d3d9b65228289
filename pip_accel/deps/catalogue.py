"""From things that are missing to packages that have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pip_accel.deps.definitions import Definition, Needed, is_package_name
from pip_accel.deps.file_index import FileIndex, Provider
from pip_accel.deps.output import Missing

__all__ = ["Catalogue", "Package"]

#: More packages than this have a header of that name in some directory: then none of them is meant.
_MANY = 2
#: What sentences are about that tell of something else than a library.
_NO_NAMES = frozenset(
    (
        "a", "an", "and", "any", "at", "available", "be", "build", "builder", "building", "c", "class",
        "code", "command", "compiler", "config", "configuration", "configure", "cython", "data",
        "dependencies", "dependency", "development", "directory", "distribution", "file", "files", "for",
        "function", "git", "header", "headers", "in", "installation", "installed", "instructions", "it",
        "its", "lib", "libraries", "library", "make", "manually", "metadata", "method", "module", "modules",
        "must", "name", "no", "not", "numpy", "of", "on", "option", "or", "package", "packages", "path",
        "pip", "please", "program", "pybind11", "pypi", "python", "python3", "required", "requirements",
        "run", "script", "setup", "setuptools", "software", "some", "source", "sources", "system", "test",
        "that", "the", "these", "this", "to", "tool", "toolchain", "try", "type", "using", "value",
        "version", "wheel", "with", "you", "your",
    )
)


#: Where a build misses one of these for sure, that is what it fails for.
_DECISIVE = ("header", "library", "pkgconfig", "dependency")


class Package(NamedTuple):
    """A package that would help."""

    name: str
    section: str  #: of the distribution; empty if it is not known
    vetted: bool  #: whether a definition names it, and not only a file index


class Catalogue:
    """What is known of the packages of a platform.

    :param index: its file index, or the table in place of that.
    :param python: gives the package with ``Python.h`` of the interpreter that is built for, if one has it.
    """

    def __init__(self, definition: Definition, index: FileIndex, python: Callable[[], str | None]) -> None:
        self._definition = definition
        self._index = index
        self._python = python

    def find_for_project(self, project: str) -> list[Package]:
        """Give what a project needs by the rules, by its canonical name."""
        return self._choose(self._definition.dependencies.get(project, ()))

    def find_for_output(
        self, lists: Iterable[Sequence[Missing]], installed: frozenset[str]
    ) -> tuple[dict[Missing, list[Package]], list[Missing]]:
        """Give packages for what a build says is missing, and what of that no package is known for.

        :param lists: to be tried in turn. What is in the first is missing for sure, so where that is no matter of
            packages, nothing else that the build says is.
        :param installed: packages that are: what leads to them was no reason to fail.
        """
        unknown: list[Missing] = []
        for number, missing in enumerate(lists):
            found = {each: self.find(each) for each in missing}
            if number == 0:
                unknown = [each for each, packages in found.items() if not packages and self._may_be_elsewhere(each)]
            found = {each: packages for each, packages in found.items() if packages}
            helpful = any(package.name not in installed for packages in found.values() for package in packages)
            if number == 0 and not helpful and any(each.kind in ("header", "library") for each in found):
                # It is there, in a place that builds ask pkg-config for.
                pkg_config = Missing("program", "pkg-config")
                found[pkg_config] = self.find(pkg_config)
            if helpful or (number == 0 and any(each.kind in _DECISIVE for each in missing)):
                return found, unknown
        return {}, unknown

    def _may_be_elsewhere(self, missing: Missing) -> bool:
        """Whether the whole file index may know what is not known here."""
        written = self._definition.find_thing(missing.kind, missing.name)
        return missing.kind in _DECISIVE and written is None and missing.name not in ("Python.h", "pyconfig.h")

    def find(self, missing: Missing) -> list[Package]:
        """Give the packages, most often one, that bring a thing."""
        kind, name = missing.kind, missing.name
        written = self._definition.find_thing(kind, name)
        if written is not None:
            return self._choose(written)
        if kind == "header":
            return self._find_header(name)
        if kind == "library":
            return self._first("library", name) or self._first("library", name.removeprefix("lib"))
        if kind == "pkgconfig":
            return self._first("pkgconfig", name)
        if kind == "program":
            return self._find_program(name)
        if kind == "file":
            return self._choose(self._definition.things.get(("program", name), ()))
        if kind == "package":
            section = self._index.section_of(name) if is_package_name(name) else None
            return [] if section is None else [Package(name, section, False)]
        if kind in ("cmake", "dependency"):
            first = self._first("pkgconfig", name) if kind == "dependency" else self._first("cmake", name)
            return first or self._find_name(name)
        if kind == "name":
            return self._find_name(name)
        return []

    def _find_header(self, name: str) -> list[Package]:
        name = re.sub(r"^(?:\.\.?/)+", "", name)
        if name in ("Python.h", "pyconfig.h"):
            package = self._python()
            return [Package(package, "python", True)] if package else []
        found = self._index.find("header", name)
        if found and not found[0].exact and len({re.sub(r"\d+", "", each.package) for each in found}) > _MANY:
            return []
        return _as_packages(found[:1])

    def _find_program(self, name: str) -> list[Package]:
        if re.fullmatch(r"[\w]+-linux-gnu-(?:gcc|g\+\+|cpp|ld|ar)(?:-\d+)?|(?:gcc|g\+\+)-\d+", name):
            return self._choose(self._definition.things.get(("program", "gcc"), ()))
        return self._first("program", name)

    def _find_name(self, phrase: str) -> list[Package]:
        """Find what people call a thing: in the table, or as pkg-config, CMake or the linker know it."""
        name = phrase.lower().strip()
        words = name.split()
        for candidate in (name, name.removesuffix("_library"), name.removeprefix("lib")):
            if candidate in self._definition.names:
                return self._choose(self._definition.names[candidate])
        for length in range(len(words), 0, -1):
            for start in range(len(words) - length + 1):
                part = " ".join(words[start : start + length])
                if part in self._definition.names and part not in _NO_NAMES:
                    return self._choose(self._definition.names[part])
        if len(words) != 1 or name in _NO_NAMES or len(name) < 3:
            return []
        bare = name.removeprefix("lib")
        for kind, candidate in (
            ("pkgconfig", name),
            ("pkgconfig", f"lib{bare}"),
            ("pkgconfig", bare),
            ("library", bare),
            ("cmake", phrase),
        ):
            if found := self._first(kind, candidate):
                return found
        for candidate in (f"{name}-dev", f"lib{bare}-dev"):
            section = self._index.section_of(candidate)
            if section is not None:
                return [Package(candidate, section, False)]
        return []

    def _first(self, kind: str, name: str) -> list[Package]:
        return _as_packages(self._index.find(kind, name)[:1])

    def _choose(self, needed: Needed) -> list[Package]:
        """Give the packages that are meant, by the names that this release has."""
        chosen = []
        for names in needed:
            there = [name for name in names if self._index.section_of(name) is not None]
            name = (there or names)[0]
            chosen.append(Package(name, self._index.section_of(name) or "", True))
        return chosen


def _as_packages(providers: Iterable[Provider]) -> list[Package]:
    return [Package(each.package, each.section, False) for each in providers]
