"""Two real sets of requirements: as pip installs them, again without network, and on a new machine from an S3 server.

The first run leaves what the second one needs on its machine, and in a bucket what the third one needs, which has an
empty disk and a network in which there is nothing but the S3 server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lib import s3_server
from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.judge import compare_sides, drop_permitted, run_side
from tests.lib.processes import watch_interpreters
from tests.lib.runs import PIP, PIP_ACCEL, summary, without_network
from tests.lib.s3_server import seaweed_server

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
WEB = REQUIREMENTS / "web-2026-11.txt"
SOURCE = REQUIREMENTS / "source-2026-11.txt"
#: Of the source set: only a setup.py, setuptools with an extension in C, flit, and a backend in the tree that reads
#: ``CFLAGS`` and calls Cython (frozenlist).
SAMPLE = {"click", "docopt", "frozenlist", "idna", "markupsafe"}


@pytest.fixture
def judge_twice(tmp_path):
    """Installs a requirement file with pip, with pip-accel, again without network, and from a shared cache alone."""

    def judge(requirements: Path) -> None:
        variables = {"PIP_ACCEL_CACHE": str(tmp_path / "data")}
        words = ["-r", str(requirements)]
        served = str(tmp_path / "served")
        with IndexServer(frozen_index(str(requirements))) as index:

            def side(name, command, **more):
                index.reset()
                where = str(tmp_path / name)
                url = ["--index-url", index.url]
                environ = {**variables, **more}
                return run_side(where, command, words, index_args=url, python=sys.executable, environ=environ)

            # The names of the sides are equally long: paths in scripts are part of what is compared.
            pip = side("one", PIP)
            with seaweed_server(served) as server:
                first = side("two", PIP_ACCEL, **server.variables())
            downloads = dict(index.downloads)
            second = side("six", [*without_network(), *PIP_ACCEL])
            requests = list(index.requests)
            watched, started = watch_interpreters(tmp_path)
            alone = [*without_network(), sys.executable, s3_server.__file__, served]
            third = side("ten", [*alone, *PIP_ACCEL], PIP_ACCEL_CACHE=str(tmp_path / "empty"), **watched)
            requests += index.requests
        assert pip.status == 0, pip.stdout + pip.stderr
        assert first.status == 0, first.stdout + first.stderr
        assert drop_permitted(compare_sides(pip, first)) == []
        assert first.stderr.splitlines() == [first.stderr.rstrip()]  # nothing but the closing line
        assert downloads
        assert {name: times for name, times in downloads.items() if times > 1} == {}

        assert second.status == 0, second.stdout + second.stderr
        assert drop_permitted(compare_sides(pip, second)) == []
        assert requests == []
        assert "without network" in summary(second.stderr)
        assert "built" not in summary(second.stderr)

        assert third.status == 0, third.stdout + third.stderr
        assert drop_permitted(compare_sides(pip, third)) == []
        assert third.stderr.splitlines() == [third.stderr.rstrip()]
        assert "from a shared cache" in summary(third.stderr)
        assert "built" not in summary(third.stderr)
        expected = {"freeze", "inspect", "check"}  # the judge's own
        pips = [program for program in started() if "pip" in program]
        assert pips and all(expected.intersection(program) for program in pips)
        seconds = {"pip": pip, "first run": first, "second run": second, "from a shared cache": third}
        print({name: round(side.seconds, 1) for name, side in seconds.items()})

    return judge


@pytest.mark.index
def test_the_web_set(judge_twice):
    judge_twice(WEB)


@pytest.mark.index
def test_a_sample_of_the_source_set(judge_twice, tmp_path):
    lines = SOURCE.read_text().splitlines()
    wanted = [line for line in lines if line.removeprefix("--no-binary ").partition("==")[0] in SAMPLE]
    sample = tmp_path / "sample.txt"
    sample.write_text("\n".join(wanted) + "\n")
    assert len(wanted) == 2 * len(SAMPLE)
    judge_twice(sample)


@pytest.mark.index
@pytest.mark.slow
def test_the_source_set(judge_twice):
    judge_twice(SOURCE)
