"""``pip-accel cache`` and the verbs of its own that it has: what pip's ``cache`` knows nothing of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pip_accel._messages import Messages
from pip_accel.exceptions import BinaryDistributionError, DataDirectoryError, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._engine import Engine
    from pip_accel._index import ViewSettings
    from pip_accel._plan.arguments import Request
    from pip_accel.config import Config

__all__ = ["VERBS", "Invocation"]

_NOT_TAKEN = "The shared cache does not take what it is given: see above"
_NOT_SHARED = (
    "These requirements cannot be shared: they ask for what lies on this machine alone, a build of theirs reads"
    " variables that may hold secrets, or -q keeps pip from saying what belongs to the plan"
)


class Invocation(NamedTuple):
    """What one of these commands was called with."""

    before: Sequence[str]  #: options before the command
    words: Sequence[str]  #: those after the verb, as an installation would have them
    environ: Mapping[str, str]
    config: Config


class _Refused(Exception):
    """A command cannot do what it was asked for; the text is one sentence for the user."""


class _Open(NamedTuple):
    """What a command works with."""

    request: Request
    messages: Messages
    engine: Engine
    view: ViewSettings


@contextmanager
def _opened(invocation: Invocation, *more: str) -> Iterator[_Open]:
    """Understand the words, and open what serves them.

    :param more: words in front of the user's own.
    :raises _Refused: only pip itself could serve them.
    """
    from pip_accel._accelerator import open_engine
    from pip_accel._environment import find_target, validate_environment
    from pip_accel._plan.arguments import parse
    from pip_accel._plan.question import view_settings
    from pip_accel._resources import open_resources

    before, words, environ, config = invocation
    config.check()
    try:
        request = parse([*before, "install", *more, *words], environ)
        python = request.manner.python
        messages = Messages(config.log_verbosity, config.log_format, request.manner.verbosity)
        for warning in config.warnings:
            messages.warning(warning)
        if python is None:
            validate_environment(environ)
        with open_resources(config, find_target(python), python, environ) as resources:
            view = view_settings(request, resources.target, resources.index.tag)
            with open_engine(resources, request, messages.info, view=view) as engine:
                yield _Open(request, messages, engine, view)
    except Unsupported as reason:
        raise _Refused(f"pip-accel does not serve these words and settings: {reason}") from reason


def _reporting(command: Callable[[Invocation], int]) -> Callable[[Invocation], int]:
    """Have what a command fails with printed as pip prints errors."""

    def run(invocation: Invocation) -> int:
        try:
            return command(invocation)
        except (_Refused, DataDirectoryError, BinaryDistributionError) as error:
            print(f"ERROR: {error}", file=sys.stderr)
        except OSError as error:
            print(f"ERROR: {error}", file=sys.stderr)
        except PipFailed as error:
            print(str(error.context.get("errors", "")).strip("\n") or f"ERROR: {error}", file=sys.stderr)
        return 1

    return run


@_reporting
def _explain(invocation: Invocation) -> int:
    """Say which key each source distribution of some projects has now, and why there is no result of its build."""
    from pip_accel._explain import describe, explain, find_sdists

    if not invocation.words:
        raise _Refused("Please provide the name of a project: pip-accel cache explain NAME")
    invocation.config.index_max_age = None  # what is known now is what counts
    status = 0
    with _opened(invocation) as (request, _, engine, _):
        engine.passive = True
        for root in dict.fromkeys(request.requirements):
            pins = find_sdists(engine.resources, root)
            for pin in pins:
                for line in describe(explain(engine.resources, engine.builder, engine.caches, pin)):
                    print(line)
            if not pins:
                print(f"ERROR: The local index has no source distribution of {root.text.strip()}", file=sys.stderr)
                status = 1
    return status


@_reporting
def _push(invocation: Invocation) -> int:
    """Give other machines what an installation takes: plan, archives, what is built, byte code."""
    from pip_accel._accelerator import make_plan

    with _shared(invocation, "push") as (request, messages, engine, view):
        sharing = engine.sharing
        assert sharing is not None
        if not sharing.gives:
            raise _Refused("The shared cache is only read from here (s3-readonly)")
        engine.borrows = False  # what is missing there is to be made good
        question, plan = make_plan(engine, request, view, messages.info)
        engine.trees(plan.pins)
        share = engine.offer(question, plan, quiet=request.manner.verbosity < 0)
        if share is None and not sharing.gives:
            raise _Refused(_NOT_TAKEN)
        if share is None:
            raise _Refused(_NOT_SHARED)
        count = share()
        if not sharing.gives:
            raise _Refused(_NOT_TAKEN)
        print(f"Pushed {len(plan.pins)} distributions: {count} files are in the shared cache")
    return 0


@_reporting
def _pull(invocation: Invocation) -> int:
    """Take from other machines what an installation takes, and unpack it."""
    from pip_accel._accelerator import ask

    with _shared(invocation, "pull") as (request, messages, engine, view):
        question, _, _ = ask(engine, request, view, messages.info)
        plan = engine.borrow(question)
        if plan is None:
            raise _Refused(
                "The shared cache has no plan for these requirements and this Python, or not all of what it takes."
                " Fill it from a machine of the same kind: pip-accel cache push"
            )
        engine.trees(plan.pins)
        print(f"Pulled {len(plan.pins)} distributions")
    return 0


@contextmanager
def _shared(invocation: Invocation, verb: str) -> Iterator[_Open]:
    """Open what a command that is about shared caches works with.

    :raises _Refused: there is no such cache, or nothing is asked for.
    """
    if not invocation.words:
        raise _Refused(f"Please say what to {verb}: pip-accel cache {verb} -r requirements.txt")
    if invocation.config.offline:
        raise _Refused(f"offline = yes forbids to {verb} anything")
    with _opened(invocation, "--ignore-installed") as opened:  # as for an empty environment
        if opened.engine.sharing is None:
            direction = "to" if verb == "push" else "from"
            raise _Refused(
                f"There is no shared cache to {verb} {direction}: name a bucket with $PIP_ACCEL_S3_BUCKET, and install"
                " pip-accel[s3]"
            )
        yield opened


#: What each verb does; it gives the exit status.
VERBS: Mapping[str, Callable[[Invocation], int]] = {"explain": _explain, "pull": _pull, "push": _push}
