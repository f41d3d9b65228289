"""Environments for tests, and what the processes in them see."""

from __future__ import annotations

import os
import sys

import pytest

from tests.lib.environments import clean_environ, make_environment


def test_a_clean_environ_has_no_settings_of_the_machine(monkeypatch):
    for name in ("PIP_INDEX_URL", "PIP_ACCEL_CACHE", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "1")
    environ = clean_environ(PIP_NO_INPUT="1")
    assert {name for name in environ if name.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))} == {
        "PIP_CONFIG_FILE",
        "PIP_DISABLE_PIP_VERSION_CHECK",
        "PIP_NO_INPUT",
    }
    assert "HTTPS_PROXY" not in environ
    assert environ["LC_ALL"] == "C.UTF-8" and environ["PATH"] == os.environ["PATH"]
    assert os.path.isdir(environ["HOME"]) and environ["HOME"] != os.environ.get("HOME")


def test_an_environment_is_one_without_pip(tmp_path):
    environment = make_environment(str(tmp_path / "env"))
    assert environment.run(["-c", "import sys; print(sys.prefix, sys.base_prefix)"]).stdout.split() == [
        environment.prefix,
        sys.base_prefix,
    ]
    assert os.listdir(environment.site_packages) == []
    with pytest.raises(AssertionError, match="No module named pip"):
        environment.run(["-m", "pip"])
