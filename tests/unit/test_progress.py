"""What is told about builds while they run, and what is kept of what they said."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
import time
import types

import pytest

from pip_accel import _messages, _progress
from pip_accel._messages import Messages
from pip_accel._progress import QUIET, Progress, keep_output, prune_logs
from tests.lib.environments import clean_environ


class Stream(io.StringIO):
    """A standard error; ``seen`` is what it got since the last look."""

    terminal = False

    def isatty(self):
        return self.terminal

    def seen(self):
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def stderr(monkeypatch):
    stream = Stream()
    for module in (_messages, _progress):  # pytest sets sys.stderr again
        monkeypatch.setattr(module, "sys", types.SimpleNamespace(stderr=stream))
    return stream


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(stderr, clock):
    """Give a progress that is not driven by time, but by :meth:`Progress.tick`."""

    def watch(offset=0, *, terminal=False, term="xterm", **options):
        stderr.terminal = terminal
        return Progress(Messages("INFO", "%(message)s", offset), environ={"TERM": term}, clock=clock, **options)

    return watch


def shown(stderr):
    """Give the line that a terminal shows after all that came since the last look."""
    return stderr.seen().rpartition("\r")[2]


def test_a_terminal_shows_what_is_built_how_much_is_done_and_for_how_long(watch, stderr, clock):
    progress = watch(terminal=True)
    progress.expect(2)
    progress.expect(1)
    progress.started("cffi 1.17")
    clock.now += 0.4
    progress.tick()
    assert stderr.seen() == ""
    clock.now += 0.2
    progress.tick()
    assert shown(stderr) == "Building 0 of 3: cffi 1.17 (0:00)"
    progress.started("lxml 6.0")
    clock.now += 42
    progress.tick()
    assert shown(stderr) == "Building 0 of 3: cffi 1.17, lxml 6.0 (0:42)"
    progress.ended("cffi 1.17", 42.6, "said", False)
    clock.now += 3600
    progress.tick()
    assert shown(stderr) == "Building 1 of 3: lxml 6.0 (1:00:42)"


def test_the_line_goes_at_once_when_nothing_is_built_any_more_and_its_time_stands_still(watch, stderr, clock):
    progress = watch(terminal=True)
    progress.started("a 1")
    clock.now += 5
    progress.tick()
    assert shown(stderr) == "Building a 1 (0:05)"
    progress.ended("a 1", 5.0, "", True)
    assert stderr.seen().endswith(" \r")
    clock.now += 1000
    progress.tick()
    assert stderr.seen() == ""
    progress.started("b 1")
    clock.now += 2
    progress.tick()
    assert shown(stderr) == "Building 1 of 2: b 1 (0:07)"


def test_the_same_label_may_be_built_twice_at_once(watch, stderr, clock):
    progress = watch(terminal=True)
    progress.started("a 1")
    progress.started("a 1")
    progress.ended("a 1", 5.0, "", False)
    clock.now += 1
    progress.tick()
    assert shown(stderr) == "Building 1 of 2: a 1 (0:01)"


def test_the_end_of_what_never_began_is_no_error(watch, stderr):
    progress = watch(1)
    progress.ended("a 1", 0.0, "", True)
    assert stderr.seen() == "Failed to build a 1 after 0.0 s\n"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"terminal": False}, id="no terminal"),
        pytest.param({"terminal": True, "term": "dumb"}, id="a terminal that can do nothing"),
        pytest.param({"terminal": True, "progress_bar": "off"}, id="not wanted"),
        pytest.param({"terminal": True, "progress_bar": "raw"}, id="for programs"),
    ],
)
def test_elsewhere_there_is_a_line_after_a_minute_of_building(watch, stderr, clock, options, monkeypatch):
    monkeypatch.setattr(Messages, "_say", lambda self, level, text: stderr.write(f"{level} {text}\n"))
    progress = watch(**options)
    clock.now += 500
    progress.expect(2)
    progress.started("numpy 2.3.1")
    clock.now += 59
    progress.tick()
    progress.started("lxml 6.0")
    assert stderr.seen() == ""
    clock.now += 1
    progress.tick()
    progress.tick()
    assert stderr.seen() == "INFO Still building numpy 2.3.1 (1:00), lxml 6.0 (0:01)\n"
    progress.ended("lxml 6.0", 1.0, "said", False)
    clock.now += 59
    progress.tick()
    assert stderr.seen() == ""
    clock.now += 1
    progress.tick()
    assert stderr.seen() == "INFO Still building numpy 2.3.1 (2:00)\n"


def test_short_builds_are_silent_together_for_no_more_than_a_minute(watch, stderr, clock):
    progress = watch()
    for number in range(7):
        progress.started(f"a {number}")
        clock.now += 9
        progress.tick()
        progress.ended(f"a {number}", 9.0, "said", False)
        clock.now += 100  # in which nothing is built
    assert stderr.seen() == "Still building a 6 (0:09)\n"


def test_verbose_tells_of_each_build(watch, stderr, clock):
    progress = watch(1, terminal=False)
    progress.started("a 1")
    progress.started("b 1")
    clock.now += 3.21
    progress.ended("a 1", 3.21, "what a said", False)
    progress.ended("b 1", 3.21, "what b said", True)
    expected = "Building a 1\nBuilding b 1\nBuilt a 1 in 3.2 s\nFailed to build b 1 after 3.2 s\n"
    assert stderr.seen() == expected


def test_verbose_shows_no_line_in_place_but_is_not_silent_either(watch, stderr, clock):
    progress = watch(1)
    progress.started("a 1")
    clock.now += 60
    progress.tick()
    assert stderr.seen() == "Building a 1\nStill building a 1 (1:00)\n"


def test_more_verbose_shows_what_each_build_said(watch, stderr):
    progress = watch(2)
    progress.ended("a 1", 2.0, "one\r\ntwo\n\x1b]0;title\x07\thttps://me:pw@host/x\n", False)
    progress.ended("b 1", 0.1, "", False)
    assert stderr.seen().splitlines() == [
        "Built a 1 in 2.0 s",
        "  a 1 | one",
        "  a 1 | two",
        "  a 1 | \\x1b]0;title\\x07      https://****@host/x",
        "Built b 1 in 0.1 s",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_tells_nothing(watch, stderr, clock, terminal):
    progress = watch(-1, terminal=terminal)
    for watcher in (progress, QUIET):
        watcher.expect(1)
        watcher.started("a 1")
        clock.now += 100
        progress.tick()
        watcher.ended("a 1", 100.0, "said", True)
    assert stderr.seen() == ""


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_labels_cannot_reach_the_terminal_as_they_are(watch, stderr, clock, offset):
    progress = watch(offset, terminal=False)
    progress.started("a\x1b[2J 1\n\u202e\uff21\udcff")
    clock.now += 60
    progress.tick()
    progress.ended("a\x1b[2J 1\n\u202e\uff21\udcff", 1.0, "x", False)
    text = stderr.seen()
    assert r"a\x1b[2J 1\n\u202e\uff21\udcff" in text
    assert text.replace("\n", "").isprintable()


def test_time_shows_the_line_inside_of_the_block_and_none_after_it(stderr):
    stderr.terminal = True
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), Progress(Messages("INFO", "%(message)s"), environ={}) as progress:
        progress.started("a 1")
        deadline = time.monotonic() + 10
        while "Building a 1 (0:00)" not in stderr.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert threading.active_count() == before
    assert stderr.getvalue().endswith("\rBuilding a 1 (0:00)\r" + " " * 79 + "\r")
    stderr.seen()
    progress.tick()
    assert stderr.seen() == ""


def test_a_terminal_that_is_gone_ends_the_line_and_not_the_build(monkeypatch, stderr, clock):
    stderr.terminal = True
    tried = threading.Event()

    def write(text):
        tried.set()
        raise OSError(5, "Input/output error")

    progress = Progress(Messages("INFO", "%(message)s"), environ={}, clock=clock)
    with monkeypatch.context() as patch, progress:
        patch.setattr(stderr, "write", write)
        progress.started("a 1")
        clock.now += 10
        assert tried.wait(10)
        progress._thread.join(10)
        assert not progress._thread.is_alive()
        progress.ended("a 1", 10.0, "", False)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals")
def test_a_real_terminal_shows_the_line_cut_to_its_width_and_messages_without_it():
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    code = (
        "import os, sys, time; from pip_accel._messages import Messages; from pip_accel._progress import Progress\n"
        "with Progress(messages := Messages('INFO', '%(message)s'), environ=os.environ) as progress:\n"
        "    progress.expect(2)\n"
        "    progress.started('a-project-with-a-long-name 1.0')\n"
        "    while not messages._shown: time.sleep(0.01)\n"
        "    messages.warning('Something')\n"
    )
    environ = {**clean_environ(), "TERM": "xterm"}
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stderr=theirs, env=environ)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # how Linux tells the end
        pass
    finally:
        os.close(ours)
        assert child.wait() == 0
    wipe = "\r" + " " * 39 + "\r"
    before, line, after = text.decode().partition("Building 0 of 2: a-project-... (0:00)")
    assert before == wipe
    assert len(line) == 37
    assert after.startswith(wipe)
    assert "Something" in after
    assert "Building" not in after


def test_building_does_not_load_logging():
    code = "import sys, pip_accel._progress; print(*{'coloredlogs', 'logging'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean_environ())
    assert done.stdout == "\n"


def test_the_newest_output_of_a_distribution_is_kept_for_its_owner_and_without_secrets(tmp_path):
    directory = str(tmp_path / "data" / "logs")
    assert keep_output(directory, "numpy 2.3.1", "old") == os.path.join(directory, "numpy-2.3.1.log")
    path = keep_output(directory, "numpy 2.3.1", "from https://me:pw@host/x\nGröße \udcff\n")
    with open(path, "rb") as stream:
        assert stream.read().decode() == "from https://****@host/x\nGröße \\udcff\n"
    assert os.listdir(directory) == ["numpy-2.3.1.log"]
    if os.name != "nt":
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("a 1!2.0+local_x", "a-1!2.0+local_x.log"),
        ("../../etc/passwd 1", "etc-passwd-1.log"),
        ("/a\\b\0\n 1", "a-b-1.log"),
        (". ..", "unnamed.log"),
        ("", "unnamed.log"),
        ("a" * 300, "a" * 200 + ".log"),
    ],
)
def test_output_is_kept_inside_of_the_directory(tmp_path, label, name):
    assert keep_output(str(tmp_path), label, "x") == str(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_output_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "logs").write_text("a file")
    assert keep_output(str(tmp_path / "logs"), "a 1", "x") is None


def test_the_oldest_logs_are_removed(tmp_path):
    for number in range(5):
        os.utime(keep_output(str(tmp_path), f"a {number}", "x"), (1000 - number, 1000 - number))
    leftover = tmp_path / "a-9.log.12-abc.tmp"
    leftover.write_text("half")
    os.utime(leftover, (1, 1))
    (tmp_path / "directory").mkdir()
    prune_logs(str(tmp_path), keep=3)
    assert sorted(os.listdir(tmp_path)) == ["a-0.log", "a-1.log", "a-2.log", "directory"]
    prune_logs(str(tmp_path))
    assert len(os.listdir(tmp_path)) == 4


def test_logs_that_are_not_there_are_not_removed(tmp_path):
    prune_logs(str(tmp_path / "logs"))
    assert os.listdir(tmp_path) == []


def test_a_log_that_cannot_be_removed_does_not_keep_the_others(tmp_path, monkeypatch):
    for number in range(3):
        os.utime(keep_output(str(tmp_path), f"a {number}", "x"), (number, number))
    unlink = os.unlink

    def refuse_one(path):
        if path.endswith("a-2.log"):
            raise PermissionError(1, "Operation not permitted")
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse_one)
    prune_logs(str(tmp_path), keep=0)
    assert os.listdir(tmp_path) == ["a-2.log"]
