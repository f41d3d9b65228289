"""The order in which pip installs what it chose: as its closing lines have it.

pip takes away from the graph of the requirements what needs nothing any more, again and again. What goes first is
installed first; of what goes together, the last by name. Extras are nodes of their own, which need their project; and
what asks for some version of Python waits for that, as if it was one more project. In a circle pip's order depends on
chance: there we go by the longest way from what nobody requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pip_accel._names import canonical_name
from pip_accel._plan.clauses import Demand, applies, parse_requirement
from pip_accel._plan.pip import Item

__all__ = ["in_order"]

_Node = tuple[str, frozenset[str]]
_PYTHON: _Node = ("", frozenset())


def in_order(
    items: Sequence[Item], roots: Iterable[Demand], markers: Mapping[str, str], *, dependencies: bool = True
) -> list[Item]:
    """Put distributions in the order in which pip installs them.

    :param roots: what was asked for.
    :param markers: environment of the target (PEP 508).
    :param dependencies: whether requirements of distributions count (not with ``--no-deps``).
    """
    by_name = {canonical_name(item.name): item for item in items}
    graph: dict[_Node, set[_Node]] = {}
    waiting: list[_Node] = [(name, frozenset()) for name in by_name]
    waiting += [(root.name, root.extras) for root in roots if applies(root.marker, markers)]
    while waiting:
        node = waiting.pop()
        if node not in graph:
            graph[node] = _needs(node, by_name, markers, dependencies)
            waiting.extend(graph[node])
    names: list[str] = []
    while True:
        leaves = {node for node, needs in graph.items() if not needs}
        if not leaves:
            break
        names += sorted((name for name, extras in leaves if name in by_name and not extras), reverse=True)
        graph = {node: needs - leaves for node, needs in graph.items() if node not in leaves}
    circle = [name for name in by_name if name not in names]
    distance = _distances(circle, {name: {other for other, _ in graph[name, frozenset()]} for name in circle})
    return [by_name[name] for name in [*names, *sorted(circle, key=lambda name: (distance[name], name), reverse=True)]]


def _needs(
    node: _Node, by_name: Mapping[str, Item], markers: Mapping[str, str], dependencies: bool
) -> set[_Node]:
    """Give what comes before a node."""
    name, extras = node
    item = by_name.get(name)
    if item is None:  # installed already, or Python
        return set()
    needs: set[_Node] = {(name, frozenset())} if extras else {_PYTHON} if item.python else set()
    contexts = (extras & item.extras) or {""}
    for text in item.requires if dependencies else ():
        requirement = parse_requirement(text)
        if requirement is None:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**markers, "extra": extra}) for extra in contexts):
            needs.add((canonical_name(requirement.name), frozenset(map(canonical_name, requirement.extras))))
    return needs - {node}


def _distances(names: Sequence[str], needs: Mapping[str, set[str]]) -> dict[str, int]:
    """Give how far each name is from one that nobody requires; ways that come back to themselves end there."""
    distance: dict[str, int] = {}
    for start in sorted(names, key=lambda name: any(name in others for others in needs.values())):
        waiting = [(start, 0, frozenset({start}))]
        while waiting:
            name, steps, path = waiting.pop()
            if distance.get(name, -1) >= steps:
                continue
            distance[name] = steps
            others = (other for other in sorted(needs[name]) if other in needs and other not in path)
            waiting.extend((other, steps + 1, path | {other}) for other in others)
    return distance
