"""What a data directory holds: entries, which are large and can all be had again, and notes, which are small.

An entry is an archive of the local index, a binary distribution, or a tree of the store. The time of its last use is
the modification time of its directory, file or manifest. Notes are what was learned: views, plans, answers, logs and so
on. Whatever else lies in the directory is not ours, and is never given: that holds for what pip-accel 0.43 left, too.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pip_accel import _fs
from pip_accel._digests import SHA256
from pip_accel._names import canonical_name, is_archive, split_sdist_name, split_wheel_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = [
    "ARCHIVE",
    "BUILT",
    "NOTE",
    "TREE",
    "Entry",
    "find_entries",
    "find_notes",
    "is_byte_code",
    "keeping",
    "remove_entry",
    "removing",
    "tree_of",
]

ARCHIVE = "archive"  #: as it came from an index: the directory with it and what is known of it
BUILT = "built"  #: a binary distribution that was made of a source distribution
TREE = "tree"  #: either of them unpacked, or its byte code
NOTE = "note"

_REVISION = re.compile(r"v(\d+)")
_FIRST_REVISION = 8  # of the format of built distributions that is ours; those before it are of 0.43
#: Where notes are, and what their paths are like below that: in the local index, and beside it.
_NOTES_OF_INDEX = {
    "answers": r"[0-9a-f]{2}/[0-9a-f]+\.json",
    "trees": r"[0-9a-f]{2}/[0-9a-f]+/[^/]+\.json",
    "urls": r"[0-9a-f]{2}/[0-9a-f]+\.json",
    "views": r"[0-9a-f]{2}/[0-9a-f]+/[^/]+\.json",
}
_NOTES = {
    "eggs": r"[^/]+/.+",
    "logs": r"[^/]+\.log",
    "memo": r"[0-9a-f]+\.json|salt",
    "origins": r"[0-9a-f]{2}/[0-9a-f]{64}|borrowed",
    "plans": r"[0-9a-f]+\.json",
    "system": r".+",
    "templates": r"pip-.+",
    "usage": r"runs",
}
#: Notes that get a new time whenever they are used, and those that are of no use but to be looked at.
_TOUCHED = ("memo", "logs")


class Entry(NamedTuple):
    """One thing that can be removed as a whole."""

    used: float  #: when it was last used, seconds since the epoch; infinite if that is not known
    size: int  #: bytes
    path: str
    kind: str
    name: str  #: canonical name of the project; empty if that is not known
    version: str

    @property
    def filename(self) -> str:
        """What a person looks for: the name of the archive."""
        if self.kind == ARCHIVE:
            return next((each.name for each in _scan(self.path) if is_archive(each.name)), os.path.basename(self.path))
        return os.path.basename(self.path)


def find_entries(config: Config, *, every: bool = True) -> Iterator[Entry]:
    """Give all entries of a data directory.

    :param every: whether also what other releases have built, in a format of theirs.
    """
    yield from _archives(config)
    for entry in _built(config):
        if every or os.path.relpath(entry.path, config.binary_cache).startswith(f"v{config.cache_format_revision}"):
            yield entry
    yield from _trees(config)


def find_notes(config: Config) -> Iterator[Entry]:
    """Give all notes of a data directory."""
    for root, table in (config.source_index, _NOTES_OF_INDEX), (config.data_directory, _NOTES):
        for place, pattern in table.items():
            start = os.path.join(root, place)
            for directory, _, names in os.walk(start):
                for name in names:
                    path = os.path.join(directory, name)
                    relative = os.path.relpath(path, start).replace(os.sep, "/")
                    if re.fullmatch(pattern, relative) is None:
                        continue
                    project = ""
                    if place == "views":
                        project = name.removesuffix(".json")
                    elif place == "logs":  # name and version
                        project = canonical_name(name.rpartition("-")[0])
                    with _unless_gone():
                        status = os.lstat(path)
                        used = status.st_mtime if place in _TOUCHED else math.inf
                        yield Entry(used, status.st_size, path, NOTE, project, "")


def is_byte_code(entry: Entry) -> bool:
    """Whether an entry is the byte code of a tree."""
    return entry.kind == TREE and entry.path != tree_of(entry)


def tree_of(entry: Entry) -> str:
    """Give the path of the tree that byte code belongs to; of a tree its own."""
    directory, name = os.path.split(entry.path)
    return os.path.join(directory, "-".join(name.split("-")[:2]))


def remove_entry(entry: Entry) -> int:
    """Remove an entry or a note; nobody sees half of it. Give the number of its files, 0 if it was gone."""
    aside = _fs.unique_name(entry.path)
    try:
        os.rename(entry.path, aside)
    except OSError:
        return 0
    if not os.path.isdir(aside):
        os.unlink(aside)
        return 1
    count = sum(len(names) for _, _, names in os.walk(aside))
    _fs.remove_tree(aside)
    return max(count, 1)


@contextmanager
def removing(config: Config, *, wait: bool = True) -> Iterator[bool]:
    """Give whether entries may be removed: not while somebody needs them as they are.

    :param wait: whether to wait for the end of that.
    """
    path = _lock(config)
    if wait:
        with _fs.lock_file(path):
            yield True
        return
    handle = _fs.try_lock(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def keeping(config: Config) -> Iterator[None]:
    """Have all entries stay for the time of a block."""
    with _fs.lock_file(_lock(config), shared=True):
        yield


def _lock(config: Config) -> str:
    return os.path.join(config.data_directory, "lock")


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Pass over what another process removes meanwhile."""
    try:
        yield
    except OSError:
        pass


def _scan(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        yield from os.scandir(path)
    except OSError:
        return


def _archives(config: Config) -> Iterator[Entry]:
    for group in _scan(os.path.join(config.source_index, "archives")):
        for entry in _scan(group.path):
            if SHA256.fullmatch(entry.name) is None:
                continue
            with _unless_gone():
                # Hard links of an sdist lie below; its own directory has each file once.
                files = [each for each in _scan(entry.path) if each.is_file(follow_symlinks=False)]
                size = sum(each.stat().st_size for each in files)
                splits = (split_wheel_name(each.name) or split_sdist_name(each.name) for each in files)
                name, version = next(((found[0], found[1]) for found in splits if found), ("", ""))
                yield Entry(entry.stat().st_mtime, size, entry.path, ARCHIVE, canonical_name(name), version)


def _built(config: Config) -> Iterator[Entry]:
    for revision in _scan(config.binary_cache):
        found = _REVISION.fullmatch(revision.name)
        if found is None or int(found[1]) < _FIRST_REVISION:
            continue
        for directory, _, names in os.walk(revision.path):
            project = os.path.basename(directory)
            for name in names:
                path = os.path.join(directory, name)
                version = name.removeprefix(f"{project}-").partition("-")[0] if name.startswith(f"{project}-") else ""
                with _unless_gone():
                    status = os.stat(path)
                    yield Entry(status.st_mtime, status.st_size, path, BUILT, project, version)


def _trees(config: Config) -> Iterator[Entry]:
    for group in _scan(os.path.join(config.data_directory, "trees")):
        entries = [each for each in _scan(group.path) if SHA256.match(each.name) is not None]
        known: dict[str, tuple[str, str]] = {}
        for entry in sorted(entries, key=lambda each: each.name):  # the tree itself, and then its byte code
            with _unless_gone():
                manifest = os.path.join(entry.path, "manifest.json")
                found: dict[str, object] = {}
                try:
                    used = os.stat(manifest).st_mtime
                    with open(manifest, encoding="utf-8") as stream:
                        found = json.load(stream)
                    size = found["bytes"]
                    if not isinstance(size, int):
                        raise ValueError(size)
                except (OSError, ValueError, KeyError, TypeError):  # left behind by a killed run: as old as it looks
                    used, size = entry.stat().st_mtime, _size_below(entry.path)
                digest = entry.name[:64]
                if "name" in found:
                    known[digest] = canonical_name(str(found["name"])), str(found.get("version", ""))
                yield Entry(used, size, entry.path, TREE, *known.get(digest, ("", "")))


def _size_below(path: str) -> int:
    places = (os.path.join(directory, name) for directory, _, names in os.walk(path) for name in names)
    return sum(os.lstat(place).st_size for place in places)
