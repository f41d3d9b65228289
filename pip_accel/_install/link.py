"""Files of the store under names of an environment: by reflink, hard link or copy, whichever is possible."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Sequence

from pip_accel._fs import stamp
from pip_accel._values import Bundle
from pip_accel.exceptions import Edited, LinkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol

    from pip_accel._install.layout import Write

    Mode = Literal["auto", "reflink", "hardlink", "copy"]

    class Way(Protocol):
        """Gives a file another name. Paths may be relative to open directories."""

        def __call__(self, src: str, dst: str, /, *, src_dir_fd: int | None, dst_dir_fd: int | None) -> None: ...

__all__ = ["Linker", "copy", "make_file", "reflink", "why"]

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
        others = [_translate(each) for each, match in plain.items() if not match]
        self._pattern = re.compile("|".join(others)) if others else None

    def link(self, root: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Give files of one tree a second name, with their modes and modification times.

        :param root: directory of the tree. Its owner owns all that is in it:
            :func:`pip_accel._trees.find_damage` has seen to that.
        :param pairs: a file of the tree, and a name that does not exist yet in a directory that does.
        :raises LinkError: a file could be neither linked nor copied; has both paths and the ``OSError``.
        :raises Edited: a file of the tree is gone.
        """
        self._link(os.stat(root), pairs)

    def link_bundle(self, bundle: Bundle, source: int, target: int, base: str) -> None:
        """Give the files of a bundle a second name at the same paths below another directory.

        :param source: the open directory of the bundle.
        :param target: the open directory that has the bundle's directories already.
        :param base: what errors are to call the latter.
        :raises LinkError: as in :meth:`link`.
        """
        status = os.fstat(source)
        for _, paths, _ in bundle.groups:
            self._link(status, zip(paths, paths, strict=True), source, target, (bundle.root, base))

    def _link(
        self,
        status: os.stat_result,
        pairs: Iterable[tuple[str, str]],
        source_directory: int | None = None,
        target_directory: int | None = None,
        roots: tuple[str, str] = ("", ""),
    ) -> None:
        endings, pattern = self._endings, self._pattern
        way: Way | None = None
        for source, destination in pairs:
            try:
                if destination.endswith(endings) or (pattern and pattern.match(os.path.basename(destination))):
                    copy(source, destination, src_dir_fd=source_directory, dst_dir_fd=target_directory)
                elif way:
                    way(source, destination, src_dir_fd=source_directory, dst_dir_fd=target_directory)
                else:
                    way = self._find_way(source, destination, status, source_directory, target_directory)
            except OSError as error:
                # Past the first file, an error speaks for that file.
                if way is None or way is copy or (error.errno not in _NEVER and error.errno != errno.EMLINK):
                    raise _failure(roots, source, destination, error) from error
                try:
                    copy(source, destination, src_dir_fd=source_directory, dst_dir_fd=target_directory)
                except OSError as second:
                    raise _failure(roots, source, destination, second) from second

    def _find_way(
        self,
        source: str,
        destination: str,
        status: os.stat_result,
        source_directory: int | None,
        target_directory: int | None,
    ) -> Way:
        """Link the first file of a tree, and give the way that worked."""
        directory = os.path.dirname(destination) if target_directory is None else target_directory
        devices = status.st_dev, os.stat(directory).st_dev
        for index in range(self._first.get(devices, 0), len(self._ways)):
            way = self._ways[index]
            # A hard link to another user's file would leave the environment at their mercy.
            if way is os.link and status.st_uid != _effective_user():
                continue
            try:
                way(source, destination, src_dir_fd=source_directory, dst_dir_fd=target_directory)
            except OSError as error:
                if error.errno == errno.EMLINK:
                    copy(source, destination, src_dir_fd=source_directory, dst_dir_fd=target_directory)
                elif way is not copy and error.errno in _NEVER and not _is_there(destination, target_directory):
                    self._first[devices] = index + 1
                    continue
                else:
                    raise
            return way
        raise AssertionError("the last way is a copy, which works or raises")


def _translate(pattern: str) -> str:
    from fnmatch import translate

    return translate(pattern)


def reflink(source: str, destination: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Make a file that shares the blocks of another until one of them is changed."""
    fill = lambda reading, writing, _: fcntl.ioctl(writing, _FICLONE, reading)  # noqa: E731
    _make(source, destination, src_dir_fd, dst_dir_fd, fill)


def copy(source: str, destination: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Make a file with the content, mode and modification time of another."""
    _make(source, destination, src_dir_fd, dst_dir_fd, _copy_blocks)


def _make(
    source: str,
    destination: str,
    source_directory: int | None,
    target_directory: int | None,
    fill: Callable[[int, int, int], object],
) -> None:
    binary = getattr(os, "O_BINARY", 0)
    reading = os.open(source, os.O_RDONLY | binary, dir_fd=source_directory)
    try:
        status = os.fstat(reading)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary
        writing = os.open(destination, flags, 0o600, dir_fd=target_directory)
        try:
            try:
                fill(reading, writing, status.st_size)
                times = status.st_atime_ns, status.st_mtime_ns
                stamp(writing, destination, stat.S_IMODE(status.st_mode), times)
            finally:
                os.close(writing)
        except BaseException:
            os.unlink(destination, dir_fd=target_directory)
            raise
    finally:
        os.close(reading)


def _copy_blocks(reading: int, writing: int, size: int) -> None:
    # One byte more than there should be shows the end without another buffer.
    while block := os.read(reading, min(size + 1, _BLOCK)):
        view = memoryview(block)
        while view:
            view = view[os.write(writing, view) :]


def _effective_user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0  # what Windows says of all files


def _failure(roots: tuple[str, str], source: str, destination: str, error: OSError) -> LinkError:
    source, destination = (os.path.join(root, path) for root, path in zip(roots, (source, destination), strict=True))
    if isinstance(error, FileNotFoundError) and not os.path.lexists(source):
        return Edited("{path} is gone", path=source)
    text = "Cannot install {destination} from {source}: {why}"
    return LinkError(text, source=source, destination=destination, why=why(error), error=error)


def why(error: OSError) -> str:
    """Say what happened, without the paths: those of an error may be relative, and what is open has none."""
    return error.strerror or str(error)


def _is_there(path: str, directory: int | None) -> bool:
    try:
        os.stat(path, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def make_file(write: Write, directory: int | None = None, base: str = "") -> None:
    """Write a file whose name is free; the journal has it, so it need not appear at once.

    :param directory: an open directory that its path is relative to.
    :param base: what errors are to call that.
    :raises LinkError: it could not be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(write.path, flags, 0o666, dir_fd=directory), "wb") as stream:
            stream.write(write.data)
        os.chmod(write.path, write.mode, dir_fd=directory)
        if write.mtime is not None:
            os.utime(write.path, (write.mtime, write.mtime), dir_fd=directory)
    except OSError as error:
        path = os.path.join(base, write.path)
        raise LinkError("Cannot write {path}: {why}", path=path, why=why(error), error=error) from error
