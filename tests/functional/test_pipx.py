"""pip-accel as pipx installs it: one that serves environments of all kinds from outside, by ``docs/recipes.rst``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.test_tox import RECIPES, run_with_checkout, without_tools
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ
from tests.lib.index import IndexServer
from tests.lib.runs import find_interpreters, without_network

pytestmark = pytest.mark.index

INSTALL, MAKE_ENVIRONMENT, USE = RECIPES["pipx"].splitlines()
OTHERS = [python for version, python in find_interpreters().items() if version != "{}.{}".format(*sys.version_info)]
REQUIREMENTS = "alpha\nbeta\n"
SUCCESS = "Successfully installed alpha-1.0 beta-1.0\n"


class Desk:
    """A ``pip-accel`` from pipx on the ``PATH``, a data directory, and an index: it has a wheel and an sdist."""

    def __init__(self, place: Path, index: IndexServer) -> None:
        variables = {"HOME": str(place), "PIPX_HOME": str(place / "home"), "PIPX_BIN_DIR": str(place / "bin")}
        run_with_checkout(INSTALL, place / "pip-accel", **variables, PIPX_MAN_DIR=str(place / "man"))
        self.environment = str(place / "home" / "venvs" / "pip-accel")  #: where it lives
        module = {"alpha.py": "def main(): pass\n"}
        script = "[console_scripts]\nalpha = alpha:main\n"
        index.add(make_wheel(str(place / "archives"), "alpha", "1.0", files=module, entry_points=script))
        index.add(make_sdist(str(place / "archives"), "beta", "1.0"))
        self.index = index
        self.environ = without_tools(clean_environ())
        self.environ.update(
            PATH=os.pathsep.join([str(place / "bin"), os.path.dirname(sys.executable), self.environ["PATH"]]),
            PIP_INDEX_URL=index.url,
            PIP_ACCEL_CACHE=str(place / "data"),
            PIP_ACCEL_LOG_VERBOSITY="debug",
            VIRTUALENV_NO_PERIODIC_UPDATE="1",  # or it asks the index, in a process that it leaves behind
        )

    def run(self, where, command, *words, before=(), fails=False, **variables):
        """Run a shell command.

        :param where: the directory to run in.
        :param words: for the command: ``$0`` and so on.
        :param fails: whether its status must not be 0, which it must be otherwise.
        """
        done = subprocess.run(
            [*before, "sh", "-e", "-c", command, *words],
            cwd=where,
            env={**self.environ, **variables},
            capture_output=True,
            text=True,
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        assert "pip does" not in done.stderr, done.stderr
        return done


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """What the recipe makes; its environment is no longer there, but the data directory has what it needed."""
    place = tmp_path_factory.mktemp("pipx")
    with IndexServer() as index:
        desk = Desk(place, index)
        (place / "requirements.txt").write_text(REQUIREMENTS)
        assert desk.run(place, f"{MAKE_ENVIRONMENT}\n{USE}").stdout.endswith(SUCCESS)
        assert index.downloads
        index.reset()
        yield desk


@pytest.fixture
def place(tmp_path):
    """A directory to work in, with a requirement file."""
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "pip"),
    [
        (MAKE_ENVIRONMENT, False),
        ("python -m virtualenv --quiet .venv", True),
        ("python -m virtualenv --quiet --no-pip .venv", False),
    ],
    ids=["venv", "virtualenv-with-pip", "virtualenv-without-pip"],
)
def test_it_installs_into_an_environment_from_what_it_has(desk, place, command, pip):
    desk.run(place, command)
    assert desk.run(place, USE, before=without_network()).stdout.endswith(SUCCESS)
    assert desk.index.requests == []
    desk.run(place, ".venv/bin/alpha\n.venv/bin/python -c 'import alpha, beta'")
    desk.run(place, ".venv/bin/python -c 'import pip'", fails=not pip)
    assert {"alpha==1.0", "beta==1.0"} <= set(desk.run(place, "pip-accel --python .venv freeze").stdout.split())


@pytest.mark.parametrize("python", OTHERS[:1], ids=["the-oldest"])
def test_it_installs_for_another_python(desk, place, python):
    desk.run(place, '"$0" -m venv --without-pip .venv', python)
    assert desk.run(place, USE).stdout.endswith(SUCCESS)
    desk.run(place, ".venv/bin/alpha\n.venv/bin/python -c 'import alpha, beta'")


def test_in_an_active_environment_it_names_both_and_the_option(desk, place):
    desk.run(place, MAKE_ENVIRONMENT)
    active = str(place / ".venv")
    done = desk.run(place, "pip-accel install alpha", VIRTUAL_ENV=active, fails=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ERROR: ")
    for part in (active, desk.environment, f"pip-accel --python {active} install"):
        assert part in done.stderr


def test_the_alias_installs_into_the_active_environment(desk, place):
    desk.run(place, MAKE_ENVIRONMENT)
    command = f"{RECIPES['alias']}\npip install alpha beta\n.venv/bin/python -c 'import alpha, beta'"
    assert desk.run(place, command, VIRTUAL_ENV=str(place / ".venv")).stdout.endswith(SUCCESS)
    assert "VIRTUAL_ENV" in desk.run(place, command, fails=True).stderr
