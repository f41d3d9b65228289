"""How much the data directory has been of use: one line for each installation, summed up when they become many."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from operator import add
from typing import NamedTuple

from pip_accel import _fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._accelerator import Outcome
    from pip_accel._resources import Resources
    from pip_accel.config import Config

__all__ = ["Usage", "read_usage", "record_usage"]

_LIMIT = 1 << 18  #: bytes; a longer file becomes one line


class Usage(NamedTuple):
    """What installations did, one of them or many."""

    since: float = 0.0  #: seconds since the epoch; 0 where there was none
    installations: int = 0
    without_network: int = 0  #: of these
    distributions: int = 0  #: that were installed
    builds: int = 0
    build_seconds: float = 0.0
    reuses: int = 0  #: distributions installed that had been built before
    saved_seconds: float = 0.0  #: what building these anew would have taken, as far as they were built here


def record_usage(resources: Resources, outcome: Outcome) -> None:
    """Note what an installation did. That never makes it fail."""
    if not outcome.changes or not resources.kept:
        return
    count, spent, reuses, saved = len(outcome.built), 0.0, 0, 0.0
    for pin, change in zip(outcome.plan.pins, outcome.changes, strict=True):
        if not pin.archive.filename.endswith(".whl"):
            seconds = resources.origin_of(os.path.basename(change.tree.path)[:64])[1]
            if f"{pin.name} {pin.version}" in outcome.built:
                spent += seconds
            else:
                reuses, saved = reuses + 1, saved + seconds
    offline = int(not outcome.online)
    usage = Usage(time.time(), 1, offline, len(outcome.changes), count, round(spent, 3), reuses, round(saved, 3))
    path = _path(resources.config)
    try:
        _fs.make_directory(os.path.dirname(path))
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{json.dumps(usage)}\n".encode())
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        if size > _LIMIT:
            _fs.write_file(path, f"{json.dumps(read_usage(resources.config))}\n")
    except OSError:
        pass


def read_usage(config: Config) -> Usage:
    """Sum up what all installations did."""
    return _add(map(_parse, (_fs.read_text(_path(config)) or "").splitlines()))


def _path(config: Config) -> str:
    return os.path.join(config.data_directory, "usage", "runs")


def _parse(line: str) -> Usage:
    try:
        usage = Usage(*json.loads(line))
    except (ValueError, TypeError):  # cut short by a full disk
        return Usage()
    return usage if all(isinstance(value, (int, float)) for value in usage) else Usage()


def _add(parts: Iterable[Usage]) -> Usage:
    total = Usage()
    for part in parts:
        if part.since:
            since = min(part.since, total.since or part.since)
            total = Usage(since, *map(add, total[1:], part[1:]))
    return total
