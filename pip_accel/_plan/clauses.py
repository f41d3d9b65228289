"""Which version clauses bound each project of an answer, and whether what the index learned covers that answer.

An answer of the local index is as good as pip's own only if, for every project in it, the choice could not have been
another one: the version is pinned, or it won online under the same clauses, or under fewer of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pip_accel._index import Known
from pip_accel._names import canonical_name, canonical_version

__all__ = ["Demand", "Metadata", "collect_clauses", "is_pinned", "required_names", "vouching"]


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


def collect_clauses(
    roots: Iterable[Demand],
    constraints: Iterable[Demand],
    chosen: Mapping[str, Metadata],
    markers: Mapping[str, str],
    *,
    dependencies: bool = True,
) -> dict[str, frozenset[str]]:
    """Give the version clauses that bound each chosen project, by canonical name.

    :param chosen: the distributions of an answer, by canonical name.
    :param markers: environment of the target (PEP 508).
    :param dependencies: whether requirements of the chosen distributions count (not with ``--no-deps``).
    """
    from packaging.requirements import InvalidRequirement, Requirement

    clauses: dict[str, set[str]] = {name: set() for name in chosen}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [root for root in roots if _applies(root.marker, markers)]
    while waiting:
        demand = waiting.pop()
        if demand.name in clauses:
            clauses[demand.name] |= _split(demand.specifier)
        if not dependencies or demand.name not in chosen or (demand.name, demand.extras) in seen:
            continue
        seen.add((demand.name, demand.extras))
        for text in chosen[demand.name].requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            marker = requirement.marker
            if marker is not None and not any(
                marker.evaluate({**markers, "extra": extra}) for extra in (demand.extras or {""})
            ):
                continue
            extras = frozenset(canonical_name(extra) for extra in requirement.extras)
            waiting.append(Demand(canonical_name(requirement.name), extras, str(requirement.specifier), ""))
    for constraint in constraints:
        if constraint.name in clauses and _applies(constraint.marker, markers):
            clauses[constraint.name] |= _split(constraint.specifier)
    return {name: frozenset(found) for name, found in clauses.items()}


def _applies(marker: str, markers: Mapping[str, str]) -> bool:
    if not marker:
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate({**markers, "extra": ""})


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


def is_pinned(version: str, clauses: Iterable[str]) -> bool:
    """Whether the clauses leave no other version: ``==`` a whole version, local part included, or ``===``."""
    wanted = canonical_version(version)
    for clause in clauses:
        if clause.startswith("==="):
            if clause[3:].strip() == version:
                return True
        elif clause.startswith("==") and not clause.endswith(".*") and canonical_version(clause[2:].strip()) == wanted:
            return True
    return False


def vouching(version: str, clauses: frozenset[str], known: Iterable[Known], roots: str) -> Known | None:
    """Give the newest knowledge that says this version wins under these clauses, if there is any.

    Under fewer clauses the winner was the best of more candidates; if it satisfies the rest too, it is still the best.

    :param roots: digest of the whole request.
    """
    wanted = canonical_version(version)
    for each in sorted(known, key=lambda each: each.time, reverse=True):
        # A winner that these clauses rule out says nothing about the others.
        if each.clauses <= clauses and each.roots in ("", roots) and _satisfies(each.version, clauses):
            return each if each.version == wanted else None
    return None


def _satisfies(version: str, clauses: frozenset[str]) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(",".join(clauses)).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def required_names(metadata: bytes) -> set[str]:
    """Give the canonical names of all projects that core metadata requires, under any marker."""
    found = set()
    for line in metadata.split(b"\n"):
        if not line.strip():
            break
        if line[:14].lower() == b"requires-dist:":
            text = line[14:].decode("utf-8", "replace").strip()
            end = next((i for i, c in enumerate(text) if not (c.isalnum() or c in "-_.")), len(text))
            found.add(canonical_name(text[:end]))
    return found
