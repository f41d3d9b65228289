"""The architecture: imports point down, and the page and the drawing are what the code says."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from xml.etree import ElementTree

import pytest

from tests.lib.architecture import (
    DRAWING,
    EXCEPTIONS,
    LAYERS,
    PAGE,
    ROOT,
    STARTED,
    WARM,
    as_boxes,
    box_of,
    draw,
    find_circles,
    find_imports,
    lay_out,
    leave_out_implied,
    meets,
    needed_at_run_time,
    points_up,
    read_imports,
    read_modules,
    render,
)

SOURCES = read_modules()
IMPORTS = read_imports(SOURCES)
NEEDED = needed_at_run_time(IMPORTS)
AT_THE_TOP = {(each.importer, each.imported) for each in IMPORTS if each.when == "load"}
#: What others than pip-accel call or run.
ENTRIES = {"__main__", ROOT, "bdist"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def layout():
    return lay_out(SOURCES)


@pytest.mark.parametrize(("path", "write"), [(DRAWING, draw), (PAGE, render)], ids=["drawing", "page"])
def test_what_is_in_the_documentation_is_what_the_code_says(path, write):
    assert path.read_text(encoding="utf-8") == write(SOURCES), "python -m tests.lib.architecture writes it anew"


def test_each_module_has_one_place_in_the_layers():
    places = Counter(box for layer in LAYERS for group in layer for box in group.boxes)
    assert places == Counter({box_of(name) for name in SOURCES})


def test_imports_point_down():
    assert [edge for edge in sorted(NEEDED) if points_up(*edge)] == []


def test_what_modules_import_at_their_top_goes_in_no_circle():
    assert find_circles(AT_THE_TOP) == []


def test_what_they_import_in_functions_goes_in_no_circle_either():
    assert find_circles(NEEDED) == []
    assert find_circles(as_boxes(NEEDED)) == []


@pytest.mark.parametrize("edge", sorted(EXCEPTIONS), ids=" ".join)
def test_an_exception_is_one(edge):
    assert edge in {(each.importer, each.imported) for each in IMPORTS if each.when != "check"}
    assert points_up(*edge) or find_circles(NEEDED | {edge}) or find_circles(as_boxes(NEEDED | {edge}))


def test_what_a_warm_run_loads_has_nothing_else_at_its_top():
    packages = {name.rpartition(".")[0] for name in WARM} - {""}
    assert packages | {end for start, end in AT_THE_TOP if start in WARM} <= WARM


@pytest.mark.parametrize("script", STARTED)
def test_a_script_imports_nothing_of_ours_and_is_named_where_it_is_started(script):
    assert [each for each in IMPORTS if each.importer == script] == []
    name = "shim" if ".shim." in script else script.rpartition(".")[2] + ".py"
    assert f'"{name}"' in SOURCES[STARTED[script]]


def test_every_module_is_imported_or_started_by_another():
    imported = {each.imported for each in IMPORTS if each.when != "check"}
    packages = {name.rpartition(".")[0] for name in SOURCES}
    assert SOURCES.keys() - imported - packages - ENTRIES - STARTED.keys() == set()


# How that is found out.

NAMES = {ROOT, "a", "b", "_plan", "_plan.pip", "_plan.memo"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from pip_accel import a", {("a", "load")}),
        ("from pip_accel import __version__, a", {(ROOT, "load"), ("a", "load")}),
        ("from pip_accel.a import b", {("a", "load")}),
        ("from pip_accel._plan import pip, Request", {("_plan.pip", "load"), ("_plan", "load")}),
        ("from pip_accel._plan.pip import run", {("_plan.pip", "load")}),
        ("import pip_accel._plan.pip as p, pip_accel.b", {("_plan.pip", "load"), ("b", "load")}),
        ("import a, os\nfrom b import c", set()),
        ("from pip_accel.me import mine", set()),
        ("try:\n    import pip_accel.a\nexcept ImportError:\n    import pip_accel.b", {("a", "load"), ("b", "load")}),
        ("if sys.version_info > (3,):\n    import pip_accel.a", {("a", "load")}),
        ("class C:\n    import pip_accel.a\n    def f(x):\n        import pip_accel.b", {("a", "load"), ("b", "call")}),
        ("def f():\n    if x:\n        from pip_accel import a", {("a", "call")}),
        ("async def f():\n    class C:\n        from pip_accel import a", {("a", "call")}),
        ("if TYPE_CHECKING:\n    import pip_accel.a\nelse:\n    import pip_accel.b", {("a", "check"), ("b", "load")}),
        ("if TYPE_CHECKING:\n    def f():\n        import pip_accel.a", {("a", "check")}),
        ("def f():\n    if TYPE_CHECKING:\n        import pip_accel.a", {("a", "check")}),
    ],
)
def test_imports_are_told_apart_by_when_they_happen(source, found):
    imports = list(find_imports("me", source, {*NAMES, "me"}))
    assert {(each.imported, each.when) for each in imports} == found
    assert {each.importer for each in imports} <= {"me"}


def test_an_import_that_is_not_written_in_full_is_refused():
    with pytest.raises(ValueError, match="_plan: imports are written in full"):
        list(find_imports("_plan", "from . import pip", NAMES))


@pytest.mark.parametrize(
    ("edges", "circles"),
    [
        ({("a", "b"), ("b", "c"), ("a", "c")}, []),
        ({("a", "b"), ("b", "a"), ("b", "c")}, [["a", "b"]]),
        ({("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("d", "e"), ("e", "d")}, [["a", "b", "c"], ["d", "e"]]),
    ],
    ids=["none", "one", "two"],
)
def test_circles_are_found(edges, circles):
    assert find_circles(edges) == circles


@pytest.mark.parametrize(
    ("importer", "imported", "up"),
    [
        ("cli", "_fs", False),
        ("_fs", "cli", True),
        ("_plan.memo", "_build.key", False),
        ("_install.link", "_plan.pip", True),
        ("cli", "req", True),
        ("req", "cli", True),
        ("_store", "_trees", False),
    ],
)
def test_up_is_a_higher_layer_or_a_group_beside(importer, imported, up):
    assert points_up(importer, imported) is up


def test_what_follows_from_other_edges_is_left_out():
    assert leave_out_implied({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_a_circle_within_a_group_is_refused():
    changed = {**SOURCES, "_trees": SOURCES["_trees"] + "\n\ndef f():\n    import pip_accel._byte_code\n"}
    with pytest.raises(ValueError, match=r"in a circle: .*_byte_code _trees"):
        lay_out(changed)


def test_a_module_without_a_place_is_named():
    with pytest.raises(LookupError, match="no place for _novel"):
        lay_out({**SOURCES, "_novel": ""})


# What is drawn.


def test_no_box_lies_on_another(layout):
    for one, other in combinations(layout.boxes.values(), 2):
        beside = one.right < other.x or other.right < one.x
        assert beside or one.bottom < other.y or other.bottom < one.y, (one.name, other.name)


def test_boxes_lie_in_the_panel_of_their_group(layout):
    panels = {panel.title: panel for panel in layout.panels}
    for box in layout.boxes.values():
        panel = panels[box.group]
        assert panel.x < box.x and box.right < panel.x + panel.width
        assert panel.y < box.y and box.bottom < panel.y + panel.height <= layout.height


def test_modules_lie_in_their_package(layout):
    for box in layout.boxes.values():
        assert [name for name, *_ in box.modules if box_of(name) != box.name] == []
        for name, x, y, width in box.modules:
            assert box.x < x and x + width < box.right and box.y < y and y + 12 < box.bottom, name


def test_arrows_lead_down_or_to_the_right_and_around_all_boxes(layout):
    assert len(layout.ways) > 20
    for (start, end), way in layout.ways.items():
        assert way[0][1] < way[-1][1] or (way[0][1] == way[-1][1] and way[0][0] < way[-1][0]), (start, end)
        others = [box for box in layout.boxes.values() if box.name not in (start, end)]
        assert [box.name for box in others if meets(way, box)] == [], (start, end)


def test_arrows_show_what_boxes_of_a_group_import(layout):
    group = {box.name: box.group for box in layout.boxes.values()}
    leaves = {group.title for group in LAYERS[-1]}
    edges = leave_out_implied(as_boxes(NEEDED))
    assert layout.ways.keys() == {(start, end) for start, end in edges if group[start] == group[end] not in leaves}


def test_each_module_is_in_the_drawing_once_and_tells_what_it_owns():
    titles = [each.text for each in ElementTree.fromstring(draw(SOURCES)).iter(f"{SVG}title")]
    names = Counter(title.partition(": ")[0] for title in titles if " imports " not in title.partition(": ")[0])
    assert names == Counter(ROOT if name == ROOT else f"{ROOT}.{name}" for name in SOURCES)
    assert f"{ROOT}._names: {SOURCES['_names'].partition(chr(10))[0].strip(chr(34))}" in titles


def test_each_module_is_on_the_page_once():
    tables = render(SOURCES).partition("\nCommand line\n----")[2]
    rows = re.findall(r"^   \* - ``(\S+)``\n     -.*\n     -.*$", tables, re.MULTILINE)
    assert Counter(rows) == Counter(list(SOURCES))
