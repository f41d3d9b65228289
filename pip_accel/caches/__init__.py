"""Caches: the protocol of backends, and all of them as one.

A backend is found by an entry point in the group ``pip_accel.cache_backends``: a module that defines a subclass of
:class:`AbstractCacheBackend`, or the class. They are looked up on a miss of the store only. The local one holds binary
distribution archives; the others share these between machines, and what :mod:`pip_accel._sharing` gives them.
"""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from pip_accel._messages import Log, speaker
from pip_accel._text import escape_unprintable
from pip_accel.exceptions import CacheBackendDisabledError, CacheBackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pip_accel.config import Config

__all__ = ["AbstractCacheBackend", "CacheBackendMeta", "CacheManager"]

_GROUP = "pip_accel.cache_backends"
_registered: list[type[AbstractCacheBackend]] = []


class CacheBackendMeta(type):
    """The metaclass that once registered backends, which defining a subclass does now."""


class AbstractCacheBackend(metaclass=CacheBackendMeta):
    """What a cache backend has to offer. Defining a subclass registers it."""

    PRIORITY: ClassVar[int] = 0  #: of shared ones, lower is asked first; ``local``, before all, has 10, ``s3`` 20
    CONCURRENT: ClassVar[bool] = False  #: whether several threads may call it at a time

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def read_only(self) -> bool:
        """Whether nothing needs to be put."""
        return False

    def _takes(self) -> bool:
        return not self.read_only

    def report(self, text: str) -> None:
        """Tell the user, in one line, of something that is no failure. Whoever uses the backend sets this."""

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        _registered.append(cls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def get(self, filename: str) -> str | None:
        """Give the path of a local file with the content of what is stored under a name, or ``None``.

        :param filename: relative, ``/`` on every system, with one directory or more in front.
        """
        raise NotImplementedError

    def fetch(self, filename: str, path: str) -> bool:
        """Write what is stored under a name to a file of the caller's; give whether there is anything.

        Here it is done by way of :meth:`get`.

        :param path: of a file that does not exist, in a directory that does.
        """
        import shutil

        found = self.get(filename)
        if found is not None:
            shutil.copyfile(found, path)
        return found is not None

    def put(self, filename: str, handle: BinaryIO) -> None:
        """Store a file. The handle is at position 0 and stays open; the same name may come twice.

        Whatever has the same name is as good: what is there already may stay, unless it was rejected.
        """
        raise NotImplementedError

    def has(self, filename: str) -> bool:
        """Whether it is known that something is stored under a name, and was not rejected. Saves to put it again."""
        return False

    def reject(self, filename: str) -> None:
        """Know that what :meth:`get` gave under a name is damaged: it is to be replaced by what is put next."""


class CacheManager:
    """All cache backends as one. A backend that raises is off for the rest of the run, and is reported once.

    Where a parameter does not say who is told of something, the logger ``pip_accel`` is.

    :param alone: use the local backend only, whatever others there are.
    :param on_failure: is told of a backend that failed, with the error; not of one that is not set up.
    :param on_disabled: is told of a backend that is not set up.
    :param on_report: is told of what is no failure and a user should know all the same.
    :param on_borrow: is called whenever something comes from a shared backend.
    :param directory: makes a temporary directory, given the beginning of its name.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_failure: Callable[[str, Exception], None] | None = None,
        on_disabled: Callable[[str, Exception], None] | None = None,
        on_report: Callable[[str], None] | None = None,
        on_borrow: Callable[[], None] | None = None,
        directory: Callable[[str], str] | None = None,
        alone: bool = False,
    ) -> None:
        from pip_accel.caches.local import LocalCacheBackend

        self.config = config
        self._alone = alone or config.offline
        self._on_failure = on_failure or partial(tell_of_failure, Log())
        self._on_disabled = on_disabled or partial(tell_of_disabled, Log())
        self._on_report = partial(_tell, on_report or Log())
        self._on_borrow = on_borrow
        self._directory = directory
        self._numbers = itertools.count(1)
        self._backends: list[AbstractCacheBackend] | None = None
        self._changing = threading.RLock()
        self._calling: dict[int, AbstractContextManager[object]] = {}  #: by identity of a backend
        self._damaged: dict[int, set[str]] = {}  #: what was not what its name says, by identity of a backend
        #: The local backend. It is asked before the others are looked up, which takes time.
        self._local = self._make(LocalCacheBackend) if LocalCacheBackend in _registered else None

    @property
    def backends(self) -> list[AbstractCacheBackend]:
        """The backends in use, in the order in which they are asked."""
        with self._changing:
            if self._backends is None:
                if not self._alone:
                    self._load_entry_points()
                local = self._local
                classes = _registered if not self._alone else []
                others = [self._make(each) for each in classes if local is None or each is not type(local)]
                self._backends = [each for each in (local, *others) if each is not None]
                self._backends.sort(key=lambda each: each.PRIORITY)
            return self._backends

    def _make(self, backend_class: type[AbstractCacheBackend]) -> AbstractCacheBackend | None:
        try:
            if not isinstance(backend_class.PRIORITY, (int, float)):
                raise CacheBackendError("its PRIORITY is no number")
            backend = backend_class(self.config)
        except Exception as error:  # a third party's constructor may raise anything
            self._report(backend_class.__name__, error)
            return None
        backend.report = self._on_report  # type: ignore[method-assign]
        self._calling[id(backend)] = nullcontext() if backend.CONCURRENT else threading.Lock()
        return backend

    @property
    def shared(self) -> list[AbstractCacheBackend]:
        """The backends that may give what another machine put there: those that are not the local one."""
        return [backend for backend in self.backends if backend is not self._local]

    def _load_entry_points(self) -> None:
        import importlib.metadata

        # Ours is there also where pip-accel runs from a checkout, without metadata.
        if self.config.s3_cache_bucket:
            from pip_accel.caches import s3  # noqa: F401

        for entry_point in importlib.metadata.entry_points(group=_GROUP):
            try:
                entry_point.load()
            except Exception as error:
                self._report(entry_point.name, error)

    def _report(self, name: str, error: Exception) -> None:
        # What was asked for and cannot be had is worth a word.
        disabled = isinstance(error, CacheBackendDisabledError) and not error.context.get("wanted")
        (self._on_disabled if disabled else self._on_failure)(name, error)

    def _switch_off(self, backend: AbstractCacheBackend, error: Exception) -> None:
        with self._changing:
            if backend not in self.backends:  # another thread has met with the same
                return
            self.backends.remove(backend)
        self._report(repr(backend), error)

    def _call(self, backend: AbstractCacheBackend, method: str, *arguments: Any) -> Any:
        """Call a method of a backend that is still in use; one that raises is so no longer."""
        with self._calling[id(backend)]:
            if (backend is self._local and self._backends is None) or backend in self.backends:
                try:
                    return getattr(backend, method)(*arguments)
                except Exception as error:
                    self._switch_off(backend, error)
        return None

    def get(self, requirement: Any) -> str | None:
        """Give the path of the first archive that a backend has for a requirement and that is whole, or ``None``.

        :param requirement: a :class:`~pip_accel.req.Requirement`; what its build depends on says which archive.
        """
        from pip_accel._archives import is_whole

        return next((path for path in self.candidates(requirement) if is_whole(path)), None)

    def candidates(self, requirement: Any, *, alone: bool = False) -> Iterator[str]:
        """Give the paths of the archives that backends have for a requirement.

        Those of the local cache are checked by their keys only, those of others completely.

        :param alone: ask the local cache only.
        """
        from pip_accel._archives import is_whole, read_manifest
        from pip_accel._build.key import key_digest

        def is_sought(path: str) -> bool:
            return (read_manifest(path) or {}).get("key-digest") == key_digest(requirement.cache_key)

        filename = self.generate_filename(requirement)
        path = self._call(self._local, "get", filename) if self._local is not None else None
        if path is not None and is_sought(path):
            yield path
        for backend in self.shared if not alone else ():
            path = self._fetch(backend, filename, lambda path: is_sought(path) and is_whole(path))
            if path is not None:
                yield self._keep(filename, path)

    def put(self, requirement: Any, handle: BinaryIO, *, alone: bool = False) -> None:
        """Store an archive in every backend.

        :param alone: in the local cache only.
        """
        filename = self.generate_filename(requirement)
        for backend in [each for each in self.backends if each is self._local or not alone]:
            if self._wants(backend, filename):
                handle.seek(0)
                self._call(backend, "put", filename, handle)

    def generate_filename(self, requirement: Any) -> str:
        """Name the archive of a requirement: ``v<revision>/<name>/<name>-<version>-<tags>-<digest>.tar.gz``."""
        from pip_accel._build.key import cache_filename

        return cache_filename(requirement.cache_key, requirement.cache_tag)

    # Files of any kind, of the shared backends only

    def fetch(self, filename: str, is_sound: Callable[[str], bool]) -> str | None:
        """Give the path of a file that a shared backend has under a name and that is sound, or ``None``.

        It is called as the last part of the name says, and is the caller's own.
        """
        for backend in self.shared:
            path = self._fetch(backend, filename, is_sound)
            if path is not None:
                return path
        return None

    def share(self, filename: str, provide: Callable[[], BinaryIO]) -> None:
        """Store a file in every shared backend.

        :param provide: opens it, or makes it; called for each backend that needs it.
        """
        for backend in self.shared:
            if self._wants(backend, filename):
                with provide() as handle:
                    self._call(backend, "put", filename, handle)

    def _fetch(self, backend: AbstractCacheBackend, filename: str, is_sound: Callable[[str], bool]) -> str | None:
        """Have a shared backend write a file to a place of our own, so that what is checked is what is used."""
        damaged = self._damaged.setdefault(id(backend), set())
        if filename in damaged:
            return None
        path = os.path.join(self._place, str(next(self._numbers)), filename.rpartition("/")[2])
        os.makedirs(os.path.dirname(path))
        if not self._call(backend, "fetch", filename, path):
            return None
        if not os.path.isfile(path):
            self._switch_off(
                backend, CacheBackendError("It says that it has {filename}, and gave none", filename=filename)
            )
            return None
        if is_sound(path):
            if self._on_borrow is not None:
                self._on_borrow()
            return path
        os.unlink(path)
        if not damaged:  # of others, nothing more is said
            self._on_report(f"{filename} in {backend!r} is not what its name says, and is not used")
        damaged.add(filename)
        self._call(backend, "reject", filename)
        return None

    @cached_property
    def _place(self) -> str:
        """A directory for what comes from shared backends."""
        if self._directory is not None:
            return self._directory("fetched")
        import tempfile
        import weakref

        from pip_accel import _fs

        path = tempfile.mkdtemp(prefix="pip-accel-")
        weakref.finalize(self, _fs.remove_tree, path)
        return path

    def _keep(self, filename: str, path: str) -> str:
        """Have a file in the local cache that a shared backend gave; give its path."""
        if self._local is not None:
            with open(path, "rb") as stream:
                self._call(self._local, "put", filename, stream)
            path = self._call(self._local, "get", filename) or path
        return path

    def _wants(self, backend: AbstractCacheBackend, filename: str) -> bool:
        return self.may_write(backend) and not self._call(backend, "has", filename)

    def may_write(self, backend: AbstractCacheBackend) -> bool:
        """Whether a backend is in use, and takes what it is given."""
        return self._call(backend, "_takes") is True


def _tell(say: Callable[[str], None], text: str) -> None:
    say(escape_unprintable(text))  # services may have put anything into it


def tell_of_failure(say: Callable[[str], None], name: str, error: Exception) -> None:
    """Tell of a backend that failed: a warning, and the traceback for those who asked for more."""
    import traceback

    speaker(say, "warning")(escape_unprintable(f"The cache backend {name} is off for this run: {error}"))
    speaker(say, "debug")("".join(traceback.format_exception(error)))


def tell_of_disabled(say: Callable[[str], None], name: str, error: Exception) -> None:
    """Tell those who asked for more of a backend that is not set up."""
    speaker(say, "debug")(f"{name} is not used: {error}")
