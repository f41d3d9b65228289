"""Plans for build requirements: which archives a build environment gets, worked out once and remembered.

A build may need what has to be built, and a plan what has to be described by a build backend. What the work of each
thread is done for is written down in a :class:`Chain`, so that a circle is an error, and no wait without end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from pip_accel import _fs
from pip_accel._digests import digest_of
from pip_accel._names import canonical_name
from pip_accel._values import Pin
from pip_accel.exceptions import BuildFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._index import ViewSettings
    from pip_accel._plan.clauses import Demand
    from pip_accel._plan.question import Question
    from pip_accel._resources import Resources
    from pip_accel._sharing import Requirements

__all__ = ["BuildPlans", "Chain"]

_PLANNING = "planning "


class Chain:
    """What the work of each thread is done for: sdists to be built, and sets of build requirements to be planned."""

    def __init__(self) -> None:
        self._here = threading.local()

    @property
    def links(self) -> tuple[str, ...]:
        """What the work of this thread is done for, the outermost first."""
        links: tuple[str, ...] = getattr(self._here, "links", ())
        return links

    @contextmanager
    def working_for(self, links: tuple[str, ...]) -> Iterator[None]:
        before = self.links
        self._here.links = links
        try:
            yield
        finally:
            self._here.links = before

    def with_another(self, link: str) -> AbstractContextManager[None]:
        """Work for one thing more, within what this thread works for."""
        return self.working_for((*self.links, link))


class _Planned(NamedTuple):
    """A plan for build requirements."""

    requires: tuple[str, ...]
    pins: tuple[Pin, ...]
    learned: float  #: when that was planned, seconds since the epoch
    lasting: bool  #: whether it holds beyond this run
    borrowed: bool = False  #: whether another machine made it: then its archives may still be there


class BuildPlans:
    """Plans for build requirements, of this run and of earlier ones.

    :param view: the settings under which they are looked for.
    :param constraints: on them, the words that tell pip of those, and their text, by which plans are remembered.
    :param chain: what the work of each thread is done for.
    :param ask: gives pins with the help of pip, and whether they hold beyond this run.
    :param come: has archives come from other machines, and tells whether all are here then.
    """

    def __init__(
        self,
        resources: Resources,
        view: ViewSettings,
        constraints: tuple[Sequence[Demand], Sequence[str], Sequence[str]],
        chain: Chain,
        *,
        ask: Callable[[Question], tuple[tuple[Pin, ...], bool]],
        come: Callable[[Sequence[Pin]], bool],
    ) -> None:
        self.passive = False  #: whether no pip may be started
        self._resources = resources
        self._view = view
        self._constraints, self._constraint_words, self._constraint_texts = constraints
        self._chain = chain
        self._ask = ask
        self._come = come
        self._plans: dict[str, _Planned] = {}
        self._fetching = threading.Lock()

    def pins_for(self, requires: Sequence[str], *, at_hand: bool = False) -> tuple[Pin, ...]:
        """Give the pins that satisfy build requirements, dependencies first.

        :param at_hand: whether they are going to be installed, and not only named.
        """
        wanted = tuple(sorted(set(requires)))
        if not wanted:
            return ()
        key = _key_of(wanted)
        if key in self._chain.links:
            raise BuildFailed("Build requirements require each other: there is no end to building {it}", it=wanted[0])
        if key not in self._plans:
            self._plan_anew(key, wanted)
        if at_hand and self._plans[key].borrowed and not self._come(self._plans[key].pins):
            self._forget(key, wanted)
            self._plan_anew(key, wanted)
        return self._plans[key].pins

    def adopt(self, requirements: Requirements) -> None:
        """Take over a plan that another machine made, unless it is too old, or there is one."""
        key, locate = _key_of(requirements.requires), self._resources.index.locate
        if not self._is_young(requirements.learned) or key in self._plans or self._recall(requirements.requires):
            return
        pins = tuple(Pin(*row[:2], locate(row[3], row[2]), False, "") for row in requirements.rows)
        self._plans[key] = _Planned(requirements.requires, pins, requirements.learned, True, borrowed=True)
        self._remember(self._plans[key])

    def lasting(self) -> tuple[Requirements, ...]:
        """Give the plans of this run that hold beyond it, as machines share them."""
        from pip_accel._sharing import Requirements

        return tuple(
            Requirements(
                each.requires,
                tuple((pin.name, pin.version, pin.archive.filename, pin.archive.sha256) for pin in each.pins),
                each.learned,
            )
            for each in list(self._plans.values())  # a build that began early may still plan
            if each.lasting
        )

    def _plan_anew(self, key: str, wanted: tuple[str, ...]) -> None:
        # Who plans for another plan must not wait for one, as that one may wait for the other.
        nested = any(each.startswith(_PLANNING) for each in self._chain.links)
        with self._chain.with_another(key):
            self._plan(key, wanted, nullcontext() if nested else self._fetching)

    def _forget(self, key: str, wanted: tuple[str, ...]) -> None:
        """Forget a plan whose archives are not to be had any more."""
        self._plans.pop(key, None)
        try:
            os.unlink(self._memo(wanted))
        except FileNotFoundError:
            pass

    def _plan(self, key: str, wanted: tuple[str, ...], turn: AbstractContextManager[object]) -> None:
        """Plan build requirements.

        :param key: under which the plan goes into :attr:`_plans`.
        :param turn: to be held while pip fetches, so that nothing is fetched twice.
        """
        from pip_accel._plan.closing import plan_from_winners
        from pip_accel._plan.question import question_of_build

        resources = self._resources
        question = question_of_build(wanted, self._view, resources.python, self._constraints, self._constraint_words)
        planned = self._recall(wanted)
        if planned is not None:
            self._plans[key] = planned
            return
        pins, learned, lasting = plan_from_winners(resources, question), 0.0, True
        if pins is None and self.passive:
            raise Unsupported("only pip can tell now what satisfies its build requirements {them}", them=wanted)
        if pins is None:
            with turn:
                if key in self._plans:  # by another thread, meanwhile
                    return
                learned = time.time()
                pins, lasting = self._ask(question)
                self._plans[key] = _Planned(wanted, pins, learned, lasting)
        self._plans[key] = planned = _Planned(wanted, pins, learned or self._age_of(pins), lasting)
        if lasting:
            self._remember(planned)

    def _age_of(self, pins: Sequence[Pin]) -> float:
        """Give when the oldest was learned of what the index knows of pins; seconds since the epoch."""
        index, view = self._resources.index, self._view
        projects = [canonical_name(pin.name) for pin in pins]
        newest = [max((each.time for each in index.known(view.key(name), name)), default=0.0) for name in projects]
        return min(newest, default=0.0)

    def _memo(self, requires: tuple[str, ...]) -> str:
        view = self._view
        question = [requires, view.places, view.target, view.prefer_binary, view.pre, self._constraint_texts]
        return self._resources.place("plans", digest_of(question) + ".json")

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
                archive = self._resources.index.locate(sha256, filename)
                if not (kept["borrowed"] or os.path.exists(archive.path)) or self._state(name) != state:
                    return None
                self._resources.index.touch(archive)
                pins.append(Pin(name, version, archive, False, ""))
            return _Planned(requires, tuple(pins), kept["learned"], True, kept["borrowed"]) if pins else None
        except (ValueError, TypeError, KeyError, AttributeError):  # cut short by a full disk, or of another release
            return None

    def _is_young(self, learned: float) -> bool:
        limit = self._resources.config.index_max_age
        return limit is None or time.time() - learned <= limit

    def _state(self, name: str) -> list[int]:
        project = canonical_name(name)
        return self._resources.index.state_of(self._view.key(project), project)


def _key_of(requires: Sequence[str]) -> str:
    """Name a set of build requirements, sorted and without duplicates."""
    return _PLANNING + ", ".join(requires)
