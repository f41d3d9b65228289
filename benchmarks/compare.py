"""Compare pip, uv, pip-accel and ``cp`` on sets of distributions: ``python3 benchmarks/compare.py``.

Sets up all that it needs below ``.cache/benchmarks/`` of the checkout; the environments that it makes are removed at
the end. Needs the standard library only, Linux, and time on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contestants import Bench, provide_package, provide_tools
from benchmarks.measuring import Contestant, Result, Series, measure, run
from benchmarks.report import BARS, file_system, find_result, merge, page, read_results, summary, write_results
from benchmarks.scenarios import SCENARIOS, SETS, Course, Scenarios
from tests.run import CHECKOUT

__all__ = ["chosen_rounds", "main", "parse_options"]

PLACE = CHECKOUT / ".cache" / "benchmarks"
DOCS = CHECKOUT / "docs"
_MEMORY = Path("/dev/shm")  # a file system of its own on most machines
_QUICK = ("web", "requests")
_TOP = 15  # rows of a profile


def parse_options(words: Sequence[str]) -> argparse.Namespace:
    """Read the words of the command line; ``only`` and ``scenario`` are tuples of names."""
    parser = argparse.ArgumentParser(description="Compare pip, uv, pip-accel and cp.", allow_abbrev=False)
    add = parser.add_argument
    add("--rounds", type=_count, metavar="N", help="rounds of each scenario (default: 9, and 3 with empty caches)")
    add("--only", type=_names(SETS), metavar="SETS", help=f"sets, separated by commas: {', '.join(SETS)}")
    add("--scenario", type=_names(SCENARIOS), metavar="NAMES", default=tuple(SCENARIOS),
        help=f"scenarios, separated by commas: {', '.join(SCENARIOS)}")
    add("--quick", action="store_true", help=f"few rounds, and only the sets {' and '.join(_QUICK)}")
    add("--budget", type=float, default=180, metavar="SECONDS",
        help="who has taken so long in a scenario takes part in no further round of it (default: 180)")
    add("--other", type=Path, metavar="DIR", help=f"a directory on another file system (default: {_MEMORY}, if so)")
    add("--json", type=Path, metavar="FILE",
        help="write what was measured to FILE; what that has of other sets and scenarios stays, and is shown, too")
    add("--write-docs", action="store_true", help="write docs/benchmarks.rst and its plot")
    add("--profile", action="store_true", help="show where a warm run of pip-accel spends its time, and nothing else")
    add("--size", type=_count, default=1000, help=argparse.SUPPRESS)  # of the generated sets
    options = parser.parse_args(words)
    if options.only is None:
        options.only = _QUICK if options.quick else SETS
    return options


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError
    return number


def _names(known: Sequence[str] | Mapping[str, object]) -> Callable[[str], tuple[str, ...]]:
    """Make a parser for names, separated by commas; they keep the order in which they are known."""

    def parse(word: str) -> tuple[str, ...]:
        names = {name.strip() for name in word.split(",")}
        if unknown := names - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return tuple(name for name in known if name in names)

    return parse


def chosen_rounds(options: argparse.Namespace, scenario: str) -> int:
    """Give the number of rounds of a scenario."""
    if options.rounds is not None:
        return int(options.rounds)
    if options.quick:
        return 1 if scenario == "first" else 3
    return 3 if scenario == "first" else 9


def compare(options: argparse.Namespace, scenarios: Scenarios, courses: Sequence[tuple[str, str]]) -> list[Result]:
    """Measure all scenarios with all sets; show and keep each as soon as it is there.

    :returns: also what an earlier run kept of others.
    """
    results = read_results(options.json) if options.json is not None else []
    for scenario, name in courses:
        print(f"\n== {scenario}, {name}", flush=True)
        course = scenarios.prepare(scenario, name)
        rounds = min(chosen_rounds(options, scenario), course.rounds or sys.maxsize)
        environment_of = partial(_environment_of, course, scenarios.bench)
        say = partial(print, flush=True)
        series = measure(course.contestants, rounds, options.budget, environment_of, say)
        scenarios.bench.check(_last_environments(series))
        found = [each.result(scenario, name) for each in series]
        print(summary(found), flush=True)
        results = merge(results, found)
        if options.json is not None:
            write_results(options.json, results)
    return results


def _environment_of(course: Course, bench: Bench, contestant: Contestant) -> Path:
    if course.environments is not None:
        return course.environments[contestant.name]
    return bench.environment()


def _last_environments(series: Sequence[Series]) -> dict[str, Path]:
    """The environments of the last round that all took part in, where they should hold the same."""
    last = min(len(each.environments) for each in series) - 1
    return {each.contestant.name: each.environments[last] for each in series if each.contestant.alike}


def profile(bench: Bench, scenarios: Scenarios) -> None:
    """Show the system calls and the imports of a warm run of pip-accel."""
    contestant = bench.accelerator(scenarios.wanted("web"))
    run(contestant.command(0, bench.environment()))
    words, environ = contestant.command(0, bench.environment())
    importing = [str(bench.tools.python), "-X", "importtime", "-m", "pip_accel", *words[1:]]
    done = subprocess.run(importing, env=environ, capture_output=True, text=True, check=True)
    lines = [line.removeprefix("import time:") for line in done.stderr.splitlines() if line.startswith("import time:")]
    times = [line.split("|") for line in lines if "self [us]" not in line]
    print(f"\n{len(times)} imports; those that took longest by themselves, in microseconds:")
    for own, total, module in sorted(times, key=lambda each: -int(each[0]))[:_TOP]:
        print(f"{int(own):8}  {int(total):8}  {module.strip()}")
    if shutil.which("strace") is None:
        print("\nThere is no strace on this machine.")
        return
    words, _ = contestant.command(0, bench.environment())
    counts = bench.root / "strace"
    subprocess.run(["strace", "-c", "-f", "-o", counts, *words], env=environ, stdout=subprocess.DEVNULL, check=True)
    print(f"\n{counts.read_text()}")


def describe_machine(bench: Bench, other: Path | None) -> dict[str, str]:
    """Say what was measured with, in general words."""
    mounts = Path("/proc/self/mountinfo").read_text()
    kinds = [file_system(mounts, path) for path in (PLACE.resolve(), *([other.resolve()] if other else []))]
    pip = bench.ask("--version").split()[1]
    uv = subprocess.run([bench.tools.uv, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {
        "Date": time.strftime("%Y-%m-%d"),
        "Cores": str(os.cpu_count()),
        "Linux": ".".join(platform.release().split("-")[0].split(".")[:2]),
        "File system": kinds[0] + (f"; in the scenario copies, the caches are on {kinds[1]}" if other else ""),
        "Python": platform.python_version(),
        "pip": pip,
        "uv": uv,
    }


def write_docs(results: Sequence[Result], machine: Mapping[str, str]) -> None:
    """Write the page of the documentation, and its plot."""
    pictured = any(result.set == "web" for result in results)
    if pictured:
        python = provide_package(PLACE / "matplotlib", "matplotlib")
        with tempfile.TemporaryDirectory() as directory:
            rows = Path(directory, "results.json")
            write_results(rows, results)
            command = [python, CHECKOUT / "benchmarks" / "plot.py", rows, DOCS / "benchmarks.svg"]
            subprocess.run(command, check=True)
    (DOCS / "benchmarks.rst").write_text(page(results, machine, pictured), encoding="utf-8")


def show_bars(results: Sequence[Result]) -> None:
    """Show which of the ratios that were measured are as they should be."""
    print()
    for bar in BARS:
        ours = find_result(results, bar.scenario, bar.set, bar.contestant)
        other = find_result(results, bar.scenario, bar.set, bar.beside)
        if ours is not None and other is not None:
            ratio = ours.median / other.median
            verdict = "kept" if ratio <= bar.limit else "NOT KEPT"
            print(f"{bar.what}: {ratio:.3f} x {bar.beside}, at most {bar.limit:g}: {verdict}")


def main(words: Sequence[str]) -> None:
    """Run the comparison, or show the profile."""
    options = parse_options(words)
    if sys.platform != "linux" or sys.version_info < (3, 11):
        sys.exit("This needs Linux and Python 3.11 or newer.")
    import fcntl  # elsewhere there may be none

    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another comparison is running here; both would be slow.")
        _work(options)


def _work(options: argparse.Namespace) -> None:
    """Do what the options say, and remove all that is not for the next time."""
    parent = options.other or _MEMORY
    apart = parent.is_dir() and parent.stat().st_dev != PLACE.stat().st_dev
    if options.other is not None and not apart:
        sys.exit(f"{parent} is no directory on another file system than {PLACE}.")
    courses = [(each, name) for each in options.scenario for name in SCENARIOS[each] if name in options.only]
    if not apart and any(scenario == "copies" for scenario, _ in courses):
        print("There is no other file system (--other DIR): the scenario copies is left out.")
        courses = [each for each in courses if each[0] != "copies"]
    root = Path(tempfile.mkdtemp(prefix="run-", dir=PLACE))
    other = Path(tempfile.mkdtemp(prefix="pip-accel-benchmarks-", dir=parent)) if apart else None
    stack = ExitStack()
    try:
        bench = Bench(provide_tools(PLACE), root)
        scenarios = stack.enter_context(closing(Scenarios(bench, PLACE / "caches", options.size, other)))
        if options.profile:
            profile(bench, scenarios)
            return
        results = compare(options, scenarios, courses)
        show_bars(results)
        if options.write_docs:
            write_docs(results, describe_machine(bench, other))
    finally:
        stack.close()
        print("Removing the environments ...", flush=True)
        # With those that a killed comparison has left.
        for directory in (*PLACE.glob("run-*"), *([other] if other else [])):
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
