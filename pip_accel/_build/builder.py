"""Builds each sdist once: finds out what its build needs, names the result by its key, builds what no cache has."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pip_accel import _fs
from pip_accel._archives import Contents, is_whole, read_wheel, write_bdist
from pip_accel._build.environment import BuildEnvironment, fill_environment, make_environment
from pip_accel._build.hooks import Backend
from pip_accel._build.key import identify_compiler, key_digest, make_key
from pip_accel._build.source import BuildSystem, read_build_system, static_metadata, unpack_sdist
from pip_accel._build.transform import read_dumb, with_digests
from pip_accel._names import canonical_name, canonical_version
from pip_accel._process import run
from pip_accel._values import Archive, Pin, Tree
from pip_accel.exceptions import BinaryDistributionError, BuildFailed, PipAcceleratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources
    from pip_accel.caches import CacheManager

__all__ = ["Builder", "Buildable"]


_LONG = 64  # characters


class Buildable(NamedTuple):
    """A source distribution with the key of its build, as :class:`~pip_accel.caches.CacheManager` wants it."""

    cache_key: Mapping[str, Any]
    cache_tag: str


class _Workplace(NamedTuple):
    source: str
    system: BuildSystem
    environment: BuildEnvironment
    directory: str


class Builder:
    """Gives the built form of source distributions, and their metadata.

    :param plan: gives the pins of build requirements, dependencies first.
    :param unpack: gives the trees of pins; those that are sdists get built for that.
    """

    def __init__(
        self,
        resources: Resources,
        caches: CacheManager,
        plan: Callable[[Sequence[str]], Sequence[Pin]],
        unpack: Callable[[Sequence[Pin]], Sequence[Tree]],
    ) -> None:
        self._resources = resources
        self._caches = caches
        self._plan = plan
        self._unpack = unpack
        self._compiler: str | None = None
        self.shared = caches.shared  #: whether results may come from other machines
        self.built: list[str] = []  #: names and versions of what this run built

    # Metadata

    def metadata(self, archive: Archive) -> bytes:
        """Give the core metadata of an sdist: its own where that binds its builds, else from its build backend."""
        directory = self._resources.directory("source")
        try:
            source = unpack_sdist(archive.path, os.path.join(directory, "tree"))
            metadata = static_metadata(source)
            if metadata is None:
                dist_info, facts = self.prepare(source, archive.filename, os.path.join(directory, "metadata"))
                self._resources.index.set_build_facts(archive, facts)
                with open(os.path.join(dist_info, "METADATA"), "rb") as stream:
                    metadata = stream.read()
            return metadata
        finally:
            _fs.remove_tree(directory)

    def prepare(self, source: str, label: str, directory: str) -> tuple[str, dict[str, Any]]:
        """Prepare the metadata of a source tree: the path of its ``.dist-info``, and what its build needs.

        :raises BuildFailed: a hook of the build backend failed.
        """
        os.makedirs(directory, exist_ok=True)
        system = read_build_system(source)
        work = self._resources.directory("prepare")
        try:
            place = self._workplace(source, system, work)
            backend = Backend(source, system, place.environment, label)
            dynamic = backend.requires()
            self._fill(place.environment, self._beyond(system.requires, dynamic))
            return backend.metadata(directory), _facts(system, dynamic)
        finally:
            _fs.remove_tree(work)

    # Builds

    def obtain(self, pin: Pin) -> Archive:
        """Give the binary distribution archive of a source distribution, from a cache or by building it now.

        :raises BinaryDistributionError: it cannot be built; the build's whole output is in the context.
        """
        facts = self._resources.index.build_facts(pin.archive)
        if facts is not None:
            found = self._find(self._buildable(pin, facts))
            if found is not None:
                return found
        work = self._resources.directory("build")
        try:
            return self._build_once(pin, work)
        finally:
            _fs.remove_tree(work)

    def _find(self, buildable: Buildable) -> Archive | None:
        for path in self._caches.candidates(buildable):
            archive = Archive(path, os.path.basename(path), _fs.hash_file(path))
            # What lies in the store was checked when it was unpacked.
            if self._resources.store.has(archive.sha256) or is_whole(path):
                return archive
        return None

    def _buildable(self, pin: Pin, facts: Mapping[str, Any]) -> Buildable:
        config = self._resources.config
        if self._compiler is None:
            self._compiler = identify_compiler(self._resources.environ, self._resources.target.compiler)
        requires, dynamic = facts["requires"], facts["dynamic"]
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
        )
        return Buildable(key, self._resources.index.tag)

    def _build_once(self, pin: Pin, work: str) -> Archive:
        """Build, unless another process does so meanwhile. Nothing is planned while the lock is held: plans may build."""
        label = f"{pin.name} {pin.version}"
        self._resources.index.check(pin.archive)
        source = unpack_sdist(pin.archive.path, os.path.join(work, "tree"))
        system = read_build_system(source)
        place = self._workplace(source, system, work)
        # Asked anew for each build, as it may depend on what the machine has; what is kept only finds results.
        facts = _facts(system, Backend(source, system, place.environment, label).requires())
        self._resources.index.set_build_facts(pin.archive, facts)
        buildable = self._buildable(pin, facts)
        self._fill(place.environment, self._beyond(system.requires, facts["dynamic"]))
        locks = self._resources.place("locks")
        _fs.make_directory(locks)
        with _fs.lock_file(os.path.join(locks, key_digest(buildable.cache_key))):
            found = self._find(buildable)
            if found is not None:
                return found
            path = self._build(place, label, buildable)
            with open(path, "rb") as stream:
                self._caches.put(buildable, stream)
        self.built.append(label)
        found = self._find(buildable)
        if found is not None:
            return found
        # No cache took it: it lives as long as this run.
        kept = os.path.join(self._resources.directory("built"), os.path.basename(path))
        os.rename(path, kept)
        return Archive(kept, os.path.basename(kept), _fs.hash_file(kept))

    def _workplace(self, source: str, system: BuildSystem, work: str) -> _Workplace:
        """Make the build environment of a source tree, with the requirements that are known beforehand."""
        resources = self._resources
        # Sockets have to fit into 108 characters, and builds make some there.
        temporary = os.path.join(work, "tmp") if len(work) < _LONG else resources.short_directory()
        environment = make_environment(os.path.join(work, "env"), resources.target, resources.environ, temporary)
        self._fill(environment, self._plan(tuple(system.requires)))
        return _Workplace(source, system, environment, work)

    def _beyond(self, requires: Sequence[str], dynamic: Sequence[str]) -> list[Pin]:
        """Give the pins that a backend's own requirements bring in, as pip does: those that are there already stay.

        :raises BuildFailed: a version that is there already is not one that the backend allows.
        """
        there = {canonical_name(pin.name): pin.version for pin in self._plan(tuple(requires))} if dynamic else {}
        missing = [text for text in dynamic if not self._is_met(text, there)]
        return [pin for pin in self._plan(tuple(missing)) if canonical_name(pin.name) not in there]

    def _is_met(self, text: str, there: Mapping[str, str]) -> bool:
        """Whether a requirement of a backend asks for nothing that is not there."""
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BuildFailed(
                "The build requirement {wanted!r} is not valid: {error}", wanted=text, error=error
            ) from error
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

    def _fill(self, environment: BuildEnvironment, pins: Sequence[Pin]) -> None:
        """Install build requirements into a build environment."""
        if pins:
            fill_environment(environment, self._unpack(pins), self._resources.template, self._resources.umask)

    def _build(self, place: _Workplace, label: str, buildable: Buildable) -> str:
        if place.system.legacy and not _mentions_wheels(place.source):
            try:
                return self._write(self._build_dumb(place, label), place.directory, label, buildable)
            except PipAcceleratorError:
                # It may well build as a wheel, which is what pip would have installed. If not, that error is the one.
                pass
        backend = Backend(place.source, place.system, place.environment, label)
        output = os.path.join(place.directory, "wheel")
        os.makedirs(output)
        contents, opened = read_wheel(backend.wheel(output))
        with opened:
            return self._write(contents, place.directory, label, buildable)

    def _build_dumb(self, place: _Workplace, label: str) -> Contents:
        """Build a project that has only a ``setup.py`` with ``bdist_dumb``."""
        payload, metadata = os.path.join(place.directory, "dumb"), os.path.join(place.directory, "info")
        os.makedirs(payload)
        os.makedirs(metadata)
        driver = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_setup_driver.py")
        command = [place.environment.target.python, driver, payload, metadata]
        answer = run(command, cwd=place.source, env=place.environment.environ, merge=True)
        if answer.status != 0:
            raise BuildFailed("{label} could not be built by bdist_dumb", label=label, output=answer.output)
        files = os.listdir(payload)
        if len(files) != 1:
            raise BinaryDistributionError("bdist_dumb of {label} left {count} files", label=label, count=len(files))
        return read_dumb(os.path.join(payload, files[0]), metadata)

    def _write(self, contents: Contents, directory: str, label: str, buildable: Buildable) -> str:
        key = buildable.cache_key
        built = canonical_name(contents.name), canonical_version(contents.version)
        if built != (key["name"], key["version"]):
            raise BuildFailed(
                "The build of {label} gave {name} {version}", label=label, name=contents.name, version=contents.version
            )
        path = os.path.join(directory, "result.tar.gz")
        with open(path, "wb") as stream:
            write_bdist(
                with_digests(contents),
                stream,
                key=dict(key),
                key_digest=key_digest(key),
                revision=key["revision"],
                version=key["python"][1],
            )
        return path


def _mentions_wheels(source: str) -> bool:
    """Whether a setup script has something to do with the building of wheels that bdist_dumb would not do."""
    with open(os.path.join(source, "setup.py"), "rb") as stream:
        return b"bdist_wheel" in stream.read()


def _facts(system: BuildSystem, dynamic: Sequence[str]) -> dict[str, Any]:
    return {"requires": list(system.requires), "dynamic": list(dynamic)}
