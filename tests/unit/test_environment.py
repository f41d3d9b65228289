"""The target: found, described the same from within and from outside, and as pip sees it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from packaging.markers import default_environment

from pip_accel import _environment, _probe
from pip_accel._environment import find_interpreter, find_target, target_tag, validate_environment
from pip_accel._resources import host_pip_version, is_older
from pip_accel._values import Destination, Target
from pip_accel.exceptions import EnvironmentMismatchError, Unsupported
from tests.lib.environments import clean_environ, make_environment
from tests.lib.trees import make_target

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(_environment.__file__)))
BASE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
#: Where the pip lies that is asked, by whichever interpreter.
PIP = str(importlib.metadata.distribution("pip").locate_file(""))
#: What pip itself makes of destinations, in the interpreter that it runs in.
ASK_PIP = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pip._internal.locations import get_scheme
answers = []
for user, target, prefix, root, _plain in json.loads(sys.argv[2]):
    # Options that are not given are None to pip.
    scheme = get_scheme("alpha", user=bool(user), home=target or None, prefix=prefix or None, root=root or None)
    answers.append([getattr(scheme, name) for name in ("purelib", "platlib", "headers", "scripts", "data")])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A virtual environment without anything in it."""
    return make_environment(str(tmp_path_factory.mktemp("environment") / "env"))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A virtual environment that sees what the Python has that it was made of, and its user site."""
    environment = make_environment(str(tmp_path_factory.mktemp("environment") / "seeing"))
    with open(os.path.join(environment.prefix, "pyvenv.cfg"), encoding="utf-8") as stream:
        text = stream.read()
    with open(os.path.join(environment.prefix, "pyvenv.cfg"), "w", encoding="utf-8") as stream:
        stream.write(text.replace("site-packages = false", "site-packages = true"))
    return environment


def ask(python, code, *words):
    done = subprocess.run([python, "-c", code, *words], capture_output=True, text=True, env=clean_environ(), cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Description


def test_an_interpreter_describes_itself_as_others_see_it():
    code = (
        "import json, sys; sys.path.append(sys.argv.pop()); found = []\n"
        "from pip_accel._environment import find_target\n"
        "from pip_accel._values import Destination\nsys.path.pop()\n"
        "for to in (Destination(), Destination(None, '/t'), Destination(False, '', '/p', '/r')):\n"
        "    found.append([find_target(None, to), find_target(sys.executable, to)])\nprint(json.dumps(found))"
    )
    for within, outside in ask(sys.executable, code, CHECKOUT):
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


DESTINATIONS = {
    "itself": (Destination(False), "environment", "{prefix}"),
    "user": (Destination(True), "user", "{userbase}"),
    "target": (Destination(target="/some/where"), "directory", "/some/where"),
    "target, and no user": (Destination(False, target="/some/where/"), "directory", "/some/where/"),
    "prefix": (Destination(prefix="/some/where"), "elsewhere", "/some/where"),
    "usual prefix": (Destination(prefix="/usr"), "elsewhere", "/usr"),
    "root": (Destination(False, root="/some/where"), "elsewhere", "/some/where"),
    "root of all": (Destination(False, root="/"), "elsewhere", "/"),
    "prefix and root": (Destination(prefix="/usr/local", root="/some/where"), "elsewhere", "/some/where"),
}


@pytest.mark.parametrize("kind", ["virtual", "seeing", "base"])
def test_the_scheme_is_that_of_pip(kind, empty, seeing, monkeypatch):
    for name, value in clean_environ().items():
        monkeypatch.setenv(name, value)
    python = {"virtual": empty.python, "seeing": seeing.python, "base": BASE}[kind]
    wanted = {key: each for key, each in DESTINATIONS.items() if key != "user" or kind != "virtual"}
    answers = ask(python, ASK_PIP, PIP, json.dumps([destination for destination, _, _ in wanted.values()]))
    code = "import json, site, sys; print(json.dumps({'prefix': sys.prefix, 'userbase': site.getuserbase()}))"
    places = ask(python, code)
    for (key, (destination, kind_of, place)), expected in zip(wanted.items(), answers, strict=True):
        # For Debian's Python: it depends on the release of pip what that takes for its prefix.
        target = find_target(python, destination._replace(plain=not is_older(host_pip_version(), (26, 3))))
        scheme = target.scheme._replace(headers=os.path.join(target.scheme.headers, "alpha"))
        assert (key, [os.path.normpath(path) for path in scheme]) == (key, list(map(os.path.normpath, expected)))
        assert (key, target.kind, target.place) == (key, kind_of, place.format(**places))
        assert not target.defaulted


def test_a_target_knows_the_usual_places_whatever_its_destination(seeing, monkeypatch):
    for name, value in clean_environ().items():
        monkeypatch.setenv(name, value)
    own, user = find_target(seeing.python), find_target(seeing.python, Destination(True))
    for destination, *_ in DESTINATIONS.values():
        target = find_target(seeing.python, destination)
        assert (target.prefix, target.scripts) == (own.prefix, own.scheme.scripts)
        assert (target.user_site, target.user_scripts) == (user.scheme.purelib, user.scheme.scripts)
        assert target.path == own.path


# The user site


def test_a_user_site_that_nobody_sees_is_left_to_pip(empty, seeing, monkeypatch):
    with pytest.raises(Unsupported, match="user site is not visible"):
        find_target(empty.python, Destination(True))
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    for python in (seeing.python, BASE):
        with pytest.raises(Unsupported, match="user site is not visible"):
            find_target(python, Destination(True))


def test_a_user_site_that_nobody_sees_is_left_to_pip_from_within(monkeypatch):
    monkeypatch.setattr(_probe, "_has_user_site", lambda: False)
    with pytest.raises(Unsupported, match="user site is not visible"):
        find_target(None, Destination(True))


#: What pip decides, in an interpreter that is told to be of some kind.
DECIDE = """
import json, site, sys
sys.path.insert(0, sys.argv[1])
from pip._internal.commands import install
from pip._internal.exceptions import PipError
answers = []
for user, target, prefix, root, _plain, enabled, writable, seen in json.loads(sys.argv[2]):
    site.ENABLE_USER_SITE = enabled
    install.test_writable_dir = lambda path: writable or (bool(root) and path.startswith(root))
    install.virtualenv_no_global = lambda: not seen
    try:
        answer = install.decide_user_install(user, prefix or None, target or None, root or None)
    except PipError:
        answer = "refused"
    answers.append(answer)
print(json.dumps(answers))
"""


def test_whether_it_is_the_user_site_is_decided_as_by_pip(monkeypatch):
    wanted = [Destination(user) for user in (None, True, False)]
    wanted += [Destination(target="/t"), Destination(prefix="/p"), Destination(root="/r"), Destination(False, "/t")]
    questions = [
        [*destination, enabled, writable, seen]
        for destination in wanted
        for enabled in (True, False)
        for writable in (True, False)
        for seen in (True, False)
    ]
    answers = ask(sys.executable, DECIDE, PIP, json.dumps(questions))
    for (*destination, enabled, writable, seen), expected in zip(questions, answers, strict=True):
        root = destination[3]
        monkeypatch.setattr(_probe, "_has_user_site", lambda enabled=enabled: enabled)
        monkeypatch.setattr(
            _probe,
            "_is_writable",
            lambda path, writable=writable, root=root: writable or bool(root and path.startswith(root)),
        )
        monkeypatch.setattr(_probe, "_sees_system_site", lambda seen=seen: seen)
        try:
            target = find_target(None, Destination(*destination))
            found = target.kind == "user"
            assert target.defaulted is (found and destination[0] is None)
        except Unsupported:
            found = "refused"
        assert found == expected, (destination, enabled, writable, seen)


@pytest.mark.parametrize(
    ("lines", "sees"),
    [
        ("home = /x\ninclude-system-site-packages = false\n", False),
        ("include-system-site-packages=false\n", False),
        ("include-system-site-packages = true\n", True),
        ("home = /x\n", True),
        ("include-system-site-packages = true\ninclude-system-site-packages = false\n", False),
        (None, False),
    ],
    ids=["not", "no blanks", "it does", "nothing is said", "twice", "no file"],
)
def test_what_a_virtual_environment_sees_is_read_as_by_pip(tmp_path, monkeypatch, lines, sees):
    if lines is not None:
        (tmp_path / "pyvenv.cfg").write_text(lines)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert _probe._sees_system_site() is sees
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); sys.prefix = sys.argv[2]\n"
        "from pip._internal.utils.virtualenv import virtualenv_no_global\nprint(json.dumps(virtualenv_no_global()))"
    )
    assert ask(sys.executable, code, PIP, str(tmp_path)) is not sees


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_missing_can_be_written_to_if_its_parent_can(tmp_path):
    (tmp_path / "no").mkdir(mode=0o555)
    assert _probe._is_writable(str(tmp_path / "a" / "b"))
    assert not _probe._is_writable(str(tmp_path / "no" / "b"))


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
