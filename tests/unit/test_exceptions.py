"""What every error promises: its message, its context, and who catches it."""

import inspect
import os
import sys
import tarfile

import pytest

from pip_accel import exceptions
from pip_accel._build.hooks import Backend
from pip_accel._build.source import BuildSystem, read_build_system, unpack_sdist
from pip_accel._environment import validate_environment
from pip_accel._install.link import make_file
from pip_accel._install.steps import Write
from pip_accel._plausibility import check_member_name
from pip_accel._process import Completed
from pip_accel._resources import open_data_directory
from pip_accel._text import compact
from pip_accel.bdist import BinaryDistributionManager
from pip_accel.caches.s3 import S3CacheBackend
from pip_accel.config import Config
from pip_accel.deps.definitions import Definition
from pip_accel.deps.platforms import Platform
from pip_accel.exceptions import ConfigError, NothingFound, PipAcceleratorError, PipFailed
from pip_accel.req import Requirement

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
    found = {**error.context, "unused": list(error.context["unused"])}
    assert {key: found[key] for key in context} == context
    assert found.keys() - context.keys() <= {"command", "errors", "output", "status"}


def test_callers_may_count_on_what_pip_and_builds_said():
    assert exceptions.BuildFailed("nothing had begun").context == {"output": ""}
    assert exceptions.NothingFound("nobody was asked").context == {
        "command": (), "status": None, "output": "", "errors": "",
    }  # fmt: skip


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
        "errors": "",
    }
    assert str(error) == "pip: no https://host/x?token=****"


# Where they are raised, and what a caller finds in them


@pytest.fixture
def config(tmp_path):
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "data")
    return config


def requirement(config, url):
    item = {"metadata": {"name": "alpha", "version": "1.0"}, "download_info": {"url": url}}
    return Requirement(config, item)


def backend(tmp_path, code):
    """A build backend of two lines."""
    (tmp_path / "small.py").write_text(f"def build_wheel(*words): {code}\n")
    system, environ = BuildSystem((), "small", (".",), False), {"PATH": os.environ["PATH"]}
    return Backend(str(tmp_path), system, sys.executable, environ, {}, "alpha 1.0")


def foreign_environment(config, tmp_path):
    validate_environment({"VIRTUAL_ENV": str(tmp_path)})


def unknown_format(config, tmp_path):
    _ = requirement(config, "https://example.org/alpha.exe").is_wheel


def no_metadata(config, tmp_path):
    with tarfile.open(tmp_path / "alpha.tar", "w"):
        pass
    BinaryDistributionManager(config).transform_binary_dist(str(tmp_path / "alpha.tar"))


def nothing_to_build_with(config, tmp_path):
    read_build_system(str(tmp_path))


def damaged_sdist(config, tmp_path):
    (tmp_path / "alpha-1.0.tar.gz").write_bytes(b"<html>")
    unpack_sdist(str(tmp_path / "alpha-1.0.tar.gz"), str(tmp_path / "into"))


def failed_build(config, tmp_path):
    backend(tmp_path, "print(*range(1000)); raise SystemExit(3)").wheel(str(tmp_path), None)


def build_without_wheel(config, tmp_path):
    backend(tmp_path, "print(*range(1000)); return 'alpha.whl'").wheel(str(tmp_path), None)


def no_bucket(config, tmp_path):
    S3CacheBackend(config)


def no_list_of_packages(config, tmp_path):
    definition = Definition("", {"list": "/no/such/program --all"}, frozenset(), frozenset(), {}, {}, {})
    Platform(definition, str(tmp_path), {}).find_installed()


def failed_installation_of_packages(config, tmp_path):
    class Failing(Platform):
        def _run_as_root(self, command):
            return Completed(100, "E: no such package\n", "")

    definition = Definition("", {"install": "pm add"}, frozenset(), frozenset(), {}, {}, {})
    Failing(definition, str(tmp_path), {}).install(["libffi-dev"])


def value_that_is_none(config, tmp_path):
    config.max_retries = "many"
    _ = config.max_retries


def missing_file(config, tmp_path):
    config.load_configuration_file(str(tmp_path / "missing.conf"))


def file_for_directory(config, tmp_path):
    (tmp_path / "data").touch()
    open_data_directory(config.data_directory)


def unsafe_member(config, tmp_path):
    check_member_name("../alpha.py", "alpha.tar.gz")


def source_elsewhere(config, tmp_path):
    _ = requirement(config, "https://example.org/alpha-1.0.tar.gz").source_directory


def no_directory_for_a_file(config, tmp_path):
    make_file(Write(str(tmp_path / "no" / "alpha.py"), b"", 0o644, None))


NUMBERS = " ".join(map(str, range(1000)))


@pytest.mark.parametrize(
    ("name", "act", "context"),
    [
        ("EnvironmentMismatchError", foreign_environment, {"active": ..., "prefix": sys.prefix}),
        ("UnknownDistributionFormat", unknown_format, {"requirement": ..., "filename": "/alpha.exe"}),
        ("BinaryDistributionError", no_metadata, {"archive": "alpha.tar", "count": 0}),
        ("InvalidSourceDistribution", nothing_to_build_with, {"source": ...}),
        ("DamagedSourceDistribution", damaged_sdist, {"path": ..., "error": ...}),
        ("BuildFailed", failed_build, {"label": "alpha 1.0", "reason": "exit status 3", "output": NUMBERS}),
        ("NoBuildOutput", build_without_wheel, {"label": "alpha 1.0", "output": NUMBERS}),
        ("CacheBackendDisabledError", no_bucket, {}),
        ("SystemDependencyError", no_list_of_packages, {"command": "/no/such/program --all", "reason": ...}),
        (
            "DependencyInstallationFailed",
            failed_installation_of_packages,
            {"packages": "libffi-dev", "reason": ..., "command": ..., "output": "E: no such package\n"},
        ),
        ("ConfigError", value_that_is_none, {"origin": "The attribute max_retries", "value": "many", "accepted": ...}),
        ("ConfigFileError", missing_file, {"path": ..., "reason": "No such file or directory"}),
        ("DataDirectoryError", file_for_directory, {"path": ..., "reason": ...}),
        ("Unsupported", source_elsewhere, {"requirement": ...}),
        ("UnsafeArchive", unsafe_member, {"archive": "alpha.tar.gz", "name": "../alpha.py"}),
        ("LinkError", no_directory_for_a_file, {"path": ..., "error": ...}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_caller_needs_to_know_is_in_the_context(config, tmp_path, name, act, context):
    with pytest.raises(PipAcceleratorError) as caught:
        act(config, tmp_path)
    assert type(caught.value) is getattr(exceptions, name)
    found = caught.value.context
    assert context.keys() <= found.keys()
    assert {key: found[key] if value is not ... else ... for key, value in context.items()} == context
