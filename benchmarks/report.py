"""What was measured, as text: tables for people, and the page of the documentation with its plot."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import Result
from benchmarks.scenarios import LARGE_INDEX, SAME_PINS

__all__ = [
    "BARS",
    "Bar",
    "file_system",
    "find_result",
    "merge",
    "page",
    "read_results",
    "summary",
    "table",
    "write_results",
]


class Bar(NamedTuple):
    """What pip-accel has to stay below."""

    what: str
    scenario: str
    set: str
    beside: str  #: a contestant
    limit: float  #: of the ratio of the medians
    contestant: str = "pip-accel"


BARS = (
    Bar("99 distributions, all known", "warm", "web", "uv", 0.8),
    Bar("99 distributions, all known", "warm", "web", "uv --compile-bytecode", 0.1),
    Bar("99 distributions, all known", "warm", "web", "pip", 0.03),
    Bar("99 distributions, all known", "warm", "web", "cp -al", 1.6),
    Bar("5 distributions, all known", "warm", "requests", "pip", 0.12),
    Bar("5 distributions, all known", "warm", "requests", "uv", 3),
    Bar("99 distributions, copied", "copies", "web", "cp -a", 1.2),
    Bar("99 distributions, copied", "copies", "web", "uv --link-mode copy", 1),
    Bar("99 distributions, nothing to do", "nothing", "web", "pip", 0.15),
    Bar("99 distributions, one pin changed", "one-pin", "web", f"pip-accel, {SAME_PINS}", 2),
    Bar("99 distributions, nothing known yet", "first", "web", "pip", 0.8),
    Bar("99 distributions, from a shared cache", "shared", "web", "pip", 0.5),
    Bar("39 sdists, from a shared cache", "shared", "source", "pip", 0.05),
    # It should be 1; a tenth more would be more than noise.
    Bar("20,000 more archives in the index", "warm", "synthetic-2", "pip-accel", 1.1, f"pip-accel, {LARGE_INDEX}"),
)

_SCENARIOS = {
    "first": "The first run, with empty caches.",
    "warm": "A new environment; everything is in the caches.",
    "nothing": "The same environment again, in which everything is installed.",
    "one-pin": "A new environment; one pin of the file names another version than before, which is in the caches. Each"
    " round changes another pin.",
    "shared": "The first run of a machine with empty caches. An index and an S3 server are on the same machine; another"
    " one has filled the bucket. pip gets all from the index, pip-accel from the bucket.",
    "copies": "A new environment on another file system than the caches, so that files are copied.",
}
_SETS = {
    "web": "99 distributions, pinned: web frameworks and their like, numpy and pandas among them.",
    "requests": "The word ``requests``: five distributions, no pins.",
    "source": "39 sdists, pinned, many of them with extension modules in C; built in the first run.",
    "synthetic-1": "1,000 generated distributions of 12 files, pinned, from an index of files.",
    "synthetic-2": "The set ``web``, while pip-accel's local index holds 20,000 more archives.",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Give a simple table of reStructuredText.

    :param words: how many columns, from the left, have words; numbers in the others end at the same place.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def text(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([rule, text(header), rule, *map(text, rows), rule])


def summary(results: Sequence[Result]) -> str:
    """Give a table of what the contestants of one scenario took, with their ratios to each other."""
    rows = [
        [
            f"{number} {result.contestant}",
            *_figures(result),
            *(_ratio(result.median / other.median) for other in results),
        ]
        for number, result in enumerate(results, 1)
    ]
    ratios = (f"to {number}" for number in range(1, len(results) + 1))
    return table(["seconds", "median", "least", "most", "CPU", "rounds", *ratios], rows)


def _figures(result: Result) -> list[str]:
    cpu = sorted(result.cpu)[len(result.cpu) // 2]
    numbers = (result.median, min(result.wall), max(result.wall), cpu)
    return [*map(_seconds, numbers), str(len(result.wall))]


def _seconds(value: float) -> str:
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1}f}"


def _ratio(value: float) -> str:
    return f"{value:.{3 if value < 0.1 else 2}f}"


# What earlier runs found


def merge(old: Sequence[Result], new: Sequence[Result]) -> list[Result]:
    """Put new results in place of those with the same scenario and set: what is compared was measured in one run."""
    again = {(result.scenario, result.set) for result in new}
    return [*(result for result in old if (result.scenario, result.set) not in again), *new]


def read_results(path: Path) -> list[Result]:
    """Read the results of a file that :func:`write_results` wrote; none if there is no file."""
    if not path.exists():
        return []
    rows = json.loads(path.read_text())
    return [Result(**{**row, "wall": tuple(row["wall"]), "cpu": tuple(row["cpu"])}) for row in rows]


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as JSON, a list of objects; all times in seconds."""
    path.write_text(json.dumps([result._asdict() for result in results], indent=1) + "\n")


def find_result(results: Sequence[Result], scenario: str, name: str, contestant: str) -> Result | None:
    """Give what a contestant took in a scenario with a set."""
    wanted = (scenario, name, contestant)
    return next((each for each in results if (each.scenario, each.set, each.contestant) == wanted), None)


def file_system(mounts: str, path: Path) -> str:
    """Give the type of the file system that a path lies on.

    :param mounts: contents of ``/proc/self/mountinfo``, see ``proc(5)``.
    :param path: absolute, without symbolic links.
    """
    found = []
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape")
        if path.is_relative_to(point):
            found.append((len(point), rest.split()[0]))
    # Of two at the same place the later one hides the other.
    return max(reversed(found), key=lambda each: each[0])[1] if found else "unknown"


# The page


def page(results: Sequence[Result], machine: Mapping[str, str], picture: bool) -> str:
    """Give the page of the documentation.

    :param machine: facts by name, in the order in which they are shown.
    :param picture: whether there is a plot beside the page.
    """
    parts = [
        _heading("Benchmarks", "="),
        _paragraph(
            "What a run of pip-accel costs beside pip, uv and ``cp``. All of this page was written by"
            " ``benchmarks/compare.py``."
        ),
        _measured_on(machine),
        _heading("What we hold ourselves to", "-"),
        _paragraph(
            "The time of pip-accel divided by that of what it is compared with: the ratio of two medians of whole"
            " processes, by the clock. pip-accel and ``cp`` leave an environment with byte code, and so do pip and ``uv"
            " --compile-bytecode``; uv alone does not."
        ),
        table(["What", "Beside", "At most", "Measured"], [_bar_row(bar, results) for bar in BARS], words=2),
        *_medians(results, picture),
        _heading("How to repeat it", "-"),
        *map(_paragraph, _HOW),
        _heading("What the numbers are not", "-"),
        *map(_paragraph, _NOT),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _paragraph(text: str, width: int = 120) -> str:
    """Give text in lines; what has lines of its own stays as it is."""
    return text if "\n" in text else textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _measured_on(machine: Mapping[str, str]) -> str:
    if not machine:
        return "Nothing has been measured yet."
    return "Measured with:\n\n" + table(
        ["What", "Which"], [[name, value] for name, value in machine.items()], words=2
    )


def _bar_row(bar: Bar, results: Sequence[Result]) -> list[str]:
    ours = find_result(results, bar.scenario, bar.set, bar.contestant)
    other = find_result(results, bar.scenario, bar.set, bar.beside)
    beside = "itself, without them" if bar.set == "synthetic-2" else _literal(bar.beside)
    measured = "not yet" if ours is None or other is None else _ratio(ours.median / other.median)
    return [bar.what, beside, f"{bar.limit:g}", measured]


def _medians(results: Sequence[Result], picture: bool) -> list[str]:
    if not results:
        return []
    parts = [
        _heading("Medians", "-"),
        "Scenarios:\n\n" + _definitions(_SCENARIOS, {result.scenario for result in results}),
        "Sets:\n\n" + _definitions(_SETS, {result.set for result in results}),
    ]
    if picture:
        parts.append(".. image:: benchmarks.svg\n   :alt: medians of the set web, by scenario")
    rows = []
    places = {name: number for number, name in enumerate([*_SCENARIOS, *_SETS])}
    for result in sorted(results, key=lambda each: (places[each.scenario], places[each.set])):
        ours = find_result(results, result.scenario, result.set, "pip-accel")
        ratio = "" if ours is None else _ratio(ours.median / result.median)
        rows.append([result.scenario, result.set, _literal(result.contestant), *_figures(result), ratio])
    header = ["Scenario", "Set", "Who", "Median", "Least", "Most", "CPU", "Rounds", "pip-accel"]
    explained = _paragraph(
        "Seconds by the clock; *CPU* is the median of user and system time. The last column is pip-accel's median"
        " divided by that of the row."
    )
    return [*parts, explained, table(header, rows, words=3)]


def _definitions(texts: Mapping[str, str], shown: set[str]) -> str:
    lines = {name: textwrap.indent(_paragraph(text, 116), "    ") for name, text in texts.items() if name in shown}
    return "\n".join(f"{name}\n{text}" for name, text in lines.items())


def _literal(contestant: str) -> str:
    """Mark what is a command line up."""
    return f"``{contestant}``" if " -" in contestant else contestant


_HOW = (
    "::\n\n    python3 benchmarks/compare.py",
    "On Linux, with Python 3.11 or newer, a C compiler and GNU ``cp``. It sets up pip-accel, pip and uv below"
    " ``.cache/benchmarks/`` of the checkout, and takes about an hour and 30 GB of disk; ``--quick`` takes minutes."
    " ``--only`` and ``--scenario`` choose some of it, ``--profile`` shows where a warm run spends its time,"
    " ``--write-docs`` writes this page.",
    "Every round runs each contestant once, as a process of its own, and who begins moves on by one from round to"
    " round. Each run has a new environment, made before the clock starts, and starts after ``sync``; nothing is"
    " removed in between. Who has used up three minutes in a scenario takes part in no further round of it. At the end"
    " of each scenario ``pip check`` and ``pip freeze`` tell that all have installed the same.",
)

_NOT = (
    "They are not what another machine shows: how long it takes to make directories, files and links depends on the"
    " file system, and on what else the machine does. The first run depends on the network and on the index; so does"
    " pip in all runs where the index does not allow that pip keeps what it fetched.",
    "Nor are they a judgement on uv, which does less by default (no byte code) and can do more than pip; it is here"
    " because it is the yardstick that people know. It gets pip's settings for the index. Where requirements are not"
    " pinned, uv asks the index whether its answer still holds, and pip does, too; ``uv --offline`` and pip-accel do"
    " not.",
    "pip runs in the interpreter of the environment, as ``pip --python`` would start it twice. ``cp`` plans nothing,"
    " checks nothing and undoes nothing: it is what the file system costs.",
)
