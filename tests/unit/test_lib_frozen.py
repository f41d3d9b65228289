"""What a frozen index needs, as read from sdists, and that it is complete or absent."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest

from tests.lib import frozen
from tests.lib.archives import make_sdist


@pytest.mark.parametrize(
    ("backend", "requires"),
    [("setup.py", frozen.LEGACY_BUILD_REQUIRES), ("flit", ("flit_core>=3.11,<4",)), ("in-tree", ())],
)
def test_build_requirements_are_read_from_an_sdist(backend, requires, tmp_path):
    assert frozen.read_build_requires(make_sdist(str(tmp_path), "pkg", "1.0", backend=backend)) == requires


def test_a_pyproject_without_build_system_means_setuptools(tmp_path):
    extra = {"pyproject.toml": "[tool.x]\n"}
    sdist = make_sdist(str(tmp_path), "pkg", "1.0", backend="setup.py", extra_files=extra)
    assert frozen.read_build_requires(sdist) == frozen.LEGACY_BUILD_REQUIRES


def test_a_frozen_index_is_filled_once(monkeypatch, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six\n")
    calls = []

    def fill(path, staged, scratch, python):
        calls.append(path)
        os.makedirs(staged)

    monkeypatch.setattr(frozen, "_fill", fill)
    paths = [frozen.frozen_index(str(requirements), str(tmp_path / "cache")) for _ in range(2)]
    digest = hashlib.sha256(b"six\n").hexdigest()[:16]
    version = "{}.{}".format(*sys.version_info[:2])
    assert paths == [str(tmp_path / "cache" / f"{digest}-{version}")] * 2
    assert calls == [str(requirements)]
    assert os.listdir(tmp_path / "cache") == [f"{digest}-{version}"]


def test_a_frozen_index_that_cannot_be_filled_is_absent(monkeypatch, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six\n")

    def fill(path, staged, scratch, python):
        os.makedirs(staged)
        raise RuntimeError("the index is away")

    monkeypatch.setattr(frozen, "_fill", fill)
    with pytest.raises(RuntimeError):
        frozen.frozen_index(str(requirements), str(tmp_path / "cache"))
    assert os.listdir(tmp_path / "cache") == []
