"""How sdists are to be built: what belongs to which project, and what makes its metadata another one."""

from __future__ import annotations

import json
import os

import pytest

from pip_accel._build.key import may_hold_secret
from pip_accel._build.recipe import Recipe, see_outside
from tests.lib.trees import make_target

SETTINGS = {"alpha": {"mode": "fast"}, "/srv/project": {"mode": "slow"}}


@pytest.mark.parametrize(
    ("project", "source", "expected"),
    [
        pytest.param("alpha", "", {"mode": "fast"}, id="by name"),
        pytest.param("alpha", "/elsewhere", {"mode": "fast"}, id="by name, whatever its tree"),
        pytest.param("", "/srv/project", {"mode": "slow"}, id="by path"),
        pytest.param("alpha", "/srv/project", {"mode": "slow"}, id="the path counts first"),
        pytest.param("beta", "", {}, id="another project"),
        pytest.param("", "", {}, id="of which nothing is known"),
    ],
)
def test_config_settings_belong_to_a_project_or_a_directory(project, source, expected):
    assert Recipe(settings=SETTINGS).settings_of(project, source) == expected


# Variants


def test_the_usual_way_has_no_name():
    assert Recipe().variant("alpha") == ""
    assert Recipe(settings=SETTINGS).variant("beta") == ""
    assert Recipe(environ={"HOME": "/root", "BETA_MODE": "1"}).variant("alpha") == ""


WAYS = {
    "without isolation": Recipe(isolation=False),
    "without isolation, beside something": Recipe(isolation=False, outside=("beta==1.0 0",)),
    "without isolation, beside something else": Recipe(isolation=False, outside=("beta==2.0 0",)),
    "with settings": Recipe(settings=SETTINGS),
    "with another value": Recipe(settings={"alpha": {"mode": "slow"}}),
    "with several values": Recipe(settings={"alpha": {"mode": ("fast", "slow")}}),
    "with these in another order": Recipe(settings={"alpha": {"mode": ("slow", "fast")}}),
    "with constraints": Recipe(constraints=("beta<2",)),
    "with others": Recipe(constraints=("beta<3",)),
    "with a variable of its own": Recipe(environ={"ALPHA_MODE": "1"}),
    "with another value of that": Recipe(environ={"ALPHA_MODE": "2"}),
    "with compiler flags": Recipe(environ={"CFLAGS": "-O0"}),
    "with a variable that the user named": Recipe(environ={"WHATEVER": "1"}, variables=("WHATEVER",)),
}


def test_every_way_has_a_name_of_its_own_which_stays_the_same():
    names = {way: recipe.variant("alpha") for way, recipe in WAYS.items()}
    assert "" not in names.values()
    assert len(set(names.values())) == len(WAYS)
    assert names == {way: Recipe(*recipe).variant("alpha") for way, recipe in WAYS.items()}


def test_a_name_is_one_of_a_file_and_tells_no_value():
    name = Recipe(environ={"ALPHA_MODE": "swordfish"}, constraints=("../beta<2",)).variant("alpha")
    assert name.replace("-", "").isalnum()
    assert "swordfish" not in name


def test_settings_of_other_projects_do_not_change_a_name():
    one, two = ({"alpha": {"mode": "fast"}, "beta": {"mode": mode}} for mode in ("fast", "slow"))
    assert Recipe(settings=one).variant("alpha") == Recipe(settings=two).variant("alpha")


def test_the_state_of_variables_changes_with_their_values():
    recipes = [Recipe(environ=environ) for environ in ({}, {"MODE": "1"}, {"MODE": "2"}, {"MODE": "1", "OTHER": "1"})]
    states = [recipe.state(["MODE"]) for recipe in recipes]
    assert [set(state) for state in states] == [{"MODE"}] * 4
    assert states[1] == states[3]
    assert len({state["MODE"] for state in states}) == 3


def test_the_state_of_variables_tells_flags_from_secrets():
    secrets = {"CXXFLAGS": "-DTOKEN=hunter2", "MODE_PASSPHRASE": "hunter2"}
    flags = {"CFLAGS": "-O1", "LDFLAGS": ""}
    state = Recipe(environ={**secrets, **flags}).state([*secrets, *flags, "CC"])
    assert {name for name, value in state.items() if may_hold_secret((name, value))} == set(secrets)
    assert (state["CFLAGS"], state["CC"]) == ("-O1", "")
    assert state["LDFLAGS"]  # what is empty is not what is not there
    assert "hunter2" not in str(state)


# What a build sees that is not isolated


@pytest.fixture
def target(tmp_path):
    return make_target(str(tmp_path))


def add(target, name, version="1.0", *, rows=("{name}.py,sha256=abc,1",), direct=None):
    info = os.path.join(target.scheme.purelib, f"{name}-{version}.dist-info")
    os.makedirs(info, exist_ok=True)
    if rows is not None:
        with open(os.path.join(info, "RECORD"), "w", encoding="utf-8") as stream:
            stream.writelines(row.format(name=name, info=os.path.basename(info)) + "\n" for row in rows)
    if direct is not None:
        with open(os.path.join(info, "direct_url.json"), "w", encoding="utf-8") as stream:
            json.dump(direct, stream, sort_keys=True)


def test_it_sees_each_distribution_with_its_version(target):
    assert see_outside(target) == ()
    add(target, "beta", "2.0")
    add(target, "alpha", direct={"archive_info": {}, "url": "file:///alpha.tar.gz"})
    seen = see_outside(target)
    assert [row.split()[0] for row in seen] == ["alpha==1.0", "beta==2.0"]
    assert see_outside(target) == seen


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(["{name}.py,sha256=abd,1"], id="another module"),
        pytest.param(["{name}.py,sha256=abc,1", "more.py,sha256=abc,1"], id="one more"),
        pytest.param(["other.py,sha256=abc,1"], id="of another name"),
        pytest.param([], id="none"),
    ],
)
def test_it_sees_other_modules(target, rows):
    add(target, "alpha")
    before = see_outside(target)
    add(target, "alpha", rows=rows)
    assert see_outside(target) != before


def test_what_each_environment_has_of_its_own_makes_no_difference(target):
    add(target, "alpha")
    before = see_outside(target)
    own = ["../../../bin/run,sha256=def,1", "/srv/env/bin/run,sha256=def,1", "{info}/direct_url.json,sha256=def,1"]
    own += ["{info}/REQUESTED,sha256=def,0", "__pycache__/{name}.cpython-311.pyc,,", "{info}/RECORD,,"]
    add(target, "alpha", rows=[*own, "{name}.py,sha256=abc,1"])
    assert see_outside(target) == before


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({"direct": {"dir_info": {"editable": True}, "url": "file:///srv"}}, id="editable"),
        pytest.param({"rows": None}, id="without RECORD"),
    ],
)
def test_beside_what_may_change_at_any_time_nobody_knows_what_it_sees(target, what):
    add(target, "alpha")
    add(target, "edited", **what)
    assert see_outside(target) is None


def test_a_directory_that_was_not_installed_as_editable_does_not_change(target):
    add(target, "alpha", direct={"dir_info": {}, "url": "file:///srv/editable"})
    assert see_outside(target) == see_outside(target)
