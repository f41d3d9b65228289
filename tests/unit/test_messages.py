"""Messages on standard error, as coloredlogs prints them where it need not be imported."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import types

import coloredlogs
import pytest

from pip_accel import _messages
from pip_accel._messages import Messages
from pip_accel.config import Config
from tests.lib.environments import clean_environ

DEFAULT = Config(load_configuration_files=False, load_environment_variables=False).log_format
MOMENT = 1_600_000_000.25


@pytest.fixture(autouse=True)
def clean_logger(monkeypatch):
    """No test sees the handler that another one installed, and no text has colours."""
    for name in ("COLOREDLOGS_LOG_FORMAT", "COLOREDLOGS_DATE_FORMAT", "COLOREDLOGS_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("pip_accel")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers.clear()
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def say(monkeypatch, capsys):
    monkeypatch.setattr(_messages.time, "time", lambda: MOMENT)

    def say(log_format, level="warning", text="Something % is {odd}"):
        getattr(Messages("DEBUG", log_format), level)(text)
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return say


def coloured(log_format, level="WARNING", text="Something % is {odd}"):
    """Give what coloredlogs prints where there is no terminal."""
    stream = io.StringIO()
    logger = logging.Logger("pip_accel")
    coloredlogs.install(level=1, logger=logger, fmt=log_format, stream=stream, reconfigure=False)
    record = logger.makeRecord("pip_accel", getattr(logging, level), "", 0, text, (), None)
    record.created = MOMENT
    logger.handle(record)
    return stream.getvalue()


def test_the_default_format_is_that_of_coloredlogs():
    assert DEFAULT == coloredlogs.DEFAULT_LOG_FORMAT


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_every_level_is_printed_as_coloredlogs_prints_it(say, level):
    assert say(DEFAULT, level) == coloured(DEFAULT, level.upper()) != ""


@pytest.mark.parametrize(
    "log_format",
    [
        "%(message)s",
        "%(levelname)s: %(message)s",
        "%(levelname)-10s|%(message)s",
        "%(asctime)s %(name)s %(message)s",
        "%(hostname)s[%(process)d] %(message)s",
        "%(username)s %(message)s",
        "100 %% %(message)s",
        "%(levelno)d %(message)s",
        "%(threadName)s %(processName)s %(message)s",
    ],
)
def test_every_format_is_followed_as_coloredlogs_follows_it(say, log_format):
    assert say(log_format) == coloured(log_format)


@pytest.mark.parametrize(
    ("verbosity", "offset", "expected"),
    [
        ("INFO", 0, "iw"),
        ("INFO", 1, "diw"),
        ("INFO", 2, "diw"),
        ("INFO", -1, "w"),
        ("INFO", -2, ""),
        ("DEBUG", 0, "diw"),
        ("DEBUG", -1, "iw"),
        ("NOTSET", 0, "diw"),
        ("WARN", 0, "w"),
        ("WARNING", 0, "w"),
        ("WARNING", 1, "iw"),
        ("ERROR", 0, ""),
        ("CRITICAL", 0, ""),
        ("FATAL", 3, "iw"),
    ],
)
def test_the_level_decides_and_options_move_it(capsys, verbosity, offset, expected):
    messages = Messages(verbosity, "%(message)s", offset)
    messages.debug("d")
    messages.info("i")
    messages.warning("w")
    assert capsys.readouterr().err == "".join(f"{letter}\n" for letter in expected)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_the_colours_of_coloredlogs(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    messages = Messages("INFO", "%(levelname)s %(message)s")
    messages.warning("odd %s")
    messages.warning("again")
    messages.debug("not this")
    text = terminal.getvalue()
    assert "\x1b[" in text
    assert text.count("again") == text.count("odd %s") == 1
    assert "not this" not in text


def test_a_format_of_its_own_is_followed_on_no_terminal_too(say):
    assert say("%(funcName)s %(message)s").endswith("Something % is {odd}\n")


def test_coloredlogs_is_not_loaded_where_its_colours_cannot_be_seen():
    code = (
        "import sys; from pip_accel._messages import Messages; Messages('INFO', sys.argv[1]).info('x')\n"
        "print(*{'coloredlogs', 'humanfriendly', 'logging', 'threading'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, DEFAULT], capture_output=True, text=True, env=clean_environ())
    assert (done.stdout, done.stderr.count("\n")) == ("\n", 1)


def screen(text):
    """Give the lines that a terminal shows, without blanks at their ends."""
    lines = []
    for line in text.split("\n"):
        row = ""
        for part in line.split("\r"):
            row = part + row[len(part) :]
        lines.append(row.rstrip())
    return lines


@pytest.fixture
def stderr(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(_messages, "sys", types.SimpleNamespace(stderr=stream))  # pytest sets sys.stderr again
    return stream


def test_a_line_is_replaced_by_the_next_one_and_by_messages(stderr):
    messages = Messages("INFO", "%(message)s")
    messages.show("a long line", " end")
    assert screen(stderr.getvalue()) == ["a long line end"]
    messages.show("short")
    assert screen(stderr.getvalue()) == ["short"]
    messages.debug("not printed")
    assert screen(stderr.getvalue()) == ["short"]
    messages.info("x")
    assert screen(stderr.getvalue()) == ["x", ""]
    messages.show("more")
    messages.show("")
    assert screen(stderr.getvalue()) == ["x", ""]


def test_a_line_that_stays_as_it_is_is_not_written_again(stderr):
    messages = Messages("INFO", "%(message)s")
    messages.show("")
    assert stderr.getvalue() == ""
    messages.show("same")
    before = stderr.getvalue()
    messages.show("same")
    assert stderr.getvalue() == before


def test_the_line_is_away_while_something_else_is_printed(stderr):
    messages = Messages("INFO", "%(message)s")
    messages.show("building")
    other = threading.Thread(target=messages.show, args=["building more"])
    with messages.alone():
        other.start()
        assert screen(stderr.getvalue()) == [""]
        messages.info("x")  # by the same thread
        other.join(0.05)
        assert screen(stderr.getvalue()) == ["x", ""]
    other.join()
    assert screen(stderr.getvalue()) == ["x", "building more"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0, "Building one, two (0:42)"),
        (27, "Building one, two (0:42)"),
        (26, "Building one,... (0:42)"),
        (17, "Buil... (0:42)"),
        (8, "... ("),
        (1, ""),
    ],
)
def test_a_line_is_cut_to_the_width_of_the_terminal(stderr, monkeypatch, width, expected):
    monkeypatch.setattr(stderr, "fileno", lambda: 2)
    monkeypatch.setattr(_messages.os, "get_terminal_size", lambda handle: os.terminal_size((width, 0)))
    Messages("INFO", "%(message)s").show("Building one, two", " (0:42)")
    assert screen(stderr.getvalue()) == [expected]
    assert max(map(len, stderr.getvalue().split("\r"))) < (width or 80)


def test_messages_of_several_threads_stay_whole(monkeypatch):
    class Slow(io.StringIO):
        def write(self, text):
            for each in text:  # as if the system took a character at a time
                super().write(each)
                threading.Event().wait(0.0001)

    monkeypatch.setattr(sys, "stderr", Slow())
    messages = Messages("INFO", "%(message)s")
    threads = [threading.Thread(target=messages.info, args=[letter * 10]) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sys.stderr.getvalue().splitlines()) == ["a" * 10, "b" * 10, "c" * 10, "d" * 10]


def test_the_host_has_its_name_also_where_uname_is_missing(monkeypatch):
    monkeypatch.setattr(_messages, "os", types.SimpleNamespace(environ={"COMPUTERNAME": "PC"}, getpid=os.getpid))
    assert _messages._hostname() == "PC"
