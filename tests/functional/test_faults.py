"""Every call that changes a file failed, once or for good: the environment is in one of two states, the cache whole.

A run that nothing disturbs tells which calls there are. Then one after the other fails in a run from the same start.
"""

from __future__ import annotations

import copy
import errno
import json
import os
import random
import re
import shutil
import stat
import subprocess
from typing import NamedTuple

import pytest

from tests.lib.archives import IN_TREE_BACKEND, make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.faults import (
    COUNTING,
    KINDS,
    Call,
    Disk,
    Fault,
    can_mount,  # noqa: F401 (in a condition)
    faulty,
    missing,
    read_calls,
)
from tests.lib.runs import run_pip, run_pip_accel
from tests.lib.trees import snapshot

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

#: A line of pip-accel's own that tells of nothing unusual.
OWN_INFORMATION = re.compile(r"\d{4}-\d\d-\d\d \S+ \S+ pip_accel\[\d+\] INFO ")
#: An error that does not say of which file, as that was open.
NAMELESS = re.compile(r"\[Errno \d+\] [^:()]*(?!: ')(?:[()]|: |$)")
EDITABLE_BACKEND = IN_TREE_BACKEND + "\n\ndef build_editable(*arguments):\n    return build_wheel(*arguments)\n"
TRANSACTION = ".pip-accel-transaction"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("archives"))
    for version in ("1.0", "2.0"):
        make_wheel(
            directory, "alpha", version, requires=["beta"],
            files={
                "alpha/__init__.py": f"version = {version}\n", f"alpha/part_{version[0]}/code.py": "",
                "alpha/settings.ini": version, "names/alpha.py": "",
            },
            data={"scripts/tool": "#!python\nprint()\n", "data/share/alpha/table": version, "headers/alpha.h": ""},
            entry_points="[console_scripts]\nalpha = alpha:main\n",
        )  # fmt: skip
        make_wheel(directory, "beta", version, files={"names/beta.py": f"version = {version}\n", "beta-run": version})
    make_wheel(directory, "gamma", "1.0", files={"gamma/__init__.py": "", "gamma/data/table": "1"})
    files = {f"zeta/part_{number // 100}/file_{number}": "" for number in range(1000)}
    make_wheel(directory, "zeta", "1.0", files=files)
    make_sdist(directory, "delta", "1.0", files={"delta.py": "", "table": "1"}, data={"scripts/delta": "#!python\n"})
    make_sdist(directory, "epsilon", "1.0", extra_files={"_backend/in_tree_backend.py": EDITABLE_BACKEND})
    return directory


class Stage:
    """A start that can be had again and again, the run that is made from there, and what comes of it undisturbed.

    All that a run may change lies below one directory: what it is to change (``world``), and the rest.

    :ivar words: of the run.
    :ivar before: what the world is at the start.
    :ivar after: what it is after the run; pip gives the same, but for the bytes of byte code.
    :ivar kept: trees and archives in the data directory after the run.
    :ivar calls: what the run does to files.
    """

    program = "pip_accel"

    def __init__(self, directory, archives, **variables):
        self._directory = str(directory)
        self.top = os.path.join(self._directory, "top")
        self.world, self.data, self.temporary, home = (
            os.path.join(self.top, name) for name in ("world", "data", "tmp", "home")
        )
        for path in (self.world, self.temporary, home):
            os.makedirs(path)
        self.archives = archives
        self.environment = make_environment(os.path.join(self.world, "env"))
        self.enter, self.view = (), ""  # see :class:`Disk`
        self.variables = {
            "PIP_FIND_LINKS": archives, "PIP_NO_INDEX": "1", "TMPDIR": self.temporary, "HOME": home,
            "PIP_ACCEL_BUILD_JOBS": "1",  # so that the calls come in the same order
            **variables,
        }  # fmt: skip

    def run(self, *words, **options):
        options = {"before": self.enter, "lends": False, **self.variables, **options}
        return run_pip_accel(["install", *words], self.environment, self.data, **options)

    def disturb(self, fault, *below):
        """Make the run with a fault; give it, and what it did to files.

        :param below: directories that count; all by default.
        """
        log = os.path.join(self._directory, "log")
        if os.path.exists(log):
            os.unlink(log)
        below = below or (self.world, self.data, self.temporary)
        run = self.run(*self.words, status=None, **faulty(fault, self.program, below, log))
        return run, read_calls(log)

    def empty(self):
        """Make the environment anew."""
        shutil.rmtree(self.environment.prefix)
        make_environment(self.environment.prefix)

    def begin(self, *words):
        """Take what there is now for the start of a run, and see what that does."""
        self.words = words
        subprocess.run(["cp", "-a", self.top, os.path.join(self._directory, "start")], check=True)
        self.before = self.look()
        self.count()
        self.after, self.kept = snapshot(self.world), self.look_into_data()
        self.reset()
        run_pip(["install", *words], self.environment, **self.variables)
        assert without_byte_code(snapshot(self.world)) == without_byte_code(self.after)
        return self

    def count(self):
        run, self.calls = self.disturb(COUNTING)
        assert run.status == 0 and self.calls, run.stderr

    def of(self, program):
        """Give the same, but for the program that is disturbed."""
        other = copy.copy(self)
        other.program = program
        other.reset()
        other.count()
        return other

    def reset(self, *parts):
        """Go back to the start, with all or with parts of what there is."""
        for part in parts or os.listdir(os.path.join(self._directory, "start")):
            target = os.path.join(self.top, part)
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run(["cp", "-a", os.path.join(self._directory, "start", part), target], check=True)
        if not parts and not os.path.exists(os.path.join(self._directory, "start", "data")):
            shutil.rmtree(self.data, ignore_errors=True)

    def look(self):
        """What the world is, with the times at which files were changed."""
        world = self.view + self.world
        return with_times(world, snapshot(world))

    def look_into_data(self):
        """What has to be the same in the end, whatever went wrong before: trees and archives."""
        found = {}
        for name in ("trees", os.path.join("sources", "archives")):
            root = os.path.join(self.view + self.data, name)
            for path, each in with_times(root, snapshot(root)).items():
                used = path.endswith("manifest.json") or name != "trees"
                found[os.path.join(name, path)] = each[:2] if used else each
        return found

    def number(self, what, path):
        """Say which call it is that does something with a path, given as a regular expression; 0 if there is none."""
        found = (
            number for number, call in enumerate(self.calls, 1)
            if call.what == what and re.search(path, call.target or call.path)
        )  # fmt: skip
        return next(found, 0)


def with_times(root, files):
    """A snapshot with the modification times of its plain files."""
    places = {path: os.path.join(root, path) for path in files}
    times = {path: os.lstat(place).st_mtime_ns if os.path.isfile(place) else 0 for path, place in places.items()}
    return {path: (*each, times[path]) for path, each in files.items()}


def without_byte_code(files):
    """A snapshot where byte code only has its mode: pip's has other time stamps."""
    return {path: (mode, "" if path.endswith(".pyc") else content) for path, (mode, content) in files.items()}


# Starts


def warm(directory, archives):
    """An empty environment, and all that is needed is there."""
    stage = Stage(directory, archives)
    stage.run("alpha==1.0", "gamma")
    stage.empty()
    return stage.begin("alpha==1.0", "gamma")


def change(directory, archives):
    """Other versions are there, and foreign files, also in the way."""
    stage = Stage(directory, archives, PIP_ACCEL_LINK_MODE="copy")
    stage.run("alpha==1.0", "beta==2.0")
    for name in ("gamma/__init__.py", "names/foreign.py"):
        path = os.path.join(stage.environment.site_packages, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write("foreign")
    kept = os.path.join(directory, "kept")
    shutil.copytree(stage.environment.prefix, kept, symlinks=True)
    words = ("alpha==2.0", "beta==1.0", "gamma")
    stage.run(*words)
    shutil.rmtree(stage.environment.prefix)
    os.rename(kept, stage.environment.prefix)
    return stage.begin(*words)


def first(directory, archives):
    """Nothing is there."""
    return Stage(directory, archives).begin("alpha==1.0", "gamma")


def build(directory, archives):
    """Nothing is there, and an sdist has to be built."""
    return Stage(directory, archives).begin("delta")


def rebuild(directory, archives):
    """An sdist is there, and what was built of it is not."""
    stage = Stage(directory, archives)
    stage.run("delta")
    stage.empty()
    for name in ("binaries", "trees"):
        shutil.rmtree(os.path.join(stage.data, name))
    return stage.begin("delta")


def editable(directory, archives):
    """A source tree that is to be installed as it lies there, as long as that is possible."""
    stage = Stage(directory, archives, PYTHONDONTWRITEBYTECODE="1")  # in the tree
    shutil.unpack_archive(os.path.join(archives, "epsilon-1.0.tar.gz"), stage.world)
    return stage.begin("gamma", "--editable", os.path.join(stage.world, "epsilon-1.0"))


def target(directory, archives):
    """A directory that is not there yet."""
    stage = Stage(directory, archives)
    place = os.path.join(stage.world, "some", "place")
    words = ("--target", place, "alpha==1.0", "gamma")
    stage.run(*words)
    shutil.rmtree(os.path.dirname(place))
    return stage.begin(*words)


def upgrade(directory, archives):
    """A directory that has other versions; pip is asked what is the newest."""
    stage = Stage(directory, archives)
    place = os.path.join(stage.world, "place")
    stage.run("--target", place, "alpha==1.0", "gamma")
    return stage.begin("--target", place, "--upgrade", "alpha", "gamma")


def many(directory, archives):
    """An empty environment that gets so many files that several processes share the work."""
    stage = Stage(directory, archives, PIP_ACCEL_BUILD_JOBS="2")
    words = ("gamma", "zeta")
    stage.run(*words)
    stage.empty()
    return stage.begin(*words)


#: Programs that a first run starts, to be disturbed in its place.
PROGRAMS = {
    "compiling": "_compile.py",
    "fetching": "__pip-runner__.py download",
    "planning": "__pip-runner__.py --dry-run",
    "learning": "pip pip_accel_probe-1-py3-none-any.whl",
}
STARTS = {start.__name__: start for start in (warm, change, first, build, rebuild, editable, target, upgrade, many)}


@pytest.fixture(scope="module")
def stages(tmp_path_factory, archives):
    """Gives the stage of a name, made when it is asked for."""
    made = {}

    def give(name):
        if name not in made:
            if name in PROGRAMS:
                made[name] = give("first").of(PROGRAMS[name])
            else:
                made[name] = STARTS[name](tmp_path_factory.mktemp(name), archives)
        return made[name]

    return give


# What has to hold


class Result(NamedTuple):
    """What came of a fault."""

    status: int
    state: str  #: ``before``, ``after``, that of ``pip``, or ``neither``
    left: set[str]  #: what there is of a transaction
    said: list[str]  #: lines on standard error that are more than information
    failed: list[Call] | None

    def __str__(self):
        left = f" with {sorted(self.left)}" if self.left else ""
        return f"{(self.failed or [])[:1]}: status {self.status}, {self.state}{left}, {self.said}"


def examine(stage, fault, *below):
    """Make the run of a stage with a fault, and another one, and see that all is well.

    :param below: directories that count; all by default.
    """
    stage.reset()
    run, calls = stage.disturb(fault, *below)
    failed = [call for call in calls if call.failed]
    assert failed
    result = judge(stage, run, fault, failed)
    if result.status == 0:
        stage.reset("world")
    check_what_is_left(stage, result)
    return result


def judge(stage, run, fault, failed=None):
    """See that all is well after a fault.

    :param failed: calls that failed, if they are known.
    """
    said = [line for line in run.stderr.splitlines() if not OWN_INFORMATION.match(line)]
    result = Result(run.status, *state_of(stage), said, failed)
    check_what_was_said(stage, fault, run, result)
    if fault.lasting and run.status == 1:
        found = stage.look()
        changed = [path for path in differences(stage.before, found) if TRANSACTION not in path.split(os.sep)]
        # From a journal the next run puts it right; without one there may be directories that could not be removed.
        more = {path for path in changed if path not in stage.before and stat.S_ISDIR(found[path][0])}
        assert "journal" in result.left or more.issuperset(changed), (result, changed)
    else:
        states = ["before"] if run.status else ["after", "pip"][: 1 + any("pip does" in line for line in said)]
        assert result.state in states, (result, differences(stage.after, stage.look()))
        assert fault.lasting or not result.left, result
    return result


def state_of(stage):
    """Say which state the world is in, and what lies there of a transaction besides."""
    found = stage.look()
    left = {path for path in found if TRANSACTION in path.split(os.sep)}
    found = {path: each for path, each in found.items() if path not in left}
    plain = {path: each[:2] for path, each in found.items()}
    if found == stage.before:
        state = "before"
    elif plain == stage.after:
        state = "after"
    else:
        state = "pip" if without_byte_code(plain) == without_byte_code(stage.after) else "neither"
    return state, {os.path.basename(path) for path in left}


def differences(one, other):
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))


def check_what_was_said(stage, fault, run, result):
    assert not re.search("Traceback|Exception ignored|itself failed", run.stdout + run.stderr), result
    assert run.stdout.count("Successfully installed") == (run.status == 0), (result, run.stdout)
    # Where all goes wrong from a moment on, the cache of binary distributions is the first to be given up.
    caches = [line for line in result.said if fault.lasting and "LocalCacheBackend() is off for this run" in line]
    assert run.status in (0, 1) and len(caches) <= 1 and len(result.said) <= 1 + len(caches), result
    for line in result.said:
        assert os.strerror(fault.error).lower() in line.lower(), result
        assert stage.top in line and not NAMELESS.search(line), result
    if run.status == 1:
        [line] = result.said
        assert line.startswith("ERROR: "), result
        if result.failed is None:
            assert stage.world in line, result
        else:  # the cache is no reason for an installation to fail
            paths = {path for call in result.failed for path in (call.path, call.target) if is_below(stage.world, path)}
            assert any(os.path.basename(path) in line for path in paths), result


def is_below(place, path):
    return path == place or path.startswith(place + os.sep)


def check_what_is_left(stage, result):
    """Another run, which nothing disturbs, finds all it needs or makes it, and an environment that it can put right."""
    again = stage.run(*stage.words)
    said = [line for line in again.stderr.splitlines() if not OWN_INFORMATION.match(line)]
    assert len(said) == (result.status != 0 and "journal" in result.left), (result, said)
    assert all("was interrupted here" in line for line in said), (result, said)
    state, left = state_of(stage)
    assert state == "after" and not left, (result, state, left, differences(stage.after, snapshot(stage.world)))
    kept = stage.look_into_data()
    assert kept == stage.kept, (result, differences(stage.kept, kept))
    data = stage.view + stage.data
    for directory, _, names in os.walk(data):
        for name in names:
            if name.endswith(".json"):
                with open(os.path.join(directory, name), encoding="utf-8") as stream:
                    json.load(stream)
    # What was to show whether a directory can be used, and could not be removed at once, is when it is a day old.
    tried = any(call.what in ("unlink", "rmdir") for call in result.failed or ())
    left = [*os.listdir(stage.temporary), *os.listdir(os.path.join(data, "tmp"))]
    assert len(left) <= tried, (result, left)


# One after the other

slow = pytest.mark.slow
#: What went wrong once: the start, the call and a path that it is for, what it fails with, and the status to expect.
CASES = [
    # The environment was complete, and the run said that it had failed.
    ("warm", "close", r"/run-[^/]*/lock", errno.EIO, 0),
    # A time of use that could not be set was worth a run of pip.
    ("warm", "utime", r"/manifest\.json$", errno.ENOSPC, 0),
    ("warm", "utime", r"/memo/", errno.EACCES, 0),
    # Something was left in the data directory.
    ("warm", "close", r"/tmp/probe\.", errno.EIO, 0),
    ("warm", "open", r"/tmp/new-[^/]*/lock$", errno.EACCES, 0),
    ("warm", "rename", r"/tmp/run-", errno.EIO, 0),
    # The sentence had no path, or one that nobody could find, or the wrong reason.
    ("warm", "mkdir", r"/new/0/gamma$", errno.EIO, 1),
    ("warm", "unlink", r"/new/0/gamma-1\.0\.dist-info/METADATA$", errno.EACCES, 1),
    ("warm", "write", r"/journal\.tmp$", errno.ENOSPC, 1),
    ("warm", "write", r"/settings\.ini$", errno.ENOSPC, 1),
    ("change", "fsync", r"/journal\.tmp$", errno.EIO, 1),
    # Something was left in the environment.
    ("warm", "rmdir", r"/\.pip-accel-transaction$", errno.EIO, 0),
    ("change", "unlink", r"/stash/3$", errno.EIO, 0),
    ("change", "unlink", r"/committed$", errno.EACCES, 0),
    # The sentence did not say which file it was.
    ("first", "write", r"\.metadata\.", errno.ENOSPC, 0),
    ("first", "write", r"/table$", errno.ENOSPC, 0, slow),
    ("first", "close", r"/sources/lock$", errno.EIO, 0, slow),
    ("first", "write", r"/pip_accel_probe", errno.ENOSPC, 0, slow),
    ("editable", "write", r"/input\.json$", errno.ENOSPC, 0, slow),
    ("editable", "write", r"/pyvenv\.cfg$", errno.ENOSPC, 0, slow),
    ("build", "write", r"/result\.tar\.gz$", errno.ENOSPC, 0, slow),
    # The store had a tree without byte code from then on.
    ("compiling", "write", r"/code\.", errno.ENOSPC, 0),
    # It was taken for a damaged archive, and the run failed.
    ("rebuild", "open", r"/payload/table$", errno.EIO, 0),
    ("rebuild", "write", r"/payload/table$", errno.EACCES, 0, slow),
    # pip had to do it all, and nothing was said.
    ("build", "write", r"/METADATA\.[^/]*$", errno.EIO, 0, slow),
    ("planning", "mkdir", r"/pip-unpack-[^/]*$", errno.ENOSPC, 0, slow),
    ("learning", "mkdir", r"/prefix/bin$", errno.EIO, 0, slow),
    # pip could not write to the data directory, and the run failed.
    ("fetching", "mkdir", r"/pip-unpack-[^/]*$", errno.EIO, 0),
    ("fetching", "close", r"/stage-0/alpha[^/]*$", errno.EACCES, 0, slow),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "what", "path", "error", "status"), [pytest.param(*case[:5], marks=case[5:]) for case in CASES]
)
def test_what_went_wrong_once(stages, name, what, path, error, status):
    stage = stages(name)
    number = stage.number(what, path)
    if not number and what == "unlink" and "METADATA" in path:
        pytest.skip("what is linked is linked at the first attempt here")
    assert number, f"there is no such call: {stage.calls}"
    assert examine(stage, Fault(number, error)).status == status


def every_fault(stage, how):
    """Give all the faults that there are, and the directories that count.

    :param how: ``once``: one call fails; ``on``: all that follow as well; ``on in data``: those for the data directory.
    """
    below = (stage.data,) if how == "on in data" else ()
    count = sum(not below or is_below(stage.data, call.target or call.path) for call in stage.calls)
    faults = [Fault(number, error, how != "once") for number in range(1, count + 1) for error in KINDS]
    return faults, below


@pytest.mark.parametrize(
    ("name", "how", "count"),
    [
        ("warm", "once", 4), ("warm", "on", 3), ("warm", "on in data", 1), ("change", "once", 5), ("change", "on", 4),
        ("target", "once", 2), ("target", "on", 1), ("first", "once", 1), ("editable", "once", 1),
    ],
)  # fmt: skip
def test_some_faults(stages, name, how, count):
    stage = stages(name)
    faults, below = every_fault(stage, how)
    for fault in random.Random(f"{name} {how}").sample(faults, count):
        examine(stage, fault, *below)


#: Which of all faults are tried: each one, or one in so many, which is no multiple of the number of errors. The higher
#: numbers are those of runs that take seconds.
STRIDES = {
    ("warm", "once"): 1, ("change", "once"): 1, ("target", "once"): 1, ("many", "once"): 97, ("many", "on"): 97,
    ("warm", "on"): 4, ("change", "on"): 4, ("target", "on"): 4,
    ("warm", "on in data"): 1, ("change", "on in data"): 4, ("first", "on in data"): 20, ("build", "on in data"): 20,
    ("first", "once"): 10, ("build", "once"): 10, ("rebuild", "once"): 7, ("upgrade", "once"): 13,
    ("editable", "once"): 13,
    ("first", "on"): 20, ("build", "on"): 20,
    ("compiling", "once"): 4, ("fetching", "once"): 7, ("planning", "once"): 10, ("learning", "once"): 10,
}  # fmt: skip
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("name", "how"), STRIDES)
def test_all_faults(stages, name, how, part):
    stage = stages(name)
    faults, below = every_fault(stage, how)
    failures = []
    for fault in faults[:: STRIDES[name, how]][part::PARTS]:
        try:
            examine(stage, fault, *below)
        except AssertionError as error:
            failures.append(f"{fault}: {str(error)[:1000]}")
    assert not failures, "\n".join(failures)


# Disks that are full


def examine_on_disk(stage, part, blocks, files):
    """Make the run of a stage with a part of it on a small disk, and another one with more room.

    :param blocks: that are left on the disk.
    :param files: that there may be more on it.
    """
    stage.reset()
    directory = os.path.join(stage.top, part)
    os.makedirs(directory, exist_ok=True)
    with Disk(directory) as disk:
        stage.enter, stage.view = disk.enter, disk.view
        try:
            disk.leave(blocks, files)
            result = judge(stage, stage.run(*stage.words, status=None), Fault(0, errno.ENOSPC))
            assert result.status == 0 or part == "world"  # the cache is no reason for an installation to fail
            disk.leave(1 << 16)
            if part != "world":
                stage.reset("world")
            check_what_is_left(stage, result)
        finally:
            stage.enter, stage.view = (), ""
    return result


on_disks = [pytest.mark.root, pytest.mark.skipif("not can_mount()", reason="needs root, unshare and nsenter")]
#: The start, the part of it, and room on its disk: from too little to enough, in blocks and in files.
ROOMS = [
    *(("first", "data", blocks, 1 << 20) for blocks in (0, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 100, 150, 1000)),
    *(("first", "data", 1 << 16, files) for files in (0, 1, 2, 5, 10, 20, 30, 50, 70, 90, 110, 150, 1000)),
    *(("build", "data", blocks, 1 << 20) for blocks in (0, 5, 20, 35, 50, 65, 80, 100, 150, 1000)),
    *(("build", "data", 1 << 16, files) for files in (0, 5, 20, 40, 60, 80, 120, 1000)),
    *(("change", "world", blocks, 1 << 20) for blocks in range(30)),
    *(("change", "world", 1 << 16, files) for files in range(0, 60, 2)),
    *(("warm", "world", blocks, 1 << 20) for blocks in range(40)),
    *(("warm", "world", 1 << 16, files) for files in range(0, 60, 2)),
]


@pytest.mark.parametrize(
    ("name", "part", "blocks", "files", "status"),
    [
        pytest.param("first", "data", 20, 1 << 20, 0, marks=on_disks),
        pytest.param("change", "world", 1 << 16, 20, 1, marks=on_disks),
        pytest.param("warm", "world", 5, 1 << 20, 1, marks=on_disks),
    ],
)
def test_a_small_disk(stages, name, part, blocks, files, status):
    assert examine_on_disk(stages(name), part, blocks, files).status == status


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.skipif("not can_mount()", reason="needs root, unshare and nsenter")
@pytest.mark.parametrize(("name", "part"), dict.fromkeys(room[:2] for room in ROOMS))
def test_disks_from_too_small_to_large_enough(stages, name, part):
    failures, states = [], []
    for *what, blocks, files in ROOMS:
        if what == [name, part]:
            try:
                states.append(examine_on_disk(stages(name), part, blocks, files).state)
            except AssertionError as error:
                failures.append(f"{blocks} blocks, {files} files: {str(error)[:1000]}")
    assert not failures, "\n".join(failures)
    assert states[-1] == "after" and set(states) == {"after", "pip" if part == "data" else "before"}
