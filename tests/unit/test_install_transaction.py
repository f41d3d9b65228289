"""All of a set of changes, or none: whatever ends them early, and whenever."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext

import pytest

from pip_accel._install import journal, link, staging
from pip_accel._install.link import Linker
from pip_accel._install.scripts import learn_template
from pip_accel._install.staging import find_whole
from pip_accel._install.steps import decide
from pip_accel._install.transaction import install, lock_prefix, pending, repair
from pip_accel._trees import expand, find_damage
from pip_accel._values import Change, Launcher
from pip_accel.exceptions import Edited, LinkError, UnsafeArchive
from tests.lib.environments import make_environment
from tests.lib.trees import TEMPLATE, bundled, find_in, make_target, make_tree, pack_tree, run_pip, snapshot

TAG = sys.implementation.cache_tag
LEFT_BEHIND = ".pip-accel-transaction"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that is killed is a fork")


def carry_out(target, *changes, mode="auto", **options):
    arguments = {"linker": Linker(mode), "byte_code": True, "template": TEMPLATE, "umask": 0o022, **options}
    install(changes, target, **arguments)


def touch(path, content="foreign"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(content)


class Upgrade:
    """An environment with two distributions and foreign files, and changes that touch all of them.

    Two more distributions come as a whole, one of them with files beside that; of one, only the metadata do.
    """

    def __init__(self, directory):
        def tree(name, version, files, **options):
            mtime = 1_400_000_000 + 2 * len(version)
            return bundled(make_tree(directory, name, version, files, mtime=mtime, **options))

        self.target = make_target(os.path.join(directory, "env"))
        self.alpha = tree(
            "alpha",
            "1.0",
            {
                "purelib/alpha/__init__.py": "version = 1\n",
                "purelib/alpha/old/gone.py": "",
                "purelib/alpha/was_file": "",
                "purelib/alpha/was_directory/x": "",
                "data/share/alpha/table": "1",
                "scripts/tool": "#!python\n1\n",
            },
            launchers=[Launcher("alpha", "alpha", "main", False)],
        )
        self.newer = tree(
            "alpha",
            "2.0.0",
            {
                "purelib/alpha/__init__.py": "version = 2\n",
                "purelib/alpha/new/come.py": "",
                "purelib/alpha/was_file/x": "",
                "purelib/alpha/was_directory": "",
                "purelib/alpha/settings.ini": "new",
                "scripts/tool": "#!python\n2\n",
            },
            launchers=[Launcher("alpha", "alpha", "main", False)],
        )
        self.beta = tree("beta", "3.0", {"purelib/beta.py": "version = 3\n", "purelib/names/beta.py": ""})
        self.older = tree("beta", "2.5.1", {"purelib/beta.py": "version = 2.5\n"})
        self.gamma = tree("gamma", "1.0", {"purelib/gamma/__init__.py": "", "purelib/names/gamma.py": ""})
        self.delta = tree(
            "delta",
            "1.0",
            {
                "purelib/delta/__init__.py": "version = 1\n",
                "purelib/delta/sub/table": "1",
                "purelib/single.py": "",
                "data/share/alpha/delta": "1",
                "scripts/delta-tool": "#!python\n",
            },
        )
        self.epsilon = tree("epsilon", "1.0", {"purelib/epsilon/run": ""}, executable={"purelib/epsilon/run"})
        self.scheme = self.target.scheme
        os.makedirs(self.target.prefix)
        carry_out(self.target, Change(self.alpha, True, "", None), Change(self.beta, False, "", None), mode="copy")
        touch(os.path.join(self.scheme.purelib, "gamma", "__init__.py"), "foreign and overwritten")
        touch(os.path.join(self.scheme.purelib, "names", "foreign.py"))
        touch(os.path.join(self.scheme.scripts, "python"))
        os.chmod(os.path.join(self.scheme.purelib, "alpha", "old"), 0o750)
        self._kept = os.path.join(directory, "kept")
        shutil.copytree(self.target.prefix, self._kept, symlinks=True)
        self.before = snapshot(self.target.prefix)
        self.changes = [
            Change(self.newer, True, "", find_in(self.target, self.alpha)),
            Change(self.older, False, "", find_in(self.target, self.beta)),
            Change(self.gamma, False, "{}", None),
            Change(self.delta, True, "", None),
            Change(self.epsilon, False, "", None),
        ]
        self.whole = find_whole(self.changes, self.target, self.target.prefix)
        self.run()
        self.after = snapshot(self.target.prefix)
        self.reset()

    def run(self, **options):
        carry_out(self.target, *self.changes, **options)

    def reset(self):
        if snapshot(self.target.prefix) != self.before:
            shutil.rmtree(self.target.prefix)
            shutil.copytree(self._kept, self.target.prefix, symlinks=True)

    def check(self, *allowed):
        found = snapshot(self.target.prefix)
        assert found in allowed, sorted(set(found.items()) ^ set(allowed[0].items()))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """No test here takes the power away."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def prepared():
    """In memory where that can be: the same files are laid out hundreds of times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        yield Upgrade(os.path.realpath(directory))


@pytest.fixture
def upgrade(prepared):
    """Whatever is done to the environment, the trees that its files are linked from stay as they are."""
    yield prepared
    prepared.reset()
    damage = [find_damage(change.tree) for change in prepared.changes]
    for change in prepared.changes if any(damage) else ():
        for file in expand(change.tree).files:
            root = change.tree.byte_code if file.kind.endswith("bytecode") else change.tree.path
            os.chmod(os.path.join(root, file.scheme, file.path), file.mode)
    assert not any(damage), damage


#: Times are set at the end of what makes a file, and nothing here depends on them.
CHANGING = {"os.rename", "os.link", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.symlink"}


def make_hook(at, tell):
    """Give an audit hook that calls what ``at`` maps to before the operation on files with the number ``at``.

    :param tell: called before the last of these.
    """
    count = 0
    left = dict(at)

    def hook(event, arguments):
        nonlocal count
        if event not in CHANGING:
            flags = arguments[2] if event == "open" else 0
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        count += 1
        if count in left:
            step = left.pop(count)
            if not left:
                tell()
            step()

    return hook


def run_in_fork(action, at):
    """Run ``action`` in a fork with a hook; tell whether all numbers came."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            sys.addaudithook(make_hook(at, lambda: os.write(writing, b"x")))
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writing)
    os.waitpid(process, 0)
    came = os.read(reading, 1) == b"x"
    os.close(reading)
    return came


hooks = []


@functools.cache
def listen():
    """No hook can be taken away again, so there is one for all."""
    sys.addaudithook(lambda event, arguments: hooks[-1](event, arguments) if hooks else None)


def run_here(action, at):
    """Do the same in this process, which is quicker, if what comes is an exception."""
    listen()
    came = []
    hooks.append(make_hook(at, lambda: came.append(True)))
    try:
        action()
    except BaseException:
        if not came:
            raise
    finally:
        hooks.pop()
    return bool(came)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def every_moment(action, step, stride=1):
    """Give the number of each operation of ``action`` after ``step`` was called in place of it, until there is none."""
    run = run_in_fork if step is die else run_here
    for number in range(1, 1000, stride):
        came = run(action, {number: step})
        yield number
        if not came:
            return
    raise AssertionError("there are no so many operations")


def test_some_of_the_changes_come_as_a_whole(upgrade):
    """So all that follows is about these as well; one of them replaces something."""
    assert upgrade.whole == [False, True, False, True, True]
    assert upgrade.changes[1].replaces is not None


def state_of(upgrade):
    """Tell how far a transaction has come: what its directory holds, and which of the whole entries are in place."""
    root = os.path.join(upgrade.target.prefix, LEFT_BEHIND)
    held = {name for name in ("new", "journal", "committed") if os.path.exists(os.path.join(root, name))}
    names = ("delta", "epsilon", "beta-2.5.1.dist-info", "delta-1.0.dist-info", "epsilon-1.0.dist-info")
    placed = sum(os.path.exists(os.path.join(upgrade.scheme.purelib, name)) for name in names)
    return frozenset(held), placed


@needs_fork
def test_whenever_it_is_killed_repair_gives_one_of_the_two_states(upgrade):
    seen = set()
    for moments in every_moment(lambda: upgrade.run(mode="copy"), die):  # noqa: B007
        seen.add(state_of(upgrade))
        repair(upgrade.target.prefix)
        upgrade.check(upgrade.before, upgrade.after)
        assert not repair(upgrade.target.prefix)
        upgrade.reset()
    assert moments > 100
    staged, written, committed = frozenset({"new"}), frozenset({"new", "journal"}), frozenset({"new", "committed"})
    assert {(staged, 0), *((written, placed) for placed in range(6)), (committed, 5), (frozenset(), 5)} <= seen


def run_until(upgrade, placed):
    """Have a run killed when so many whole entries are in place."""
    rename = os.rename

    def rename_and_die(source, target):
        rename(source, target)
        if state_of(upgrade)[1] == placed:
            die()

    def run():
        os.rename = rename_and_die
        upgrade.run()

    run_in_fork(run, {})
    assert state_of(upgrade) == ({"new", "journal"}, placed)


@needs_fork
@pytest.mark.parametrize(("moment", "stride"), [(12, 1), (30, 1), (60, 1), ("first entry", 4), ("last entry", 1)])
def test_repair_may_be_killed_too(upgrade, moment, stride):
    def repair_it():
        repair(upgrade.target.prefix)

    if isinstance(moment, int):
        run_in_fork(upgrade.run, {moment: die})
    else:
        run_until(upgrade, 1 if moment == "first entry" else 5)
    interrupted = os.path.join(os.path.dirname(upgrade.target.prefix), "interrupted")
    shutil.copytree(upgrade.target.prefix, interrupted, symlinks=True)
    try:
        for _ in every_moment(repair_it, die, stride):
            repair(upgrade.target.prefix)
            upgrade.check(upgrade.before)
            shutil.rmtree(upgrade.target.prefix)
            shutil.copytree(interrupted, upgrade.target.prefix, symlinks=True)
    finally:
        shutil.rmtree(interrupted)


def interrupt():
    raise KeyboardInterrupt


def fill_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("step", "stride"), [(interrupt, 1), (fill_disk, 3)], ids=["interrupt", "full disk"])
def test_whenever_an_exception_comes_nothing_is_left(upgrade, step, stride):
    for _ in every_moment(upgrade.run, step, stride):
        left = os.path.join(upgrade.target.prefix, LEFT_BEHIND)
        if os.path.exists(os.path.join(left, "committed")) or (os.path.exists(left) and not os.listdir(left)):
            repair(upgrade.target.prefix)  # all was done, and something could not be tidied up
        upgrade.check(upgrade.before, upgrade.after)
        upgrade.reset()


@needs_fork
def test_signals_do_not_stop_the_undoing(upgrade):
    def press():
        os.kill(os.getpid(), signal.SIGINT)

    def run():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        upgrade.run()

    for number in range(5, 140, 9):  # from among those before the commit
        run_in_fork(run, {number: press, number + 4: press, number + 9: press})
        upgrade.check(upgrade.before)
        upgrade.reset()


def test_upgrade_and_downgrade_leave_the_new_versions_only(upgrade):
    upgrade.run()
    site = upgrade.scheme.purelib
    assert sorted(name for name in os.listdir(site) if name.endswith("dist-info")) == [
        "alpha-2.0.0.dist-info",
        "beta-2.5.1.dist-info",
        "delta-1.0.dist-info",
        "epsilon-1.0.dist-info",
        "gamma-1.0.dist-info",
    ]
    assert os.path.isdir(os.path.join(site, "alpha", "was_file"))
    assert os.path.isfile(os.path.join(site, "alpha", "was_directory"))
    assert not os.path.exists(os.path.join(site, "alpha", "old"))
    assert not os.path.exists(os.path.join(site, "names", "beta.py"))
    assert os.path.exists(os.path.join(site, "names", "foreign.py"))
    code = "import alpha, beta; print(alpha.version, beta.version)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": site}, capture_output=True, text=True)
    assert done.stdout == "2 2.5\n"


def test_record_names_what_is_there(upgrade):
    upgrade.run()
    for tree in (upgrade.newer, upgrade.older, upgrade.gamma, upgrade.delta, upgrade.epsilon):
        installed = find_in(upgrade.target, tree)
        with open(os.path.join(installed.metadata, "RECORD"), encoding="utf-8") as stream:
            for line in stream:
                path, _, size = line.rstrip("\n").split(",")
                path = os.path.join(installed.location, path)
                assert os.path.isfile(path), path
                assert not size or os.path.getsize(path) == int(size)


def test_a_foreign_file_that_is_overwritten_comes_back(upgrade):
    def refuse(change):
        if change.tree.name == "beta":
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        upgrade.run(on_replace=refuse)
    upgrade.check(upgrade.before)


def test_what_is_replaced_is_told_before_it_goes(upgrade):
    told = []
    upgrade.run(on_replace=lambda change: told.append((change.tree.name, os.path.exists(change.replaces.metadata))))
    assert told == [("alpha", True), ("beta", True)]


def test_a_full_disk_leaves_the_environment_as_it_was(upgrade, monkeypatch):
    calls = 0

    def full(handle, data):
        nonlocal calls
        calls += 1
        if calls == 3:
            write(handle, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    write = os.write
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LinkError, match="No space left"):
        upgrade.run(mode="copy")
    upgrade.check(upgrade.before)


# Entries that come as a whole


@needs_fork
@pytest.mark.parametrize(
    ("which", "number"),
    [(which, number) for which, stride in (("parent", 4), ("child", 4), ("any", 2)) for number in range(1, 60, stride)],
)
@pytest.mark.parametrize("step", [die, fill_disk, interrupt], ids=["killed", "full disk", "interrupt"])
def test_whenever_one_of_several_processes_ends_early_nothing_is_left(upgrade, monkeypatch, which, number, step):
    """A process that goes on alone has the lock until it ends, and who comes next waits for it."""
    prefix = upgrade.target.prefix
    monkeypatch.setattr(staging, "_WORTHWHILE", 1)
    seen = set()

    def run():
        parent = os.getpid()
        fork = os.fork

        def fork_and_tell():
            seen.add("forked")
            return fork()

        def step_if_it_is_the_one():
            if which == "any" or (os.getpid() == parent) == (which == "parent"):
                step()

        at.append(step_if_it_is_the_one)
        os.fork = fork_and_tell
        with lock_prefix(prefix, lambda: None):
            upgrade.run(jobs=2)
        assert seen == {"forked"}

    at = []
    run_in_fork(run, {number: lambda: at[-1]()})
    with lock_prefix(prefix, lambda: None):
        repair(prefix)
    upgrade.check(upgrade.before, upgrade.after)


def test_an_edited_file_is_noticed_while_nothing_has_changed(upgrade):
    """Whether it comes as a whole, beside that or one by one; replaced distributions stay."""
    places = [
        (upgrade.newer, "purelib/alpha/settings.ini"),
        (upgrade.delta, "data/share/alpha/delta"),
        (upgrade.delta, "purelib/delta/sub/table"),
        (upgrade.delta, f"purelib/delta/__pycache__/__init__.{TAG}.pyc"),
        (upgrade.delta, f"purelib/__pycache__/single.{TAG}.pyc"),
        (upgrade.epsilon, "purelib/epsilon/run"),
    ]
    for tree, path in places:
        place = os.path.join(tree.byte_code if path.endswith(".pyc") else tree.path, path)
        os.utime(place)
        told = []
        with pytest.raises(Edited, match=re.escape(path.partition("/")[2])):
            upgrade.run(check=True, on_replace=told.append)
        upgrade.check(upgrade.before)
        assert told == []
        os.utime(place, (tree.mtime, tree.mtime))
    upgrade.run(check=True)
    upgrade.check(upgrade.after)


@pytest.mark.parametrize("name", ["delta/foreign", "delta-1.0.dist-info/foreign", "epsilon"])
def test_what_comes_in_between_is_not_replaced(upgrade, name):
    """By the hand of someone who knows no lock."""
    path = os.path.join(upgrade.scheme.purelib, name)
    with pytest.raises(LinkError, match=re.escape(name.partition("/")[0])):
        upgrade.run(on_start=lambda: touch(path))
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == "foreign"
    os.unlink(path)
    if "/" in name:
        os.rmdir(os.path.dirname(path))
    upgrade.check(upgrade.before)


def test_an_entry_that_cannot_be_put_back_is_kept_for_the_next_run(upgrade, monkeypatch):
    rename = os.rename

    def refuse(source, target):
        if source.endswith("dist-info") and LEFT_BEHIND in target:
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    steps = decide(upgrade.changes, upgrade.target, byte_code=True, template=TEMPLATE, umask=0o022, whole=upgrade.whole)
    with pytest.raises(LinkError, match="Cannot undo"), pending(steps, upgrade.target.prefix, Linker()):
        interrupt()
    monkeypatch.undo()
    assert state_of(upgrade) == ({"new", "journal"}, 3)
    assert repair(upgrade.target.prefix)
    upgrade.check(upgrade.before)


@pytest.mark.parametrize("name", ["METADATA", "run", "sub"])
def test_what_is_hard_to_remove_is_not_changed_in_the_store(upgrade, monkeypatch, name):
    """It is one file with the one that is linked, and in other environments as well."""
    failed = []

    def fail_once(function):
        def call(path, *arguments, **options):
            if os.path.basename(path) == name and not failed:
                failed.append(path)
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return function(path, *arguments, **options)

        return call

    monkeypatch.setattr(journal.Journal, "write", lambda *_: interrupt())
    monkeypatch.setattr(os, "unlink", fail_once(os.unlink))
    monkeypatch.setattr(os, "rmdir", fail_once(os.rmdir))
    with pytest.raises(KeyboardInterrupt):
        upgrade.run(mode="hardlink")
    monkeypatch.undo()
    assert failed
    upgrade.check(upgrade.before)


def test_an_environment_that_is_not_there_yet_is_gone_again(upgrade):
    """All of its distributions come as a whole."""
    base = os.path.join(os.path.dirname(upgrade.target.prefix), "other")
    target = make_target(os.path.join(base, "env"))
    changes = [Change(change.tree, True, "", None) for change in upgrade.changes]
    assert find_whole(changes, target, target.place) == [True, True, True, True, True]
    for step in (interrupt, fill_disk):
        for _ in every_moment(lambda: carry_out(target, *changes), step, 3):
            if os.path.exists(os.path.join(target.scheme.purelib, "gamma-1.0.dist-info")):
                repair(target.prefix)
                assert LEFT_BEHIND not in os.listdir(target.prefix)
                shutil.rmtree(base)
            assert not os.path.exists(base)


def test_byte_code_is_linked_as_its_owner_allows(upgrade, monkeypatch):
    """Not only that of whole distributions: a hard link to another user's file would leave it at their mercy."""
    other = os.geteuid() + 1 if hasattr(os, "geteuid") else 1
    stat_of = os.stat

    def pretend(path, *arguments, **options):
        status = stat_of(path, *arguments, **options)
        if not str(path).endswith("-byte-code"):
            return status
        return os.stat_result((*status[:4], other, *status[5:]), {"st_atime_ns": 0, "st_mtime_ns": 0})

    monkeypatch.setattr(os, "stat", pretend)
    upgrade.run(mode="hardlink")
    monkeypatch.undo()
    for tree, name in ((upgrade.newer, "alpha/{}__init__.{}"), (upgrade.older, "{}beta.{}")):
        own, compiled = name.format("", "py"), name.format("__pycache__/", f"{TAG}.pyc")
        assert os.path.samefile(f"{tree.path}/purelib/{own}", os.path.join(upgrade.scheme.purelib, own))
        assert not os.path.samefile(f"{tree.byte_code}/purelib/{compiled}", f"{upgrade.scheme.purelib}/{compiled}")


# File systems and failures


@pytest.mark.parametrize("at_undo", [False, True])
def test_files_on_another_file_system_are_copied_away_and_back(upgrade, monkeypatch, at_undo):
    replace = os.replace

    def refuse(source, target):
        if (os.sep + "stash" + os.sep in source) != (os.sep + "stash" + os.sep in target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    if not at_undo:
        upgrade.run()
        upgrade.check(upgrade.after)
        return
    monkeypatch.setattr(link.Linker, "link", lambda *_: interrupt())
    with pytest.raises(KeyboardInterrupt):
        upgrade.run()
    upgrade.check(upgrade.before)


def test_what_cannot_be_put_back_is_kept_for_the_next_run(upgrade, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if target.endswith("beta.py") and os.path.basename(os.path.dirname(source)) == "stash":
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(link.Linker, "link", lambda *_: interrupt())
    with pytest.raises(LinkError, match="Cannot undo"):
        upgrade.run()
    monkeypatch.undo()
    assert repair(upgrade.target.prefix)
    upgrade.check(upgrade.before)


def test_two_transactions_do_not_mix(upgrade):
    os.mkdir(os.path.join(upgrade.target.prefix, LEFT_BEHIND))
    with pytest.raises(FileExistsError):
        upgrade.run()
    assert not repair(upgrade.target.prefix)
    upgrade.check(upgrade.before)


@needs_fork
def test_a_journal_without_entries_can_be_undone_too(upgrade):
    """As versions wrote it that knew of none."""
    steps = decide(upgrade.changes, upgrade.target, byte_code=True, template=TEMPLATE, umask=0o022)
    assert steps.wholes == []

    def run():
        with pending(steps, upgrade.target.prefix, Linker()):
            die()

    run_in_fork(run, {})
    path = os.path.join(upgrade.target.prefix, LEFT_BEHIND, "journal")
    with open(path, encoding="ascii") as stream:
        contents = json.load(stream)
    assert contents.pop("entries") == []
    touch(path, json.dumps(contents))
    assert repair(upgrade.target.prefix)
    upgrade.check(upgrade.before)


def test_a_journal_that_cannot_be_read_costs_no_files(upgrade):
    root = os.path.join(upgrade.target.prefix, LEFT_BEHIND)
    touch(os.path.join(root, "journal"), "{")
    touch(os.path.join(root, "stash", "0"))
    with pytest.raises(LinkError, match="cannot be read"):
        repair(upgrade.target.prefix)
    assert os.path.exists(os.path.join(root, "stash", "0"))


def test_the_prefix_is_untouched_where_one_archive_is_unsafe(upgrade):
    bad = upgrade.gamma._replace(name="..")
    with pytest.raises(UnsafeArchive):
        carry_out(upgrade.target, *upgrade.changes, Change(bad, False, "", None))
    upgrade.check(upgrade.before)


@pytest.mark.parametrize(("path", "text"), [("gamma.py", "directory of that name"), ("gamma", "file of that name")])
def test_a_file_in_the_way_of_a_directory_is_an_error_and_the_reverse(tmp_path, path, text):
    target = make_target(str(tmp_path / "env"))
    tree = make_tree(str(tmp_path), "gamma", "1.0", {"purelib/gamma.py": "", "purelib/gamma/x.py": ""})
    way = os.path.join(target.scheme.purelib, path)
    touch(way if path == "gamma" else os.path.join(way, "inner"))
    before = snapshot(target.prefix)
    with pytest.raises(LinkError, match=text):
        carry_out(target, Change(tree, True, "", None))
    assert snapshot(target.prefix) == before


def test_of_two_changes_with_one_path_the_later_wins(tmp_path):
    target = make_target(str(tmp_path / "env"))
    os.makedirs(target.prefix)
    one = make_tree(str(tmp_path), "one", "1.0", {"purelib/both": "one"})
    two = make_tree(str(tmp_path), "two", "1.0", {"purelib/both": "two"})
    carry_out(target, Change(one, True, "", None), Change(two, True, "", None))
    with open(os.path.join(target.scheme.purelib, "both")) as stream:
        assert stream.read() == "two"


def test_a_file_that_changes_hands_goes_with_its_old_owner_as_with_pip(tmp_path):
    target = make_target(str(tmp_path / "env"))
    os.makedirs(target.prefix)
    old = make_tree(str(tmp_path), "two", "1.0", {"purelib/shared/x": "", "purelib/shared/y": ""})
    carry_out(target, Change(old, True, "", None))
    taker = make_tree(str(tmp_path), "one", "1.0", {"purelib/shared/x": "", "purelib/shared/z": ""})
    new = make_tree(str(tmp_path), "two", "2.0", {"purelib/shared/w": ""})
    carry_out(target, Change(taker, True, "", None), Change(new, True, "", find_in(target, old)))
    assert sorted(os.listdir(os.path.join(target.scheme.purelib, "shared"))) == ["w", "z"]


def test_linked_directories_are_followed(tmp_path):
    """As ``lib64`` of some virtual environments is: the same files under another name."""
    target = make_target(str(tmp_path / "env"))
    os.makedirs(os.path.join(target.prefix, "lib"))
    os.symlink("lib", os.path.join(target.prefix, "lib64"))
    other = target._replace(scheme=target.scheme._replace(platlib=target.scheme.purelib.replace("/lib/", "/lib64/")))
    old = make_tree(str(tmp_path), "one", "1.0", {"platlib/one.py": "1", "platlib/old.py": ""}, lib="platlib")
    new = make_tree(str(tmp_path), "one", "2.0", {"purelib/one.py": "2"})
    carry_out(other, Change(old, True, "", None))
    carry_out(other, Change(new, True, "", find_in(other, old)))
    names = {name for name in os.listdir(target.scheme.purelib) if name != "__pycache__"}
    assert names == {"one.py", "one-2.0.dist-info"}
    with open(os.path.join(target.scheme.purelib, "one.py")) as stream:
        assert stream.read() == "2"


def without_byte_code(files):
    """A snapshot where byte code only has its mode: pip's has other time stamps."""
    return {path: (mode, "" if path.endswith(".pyc") else content) for path, (mode, content) in files.items()}


def test_an_upgrade_leaves_what_pip_leaves(tmp_path):
    """Under another umask than what is replaced was installed with."""
    umask = 0o077
    environment = make_environment(str(tmp_path / "env"))
    prefix = environment.prefix
    target = make_target(prefix)
    first = [
        make_tree(
            str(tmp_path),
            "alpha",
            "1.0",
            {"purelib/alpha/__init__.py": "", "purelib/alpha/old/x.py": "", "data/share/man/man1/alpha.1": ""},
            launchers=[Launcher("alpha", "alpha", "main", False)],
        ),
        make_tree(str(tmp_path), "beta", "2.0", {"purelib/names/beta.py": "", "platlib/beta.py": ""}),
    ]
    second = [
        make_tree(
            str(tmp_path),
            "alpha",
            "2.0",
            {
                "purelib/alpha/__init__.py": "2",
                "purelib/alpha/new/x.py": "",
                "scripts/tool.py": "#!python\nprint()\n",
                "headers/alpha.h": "",
                "data/etc/alpha.conf": "",
            },
            launchers=[Launcher("alpha", "alpha.new", "Main.run", False), Launcher("alpha-ui", "alpha", "ui", True)],
            umask=umask,
        ),
        make_tree(str(tmp_path), "beta", "1.0", {"purelib/beta.py": "1"}, umask=umask),
        make_tree(str(tmp_path), "gamma", "1.0", {"purelib/names/gamma.py": "", "purelib/taken.py": ""}, umask=umask),
    ]
    run_pip(environment.python, "install", "--no-deps", *[pack_tree(tree, str(tmp_path)) for tree in first])
    touch(os.path.join(environment.site_packages, "alpha", "old", "foreign.txt"))
    touch(os.path.join(environment.site_packages, "taken.py"))
    kept = str(tmp_path / "kept")
    shutil.copytree(prefix, kept, symlinks=True)
    previous = os.umask(umask)
    try:
        run_pip(environment.python, "install", "--no-deps", *[pack_tree(tree, str(tmp_path)) for tree in second])
        expected = snapshot(prefix)
        changes = []
        for tree, old in zip(second, [*first, None], strict=True):
            with open(os.path.join(find_in(target, tree).metadata, "direct_url.json"), encoding="utf-8") as stream:
                changes.append(Change(tree, True, stream.read(), find_in(target, old) if old else None))
        shutil.rmtree(prefix)
        shutil.copytree(kept, prefix, symlinks=True)
        template = learn_template(sys.executable, str(tmp_path))
        changes.reverse()  # in this order pip installs what does not depend on each other
        carry_out(target, *changes, template=template, umask=umask)
    finally:
        os.umask(previous)
    assert without_byte_code(snapshot(prefix)) == without_byte_code(expected)
    run_pip(environment.python, "check")
    run_pip(environment.python, "uninstall", "-y", "alpha", "beta", "gamma")
    left = [name for name in os.listdir(environment.site_packages) if name != "names"]
    assert left == ["alpha"]  # with the foreign file


def test_byte_code_that_is_installed_is_valid(tmp_path):
    target = make_target(str(tmp_path / "env"), python=sys.executable)
    os.makedirs(target.prefix)
    tree = make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": "", "scripts/run.py": "#!python\n"})
    for mode in ("copy", "hardlink"):
        carry_out(target, Change(tree, True, "", None), mode=mode)
        for directory, name in ((target.scheme.purelib, "alpha"), (target.scheme.scripts, "run")):
            status = os.stat(os.path.join(directory, name + ".py"))
            with open(os.path.join(directory, "__pycache__", f"{name}.{TAG}.pyc"), "rb") as stream:
                header = stream.read(16)
            assert int.from_bytes(header[8:12], "little") == int(status.st_mtime) == tree.mtime
            assert int.from_bytes(header[12:], "little") == status.st_size


def test_repair_of_an_environment_without_a_transaction_does_nothing(tmp_path):
    assert not repair(str(tmp_path))
    assert not repair(str(tmp_path / "missing"))


def test_one_process_at_a_time_holds_the_lock(tmp_path):
    code = (
        "import sys; from pip_accel._install.transaction import lock_prefix\n"
        "with lock_prefix(sys.argv[1], lambda: None): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        waits = []
        done = threading.Event()

        def wait():
            with lock_prefix(str(tmp_path), lambda: waits.append(True)):
                done.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        deadline = time.monotonic() + 10
        while not waits and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waits == [True]
        assert not done.is_set()
        holder.kill()  # the lock ends with the process
        waiter.join(10)
        assert done.is_set()
    assert os.listdir(tmp_path) == []


def test_a_free_lock_is_taken_without_a_word(tmp_path):
    for _ in range(2):
        with lock_prefix(str(tmp_path), lambda: pytest.fail("nobody holds it")):
            pass


def test_where_there_are_no_locks_there_is_none(tmp_path, monkeypatch):
    from pip_accel._install import transaction

    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(transaction.fcntl, "flock", refuse)
    entered = []
    with lock_prefix(str(tmp_path), lambda: pytest.fail("nobody holds it")):
        entered.append(True)
    with lock_prefix(str(tmp_path / "missing"), lambda: pytest.fail("nobody holds it")):
        entered.append(True)
    assert entered == [True, True]


def test_what_was_committed_is_tidied_up_and_nobody_is_told_that_it_was_undone(tmp_path):
    touch(str(tmp_path / LEFT_BEHIND / "committed"))
    touch(str(tmp_path / LEFT_BEHIND / "stash" / "0"))
    assert not repair(str(tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["unlink", "rmdir"])
def test_what_cannot_be_tidied_up_at_once_is_tried_again(upgrade, monkeypatch, name):
    """So that one failure leaves nothing in an environment that is complete."""
    function, failed = getattr(os, name), []

    def fail_once(path, *arguments, **options):
        if not failed and LEFT_BEHIND in str(path) and "committed" in state_of(upgrade)[0]:
            failed.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        function(path, *arguments, **options)

    monkeypatch.setattr(os, name, fail_once)
    upgrade.run()
    assert failed
    upgrade.check(upgrade.after)


def test_what_is_said_of_a_failure_has_whole_paths(upgrade, monkeypatch):
    """Although what comes as a whole is made by relative ones."""
    mkdir = os.mkdir

    def fail_below(path, *arguments, dir_fd=None):
        if dir_fd is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        mkdir(path, *arguments)

    monkeypatch.setattr(os, "mkdir", fail_below)
    with pytest.raises(LinkError) as caught:
        upgrade.run()
    path = os.path.join(upgrade.scheme.purelib, "beta-2.5.1.dist-info")
    assert str(caught.value) == f"Cannot make {path}: No space left on device"


def test_the_warm_path_imports_nothing_slow():
    code = (
        "import sys; before = set(sys.modules)\n"
        "import pip_accel._install.transaction, pip_accel._install.scripts\n"
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {
        "logging",
        "email",
        "importlib.metadata",
        "subprocess",
        "tempfile",
        "dataclasses",
        "csv",
        "shutil",
        "pathlib",
    }
    assert not slow & set(done.stdout.split())


def test_modes_of_moved_files_survive_a_change_of_file_system(tmp_path, monkeypatch):
    source, target = str(tmp_path / "a"), str(tmp_path / "b")
    touch(source)
    os.chmod(source, 0o640)
    touch(target + ".part")  # of a move that was killed
    replace = os.replace

    def refuse(old, new):
        if old == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), old)
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    journal._move(source, target)
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o640
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_pending_is_there_and_final_only_if_all_goes_well(upgrade, fails):
    prefix = upgrade.target.prefix
    steps = decide(upgrade.changes, upgrade.target, byte_code=True, template=TEMPLATE, umask=0o022)
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), pending(steps, prefix, Linker()):
        present = {path: each for path, each in snapshot(prefix).items() if not path.startswith(LEFT_BEHIND)}
        assert present == upgrade.after
        if fails:
            raise KeyboardInterrupt
    upgrade.check(upgrade.before if fails else upgrade.after)
    assert not repair(prefix)


# Destinations: the environment of a Python, and another place for what is installed


def test_what_goes_elsewhere_has_its_journal_there(tmp_path, monkeypatch):
    """A directory that is not there yet is made, also with several parents."""
    place = str(tmp_path / "a" / "place")
    target = make_target(str(tmp_path / "env"))
    other = make_target(place)._replace(prefix=target.prefix, place=place, kind="elsewhere")
    seen = []
    monkeypatch.setattr(link.Linker, "link", spy(link.Linker.link, lambda: seen.append(os.listdir(place))))
    carry_out(other, Change(make_tree(str(tmp_path), "one", "1.0", {"purelib/one.py": "1"}), True, "", None))
    assert LEFT_BEHIND in seen[0]
    assert os.listdir(place) == ["lib"]
    assert not os.path.exists(target.prefix)


def spy(function, tell):
    def call(*arguments):
        tell()
        return function(*arguments)

    return call


@pytest.mark.parametrize("there", [[], ["a"], ["a", "place"]])
def test_of_a_place_that_was_not_there_nothing_is_left_when_it_fails(tmp_path, monkeypatch, there):
    os.makedirs(os.path.join(tmp_path, *there), exist_ok=True)
    place = os.path.join(tmp_path, "a", "place")
    tree = make_tree(str(tmp_path / "trees"), "one", "1.0", {"purelib/one.py": "1"})
    before = snapshot(str(tmp_path))
    monkeypatch.setattr(link.Linker, "link", lambda *_: interrupt())
    with pytest.raises(KeyboardInterrupt):
        carry_out(make_target(place)._replace(kind="elsewhere"), Change(tree, True, "", None))
    assert snapshot(str(tmp_path)) == before


def test_where_the_environment_loses_something_its_own_journal_is_used(tmp_path, monkeypatch):
    """A later run for the environment finds it there."""
    target = make_target(str(tmp_path / "env"))
    os.makedirs(target.prefix)
    old = make_tree(str(tmp_path), "one", "1.0", {"purelib/one.py": "1"})
    new = make_tree(str(tmp_path), "one", "2.0", {"purelib/one.py": "2"})
    carry_out(target, Change(old, True, "", None))
    place = str(tmp_path / "user")
    elsewhere = make_target(place)._replace(prefix=target.prefix, place=place, kind="elsewhere")
    seen = []
    monkeypatch.setattr(link.Linker, "link", spy(link.Linker.link, lambda: seen.append(os.listdir(target.prefix))))
    carry_out(elsewhere, Change(new, True, "", find_in(target, old)))
    assert LEFT_BEHIND in seen[0]
    assert os.listdir(elsewhere.scheme.purelib)
    assert not os.path.exists(find_in(target, old).metadata)
    assert LEFT_BEHIND not in os.listdir(place) + os.listdir(target.prefix)
