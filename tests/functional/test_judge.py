"""The judge with pip on both sides: no difference; and with a pip that is told to do otherwise: that difference."""

from __future__ import annotations

import sys

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer
from tests.lib.judge import compare, main

PIP = [sys.executable, "-m", "pip"]
#: A wrapper of pip, as pip-accel is one, that adds an option after the word ``install``.
MEDDLING = "import os, sys; words = sys.argv[2:]; words.insert(words.index('install') + 1, sys.argv[1]); " + (
    "os.execv(sys.executable, [sys.executable, '-m', 'pip', *words])"
)


@pytest.fixture
def archives(tmp_path):
    """A directory with a distribution of each kind."""
    directory = str(tmp_path / "archives")
    make_wheel(
        directory, "alpha", "1.0", requires=["beta"], entry_points="[console_scripts]\nalpha = alpha:main\n",
        data={"scripts/tool": "#!python\nprint('tool')\n", "data/share/alpha/readme.txt": "read me\n"},
        files={"alpha/__init__.py": "def main(): return 'x' in {'a', 'b'}\n", "alpha/x.so": b"\0"},
    )  # fmt: skip
    make_wheel(directory, "beta", "1.0")
    make_wheel(directory, "beta", "2.0")
    make_sdist(directory, "gamma", "1.0", entry_points="[gui_scripts]\ngamma = gamma:main\n")
    return directory


@pytest.fixture
def judge(archives, tmp_path):
    """:func:`compare` with pip for pip-accel by default."""
    with IndexServer(archives) as server:

        def run(*words, command=PIP, **options):
            return compare(
                words,
                index_args=["--index-url", server.url],
                python=sys.executable,
                pip_accel_command=command,
                workdir=str(tmp_path / "judge"),
                **options,
            )

        run.server = server
        yield run


def test_pip_against_pip_gives_no_difference(judge, tmp_path):
    assert judge("alpha", "gamma", "beta<2", prepare=[["beta==2.0"]], umask=0o027) == []
    stdout = (tmp_path / "judge" / "two.stdout").read_text()
    assert "Successfully installed alpha-1.0 beta-1.0 gamma-1.0" in stdout and "Successfully uninstalled" in stdout
    assert (tmp_path / "judge" / "two" / "env" / "bin" / "gamma").exists()
    assert judge.server.downloads["gamma-1.0.tar.gz"] == 2


def test_a_failure_is_judged_too(judge):
    assert judge("delta", status=1) == []


def test_two_runs_that_fail_early_do_not_pass_for_equal(judge):
    with pytest.raises(AssertionError, match=r"pip itself gave status 1, not 0:(.|\n)*No matching distribution"):
        judge("delta")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--no-compile", {"missing", "record"}),
        ("--no-deps", {"missing", "freeze", "inspect", "check", "output"}),
        pytest.param("--pre", set(), marks=pytest.mark.slow),
        pytest.param("--unknown", {"missing", "freeze", "inspect", "output", "status"}, marks=pytest.mark.slow),
    ],
)
def test_a_command_that_does_otherwise_is_found_out(judge, option, expected):
    differences = judge("alpha", command=[sys.executable, "-c", MEDDLING, option])
    assert {each.category for each in differences} == expected


def test_the_words_can_name_the_side(judge, tmp_path):
    assert judge("beta", "--target", "{side}/target") == []
    assert (tmp_path / "judge" / "two" / "target" / "beta.py").exists()


def test_the_judge_is_a_command(archives, capsys):
    meddling = f'{sys.executable} -c "{MEDDLING}"'
    assert main(["--directory", archives, "--command", f"{sys.executable} -m pip", "--", "beta"]) == 0
    assert capsys.readouterr().out == "0 differences\n"
    assert main(["--directory", archives, "--command", f"{meddling} --no-compile", "--", "beta"]) == 1
    assert "missing: env/lib/" in capsys.readouterr().out
