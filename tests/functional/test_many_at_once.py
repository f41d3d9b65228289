"""Sixteen processes at a time: on one environment, and on one cache while others remove what is in it and verify it."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.index import IndexServer
from tests.lib.runs import installed, run_pip, run_pip_accel
from tests.lib.trees import snapshot

if sys.platform != "linux":
    pytest.skip("untested elsewhere", allow_module_level=True)

MANY = 16
NAMES = tuple(f"member-{number}" for number in range(6))
VERSIONS = ("1.0", "2.0")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An index with two versions of six distributions, every third of them a source distribution."""
    archives = str(tmp_path_factory.mktemp("archives"))
    for number, name in enumerate(NAMES):
        module = name.replace("-", "_")
        for version in VERSIONS:
            files = {f"{module}/part_{part}/code.py": f"x = {version}\n" * part for part in range(20)}
            files |= {f"{module}/{version}/only.py": "", f"{module}/data.bin": os.urandom(2000)}
            make = make_sdist if number % 3 == 2 else make_wheel
            make(archives, name, version, files=files)
    with IndexServer(archives) as server:
        yield server


def words(version):
    return ["install", *(f"{name}=={version}" for name in NAMES)]


def run_all(runs):
    """Call functions in threads, as many as there are; give what they return."""
    with ThreadPoolExecutor(len(runs)) as pool:
        return [future.result() for future in [pool.submit(run) for run in runs]]


def test_sixteen_on_one_environment_leave_one_of_the_states_that_they_ask_for(server, tmp_path):
    data, environment = tmp_path / "data", make_environment(str(tmp_path / "env"))
    states = {}
    for version in VERSIONS:
        run_pip_accel(words(version), environment, data, PIP_INDEX_URL=server.url)
        states[version] = snapshot(environment.prefix)
    server.reset()

    def run(number):
        return run_pip_accel(words(VERSIONS[number % 2]), environment, data, PIP_INDEX_URL=server.url)

    runs = run_all([lambda number=number: run(number) for number in range(MANY)])
    assert snapshot(environment.prefix) in states.values()
    assert server.requests == []
    run_pip(["check"], environment)
    said = Counter(bool(each.stdout.count("Successfully installed")) for each in runs)
    assert said[True] >= 1  # the others may have found all of it there


def test_sixteen_on_one_cache_install_what_pip_does_whatever_goes_meanwhile(server, tmp_path):
    data = tmp_path / "data"
    template = make_environment(str(tmp_path / "template"))
    run_pip_accel(words("1.0"), template, data, PIP_INDEX_URL=server.url)
    done = []

    def install(number):
        environment = make_environment(str(tmp_path / f"env-{number}"))
        try:
            run = run_pip_accel(words(VERSIONS[number % 2]), environment, data, PIP_INDEX_URL=server.url)
        finally:
            done.append(number)
        return environment, run

    def repeat(*command):
        runs = []
        while len(done) < MANY:
            runs.append(run_pip_accel(["cache", *command], template, data, status=None))
        return runs

    housekeeping = [
        lambda: repeat("verify"), lambda: repeat("prune", "--max-size=20K"), lambda: repeat("remove", "member-[0-3]"),
    ]  # fmt: skip
    results = run_all([*(lambda number=number: install(number) for number in range(MANY)), *housekeeping])
    for number, (environment, run) in enumerate(results[:MANY]):
        version = VERSIONS[number % 2]
        assert installed(environment) == {name.replace("-", "_"): version for name in NAMES}, run.stderr
        for name in NAMES:
            module = os.path.join(environment.site_packages, name.replace("-", "_"))
            assert os.path.exists(os.path.join(module, version, "only.py")), run.stderr
            assert len(os.listdir(module)) == 22
    for runs in results[MANY:]:
        said = {run.stderr for run in runs if "No matching packages" not in run.stderr}
        assert {run.status for run in runs} == {0} and said <= {""}
    shutil.rmtree(template.prefix)
    environment = make_environment(str(tmp_path / "last"))
    assert run_pip_accel(["cache", "verify"], environment, data).stderr == ""
    run_pip_accel(words("2.0"), environment, data, PIP_INDEX_URL=server.url)
    run_pip(["check"], environment)
