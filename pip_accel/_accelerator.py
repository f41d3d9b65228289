"""The steps of an installation in order: see to the target, plan, obtain, install."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from pip_accel._environment import Probe
from pip_accel._values import Change, Manner, Plan, Target, Tree
from pip_accel.exceptions import BinaryDistributionError, Edited, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._engine import Engine
    from pip_accel._index import ViewSettings
    from pip_accel._plan.arguments import Request
    from pip_accel._plan.memo import Recording, Remembered
    from pip_accel._plan.question import Question
    from pip_accel._plan.requirements import Root
    from pip_accel._plan.stand_ins import Substituted
    from pip_accel._progress import BuildWatcher
    from pip_accel._resources import Resources

__all__ = [
    "Outcome",
    "ask",
    "check_target",
    "install",
    "install_pins",
    "install_remembered",
    "make_plan",
    "open_engine",
    "running_inside",
    "secure",
    "start_probe",
    "target_of",
]

_PLAIN_PREFIX = (26, 3)  # from this pip on, --prefix means the same with Debian's Python as with others
_OLDEST_PIP = (25, 3)  # earlier ones prepare every sdist before they report what they would install


class Outcome(NamedTuple):
    """What a run did."""

    changes: tuple[Change, ...]  #: in the order of installation
    plan: Plan
    built: tuple[str, ...]  #: names and versions of what was built
    unpacked: bool  #: whether anything was not in the store yet
    online: bool
    pip: str = ""  #: version of the pip beside us, before anything changed
    kept: tuple[str, ...] = ()  #: paths that stay in the directory of ``--target`` in place of what was to be installed
    #: Gives other machines what they cannot know yet. The environment is no longer needed for that.
    share: Callable[[], object] | None = None


def target_of(request: Request) -> Target:
    """Describe what a request wants to be installed into.

    :raises Unsupported: its interpreter cannot be started, or pip refuses to install there.
    """
    return start_probe(request.manner).target()


def start_probe(manner: Manner, begun: Probe | None = None) -> Probe:
    """Begin to find out what is to be installed into.

    :param begun: a probe that is taken if it asks for the same, and ended otherwise.
    """
    destination = manner.destination
    if destination.prefix:
        from pip_accel._resources import host_pip_version, is_older

        destination = destination._replace(plain=not is_older(host_pip_version(), _PLAIN_PREFIX))
    if begun is not None:
        if (begun.python, begun.destination) == (manner.python, destination):
            return begun
        begun.end()
    return Probe(manner.python, destination)


def check_target(target: Target, manner: Manner) -> None:
    """See that an environment is one that we install into; what pip refuses or redirects is left to pip.

    :raises Unsupported: pip has to do it.
    """
    from pip_accel._resources import host_pip_version, is_older

    if os.name == "nt":
        raise Unsupported("pip-accel has not been tried on Windows yet")
    pip = host_pip_version()
    if is_older(pip, _OLDEST_PIP):
        raise Unsupported("pip-accel needs pip 25.3 or newer beside it, and this is {version}", version=pip)
    managed = target.externally_managed if target.kind in ("environment", "user") else ""
    if managed and not manner.break_system_packages and not (manner.dry_run and manner.report):
        raise Unsupported("{path} says that another tool manages this environment", path=managed)
    if manner.dry_run:
        return
    libraries = {target.scheme.purelib, target.scheme.platlib}
    for directory in {target.place} if target.kind == "directory" else libraries:
        while not os.path.exists(directory):
            directory = os.path.dirname(directory)
        if not os.path.isdir(directory) or not os.access(directory, os.W_OK):
            raise Unsupported("{directory} cannot be written to", directory=directory)


@contextmanager
def secure(
    target: Target, manner: Manner, on_wait: Callable[[str], None], on_repair: Callable[[str], None]
) -> Iterator[None]:
    """Keep other runs out of what may change; repair what one of them left there when it was killed.

    :param on_wait: is told that another run has to end first.
    :param on_repair: is told of what was repaired.
    """
    from pip_accel._install.transaction import lock_prefix, repair

    with ExitStack() as locks:
        for place in dict.fromkeys((target.prefix, target.place)) if not manner.dry_run else ():
            waiting = f"Waiting for another run of pip-accel to finish with {place}"
            locks.enter_context(lock_prefix(place, partial(on_wait, waiting)))
            if repair(place):
                on_repair(f"A run of pip-accel was interrupted here: {place} was put back as it was before")
        yield


def install(
    resources: Resources,
    request: Request,
    *,
    say: Callable[[str], None],
    watcher: Callable[[], BuildWatcher] | None = None,
    on_plan: Callable[[Plan, tuple[Change, ...]], None] | None = None,
    on_replace: Callable[[Change], None] | None = None,
    recording: Recording | None = None,
    is_curable: Callable[[BaseException], bool] | None = None,
) -> Outcome:
    """Carry out a request: the environment is changed as a whole or not at all.

    :param say: is told what a user should know.
    :param watcher: gives who is told of builds, when there is one.
    :param on_plan: is told what will be done, when all that is needed is there and nothing has changed yet.
    :param on_replace: is told of each distribution that goes.
    :param recording: of how the request was understood; with that, its plan is kept.
    :param is_curable: tells of the failure of a build whether something may be done about it: then the other builds are
        carried out all the same, and what they fail with is ``others`` in the error's context.
    :raises BinaryDistributionError: a build failed; the context has what was ``built``, and whether an index was asked
        (``online``).
    """
    attempts: list[_Attempt] = []

    def announce(plan: Plan, changes: tuple[Change, ...]) -> None:
        if on_plan is not None and not any(attempt.announced for attempt in attempts):
            on_plan(plan, changes)
        attempts[-1].announced = True

    def attempt(*, check: bool) -> Outcome:
        attempts.append(_Attempt())
        return _try(
            attempts[-1],
            resources,
            request,
            say=say,
            watcher=watcher,
            on_plan=announce,
            on_replace=on_replace,
            recording=recording,
            is_curable=is_curable,
            check=check,
        )

    try:
        outcome = attempt(check=False)
    except (Edited, FileNotFoundError, Unsupported) as error:
        if not _is_lost(error, resources):
            raise
        from pip_accel._inventory import keeping

        # Nothing has changed, or all was undone. What was edited, damaged or removed is made anew now, and nobody
        # removes it meanwhile. What was said is not said again.
        with keeping(resources.config):
            resources.store.look_again()
            outcome = attempt(check=True)
    built = tuple(label for each in attempts for label in each.built)
    return outcome._replace(
        built=built,
        online=any(each.online for each in attempts),
        share=next((each.share for each in attempts if each.share is not None), None),
    )


class _Attempt:
    """How far an attempt to install came, also if it failed."""

    def __init__(self) -> None:
        self.announced = False  #: whether it was told what will be done
        self.engine: Engine | None = None
        self.asked = False  #: whether an index was asked for the plan
        self.share: Callable[[], object] | None = None

    @property
    def built(self) -> Sequence[str]:
        """What was built."""
        return self.engine.built if self.engine is not None else ()

    @property
    def online(self) -> bool:
        """Whether an index was asked for anything."""
        return self.asked or (self.engine is not None and self.engine.online)


def _try(
    course: _Attempt,
    resources: Resources,
    request: Request,
    *,
    say: Callable[[str], None],
    watcher: Callable[[], BuildWatcher] | None,
    on_plan: Callable[[Plan, tuple[Change, ...]], None],
    on_replace: Callable[[Change], None] | None,
    recording: Recording | None,
    is_curable: Callable[[BaseException], bool] | None,
    check: bool,
) -> Outcome:
    """Try to carry out a request; what the other parameters mean is said of :func:`install`.

    :param course: is told how far this came.
    :param check: whether the store is looked at for edited files beforehand, and not when they are linked.
    """
    from pip_accel._plan.question import view_of

    if request.manner.log:
        _open_log(request.manner.log)
    view = view_of(request, resources)
    with open_engine(resources, request, say, watcher, view=view) as engine:
        engine.unpacks = not request.manner.dry_run
        engine.preparation.eager = engine.preparation.eager and engine.unpacks
        if is_curable is not None:
            engine.is_curable = is_curable
        course.engine = engine
        began = time.time()
        try:
            question, plan = make_plan(engine, request, view, say)
        except BinaryDistributionError as error:
            error.context.update(built=tuple(engine.built), online=not resources.config.offline)
            raise
        course.asked = plan.online
        if recording is not None and not question.odd_places:
            from pip_accel._plan.memo import keep

            keep(resources, recording, request, question, plan, max(began, resources.index.learned))
        if request.manner.dry_run:
            on_plan(plan, ())
            return Outcome((), plan, (), False, course.online)
        _brace(resources, plan)
        try:
            trees = engine.trees(plan.pins, check=check)
        except BinaryDistributionError as error:
            error.context.update(built=tuple(engine.built), online=course.online)
            raise
        changes = _changes(resources, plan, trees, request.manner)
        # What other machines cannot know yet; nothing is looked up if all was here.
        if course.online or engine.built:
            course.share = engine.offer(question, plan, quiet=request.manner.verbosity < 0)
    return _carry_out(resources, plan, changes, request.manner, on_plan, on_replace, check=not check)


def _is_lost(error: Edited | FileNotFoundError | Unsupported, resources: Resources) -> bool:
    """Whether an error says that a file of the store, or an archive, is not there as it was."""
    if isinstance(error, Unsupported):
        return bool(error.context.get("curable"))
    return isinstance(error, Edited) or str(error.filename).startswith(os.path.join(resources.store.root, ""))


def make_plan(
    engine: Engine, request: Request, view: ViewSettings, say: Callable[[str], None]
) -> tuple[Question, Plan]:
    """Plan what a request asks for; give also the form in which it was planned."""
    question, environ, asked = ask(engine, request, view, say)
    plan = engine.plan(question, environ)
    return question, plan._replace(online=plan.online or asked)


def ask(
    engine: Engine, request: Request, view: ViewSettings, say: Callable[[str], None]
) -> tuple[Question, dict[str, str], bool]:
    """Put a request into the form in which it is planned.

    :returns: that, variables for pip, and whether an index was asked.
    """
    from pip_accel._plan.question import make_question

    resources = engine.resources
    substituted, asked = _with_stand_ins(engine, request, say)
    question = make_question(substituted, view, resources.target, resources.python, resources.environ)
    # That pip builds nothing, and refuses to have both this and --no-build-isolation.
    environ = {name: value for name, value in resources.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    environ.update(request.install_environ)
    return question, environ, asked


def install_remembered(
    resources: Resources,
    remembered: Remembered,
    *,
    on_plan: Callable[[Plan, tuple[Change, ...]], None],
    on_replace: Callable[[Change], None],
) -> Outcome | None:
    """Do the same by a plan that was made before, if that still holds and the store has all of it; else give ``None``.

    What the request was is not looked at.
    """
    resources.store.own = remembered.manner.require_hashes and resources.has_borrowed
    plan = remembered.plan(resources)
    if plan is None:
        return None
    trees = [resources.store.find(pin.archive.sha256) for pin in plan.pins]
    if None in trees:
        return None
    _brace(resources, plan)
    changes = _changes(resources, plan, [tree for tree in trees if tree is not None], remembered.manner)
    try:
        return _carry_out(resources, plan, changes, remembered.manner, on_plan, on_replace, check=True)
    except (Edited, FileNotFoundError) as error:
        if _is_lost(error, resources):
            return None
        raise


def install_pins(engine: Engine, plan: Plan, manner: Manner, *, python: str | None = None) -> Outcome:
    """Install what was planned before.

    :param python: path of the interpreter that scripts name, in place of that of the environment.
    """
    _brace(engine.resources, plan)
    trees = engine.trees(plan.pins)
    changes = _changes(engine.resources, plan, trees, manner)
    on_plan = lambda plan, changes: None  # noqa: E731
    outcome = _carry_out(engine.resources, plan, changes, manner, on_plan, None, check=False, python=python)
    return outcome._replace(built=tuple(engine.built), online=engine.online)


def _carry_out(
    resources: Resources,
    plan: Plan,
    changes: tuple[Change, ...],
    manner: Manner,
    on_plan: Callable[[Plan, tuple[Change, ...]], None],
    on_replace: Callable[[Change], None] | None,
    *,
    check: bool,
    python: str | None = None,
) -> Outcome:
    """Change the environment.

    :param python: path of the interpreter that scripts name, in place of that of the environment.
    :raises Edited: if the store is looked at now, and a file in it is not as it was; nothing has changed then.
    """
    from pip_accel._install.link import Linker
    from pip_accel._install.transaction import install as install_changes
    from pip_accel._resources import host_pip_version

    kept: Sequence[str] = ()
    pip, target = host_pip_version(), resources.target
    if not changes:
        on_plan(plan, changes)
        if target.kind == "directory":
            os.makedirs(target.place, exist_ok=True)
    else:
        kept = install_changes(
            changes,
            target if python is None else target._replace(python=os.path.abspath(python)),
            linker=Linker(resources.config.link_mode, resources.config.copy_patterns),  # type: ignore[arg-type]
            byte_code=manner.compile,
            template=resources.template,
            umask=resources.umask,
            on_start=partial(on_plan, plan, changes),
            on_replace=on_replace,
            replace=manner.upgrade,
            check=check,
            jobs=resources.jobs,
        )
    return Outcome(changes, plan, (), resources.store.added, plan.online, pip, tuple(kept))


def _open_log(path: str) -> None:
    """See that a log can be written, as pip does it.

    :raises Unsupported: it cannot; pip says so.
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab"):
            pass
    except OSError as error:
        raise Unsupported("the log {path} cannot be written: {error}", path=path, error=error) from error


def _with_stand_ins(engine: Engine, request: Request, say: Callable[[str], None]) -> tuple[Substituted, bool]:
    """Put stand-ins into a request for editables and what is asked for by URL; say also whether one was fetched."""
    from pip_accel._plan.requirement_files import is_remote
    from pip_accel._plan.stand_ins import Substituted

    if not any(root.kind for root in request.requirements) and not any(map(is_remote, request.files)):
        return Substituted(request, {}, ()), False
    from pip_accel._direct import Directs

    directs = Directs(engine, request, say)
    substituted = directs.substitute()
    return substituted, directs.online or any(map(is_remote, request.files))


def open_engine(
    resources: Resources,
    request: Request,
    say: Callable[[str], None],
    watcher: Callable[[], BuildWatcher] | None = None,
    *,
    view: ViewSettings | None = None,
) -> Engine:
    """Give what plans and builds for a request; to be used as a context manager.

    :param view: that of the request, where the caller has it: working it out looks into directories.
    """
    from functools import cache

    from pip_accel._build.recipe import Recipe, see_outside
    from pip_accel._engine import Engine
    from pip_accel._plan.question import build_environ, demands_of, settings_for_builds, view_of

    recipe = Recipe(
        request.build_isolation,
        {
            os.path.realpath(root.direct) if root.kind == "directory" else root.name: dict(root.config_settings)
            for root in request.requirements
            if root.config_settings
        },
        tuple(sorted(_constraint_text(root) for root in request.build_constraints)),
        () if request.build_isolation else see_outside(resources.target),
        resources.environ,
        tuple(resources.config.key_variables),
        own=request.manner.require_hashes,
        apart=request.manner.require_hashes and resources.has_borrowed,
    )
    if recipe.outside is None:
        resources.index.passing = resources.directory("facts")
    resources.index.variant, resources.index.state = cache(recipe.variant), recipe.state
    words = [word for path in request.build_constraint_files for word in ("--constraint", path)]
    engine = Engine(
        resources,
        recipe,
        settings_for_builds(view or view_of(request, resources), own=recipe.apart),
        build_environ(request, resources.environ),
        say,
        constraints=(demands_of(request.build_constraints), words),
        watcher=watcher,
    )
    resources.index.provide = engine.provide
    resources.index.own = resources.store.own = recipe.apart
    engine.preparation.eager = not request.manner.require_hashes
    engine.constrained = request.constrained_by_settings
    return engine


def _constraint_text(root: Root) -> str:
    return root.name + root.specifier + (f"; {root.marker}" if root.marker else "")


def _brace(resources: Resources, plan: Plan) -> None:
    """Get ready for changes to the environment that we run in ourselves, if it is that.

    :raises Unsupported: pip-accel would not work with the pip that the plan brings.
    """
    if not running_inside(resources.target):
        return
    import packaging.version  # noqa: F401  (when these are needed, they may be replaced)

    from pip_accel import _eviction, _progress, _warnings  # noqa: F401
    from pip_accel._names import canonical_name
    from pip_accel._resources import is_older

    for pin in plan.pins:
        if canonical_name(pin.name) == "pip" and is_older(pin.version, _OLDEST_PIP):
            text = "pip-accel will not work here any more with pip {version}: pip does all of this run"
            raise Unsupported(text, version=pin.version, alarming=True)


def _changes(resources: Resources, plan: Plan, trees: Sequence[Tree], manner: Manner) -> tuple[Change, ...]:
    """Put together what goes and what comes."""
    from pip_accel._installed import find_installed, find_removable
    from pip_accel._names import canonical_name

    target = resources.target
    installed = {} if manner.ignore_installed or not plan.pins else find_installed(target)
    changes = []
    for pin, tree in zip(plan.pins, trees, strict=True):
        name = canonical_name(pin.name)
        old = installed.get(name)
        own = find_removable(old, target) if old is not None else None
        beside = old if own is None and target.kind != "user" else None
        # pip's lines, and its directory of headers, have the name as it was asked for.
        tree = tree._replace(name=plan.spellings.get(name, tree.name))
        changes.append(Change(tree, pin.requested, pin.direct_url, own, beside))
    return tuple(changes)


def running_inside(target: Target) -> bool:
    """Whether pip-accel runs in the environment it installs into."""
    return os.path.realpath(target.prefix) == os.path.realpath(sys.prefix)
