"""The key of a build, from outside: what changes it gives a new build, and changed back the old one is there again."""

from __future__ import annotations

import itertools
import json
import os
import sys
import sysconfig
from typing import Any, NamedTuple

import pytest

from tests.lib.archives import IN_TREE_BACKEND, make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.index import IndexServer
from tests.lib.runs import find_interpreters, run_pip_accel

#: A build whose result tells it from all others, and what the build saw. One of the variables is named here.
WITNESS = """

_build_wheel = build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open("names.json", encoding="utf-8") as handle:
        seen = {name: os.environ.get(name) for name in json.load(handle)}
    try:
        from helper import __version__ as helper
    except ImportError:
        helper = None
    fast = os.environ.get("WITH_SPEED") == "1"
    seen.update(settings=config_settings, helper=helper, fast=fast, build=os.urandom(8).hex())
    with open("payload/odd/seen.json", "w", encoding="utf-8") as handle:
        json.dump(seen, handle)
    return _build_wheel(wheel_directory, config_settings)
"""


class Change(NamedTuple):
    """Words and variables of a run, and what its build sees; ``{here}`` is the directory of the workshop."""

    words: tuple[str, ...]
    variables: dict[str, str]
    seen: dict[str, Any]


def words(*words: str, **seen: Any) -> Change:
    return Change(words, {}, seen)


def variable(name: str, value: str, **others: str) -> Change:
    return Change((), {name: value, **others}, {name: value})


def compiler(**variables: str) -> Change:
    return Change((), variables, {})


CHANGES = {
    "CFLAGS": variable("CFLAGS", "-O1"),
    "PKG_CONFIG_PATH": variable("PKG_CONFIG_PATH", "/opt/lib/pkgconfig"),
    "SOURCE_DATE_EPOCH": variable("SOURCE_DATE_EPOCH", "1700000000"),
    "a variable of cargo": variable("CARGO_PROFILE_RELEASE_LTO", "true"),
    "a variable that begins with the project's name": variable("ODD_MODE", "fast"),
    "a variable that the build backend names": Change((), {"WITH_SPEED": "1"}, {"fast": True}),
    "a variable that the user names": variable("FLAVOUR", "salty", PIP_ACCEL_KEY_VARIABLES="OTHER FLAVOUR"),
    "salt": variable("PIP_ACCEL_SALT", "pepper"),
    "CC": compiler(CC="{here}/apart/cc"),
    "another compiler on PATH": compiler(PATH="{here}/other"),
    "no compiler": compiler(PATH="{here}/without-programs"),
    "config settings": words("-C", "mode=fast", settings={"mode": "fast"}),
    "a build constraint": words("--build-constraint", "{here}/constraints.txt", helper="1.0"),
    "no build isolation": words("--no-build-isolation", helper=None),
}
#: Not in a file of Python: the variables that stand there belong to the key.
NAMES = json.dumps(sorted({name for change in CHANGES.values() for name in change.seen if name.isupper()}))
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


class Installation(NamedTuple):
    """What the build saw that an environment got, and how many builds there were for that."""

    seen: dict[str, Any]
    builds: int


class Workshop:
    """An index, a data directory, and installations of ``odd``, whose builds count themselves and say what they saw."""

    def __init__(self, directory: os.PathLike[str], index: IndexServer) -> None:
        self.directory = os.fspath(directory)
        self.archives = os.path.join(self.directory, "archives")
        self.data = os.path.join(self.directory, "data")
        self.index = index
        self._counter = os.path.join(self.directory, "counter")
        self._numbers = itertools.count(1)
        for version in ("1.0", "2.0"):
            index.add(make_wheel(self.archives, "helper", version))
        index.add(self.make("1.0"))

    def make(self, version: str, note: str = "") -> str:
        """Write an sdist of ``odd``, in place of one with that version; give its path."""
        return make_sdist(
            self.archives, "odd", version, build_requires=["helper"], counter=self._counter,
            files={"odd/__init__.py": "", "odd/seen.json": ""},
            extra_files={
                "_backend/in_tree_backend.py": IN_TREE_BACKEND + WITNESS, "names.json": NAMES, "NOTE": note,
            },
        )  # fmt: skip

    def install(self, *words: str, python: str = sys.executable, umask: int = -1, **variables: str) -> Installation:
        """Install ``odd`` into a fresh environment."""
        before = self._builds()
        environment = make_environment(os.path.join(self.directory, f"env-{next(self._numbers)}"), python)
        # On the usual PATH pip would ask several programs for what it tells an index of this machine.
        variables = {"PIP_INDEX_URL": self.index.url, "PATH": os.path.join(self.directory, "usual"), **variables}
        run = run_pip_accel(["install", *(words or ["odd==1.0"])], environment, self.data, umask=umask, **variables)
        assert run.summary, f"pip did this instead:\n{run.stderr}"
        with open(os.path.join(environment.site_packages, "odd", "seen.json"), encoding="utf-8") as stream:
            return Installation(json.load(stream), self._builds() - before)

    def _builds(self) -> int:
        if not os.path.exists(self._counter):
            return 0
        with open(self._counter, encoding="utf-8") as stream:
            return sum(line.startswith("build_wheel ") for line in stream)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A workshop that has built ``odd``, and that installation."""
    directory = tmp_path_factory.mktemp("workshop")
    for path in (directory / "usual" / COMPILER, directory / "other" / COMPILER, directory / "apart" / "cc"):
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\necho the {path.parent.name} compiler\n")
        path.chmod(0o755)
    (directory / "without-programs").mkdir()
    (directory / "constraints.txt").write_text("helper<2\n")
    with IndexServer() as index:
        workshop = Workshop(directory, index)
        yield workshop, workshop.install()


def test_the_first_installation_builds_once_and_the_second_not_at_all(built):
    workshop, first = built
    assert (first.builds, first.seen["helper"]) == (1, "2.0")
    assert workshop.install() == (first.seen, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_part_of_the_key_gives_a_new_build_and_changed_back_the_old_one(built, change):
    workshop, first = built
    words = [word.format(here=workshop.directory) for word in CHANGES[change].words]
    variables = {name: value.format(here=workshop.directory) for name, value in CHANGES[change].variables.items()}
    changed = workshop.install(*words, "odd==1.0", **variables)
    assert changed.builds == 1
    assert {name: changed.seen[name] for name in CHANGES[change].seen} == CHANGES[change].seen
    assert workshop.install() == (first.seen, 0)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"FOO": "1", "HOME": "/nowhere", "TERM": "dumb", "FLAVOUR": "salty"}, id="others"),
        pytest.param(
            {"ODDITY": "1", "VERY_ODD_MODE": "1", "CARGO": "1", "CARGO_REGISTRY_TOKEN": "1", "ODD_PASSWORD": "1"},
            id="names that are alike, and secrets",
        ),
        pytest.param({"PIP_ACCEL_KEY_VARIABLES": "FLAVOUR"}, id="one that the user names and that is not set"),
        pytest.param({"PIP_ACCEL_BUILD_JOBS": "1", "PIP_NO_COMPILE": "1", "PIP_NO_DEPS": "1"}, id="other options"),
    ],
)
def test_what_is_no_part_of_the_key_builds_nothing(built, variables):
    workshop, first = built
    assert workshop.install(umask=0o077, **variables) == (first.seen, 0)


def touch(path):
    os.utime(path, (os.lstat(path).st_mtime + 3600,) * 2, follow_symlinks=False)


def test_files_that_were_only_touched_are_the_same_files(built):
    workshop, first = built
    for directory, directories, names in os.walk(workshop.data):
        for name in (*directories, *names):
            touch(os.path.join(directory, name))
    assert workshop.install() == (first.seen, 0)


@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_each_interpreter_has_a_build_of_its_own(built, version):
    if version not in find_interpreters() or sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip(f"there is no other Python {version}")
    workshop, first = built
    assert workshop.install(python=find_interpreters()[version]).builds == 1
    assert workshop.install() == (first.seen, 0)


@pytest.mark.parametrize("place", ["index", "directory"])
def test_other_content_under_the_same_name_and_version_is_built_anew(built, place):
    """The index shows a hash of what it serves; what lies in a directory has none."""
    workshop, first = built
    words = ("-U",) if place == "index" else ("--no-index", "--find-links", workshop.archives)
    workshop.index.add(workshop.make("1.0", note=f"changed for the {place}"))
    assert workshop.install(*words, "odd==1.0").builds == 1
    path = workshop.make("1.0")
    touch(path)
    workshop.index.add(path)
    assert workshop.install(*words, "odd==1.0") == (first.seen, 0)


def test_each_version_has_a_build_of_its_own(built):
    workshop, first = built
    workshop.index.add(workshop.make("2.0"))
    assert workshop.install("odd==2.0").builds == 1
    assert workshop.install("odd==1.0") == (first.seen, 0)


@pytest.mark.parametrize(
    ("make", "version", "files"),
    [
        pytest.param(make_sdist, "3.0", None, id="another version"),
        pytest.param(make_wheel, "2.0", {"helper.py": "__version__ = 'other'\n"}, id="another content"),
    ],
)
def test_another_build_requirement_gives_a_new_build(built, make, version, files):
    workshop, first = built
    words = ("--no-index", "--find-links", workshop.archives, "odd==1.0")
    changed = make(workshop.archives, "helper", version, files=files)
    other = workshop.install(*words)
    assert (other.builds, other.seen["helper"]) == (1, "other" if files else version)
    os.unlink(changed)
    make_wheel(workshop.archives, "helper", "2.0")
    assert workshop.install(*words) == (first.seen, 0)
