"""Files: written whole or not at all, directories complete or absent, locks that end with their process."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from pip_accel import _fs
from pip_accel._fs import (
    current_umask,
    hash_file,
    lock_file,
    make_directory,
    publish,
    read_text,
    remove_tree,
    try_lock,
    unique_name,
    write_file,
)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_unique_names_lie_beside_and_differ(tmp_path):
    names = {unique_name(str(tmp_path / "a")) for _ in range(100)}
    assert len(names) == 100
    assert {os.path.dirname(name) for name in names} == {str(tmp_path)}


def test_unique_names_do_not_rest_on_the_process_id(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in every container
    assert unique_name("a") != unique_name("a")


@pytest.mark.parametrize("content", ["ü\n", b"\xff"], ids=["text", "bytes"])
def test_a_file_is_written_with_the_directories_it_needs(tmp_path, content):
    path = tmp_path / "a" / "b" / "c"
    write_file(str(path), content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(path.parent) == ["c"]


@pytest.mark.parametrize("value", [0o022, 0o002, 0o000, 0o077])
def test_nobody_else_may_write_whatever_the_umask(tmp_path, umask, value):
    umask(value)
    write_file(str(tmp_path / "a" / "b" / "c"), "x")
    make_directory(str(tmp_path / "d" / "e"))
    os.close(try_lock(str(tmp_path / "lock")))
    for name in ("a", "a/b", "d", "d/e"):
        assert mode(tmp_path / name) == 0o755 & ~value
    for name in ("a/b/c", "lock"):
        assert mode(tmp_path / name) == 0o644 & ~value


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")

    def full(*words):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_file(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_replaced_file_is_a_new_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    os.link(path, tmp_path / "b")
    write_file(str(path), "new")
    assert (tmp_path / "b").read_text() == "old"


def test_a_directory_may_be_there_and_a_file_may_not(tmp_path):
    make_directory(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_directory(str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        make_directory(str(tmp_path / "file" / "below"))
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    with pytest.raises(FileExistsError):
        make_directory(str(tmp_path / "dangling" / "below"))


def test_a_text_that_is_not_there_is_none(tmp_path):
    assert read_text(str(tmp_path / "a")) is None
    write_file(str(tmp_path / "a"), "ü")
    assert read_text(str(tmp_path / "a")) == "ü"


def test_the_digest_is_that_of_the_content(tmp_path):
    data = os.urandom((1 << 20) + 7)
    (tmp_path / "a").write_bytes(data)
    assert hash_file(str(tmp_path / "a")) == hashlib.sha256(data).hexdigest()


def test_reading_the_umask_leaves_it(umask):
    umask(0o027)
    assert current_umask() == 0o027
    assert current_umask() == 0o027


# Directories


def staged(tmp_path, name="staged", content="x"):
    path = tmp_path / name
    path.mkdir()
    (path / "file").write_text(content)
    return str(path)


def test_a_directory_is_published_under_its_name(tmp_path):
    publish(staged(tmp_path), str(tmp_path / "a" / "b" / "final"))
    assert (tmp_path / "a" / "b" / "final" / "file").read_text() == "x"
    assert os.listdir(tmp_path) == ["a"]


def test_who_comes_second_leaves_the_first_in_place(tmp_path):
    final = str(tmp_path / "final")
    publish(staged(tmp_path, content="first"), final)
    publish(staged(tmp_path, content="second"), final)
    assert (tmp_path / "final" / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["final"]


def test_other_failures_of_publishing_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        publish(str(tmp_path / "nothing"), str(tmp_path / "final"))


REMOVE = """
import importlib.util, os, shutil, sys
spec = importlib.util.spec_from_file_location("fs", sys.argv[2])
fs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fs)
if os.geteuid() == 0:  # whom no mode forbids anything: be somebody else
    os.setuid(65534)
root = os.path.join(sys.argv[1], "tree")
os.makedirs(os.path.join(root, "a", "b"))
open(os.path.join(root, "a", "b", "c"), "w").close()
for name in ("a/b/c", "a/b", "a"):
    os.chmod(os.path.join(root, name), 0)
fs.remove_tree(root)
print(os.path.exists(root))
"""


def test_a_tree_goes_also_where_modes_forbid_it():
    with tempfile.TemporaryDirectory() as directory:  # as nobody else may enter the directory of a test
        os.chmod(directory, 0o777)
        done = subprocess.run([sys.executable, "-c", REMOVE, directory, _fs.__file__], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("False\n", "")
        assert mode(directory) == 0o777


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove_tree(str(tmp_path / "nothing"))


def test_removing_a_tree_leaves_what_its_links_lead_to(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "file").write_text("x")
    (outside / "file").chmod(0o640)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "directory").symlink_to(outside)
    (tree / "file").symlink_to(outside / "file")
    os.link(outside / "file", tree / "hard")
    remove_tree(str(tree))
    assert not tree.exists()
    assert (mode(outside), mode(outside / "file"), (outside / "file").read_text()) == (0o750, 0o640, "x")


def test_removing_a_link_leaves_its_directory_and_the_modes_of_that(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    outside.chmod(0o555)
    link = tmp_path / "link"
    link.symlink_to(outside)
    remove_tree(str(link))
    assert not os.path.lexists(link)
    assert (mode(outside), os.listdir(outside)) == (0o555, ["file"])
    outside.chmod(0o755)


def test_removing_a_file_removes_it(tmp_path):
    (tmp_path / "file").write_text("")
    remove_tree(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []


# Locks


HOLD = (
    "import sys, time; from pip_accel._fs import try_lock\n"
    "assert try_lock(sys.argv[1], shared=sys.argv[2:] == ['shared']) is not None\n"
    "print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def hold(tmp_path):
    started = []

    def hold(*words):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock"), *words], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_lock_that_another_process_holds_is_not_given(tmp_path, hold):
    path = str(tmp_path / "lock")
    process = hold()
    assert try_lock(path) is None
    assert try_lock(path, shared=True) is None
    process.kill()  # it ends with its process, however that ends
    process.wait()
    with lock_file(path):
        assert try_lock(path) is None
    handle = try_lock(path)
    assert handle is not None
    os.close(handle)


def test_shared_locks_are_shared(tmp_path, hold):
    path = str(tmp_path / "lock")
    hold("shared")
    handle = try_lock(path, shared=True)
    assert handle is not None
    os.close(handle)
    assert try_lock(path) is None
    with lock_file(path, shared=True):
        pass


def test_a_lock_does_not_reach_programs_that_are_started(tmp_path):
    path = str(tmp_path / "lock")
    handle = try_lock(path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as process:
        os.close(handle)
        deadline = time.monotonic() + 10  # the system closes the copies of a new program in its own time
        while (again := try_lock(path)) is None:
            assert time.monotonic() < deadline
        os.close(again)
        process.communicate(b"\n")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_does_without(tmp_path, monkeypatch, code):
    def refuse(*words):
        raise OSError(code, "no locks")

    monkeypatch.setattr(_fs.fcntl, "flock", refuse)
    with lock_file(str(tmp_path / "lock")):
        handle = try_lock(str(tmp_path / "lock"))
    assert handle is not None
    os.close(handle)


def test_a_passing_lock_leaves_no_file(tmp_path):
    path = tmp_path / "lock"
    with _fs.lock_file(str(path), passing=True):
        assert path.exists()
    assert not path.exists()


def test_a_passing_lock_that_went_while_it_was_waited_for_is_made_anew(tmp_path):
    """Two holders at once would be what it is there to prevent."""
    path, held, seen = str(tmp_path / "lock"), threading.Event(), []

    def work(number):
        with _fs.lock_file(path, pause=time.sleep, passing=True):
            assert not held.is_set()
            held.set()
            time.sleep(0.02)
            seen.append(number)
            held.clear()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == list(range(8))
    assert not os.path.exists(path)


def test_waiting_for_a_lock_ends_when_it_is_to_end(tmp_path):
    path = str(tmp_path / "lock")

    def pause(seconds):
        raise KeyError("enough")

    with _fs.lock_file(path), pytest.raises(KeyError, match="enough"), _fs.lock_file(path, pause=pause):
        pass


def test_only_locks_that_nobody_holds_are_removed(tmp_path):
    (tmp_path / "free").touch()
    with _fs.lock_file(str(tmp_path / "held")):
        _fs.remove_free_locks(str(tmp_path))
        assert os.listdir(tmp_path) == ["held"]
    _fs.remove_free_locks(str(tmp_path / "nowhere"))


def test_what_comes_below_a_root_is_written_in_its_stage_first(tmp_path):
    root, stage = tmp_path / "root", tmp_path / "root" / "tmp"
    stage.mkdir(parents=True)
    with _fs.staging(str(root), str(stage)):
        assert os.path.dirname(unique_name(str(root / "a"))) == str(stage)
        assert os.path.dirname(unique_name(str(tmp_path / "a"))) == str(tmp_path)
        with _fs.replacing(str(root / "deep" / "a")) as stream:
            stream.write(b"x")
            assert len(list(stage.iterdir())) == 1
    assert (root / "deep" / "a").read_bytes() == b"x"
    assert list(stage.iterdir()) == []
    assert os.path.dirname(unique_name(str(root / "a"))) == str(root)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs another file system")
def test_what_lies_on_another_file_system_than_the_stage_is_written_beside(tmp_path):
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("the same file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (tmp_path / "elsewhere").symlink_to(other)
        with _fs.staging(str(tmp_path), str(tmp_path)):
            path = str(tmp_path / "elsewhere" / "a")
            assert os.path.dirname(unique_name(path)) == os.path.dirname(path)
            _fs.write_file(path, "x")


def test_what_cannot_be_renamed_into_place_is_copied_beside_first(tmp_path, monkeypatch):
    """A bind mount has the device of its file system, and renaming into it fails all the same."""
    stage, place = tmp_path / "stage", tmp_path / "place"
    stage.mkdir()
    place.mkdir()
    rename = os.replace

    def replace(source, target):
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (stage / "a").write_text("x")
    _fs.move(str(stage / "a"), str(place / "b"))
    assert [(place / name).read_text() for name in os.listdir(place)] == ["x"]
    assert os.listdir(place) == ["b"]


def test_a_link_to_a_directory_counts_in_the_digest_of_a_tree(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "link").symlink_to("one")
    before = _fs.hash_tree(str(tmp_path))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert _fs.hash_tree(str(tmp_path)) != before


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_where_no_directory_can_be_made_there_is_one_error():
    with pytest.raises(OSError):
        _fs.make_directory("/proc/self/task/nowhere/below")


# What went wrong, and where


def failed(*arguments):
    with pytest.raises(OSError) as caught, _fs.naming("/some/file"):
        raise OSError(*arguments)
    return str(caught.value)


def test_an_error_of_an_open_file_says_which_it_is():
    assert failed(errno.ENOSPC, "No space left") == "[Errno 28] No space left: '/some/file'"


def test_an_error_that_names_a_file_or_is_none_of_the_system_stays_as_it_is():
    assert failed(errno.ENOSPC, "No space left", "/other") == "[Errno 28] No space left: '/other'"
    assert failed("not a gzip file") == "not a gzip file"


def test_a_lock_is_let_go_whatever_the_system_says_of_it():
    handle = os.open(os.devnull, os.O_RDONLY)
    for _ in range(2):  # it is closed, and cannot be closed again
        _fs.release(handle)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("OSError: [Errno 28] No space left on device", errno.ENOSPC),
        ("ERROR: failed: [Errno 5] Input/output error: '/data/x'\nmore", errno.EIO),
        ("PermissionError: [Errno 13] Permission denied: '/archives/a' -> '/data/a'", errno.EACCES),
        ("ERROR: [Errno 2] No such file or directory: '/data/x'\nOSError: [Errno 30] Read-only: '/data'/x", None),
        ("PermissionError: [Errno 13] Permission denied: '/archives/a'", None),
        ("PermissionError: [Errno 13] Permission denied: '/database/a'", None),
        ("NewConnectionError: [Errno 111] Connection refused", None),
        ("No space left on device", None),
    ],
)
def test_what_a_program_said_of_files_that_it_could_not_write(text, number):
    error = _fs.find_told_error(text, "/data")
    assert (error and error.errno) == number
    assert error is None or error.filename == "/data"
