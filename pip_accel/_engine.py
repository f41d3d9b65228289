"""The stages put together: from pins to trees, with all that is missing built, and build requirements planned.

Build requirements go the same way as the user's own, so this module calls itself by way of :class:`Builder`. Three
kinds of threads meet here: the one that called, which waits for pip most of the time; those that answer the build
backends of that pip; and those that build. A distribution whose version is pinned is built as soon as pip has asked for
its metadata, while pip goes on planning.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

from pip_accel import _fs
from pip_accel._digests import digest_of
from pip_accel._index import ViewSettings, name_and_version
from pip_accel._messages import speaker
from pip_accel._names import canonical_name, canonical_version
from pip_accel._process import Ended, Workers, results
from pip_accel._values import Archive, Pin, Plan, Tree
from pip_accel.exceptions import BinaryDistributionError, BuildFailed, PipAcceleratorError, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future

    from pip_accel._build.builder import Builder, Prepared
    from pip_accel._build.recipe import Recipe
    from pip_accel._build.service import MetadataService
    from pip_accel._plan.clauses import Demand
    from pip_accel._plan.question import Direct, Question
    from pip_accel._progress import BuildWatcher
    from pip_accel._resources import Resources
    from pip_accel._sharing import Offer, Requirements, Sharing
    from pip_accel._store import Store
    from pip_accel.caches import CacheManager

__all__ = ["Engine", "Preparing", "is_source"]

_PLAIN_CONSTRAINTS = (26, 2)  # from this pip on, constraints in its settings have no effect on builds
_LONGEST_SOCKET = 100  # bytes of its path
#: What the work of this thread is done for: sdists that wait to be built, and sets of build requirements to be planned.
_Chain = tuple[str, ...]
_PLANNING = "planning "


class _Pass:
    """A pip that plans, as its build backends are answered."""

    def __init__(self, chain: _Chain, place: str, pinned: Mapping[str, str]) -> None:
        self.chain = chain
        self.place = place  #: directory of its temporary files
        self.pinned = pinned  #: versions of which there is no choice, by canonical name
        self.answers: dict[tuple[str, str], tuple[bytes, Prepared]] = {}  #: by canonical name and version
        self.failure: Exception | None = None
        self.whole = False  #: whether it works on one repository, all of which is needed

    def answer_to(self, archive: Archive) -> tuple[bytes, Prepared] | None:
        """Give what pip was answered when it asked for the metadata of an archive, if it has."""
        split = name_and_version(archive.filename)
        return self.answers.get(split) if split is not None else None


class _Planned(NamedTuple):
    """A plan for build requirements."""

    requires: tuple[str, ...]
    pins: tuple[Pin, ...]
    learned: float  #: when that was planned, seconds since the epoch
    lasting: bool  #: whether it holds beyond this run
    borrowed: bool = False  #: whether another machine made it: then its archives may still be there


class Engine:
    """Plans, builds and unpacks for one run. A context manager: on leaving, what still goes on is ended.

    :param recipe: how sdists are to be built.
    :param view: the settings under which build requirements are looked for: the user's, without format control.
    :param constraints: on build requirements, and the words that tell pip of them.
    :param build_environ: for the pip that plans build requirements.
    :param say: is told what a user should know.
    :param watcher: gives who is told of builds, when there is one.
    """

    def __init__(
        self,
        resources: Resources,
        recipe: Recipe,
        view: ViewSettings,
        build_environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        constraints: tuple[Sequence[Demand], Sequence[str]] = ((), ()),
        watcher: Callable[[], BuildWatcher] | None = None,
    ) -> None:
        self.resources = resources
        self._recipe = recipe
        self._view = view
        self._constraints, self._constraint_words = constraints
        self._build_environ = build_environ
        self._say = say
        self._watcher = watcher
        self._lock = threading.RLock()
        self._here = threading.local()
        self._plans: dict[str, _Planned] = {}
        self._fetching = threading.Lock()
        self._passes: dict[str, _Pass] = {}
        self._numbers = itertools.count(1)
        self._described: dict[str, tuple[bytes, Prepared | None]] = {}  #: by real path
        self._told: dict[str, bytes] = {}  #: what pip is told in place of the metadata of a directory, by real path
        self._sdists: dict[tuple[str, str], bytes] = {}  #: metadata of those asked for by path, by name and version
        self._prepared: dict[str, tuple[bytes, Prepared]] = {}  #: by digest of the tree
        self._trees: dict[str, Prepared] = {}  #: by digest of the archive
        self._begun: dict[str, Future[Archive]] = {}
        self._workers: Workers | None = None
        self._service: MetadataService | None = None
        self._builder: Builder | None = None
        self._caches: CacheManager | None = None
        self._sharing: Sharing | None = None
        self._passing: Store | None = None
        self.eager = True  #: whether builds may begin before the plan is there
        self.unpacks = True  #: whether what pip fetches will be installed
        self.constrained = False  #: whether pip's settings, and not its words, name constraint files
        self.passive = False  #: whether no pip may be started to plan build requirements
        self.online = False  #: whether an index was asked for build requirements
        self.borrows = True  #: whether plans of other machines are asked for
        #: Whether something may be done about the failure of a build: then the others go on, as they may fail alike.
        self.is_curable: Callable[[BaseException], bool] = lambda error: False

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._workers is not None:
            self._workers.end()
        if self._service is not None:
            self._service.close()

    @property
    def built(self) -> list[str]:
        """Names and versions of what this run built."""
        return self._builder.built if self._builder is not None else []

    @property
    def builder(self) -> Builder:
        """What builds sdists; made when there is one."""
        with self._lock:
            if self._builder is None:
                from pip_accel._build.builder import Builder
                from pip_accel._progress import QUIET
                from pip_accel._resources import host_pip_version, is_older

                if self.constrained and is_older(host_pip_version(), _PLAIN_CONSTRAINTS):
                    raise Unsupported("This pip applies the constraints in its settings to build requirements as well")
                watcher = self._watcher() if self._watcher is not None else QUIET
                parts = self.resources, self._recipe, self.caches, self.plan_requirements, self.trees
                self._builder = Builder(*parts, watcher, self._say)
            return self._builder

    @property
    def caches(self) -> CacheManager:
        """All cache backends; looked up when something is not here."""
        with self._lock:
            if self._caches is None:
                from pip_accel._text import escape_unprintable
                from pip_accel.caches import CacheManager

                def say(text: str) -> None:  # services may have put anything into it
                    self._say(escape_unprintable(text))

                self._caches = CacheManager(
                    self.resources.config,
                    on_failure=self._tell_of_backend,
                    on_disabled=lambda name, error: speaker(self._say, "debug")(f"{name} is not used: {error}"),
                    on_report=say,
                    on_borrow=self.resources.note_borrowing if not self._recipe.own else None,
                    directory=self.resources.directory,
                    alone=not self.resources.kept,
                )
            return self._caches

    def _tell_of_backend(self, name: str, error: Exception) -> None:
        import traceback

        from pip_accel._text import escape_unprintable

        text = escape_unprintable(f"The cache backend {name} is off for this run: {error}")
        speaker(self._say, "warning")(text)
        speaker(self._say, "debug")("".join(traceback.format_exception(error)))

    @property
    def sharing(self) -> Sharing | None:
        """What other machines share with this one, ``None`` if there are none."""
        with self._lock:
            if self._sharing is None and self.caches.shared:
                from pip_accel._sharing import Sharing

                self._sharing = Sharing(self.resources, self.caches, own=self._recipe.own)
            return self._sharing

    @property
    def _pool(self) -> Workers:
        """The threads that build; made when there is something to build."""
        with self._lock:
            if self._workers is None:
                self._workers = Workers(self.resources.jobs)
            return self._workers

    @property
    def _chain(self) -> _Chain:
        chain: _Chain = getattr(self._here, "chain", ())
        return chain

    @contextmanager
    def _working_for(self, chain: _Chain) -> Iterator[None]:
        before = self._chain
        self._here.chain = chain
        try:
            yield
        finally:
            self._here.chain = before

    # Plans

    def plan(self, question: Question, environ: Mapping[str, str]) -> Plan:
        """Plan an installation; sdists prepare their metadata in our own build environments meanwhile."""
        from pip_accel._plan.closing import plan_from_pins
        from pip_accel._plan.planning import make_plan

        plan = plan_from_pins(self.resources, question)
        if plan is not None:
            return plan
        from pip_accel._plan.clauses import pinned_versions

        pinned = pinned_versions((*question.roots, *question.constraints))
        with self.preparing(environ, pinned) as (inner, sources):
            return make_plan(self.resources, question, inner, sources, say=self._say)

    def plan_requirements(self, requires: Sequence[str], *, at_hand: bool = False) -> tuple[Pin, ...]:
        """Give the pins that satisfy build requirements, dependencies first.

        :param at_hand: whether they are going to be installed, and not only named.
        """
        wanted = tuple(sorted(set(requires)))
        if not wanted:
            return ()
        key = _key_of(wanted)
        if key in self._chain:
            raise BuildFailed("Build requirements require each other: there is no end to building {it}", it=wanted[0])
        if key not in self._plans:
            self._plan_anew(key, wanted)
        if at_hand and self._plans[key].borrowed and not self._come(self._plans[key].pins):
            self._forget(key, wanted)
            self._plan_anew(key, wanted)
        return self._plans[key].pins

    def _plan_anew(self, key: str, wanted: tuple[str, ...]) -> None:
        # Who plans for another plan must not wait for one, as that one may wait for the other.
        nested = any(each.startswith(_PLANNING) for each in self._chain)
        with self._working_for((*self._chain, key)):
            self._plan_requirements(key, wanted, nullcontext() if nested else self._fetching)

    def _come(self, pins: Sequence[Pin]) -> bool:
        """Have archives come from other machines, as far as they are not here; give whether all are here then."""
        store = self.resources.store
        missing = [pin.archive for pin in pins if not os.path.exists(pin.archive.path)]
        missing = [archive for archive in missing if store.find(archive.sha256) is None]
        if missing and self.sharing is not None:
            self.sharing.fetch({archive.sha256: archive.filename for archive in missing})
        return all(os.path.exists(archive.path) for archive in missing)

    def _forget(self, key: str, wanted: tuple[str, ...]) -> None:
        """Forget a plan whose archives are not to be had any more."""
        self._plans.pop(key, None)
        try:
            os.unlink(self._memo(wanted))
        except FileNotFoundError:
            pass

    def _plan_requirements(self, key: str, wanted: tuple[str, ...], turn: AbstractContextManager[object]) -> None:
        """Plan build requirements.

        :param key: under which the plan goes into :attr:`_plans`.
        :param turn: to be held while pip fetches, so that nothing is fetched twice.
        """
        from pip_accel._plan.closing import plan_from_winners
        from pip_accel._plan.question import question_of_build

        question = question_of_build(
            wanted, self._view, self.resources.python, self._constraints, self._constraint_words
        )
        planned = self._recall(wanted)
        if planned is not None:
            self._plans[key] = planned
            return
        pins, learned, lasting = plan_from_winners(self.resources, question), 0.0, True
        if pins is None and self.passive:
            raise Unsupported("only pip can tell now what satisfies its build requirements {them}", them=wanted)
        if pins is None:
            with turn:
                if key in self._plans:  # by another thread, meanwhile
                    return
                learned = time.time()
                pins, lasting = self._fetch(question)
                self._plans[key] = _Planned(wanted, pins, learned, lasting)
        self._plans[key] = planned = _Planned(wanted, pins, learned or self._age_of(pins), lasting)
        if lasting:
            self._remember(planned)

    def _age_of(self, pins: Sequence[Pin]) -> float:
        """Give when the oldest was learned of what the index knows of pins; seconds since the epoch."""
        index, view = self.resources.index, self._view
        projects = [canonical_name(pin.name) for pin in pins]
        newest = [max((each.time for each in index.known(view.key(name), name)), default=0.0) for name in projects]
        return min(newest, default=0.0)

    def _fetch(self, question: Question) -> tuple[tuple[Pin, ...], bool]:
        """Plan build requirements with the help of pip; give also whether the answer holds beyond this run."""
        from pip_accel._plan.closing import plan_from_winners
        from pip_accel._plan.planning import fetch

        pins = plan_from_winners(self.resources, question)  # another thread may have fetched the same
        if pins is None and not self.resources.config.offline:
            with self.preparing(self._build_environ) as (inner, sources):
                fetch(self.resources, question, inner, sources, say=self._say)
            self.online = True
            pins = plan_from_winners(self.resources, question)
        if pins is not None:
            return pins, True
        plan = self.plan(question, self._build_environ)
        self.online = self.online or plan.online
        return plan.pins, plan.lasting

    def _memo(self, requires: tuple[str, ...]) -> str:
        view = self._view
        question = [requires, view.places, view.target, view.prefer_binary, view.pre, self._recipe.constraints]
        return self.resources.place("plans", digest_of(question) + ".json")

    def _remember(self, planned: _Planned) -> None:
        rows = [
            [pin.name, pin.version, pin.archive.filename, pin.archive.sha256, self._state(pin.name)]
            for pin in planned.pins
        ]
        value = {"borrowed": planned.borrowed, "learned": planned.learned, "pins": rows}
        _fs.write_file(self._memo(planned.requires), json.dumps(value))

    def _recall(self, requires: tuple[str, ...]) -> _Planned | None:
        """Give a plan made before, if it is not too old, and the view has not changed since for any project in it."""
        text = _fs.read_text(self._memo(requires))
        pins = []
        try:
            kept = json.loads(text or '{"borrowed": false, "learned": 0, "pins": []}')
            if not self._is_young(kept["learned"]):
                return None
            for name, version, filename, sha256, state in kept["pins"]:
                archive = self.resources.index.locate(sha256, filename)
                if not (kept["borrowed"] or os.path.exists(archive.path)) or self._state(name) != state:
                    return None
                self.resources.index.touch(archive)
                pins.append(Pin(name, version, archive, False, ""))
            return _Planned(requires, tuple(pins), kept["learned"], True, kept["borrowed"]) if pins else None
        except (ValueError, TypeError, KeyError, AttributeError):  # cut short by a full disk, or of another release
            return None

    def _is_young(self, learned: float) -> bool:
        limit = self.resources.config.index_max_age
        return limit is None or time.time() - learned <= limit

    def _state(self, name: str) -> list[int]:
        project = canonical_name(name)
        return self.resources.index.state_of(self._view.key(project), project)

    # What machines share

    def provide(self, archive: Archive) -> None:
        """Have an archive come that is not here, if some machine shares it."""
        if self.sharing is not None:
            self.sharing.fetch({archive.sha256: archive.filename})

    def borrow(self, question: Question) -> Plan | None:
        """Learn what other machines found out about a question; give their plan if that holds here."""
        # Where nothing is used that was made there, wheels are, if the user knows their digests.
        if self.sharing is None or not self.borrows or (self._recipe.own and not question.require_hashes):
            return None
        from pip_accel._exchange import borrow

        plan, builds = borrow(self.sharing, self.resources, self._recipe, question, unpacks=self.unpacks)
        for each in builds:
            if self._is_young(each.learned):
                self._adopt(each)
        return plan

    def _adopt(self, requirements: Requirements) -> None:
        """Take over a plan for build requirements that another machine made, unless there is one."""
        key, locate = _key_of(requirements.requires), self.resources.index.locate
        if key in self._plans or self._recall(requirements.requires) is not None:
            return
        pins = tuple(Pin(*row[:2], locate(row[3], row[2]), False, "") for row in requirements.rows)
        self._plans[key] = _Planned(requirements.requires, pins, requirements.learned, True, borrowed=True)
        self._remember(self._plans[key])

    def offer(self, question: Question, plan: Plan, *, quiet: bool) -> Callable[[], int] | None:
        """Give what shares a plan and all that it names, if that is of use to other machines; to be called once.

        It gives the number of files that are there then.

        :param quiet: whether pip was told to be: then it says neither how it spells names, nor what it warns of.
        """
        if self.sharing is None or not self.sharing.gives:
            return None
        from pip_accel._exchange import make_offer
        from pip_accel._sharing import Requirements

        builds = tuple(
            Requirements(
                each.requires,
                tuple((pin.name, pin.version, pin.archive.filename, pin.archive.sha256) for pin in each.pins),
                each.learned,
            )
            for each in list(self._plans.values())  # a build that began early may still plan
            if each.lasting
        )
        offered = make_offer(self.resources, self._recipe, self.builder, question, plan, builds, quiet=quiet)
        return partial(self._publish, self.sharing, *offered) if offered is not None else None

    def _publish(self, sharing: Sharing, digest: str, offer: Offer, built: Sequence[tuple[str, str]]) -> int:
        """Give an offer to other machines. Whatever goes wrong is told, and no failure of the run."""
        try:
            return sharing.publish(digest, offer, built)
        except Exception as error:
            self._say(f"Not all of this run could be shared with other machines: {error}")
            return 0

    # Metadata of sdists, while pip plans

    @contextmanager
    def preparing(
        self, environ: Mapping[str, str], pinned: Mapping[str, str] | None = None
    ) -> Iterator[tuple[dict[str, str], Preparing]]:
        """Give the environment in which pip's build backends ask us, and what we make of the sdists that it brings.

        :param pinned: versions of which there is no choice, by canonical name.
        """
        place = self.resources.directory("pip")
        pass_ = _Pass(self._chain, place, pinned or {})
        number = str(next(self._numbers))
        self._passes[number] = pass_
        with self._lock:
            if self._service is None:
                from pip_accel._build.service import MetadataService

                directory = self.resources.temporary
                if len(os.fsencode(directory)) > _LONGEST_SOCKET - 2:
                    directory = self.resources.short_directory()
                self._service = MetadataService(os.path.join(directory, "s"), self._answer)
        inner = {**self._service.variables(number, dict(environ)), "TMPDIR": place}
        try:
            yield inner, Preparing(self, pass_)
        except (PipFailed, Unsupported) as error:
            if pass_.failure is not None and (isinstance(error, PipFailed) or isinstance(pass_.failure, OSError)):
                raise pass_.failure from error
            raise
        finally:
            del self._passes[number]

    def _answer(self, number: str, source: str, directory: str, kind: str) -> str:
        """Prepare the metadata of a source tree for a pip; give the name of its ``.dist-info``."""
        pass_ = self._passes[number]
        with self._working_for(pass_.chain):
            try:
                return self._pool.enter(lambda place: self._prepare(pass_, source, place, kind), directory)
            except (PipAcceleratorError, OSError) as error:
                pass_.failure = error
                raise
            except Ended:
                raise Unsupported("The run has ended") from None
            except Exception as error:
                message = "pip-accel itself failed ({kind}: {error})"
                pass_.failure = Unsupported(message, kind=type(error).__name__, error=error)
                raise pass_.failure from error

    def _prepare(self, pass_: _Pass, source: str, directory: str, kind: str) -> str:
        from pip_accel._plan.question import Direct

        real = os.path.realpath(source)
        if real in self._told:
            return _write_metadata(self._told[real], directory)
        if kind == "editable":
            return _write_metadata(self.describe_editable(source, ""), directory)
        if not _is_below(source, pass_.place):  # a directory, asked for by the user or by some distribution
            return _write_metadata(self.describe(Direct("", source, "directory", frozenset(), "")), directory)
        known = self._known_sdist(source)
        if known is not None:
            return _write_metadata(known, directory)
        # pip's directory: the name, and a random number.
        label = os.path.basename(source).rpartition("_")[0] or os.path.basename(source)
        metadata, prepared = self._prepare_tree(source, label, released=not pass_.whole)
        name, version = _name_and_version(metadata)
        if prepared.source == source:  # pip has no more use for it
            # Of a repository there may be more than the project.
            top = os.path.join(pass_.place, os.path.relpath(source, pass_.place).split(os.sep)[0])
            moved = top if pass_.whole else source
            tree = os.path.join(self.resources.directory("tree"), os.path.basename(moved))
            os.rename(moved, tree)
            os.makedirs(source)
            prepared = prepared._replace(source=os.path.normpath(os.path.join(tree, os.path.relpath(source, moved))))
        pass_.answers[name, version] = metadata, prepared
        if self.eager and pass_.pinned.get(name) == version:
            self._begin_early(pass_, metadata, prepared)
        return _write_metadata(metadata, directory)

    def _known_sdist(self, source: str) -> bytes | None:
        """Give the metadata of the sdist that was asked for by its path, if this is its tree: pip unpacks it again."""
        path = os.path.join(source, "PKG-INFO")
        if not self._sdists or not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            return self._sdists.get(_name_and_version(stream.read()))

    def _prepare_tree(self, source: str, label: str, *, released: bool = True) -> tuple[bytes, Prepared]:
        """Give the metadata of a source tree: its own where that binds its builds, else from its build backend.

        :param released: whether it is that of an sdist: elsewhere, what is called like its metadata is none.
        """
        from pip_accel._build.source import static_metadata

        metadata = static_metadata(source) if released else None
        if metadata is not None:
            return metadata, self.builder.examine(source, binding=True)
        # In hash-checking mode, and for what the user's own pages have, pip asks in every pass of every run.
        digest, project, index = _fs.hash_tree(source), canonical_name(label), self.resources.index
        if digest not in self._prepared:
            metadata = index.tree_metadata(digest, project)
            if metadata is not None:
                prepared = self.builder.examine(source)
            else:
                place = os.path.join(self.resources.directory("metadata"), "m")
                prepared = self.builder.prepare(source, label, place, project)
                metadata = prepared.read_metadata()
                index.set_tree_metadata(digest, project, metadata, prepared.variables)
            self._prepared[digest] = metadata, prepared
        metadata, prepared = self._prepared[digest]
        # No two builds share a tree.
        return metadata, prepared if prepared.source == source else prepared._replace(source=source, metadata=None)

    def _begin_early(self, pass_: _Pass, metadata: bytes, prepared: Prepared) -> None:
        """Begin to build what pip will install in any case, if the archive is found that it has fetched for that."""
        from pip_accel._metadata import parse_metadata

        path = _find_archive(pass_.place, *_name_and_version(metadata))
        if path is not None:
            name, version, _ = parse_metadata(metadata)
            # Where it will lie in the index, as what is known of its build lies beside it.
            archive = self.resources.index.locate(_fs.hash_file(path), os.path.basename(path))
            self._begin(Pin(name, version, archive, False, ""), prepared)

    def metadata(self, archive: Archive, pass_: _Pass | None) -> bytes:
        """Give the metadata of an sdist in the index: as the pip of a pass was given it, or prepared now."""
        answer = pass_.answer_to(archive) if pass_ is not None else None
        if answer is None:
            from pip_accel._build.source import unpack_sdist

            split = name_and_version(archive.filename)
            source = unpack_sdist(archive.path, os.path.join(self.resources.directory("tree"), "t"))
            answer = self._prepare_tree(source, split[0] if split is not None else archive.filename)
        metadata, prepared = answer
        self.keep_tree(archive, prepared)
        return metadata

    def adopt(self, archive: Archive, pass_: _Pass) -> None:
        """Build an sdist where the pip of a pass has had its metadata prepared, if it has."""
        answer = pass_.answer_to(archive)
        if answer is not None:
            self.keep_tree(archive, answer[1])

    def keep_tree(self, archive: Archive, prepared: Prepared) -> None:
        """Have an sdist, or what was checked out, built in the tree in which its metadata was prepared."""
        if prepared.dynamic is not None:
            self.resources.index.set_build_facts(archive, prepared.facts)
        if archive.sha256 not in self._begun:  # else it is built in that tree right now
            self._trees[archive.sha256] = prepared

    def describe(self, direct: Direct) -> bytes:
        """Give the metadata of a requirement by path."""
        path = os.path.realpath(direct.path)
        if path not in self._described:
            self._described[path] = self._describe(direct)
        return self._described[path][0]

    def recall(self, name: str) -> bytes | None:
        """Give the metadata of a directory that was described, by the canonical name of its project."""
        described = (metadata for metadata, _ in list(self._described.values()))
        return next((metadata for metadata in described if _name_and_version(metadata)[0] == name), None)

    def _describe(self, direct: Direct) -> tuple[bytes, Prepared | None]:
        index = self.resources.index
        if direct.kind == "wheel":
            from pip_accel._archives import wheel_metadata

            return wheel_metadata(direct.path), None
        if direct.kind == "sdist":
            from pip_accel._build.source import check_sdist

            check_sdist(direct.path)  # here its error has the path that the user knows
            if not direct.name:
                raise Unsupported("{path} is not named after its project", path=direct.path)
            archive = index.add_copy(direct.path)
            metadata = index.metadata(archive)
            if metadata is None:
                metadata = self.metadata(archive, None)
                index.set_metadata(archive, metadata)
            if _name_and_version(metadata)[0] != direct.name:  # views and config settings go by its name
                raise Unsupported("{path} is not named after its project", path=direct.path)
            self._sdists[_name_and_version(metadata)] = metadata
            return metadata, None
        # In place, as pip does it: it is the user's own tree, of which nothing is kept.
        place = os.path.join(self.resources.directory("metadata"), "m")
        prepared = self.builder.prepare(direct.path, os.path.basename(direct.path), place, direct.name, in_place=True)
        return prepared.read_metadata(), prepared

    def describe_editable(self, path: str, project: str) -> bytes:
        """Give the metadata of a directory that is to be installed as editable.

        :param project: canonical name of its project, as far as that is known.
        """
        real = os.path.realpath(path)
        if real not in self._described:
            place = os.path.join(self.resources.directory("metadata"), "m")
            label = os.path.basename(real)
            prepared = self.builder.prepare(path, label, place, project, in_place=True, editable=True)
            self._described[real] = prepared.read_metadata(), prepared
        return self._described[real][0]

    def tell(self, path: str, metadata: bytes, instead: bytes) -> None:
        """Have pip told other metadata than that of a directory, or an sdist on this machine."""
        if os.path.isdir(path):
            self._told[os.path.realpath(path)] = instead
        else:
            self._sdists[_name_and_version(metadata)] = instead

    # Trees

    def trees(self, pins: Sequence[Pin], *, check: bool = True) -> list[Tree]:
        """Give the trees of pins, in that order: missing ones get built and unpacked.

        :param check: whether they are looked at for files that somebody edited, and made anew then.
        """
        sources = [pin for pin in pins if is_source(pin)]
        built = dict(zip(map(_identity, sources), self._obtain(sources), strict=True))
        archives = [built.get(_identity(pin), pin.archive) for pin in pins]
        passing = {built[_identity(pin)].sha256 for pin in sources if not self.builder.lasts(pin)}
        store = self.resources.store
        found: dict[str, Tree] = {}
        missing: dict[str, Archive] = {}
        for archive in archives:
            holder = self._passing_store if archive.sha256 in passing else store
            tree = holder.find_sound(archive.sha256) if check else holder.find(archive.sha256)
            if tree is not None:
                found[archive.sha256] = tree
            else:
                missing[archive.sha256] = archive
        edited, store.edited = store.edited, []
        for label, path in edited:
            self._say(f"{label} is unpacked anew: {path} was edited in some environment")
        for archive in missing.values():
            if archive.filename.endswith(".whl"):
                self.resources.index.check(archive)
        if missing:
            found.update(zip(missing, store.add(list(missing.values())), strict=True))
        return [found[archive.sha256] for archive in archives]

    def _obtain(self, pins: Sequence[Pin]) -> list[Archive]:
        """Give the built form of sdists and directories, several at a time."""
        if self._chain:  # inside of a build the others keep the cores busy
            return [self._build(pin, None) for pin in pins]
        futures = [self._begun.get(_identity(pin)) or self._begin(pin, None) for pin in pins]
        try:
            return results(futures, lambda error: not self.is_curable(error))
        except BinaryDistributionError as error:
            failures = [future.exception() for future in futures if future.done() and not future.cancelled()]
            error.context["others"] = [each for each in failures if each is not None and each is not error]
            raise

    def _begin(self, pin: Pin, prepared: Prepared | None) -> Future[Archive]:
        """Have something built when there is a thread for it."""
        with self._lock:
            future = self._begun.get(_identity(pin))
            if future is None:
                future = self._begun[_identity(pin)] = self._pool.submit(lambda pin: self._unpack(pin, prepared), pin)
            return future

    def _unpack(self, pin: Pin, prepared: Prepared | None) -> Archive:
        """Build, and unpack the result into the store at once."""
        archive = self._build(pin, prepared)
        store = self.resources.store if self.builder.lasts(pin) else self._passing_store
        if store.find_sound(archive.sha256) is None:
            store.add([archive])
        return archive

    @property
    def _passing_store(self) -> Store:
        """A store for what no later run can use: nothing of it outlives the run but what gets installed."""
        with self._lock:
            if self._passing is None:
                self._passing = self.resources.open_store(self.resources.directory("trees"))
            return self._passing

    def _build(self, pin: Pin, prepared: Prepared | None) -> Archive:
        if _identity(pin) in self._chain:
            raise BuildFailed("{name} needs itself to be built", name=pin.name)
        if prepared is None:
            prepared = self._prepared_for(pin)
        with self._working_for((*self._chain, _identity(pin))):
            return self.builder.obtain(pin, prepared)

    def _prepared_for(self, pin: Pin) -> Prepared | None:
        """Give the tree in which the metadata was prepared, once: a build may leave anything in it."""
        if not pin.archive.sha256:
            return self._described[os.path.realpath(pin.archive.path)][1]
        return self._trees.pop(pin.archive.sha256, None)


class Preparing:
    """The metadata of source trees, for one pass."""

    def __init__(self, engine: Engine, pass_: _Pass) -> None:
        self._engine = engine
        self._pass = pass_

    def expect_repository(self) -> None:
        """Keep all of what pip checks out, as builds may look at the whole of a repository."""
        self._pass.whole = True

    def sole(self) -> tuple[bytes, Prepared] | None:
        """Give the one answer that pip got: the metadata, and the tree that it was prepared in."""
        answers = list(self._pass.answers.values())
        return answers[0] if len(answers) == 1 else None

    def prepare(self, archive: Archive) -> bytes:
        return self._engine.metadata(archive, self._pass)

    def adopt(self, archive: Archive) -> None:
        self._engine.adopt(archive, self._pass)

    def describe(self, direct: Direct) -> bytes:
        return self._engine.describe(direct)

    def recall(self, name: str) -> bytes | None:
        return self._engine.recall(name)

    def borrow(self, question: Question) -> Plan | None:
        return self._engine.borrow(question)

    def unpacking(self, work: str, allowed: Collection[str] | None) -> AbstractContextManager[None]:
        resources = self._engine.resources
        if resources.jobs == 1 or not self._engine.unpacks:
            return nullcontext()
        from pip_accel._arrivals import Unpacking

        directory = resources.directory("arrivals")
        place, jobs = self._pass.place, resources.jobs - 1
        return Unpacking(resources.store, place, work, directory, allowed=allowed, jobs=jobs)


def _key_of(requires: Sequence[str]) -> str:
    """Name a set of build requirements, sorted and without duplicates."""
    return _PLANNING + ", ".join(requires)


def is_source(pin: Pin) -> bool:
    """Whether a pin has to be built: an sdist, or a directory."""
    return not pin.archive.filename.endswith(".whl") or not pin.archive.sha256


def _is_below(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep)


def _identity(pin: Pin) -> str:
    """Name what is built: an archive by its digest, a directory by its path."""
    return pin.archive.sha256 or pin.archive.path


def _name_and_version(metadata: bytes) -> tuple[str, str]:
    from pip_accel._metadata import read_headers

    headers = read_headers(metadata)
    return canonical_name(headers.get("name", "")), canonical_version(headers.get("version", ""))


def _write_metadata(metadata: bytes, directory: str) -> str:
    """Write a ``.dist-info`` that pip can read; give its name, off which pip reads the version."""
    from pip_accel._metadata import read_headers

    headers = read_headers(metadata)
    dist_info = f"{re.sub('[-_.]+', '_', headers.get('name', ''))}-{headers.get('version', '')}.dist-info"
    if not re.fullmatch(r"[\w.!+-]+", dist_info):
        raise Unsupported("{name} is no name of a distribution and its version", name=dist_info)
    _fs.write_file(os.path.join(directory, dist_info, "METADATA"), metadata)
    return dist_info


def _find_archive(place: str, name: str, version: str) -> str | None:
    """Find the archive that pip has fetched, among its temporary files; give its path."""
    for directory in os.scandir(place):
        if not directory.is_dir(follow_symlinks=False):
            continue
        for entry in os.scandir(directory.path):
            if entry.is_file(follow_symlinks=False) and name_and_version(entry.name) == (name, version):
                return entry.path
    return None
