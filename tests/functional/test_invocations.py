"""pip is the judge of what people type behind ``install``: a sample always, the whole matrix when asked for."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lib.invocation_table import MATRIX
from tests.lib.invocations import PIPS, judge_case, open_bench, supports
from tests.lib.runs import CHECKOUT

#: Cases that are always judged, by the version of pip; all others are slow.
SAMPLES = {
    PIPS[0]: {
        "a directory",
        "a group",
        "a tag of a repository",
        "an editable directory",
        "a target twice, with an upgrade",
        "metadata that cannot be prepared",
        "what breaks others",
    },
    PIPS[-1]: {
        "a lock file",
        "a report of all kinds",
        "only dependencies",
        "what a script requires",
    },
}


def select():
    """All cases for all versions of pip that have what they ask for."""
    for pip in PIPS:
        for group in MATRIX.values():
            for case in group:
                if supports(pip, case):
                    marks = [] if case.name in SAMPLES.get(pip, ()) else [pytest.mark.slow]
                    yield pytest.param(case, pip, marks=marks, id=f"pip {pip}, {case.name}")


@pytest.fixture(scope="session")
def verdicts(request, tmp_path_factory):
    """What the judge says of all cases of this session. They are judged here, as many at a time as there are cores."""
    items = [item for item in request.session.items if item.originalname == "test_an_invocation_does_what_pip_does"]
    directory = tmp_path_factory.mktemp("invocations")
    shared = directory / "shared"
    shared.mkdir()
    bench = open_bench(str(shared))

    numbers = itertools.count(1)

    def judge(case, pip):
        workdir = directory / str(next(numbers))
        workdir.mkdir()
        verdict = judge_case(case, pip, bench, str(workdir))
        if not verdict.differences:
            shutil.rmtree(workdir)
        return verdict

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pairs = [(item.callspec.params["case"], item.callspec.params["pip"]) for item in items]
        return {(case.name, pip): pool.submit(judge, case, pip) for case, pip in pairs}


@pytest.mark.index
@pytest.mark.parametrize(("case", "pip"), list(select()))
def test_an_invocation_does_what_pip_does(case, pip, verdicts):
    verdict = verdicts[case.name, pip].result()
    who = f"pip, as {verdict.handed_over}" if verdict.handed_over else "pip-accel itself"
    assert not verdict.differences, "\n".join([f"done by {who}:", *verdict.differences])


def test_every_case_has_a_name_of_its_own():
    names = Counter(case.name for group in MATRIX.values() for case in group)
    assert [name for name, times in names.items() if times > 1] == []
    assert set().union(*SAMPLES.values()) - names.keys() == set()
    assert len(names) >= 120


def test_the_page_of_the_documentation_has_every_case():
    page = Path(CHECKOUT, "docs", "invocations.rst").read_text(encoding="utf-8")
    shown = set(re.findall(r"^   \* - (.*)$", page, re.MULTILINE))
    assert [case.name for group in MATRIX.values() for case in group if case.name not in shown] == []
