"""Entries that come as a whole: which may, and that they are the same whoever makes them, or not there at all."""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import signal
import stat
import struct
import sys
import tempfile
import threading
import time
import warnings

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pip_accel._fs import remove_tree
from pip_accel._install import staging
from pip_accel._install.layout import plan
from pip_accel._install.link import Linker
from pip_accel._install.staging import Entry, find_whole, stage
from pip_accel._install.steps import decide
from pip_accel._install.transaction import install
from pip_accel._trees import expand
from pip_accel._values import Change, Launcher
from pip_accel.exceptions import Edited, LinkError, PipAcceleratorError
from tests.lib.trees import TEMPLATE, bundled, find_in, make_target, make_tree, read_rows, snapshot

TAG = sys.implementation.cache_tag
LEFT_BEHIND = ".pip-accel-transaction"

pytestmark = pytest.mark.skipif(not staging._HANDLES, reason="nothing comes as a whole here")
needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="one process does it all here")


@pytest.fixture
def target(tmp_path):
    target = make_target(str(tmp_path / "env"))
    os.makedirs(target.scheme.purelib)
    return target


@pytest.fixture
def make(tmp_path):
    def function(name, files, **options):
        tree = bundled(make_tree(str(tmp_path / "trees"), name, "1.0", files, **options))
        return Change(tree, True, "", None)

    return function


def touch(*parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("foreign")


def below_prefix(target, *parts):
    """A path of the scheme ``data`` that leads into the libraries."""
    return "/".join(["data", os.path.relpath(target.scheme.purelib, target.prefix), *parts])


# Which distributions


def test_distributions_with_names_of_their_own_come_as_a_whole(make, target):
    """Whatever else is there or comes: other names, scripts, data, byte code of modules that are in no package."""
    touch(target.scheme.purelib, "gamma", "x.py")
    changes = [
        make("alpha", {"purelib/alpha/x.py": "", "purelib/single.py": ""}),
        make("beta", {"purelib/beta/x.py": "", "purelib/other.py": "", "scripts/run": "", "data/share/alpha": ""}),
        make("delta", {"purelib/delta": "", "headers/alpha.h": "", below_prefix(target, "beside.txt"): ""}),
    ]
    assert find_whole(changes, target, target.place) == [True] * 3


def test_the_directory_of_the_libraries_need_not_be_there(make, tmp_path):
    changes = [make("alpha", {"purelib/alpha/x.py": ""})]
    target = make_target(str(tmp_path / "missing"))
    assert find_whole(changes, target, target.place) == [True]
    assert not os.path.exists(target.prefix)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("purelib/names/x.py", "purelib/names/y.py"),
        ("purelib/names", "purelib/names/y.py"),
        ("purelib/names/x.py", "purelib/Names/y.py"),
        ("purelib/straße/x.py", "purelib/STRASSE/y.py"),
        ("purelib/names/x.py", "platlib/names/y.py"),
        ("purelib/names/x.py", 'purelib/names/a"b'),
    ],
    ids=["directory", "file", "case", "case of other letters", "other library", "odd file"],
)
def test_names_that_two_changes_have_in_common_are_nobodys_own(make, target, one, other):
    """A third distribution is not concerned, nor are the metadata of one with nothing else in its bundle."""
    changes = [make("alpha", {one: ""}), make("beta", {other: ""}), make("gamma", {"purelib/gamma/x": ""})]
    apart = [change.tree.names == (change.tree.dist_info,) for change in changes[:2]]
    assert apart == [one == "purelib/names", other.startswith("platlib") or other.endswith('"b')]
    assert find_whole(changes, target, target.place) == [*apart, True]
    changes.reverse()
    assert find_whole(changes, target, target.place) == [True, *reversed(apart)]


def make_directory(path):
    os.makedirs(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alpha", False), ("ALPHA", False), ("alpha-1.0.dist-info", False), ("single.py", True), ("Single.PY", True)],
)
@pytest.mark.parametrize(
    "make_it", [touch, make_directory, lambda path: os.symlink("nowhere", path)], ids=["file", "directory", "link"]
)
def test_what_has_a_name_that_is_there_comes_file_by_file(make, target, name, expected, make_it):
    """A module that is in no package does so in any case, and the rest may come as a whole."""
    make_it(os.path.join(target.scheme.purelib, name))
    changes = [make("alpha", {"purelib/alpha/x": "", "purelib/single.py": ""}), make("beta", {"purelib/beta/x": ""})]
    assert find_whole(changes, target, target.place) == [expected, True]


def test_what_is_replaced_is_there(make, target):
    old = make("alpha", {"purelib/alpha/x.py": "1"})
    install([old], target, linker=Linker("copy"), byte_code=True, template=TEMPLATE, umask=0o022)
    new = make_tree(os.path.dirname(old.tree.path), "alpha", "2.0", {"purelib/alpha/x.py": "2"})
    assert find_whole([Change(bundled(new), True, "", find_in(target, old.tree))], target, target.place) == [False]


@pytest.mark.parametrize(
    ("name", "expected"), [("alpha", False), ("ALPHA", False), ("alpha-1.0.dist-info", False), ("single.py", True)]
)
@pytest.mark.parametrize("own", [True, False])
def test_a_data_file_that_leads_to_a_name_takes_it(make, target, name, expected, own):
    data = {below_prefix(target, name, "x.txt"): ""}
    files = {"purelib/alpha/x": "", "purelib/single.py": ""}
    changes = [make("alpha", {**files, **(data if own else {})}), make("beta", {"purelib/beta": ""} if own else data)]
    assert find_whole(changes, target, target.place) == [expected, True]


@pytest.mark.parametrize("way", ["prefix", "lib64", "inside"])
def test_a_data_file_that_leads_to_a_name_by_way_of_a_link_takes_it(make, target, tmp_path, way):
    """A prefix, or a directory in it, can be a symbolic link, and the scheme has the paths that Python gave."""
    relative = os.path.relpath(target.scheme.purelib, target.prefix)
    if way == "prefix":
        os.symlink(target.prefix, tmp_path / "link")
        target = make_target(str(tmp_path / "link"))
    elif way == "lib64":
        os.symlink("lib", os.path.join(target.prefix, "lib64"))
        relative = relative.replace("lib", "lib64", 1)
    else:
        os.makedirs(os.path.join(target.prefix, "share"))
        os.symlink(target.scheme.purelib, os.path.join(target.prefix, "share", "site"))
        relative = "share/site"
    change = make("alpha", {"purelib/alpha/x.txt": "1", f"data/{relative}/alpha/y.txt": "2"})
    assert find_whole([change], target, target.place) == [False]
    install([change], target, linker=Linker("copy"), byte_code=True, template=TEMPLATE, umask=0o022)
    assert sorted(os.listdir(os.path.join(target.scheme.purelib, "alpha"))) == ["x.txt", "y.txt"]


@pytest.mark.parametrize("name", ["INSTALLER", "RECORD", "REQUESTED", "direct_url.json", 'a"b'])
def test_metadata_that_are_not_all_in_the_bundle_come_file_by_file(make, target, name):
    change = make("alpha", {"purelib/alpha/x": "", f"purelib/alpha-1.0.dist-info/{name}": ""})
    assert find_whole([change], target, target.place) == [False]


def test_trees_without_bundles_come_file_by_file(make, target):
    change = make("alpha", {"purelib/alpha/x.py": ""})
    assert find_whole([change._replace(tree=expand(change.tree))], target, target.place) == [False]


@pytest.mark.parametrize(("lib", "expected"), [("purelib", True), ("platlib", False)])
def test_each_of_two_directories_of_libraries_has_its_names(make, target, lib, expected):
    other = os.path.join(target.prefix, "lib64", "site-packages")
    touch(other, "alpha", "x.py")
    target = target._replace(scheme=target.scheme._replace(platlib=other))
    assert find_whole([make("alpha", {f"{lib}/alpha/x.py": ""}, lib=lib)], target, target.place) == [expected]


@pytest.mark.parametrize("lib", ["purelib", "platlib"])
def test_two_names_of_one_directory_of_libraries_are_one(make, target, lib):
    """As with ``lib64`` of some virtual environments."""
    os.symlink("lib", os.path.join(target.prefix, "lib64"))
    other = target.scheme.purelib.replace("/lib/", "/lib64/")
    target = target._replace(scheme=target.scheme._replace(platlib=other))
    both = {"purelib/one/x.py": "", "purelib/two.py": ""}
    changes = [make("alpha", both), make("beta", {f"{lib}/one/y.py": ""}, lib=lib), make("gamma", {"purelib/z": ""})]
    assert find_whole(changes, target, target.place) == [False, False, True]


def test_what_goes_to_target_comes_file_by_file(make, target):
    """``--target``: what lies there already is looked at name by name."""
    change = make("alpha", {"purelib/alpha/x": ""})
    assert find_whole([change], target._replace(kind="directory"), target.place) == [False]


def test_where_files_cannot_be_named_relative_to_a_directory_nothing_comes_as_a_whole(make, target, monkeypatch):
    monkeypatch.setattr(staging, "_HANDLES", False)
    assert find_whole([make("alpha", {"purelib/alpha/x": ""})], target, target.place) == [False]


def set_group_bit(path):
    os.chmod(path, 0o2755)


def set_default_acl(path):
    """Rules that what is made in a directory gets: a version, then for each a tag, permissions and an id."""
    rules = [(0x01, 7, -1), (0x04, 5, -1), (0x20, 0, -1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *rule) for rule in rules)
    try:
        os.setxattr(path, "system.posix_acl_default", value)
    except (AttributeError, OSError):
        pytest.skip("the file system has no access control lists")


def give_to_group(path):
    os.chown(path, -1, 12345)


@pytest.mark.parametrize(
    "change_it",
    [set_group_bit, set_default_acl, pytest.param(give_to_group, marks=pytest.mark.root)],
    ids=["setgid", "acl", "group"],
)
@pytest.mark.parametrize("which", ["base", "prefix"])
def test_directories_that_pass_something_on_get_their_files_one_by_one(make, target, tmp_path, change_it, which):
    """What is made elsewhere would have what it gets there; which directory that is the journal's place says."""
    changes = [make("alpha", {"purelib/alpha/x": ""})]
    another = str(tmp_path / "another")
    os.mkdir(another)
    assert [find_whole(changes, target, place) for place in (target.prefix, another)] == [[True], [True]]
    change_it(target.scheme.purelib if which == "base" else target.prefix)
    expected = [[False], [which == "prefix"]]
    assert [find_whole(changes, target, place) for place in (target.prefix, another)] == expected


def test_directories_that_pass_on_the_same_can_be_exchanged(make, target):
    for path in (target.scheme.purelib, target.prefix):
        set_default_acl(path)
    assert find_whole([make("alpha", {"purelib/alpha/x": ""})], target, target.place) == [True]


@pytest.mark.parametrize("missing", [True, False])
def test_what_the_directory_of_the_libraries_would_inherit_counts(make, target, missing):
    """If it is not there yet, it will get the bit from the directory above it."""
    set_group_bit(os.path.dirname(target.scheme.purelib))
    if missing:
        os.rmdir(target.scheme.purelib)
    assert find_whole([make("alpha", {"purelib/alpha/x": ""})], target, target.place) == [not missing]


@pytest.fixture
def another_file_system(tmp_path):
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield os.path.realpath(directory)


@pytest.mark.parametrize("distant", ["base", "journal"])
def test_what_would_be_renamed_to_another_file_system_comes_file_by_file(make, target, another_file_system, distant):
    """The journal of an installation elsewhere lies in the environment if that loses something."""
    if distant == "base":
        os.rmdir(target.scheme.purelib)
        os.symlink(another_file_system, target.scheme.purelib)
        changes = [make("alpha", {"purelib/alpha/x.py": "2"})]
    else:
        old = make("alpha", {"purelib/alpha/x.py": "1"}).tree
        install([Change(old, True, "", None)], target, linker=Linker(), byte_code=True, template=TEMPLATE, umask=0o022)
        new = bundled(make_tree(os.path.dirname(old.path), "alpha", "2.0", {"purelib/alpha/x.py": "2"}))
        changes = [Change(new, True, "", find_in(target, old))]
        elsewhere = make_target(another_file_system)
        target = elsewhere._replace(prefix=target.prefix, place=another_file_system, kind="elsewhere")
    install(changes, target, linker=Linker(), byte_code=True, template=TEMPLATE, umask=0o022)
    with open(os.path.join(target.scheme.purelib, "alpha", "x.py"), encoding="utf-8") as stream:
        assert stream.read() == "2"
    assert LEFT_BEHIND not in os.listdir(target.prefix) + os.listdir(target.place)


# Making them


def in_fork(action):
    """Give what an action returns, or raise what it raises, in a process that has one thread only."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the tests' own process may have several
        process = os.fork()
    if process == 0:
        try:
            try:
                outcome = True, action()
            except PipAcceleratorError as error:
                outcome = False, (type(error), str(error))
            except OSError as error:
                outcome = False, (type(error), error.errno, error.strerror, error.filename)
            except BaseException as error:
                outcome = False, (type(error), *error.args)
            with open(writing, "wb", closefd=False) as stream:
                pickle.dump(outcome, stream)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        succeeded, value = pickle.load(stream)
        assert not stream.read(), "not one process came back, but several"
    os.waitpid(process, 0)
    if succeeded:
        return value
    kind, *arguments = value
    raise kind("{error}", error=arguments[0]) if issubclass(kind, PipAcceleratorError) else kind(*arguments)


def plan_wholes(changes, target, *, byte_code=True):
    whole = find_whole(changes, target, target.place)
    return decide(changes, target, byte_code=byte_code, template=TEMPLATE, umask=0o022, whole=whole).wholes


def look(directory):
    """Give all below a directory, with inodes of linked files; what was written has its content for that."""
    found = {}
    for path, (mode, content) in snapshot(directory).items():
        status = os.lstat(os.path.join(directory, path))
        written = stat.S_ISDIR(mode) or status.st_nlink == 1
        found[path] = (mode, content) if written else (mode, content, status.st_ino, status.st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def many():
    """Distributions with more files than one process should link, in memory where that can be."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        directory = os.path.realpath(directory)
        target = make_target(os.path.join(directory, "env"))
        os.makedirs(target.scheme.purelib)
        changes = []
        for number in range(8):
            texts = range(20 * number + 80)
            files = {f"purelib/p{number}/d{each % 7}/{each}.txt": f"{number} {each}" for each in texts}
            files[f"purelib/p{number}/x.py"] = files[f"purelib/single{number}.py"] = f"x = {number}\n"
            files[f"scripts/run{number}"] = "#!python\n"
            tree = make_tree(directory, f"p{number}", "1.0", files, executable={f"purelib/p{number}/d0/0.txt"})
            changes.append(Change(bundled(tree), number % 2 == 0, "{}" if number % 3 else "", None))
        assert sum(map(staging._weigh, plan_wholes(changes, target))) > staging._WORTHWHILE
        yield directory, target, changes


@pytest.fixture
def place(many):
    """Where to stage; below the prefix, as the directory of the journal would be."""
    path = os.path.join(many[1].prefix, "new")
    yield path
    remove_tree(path)


def stage_many(many, place, jobs, *, changes=None, check=True, **options):
    """Stage in a process with one thread: the entries, what lies there, and the number of processes."""
    _, target, all_changes = many
    wholes = plan_wholes(changes or all_changes, target, **options)

    def action():
        fork, forks = os.fork, []

        def count():
            forks.append(None)
            return fork()

        os.fork = count
        entries = stage(wholes, place, Linker("hardlink"), check=check, jobs=jobs)
        return entries, look(place), len(forks) + 1

    return in_fork(action)


def test_a_distribution_is_made_as_it_will_be(make, target, tmp_path):
    tree = make(
        "alpha",
        {
            "purelib/alpha/__init__.py": "x = 1\n",
            "purelib/alpha/sub/run": "#!/bin/sh\n",
            "purelib/alpha/sub/x.py": "",
            "purelib/single.py": "",
            "scripts/tool": "#!python\n",
        },
        executable={"purelib/alpha/sub/run"},
        launchers=[Launcher("alpha", "alpha", "main", False)],
    ).tree
    [whole] = plan_wholes([Change(tree, True, '{"url": "x"}', None)], target)
    place, site = str(tmp_path / "new"), target.scheme.purelib
    entries = stage([whole], place, Linker("hardlink"), check=True)
    assert [entry.final for entry in entries] == [f"{site}/{name}" for name in ("alpha", tree.dist_info)]
    assert [os.path.basename(entry.staged) for entry in entries] == ["alpha", tree.dist_info]
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
    inside = os.path.dirname(entries[0].staged)
    found = snapshot(inside)
    info = tree.dist_info
    assert {path for path, (mode, _) in found.items() if stat.S_ISREG(mode)} == {
        "alpha/__init__.py",
        f"alpha/__pycache__/__init__.{TAG}.pyc",
        "alpha/sub/run",
        "alpha/sub/x.py",
        f"alpha/sub/__pycache__/x.{TAG}.pyc",
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt")),
        *(f"{info}/{name}" for name in ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")),
    }
    umask = os.umask(0)
    os.umask(umask)
    for path, (mode, _) in found.items():
        if stat.S_ISDIR(mode):
            assert stat.S_IMODE(mode) == 0o777 & ~umask
        else:
            assert stat.S_IMODE(mode) == (0o755 if path.endswith("run") else 0o644)
    for file in expand(tree).files:
        if file.path in found:
            root = tree.byte_code if file.kind == "bytecode" else tree.path
            assert os.path.samefile(f"{root}/purelib/{file.path}", f"{inside}/{file.path}")
    assert found[f"{info}/INSTALLER"][1] == b"pip\n"
    assert found[f"{info}/direct_url.json"][1] == b'{"url": "x"}'
    recorded = {row[0] for row in read_rows(found[f"{info}/RECORD"][1])}
    beside = {"single.py", f"__pycache__/single.{TAG}.pyc", "../../../bin/tool", "../../../bin/alpha"}
    assert recorded == beside | {path for path, (mode, _) in found.items() if stat.S_ISREG(mode)}
    assert os.listdir(site) == []


def test_nothing_to_stage_makes_nothing(tmp_path):
    assert stage([], str(tmp_path / "new"), Linker(), check=True) == []
    assert os.listdir(tmp_path) == []


def test_libraries_in_two_places_are_staged_apart(make, target, tmp_path):
    other = os.path.join(target.prefix, "lib64", "site-packages")
    target = target._replace(scheme=target.scheme._replace(platlib=other))
    changes = [make("alpha", {"purelib/x/y": "1"}), make("beta", {"platlib/x/y": "2"}, lib="platlib")]
    wholes = plan_wholes(changes, target)
    entries = stage(wholes, str(tmp_path / "new"), Linker(), check=True)
    found = {}
    for staged, final in entries:
        if final.endswith("x"):
            with open(os.path.join(staged, "y"), encoding="utf-8") as stream:
                found[final] = stream.read()
    assert found == {os.path.join(target.scheme.purelib, "x"): "1", os.path.join(other, "x"): "2"}
    assert [os.path.basename(final) for _, final in entries] == ["x", "x", *(each.tree.dist_info for each in changes)]


@needs_fork
@pytest.mark.parametrize("options", [{}, {"byte_code": False}, {"check": False}], ids=["", "no byte code", "no check"])
def test_several_processes_make_what_one_makes(many, place, options):
    entries, found, processes = stage_many(many, place, 1, **options)
    assert processes == 1
    for jobs in (2, 3, 40):
        remove_tree(place)
        assert stage_many(many, place, jobs, **options) == (entries, found, min(jobs, staging._MOST))
        assert all(os.path.lexists(entry.staged) for entry in entries)
    compiled = [path for path in found if path.endswith(".pyc")]
    assert len(compiled) == (0 if options == {"byte_code": False} else 8)


@needs_fork
def test_few_files_are_made_by_one_process(many, place):
    _, _, changes = many
    assert stage_many(many, place, 4, changes=changes[:2])[2] == 1


@needs_fork
def test_one_distribution_is_made_by_one_process(many, place, monkeypatch):
    _, _, changes = many
    monkeypatch.setattr(staging, "_WORTHWHILE", 10)
    assert stage_many(many, place, 4, changes=changes[:1])[2] == 1
    remove_tree(place)
    assert stage_many(many, place, 4, changes=changes[:2])[2] == 2


def test_a_process_with_several_threads_makes_all_itself(many, place, monkeypatch):
    """The others would be gone in a copy, and whatever they hold would stay locked."""
    _, target, changes = many
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("was forked"), raising=False)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert stage(plan_wholes(changes, target), place, Linker(), check=False, jobs=4)
    finally:
        ended.set()
        thread.join()


@needs_fork
def test_there_may_be_more_distributions_than_a_byte_counts(many, place, monkeypatch):
    assert staging._MOST_BATCHES <= 256
    expected = stage_many(many, place, 1)
    monkeypatch.setattr(staging, "_MOST_BATCHES", 3)
    remove_tree(place)
    assert stage_many(many, place, 2) == (*expected[:2], 2)


# Files that somebody edited


def append(path):
    with open(path, "a") as stream:
        stream.write("x")


def lose_directory(path):
    os.rename(path.split("/purelib/")[0] + "/purelib", path.split("/purelib/")[0] + "/gone")


@pytest.mark.parametrize("damage", [append, os.unlink, lambda path: os.chmod(path, 0o600), os.utime, lose_directory])
@pytest.mark.parametrize("path", ["alpha/x.txt", "alpha/x.py", f"alpha/__pycache__/x.{TAG}.pyc"])
def test_an_edited_file_is_noticed_before_anything_changes(make, target, damage, path):
    change = make("alpha", {"purelib/alpha/x.txt": "1", "purelib/alpha/x.py": ""})
    other = make("beta", {"purelib/beta/x.py": ""})
    assert find_whole([other, change], target, target.place) == [True, True]
    before = snapshot(target.prefix)
    root = change.tree.byte_code if path.endswith("pyc") else change.tree.path
    damage(f"{root}/purelib/{path}")
    options = {"linker": Linker("hardlink"), "byte_code": True, "template": TEMPLATE, "umask": 0o022}
    with pytest.raises(Edited, match="edited"):
        install([other, change], target, check=True, **options)
    assert snapshot(target.prefix) == before


def test_without_a_check_what_was_edited_is_linked(make, target):
    change = make("alpha", {"purelib/alpha/x.txt": "1"})
    append(f"{change.tree.path}/purelib/alpha/x.txt")
    install([change], target, linker=Linker("hardlink"), byte_code=True, template=TEMPLATE, umask=0o022)
    with open(os.path.join(target.scheme.purelib, "alpha", "x.txt")) as stream:
        assert stream.read() == "1x"


@needs_fork
@pytest.mark.parametrize("jobs", [1, 4])
def test_an_edited_file_is_noticed_whoever_links_it(many, place, jobs):
    _, target, changes = many
    for change in changes:
        path = f"{change.tree.path}/purelib/{change.tree.name}/d0/7.txt"
        status = os.stat(path)
        os.utime(path)
        try:
            before = snapshot(target.prefix)
            options = {"linker": Linker("hardlink"), "byte_code": True, "template": TEMPLATE, "umask": 0o022}
            with pytest.raises(Edited, match=r"d0/7\.txt was edited"):
                in_fork(lambda: install(changes, target, check=True, jobs=jobs, **options))  # noqa: B023
            assert snapshot(target.prefix) == before
        finally:
            os.utime(path, (status.st_atime, status.st_mtime))


# Several processes, and what can happen to them


class Meeting:
    """Has the first process wait with its first distribution until another one has ended or has done a step."""

    def __init__(self, monkeypatch, as_child, *, wait=True):
        self._make = staging._make
        self._parent = 0
        self._as_child = as_child
        self._wait = wait
        monkeypatch.setattr(staging, "_make", self.make)

    def make(self, whole, *arguments, **options):
        if os.getpid() != self._parent:
            self._as_child()
        elif self._wait:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        self._make(whole, *arguments, **options)

    def run(self, action):
        def begin():
            self._parent = os.getpid()
            return action()

        return in_fork(begin)


def install_many(many):
    _, target, changes = many
    install(changes, target, linker=Linker("hardlink"), byte_code=True, template=TEMPLATE, umask=0o022, jobs=3)


def check_nothing_is_left(many, action, kind, match=None):
    """The environment is as it was."""
    _, target, _ = many
    before = snapshot(target.prefix)
    with pytest.raises(kind, match=match) as caught:
        action()
    assert snapshot(target.prefix) == before
    return caught.value


def begin_interruptible():
    """Take signals as a terminal's programs do, and do not hang."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(10)


def wait_for_all_processes():
    with pytest.raises(ChildProcessError):
        while os.waitpid(-1, 0):
            pass


def fail_with(error):
    def function():
        raise error

    return function


@needs_fork
@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (OSError(errno.ENOSPC, "No space left", "/x/ü\udce4"), OSError, "No space left.*/x/ü"),
        (PermissionError(errno.EACCES, "Not permitted", 7), PermissionError, "Not permitted: 7"),
        (LinkError("Cannot {what}: {error}", what="{x}", error="y: z"), LinkError, r"Cannot \{x\}: y: z"),
        (Edited("{path} was edited", path="/x y"), Edited, "/x y was edited"),
        (ValueError("such a value"), LinkError, "such a value"),
        (MemoryError(), LinkError, None),
    ],
    ids=["OSError", "PermissionError", "LinkError", "Edited", "ValueError", "MemoryError"],
)
def test_an_error_of_another_process_arrives(many, monkeypatch, error, kind, match):
    meeting = Meeting(monkeypatch, fail_with(error))
    action = lambda: meeting.run(lambda: install_many(many))  # noqa: E731
    caught = check_nothing_is_left(many, action, kind, match)
    assert isinstance(caught, Edited) == isinstance(error, Edited)
    if isinstance(error, OSError):
        assert (caught.errno, caught.filename) == (error.errno, error.filename)


@needs_fork
def test_an_error_of_linking_names_both_files_whoever_linked(many, monkeypatch):
    """Here of a file in whose place there is a directory."""
    _, target, changes = many
    meeting = Meeting(monkeypatch, lambda: None)
    paths = [(f"{tree.path}/purelib/{tree.name}/d3/3.txt", f"{tree.path}/3.txt") for tree, *_ in changes]
    for path, aside in paths:
        os.rename(path, aside)
        os.mkdir(path)
    try:
        action = lambda: meeting.run(lambda: install_many(many))  # noqa: E731
        match = rf"Cannot install {target.scheme.purelib}/(p\d)/d3/3\.txt from .*/\1-.*/\1/d3/3\.txt: .*directory"
        check_nothing_is_left(many, action, LinkError, match)
    finally:
        for path, aside in paths:
            os.rmdir(path)
            os.rename(aside, path)


def test_a_file_that_has_gone_is_told_whoever_would_have_linked_it(many, monkeypatch):
    _, _, changes = many
    meeting = Meeting(monkeypatch, lambda: None)
    paths = [(f"{tree.path}/purelib/{tree.name}/d3/3.txt", f"{tree.path}/3.txt") for tree, *_ in changes]
    for path, aside in paths:
        os.rename(path, aside)
    try:
        check_nothing_is_left(many, lambda: meeting.run(lambda: install_many(many)), Edited, "3.txt is gone")
    finally:
        for path, aside in paths:
            os.rename(aside, path)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@needs_fork
def test_that_another_process_was_killed_is_an_error(many, monkeypatch):
    meeting = Meeting(monkeypatch, die)
    check_nothing_is_left(many, lambda: meeting.run(lambda: install_many(many)), LinkError, "killed")


@needs_fork
def test_an_interruption_ends_all_processes(many, monkeypatch):
    """Also those that are busy: if they were waited for, this would take a minute."""
    make, parent = staging._make, []

    def slowly(*arguments, **options):
        make(*arguments, **options)
        if os.getpid() == parent[0]:
            signal.raise_signal(signal.SIGINT)
        time.sleep(60)

    monkeypatch.setattr(staging, "_make", slowly)

    def action():
        parent.append(os.getpid())
        begin_interruptible()
        try:
            install_many(many)
        finally:
            wait_for_all_processes()

    check_nothing_is_left(many, lambda: in_fork(action), KeyboardInterrupt)


@needs_fork
def test_an_interruption_of_another_process_is_none(many, place, monkeypatch):
    """A terminal sends it to all; the first one ends the others."""
    _, target, changes = many
    meeting = Meeting(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT), wait=False)

    def action():
        begin_interruptible()
        return stage(plan_wholes(changes, target), place, Linker(), check=False, jobs=3)

    assert len(meeting.run(action)) == 2 * len(changes)


def interrupt_at(function, in_child=False):
    """Have a signal arrive as soon as a function of :mod:`os` has done its work, before its caller goes on."""
    original = getattr(os, function)
    parent = []

    def call(*arguments):
        result = original(*arguments)
        if (os.getpid() != parent[0]) == in_child:
            signal.raise_signal(signal.SIGINT)
        return result

    def action(inner):
        parent.append(os.getpid())
        begin_interruptible()
        setattr(os, function, call)
        try:
            return inner()
        finally:
            if os.getpid() == parent[0]:
                wait_for_all_processes()

    return lambda inner: in_fork(lambda: action(inner))


@needs_fork
@pytest.mark.parametrize("function", ["fork", "waitpid", "pipe"])
def test_an_interruption_at_the_worst_moment_ends_all_processes(many, monkeypatch, function):
    monkeypatch.setattr(staging, "_make", lambda *arguments, **options: time.sleep(0.05))
    run = interrupt_at(function)
    check_nothing_is_left(many, lambda: run(lambda: install_many(many)), KeyboardInterrupt)


@needs_fork
def test_an_interruption_of_another_process_that_has_just_begun_is_none(many, place):
    """What the process was copied from is not for the copy to go on with, in no case."""
    _, target, changes = many
    run = interrupt_at("fork", in_child=True)
    assert run(lambda: stage(plan_wholes(changes, target), place, Linker(), check=False, jobs=3))


# RECORD


@pytest.mark.parametrize("byte_code", [True, False])
@pytest.mark.parametrize(
    "files",
    [
        {"purelib/alpha/__init__.py": "", "purelib/alpha/b.txt": "", "purelib/alpha-b/x.py": "", "purelib/a.py": ""},
        {"purelib/alpha/x.py": "", 'data/share/a"b,c\nd': "", "scripts/tool.py": "#!python\n", "headers/a.h": ""},
        {"purelib/ä/ö.py": "", "purelib/\u2028/x.py": "", "purelib/a b;c.py": "", "purelib/a\x1f/x": ""},
        {"purelib/alpha/sub/deep/er/x.py": "", "purelib/alpha.py": "", "purelib/alpha0.py": "", "purelib/alpha-/x": ""},
        {},
    ],
    ids=["simple", "odd", "letters", "order", "none"],
)
def test_record_does_not_depend_on_how_files_came(make, target, tmp_path, files, byte_code):
    made = make("alpha", files, launchers=[Launcher("alpha", "alpha", "main", False)])
    tree = made.tree._replace(rows=(("alpha-1.0.data/scripts/x", "sha256=y", "3"), ("zeta,", "", "1")))
    options = {"byte_code": byte_code, "template": TEMPLATE, "umask": 0o022}
    layouts = [plan(Change(shape, True, "{}", None), target, **options) for shape in (tree, expand(tree))]
    assert layouts[0].record == layouts[1].record
    together = plan(Change(tree, True, "{}", None), target, whole=True, **options)
    assert together.record is None
    entries = stage([together.whole], str(tmp_path / "new"), Linker(), check=True)
    with open(os.path.join(entries[-1].staged, "RECORD"), "rb") as stream:
        record = stream.read()
    assert record == layouts[0].record.data
    rows = read_rows(record)
    assert rows == sorted(rows)
    own = {file.path for file in expand(tree).files if file.scheme == "purelib" and (byte_code or file.digest)}
    assert own <= {row[0] for row in rows}
    assert any(row[0].endswith(".pyc") for row in rows) == (byte_code and any(".py" in path for path in files))


@pytest.mark.parametrize("byte_code", [True, False])
def test_an_environment_does_not_show_how_files_came(many, tmp_path, byte_code):
    _, _, changes = many
    found = []
    for name, whole in (("a", True), ("b", False)):
        target = make_target(str(tmp_path / name))._replace(python="/python")
        given = changes if whole else [change._replace(tree=expand(change.tree)) for change in changes]
        assert find_whole(given, target, target.place) == [whole] * len(given)
        install(given, target, linker=Linker("copy"), byte_code=byte_code, template=TEMPLATE, umask=0o022)
        found.append(snapshot(target.prefix))
        times = {}
        for path, (mode, _) in found[-1].items():
            if stat.S_ISREG(mode) and "dist-info" not in path:
                times[path] = os.stat(os.path.join(target.prefix, path)).st_mtime
        found.append(times)
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert any(path.endswith(".pyc") for path in found[1]) == byte_code


SITE = os.path.relpath(make_target("/").scheme.purelib, "/")
FILES = [  # in the order in which a wheel is unpacked
    "purelib/a/x.py",
    "purelib/a/sub/table.txt",
    "purelib/A/y.txt",
    "purelib/single.py",
    "purelib/both",
    "purelib/both/x",
    "purelib/o,o/x.py",
    "purelib/a/q,q",
    "platlib/a/x.py",
    "platlib/single.py",
    f"data/{SITE}/a/w.txt",
    f"data/{SITE}/single.py",
    "data/share/x",
    "scripts/tool",
]
distributions = st.dictionaries(
    st.sampled_from(["one", "two", "three"]),
    st.sets(st.sampled_from(FILES), max_size=5).filter(lambda files: not {"purelib/both", "purelib/both/x"} <= files),
    max_size=3,
)


class Shapes:
    """Distributions as trees whose files are all in ``files``, and as the same with bundles; each is made once."""

    def __init__(self, directory):
        self._directory = directory
        self._made = {}

    def make(self, name, version, files):
        key = name, version, tuple(path for path in FILES if path in files)
        if key not in self._made:
            contents = {path: f"{name!r}, {version}, {path!r}" for path in key[2]}
            tree = make_tree(os.path.join(self._directory, str(len(self._made))), name, version, contents)
            copied = tree._replace(path=tree.path + "-copy")
            shutil.copytree(tree.path, copied.path)
            self._made[key] = tree, bundled(copied)
        return self._made[key]


@pytest.fixture(scope="module")
def shapes():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        yield Shapes(os.path.realpath(directory))


@settings(deadline=None, database=None, derandomize=True, max_examples=60)
@given(distributions, distributions, st.sampled_from([None, "a/foreign", "A", "single.py", "both/foreign"]))
def test_whatever_is_installed_is_the_same_however_it_comes(shapes, before, after, foreign):
    """Into an environment where some of it is replaced, or is in the way."""
    directory = tempfile.mkdtemp(dir=shapes._directory)
    target = make_target(os.path.join(directory, "env"))
    os.makedirs(target.prefix)
    options = {"linker": Linker("hardlink"), "byte_code": True, "template": TEMPLATE, "umask": 0o022}
    old = {name: shapes.make(name, "1.0", files)[0] for name, files in before.items()}
    try:
        install([Change(tree, True, "", None) for tree in old.values()], target, **options)
    except LinkError:  # a directory in place of a file
        assume(False)
    if foreign is not None:
        assume(not os.path.isfile(os.path.join(target.scheme.purelib, foreign.partition("/")[0])))
        assume(not os.path.isdir(os.path.join(target.scheme.purelib, foreign)))
        touch(target.scheme.purelib, foreign)
    kept = os.path.join(directory, "kept")
    shutil.copytree(target.prefix, kept)
    outcomes = []
    for shape in (0, 1):
        changes = []
        for name, files in after.items():
            replaced = find_in(target, old[name]) if name in old else None
            changes.append(Change(shapes.make(name, "2.0", files)[shape], name == "one", "", replaced))
        error = None
        try:
            install(changes, target, check=True, **options)
        except LinkError as caught:
            error = re.split(" from |: ", str(caught))[0]
        outcomes.append((error, snapshot(target.prefix)))
        shutil.rmtree(target.prefix)
        shutil.copytree(kept, target.prefix)
    assert outcomes[0] == outcomes[1]
    shutil.rmtree(directory)


def test_an_entry_is_where_it_says(many, place):
    _, target, changes = many
    entries = stage(plan_wholes(changes, target), place, Linker(), check=True)
    assert all(type(entry) is Entry for entry in entries)
    assert len({entry.final for entry in entries}) == len(entries) == 2 * len(changes)
    assert {os.path.dirname(entry.final) for entry in entries} == {target.scheme.purelib}
    assert [entry.final.endswith(".dist-info") for entry in entries] == [False] * 8 + [True] * 8
