"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.lib.index import IndexServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped for others, with that reason. What takes long begins early."""
    # Files with short tests are left for the end, so that all cores are busy until then.
    items.sort(key=lambda item: "functional" not in item.path.parts)
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_configure() -> None:
    """Interruptions count, also where the tests were started in the background of a shell, which ignores them there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def without_machine_settings(monkeypatch):
    """No test sees what this machine is set to: pip's variables, its configuration, or those of pip-accel."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """An index on the loopback that is empty yet."""
    with IndexServer() as server:
        yield server
