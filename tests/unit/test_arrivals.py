"""Wheels are unpacked while pip fetches others: those that are complete, and allowed."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from pip_accel import _arrivals
from pip_accel._arrivals import Unpacking
from pip_accel._environment import find_target
from pip_accel._store import Store
from tests.lib.archives import make_wheel


class Fetching:
    """What pip does meanwhile: files appear below its temporary directory, and lines in its log."""

    def __init__(self, directory):
        self.directory = directory
        self.place, self.work, self.copies = (str(directory / name) for name in ("pip", "work", "copies"))
        for path in (self.place, self.work, self.copies):
            os.mkdir(path)
        self.store = Store(str(directory / "store"), find_target(None), umask=0o022, jobs=2)
        self.allowed = None

    def wheel(self, name, **options):
        path = make_wheel(str(self.directory / "wheels"), name, "1.0", **options)
        with open(path, "rb") as stream:
            data = stream.read()
        return path, data, hashlib.sha256(data).hexdigest()

    def fetch(self, name, data):
        directory = os.path.join(self.place, f"pip-unpack-{name}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"{name}-1.0-py3-none-any.whl"), "wb") as stream:
            stream.write(data)

    def say(self, text):
        with open(os.path.join(self.work, "log-0"), "a", encoding="utf-8") as stream:
            stream.write(f"2026-11-01T10:00:00,123 {text}\n")

    def begin(self):
        return Unpacking(self.store, self.place, self.work, self.copies, allowed=self.allowed, jobs=1)

    def wait_for(self, *digests):
        until = time.monotonic() + 30
        while not all(map(self.store.has, digests)):
            assert time.monotonic() < until, "it was not unpacked"
            time.sleep(0.01)


@pytest.fixture
def fetching(tmp_path, monkeypatch):
    monkeypatch.setattr(_arrivals, "_PERIOD", 0.01)
    return Fetching(tmp_path)


def test_what_has_come_is_unpacked_and_compiled(fetching):
    _, data, digest = fetching.wheel("alpha")
    with fetching.begin():
        fetching.fetch("alpha", data)
        fetching.wait_for(digest)
    assert fetching.store.find(digest) is not None
    assert fetching.store.added


@pytest.mark.parametrize("text", ["Processing {}", "Processing {} (from -r all.txt (line 3))"])
def test_what_lies_on_this_machine_is_told_by_the_log(fetching, text):
    path, _, digest = fetching.wheel("alpha")
    with fetching.begin():
        fetching.say("Looking in links: elsewhere")
        fetching.say("  " + text.format(path))
        fetching.wait_for(digest)


def test_what_is_not_complete_is_waited_for(fetching):
    _, data, digest = fetching.wheel("alpha")
    _, other, marker = fetching.wheel("beta")
    with fetching.begin():
        fetching.fetch("alpha", data[:-30])
        fetching.fetch("beta", other)
        fetching.wait_for(marker)
        assert not fetching.store.has(hashlib.sha256(data[:-30]).hexdigest())
        fetching.fetch("alpha", data)
        fetching.wait_for(digest)


def test_where_hashes_are_demanded_nothing_else_is_unpacked(fetching):
    _, data, digest = fetching.wheel("alpha")
    _, other, allowed = fetching.wheel("beta")
    fetching.allowed = {allowed}
    with fetching.begin():
        fetching.fetch("alpha", data)
        fetching.fetch("beta", other)
        fetching.wait_for(allowed)
    assert not fetching.store.has(digest)


def test_one_that_cannot_be_unpacked_is_left_to_whoever_needs_it(fetching):
    _, bad, digest = fetching.wheel("alpha", files={"../../evil.py": "x"})
    _, good, other = fetching.wheel("beta")
    with fetching.begin():
        fetching.fetch("alpha", bad)
        fetching.fetch("beta", good)
        fetching.wait_for(other)
    assert not fetching.store.has(digest)
    assert [name for name in os.listdir(fetching.directory) if name.startswith("evil")] == []


def test_a_store_that_fails_is_no_reason_to_fail(fetching, monkeypatch):
    called = []

    def fail(archives, **options):
        called.append(archives)
        raise OSError("no space")

    monkeypatch.setattr(fetching.store, "add", fail)
    _, data, _ = fetching.wheel("alpha")
    with fetching.begin():
        fetching.fetch("alpha", data)
        until = time.monotonic() + 30
        while not called and time.monotonic() < until:
            time.sleep(0.01)
    assert called


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_when_pip_fails_nothing_goes_on(fetching, error):
    with pytest.raises(error), fetching.begin():
        raise error
    _, data, digest = fetching.wheel("alpha")
    fetching.fetch("alpha", data)
    time.sleep(0.1)
    assert not fetching.store.has(digest)
