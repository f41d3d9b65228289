"""What several of these tests begin with."""

from __future__ import annotations

import os
import sys

import pytest

from pip_accel import req
from pip_accel._resources import host_pip_version
from tests.lib.trees import TEMPLATE, make_target


@pytest.fixture
def target(tmp_path, monkeypatch):
    """An environment that is empty, in place of the one that runs this; the data directory is ``data`` beside it."""
    target = make_target(str(tmp_path / "env"), python=sys.executable)
    os.makedirs(target.prefix)
    monkeypatch.setattr(req, "find_target", lambda python: target)
    templates = tmp_path / "data" / "templates"
    templates.mkdir(parents=True)
    (templates / f"pip-{host_pip_version()}").write_text(TEMPLATE)
    return target
