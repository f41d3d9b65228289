"""Messages on standard error, as coloredlogs prints them where it need not be imported."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
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
        "print(*{'coloredlogs', 'humanfriendly', 'logging'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, DEFAULT], capture_output=True, text=True, env=clean_environ())
    assert (done.stdout, done.stderr.count("\n")) == ("\n", 1)


def test_the_host_has_its_name_also_where_uname_is_missing(monkeypatch):
    monkeypatch.setattr(_messages, "os", types.SimpleNamespace(environ={"COMPUTERNAME": "PC"}, getpid=os.getpid))
    assert _messages._hostname() == "PC"
