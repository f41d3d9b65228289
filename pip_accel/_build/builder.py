"""Builds each sdist once: finds out what its build needs, names the result by its key, builds what no cache has."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from pip_accel import _fs
from pip_accel._archives import Contents, Entry, is_whole, read_manifest, read_wheel, write_bdist
from pip_accel._build.environment import BuildEnvironment, Environments, fill_environment
from pip_accel._build.hooks import Backend
from pip_accel._build.key import identify_compiler, key_digest, make_key, may_hold_secret
from pip_accel._build.libraries import Library, Machine, find_needed
from pip_accel._build.recipe import Recipe
from pip_accel._build.source import (
    BuildSystem,
    link_eggs,
    named_variables,
    read_build_system,
    read_external,
    static_metadata,
    unpack_sdist,
)
from pip_accel._build.transform import read_dumb
from pip_accel._names import canonical_name, canonical_version
from pip_accel._process import pause, run
from pip_accel._progress import keep_output
from pip_accel._text import escape_unprintable
from pip_accel._values import Archive, Pin, Tree
from pip_accel.exceptions import BinaryDistributionError, BuildFailed, PipAcceleratorError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._progress import BuildWatcher
    from pip_accel._resources import Resources
    from pip_accel.caches import CacheManager

__all__ = ["Builder", "Buildable", "Lent", "Prepared"]


_LONG = 64  # bytes
#: Where the result of a build is from: this machine, or one that has what it is linked with.
_BUILT, _FITTING = "built", "fitting"


class Buildable(NamedTuple):
    """A source distribution with the key of its build, as :class:`~pip_accel.caches.CacheManager` wants it."""

    cache_key: Mapping[str, Any]
    cache_tag: str


class Prepared(NamedTuple):
    """A source tree, and what is known of it before its build."""

    source: str
    system: BuildSystem
    variables: Mapping[str, str]  #: those that its scripts name, with digests of their values
    binding: bool  #: whether its ``PKG-INFO`` is its metadata, whatever these are
    dynamic: tuple[str, ...] | None = None  #: what the backend requires beyond ``[build-system]``, if it was asked
    metadata: str | None = None  #: path of the ``.dist-info`` that was prepared in it
    editable: bool = False  #: whether what is built is to point to it

    @property
    def facts(self) -> dict[str, Any]:
        """What finding a result of its build takes, as the local index keeps it."""
        return {
            "requires": list(self.system.requires),
            "dynamic": list(self.dynamic or ()),
            "variables": self.variables,
            "binding": self.binding,
        }

    def read_metadata(self) -> bytes:
        """Give the core metadata that the backend prepared."""
        assert self.metadata is not None
        with open(os.path.join(self.metadata, "METADATA"), "rb") as stream:
            return stream.read()


class Lent(NamedTuple):
    """What a build works with: the backend, and an environment with all that it requires."""

    backend: Backend
    environment: BuildEnvironment
    environ: Mapping[str, str]  #: for programs that are run there
    dynamic: tuple[str, ...]  #: what the backend requires beyond ``[build-system]``


class PlanRequirements(Protocol):
    """Gives the pins of build requirements, dependencies first."""

    def __call__(self, requires: Sequence[str], *, at_hand: bool = False) -> Sequence[Pin]:
        """Plan requirements.

        :param at_hand: whether they are going to be installed, and not only named.
        """


class Builder:
    """Gives the built form of source distributions, and their metadata.

    :param plan: gives the pins of build requirements, dependencies first.
    :param unpack: gives the trees of pins; those that are sdists get built for that.
    :param watcher: is told of each build.
    :param say: is told what a user should know.
    """

    def __init__(
        self,
        resources: Resources,
        recipe: Recipe,
        caches: CacheManager,
        plan: PlanRequirements,
        unpack: Callable[[Sequence[Pin]], Sequence[Tree]],
        watcher: BuildWatcher,
        say: Callable[[str], None],
    ) -> None:
        self._resources = resources
        self._say = say
        self._recipe = recipe
        self._caches = caches
        self._plan = plan
        self._unpack = unpack
        self._watcher = watcher
        self._compiler: Mapping[str, str] | None = None
        self._slots = threading.BoundedSemaphore(resources.jobs)
        self._pins: dict[str, Pin] = {}  #: of build requirements, by digest
        self._environments = Environments(
            lambda: os.path.join(resources.directory("environment"), "env"),
            resources.target,
            resources.environ,
            self._install,
        )
        self._unfit: set[str] = set()  #: digests of results from other machines that do not work here
        self.built: list[str] = []  #: names and versions of what this run built

    # Metadata

    def examine(self, source: str, *, binding: bool = False) -> Prepared:
        """Read what a source tree says of its build; its backend is not asked.

        :raises InvalidSourceDistribution: there is nothing to build with.
        """
        system = read_build_system(source)
        return Prepared(source, system, self._recipe.state(named_variables(source, system)), binding)

    def prepare(
        self,
        source: str,
        label: str,
        directory: str,
        project: str = "",
        *,
        in_place: bool = False,
        editable: bool = False,
    ) -> Prepared:
        """Prepare the metadata of a source tree.

        :param directory: where to.
        :param project: canonical name of its project, as far as that is known.
        :param in_place: it is the user's own tree.
        :param editable: whether what is built is to point to it.
        :raises BuildFailed: a hook of the build backend failed.
        """
        os.makedirs(directory, exist_ok=True)
        tree = self.examine(source)._replace(editable=editable)
        with self.lend(tree, label, project, in_place=in_place) as lent:
            return tree._replace(dynamic=lent.dynamic, metadata=lent.backend.metadata(directory))

    # Environments

    @contextmanager
    def lend(self, tree: Prepared, label: str, project: str, *, in_place: bool = False) -> Iterator[Lent]:
        """Lend what a build of a source tree works with.

        :param label: the distribution, as errors name it.
        :param project: its canonical name, as far as that is known.
        :param in_place: it is the user's own tree.
        :raises BuildFailed: the backend could not say what it requires.
        """
        system = tree.system
        if system.legacy and not in_place:
            link_eggs(tree.source, os.path.join(self._resources.config.eggs_cache, self._resources.index.tag))
        with self._environment(system) as (environment, environ):
            settings = self._recipe.settings_of(project, os.path.realpath(tree.source))
            python = environment.target.python
            backend = Backend(tree.source, system, python, environ, settings, label, editable=tree.editable)
            dynamic = tree.dynamic
            try:
                if not self._recipe.isolation:  # where nothing is to be provided, pip does not ask
                    dynamic = ()
                else:
                    if dynamic is None:
                        dynamic = tuple(backend.requires())
                    beyond = self._beyond(system.requires, dynamic, at_hand=True)
                    self._environments.extend(environment, self._digests(beyond))
                yield Lent(backend, environment, environ, dynamic)
            except BinaryDistributionError as error:  # one of a build inside of this one says so already
                error.context.setdefault("distribution", label)
                error.context.setdefault("external", read_external(tree.source))
                raise

    @contextmanager
    def _environment(self, system: BuildSystem) -> Iterator[tuple[BuildEnvironment, dict[str, str]]]:
        """Lend an environment with the requirements that are known beforehand, and the variables for its programs."""
        resources = self._resources
        temporary = resources.directory("t")
        if len(os.fsencode(temporary)) > _LONG:  # sockets have to fit into 108 characters, and builds make some there
            temporary = resources.short_directory()
        try:
            if not self._recipe.isolation:
                environ = {**resources.environ, "LC_ALL": "C.UTF-8", "TMPDIR": temporary}
                yield BuildEnvironment(resources.target, environ), environ
                return
            environment = self._environments.borrow(self._digests(self._plan(tuple(system.requires), at_hand=True)))
            try:
                yield environment, {**environment.environ, "TMPDIR": temporary}
            finally:
                self._environments.give_back(environment)
        finally:
            _fs.remove_tree(temporary)

    def _digests(self, pins: Sequence[Pin]) -> list[str]:
        self._pins.update((pin.archive.sha256, pin) for pin in pins)
        return [pin.archive.sha256 for pin in pins]

    def _install(self, environment: BuildEnvironment, digests: Sequence[str]) -> None:
        trees = self._unpack([self._pins[digest] for digest in digests])
        fill_environment(environment, trees, self._resources.template, self._resources.umask)

    def _beyond(self, requires: Sequence[str], dynamic: Sequence[str], *, at_hand: bool = False) -> list[Pin]:
        """Give the pins that a backend's own requirements bring in, as pip does: those that are there already stay.

        :raises BuildFailed: a version that is there already is not one that the backend allows.
        """
        there = {canonical_name(pin.name): pin.version for pin in self._plan(tuple(requires))} if dynamic else {}
        missing = [text for text in dynamic if not self._is_met(text, there)]
        planned = self._plan(tuple(missing), at_hand=at_hand)
        return [pin for pin in planned if canonical_name(pin.name) not in there]

    def _is_met(self, text: str, there: Mapping[str, str]) -> bool:
        """Whether a requirement of a backend asks for nothing that is not there."""
        from pip_accel._plan.question import parse_build_requirement

        requirement = parse_build_requirement(text)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({**dict(self._resources.target.markers), "extra": ""}):
            return True
        version = there.get(canonical_name(requirement.name))
        if version is not None and not requirement.specifier.contains(version, prereleases=True):
            raise BuildFailed(
                "The build backend requires {wanted}, but [build-system] requires {name} {version}",
                wanted=text,
                name=requirement.name,
                version=version,
            )
        return version is not None

    # Keys

    def buildable(self, pin: Pin) -> Buildable | None:
        """Give the key of an sdist's build from what is known about it, or ``None`` if its backend was never asked.

        :raises Unsupported: no result can be known to be the one that a build would have now.
        """
        if not self.lasts(pin):
            raise Unsupported("without isolation it sees a project that is installed as editable, and may have changed")
        facts = self._resources.index.build_facts(pin.archive)
        return None if facts is None else self._buildable(pin, facts)

    def _buildable(self, pin: Pin, facts: Mapping[str, Any]) -> Buildable:
        config, name = self._resources.config, canonical_name(pin.name)
        requires, dynamic = facts["requires"], facts["dynamic"]
        if self._compiler is None:
            self._compiler = identify_compiler(self._resources.environ, self._resources.target.compiler)
        requirements: tuple[Pin, ...] = ()
        if self._recipe.isolation:
            requirements = (*self._plan(tuple(requires)), *self._beyond(requires, dynamic))
        key = make_key(
            pin,
            self._resources.target,
            requirements,
            self._resources.environ,
            salt=config.salt,
            variables=config.key_variables,
            revision=config.cache_format_revision,
            compiler=self._compiler,
            config_settings=self._recipe.settings_of(name),
            build_constraints=self._recipe.constraints,
            outside=self._recipe.outside or (),
            named=facts["variables"],
        )
        return Buildable(key, self._resources.index.tag)

    def lasts(self, pin: Pin) -> bool:
        """Whether the result of a build is of use beyond this run."""
        return bool(pin.archive.sha256) and self._recipe.outside is not None

    def _find(self, buildable: Buildable) -> Archive | None:
        for path in self._caches.candidates(buildable, alone=self._recipe.own):
            archive = Archive(path, os.path.basename(path), _fs.hash_file(path))
            if not self._fits(archive, buildable):
                continue
            # What lies in the store was checked when it was unpacked.
            if self._resources.store.find_sound(archive.sha256) is not None:
                return archive
            if _has_key(path, buildable) and is_whole(path):
                return archive
        return None

    # Results from elsewhere

    def _fits(self, archive: Archive, buildable: Buildable) -> bool:
        """Whether a result may be used: it was built here, or, where that is allowed, has what it is linked with here."""
        origin, _ = self._resources.origin_of(archive.sha256)
        if origin == _BUILT:
            return True
        if self._recipe.own or archive.sha256 in self._unfit:
            return False
        missing = None if origin == _FITTING else self._find_missing(archive.path)
        if missing is not None:
            self._unfit.add(archive.sha256)
            of = f" of {missing.package} {missing.version}" if missing.package else ""
            wanted = escape_unprintable(missing.name + of)
            key = buildable.cache_key
            self._say(
                f"{key['name']} {key['version']} was built on another machine, where it was linked with"
                f" {wanted}, which is not here: it is built here"
            )
            return False
        if not origin:
            self._resources.note_origin(archive.sha256, _FITTING)
        return True

    def _find_missing(self, path: str) -> Library | None:
        """Give a library that an archive from elsewhere is linked with and that is not here."""
        try:
            links = (read_manifest(path) or {}).get("libraries") or {}
            libraries = [Library(*map(str, row)) for row in links.get("needed", ())]
            directories = [str(each) for each in links.get("directories", ())]
        except (AttributeError, TypeError):
            return Library("a library that its manifest does not name")
        return self._machine(directories).find_missing(libraries) if libraries else None

    def _machine(self, directories: Sequence[str]) -> Machine:
        """Give what tells of libraries of this machine.

        :param directories: where else the files look that are linked with them.
        """
        base = os.path.dirname(os.path.dirname(os.path.realpath(self._resources.target.base_python)))
        return Machine(self._resources.environ, (*directories, os.path.join(base, "lib")))

    def _describe_links(self, entries: Iterable[Entry]) -> dict[str, Any]:
        """Give what files are linked with, as a manifest has it."""
        names, directories = find_needed((entry.path, entry.data) for entry in entries)
        needed = self._machine(directories).describe(names) if names else []
        return {"needed": [list(each) for each in needed], "directories": directories}

    def find_shareable(self, pin: Pin) -> tuple[str, Archive] | None:
        """Give the name under which other machines look for the result of a build, and that, if it is for others."""
        buildable = self._known_buildable(pin)
        if buildable is None or not _is_public(buildable):
            return None
        found = self._find(buildable)
        return None if found is None else (self._caches.generate_filename(buildable), found)

    # Builds

    def find(self, pin: Pin) -> Archive | None:
        """Give the binary distribution archive of a source distribution if a cache has it."""
        buildable = self._known_buildable(pin)
        return self._find(buildable) if buildable is not None else None

    def _known_buildable(self, pin: Pin) -> Buildable | None:
        """Give the key of an sdist's build if it can be told, and the result is of use beyond this run."""
        if not self.lasts(pin):
            return None
        try:
            return self.buildable(pin)
        except PipAcceleratorError:  # what was kept of its requirements may not hold any more: it is asked anew
            return None

    def obtain(self, pin: Pin, prepared: Prepared | None = None) -> Archive:
        """Give the binary distribution archive of a source distribution, from a cache or by building it now.

        :param pin: what is to be built; its archive is a directory where its digest is empty.
        :param prepared: its source tree, if its metadata was just prepared there.
        :raises BinaryDistributionError: it cannot be built; the build's whole output is in the context.
        """
        found = self.find(pin)
        if found is not None:
            return found
        work = self._resources.directory("build")
        try:
            return self._build_once(pin, work, prepared)
        finally:
            _fs.remove_tree(work)

    def _build_once(self, pin: Pin, work: str, prepared: Prepared | None) -> Archive:
        """Build, unless another process does so meanwhile. Nothing is planned while the lock is held: plans may build."""
        label = f"{pin.name} {pin.version}"
        if prepared is None:
            source = self._source(pin, work)
            binding = static_metadata(source) is not None
            prepared = self.examine(source, binding=binding)._replace(editable=pin.editable)
        # Unless it was asked in this run, the backend is asked anew for each build, as its answer may depend on what
        # the machine has; what is kept only finds results.
        with self.lend(prepared, label, canonical_name(pin.name), in_place=not pin.archive.sha256) as lent:
            task = _Task(pin, prepared, lent, work, label)
            facts = prepared._replace(dynamic=lent.dynamic).facts
            buildable = self._buildable(pin, facts)
            if not self.lasts(pin):
                return self._keep(self._build(task, buildable)[0], pin)
            self._resources.index.set_build_facts(pin.archive, facts)
            locks = self._resources.place("locks")
            _fs.make_directory(locks)
            lock = os.path.join(locks, key_digest(buildable.cache_key))
            with _fs.lock_file(lock, pause=pause, passing=True):
                found = self._find(buildable)
                if found is not None:
                    return found
                path, seconds = self._build(task, buildable)
                # What went into it may have been made elsewhere.
                own = self._recipe.own or not self._resources.has_borrowed
                self._resources.note_origin(_fs.hash_file(path), _BUILT if own else _FITTING, seconds)
                with open(path, "rb") as stream:
                    self._caches.put(buildable, stream, alone=not _is_public(buildable))
        return self._find(buildable) or self._keep(path, pin)

    def _source(self, pin: Pin, work: str) -> str:
        if not pin.archive.sha256:
            return pin.archive.path
        self._resources.index.check(pin.archive)
        return unpack_sdist(pin.archive.path, os.path.join(work, "tree"))

    def _keep(self, path: str, pin: Pin) -> Archive:
        """Keep a result that no cache has, for as long as this run lasts."""
        kept = os.path.join(self._resources.directory("built"), f"{canonical_name(pin.name)}.tar.gz")
        os.rename(path, kept)
        return Archive(kept, os.path.basename(kept), _fs.hash_file(kept))

    def _build(self, task: _Task, buildable: Buildable) -> tuple[str, float]:
        """Build; give the path of the archive, and how many seconds that took."""
        self._watcher.expect(1)
        with self._slots:
            started = time.monotonic()
            self._watcher.started(task.label)
            said: list[str] = []

            def tell(failed: bool) -> None:
                output = "".join((*said, task.lent.backend.output))
                self._watcher.ended(task.label, time.monotonic() - started, output, failed)
                keep_output(self._resources.place("logs"), task.label, output)

            try:
                path = self._build_somehow(task, buildable, said)
            except Exception:  # not when it was ended
                tell(True)
                raise
            tell(False)
            seconds = time.monotonic() - started
        self.built.append(task.label)
        return path, seconds

    def _build_somehow(self, task: _Task, buildable: Buildable, said: list[str]) -> str:
        """Build in the first way that works.

        :param said: gets what the ways have said that are not the backend's.
        """
        plain = task.tree.system.legacy and task.pin.archive.sha256 and not buildable.cache_key["config-settings"]
        if plain and not _asks_for_commands(task.tree.source):
            for command in ("bdist_dumb", "bdist"):
                try:
                    contents = self._build_dumb(task, command, said)
                    return self._write(contents, task, buildable)
                except PipAcceleratorError as error:
                    # It may well build as a wheel, which is what pip would have installed. If not, that error is the one.
                    said.append(f"{error}\n")
        output = os.path.join(task.work, "wheel")
        os.makedirs(output)
        contents, opened = read_wheel(task.lent.backend.wheel(output, task.tree.metadata))
        with opened:
            return self._write(contents, task, buildable)

    def _build_dumb(self, task: _Task, words: str, said: list[str]) -> Contents:
        """Build a project that has only a ``setup.py`` with ``bdist_dumb`` or ``bdist``."""
        payload, metadata = os.path.join(task.work, words), os.path.join(task.work, f"{words}-info")
        os.makedirs(payload)
        os.makedirs(metadata)
        driver = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_setup_driver.py")
        command = [task.lent.environment.target.python, driver, payload, metadata, words]
        answer = run(command, cwd=task.tree.source, env=task.lent.environ, merge=True)
        said.append(answer.output)
        if answer.status != 0:
            raise BuildFailed("{label} could not be built by {words}", label=task.label, words=words)
        files = os.listdir(payload)
        if len(files) != 1:
            message = "{words} of {label} left {count} files"
            raise BinaryDistributionError(message, words=words, label=task.label, count=len(files))
        return read_dumb(os.path.join(payload, files[0]), metadata)

    def _write(self, contents: Contents, task: _Task, buildable: Buildable) -> str:
        key = buildable.cache_key
        built = canonical_name(contents.name), canonical_version(contents.version)
        if built != (key["name"], key["version"]):
            raise BuildFailed(
                "The build of {label} gave {name} {version}",
                label=task.label,
                name=contents.name,
                version=contents.version,
                output=task.lent.backend.output,
            )
        path = os.path.join(task.work, "result.tar.gz")
        with _fs.naming(path), open(path, "wb") as stream:
            write_bdist(
                contents,
                stream,
                key=dict(key),
                key_digest=key_digest(key),
                revision=key["revision"],
                version=key["python"][1],
                describe_links=self._describe_links,
            )
        return path


class _Task(NamedTuple):
    """One build."""

    pin: Pin
    tree: Prepared
    lent: Lent
    work: str  #: a directory of its own
    label: str


def _asks_for_commands(source: str) -> bool:
    """Whether a setup script may do something else for bdist_dumb than for the wheel that pip builds."""
    with open(os.path.join(source, "setup.py"), "rb") as stream:
        script = stream.read()
    return b"bdist" in script or b"sys.argv" in script


def _has_key(path: str, buildable: Buildable) -> bool:
    """Whether the key in an archive is the one that it is kept under: whoever filled a cache may have renamed it."""
    key = (read_manifest(path) or {}).get("key")
    return isinstance(key, dict) and key_digest(key) == key_digest(buildable.cache_key)


def _is_public(buildable: Buildable) -> bool:
    """Whether others may have the result of a build: its key has no digest that tells of a secret."""
    key = buildable.cache_key
    return not any(map(may_hold_secret, (*key["variables"].items(), *key["config-settings"].items())))
