"""Generated environments, each with a request, over a frozen index: what comes out is what pip makes of both.

pip-accel has one data directory for all cases of a part, as what one request taught it must not change the answer to a
later one. As the index is frozen, an open requirement cannot be answered from an older one here; the last test shows
that difference, which is intended. Between them stand small worlds that were thought out: where an answer that is right
for one set of requirements, or for an empty environment, would be wrong for another one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time

import pytest

from tests.lib.archives import make_wheel
from tests.lib.generated import Case, fill_frozen_index, generate_cases
from tests.lib.index import canonical
from tests.lib.judge import Difference, Side, compare_sides, drop_permitted, run_side
from tests.lib.runs import PIP, PIP_ACCEL, installed, run_pip, summary

#: Parts of the two hundred cases that take minutes, by the number that they are drawn from.
PARTS = range(1, 9)
SAMPLE = 13
#: Releases with what they require; and then, one after the other, what is installed and what is asked for.
WORLDS = {
    "what is kept does not narrow another project as the newest would": (
        {"q==1.0": "", "q==2.0": "p<2", "p==1.0": "", "p==2.0": ""},
        [("q==1.0", "q p")],
    ),
    "what is kept requires less than the newest": (
        {"q==1.0": "p", "q==2.0": "p<2", "p==1.0": "", "p==2.0": ""},
        [("--no-deps q==1.0", "q")],
    ),
    "what was turned down for the newest is not for what is kept": (
        {"q==1.0": "", "q==2.0": "r>=1", "p==1.0": "", "p==2.0": "r<1", "r==0.5": "", "r==1.0": ""},
        [("", "q p"), ("q==1.0", "q p")],
    ),
    "what is kept requires something that the index would not give with its own choice": (
        {"p==1.0": "", "p==2.0a1": "r", "r==1.0": ""},
        [("--no-deps p==2.0a1", "-U p"), ("--no-deps p==2.0a1", "-U --upgrade-strategy eager p")],
    ),
    "what is installed satisfies, and the index has nothing that would": (
        {"p==1.0": "", "q==1.0": ""},
        [("q==1.0", "--no-binary q q p")],
    ),
    "a version that others brought in their sets does not win where pip meets the newest first": (
        {"p==1.0": "", "p==2.0": "r<1", "q==1.0": "", "q==2.0": "r>=1 p<2", "r==0.5": "", "r==1.0": ""},
        [("", "p<2"), ("", "q"), ("", "p q"), ("", "q p")],
    ),
    "what is kept requires what the newest does not": (
        {"p==1.0": "r>=1 q", "o==1.0": "r<9,>=0.5", "q==1.0": "r<2", "q==2.0": "", "r==1.0": "", "r==2.0": ""},
        [("", "p o"), ("q==1.0", "p o")],
    ),
    "what the newest led to is not for what is kept": (
        {"p==1.0": "q", "q==1.0": "", "q==2.0": "r<2", "r==1.0": "", "r==2.0": ""},
        [("", "r p"), ("q==1.0", "r p"), ("r==1.0", "r p")],
    ),
    "what was chosen beside something that did not last is not chosen without it": (
        {"q==1.0": "", "q==2.0": "t<1", "t==0.5": "", "t==2.0": "", "r==1.0": "q<2"},
        [("", "q t r"), ("", "t"), ("q==1.0", "r t q")],
    ),
    "what was chosen beside something that did not last is not where that never comes up": (
        {"q==1.0": "", "q==2.0": "t<1", "t==0.5": "", "t==2.0": "", "r==1.0": "q<2"},
        [("", "q t r"), ("q==1.0", "q t r")],
    ),
    "what came up and was dropped is installed": (
        {
            "q==1.0": "", "q==2.0": "d", "d==1.0": "", "d==2.0": "t<1", "t==0.5": "", "t==2.0": "",
            "a==1.0": "t z", "z==1.0": "q<2",
        },
        [("d==1.0", "q a"), ("", "q a"), ("d==1.0", "q a")],
    ),
    "what was searched in vain is installed": (
        {"p==1.0": "", "p==2.0": "z", "z==1.0": ""},
        [("z==1.0", "--no-binary z p"), ("", "--no-binary z p"), ("z==1.0", "--no-binary z p")],
    ),
    "a further clause lets a pre-release in": (
        {"p==1.0": "", "p==2.0a1": "", "r==1.0": "p>=0.5a1"},
        [("", "p"), ("", "--no-deps r"), ("", "r p"), ("", "p r")],
    ),
    "pip finds no end where nothing is installed": (
        {
            "z==1.0": "q<=1", "z==2.0": "p<9,>=0.5", "a==1.0": "q", "a==2.0": "q", "r==1.0": "b>=0.5 p",
            "r==2.0": "b>=0.5 p", "p==1.0": "r==1.0 z<=1", "p==2.0": "r==1.0 z<=1", "q==1.0": "", "q==2.0": "z b<=1",
            "b==0.5": "", "b==1.0": "a", "b==2.0": "a",
        },
        [("--no-deps q==1.0 z==1.0", "b==1.0 a==1.0")],
    ),
    "what was turned down as a dependency may not be a wheel is not when it may": (
        {"p==1.0": "", "p==2.0": "r", "r==1.0": ""},
        [("", "--no-binary r p"), ("", "p")],
    ),
}  # fmt: skip
#: Those that are judged on demand only.
LIKE_OTHERS = {
    "what is kept does not narrow another project as the newest would",
    "what was turned down for the newest is not for what is kept",
    "what is kept requires something that the index would not give with its own choice",
    "what is installed satisfies, and the index has nothing that would",
    "what is kept requires what the newest does not",
    "what the newest led to is not for what is kept",
    "what was searched in vain is installed",
    "what was chosen beside something that did not last is not where that never comes up",
}

#: pip's line about an archive that it looks at: name and version.
LOOKED_AT = re.compile(r"^ +(?:Downloading|Using cached) (?:\S*/)?(\w[\w.]*)-(\d[^-/ ]*?)(?:-py3|\.tar)", re.MULTILINE)


@pytest.fixture
def judge(tmp_path, index):
    """Runs cases one after the other, and tells what differs: ``judge(how many, drawn from which number)``."""
    hashes = fill_frozen_index(index, str(tmp_path / "archives"))

    def run_and_compare(count: int, number: int) -> None:
        report = []
        accelerated = refused = 0
        for place, case in enumerate(generate_cases(hashes, count, number), 1):
            pip, ours = run_sides(case, index.url, str(tmp_path / str(place)), str(tmp_path / "data"))
            differences = find_differences(case, pip, ours)
            if differences:
                report.append("\n".join([f"Case {place}", str(case), *map(str, differences), pip.stderr, ours.stderr]))
            accelerated += bool(summary(ours.stderr))
            refused += pip.status != 0
            shutil.rmtree(tmp_path / str(place))
        assert not report, "\n\n".join(report)
        # If pip did most of it, or most of it failed, nothing would be shown.
        assert accelerated > count / 2 > refused

    return run_and_compare


def run_sides(case: Case, url: str, place: str, data: str) -> tuple[Side, Side]:
    """Run a case with pip and with pip-accel.

    :param url: of the index.
    :param place: a directory that is not there yet.
    :param data: the data directory of all cases.
    """
    files = os.path.join(place, "files")
    os.makedirs(files)
    for name, text in case.files.items():
        with open(os.path.join(files, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    variables = {"PIP_ACCEL_CACHE": os.path.join(place, "data") if case.fresh else data}
    words = [word.replace("{files}", files) for word in case.words]
    pip, ours = (
        run_side(
            os.path.join(place, name), command, words, index_args=["--index-url", url], python=sys.executable,
            prepare=case.earlier, environ=variables,
        )
        for name, command in (("one", PIP), ("two", PIP_ACCEL))
    )  # fmt: skip
    return pip, ours


def find_differences(case: Case, pip: Side, ours: Side) -> list[Difference]:
    """What differs beyond what is permitted.

    Of runs that fail, pip's standard output says what it has looked at on its way there; of runs in which it looked at
    several versions of a project, what those had satisfied that it dropped. And where ``-I`` leaves two versions of a
    project behind, it depends on the order of a directory which of them pip says that it installed.
    """
    differences = drop_permitted(compare_sides(pip, ours))
    looked_at = set(LOOKED_AT.findall(pip.stdout))
    dropped = len(looked_at) > len({canonical(name) for name, _ in looked_at})
    if dropped:
        differences = [each for each in differences if "Requirement already satisfied" not in str(each)]
    unclear = pip.status != 0 != ours.status or ("-I" in case.words and case.earlier)
    return [each for each in differences if not (unclear and each.category == "output")]


def test_a_sample_of_generated_environments_comes_out_as_with_pip(judge):
    judge(5, SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("number", PARTS)
def test_generated_environments_come_out_as_with_pip(judge, number):
    judge(25, number)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow) if each in LIKE_OTHERS else each for each in WORLDS]
)
def test_what_is_right_elsewhere_does_not_answer(bench, archives, name):
    releases, steps = WORLDS[name]
    for pin, requires in releases.items():
        bench.index.add(make_wheel(archives, *pin.split("=="), requires=requires.split()))
    for earlier, words in steps:
        environments = [bench.fresh(), bench.fresh()]
        for environment in environments if earlier else ():
            run_pip(["install", *shlex.split(earlier)], environment, PIP_INDEX_URL=bench.index.url)
        pip = run_pip(["install", *shlex.split(words)], environments[0], status=None, PIP_INDEX_URL=bench.index.url)
        ours = bench.install(*shlex.split(words), into=environments[1], status=None)
        assert ours.run.status == pip.status, ours.run.stderr
        assert ours.installed == installed(environments[0]), (earlier, words)


def test_an_open_requirement_is_answered_from_an_older_index_unless_an_upgrade_is_asked_for(bench, archives):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    bench.install("alpha")
    bench.index.add(make_wheel(archives, "alpha", "2.0"))

    def by_pip(*words):
        environment = bench.fresh()
        run_pip(["install", *words, "alpha"], environment, PIP_INDEX_URL=bench.index.url)
        return installed(environment)

    older = bench.install("alpha")
    assert by_pip() == {"alpha": "2.0"}
    assert older.installed == {"alpha": "1.0"}
    assert time.strftime("without network, as the index was on %Y-") in older.run.summary
    assert older.requests == []

    newest = bench.install("-U", "alpha")
    assert newest.installed == by_pip("-U") == {"alpha": "2.0"}
    assert "as the index was on" not in newest.run.summary
