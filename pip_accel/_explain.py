"""``pip-accel cache explain``: which key a source distribution has now, and why there is no result of its build."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pip_accel import _fs
from pip_accel._archives import read_manifest
from pip_accel._build.key import Difference, compare_keys, describe_key
from pip_accel._names import split_sdist_name
from pip_accel._values import Archive, Pin
from pip_accel.exceptions import PipAcceleratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._build.builder import Buildable
    from pip_accel._plan.requirements import Root
    from pip_accel._resources import Resources
    from pip_accel.caches import CacheManager

__all__ = ["Explanation", "Nearest", "describe", "explain", "find_sdists"]

#: Parts of a key that stand in the lines around the others.
_SHOWN_ELSEWHERE = ("name", "version", "revision")


class _Builder(Protocol):
    def buildable(self, pin: Pin) -> Buildable | None:
        """Give the key of an sdist's build from what is known, or ``None`` if its backend was never asked."""


class Nearest(NamedTuple):
    """A result of another build of the same project."""

    path: str
    differences: Sequence[Difference]


class Explanation(NamedTuple):
    """What is known about the build of one source distribution."""

    name: str  #: canonical
    version: str
    archive: Archive
    key: Mapping[str, Any] | None = None
    filename: str = ""  #: of the result in caches, if there is a key
    reason: str = ""  #: why there is no key
    result: str | None = None  #: path of the result
    unpacked: bool = False  #: whether the result lies in the store, too
    nearest: Nearest | None = None  #: if there is no result


def find_sdists(resources: Resources, root: Root) -> list[Pin]:
    """Give the sdists of a requirement that the local index holds, by version; markers and extras do not matter."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    wanted = SpecifierSet(root.specifier)
    found = []
    for archive in resources.index.sdists(root.name):
        split = split_sdist_name(archive.filename, root.name)
        try:
            version = Version(split[1] if split is not None else "")
        except InvalidVersion:
            continue
        if wanted.contains(version, prereleases=True):
            found.append((version, archive))
    return [Pin(root.name, str(version), archive, True, "") for version, archive in sorted(found)]


def explain(resources: Resources, builder: _Builder, caches: CacheManager, pin: Pin) -> Explanation:
    """Find out about the build of a source distribution. Nothing is built for that."""
    answer = Explanation(pin.name, pin.version, pin.archive)
    try:
        buildable = builder.buildable(pin)
    except PipAcceleratorError as error:
        return answer._replace(reason=str(error))
    if buildable is None:
        return answer._replace(reason="its build backend was not asked yet what a build requires")
    key = buildable.cache_key
    answer = answer._replace(key=key, filename=caches.generate_filename(buildable))
    result = caches.get(buildable)
    if result is None:
        return answer._replace(nearest=_find_nearest(key, resources.config.binary_cache))
    return answer._replace(result=result, unpacked=resources.store.has(_fs.hash_file(result)))


def _find_nearest(key: Mapping[str, Any], directory: str) -> Nearest | None:
    """Give the result whose key differs least, the newest of several; those of the same source come first.

    :param directory: of the local cache.
    """
    found = []
    for path in glob.glob(os.path.join(glob.escape(directory), "v*", key["name"], "*.tar.gz")):
        other = (read_manifest(path) or {}).get("key")
        if isinstance(other, dict):
            differences = compare_keys(key, other)
            elsewhere = other.get("source") != key["source"]
            found.append((elsewhere, len(differences), -os.stat(path).st_mtime, path, differences))
    return Nearest(*min(found)[3:]) if found else None


def describe(explanation: Explanation) -> Iterator[str]:
    """Give the lines that say it to people."""
    yield f"{explanation.name} {explanation.version} ({explanation.archive.filename})"
    if explanation.key is None:
        yield f"  key: not known, as {explanation.reason}"
        return
    for part, text in describe_key(explanation.key).items():
        if part not in _SHOWN_ELSEWHERE and (text != "none" or part.startswith("compiler")):
            yield f"  {part}: {text}"
    yield f"  key: {explanation.filename}"
    if explanation.result is not None:
        yield f"  result: {explanation.result}{' (unpacked in the store)' if explanation.unpacked else ''}"
    elif explanation.nearest is None:
        yield f"  result: none, and none of another build of {explanation.name}"
    elif not explanation.nearest.differences:
        yield f"  result: none, as {explanation.nearest.path} is damaged"
    else:
        yield f"  result: none; the nearest is {explanation.nearest.path}, whose key differs:"
        for part, now, then in explanation.nearest.differences:
            yield f"    {part}: now {now}, then {then}"
