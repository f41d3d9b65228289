"""Byte code on its way between machines: what was packed comes out, and nothing else is taken."""

from __future__ import annotations

import json
import os
import sys
import zlib
from types import SimpleNamespace

import pytest

from pip_accel._byte_code import pack, unpack
from pip_accel._environment import find_target
from pip_accel._store import Store
from pip_accel._values import Archive
from tests.lib.archives import make_wheel

FILES = {"alpha/__init__.py": "", "alpha/a.py": "A = 1\n", "alpha/not_python.py": "def\n", "alpha/data.txt": "x"}


@pytest.fixture(scope="module")
def target():
    return find_target(None)


@pytest.fixture
def wheel(tmp_path):
    from pip_accel._fs import hash_file

    path = make_wheel(str(tmp_path), "alpha", "1.0", files=FILES)
    return Archive(path, os.path.basename(path), hash_file(path))


def make_store(place, target):
    return Store(str(place), target, umask=0o022, jobs=1)


@pytest.fixture
def packed(tmp_path, target, wheel):
    store = make_store(tmp_path / "one", target)
    (tree,) = store.add([wheel])
    return pack(tree, store.name_byte_code(wheel.sha256))


def test_what_is_packed_comes_out(packed, wheel, target, tmp_path):
    name = make_store(tmp_path, target).name_byte_code(wheel.sha256)
    tag = sys.implementation.cache_tag
    found = {path: len(data) for _, path, data in unpack(packed, name)}
    assert set(found) == {f"alpha/__pycache__/{each}.{tag}.pyc" for each in ("__init__", "a")}


def test_a_store_takes_it_and_compiles_nothing(packed, wheel, target, tmp_path, monkeypatch):
    (tmp_path / "packed").write_bytes(packed)
    compiled = make_store(tmp_path / "two", target)
    (expected,) = compiled.add([wheel])
    store = make_store(tmp_path / "three", target)
    store.packed[wheel.sha256] = str(tmp_path / "packed")
    tasks = []

    def run(command, *, text, **more):
        tasks.extend(each[0] for each in json.loads(text)[1])
        return SimpleNamespace(status=0, output="[]")

    with monkeypatch.context() as patch:
        patch.setattr("pip_accel._process.run", run)
        (tree,) = store.add([wheel])
    assert [os.path.basename(each) for each in tasks] == ["not_python.py"]  # which nobody could compile
    assert [bundle._replace(root="") for bundle in tree.bundles] == [
        each._replace(root="") for each in expected.bundles
    ]
    assert store.find_sound(wheel.sha256) is not None

    def contents(each):
        found = {}
        for directory, _, names in os.walk(each.byte_code):
            for name in names:
                if name.endswith(".pyc"):
                    path = os.path.join(directory, name)
                    with open(path, "rb") as stream:
                        found[os.path.relpath(path, each.byte_code)] = stream.read(), os.stat(path).st_mtime
        return found

    assert contents(tree) == contents(expected)


def repacked(packed, change, contents=lambda data: data):
    data = zlib.decompress(packed)
    length = int.from_bytes(data[:8], "big")
    head = json.loads(data[8 : 8 + length])
    change(head)
    text = json.dumps(head).encode()
    return zlib.compress(len(text).to_bytes(8, "big") + text + contents(data[8 + length :]))


def _outside(head):
    head["files"][0][1] = "../../../outside.pyc"


def _elsewhere(head):
    head["files"][0][0] = "scripts"


def _nothing(head):
    """Leave it as it is."""


def test_what_is_missing_is_made_here(packed, wheel, target, tmp_path):
    def forget(head):
        del head["files"][1:]

    def first_of(data):
        head = json.loads(zlib.decompress(packed)[8:].partition(b"]]}")[0] + b"]]}")
        return data[: head["files"][0][2]]

    (tmp_path / "packed").write_bytes(repacked(packed, forget, first_of))
    store = make_store(tmp_path / "two", target)
    store.packed[wheel.sha256] = str(tmp_path / "packed")
    (tree,) = store.add([wheel])
    assert tree.byte_code.endswith("-borrowed")
    (own,) = make_store(tmp_path / "three", target).add([wheel])
    assert [bundle._replace(root="") for bundle in tree.bundles] == [bundle._replace(root="") for bundle in own.bundles]


DAMAGED = {
    "cut short": lambda packed: packed[: len(packed) // 2],
    "empty": lambda packed: b"",
    "no stream": lambda packed: b"nothing of the kind",
    "of another archive": lambda packed: repacked(packed, lambda head: head.update(name="another")),
    "of another format": lambda packed: repacked(packed, lambda head: head.update(format=2)),
    "too long": lambda packed: repacked(packed, _nothing, lambda data: data + b"more"),
    "too short": lambda packed: repacked(packed, _nothing, lambda data: data[:-1]),
    "a head that is none": lambda packed: repacked(packed, lambda head: head.update(files=[[1]])),
    "files outside of their place": lambda packed: repacked(packed, _outside),
    "files elsewhere": lambda packed: repacked(packed, _elsewhere),
    "for another interpreter": lambda packed: repacked(packed, _nothing, lambda data: b"\0" * len(data)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_not_as_it_has_to_be_is_made_here(damage, packed, wheel, target, tmp_path):
    (tmp_path / "packed").write_bytes(DAMAGED[damage](packed))
    store = make_store(tmp_path / "two", target)
    store.packed[wheel.sha256] = str(tmp_path / "packed")
    (tree,) = store.add([wheel])
    (own,) = make_store(tmp_path / "three", target).add([wheel])
    assert [bundle._replace(root="") for bundle in tree.bundles] == [bundle._replace(root="") for bundle in own.bundles]
    assert not list(tmp_path.glob("**/outside.pyc"))


def test_where_nothing_from_elsewhere_is_wanted_it_is_made_here(packed, wheel, target, tmp_path):
    (tmp_path / "packed").write_bytes(packed)
    store = make_store(tmp_path / "two", target)
    store.packed[wheel.sha256] = str(tmp_path / "packed")
    (borrowed,) = store.add([wheel])
    own = make_store(tmp_path / "two", target)
    own.own = True
    assert own.find(wheel.sha256) is None
    own.packed[wheel.sha256] = str(tmp_path / "packed")
    (made,) = own.add([wheel])
    assert made.byte_code != borrowed.byte_code
    for each in (store, own):  # from now on everybody has what was made here
        assert each.find(wheel.sha256).byte_code == made.byte_code
    own.discard(wheel.sha256)
    assert store.find(wheel.sha256) is None
