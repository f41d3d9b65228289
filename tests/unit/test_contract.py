"""The contract: each item has tests that exist and are run, no public name is missing, and the page says the same."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter

import pytest

from tests.lib.contract import PAGE, find_tests, read_items, render

ITEMS = read_items()
#: Documented modules, and what of their public names is not part of the contract of 0.43.
MODULES = {
    "pip_accel": {"__version__"},
    "pip_accel.config": set(),
    "pip_accel.req": set(),
    "pip_accel.bdist": set(),
    "pip_accel.caches": set(),
    "pip_accel.caches.local": set(),
    "pip_accel.caches.s3": set(),
    "pip_accel.deps": {"Failure", "Finding", "Offer", "describe_things", "errors_of", "failures_of"},
    "pip_accel.utils": set(),
    "pip_accel.exceptions": set(),
}


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: re.sub(r"\W+", "-", item.name)[:60])
def test_an_item_has_tests_that_exist_and_are_run(item):
    assert item.tests and item.promise.endswith((".", ")"))
    found = []
    for test in item.tests:
        path, _, name = test.partition("::")
        assert name in find_tests(path), test
        found.append(find_tests(path)[name])
    assert not all(found), "each test of it is slow"


def test_no_item_stands_there_twice():
    assert [name for name, count in Counter((item.section, item.name) for item in ITEMS).items() if count > 1] == []


def documented():
    for module_name, others in MODULES.items():
        module = importlib.import_module(module_name)
        for name in sorted(set(module.__all__) - others):
            value = getattr(module, name)
            yield name
            # What is new beside the methods of 0.43 is told in the reference of the API.
            if inspect.isclass(value) and name == "PipAccelerator":
                yield from (f"{name}.{each}" for each in vars(value) if not each.startswith("_"))


@pytest.mark.parametrize("name", sorted(documented()))
def test_no_public_name_is_missing(name):
    names = " ".join(item.name for item in ITEMS)
    plain = re.escape(name.rpartition(".")[2])
    assert re.search(rf"(?<![\w]){plain}(?![\w])", names), name


def test_the_page_is_what_the_items_say():
    assert PAGE.read_text(encoding="utf-8") == render(), "python -m tests.lib.contract writes it anew"
