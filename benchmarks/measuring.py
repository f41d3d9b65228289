"""Whole processes, measured side by side: every contestant once in each round, in rotating order.

Each run gets a new environment, and none is removed before the end: where ext4 has no journal, directories that are
made within minutes after thousands were removed cost many times as much as others.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Command", "Contestant", "Result", "Sample", "Series", "in_turn", "measure", "run"]


class Command(NamedTuple):
    """A process to run, with its whole environment."""

    words: tuple[str, ...]
    environ: Mapping[str, str]


class Contestant(NamedTuple):
    """One way to fill an environment."""

    name: str
    command: Callable[[int, Path], Command]  #: for the number of a round, counted from 0, and an environment
    alike: bool = True  #: whether it installs the same as the others in its scenario


class Sample(NamedTuple):
    """What one run took, in seconds."""

    wall: float
    cpu: float  #: user and system time of the process and all that it waited for


class Result(NamedTuple):
    """What a contestant took in each round that it was in."""

    scenario: str
    set: str
    contestant: str
    wall: tuple[float, ...]  #: seconds
    cpu: tuple[float, ...]  #: seconds

    @property
    def median(self) -> float:
        """Seconds by the clock."""
        return statistics.median(self.wall)


class Series:
    """The runs of one contestant in one scenario."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.samples: list[Sample] = []
        self.environments: list[Path] = []  #: by round

    def result(self, scenario: str, name: str) -> Result:
        """Give the samples as a plain value."""
        wall, cpu = zip(*self.samples, strict=True)
        return Result(scenario, name, self.contestant.name, wall, cpu)


def run(command: Command) -> Sample:
    """Run a process to its end.

    :raises SystemExit: it failed; what it said is shown.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command.words, env=command.environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")
            sys.exit(f"{said}{' '.join(command.words)}\nfailed with status {process.returncode}.")
    return Sample(wall, usage.ru_utime + usage.ru_stime)


def in_turn(contestants: Sequence[Series], number: int) -> list[Series]:
    """Give the order of a round: who begins moves on by one."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def measure(
    contestants: Sequence[Contestant],
    rounds: int,
    budget: float,
    environment_of: Callable[[Contestant], Path],
    say: Callable[[str], None],
) -> list[Series]:
    """Run the rounds of one scenario.

    :param budget: seconds after which a contestant takes part in no further round.
    :param environment_of: gives the environment for the next run of a contestant.
    """
    series = [Series(contestant) for contestant in contestants]
    for number in range(rounds):
        said = {}
        for each in in_turn(series, number):
            if sum(sample.wall for sample in each.samples) >= budget:
                continue
            environment = environment_of(each.contestant)
            command = each.contestant.command(number, environment)
            os.sync()  # nobody is to wait for what another one wrote
            each.samples.append(run(command))
            each.environments.append(environment)
            said[each.contestant.name] = f"{each.contestant.name} {each.samples[-1].wall:.2f}"
        if said:
            say(f"round {number + 1}: " + ", ".join(said[each.name] for each in contestants if each.name in said))
    return series
