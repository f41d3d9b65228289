"""``pip-accel cache explain``: what it says agrees with what an installation then does."""

from __future__ import annotations

import os
import re
import shutil
import sys

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.runs import find_interpreters, run_pip_accel


@pytest.fixture
def explain(bench):
    """Run ``pip-accel cache explain WORDS`` for an environment; what it asks the index for is an error."""
    environment = bench.fresh()

    def explain(*words, status=0, **variables):
        bench.index.reset()
        variables = {"PIP_INDEX_URL": bench.index.url, **variables}
        run = run_pip_accel(["cache", "explain", *words], environment, bench.data, status=status, **variables)
        assert bench.index.requests == []
        return run

    return explain


@pytest.fixture
def counter(tmp_path):
    return tmp_path / "hooks"


@pytest.fixture
def alpha(bench, archives, counter):
    """An index with two versions of a project that counts calls of its build backend, and what these builds need."""
    for version in ("1.0", "1.1"):
        path = make_sdist(
            archives, "alpha", version, build_requires=["tool-one"], dynamic_requires=["tool-two"], counter=str(counter)
        )
        bench.index.add(path)
    for name in ("tool-one", "tool-two"):
        bench.index.add(make_wheel(archives, name, "1.0"))


def lines_of(run, part):
    return [line.strip() for line in run.stdout.splitlines() if line.strip().startswith(part)]


def test_a_result_is_found_where_an_installation_finds_it(bench, alpha, explain, counter):
    bench.install("alpha")
    before = counter.read_text()
    run = explain("Alpha")
    assert run.stdout.startswith("alpha 1.1 (alpha-1.1.tar.gz)\n")
    assert run.stderr == ""
    [result] = lines_of(run, "result: ")
    path = re.fullmatch(r"result: (.*) \(unpacked in the store\)", result)[1]
    assert os.path.isfile(path)
    assert [line.split()[1] for line in lines_of(run, "build-requirements: ")] == ["tool-one:", "tool-two:"]
    assert path.endswith(lines_of(run, "key: ")[0].removeprefix("key: "))
    assert counter.read_text() == before


def test_the_part_that_will_make_it_build_again_is_named(bench, alpha, explain, counter):
    bench.install("alpha")
    before = counter.read_text()
    assert lines_of(explain("alpha", CFLAGS="-g1"), "variables: ") == [
        "variables: CFLAGS: '-g1'",
        "variables: CFLAGS: now '-g1', then not set",
    ]
    assert lines_of(explain("alpha", PIP_ACCEL_SALT="x"), "salt: now") == ["salt: now x, then none"]
    assert counter.read_text() == before

    assert "built alpha 1.1" in bench.install("alpha", CFLAGS="-g1").run.summary
    assert "result: none" not in explain("alpha", CFLAGS="-g1").stdout
    assert "result: none" not in explain("alpha").stdout
    assert "built" not in bench.install("alpha").run.summary


def test_a_new_build_requirement_is_named(bench, alpha, explain, archives):
    bench.install("alpha")
    bench.index.add(make_wheel(archives, "tool-one", "2.0"))
    bench.install("-U", "tool-one")
    [line] = lines_of(explain("alpha"), "build-requirements: tool-one: now")
    assert re.fullmatch(r"build-requirements: tool-one: now 2 sha256:\w{16}, then 1 sha256:\w{16}", line)


def test_each_version_that_the_index_holds_is_explained_unless_one_is_named(bench, alpha, explain):
    bench.install("alpha==1.0")
    bench.install("alpha")
    assert re.findall("^alpha .*", explain("alpha").stdout, re.MULTILINE) == [
        "alpha 1.0 (alpha-1.0.tar.gz)",
        "alpha 1.1 (alpha-1.1.tar.gz)",
    ]
    assert re.findall("^alpha .*", explain("alpha==1.0").stdout, re.MULTILINE) == ["alpha 1.0 (alpha-1.0.tar.gz)"]


def test_options_of_an_installation_count(bench, alpha, explain):
    bench.install("alpha")
    assert lines_of(explain("alpha", "-C", "verbose=yes"), "config-settings: verbose: now sha256:")
    bench.install("alpha", "-C", "verbose=yes")
    run = explain("alpha", "-C", "verbose=yes")
    assert lines_of(run, "config-settings: verbose: sha256:")
    assert "result: none" not in run.stdout


def test_what_was_removed_from_the_cache_is_missed(bench, alpha, explain):
    bench.install("alpha")
    shutil.rmtree(os.path.join(bench.data, "binaries"))
    assert lines_of(explain("alpha"), "result: ") == ["result: none, and none of another build of alpha"]


def test_names_of_which_nothing_is_known_are_said_to_be_so(bench, alpha, explain):
    bench.install("alpha")
    run = explain("nothing", "alpha", "tool-one", status=1)
    assert run.stdout.startswith("alpha 1.1 ")
    assert run.stderr.splitlines() == [
        "ERROR: The local index has no source distribution of nothing",
        "ERROR: The local index has no source distribution of tool-one",
    ]


def test_an_empty_data_directory_knows_nothing(explain):
    assert "no source distribution of alpha" in explain("alpha", status=1).stderr


def test_another_interpreter_has_another_key(bench, alpha, tmp_path):
    others = [path for version, path in find_interpreters().items() if version != f"3.{sys.version_info[1]}"]
    if not others:
        pytest.skip("needs another interpreter")
    bench.install("alpha")
    other = make_environment(str(tmp_path / "other"), others[0])
    variables = {"PIP_INDEX_URL": bench.index.url}
    run = run_pip_accel(["cache", "explain", "alpha"], other, bench.data, **variables)
    assert "key: not known" in run.stdout
    bench.install("alpha", into=other)
    run = run_pip_accel(["cache", "explain", "alpha"], other, bench.data, **variables)
    assert "result: none" not in run.stdout
