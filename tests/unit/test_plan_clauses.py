"""Which clauses bind each project of an answer, and which answers what was learned vouches for."""

from __future__ import annotations

import pytest

from pip_accel._index import Known
from pip_accel._plan.clauses import (
    Bounds,
    Demand,
    Metadata,
    applies,
    collect_bounds,
    is_certain,
    is_pinned,
    newest_winner,
    required_names,
    vouching,
)

MARKERS = {"python_version": "3.12", "sys_platform": "linux", "os_name": "posix", "python_full_version": "3.12.1"}


def demand(name, specifier="", *extras, marker=""):
    return Demand(name, frozenset(extras), specifier, marker)


def collect(*roots, constraints=(), dependencies=True, **chosen):
    metadata = {name: Metadata("1", requires) for name, requires in chosen.items()}
    return everything(collect_bounds(roots, constraints, metadata, MARKERS, dependencies=dependencies))


def everything(bounds):
    """All clauses on each project."""
    return {name: each.all for name, each in bounds.items()}


def known(*clauses, version="1", time=100, roots=""):
    return Known(frozenset(clauses), version, time, roots)


@pytest.mark.parametrize(
    ("roots", "constraints", "chosen", "expected"),
    [
        pytest.param([demand("a")], [], {"a": []}, {"a": set()}, id="open"),
        pytest.param([demand("a", ">=1,<2")], [], {"a": []}, {"a": {">=1", "<2"}}, id="root"),
        pytest.param([demand("a", " >= 1 , <2 ")], [], {"a": []}, {"a": {">=1", "<2"}}, id="blanks"),
        pytest.param(
            [demand("a", "==1; x"), demand("a", "<3")], [], {"a": []}, {"a": {"==1; x", "<3"}}, id="no clause at all"
        ),
        pytest.param([demand("a", ">=1"), demand("a", "<2")], [], {"a": []}, {"a": {">=1", "<2"}}, id="twice"),
        pytest.param([demand("a")], [], {"a": ["b>1"], "b": []}, {"a": set(), "b": {">1"}}, id="dependency"),
        pytest.param([demand("a")], [], {"a": ["B.b (>1)"], "b-b": []}, {"a": set(), "b-b": {">1"}}, id="old style"),
        pytest.param(
            [demand("a")], [], {"a": ["b>1"], "b": ["c", "a<9"], "c": []},
            {"a": {"<9"}, "b": {">1"}, "c": set()}, id="circle",
        ),
        pytest.param(
            [demand("a")], [], {"a": ['b>1; python_version < "3"', "c"], "b": [], "c": ["b<9"]},
            {"a": set(), "b": {"<9"}, "c": set()}, id="marker of a dependency",
        ),
        pytest.param(
            [demand("a", ">1", marker='sys_platform == "win32"'), demand("a", "<9", marker='os_name == "posix"')], [],
            {"a": []}, {"a": {"<9"}}, id="marker of a root",
        ),
        pytest.param(
            [demand("a", "", "x")], [], {"a": ['b>1; extra == "x"', 'b<5; extra == "y"', 'b!=2; extra == ""'], "b": []},
            {"a": set(), "b": {">1", "!=2"}}, id="extra, and without",
        ),
        pytest.param(
            [demand("a")], [], {"a": ["b[x]"], "b": ['c>1; extra == "X"'], "c": []},
            {"a": set(), "b": set(), "c": {">1"}}, id="extra of a dependency",
        ),
        pytest.param(
            [demand("a"), demand("b", "", "y")], [],
            {"a": ["b[x]"], "b": ['c>1; extra == "x"', 'c<9; extra == "y"', "c!=3"], "c": []},
            {"a": set(), "b": set(), "c": {">1", "<9", "!=3"}}, id="extras from two sides",
        ),
        pytest.param(
            [demand("a")], [demand("a", "<2"), demand("b", "<3"), demand("z", "<4")], {"a": ["b"], "b": []},
            {"a": {"<2"}, "b": {"<3"}}, id="constraints",
        ),
        pytest.param(
            [demand("a")], [demand("a", "<2", marker='os_name == "nt"')], {"a": []}, {"a": set()}, id="marker of one"
        ),
        pytest.param([demand("a")], [], {"a": ["b>1", "???"]}, {"a": set()}, id="not chosen, not valid"),
    ],
)  # fmt: skip
def test_clauses_come_from_all_that_applies(roots, constraints, chosen, expected):
    metadata = {name: Metadata("1", requires) for name, requires in chosen.items()}
    assert everything(collect_bounds(roots, constraints, metadata, MARKERS)) == expected


def test_clauses_are_spelled_one_way():
    assert collect(demand("a", "~=1.0"), demand("a", "~= 1.0"), a=[]) == {"a": {"~=1.0"}}


def test_without_dependencies_only_roots_and_constraints_bind():
    found = collect(demand("a"), demand("b"), constraints=[demand("b", "<9")], dependencies=False, a=["b>1"], b=[])
    assert found == {"a": frozenset(), "b": frozenset({"<9"})}


def test_what_is_required_and_not_chosen_can_be_asked_for():
    chosen = {"a": Metadata("1", ["b>1", 'c; extra == "x"'])}
    found = collect_bounds([demand("a"), demand("d", "<2")], [demand("b", "<3")], chosen, MARKERS, with_missing=True)
    assert everything(found) == {"a": set(), "b": {">1", "<3"}, "d": {"<2"}}


@pytest.mark.parametrize(
    ("roots", "chosen", "least"),
    [
        pytest.param([demand("b", ">1"), demand("b", "<9")], {"b": []}, [{">1", "<9"}], id="of the user"),
        pytest.param([demand("a")], {"a": ["b>1"], "b": []}, [{">1"}], id="of one other"),
        pytest.param([demand("a"), demand("b", "<9")], {"a": ["b>1"], "b": []}, [{"<9"}], id="of the user and another"),
        pytest.param(
            [demand("a"), demand("c")], {"a": ["b>1", "b!=5"], "c": ["b<9"], "b": []}, [{">1", "!=5"}, {"<9"}],
            id="of two others",
        ),
        pytest.param([], {"b": []}, [set()], id="of nobody"),
    ],
)  # fmt: skip
def test_the_clauses_are_told_that_pip_may_know_when_it_chooses(roots, chosen, least):
    metadata = {name: Metadata("1", requires) for name, requires in chosen.items()}
    for constraints, more in (([], set()), ([demand("b", "<99")], {"<99"})):
        found = collect_bounds(roots, constraints, metadata, MARKERS)["b"]
        assert sorted(map(sorted, found.least)) == sorted(sorted(each | more) for each in least)
        assert found.all == more.union(*least, *([{">1"}] if roots and roots[0].name == "a" else []))


@pytest.mark.parametrize(
    ("least", "knows", "expected"),
    [
        ([{">1"}], [known(">1", version="2")], True),
        ([{">1"}], [known(">1", version="3")], False),
        ([{">1"}], [], False),
        ([{"==2"}], [], True),
        ([{">1"}, {"<9"}], [known(">1", version="2"), known("<9", version="2")], True),
        ([{">1"}, {"<9"}], [known(">1", "<9", version="2")], False),
        ([{">1"}, {"<9"}], [known(">1", version="2", time=50), known("<9", version="3")], False),
        ([{">1"}, {"==2"}], [known(">1", version="2")], True),
        ([{">1"}], [known(">1", version="2", roots="r")], False),
    ],
)
def test_a_version_is_certain_if_it_wins_under_each_of_them(least, knows, expected):
    bounds = Bounds(frozenset().union(*least), tuple(map(frozenset, least)))
    assert is_certain("2", bounds, knows) is expected


def test_what_only_one_request_was_told_is_certain_for_it():
    bounds = Bounds(frozenset({">1", "<9"}), (frozenset({">1"}), frozenset({"<9"})))
    knows = [known(">1", "<9", version="2", roots="r")]
    assert [is_certain("2", bounds, knows, roots) for roots in ("r", "s", "")] == [True, False, False]


@pytest.mark.parametrize(
    ("marker", "expected"),
    [("", True), ('os_name == "posix"', True), ('os_name == "nt"', False), ('extra == "x"', False)],
)
def test_markers_are_those_of_the_target(marker, expected):
    assert applies(marker, MARKERS) is expected


@pytest.mark.parametrize(
    ("version", "clauses", "expected"),
    [
        ("1.0", ["==1.0"], True),
        ("1.0", ["==1"], True),
        ("1.0", ["== 1.0.0"], True),
        ("1.0", [">=0", "==1.0"], True),
        ("1.0", ["===1.0"], True),
        ("1.0", ["===1"], False),
        ("1.0", [], False),
        ("1.0", [">=1.0", "<=1.0"], False),
        ("1.0", ["~=1.0"], False),
        ("1.0", ["==1.*"], False),
        ("1.0", ["==1.0.*"], False),
        ("1.0", ["==1.1"], False),
        ("1.0", ["!=1.0"], False),
        ("1.0+local.1", ["==1.0"], False),
        ("1.0+local.1", ["==1.0+local.1"], True),
        ("1.0+local.1", ["==1.0+Local-1"], True),
    ],
)
def test_a_pin_leaves_no_other_version(version, clauses, expected):
    assert is_pinned(version, clauses) is expected


@pytest.mark.parametrize(
    ("version", "clauses", "learned", "expected"),
    [
        pytest.param("1", {">=1"}, [], None, id="nothing known"),
        pytest.param("1", {">=1"}, [known(">=1")], 100, id="same question"),
        pytest.param("1.0", {">=1"}, [known(">=1")], 100, id="same version in another spelling"),
        pytest.param("2", {">=1"}, [known(">=1")], None, id="another version won"),
        pytest.param("1", {">=1", "<2"}, [known()], 100, id="more clauses, and the winner satisfies them"),
        pytest.param("1", set(), [known(">=1")], 100, id="a lower bound less: nothing higher comes in"),
        pytest.param("1", set(), [known("<2")], None, id="an upper bound less: something higher may"),
        pytest.param("1", set(), [known("!=2")], None, id="an exclusion less"),
        pytest.param("1", set(), [known("~=1.0")], None, id="a compatible release less"),
        pytest.param("1", {"<2"}, [known(version="3"), known("<2", time=50)], 50, id="a winner that is ruled out"),
        pytest.param("3", {"<2"}, [known(version="3")], None, id="a winner that is ruled out, asked for"),
        pytest.param("1", {">=1"}, [known(">=1"), known(version="2", time=200)], None, id="newer knowledge"),
        pytest.param("1", {">=1"}, [known(version="2", time=50), known(">=1")], 100, id="older knowledge"),
        pytest.param("1", {">=1"}, [known(">=1", roots="r")], 100, id="the same request"),
        pytest.param("1", {">=1"}, [known(">=1", roots="x")], None, id="another request, where pip tried candidates"),
        pytest.param("2rc1", {">=2rc1"}, [known(version="2rc1")], None, id="a pre-release is let in now"),
        pytest.param("1", {"<2"}, [known("<2", ">=1rc1")], None, id="a pre-release was let in then"),
        pytest.param("latest", {"???"}, [known("???", version="latest")], 100, id="no version, same question"),
        pytest.param("latest", {"???", "<2"}, [known("???", version="latest")], None, id="no version, other question"),
    ],
)
def test_an_answer_is_vouched_for_by_what_was_learned(version, clauses, learned, expected):
    for order in (learned, learned[::-1]):
        found = vouching(version, frozenset(clauses), order, "r")
        assert (found.time if found is not None else None) == expected


def test_the_newest_winner_counts():
    learned = [known(time=100), known(version="2", time=300), known(">=1", time=200)]
    assert newest_winner(frozenset({">=1"}), learned, "") == learned[1]
    assert newest_winner(frozenset({"<2"}), learned, "") == learned[2]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param(b"", set(), id="empty"),
        pytest.param(b"Name: a\nRequires-Dist: b\n", {"b"}, id="plain"),
        pytest.param(b'Requires-Dist: B.b_C[x]>=1; extra == "y"\r\n', {"b-b-c"}, id="everything"),
        pytest.param(b"requires-dist:b(>1)\nRequires-Dist: c @ https://x\n", {"b", "c"}, id="old style and URL"),
        pytest.param(b"Name: a\n\nRequires-Dist: b\n", set(), id="description"),
        pytest.param(b"Requires-Distribution: b\nX: Requires-Dist: c\n", set(), id="other headers"),
    ],
)
def test_names_that_metadata_requires_are_found(metadata, expected):
    assert required_names(metadata) == expected
