"""PipAccelerator: what it checks when it is made, and how it refuses; the names that are imported beside it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pip_accel
from pip_accel import PatchedAttribute, PipAccelerator
from pip_accel.config import Config
from pip_accel.exceptions import EnvironmentMismatchError, PipAcceleratorError, Unsupported

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path):
    settings = Config(load_configuration_files=False, load_environment_variables=False)
    settings.data_directory = str(tmp_path / "data")
    return settings


@pytest.fixture(params=["another", "gone"])
def mismatch(request, tmp_path, monkeypatch):
    """Has ``$VIRTUAL_ENV`` name a directory that is not the environment of this process; gives its path."""
    directory = tmp_path / request.param
    if request.param == "another":
        directory.mkdir()
    monkeypatch.setenv("VIRTUAL_ENV", str(directory))
    return str(directory)


# Names


def test_names_resolve_at_first_use_and_without_pip(tmp_path):
    code = """if True:
        import sys, pip_accel
        assert "pip_accel._embedding" not in sys.modules
        from pip_accel import PatchedAttribute, PipAccelerator
        assert "pip_accel._embedding" in sys.modules
        from pip_accel.config import Config
        PipAccelerator(Config(load_configuration_files=False), validate=False)
        assert not [name for name in sys.modules if name.partition(".")[0] == "pip"]
    """
    command = [sys.executable, "-W", "error", "-c", code]
    environ = {**os.environ, "PIP_ACCEL_CACHE": str(tmp_path / "data")}
    done = subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_public_names_resolve():
    assert {"PatchedAttribute", "PipAccelerator", "__version__"} == set(pip_accel.__all__)
    assert all(getattr(pip_accel, name) for name in pip_accel.__all__)


@pytest.mark.parametrize(
    "name", ["AttributeOverrides", "CustomPackageFinder", "DownloadLogFilter", "SetupRequiresPatch", "no_such_name"]
)
def test_names_that_are_gone_are_missing_as_any_other(name):
    with pytest.raises(AttributeError, match=f"'pip_accel' has no attribute '{name}'"):
        getattr(pip_accel, name)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (PipAccelerator, "config, validate=True, *, python=None"),
        (PipAccelerator.validate_environment, "self"),
        (PipAccelerator.install_from_arguments, "self, arguments, **kw"),
        (PatchedAttribute, "object, attribute, value, enabled=True"),
    ],
    ids=["PipAccelerator", "validate_environment", "install_from_arguments", "PatchedAttribute"],
)
def test_the_signature_is_the_documented_one(function, expected):
    signature = inspect.signature(function)
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == f"({expected})"


# The environment


def test_another_active_environment_is_refused_when_it_is_made(config, mismatch):
    with pytest.raises(EnvironmentMismatchError) as caught:
        PipAccelerator(config)
    assert mismatch in str(caught.value) and sys.prefix in str(caught.value) and "--python" in str(caught.value)


def test_without_validation_it_is_refused_when_that_is_asked_for(config, mismatch):
    accelerator = PipAccelerator(config, validate=False)
    with pytest.raises(EnvironmentMismatchError, match="VIRTUAL_ENV"):
        accelerator.validate_environment()


def test_an_interpreter_that_is_named_makes_the_active_environment_irrelevant(config, mismatch):
    accelerator = PipAccelerator(config, python=sys.executable)
    assert accelerator.validate_environment() is None


@pytest.mark.parametrize("value", [None, "", sys.prefix, os.path.join(sys.prefix, "bin", "..")])
def test_the_environment_we_run_in_is_accepted(config, value, monkeypatch):
    if value is not None:
        monkeypatch.setenv("VIRTUAL_ENV", value)
    assert PipAccelerator(config).validate_environment() is None


def test_it_keeps_the_configuration(config):
    assert PipAccelerator(config).config is config


# What is refused


@pytest.mark.parametrize(
    "words",
    [[], ["-c", os.devnull], ["--no-such-option", "alpha"], ["--help"], ["--report"], ["alpha", " "]],
    ids=" ".join,
)
def test_words_that_only_pip_understands_are_refused(config, words):
    with pytest.raises(Unsupported) as caught:
        PipAccelerator(config, python=sys.executable).install_from_arguments(words)
    assert isinstance(caught.value, PipAcceleratorError)


@pytest.mark.parametrize("kind", ["missing", "no interpreter"])
def test_an_interpreter_that_cannot_be_started_is_refused(config, kind, tmp_path):
    path = tmp_path / "python"
    if kind == "no interpreter":
        path.write_text("")
    with pytest.raises(Unsupported, match="python"):
        PipAccelerator(config, python=str(path)).install_from_arguments(["alpha"])


# PatchedAttribute


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_patched_attribute_is_restored(error):
    thing = SimpleNamespace(value=1)
    try:
        with PatchedAttribute(thing, "value", 2):
            assert thing.value == 2
            if error is not None:
                raise error
    except ValueError:
        assert error is ValueError
    else:
        assert error is None
    assert thing.value == 1


def test_a_patched_attribute_that_is_not_enabled_stays_as_it_is():
    thing = SimpleNamespace(value=1)
    with PatchedAttribute(thing, "value", 2, enabled=False):
        assert thing.value == 1
        thing.value = 3
    assert thing.value == 3
    with PatchedAttribute(object=thing, attribute="missing", value=2, enabled=False):
        assert not hasattr(thing, "missing")
