"""Whatever pip understands or refuses goes through pip-accel without a traceback, and without a difference."""

from __future__ import annotations

import random

import pytest

from pip_accel._plan.arguments import parse
from pip_accel._plan.options import OPTIONS
from pip_accel.exceptions import Unsupported
from tests.lib.environments import clean_environ
from tests.lib.runs import run_pip, run_pip_accel

#: Words as people type them, one line each: other commands, requests for help, and mistakes.
LINES = (
    "", "help install", "--help", "--version", "freeze --all", "show nothing-of-that-name", "cache",
    "uninstall -y nothing-of-that-name", "hash nowhere.whl", "nonsense", "-q", "install", "install -h six",
    "install -r nowhere.txt", "install -c nowhere.txt six", "install --no-index ./nowhere",
    "install --no-index nowhere.whl", "install six==", "install --target=", "install --user --target x six",
    "install -e", "install -e nowhere", "install -e git+nowhere", "install --group nothing-of-that-name",
    "install --hash=sha256:00 six", "install --retries=many six", "install ''", "install --no-index six[",
    "install --dry-run", "install --platform x six", "install --no-index -f nowhere six",
    "install --no-index http://[", "install -- -r",
)  # fmt: skip
VALUES = (
    "", " ", "-", "--", "=", "six", "six==1.0", "six[", "six[a,b]>1", "six @", "six @ https://h/x.whl", "a b", "é",
    "\n", "https://", "https://h/six-1.0.tar.gz#egg=six&x=y", "http://[::1", "file:", "file:///",
    "file:///nowhere#x", "git+", "git+https://h/r@v#egg=a", "git+ssh://git@h:r", "svn+x://", ".", "./nowhere", "/",
    "nowhere.whl", "x.tar.gz", "a;b", "six ; os_name == 'x'", "six;", "; six", "#", "#egg=", "${HOME}", "\\", "'",
    '"', "%s", "{x}", "~", "~nobody", "x:y", "pyproject.toml:x", "pylock.toml", "-r", "-e", "install", "sha256:00",
    ":all:", ":none:", "-1", "0x1", "1e9", "yes",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_lines_give_what_they_give_with_pip(line, fresh, data, tmp_path):
    environment, words = fresh(), line.replace("''", " ").split(" ") if line else []
    words = [" " if word == "" else word for word in words]
    pip = run_pip(words, environment, status=None, cwd=tmp_path)
    ours = run_pip_accel(words, environment, data, status=None, cwd=tmp_path, PIP_NO_CACHE_DIR="1")
    if line:
        assert (ours.status, said(ours)) == (pip.status, said(pip)), ours.stderr
    assert "Traceback" not in ours.stderr or "Traceback" in pip.stderr  # pip has some of its own


def said(run):
    """What a run printed on standard output, without pip's words about where it looks."""
    return [line for line in run.stdout.splitlines() if not line.startswith("Looking in ")]


def test_any_words_are_understood_or_left_to_pip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance = random.Random(20261122)
    spellings = [spelling for option in OPTIONS for spelling in option.spellings.split()]
    environ = clean_environ()

    def refuse(url, options):
        raise Unsupported("no network")

    def word():
        value = chance.choice(VALUES)
        spelling = chance.choice(spellings)
        return chance.choice((value, spelling, spelling + value, f"{spelling}={value}"))

    understood = 0
    for _ in range(4000):
        before = [word()] if chance.random() < 0.1 else []
        try:
            parse([*before, "install", *(word() for _ in range(chance.randint(1, 4)))], environ, fetch=refuse)
            understood += 1
        except Unsupported:
            pass
    assert 50 < understood < 3000
