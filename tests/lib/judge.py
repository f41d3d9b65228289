"""The judge: installs the same words with pip and with pip-accel, and tells every difference between the results.

Each run gets a *side*, a directory of its own with a fresh virtual environment (``env``), a ``HOME`` (``home``) and a
directory for temporary files (``tmp``), so that what is left behind shows as well. The two sides are siblings whose
names are equally long; in everything that is compared their paths are replaced by the same text. The differences that
are meant to be are named, with their reasons, in ``permitted_differences.txt`` beside this file, and nowhere else.

As a command: ``python -m tests.lib.judge --frozen requirements.txt -- -r requirements.txt``.
"""

from __future__ import annotations

import argparse
import base64
import csv
import fnmatch
import hashlib
import importlib.util
import io
import json
import os
import shlex
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.lib.environments import Environment, clean_environ, make_environment

__all__ = ["Difference", "Side", "compare", "compare_sides", "compare_trees", "drop_permitted", "run_side"]

PERMITTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "permitted_differences.txt")
#: What the path of a side becomes.
PLACE = "<side>"
#: Debug information names the build's temporary directory, which is another one in each build. The compiler is told to
#: leave it out, and the linker as well, for projects that add ``-g`` of their own (frozenlist, greenlet).
BUILD_FLAGS = {"CFLAGS": "-g0", "LDFLAGS": "-Wl,-S"}
#: The lines of pip's standard output that other programs look at.
CLOSING_LINES = (
    "Successfully installed", "Requirement already satisfied", "Would install", "Installing collected packages",
    "Found existing installation", "Uninstalling", "Attempting uninstall", "Successfully uninstalled",
)  # fmt: skip

#: Compares pairs of byte code files. Runs in the target's interpreter, as only that can read them.
COMPARE_CODE = """\
import importlib.util, json, marshal, sys, types

NAMES = [name for name in dir(compile("", "", "exec")) if name.startswith("co_")]
NAMES = [name for name in NAMES if name not in ("co_filename", "co_consts", "co_lines", "co_positions", "co_lnotab")]
NAMES = [name for name in NAMES if not callable(getattr(compile("", "", "exec"), name))]


def equal(one, two):
    if type(one) is not type(two):
        return False
    if isinstance(one, types.CodeType):
        return all(getattr(one, name) == getattr(two, name) for name in NAMES) and equal(one.co_consts, two.co_consts)
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    if isinstance(one, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, two))
    return repr(one) == repr(two)


def read(path):
    with open(path, "rb") as handle:
        data = handle.read()
    if data[:4] != importlib.util.MAGIC_NUMBER:
        raise ValueError("not byte code of this interpreter")
    return marshal.loads(data[16:])


def verdict(one, two):
    try:
        code = read(one), read(two)
    except (EOFError, ValueError, TypeError) as error:
        return ["code", str(error), ""]
    if not equal(*code):
        return ["code", "", ""]
    return ["code-filename", code[0].co_filename, code[1].co_filename]


json.dump([verdict(*pair) for pair in json.load(sys.stdin)], sys.stdout)
"""


class Difference(NamedTuple):
    """One thing that is not as pip leaves it."""

    category: str
    path: str  #: below the side's directory; or the name of a distribution, or of a stream
    expected: str  #: what pip gives
    actual: str  #: what pip-accel gives

    def __str__(self) -> str:
        return f"{self.category}: {self.path}: {self.expected!r} became {self.actual!r}"


@dataclass(frozen=True, slots=True)
class Side:
    """What one run left behind."""

    directory: str  #: absolute
    environment: Environment
    status: int
    stdout: str
    stderr: str
    seconds: float  #: wall-clock time of the run alone
    freeze: str  #: status and output of ``pip freeze``
    inspect: str  #: output of ``pip inspect``, JSON; what it said in place of that if it failed, as a JSON object
    check: str  #: status and output of ``pip check``


def compare(
    words: Sequence[str],
    *,
    index_args: Sequence[str],
    python: str,
    pip_accel_command: Sequence[str],
    workdir: str,
    prepare: Sequence[Sequence[str]] | None = None,
    cache: str | None = None,
    pip_python: str = sys.executable,
    environ: Mapping[str, str] | None = None,
    umask: int = -1,
    status: int | None = 0,
    permitted: str | None = PERMITTED,
) -> list[Difference]:
    """Install with pip into one fresh environment and with pip-accel into another one, and compare all there is.

    :param words: what follows ``install``; ``{side}`` in them becomes the side's directory.
    :param index_args: options that name the index, the same for both.
    :param python: interpreter that the environments are made of.
    :param pip_accel_command: what is run in place of ``python -m pip``; gets ``--python ENVIRONMENT install …``.
    :param workdir: where the sides ``one`` (pip) and ``two`` (pip-accel) are made; may be kept to look at.
    :param prepare: words of earlier installations, which pip carries out in both environments.
    :param cache: data directory of pip-accel, below ``workdir`` by default.
    :param pip_python: interpreter whose pip is the model.
    :param environ: more variables for both.
    :param umask: for the runs; -1 leaves the caller's.
    :param status: what pip's own run must give, as two runs that both fail early are equal, too; None for any.
    :param permitted: file with the differences to leave out, None to get all.
    :raises AssertionError: pip's own run gave another status.

    To judge several runs of pip-accel by one of pip, see :func:`run_side` and :func:`compare_sides`.
    """
    variables = {"PIP_ACCEL_CACHE": cache or os.path.join(workdir, "pip-accel"), **(environ or {})}
    pip = [pip_python, "-m", "pip"]
    sides: list[Side] = []
    for name, command in (("one", pip), ("two", pip_accel_command)):
        side = run_side(
            os.path.join(workdir, name), command, words,
            index_args=index_args, python=python, prepare=prepare,
            pip_python=pip_python, environ=variables, umask=umask,
        )  # fmt: skip
        if not sides and status not in (None, side.status):
            raise AssertionError(f"pip itself gave status {side.status}, not {status}:\n{side.stdout}{side.stderr}")
        sides.append(side)
    differences = compare_sides(*sides)
    return differences if permitted is None else drop_permitted(differences, permitted)


def run_side(
    directory: str,
    command: Sequence[str],
    words: Sequence[str],
    *,
    index_args: Sequence[str],
    python: str,
    prepare: Sequence[Sequence[str]] | None = None,
    pip_python: str = sys.executable,
    environ: Mapping[str, str] | None = None,
    umask: int = -1,
) -> Side:
    """Make one side: the environment, what ``prepare`` installs in it, and then the run itself.

    The streams also go to files beside the directory. pip's cache is one of the side's own, so that neither run can use
    what the other one built. The parameters are those of :func:`compare`.
    """
    directory = os.path.abspath(directory)
    variables = {**BUILD_FLAGS, "PIP_CACHE_DIR": f"{directory}.pip-cache", **(environ or {})}
    for name, variable in (("home", "HOME"), ("tmp", "TMPDIR")):
        os.makedirs(os.path.join(directory, name))
        variables[variable] = os.path.join(directory, name)
    variables = clean_environ(**variables)
    environment = make_environment(os.path.join(directory, "env"), python)
    pip = [pip_python, "-m", "pip", "--python", environment.python]
    for earlier in prepare or ():
        line = [*pip, "install", *index_args, *_place(earlier, directory)]
        subprocess.run(line, env=variables, umask=umask, check=True, stdout=subprocess.DEVNULL)
    line = [*command, "--python", environment.python, "install", *index_args, *_place(words, directory)]
    started = time.monotonic()
    done = subprocess.run(
        line, env=variables, umask=umask, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    seconds = time.monotonic() - started
    for stream in ("stdout", "stderr"):
        with open(f"{directory}.{stream}", "w", encoding="utf-8") as handle:
            handle.write(getattr(done, stream))
    freeze, inspect, check = (
        subprocess.run([*pip, *verb], env=variables, capture_output=True, text=True)
        for verb in (["freeze", "--all"], ["inspect"], ["check"])
    )
    return Side(
        directory, environment, done.returncode, done.stdout, done.stderr, seconds,
        freeze=f"status {freeze.returncode}\n{freeze.stdout}",
        inspect=json.dumps({"failed": inspect.stderr}) if inspect.returncode else inspect.stdout,
        check=f"status {check.returncode}\n{check.stdout}",
    )  # fmt: skip


def compare_sides(one: Side, two: Side) -> list[Difference]:
    """All differences, also the permitted ones, between what pip left (``one``) and what pip-accel left (``two``)."""
    differences = compare_trees(one.directory, two.directory, one.environment.python)
    if one.status != two.status:
        differences.append(Difference("status", "", str(one.status), str(two.status)))
    differences += _compare_lines("output", "stdout", *(_closing_lines(side) for side in (one, two)))
    if two.stdout and not one.stdout:  # with --quiet
        differences.append(Difference("output", "stdout", "", two.stdout))
    differences += _compare_alarms(one, two)
    for category in ("freeze", "check"):
        lines = ([_neutral(line, side) for line in getattr(side, category).splitlines()] for side in (one, two))
        differences += _compare_lines(category, "", *lines)
    differences += _compare_inspect(one, two)
    return differences


def compare_trees(one: str, two: str, python: str = sys.executable) -> list[Difference]:
    """All differences, also the permitted ones, between two directories whose paths are equally long.

    :param python: interpreter that can read the byte code in them.
    """
    one, two = os.path.abspath(one), os.path.abspath(two)
    if len(os.fsencode(one)) != len(os.fsencode(two)):
        raise ValueError(f"{one} and {two} are not equally long: hashbangs may differ for that alone")
    differences, pairs = [], []
    entries = _scan(one), _scan(two)
    for path in sorted({*entries[0], *entries[1]}):
        statuses = entries[0].get(path), entries[1].get(path)
        if statuses[0] is None or statuses[1] is None:
            kinds = ["nothing" if status is None else _kind(status) for status in statuses]
            differences.append(Difference("extra" if statuses[0] is None else "missing", path, *kinds))
            continue
        described = [_describe(status) for status in statuses if status is not None]
        for category, expected in described[0].items():
            if expected != described[1][category]:
                differences.append(Difference(category, path, expected, described[1][category]))
        if described[0]["type"] != described[1]["type"]:
            continue
        if stat.S_ISLNK(statuses[0].st_mode):
            links = [os.readlink(os.path.join(side, path)).replace(side, PLACE) for side in (one, two)]
            if links[0] != links[1]:
                differences.append(Difference("link", path, *links))
        elif stat.S_ISREG(statuses[0].st_mode):
            if _source_of(path) is not None:
                headers = [_bytecode_header(side, path) for side in (one, two)]
                if headers[0] != headers[1]:
                    differences.append(Difference("bytecode", path, *headers))
                if _read(one, path)[16:] != _read(two, path)[16:]:
                    pairs.append(path)
            else:
                differences += _compare_contents(one, two, path)
    return differences + _compare_code(one, two, pairs, python)


def drop_permitted(differences: Iterable[Difference], permitted: str = PERMITTED) -> list[Difference]:
    """Those of the differences that the file ``permitted`` does not name."""
    rules = _read_permitted(permitted)
    return [
        difference
        for difference in differences
        if not any(
            difference.category == category and fnmatch.fnmatchcase(difference.path, pattern)
            for category, pattern in rules
        )
    ]


def _read_permitted(path: str) -> list[tuple[str, str]]:
    """Categories and patterns. A line without a reason is an error."""
    rules = []
    with open(path, encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            if line.strip() and not line.startswith("#"):
                fields = [field.strip() for field in line.split("|", 2)]
                if len(fields) != 3 or not all(fields):
                    raise ValueError(f"{path}, line {number}: expected a category, a pattern and a reason")
                rules.append((fields[0], fields[1]))
    return rules


def _place(words: Iterable[str], directory: str) -> list[str]:
    return [word.replace("{side}", directory) for word in words]


def _scan(directory: str) -> dict[str, os.stat_result]:
    """What is below a directory, by relative path."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = os.path.join(parent, name)
            found[os.path.relpath(path, directory)] = os.lstat(path)
    return found


def _kind(status: os.stat_result) -> str:
    return {"d": "directory", "-": "file", "l": "link"}.get(stat.filemode(status.st_mode)[0], "other")


def _describe(status: os.stat_result) -> dict[str, str]:
    """What is compared of the status of a file, directory or symbolic link, by category."""
    return {
        "type": _kind(status),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": f"{status.st_uid}:{status.st_gid}",
        "mtime": str(status.st_mtime_ns),
    }


def _read(side: str, path: str) -> bytes:
    with open(os.path.join(side, path), "rb") as handle:
        return handle.read()


def _compare_contents(one: str, two: str, path: str) -> list[Difference]:
    contents = _read(one, path), _read(two, path)
    if contents[0] == contents[1] and os.fsencode(one) not in contents[0]:  # else the path of one side is in the other
        return []
    if path.endswith(".dist-info/RECORD"):
        rows = [_record_rows(side, path) for side in (one, two)]
        if rows[0] == rows[1]:
            return []
        if Counter(rows[0]) == Counter(rows[1]):
            return [Difference("record-order", path, "", "")]
        return _compare_lines("record", path, *rows)
    neutral = [_read(side, path).replace(os.fsencode(side), PLACE.encode()) for side in (one, two)]
    if neutral[0] == neutral[1]:
        return []
    return [Difference("content", path, *_first_difference(neutral[0], neutral[1]))]


def _first_difference(one: bytes, two: bytes) -> tuple[str, str]:
    """The surroundings of the first byte that differs."""
    start = next(at for at in range(max(len(one), len(two))) if one[at : at + 1] != two[at : at + 1])
    begin = max(0, start - 20)
    shown = (content[begin : start + 60].decode("utf-8", "backslashreplace") for content in (one, two))
    return f"{len(one)} bytes, at {begin}: {next(shown)}", f"{len(two)} bytes, at {begin}: {next(shown)}"


def _record_rows(side: str, path: str) -> list[str]:
    """Rows of a RECORD as text; digests and sizes of files that name the side are those of the neutral content.

    A row that is wrong about such a file stays as it is, and so differs from one that is right.
    """
    base = os.path.dirname(os.path.dirname(os.path.join(side, path)))
    place = os.fsencode(side)
    rows = []
    for row in csv.reader(io.StringIO(_read(side, path).decode("utf-8"))):
        recorded = os.path.join(base, row[0])
        if len(row) == 3 and row[1] and os.path.isfile(recorded):
            with open(recorded, "rb") as handle:
                content = handle.read()
            if place in content and row[1:] == _digest_and_size(content):
                row[1:] = _digest_and_size(content.replace(place, PLACE.encode()))
        rows.append(",".join(row).replace(side, PLACE))
    return rows


def _digest_and_size(content: bytes) -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")
    return [f"sha256={digest}", str(len(content))]


def _source_of(path: str) -> str | None:
    """The source of a byte code file, None if the path is not that of one (PEP 3147)."""
    if not path.endswith(".pyc") or os.path.basename(os.path.dirname(path)) != "__pycache__":
        return None
    try:
        return importlib.util.source_from_cache(path)
    except ValueError:
        return None


def _bytecode_header(side: str, path: str) -> str:
    """Whether import would take a byte code file for that of its source (PEP 552)."""
    header = _read(side, path)[:16]
    flags = int.from_bytes(header[4:8], "little")
    described = f"magic number {header[:4].hex()}, flags {flags}"
    if len(header) < 16 or flags:
        return f"{described}, rest {header[8:].hex()}"
    try:
        source = os.stat(os.path.join(side, _source_of(path) or ""))
    except FileNotFoundError:
        return f"{described}, without its source"
    mtime, size = (int.from_bytes(header[start : start + 4], "little") for start in (8, 12))
    if mtime != int(source.st_mtime) & 0xFFFFFFFF or size != source.st_size & 0xFFFFFFFF:
        return f"{described}, stale"
    return f"{described}, valid"


def _compare_code(one: str, two: str, paths: Sequence[str], python: str) -> list[Difference]:
    """What the target's interpreter says about byte code files that are not the same byte for byte."""
    if not paths:
        return []
    pairs = [(os.path.join(one, path), os.path.join(two, path)) for path in paths]
    done = subprocess.run(
        [python, "-I", "-c", COMPARE_CODE], input=json.dumps(pairs), capture_output=True, text=True, check=True
    )
    differences = []
    for path, (category, expected, actual) in zip(paths, json.loads(done.stdout), strict=True):
        expected, actual = expected.replace(one, PLACE), actual.replace(two, PLACE)
        if category != "code-filename" or expected != actual:
            differences.append(Difference(category, path, expected, actual))
    return differences


def _compare_lines(category: str, path: str, one: Sequence[str], two: Sequence[str]) -> list[Difference]:
    """The lines that only one of the two has, in any order."""
    missing, extra = Counter(one) - Counter(two), Counter(two) - Counter(one)
    return [
        *(Difference(category, path, line, "") for line in missing.elements()),
        *(Difference(category, path, "", line) for line in extra.elements()),
    ]


def _neutral(text: str, side: Side) -> str:
    """Text without the path of its side, absolute or relative (as pip shows it)."""
    return text.replace(side.directory, PLACE).replace(os.path.relpath(side.directory), PLACE)


def _closing_lines(side: Side) -> list[str]:
    lines = []
    for line in side.stdout.splitlines():
        if line.lstrip().startswith(CLOSING_LINES):
            head, colon, names = _neutral(line, side).partition("packages: ")
            lines.append(head + colon + ", ".join(sorted(names.split(", "))))
    return lines


def _compare_alarms(one: Side, two: Side) -> list[Difference]:
    """Warnings and errors of pip-accel where pip prints none, in other words maybe; and that pip had to step in."""
    failed = [line for line in two.stderr.splitlines() if "pip-accel itself failed" in line]
    differences = [Difference("alarm", "stderr", "", line) for line in failed]
    for mark in ("WARNING:", "ERROR:"):
        alarms = [[line for line in side.stderr.splitlines() if line.startswith(mark)] for side in (one, two)]
        if bool(alarms[0]) != bool(alarms[1]):
            differences.append(Difference("alarm", "stderr", *("\n".join(lines) for lines in alarms)))
    return differences


def _compare_inspect(one: Side, two: Side) -> list[Difference]:
    reports = []
    for side in (one, two):
        report = json.loads(_neutral(side.inspect, side))
        items = {item["metadata"]["name"]: item for item in report.pop("installed", ())}
        reports.append({**items, "": report})
    return [
        Difference("inspect", name, *(json.dumps(report.get(name), sort_keys=True) for report in reports))
        for name in sorted({*reports[0], *reports[1]})
        if reports[0].get(name) != reports[1].get(name)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line.

    :returns: 0 if there is no difference beyond the permitted ones, 1 otherwise.
    """
    from tests.lib.frozen import frozen_index
    from tests.lib.index import IndexServer

    parser = argparse.ArgumentParser(prog="python -m tests.lib.judge", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter that the environments are made of")
    parser.add_argument("--index-url", help="index for both")
    parser.add_argument("--directory", help="directory of archives to serve as the index for both")
    parser.add_argument("--frozen", metavar="FILE", help="requirement file whose frozen index is to be served")
    parser.add_argument("--workdir", help="where to work, and what to keep; a temporary directory by default")
    parser.add_argument("--cache", help="data directory of pip-accel; a fresh one by default")
    parser.add_argument("--command", default=f"{sys.executable} -m pip_accel", help="what to judge")
    parser.add_argument("--prepare", action="append", default=[], help="words of an earlier installation")
    parser.add_argument("--all", action="store_true", help="show permitted differences too")
    parser.add_argument("words", nargs="+", help="what follows `install`")
    options = parser.parse_args(arguments)
    directory = frozen_index(options.frozen, python=options.python) if options.frozen else options.directory
    with tempfile.TemporaryDirectory(prefix="judge-") as temporary, IndexServer(directory) as index:
        url = options.index_url or index.url
        differences = compare(
            options.words,
            index_args=["--index-url", url],
            python=options.python,
            pip_accel_command=shlex.split(options.command),
            workdir=options.workdir or temporary,
            prepare=[shlex.split(words) for words in options.prepare],
            cache=options.cache,
            status=None,
            permitted=None if options.all else PERMITTED,
        )
    for difference in differences:
        print(difference)
    print(f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
