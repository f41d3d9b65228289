"""Keeps the data directory below its limit by removing what was least recently used. Only time is lost by that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from pip_accel._inventory import Entry, find_entries, remove_entry, removing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = ["find_oldest", "keep_size", "see_to_size"]

_FRACTION = 0.9  # of the limit: what is left after a clean-up, so that not every run has to do one
_YOUNG = 3600.0  # seconds: what was used since then may be in use by a run


def see_to_size(config: Config, say: Callable[[str], None]) -> None:
    """Keep the data directory below its limit. That never makes a run fail.

    :param say: is told what was done, or what went wrong: nothing that matters to a user.
    """
    try:
        removed = keep_size(config)
    except OSError as error:
        say(f"The size of the data directory could not be kept: {error}")
    else:
        if removed:
            say(f"Removed {removed} entries from the data directory, the least recently used")


def keep_size(config: Config) -> int:
    """Remove the least recently used entries if the data directory is over its limit; give their number."""
    limit = config.max_cache_size
    if limit is None:
        return 0
    entries = list(find_entries(config, every=False))
    if sum(entry.size for entry in entries) <= limit:
        return 0
    oldest = find_oldest(entries, int(limit * _FRACTION), before=time.time() - _YOUNG)
    with removing(config, wait=False) as allowed:
        return sum(remove_entry(entry) > 0 for entry in oldest if allowed)


def find_oldest(entries: Iterable[Entry], limit: int, *, before: float = math.inf) -> list[Entry]:
    """Give the least recently used of some entries, so many that the others are not larger than a limit.

    :param limit: bytes.
    :param before: seconds since the epoch; what was used after that stays, whatever its size.
    """
    ordered = sorted(entries)
    total = sum(entry.size for entry in ordered)
    oldest: list[Entry] = []
    while total > limit and len(oldest) < len(ordered) and ordered[len(oldest)].used <= before:
        total -= ordered[len(oldest)].size
        oldest.append(ordered[len(oldest)])
    return oldest
