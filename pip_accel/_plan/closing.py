"""Plans without pip, where nothing is left to decide: every project has one version that wins, and the winners agree.

This is pip's answer, too: its resolver takes the best version of each project, and only looks further on a conflict. It
serves build requirements, for which nothing is installed beforehand and of which a run has dozens; and the user's own
where each of them names one version and pip would have nothing to say.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pip_accel._index import name_and_version
from pip_accel._metadata import all_headers
from pip_accel._names import canonical_name, canonical_version
from pip_accel._plan.clauses import (
    Bounds,
    Metadata,
    applies,
    collect_bounds,
    is_certain,
    is_pinned,
    names_by_url,
    parse_requirement,
    satisfies,
)
from pip_accel._plan.order import in_order
from pip_accel._plan.pip import Item
from pip_accel._plan.question import Question, roots_digest
from pip_accel._values import Archive, Pin, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources
    from pip_accel._sharing import Offer

__all__ = ["is_complete", "is_of_use", "plan_from_offer", "plan_from_pins", "plan_from_winners"]


class _Choice(NamedTuple):
    archive: Archive
    bounds: Bounds  #: under which it was chosen
    item: Item

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.item.version, self.item.requires)


def plan_from_winners(resources: Resources, question: Question) -> tuple[Pin, ...] | None:
    """Give the pins of a request for which nothing is installed, or ``None`` if the view does not tell what wins."""
    if resources.config.index_max_age is not None:
        return None
    choices = _close(resources, question, pinned=False)
    return None if choices is None else _pins(resources, question, choices)


def plan_from_pins(resources: Resources, question: Question) -> Plan | None:
    """Plan an installation of which each distribution is asked for by its version, or give ``None``.

    Also where pip would say more than that it installs them: that something is there already, yanked or lacks an extra.
    """
    if question.refresh or question.directs or question.odd_places or question.report:
        return None
    choices = _close(resources, question, pinned=True)
    if not choices:
        return None
    markers = dict(resources.target.markers)
    roots = [root for root in question.roots if applies(root.marker, markers)]
    # The others would be called as pip spells them, which depends on the requirement that it meets first.
    if not choices.keys() <= {root.name for root in roots}:
        return None
    if any(each.archive.yanked is not None for each in choices.values()) or _lacks_extras(question, choices):
        return None
    digests = {name: choice.archive.sha256 for name, choice in choices.items()}
    if not _has_hashes(question, digests) or _is_installed(resources, question, choices):
        return None
    # In a circle of dependencies the order in which pip reports them counts.
    ordered = {root.name: choices[root.name] for root in roots if root.name in choices}
    return Plan(_pins(resources, question, ordered), "", "", 0, False, True, question.spellings)


def is_of_use(resources: Resources, question: Question, offer: Offer) -> bool:
    """Whether a plan that another machine made may hold here, before any of its archives is fetched."""
    index, limit = resources.index, resources.config.index_max_age
    if limit is not None and offer.learned and time.time() - offer.learned > limit:
        return False
    sdists = (each for each in offer.found if each.sha256 in offer.sdists)
    if any(offer.sdists[each.sha256].variant != index.variant(each.project) for each in sdists):
        return False
    return _has_hashes(question, {each.project: each.sha256 for each in offer.found})


def plan_from_offer(resources: Resources, question: Question, offer: Offer) -> Plan | None:
    """Give the plan that another machine made for an empty environment, if nothing that is installed here counts.

    It is complete, and the local index has learned what that machine knew.
    """
    names = offer.searched.union(each.project for each in offer.found)
    if question.report or _is_installed(resources, question, names):
        return None
    pins = []
    for each in offer.found:
        archive = resources.index.locate(each.sha256, each.filename)
        resources.index.touch(archive)
        pins.append(Pin(each.name, each.version, archive, each.requested, ""))
    spellings = {**offer.spellings, **question.spellings}
    return Plan(tuple(pins), offer.output, offer.errors, offer.learned, False, True, spellings, borrowed=True)


def is_complete(
    resources: Resources, question: Question, archives: Mapping[str, Archive], told: Mapping[str, bytes] = {}
) -> bool:
    """Whether archives are all that a question leads to in an empty environment, nothing else, and fit together.

    :param archives: by canonical name.
    :param told: core metadata by digest, of those of which the local index knows none.
    """
    items = {name: _read(resources, archive, name, told) for name, archive in archives.items()}
    chosen = {name: Metadata(item.version, item.requires) for name, item in items.items() if item is not None}
    if chosen.keys() != items.keys() or names_by_url(chosen):
        return False
    bounds = collect_bounds(
        question.roots,
        question.constraints,
        chosen,
        dict(resources.target.markers),
        dependencies=question.dependencies,
        with_missing=True,
    )
    fitting = (satisfies(chosen[name].version, each.all) for name, each in bounds.items() if name in chosen)
    return bounds.keys() == chosen.keys() and all(fitting)


def _close(resources: Resources, question: Question, *, pinned: bool) -> dict[str, _Choice] | None:
    """Give what each project that a request needs is to be installed from, or ``None`` if only pip can tell.

    :param pinned: whether every version has to be asked for.
    """
    markers = dict(resources.target.markers)
    roots = roots_digest(question)
    choices: dict[str, _Choice] = {}
    while True:
        bounds = collect_bounds(
            question.roots,
            question.constraints,
            {name: choice.metadata for name, choice in choices.items()},
            markers,
            dependencies=question.dependencies,
            with_missing=True,
        )
        missing = [name for name in bounds if name not in choices]
        for name in missing:
            archive = _choose(resources, question, name, bounds[name], roots, pinned)
            item = None if archive is None else _read(resources, archive, name)
            if archive is None or item is None:
                return None
            choices[name] = _Choice(archive, bounds[name], item)
        if not missing:
            break
    # Later requirements may have narrowed an earlier choice.
    for name, choice in choices.items():
        changed = bounds[name] != choice.bounds
        if changed and _choose(resources, question, name, bounds[name], roots, pinned) != choice.archive:
            return None
    return None if names_by_url({name: choice.metadata for name, choice in choices.items()}) else choices


def _choose(
    resources: Resources, question: Question, name: str, bounds: Bounds, roots: str, pinned: bool
) -> Archive | None:
    """Give the one archive that wins under these bounds, if that is known.

    :param roots: digest of the whole request.
    """
    if any(clause.startswith("===") for clause in bounds.all):  # that is about the spelling
        return None
    archives, known = resources.index.look(question.view.key(name), name)
    fitting = []
    for archive in archives:
        split = name_and_version(archive.filename, name)
        if split is None:
            continue
        version, (public, local, _) = canonical_version(split[1]), split[1].partition("+")
        if pinned:
            fits = all(is_pinned(version, each, known, roots) for each in bounds.least)
        else:
            fits = is_certain(version, bounds, known, roots)
        # One with a local part fits a version without, too, and is preferred.
        if (fits and satisfies(split[1], bounds.all)) or (local and is_pinned(public, bounds.all)):
            fitting.append(archive)
    return fitting[0] if len(fitting) == 1 else None


def _read(resources: Resources, archive: Archive, project: str, told: Mapping[str, bytes] = {}) -> Item | None:
    """Read the metadata of an archive, if it is known and is what the file name says."""
    data = resources.index.metadata(archive) or told.get(archive.sha256)
    if data is None:
        return None
    headers = all_headers(data)
    name, version = (headers.get(each, [""])[0] for each in ("name", "version"))
    if (canonical_name(name), canonical_version(version)) != name_and_version(archive.filename, project):
        return None
    return Item(
        name=name,
        version=version,
        url=resources.index.url(archive),
        requested=False,
        direct=None,
        requires=tuple(headers.get("requires-dist", ())),
        python=any(headers.get("requires-python", ())),
        extras=frozenset(map(canonical_name, headers.get("provides-extra", ()))),
    )


def _lacks_extras(question: Question, choices: Mapping[str, _Choice]) -> bool:
    """Whether some distribution may be asked for an extra that it does not offer: pip says so."""
    asked = [(root.name, root.extras) for root in question.roots]
    for choice in choices.values():
        for text in choice.item.requires:
            requirement = parse_requirement(text)
            if requirement is None:
                return True
            asked.append((canonical_name(requirement.name), frozenset(map(canonical_name, requirement.extras))))
    return any(name in choices and not extras <= choices[name].item.extras for name, extras in asked)


def _has_hashes(question: Question, digests: Mapping[str, str]) -> bool:
    """Whether each archive has one of the hashes that are asked for, where that has to be.

    :param digests: SHA-256, hex, by canonical name.
    """
    hashes = question.view.hashes
    if not hashes and not question.require_hashes:
        return True
    names = [each.name for each in (*question.roots, *question.constraints)]
    return all(  # of hashes in two places pip takes what both have
        f"sha256:{digest}" in hashes.get(name, ()) and names.count(name) == 1 for name, digest in digests.items()
    )


def _is_installed(resources: Resources, question: Question, names: Collection[str]) -> bool:
    """Whether one of these projects may be installed in a way that counts, or pip would warn of what is installed."""
    from pip_accel._installed import find_installed, is_plain

    if not is_plain(resources.target):
        return True
    return question.replaced is not None and not find_installed(resources.target).keys().isdisjoint(names)


def _pins(resources: Resources, question: Question, choices: Mapping[str, _Choice]) -> tuple[Pin, ...]:
    pins = []
    asked = {root.name for root in question.roots}
    items = [choice.item for choice in choices.values()]
    markers = dict(resources.target.markers)
    for item in in_order(items, question.roots, markers, dependencies=question.dependencies):
        name = canonical_name(item.name)
        archive = choices[name].archive
        resources.index.touch(archive)
        pins.append(Pin(item.name, item.version, archive, name in asked, ""))
    return tuple(pins)
