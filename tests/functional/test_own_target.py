"""pip-accel in the environment that it installs into: what it runs on may be replaced, pip-accel itself as well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lib.archives import make_wheel
from tests.lib.environments import Environment, clean_environ, make_environment
from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.judge import Side, compare_sides, drop_permitted
from tests.lib.runs import CHECKOUT

pytestmark = pytest.mark.index

#: Old versions of all that pip-accel requires. The frozen indexes are those of the texts.
OLD = """\
cached-property==1.5.2
coloredlogs==14.3
humanfriendly==9.2
packaging==23.2
pip==25.3
pyproject-hooks==1.0.0
setuptools==77.0.3
tomli==2.0.1
"""
NEW = re.sub("==.*", "", OLD)
OLDER = "pip==24.0\nsetuptools==59.8.0\n"
PROJECTS = NEW.split()
NEWER_PIP_ACCEL = "1000.0"
PRINT_VERSION = "import pip_accel; print(pip_accel.__version__)"
#: pip-accel's closing line, which pip does not have.
SUMMARY = re.compile(r"INFO Installed \d+ distributions? in ")

#: A ``sitecustomize`` that notes what pip-accel looks for to import, and when it changes the environment.
NOTES = """\
import os, sys

PLACE = os.path.join(sys.prefix, "")
CHANGES = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")


def note(event, values):
    if event == "import":
        os.write(HANDLE, f"import {values[0]}\\n".encode())
    elif event in CHANGES:
        paths = [os.fsdecode(value) for value in values if not isinstance(value, int)]
        for path, handle in zip(reversed(paths), reversed(values)):
            if isinstance(handle, int) and handle >= 0:
                path = os.path.join(os.readlink(f"/proc/self/fd/{handle}"), path)
            if os.path.abspath(path).startswith(PLACE):
                os.write(HANDLE, b"change\\n")


if os.path.basename(sys.argv[0]) == "pip-accel":
    HANDLE = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND)
    sys.addaudithook(note)
"""


class Done(NamedTuple):
    """A run of the environment's own pip or pip-accel."""

    side: Side
    changed: bool  #: whether pip-accel changed the environment itself
    late: list[str]  #: modules that were looked for after the first change, and that the environment had to provide


class Desk:
    """Two equal environments with pip-accel in them, each in a side of its own; the judge's model is in ``one``."""

    def __init__(self, place: Path, index: IndexServer, archives: str) -> None:
        self.place = place
        self.index = index
        self.archives = archives  #: directory with all that is in the environments at first
        (place / "hook").mkdir()
        (place / "hook" / "sitecustomize.py").write_text(NOTES)
        for name in ("one", "two"):
            self._make(place / name)

    def _make(self, side: Path) -> None:
        environment = make_environment(str(side / "env"))
        words = ["install", "--no-index", "--find-links", self.archives, *OLD.split(), "pip-accel"]
        command = [sys.executable, "-m", "pip", "--python", environment.python, *words]
        subprocess.run(command, env=clean_environ(), check=True, stdout=subprocess.DEVNULL)
        side.rename(f"{side}.model")

    def run(self, name: str, program: str, *words: str) -> Done:
        """Put an environment back as it was at first, and run one of its programs; that must succeed."""
        side = self.place / name
        shutil.rmtree(side, ignore_errors=True)
        shutil.copytree(f"{side}.model", side, symlinks=True)
        return self.run_again(name, program, *words)

    def run_again(self, name: str, program: str, *words: str) -> Done:
        """Run a program of an environment as it is now."""
        side, notes = self.place / name, self.place / "notes"
        environment = Environment(
            str(side / "env"), str(side / "env" / "bin" / "python"), str(next(side.glob("env/lib/p*/site-packages")))
        )
        provided = {entry.split(".")[0] for entry in os.listdir(environment.site_packages)}
        notes.write_text("")
        for name in ("home", "tmp"):
            (side / name).mkdir(exist_ok=True)
        started = time.monotonic()
        done = subprocess.run(
            [str(side / "env" / "bin" / program), *words],
            env=clean_environ(
                HOME=str(side / "home"),
                TMPDIR=str(side / "tmp"),
                PIP_ACCEL_CACHE=str(self.place / "data"),
                PIP_INDEX_URL=self.index.url,
                PIP_NO_CACHE_DIR="1",
                PYTHONPATH=str(self.place / "hook"),
                NOTES=str(notes),
            ),
            cwd=side,
            capture_output=True,
            text=True,
        )
        output = f"{program} {words} gave status {done.returncode}:\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, output
        assert "Traceback" not in done.stderr, output
        events = notes.read_text().splitlines()
        after = events[events.index("change") :] if "change" in events else []
        modules = [event.removeprefix("import ") for event in after if event != "change"]
        late = [module for module in modules if module.split(".")[0] in provided]
        seconds = time.monotonic() - started
        left = Side(str(side), environment, 0, done.stdout, done.stderr, seconds, freeze="", inspect="{}", check="")
        return Done(left, bool(after), late)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    """The environments, and an index with all that may come."""
    place = tmp_path_factory.mktemp("own")
    frozen = {}
    for name, text in (("old", OLD), ("new", NEW), ("older", OLDER)):
        (place / name).write_text(text)
        frozen[name] = frozen_index(str(place / name))
    archives = place / "archives"
    shutil.copytree(frozen["old"], archives)
    own = build(place / "own", frozen["new"])
    shutil.copy(own, archives)
    with IndexServer(str(archives)) as index:
        for path in (*map(Path, frozen.values()), build(place / "newer", frozen["new"], NEWER_PIP_ACCEL).parent):
            for archive in path.iterdir():
                index.add(str(archive))
        index.add(make_wheel(str(place), "alpha", "1.0"))
        yield Desk(place, index, str(archives))


def build(place: Path, archives: str, version: str | None = None) -> Path:
    """Build a wheel of this checkout, of another version perhaps."""
    source = place / "source"
    shutil.copytree(Path(CHECKOUT, "pip_accel"), source / "pip_accel", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.rst", "LICENSE.txt"):
        shutil.copy(Path(CHECKOUT, name), source)
    if version is not None:
        module = source / "pip_accel" / "__init__.py"
        text, count = re.subn('(?m)^__version__ = ".*"$', f'__version__ = "{version}"', module.read_text())
        assert count == 1
        module.write_text(text)
    words = ["wheel", "--no-deps", "--no-index", "--find-links", archives, "--wheel-dir", str(place / "wheel")]
    command = [sys.executable, "-m", "pip", *words, str(source)]
    subprocess.run(command, env=clean_environ(), check=True, stdout=subprocess.DEVNULL)
    [wheel] = (place / "wheel").iterdir()
    return wheel


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-v", "-U", "pip-accel"], id="itself"),
        pytest.param(["-U", *PROJECTS], id="all that it requires", marks=pytest.mark.slow),
        pytest.param(["setuptools<60"], id="an older setuptools"),
        pytest.param(["--force-reinstall", "-v", "pip-accel"], id="itself and all of that", marks=pytest.mark.slow),
        pytest.param(["-v", "-U", *PROJECTS], id="all that it requires, saying more", marks=pytest.mark.slow),
        pytest.param(["-v", "setuptools<60"], id="an older setuptools, saying more", marks=pytest.mark.slow),
    ],
)
def test_what_it_runs_on_is_replaced_as_pip_does_it(desk, words):
    expected = desk.run("one", "pip", "install", *words)
    done = desk.run("two", "pip-accel", "install", *words)
    assert drop_permitted(compare_sides(expected.side, done.side)) == []
    assert SUMMARY.search(done.side.stderr), "pip did it"
    assert done.changed
    assert done.late == []
    version = "" if PROJECTS[0] in words or "setuptools<60" in words else NEWER_PIP_ACCEL
    assert done.side.environment.run(["-I", "-c", PRINT_VERSION]).stdout.startswith(version)
    later = desk.run_again("two", "pip-accel", "install", "alpha").side
    assert later.stdout.endswith("Successfully installed alpha-1.0\n")
    assert SUMMARY.search(later.stderr), "pip did it"


def test_a_pip_that_it_cannot_work_with_is_left_to_pip_with_a_warning(desk):
    expected = desk.run("one", "pip", "install", "pip==24.0")
    done = desk.run("two", "pip-accel", "install", "pip==24.0")
    assert drop_permitted(compare_sides(expected.side, done.side)) == []
    later = desk.run_again("two", "pip-accel", "install", "alpha").side
    assert later.stdout.endswith("Successfully installed alpha-1.0\n")
    assert re.search(r" WARNING .*\bpip 24\.0", done.side.stderr)
