"""Two real sets of requirements: as pip installs them, and again without network, from what the first run left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.judge import compare_sides, drop_permitted, run_side
from tests.lib.runs import PIP, PIP_ACCEL, summary, without_network

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
WEB = REQUIREMENTS / "web-2026-11.txt"
SOURCE = REQUIREMENTS / "source-2026-11.txt"
#: Of the source set: only a setup.py, setuptools with extensions in C and C++, flit, hatchling, a backend in the tree.
SAMPLE = {"click", "docopt", "greenlet", "idna", "markupsafe", "pyyaml", "six", "termcolor", "zope-interface"}


@pytest.fixture
def judge_twice(tmp_path):
    """Installs a requirement file with pip, with pip-accel, and with pip-accel once more without network."""

    def judge(requirements: Path) -> None:
        variables = {"PIP_ACCEL_CACHE": str(tmp_path / "data")}
        words = ["-r", str(requirements)]
        with IndexServer(frozen_index(str(requirements))) as index:

            def side(name, command):
                index.reset()
                where = str(tmp_path / name)
                url = ["--index-url", index.url]
                return run_side(where, command, words, index_args=url, python=sys.executable, environ=variables)

            # The names of the sides are equally long: paths in scripts are part of what is compared.
            pip, first = side("one", PIP), side("two", PIP_ACCEL)
            downloads = dict(index.downloads)
            second = side("six", [*without_network(), *PIP_ACCEL])
            requests = list(index.requests)
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
        print(f"pip {pip.seconds:.1f} s, first run {first.seconds:.1f} s, second run {second.seconds:.1f} s")

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
