"""Draws the modules from their imports, ``docs/architecture.svg`` and ``.rst``: ``python -m tests.lib.architecture``.

It is stated here which layer a module belongs to, and the imports are held against that. All else is read from the
code. A module is named without ``pip_accel.`` in front. A *box* is a module, or a package with its modules.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "DRAWING",
    "EXCEPTIONS",
    "LAYERS",
    "PAGE",
    "STARTED",
    "WARM",
    "Group",
    "Import",
    "as_boxes",
    "box_of",
    "draw",
    "find_circles",
    "find_imports",
    "lay_out",
    "leave_out_implied",
    "meets",
    "needed_at_run_time",
    "points_up",
    "read_imports",
    "read_modules",
    "render",
]

CHECKOUT = Path(__file__).resolve().parent.parent.parent
DRAWING = CHECKOUT / "docs" / "architecture.svg"
PAGE = CHECKOUT / "docs" / "architecture.rst"
ROOT = "pip_accel"


class Group(NamedTuple):
    """Boxes that serve one end. Within it, a box stands above or to the left of what it imports."""

    title: str
    says: str
    columns: int  #: of the three that a layer has
    names: str  #: of the boxes, in the order in which they are placed where the imports leave a choice

    @property
    def boxes(self) -> list[str]:
        return self.names.split()


#: From top to bottom. Groups of one layer stand side by side, and import nothing of each other.
LAYERS = (
    (
        Group(
            "Command line",
            "From words to an exit status: ``pip-accel install``, and the commands that pip does not have.",
            2,
            "__main__ cli _cache_commands _deps_command _housekeeping _commands _verification _explain _printer",
        ),
        Group(
            "Python API",
            "The documented names, for programs that embed pip-accel. :doc:`contract` says what they promise.",
            1,
            f"{ROOT} _embedding bdist req utils",
        ),
    ),
    (
        Group(
            "One run",
            "What a run does, in its order. Both groups above come down to this.",
            3,
            "_asked _accelerator _build_plans _engine _preparation _rounds _usage",
        ),
    ),
    (
        Group(
            "Stages",
            "How a request becomes a plan; how what that names is fetched, shared and built; and which system packages "
            "builds miss.",
            3,
            "_exchange _sharing _warnings caches _arrivals _direct _build deps _plan",
        ),
    ),
    (
        Group(
            "Store, index, target",
            "What is there, and what comes of it: settings, the environment and what it holds, archives and "
            "trees, and the installation, which places files of the trees in the environment.",
            3,
            "_resources _store config _install _environment _index _installed _archives _guards _plausibility "
            "_byte_code _trees _progress "
            "_eviction _inventory",
        ),
    ),
    (
        Group(
            "Leaves",
            "Values, and functions that need little more than their arguments. All modules above may import these.",
            2,
            "exceptions _text _values _names _metadata _digests _messages",
        ),
        Group(
            "Doors and scripts",
            "The two ways to the outside, and what runs in another interpreter. All modules above may use these, too.",
            1,
            "_fs _process _probe _compile",
        ),
    ),
)

#: Imports at run time that break the rules: who imports what, and for what.
EXCEPTIONS = {
    ("_plan.memo", ROOT): "``__version__``, which is there before any other module is",
    ("_plan.memo", "_warnings"): "whether pip would warn of what is installed, where nothing is to be installed",
    ("caches", "caches.local"): "the backend that is asked before the others are looked up",
    ("caches", "caches.s3"): "our own backend, in a checkout that has no entry points",
}

#: What runs in the interpreter of the target, or in that of a build, and who starts it there.
STARTED = {
    "_probe": "_environment",
    "_compile": "_store",
    "_build._setup_driver": "_build.builder",
    "_build.shim.sitecustomize": "_build.service",
    "_build.shim.pip_accel_backend": "_build.service",
}

#: What the second of two runs has loaded in ``tests/functional/test_warm_run.py``.
WARM = frozenset(
    f"""
    {ROOT} cli config exceptions _accelerator _asked _digests _environment _fs _index _installed _messages _metadata
    _names _printer _resources _store _text _trees _usage _values _warnings
    _install _install.journal _install.layout _install.link _install.remove _install.scripts _install.staging
    _install.steps _install.transaction
    _plan _plan.memo _plan.pip_configuration _plan.places
    """.split()
)


# What the code says.


class Import(NamedTuple):
    """One module imports another."""

    importer: str
    imported: str
    when: str  #: ``load``: with the module; ``call``: in a function; ``check``: only for annotations


def read_modules() -> dict[str, str]:
    """Give the source of every module, by name."""
    sources = {}
    for path in sorted((CHECKOUT / ROOT).glob("**/*.py")):
        parts = path.relative_to(CHECKOUT / ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name or ROOT] = path.read_text(encoding="utf-8")
    return sources


def read_imports(sources: Mapping[str, str]) -> set[Import]:
    """Give all imports of ours, of all modules."""
    return {each for name, source in sources.items() for each in find_imports(name, source, sources)}


@cache
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def _find_statements(source: str) -> tuple[tuple[ast.Import | ast.ImportFrom, str], ...]:
    return tuple(_walk(_parse(source), "load"))


def find_imports(name: str, source: str, names: Collection[str]) -> Iterator[Import]:
    """Give what one module imports.

    :param names: of all modules. From a package, a module of it may be imported, or a name that the package has itself.
    """
    for node, when in _find_statements(source):
        if isinstance(node, ast.Import):
            found = [each.name for each in node.names]
        else:
            if node.level:
                raise ValueError(f"{name}: imports are written in full")
            module = str(node.module)
            inside = [f"{module}.{each.name}" for each in node.names]
            found = [each if _short(each) in names else module for each in inside]
        for each in found:
            if _short(each) in names and _short(each) != name:
                yield Import(name, _short(each), when)


def _walk(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Give each import below a node, with the time at which it is carried out."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, when
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for each in node.body:
            yield from _walk(each, "check")
        for each in node.orelse:
            yield from _walk(each, when)
    else:
        if when == "load" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            when = "call"
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, when)


def _short(name: str) -> str:
    """Name a module as it is named here; a module that is not ours gets a name that none has."""
    return name if name == ROOT else name.removeprefix(f"{ROOT}.") if name.startswith(f"{ROOT}.") else f"/{name}"


def box_of(module: str) -> str:
    """Name the box that a module is drawn in."""
    return module.partition(".")[0]


def find_circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Give the sets of names each of which leads to all others of its set, sorted."""
    below = _reachable(edges)
    circles = {frozenset(each for each in beneath if name in below[each]) for name, beneath in below.items()}
    return sorted(sorted(each) for each in circles if each)


def _reachable(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Give all that each name leads to, by whatever way."""
    direct: dict[str, set[str]] = {}
    for start, end in edges:
        direct.setdefault(start, set()).add(end)
        direct.setdefault(end, set())
    below = {}
    for name in direct:
        found: set[str] = set()
        left = [name]
        while left:
            news = direct[left.pop()] - found
            found |= news
            left.extend(news)
        below[name] = found
    return below


def points_up(importer: str, imported: str) -> bool:
    """Whether an import leads to a higher layer, or to another group of the same one."""
    (layer, group), (other_layer, other_group) = _place_of(box_of(importer)), _place_of(box_of(imported))
    return layer > other_layer or (layer == other_layer and group != other_group)


def _place_of(box: str) -> tuple[int, int]:
    """Give the numbers of the layer and of the group in it.

    :raises LookupError: nobody has said where it belongs.
    """
    for number, layer in enumerate(LAYERS):
        for position, group in enumerate(layer):
            if box in group.boxes:
                return number, position
    raise LookupError(f"LAYERS in tests/lib/architecture.py has no place for {box}")


def needed_at_run_time(imports: Iterable[Import]) -> set[tuple[str, str]]:
    """Give which module needs which at run time, without the exceptions."""
    needed = {(each.importer, each.imported) for each in imports if each.when != "check"}
    return needed - EXCEPTIONS.keys()


def as_boxes(edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Give the same for boxes."""
    boxes = {(box_of(start), box_of(end)) for start, end in edges}
    return {(start, end) for start, end in boxes if start != end}


def leave_out_implied(edges: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out what follows from other edges, where these go in no circle."""
    below = _reachable(edges)
    direct: dict[str, set[str]] = {}
    for start, end in edges:
        direct.setdefault(start, set()).add(end)
    return {(start, end) for start, end in edges if not any(end in below[each] for each in direct[start] - {end})}


def _first_line(source: str) -> str:
    """Give the first line of a module's docstring, as reStructuredText without roles; empty if there is none."""
    text = (ast.get_docstring(_parse(source)) or "").partition("\n")[0]
    return re.sub(r":\w+:`~?([^`]+)`", r"``\1``", text)


def _as_text(line: str) -> str:
    return line.replace("``", "")


# Where everything stands. All measures are in pixels: a page of the documentation is 660 wide.

WIDTH = 660
_COLUMN = 190
_GUTTER = 32  #: between columns, whether a group ends there or not
_PADDING = 12  #: of a group, to the left and right
_TITLE = 20  #: the height of a group's title
_BETWEEN_LAYERS = 20
_BETWEEN_ROWS = 14
_BETWEEN_LEAVES = 6  #: rows of the last layer, which has no arrows
_NAME = 14  #: the height of a box's name
_LINE = 11  #: the height of a line of a caption
_MODULE = 14  #: the height of a line of a package's modules
_MODULE_WIDTH = {1: 90, 2: 101, 3: 104}  #: by the columns that a package takes
_CHARACTERS = {1: 34, 2: 72, 3: 110}  #: of a line of a caption, likewise

Point = tuple[float, float]


class Box(NamedTuple):
    """A module or a package in the drawing."""

    name: str
    x: float
    y: float
    width: float
    height: float
    group: str
    row: int
    caption: tuple[str, ...]
    modules: tuple[tuple[str, float, float, float], ...]  #: of a package, with x, y and width

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


class Panel(NamedTuple):
    """The background of a group."""

    title: str
    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """What the drawing shows, and where."""

    panels: tuple[Panel, ...]
    boxes: Mapping[str, Box]
    ways: Mapping[tuple[str, str], list[Point]]  #: the corners of each arrow
    height: float


def lay_out(sources: Mapping[str, str]) -> Layout:
    """Give everything a place.

    :raises LookupError: a module is in no layer.
    :raises ValueError: boxes of one group import each other in a circle.
    """
    for name in sources:
        _place_of(box_of(name))
    needed = needed_at_run_time(read_imports(sources))
    edges = leave_out_implied(as_boxes(needed))
    panels: list[Panel] = []
    boxes: dict[str, Box] = {}
    top = 26.0
    for layer in LAYERS:
        between = _BETWEEN_LEAVES if layer is LAYERS[-1] else _BETWEEN_ROWS
        x = 1.0
        bottom = top
        for group in layer:
            y = top + _TITLE
            for row, names in enumerate(_rows(group, edges, sources)):
                left = x + _PADDING
                made = []
                for name in names:
                    modules = _in_order(_modules_of(name, sources), needed)
                    made.append(_make_box(name, group, row, (left, y), modules, sources))
                    left = made[-1].right + _GUTTER
                height = max(box.height for box in made)
                boxes.update({box.name: box._replace(height=height) for box in made})
                y += height + between
            bottom = max(bottom, y - between + 8)
            width = group.columns * (_COLUMN + _GUTTER) - _GUTTER + 2 * _PADDING
            panels.append(Panel(group.title, x, top, width, 0))
            x += group.columns * (_COLUMN + _GUTTER)
        panels = [panel._replace(height=bottom - top) if panel.y == top else panel for panel in panels]
        top = bottom + _BETWEEN_LAYERS
    return Layout(tuple(panels), boxes, _route(edges, boxes), top - _BETWEEN_LAYERS + 1)


def _modules_of(box: str, sources: Iterable[str]) -> list[str]:
    return [name for name in sources if name.startswith(f"{box}.")]


def _span(name: str, group: Group, sources: Iterable[str]) -> int:
    """How many columns a box takes: so many that the modules of a package need no more than three lines."""
    modules = len(_modules_of(name, sources))
    return next((span for span in range(1, group.columns) if modules <= 3 * _across(span)), group.columns)


def _across(span: int) -> int:
    """How many modules stand side by side in a package."""
    return int((span * (_COLUMN + _GUTTER) - _GUTTER - 6) // _MODULE_WIDTH[span])


def _rows(group: Group, edges: Collection[tuple[str, str]], sources: Iterable[str]) -> list[list[str]]:
    """Give the boxes of a group in rows, each below what imports it, or directly to the right of that."""
    left = group.boxes
    rows: list[list[str]] = []
    while left:
        row: list[str] = []
        free = group.columns
        for name in left:
            above = {start for start, end in edges if end == name and start in left}
            if above <= set(row[-1:]) and _span(name, group, sources) <= free:
                row.append(name)
                free -= _span(name, group, sources)
        if not row:
            raise ValueError(f"these import each other in a circle: {' '.join(left)}")
        left = [name for name in left if name not in row]
        rows.append(row)
    return rows


def _in_order(modules: Collection[str], needed: Iterable[tuple[str, str]]) -> list[str]:
    """Give the modules of a package, each before those that it imports."""
    below = _reachable([edge for edge in needed if set(edge) <= set(modules)])
    return sorted(modules, key=lambda name: (-len(below.get(name, ())), name))


def _make_box(
    name: str, group: Group, row: int, place: Point, modules: Sequence[str], sources: Mapping[str, str]
) -> Box:
    x, y = place
    span = _span(name, group, sources)
    width = span * (_COLUMN + _GUTTER) - _GUTTER
    caption = _caption(_as_text(_first_line(sources[name])).replace("|", ", "), _CHARACTERS[span])
    inner = y + _NAME + len(caption) * _LINE + 5
    across, step = _across(span), _MODULE_WIDTH[span]
    placed = [
        (module, x + 6 + number % across * step, inner + number // across * _MODULE, step - 4)
        for number, module in enumerate(modules)
    ]
    height = inner - y + 2 + (2 + -(-len(modules) // across) * _MODULE if modules else 0)
    return Box(name, x, y, width, height, group.title, row, caption, tuple(placed))


def _caption(text: str, characters: int) -> tuple[str, ...]:
    """Give as much of a sentence as two lines hold, up to a stop or at least a comma, if one is late enough."""
    stops, commas = ([match.start() for match in re.finditer(rf"[{each}](?= |$)", text)] for each in (".:;", ","))
    for end in (len(text), *reversed(stops), *reversed(commas)):
        lines = textwrap.wrap(text[:end].rstrip(".:;,"), characters)
        if len(lines) <= 2 and (end > 20 or end == len(text)):
            return tuple(lines)
    return tuple(textwrap.wrap(text, characters, max_lines=2, placeholder=" …"))


# Arrows. They are drawn within groups, but not in the last layer.


def _route(edges: Iterable[tuple[str, str]], boxes: Mapping[str, Box]) -> dict[tuple[str, str], list[Point]]:
    """Give the corners of each arrow."""
    leaves = {group.title for group in LAYERS[-1]}
    ways: dict[tuple[str, str], list[Point]] = {}
    for start in boxes.values():
        ends = [boxes[end] for name, end in edges if name == start.name and boxes[end].group == start.group]
        ends = sorted((end for end in ends if end.group not in leaves), key=lambda box: (box.middle, box.y))
        below = [end for end in ends if end.row > start.row]
        for end in ends:
            if end.row == start.row:
                ways[start.name, end.name] = [(start.right, start.y + 22), (end.x, start.y + 22)]
            else:
                port = start.middle + 30 + (below.index(end) - (len(below) - 1) / 2) * 9
                ways[start.name, end.name] = _find_way(start, end, port, boxes.values())
    return _move_apart(ways)


def _find_way(start: Box, end: Box, port: float, boxes: Iterable[Box]) -> list[Point]:
    """Give the best way that leads around all other boxes: straight down, or down, across, down, across and down.

    :param port: where it may leave the box.
    """
    below, above = start.bottom + _BETWEEN_ROWS / 2, end.y - _BETWEEN_ROWS / 2
    straight = [x for x in (end.middle, port) if all(box.x + 12 < x < box.right - 12 for box in (start, end))]
    gutters = [1 + _PADDING - _GUTTER / 2 + number * (_COLUMN + _GUTTER) for number in (1, 2)]
    margins = [1 + _PADDING / 2, WIDTH - 1 - _PADDING / 2]
    ways = [[(x, start.bottom), (x, end.y)] for x in straight]
    for x in (port, end.middle, *gutters, *margins):
        across = [(port, below), (x, below), (x, above), (end.middle, above)]
        ways.append(_without_needless([(port, start.bottom), *across, (end.middle, end.y)]))
    others = [box for box in boxes if box not in (start, end)]
    return min((way for way in ways if not any(meets(way, box) for box in others)), key=_cost)


def meets(way: Sequence[Point], box: Box) -> bool:
    """Whether an arrow touches a box."""
    for (x, y), (other_x, other_y) in pairwise(way):
        across = min(x, other_x) <= box.right and max(x, other_x) >= box.x
        if across and min(y, other_y) <= box.bottom and max(y, other_y) >= box.y:
            return True
    return False


def _without_needless(way: Sequence[Point]) -> list[Point]:
    """Leave out points at which the way does not turn."""
    kept: list[Point] = []
    for point in way:
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        if kept[-1:] != [point]:
            kept.append(point)
    return kept


def _cost(way: Sequence[Point]) -> float:
    return sum(abs(x - a) + abs(y - b) for (x, y), (a, b) in pairwise(way)) + 10 * len(way)


def _move_apart(ways: dict[tuple[str, str], list[Point]]) -> dict[tuple[str, str], list[Point]]:
    """Move pieces of arrows apart that would lie on each other, as far as there is room.

    Those that lead to the same box may lie on each other.
    """
    for axis in (0, 1):
        taken: dict[float, list[tuple[float, float, str]]] = {}  # what lies on a line, and where it leads
        for (_, end), way in sorted(ways.items(), key=lambda item: item[0][::-1]):
            for number in range(1, len(way) - 2):
                line = way[number][axis]
                if line != way[number + 1][axis]:
                    continue
                low, high = sorted((way[number][1 - axis], way[number + 1][1 - axis]))
                lines = [line, line + 4, line - 4]
                piece = (low, high, end)
                free = [each for each in lines if not any(_meet(piece, other) for other in taken.get(each, ()))]
                moved = (*free, line)[0]
                taken.setdefault(moved, []).append(piece)
                for index in (number, number + 1):
                    way[index] = (moved, way[index][1]) if axis == 0 else (way[index][0], moved)
    return ways


def _meet(one: tuple[float, float, str], other: tuple[float, float, str]) -> bool:
    return one[2] != other[2] and one[0] < other[1] + 4 and other[0] < one[1] + 4


# The drawing.

_INK = "#24292f"
_QUIET = "#57606a"
_GROUND = ("#f3f6f9", "#d5dce3")
_WARM = ("#ffe9b8", "#c9921a")
_COLD = ("#ffffff", "#8c96a0")
_CODE = "font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace\""
_TITLES = f'font-size="11" font-weight="bold" fill="{_QUIET}"'
_DASHES = ' stroke-dasharray="4 2"'


def draw(sources: Mapping[str, str]) -> str:
    """The text of the drawing."""
    layout = lay_out(sources)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {layout.height:g}" width="100%" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="9.5" fill="{_INK}" '
        'role="img" aria-label="The modules of pip-accel in layers; the tables have the same content.">',
        _draw_rect(0, 0, WIDTH, layout.height, ("#ffffff", "none")),
        *_draw_legend(),
    ]
    for panel in layout.panels:
        parts.append(_draw_rect(panel.x, panel.y, panel.width, panel.height, _GROUND))
        parts.append(_draw_text(panel.x + _PADDING, panel.y + 14, panel.title, _TITLES))
    for y in sorted({panel.y for panel in layout.panels})[1:]:
        parts.append(f'<path d="M{WIDTH / 2 - 30:g} {y - 14:g}h60l-30 9z" fill="{_GROUND[1]}"/>')
    for (start, end), way in sorted(layout.ways.items()):
        parts.append(_draw_arrow(way, f"{start} imports {end}"))
    for box in layout.boxes.values():
        parts += _draw_box(box, sources)
    return "\n".join([*parts, "</svg>", ""])


def _draw_legend() -> list[str]:
    parts = []
    for x, text, colours, dashes in (
        (1, "loaded by a warm run", _WARM, ""),
        (145, "only when it is needed", _COLD, ""),
        (297, "runs in another interpreter", _COLD, _DASHES),
    ):
        parts += [_draw_rect(x, 5, 14, 11, colours, dashes), _draw_text(x + 19, 14, text)]
    return [*parts, _draw_arrow([(474, 10.5), (492, 10.5)]), _draw_text(497, 14, "imports")]


def _draw_box(box: Box, sources: Mapping[str, str]) -> list[str]:
    colours = (_COLD[0] if box.modules else _colours(box.name)[0], _colours(box.name)[1])
    dashes = _DASHES if box.name in STARTED else ""
    parts = [f"<g>{_tooltip(box.name, sources)}{_draw_rect(*box[1:5], colours, dashes)}"]
    parts.append(_draw_text(box.x + 6, box.y + 12, box.name, f'{_CODE} font-size="10.5" font-weight="bold"'))
    parts += [_draw_text(box.x + 6, box.y + 24 + number * _LINE, line) for number, line in enumerate(box.caption)]
    parts.append("</g>")
    for name, x, y, width in box.modules:
        shown = name.rpartition(".")[2]
        rect = _draw_rect(x, y, width, _MODULE - 2, _colours(name), _DASHES if name in STARTED else "")
        text = _draw_text(x + 4, y + 9, shown, f'{_CODE} font-size="8.5"')
        parts.append(f"<g>{_tooltip(name, sources)}{rect}{text}</g>")
    return parts


def _colours(name: str) -> tuple[str, str]:
    return _WARM if name in WARM else _COLD


def _tooltip(name: str, sources: Mapping[str, str]) -> str:
    """What is shown when somebody points at a box: the full name, and what the module says of itself."""
    full = name if name == ROOT else f"{ROOT}.{name}"
    return f"<title>{escape(f'{full}: {_as_text(_first_line(sources[name]))}', quote=False)}</title>"


def _draw_rect(x: float, y: float, width: float, height: float, colours: tuple[str, str], dashes: str = "") -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} rx="3" fill="{colours[0]}" stroke="{colours[1]}"{dashes}/>'


def _draw_text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{" " if more else ""}{more}>{escape(text, quote=False)}</text>'


def _draw_arrow(way: Sequence[Point], tooltip: str = "") -> str:
    """Draw an arrow with rounded corners."""
    path = "M{:g} {:g}".format(*way[0])
    for before, corner, after in zip(way, way[1:], way[2:], strict=False):
        path += "L{:g} {:g}Q{:g} {:g} {:g} {:g}".format(*_towards(corner, before), *corner, *_towards(corner, after))
    (_, level), (x, y) = way[-2:]
    head = "l-5 -2.5v5z" if y == level else "l-2.5 -5h5z"
    path += f"L{x - 4:g} {y:g}" if y == level else f"L{x:g} {y - 4:g}"
    title = f"<title>{tooltip}</title>" if tooltip else ""
    lines = f'<path d="{path}" fill="none" stroke="{_QUIET}"/><path d="M{x:g} {y:g}{head}" fill="{_QUIET}"/>'
    return f"<g>{title}{lines}</g>"


def _towards(corner: Point, other: Point) -> Point:
    """Give the point that is a little on the way from a corner to another point."""
    (x, y), (a, b) = corner, other
    length = abs(a - x) + abs(b - y)
    part = min(4, length / 2) / length
    return round(x + (a - x) * part, 1), round(y + (b - y) * part, 1)


# The page.

_HEAD = """\
Architecture
============

What each module owns, and which module may import which. ``python -m tests.lib.architecture`` writes this page and its
drawing from the imports and the docstrings in the code; only the layers are stated there. A test fails when the code
differs from the page. How a request goes through the stages is told in :doc:`design`.

.. raw:: html
   :file: architecture.svg

A box is a module, or a package with its modules inside; ``pip_accel.`` is left out in front of all names. An arrow
leads to what a module imports, at its top or in a function, unless that follows from other arrows. Between groups no
arrows are drawn: the tables below tell for each module what it stands on, in all layers but the last, and again without
what follows. When the mouse is over a box, it shows the first line of the docstring.

Rules
-----

Imports point down
    A module imports from the layers below its own. Within its group it imports what stands below it, or to the right of
    it. Groups side by side import nothing of each other. So no imports go in a circle.

What only a miss needs is imported in the function that handles the miss
{warm}

What only annotations need is not imported
    Such imports stand below ``TYPE_CHECKING``. They may point up, and are not drawn.

Scripts are on their own
{started}

Some imports do not keep to the first rule:

"""
_WARM_RULE = "What these import at their top is among them."
_SCRIPT_RULE = "Neither the target nor a build need have pip-accel: scripts import nothing of it."


def render(sources: Mapping[str, str]) -> str:
    """The text of the page."""
    needed = needed_at_run_time(read_imports(sources))
    warm = ", ".join(f"``{name}``" for name in sources if name in WARM)
    started = [f"``{script}`` is started by ``{starter}``" for script, starter in STARTED.items()]
    head = _HEAD.format(
        warm=_fill(f"Of the {len(sources)} modules, a warm run loads {len(WARM)}: {warm}. {_WARM_RULE}"),
        started=_fill(f"{', '.join(started[:-1])}, and {started[-1]}. {_SCRIPT_RULE}"),
    )
    exceptions = [(f"``{start}``", f"``{end}``", what) for (start, end), what in sorted(EXCEPTIONS.items())]
    parts = [head, _table((20, 20, 60), ("Module", "imports", "for"), exceptions)]
    kept = leave_out_implied({edge for edge in needed if _place_of(box_of(edge[1]))[0] < len(LAYERS) - 1})
    for group in (group for layer in LAYERS for group in layer):
        parts.append(f"\n{group.title}\n{'-' * len(group.title)}\n\n{textwrap.fill(group.says, 120)}\n\n")
        rows = []
        for box in group.boxes:
            for name in [box, *_in_order(_modules_of(box, sources), needed)]:
                below = ", ".join(f"``{end}``" for start, end in sorted(kept) if start == name)
                rows.append((f"``{name}``", _first_line(sources[name]), below))
        parts.append(_table((24, 46, 30), ("Module", "What it owns", "Stands on"), rows))
    return "".join(parts)


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _table(widths: Iterable[int], titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [".. list-table::", f"   :widths: {' '.join(map(str, widths))}", "   :header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"   {' ' if number else '*'} - {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    modules = read_modules()
    DRAWING.write_text(draw(modules), encoding="utf-8")
    PAGE.write_text(render(modules), encoding="utf-8")
