"""Calls that are made to fail: those of one program, all of its kinds, below some directories only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from tests.lib.environments import clean_environ
from tests.lib.faults import COUNTING, Fault, faulty, missing, read_calls

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

#: One call that changes files, and nothing else, and what it is to be noted as. ``here`` has ``file`` and ``empty/``.
CALLS = {
    "os.open('new', os.O_WRONLY | os.O_CREAT)": ("open", "new"),
    "os.open('file', os.O_RDWR)": ("open", "file"),
    "os.open('new', os.O_WRONLY | os.O_CREAT, dir_fd=os.open('empty', os.O_RDONLY))": ("open", "empty/new"),
    "os.mkdir('new')": ("mkdir", "new"),
    "os.mkdir('new', dir_fd=os.open('empty', os.O_RDONLY))": ("mkdir", "empty/new"),
    "os.rename('file', 'new')": ("rename", "file -> new"),
    "os.replace('file', 'new')": ("rename", "file -> new"),
    "os.link('file', 'new')": ("link", "new"),
    "os.link('file', 'new', src_dir_fd=os.open('.', os.O_RDONLY), dst_dir_fd=os.open('empty', os.O_RDONLY))":
        ("link", "empty/new"),
    "os.symlink('file', 'new')": ("symlink", "new"),
    "os.unlink('file')": ("unlink", "file"),
    "os.unlink('file', dir_fd=os.open('.', os.O_RDONLY))": ("unlink", "file"),
    "os.rmdir('empty')": ("rmdir", "empty"),
    "os.rmdir('empty', dir_fd=os.open('.', os.O_RDONLY))": ("rmdir", "empty"),
    "os.truncate('file', 1)": ("truncate", "file"),
    "os.chmod('file', 0o600)": ("chmod", "file"),
    "os.chmod('file', 0o600, dir_fd=os.open('.', os.O_RDONLY))": ("chmod", "file"),
    "os.fchmod(os.open('file', os.O_RDONLY), 0o600)": ("chmod", "file"),
    "os.chown('file', os.getuid(), os.getgid())": ("chown", "file"),
    "os.chown('file', os.getuid(), os.getgid(), follow_symlinks=False)": ("chown", "file"),
    "os.fchown(os.open('file', os.O_RDONLY), os.getuid(), os.getgid())": ("chown", "file"),
    "os.utime('file')": ("utime", "file"),
    "os.utime(os.open('file', os.O_RDONLY))": ("utime", "file"),
}  # fmt: skip
#: What is done with a file that is open for writing, as ``handle``; ``other`` can be read.
WRITES = {
    "os.write(handle, b'text')": "write",
    "os.writev(handle, [b'text'])": "writev",
    "os.pwrite(handle, b'text', 0)": "pwrite",
    "os.sendfile(handle, other, 0, 4)": "sendfile",
    "os.copy_file_range(other, handle, 4)": "copy",
    "__import__('fcntl').ioctl(handle, 0x40049409, other)": "reflink",
    "os.ftruncate(handle, 1)": "truncate",
    "os.fsync(handle)": "fsync",
    "os.fdatasync(handle)": "fsync",
    "os.close(handle)": "close",
}
OPENING = "handle, other = os.open('new', os.O_WRONLY | os.O_CREAT), os.open('file', os.O_RDONLY)"


@pytest.fixture
def run(tmp_path):
    """Runs a program in a directory whose files count; gives its output, and its calls with paths below that."""
    here = tmp_path / "here"
    (here / "empty").mkdir(parents=True)
    (here / "file").write_text("content")
    program = tmp_path / "program"

    def run(code, fault=COUNTING, name="program", **variables):
        program.write_text("import os\ntry:\n" + "".join(f"    {line}\n" for line in code.splitlines()) + (
            "except OSError as error:\n    print(error.errno)\nelse:\n    print('done')\n"
        ))  # fmt: skip
        log = str(tmp_path / "log")
        variables |= faulty(fault, name, [str(here)], log)
        command = [sys.executable, "-S", str(program)]
        done = subprocess.run(command, cwd=here, env=clean_environ(**variables), capture_output=True, text=True)
        assert done.stderr == ""
        calls = [
            (each.what, " -> ".join(os.path.relpath(path, here) for path in (each.path, each.target) if path))
            for each in read_calls(log)
        ]
        return done.stdout.split(), calls

    run.here = here
    return run


@pytest.mark.parametrize("code", CALLS)
def test_every_call_that_changes_files_is_noted_and_can_fail(run, code):
    said, calls = run(code, Fault(1, errno.EDQUOT))
    assert said == [str(errno.EDQUOT)]
    assert calls == [CALLS[code]]
    assert sorted(os.listdir(run.here)) == ["empty", "file"] and os.listdir(run.here / "empty") == []
    assert (run.here / "file").read_text() == "content"
    assert run(code)[0] == ["done"]


@pytest.mark.parametrize("code", WRITES)
def test_what_is_done_with_open_files_can_fail_too(run, code):
    said, calls = run(f"{OPENING}\n{code}", Fault(2, errno.EDQUOT))
    assert said == [str(errno.EDQUOT)]
    assert calls == [("open", "new"), (WRITES[code], "new")]


def test_a_write_that_fails_has_written_half(run):
    run(f"{OPENING}\nos.write(handle, b'text')", Fault(2))
    assert (run.here / "new").read_text() == "te"


def test_a_copy_by_the_library_is_noted(run):
    """By whichever call the system has for that."""
    _, calls = run("import shutil\nshutil.copyfile('file', 'new')")
    assert {what for what, _ in calls} & {"sendfile", "copy", "write"} and {path for _, path in calls} == {"new"}


def test_one_call_fails_or_all_that_follow(run):
    code = "".join(f"try:\n    os.mkdir('{n}')\nexcept OSError:\n    print('failed')\n" for n in range(4))
    assert run(code, Fault(2))[0] == ["failed", "done"]
    for number in (0, 2, 3):
        os.rmdir(run.here / str(number))
    assert run(code, Fault(2, lasting=True))[0] == ["failed"] * 3 + ["done"]
    assert os.listdir(run.here).count("0") == 1


def test_reading_and_other_places_do_not_count(run, tmp_path):
    code = f"open('file').read()\nos.mkdir({str(tmp_path / 'other')!r})\nos.mkdir({str(run.here) + '-not'!r})"
    assert run(code, Fault(1, lasting=True)) == (["done"], [])


def test_only_the_program_that_is_named_is_disturbed(run):
    """What it starts knows nothing of all this, and who starts it is not disturbed either."""
    inner = "import os; os.mkdir('inner'); print(sorted(set(os.environ) & {'LD_PRELOAD', 'FAULTS_AT'}))"
    code = f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-S', '-c', {inner!r}], text=True).args[1])"
    assert run(code, Fault(1, lasting=True)) == (["[]", "-S", "done"], [])
    os.rmdir(run.here / "inner")
    assert run("os.mkdir('new')", Fault(1), name="another-program") == (["done"], [])


def test_forks_count_with_their_parent(run):
    code = "os.mkdir('a')\nif os.fork():\n    os.wait()\nelse:\n    os.mkdir('b')\n    os._exit(0)\nos.mkdir('c')"
    assert run(code, Fault(3)) == ([str(errno.ENOSPC)], [("mkdir", "a"), ("mkdir", "b"), ("mkdir", "c")])
