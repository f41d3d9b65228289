"""The judge's word on the invocations of ``install`` that people use, for several versions of pip.

:func:`judge_case` carries one of :mod:`tests.lib.invocation_table` out: with pip into one side, with pip-accel and an
empty data directory into another one, and where that says something with pip-accel once more, from what the first run
kept. The archives are real ones, from frozen indexes, and made ones where no real one has the oddity.

As a command it judges all of them and writes ``docs/invocations.rst``::

    python -m tests.lib.invocations --write-docs
    python -m tests.lib.invocations --pip 26.3 --case "an upgrade" --case "a constraint file"

What was judged is kept, so that a run which was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import cache_directory, clean_environ, fetching, make_environment
from tests.lib.frozen import frozen_index
from tests.lib.index import ARCHIVE_SUFFIXES, IndexServer
from tests.lib.invocation_table import MATRIX, Case, flit
from tests.lib.judge import Difference, Side, compare_sides, drop_permitted, run_side
from tests.lib.runs import CHECKOUT, run_pip, summary

__all__ = ["PIPS", "Bench", "Verdict", "judge_case", "main", "open_bench", "supports"]

#: The versions of pip that are the model, each one also as the pip beside pip-accel; the oldest first.
PIPS = ("25.3", "26.0", "26.3")
#: What a host needs beside pip: the requirements of pip-accel.
HOST_REQUIREMENTS = """\
cached-property
coloredlogs
humanfriendly
packaging
pyproject-hooks
setuptools
tomli; python_version < "3.11"
"""
#: Requirement files whose frozen indexes make up one index together: pip takes one version of a project from each.
ARCHIVES = {
    "new": """\
attrs==26.1.0
click==8.5.1
colorama==0.4.6
idna==3.20
iniconfig==2.3.1
jinja2==3.1.6
markupsafe==3.0.4
packaging==26.3
pluggy==1.7.0
python-dateutil==2.9.0.post0
requests[socks]==2.34.2
six==1.17.0
tabulate[widechars]==0.10.0
zope.event==6.2
""",
    "old": """\
attrs==25.4.0
click==8.1.8
colorama==0.4.5
idna==3.10
iniconfig==2.0.0
markupsafe==3.0.2
packaging==25.0
pluggy==1.6.0
python-dateutil==2.8.2
six==1.16.0
tabulate==0.9.0
""",
    "source": """\
--no-binary colorama,docopt,idna,markupsafe,six
colorama==0.4.6
docopt==0.6.2
idna==3.20
markupsafe==3.0.4
six==1.17.0
""",
}

#: Runs a module of the host in a directory. The checkout is not put on the path of what pip itself runs.
RUN_MODULE = """\
import os, runpy, sys
directory, checkout, module, *sys.argv[1:] = sys.argv[1:]
os.chdir(directory)
sys.path[0:1] = [checkout] if checkout else []
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
#: An interpreter that only serves to make environments, those that see the packages of the system.
WITH_SYSTEM_SITE = '#!/bin/sh\nexec {python} "$@" --system-site-packages\n'
#: What pip-accel says when it leaves a run to pip; with its variable for that, which changes nothing else.
HANDED_OVER = re.compile(r" DEBUG pip does all of it: (.*)$", re.MULTILINE)
#: What it says when it could have done it, and something failed: that is no reason, and so a difference.
GIVEN_UP = re.compile(r" WARNING (.*[.:] pip does this run alone\.)$", re.MULTILINE)
VERBOSITY = {"PIP_ACCEL_LOG_VERBOSITY": "NOTSET"}
#: How many differences of a case are shown; they are all kept.
SHOWN = 8
#: Lines that alarm people, and the parts of them that are different in each run.
ALARM = re.compile(r"^(?:WARNING|ERROR|DEPRECATION):.*$", re.MULTILINE)
RANDOM = re.compile(r"\b(pip-[a-z-]+-|tmp)[a-z0-9_]{8}\b")
TEMPORARY = re.compile(r"\S*/(?=pip-(?:unpack|req-build)-)")


class Verdict(NamedTuple):
    """What the judge says of a case."""

    differences: tuple[str, ...]  #: from pip, of both runs of pip-accel
    handed_over: str  #: why pip-accel let pip do it; empty if it did not
    seconds: tuple[float, ...]  #: wall-clock times of the runs: pip, pip-accel, pip-accel once more


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share; nothing of it changes."""

    directories: tuple[str, ...]  #: of archives, which the index serves
    other: str  #: directory of the archives of a second index
    repositories: str  #: directory of git repositories
    commits: Mapping[str, str]  #: the first commit of each repository
    python: str  #: the interpreter that environments are made of
    system_python: str  #: the same for environments that see the packages of the system

    def find(self, filename: str) -> str:
        """Path of an archive."""
        paths = (os.path.join(directory, filename) for directory in (*self.directories, self.other))
        return next(path for path in paths if os.path.exists(path))

    def digest(self, filename: str) -> str:
        """SHA-256 of an archive, in hex."""
        return hashlib.sha256(Path(self.find(filename)).read_bytes()).hexdigest()

    def serve(self) -> IndexServer:
        """An index of all archives."""
        index = IndexServer()
        for directory in self.directories:
            for name in os.listdir(directory):
                if name.endswith(ARCHIVE_SUFFIXES):
                    index.add(os.path.join(directory, name))
        index.add(self.find("eta-1.1-py3-none-any.whl"), yanked="it was a mistake")
        return index


def supports(pip: str, case: Case) -> bool:
    """Whether this version of pip has what the case asks for."""
    return not case.since or PIPS.index(pip) >= PIPS.index(case.since)


def provide_host(pip: str) -> str:
    """The interpreter of an environment with this version of pip and all that pip-accel needs; it is made once."""
    python = _base_python()
    name = f"{pip}-{hashlib.sha256((python + HOST_REQUIREMENTS).encode()).hexdigest()[:16]}"
    directory = os.path.join(cache_directory("hosts"), name)
    stamp = Path(directory, "complete")
    archives = _freeze("host", HOST_REQUIREMENTS)
    with fetching(f"host-{name}"):
        if not stamp.exists():
            shutil.rmtree(directory, ignore_errors=True)
            environment = make_environment(directory, python, pip=pip)
            requirements = Path(directory, "requirements.txt")
            requirements.write_text(HOST_REQUIREMENTS)
            run_pip(["install", "--no-index", "--find-links", archives, "-r", str(requirements)], environment)
            stamp.touch()
    return os.path.join(directory, "bin", "python")


def open_bench(directory: str) -> Bench:
    """Make what all cases share, in an empty directory; fetches the real archives if they are not there yet."""
    python = _base_python()
    system_python = Path(directory, "python-with-system-site")
    system_python.write_text(WITH_SYSTEM_SITE.format(python=shlex.quote(python)))
    system_python.chmod(0o755)
    frozen = [_freeze(name, text) for name, text in ARCHIVES.items()]
    made, other, repositories = (os.path.join(directory, name) for name in ("made", "other", "repositories"))
    _make_archives(made)
    make_wheel(other, "omega", "1.0", requires=["beta"])
    make_wheel(other, "beta", "3.0")
    [idna] = (path for each in frozen for path in Path(each).glob("idna-3.20.tar.gz"))
    commits = _make_repositories(repositories, idna)
    return Bench((made, *frozen), other, repositories, commits, python, str(system_python))


def judge_case(case: Case, pip: str, bench: Bench, workdir: str) -> Verdict:
    """Carry a case out and compare.

    :param workdir: an empty directory, which may be kept to look at. The path of a socket below it must not be long.
    :raises AssertionError: pip's own run gave another status than the case says.
    """
    interpreter = provide_host(pip)
    data = os.path.join(workdir, "data")
    with ExitStack() as stack:
        index = stack.enter_context(bench.serve())
        values = _values(case, bench, index, workdir, stack)

        def side(name: str, module: str) -> Side:
            directory = os.path.join(workdir, name)
            work = os.path.join(directory, "here")
            own = {**values, "{side}": directory}
            _write_files(work, case.files, own, bench)
            checkout = CHECKOUT if module == "pip_accel" else ""
            environ = {name: _fill(value, own) for name, value in case.environ.items()}
            done = run_side(
                directory,
                [interpreter, "-c", RUN_MODULE, work, checkout, module, *shlex.split(case.before)],
                shlex.split(_fill(case.words, values)),
                index_args=[] if case.bare else ["--index-url", index.url],
                python=bench.system_python if case.system_site else bench.python,
                prepare=[shlex.split(_fill(words, values)) for words in case.prepare],
                pip_python=interpreter,
                environ={"PIP_ACCEL_CACHE": data, **VERBOSITY, **environ},
                umask=case.umask,
            )  # fmt: skip
            inside = f"{directory}/root{directory}"  # with --root {side}/root: a path that is another one on each side
            if os.path.exists(inside):
                os.rename(inside, os.path.join(directory, "root", "side"))
            return done

        pip_side = side("one", "pip")
        if pip_side.status != case.status:
            output = f"{pip_side.stdout}{pip_side.stderr}"
            raise AssertionError(f"pip {pip} itself gave status {pip_side.status}, not {case.status}:\n{output}")
        first = side("two", "pip_accel")
        runs = {"": first}
        if case.warm:
            index.reset()
            runs["warm: "] = side("six", "pip_accel")
        requests = list(index.requests)
    found = [label + str(difference) for label, run in runs.items() for difference in _compare(case, pip_side, run)]
    # The judge has found some of them in two ways.
    differences = list(dict.fromkeys(each.replace(workdir, "<workdir>") for each in found))
    handed_over = _handed_over(first, data)
    if case.keeps_nothing and (kept := _find_kept(data)):
        differences.append(f"kept: {os.path.relpath(kept, data)}")
    if case.warm == "offline" and not handed_over and requests:
        differences.append(f"warm: requests: {len(requests)}, the first of them {requests[0]}")
    return Verdict(tuple(differences), handed_over, tuple(run.seconds for run in (pip_side, *runs.values())))


def _base_python() -> str:
    """The interpreter that the present one's environment was made of."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _freeze(name: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
        requirements = Path(directory, "requirements.txt")
        requirements.write_text(text)
        return frozen_index(str(requirements), python=_base_python())


def _make_archives(directory: str) -> None:
    """Write the made archives: what each of them is for is in the cases that name it."""
    make_wheel(
        directory, "alpha", "1.0", requires=["beta"], extras={"x": ["gamma"], "y": ["delta>=1"]},
        files={"alpha/__init__.py": "def main():\n    print('alpha')\n", "alpha/data.ini": "[alpha]\n"},
        entry_points="[console_scripts]\nalpha = alpha:main\n[gui_scripts]\nalpha-gui = alpha:main\n",
        data={"scripts/tool": "#!python\nprint('tool')\n", "data/share/alpha/readme.txt": "read me\n",
              "headers/alpha.h": "#define ALPHA 1\n"},
    )  # fmt: skip
    for version in ("1.0", "2.0"):
        make_wheel(directory, "beta", version)
    make_wheel(directory, "gamma", "1.0")
    make_wheel(directory, "delta", "1.0")
    make_wheel(directory, "epsilon", "1.0")
    make_wheel(directory, "epsilon", "2.0rc1")
    make_wheel(directory, "zeta", "1.0b1")
    make_wheel(directory, "eta", "1.0")
    make_wheel(directory, "eta", "1.1")
    make_wheel(directory, "theta", "1.0")
    make_wheel(directory, "theta", "1.0+local.1")
    make_wheel(directory, "iota", "1.0", requires_python=">=3.8")
    make_wheel(directory, "iota", "2.0", requires_python=">=4")
    make_wheel(directory, "kappa", "1.0", requires_python=">=4")
    make_wheel(directory, "needs-old", "1.0", requires=["beta<2"])
    make_wheel(directory, "needs-new", "1.0", requires=["beta>=2"])
    make_wheel(directory, "needs-absent", "1.0", requires=["absent"])
    make_wheel(directory, "backs", "1.0", requires=["beta<2"])
    make_wheel(directory, "backs", "2.0", requires=["beta>=9"])
    make_wheel(directory, "overlaps", "1.0", files={"overlaps.py": "", "beta.py": "# not that of beta\n"})
    make_wheel(directory, "pi", "1.0", requires=["rho"])
    make_wheel(directory, "rho", "1.0", requires=["pi"])
    make_wheel(directory, "Omi.cron-One", "1.0")
    make_wheel(directory, "mu", "1.0")
    make_sdist(directory, "mu", "2.0")
    make_wheel(directory, "nu", "1.0", tag="cp311-cp311-win_amd64")
    for build in ("1", "2"):
        make_wheel(directory, "psi", "1.0", build=build, files={"psi.py": f"BUILD = {build}\n"})
    make_sdist(directory, "sigma", "1.0", requires=["beta<2"], entry_points="[console_scripts]\nsigma = sigma:main\n")
    make_sdist(directory, "many", "1.0", extra_files=flit("within", directory="inner"))
    make_sdist(directory, "broken", "1.0", fail=True)
    old = "Metadata-Version: 2.1\nName: broken-metadata\nVersion: 1.0\n"  # from 2.2 on the hook need not be asked
    make_sdist(
        directory, "broken-metadata", "1.0", fail="prepare_metadata_for_build_wheel", extra_files={"PKG-INFO": old}
    )
    Path(directory, "xi-1.0-py3-none-any.whl").write_bytes(b"this is no wheel")


def _make_repositories(directory: str, sdist: Path) -> dict[str, str]:
    """Make the repositories ``made``, with two versions and a branch, and ``idna``, of the files of its sdist.

    :returns: the first commit of each, by name.
    """
    made, idna = Path(directory, "made"), Path(directory, "idna")
    git = functools.partial(_git, made)
    _write_files(str(made), {**flit("made", directory="."), **flit("within", directory="inner")}, {})
    git("init", "--quiet", "--initial-branch", "main")
    _commit(made)
    git("tag", "v1.0")
    _write_files(str(made), flit("made", "2.0", directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "-b", "next")
    _write_files(str(made), flit("made", "3.0", more='dependencies = ["six"]\n', directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "-b", "chain")
    more = f'dependencies = ["idna @ git+file://{idna}"]\n'
    _write_files(str(made), flit("made", "4.0", more=more, directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "main")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.unpack_archive(sdist, scratch, filter="data")
        shutil.copytree(Path(scratch, "idna-3.20"), idna)
    _git(idna, "init", "--quiet", "--initial-branch", "main")
    _commit(idna)
    return {each.name: _git(each, "rev-list", "--max-parents=0", "HEAD").strip() for each in (made, idna)}


def _commit(repository: Path) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", "A commit")


def _git(repository: Path, *words: str) -> str:
    """Run git without anybody's settings; all commits are of the same moment, and so have the same names each time."""
    moment = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "A tester"), ("EMAIL", "tester@example.org"), ("DATE", "2020-02-02T02:02:02Z"),
    )}  # fmt: skip
    environ = clean_environ(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", **moment)
    done = subprocess.run(["git", "-C", repository, *words], env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def _values(case: Case, bench: Bench, index: IndexServer, workdir: str, stack: ExitStack) -> dict[str, str]:
    """What the words in braces become, except ``{side}``. Servers are only started for those that the case has."""
    text = repr(case)
    values = {
        "{index}": index.url,
        "{files}": f"http://{index.host}/files",
        "{links}": bench.other,
        "{git}": bench.repositories,
        **{f"{{commit:{name}}}": commit for name, commit in bench.commits.items()},
        **{each: bench.digest(each[len("{sha256:") : -1]) for each in re.findall(r"\{sha256:[^}]+\}", text)},
    }
    if "{other}" in text:
        values["{other}"] = stack.enter_context(IndexServer(bench.other)).url
    if "{private}" in text:
        values["{private}"] = stack.enter_context(IndexServer(bench.other, auth=("user", "secret"))).host
    if "{web}" in text:
        web = os.path.join(workdir, "web")
        _write_files(web, case.remote, values)
        values["{web}"] = stack.enter_context(_serve_files(web))
    return values


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in; not as :meth:`str.format` does, as texts have braces of their own."""
    return re.sub(r"\{[a-z0-9]+(?::[^{}]+)?\}", lambda match: values.get(match[0], match[0]), text)


def _write_files(
    directory: str, files: Mapping[str, str], values: Mapping[str, str], bench: Bench | None = None
) -> None:
    os.makedirs(directory, exist_ok=True)
    for name, text in files.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text == "{copy}" and bench is not None:
            shutil.copy(bench.find(path.name), path)
        else:
            encoding = "latin-1" if "coding: latin-1" in text else "utf-8"
            path.write_text(_fill(text, values), encoding=encoding)


@contextmanager
def _serve_files(directory: str) -> Iterator[str]:
    """Serve the files of a directory; gives their URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _compare(case: Case, one: Side, two: Side) -> Iterator[Difference]:
    """The differences that are not meant to be."""
    permitted = [(category, pattern) for category, pattern, _reason in case.permitted]
    permitted += [("content", path) for path in (case.report, case.log) if path]  # they are compared in parts
    differences = [*drop_permitted(compare_sides(one, two)), *_compare_more(case, one, two)]
    for difference in _without_scripts_beside(differences, one, two):
        rules = (
            difference.category == category and fnmatch.fnmatchcase(difference.path, pattern)
            for category, pattern in permitted
        )
        if not any(rules) or "itself failed" in difference.actual:
            yield difference


def _compare_more(case: Case, one: Side, two: Side) -> Iterator[Difference]:
    """What the judge leaves out, or does not look into."""
    if (gave_up := GIVEN_UP.search(two.stderr)) is not None:
        yield Difference("gave up", "stderr", "", gave_up[1])
    if "Traceback" in two.stderr and "Traceback" not in one.stderr:
        yield Difference("traceback", "stderr", "", two.stderr.partition("Traceback")[0].strip().splitlines()[-1])
    yield from _compare_counts("alarm", "stderr", *(_alarms(side) for side in (one, two)))
    if case.report:
        yield from _compare_reports(case.report, one, two)
    if case.log:
        lines = (Counter(_log_lines(os.path.join(side.directory, case.log))) for side in (one, two))
        yield from _compare_counts("log", case.log, *lines)


def _without_scripts_beside(differences: Sequence[Difference], one: Side, two: Side) -> Iterator[Difference]:
    """All but rows of RECORD that are right about scripts in a ``--target``, which name the path of their side.

    pip writes these rows before it moves the scripts: their paths lead to nowhere, and the judge cannot find the files.
    """
    right: dict[Difference, tuple[str, str]] = {}
    for difference in differences:
        row = (difference.expected or difference.actual).split(",")
        if difference.category == "record" and row[0].startswith("../../bin/") and len(row) == 3:
            side = one if difference.expected else two
            script = Path(side.directory, difference.path).parent.parent / "bin" / os.path.basename(row[0])
            if script.is_file() and row[1] == _record_digest(script.read_bytes()):
                right[difference] = difference.path, row[0]
    pairs = Counter(right.values())
    return (each for each in differences if each not in right or pairs[right[each]] != 2)


def _record_digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.rstrip(b'=').decode('ascii')}"


def _compare_counts(category: str, path: str, one: Counter[str], two: Counter[str]) -> Iterator[Difference]:
    yield from (Difference(category, path, line, "") for line in (one - two).elements())
    yield from (Difference(category, path, "", line) for line in (two - one).elements())


def _alarms(side: Side) -> Counter[str]:
    """Warnings and errors word for word, but for paths that are different in each run."""
    lines = (line.replace(side.directory, "<side>") for line in ALARM.findall(side.stderr))
    return Counter(TEMPORARY.sub("", RANDOM.sub(r"\1", line)) for line in lines)


def _log_lines(path: str) -> Iterator[str]:
    """The lines of a log that tell what was installed, without the time before them."""
    with open(path, encoding="utf-8") as handle:
        for line in handle:
            text = line.rstrip().partition(" ")[2]
            if text.startswith(("Successfully installed", "Installing collected packages")):
                yield text


def _compare_reports(path: str, one: Side, two: Side) -> Iterator[Difference]:
    """Differences between installation reports; the order of what is installed is not one."""
    reports = []
    for side in (one, two):
        if path == "-":
            text = side.stdout[side.stdout.find("{") :]
        else:
            text = Path(side.directory, path).read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(text.replace(side.directory, "<side>"))
        items = {item["metadata"]["name"]: item for item in report.pop("install")}
        reports.append(dict(_leaves({**report, "install": items}, "")))
    for name in sorted({*reports[0], *reports[1]}):
        values = [report.get(name, "") for report in reports]
        if values[0] != values[1]:
            yield Difference("report", name, *values)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}")
    else:
        yield name, json.dumps(value)


def _handed_over(side: Side, data: str) -> str:
    """Why pip-accel let pip do a run; empty if it did not."""
    found = HANDED_OVER.search(side.stderr)
    if found is not None:
        return RANDOM.sub(r"\1", found[1].replace(side.directory, "{side}"))
    said = os.path.exists(data) or summary(side.stderr)  # with -qq it does not say why
    return "" if said else "pip-accel was told to be too quiet to say why"


def _find_kept(data: str) -> str:
    """An archive, a binary distribution or a tree in a data directory, or nothing."""
    places = ("sources/archives", "binaries", "trees")
    return next((str(path) for place in places for path in Path(data, place).rglob("*") if path.is_file()), "")


class Results:
    """What was judged, in a file with a line for each case and pip; the last one counts.

    :param path: of the file, which need not be there yet.
    :param commit: of the checkout; what other commits gave is not looked at.
    """

    def __init__(self, path: str, commit: str) -> None:
        self._path = path
        self._commit = commit
        self._lock = threading.Lock()
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        lines = Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []
        for line in lines:
            entry = json.loads(line)
            if entry["commit"] == commit and entry["python"] == sys.version:
                self.known[entry["case"], entry["pip"]] = entry

    def find(self, case: Case, pip: str) -> dict[str, Any] | None:
        """What is known of a case, if it has not changed since."""
        entry = self.known.get((case.name, pip))
        return entry if entry is not None and entry["digest"] == _digest(case) else None

    def add(self, case: Case, pip: str, differences: Sequence[str], handed_over: str) -> None:
        """Write down what was judged."""
        entry = {
            "commit": self._commit, "python": sys.version, "case": case.name, "pip": pip, "digest": _digest(case),
            "differences": list(differences), "handed_over": handed_over,
        }  # fmt: skip
        with self._lock:
            self.known[case.name, pip] = entry
            with open(self._path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(entry) + "\n")


def _digest(case: Case) -> str:
    return hashlib.sha256(repr(case).encode()).hexdigest()[:16]


def find_commit() -> str:
    """The commit of the checkout, and whether it was changed since; ``unknown`` outside of a repository."""
    command = ["git", "-C", CHECKOUT, "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def describe(results: Results, commit: str) -> str:
    """The page of the documentation, from what was judged."""
    return "".join(_describe(results, commit))


def _describe(results: Results, commit: str) -> Iterator[str]:
    title = "Invocations"
    python = ".".join(map(str, sys.version_info[:3]))
    yield f"{title}\n{'=' * len(title)}\n\n"
    yield (
        "Each of these was run with pip and with pip-accel, and the results were compared: files, modes, metadata,\n"
        f"status and what was printed. Written on {time.strftime('%Y-%m-%d')} by ``python -m tests.lib.invocations\n"
        f"--write-docs``, for commit {commit}, with Python {python}.\n\n"
    )
    yield ".. list-table::\n   :header-rows: 1\n\n"
    yield _row(["pip", "judged", "equal, by pip-accel itself", "equal, handed to pip", "different"])
    cases = [case for group in MATRIX.values() for case in group]
    for pip in PIPS:
        counts = Counter(_word(results.find(case, pip)) for case in cases if supports(pip, case))
        judged = counts["pip-accel"] + counts["pip"] + counts["different"]
        numbers = (judged, counts["pip-accel"], counts["pip"], counts["different"])
        yield _row([pip, *map(str, numbers)])
    yield (
        "\nIn the tables, *pip-accel* and *pip* say who did it, with the same result; a dash, that this pip does not\n"
        "have what is asked for. ``{side}`` is a directory of the run's own, ``{index}`` and ``{other}`` are indexes,\n"
        "``{web}`` and ``{files}`` other URLs, ``{git}`` is a directory of repositories.\n"
    )
    for group, members in MATRIX.items():
        yield f"\n{group}\n{'-' * len(group)}\n\n"
        yield ".. list-table::\n   :header-rows: 1\n   :widths: 70 10 10 10\n\n"
        yield _row(["install", *(f"pip {pip}" for pip in PIPS)])
        for case in members:
            entries = [results.find(case, pip) for pip in PIPS]
            pairs = zip(PIPS, entries, strict=True)
            words = (_word(entry) if supports(pip, case) else "\u2013" for pip, entry in pairs)
            yield _row([_explain(case, entries), *words])
    yield from _describe_differences(results, cases)


def _describe_differences(results: Results, cases: Iterable[Case]) -> Iterator[str]:
    lines = []
    for case in cases:
        for pip in PIPS:
            entry = results.find(case, pip) or {"differences": ()}
            lines += [f"{case.name}, pip {pip}: {each}" for each in entry["differences"][:SHOWN]]
    if lines:
        yield "\nDifferences\n-----------\n\n::\n\n"
        for line in lines:
            yield textwrap.fill(line.replace("\n", " "), 112, initial_indent="    ", subsequent_indent="      ") + "\n"


def _word(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not judged"
    if entry["differences"]:
        return "different"
    return "pip" if entry["handed_over"] else "pip-accel"


def _explain(case: Case, entries: Iterable[Mapping[str, Any] | None]) -> str:
    """A case for its reader: its name, its words and what they depend on, and why pip had to do it."""
    parts = [case.name]
    if case.before:
        parts.append(f"before the command: {_literal(case.before)}")
    if case.words:
        parts.append(_literal(case.words))
    parts += [f"after {_literal(words)}" for words in case.prepare]
    if case.environ:
        parts.append("with " + ", ".join(_literal(f"{name}={value}") for name, value in case.environ.items()))
    for reason in dict.fromkeys(entry["handed_over"] for entry in entries if entry is not None):
        if reason:
            parts.append("pip, as " + re.sub(r"([*`|_\\])", r"\\\1", reason))
    return "\n\n".join(parts)


def _literal(text: str) -> str:
    return f"``{_shorten(text)}``"


def _shorten(text: str) -> str:
    """Digests are long, and say nothing to a reader."""
    return re.sub(r"\{sha256:[^}]+\}|0{64}", "\u2026", text)


def _row(cells: Sequence[str]) -> str:
    """A row of a list-table."""
    lines = []
    for place, cell in enumerate(cells):
        first, *rest = cell.split("\n")
        lines.append(f"   {'*' if place == 0 else ' '} - {first}")
        lines += [f"       {line}".rstrip() for line in rest]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line.

    :returns: 0 if there is no difference, 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.lib.invocations", description=__doc__.partition("\n")[0])
    parser.add_argument("--pip", action="append", choices=PIPS, help="only this version")
    parser.add_argument("--group", action="append", choices=MATRIX, help="only the cases of this group")
    parser.add_argument("--case", action="append", default=[], help="only this case")
    parser.add_argument("--write-docs", action="store_true", help="write docs/invocations.rst from all that is known")
    parser.add_argument("--again", action="store_true", help="judge also what was judged for this commit")
    parser.add_argument("--results", help="file to keep what was judged in; one in the cache of the tests by default")
    parser.add_argument("--keep", metavar="DIRECTORY", help="where to work, and what to keep")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many cases at a time")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.case if not any(name == each.name for each in _cases())]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}")
    commit = find_commit()
    results = Results(options.results or os.path.join(cache_directory("invocations"), "results.jsonl"), commit)
    wanted = [
        (case, pip)
        for pip in options.pip or PIPS
        for group in options.group or MATRIX
        for case in MATRIX[group]
        if supports(pip, case) and (not options.case or case.name in options.case)
        and (options.again or results.find(case, pip) is None)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="invocations-") as temporary, ThreadPoolExecutor(options.jobs) as pool:
        directory = options.keep or temporary
        shared = os.path.join(directory, f"shared-{os.getpid()}")
        os.makedirs(shared)
        bench = open_bench(shared)

        def judge(number: int, case: Case, pip: str) -> str:
            name = re.sub(r"\W+", "-", f"{case.name}-{pip}") if options.keep else str(number)
            workdir = os.path.join(directory, name)
            shutil.rmtree(workdir, ignore_errors=True)
            os.mkdir(workdir)
            try:
                verdict = judge_case(case, pip, bench, workdir)
            except Exception as error:  # one case that cannot be judged does not keep others from it
                verdict = Verdict((f"not judged: {type(error).__name__}: {error}",), "", ())
            results.add(case, pip, verdict.differences, verdict.handed_over)
            if not options.keep:
                shutil.rmtree(workdir)
            who = "different" if verdict.differences else "pip" if verdict.handed_over else "pip-accel"
            seconds = " ".join(f"{each:.1f}" for each in verdict.seconds)
            head = f"{number}/{len(wanted)} pip {pip}: {case.name}: {who} ({seconds} s) {verdict.handed_over}"
            more = [f"and {len(verdict.differences) - SHOWN} more"] if len(verdict.differences) > SHOWN else []
            return "\n    ".join([head.rstrip(), *verdict.differences[:SHOWN], *more])

        futures = [pool.submit(judge, number, *each) for number, each in enumerate(wanted, 1)]
        for future in as_completed(futures):
            print(future.result(), flush=True)
    if options.write_docs:
        Path(CHECKOUT, "docs", "invocations.rst").write_text(describe(results, commit), encoding="utf-8")
    found = [results.find(case, pip) for pip in options.pip or PIPS for case in _cases()]
    return 1 if any(entry is not None and entry["differences"] for entry in found) else 0


def _cases() -> Iterator[Case]:
    return (case for group in MATRIX.values() for case in group)


if __name__ == "__main__":
    sys.exit(main())
