"""What the engine refuses before it starts anything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pip_accel import _resources
from pip_accel._build.recipe import Recipe
from pip_accel._engine import Engine
from pip_accel.config import Config
from pip_accel.exceptions import BuildFailed, Unsupported


def engine(**variables):
    config = Config(load_configuration_files=False, load_environment_variables=False)
    resources = SimpleNamespace(environ=variables, config=config, jobs=1, target=None, place=lambda *parts: "/nowhere")
    return Engine(resources, Recipe(), None, {}, lambda text: None)


@pytest.mark.parametrize(
    ("version", "refused"), [("25.3", True), ("26.0.1", True), ("26.2", False), ("26.3", False), ("27.1.dev0", False)]
)
def test_constraints_that_an_older_pip_also_applies_to_builds_are_left_to_it(monkeypatch, version, refused):
    monkeypatch.setattr(_resources, "host_pip_version", lambda: version)
    assert engine().builder
    constrained = engine(PIP_CONSTRAINT="/c.txt")
    if refused:
        with pytest.raises(Unsupported, match="PIP_CONSTRAINT"):
            assert constrained.builder
    else:
        assert constrained.builder


@pytest.mark.parametrize(
    ("requirement", "error"),
    [("not a requirement!", BuildFailed), ("alpha @ https://example.com/alpha.whl", Unsupported)],
)
def test_build_requirements_that_cannot_be_planned_are_named(monkeypatch, requirement, error):
    monkeypatch.setattr(Engine, "_recall", lambda self, requires: None)
    with pytest.raises(error, match=requirement.split()[0]):
        engine().plan_requirements([requirement])
