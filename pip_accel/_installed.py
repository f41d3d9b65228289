"""What the target holds now, on all of its ``sys.path``, told by the names of directories alone."""

from __future__ import annotations

import os
import re

from pip_accel._names import canonical_name
from pip_accel._values import Installed, Target

__all__ = ["find_installed", "is_local", "is_plain"]

_NAME = re.compile("[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)


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
            if extension not in (".dist-info", ".egg-info", ".egg-link") or stem.startswith("~"):
                continue
            name, _, rest = stem.partition("-")
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
            if extension.lower() not in (".dist-info", ".egg-info", ".egg-link"):
                continue
            name, dash, _ = stem.partition("-")
            if extension not in (".dist-info", ".egg-info") or _NAME.fullmatch(name) is None:
                return False
            if extension == ".dist-info" and not (dash and os.path.isfile(os.path.join(entry.path, "METADATA"))):
                return False
    return True


def is_local(installed: Installed, target: Target) -> bool:
    """Whether a distribution belongs to the target; what a virtual environment merely sees is not its own to remove."""
    if not target.virtual:
        return True
    prefix = os.path.normcase(os.path.realpath(target.prefix))
    return os.path.normcase(os.path.realpath(installed.location)).startswith(prefix.rstrip(os.sep) + os.sep)
