"""Which version clauses bound each project of an answer, and whether what the index learned covers that answer.

An answer of the local index is as good as pip's own only if, for every project in it, the choice could not have been
another one: the version is pinned, or it won online under clauses that let in every higher version which these let in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from pip_accel._index import Known
from pip_accel._metadata import header_values
from pip_accel._names import canonical_name, canonical_version, leading_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = [
    "Bounds",
    "Demand",
    "Metadata",
    "applies",
    "collect_bounds",
    "counting",
    "counts",
    "is_alike",
    "is_certain",
    "is_pinned",
    "names_by_url",
    "newest_winner",
    "parse_requirement",
    "pinned_versions",
    "required_names",
    "satisfies",
    "vouching",
]


@cache
def parse_requirement(text: str) -> Requirement | None:
    """Parse a requirement of metadata (PEP 508); ``None`` if it is invalid. It is not to be changed."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


class Demand(NamedTuple):
    """A requirement or constraint, from the user or from metadata."""

    name: str  #: canonical
    extras: frozenset[str]  #: canonical
    specifier: str
    marker: str


class Metadata(NamedTuple):
    """What a plan needs of a distribution's core metadata."""

    version: str
    requires: Sequence[str]  #: values of ``Requires-Dist``


class Bounds(NamedTuple):
    """The version clauses that bound a project.

    pip chooses while it does not know all of them: those of the user's own requirements it knows from the start, those
    of a distribution only once it has chosen that. So a choice is certain if it is the best under each of the *least*
    sets of clauses that pip may have known by then. What it learns later can only make it turn the choice down, unless
    that lets pre-releases in.
    """

    all: frozenset[str]
    least: tuple[frozenset[str], ...]  #: the user's own requirements together; if there are none, those of each other


def collect_bounds(
    roots: Iterable[Demand],
    constraints: Iterable[Demand],
    chosen: Mapping[str, Metadata],
    markers: Mapping[str, str],
    *,
    dependencies: bool = True,
    with_missing: bool = False,
) -> dict[str, Bounds]:
    """Give the version clauses that bound each chosen project, by canonical name.

    :param chosen: the distributions of an answer, by canonical name.
    :param markers: environment of the target (PEP 508).
    :param with_missing: also give those of projects that are required but not chosen.
    :param dependencies: whether requirements of the chosen distributions count (not with ``--no-deps``).
    """
    clauses: dict[str, dict[str, set[str]]] = {name: {} for name in chosen}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [("", root) for root in roots if applies(root.marker, markers)]
    while waiting:
        parent, demand = waiting.pop()
        if demand.name in clauses or with_missing:
            own = clauses.setdefault(demand.name, {})
            own.setdefault(parent, set()).update(_split(demand.specifier))
        if not dependencies or demand.name not in chosen or (demand.name, demand.extras) in seen:
            continue
        seen.add((demand.name, demand.extras))
        for requirement in counting(chosen[demand.name].requires, demand.extras, markers):
            extras = frozenset(canonical_name(extra) for extra in requirement.extras)
            found = Demand(canonical_name(requirement.name), extras, str(requirement.specifier), "")
            waiting.append((demand.name, found))
    limits: dict[str, set[str]] = {}
    for constraint in constraints:
        if constraint.name in clauses and applies(constraint.marker, markers):
            limits.setdefault(constraint.name, set()).update(_split(constraint.specifier))
    return {name: _bounds(found, limits.get(name, set())) for name, found in clauses.items()}


def _bounds(by_parent: Mapping[str, set[str]], limits: set[str]) -> Bounds:
    """Put together what bounds a project.

    :param by_parent: clauses by what requires it, the user by an empty name.
    """
    least = [by_parent[""]] if "" in by_parent else list(by_parent.values())
    return Bounds(
        frozenset(limits.union(*by_parent.values())), tuple(frozenset(limits | each) for each in least or [set()])
    )


def names_by_url(chosen: Mapping[str, Metadata]) -> set[str]:
    """Give the canonical names that some distribution requires by URL: where those came from says nothing of others."""
    texts = (text for metadata in chosen.values() for text in metadata.requires if "@" in text)
    requirements = filter(None, map(parse_requirement, texts))
    return {canonical_name(requirement.name) for requirement in requirements if requirement.url}


def satisfies(version: str, clauses: Iterable[str]) -> bool:
    """Whether a version is one that all the clauses allow, pre-releases included."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(",".join(clauses)).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def applies(marker: str, markers: Mapping[str, str]) -> bool:
    """Whether a requirement with this marker counts in an environment."""
    if not marker:
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate({**markers, "extra": ""})


def counts(requirement: Requirement, extras: Iterable[str], markers: Mapping[str, str]) -> bool:
    """Whether a requirement of a distribution counts where that was asked for with these extras.

    Whoever asks for an extra also asks for the distribution without any.
    """
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**markers, "extra": extra}) for extra in {"", *extras})


def counting(requires: Iterable[str], extras: Collection[str], markers: Mapping[str, str]) -> Iterator[Requirement]:
    """Give the valid ones of the requirements in metadata that count: see :func:`counts`."""
    for text in requires:
        requirement = parse_requirement(text)
        if requirement is not None and counts(requirement, extras, markers):
            yield requirement


def _split(specifier: str) -> set[str]:
    from packaging.specifiers import InvalidSpecifier, Specifier

    found = set()
    for clause in specifier.strip("() ").split(","):
        if clause.strip():
            try:
                found.add(str(Specifier(clause.strip())))
            except InvalidSpecifier:
                found.add(clause.strip())
    return found


def is_pinned(version: str, clauses: Collection[str], known: Iterable[Known] = (), roots: str = "") -> bool:
    """Whether the clauses leave no other version: ``==`` a whole version, local part included, or ``===``.

    :param known: what the view learned of the project. Where a version only came by ``===``, or as others were ruled
        out or turned down, there may be some beside it that ``==`` prefers: those with a local part.
    :param roots: digest of the whole request.
    """
    wanted = canonical_version(version)
    for clause in clauses:
        if clause.startswith("==="):
            if clause[3:].strip() == version:
                return True
        elif clause.startswith("==") and not clause.endswith(".*") and canonical_version(clause[2:].strip()) == wanted:
            came = [each for each in known if each.version == wanted]
            return not came or "+" in wanted or any(_is_preferred(each, clauses, roots) for each in came)
    return False


def _is_preferred(known: Known, clauses: Collection[str], roots: str) -> bool:
    """Whether a version won where versions with a local part might have, if they may now."""
    ruled_out = {each for each in known.clauses if each.startswith("===") or (each.startswith("!=") and "+" in each)}
    return known.roots in ("", roots) and ruled_out <= set(clauses)


def pinned_versions(demands: Iterable[Demand]) -> dict[str, str]:
    """Give the canonical versions of the projects of which requirements leave no other one, by canonical name."""
    return {
        demand.name: canonical_version(clause[2:].strip())
        for demand in demands
        for clause in _split(demand.specifier)
        if clause.startswith("==") and not clause.startswith("===") and not clause.endswith(".*")
    }


def is_certain(version: str, bounds: Bounds, known: Collection[Known], roots: str = "") -> bool:
    """Whether pip takes a version, whichever of the requirements on the project it meets first.

    :param known: what the view learned of the project.
    :param roots: digest of the whole request, where it is answered as for an empty environment.
    """
    general = [each for each in known if not each.roots]
    if all(
        is_pinned(version, each, known, roots) or (is_alike(each, bounds.all) and vouching(version, each, general, ""))
        for each in bounds.least
    ):
        return True
    return bool(roots) and vouching(version, bounds.all, [each for each in known if each.roots], roots) is not None


def vouching(version: str, clauses: frozenset[str], known: Iterable[Known], roots: str) -> Known | None:
    """Give the newest knowledge about these clauses, if that says that this version wins."""
    found = newest_winner(clauses, known, roots)
    return found if found is not None and found.version == canonical_version(version) else None


def newest_winner(clauses: frozenset[str], known: Iterable[Known], roots: str) -> Known | None:
    """Give the newest knowledge that tells which version wins under these clauses, if there is any.

    A winner was the best of its candidates: no version above it was allowed by the clauses it won under. If those that
    could keep a higher version out hold here as well, and the winner is allowed here, then it wins here, too. A winner
    that these clauses rule out says nothing about the other versions.

    :param roots: digest of the whole request.
    """
    for each in sorted(known, key=lambda each: each.time, reverse=True):
        if each.roots in ("", roots) and _wins_again(each, clauses):
            return each
    return None


def is_alike(clauses: Iterable[str], others: Iterable[str]) -> bool:
    """Whether both let pre-releases in, or neither does: further clauses need not only keep versions out."""
    return _lets_in_pre_releases(clauses) == _lets_in_pre_releases(others)


def _lets_in_pre_releases(clauses: Iterable[str]) -> bool:
    """Whether some clause names a pre-release: whoever does so lets pre-releases in."""
    from packaging.specifiers import InvalidSpecifier, Specifier

    for clause in clauses:
        try:
            if Specifier(clause).prereleases:
                return True
        except InvalidSpecifier:
            continue
    return False


def _wins_again(known: Known, clauses: frozenset[str]) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    if not {clause for clause in known.clauses if not clause.startswith(">")} <= clauses:
        return False
    if not is_alike(known.clauses, clauses):
        return False
    try:
        winner = Version(known.version)
        # Where nobody lets pre-releases in, one wins only for want of anything else: under other clauses there may be.
        if winner.is_prerelease and not _lets_in_pre_releases(clauses) and known.clauses != clauses:
            return False
        return SpecifierSet(",".join(clauses)).contains(winner, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return known.clauses == clauses


def required_names(metadata: bytes) -> set[str]:
    """Give the canonical names of all projects that core metadata requires, under any marker."""
    return {canonical_name(leading_name(text)) for text in header_values(metadata, "requires-dist")}
