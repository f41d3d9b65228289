"""The words in front of and behind the command, as users type them: what is done, and what is said on which stream."""

from __future__ import annotations

import pytest

from tests.lib.archives import make_wheel
from tests.lib.runs import installed, run_pip_accel


@pytest.fixture
def run(bench, archives):
    """Runs ``pip-accel WORDS`` for a fresh environment, with projects of which one is called like the command."""
    for name in ("install", "alpha"):
        bench.index.add(make_wheel(archives, name, "1.0"))

    def run(*words, **variables):
        environment = bench.fresh()
        done = run_pip_accel(words, environment, bench.data, PIP_INDEX_URL=bench.index.url, **variables)
        return done, installed(environment)

    return run


def test_the_command_is_told_from_a_project_of_its_name(run):
    done, there = run("-q", "--retries", "1", "install", "install")
    assert (done.stdout, there) == ("", {"install": "1.0"})
    done, there = run("help", "install")
    assert "pip install [options]" in done.stdout
    assert there == {}


def test_verbose_and_quiet_are_for_the_lines_of_pip_and_for_those_of_pip_accel(run):
    run("install", "alpha==1.0")
    for words, shown in (
        (["install", "alpha==1.0"], True),
        (["install", "--quiet", "alpha==1.0"], False),
        (["install", "-qv", "alpha==1.0"], True),
        (["-v", "install", "--no-color", "-q", "alpha==1.0", "--quiet"], False),
        (["install", "-vvqq", "alpha==1.0"], True),
    ):
        done, there = run(*words)
        assert there == {"alpha": "1.0"}
        assert done.stdout.splitlines() == [
            "Installing collected packages: alpha",
            "Successfully installed alpha-1.0",
        ] * shown, words
        assert done.stderr.count("\n") == bool(done.summary) == shown, words
    options = {"PIP_ACCEL_LOG_VERBOSITY": "warning", "PIP_ACCEL_LOG_FORMAT": "%(message)s"}
    silent, _ = run("install", "alpha==1.0", **options)
    assert "Successfully installed" in silent.stdout and silent.stderr == ""
    louder, _ = run("install", "-v", "alpha==1.0", **options)
    assert louder.stderr.startswith("Installed 1 distribution in ")
