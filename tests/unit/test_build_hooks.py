"""The hooks of build backends, those for wheels and those for editables; a small backend answers."""

from __future__ import annotations

import os
import sys

import pytest

from pip_accel._build.hooks import Backend
from pip_accel._build.source import BuildSystem
from pip_accel.exceptions import BuildFailed, Unsupported

#: Says which hook it was called by, in what it gives.
BACKEND = '''
import os

def _requires(kind):
    return lambda config_settings=None: [f"{kind}{(config_settings or {}).get('a', '')}"]

def _metadata(kind):
    def prepare(metadata_directory, config_settings=None):
        os.mkdir(os.path.join(metadata_directory, kind + "-1.dist-info"))
        open(os.path.join(metadata_directory, kind + "-1.dist-info", "METADATA"), "w").close()
        return kind + "-1.dist-info"
    return prepare

def _build(kind):
    def build(wheel_directory, config_settings=None, metadata_directory=None):
        with open(os.path.join(wheel_directory, kind + ".whl"), "w") as stream:
            stream.write(os.path.basename(metadata_directory or "none"))
        return kind + ".whl"
    return build

for kind in KINDS:
    globals()["get_requires_for_build_" + kind] = _requires(kind)
    globals()["prepare_metadata_for_build_" + kind] = _metadata(kind)
    globals()["build_" + kind] = _build(kind)
'''


@pytest.fixture
def call(tmp_path):
    """The backend of a project that knows these kinds of builds."""

    def make(*kinds, editable=False, **settings):
        (tmp_path / "small_backend.py").write_text(f"KINDS = {kinds!r}\n{BACKEND}")
        system = BuildSystem((), "small_backend", (".",), False)
        environ = {"PATH": os.environ["PATH"]}
        return Backend(str(tmp_path), system, sys.executable, environ, settings, "alpha", editable=editable)

    return make


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_each_kind_of_build_has_hooks_of_its_own(call, tmp_path, kind):
    backend = call("wheel", "editable", editable=kind == "editable", a="=b")
    (tmp_path / "out").mkdir()
    assert backend.requires() == [f"{kind}=b"]
    metadata = backend.metadata(str(tmp_path / "out"))
    assert metadata == str(tmp_path / "out" / f"{kind}-1.dist-info")
    built = backend.wheel(str(tmp_path / "out"), metadata)
    assert built == str(tmp_path / "out" / f"{kind}.whl")
    with open(built) as stream:
        assert stream.read() == f"{kind}-1.dist-info"


def test_a_backend_without_editables_is_left_to_pip(call, tmp_path):
    backend = call("wheel", editable=True)
    assert backend.requires() == []
    with pytest.raises(Unsupported, match="alpha knows no editables"):
        backend.metadata(str(tmp_path))


def test_a_backend_that_cannot_be_imported_is_an_error(tmp_path):
    system = BuildSystem((), "no_backend", (), False)
    for editable in (False, True):
        backend = Backend(str(tmp_path), system, sys.executable, {}, {}, "alpha", editable=editable)
        with pytest.raises(BuildFailed, match="cannot import build backend 'no_backend'"):
            backend.requires()
