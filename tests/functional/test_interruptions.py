"""Runs that are ended early, and runs beside each other: an environment is in one of two states, and nothing stays."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from tests.lib.archives import IN_TREE_BACKEND, make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.index import IndexServer
from tests.lib.processes import finish, processes_of, start, wait_for
from tests.lib.runs import PIP, PIP_ACCEL, installed, run_pip, run_pip_accel
from tests.lib.trees import snapshot

if sys.platform != "linux":
    pytest.skip("looks into /proc", allow_module_level=True)

#: A build that never ends, in two processes, and says so.
ENDLESS_BUILD = """

def build_wheel(*arguments, **options):
    import subprocess, time

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open({marker!r}, "w") as handle:
        handle.write("building")
    time.sleep(600)
"""
#: A build that takes long enough for others to want it meanwhile.
SLOW_BUILD = """

_build_wheel = build_wheel

def build_wheel(*arguments, **options):
    import time

    time.sleep(1)
    return _build_wheel(*arguments, **options)
"""
VERSIONS = ("1.0", "2.0")
JOURNAL = os.path.join(".pip-accel-transaction", "journal")
CANCELLED = "ERROR: Operation cancelled by user"


class StuckIndex(IndexServer):
    """An index that answers one request only when it is closed: the one whose path ends in ``stuck``."""

    def __init__(self, directory, stuck):
        super().__init__(directory)
        self.stuck = stuck
        self.asked = threading.Event()
        self.closing = threading.Event()

    def answer(self, method, path, accept, authorization):
        if path.endswith(self.stuck):
            self.asked.set()
            self.closing.wait(60)
        return super().answer(method, path, accept, authorization)

    def __exit__(self, *error):
        self.closing.set()
        super().__exit__(*error)


class Place:
    """An environment, a data directory and a directory for temporary files, and runs that are not waited for."""

    def __init__(self, directory, url=""):
        self.directory = str(directory)
        self.data = os.path.join(self.directory, "data")
        self.temporary = os.path.join(self.directory, "tmp")
        os.mkdir(self.temporary)
        self.environment = make_environment(os.path.join(self.directory, "env"))
        self.prefix = self.environment.prefix
        self.variables = {"PIP_INDEX_URL": url, "TMPDIR": self.temporary, "PIP_ACCEL_MAX_RETRIES": "1"}

    def start(self, *words, program=PIP_ACCEL, environment=None):
        """Start a run in a session of its own, as that of a terminal would be."""
        return start(words, environment or self.environment, self.data, program=program, **self.variables)

    def run(self, *words, **options):
        return run_pip_accel(words, self.environment, self.data, lends=False, **self.variables, **options)

    def leftovers(self):
        """Temporary files and directories that are there."""
        places = self.temporary, os.path.join(self.data, "tmp")
        return [os.path.join(place, name) for place in places if os.path.isdir(place) for name in os.listdir(place)]

def ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)


def interrupt(process):
    process.send_signal(signal.SIGINT)


def terminate(process):
    process.send_signal(signal.SIGTERM)


def terminate_group(process):
    os.killpg(process.pid, signal.SIGTERM)


SIGNALS = {ctrl_c: 1, interrupt: 1, terminate: 128 + signal.SIGTERM, terminate_group: 128 + signal.SIGTERM}


# Interrupted on purpose


@contextmanager
def in_a_build(tmp_path):
    marker = str(tmp_path / "marker")
    backend = IN_TREE_BACKEND + ENDLESS_BUILD.format(marker=marker)
    make_sdist(
        str(tmp_path / "archives"), "endless", "1.0",
        extra_files={"_backend/in_tree_backend.py": backend},
    )  # fmt: skip
    with IndexServer(str(tmp_path / "archives")) as server:
        yield server, "endless", lambda: os.path.exists(marker)


@contextmanager
def in_several_builds(tmp_path):
    markers = [str(tmp_path / f"marker-{name}") for name in ("one", "two")]
    for name, marker in zip(("one", "two"), markers, strict=True):
        backend = IN_TREE_BACKEND + ENDLESS_BUILD.format(marker=marker)
        make_sdist(str(tmp_path / "archives"), name, "1.0", extra_files={"_backend/in_tree_backend.py": backend})
    make_wheel(str(tmp_path / "archives"), "endless", "1.0", requires=["one", "two"])
    with IndexServer(str(tmp_path / "archives")) as server:
        yield server, "endless", lambda: all(map(os.path.exists, markers))


@contextmanager
def in_preparing_metadata(tmp_path):
    marker = str(tmp_path / "marker")
    backend = IN_TREE_BACKEND + ENDLESS_BUILD.format(marker=marker)
    backend = backend.replace("def build_wheel(*", "def prepare_metadata_for_build_wheel(*")
    old_metadata = "Metadata-Version: 2.1\nName: endless\nVersion: 1.0\n"
    make_sdist(
        str(tmp_path / "archives"), "endless", "1.0",
        extra_files={"_backend/in_tree_backend.py": backend, "PKG-INFO": old_metadata},
    )  # fmt: skip
    with IndexServer(str(tmp_path / "archives")) as server:
        yield server, "endless", lambda: os.path.exists(marker)


@contextmanager
def in_planning(tmp_path):
    make_wheel(str(tmp_path / "archives"), "alpha", "1.0", requires=["beta"])
    make_wheel(str(tmp_path / "archives"), "beta", "1.0")
    with StuckIndex(str(tmp_path / "archives"), "/simple/beta/") as server:
        yield server, "alpha", server.asked.is_set


@contextmanager
def in_a_download(tmp_path):
    make_wheel(str(tmp_path / "archives"), "alpha", "1.0", requires=["beta"])
    make_wheel(str(tmp_path / "archives"), "beta", "1.0")
    with StuckIndex(str(tmp_path / "archives"), "/beta-1.0-py3-none-any.whl") as server:
        yield server, "alpha", server.asked.is_set


@pytest.mark.parametrize(
    ("when", "how"),
    [
        *((when, how) for when in (in_a_build, in_a_download) for how in SIGNALS),
        *((when, ctrl_c) for when in (in_several_builds, in_preparing_metadata, in_planning)),
        *((when, terminate) for when in (in_several_builds, in_preparing_metadata, in_planning)),
    ],
    ids=lambda value: value.__name__,
)
def test_an_interruption_leaves_nothing_behind(tmp_path, when, how):
    with when(tmp_path) as (server, name, reached):
        place = Place(tmp_path, server.url)
        before = snapshot(place.prefix)
        process = place.start("install", name)
        wait_for(reached, process)
        how(process)
        started = time.monotonic()
        status, stdout, stderr = finish(process)
        assert "Traceback" not in stdout + stderr, stderr
        assert status == SIGNALS[how]
        assert stdout == "" and stderr.strip() == (CANCELLED if status == 1 else "")
        assert time.monotonic() - started < 8
        assert processes_of(place.data) == {}
        assert place.leftovers() == []
        assert snapshot(place.prefix) == before


def test_pip_says_the_same_when_it_is_interrupted(tmp_path):
    with in_a_download(tmp_path) as (server, name, reached):
        place = Place(tmp_path, server.url)
        process = place.start("install", name, program=PIP)
        wait_for(reached, process)
        ctrl_c(process)
        status, _, stderr = finish(process)
        assert (status, stderr.strip()) == (1, CANCELLED)


def test_what_was_interrupted_can_be_done_again(tmp_path):
    with in_a_download(tmp_path) as (server, name, reached):
        place = Place(tmp_path, server.url)
        process = place.start("install", name)
        wait_for(reached, process)
        ctrl_c(process)
        finish(process)
        server.stuck = "nothing"
        place.run("install", name)
        assert installed(place.environment) == {"alpha": "1.0", "beta": "1.0"}
        assert place.leftovers() == []


# Interrupted at any moment


class Fleet(Place):
    """Fifteen distributions in two versions, both of them known to the data directory."""

    NAMES = tuple(f"member-{number}" for number in range(15))

    def __init__(self, directory):
        archives = os.path.join(str(directory), "archives")
        for name in self.NAMES:
            module = name.replace("-", "_")
            for version in ("1.0", "2.0"):
                files = {f"{module}/part_{number}/code.py": f"x = {version}\n" * number for number in range(30)}
                files |= {f"{module}/{version}/only.py": "", f"{module}/data.bin": os.urandom(5000)}
                make_wheel(
                    archives, name, version, files=files, data={f"scripts/{name}": f"#!python\nprint({version})\n"},
                    requires=[f"{other}>=1.0" for other in self.NAMES[:1] if other != name],
                )  # fmt: skip
        super().__init__(directory)
        self.variables |= {"PIP_FIND_LINKS": archives, "PIP_NO_INDEX": "1"}
        self.nothing = os.path.join(self.directory, "nothing.txt")
        open(self.nothing, "w").close()
        self.pristine = os.path.join(self.directory, "pristine")
        shutil.copytree(self.prefix, self.pristine, symlinks=True)
        self.states = {"none": snapshot(self.prefix)}
        for version in ("2.0", "1.0"):
            self.run(*self.words(version))
            self.states[version] = snapshot(self.prefix)
            run_pip(["check"], self.environment)
        self.seconds = max(self.run(*self.words(version)).seconds for version in ("2.0", "1.0"))

    def empty(self):
        """Have nothing installed."""
        shutil.rmtree(self.prefix)
        shutil.copytree(self.pristine, self.prefix, symlinks=True)

    def forget(self):
        """Have nothing known, so that the next run is a first one."""
        shutil.rmtree(self.data)

    def words(self, version):
        return ["install", *(f"{name}=={version}" for name in self.NAMES)]

    def state(self):
        """The version that all of the environment has."""
        found = snapshot(self.prefix)
        matching = [version for version, state in self.states.items() if state == found]
        if not matching:
            state = self.states["1.0"]
            wrong = sorted(path for path in {*state, *found} if state.get(path) != found.get(path))
            raise AssertionError(f"neither of the two states: {wrong[:20]}")
        return matching[0]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return Fleet(tmp_path_factory.mktemp("fleet"))


def end_at_random(fleet, seed, times, how):
    """Install, upgrade and downgrade, and end each run at some moment, every other time while the environment changes.

    Every fifth run finds an empty environment, and every seventh an empty data directory.

    :param how: ends a run; is given its process.
    :yields: what :func:`finish` gives of each run.
    """
    chance = random.Random(seed)
    journal = os.path.join(fleet.prefix, JOURNAL)
    for number in range(times):
        if number % 5 == 4:
            fleet.empty()
        if first := number % 7 == 6:
            fleet.forget()
        state = fleet.state()
        version = chance.choice(VERSIONS) if state == "none" else {"1.0": "2.0", "2.0": "1.0"}[state]
        process = fleet.start(*fleet.words(version))
        if number % 2 and not first:
            wait_for(lambda: os.path.exists(journal) or process.poll() is not None)  # noqa: B023
            time.sleep(chance.uniform(0, 0.15))
        else:
            time.sleep(chance.uniform(0.15, fleet.seconds * (4 if first else 1)))
        try:
            how(process)
        except ProcessLookupError:
            pass
        yield finish(process)


def kill_at_random(fleet, seed, times):
    seen = set()
    for status, _, stderr in end_at_random(fleet, seed, times, lambda process: process.kill()):
        assert "Traceback" not in stderr, stderr
        interrupted = os.path.exists(os.path.join(fleet.prefix, JOURNAL))
        run = fleet.run("install", "-r", fleet.nothing)
        assert ("was interrupted here" in run.stderr) >= interrupted
        seen.add((status, interrupted, fleet.state()))
    wait_for(lambda: processes_of(fleet.data) == {})
    fleet.run("install", "-r", fleet.nothing)
    assert fleet.leftovers() == []
    run_pip(["check"], fleet.environment)
    return seen


def test_after_kill_9_the_next_run_finds_one_of_the_two_states(fleet):
    seen = kill_at_random(fleet, seed=9, times=20)
    assert any(interrupted for _, interrupted, _ in seen), "no run was killed while the environment changed"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_after_many_kills_too(fleet, seed):
    kill_at_random(fleet, seed=seed, times=50)


@pytest.mark.parametrize("how", [ctrl_c, terminate], ids=lambda how: how.__name__)
def test_a_signal_at_any_moment_leaves_one_of_the_two_states(fleet, how):
    # Before its first line and after its last one a program ends as the signal has it.
    by_itself = -(signal.SIGINT if how is ctrl_c else signal.SIGTERM)
    for status, _, stderr in end_at_random(fleet, 3, 6, how):
        assert status in (0, SIGNALS[how], by_itself), stderr
        assert "Traceback" not in stderr, stderr
        assert fleet.state() and not os.path.exists(os.path.join(fleet.prefix, os.path.dirname(JOURNAL)))
        assert fleet.leftovers() == [] and processes_of(fleet.data) == {}


def test_what_killed_runs_left_is_swept_by_the_next_one(tmp_path):
    with in_a_download(tmp_path) as (server, name, reached):
        place = Place(tmp_path, server.url)
        process = place.start("install", name)
        wait_for(reached, process)
        process.kill()
        finish(process)
        assert place.leftovers() != []
    wait_for(lambda: processes_of(place.data) == {})
    with IndexServer(str(tmp_path / "archives")) as server:
        place.variables["PIP_INDEX_URL"] = server.url
        # What a run left that was killed while it made its directory looks the same as one that still does so.
        for name, age in (("new-1-0", 0), ("new-2-0", 100_000), ("probe.2-0.tmp", 100_000)):
            path = os.path.join(place.data, "tmp", name)
            os.mkdir(path) if name.startswith("new") else open(path, "w").close()
            os.utime(path, (time.time() - age,) * 2)
        place.run("install", "alpha")
        assert [os.path.basename(path) for path in place.leftovers()] == ["new-1-0"]


# Beside each other


def test_two_runs_for_one_environment_wait_for_each_other(tmp_path):
    import fcntl

    archives = str(tmp_path / "archives")
    for name in ("alpha", "beta"):
        make_wheel(archives, name, "1.0", requires=["gamma"])
    make_wheel(archives, "gamma", "1.0")
    with IndexServer(archives) as server:
        place = Place(tmp_path, server.url)
        lock = os.open(place.prefix, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [place.start("install", name) for name in ("alpha", "beta")]
        for process in processes:
            assert "Waiting for another run of pip-accel" in process.stderr.readline()
        assert installed(place.environment) == {}
        os.close(lock)
        ends = [finish(process) for process in processes]
    assert [status for status, _, _ in ends] == [0, 0], ends
    assert installed(place.environment) == {"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}
    assert sum("gamma-1.0" in line for _, out, _ in ends for line in out.splitlines() if "Successfully" in line) == 1
    run_pip(["check"], place.environment)


def test_what_several_runs_need_is_built_once(tmp_path):
    archives, counter = str(tmp_path / "archives"), str(tmp_path / "counter")
    make_sdist(
        archives, "slow", "1.0", counter=counter,
        extra_files={"_backend/in_tree_backend.py": IN_TREE_BACKEND + SLOW_BUILD},
    )  # fmt: skip
    with IndexServer(archives) as server:
        place = Place(tmp_path, server.url)
        environments = [make_environment(str(tmp_path / f"env-{number}")) for number in range(4)]
        processes = [place.start("install", "slow", environment=each) for each in environments]
        ends = [finish(process) for process in processes]
    assert [status for status, _, _ in ends] == [0] * 4, ends
    assert [installed(each) for each in environments] == [{"slow": "1.0"}] * 4
    with open(counter, encoding="utf-8") as stream:
        assert [line for line in stream if line.startswith("build_wheel ")] == ["build_wheel slow 1.0\n"]
    assert sum("built slow 1.0" in stderr for _, _, stderr in ends) == 1
    assert place.leftovers() == []
