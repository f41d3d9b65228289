"""``pip-accel cache``: its usage, and those of its verbs that plan as an installation does: explain, push, pull."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pip_accel._commands import Invocation, Open, Refused, opened, reporting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = ["cache"]

_USAGE = """\
Usage: pip-accel cache VERB [OPTIONS] [PATTERN | WORDS]

What pip-accel keeps in its data directory. (What pip keeps itself: `pip cache'.)

  dir                             print where it is
  info    [--format=json]         sizes, numbers, and of what use it has been
  list    [PATTERN] [--format=abspath|json]
                                  archives and built distributions
  remove  PATTERN                 all that is kept of some projects, or of versions of them
  purge                           remove everything
  verify  [--format=json]         look for damage; what is damaged is removed, and the status is 1
  prune   [--max-size=SIZE] [--unused-for=TIME]
                                  remove what is of no use, too old, or too much (10GB, 500MiB; 12h, 30d)

  explain NAME                    why a project is built again
  push    WORDS                   put all that `install WORDS' takes into the cache that machines share
  pull    WORDS                   get all of that from there

PATTERN is the name of a project, perhaps with a dash and the beginning of a version, or a file name; it may have the
wildcards * and ?. Options -v and -q say more and less.
"""

_NOT_TAKEN = "The shared cache does not take what it is given: see above"
_NOT_SHARED = (
    "These requirements cannot be shared: they ask for what lies on this machine alone, a build of theirs reads"
    " variables that may hold secrets, or -q keeps pip from saying what belongs to the plan"
)


@reporting
def _explain(invocation: Invocation) -> int:
    """Say which key each source distribution of some projects has now, and why there is no result of its build."""
    from pip_accel._explain import describe, explain, find_sdists

    if not invocation.words:
        raise Refused("Please provide the name of a project: pip-accel cache explain NAME")
    invocation.config.index_max_age = None  # what is known now is what counts
    status = 0
    with opened(invocation) as (request, _, engine, _):
        engine.build_plans.passive = True
        for root in dict.fromkeys(request.requirements):
            pins = find_sdists(engine.resources, root)
            for pin in pins:
                for line in describe(explain(engine.resources, engine.builder, engine.caches, pin)):
                    print(line)
            if not pins:
                print(f"ERROR: The local index has no source distribution of {root.text.strip()}", file=sys.stderr)
                status = 1
    return status


@reporting
def _push(invocation: Invocation) -> int:
    """Give other machines what an installation takes: plan, archives, what is built, byte code."""
    from pip_accel._accelerator import make_plan

    with _shared(invocation, "push") as (request, messages, engine, view):
        sharing = engine.sharing
        assert sharing is not None
        if not sharing.gives:
            raise Refused("The shared cache is only read from here (s3-readonly)")
        engine.borrows = False  # what is missing there is to be made good
        question, plan = make_plan(engine, request, view, messages)
        engine.trees(plan.pins)
        share = engine.offer(question, plan, quiet=request.manner.verbosity < 0)
        if share is None and not sharing.gives:
            raise Refused(_NOT_TAKEN)
        if share is None:
            raise Refused(_NOT_SHARED)
        count = share()
        if not sharing.gives:
            raise Refused(_NOT_TAKEN)
        print(f"Pushed {len(plan.pins)} distributions: {count} files are in the shared cache")
    return 0


@reporting
def _pull(invocation: Invocation) -> int:
    """Take from other machines what an installation takes, and unpack it."""
    from pip_accel._accelerator import ask

    with _shared(invocation, "pull") as (request, messages, engine, view):
        question, _, _ = ask(engine, request, view, messages)
        plan = engine.borrow(question)
        if plan is None:
            raise Refused(
                "The shared cache has no plan for these requirements and this Python, or not all of what it takes."
                " Fill it from a machine of the same kind: pip-accel cache push"
            )
        engine.trees(plan.pins)
        print(f"Pulled {len(plan.pins)} distributions")
    return 0


@contextmanager
def _shared(invocation: Invocation, verb: str) -> Iterator[Open]:
    """Open what a command that is about shared caches works with.

    :raises Refused: there is no such cache, or nothing is asked for.
    """
    if not invocation.words:
        raise Refused(f"Please say what to {verb}: pip-accel cache {verb} -r requirements.txt")
    if invocation.config.offline:
        raise Refused(f"offline = yes forbids to {verb} anything")
    with opened(invocation, "--ignore-installed") as there:  # as for an empty environment
        if there.engine.sharing is None:
            direction = "to" if verb == "push" else "from"
            raise Refused(
                f"There is no shared cache to {verb} {direction}: name a bucket with $PIP_ACCEL_S3_BUCKET, and install"
                " pip-accel[s3]"
            )
        yield there


#: What each verb does that asks for projects; it gives the exit status.
_VERBS: Mapping[str, Callable[[Invocation], int]] = {"explain": _explain, "pull": _pull, "push": _push}


def cache(before: Sequence[str], words: Sequence[str], environ: Mapping[str, str], config: Config) -> int:
    """Carry out a command, and give the exit status.

    :param before: words before ``cache``.
    :param words: those after it.
    """
    from pip_accel._housekeeping import VERBS

    verb = next(iter(words), "")
    verbs = {**VERBS, **_VERBS}
    if {"-h", "--help"} & {verb, *(words if verb in VERBS else ())}:
        print(_USAGE, end="")
        return 0
    if verb not in verbs:
        print(f"ERROR: Need an action ({', '.join(sorted(verbs))}) to perform.", file=sys.stderr)
        return 1
    return verbs[verb](Invocation(before, words[1:], environ, config))
