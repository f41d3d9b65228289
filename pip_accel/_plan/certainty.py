"""Whether an answer that pip gave from few archives is the one that all of the index would give, and how old it is.

It is, where for every project that has a say some fact in the index vouches for the version that was chosen
(:mod:`pip_accel._plan.clauses`), and where nothing that is installed could have led pip another way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping

from pip_accel._index import Answer, Known, name_and_version
from pip_accel._metadata import parse_metadata
from pip_accel._names import canonical_name, canonical_version
from pip_accel._plan.clauses import (
    Bounds,
    Metadata,
    collect_bounds,
    counting,
    is_alike,
    is_certain,
    is_pinned,
    newest_winner,
    parse_requirement,
    satisfies,
    vouching,
)
from pip_accel._plan.inquiry import Inquiry
from pip_accel._plan.pip import Report
from pip_accel._plan.question import Question
from pip_accel._values import Archive, Installed

__all__ = [
    "age_of",
    "bounds_of",
    "find_surpassed",
    "goes_as_if_empty",
    "may_be_satisfied",
    "pip_would_agree",
    "requires_of",
]

#: Signs in what pip says that it found no solution for an empty environment.
_UNSOLVED = ("No matching distribution found", "ResolutionImpossible", "Could not find a version")
#: Signs that it found no end.
_LOST = ("RecursionError", "resolution-too-deep", "ResolutionTooDeep")


def bounds_of(inquiry: Inquiry, report: Report) -> dict[str, Bounds]:
    """Give the bounds of all projects that an answer has to do with: those it installs, and those that stay."""
    question, given, installed = inquiry.question, inquiry.given, inquiry.installed
    chosen = {canonical_name(item.name): Metadata(item.version, item.requires) for item in report.items}
    chosen.update(given.metadata)
    while True:
        bounds = collect_bounds(
            [*question.roots, *given.demands],
            question.constraints,
            chosen,
            dict(inquiry.resources.target.markers),
            dependencies=question.dependencies,
            with_missing=True,
        )
        staying = [name for name in bounds if name not in chosen and name in installed]
        if not staying:
            return {name: each for name, each in bounds.items() if name in chosen}
        for name in staying:
            chosen[name] = Metadata(installed[name].version, requires_of(installed[name]))


def requires_of(installed: Installed) -> list[str]:
    """Give what an installed distribution requires; nothing if it has no ``METADATA``, though pip may know."""
    try:
        with open(_metadata_path(installed), "rb") as stream:
            return parse_metadata(stream.read())[2]
    except OSError:
        return []


def _metadata_path(installed: Installed) -> str:
    return os.path.join(installed.metadata, "METADATA")


def goes_as_if_empty(
    inquiry: Inquiry, report: Report, touched: Mapping[str, Bounds], answer: Answer, archives: Collection[Archive]
) -> bool:
    """Whether what is installed cannot have led pip another way than it went for an empty environment.

    It cannot where nothing is installed that pip searched versions of there. And if pip tried no other candidates then,
    and what stays requires the same as what it chose there, it meets the same requirements in the same order here. As
    what stays fits them all, it chooses the same for all else.

    :param answer: what the same request got for an empty environment.
    :param archives: those that the report was made from.
    """
    question, installed = inquiry.question, inquiry.installed
    given = {canonical_name(item.name): canonical_version(item.version) for item in report.items if not item.direct}
    staying = touched.keys() & installed.keys()
    if not staying and (answer.straight or installed.keys().isdisjoint(answer.searched)):
        return given == answer.versions
    if not answer.straight or report.backtracked or question.replaced is None:
        return False
    if staying & question.replaced.union(canonical_name(item.name) for item in report.items):
        return False
    if {**given, **{name: answer.versions.get(name) for name in staying}} != answer.versions:
        return False
    texts = [text for item in report.items for text in item.requires]
    for name in staying:
        chosen = [each for each in archives if name_and_version(each.filename) == (name, answer.versions[name])]
        metadata = [each for each in map(inquiry.resources.index.metadata, chosen) if each is not None]
        if not chosen or len(metadata) < len(chosen) or not os.path.isfile(_metadata_path(installed[name])):
            return False
        own = requires_of(installed[name])
        plain = _without_extras(inquiry, own)
        if any(_without_extras(inquiry, parse_metadata(each)[2]) != plain for each in metadata):
            return False
        texts += own
    demands = [*question.roots, *inquiry.given.demands]
    asked = [each for each in map(parse_requirement, texts) if each is not None and each.extras]
    extended = {canonical_name(each.name) for each in asked}.union(each.name for each in demands if each.extras)
    return not staying & extended


def _without_extras(inquiry: Inquiry, requires: Iterable[str]) -> list[tuple[object, ...]]:
    """Give what metadata requires of whoever asks for no extra."""
    found = counting(requires, (), dict(inquiry.resources.target.markers))
    return [(canonical_name(each.name), each.extras, each.specifier, each.url) for each in found]


def find_surpassed(chosen: Mapping[str, Metadata], bounds: Mapping[str, Bounds], filenames: Iterable[str]) -> set[str]:
    """Give the canonical names of the projects of which pip may have seen a version above the chosen one, and allowed.

    :param filenames: of all archives that pip is known to have found.
    """
    seen: dict[str, set[str]] = {name: set() for name in chosen}
    for found in map(name_and_version, filenames):
        if found is None:  # it might be any project's
            return set(chosen)
        if found[0] in seen:
            seen[found[0]].add(found[1])
    own = {name: canonical_version(metadata.version) for name, metadata in chosen.items()}
    return {
        name
        for name, versions in seen.items()
        if own[name] not in versions or any(_surpasses(version, own[name], bounds[name].all) for version in versions)
    }


def _surpasses(version: str, other: str, clauses: Iterable[str]) -> bool:
    return not satisfies(other, {f">={version}"}) and satisfies(version, clauses)


def pip_would_agree(
    inquiry: Inquiry, report: Report, touched: Mapping[str, Bounds], fresh: Mapping[str, Known] | None = None
) -> bool:
    """Whether pip would have given this answer from all of the index, too.

    :param fresh: what has just been learned, by canonical name.
    """
    if report.backtracked:  # with more candidates it might have gone another way
        return False
    question, installed = inquiry.question, inquiry.installed
    items = {canonical_name(item.name): item for item in report.items}
    for name, bounds in touched.items():
        item, old, least = items.get(name), installed.get(name), bounds.least
        known = inquiry.resources.index.known(question.view.key(name), name)
        if fresh is not None and name in fresh:
            known = [*known, fresh[name]]
        if item is not None and item.direct is None:
            if not is_certain(item.version, bounds, known):
                return False
            if old is not None and any(_stays(old.version, item.version, each, name, question) for each in least):
                return False
        upgraded = item is None and old is not None and (question.replaced is None or name in question.replaced)
        if upgraded and old is not None and not all(_is_newest(old.version, each, bounds, known) for each in least):
            return False
    return True


def _stays(old: str, new: str, clauses: frozenset[str], name: str, question: Question) -> bool:
    """Whether pip might have kept an installed version under clauses that it knew, in place of a new one."""
    if not satisfies(old, clauses):
        return False
    kept = question.replaced is not None and name not in question.replaced
    return kept or not satisfies(new, {f">={canonical_version(old)}"})


def _is_newest(old: str, clauses: frozenset[str], bounds: Bounds, known: Iterable[Known]) -> bool:
    """Whether it is known that the index has nothing newer than an installed version."""
    if not is_alike(clauses, bounds.all):
        return False
    winner = newest_winner(clauses, [each for each in known if not each.roots], "")
    return winner is not None and satisfies(old, {f">={winner.version}"})


def age_of(inquiry: Inquiry, report: Report, touched: Mapping[str, Bounds], kept: float) -> float:
    """Give when the oldest part of an answer was learned, seconds since the epoch; 0 if nothing had to be.

    :param kept: when the whole of it was learned, if it was.
    """
    oldest: float = 0
    for item in report.items:
        if item.direct is not None:
            continue
        name = canonical_name(item.name)
        known = inquiry.resources.index.known(inquiry.question.view.key(name), name)
        for least in touched[name].least:
            if is_pinned(item.version, least, known):
                continue
            vouched = vouching(item.version, least, known, "")
            times = [each for each in (kept, vouched.time if vouched is not None else 0, oldest) if each]
            oldest = min(times, default=0)
    return oldest


def may_be_satisfied(inquiry: Inquiry, said: str) -> bool:
    """Whether pip found no solution for an empty environment and spoke of something that is installed.

    Or it gave up, or broke, on its way: what is installed may spare it that.
    """
    if any(sign in said for sign in _LOST):
        return bool(inquiry.installed)
    if not any(sign in said for sign in _UNSOLVED):
        return False
    names = {canonical_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", said)}
    names.discard("pip")  # which speaks of itself
    return not names.isdisjoint(inquiry.installed)
