"""What is said about the builds of source distributions: their keys, their results, and what stands in between."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from pip_accel import cli
from pip_accel._archives import Contents, Entry, record_digest, write_bdist
from pip_accel._build.builder import Buildable
from pip_accel._build.key import key_digest, make_key
from pip_accel._explain import describe, explain, find_sdists
from pip_accel._index import Known, LocalIndex
from pip_accel._plan.requirements import parse_requirement
from pip_accel._values import Archive, Pin
from pip_accel.caches import CacheManager
from pip_accel.config import Config
from pip_accel.exceptions import BuildFailed
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.trees import make_target

TARGET = make_target("/env")._replace(
    version="3.12.1", abi="cpython-312-x86_64-linux-gnu", platform="linux-x86_64", libc="glibc-2.36",
    implementation="cpython",
)  # fmt: skip
SETUPTOOLS = Pin("setuptools", "84.2", Archive("/s", "s.whl", "0" * 64), False, "")
ALPHA = Pin("alpha", "1.0", Archive("/a", "alpha-1.0.tar.gz", "a" * 64), True, "")


def buildable(pin=ALPHA, *, requirements=(SETUPTOOLS,), salt="", libc="glibc-2.36", compiler="gcc 12", **environ):
    key = make_key(
        pin,
        TARGET._replace(libc=libc),
        requirements,
        environ,
        salt=salt,
        variables=(),
        revision=8,
        compiler={"C": compiler, "C++": ""},
    )
    return Buildable(key, "cpython-3.12")


class Builder:
    """Knows the key of one build, or raises an error."""

    def __init__(self, answer):
        self._answer = answer

    def buildable(self, pin):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def resources(tmp_path):
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "d[a]ta")
    index = LocalIndex(config.source_index, "cpython-3.12")
    return SimpleNamespace(config=config, index=index, store=SimpleNamespace(has=lambda digest: False))


@pytest.fixture
def ask(resources):
    """Explain the build that a fake builder knows; gives the explanation."""

    def ask(answer, pin=ALPHA):
        return explain(resources, Builder(answer), CacheManager(resources.config), pin)

    return ask


@pytest.fixture
def put(resources):
    """Leave a result of a build in the local cache; gives its path."""

    def put(wanted, *, time=1_600_000_000):
        filename = CacheManager(resources.config).generate_filename(wanted)
        path = os.path.join(resources.config.binary_cache, *filename.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        key = wanted.cache_key
        contents = Contents(
            "alpha", "1.0", "purelib", "alpha-1.0.dist-info", (),
            [Entry("purelib", "alpha.py", False, False, record_digest(b"x = 1\n"), b"x = 1\n")],
        )  # fmt: skip
        with open(path, "wb") as stream:
            write_bdist(contents, stream, key=dict(key), key_digest=key_digest(key), revision=8, version="3.12")
        os.utime(path, (time, time))
        return path

    return put


# Which source distributions there are


def learn(resources, path, view, version):
    archive = resources.index.add(path)
    resources.index.learn(view, "alpha", archive, Known(frozenset((f"=={version}",)), version, 100, ""))
    return archive


@pytest.fixture
def sdists(resources, tmp_path):
    """Three versions, of which one lies in two views, and one under two contents; and a wheel."""
    stage = str(tmp_path / "stage")
    for view, version in (("v", "1.10"), ("v", "1.9"), ("w", "1.9")):
        learn(resources, make_sdist(stage, "alpha", version), view, version)
    learn(resources, make_sdist(stage, "alpha", "2.0rc1"), "w", "2.0rc1")
    learn(resources, make_sdist(stage, "alpha", "2.0rc1", files={"alpha.py": "another"}), "v", "2.0rc1")
    learn(resources, make_wheel(stage, "alpha", "1.11"), "v", "1.11")


@pytest.mark.parametrize(
    ("requirement", "versions"),
    [
        ("alpha", ["1.9", "1.10", "2.0rc1", "2.0rc1"]),
        ("Alpha==1.9", ["1.9"]),
        ("alpha>1.9,<2", ["1.10"]),
        ("alpha==1.11", []),
        ("beta", []),
    ],
)
def test_all_sdists_of_a_requirement_are_found_in_all_views(requirement, versions, resources, sdists):
    pins = find_sdists(resources, parse_requirement(requirement, "command line"))
    assert [pin.version for pin in pins] == versions
    assert len({pin.archive.sha256 for pin in pins}) == len(pins)
    assert all(os.path.isfile(pin.archive.path) for pin in pins)


# What is said of one


def test_a_key_that_nobody_knows_yet_is_not_made_up(ask):
    found = ask(None)
    assert found.key is None
    assert list(describe(found)) == [
        "alpha 1.0 (alpha-1.0.tar.gz)",
        "  key: not known, as its build backend was not asked yet what a build requires",
    ]


def test_a_key_that_cannot_be_worked_out_is_no_error(ask):
    assert list(describe(ask(BuildFailed("setuptools is not there"))))[1:] == [
        "  key: not known, as setuptools is not there"
    ]


def test_the_key_is_told_in_full_and_where_its_result_lies(ask, put, resources):
    wanted = buildable(CFLAGS="-O2", ALPHA_X="hush")
    path = put(wanted)
    assert list(describe(ask(wanted))) == [
        "alpha 1.0 (alpha-1.0.tar.gz)",
        "  source: sha256:aaaaaaaaaaaaaaaa",
        "  python: cpython, 3.12, cpython-312-x86_64-linux-gnu",
        "  platform: linux-x86_64, glibc-2.36",
        "  build-requirements: setuptools: 84.2 sha256:0000000000000000",
        f"  variables: ALPHA_X: sha256:{wanted.cache_key['variables']['ALPHA_X'][:16]}",
        "  variables: CFLAGS: '-O2'",
        "  compiler: C: gcc 12",
        "  compiler: C++: none",
        f"  key: {os.path.relpath(path, resources.config.binary_cache)}",
        f"  result: {path}",
    ]


def test_a_result_that_lies_in_the_store_is_told_as_such(ask, put, resources):
    put(buildable())
    resources.store.has = lambda digest: len(digest) == 64
    assert list(describe(ask(buildable())))[-1].endswith(".tar.gz (unpacked in the store)")


def test_where_nothing_was_ever_built_that_is_said(ask):
    found = ask(buildable())
    assert (found.result, found.nearest) == (None, None)
    assert list(describe(found))[-1] == "  result: none, and none of another build of alpha"


def test_a_damaged_result_is_none(ask, put):
    path = put(buildable())
    os.truncate(path, os.path.getsize(path) - 8)
    assert list(describe(ask(buildable())))[-1] == f"  result: none, as {path} is damaged"


def test_the_parts_that_differ_from_the_nearest_result_are_told(ask, put):
    path = put(buildable(CFLAGS="-O2", libc="glibc-2.31"))
    lines = list(describe(ask(buildable(CFLAGS="-O3", requirements=()))))
    assert lines[-4:] == [
        f"  result: none; the nearest is {path}, whose key differs:",
        "    platform: now linux-x86_64, glibc-2.36, then linux-x86_64, glibc-2.31",
        "    variables: CFLAGS: now '-O3', then '-O2'",
        "    build-requirements: setuptools: now none, then 84.2 sha256:0000000000000000",
    ]


OTHER = ALPHA._replace(version="1.1", archive=ALPHA.archive._replace(sha256="b" * 64))


@pytest.mark.parametrize(
    ("results", "nearest"),
    [
        ([({"salt": "x", "compiler": ""}, 1), ({"salt": "x"}, 0)], 1),
        ([({"salt": "x"}, 10), ({"salt": "y"}, 20), ({"compiler": ""}, 15)], 1),
        ([({"pin": OTHER}, 20), ({"salt": "x", "compiler": "", "CFLAGS": "-g", "libc": ""}, 10)], 1),
        ([({"pin": OTHER, "salt": "x"}, 20), ({"pin": OTHER}, 10)], 1),
    ],
    ids=["fewest parts", "newest on a tie", "of the same source", "of another version"],
)
def test_the_nearest_result(results, nearest, ask, put):
    paths = [put(buildable(**change), time=1_600_000_000 + time) for change, time in results]
    assert ask(buildable()).nearest.path == paths[nearest]


def test_what_is_no_archive_is_no_result(ask, put, resources):
    path = put(buildable(salt="x"))
    for name in ("alpha-1-x-0.tar.gz", "alpha-1-x-1.tar.gz.tmp"):
        with open(os.path.join(os.path.dirname(path), name), "wb") as stream:
            stream.write(b"no archive")
    assert ask(buildable()).nearest.path == path


# The command line


def test_a_name_is_wanted(capsys):
    assert cli._dispatch(["cache", "explain"], {}) == 1
    assert capsys.readouterr() == ("", "ERROR: Please provide the name of a project: pip-accel cache explain NAME\n")


def test_words_that_only_pip_serves_are_refused(capsys):
    assert cli._dispatch(["cache", "explain", "--platform", "any", "six"], {}) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("ERROR: ") and "--platform" in errors
