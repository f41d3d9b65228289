"""What a set of changes does to the prefix, down to each file and directory, decided before the first of them is made.

Changes are taken one after the other as pip would carry them out, on a picture of the prefix: a file that a removal
takes away may have come by an earlier change of the set, and a file that two changes bring is the later one's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pip_accel._install.layout import Layout, Whole, Write, plan
from pip_accel._install.remove import Listing, find_directories, find_files, list_directory, look_up
from pip_accel._values import Change, Target, Tree
from pip_accel.exceptions import LinkError

__all__ = ["Directory", "Steps", "decide"]


class Directory(NamedTuple):
    """A directory that goes, and what it takes to bring it back."""

    path: str
    mode: int
    user: int
    group: int


class Steps(NamedTuple):
    """All that happens, in this order. Paths are absolute, and no directory in them is a symbolic link."""

    moves: list[str]  #: files that go, or are replaced
    dropped: list[Directory]  #: directories that go, deepest first; they may come again
    made: list[str]  #: directories that come, parents first
    created: list[str]  #: files that come where there was none
    links: list[tuple[str, list[tuple[str, str]]]]  #: root of a tree; files of it, and their destinations
    writes: list[Write]
    records: list[Write]
    wholes: Sequence[Whole] = ()  #: entries that come with all that is in them; where they go there is nothing
    kept: Sequence[str] = ()  #: entries of the directory of ``--target`` that others would take the place of


def decide(
    changes: Sequence[Change],
    target: Target,
    *,
    byte_code: bool,
    template: str,
    umask: int,
    replace: bool = False,
    whole: Sequence[bool] = (),
) -> Steps:
    """Decide what carrying out changes means; nothing is changed.

    :param replace: whether what lies in the directory of ``--target`` is replaced.
    :param whole: for each change, whether its bundles come as a whole
        (:func:`~pip_accel._install.staging.find_whole`); empty: none.
    :raises UnsafeArchive: a file would lie outside of its scheme's directory.
    :raises Unsupported: what is replaced can only be removed by pip.
    :raises LinkError: a directory lies where a file would go, or a file where a directory would.
    """
    layouts = [
        plan(change, target, byte_code=byte_code, template=template, umask=umask, whole=each)
        for change, each in zip(changes, whole or [False] * len(changes), strict=True)
    ]
    picture = _Picture(target)
    kept: list[str] = []
    if target.kind == "directory":
        from pip_accel._install.directory import redirect

        layouts, replaced, kept = redirect(layouts, target, _entries(target.place), replace=replace)
        for path in replaced:
            picture.drop(path)
    for change, layout in zip(changes, layouts, strict=True):
        if change.replaces is not None:
            picture.remove(change)
        picture.add(change, layout)
    return picture.steps()._replace(kept=tuple(kept))


def _entries(directory: str) -> dict[str, bool]:
    """Give the names in a directory, and whether they are symbolic links; nothing if it is not there."""
    try:
        return {entry.name: entry.is_symlink() for entry in os.scandir(directory)}
    except FileNotFoundError:
        return {}


def _by_root(tree: Tree, links: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tell the files of a tree from its byte code, which may belong to another user for all we know."""
    made = os.path.join(tree.byte_code, "") if tree.byte_code else None
    pairs = [(source, path) for path, source in links.items()]
    if made is None:
        return [(tree.path, pairs)]
    byte_code = [pair for pair in pairs if pair[0].startswith(made)]
    return [(tree.path, [pair for pair in pairs if not pair[0].startswith(made)]), (tree.byte_code, byte_code)]


class _Picture:
    """The prefix as it would be after the changes so far."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._places: dict[str, tuple[str, bool]] = {}  #: directory as planned: real path, whether it was there
        self._names: dict[str, dict[str, bool]] = {}  #: real directory: names in it, whether directories
        self._gone: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._arrivals: dict[str, str] = {}  #: real directory: a name that comes into it
        self._blocked: list[str] = []  #: files where a directory is needed
        self._links: list[tuple[Tree, dict[str, str]]] = []  #: by change: source by destination
        self._writes: list[dict[str, Write]] = []
        self._records: list[dict[str, Write]] = []
        self._wholes: list[Whole] = []
        self._origin: dict[str, int] = {}  #: file that comes: number of the change it comes with

    def remove(self, change: Change) -> None:
        assert change.replaces is not None
        files = find_files(change.replaces, self._target, self._look_up)
        directories, links = find_directories(files, self._target.prefix, self._list_directory)
        for path in (*files, *links):
            if path in self._origin:
                self._withdraw(path)
            else:
                self._gone[path] = None
        self._dropped.update(dict.fromkeys(directories))

    def drop(self, path: str) -> None:
        """Take away a file, or a directory with all that is in it."""
        if os.path.islink(path) or not os.path.isdir(path):
            self._gone[path] = None
            return
        self._dropped[path] = None
        for entry in os.scandir(path):
            self.drop(entry.path)

    def add(self, change: Change, layout: Layout) -> None:
        number = len(self._links)
        origin = self._origin
        places: dict[str, tuple[str, dict[str, bool]]] = {}

        def claim(destination: str) -> str:
            """Take a name: give its real path, after what lies there, or was to lie there, is gone."""
            directory, _, name = destination.rpartition(os.sep)
            place = places.get(directory)
            if place is None:
                place = places[directory] = self._enter(directory, name)
            path = place[0] + name
            if name in place[1]:
                self._replace(path, place[1][name])
            if path in origin:
                self._withdraw(path)
            origin[path] = number
            return path

        self._links.append((change.tree, {}))
        self._writes.append({})
        self._records.append({})
        links, writes, records = self._links[-1][1], self._writes[-1], self._records[-1]
        for source, destination in layout.links:
            links[claim(destination)] = source
        for write in layout.writes:
            path = claim(write.path)
            writes[path] = write._replace(path=path)
        if layout.record is not None:
            path = claim(layout.record.path)
            records[path] = layout.record._replace(path=path)
        if layout.whole is not None:
            base = self._enter(layout.whole.base, layout.whole.names[-1])[0].rstrip(os.sep)
            self._wholes.append(layout.whole._replace(base=base))

    def steps(self) -> Steps:
        for path in self._blocked:
            if path not in self._gone:
                raise LinkError("Cannot make the directory {path}: there is a file of that name", path=path)
        needed: dict[str, None] = {}
        directories = [*(path.rpartition(os.sep)[0] for path in self._origin), *(each.base for each in self._wholes)]
        for directory in dict.fromkeys(directories):
            self._need(directory, needed)
        dropped = []
        for path in sorted(self._dropped, key=len, reverse=True):
            try:
                status = os.stat(path)
            except FileNotFoundError:  # an earlier change was to make it
                continue
            dropped.append(Directory(path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid))
        return Steps(
            list(self._gone),
            dropped,
            list(needed),
            [path for path in self._origin if path not in self._gone],
            [each for tree, links in self._links for each in _by_root(tree, links)],
            [write for writes in self._writes for write in writes.values()],
            [write for records in self._records for write in records.values()],
            self._wholes,
        )

    def _enter(self, directory: str, name: str) -> tuple[str, dict[str, bool]]:
        """Give the real path of a directory that ``name`` comes into, separator at the end, and the names in it."""
        real, present = self._locate(directory)
        above, arrival = real, name
        while above not in self._arrivals:
            self._arrivals[above] = arrival
            above, _, arrival = above.rpartition(os.sep)
        return os.path.join(real, ""), self._names_in(real) if present and real not in self._dropped else {}

    def _replace(self, path: str, is_directory: bool) -> None:
        if not is_directory:
            self._gone[path] = None
        elif path not in self._dropped:
            raise LinkError("Cannot install {path}: there is a directory of that name", path=path)

    def _withdraw(self, path: str) -> None:
        number = self._origin.pop(path)
        self._links[number][1].pop(path, None)
        self._writes[number].pop(path, None)
        self._records[number].pop(path, None)

    def _locate(self, directory: str) -> tuple[str, bool]:
        """Give the real path of a directory, and whether it was there. Below one that was not, nothing was."""
        known = self._places.get(directory)
        if known is not None:
            return known
        parent, separator, name = directory.rpartition(os.sep)
        if not separator:
            return directory, True  # the root, or a drive
        real, present = self._locate(parent)
        path = real + separator + name
        if present:
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                present = False
            else:
                if stat.S_ISLNK(mode) and os.path.isdir(path):
                    path = os.path.realpath(path)
                elif not stat.S_ISDIR(mode):
                    present = False
                    self._blocked.append(path)
        self._places[directory] = path, present
        return path, present

    def _names_in(self, directory: str) -> dict[str, bool]:
        names = self._names.get(directory)
        if names is None:
            with os.scandir(directory) as entries:
                names = self._names[directory] = {each.name: each.is_dir(follow_symlinks=False) for each in entries}
        return names

    def _need(self, directory: str, needed: dict[str, None]) -> None:
        """Note a directory and its parents to be made, parents first."""
        if directory in needed:
            return
        _, present = self._locate(directory)
        if present and directory not in self._dropped:
            return
        self._need(os.path.dirname(directory), needed)
        needed[directory] = None

    def _look_up(self, path: str) -> int | None:
        if path in self._origin:
            return stat.S_IFREG
        return None if path in self._gone else look_up(path)

    def _list_directory(self, path: str) -> Listing:
        directories, links, others = list_directory(path)
        gone, dropped = self._gone, self._dropped
        directories = [name for name in directories if os.path.join(path, name) not in dropped]
        links = [name for name in links if os.path.join(path, name) not in gone]
        others = [name for name in others if os.path.join(path, name) not in gone]
        if path in self._arrivals:
            others.append(self._arrivals[path])
        return directories, links, others
