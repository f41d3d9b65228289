"""What ``--target`` makes of an installation: a directory without ``lib`` that keeps what it has.

pip installs below a temporary directory, by the scheme ``home``, and then moves what lies in its libraries, and what
lies beside them, to the directory: whole entries, of which those stay that are there already. RECORD says what it said
below the temporary directory.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from pip_accel._install.layout import Layout
from pip_accel._values import Target
from pip_accel.exceptions import Unsupported

__all__ = ["Redirected", "redirect"]


class Redirected(NamedTuple):
    """Layouts as they are moved to the directory."""

    layouts: list[Layout]
    replaced: list[str]  #: absolute paths of entries that go, with all that is in them
    kept: list[str]  #: absolute paths of entries that stay although others would take their place


def redirect(layouts: Sequence[Layout], target: Target, entries: Mapping[str, bool], *, replace: bool) -> Redirected:
    """Lead layouts by the scheme ``home`` to where pip moves their files.

    :param entries: what the directory has: names, and whether they are symbolic links.
    :param replace: whether entries are replaced (``--upgrade``); links never are.
    :raises Unsupported: what lies beside the libraries has the name of something in them.
    """
    places = _Places(target)
    moved = {
        path: places.find(path)
        for layout in layouts
        for path in _paths(layout)
    }
    names = dict.fromkeys(name for name, _ in moved.values() if name)
    there = [name for name in names if name in entries]
    replaced = {name for name in there if replace and not entries[name]}
    kept = set(there) - replaced
    return Redirected(
        [_move(layout, moved, kept) for layout in layouts],
        *([os.path.join(target.place, name) for name in there if name in group] for group in (replaced, kept)),
    )


class _Places:
    """Where the files below a temporary directory go."""

    def __init__(self, target: Target) -> None:
        self._top = target.place
        self._libraries = tuple(dict.fromkeys((target.scheme.purelib, target.scheme.platlib)))
        self._origins: dict[str, str] = {}  #: of entries: the directory they are moved from

    def find(self, path: str) -> tuple[str, str]:
        """Give the entry that a file is moved with, and its new path; both empty for what pip leaves behind."""
        for base in (*self._libraries, self._top):
            if path.startswith(base + os.sep):
                rest = path[len(base) + 1 :]
                name = rest.partition(os.sep)[0]
                if base == self._top and any(each.startswith(os.path.join(base, name)) for each in self._libraries):
                    break
                if self._origins.setdefault(name, base) != base:
                    raise Unsupported("two things of the name {name} go to {top}", name=name, top=self._top)
                return name, os.path.join(self._top, rest)
        return "", ""


def _paths(layout: Layout) -> Iterator[str]:
    yield from (path for _, path in layout.links)
    yield from (write.path for write in filter(None, (*layout.writes, layout.record)))


def _move(layout: Layout, moved: Mapping[str, tuple[str, str]], kept: Collection[str]) -> Layout:
    def comes(path: str) -> bool:
        return moved[path][1] != "" and moved[path][0] not in kept

    record = layout.record if layout.record is not None and comes(layout.record.path) else None
    return layout._replace(
        links=[(source, moved[path][1]) for source, path in layout.links if comes(path)],
        writes=[write._replace(path=moved[write.path][1]) for write in layout.writes if comes(write.path)],
        record=record and record._replace(path=moved[record.path][1]),
    )
