"""Plans without pip, where nothing is left to decide: every project has one version that wins, and the winners agree.

This is pip's answer, too: its resolver takes the best version of each project, and only looks further on a conflict. It
serves build requirements, for which nothing is installed beforehand, and of which a run has dozens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pip_accel._index import Known, name_and_version
from pip_accel._names import canonical_version
from pip_accel._plan.clauses import Demand, Metadata, collect_clauses, is_pinned, newest_winner
from pip_accel._values import Archive

__all__ = ["close"]


def close(
    roots: Iterable[Demand],
    constraints: Iterable[Demand],
    markers: Mapping[str, str],
    find: Callable[[str], tuple[list[Archive], list[Known]]],
    read: Callable[[Archive], Metadata | None],
    digest: str,
) -> dict[str, Archive] | None:
    """Give the archive of each project that the roots need, by canonical name, or ``None`` if only pip can tell.

    :param find: gives archives and knowledge of a project in its view.
    :param read: gives the metadata of an archive.
    :param digest: of the whole request.
    """
    roots, constraints = list(roots), list(constraints)
    archives: dict[str, Archive] = {}
    chosen: dict[str, Metadata] = {}
    while True:
        clauses = collect_clauses(roots, constraints, chosen, markers, with_missing=True)
        missing = [name for name in clauses if name not in chosen]
        for name in missing:
            found = _choose(name, clauses[name], find, digest)
            metadata = None if found is None else read(found)
            if found is None or metadata is None:
                return None
            archives[name], chosen[name] = found, metadata
        if not missing:
            break
    # Later requirements may have narrowed an earlier choice.
    for name, archive in archives.items():
        if _choose(name, clauses[name], find, digest) != archive:
            return None
    return archives


def _choose(
    name: str,
    clauses: frozenset[str],
    find: Callable[[str], tuple[list[Archive], list[Known]]],
    digest: str,
) -> Archive | None:
    """Give the one archive that wins under these clauses, if that is known."""
    archives, known = find(name)
    winner = newest_winner(clauses, known, digest)
    fitting = []
    for archive in archives:
        split = name_and_version(archive.filename, name)
        if split is None:
            continue
        version = canonical_version(split[1])
        if is_pinned(version, clauses, known) or (winner is not None and winner.version == version):
            fitting.append(archive)
    return fitting[0] if len(fitting) == 1 else None
