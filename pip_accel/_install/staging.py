"""Entries of the directory of the libraries that come as a whole: made beside the environment, then renamed into it.

Most directories that a distribution brings are new, and nothing else comes to lie in them. Nothing has to be decided
then about any one of their files: they are linked below the journal's directory, by several processes, and if
anything fails meanwhile, the environment has not changed yet.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pip_accel._install.layout import Whole, Write, format_rows
from pip_accel._install.link import Linker, make_file, why
from pip_accel._trees import find_damage_in
from pip_accel._values import Change, Target
from pip_accel.exceptions import Edited, LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Entry", "find_whole", "stage"]

_WORTHWHILE = 1000  # files and directories from which on another process gains more than it costs
_MOST = 4  # processes: beyond that the journal of the file system is what all wait for
_MOST_BATCHES = 250  # what a byte can count
#: Attributes of a directory that what is made in it inherits.
_INHERITED = ("system.posix_acl_default", "security.selinux")
_SIGNALS = frozenset(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_HANDLES = {os.open, os.stat, os.mkdir, os.link} <= os.supports_dir_fd


class Entry(NamedTuple):
    """An entry that was made, and where it goes."""

    staged: str  #: absolute
    final: str  #: absolute


def find_whole(changes: Sequence[Change], target: Target, place: str) -> list[bool]:
    """Find out of which distributions the bundles can come as a whole: no name of theirs is anyone else's.

    :param place: directory that has the journal.
    """
    scheme = target.scheme
    bases = {lib: os.path.realpath(base) for lib, base in (("purelib", scheme.purelib), ("platlib", scheme.platlib))}
    # Names that differ in case only are one name on some file systems.
    taken = {base: {name.casefold(): 2 for name in _names_in(base)} for base in bases.values()}
    usable = {base for base in taken if _HANDLES and target.kind != "directory" and _inherits_alike(place, base)}
    directories: dict[tuple[str, str], str] = {}
    for change in changes:
        tree = change.tree
        names = [(bases[tree.lib], name, 1) for name in tree.names]
        for file in tree.files:
            base, path = bases.get(file.scheme), file.path
            if base is None:
                key = file.scheme, os.path.dirname(path)
                if key not in directories:
                    directories[key] = os.path.realpath(os.path.join(getattr(scheme, file.scheme, ""), key[1]))
                path = os.path.join(directories[key], os.path.basename(path))
                base = next((each for each in taken if path.startswith(each + os.sep)), None)
                path = path[len(base) + 1 :] if base is not None else ""
            if base is not None:
                names.append((base, path.partition("/")[0], 2))
        for base, name, count in names:
            taken[base][name.casefold()] = taken[base].get(name.casefold(), 0) + count
    found = []
    for change in changes:
        tree = change.tree
        base = bases[tree.lib]
        alone = all(taken[base][name.casefold()] == 1 for name in tree.names)
        found.append(base in usable and alone and tree.dist_info in tree.names)
    return found


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _inherits_alike(place: str, base: str) -> bool:
    """Whether what is made below one directory gets what it would get from another, and can be renamed there."""
    one, other = _existing(place), _existing(base)
    first, second = os.stat(one), os.stat(other)
    if first.st_dev != second.st_dev or first.st_gid != second.st_gid:
        return False
    if (first.st_mode | second.st_mode) & stat.S_ISGID:
        return False
    return all(_attribute(one, name) == _attribute(other, name) for name in _INHERITED)


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _attribute(path: str, name: str) -> bytes | None:
    if sys.platform != "linux":
        return None
    try:
        return os.getxattr(path, name)
    except OSError:
        return None


def stage(wholes: Sequence[Whole], directory: str, linker: Linker, *, check: bool, jobs: int = 1) -> list[Entry]:
    """Make entries in a directory.

    :param directory: made here, on the file system that the entries go to.
    :param check: whether the store is looked at for files that somebody edited.
    :param jobs: processes to use at most.
    :returns: what is to be renamed, directories of metadata last.
    :raises Edited: a file in the store is not as it was.
    :raises LinkError: a file could not be made.
    """
    if not wholes:
        return []
    bases = list(dict.fromkeys(whole.base for whole in wholes))
    places = {base: os.path.join(directory, str(number)) for number, base in enumerate(bases)}
    os.mkdir(directory, 0o700)
    handles: dict[str, int] = {}
    try:
        for base, place in places.items():
            os.mkdir(place)
            handles[base] = os.open(place, os.O_RDONLY)

        def make(whole: Whole) -> None:
            _make(whole, handles[whole.base], linker, check=check)

        weights = [_weigh(whole) for whole in wholes]
        jobs = min(jobs, _MOST, len(wholes)) if sum(weights) >= _WORTHWHILE and _may_fork() else 1
        if jobs == 1:
            for whole in wholes:
                make(whole)
        else:
            _share(make, _batches(wholes, weights), jobs)
    finally:
        for handle in handles.values():
            os.close(handle)
    entries = [(whole, name) for whole in wholes for name in whole.names[:-1]]
    entries += [(whole, whole.names[-1]) for whole in wholes]
    return [Entry(os.path.join(places[whole.base], name), os.path.join(whole.base, name)) for whole, name in entries]


def _make(whole: Whole, target: int, linker: Linker, *, check: bool) -> None:
    """Make the entries of one distribution in an open directory."""
    for bundle in whole.bundles:
        if not bundle.groups:
            continue
        try:
            source = os.open(bundle.root, os.O_RDONLY)
        except FileNotFoundError as error:
            raise Edited("{path} is gone", path=bundle.root) from error
        try:
            damage = find_damage_in(bundle, whole.mtime, source) if check else None
            if damage is not None:
                raise Edited("{path} was edited in some environment", path=os.path.join(bundle.root, damage))
            for path in bundle.directories:
                _make_directory(path, target, whole.base)
            linker.link_bundle(bundle, source, target, whole.base)
        finally:
            os.close(source)
    record = Write(os.path.join(whole.names[-1], "RECORD"), format_rows(whole.rows, whole.bundles), whole.mode, None)
    for write in (*whole.writes, record):
        make_file(write, target, whole.base)


def _make_directory(path: str, directory: int, base: str) -> None:
    try:
        os.mkdir(path, dir_fd=directory)
    except OSError as error:
        path = os.path.join(base, path)
        raise LinkError("Cannot make {path}: {why}", path=path, why=why(error), error=error) from error


def _weigh(whole: Whole) -> int:
    count = 0
    for bundle in whole.bundles:
        count += 2 * len(bundle.directories) + sum(len(group.paths) for group in bundle.groups)
    return count


def _may_fork() -> bool:
    """Whether this process may be copied: only one thread of it would be."""
    return sys.platform == "linux" and len(sys._current_frames()) == 1


def _batches(wholes: Sequence[Whole], weights: Sequence[int]) -> list[list[Whole]]:
    """Put the work into portions, the heaviest first."""
    order = sorted(range(len(wholes)), key=lambda index: weights[index], reverse=True)
    return [[wholes[index] for index in order[start::_MOST_BATCHES]] for start in range(min(len(order), _MOST_BATCHES))]


def _share(make: Callable[[Whole], None], batches: Sequence[Sequence[Whole]], jobs: int) -> None:
    """Do work in several processes, this one among them. Each takes another portion when it is done with one.

    A child holds the locks of its parent until it ends, so nobody comes in between even where only that was killed.
    """
    queue, feed = os.pipe()
    os.write(feed, bytes(range(len(batches))))
    os.close(feed)
    reports, report = os.pipe()
    children: list[int] = []
    failed = False
    try:
        for _ in range(jobs - 1):
            # A signal that came between the fork and the first line of the child would make a second parent of it.
            signals = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                child = os.fork()
                if child == 0:
                    _work_as_child(make, batches, queue, report, signals)
                children.append(child)
            except OSError:  # there are too many processes
                break
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        _take(make, batches, queue)
        while children:
            failed = os.waitpid(children[-1], 0)[1] != 0 or failed
            children.pop()
    except BaseException:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        raise
    finally:
        for handle in (report, queue):
            os.close(handle)
        with open(reports, encoding="utf-8") as stream:
            said = stream.readline()
    if said:
        kind, arguments = json.loads(said)
        if kind == "OSError":
            raise OSError(*arguments)
        raise (Edited if kind == "Edited" else LinkError)("{error}", error=arguments)
    if failed:
        raise LinkError("A process that links files was killed: try again")


def _take(make: Callable[[Whole], None], batches: Sequence[Sequence[Whole]], queue: int) -> None:
    while portion := os.read(queue, 1):
        for whole in batches[portion[0]]:
            make(whole)


def _work_as_child(
    make: Callable[[Whole], None],
    batches: Sequence[Sequence[Whole]],
    queue: int,
    report: int,
    signals: Iterable[int],
) -> NoReturn:
    """Do a share of the work, and end: what else the process has open, or was about to do, is not for a child."""
    status = 1
    try:
        for each in _SIGNALS:  # a Ctrl-C is for the parent, which ends its children
            signal.signal(each, signal.SIG_IGN if each == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        _take(make, batches, queue)
        status = 0
    except OSError as error:
        _report(report, "OSError", [error.errno, error.strerror, error.filename])
    except BaseException as error:
        _report(report, type(error).__name__, str(error))
    finally:
        os._exit(status)


def _report(report: int, kind: str, arguments: object) -> None:
    """Tell the parent of an error, in one piece."""
    os.write(report, (json.dumps([kind, arguments], default=str) + "\n").encode())
