"""The stages put together: from pins to trees, with everything that is missing built, and build requirements planned.

Build requirements go the same way as the user's own, so this module calls itself by way of :class:`Builder`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pip_accel import _fs
from pip_accel._index import ViewSettings, digest_of
from pip_accel._install.link import find_damage
from pip_accel._values import Archive, Pin, Tree
from pip_accel.exceptions import BuildFailed, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._build.builder import Builder
    from pip_accel._index import Known
    from pip_accel._plan.planning import Plan, Question
    from pip_accel._resources import Resources

__all__ = ["FAILURE", "Engine", "order_view"]

_PLAIN_CONSTRAINTS = (26, 3)  # from this pip on, $PIP_CONSTRAINT has no effect on builds
#: Name of the file beside an order that says why the metadata of a source tree could not be prepared.
FAILURE = "failure"
_DEPTH = "PIP_ACCEL_BUILD_DEPTH"
_DEEPEST = 8  # build requirements of build requirements of …: nobody needs that many


class Engine:
    """Plans, builds and unpacks for one run.

    :param view: the settings under which build requirements are looked for: the user's, without format control.
    :param build_environ: for the pip that plans build requirements.
    :param say: is told what a user should know.
    :param chain: digests of the sdists whose builds wait for this.
    """

    def __init__(
        self,
        resources: Resources,
        view: ViewSettings,
        build_environ: Mapping[str, str],
        say: Callable[[str], None],
        chain: tuple[str, ...] = (),
    ) -> None:
        self.resources = resources
        self._view = view
        self._build_environ = build_environ
        self._say = say
        self._plans: dict[tuple[str, ...], tuple[Pin, ...]] = {}
        self._planning = threading.RLock()
        self._building = threading.local()
        self._chain = chain
        self._builder: Builder | None = None
        self.online = False  #: whether an index was asked for build requirements

    @property
    def built(self) -> list[str]:
        """Names and versions of what this run built."""
        return self._builder.built if self._builder is not None else []

    @property
    def builder(self) -> Builder:
        """What builds sdists; made when there is one."""
        if self._builder is None:
            from pip_accel._build.builder import Builder
            from pip_accel._resources import host_pip_version, is_older
            from pip_accel.caches import CacheManager

            if self.resources.environ.get("PIP_CONSTRAINT") and is_older(host_pip_version(), _PLAIN_CONSTRAINTS):
                raise Unsupported("With $PIP_CONSTRAINT this pip constrains build requirements as well")

            caches = CacheManager(
                self.resources.config,
                on_failure=lambda name, error: self._say(f"The cache backend {name} is off for this run: {error}"),
            )
            self._builder = Builder(self.resources, caches, self.plan_requirements, self.trees)
        return self._builder

    # Plans

    def plan(self, question: Question, environ: Mapping[str, str]) -> Plan:
        """Plan an installation; sdists prepare their metadata in our own build environments meanwhile."""
        from pip_accel._plan.planning import make_plan

        spool = self.resources.directory("spool")
        try:
            return make_plan(
                self.resources,
                question,
                self._with_shim(environ, spool),
                lambda archive: self._metadata(archive, spool),
                say=self._say,
            )
        except PipFailed as error:
            failure = _fs.read_text(os.path.join(spool, FAILURE))
            if failure is None:
                raise
            kind, said = json.loads(failure)
            raise (Unsupported if kind == Unsupported.__name__ else BuildFailed)("{said}", said=said) from error

    def plan_requirements(self, requires: Sequence[str]) -> tuple[Pin, ...]:
        """Give the pins that satisfy build requirements, dependencies first."""
        key = tuple(sorted(set(requires)))
        if not key:
            return ()
        with self._planning:
            if key not in self._plans:
                self._plans[key] = self._recall(key) or self._plan_requirements(key)
            return self._plans[key]

    def _plan_requirements(self, requires: tuple[str, ...]) -> tuple[Pin, ...]:
        from packaging.requirements import InvalidRequirement, Requirement

        from pip_accel._names import canonical_name
        from pip_accel._plan.clauses import Demand
        from pip_accel._plan.planning import Question

        roots = []
        for text in requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                message = "The build requirement {requirement!r} is not valid: {error}"
                raise BuildFailed(message, requirement=text, error=error) from error
            if requirement.url:
                raise Unsupported("The build requirement {requirement} is a URL", requirement=text)
            marker = str(requirement.marker) if requirement.marker is not None else ""
            extras = frozenset(canonical_name(extra) for extra in requirement.extras)
            roots.append(Demand(canonical_name(requirement.name), extras, str(requirement.specifier), marker))
        question = Question(
            python=self.resources.python,
            install_words=("--ignore-installed", *requires),
            download_words=requires,
            roots=tuple(roots),
            constraints=(),
            wheels=(),
            view=self._view,
            dependencies=True,
            refresh=False,
            spellings={},
            replaced=None,
        )
        pins = self._close(question)
        if pins is None:
            plan = self.plan(question, self._build_environ)
            self.online = self.online or plan.online
            if not plan.lasting:
                return plan.pins
            pins = plan.pins
        self._remember(requires, pins)
        return pins

    def _close(self, question: Question) -> tuple[Pin, ...] | None:
        """Give the pins of build requirements where the view alone decides them."""
        from pip_accel._plan.clauses import Metadata
        from pip_accel._plan.closing import close
        from pip_accel._plan.planning import parse_metadata, roots_digest

        index = self.resources.index
        if self.resources.config.index_max_age is not None:
            return None

        def find(name: str) -> tuple[list[Archive], list[Known]]:
            view = self._view.key(name)
            return index.archives_in_view(view, name), index.known(view, name)

        pins: dict[Archive, Pin] = {}

        def read(archive: Archive) -> Metadata | None:
            data = index.metadata(archive)
            if data is None:
                return None
            name, version, requires = parse_metadata(data)
            pins[archive] = Pin(name, version, archive, False, "")
            return Metadata(version, requires)

        archives = close(question.roots, dict(self.resources.target.markers), find, read, roots_digest(question))
        if archives is None:
            return None
        for archive in archives.values():
            index.touch(archive)
        return tuple(pins[archive] for archive in archives.values())

    def _memo(self, requires: tuple[str, ...]) -> str:
        view = self._view
        question = [requires, view.places, view.target, view.prefer_binary, view.pre]
        return self.resources.place("plans", digest_of(question) + ".json")

    def _remember(self, requires: tuple[str, ...], pins: Sequence[Pin]) -> None:
        rows = [
            [pin.name, pin.version, pin.archive.filename, pin.archive.sha256, self._state(pin.name)] for pin in pins
        ]
        _fs.write_file(self._memo(requires), json.dumps(rows))

    def _recall(self, requires: tuple[str, ...]) -> tuple[Pin, ...] | None:
        """Give a plan made before, if the view has not changed since for any project in it."""
        if self.resources.config.index_max_age is not None:
            return None
        text = _fs.read_text(self._memo(requires))
        pins = []
        try:
            for name, version, filename, sha256, state in json.loads(text or "[]"):
                archive = self.resources.index.locate(sha256, filename)
                if not os.path.exists(archive.path) or self._state(name) != state:
                    return None
                self.resources.index.touch(archive)
                pins.append(Pin(name, version, archive, False, ""))
        except (ValueError, TypeError, AttributeError):  # cut short by a full disk, or written by another release
            return None
        return tuple(pins) or None

    def _state(self, name: str) -> list[int]:
        from pip_accel._names import canonical_name

        project = canonical_name(name)
        return self.resources.index.state_of(self._view.key(project), project)

    # Metadata of sdists, while pip plans

    def _with_shim(self, environ: Mapping[str, str], spool: str) -> dict[str, str]:
        """Give the environment in which pip calls our build backend, so that it makes no build environments itself."""
        depth = int(environ.get(_DEPTH) or os.environ.get(_DEPTH) or 0)
        if depth >= _DEEPEST:
            raise BuildFailed("Build requirements require each other: there is no end to building them")
        package = os.path.dirname(os.path.abspath(__file__))
        order = {
            "host": sys.executable,
            "package-root": os.path.dirname(package),
            "spool": spool,
            "temporary": self.resources.temporary,
            "started": self.resources.started,
            "chain": getattr(self._building, "chain", self._chain),
            "python": self.resources.python,
            "target": self.resources.target,
            "view": [*self._view[:2], *map(sorted, self._view[2:4]), *self._view[4:6]],
            "environ": dict(self.resources.environ),
            "build-environ": dict(self._build_environ),
            "offline": self.resources.config.offline,
            "data-directory": self.resources.config.data_directory,
        }
        path = os.path.join(spool, "order.json")
        _fs.write_file(path, json.dumps(order), mode=0o600)
        shim = os.path.join(package, "_build", "shim")
        before = environ.get("PYTHONPATH")
        return {
            **environ,
            "PIP_ACCEL_PREPARE": path,
            "PYTHONPATH": shim + (os.pathsep + before if before else ""),
            "TMPDIR": self.resources.directory("pip"),
            _DEPTH: str(depth + 1),
        }

    def _metadata(self, archive: Archive, spool: str) -> bytes:
        """Give the metadata of an sdist that just came: as pip was given it, or prepared now."""
        from pip_accel._index import name_and_version

        split = name_and_version(archive.filename)
        if split is not None:
            place = os.path.join(spool, f"{split[0]}-{split[1]}")
            try:
                with open(os.path.join(place, "METADATA"), "rb") as stream:
                    metadata = stream.read()
            except FileNotFoundError:
                pass
            else:
                facts = _fs.read_text(os.path.join(place, "build.json"))
                if facts:
                    self.resources.index.set_build_facts(archive, json.loads(facts))
                return metadata
        return self.builder.metadata(archive)

    # Trees

    def trees(self, pins: Sequence[Pin]) -> list[Tree]:
        """Give the trees of pins, in that order: missing ones get built and unpacked, edited ones are made anew."""
        sdists = [pin for pin in pins if not pin.archive.filename.endswith(".whl")]
        built = dict(zip((pin.archive.sha256 for pin in sdists), self._obtain(sdists), strict=True))
        archives = [built.get(pin.archive.sha256, pin.archive) for pin in pins]
        store = self.resources.store
        found: dict[str, Tree] = {}
        missing: dict[str, Archive] = {}
        for archive in archives:
            tree = store.find(archive.sha256)
            if tree is not None:
                damage = find_damage(tree)
                if damage is not None:
                    edited = f"{damage.path} was edited in some environment"
                    self._say(f"{tree.name} {tree.version} is unpacked anew: {edited}")
                    store.discard(archive.sha256)
                    tree = None
            if tree is not None:
                found[archive.sha256] = tree
            else:
                missing[archive.sha256] = archive
        for archive in missing.values():
            if archive.filename.endswith(".whl"):
                self.resources.index.check(archive)
        if missing:
            found.update(zip(missing, store.add(list(missing.values())), strict=True))
        return [found[archive.sha256] for archive in archives]

    def _obtain(self, pins: Sequence[Pin]) -> list[Archive]:
        """Give the built form of sdists, several at a time."""
        if not pins:
            return []
        from pip_accel._process import in_parallel

        builder = self.builder
        chain: tuple[str, ...] = getattr(self._building, "chain", self._chain)

        def obtain(pin: Pin) -> Archive:
            if pin.archive.sha256 in chain:
                raise BuildFailed("{name} needs itself to be built", name=pin.name)
            self._building.chain = (*chain, pin.archive.sha256)
            try:
                return builder.obtain(pin)
            finally:
                self._building.chain = chain

        if len(pins) == 1 or chain:  # inside of a build the others keep the cores busy
            return [obtain(pin) for pin in pins]
        return in_parallel(obtain, pins, self.resources.jobs)


def order_view(value: Sequence[Any]) -> ViewSettings:
    """Give the view settings that an order for preparing metadata has."""
    index, target, no_binary, only_binary, prefer_binary, pre = value
    settings = tuple(tuple(each) if isinstance(each, list) else each for each in index)
    return ViewSettings(settings, target, frozenset(no_binary), frozenset(only_binary), prefer_binary, pre, {})
