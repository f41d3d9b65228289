"""What a run costs for which everything is known: what is imported, opened and started, in place of times."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.lib.architecture import WARM
from tests.lib.archives import make_wheel
from tests.lib.environments import clean_environ
from tests.lib.runs import CHECKOUT

#: None of these is needed to link files. Most take longer to import than all of a warm run's own modules.
SLOW = {
    "asyncio",
    "boto3",
    "cached_property",
    "coloredlogs",
    "concurrent.futures",
    "csv",
    "dataclasses",
    "email",
    "hashlib",
    "http",
    "humanfriendly",
    "importlib.metadata",
    "inspect",
    "logging",
    "packaging",
    "pip",
    "pip_accel._plan.arguments",
    "pip_accel._process",
    "selectors",
    "shutil",
    "socket",
    "subprocess",
    "tarfile",
    "tempfile",
    "threading",
    "urllib.request",
    "zipfile",
}

#: Runs pip-accel and tells what the interpreter told of it (PEP 578).
WATCH = """
import json, os, sys
events, here = [], os.getpid()
def note(event, arguments):
    if os.getpid() != here:
        return  # those that help to link do only that
    if event in ("open", "os.listdir", "os.scandir"):
        events.append([event, os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else ""])
    elif event in ("os.posix_spawn", "subprocess.Popen", "os.exec", "os.fork", "socket.connect", "socket.__new__"):
        events.append([event, ""])
from pip_accel.cli import main
before = set(sys.modules)
sys.addaudithook(note)
try:
    main()
finally:
    with open(os.environ["WATCHED"], "w") as stream:
        json.dump({"events": events, "modules": sorted(sys.modules)}, stream)
"""


class Warm:
    """An index with distributions that require nothing, and watched runs that install some of them."""

    def __init__(self, bench, directory):
        self.bench = bench
        self.directory = directory
        self.names = []

    def publish(self, name):
        files = {f"{name}/__init__.py": "", f"{name}/deep/er/module.py": "x = 1\n"}
        points = f"[console_scripts]\n{name} = {name}:main\n"
        wheel = make_wheel(str(self.directory / "archives"), name, "1.0", files=files, entry_points=points)
        self.bench.index.add(wheel)
        self.names.append(name)

    def run(self, *words, **variables):
        """Give what was imported, opened and started, and what was printed."""
        environment = self.bench.fresh()
        report = self.directory / "watched.json"
        environ = clean_environ(
            PIP_ACCEL_CACHE=self.bench.data, PIP_INDEX_URL=self.bench.index.url, WATCHED=str(report), **variables
        )
        command = [sys.executable, "-c", WATCH, "--python", environment.python, "install", *words]
        done = subprocess.run(
            command, env=environ, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        value = json.loads(report.read_text())
        return set(value["modules"]), [tuple(each) for each in value["events"]], done


@pytest.fixture
def warm(bench, tmp_path):
    made = Warm(bench, tmp_path)
    for name in ("alpha", "beta", "gamma"):
        made.publish(name)
    return made


@pytest.mark.parametrize("words", [["alpha", "beta", "gamma"], ["alpha==1.0", "-v"]], ids=" ".join)
def test_nothing_slow_is_imported(warm, words):
    warm.run(*words)
    modules, _, done = warm.run(*words)
    loaded = {name for name in SLOW for module in modules if module == name or module.startswith(name + ".")}
    assert loaded == set()
    assert "INFO Installed" in done.stderr


def test_nothing_is_opened_but_what_says_what_to_do(warm):
    data = os.path.realpath(warm.bench.data)
    warm.run("alpha", "beta")
    _, events, _ = warm.run("alpha", "beta")
    opened = [os.path.relpath(path, data) for event, path in events if event == "open" and path.startswith(data)]
    kinds = {
        "memo": [path for path in opened if path.startswith("memo")],
        "views": [path for path in opened if "views" in path.split(os.sep)],
        "manifests": [path for path in opened if path.endswith("manifest.json")],
        "bundles": [path for path in opened if path.startswith("trees") and path.endswith(("purelib", "purelib/"))],
        "templates": [path for path in opened if path.startswith("templates")],
        "own": [path for path in opened if path.startswith("tmp")],
        "usage": [path for path in opened if path == os.path.join("usage", "runs")],
    }
    assert sorted(path for group in kinds.values() for path in group) == sorted(opened)
    assert len(kinds["views"]) == 2
    assert len(kinds["manifests"]) == 4  # of the files and of the byte code
    assert len(kinds["bundles"]) == 4
    # To see whether the file system can share blocks, one file is tried.
    linked = [path for event, path in events if event == "open" and path.endswith(("METADATA", ".py", ".pyc"))]
    assert len([path for path in linked if not os.path.isabs(path)]) <= 2


def test_the_documentation_says_which_modules_are_loaded(warm):
    warm.run("alpha")
    modules, _, _ = warm.run("alpha")
    ours = {name.removeprefix("pip_accel.") for name in modules if name.split(".")[0] == "pip_accel"}
    assert ours == WARM


def test_one_program_is_started(warm):
    warm.run("alpha")
    _, events, _ = warm.run("alpha")
    started = [event for event, _ in events if event not in ("open", "os.listdir", "os.scandir")]
    assert started == ["os.posix_spawn"]  # the target's interpreter


def test_a_larger_index_and_store_cost_nothing(warm):
    warm.run("alpha")
    before = warm.run("alpha")[1]
    more = [f"more{number}" for number in range(20)]
    for name in more:
        warm.publish(name)
    warm.run(*more)
    after = warm.run("alpha")[1]
    data = os.path.realpath(warm.bench.data)
    both = [[event for event, path in events if path.startswith(data)] for events in (before, after)]
    assert both[0] == both[1]


def test_messages_look_as_they_should(warm):
    warm.run("alpha")
    _, _, done = warm.run("alpha", PIP_ACCEL_LOG_FORMAT="%(levelname)s:%(name)s:%(message)s")
    assert done.stderr.splitlines()[-1].startswith("INFO:pip_accel:Installed 1 distribution in ")
    assert done.stdout.splitlines() == ["Installing collected packages: alpha", "Successfully installed alpha-1.0"]
