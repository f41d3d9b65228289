"""The local index in use: what the index on the network is asked for, how often, and when not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from urllib.request import pathname2url

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer
from tests.lib.runs import run_pip_accel

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


@pytest.mark.parametrize(
    "words",
    [
        ["install", "--platform", "any", "--target", "elsewhere", "--only-binary", ":all:", "alpha"],
        ["install", "--use-feature", "fast-deps", "alpha"],
        ["install", "--no-such-option", "alpha"],
        ["install", "alpha @ {url}"],
        ["install", "-r", "{requirements}"],
        ["deps", "-r", "{requirements}"],
        ["download", "alpha"],
        ["download", "--index-url", "{index}", "alpha"],
    ],
    ids=" ".join,
)
def test_offline_means_that_pip_does_not_ask_either(bench, archives, tmp_path, words):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    url = f"{bench.index.url.removesuffix('simple/')}files/alpha-1.0-py3-none-any.whl"
    requirements = f"{bench.index.url}requirements.txt"
    words = [word.format(url=url, index=bench.index.url, requirements=requirements) for word in words]
    variables = {"PIP_INDEX_URL": bench.index.url, "PIP_ACCEL_OFFLINE": "yes", "no_proxy": "*"}
    run = run_pip_accel(words, bench.fresh(), bench.data, status=None, cwd=str(tmp_path), **variables)
    assert run.status != 0
    assert bench.index.requests == []
    if "-r" in words:
        assert requirements in run.stderr and "offline = yes" in run.stderr


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


@pytest.mark.parametrize("way", ["a line of a file", "a variable", "an option", "the URL of an archive"])
def test_places_beside_the_index_are_asked_once(bench, archives, tmp_path, way):
    bench.index.add(make_wheel(archives, "alpha", "1.0", requires=["omega"]))
    with IndexServer() as elsewhere:
        elsewhere.add(make_wheel(str(tmp_path / "elsewhere"), "omega", "1.0"))
        page, variables = f"{elsewhere.url}omega/", {}
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(f"--find-links {page}\nalpha\n")
        words = ["alpha"]
        if way == "a line of a file":
            words = ["-r", str(requirements)]
        elif way == "a variable":
            variables = {"PIP_FIND_LINKS": page}
        elif way == "an option":
            words = ["--find-links", page, "alpha"]
        else:
            words = ["alpha", elsewhere.url_of("omega-1.0-py3-none-any.whl")]
        first = bench.install(*words, **variables)
        assert first.requests and elsewhere.requests
        elsewhere.reset()
        again = bench.install(*words, "--no-compile", **variables)  # other words, so that no plan is kept for them
        assert first.installed == again.installed == {"alpha": "1.0", "omega": "1.0"}
        assert (again.requests, elsewhere.requests) == ([], [])
        assert "without network" in again.run.summary


@pytest.mark.parametrize("make", [make_wheel, make_sdist], ids=["wheel", "sdist"])
def test_a_damaged_archive_is_fetched_again(bench, archives, make):
    path = make(archives, "alpha", "1.0")
    bench.index.add(path)
    bench.install("alpha==1.0")
    for directory in ("trees", "binaries"):
        shutil.rmtree(os.path.join(bench.data, directory), ignore_errors=True)
    digest = hash_of(path)
    kept = os.path.join(bench.data, "sources", "archives", digest[:2], digest, os.path.basename(path))
    os.truncate(kept, os.path.getsize(kept) // 2)
    mended = bench.install("alpha==1.0")
    assert mended.installed == {"alpha": "1.0"}
    assert mended.downloads == {os.path.basename(path): 1}
    assert "with downloads" in mended.run.summary and "pip does" not in mended.run.stderr
    again = bench.install("alpha==1.0")
    assert (again.installed, again.requests) == ({"alpha": "1.0"}, [])
    assert hash_of(kept) == digest


def test_a_download_that_fails_is_tried_again_as_often_as_is_allowed(bench, archives):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    options = {"PIP_RETRIES": "0"}  # within one pip
    bench.index.fail("/alpha-1.0-py3-none-any.whl", times=2)
    refused = bench.install("alpha", status=1, PIP_ACCEL_MAX_RETRIES="1", **options)
    assert (refused.installed, refused.run.stderr.count("will be asked again")) == ({}, 0)
    assert "503" in refused.run.stderr
    result = bench.install("alpha", **options)
    assert result.installed == {"alpha": "1.0"}
    assert result.run.stderr.count("pip failed and will be asked again: ") == 1


@pytest.mark.parametrize("make", [make_wheel, make_sdist], ids=["wheel", "sdist"])
def test_a_path_means_that_file_whatever_lies_in_the_index(bench, tmp_path, make):
    """Of one version the index has one archive and the user two, one after the other: none answers for another."""

    def write(directory, origin):
        return make(str(tmp_path / directory), "alpha", "1.0", files={"alpha.py": f"origin = {origin!r}\n"})

    def origin_of(*words):
        result = bench.install(*words)
        return result.read("alpha.py").split("'")[1], result

    bench.index.add(write("archives", "index"))
    assert origin_of("alpha==1.0")[0] == "index"
    path = write("own", "own")
    assert origin_of(path)[0] == "own"
    write("own", "changed")
    changed, by_path = origin_of(path)
    assert (changed, origin_of("alpha==1.0")[0]) == ("changed", "index")
    changed, by_url = origin_of(f"file://{pathname2url(path)}")
    assert (changed, by_url.requests) == ("changed", [])
    told = [result.read("alpha-1.0.dist-info", "direct_url.json") for result in (by_path, by_url)]
    assert told[0] == told[1]
    assert json.loads(told[0])["archive_info"]["hashes"] == {"sha256": hash_of(path)}


def test_a_setting_against_wheels_is_not_for_what_builds_require(bench, archives):
    """pip hands it on to builds; but not every build backend can be built without a wheel of itself."""
    bench.index.add(make_wheel(archives, "tool", "1.0"))
    bench.index.add(make_sdist(archives, "tool", "1.0", fail=True))
    bench.index.add(make_sdist(archives, "alpha", "1.0", build_requires=["tool"]))
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    result = bench.install("--no-binary", ":all:", "alpha")
    assert result.installed == {"alpha": "1.0"}
    assert result.downloads == {"alpha-1.0.tar.gz": 1, "tool-1.0-py3-none-any.whl": 1}


def hash_of(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
