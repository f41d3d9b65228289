"""A set of changes to an environment: all of them, or none.

What happens is decided and written down (``steps``, ``journal``) before the first change. Whatever ends the transaction
early, it is undone then, at the latest by the next run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pip_accel._install.journal import Journal, recover, remove_empty
from pip_accel._install.link import Linker, make_file, why
from pip_accel._install.staging import Entry, find_whole, stage
from pip_accel._install.steps import Steps, decide
from pip_accel._trees import find_damage, find_damaged_file
from pip_accel._values import Change, Target
from pip_accel.exceptions import Edited, LinkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["install", "lock_prefix", "pending", "repair"]


def install(
    changes: Sequence[Change],
    target: Target,
    *,
    linker: Linker,
    byte_code: bool,
    template: str,
    umask: int,
    on_start: Callable[[], None] | None = None,
    on_replace: Callable[[Change], None] | None = None,
    replace: bool = False,
    check: bool = False,
    jobs: int = 1,
) -> Sequence[str]:
    """Carry out changes in the order given. Any exception, also that of a signal, leaves the environment as it was.

    The caller holds the lock of the prefix, and has repaired it.

    :param byte_code: whether byte code is installed.
    :param template: body of launchers, see :func:`~pip_accel._install.scripts.learn_template`.
    :param umask: that of this process.
    :param on_start: called when everything is decided and nothing has changed yet.
    :param on_replace: called for each change that replaces or hides a distribution, before anything is removed.
    :param replace: whether what lies in the directory of ``--target`` is replaced.
    :param check: whether the trees are looked at for files that somebody edited.
    :param jobs: processes to use at most.
    :returns: paths of what stays there in place of what was to be installed.
    :raises Edited: a file of a tree is not as it was.
    :raises UnsafeArchive: a file would lie outside of its scheme's directory.
    :raises Unsupported: what is replaced can only be removed by pip.
    :raises LinkError: a file could not be written.
    """
    # What the environment loses is written down where a later run for it looks.
    place = target.prefix if any(change.replaces is not None for change in changes) else target.place
    made = _make_directories(place)
    try:
        whole = find_whole(changes, target, place)
        if check:
            _check(changes, whole)
        steps = decide(
            changes, target, byte_code=byte_code, template=template, umask=umask, replace=replace, whole=whole
        )
        if on_start is not None:
            on_start()

        def announce() -> None:
            if on_replace is not None:
                for change in changes:
                    if change.replaces is not None or change.beside is not None:
                        on_replace(change)

        with pending(steps, place, linker, announce, check=check, jobs=jobs):
            pass
    except BaseException:
        for path in reversed(made):
            try:
                remove_empty(path)
            except OSError:  # what is to be said is what came before
                break
        raise
    return steps.kept


def _check(changes: Sequence[Change], whole: Sequence[bool]) -> None:
    """Look at the trees for edited files; bundles that come as a whole are looked at when they are linked.

    :raises Edited: there is one.
    """
    for change, each in zip(changes, whole, strict=True):
        damage = (find_damaged_file if each else find_damage)(change.tree)
        if damage is not None:
            raise Edited("{path} of {name} was edited in some environment", path=damage, name=change.tree.name)


def _make_directories(path: str) -> list[str]:
    """Make a directory and its parents; give those that were not there, parents first."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    missing.reverse()
    for each in missing:
        os.mkdir(each)
    return missing


@contextmanager
def pending(
    steps: Steps,
    prefix: str,
    linker: Linker,
    on_journal: Callable[[], None] | None = None,
    *,
    check: bool = False,
    jobs: int = 1,
) -> Iterator[None]:
    """Carry out steps for the time of a block: they are final if it ends well, and undone if anything is raised in it.

    The caller holds the lock of the prefix, and has repaired it.

    :param on_journal: called when the steps are written down and nothing has changed yet.
    :param check: see :func:`install`, like ``jobs``.
    :raises LinkError: a file could not be written.
    """
    journal = Journal(prefix)
    try:
        entries = stage(steps.wholes, journal.new, linker, check=check, jobs=jobs)
        journal.write(steps, entries)
        if on_journal is not None:
            on_journal()
        journal.stash(steps.moves)
        _carry_out(steps, entries, linker)
        yield
        with _signals_held():
            journal.commit()
            recover(prefix)
    except BaseException:
        with _signals_held():
            recover(prefix)
        raise


def repair(prefix: str) -> bool:
    """Undo what a transaction that was killed left, or tidy up if it was complete.

    :returns: whether there was anything to undo.
    :raises LinkError: something could not be put back.
    """
    with _signals_held():
        return recover(prefix)


def _carry_out(steps: Steps, entries: Sequence[Entry], linker: Linker) -> None:
    for directory in steps.dropped:
        remove_empty(directory.path)
    for path in steps.made:
        os.mkdir(path)
    for root, pairs in steps.links:
        if pairs:
            linker.link(root, pairs)
    for write in steps.writes:
        make_file(write)
    for staged, final in entries:
        try:
            os.rename(staged, final)
        except OSError as error:
            raise LinkError("Cannot install {path}: {why}", path=final, why=why(error), error=error) from error
    for write in steps.records:
        make_file(write)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP wait until the end; they are of no concern to other threads than the main one."""
    import signal

    arrived: list[int] = []
    handlers = {}
    try:
        for each in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
            handlers[each] = signal.signal(each, lambda number, _: arrived.append(number))
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in arrived:
            signal.raise_signal(number)


@contextmanager
def lock_prefix(prefix: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Keep other runs of pip-accel out of an environment. The lock ends with the process, however that ends.

    The directory itself is locked, so that nothing is left in it. Where there are no locks (NFS), there is none.

    :param on_wait: called once if another process holds the lock, before waiting for it.
    """
    handle = _open_lock(prefix)
    try:
        if handle is not None and not _lock(handle, wait=False):
            on_wait()
            _lock(handle, wait=True)
        yield
    finally:
        if handle is not None:
            os.close(handle)


if sys.platform == "win32":

    def _open_lock(prefix: str) -> int | None:
        """Open a file for the directory: there are no locks of directories."""
        import hashlib
        import tempfile

        name = hashlib.sha256(os.path.normcase(os.path.realpath(prefix)).encode("utf-8", "replace")).hexdigest()
        return os.open(os.path.join(tempfile.gettempdir(), f"pip-accel-{name[:16]}.lock"), os.O_RDWR | os.O_CREAT)

    def _lock(handle: int, *, wait: bool) -> bool:
        import msvcrt
        import time

        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.1)

else:

    def _open_lock(prefix: str) -> int | None:
        try:
            return os.open(prefix, os.O_RDONLY)
        except OSError:  # no such directory, or one that cannot be read
            return None

    def _lock(handle: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
        return True
