"""What is asked for by path or URL, and what that requires so itself: installed as by pip, and it teaches nothing else.

Each scenario installs something with a data directory of its own, then something else with the same; what pip-accel has
kept of the first must not change the second. ``dep`` 1.9 is only right where something requires ``dep<2``.
"""

from __future__ import annotations

import os
import shutil
import tarfile

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer
from tests.lib.runs import installed, run_pip, run_pip_accel


@pytest.fixture
def place(tmp_path):
    """A directory with an index, files at URLs beside it, and projects of which those with a colon require URLs."""
    files = make_wheel(str(tmp_path / "files"), "y", "1.0", requires=["dep<2"])
    more = make_wheel(str(tmp_path / "files"), "z", "1.0", extras={"a": ["y"]})
    with IndexServer() as elsewhere, IndexServer() as index:
        for path in (files, more):
            elsewhere.add(path)
        for version in ("1.9", "2.0"):
            index.add(make_wheel(str(tmp_path / "index"), "dep", version))
        index.add(make_wheel(str(tmp_path / "index"), "y", "2.0"))
        url = f"http://{elsewhere.host}/files"

        def project(name, *requires, **extras):
            texts = [text.format(url=url, place=tmp_path) for text in requires]
            extras = {extra: [text.format(url=url, place=tmp_path)] for extra, text in extras.items()}
            sdist = make_sdist(str(tmp_path / "sdists"), name, "1.0", requires=texts, extras=extras)
            shutil.rmtree(tmp_path / name, ignore_errors=True)
            with tarfile.open(sdist) as archive:
                archive.extractall(tmp_path / "unpacked", filter="data")
            (tmp_path / "unpacked" / f"{name}-1.0").rename(tmp_path / name)

        project.url, project.index, project.path = url, index.url, tmp_path
        yield project


def make_nothing(project):
    pass


def make_directories(project):
    project("inner", "dep<2")
    project("outer", "dep>=1", "inner @ file://{place}/inner")


def loosen_directory(project):
    project("inner", "dep")


def make_project(project):
    project("p", "y @ {url}/y-1.0-py3-none-any.whl")


def make_local_url(project):
    project("p", "y @ file://{place}/files/y-1.0-py3-none-any.whl")


def make_extras(project):
    project("two", a="dep<2", b="y")


def make_extras_with_urls(project):
    project("two", a="y @ {url}/y-1.0-py3-none-any.whl", b="z[a] @ {url}/z-1.0-py3-none-any.whl")


def make_wheel_with_url(project):
    requires = [f"y @ {project.url}/y-1.0-py3-none-any.whl"]
    make_wheel(str(project.path), "whl", "1.0", requires=requires)


#: What is made, what is installed, what is changed then, and what is installed after that.
SCENARIOS = {
    "a directory in a directory": (make_directories, ["{place}/outer"], make_nothing, ["dep"]),
    "one that changes": (make_directories, ["{place}/outer"], loosen_directory, ["{place}/outer"]),
    "a URL in a directory": (make_project, ["{place}/p"], make_nothing, ["dep", "y"]),
    "a URL in a directory, again": (make_project, ["{place}/p"], make_nothing, ["{place}/p"]),
    "a wheel on this machine in a directory": (make_local_url, ["{place}/p"], make_nothing, ["dep", "y"]),
    "a URL in a wheel": (make_wheel_with_url, ["{place}/whl-1.0-py3-none-any.whl"], make_nothing, ["dep", "y"]),
    "extras of a directory": (make_extras, ["{place}/two[a]", "{place}/two[b]"], make_nothing, ["dep"]),
    "extras with URLs": (make_extras_with_urls, ["{place}/two[a]", "{place}/two[b]"], make_nothing, ["dep", "y"]),
    "extras of a name and a directory": (make_extras_with_urls, ["{place}/two", "two[a]"], make_nothing, ["dep", "y"]),
    "extras of a URL": (
        make_nothing,
        ["z @ {url}/z-1.0-py3-none-any.whl", "z[a] @ {url}/z-1.0-py3-none-any.whl"],
        make_nothing,
        ["dep", "y"],
    ),
}
#: Those that are tried on demand only.
LIKE_OTHERS = {
    "a directory in a directory",
    "a URL in a directory, again",
    "a wheel on this machine in a directory",
    "extras of a directory",
    "extras of a URL",
    "extras with URLs",
}
#: Those that pip does in the end, for want of a way to plan them without network.
LEFT_TO_PIP = {"a URL in a wheel", "extras of a name and a directory"}


@pytest.mark.parametrize(
    "scenario", [pytest.param(each, marks=pytest.mark.slow) if each in LIKE_OTHERS else each for each in SCENARIOS]
)
def test_what_comes_by_path_or_url_teaches_nothing_else(place, scenario, fresh, data):
    make, first, change, second = SCENARIOS[scenario]
    make(place)
    for number, words in enumerate((first, second)):
        words = [word.format(url=place.url, place=place.path) for word in words]
        words = ["install", "--index-url", place.index, *words]
        with_pip, with_us = fresh(), fresh()
        run_pip(words, with_pip)
        run = run_pip_accel(words, with_us, data, PIP_ACCEL_LOG_VERBOSITY="debug")
        assert installed(with_us) == installed(with_pip), run.stderr
        assert ("pip does all of it" in run.stderr) == (number == 0 and scenario in LEFT_TO_PIP), run.stderr
        if number and second == first:
            assert ("without network" in run.stderr) == (change is make_nothing)
        change(place)
    assert os.path.exists(data)
