"""The journal of a transaction: one file that says beforehand all that will be removed and created.

It lies in a directory of the prefix, beside the files that were moved away. From it, the prefix can be put back to what
it was whenever the transaction ended early, also by another process, also if that is ended early in its turn: each step
of undoing may be done again. Once the file is renamed to ``committed``, there is only tidying left to do.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Sequence

from pip_accel._fs import naming
from pip_accel._install.link import copy
from pip_accel._install.staging import Entry
from pip_accel._install.steps import Steps
from pip_accel.exceptions import LinkError

__all__ = ["Journal", "recover", "remove_empty"]

_DIRECTORY = ".pip-accel-transaction"
_NEW = "new"


class Journal:
    """The directory of a transaction, made at once; nothing else is changed before :meth:`write`.

    :raises FileExistsError: an earlier transaction was not recovered from.
    :ivar new: where to make what is then renamed to where it belongs; not there yet.
    """

    def __init__(self, prefix: str) -> None:
        self._root = os.path.join(prefix, _DIRECTORY)
        self.new = os.path.join(self._root, _NEW)
        os.mkdir(self._root, 0o700)

    def write(self, steps: Steps, entries: Sequence[Entry] = ()) -> None:
        """Write down what will be done.

        :param entries: what will be renamed.
        """
        os.mkdir(os.path.join(self._root, "stash"), 0o700)
        contents = {
            "moves": steps.moves,
            "dropped": steps.dropped,
            "made": steps.made,
            "created": steps.created,
            "entries": entries,
        }
        temporary = os.path.join(self._root, "journal.tmp")
        with naming(temporary), open(temporary, "w", encoding="ascii") as stream:
            stream.write(json.dumps(contents))
            if steps.moves:  # a loss of power must not part these files from their names
                stream.flush()
                os.fsync(stream.fileno())
        os.rename(temporary, os.path.join(self._root, "journal"))

    def stash(self, files: Sequence[str]) -> None:
        """Move files away, one by one: overlayfs does not rename directories of its lower layers."""
        for number, path in enumerate(files):
            _move(path, os.path.join(self._root, "stash", str(number)))

    def commit(self) -> None:
        """Make it final, in one step."""
        os.rename(os.path.join(self._root, "journal"), os.path.join(self._root, "committed"))


def recover(prefix: str) -> bool:
    """Undo a transaction that was not committed, and tidy up after one that was. Nothing happens if there is none.

    :returns: whether there was anything to undo.
    :raises LinkError: something could not be put back; the journal stays, and a later call tries again.
    """
    root = os.path.join(prefix, _DIRECTORY)
    if not os.path.isdir(root):
        return False
    journal = os.path.join(root, "journal")
    undone = False
    if not os.path.exists(os.path.join(root, "committed")):
        try:
            with open(journal, "rb") as stream:
                contents = stream.read()
        except FileNotFoundError:
            pass  # ended before it was written, or after all was put back
        else:
            _undo(root, contents)
            undone = True
    _tidy_up(root)
    return undone


def _undo(root: str, contents: bytes) -> None:
    """Put everything back that a journal names. What was done already, or never came to be done, is passed over."""
    try:
        journal = json.loads(contents)
        moves, dropped, made, created = (journal[key] for key in ("moves", "dropped", "made", "created"))
        entries = journal.get("entries", ())
    except (ValueError, KeyError, TypeError) as error:
        text = "The journal of an interrupted installation cannot be read ({error}); what was removed lies in {root}"
        raise LinkError(text, root=root, error=error) from error
    failures: list[OSError] = []
    for staged, final in entries:
        if not os.path.lexists(staged):  # else what has the final name, if anything, is somebody else's
            _attempt(failures, _rename, final, staged)
    for path in created:
        _attempt(failures, _unlink, path)
    remade = {path for path, _, _, _ in dropped}
    for path in reversed(made):
        if path not in remade:
            _attempt(failures, remove_empty, path)
    for path, _, _, _ in reversed(dropped):
        _attempt(failures, _make_directory, path)
    for number, path in enumerate(moves):
        _attempt(failures, _move, os.path.join(root, "stash", str(number)), path)
    for path, mode, user, group in dropped:
        _attempt(failures, _restore_directory, path, mode, user, group)
    if failures:
        text = "Cannot undo an interrupted installation: {error}. What was removed lies in {root}: run pip-accel again"
        raise LinkError(text, root=root, error=failures[0]) from failures[0]
    os.unlink(os.path.join(root, "journal"))


def _tidy_up(root: str) -> None:
    """Remove the directory of a transaction; what cannot be removed, though it is tried again, is left to the next run.
    """
    for _ in range(2):
        _remove_what_can_be(root)
        if not os.path.exists(root):
            break


def _remove_what_can_be(root: str) -> None:
    stash, new = os.path.join(root, "stash"), os.path.join(root, _NEW)
    try:
        _remove_with(os.rmdir, new)  # after a commit all that was in them is elsewhere
    except FileNotFoundError:
        pass
    except OSError:
        from pip_accel._fs import remove_tree

        remove_tree(new)
    try:
        _remove_with(os.unlink, stash)
    except OSError:
        pass
    try:
        for name in ("journal.tmp", "committed"):
            if not os.path.exists(stash):
                _unlink(os.path.join(root, name))
        os.rmdir(root)
    except OSError:
        pass


def _remove_with(remove: Callable[[str], None], directory: str) -> None:
    """Remove a directory, and before that what is in it, by a function for one entry."""
    for name in os.listdir(directory):
        remove(os.path.join(directory, name))
    os.rmdir(directory)


def _attempt(failures: list[OSError], step: Callable[..., None], *arguments: object) -> None:
    """Take a step of undoing; one that fails does not keep the others from being taken."""
    try:
        step(*arguments)
    except OSError as error:
        failures.append(error)


def _move(source: str, target: str) -> None:
    """Rename a file, also to another file system, if it is there. Its new name shows all of it or nothing."""
    try:
        os.replace(source, target)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target + ".part"
        _unlink(part)
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), part)
        else:
            copy(source, part)
        if os.name == "posix" and os.geteuid() == 0:
            os.chown(part, status.st_uid, status.st_gid, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(part, stat.S_IMODE(status.st_mode))  # a change of owner clears setuid bits
        os.replace(part, target)
        os.unlink(source)


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        if not os.path.isdir(path):
            raise


def remove_empty(path: str) -> None:
    """Remove a directory if it is there and empty."""
    try:
        os.rmdir(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass


def _restore_directory(path: str, mode: int, user: int, group: int) -> None:
    status = os.stat(path)
    if os.name == "posix" and (status.st_uid, status.st_gid) != (user, group):
        os.chown(path, user, group)
    os.chmod(path, mode)
