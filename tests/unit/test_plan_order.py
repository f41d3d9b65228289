"""The order of pip's closing lines. What pip does with the same graphs is seen in the functional tests."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from pip_accel._names import canonical_name
from pip_accel._plan.clauses import Demand
from pip_accel._plan.order import in_order
from pip_accel._plan.pip import Item

MARKERS = {"python_version": "3.12", "sys_platform": "linux"}


def item(name, *requires, python=False, extras=()):
    return Item(name, "1", f"file:///i/{name}-1-py3-none-any.whl", False, None, requires, python, frozenset(extras))


def order(items, *roots, **more):
    demands = []
    for text in roots:
        root = Requirement(text)
        demands.append(Demand(canonical_name(root.name), frozenset(root.extras), "", str(root.marker or "")))
    return [each.name for each in in_order(items, demands, MARKERS, **more)]


ASKED = ["a[more]", item("a", "b; extra == 'more'", extras=["more"]), item("b")]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([item("a"), item("b")], ["b", "a"], id="by name, backwards"),
        pytest.param([item("a", "b"), item("b", "c"), item("c")], ["c", "b", "a"], id="chain"),
        pytest.param([item("a", "b", "c"), item("b"), item("c", "b")], ["b", "c", "a"], id="longest way counts"),
        pytest.param(
            [item("a"), item("b"), item("m", "b"), item("z", "m")], ["b", "a", "m", "z"], id="what is free goes first"
        ),
        pytest.param([item("A.b", "C_d>1"), item("c-d")], ["c-d", "A.b"], id="spellings"),
        pytest.param([item("a", "a[x]", "z; extra == 'x'"), item("b")], ["b", "a"], id="requires itself"),
        pytest.param([item("a", "not-chosen"), item("b")], ["b", "a"], id="requires what is not installed now"),
        pytest.param([item("b", "a; python_version < '3'"), item("a")], ["b", "a"], id="marker"),
        pytest.param([item("b", python=True), item("a")], ["a", "b"], id="asks for a Python"),
        pytest.param([item("b", python=True), item("a", python=True)], ["b", "a"], id="both ask for a Python"),
        pytest.param([item("b", "not valid!"), item("a")], ["b", "a"], id="requires nonsense"),
    ],
)
def test_dependencies_come_before_what_requires_them(items, expected):
    assert order(items) == expected
    assert order(items[::-1]) == expected


@pytest.mark.parametrize(
    ("root", "extras", "expected"),
    [
        ("b", ["more"], ["c", "b", "a"]),
        ("b[more]", ["more"], ["c", "b", "a"]),  # the extra waits for both, and is not installed
        ("b[more]; python_version < '3'", ["more"], ["c", "b", "a"]),
    ],
)
def test_an_extra_of_what_is_asked_for_is_something_else(root, extras, expected):
    items = [item("a"), item("b", "a; extra == 'more'", extras=extras), item("c")]
    assert order(items, root) == expected


def test_what_requires_an_extra_waits_for_what_that_requires():
    items = [item("z", "b[more]"), item("b", "a; extra == 'more'", extras=["more"]), item("a", "y"), item("y")]
    assert order(items) == ["y", "b", "a", "z"]
    items[1] = item("b", "a; extra == 'more'")  # which it does not offer
    items[2] = item("a", "y", "x")
    assert order([*items, item("x", "y")]) == ["y", "b", "x", "z", "a"]


def test_without_dependencies_only_names_count():
    assert order([item("b", "a"), item("a")], dependencies=False) == ["b", "a"]
    assert order([item("b", "a", python=True), item("a")], dependencies=False) == ["a", "b"]


def test_in_a_circle_what_was_asked_for_comes_last():
    assert order([item("a", "b"), item("b", "a")]) == ["b", "a"]
    assert order([item("b", "a"), item("a", "b")]) == ["a", "b"]


def test_many_that_all_require_each_other_are_put_in_order_in_time():
    names = [f"p{n:02}" for n in range(40)]
    assert len(order([item(name, *names) for name in names])) == 40
