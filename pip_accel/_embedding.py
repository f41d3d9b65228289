"""The run of ``pip install`` for programs that embed pip-accel, as a whole and in its steps."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from pip_accel import _fs
from pip_accel._environment import validate_environment
from pip_accel._messages import Log
from pip_accel._values import Archive, Pin, Plan
from pip_accel.exceptions import InvalidSourceDistribution, NothingToDoError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._accelerator import Outcome
    from pip_accel._engine import Engine
    from pip_accel._index import ViewSettings
    from pip_accel._plan.arguments import Request
    from pip_accel._resources import Resources
    from pip_accel._values import Manner, Target
    from pip_accel.config import Config
    from pip_accel.req import Requirement

__all__ = ["PatchedAttribute", "PipAccelerator"]

#: Fields of the core metadata that may come several times (PEP 566).
_MULTIPLE = {"classifier", "dynamic", "license-file", "obsoletes-dist", "platform", "project-url", "provides-dist"}
_MULTIPLE |= {"provides-extra", "requires-dist", "requires-external", "supported-platform"}


class PipAccelerator:
    """The run of ``pip install`` for programs that embed pip-accel.

    It works for the environment of ``config.python_executable``, by default the one it runs in. What there is to say
    goes to the logger ``pip_accel``.

    :param validate: whether ``$VIRTUAL_ENV`` has to be the environment we run in.
    :param python: interpreter of another environment to install into.
    :raises EnvironmentMismatchError: it is another one.
    :raises DataDirectoryError: the data directory cannot be used.
    """

    def __init__(self, config: Config, validate: bool = True, *, python: str | None = None) -> None:
        self.config = config
        self.python = python
        self._build: str | None = None
        self._end: Callable[[], object] = lambda: None
        if validate:
            self.validate_environment()
        self.initialize_directories()
        self.clean_source_index()

    # What has to hold

    def validate_environment(self) -> None:
        """Make sure that ``$VIRTUAL_ENV`` is the environment we run in, unless another one was named.

        :raises EnvironmentMismatchError: it is another one.
        """
        if self._python is None:
            validate_environment(os.environ)

    def initialize_directories(self) -> None:
        """Make the directories of the local index and of what legacy builds find as ``.eggs``.

        :raises DataDirectoryError: the data directory is somebody else's, others may write to it, or it cannot be made.
        """
        from pip_accel._resources import open_data_directory

        open_data_directory(self.config.data_directory)
        for path in self.config.source_index, self.config.eggs_cache:
            _fs.make_directory(path)

    def clean_source_index(self) -> None:
        """Remove symbolic links in the local index that lead nowhere, with a warning for each."""
        for entry in os.scandir(self.config.source_index):
            if entry.is_symlink() and not os.path.exists(entry.path):
                Log().warning(f"Removing the broken link {entry.path}")
                os.unlink(entry.path)

    def setuptools_supports_wheels(self) -> bool:
        """Say ``True``: nothing here depends on setuptools any more."""
        return True

    @property
    def _python(self) -> str | None:
        """What pip's ``--python`` is to be; ``None`` for the environment we run in."""
        if self.python is None and self.config.get("python_executable"):
            from pip_accel.req import find_environment

            return find_environment(self.config)[1]
        return self.python or os.environ.get("PIP_PYTHON") or None

    # Words

    def arguments_allow_wheels(self, arguments: Sequence[str]) -> bool:
        """Whether the words after ``pip install`` leave it to use wheels for all that they ask for."""
        from pip_accel.utils import match_option_with_value

        forbidden = match_option_with_value(list(arguments), "--no-binary", ":all:")
        return "--no-use-wheel" not in arguments and not forbidden

    def decorate_arguments(self, arguments: Sequence[str]) -> list[str]:
        """Give the words after ``pip install`` with ``file:…#sha256=…`` in place of paths of archives.

        Values of options, directories, URLs and what has extras behind it stay as they are.

        :raises Unsupported: pip would not understand these words.
        """
        from pip_accel._names import is_archive
        from pip_accel._plan.options import scan
        from pip_accel._text import path_to_url

        words = list(arguments)
        taken = {place for given in scan(words, "i").given for place in range(given.start, given.end)}
        for place, word in enumerate(words):
            if place not in taken and is_archive(word) and os.path.isfile(word):
                words[place] = f"{path_to_url(os.path.abspath(word))}#sha256={_fs.hash_file(word)}"
        return words

    # The whole run

    def install_from_arguments(self, arguments: Sequence[str], **kw: Any) -> int:
        """Install what the words after ``pip install`` ask for; give how many distributions were installed.

        :param kw: for :meth:`install_requirements`. With ``python`` or ``virtualenv_compatible``, editables and
            repositories cannot be installed.
        :raises NothingToDoError: the words ask for nothing.
        :raises Unsupported: only pip itself can serve these words.
        :raises PipAcceleratorError: it failed, and the environment is as it was.
        """
        _check_keywords(kw)
        try:
            if kw.get("python") is not None or not kw.get("virtualenv_compatible", True):
                requirements = self.get_requirements(arguments, use_wheels=True)
                return self.install_requirements(requirements, **kw)
            return self._install(arguments, kw.get("prefix"))
        finally:
            self.cleanup_temporary_directories()

    def _install(self, arguments: Sequence[str], prefix: str | None) -> int:
        from pip_accel._accelerator import check_target, install_remembered
        from pip_accel._asked import Asked
        from pip_accel._resources import open_resources

        if prefix is None and self.config.get("install_prefix"):
            prefix = self.config.install_prefix
        words = [*self._before, "install", *(["--prefix", prefix] if prefix is not None else []), *arguments]
        with Asked(words, os.environ, self.config) as asked:
            manner, target = asked.manner, asked.target
            check_target(target, manner)
            with (
                _secured(target, manner),
                open_resources(self.config, target, manner.python, os.environ, keep=not manner.no_cache) as resources,
            ):
                outcome = None
                if asked.remembered is not None:
                    outcome = install_remembered(resources, asked.remembered, on_plan=_ignore, on_replace=_ignore)
                if outcome is None:
                    _see_to_something(asked.request, arguments)
                    outcome = _install_with_packages(resources, asked)
                return self._finish(resources, outcome)

    @property
    def _before(self) -> list[str]:
        python = self._python
        return ["--python", python] if python is not None else []

    def _finish(self, resources: Resources, outcome: Outcome) -> int:
        from pip_accel._eviction import see_to_size
        from pip_accel._usage import record_usage

        record_usage(resources, outcome)
        if resources.kept and (outcome.unpacked or outcome.online):
            see_to_size(self.config, Log().debug)
        if outcome.share is not None:
            outcome.share()
        return len(outcome.changes)

    # Its steps

    def get_requirements(
        self, arguments: Sequence[str], max_retries: int | None = None, use_wheels: bool = False
    ) -> list[Requirement]:
        """Plan what the words after ``pip install`` ask for, from the local index if that can answer.

        What is installed already is not among it, unless the words ask for that to be ignored.

        :param max_retries: how often pip is sent to download at most; ``None``: as ``config.max_retries`` says.
        :param use_wheels: whether wheels may be used for what is asked for, and not for build requirements only.
        :raises NothingToDoError: the words ask for nothing.
        :raises NothingFound: a requirement has no candidate.
        :raises PipFailed: pip failed in another way.
        :raises BinaryDistributionError: the metadata of a source distribution could not be prepared.
        :raises Unsupported: only pip itself can serve these words.
        """
        retries = {} if max_retries is None else {"max_retries": max_retries}
        return self.transform_pip_requirement_set(self._plan(arguments, use_wheels, retries))

    def unpack_source_dists(self, arguments: Sequence[str], use_wheels: bool = False) -> list[Requirement]:
        """Do the same from the local index alone; no connection is opened.

        :raises NothingFound: the local index has nothing for a requirement.
        """
        return self.transform_pip_requirement_set(self.get_pip_requirement_set(arguments, False, use_wheels))

    def download_source_dists(self, arguments: Sequence[str], use_wheels: bool = False) -> None:
        """Fetch what the words after ``pip install`` need into the local index, in one pass.

        :raises NothingFound: a requirement has no candidate.
        :raises PipFailed: pip failed in another way.
        :raises Unsupported: only pip itself can serve these words.
        """
        from pip_accel._accelerator import ask
        from pip_accel._plan.planning import fetch

        with self._opened(arguments, use_wheels, {"max_retries": 1}) as (request, engine, view):
            _see_to_something(request, arguments)
            question, environ, _ = ask(engine, request, view, Log())
            with engine.preparing(environ) as (inner, sources):
                fetch(engine.resources, question, inner, sources, say=Log())

    def get_pip_requirement_set(
        self, arguments: Sequence[str], use_remote_index: bool, use_wheels: bool = False
    ) -> Sequence[object]:
        """Plan, and give a value for :meth:`transform_pip_requirement_set`. The errors are those of the others.

        :param use_remote_index: whether an index may be asked.
        """
        return self._plan(arguments, use_wheels, {} if use_remote_index else {"offline": True})

    def transform_pip_requirement_set(self, requirement_set: Sequence[object]) -> list[Requirement]:
        """Give what :meth:`get_pip_requirement_set` gave as a list."""
        from pip_accel.req import Requirement

        return [
            Requirement(self.config, each.item, archive=each.archive)
            for each in requirement_set
            if isinstance(each, _Planned)
        ]

    def _plan(self, arguments: Sequence[str], use_wheels: bool, settings: Mapping[str, Any]) -> list[_Planned]:
        from pip_accel._accelerator import make_plan

        with self._opened(arguments, use_wheels, settings) as (request, engine, view):
            _see_to_something(request, arguments)
            _, plan = make_plan(engine, request, view, Log())
            return [_describe(engine, view, pin) for pin in plan.pins]

    @contextmanager
    def _opened(
        self, arguments: Sequence[str], use_wheels: bool, settings: Mapping[str, Any]
    ) -> Iterator[tuple[Request, Engine, ViewSettings]]:
        """Understand words, and open what serves them.

        :param settings: values of the configuration for this.
        """
        from pip_accel._accelerator import open_engine, target_of
        from pip_accel._plan.arguments import parse
        from pip_accel._plan.question import view_of
        from pip_accel._resources import open_resources

        # In front, so that what the caller says of single projects counts.
        wheels = [] if use_wheels else ["--no-binary", ":all:"]
        request = parse([*self._before, "install", *wheels, *arguments], os.environ)
        target = target_of(request)
        config = self.config.derive(**settings)
        with open_resources(config, target, request.manner.python, os.environ) as resources:
            view = view_of(request, resources)
            with open_engine(resources, request, Log(), view=view) as engine:
                engine.preparation.eager = engine.unpacks = False
                yield request, engine, view

    def install_requirements(self, requirements: Sequence[Requirement], **kw: Any) -> int:
        """Install what was planned, all of it or nothing; give how many distributions that were.

        :param kw: ``prefix``, ``python`` and ``virtualenv_compatible``, as for
            :meth:`~pip_accel.bdist.BinaryDistributionManager.install_binary_dist`; ``track_installed_files`` has no
            effect.
        :raises BinaryDistributionError: a build failed.
        :raises SystemDependencyError: builds lack system packages, which were not installed.
        :raises PipAcceleratorError: it failed in another way, and the environment is as it was.
        """
        from pip_accel._accelerator import check_target, install_pins, open_engine
        from pip_accel._plan.arguments import parse
        from pip_accel._resources import open_resources
        from pip_accel._rounds import Rounds
        from pip_accel.req import find_destination

        _check_keywords(kw)
        if not requirements:
            return 0
        prefix, python = kw.get("prefix"), kw.get("python")
        compatible = kw.get("virtualenv_compatible", True)
        own = self._python
        base = self.config if own is None else self.config.derive(python_executable=own)
        target = find_destination(base, prefix, python, virtualenv_compatible=compatible)
        request = parse([*self._before, "install", *(each.name for each in requirements)], os.environ)
        check_target(target, request.manner)
        with (
            _secured(target, request.manner),
            open_resources(self.config, target, request.manner.python, os.environ) as resources,
        ):
            rounds = Rounds(self.config, target=target, say=Log())

            def attempt() -> Outcome:
                with open_engine(resources, request, Log()) as engine:
                    engine.is_curable = rounds.is_curable
                    pins = tuple(_pin(engine, each) for each in requirements)
                    plan = Plan(pins, "", "", 0, False, False, {})
                    return install_pins(engine, plan, request.manner, python=python)

            return self._finish(resources, rounds.carry_out(attempt))

    # Directories

    @property
    def build_directory(self) -> str:
        """Absolute path of a directory for whoever wants to unpack something; made at first need, and private."""
        if self._build is None:
            self.create_build_directory()
        assert self._build is not None
        return self._build

    def create_build_directory(self) -> None:
        """Make that directory, in place of the one that there was."""
        self.cleanup_temporary_directories()
        self._build = tempfile.mkdtemp(prefix="pip-accel-build-")
        self._end = weakref.finalize(self, _fs.remove_tree, self._build)

    def clear_build_directory(self) -> None:
        """Make it empty."""
        self.create_build_directory()

    def cleanup_temporary_directories(self) -> None:
        """Remove it."""
        self._end()
        self._build = None


class _Planned(NamedTuple):
    """One distribution of a plan."""

    item: Mapping[str, Any]  #: shaped like an item of the list ``install`` in pip's report
    archive: Archive


def _describe(engine: Engine, view: ViewSettings, pin: Pin) -> _Planned:
    """Give a pin with all that is known of it.

    :raises Unsupported: it comes from a repository, of which only what was built is kept.
    """
    from pip_accel._metadata import all_headers
    from pip_accel._names import canonical_name
    from pip_accel._text import path_to_url

    if not os.path.exists(pin.archive.path):
        raise Unsupported("{name} comes from a repository: install_from_arguments() can install it", name=pin.name)
    index, project = engine.resources.index, canonical_name(pin.name)
    found = index.metadata(pin.archive) if pin.archive.sha256 else engine.preparation.recall(project)
    metadata: dict[str, Any] = {}
    for key, values in all_headers(found or b"").items():
        metadata[key.replace("-", "_")] = values if key in _MULTIPLE else values[0]
    metadata.update(name=pin.name, version=pin.version)
    if pin.direct_url:
        info = json.loads(pin.direct_url)
    else:  # where it came from, as pip's report has it
        link = index.origin(view.key(project), project, pin.archive).partition(" ")[0]
        hashes = {"sha256": pin.archive.sha256}
        info = {"url": link or path_to_url(pin.archive.path), "archive_info": {"hashes": hashes}}
    return _Planned(
        {
            "metadata": metadata,
            "download_info": info,
            "requested": pin.requested,
            "is_direct": bool(pin.direct_url),
        },
        pin.archive,
    )


def _pin(engine: Engine, requirement: Requirement) -> Pin:
    """Give a requirement as the stages know it; directories are described to the engine.

    :raises InvalidSourceDistribution: there is no archive of it on this machine.
    """
    from pip_accel._names import canonical_name
    from pip_accel._plan.question import Direct

    archive = requirement.archive
    if archive is None or archive.sha256:
        return requirement.pin(engine.resources.index)
    if requirement.source_directory != archive.path:
        raise InvalidSourceDistribution("{requirement} lies in a subdirectory", requirement=requirement)
    name = canonical_name(requirement.name)
    if requirement.is_editable:
        engine.preparation.describe_editable(archive.path, name)
    else:
        engine.preparation.describe(Direct(name, archive.path, "directory", frozenset(), ""))
    editable, direct = requirement.is_editable, requirement.direct_url
    return Pin(requirement.name, requirement.version, archive, requirement.is_direct, direct, editable)


def _see_to_something(request: Request, arguments: Sequence[str]) -> None:
    if not request.requirements and not request.locks:
        raise NothingToDoError("Nothing is asked for by the words {words}.", words=" ".join(arguments))


def _install_with_packages(resources: Resources, asked: Any) -> Outcome:
    """Carry out a request; system packages that builds lack are installed if that is allowed."""
    from pip_accel._accelerator import install
    from pip_accel._rounds import Rounds

    manner = asked.manner
    rounds = Rounds(resources.config, target=resources.target, say=Log(), dry_run=manner.dry_run)
    curable = rounds.is_curable
    attempt = partial(
        install, resources, asked.request, say=Log(), recording=asked.recording, is_curable=curable
    )
    return rounds.carry_out(attempt)


@contextmanager
def _secured(target: Target, manner: Manner) -> Iterator[None]:
    from pip_accel._accelerator import secure

    with secure(target, manner, Log().info, Log().warning):
        yield


def _check_keywords(kw: Mapping[str, Any]) -> None:
    """See that keywords are those of :meth:`PipAccelerator.install_requirements`.

    :raises TypeError: one is not.
    """
    for name in kw:
        if name not in ("prefix", "python", "virtualenv_compatible", "track_installed_files"):
            raise TypeError(f"there is no keyword {name!r}")


def _ignore(*words: object) -> None:
    """Nobody wants to know."""


class PatchedAttribute:
    """Sets an attribute for the time of a ``with`` block. Kept for those who imported it from here.

    :param enabled: whether it does anything.
    """

    def __init__(self, object: Any, attribute: str, value: Any, enabled: bool = True) -> None:
        self.object = object
        self.attribute = attribute
        self.patched_value = value
        self.enabled = enabled
        self.original_value: Any = None

    def __enter__(self) -> Any:
        if self.enabled:
            self.original_value = getattr(self.object, self.attribute)
            setattr(self.object, self.attribute, self.patched_value)
        return self.object

    def __exit__(self, *error: Any) -> None:
        if self.enabled:
            setattr(self.object, self.attribute, self.original_value)
