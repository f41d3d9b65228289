"""Builds beside each other, and builds that are killed: each is done once, and nothing is left of those that ended."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time

import pytest

from pip_accel._archives import is_whole
from tests.lib.archives import IN_TREE_BACKEND, make_sdist
from tests.lib.environments import make_environment
from tests.lib.processes import finish, processes_of, start, wait_for
from tests.lib.runs import installed, run_pip_accel
from tests.lib.trees import snapshot

if sys.platform != "linux":
    pytest.skip("looks into /proc", allow_module_level=True)

#: A build that notes when it begins, takes its time as a compiler would, and notes when it ends.
COMPILING = """

_build_wheel = build_wheel


def note(what):
    import time

    with open({notes!r}, "a", encoding="utf-8") as handle:
        handle.write(" ".join([SETTINGS["name"], what, str(time.monotonic())]) + "\\n")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import time

    note("begins")
    for number in range(10):
        with open("object-%d" % number, "wb") as handle:
            handle.write(os.urandom(50_000))
        time.sleep({seconds} / 10)
    try:
        return _build_wheel(wheel_directory, config_settings)
    finally:
        note("ends")
"""
#: As above, but the first of all builds never ends.
ENDLESS_AT_FIRST = """

_compile = build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import time

    try:
        open({marker!r}, "x").close()
    except FileExistsError:
        return _compile(wheel_directory, config_settings)
    note("begins")
    time.sleep(600)
"""


class Yard:
    """An index, a data directory and a place for temporary files; builds that note what they do; runs beside us."""

    def __init__(self, directory, index):
        self.directory = str(directory)
        self.archives = os.path.join(self.directory, "archives")
        self.data = os.path.join(self.directory, "data")
        self.temporary = os.path.join(self.directory, "tmp")
        os.mkdir(self.temporary)
        self.index = index
        self.notes = os.path.join(self.directory, "notes")
        open(self.notes, "w").close()
        # Nothing here is compiled, and pip would ask several programs for what it tells an index of this machine.
        self.variables = {"PIP_INDEX_URL": index.url, "TMPDIR": self.temporary, "PATH": self.archives}
        self._numbers = itertools.count(1)

    def add(self, name, *, seconds=0.0, more="", asked=False, **options):
        """Put an sdist on the index.

        :param seconds: how long it takes to build.
        :param more: source to add to its backend.
        :param asked: whether its backend has to be asked for the metadata.
        """
        files = {"_backend/in_tree_backend.py": IN_TREE_BACKEND + self.compiling(seconds) + more}
        if asked:
            files["PKG-INFO"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        self.index.add(make_sdist(self.archives, name, "1.0", extra_files=files, **options))

    def compiling(self, seconds):
        return COMPILING.format(notes=self.notes, seconds=seconds)

    def fresh(self):
        return make_environment(os.path.join(self.directory, f"env-{next(self._numbers)}"))

    def start(self, environment, *words, **variables):
        """Start a run in a session of its own, as that of a terminal would be."""
        return start(["install", *words], environment, self.data, **self.variables, **variables)

    def run(self, environment, *words, **variables):
        return run_pip_accel(["install", *words], environment, self.data, **self.variables, **variables)

    def noted(self, what):
        """Names of the projects whose builds did that so far, and the moments."""
        with open(self.notes, encoding="utf-8") as stream:
            rows = [line.split() for line in stream]
        return [(name, float(moment)) for name, done, moment in rows if done == what]

    def builds(self):
        """Names of the projects whose builds have begun, in order of name."""
        return sorted(name for name, _ in self.noted("begins"))

    def leftovers(self):
        """What there should not be when no run is there any more."""
        temporary = os.path.join(self.data, "tmp")
        found = [os.path.join(place, name) for place in (self.temporary, temporary) for name in os.listdir(place)]
        for place, directories, names in os.walk(self.data):
            paths = [os.path.join(place, name) for name in (*directories, *names)]
            found += [path for path in paths if path.endswith(".tmp") and not path.startswith(temporary)]
            part = os.path.relpath(place, self.data).split(os.sep)[0]
            if part == "binaries":
                found += [path for path in paths if os.path.isfile(path) and not is_whole(path)]
            if part == "locks":
                found += paths
        return found


def holds_open(process, directory):
    """Whether a process has a file open below a directory."""
    place = f"/proc/{process.pid}/fd"
    for descriptor in os.listdir(place):
        try:
            if os.readlink(os.path.join(place, descriptor)).startswith(directory + os.sep):
                return True
        except OSError:  # closed meanwhile
            pass
    return False


def sources(environment):
    """What is installed, without byte code: that has the time of the build in it."""
    found = snapshot(environment.site_packages)
    return {path: state for path, state in found.items() if not path.endswith(".pyc")}


@pytest.fixture
def yard(tmp_path, index):
    yard = Yard(tmp_path, index)
    yield yard
    for pid in processes_of(yard.data):
        os.kill(pid, signal.SIGKILL)


# Beside each other


def test_twelve_processes_build_each_of_eight_projects_once(yard):
    yard.add("tool")
    yard.add("alpha", seconds=0.1)
    yard.add("beta", requires=["alpha"], build_requires=["tool"])
    yard.add("gamma", dynamic_requires=["tool"])
    yard.add("delta", asked=True, requires=["gamma"])
    yard.add("epsilon", asked=True, build_requires=["tool"])
    yard.add("zeta", requires=["beta", "epsilon"])
    yard.add("eta")
    yard.add("slow", seconds=1.0)
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "slow"]
    environments = [yard.fresh() for _ in range(12)]
    ends = [finish(process) for process in [yard.start(each, *names) for each in environments]]
    assert [status for status, _, _ in ends] == [0] * 12, ends
    assert yard.builds() == sorted([*names, "tool"])
    check = "; ".join(f"import {name}; assert {name}.__version__ == '1.0'" for name in names)
    for environment in environments:
        assert installed(environment) == dict.fromkeys(names, "1.0")
        assert snapshot(environment.site_packages) == snapshot(environments[0].site_packages)
        environment.run(["-W", "error", "-c", check])
    assert (processes_of(yard.data), yard.leftovers()) == ({}, [])


def test_a_build_that_fails_shows_its_output_in_all_processes_that_wait_for_it(yard):
    yard.add("broken", seconds=0.5, fail=True, output="error: the moon is full")
    environments = [yard.fresh() for _ in range(2)]
    before = [snapshot(each.prefix) for each in environments]
    ends = [finish(process) for process in [yard.start(each, "broken") for each in environments]]
    for status, _, stderr in ends:
        assert status == 1
        assert "error: the moon is full" in stderr
    assert [snapshot(each.prefix) for each in environments] == before
    assert (processes_of(yard.data), yard.leftovers()) == ({}, [])


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_no_more_builds_run_at_a_time_than_allowed_and_as_many(yard, jobs):
    yard.add("deep-tool", seconds=0.3)
    yard.add("tool", seconds=0.2, asked=True, build_requires=["deep-tool"])
    # Versions are exact, so that the first is built while pip plans, and waits for the tools that the second takes.
    names = ["first", "second", "third", "fourth"]
    yard.add("first", seconds=2.5)
    yard.add("second", seconds=0.2, asked=True, build_requires=["tool"])
    yard.add("third", seconds=0.5 * jobs)  # on a busy machine, one may begin long before the other
    yard.add("fourth", seconds=0.5 * jobs)
    yard.run(yard.fresh(), *[f"{name}==1.0" for name in names], PIP_ACCEL_BUILD_JOBS=str(jobs))
    begins, ends = dict(yard.noted("begins")), dict(yard.noted("ends"))
    assert yard.builds() == sorted([*names, "tool", "deep-tool"])
    running = [sum(begins[each] <= moment < ends[each] for each in begins) for moment in begins.values()]
    assert max(running) == jobs


def test_when_a_builder_is_killed_who_waits_goes_on_and_the_next_run_ends_the_build(yard):
    marker = os.path.join(yard.directory, "marker")
    yard.add("alpha", more=ENDLESS_AT_FIRST.format(marker=marker))
    builder = yard.start(yard.fresh(), "alpha")
    wait_for(lambda: yard.builds() == ["alpha"], builder)
    environment = yard.fresh()
    waiting = yard.start(environment, "alpha")
    wait_for(lambda: holds_open(waiting, os.path.join(yard.data, "locks")), waiting)
    assert yard.builds() == ["alpha"]
    builder.kill()
    assert finish(builder)[0] == -signal.SIGKILL
    status, _, stderr = finish(waiting)
    assert status == 0, stderr
    assert installed(environment) == {"alpha": "1.0"}
    assert yard.builds() == ["alpha", "alpha"]
    assert processes_of(yard.data) != {}  # nobody could end that build
    yard.run(yard.fresh(), "alpha")
    wait_for(lambda: processes_of(yard.data) == {}, seconds=5)
    assert yard.leftovers() == []


# Killed


def kill_process(process):
    process.kill()


def kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)


def kill_builds(yard, seed, times):
    """Install into a fresh environment, kill that at some moment, and install again.

    Every third time the data directory is empty, else another salt makes all builds new. Every other time the kill
    comes while projects are built, and the next run does not wait until what the killed one started has ended.
    """
    chance = random.Random(seed)
    yard.add("tool", seconds=0.2)
    yard.add("alpha", seconds=0.2)
    yard.add("beta", seconds=0.2, build_requires=["tool"])
    yard.add("gamma", seconds=0.3, asked=True)
    yard.add("delta", seconds=0.1, asked=True, build_requires=["tool"])
    names = ["alpha", "beta", "gamma", "delta"]
    reference = yard.fresh()
    seconds = yard.run(reference, *names).seconds
    interrupted = 0
    for number in range(times):
        if number % 3 == 2:
            yard.data = os.path.join(yard.directory, f"data-{number}")
        salt, environment, before = {"PIP_ACCEL_SALT": str(number)}, yard.fresh(), len(yard.builds())
        process = yard.start(environment, *names, **salt)
        if number % 2:
            builds = before + chance.randint(1, len(names))
            wait_for(lambda: len(yard.builds()) >= builds or process.poll() is not None)  # noqa: B023
            time.sleep(chance.uniform(0, 0.3))
        else:
            time.sleep(chance.uniform(0.1, seconds))
        chance.choice([kill_process, kill_group])(process)
        interrupted += finish(process)[0] == -signal.SIGKILL and len(yard.builds()) > before
        if not number % 2:
            wait_for(lambda: processes_of(yard.data) == {}, seconds=20)
        yard.run(environment, *names, **salt)
        assert installed(environment) == dict.fromkeys(names, "1.0")
        assert sources(environment) == sources(reference)
        wait_for(lambda: processes_of(yard.data) == {}, seconds=20)
        assert yard.leftovers() == [], f"after kill {number}"
    assert interrupted > times / 4, "too few runs were killed while they built"


def test_after_kill_9_the_next_run_is_right_and_nothing_is_left_behind(yard):
    kill_builds(yard, seed=9, times=6)


@pytest.mark.slow
def test_after_many_kills_too(yard):
    kill_builds(yard, seed=25, times=50)
