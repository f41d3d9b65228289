"""Requirements in files that are not for pip alone: dependency groups (PEP 735), and those of scripts (PEP 723)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from pip_accel.exceptions import Unsupported

__all__ = ["read_groups", "read_scripts"]

#: Specification: "Inline script metadata".
_BLOCK = re.compile(r"^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE)


def read_groups(values: Iterable[str]) -> list[str]:
    """Give the requirements of dependency groups.

    :param values: those of ``--group``: names of groups, some after the path of a ``pyproject.toml`` and a colon.
    :raises Unsupported: there is no such group, or pip gives no meaning to it.
    """
    found = []
    for value in values:
        path, colon, group = value.rpartition(":")
        path = path if colon else "pyproject.toml"
        if os.path.basename(path) != "pyproject.toml":
            raise Unsupported("only pip itself can serve the group {group} of {path}", group=group, path=path)
        groups = _load(path, _read(path)).get("dependency-groups")
        try:
            from packaging.dependency_groups import DependencyGroupResolver

            found += [str(each) for each in DependencyGroupResolver(groups).resolve(group)]  # type: ignore[arg-type]
        except Exception as error:  # an older packaging, or one of many kinds of mistakes
            raise Unsupported("the group {group} of {path}: {error}", group=group, path=path, error=error) from error
    return found


def read_scripts(paths: Iterable[str]) -> list[str]:
    """Give the requirements that scripts have in comments.

    :raises Unsupported: pip would refuse one of them.
    """
    found: list[str] = []
    for path in paths:
        blocks = [block for block in _BLOCK.finditer(_read(path)) if block["type"] == "script"]
        if len(blocks) != 1:
            raise Unsupported("{path} has not one block of metadata", path=path)
        lines = blocks[0]["content"].splitlines(keepends=True)
        metadata = _load(path, "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
        requirements = metadata.get("dependencies", [])
        if not isinstance(requirements, list) or not all(isinstance(each, str) for each in requirements):
            raise Unsupported("the dependencies of {path} are no list of strings", path=path)
        found += requirements
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Unsupported("{path} cannot be read: {error}", path=path, error=error) from error


def _load(path: str, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        value: dict[str, Any] = tomllib.loads(text)
        return value
    except tomllib.TOMLDecodeError as error:
        raise Unsupported("{path} is not valid TOML: {error}", path=path, error=error) from error
