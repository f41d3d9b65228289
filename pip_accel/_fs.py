"""The door to files: atomic writes, digests, locks, and directories that are complete or absent."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "current_umask",
    "find_told_error",
    "hash_file",
    "hash_tree",
    "lock_file",
    "make_directory",
    "move",
    "naming",
    "prune",
    "publish",
    "read_bytes",
    "read_text",
    "remove_free_locks",
    "release",
    "remove_tree",
    "replacing",
    "staging",
    "stamp",
    "state",
    "try_lock",
    "unique_name",
    "write_file",
]


_BLOCK = 1 << 20  # bytes that are read at once
_PERIOD = 0.05  # seconds between two looks at a lock
#: Errors that are those of a disk, or of its owner's settings.
_OF_DISKS = frozenset(
    (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
)


_stage: tuple[str, str] | None = None  # a root, and where what comes below it is written first


@contextmanager
def staging(root: str, directory: str) -> Iterator[None]:
    """Have what comes below a root written in a directory first, which somebody removes if we are killed."""
    global _stage
    before, _stage = _stage, (os.path.join(root, ""), directory)
    try:
        yield
    finally:
        _stage = before


def unique_name(path: str) -> str:
    """Give a name on the file system of ``path``, whose directory is there, that no process, host or container uses."""
    name = f"{os.path.basename(path)[-200:]}.{os.getpid()}-{os.urandom(6).hex()}.tmp"
    directory = os.path.dirname(path)
    if _stage is not None and path.startswith(_stage[0]):
        try:
            if os.stat(directory).st_dev == os.stat(_stage[1]).st_dev:
                directory = _stage[1]
        except OSError:
            pass
    return os.path.join(directory, name)


def make_directory(path: str) -> None:
    """Make a directory of the data directory, and those above it; nobody else may write to them, whatever the umask."""
    try:
        os.mkdir(path, 0o755)
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):  # as below /proc, where nothing can be made
            raise
        make_directory(os.path.dirname(path))
        make_directory(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Have the errors of an open file, which say nothing of where it is, name it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


@contextmanager
def replacing(path: str, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a stream for the new content of a file, which takes its name when all is written, and not on an error.

    Readers see the old content or the new one. Missing directories are made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    if not os.path.isdir(os.path.dirname(path)):
        make_directory(os.path.dirname(path))
    temporary = unique_name(path)
    handle = os.open(temporary, flags, mode)
    try:
        with naming(path), os.fdopen(handle, "wb") as stream:
            yield stream
        move(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise


def write_file(path: str, content: bytes | str, *, mode: int = 0o644) -> None:
    """Write a whole file at once. Missing directories are made."""
    with replacing(path, mode=mode) as stream:
        stream.write(content.encode("utf-8") if isinstance(content, str) else content)


def read_bytes(path: str, *, touch: bool = False) -> bytes:
    """Give the content of a file, by a third of the system calls of :func:`open`.

    :param touch: whether that counts as a change of the file, if it may be changed.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        if touch:
            try:
                os.utime(handle if os.utime in os.supports_fd else path)
            except OSError:
                pass
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        while len(data) != size and (more := os.read(handle, _BLOCK)):  # it is longer now, or no plain file
            data += more
        return data
    finally:
        os.close(handle)


def read_text(path: str) -> str | None:
    """Give the content of a file, or ``None`` if there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def hash_file(path: str) -> str:
    """Give the SHA-256 of a file's content, hex."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def hash_tree(path: str) -> str:
    """Give a digest of all names below a directory, and of the files' contents, hex. Links count by what they name."""
    import hashlib

    digest = hashlib.sha256()
    for directory, directories, names in os.walk(path):
        directories.sort()
        for name in sorted((*names, *directories)):
            place = os.path.join(directory, name)
            link = os.path.islink(place)
            content = os.readlink(place) if link else hash_file(place) if os.path.isfile(place) else ""
            digest.update(repr((os.path.relpath(place, path), link, content)).encode())
    return digest.hexdigest()


def move(temporary: str, path: str) -> None:
    """Give what lies under a :func:`unique_name` its name, as a whole."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a bind mount below the root of the stage looks like the same file system
            raise
        import shutil

        beside = os.path.join(os.path.dirname(path), os.path.basename(temporary))
        shutil.move(temporary, beside)
        os.replace(beside, path)


def publish(staged: str, final: str) -> None:
    """Name a finished directory; if another process was first, its copy is as good as ours."""
    make_directory(os.path.dirname(final))
    try:
        move(staged, final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        remove_tree(staged)


def find_told_error(text: str, directory: str) -> OSError | None:
    """Find what a program said about files that it could not write below a directory, or did not name.

    :param text: its output, with an error as Python has it.
    """
    import re

    for number, reason, named in re.findall(r"\[Errno (\d+)\] ([^:\n]+)(.*)", text):
        if int(number) in _OF_DISKS and ("'" not in named or os.path.join(directory, "") in named):
            return OSError(int(number), reason.strip(), directory)
    return None


def remove_tree(path: str) -> None:
    """Remove a directory and all below it, also where modes forbid it; nothing happens if it is not there."""
    import shutil

    outside = os.path.dirname(path)
    tried: set[str] = set()

    def make_writable_and_retry(function: object, name: str, _: object) -> None:
        if name in tried:
            return
        tried.add(name)
        for each in (os.path.dirname(name), name):
            # What a link leads to is not ours to change, nor is a file that has other names: its directory counts.
            if each != outside and not os.path.islink(each) and (os.path.isdir(each) or os.name == "nt"):
                try:
                    os.chmod(each, stat.S_IRWXU)
                except OSError:
                    pass
        try:
            if os.path.isdir(name) and not os.path.islink(name):
                shutil.rmtree(name, onerror=make_writable_and_retry)
            else:
                os.unlink(name)
        except OSError:
            pass

    if os.path.lexists(path):
        shutil.rmtree(path, onerror=make_writable_and_retry)


def state(path: str) -> list[int]:
    """Give size and time of modification (nanoseconds) of a file; nothing if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def prune(directory: str, keep: int, spared: Collection[str] = ()) -> None:
    """Remove all but the newest files of a directory.

    :param spared: names that do not count and stay.
    """
    try:
        with os.scandir(directory) as entries:
            files = [
                (each.stat().st_mtime_ns, each.path)
                for each in entries
                if each.is_file(follow_symlinks=False) and each.name not in spared
            ]
    except OSError:  # there is none yet, or another process removes some now
        return
    for _, path in sorted(files, reverse=True)[keep:]:
        _unlink_if_there(path)


def stamp(handle: int, path: str, mode: int, times: tuple[int, int]) -> None:
    """Give an open file its permission bits, and its times of access and modification in nanoseconds."""
    if os.utime in os.supports_fd:
        os.fchmod(handle, mode)
        os.utime(handle, ns=times)
    else:
        os.chmod(path, mode)
        os.utime(path, ns=times)


def current_umask() -> int:
    """Give the umask of this process, which can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def try_lock(path: str, *, shared: bool = False) -> int | None:
    """Lock a file without waiting: its descriptor, to be closed when done, or ``None`` if another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    if fcntl is not None:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:  # a file system without locks: its names are unique and renames atomic all the same
            pass
    return handle


@contextmanager
def lock_file(
    path: str, *, shared: bool = False, pause: Callable[[float], None] | None = None, passing: bool = False
) -> Iterator[None]:
    """Hold the lock of a file, waiting for it as long as it takes. It ends with the process, however that ends.

    :param pause: waits for some seconds, or raises what ends the waiting; for threads, which no signal reaches.
    :param passing: the file goes when it is not needed any more; whoever waited for it then makes it anew.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _wait_for(handle, shared, pause)
            if passing and not _is_file(handle, path):
                continue
            try:
                yield
            finally:
                if passing:
                    _unlink_if_there(path)
            return
        finally:
            release(handle)


def release(handle: int) -> None:
    """Close a lock. Nothing was written to its file, so nothing is lost where the system has something to say of that.
    """
    try:
        os.close(handle)
    except OSError:
        pass


def remove_free_locks(directory: str) -> None:
    """Remove the files of passing locks that nobody holds: their holders were killed."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(directory, name)
        handle = try_lock(path)
        if handle is not None:
            if _is_file(handle, path):
                _unlink_if_there(path)
            release(handle)


def _wait_for(handle: int, shared: bool, pause: Callable[[float], None] | None) -> None:
    if fcntl is None:
        return
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(handle, operation | (fcntl.LOCK_NB if pause is not None else 0))
        except BlockingIOError:
            assert pause is not None
            pause(_PERIOD)
            continue
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise
        return


def _is_file(handle: int, path: str) -> bool:
    """Whether a name still stands for an open file."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _unlink_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # Windows does not remove what is open
        pass
