"""Oddly made projects: as pip builds and installs them, at once and again without network or a build.

All of ``tests/projects`` are installed by one run of each; the tests that are called after a project show what differs
about that one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.lib.index import IndexServer
from tests.lib.judge import Difference, Side, compare, compare_sides, drop_permitted, run_side
from tests.lib.projects import attribute, fill_index, find_projects, tool_environ
from tests.lib.runs import PIP, PIP_ACCEL, summary, without_network

PROJECTS = find_projects()
FAILING = [project for project in PROJECTS if project.fails]
#: Nobody asks for this one, but for what needs it to be built.
HELPER = "build-helper"
SOUND = [project for project in PROJECTS if not project.fails and project.directory != HELPER]
#: What a build of the project ``own-variable`` reads.
GREETING = "OWN_VARIABLE_GREETING"

pytestmark = pytest.mark.index


def param(project, *marks):
    """A project as a parameter of a test."""
    return pytest.param(project, id=project.directory, marks=marks)


class Served(NamedTuple):
    """An index with all projects."""

    index: IndexServer
    words: list[str]  #: options of pip that name it
    variables: dict[str, str]  #: for runs


class Judged(NamedTuple):
    """A run of pip-accel after pip had shown what is right."""

    side: Side
    differences: dict[str, list[Difference]]  #: by canonical name of the project
    downloads: dict[str, int]  #: by file name
    requests: list[tuple[str, str]]


class Runs(NamedTuple):
    """pip-accel with nothing in its data directory, and once more into a fresh environment, without network."""

    first: Judged
    second: Judged
    data: str  #: the data directory


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An index with all projects, and what they need to be built."""
    scratch = tmp_path_factory.mktemp("served")
    with IndexServer() as index:
        words = fill_index(index, PROJECTS, str(scratch / "archives"))
        yield Served(index, words, {**tool_environ(str(scratch)), GREETING: "hello"})


@pytest.fixture(scope="module")
def runs(served, tmp_path_factory):
    """All projects that can be built here, installed by pip and by pip-accel."""
    where = tmp_path_factory.mktemp("runs")
    data = str(where / "data")
    words = [project.requirement for project in SOUND if not project.missing_programs]

    # The names of the sides are equally long: paths in scripts are part of what is compared.
    def run(name, command, index_words=served.words):
        variables = {"PIP_ACCEL_CACHE": data, **served.variables}
        return run_side(
            str(where / name), command, words, index_args=index_words, python=sys.executable, environ=variables
        )

    def run_and_judge(name, command, pip):
        served.index.reset()
        side = run(name, command)
        assert side.status == 0, side.stdout + side.stderr
        downloads, requests = dict(served.index.downloads), list(served.index.requests)
        differences = drop_permitted(compare_sides(pip.result(), side))
        return Judged(side, attribute(differences, (pip.result(), side)), downloads, requests)

    # pip keeps one core busy, and gets an index of its own, so that both can be at it at once.
    with IndexServer() as index, ThreadPoolExecutor() as threads:
        pip = threads.submit(run, "one", PIP, fill_index(index, PROJECTS, str(where / "archives")))
        first = run_and_judge("two", PIP_ACCEL, pip)
    assert pip.result().status == 0, pip.result().stdout + pip.result().stderr
    second = run_and_judge("six", [*without_network(), *PIP_ACCEL], pip)
    seconds = [side.seconds for side in (pip.result(), first.side, second.side)]
    print("pip {:.1f} s, first run {:.1f} s, second run {:.1f} s".format(*seconds))
    return Runs(first, second, data)


def judge(words, served, directory, **options):
    """What differs from pip when this alone is installed."""
    return compare(
        words,
        index_args=served.words,
        python=sys.executable,
        pip_accel_command=PIP_ACCEL,
        workdir=str(directory),
        environ=served.variables,
        **options,
    )


@pytest.mark.parametrize("project", [param(each) for each in SOUND])
def test_a_project_comes_out_as_with_pip(project, runs):
    if project.missing_programs:
        pytest.skip(f"cannot be built without {' and '.join(project.missing_programs)}")
    for judged in runs.first, runs.second:
        found = [str(each) for each in judged.differences.get(project.name, ())]
        assert found == [], "\n".join(found)


def test_nothing_else_differs(runs):
    names = {project.name for project in SOUND}
    for judged in runs.first, runs.second:
        found = [str(each) for name in judged.differences.keys() - names for each in judged.differences[name]]
        assert found == [], "\n".join(found)


def test_each_project_is_fetched_and_built_once(runs):
    count = sum(not project.missing_programs for project in SOUND)
    stderr = runs.first.side.stderr
    assert stderr.splitlines() == [summary(stderr)]
    assert f"Installed {count} distributions" in stderr
    built = stderr.rstrip().partition(" built ")[2].split(", ")
    assert len(built) == len(set(built)) == count + 1, stderr  # with the helper
    assert {name: times for name, times in runs.first.downloads.items() if times > 1} == {}


def test_the_second_run_asks_nobody_and_builds_nothing(runs):
    assert runs.second.requests == []
    assert "without network" in summary(runs.second.side.stderr)
    assert "built" not in summary(runs.second.side.stderr)


def test_a_build_cannot_write_into_the_store(runs):
    names = [name for _, _, names in os.walk(os.path.join(runs.data, "trees")) for name in names]
    assert "writes_into_build_environment.py" in names
    assert "left_behind.py" not in names
    found = subprocess.run(["grep", "-rlI", "left behind by a build", runs.data], capture_output=True, text=True)
    assert found.stdout == ""


def test_what_a_build_needs_can_be_asked_for_as_well(served, tmp_path):
    found = [str(each) for each in judge([HELPER, "dynamic-requires"], served, tmp_path)]
    assert found == [], "\n".join(found)
    assert "Installed 2 distributions" in (tmp_path / "two.stderr").read_text()  # and not pip in its stead


@pytest.mark.parametrize("project", [param(FAILING[0]), *(param(each, pytest.mark.slow) for each in FAILING[1:])])
def test_what_fails_with_pip_fails(project, served, tmp_path):
    differences = judge([project.requirement], served, tmp_path, status=1)
    # pip's error begins with "error:" at times, and ours with "ERROR:".
    found = [str(each) for each in differences if each.category != "alarm" or "itself failed" in each.actual]
    assert found == [], "\n".join(found)
