"""The target: found, described the same from within and from outside, and as pip sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from packaging.markers import default_environment

from pip_accel import _environment
from pip_accel._environment import find_interpreter, find_target, target_tag, validate_environment
from pip_accel._values import Target
from pip_accel.exceptions import EnvironmentMismatchError, Unsupported
from tests.lib.environments import clean_environ, make_environment
from tests.lib.trees import make_target

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(_environment.__file__)))
BASE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
#: What pip itself says of the interpreter that it runs in.
ASK_PIP = """
import json, sys
from pip._internal.locations import get_scheme
scheme = get_scheme("alpha")
fields = {name: getattr(scheme, name) for name in ("purelib", "platlib", "headers", "scripts", "data")}
print(json.dumps(fields))
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A virtual environment without anything in it."""
    return make_environment(str(tmp_path_factory.mktemp("environment") / "env"))


def ask(python, code, *words):
    done = subprocess.run([python, "-c", code, *words], capture_output=True, text=True, env=clean_environ(), cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Description


def test_an_interpreter_describes_itself_as_others_see_it():
    code = (
        "import json, sys; sys.path.append(sys.argv.pop())\nfrom pip_accel._environment import find_target\n"
        "sys.path.pop()\nprint(json.dumps([find_target(None), find_target(sys.executable)]))"
    )
    within, outside = ask(sys.executable, code, CHECKOUT)
    assert dict(zip(Target._fields, within, strict=True)) == dict(zip(Target._fields, outside, strict=True))


def test_a_description_has_what_the_interpreter_says(empty):
    target = find_target(empty.python)
    assert (target.python, target.prefix, target.virtual) == (empty.python, empty.prefix, True)
    assert target.version == "{}.{}.{}".format(*sys.version_info)
    assert (target.implementation, target.cache_tag) == (sys.implementation.name, sys.implementation.cache_tag)
    assert os.path.realpath(target.base_python) == BASE
    assert target.scheme.purelib == empty.site_packages
    assert empty.site_packages in target.path
    assert target.externally_managed == ""
    assert not any(os.path.basename(each) == "pip_accel" for each in target.path)


def test_markers_are_those_of_packaging():
    assert dict(find_target(None).markers) == {
        name: value for name, value in default_environment().items() if name != "extra"
    }


@pytest.mark.parametrize("kind", ["virtual", "base"])
def test_the_scheme_is_that_of_pip(kind):
    python = sys.executable if kind == "virtual" else BASE
    if subprocess.run([python, "-c", "import pip"], capture_output=True, env=clean_environ()).returncode != 0:
        pytest.skip(f"{python} has no pip to ask")
    target = find_target(python)
    expected = ask(python, ASK_PIP)
    assert expected.pop("headers") == os.path.join(target.scheme.headers, "alpha")
    assert {name: value for name, value in target.scheme._asdict().items() if name != "headers"} == expected


def test_a_virtual_environment_may_be_named_by_its_directory(empty):
    assert find_target(empty.prefix) == find_target(empty.python)


def test_the_path_names_each_directory_once(empty, tmp_path, monkeypatch):
    extra = tmp_path / "extra"
    extra.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(extra), str(tmp_path / "missing"), str(extra)]))
    path = find_target(empty.python).path
    assert path.count(str(extra)) == 1
    assert str(tmp_path / "missing") not in path
    assert len(path) == len(set(path))


def test_an_interpreter_is_found_by_its_path(tmp_path):
    assert find_interpreter(sys.executable) == sys.executable
    for name in ("bin/python", "Scripts/python.exe"):
        prefix = tmp_path / name.replace("/", "-")
        (prefix / name).parent.mkdir(parents=True)
        (prefix / name).write_text("")
        assert find_interpreter(str(prefix)) == str(prefix / name)


def test_no_interpreter_is_left_to_pip(tmp_path):
    for path in (tmp_path, tmp_path / "missing", ""):
        with pytest.raises(Unsupported, match="no Python interpreter"):
            find_interpreter(str(path))


@pytest.mark.parametrize(
    ("text", "mode"),
    [("#!/bin/sh\necho no JSON", 0o755), ("#!/bin/sh\nexit 3", 0o755), ("", 0o644), ("#!/bin/sh\necho '[1]'", 0o755)],
    ids=["no JSON", "fails", "no program", "another answer"],
)
def test_what_is_no_python_is_left_to_pip(tmp_path, text, mode):
    path = tmp_path / "python"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(Unsupported, match="does not run as a Python interpreter"):
        find_target(str(path))


# The tag


TARGET = make_target("/env")._replace(
    version="3.12.1", abi="cpython-312-x86_64-linux-gnu", platform="linux-x86_64", libc="glibc-2.36",
    implementation="cpython",
)  # fmt: skip


def test_the_tag_is_a_readable_file_name():
    assert target_tag(TARGET) == "cpython-3.12-cpython_312_x86_64_linux_gnu-linux_x86_64-glibc_2.36"
    assert target_tag(TARGET._replace(libc="", platform="a/b c")).endswith("-a_b_c")


@pytest.mark.parametrize(
    "change",
    [{"version": "3.13.1"}, {"implementation": "pypy"}, {"abi": "other"}, {"platform": "other"}, {"libc": "musl-1.2"}],
    ids=lambda change: next(iter(change)),
)
def test_the_tag_differs_where_archives_do(change):
    assert target_tag(TARGET._replace(**change)) != target_tag(TARGET)


def test_the_tag_does_not_depend_on_the_place():
    assert target_tag(TARGET._replace(prefix="/x", python="/x/p", version="3.12.9")) == target_tag(TARGET)


# $VIRTUAL_ENV


def test_the_active_environment_is_the_one_we_run_in(tmp_path):
    (tmp_path / "link").symlink_to(sys.prefix)
    for environ in ({}, {"VIRTUAL_ENV": ""}, {"VIRTUAL_ENV": sys.prefix}, {"VIRTUAL_ENV": str(tmp_path / "link")}):
        validate_environment(environ)


@pytest.mark.parametrize("gone", [False, True])
def test_another_active_environment_is_an_error_that_names_both_and_the_option(tmp_path, gone):
    active = str(tmp_path / "gone") if gone else str(tmp_path)
    with pytest.raises(EnvironmentMismatchError) as caught:
        validate_environment({"VIRTUAL_ENV": active})
    for words in (active, sys.prefix, f"--python {active}"):
        assert words in str(caught.value)
