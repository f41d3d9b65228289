"""Wheels are unpacked into the store while others still come, from pip or from a shared cache.

pip works on one core, and most of the time of a first run is that of unpacking and compiling. What is unpacked is
named by its digest, so nothing depends on what pip then makes of it.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Collection
from typing import Any

from pip_accel import _fs
from pip_accel._process import Workers
from pip_accel._values import Archive
from pip_accel.exceptions import PipAcceleratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._store import Store

__all__ = ["Handed", "Unpacking"]

_PERIOD = 0.2  # seconds between two looks
_PORTION = 3 << 20  # bytes of wheels that are unpacked at once: when pip has ended, nobody wants to wait for many
#: pip's line about a wheel that lies on this machine.
_LOCAL = re.compile(r"^\S+ +Processing (\S+\.whl)(?: \(from .*)?$", re.MULTILINE)


class Unpacking:
    """Unpacks wheels as they come, for the time of a block in which pip fetches them.

    :param place: directory of pip's temporary files.
    :param work: directory of its logs.
    :param directory: for copies, empty.
    :param allowed: SHA-256 digests, hex, of what may be unpacked; ``None``: everything.
    :param jobs: processes that compile.
    """

    def __init__(
        self, store: Store, place: str, work: str, directory: str, *, allowed: Collection[str] | None, jobs: int
    ) -> None:
        self._store = store
        self._place = place
        self._work = work
        self._directory = directory
        self._allowed = allowed
        self._jobs = jobs
        self._seen: set[str] = set()
        self._read: dict[str, int] = {}  #: of logs: bytes that were looked at
        self._local: list[str] = []  #: what they told of
        self._ended = threading.Event()
        self._workers = Workers(1)

    def __enter__(self) -> None:
        self._workers.submit(Unpacking._watch, self)

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self._workers.__exit__(*error)

    def _watch(self) -> None:
        """Unpack until pip has ended; what then still comes is for others."""
        while not self._ended.wait(_PERIOD):
            try:
                _unpack(self._store, self._take_some(), self._jobs)
            except OSError:  # whoever needs the store will tell
                return

    def _take_some(self) -> list[Archive]:
        taken: list[Archive] = []
        size = 0
        for path in self._find():
            archive = self._take(path)
            if archive is not None:
                taken.append(archive)
                size += os.path.getsize(archive.path)
            if size > _PORTION or self._ended.is_set():
                break
        return taken

    def _find(self) -> list[str]:
        """Give the paths of wheels that were not there yet."""
        found = []
        for entry in os.scandir(self._place):
            if entry.name.startswith("pip-unpack-"):
                try:
                    found += [each.path for each in os.scandir(entry.path) if each.name.endswith(".whl")]
                except OSError:  # pip removes them when it ends
                    continue
        for name in os.listdir(self._work):
            if name.startswith("log-"):
                self._local += map(os.path.abspath, _LOCAL.findall(self._read_on(os.path.join(self._work, name))))
        return [path for path in (*found, *self._local) if path not in self._seen]

    def _read_on(self, log: str) -> str:
        """Give the lines of a log that came since it was looked at last; of all that pip says there are many."""
        with open(log, "rb") as stream:
            stream.seek(self._read.get(log, 0))
            lines, newline, _ = stream.read().rpartition(b"\n")
        self._read[log] = self._read.get(log, 0) + len(lines) + len(newline)
        return lines.decode("utf-8", "replace")

    def _take(self, path: str) -> Archive | None:
        """Give a copy of a wheel, if all of it is there and it has to be unpacked."""
        try:
            if not zipfile.is_zipfile(path):  # the end of the archive has not come yet
                return None
            self._seen.add(path)
            copy = os.path.join(self._directory, os.path.basename(path))
            shutil.copyfile(path, copy)
        except OSError:
            return None
        sha256 = _fs.hash_file(copy)
        if self._store.has(sha256) or (self._allowed is not None and sha256 not in self._allowed):
            return None
        return Archive(copy, os.path.basename(copy), sha256)


class Handed:
    """Unpacks wheels that are handed to it, for the time of a block; what is left then is for others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: queue.SimpleQueue[Archive | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._workers = Workers(1)

    def __enter__(self) -> Callable[[Archive], None]:
        self._workers.submit(Handed._work, self)
        return self._waiting.put

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self._waiting.put(None)
        self._workers.__exit__(*error)

    def _work(self) -> None:
        while not self._ended.is_set():
            archives, size = [self._waiting.get()], 0
            while archives[-1] is not None and size < _PORTION and not self._waiting.empty():
                size += os.path.getsize(archives[-1].path)
                archives.append(self._waiting.get())
            try:
                _unpack(self._store, [each for each in archives if each is not None], 1)
            except OSError:  # whoever needs the store will tell
                return


def _unpack(store: Store, archives: list[Archive], jobs: int) -> None:
    try:
        if archives:
            store.add(archives, jobs=jobs)
    except PipAcceleratorError:  # of one of them, which will be told if that is to be installed
        for archive in archives if len(archives) > 1 else ():
            _unpack(store, [archive], jobs)
