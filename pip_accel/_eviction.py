"""Keeps the data directory below its limit by removing what was least recently used.

An entry is an archive of the local index, an archive in the binary cache, or a tree of the store. The time of its last
use is the modification time of its directory, file or manifest. All of them can be had again; only time is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from pip_accel import _fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = ["keep_size"]

_FRACTION = 0.9  # of the limit: what is left after a clean-up, so that not every run has to do one
_YOUNG = 3600.0  # seconds: what was used since then may be in use by a run


class _Entry(NamedTuple):
    used: float
    size: int
    path: str


def keep_size(config: Config) -> int:
    """Remove the least recently used entries if the data directory is over its limit; give their number."""
    limit = config.max_cache_size
    if limit is None:
        return 0
    entries = [*_archives(config), *_binaries(config), *_trees(config)]
    total = sum(entry.size for entry in entries)
    if total <= limit:
        return 0
    removed = 0
    now = time.time()
    for entry in sorted(entries):
        if total <= limit * _FRACTION or now - entry.used < _YOUNG:
            break
        aside = _fs.unique_name(entry.path)
        try:
            os.rename(entry.path, aside)  # gone at once: nobody sees half of it
        except OSError:
            continue
        if os.path.isdir(aside):
            _fs.remove_tree(aside)
        else:
            os.unlink(aside)
        total -= entry.size
        removed += 1
    return removed


def _scan(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        yield from os.scandir(path)
    except OSError:
        return


def _archives(config: Config) -> Iterator[_Entry]:
    for group in _scan(os.path.join(config.source_index, "archives")):
        for entry in _scan(group.path):
            # Hard links of an sdist lie below; its own directory has each file once.
            size = sum(each.stat().st_size for each in _scan(entry.path) if each.is_file(follow_symlinks=False))
            yield _Entry(entry.stat().st_mtime, size, entry.path)


def _binaries(config: Config) -> Iterator[_Entry]:
    for directory, _, names in os.walk(config.binary_cache):
        for name in names:
            path = os.path.join(directory, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            yield _Entry(status.st_mtime, status.st_size, path)


def _trees(config: Config) -> Iterator[_Entry]:
    for group in _scan(os.path.join(config.data_directory, "trees")):
        for entry in _scan(group.path):
            manifest = os.path.join(entry.path, "manifest.json")
            try:
                used = os.stat(manifest).st_mtime
                with open(manifest, encoding="utf-8") as stream:
                    size = json.load(stream)["bytes"]
            except (OSError, ValueError, KeyError):  # left behind by a killed run: as old as it looks
                used, size = entry.stat().st_mtime, _size_below(entry.path)
            yield _Entry(used, size, entry.path)


def _size_below(path: str) -> int:
    places = (os.path.join(directory, name) for directory, _, names in os.walk(path) for name in names)
    return sum(os.lstat(place).st_size for place in places)
