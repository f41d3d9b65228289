"""What every error promises: its message, its context, and who catches it."""

import inspect

import pytest

from pip_accel import exceptions
from pip_accel._text import compact
from pip_accel.exceptions import ConfigError, NothingFound, PipAcceleratorError, PipFailed

PARENTS = {
    "NothingToDoError": "PipAcceleratorError",
    "EnvironmentMismatchError": "PipAcceleratorError",
    "UnknownDistributionFormat": "PipAcceleratorError",
    "BinaryDistributionError": "PipAcceleratorError",
    "InvalidSourceDistribution": "BinaryDistributionError",
    "DamagedSourceDistribution": "InvalidSourceDistribution",
    "BuildFailed": "BinaryDistributionError",
    "NoBuildOutput": "BinaryDistributionError",
    "CacheBackendError": "PipAcceleratorError",
    "CacheBackendDisabledError": "CacheBackendError",
    "SystemDependencyError": "PipAcceleratorError",
    "DependencyInstallationRefused": "SystemDependencyError",
    "DependencyInstallationFailed": "SystemDependencyError",
    "PipFailed": "PipAcceleratorError",
    "NothingFound": "PipFailed",
    "ConfigError": "PipAcceleratorError",
    "ConfigFileError": "PipAcceleratorError",
    "UnsafeArchive": "PipAcceleratorError",
    "LinkError": "PipAcceleratorError",
    "Edited": "LinkError",
    "DataDirectoryError": "PipAcceleratorError",
    "Unsupported": "PipAcceleratorError",
}


@pytest.mark.parametrize(("name", "parent"), PARENTS.items(), ids=PARENTS)
def test_each_error_is_caught_by_its_documented_parent(name, parent):
    assert getattr(exceptions, name).__bases__[0] is getattr(exceptions, parent)


def test_there_are_no_errors_but_these():
    defined = {name for name, value in vars(exceptions).items() if inspect.isclass(value)}
    assert defined == set(exceptions.__all__) == {"PipAcceleratorError", *PARENTS}


@pytest.mark.parametrize("name", exceptions.__all__)
def test_the_message_is_compacted_and_the_context_kept(name):
    text, context = "The  project\n {name}\n\n  has {count} files.", {"name": "a  {b}", "count": 2, "unused": [1]}
    error = getattr(exceptions, name)(text, **context)
    assert str(error) == compact(text, **context) == "The project a  {b}\n\nhas 2 files."
    assert {**error.context, "unused": list(error.context["unused"])} == context


def test_a_value_that_cannot_be_understood_is_a_value_error_too():
    assert issubclass(ConfigError, ValueError)


def test_no_message_shows_a_secret():
    assert str(PipAcceleratorError("{url} is gone", url="https://me:pw@host/x")) == "https://****@host/x is gone"


@pytest.mark.parametrize("kind", [PipFailed, NothingFound])
def test_what_pip_was_asked_and_said_is_kept_without_secrets(kind):
    command = ["python", "-m", "pip", "install", "-i", "https://me:pw@host/simple", "--proxy", "me:pw@proxy:3128"]
    error = kind("pip: {output}", command=command, status=1, output="no https://host/x?token=pw")
    assert error.context == {
        "command": ("python", "-m", "pip", "install", "-i", "https://****@host/simple", "--proxy", "****@proxy:3128"),
        "status": 1,
        "output": "no https://host/x?token=****",
    }
    assert str(error) == "pip: no https://host/x?token=****"
