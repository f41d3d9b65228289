"""One question on its way to an answer: what it brings along, and which archives it can lead to.

What was asked for by path or URL is looked at first: no index has a say in it, but it has requirements of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pip_accel._digests import digest_of
from pip_accel._metadata import parse_metadata
from pip_accel._names import canonical_name, leading_name
from pip_accel._plan.clauses import Demand, Metadata, applies, required_names
from pip_accel._plan.question import Direct, Question, roots_digest
from pip_accel._plan.stand_ins import lead_back
from pip_accel._values import Archive, Installed, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources

__all__ = ["Given", "Inquiry", "Sources", "begin", "closure", "existing", "has_missing_roots", "reach", "reachable"]


class Sources(Protocol):
    """Gives core metadata that only a build backend knows."""

    def prepare(self, archive: Archive) -> bytes:
        """Give the metadata of an sdist."""

    def adopt(self, archive: Archive) -> None:
        """Know that an sdist has come whose metadata is known."""

    def describe(self, direct: Direct) -> bytes:
        """Give the metadata of what was asked for by its path."""

    def recall(self, name: str) -> bytes | None:
        """Give the metadata of a directory that pip came upon, by the canonical name of its project."""

    def borrow(self, question: Question) -> Plan | None:
        """Learn what other machines found out about a question; give their plan if that holds here."""

    def unpacking(self, work: str, allowed: Collection[str] | None) -> AbstractContextManager[None]:
        """Unpack wheels while pip fetches them.

        :param work: directory of pip's logs.
        :param allowed: SHA-256 digests, hex, that they may have; ``None``: any.
        """


class Given(NamedTuple):
    """What no index has a say in: it was asked for by path or URL, or is required so by something that was."""

    demands: tuple[Demand, ...]
    metadata: Mapping[str, Metadata]  #: by canonical name


class Inquiry(NamedTuple):
    """One question on its way to an answer."""

    resources: Resources
    question: Question
    environ: Mapping[str, str]
    sources: Sources
    work: str  #: a directory of its own
    given: Given

    @property
    def installed(self) -> Mapping[str, Installed]:
        """What is installed and matters, by canonical name."""
        from pip_accel._installed import find_installed

        return {} if self.question.forgets else find_installed(self.resources.target)

    @property
    def digest(self) -> str:
        """The name of what was asked for as a whole, with what lies at the paths and URLs in it."""
        shown = self.question.shown
        found = [
            [name, metadata.version, *(lead_back(text, shown) for text in metadata.requires)]
            for name, metadata in sorted(self.given.metadata.items())
        ]
        return digest_of([roots_digest(self.question), found]) if found else roots_digest(self.question)


def begin(resources: Resources, question: Question, environ: Mapping[str, str], sources: Sources) -> Inquiry:
    """Look at what was asked for by path or URL, so that pip finds its metadata prepared."""
    demands, found = [], {}
    for direct in question.directs:
        if applies(direct.marker, dict(resources.target.markers)):
            name, version, requires = parse_metadata(sources.describe(direct))
            name = canonical_name(name)
            demands.append(Demand(name, direct.extras, "", ""))
            found[name] = Metadata(version, requires)
    for stand_in in question.stand_ins.values():
        if stand_in.name not in found:
            from pip_accel._archives import wheel_metadata

            _, version, requires = parse_metadata(wheel_metadata(stand_in.path))
            found[stand_in.name] = Metadata(version, requires)
    return Inquiry(resources, question, environ, sources, resources.directory("plan"), Given(tuple(demands), found))


def reach(resources: Resources, question: Question) -> tuple[set[str], list[Archive]]:
    """Give the canonical names of all projects that a request can lead to, and what their views have of them."""
    index, view = resources.index, question.view
    return _follow(resources, question, (), lambda name: index.archives_in_view(view.key(name), name))


def reachable(inquiry: Inquiry) -> list[Archive]:
    """Give the archives of the views that the request can lead to."""
    index, view = inquiry.resources.index, inquiry.question.view
    return closure(inquiry, lambda name: index.archives_in_view(view.key(name), name))


def closure(inquiry: Inquiry, find: Callable[[str], list[Archive]]) -> list[Archive]:
    """Give the archives that the request can lead to.

    :param find: gives those of a project, by its canonical name.
    """
    given = [canonical_name(leading_name(text)) for each in inquiry.given.metadata.values() for text in each.requires]
    return _follow(inquiry.resources, inquiry.question, given, find)[1]


def _follow(
    resources: Resources, question: Question, given: Iterable[str], find: Callable[[str], list[Archive]]
) -> tuple[set[str], list[Archive]]:
    """Follow what archives require.

    :param given: names to begin with, beside those that are asked for.
    """
    markers = dict(resources.target.markers)
    waiting = [*(root.name for root in question.roots if applies(root.marker, markers)), *given]
    seen: set[str] = set()
    found: list[Archive] = []
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for archive in find(name):
            known = resources.index.metadata(archive)
            if known is not None:
                found.append(archive)
                if question.dependencies:
                    waiting.extend(required_names(known))
    return seen, found


def has_missing_roots(resources: Resources, question: Question) -> bool:
    """Whether something that is asked for is not even installed."""
    from pip_accel._installed import find_installed

    installed = find_installed(resources.target)
    markers = dict(resources.target.markers)
    return any(root.name not in installed for root in question.roots if applies(root.marker, markers))


def existing(inquiry: Inquiry, filename: str, sha256: str) -> str | None:
    """Give the path of an archive in the local index, if it is there."""
    path = inquiry.resources.index.locate(sha256, filename).path
    return path if os.path.exists(path) else None
