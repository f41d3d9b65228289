"""The stages put together: from a question to a plan, and from its pins to trees, with all that is missing built.

Build requirements go the same way as the user's own, so this module calls itself by way of :class:`Builder`. Three
kinds of threads meet here: the one that called, which waits for pip most of the time; those that answer the build
backends of that pip (:mod:`pip_accel._preparation`); and those that build.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from pip_accel._build_plans import BuildPlans, Chain
from pip_accel._index import ViewSettings
from pip_accel._preparation import Pass, Preparation
from pip_accel._process import Workers, results
from pip_accel._values import Archive, Pin, Plan, Tree
from pip_accel.exceptions import BinaryDistributionError, BuildFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future

    from pip_accel._build.builder import Builder, Prepared
    from pip_accel._build.recipe import Recipe
    from pip_accel._plan.clauses import Demand
    from pip_accel._plan.question import Direct, Question
    from pip_accel._progress import BuildWatcher
    from pip_accel._resources import Resources
    from pip_accel._sharing import Offer, Sharing
    from pip_accel._store import Store
    from pip_accel.caches import CacheManager

__all__ = ["Engine", "is_source"]

_PLAIN_CONSTRAINTS = (26, 2)  # from this pip on, constraints in its settings have no effect on builds


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
        self._build_environ = build_environ
        self._say = say
        self._watcher = watcher
        self._lock = threading.RLock()
        self.chain = Chain()
        self.preparation = Preparation(self)
        self.build_plans = BuildPlans(
            resources, view, (*constraints, recipe.constraints), self.chain, ask=self._fetch, come=self._come
        )
        self._begun: dict[str, Future[Archive]] = {}
        self._workers: Workers | None = None
        self._builder: Builder | None = None
        self._caches: CacheManager | None = None
        self._sharing: Sharing | None = None
        self._passing: Store | None = None
        self.unpacks = True  #: whether what pip fetches will be installed
        self.constrained = False  #: whether pip's settings, and not its words, name constraint files
        self.online = False  #: whether an index was asked for build requirements
        self.borrows = True  #: whether plans of other machines are asked for
        #: Whether something may be done about the failure of a build: then the others go on, as they may fail alike.
        self.is_curable: Callable[[BaseException], bool] = lambda error: False

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._workers is not None:
            self._workers.end()
        self.preparation.close()

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
                parts = self.resources, self._recipe, self.caches, self.build_plans.pins_for, self.trees
                self._builder = Builder(*parts, watcher, self._say)
            return self._builder

    @property
    def caches(self) -> CacheManager:
        """All cache backends; looked up when something is not here."""
        with self._lock:
            if self._caches is None:
                from pip_accel.caches import CacheManager, tell_of_disabled, tell_of_failure

                self._caches = CacheManager(
                    self.resources.config,
                    on_failure=partial(tell_of_failure, self._say),
                    on_disabled=partial(tell_of_disabled, self._say),
                    on_report=self._say,
                    on_borrow=self.resources.note_borrowing if not self._recipe.own else None,
                    directory=self.resources.directory,
                    alone=not self.resources.kept,
                )
            return self._caches

    @property
    def sharing(self) -> Sharing | None:
        """What other machines share with this one, ``None`` if there are none."""
        with self._lock:
            if self._sharing is None and self.caches.shared:
                from pip_accel._sharing import Sharing

                self._sharing = Sharing(self.resources, self.caches, own=self._recipe.own)
            return self._sharing

    @property
    def workers(self) -> Workers:
        """The threads that build; made when there is something to build."""
        with self._lock:
            if self._workers is None:
                self._workers = Workers(self.resources.jobs)
            return self._workers

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

    def _come(self, pins: Sequence[Pin]) -> bool:
        """Have archives come from other machines, as far as they are not here; give whether all are here then."""
        store = self.resources.store
        missing = [pin.archive for pin in pins if not os.path.exists(pin.archive.path)]
        missing = [archive for archive in missing if store.find(archive.sha256) is None]
        if missing and self.sharing is not None:
            self.sharing.fetch({archive.sha256: archive.filename for archive in missing})
        return all(os.path.exists(archive.path) for archive in missing)

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

    @contextmanager
    def preparing(
        self, environ: Mapping[str, str], pinned: Mapping[str, str] | None = None
    ) -> Iterator[tuple[dict[str, str], _Sources]]:
        """Give the environment in which pip's build backends ask us, and what we make of the sdists that it brings.

        :param pinned: versions of which there is no choice, by canonical name.
        """
        with self.preparation.serving(environ, pinned) as (inner, pass_):
            yield inner, _Sources(self, pass_)

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
            self.build_plans.adopt(each)
        return plan

    def offer(self, question: Question, plan: Plan, *, quiet: bool) -> Callable[[], int] | None:
        """Give what shares a plan and all that it names, if that is of use to other machines; to be called once.

        It gives the number of files that are there then.

        :param quiet: whether pip was told to be: then it says neither how it spells names, nor what it warns of.
        """
        if self.sharing is None or not self.sharing.gives:
            return None
        from pip_accel._exchange import make_offer

        builds = self.build_plans.lasting()
        offered = make_offer(self.resources, self._recipe, self.builder, question, plan, builds, quiet=quiet)
        return partial(self._publish, self.sharing, *offered) if offered is not None else None

    def _publish(self, sharing: Sharing, digest: str, offer: Offer, built: Sequence[tuple[str, str]]) -> int:
        """Give an offer to other machines. Whatever goes wrong is told, and no failure of the run."""
        try:
            return sharing.publish(digest, offer, built)
        except Exception as error:
            self._say(f"Not all of this run could be shared with other machines: {error}")
            return 0

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
        if self.chain.links:  # inside of a build the others keep the cores busy
            return [self._build(pin, None) for pin in pins]
        futures = [self._begun.get(_identity(pin)) or self.begin(pin, None) for pin in pins]
        try:
            return results(futures, lambda error: not self.is_curable(error))
        except BinaryDistributionError as error:
            failures = [future.exception() for future in futures if future.done() and not future.cancelled()]
            error.context["others"] = [each for each in failures if each is not None and each is not error]
            raise

    def has_begun(self, archive: Archive) -> bool:
        """Whether an sdist is being built, or has been."""
        return archive.sha256 in self._begun

    def begin(self, pin: Pin, prepared: Prepared | None) -> Future[Archive]:
        """Have something built when there is a thread for it."""
        with self._lock:
            future = self._begun.get(_identity(pin))
            if future is None:
                future = self._begun[_identity(pin)] = self.workers.submit(lambda pin: self._unpack(pin, prepared), pin)
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
        if _identity(pin) in self.chain.links:
            raise BuildFailed("{name} needs itself to be built", name=pin.name)
        if prepared is None:
            prepared = self.preparation.take_tree(pin)
        with self.chain.with_another(_identity(pin)):
            return self.builder.obtain(pin, prepared)


class _Sources:
    """What a pip that plans is told, and what it brings: see :class:`pip_accel._plan.inquiry.Sources`."""

    def __init__(self, engine: Engine, pass_: Pass) -> None:
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
        return self._engine.preparation.metadata(archive, self._pass)

    def adopt(self, archive: Archive) -> None:
        self._engine.preparation.adopt(archive, self._pass)

    def describe(self, direct: Direct) -> bytes:
        return self._engine.preparation.describe(direct)

    def recall(self, name: str) -> bytes | None:
        return self._engine.preparation.recall(name)

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


def is_source(pin: Pin) -> bool:
    """Whether a pin has to be built: an sdist, or a directory."""
    return not pin.archive.filename.endswith(".whl") or not pin.archive.sha256


def _identity(pin: Pin) -> str:
    """Name what is built: an archive by its digest, a directory by its path."""
    return pin.archive.sha256 or pin.archive.path
