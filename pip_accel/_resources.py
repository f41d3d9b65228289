"""What every stage of one run works with: the settings, the target, the data directory, a temporary root."""

from __future__ import annotations

import itertools
import os
import stat
import sys
import time
from _thread import allocate_lock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pip_accel import _fs
from pip_accel._environment import target_tag
from pip_accel._index import LocalIndex
from pip_accel._store import Store
from pip_accel._values import Target
from pip_accel.exceptions import ConfigError, DataDirectoryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = [
    "Resources",
    "find_fault",
    "host_pip_version",
    "is_older",
    "open_data_directory",
    "open_resources",
    "open_temporary",
]

_ABANDONED = 86400  # seconds
_SHORT = 60  # bytes
_BORROWED = "borrowed"  # name of a file in the directory that tells where results of builds are from
_ELSEWHERE = "elsewhere"  # name of the file that lists temporary directories in other places


class Resources:
    """The parts of one run.

    :ivar python: the ``--python`` that pip gets, or ``None``: the interpreter we run in.
    :ivar kept: whether what this run learns and builds serves later runs.
    :ivar temporary: a directory that vanishes with the run, and by the next run if this one is killed.
    """

    def __init__(
        self, config: Config, target: Target, python: str | None, environ: Mapping[str, str], temporary: str
    ) -> None:
        self.config = config
        self.kept = True
        self.target = target
        # Absolute: build backends are called from other directories.
        self.python = None if python is None else target.python
        self.environ = environ
        self.temporary = temporary
        self._short_root: str | None = None  #: where short paths are to be had; ``None``: the usual place
        self.started = time.time()  #: seconds since the epoch, with their fractions
        self.umask = _fs.current_umask()
        self.jobs = config.build_jobs or os.cpu_count() or 1
        self.index = LocalIndex(config.source_index, target_tag(target))
        self.store = self.open_store(os.path.join(config.data_directory, "trees"))
        self._count = itertools.count(1)
        self._template: str | None = None
        self.lent_template = ""  #: what another machine has learned of launchers, for this run
        self._lock = allocate_lock()

    def open_store(self, root: str) -> Store:
        """Give a store for the target of this run."""
        by_hash = bool(self.environ.get("SOURCE_DATE_EPOCH"))
        return Store(root, self.target, umask=self.umask, jobs=self.jobs, by_hash=by_hash)

    def directory(self, name: str) -> str:
        """Make a new directory below the temporary root."""
        path = os.path.join(self.temporary, f"{name}{next(self._count)}-{os.getpid()}")
        os.mkdir(path, 0o700)
        return path

    def short_directory(self) -> str:
        """Make a temporary directory with a short path. It goes with the run, or with the next if that is killed."""
        import tempfile

        places = (self._short_root or tempfile.gettempdir(), "/tmp")  # where $TMPDIR is no place for sockets either
        fitting = [place for place in places if len(os.fsencode(place)) <= _SHORT and os.path.isdir(place)]
        path = os.path.join((*fitting, places[0])[0], f"pip-accel-{os.urandom(6).hex()}")
        note = os.path.join(self.temporary, _ELSEWHERE)
        with _fs.naming(note), open(note, "a", encoding="utf-8") as stream:
            stream.write(path + "\n")
        os.mkdir(path, 0o700)  # noted by then, so that it goes whatever happens
        return path

    @property
    def template(self) -> str:
        """The text of launchers, as the pip that runs here writes them; learned from it once, unless it was lent."""
        with self._lock:
            if self._template is None:
                path = self.place("templates", f"pip-{host_pip_version()}")
                self._template = _fs.read_text(path)
                if self._template is None and self.lent_template:
                    self._template = self.lent_template
                elif self._template is None:
                    from pip_accel._install.scripts import learn_template

                    self._template = learn_template(sys.executable, self.directory("template"))
                    _fs.write_file(path, self._template)
            return self._template

    @contextmanager
    def process_files(self) -> Iterator[None]:
        """Have the temporary files of this whole process go with the run, even when it is killed.

        Only for a process that does nothing else meanwhile: what it makes is removed with the run.
        """
        import tempfile

        before, self._short_root = tempfile.tempdir, tempfile.gettempdir()
        tempfile.tempdir = self.temporary
        try:
            yield
        finally:
            tempfile.tempdir, self._short_root = before, None

    @property
    def has_borrowed(self) -> bool:
        """Whether anything in the data directory may have been made on another machine."""
        return os.path.exists(self.place("origins", _BORROWED))

    def note_borrowing(self) -> None:
        """Note that something which another machine made comes into the data directory."""
        if not self.has_borrowed:
            _fs.write_file(self.place("origins", _BORROWED), "")

    def origin_of(self, sha256: str) -> tuple[str, float]:
        """Say in a word where the result of a build is from, empty if nobody noted it, and how many seconds it took."""
        word, _, seconds = (_fs.read_text(self.place("origins", sha256[:2], sha256)) or "").partition(" ")
        try:
            return word, float(seconds or 0)
        except ValueError:
            return word, 0.0

    def note_origin(self, sha256: str, word: str, seconds: float = 0.0) -> None:
        """Note where the result of a build is from.

        :param seconds: what the build took, if it was here.
        """
        _fs.write_file(self.place("origins", sha256[:2], sha256), f"{word} {seconds:.3f}" if seconds else word)

    def place(self, *parts: str) -> str:
        """Give a path below the data directory."""
        return os.path.join(self.config.data_directory, *parts)


def open_data_directory(path: str) -> None:
    """Make the data directory if it is missing, and see that it is ours alone to write to.

    :raises DataDirectoryError: it cannot be used; the message says why and what to do.
    """
    try:
        _fs.make_directory(path)
        status = os.stat(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if fault := find_fault(status):
        raise _unusable(path, fault)
    try:
        os.makedirs(os.path.join(path, "tmp"), mode=0o700, exist_ok=True)
        probe = _fs.unique_name(os.path.join(path, "tmp", "probe"))
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.close(handle)
        finally:
            os.unlink(probe)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def find_fault(status: os.stat_result) -> str:
    """Say why what lies in a data directory may be somebody else's; empty if it is ours alone."""
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return "it belongs to another user"
    if os.name != "nt" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return ""


def _unusable(path: str, reason: str) -> DataDirectoryError:
    return DataDirectoryError(
        "The data directory {path} cannot be used ({reason}). Choose another one with $PIP_ACCEL_CACHE.",
        path=path,
        reason=reason[:1].lower() + reason[1:],
    )


@contextmanager
def open_resources(
    config: Config, target: Target, python: str | None, environ: Mapping[str, str], *, keep: bool = True
) -> Iterator[Resources]:
    """Give the parts of a run; what is temporary goes when it ends.

    :param keep: whether the data directory is used; else one that goes with the run takes its place.
    :raises DataDirectoryError: the data directory cannot be used.
    """
    if not keep:
        import tempfile

        with (
            tempfile.TemporaryDirectory(prefix="pip-accel-", ignore_cleanup_errors=True) as directory,
            open_resources(config.at(directory), target, python, environ) as resources,
        ):
            resources.kept = False
            yield resources
        return
    try:
        open_data_directory(config.data_directory)
    except ConfigError as error:  # no home directory; what somebody set was checked before
        raise DataDirectoryError("{error}", error=error) from error
    with open_temporary(config.data_directory) as temporary:
        yield Resources(config, target, python, environ, temporary)


@contextmanager
def open_temporary(directory: str) -> Iterator[str]:
    """Give the temporary directory of a run, where all is written first that comes into a data directory.

    :param directory: a data directory that can be used. What killed runs left in it is removed.
    """
    root = os.path.join(directory, "tmp")
    _sweep(root)
    name = os.urandom(4).hex()
    temporary = os.path.join(root, f"run-{name}")
    nascent = os.path.join(root, f"new-{name}")
    os.mkdir(nascent, 0o700)
    try:
        holder = _fs.try_lock(os.path.join(nascent, "lock"))
        os.rename(nascent, temporary)  # only now do other runs look for its lock
    except OSError:
        _remove(nascent)
        raise
    try:
        with _fs.staging(directory, temporary):
            yield temporary
    finally:
        _remove(temporary)
        if holder is not None:
            _fs.release(holder)


def _remove(temporary: str) -> None:
    """Remove the temporary directory of a run, and those that it has elsewhere."""
    for path in _elsewhere(temporary):
        _fs.remove_tree(path)
    try:  # most runs leave nothing in it
        os.unlink(os.path.join(temporary, "lock"))
        os.rmdir(temporary)
    except OSError:
        _fs.remove_tree(temporary)


def _elsewhere(temporary: str) -> list[str]:
    paths = (_fs.read_text(os.path.join(temporary, _ELSEWHERE)) or "").splitlines()
    return [path for path in paths if os.path.basename(path).startswith("pip-accel-")]


def _sweep(root: str) -> None:
    """Remove what runs left behind that were killed: nobody holds their lock any more."""
    for entry in os.scandir(root):
        try:
            if not entry.name.startswith("run-"):
                # Killed before it had its lock; nobody is at that point for long.
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED:
                    _fs.remove_tree(entry.path)
                continue
            # The lock may be missing: then the run was killed while it removed this.
            handle = _fs.try_lock(os.path.join(entry.path, "lock"))
        except OSError:
            continue
        if handle is not None:
            from pip_accel._process import end_strays

            # What the killed run had started may still write there.
            for path in (entry.path, *_elsewhere(entry.path)):
                end_strays(path)
            _remove(entry.path)
            _fs.release(handle)
            _fs.remove_free_locks(os.path.join(os.path.dirname(root), "locks"))


def is_older(pip: str, than: tuple[int, int]) -> bool:
    """Whether a version of pip comes before a release; what is no plain version does not."""
    release = pip.split(".")[:2]
    return all(part.isdigit() for part in release) and tuple(map(int, release)) < than


def host_pip_version() -> str:
    """Give the version of the pip that runs here, told by the name of its metadata directory."""
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith("pip-") and name.endswith(".dist-info"):
                return name[4:-10]
    return "unknown"
