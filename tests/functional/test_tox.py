"""The recipes of ``docs/recipes.rst``: those for tox run as they stand there, and all are written as they have to be.

tox tests a release of Jinja2 with the ``tox.ini`` that comes with it. That has pinned requirements in a file,
constraints that are frozen from what they gave, a dependency without a pin, a build requirement, and the project as a
wheel.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from pip_accel._plan.arguments import parse
from tests.lib.environments import MACHINE_ENVIRON, clean_environ, make_environment
from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.runs import CHECKOUT, find_interpreters, run_pip, without_network

PAGE = Path(CHECKOUT, "docs", "recipes.rst")
BLOCK = re.compile(
    r"^\.\. code-block:: \S+\n   :name: (?P<name>\S+)\n(?:   :.+\n)*\n(?P<text>(?:   .*\n|\n)+)", re.MULTILINE
)
RECIPES = {found["name"]: textwrap.dedent(found["text"]).strip() for found in BLOCK.finditer(PAGE.read_text("utf-8"))}

PROJECT = "jinja2==3.1.6"


def words_of(text):
    """The words behind ``pip-accel`` in each command of a recipe."""
    for line in text.replace("\\\n", " ").splitlines():
        words = [part for word in shlex.split(line) for part in (shlex.split(word) if " " in word else [word])]
        for place, word in enumerate(words):
            if word.rpartition("/")[2] == "pip-accel" and words[place + 1 : place + 2] == ["--python"]:
                yield words[place + 1 :]


def without_tools(environ):
    """An environment in which settings of the caller for tox, virtualenv and pipx change nothing."""
    return {name: value for name, value in environ.items() if not name.startswith(("TOX", "VIRTUALENV_", "PIPX_"))}


def run_with_checkout(recipe, checkout, **variables):
    """Run the shell command of a recipe that ends in ``pip-accel``, which becomes a copy of this checkout.

    It runs with the machine's settings, as it may ask the package index for what pip-accel and its build require.

    :param checkout: where to make the copy: builds write into their sources.
    """
    shutil.copytree(Path(CHECKOUT, "pip_accel"), checkout / "pip_accel", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.rst", "LICENSE.txt"):
        shutil.copy(Path(CHECKOUT, name), checkout)
    line, _, last = recipe.rpartition(" ")
    assert last == "pip-accel"
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environ = without_tools({**MACHINE_ENVIRON, "PATH": path}) | variables
    done = subprocess.run(["sh", "-c", f'{line} "$0"', str(checkout)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# The page


def test_no_recipe_is_overlooked():
    assert len(RECIPES) == PAGE.read_text("utf-8").count(".. code-block::")


def test_pip_accel_serves_every_command_of_the_page_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text("example==1.0\n")
    commands = [words for text in RECIPES.values() for words in words_of(text)]
    assert len(commands) == 7
    for words in commands:
        words[1] = sys.executable  # for the environment
        words = ["example" if word == "{packages}" else word for word in words if word != "{opts}"]
        assert [root.name for root in parse(words, {"PIP_CONFIG_FILE": os.devnull}).requirements] == ["example"]


@pytest.mark.parametrize("name", ["pipx", "alias", "tox-override", "tox-wheels", "tox-install-sh"])
def test_the_shell_understands(name):
    subprocess.run(["sh", "-n", "-c", RECIPES[name]], check=True)


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_the_yaml_is_valid_and_keeps_the_data_directory(name):
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(RECIPES[name])
    if name == "github":
        [cache] = [step["with"] for step in jobs["jobs"]["tests"]["steps"] if "cache" in step.get("uses", "")]
        assert cache["path"] == "~/.pip-accel"
        assert cache["key"].startswith(cache["restore-keys"])
    else:
        [path] = jobs["tests"]["cache"]["paths"]
        assert jobs["tests"]["variables"]["PIP_ACCEL_CACHE"] == f"$CI_PROJECT_DIR/{path}"


def test_the_dockerfile_mounts_a_cache_at_the_data_directory():
    lines = [line for line in RECIPES["dockerfile"].replace("\\\n", " ").splitlines() if line and line[0] != "#"]
    instructions = [line.split(maxsplit=1) for line in lines]
    assert [name for name, _rest in instructions] == ["FROM", *["RUN"] * 2, "COPY", "RUN", "FROM", "COPY", "CMD"]
    assert json.loads(instructions[-1][1])[0] == "/opt/app/bin/python"
    runs = [rest for name, rest in instructions if name == "RUN"]
    mount = dict(pair.split("=") for pair in runs[-1].split()[0].removeprefix("--mount=").split(","))
    assert mount == {"type": "cache", "target": "/var/cache/pip-accel"}
    assert f"PIP_ACCEL_CACHE={mount['target']}" in runs[-1].split()
    for run in runs:
        subprocess.run(["sh", "-n", "-c", run.removeprefix(runs[-1].split()[0])], check=True)


# tox


def add_recipe(project, recipe):
    """Put the settings of a recipe into the ``tox.ini`` of a project."""
    settings = configparser.RawConfigParser()
    settings.read([project / "tox.ini"], "utf-8")
    settings.read_string(recipe)
    with open(project / "tox.ini", "w", encoding="utf-8") as stream:
        settings.write(stream)


class Result(NamedTuple):
    """What a run of tox did."""

    holds: dict[str, set[str]]  #: lines of ``pip freeze`` by environment; the project is built in ``.pkg``
    commands: list[str]  #: those by which tox installed
    closing_lines: dict[tuple[str, str], str]  #: of their standard output, by environment and tox's name of the step
    errors: str  #: all their standard error
    requests: list[tuple[str, str]]  #: to the index

    def assert_all_was_accelerated(self, command):
        """Every installation was pip-accel's own work.

        :param command: part of each command by which tox installed.
        """
        assert self.commands
        for each in self.commands:
            assert command in each
        assert "pip does" not in self.errors
        assert len(re.findall(" Installed [0-9]+ distribution", self.errors)) == len(self.commands)


@dataclass
class Trial:
    """A project, an index with all that it needs, a data directory, and runs of tox with them."""

    sdist: str
    index: IndexServer
    place: Path
    environ: dict[str, str]
    environments: dict[str, str]  #: names for tox, and the interpreters that it is to find for them

    @property
    def project(self) -> Path:
        """Its sources, always at the same place, as ``pip freeze`` shows where an archive lay."""
        return self.place / "project"

    def unpack(self) -> None:
        """Give the project its sources as they came, and no environments."""
        shutil.rmtree(self.project, ignore_errors=True)
        with tarfile.open(self.sdist) as archive:
            top = os.path.commonpath(archive.getnames())
            archive.extractall(self.place, filter="data")
        os.rename(self.place / top, self.project)

    def run(self, *words, environments=None, before=(), **variables):
        """Run tox with the environments, all at the same time."""
        report = self.place / "result.json"
        command = [*before, sys.executable, "-m", "tox", "run-parallel", "--result-json", str(report), *words]
        command += ["-p", "all", "-e", ",".join(environments or self.environments)]
        command += [word for python in self.environments.values() for word in ("--discover", python)]
        command += ["--", "-q", "tests/test_imports.py"]
        self.index.reset()
        environ = {**self.environ, **variables}
        done = subprocess.run(command, cwd=self.project, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        # Environments that were not asked for are there, too, and empty.
        found = {name: each for name, each in json.loads(report.read_text("utf-8"))["testenvs"].items() if each}
        steps = [(name, step) for name, each in found.items() for step in each["setup"]]
        steps = [(name, step) for name, step in steps if step["run_id"].startswith("install")]
        return Result(
            {name: {_without_number(line) for line in each["installed_packages"]} for name, each in found.items()},
            [" ".join(step["command"]) for _name, step in steps],
            {(name, step["run_id"]): step["output"].splitlines()[-1] for name, step in steps},
            "".join(step["err"] for _name, step in steps),
            list(self.index.requests),
        )


def _without_number(line):
    """A line of ``pip freeze`` without the number that each run of tox gives to the project's archive."""
    return re.sub(r"/package/[0-9]+/", "/", line)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A home directory, with wheels of pip-accel and what it requires where the recipe puts them."""
    home = tmp_path_factory.mktemp("home")
    run_with_checkout(RECIPES["tox-wheels"], tmp_path_factory.mktemp("build") / "pip-accel", HOME=str(home))
    return home


@pytest.fixture(scope="module")
def trial(wheels, tmp_path_factory):
    """A project that nothing has been installed for, and a ``pip-accel`` on the ``PATH``."""
    place = tmp_path_factory.mktemp("tox")
    others = {version: python for version, python in find_interpreters().items() if not _is_running(version)}
    environments = {"py": sys.executable}
    for version, python in list(others.items())[-1:]:
        environments[f"py{version.replace('.', '')}"] = python

    wanted = place / "requirements.txt"
    wanted.write_text(f"--no-binary {PROJECT.partition('==')[0]}\n{PROJECT}\n")
    directories = [frozen_index(str(wanted), python=python) for python in environments.values()]
    [sdist] = Path(directories[0]).glob(f"{PROJECT.replace('==', '-')}.tar.gz")

    outside = make_environment(str(place / "outside"))
    run_pip(["install", "--no-index", "--find-links", str(wheels / "pip-accel-wheels"), "pip-accel"], outside)
    (place / "bin").mkdir()
    (place / "bin" / "pip-accel").symlink_to(Path(outside.prefix, "bin", "pip-accel"))
    with IndexServer() as index:
        environ = clean_environ(
            HOME=str(wheels),
            PATH=os.pathsep.join([str(place / "bin"), os.environ["PATH"]]),
            PIP_INDEX_URL=index.url,
            PIP_ACCEL_CACHE=str(place / "data"),
            PIP_ACCEL_LOG_VERBOSITY="debug",
        )
        trial = Trial(str(sdist), index, place, without_tools(environ), environments)
        trial.unpack()
        pins = trial.project / "requirements" / "tests.txt"
        directories += [frozen_index(str(pins), python=python) for python in environments.values()]
        for directory in directories:
            for archive in os.listdir(directory):
                index.add(os.path.join(directory, archive))
        yield trial


def _is_running(version):
    return version == "{}.{}".format(*sys.version_info)


@pytest.fixture(scope="module")
def with_pip(trial):
    """What tox does with pip."""
    result = trial.run()
    assert set(result.holds) == {*trial.environments, ".pkg"}
    assert all("/python -I -m pip install " in command for command in result.commands)
    return result


@pytest.fixture(scope="module")
def filled_trial(trial, with_pip):
    """The same with a data directory that one run has filled, by the recipe with one pip-accel outside."""
    trial.unpack()
    add_recipe(trial.project, RECIPES["tox-outside"])
    result = trial.run()
    result.assert_all_was_accelerated("/bin/pip-accel --python ")
    assert (result.holds, result.closing_lines) == (with_pip.holds, with_pip.closing_lines)
    assert result.requests
    return trial


@pytest.mark.index
def test_tox_makes_the_environments_again_with_one_pip_accel_outside(filled_trial, with_pip):
    result = filled_trial.run("-r", before=without_network())
    result.assert_all_was_accelerated("/bin/pip-accel --python ")
    assert (result.holds, result.closing_lines) == (with_pip.holds, with_pip.closing_lines)
    assert result.requests == []
    assert "built" not in result.errors


@pytest.mark.index
def test_tox_makes_an_environment_with_a_pip_accel_in_it(filled_trial, with_pip):
    filled_trial.unpack()
    add_recipe(filled_trial.project, RECIPES["tox-inside"])
    Path(filled_trial.project, "tox-install.sh").write_text(RECIPES["tox-install-sh"], encoding="utf-8")
    result = filled_trial.run(environments=["py"], before=without_network(), PATH=os.environ["PATH"])
    result.assert_all_was_accelerated(f"/sh {filled_trial.project}/tox-install.sh ")
    assert result.requests == []
    assert set(result.holds) == {"py", ".pkg"}
    for name, lines in result.holds.items():
        assert with_pip.holds[name] <= lines
        assert "pip-accel" in {line.partition("==")[0] for line in lines - with_pip.holds[name]}


def test_the_recipes_for_one_pip_accel_outside_say_the_same(tmp_path):
    environ = without_tools(clean_environ())

    def ask(before, name=None, text=""):
        if name:
            (tmp_path / name).write_text(text)
        command = f'{before}\nexec "$0" -m tox config -e py,.pkg -k install_command allowlist_externals'
        done = subprocess.run(
            ["sh", "-c", command, sys.executable], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if name:
            (tmp_path / name).unlink()
        return done.stdout

    expected = ask("", "tox.ini", RECIPES["tox-outside"])
    assert expected.count("install_command = pip-accel --python ") == expected.count("= pip-accel\n") == 2
    assert ask("", "tox.toml", RECIPES["tox-toml"]) == expected
    for name, text in (
        ("tox.ini", "[testenv]\ncommands = python --version\n"),
        ("tox.toml", '[env_run_base]\ncommands = [["python", "--version"]]\n'),
        ("pyproject.toml", '[tool.tox.env_run_base]\ncommands = [["python", "--version"]]\n'),
    ):
        assert ask(RECIPES["tox-override"], name, text) == expected, name
