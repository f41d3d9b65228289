"""The command line: who gets which words, what is said at which level, and the status that comes of it."""

from __future__ import annotations

import gc
import runpy
import sys

import pytest

from pip_accel import cli
from pip_accel import config as config_module
from pip_accel._plan import pip as pip_module
from pip_accel.exceptions import PipAcceleratorError

#: What stands for an installation gives this status.
INSTALLED = 41


class Program:
    """The program, in this process: pip and installations are only noted."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.status = 0  #: that pip gives
        self.handed = []  #: words that pip got
        self.requests = []
        self.levels = []
        self.failure = None  #: that an installation ends with

    def hand_over(self, command, environ):
        self.handed.append(command[command.index("pip") + 1 :])
        return self.status

    def install(self, asked, environ, config, messages):
        self.levels.append(messages.level)
        self.requests.append([root.name for root in asked.request.requirements])
        if self.failure is not None:
            raise self.failure
        return INSTALLED

    def run(self, *words, **variables):
        """Run it; give what it leaves with, ``None`` if it comes back."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(sys, "argv", ["pip-accel", *words])
        try:
            return cli.main()
        except SystemExit as error:
            return error.code


@pytest.fixture
def program(monkeypatch, tmp_path):
    program = Program(monkeypatch)
    for name in ("SYSTEM_FILE", "USER_FILE"):
        monkeypatch.setattr(config_module, name, str(tmp_path / "absent.conf"))
    monkeypatch.setenv("PIP_ACCEL_CACHE", str(tmp_path / "data"))
    monkeypatch.setattr(pip_module, "pass_through", program.hand_over)
    monkeypatch.setattr(cli, "_install_into", program.install)
    monkeypatch.chdir(tmp_path)
    return program


def test_the_module_is_the_program(monkeypatch):
    called = []
    monkeypatch.setattr(cli, "main", lambda: called.append(gc.isenabled()))
    try:
        runpy.run_module("pip_accel", run_name="__main__")
    finally:
        gc.enable()
    assert called == [False]  # to look for circles takes a tenth of a short run


def test_a_program_that_embeds_it_keeps_its_garbage_collector(program):
    assert program.run("install", "x") == INSTALLED
    assert gc.isenabled()


@pytest.mark.parametrize(("status", "left"), [(0, None), (1, 1), (2, 2), (130, 130)])
def test_only_a_status_other_than_0_leaves_by_an_exception(program, status, left):
    program.status = status
    assert program.run("list", "--outdated") == left
    assert program.handed == [["list", "--outdated"]]


@pytest.mark.parametrize(
    "words",
    [
        ["help", "install"],
        ["download", "install"],
        ["--proxy", "install", "list"],
        ["-v", "uninstall", "-y", "install"],
        ["nosuchcommand", "install", "x"],
        ["--version"],
        ["-v"],
        ["install", "--help"],
        ["install", "--of-tomorrow", "x"],
        ["install", "-U"],
    ],
    ids=" ".join,
)
def test_other_words_go_to_pip_as_they_came(program, words):
    program.run(*words)
    assert (program.handed, program.requests) == ([words], [])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["install", "x"], ["x"]),
        (["-v", "install", "x"], ["x"]),
        (["--proxy", "p:1", "install", "x"], ["x"]),
        (["install", "install"], ["install"]),
        (["install", "list", "install", "-U", "install"], ["list", "install", "install"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_an_installation_is_told_by_the_first_word_that_is_no_option(program, words, names):
    assert program.run(*words) == INSTALLED
    assert (program.handed, program.requests) == ([], [names])


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ([], 20),
        (["-v"], 10),
        (["--verbose"], 10),
        (["--verb"], 10),
        (["-vv"], 0),
        (["-q"], 30),
        (["--quiet", "-q"], 40),
        (["-v", "--verbose", "-q", "--quiet"], 20),
        (["-Uv"], 10),
        (["-qIU"], 30),
        (["-qvv"], 10),
        (["-fhttp://links.example/v"], 20),
        (["-qfhttp://links.example/vvv"], 30),
        (["--find-links", "-v"], 20),
        (["-f", "-qq"], 20),
        (["--", "-v"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_verbose_and_quiet_move_the_level_wherever_pip_reads_them(program, words, level):
    program.run("install", "x", *words)
    assert program.levels == ([] if level is None else [level])  # what begins with a dash is no requirement


def test_verbose_counts_before_the_command_and_in_variables_too(program):
    program.run("-v", "install", "x")
    program.run("install", "x", PIP_VERBOSE="1")
    program.run("-q", "install", "-q", "x", PIP_VERBOSE="", PIP_ACCEL_LOG_VERBOSITY="debug")
    assert program.levels == [10, 10, 30]


@pytest.mark.parametrize(
    ("failure", "errors"),
    [
        (PipAcceleratorError("{it} is broken", it="alpha"), "ERROR: alpha is broken\n"),
        (KeyboardInterrupt(), "ERROR: Operation cancelled by user\n"),
    ],
    ids=["an error of ours", "Ctrl-C"],
)
def test_what_fails_is_one_line_and_status_1(program, capsys, failure, errors):
    program.failure = failure
    assert program.run("install", "x") == 1
    assert capsys.readouterr() == ("", errors)


@pytest.mark.parametrize("words", [["-v", "install", "x"], ["install", "--verbose", "x"]], ids=" ".join)
def test_where_an_error_came_from_is_shown_to_those_who_ask(program, capsys, words):
    program.failure = PipAcceleratorError("alpha is broken")
    assert program.run(*words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1] == "ERROR: alpha is broken"


@pytest.mark.parametrize(
    ("words", "variables"),
    [(["--python", sys.executable], {}), ([f"--pyth={sys.executable}"], {}), ([], {"PIP_PYTHON": sys.executable})],
    ids=["--python", "--pyth=", "PIP_PYTHON"],
)
def test_where_a_target_is_named_the_active_environment_does_not_matter(program, capsys, tmp_path, words, variables):
    assert program.run(*words, "install", "x", VIRTUAL_ENV=str(tmp_path), **variables) == INSTALLED
    for name in variables:
        program.run("install", "x", **{name: ""})
    assert program.run("install", "x") == 1
    assert "--python" in capsys.readouterr().err
    assert program.requests == [["x"]]
