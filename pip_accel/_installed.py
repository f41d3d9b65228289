"""What the target holds now, on all of its ``sys.path``, told by the names of directories alone."""

from __future__ import annotations

import os
import re
from typing import Any

from pip_accel import _fs
from pip_accel._names import canonical_name
from pip_accel._values import Installed, Target
from pip_accel.exceptions import Unsupported

__all__ = ["find_installed", "find_removable", "is_in_user_site", "is_plain", "trace_installed"]

_EXTENSIONS = (".dist-info", ".egg-info", ".egg-link")
_NAME = "(?i:[a-z0-9]([a-z0-9._-]*[a-z0-9])?)"


def find_installed(target: Target) -> dict[str, Installed]:
    """Give the distributions of a target by canonical name; the first on ``sys.path`` counts."""
    found: dict[str, Installed] = {}
    for directory in target.path:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            stem, extension = os.path.splitext(entry.name)
            if extension not in _EXTENSIONS or stem.startswith("~"):
                continue
            # Only an .egg-link has the name as it is, with dashes, and nothing else.
            name, _, rest = stem.partition("-") if extension != ".egg-link" else (stem, "", "")
            version = rest.split("-py")[0] if extension == ".egg-info" else rest
            key = canonical_name(name)
            if key not in found:
                found[key] = Installed(key, version, directory, entry.path)
    return found


def is_plain(target: Target) -> bool:
    """Whether :func:`find_installed` tells all that pip would find there, and pip would find nothing to warn of."""
    for directory in target.path:
        try:
            entries = list(os.scandir(directory))
        except NotADirectoryError:  # an archive, with distributions in it perhaps
            return False
        except OSError:
            continue
        for entry in entries:
            stem, extension = os.path.splitext(entry.name)
            if extension.lower() not in _EXTENSIONS:
                continue
            name, dash, _ = stem.partition("-")
            if extension not in (".dist-info", ".egg-info") or re.fullmatch(_NAME, name) is None:
                return False
            if extension == ".dist-info" and not (dash and os.path.isfile(os.path.join(entry.path, "METADATA"))):
                return False
    return True


def trace_installed(target: Target) -> list[Any]:
    """Give what changes with each distribution that pip would find in a target, and each that it would warn of.

    Nothing in it tells where the target lies.
    """
    found: list[Any] = []
    for directory in target.path:
        place = directory.replace(target.prefix, "\0")
        try:
            names = [name for name in os.listdir(directory) if name.lower().endswith(_EXTENSIONS)]
        except NotADirectoryError:
            found.append([place, *_fs.state(directory)])
            continue
        except OSError:
            continue
        if directory.lower().endswith(".egg"):
            found.append([place, _fs.state(os.path.join(directory, "EGG-INFO", "PKG-INFO"))])
        for name in sorted(names):
            path = os.path.join(directory, name)
            files = [os.path.join(path, each) for each in ("METADATA", "PKG-INFO", "requires.txt")]
            found.append([place, name, *map(_fs.state, files if os.path.isdir(path) else [path])])
    return found


def find_removable(installed: Installed, target: Target) -> Installed | None:
    """Give a distribution if another version of it, installed into the target, takes its place.

    What a virtual environment merely sees is not its own to remove, and beside its own a user site only hides.

    :raises Unsupported: in the user site nobody would see the other version.
    """
    local = not target.virtual or _is_below(installed.location, target.prefix)
    if target.kind == "user" and not is_in_user_site(installed, target):
        if target.virtual and local:
            raise Unsupported("{name} in {place} hides it in the user site", name=installed.name, place=target.prefix)
        return None
    return installed if local else None


def is_in_user_site(installed: Installed, target: Target) -> bool:
    """Whether a distribution lies in the target's user site."""
    return bool(target.user_site) and _is_below(installed.location, target.user_site)


def _is_below(path: str, directory: str) -> bool:
    path, directory = (os.path.normcase(os.path.realpath(each)) for each in (path, directory))
    return os.path.join(path, "").startswith(os.path.join(directory, ""))
