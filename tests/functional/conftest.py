"""Fixtures of the tests that run pip-accel itself."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.lib.environments import Environment, make_environment, setuptools_wheel
from tests.lib.index import IndexServer
from tests.lib.runs import Run, installed, run_pip_accel


class Result(NamedTuple):
    """A run, what it left in the environment, and what it asked the index for."""

    run: Run
    environment: Environment
    requests: list[tuple[str, str]]
    downloads: Counter[str]

    @property
    def installed(self) -> dict[str, str]:
        """Versions by name."""
        return installed(self.environment)

    def read(self, *path: str) -> str:
        """The text of a file below ``site-packages``."""
        with open(os.path.join(self.environment.site_packages, *path), encoding="utf-8") as stream:
            return stream.read()


class Bench:
    """An index on the loopback, a data directory, and runs of pip-accel that use both."""

    def __init__(self, index: IndexServer, data: str, fresh: Callable[..., Environment]) -> None:
        self.index = index
        self.data = data
        self.fresh = fresh

    def install(self, *words: str, into: Environment | None = None, **options: object) -> Result:
        """Run ``pip-accel install WORDS``, into a fresh environment unless one is given.

        What the index has counted before is forgotten. The options are those of :func:`run_pip_accel`.
        """
        environment = into or self.fresh()
        self.index.reset()
        variables = {"PIP_INDEX_URL": self.index.url, **options}
        run = run_pip_accel(["install", *words], environment, self.data, **variables)
        return Result(run, environment, list(self.index.requests), Counter(self.index.downloads))


@pytest.fixture(scope="session")
def setuptools():
    """Path of a wheel of setuptools."""
    return setuptools_wheel()


@pytest.fixture
def data(tmp_path):
    """Path of a data directory that is not there yet."""
    return str(tmp_path / "data")


@pytest.fixture
def archives(tmp_path):
    """Path of a directory to write archives to."""
    return str(tmp_path / "archives")


@pytest.fixture
def fresh(tmp_path):
    """Makes a fresh environment at each call; takes the interpreter to make it of."""
    numbers = itertools.count(1)

    def make(*python: str) -> Environment:
        return make_environment(str(tmp_path / f"env-{next(numbers)}"), *python)

    return make


@pytest.fixture
def bench(index, data, fresh):
    """An index that is empty yet, a data directory, and runs of pip-accel that use both."""
    return Bench(index, data, fresh)
