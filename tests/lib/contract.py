"""Writes ``docs/contract.rst``, what 0.43 promised and which tests show it: ``python -m tests.lib.contract``.

The items are in ``tests/data/contract.toml``, by sections: ``name``, ``promise`` (what holds today) and ``tests``.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PAGE", "Item", "find_tests", "read_items", "render"]

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PAGE = CHECKOUT / "docs" / "contract.rst"
DATA = CHECKOUT / "tests" / "data" / "contract.toml"
HEAD = """\
What 0.43 promised
==================

The documented command line, configuration and Python API of pip-accel 0.43, item by item: what holds today, and the
tests that show it. This page is written by ``python -m tests.lib.contract``. A test sees to it that each item has a
test which exists and is always run, and that no public name is missing. :doc:`changes-since-0.43` says what is
different, and why.
"""


class Item(NamedTuple):
    """One promise."""

    section: str
    name: str  #: reStructuredText
    promise: str
    tests: tuple[str, ...]  #: ``path::name``


def read_items() -> list[Item]:
    """Give all items, in the order of the page."""
    sections = tomllib.loads(DATA.read_text(encoding="utf-8"))["section"]
    return [
        Item(section["title"], item["name"], item["promise"], tuple(item["tests"]))
        for section in sections
        for item in section["item"]
    ]


@cache
def find_tests(path: str) -> dict[str, bool]:
    """Give the tests of a file, each with whether it is run only when slow ones are.

    :param path: relative to the checkout.
    """
    tree = ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    slow = any(_is_slow(node.value) for node in tree.body if isinstance(node, ast.Assign) and _names_marks(node))
    return {node.name: slow or any(map(_is_slow, node.decorator_list)) for node in functions}


def _names_marks(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _is_slow(node: Any) -> bool:
    marks = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]  # not those of some of its parameters
    return any(ast.unparse(mark) == "pytest.mark.slow" for mark in marks)


def render() -> str:
    """The text of the page."""
    lines = [HEAD]
    section = ""
    for item in read_items():
        if item.section != section:
            section = item.section
            lines += ["", section, "-" * len(section), "", ".. list-table::", "   :widths: 60 40", ""]
        tests = [f"``{name}`` in ``{path.removeprefix('tests/')}``" for path, _, name in _split(item.tests)]
        lines.append(f"   * - {item.name}: {item.promise}")
        lines.append(f"     - {'; '.join(tests)}")
    return "\n".join(lines) + "\n"


def _split(tests: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [test.partition("::") for test in tests]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
