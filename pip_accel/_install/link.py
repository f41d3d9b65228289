"""Files of the store under names of an environment: by reflink, hard link or copy, whichever is possible."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate

from pip_accel._values import Tree, TreeFile
from pip_accel.exceptions import LinkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Mode = Literal["auto", "reflink", "hardlink", "copy"]
    Way = Callable[[str, str], None]

__all__ = ["Linker", "copy", "find_damage", "reflink"]

#: Errors that speak for a pair of file systems, not for one file.
_NEVER = frozenset((errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS))
_FICLONE = 0x40049409  #: Linux: the ``ioctl`` that lets a file share the blocks of another
_BLOCK = 1 << 20  #: bytes that are copied at once


class Linker:
    """Links or copies, and remembers what each pair of file systems allows.

    :param mode: what to try first; ``auto`` is a reflink, then a hard link. What is left is a copy.
    :param copy_patterns: base names (``*.pem``) of files that are always copied, as people edit them.
    """

    def __init__(self, mode: Mode = "auto", copy_patterns: Sequence[str] = ()) -> None:
        ways: list[Way] = []
        if mode in ("auto", "reflink") and fcntl is not None and sys.platform == "linux":
            ways.append(reflink)
        if mode in ("auto", "hardlink"):
            ways.append(os.link)
        self._ways = (*ways, copy)
        self._first: dict[tuple[int, int], int] = {}  #: for devices of source and target: index of the first way to try
        # Most patterns name an extension, and without a regular expression that is told five times faster.
        plain = {each: re.fullmatch(r"\*([^*?\[]*)", each) for each in copy_patterns}
        self._endings = tuple(match[1] for match in plain.values() if match)
        others = [translate(each) for each, match in plain.items() if not match]
        self._pattern = re.compile("|".join(others)) if others else None

    def link(self, root: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Give files of one tree a second name, with their modes and modification times.

        :param root: directory of the tree. Its owner owns all that is in it: :func:`find_damage` has seen to that.
        :param pairs: a file of the tree, and a name that does not exist yet in a directory that does.
        :raises LinkError: a file could be neither linked nor copied; has both paths and the ``OSError``.
        """
        status = os.stat(root)
        endings, pattern = self._endings, self._pattern
        way: Way | None = None
        for source, destination in pairs:
            try:
                if destination.endswith(endings) or (pattern and pattern.match(os.path.basename(destination))):
                    copy(source, destination)
                elif way:
                    way(source, destination)
                else:
                    way = self._find_way(source, destination, status)
            except OSError as error:
                # Past the first file, an error speaks for that file.
                if way is None or way is copy or (error.errno not in _NEVER and error.errno != errno.EMLINK):
                    raise _failure(source, destination, error) from error
                try:
                    copy(source, destination)
                except OSError as second:
                    raise _failure(source, destination, second) from second

    def _find_way(self, source: str, destination: str, status: os.stat_result) -> Way:
        """Link the first file of a tree, and give the way that worked."""
        devices = status.st_dev, os.stat(os.path.dirname(destination)).st_dev
        for index in range(self._first.get(devices, 0), len(self._ways)):
            way = self._ways[index]
            # A hard link to another user's file would leave the environment at their mercy.
            if way is os.link and status.st_uid != _effective_user():
                continue
            try:
                way(source, destination)
            except OSError as error:
                if error.errno == errno.EMLINK:
                    copy(source, destination)
                elif way is not copy and error.errno in _NEVER:
                    self._first[devices] = index + 1
                    continue
                else:
                    raise
            return way
        raise AssertionError("the last way is a copy, which works or raises")


def reflink(source: str, destination: str) -> None:
    """Make a file that shares the blocks of another until one of them is changed."""
    _make(source, destination, lambda reading, writing: fcntl.ioctl(writing, _FICLONE, reading))


def copy(source: str, destination: str) -> None:
    """Make a file with the content, mode and modification time of another."""
    _make(source, destination, _copy_blocks)


def _make(source: str, destination: str, fill: Callable[[int, int], object]) -> None:
    binary = getattr(os, "O_BINARY", 0)
    reading = os.open(source, os.O_RDONLY | binary)
    try:
        status = os.fstat(reading)
        writing = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary, 0o600)
        try:
            try:
                fill(reading, writing)
            finally:
                os.close(writing)
            os.chmod(destination, stat.S_IMODE(status.st_mode))
            os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))
        except BaseException:
            os.unlink(destination)
            raise
    finally:
        os.close(reading)


def _copy_blocks(reading: int, writing: int) -> None:
    while block := os.read(reading, _BLOCK):
        view = memoryview(block)
        while view:
            view = view[os.write(writing, view) :]


def _effective_user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0  # what Windows says of all files


def _failure(source: str, destination: str, error: OSError) -> LinkError:
    text = "Cannot install {destination} from {source}: {error}"
    return LinkError(text, source=source, destination=destination, error=error)


def find_damage(tree: Tree) -> TreeFile | None:
    """Find a file of a tree in the store that is not as its manifest says, at the price of one ``lstat`` per file.

    Whoever edits a hard-linked file in some environment edits the store as well: its size or time stamp tells.
    """
    try:
        owner = os.lstat(tree.path).st_uid
    except OSError:
        return tree.files[0] if tree.files else None
    root, mtime = tree.path + os.sep, tree.mtime
    known = 0xFFFF if os.name == "posix" else stat.S_IFMT(0xFFFF)  # Windows has no modes of this kind
    for file in tree.files:
        try:
            status = os.lstat(f"{root}{file.scheme}/{file.path}")
        except OSError:
            return file
        if (
            status[stat.ST_MTIME] != mtime
            or status.st_size != file.size
            or status.st_mode & known != (stat.S_IFREG | file.mode) & known
            or status.st_uid != owner
        ):
            return file
    return None
