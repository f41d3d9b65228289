"""Distributions as programs that embed pip-accel see them: what is known of one, and the update that makes room for it.

Faces of what the stages do; here are also the parts that :mod:`pip_accel.bdist` shares with them: which environment is
meant, and what works for it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from pip_accel import _fs
from pip_accel._environment import find_target
from pip_accel._messages import Log
from pip_accel._names import canonical_name, is_archive
from pip_accel._text import url_to_path
from pip_accel._values import Archive, Change, Installed, Pin, Scheme, Target
from pip_accel.exceptions import (
    DamagedSourceDistribution,
    InvalidSourceDistribution,
    PipAcceleratorError,
    UnknownDistributionFormat,
    Unsupported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from email.message import Message
    from types import TracebackType

    from pip_accel._build.builder import Buildable
    from pip_accel._engine import Engine
    from pip_accel._index import LocalIndex
    from pip_accel._install.link import Linker
    from pip_accel._install.steps import Steps
    from pip_accel._plan.arguments import Request
    from pip_accel._resources import Resources
    from pip_accel.config import Config

__all__ = ["Requirement", "TransactionalUpdate", "escape_name", "escape_name_callback"]

#: Prints where pip's ``--prefix`` leads, as the paths of a scheme. Two schemes are for the usual prefix only.
_ASK_SCHEME = """\
import json, os, sys, sysconfig
prefix = sys.argv[1]
name = sysconfig.get_preferred_scheme("prefix")
if name in ("posix_local", "osx_framework_library"):
    name = "posix_prefix"
bases = "installed_base", "base", "installed_platbase", "platbase", "prefix", "exec_prefix", "userbase"
paths = sysconfig.get_paths(name, dict.fromkeys(bases, prefix))
paths["headers"] = paths["include"]
if sys.prefix != sys.base_prefix:
    paths["headers"] = os.path.join(prefix, "include", "site", "python{}.{}".format(*sys.version_info))
print(json.dumps({name: paths[name] for name in sys.argv[2:]}))
"""
_BUILDABLE = ("setup.py", "pyproject.toml")
#: Updates that are going on in this process, by real path of the prefix.
_updates: dict[str, TransactionalUpdate] = {}


class Requirement:
    """One distribution that is to be installed.

    What only the unpacked sdist can tell unpacks it at first use; all else is cheap.

    :param requirement: shaped like an item of the list ``install`` in pip's installation report: ``metadata`` (core
        metadata as JSON), ``download_info`` (as in ``direct_url.json``), ``requested``, ``is_direct``.
    :param archive: its archive, in the local index. The SHA-256 of a directory is empty. ``None``: what a ``file:`` URL
        in ``download_info`` leads to.
    :ivar pip_requirement: the mapping.
    """

    def __init__(self, config: Config, requirement: Mapping[str, Any], *, archive: Archive | None = None) -> None:
        self.config = config
        self.pip_requirement = requirement
        self._given_archive = archive

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, version={self.version!r})"

    @property
    def name(self) -> str:
        """Name of the project, as its metadata spells it. Compare only canonical forms (PEP 503)."""
        return str(self.pip_requirement["metadata"]["name"])

    @property
    def version(self) -> str:
        """Version, as its metadata spells it. Compare only canonical forms (PEP 440)."""
        return str(self.pip_requirement["metadata"]["version"])

    @property
    def _download_info(self) -> Mapping[str, Any]:
        info: Mapping[str, Any] = self.pip_requirement.get("download_info") or {}
        return info

    @property
    def _subdirectory(self) -> str:
        return str(self._download_info.get("subdirectory") or "")

    @cached_property
    def archive(self) -> Archive | None:
        """The archive, or the directory (its ``sha256`` is empty then); ``None`` if neither is on this machine."""
        if self._given_archive is not None:
            return self._given_archive
        info, parts = self._download_info, urlsplit(str(self._download_info.get("url", "")))
        path = url_to_path(parts.path)
        if parts.scheme != "file" or "vcs_info" in info or not os.path.exists(path):
            return None
        said = (info.get("archive_info") or {}).get("hashes", {}).get("sha256")
        digest = "" if os.path.isdir(path) else str(said or _fs.hash_file(path))
        return Archive(path, os.path.basename(path), digest)

    @property
    def related_archives(self) -> list[str]:
        """Absolute path of its sdist; empty for wheels, directories and editable requirements."""
        archive = self.archive
        if archive is None or not archive.sha256 or self.is_editable or archive.filename.endswith(".whl"):
            return []
        return [archive.path]

    @property
    def last_modified(self) -> float:
        """Modification time of that, seconds since the epoch; now if there is none. Nothing is decided by it."""
        return max(map(os.path.getmtime, self.related_archives), default=time.time())

    @property
    def checksum(self) -> str:
        """SHA-256 of that file's content, lower-case hex; that of nothing if there is none."""
        import hashlib

        return next(map(_fs.hash_file, self.related_archives), hashlib.sha256().hexdigest())

    @cached_property
    def source_directory(self) -> str:
        """Absolute path of the unpacked sdist; of the tree in the store for a wheel; of the directory that was given.

        Only to be read. An sdist is unpacked for this, and goes with this object.

        :raises DamagedSourceDistribution: the sdist cannot be unpacked.
        :raises UnsafeArchive: it holds what must not be unpacked.
        :raises Unsupported: it is not on this machine.
        """
        archive = self.archive
        if archive is None:
            raise Unsupported("The source of {requirement} is not on this machine", requirement=self)
        if not archive.sha256 or self.is_editable:
            return os.path.join(archive.path, self._subdirectory) if self._subdirectory else archive.path
        if archive.filename.endswith(".whl"):
            with open_engine_for(self.config, self.name) as (_, engine):
                return engine.trees([self.pin(engine.resources.index)])[0].path
        import tempfile

        from pip_accel._build.source import unpack_sdist

        directory = tempfile.mkdtemp(prefix="pip-accel-")
        weakref.finalize(self, _fs.remove_tree, directory)
        return os.path.join(unpack_sdist(archive.path, directory), self._subdirectory).rstrip(os.sep)

    @property
    def is_wheel(self) -> bool:
        """Whether it comes as a wheel, told by the name of the archive.

        :raises UnknownDistributionFormat: it is neither a wheel nor anything that can be built.
        """
        archive = self.archive
        filename = archive.filename if archive is not None else urlsplit(str(self._download_info.get("url", ""))).path
        if filename.endswith(".whl") and (archive is None or archive.sha256):
            return True
        if archive is None:
            known = "vcs_info" in self._download_info or is_archive(filename)
        else:
            directory = not archive.sha256 or is_archive(filename)
            known = directory and any(os.path.isfile(os.path.join(self.source_directory, name)) for name in _BUILDABLE)
        if not known:
            raise UnknownDistributionFormat(
                "{requirement} ({filename}) is neither a wheel nor has it a setup.py or a pyproject.toml.",
                requirement=self,
                filename=filename,
            )
        return False

    @property
    def is_transitive(self) -> bool:
        """Whether another distribution brought it in; the opposite of :attr:`is_direct`."""
        return not self.is_direct

    @property
    def is_direct(self) -> bool:
        """Whether the user asked for it. (The report's ``is_direct`` means: by its URL.)"""
        return bool(self.pip_requirement.get("requested"))

    @property
    def is_editable(self) -> bool:
        """Whether it is to be installed in place."""
        return bool((self._download_info.get("dir_info") or {}).get("editable"))

    @property
    def sdist_metadata(self) -> Message:
        """Core metadata of what is no wheel: ``["Name"]``, ``get_all("Requires-Dist")``.

        :raises TypeError: it is a wheel.
        """
        if self.is_wheel:
            raise TypeError(f"{self} is a wheel: its metadata is in wheel_metadata")
        return self._metadata()

    @property
    def wheel_metadata(self) -> Message:
        """Core metadata of a wheel: ``["Name"]``, ``get_all("Requires-Dist")``.

        :raises TypeError: it is no wheel.
        """
        if not self.is_wheel:
            raise TypeError(f"{self} is no wheel: its metadata is in sdist_metadata")
        return self._metadata()

    def _metadata(self) -> Message:
        """Give the mapping's metadata as it was before it became JSON (PEP 566)."""
        from email.message import Message

        message = Message()
        for key, value in self.pip_requirement["metadata"].items():
            if key == "description":
                message.set_payload(value)
            elif key == "keywords" and not isinstance(value, str):
                message["Keywords"] = ",".join(value)
            else:
                for each in value if isinstance(value, list) else [value]:
                    message[key.replace("_", "-").title()] = str(each)
        return message

    # What the stages want to know.

    def pin(self, index: LocalIndex) -> Pin:
        """Give it as the stages know it. An archive from elsewhere is taken into the local index.

        :raises InvalidSourceDistribution: there is no archive of it, or it is another one than was said.
        """
        archive = self.archive
        if archive is None or self.is_editable or self._subdirectory:
            raise InvalidSourceDistribution(
                "{requirement} is editable, lies in a subdirectory, or has no archive on this machine:"
                " install_from_arguments() of PipAccelerator can install it.",
                requirement=self,
            )
        if archive.sha256 and index.locate(archive.sha256, archive.filename).path != archive.path:
            # What is found out about an archive is kept beside it: not beside a file of the user's.
            added = index.add_copy(archive.path)
            if added.sha256 != archive.sha256:
                raise DamagedSourceDistribution("{path} is not the archive that was chosen.", path=archive.path)
            archive = added
        return Pin(self.name, self.version, archive, self.is_direct, self.direct_url)

    @property
    def direct_url(self) -> str:
        """Contents of ``direct_url.json`` (PEP 610), empty unless it was asked for by its URL or path."""
        return json.dumps(self._download_info, sort_keys=True) if self.pip_requirement.get("is_direct") else ""

    @property
    def cache_key(self) -> Mapping[str, Any]:
        """What the result of its build depends on; :class:`~pip_accel.caches.CacheManager` asks for it.

        :raises BinaryDistributionError: there is nothing to build, or its build backend failed when it was asked.
        """
        return self._buildable.cache_key

    @property
    def cache_tag(self) -> str:
        """The part of the name of that result that says for which interpreters it is."""
        return self._buildable.cache_tag

    @cached_property
    def _buildable(self) -> Buildable:
        if not self.related_archives:
            raise InvalidSourceDistribution("{requirement} has no sdist to build.", requirement=self)
        with open_engine_for(self.config, self.name) as (_, engine):
            index = engine.resources.index
            pin = self.pin(index)
            buildable = engine.builder.buildable(pin)
            if buildable is None:  # its backend was never asked what a build requires
                from pip_accel._build.source import unpack_sdist

                source = unpack_sdist(pin.archive.path, os.path.join(engine.resources.directory("tree"), "t"))
                place, project = engine.resources.directory("metadata"), canonical_name(self.name)
                prepared = engine.builder.prepare(source, str(self), place, project)
                index.set_build_facts(pin.archive, prepared.facts)
                buildable = engine.builder.buildable(pin)
            assert buildable is not None
            return buildable


class TransactionalUpdate:
    """The update of one distribution: all of it, or nothing.

    Entering takes an installation of the same project out of the environment. Leaving makes that final, and leaving by
    an exception, also that of a signal, brings it back; after a ``kill -9`` the next run does. What
    :meth:`~pip_accel.bdist.BinaryDistributionManager.install_binary_dist` installs meanwhile for the same project and
    prefix belongs to the update. Nothing else may change the environment until then: other runs wait for it.

    :raises Unsupported: what is installed can only be removed by pip.
    :raises PipAcceleratorError: an update of the same environment is going on already.
    """

    def __init__(self, requirement: Requirement) -> None:
        self.requirement = requirement
        self._held = ExitStack()
        self._installed: Installed | None = None
        self._steps: Steps | None = None
        self._transaction: AbstractContextManager[None] | None = None
        self._prefix = ""

    def __enter__(self) -> TransactionalUpdate:
        from pip_accel._install.link import Linker
        from pip_accel._install.transaction import lock_prefix, repair

        target = find_destination(self.requirement.config)
        self._prefix = target.prefix
        if find_update(target.prefix) is not None:
            raise PipAcceleratorError("An update of {prefix} is going on already.", prefix=target.prefix)
        with ExitStack() as held:
            held.enter_context(lock_prefix(target.prefix, lambda: None))
            repair(target.prefix)
            self._installed = find_replaced(target, self.requirement.name)
            if self._installed is not None:
                self._begin(_removal(self._installed, target), Linker())
            place = os.path.realpath(target.prefix)
            _updates[place] = self
            held.callback(_updates.pop, place)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        transaction, self._transaction = self._transaction, None
        with self._held:
            if transaction is not None:
                transaction.__exit__(kind, error, traceback)

    def install(self, change: Change, decide: Callable[[Change], Steps], linker: Linker) -> None:
        """Install as a part of the update: what was taken away comes back, and goes again together with what comes.

        :param decide: gives the steps of a change.
        """
        if canonical_name(change.tree.name) != canonical_name(self.requirement.name):
            raise PipAcceleratorError(
                "{name} cannot be installed while {requirement} is being updated.",
                name=change.tree.name,
                requirement=self.requirement,
            )
        before = self._steps
        self._undo()
        try:
            self._begin(decide(change._replace(replaces=self._installed)), linker)
        except BaseException:
            if before is not None:
                self._begin(before, linker)
            raise

    def _begin(self, steps: Steps, linker: Linker) -> None:
        from pip_accel._install.transaction import pending

        transaction = pending(steps, self._prefix, linker)
        transaction.__enter__()
        self._steps, self._transaction = steps, transaction

    def _undo(self) -> None:
        transaction, self._transaction, self._steps = self._transaction, None, None
        if transaction is not None:
            error = _Undone()
            transaction.__exit__(_Undone, error, None)


class _Undone(Exception):
    """Ends a transaction whose steps are to be taken in another way."""


def find_update(prefix: str) -> TransactionalUpdate | None:
    """Give the update of a prefix that is going on in this process."""
    return _updates.get(os.path.realpath(prefix))


def find_replaced(target: Target, name: str) -> Installed | None:
    """Give what a target has of a project, as far as it is its own to remove."""
    from pip_accel._installed import find_installed, find_removable

    found = find_installed(target).get(canonical_name(name))
    return found and find_removable(found, target)


def _removal(installed: Installed, target: Target) -> Steps:
    """Decide what taking a distribution away means."""
    from pip_accel._install.remove import find_directories, find_files
    from pip_accel._install.steps import Directory, Steps

    files = find_files(installed, target)
    directories, links = find_directories(files, target.prefix)
    dropped = []
    for path in sorted(directories, key=len, reverse=True):
        status = os.stat(path)
        dropped.append(Directory(path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid))
    return Steps([*files, *links], dropped, [], [], [], [], [])


def escape_name(requirement_name: str) -> str:
    """Give a regular expression for a project's name in which dash and underscore match each other."""
    return re.sub("[^A-Za-z0-9]", escape_name_callback, requirement_name)


def escape_name_callback(match: re.Match[str]) -> str:
    """Give the regular expression for the one character that was found."""
    return "[-_]" if match[0] in "-_" else re.escape(match[0])


# Environments


def find_environment(config: Config, python: str | None = None) -> tuple[Target, str | None]:
    """Describe the environment of an interpreter.

    :param python: by default the one that was set as ``config.python_executable``, else that which ``$PIP_PYTHON``
        names, else the one that runs us.

    :returns: the environment, and what pip's ``--python`` has to be for it: ``None`` for the one that runs us.
    :raises Unsupported: the interpreter cannot be started.
    """
    chosen = python or config.get("python_executable") or os.environ.get("PIP_PYTHON")
    python = os.path.abspath(chosen or config.python_executable)
    if not sys.executable or python == os.path.abspath(sys.executable):
        return find_target(None), None
    return find_target(python), python


def find_destination(
    config: Config, prefix: str | None = None, python: str | None = None, *, virtualenv_compatible: bool = True
) -> Target:
    """Describe where to install.

    :param prefix: used as by pip's ``--prefix``; by default the usual place of the interpreter, or ``install_prefix``
        where that was assigned to.
    :param python: interpreter whose version decides what lies where below the prefix; without a prefix, and where it is
        not there yet, ``config.python_executable`` does.
    :param virtualenv_compatible: whether headers go to ``include/site`` in a virtual environment.
    """
    decides = python is not None and prefix is not None and os.path.exists(python)
    target = find_environment(config, python if decides else None)[0]
    place = prefix or (config.install_prefix if config.get("install_prefix") else None)
    if place is not None and (prefix is not None or not _same(place, target.scheme.data)):
        target = _move(target, os.path.abspath(place))
    if target.virtual and not virtualenv_compatible:
        headers = os.path.join(target.prefix, "include", os.path.basename(target.scheme.headers))
        target = target._replace(scheme=target.scheme._replace(headers=headers))
    return target


def _move(target: Target, prefix: str) -> Target:
    """Give the target that pip's ``--prefix`` makes of one: it holds what lies below the prefix, and nothing else."""
    from pip_accel._process import run

    answer = run([target.python, "-I", "-c", _ASK_SCHEME, prefix, *Scheme._fields])
    if answer.status != 0:
        raise Unsupported("{python} does not tell where to install below {prefix}", python=target.python, prefix=prefix)
    scheme = Scheme(**json.loads(answer.output))
    path = tuple(dict.fromkeys((scheme.purelib, scheme.platlib)))
    return target._replace(
        prefix=prefix, scheme=scheme, path=path, externally_managed="", place=prefix, scripts=scheme.scripts
    )


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def open_resources(
    config: Config, name: str, target: Target, python: str | None
) -> Iterator[tuple[Request, Resources]]:
    """Give what works for an environment, under the settings that ``pip install NAME`` would have there.

    :raises Unsupported: pip is set to something that only pip can do.
    :raises DataDirectoryError: the data directory cannot be used.
    """
    from pip_accel import _resources
    from pip_accel._plan.arguments import parse

    request = parse([*(["--python", python] if python is not None else []), "install", name], os.environ)
    with _resources.open_resources(config, target, python, os.environ) as resources:
        yield request, resources


@contextmanager
def open_engine_for(config: Config, name: str) -> Iterator[tuple[Request, Engine]]:
    """Give what builds for the environment of ``config``, under the settings that ``pip install NAME`` would have."""
    from pip_accel._accelerator import open_engine

    target, python = find_environment(config)
    with open_resources(config, name, target, python) as (request, resources), open_engine(
        resources, request, Log()
    ) as engine:
        yield request, engine
