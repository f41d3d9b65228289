"""The local index in use: what the index on the network is asked for, how often, and when not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil

import pytest

from tests.lib.archives import make_sdist, make_wheel

#: A call of connect(2) to an address that is not of this machine's file system.
INTERNET = re.compile(r"connect\(.*sa_family=AF_INET6?\b.*")


@pytest.fixture
def set_of_all_kinds(bench, archives):
    """An index with wheels, an sdist that builds itself, and one whose build needs a wheel and an sdist."""
    paths = [
        make_wheel(archives, "alpha", "1.0", requires=["beta>=1", "gamma", "delta"]),
        make_wheel(archives, "beta", "1.0"),
        make_wheel(archives, "beta", "2.0"),
        make_sdist(archives, "gamma", "1.0"),
        make_sdist(
            archives, "delta", "1.0", build_requires=["tool-one>=1", "tool-two"], dynamic_requires=["tool-three"]
        ),
        make_wheel(archives, "tool-one", "1.5", requires=["tool-four"]),
        make_sdist(archives, "tool-two", "2.0"),
        make_wheel(archives, "tool-three", "3.0"),
        make_wheel(archives, "tool-four", "4.0"),
    ]
    for path in paths:
        bench.index.add(path)
    return {os.path.basename(path) for path in paths} - {"beta-1.0-py3-none-any.whl"}


def test_each_archive_is_fetched_once_and_never_again(bench, set_of_all_kinds):
    first = bench.install("alpha")
    assert first.downloads == dict.fromkeys(set_of_all_kinds, 1)
    assert first.installed == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0", "delta": "1.0"}
    assert "with downloads" in first.run.summary and "built" in first.run.summary

    second = bench.install("alpha")
    assert second.requests == []
    assert second.installed == first.installed
    assert "without network" in second.run.summary and "built" not in second.run.summary


def test_an_sdist_with_build_requirements_of_its_own_is_built_without_network_once_all_is_there(
    bench, set_of_all_kinds
):
    bench.install("alpha")
    shutil.rmtree(os.path.join(bench.data, "trees"))
    shutil.rmtree(os.path.join(bench.data, "binaries"))
    again = bench.install("alpha")
    assert again.requests == []
    assert "without network" in again.run.summary and "delta 1.0" in again.run.summary


def test_what_several_builds_require_is_fetched_once(bench, archives):
    requires = {
        "alpha": ["tool-one>=1", "tool-two"],
        "beta": ["tool-one"],
        "gamma": ["tool-one!=0.5", "tool-three"],
        "delta": ["tool-four"],
    }
    for name, names in requires.items():
        bench.index.add(make_sdist(archives, name, "1.0", build_requires=names))
    needs = {"tool-one": ["tool-five"], "tool-four": ["tool-three", "tool-two>=1"]}
    for name in ("tool-one", "tool-two", "tool-three", "tool-four", "tool-five"):
        bench.index.add(make_wheel(archives, name, "1.0", requires=needs.get(name, ())))
    result = bench.install(*requires)
    assert result.installed == dict.fromkeys(requires, "1.0")
    assert result.downloads == dict.fromkeys(os.listdir(archives), 1)


def test_a_backend_that_asks_for_what_is_there_already_gets_no_other_version(bench, archives):
    bench.index.add(make_wheel(archives, "tool", "1.0"))
    bench.index.add(make_wheel(archives, "tool", "2.0"))
    bench.index.add(make_sdist(archives, "alpha", "1.0", build_requires=["tool<2"], dynamic_requires=["tool"]))
    assert bench.install("alpha").downloads == {"alpha-1.0.tar.gz": 1, "tool-1.0-py3-none-any.whl": 1}
    bench.index.add(make_sdist(archives, "beta", "1.0", build_requires=["tool<2"], dynamic_requires=["tool>=2"]))
    wrong = bench.install("beta", status=1)
    assert wrong.installed == {}
    assert "The build backend requires tool>=2, but [build-system] requires tool 1.0" in wrong.run.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is connected to, and is not here")
def test_the_second_run_connects_to_nothing(bench, set_of_all_kinds, tmp_path):
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-e", "trace=connect", "-o", str(trace))
    bench.install("beta", before=strace)
    assert INTERNET.search(trace.read_text()), "strace shows the connections of the first run"
    second = bench.install("beta", before=strace)
    assert second.installed == {"beta": "2.0"}
    assert INTERNET.findall(trace.read_text()) == []


def test_upgrade_asks_the_index(bench, set_of_all_kinds, archives):
    environment = bench.install("beta==1.0").environment
    upgraded = bench.install("-U", "beta", into=environment)
    assert upgraded.installed == {"beta": "2.0"}
    assert bench.index.pages["beta"] == 1
    bench.index.add(make_wheel(archives, "beta", "3.0"))
    assert bench.install("beta").installed == {"beta": "2.0"}
    again = bench.install("--upgrade", "beta", into=environment)
    assert again.installed == {"beta": "3.0"}
    assert again.downloads["beta-3.0-py3-none-any.whl"] == 1


def test_what_is_installed_already_needs_neither_archive_nor_index(bench, set_of_all_kinds):
    environment = bench.install("beta").environment
    again = bench.install("beta", into=environment)
    assert again.requests == []
    assert again.run.stdout.startswith("Requirement already satisfied: beta in ")
    assert again.run.stderr == ""


@pytest.mark.parametrize("make", [make_wheel, make_sdist], ids=["wheel", "sdist"])
def test_hash_checking_mode(bench, archives, tmp_path, make):
    path = make(archives, "alpha", "1.0")
    bench.index.add(path)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"alpha==1.0 --hash=sha256:{hash_of(path)}\n")
    first = bench.install("--require-hashes", "-r", str(requirements))
    assert first.downloads == {os.path.basename(path): 1}
    second = bench.install("-r", str(requirements))
    assert second.requests == []
    assert first.installed == second.installed == {"alpha": "1.0"}


def test_an_archive_that_was_learned_without_hashes_is_checked_all_the_same(bench, archives, tmp_path):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    bench.install("alpha==1.0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    wrong = bench.install("-r", str(requirements), status=1)
    assert wrong.installed == {}
    assert "DO NOT MATCH THE HASHES" in wrong.run.stderr


def hash_of(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
