"""Build environments: made by hand, they run, and see what they were filled with and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pip_accel._build.environment import Environments, fill_environment, make_environment
from pip_accel._environment import find_target
from tests.lib.trees import TEMPLATE, make_tree


@pytest.fixture(scope="module")
def target():
    return find_target(None)


@pytest.fixture
def make(tmp_path, target):
    def make(**environ):
        environ = {"PATH": os.environ["PATH"], **environ}
        return make_environment(str(tmp_path / "env"), target, environ)

    return make


def ask(environment, code, **more):
    done = subprocess.run(
        [environment.target.python, "-c", f"import json, os, sys\nprint(json.dumps({code}))"],
        env=dict(environment.environ), capture_output=True, text=True, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_runs_the_interpreter_of_the_target(make, tmp_path):
    environment = make()
    assert ask(environment, "[list(sys.version_info[:3]), sys.prefix, sys.base_prefix]") == [
        list(sys.version_info[:3]),
        str(tmp_path / "env"),
        sys.base_prefix,
    ]
    assert environment.target.scheme.purelib == ask(environment, "__import__('sysconfig').get_path('purelib')")
    assert environment.target.scheme.scripts == ask(environment, "__import__('sysconfig').get_path('scripts')")


def test_it_is_the_target_that_an_interpreter_there_describes(make):
    environment = make()
    described = find_target(environment.target.python)
    assert described.scheme == environment.target.scheme
    assert (described.prefix, described.virtual, described.abi) == (
        environment.target.prefix,
        True,
        environment.target.abi,
    )


def test_it_sees_nothing_but_the_standard_library(make):
    environment = make()
    seen = [each for each in ask(environment, "sys.path", cwd="/") if os.path.basename(each).endswith("-packages")]
    assert seen == [environment.target.scheme.purelib]
    assert os.listdir(seen[0]) == []


def test_settings_of_the_caller_do_not_leak_in(make, tmp_path):
    leaked = tmp_path / "leaked"
    leaked.mkdir()
    (leaked / "leaked_module.py").write_text("")
    environment = make(
        PYTHONPATH=str(leaked),
        PYTHONHOME="/nonexistent",
        PYTHONSTARTUP="/x",
        PIP_ACCEL_PREPARE="x",
        VIRTUAL_ENV="/other",
    )
    assert str(leaked) not in ask(environment, "sys.path")
    assert ask(environment, "__import__('importlib.util').util.find_spec('leaked_module') is None")
    assert {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PIP_ACCEL_PREPARE"}.isdisjoint(environment.environ)
    assert environment.environ["VIRTUAL_ENV"] == str(tmp_path / "env")


def test_builds_speak_english_and_find_the_programs_of_their_environment(make):
    environment = make(LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8", CFLAGS="-O3")
    assert environment.environ["LC_ALL"] == "C.UTF-8"
    assert environment.environ["CFLAGS"] == "-O3"
    assert ask(environment, "__import__('shutil').which('python')") == environment.target.python


def test_it_sees_what_it_was_filled_with(make, tmp_path):
    environment = make()
    tree = make_tree(
        str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": "x = 1\n", "scripts/run": "#!python\nprint(2)\n"}
    )
    fill_environment(environment, [tree], TEMPLATE, 0o022)
    assert ask(environment, "__import__('alpha').x") == 1
    assert ask(environment, "__import__('importlib.metadata').metadata.version('alpha')") == "1.0"
    done = subprocess.run([os.path.join(environment.target.scheme.scripts, "run")], capture_output=True, text=True)
    assert done.stdout == "2\n"


def test_filling_it_with_nothing_is_no_error(make):
    fill_environment(make(), [], TEMPLATE, 0o022)


def test_what_a_build_does_to_it_does_not_reach_the_store(make, tmp_path):
    environment = make()
    tree = make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": "x = 1\n", "data/share/a": "a"})
    fill_environment(environment, [tree], TEMPLATE, 0o022)
    inodes = {
        os.stat(os.path.join(tree.path, file.scheme, *file.path.split("/"))).st_ino: file.path for file in tree.files
    }
    shared = [
        name
        for directory, _, names in os.walk(environment.target.prefix)
        for name in names
        if os.lstat(os.path.join(directory, name)).st_ino in inodes
    ]
    assert shared == []
    with open(os.path.join(environment.target.scheme.purelib, "alpha.py"), "a", encoding="utf-8") as stream:
        stream.write("x = 2\n")
    with open(os.path.join(tree.path, "purelib", "alpha.py"), encoding="utf-8") as stream:
        assert stream.read() == "x = 1\n"


# Lending


@pytest.fixture
def lend(tmp_path, target):
    """Environments that each digest gives a module of that name; the numbers of those that were made."""
    made = []

    def place():
        made.append(len(made))
        return str(tmp_path / f"env-{len(made)}")

    def install(environment, digests):
        for digest in digests:
            with open(os.path.join(environment.target.scheme.purelib, f"{digest}.py"), "w") as stream:
                stream.write("x = 1\n")

    environments = Environments(place, target, {"PATH": os.environ["PATH"]}, install)
    environments.made = made
    return environments


def contents(environment):
    return sorted(os.listdir(environment.target.scheme.purelib))


def test_an_environment_that_was_left_as_it_was_serves_the_next_build(lend):
    first = lend.borrow(["a", "b"])
    lend.give_back(first)
    assert lend.borrow(["b", "a"]) is first
    assert contents(first) == ["a.py", "b.py"]


def test_two_builds_never_share_an_environment(lend):
    assert lend.borrow(["a"]) is not lend.borrow(["a"])


def test_an_environment_that_was_extended_serves_builds_that_want_all_of_it(lend):
    environment = lend.borrow(["a"])
    lend.extend(environment, ["b"])
    lend.give_back(environment)
    assert lend.borrow(["a"]) is not environment
    assert lend.borrow(["a", "b"]) is environment


def edit_in_place(path):
    status = os.stat(path)
    with open(path, "r+", encoding="utf-8") as stream:
        stream.write("y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(edit_in_place, id="a file edited, its size and time as they were"),
        pytest.param(os.unlink, id="a file gone"),
        pytest.param(lambda path: open(path + "x", "w").close(), id="a new file"),
        pytest.param(lambda path: os.mkdir(path + "x"), id="a new directory"),
        pytest.param(lambda path: os.chmod(path, 0o600), id="another mode"),
    ],
)
def test_an_environment_in_which_a_build_changed_anything_goes(lend, change):
    environment = lend.borrow(["a"])
    change(os.path.join(environment.target.scheme.purelib, "a.py"))
    lend.give_back(environment)
    assert not os.path.exists(environment.target.prefix)
    another = lend.borrow(["a"])
    assert another is not environment
    assert contents(another) == ["a.py"]
