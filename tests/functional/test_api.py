"""The documented classes as embedding programs use them: real builds, and pip as the judge of what gets installed."""

from __future__ import annotations

import glob
import json
import logging
import os
import subprocess
import tarfile

import pytest

from pip_accel import PipAccelerator, _fs
from pip_accel._build.source import unpack_sdist
from pip_accel._values import Archive
from pip_accel.bdist import BinaryDistributionManager
from pip_accel.caches import CacheManager
from pip_accel.config import Config
from pip_accel.exceptions import (
    BuildFailed,
    DataDirectoryError,
    InvalidSourceDistribution,
    NoBuildOutput,
    NothingFound,
)
from pip_accel.req import Requirement, TransactionalUpdate
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ, make_environment, setuptools_wheel
from tests.lib.judge import compare_trees, drop_permitted
from tests.lib.runs import PIP, installed, run_pip
from tests.lib.trees import snapshot

FILES = {"alpha/__init__.py": "def main(): print('alpha runs')\n", "alpha/data.txt": "data"}
DATA = {
    "scripts/alpha-tool": "#!python\nimport alpha\nalpha.main()\n",
    "headers/alpha.h": "/* alpha */",
    "data/share/alpha/table.txt": "1\n",
}
POINTS = "[console_scripts]\nalpha-main = alpha:main\n"


@pytest.fixture
def setuptools(index):
    """Has the index offer setuptools."""
    index.add(setuptools_wheel())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Path of a data directory for all of these tests: setuptools is unpacked once."""
    return str(tmp_path_factory.mktemp("api") / "data")


@pytest.fixture(autouse=True)
def variables(index, monkeypatch):
    """The variables of this process name the index and nothing else."""
    expected = clean_environ(PIP_INDEX_URL=index.url)
    for name in set(os.environ) - set(expected):
        monkeypatch.delenv(name)
    for name, value in expected.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def config(data):
    settings = Config(load_configuration_files=False, load_environment_variables=False)
    settings.data_directory = data
    return settings


@pytest.fixture
def environment(config, tmp_path):
    """The environment to install into, in place of the one that runs this."""
    environment = make_environment(str(tmp_path / "two" / "env"))
    config.python_executable = environment.python
    return environment


@pytest.fixture
def model(tmp_path):
    """The environment that pip installs into."""
    return make_environment(str(tmp_path / "one" / "env"))


@pytest.fixture
def manager(config):
    return BinaryDistributionManager(config)


@pytest.fixture
def accelerator(config, environment):
    return PipAccelerator(config, python=environment.python)


def alpha(directory, backend, **options):
    given = {"files": FILES, "data": DATA, "entry_points": POINTS, **options}
    return make_sdist(directory, "alpha", "1.0", backend=backend, **given)


def requirement_of(config, path, **more):
    """The requirement that a plan would give for an sdist of alpha."""
    item = {"metadata": {"name": "alpha", "version": "1.0"}, "requested": True, "is_direct": False, **more}
    item.setdefault("download_info", {"url": "https://example.com/alpha-1.0.tar.gz"})
    return Requirement(config, item, archive=Archive(path, os.path.basename(path), _fs.hash_file(path)))


@pytest.mark.index
@pytest.mark.parametrize("backend", ["in-tree", "setup.py"])
def test_what_is_installed_is_what_pip_installs(
    backend, config, environment, model, index, archives, setuptools, tmp_path
):
    counter = str(tmp_path / "counter")
    path = alpha(archives, backend, counter=counter)
    index.add(path)
    run_pip(["install", "--index-url", index.url, "alpha"], model)
    os.unlink(counter)

    requirement, manager = requirement_of(config, path), BinaryDistributionManager(config)
    assert CacheManager(config).get(requirement) is None
    manager.install_binary_dist(manager.get_binary_dist(requirement))
    assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []
    assert environment.run([os.path.join(environment.prefix, "bin", "alpha-tool")]).stdout == "alpha runs\n"

    index.reset()
    calls = os.stat(counter).st_size
    cached = CacheManager(config).get(requirement)
    assert not manager.needs_invalidation(requirement, cached)
    again = {member.name: stream.read() for member, stream in manager.get_binary_dist(requirement)}
    assert again["bin/alpha-tool"].startswith(b"#!python\n")
    assert (os.stat(counter).st_size, index.requests) == (calls, [])


def test_an_explicit_prefix_is_that_of_pip(config, manager, environment, archives, tmp_path):
    path = alpha(archives, "in-tree")
    prefixes = str(tmp_path / "prefix-1"), str(tmp_path / "prefix-2")
    command = [*PIP, "--python", environment.python, "install", "--no-index", "--find-links", archives]
    subprocess.run([*command, "--prefix", prefixes[0], "alpha"], env=clean_environ(), check=True, capture_output=True)
    manager.install_binary_dist(manager.get_binary_dist(requirement_of(config, path)), prefix=prefixes[1])
    assert drop_permitted(compare_trees(*prefixes)) == []


@pytest.mark.parametrize("there", [True, False])
def test_an_interpreter_is_named_by_scripts_and_has_no_say_in_where_they_go(
    there, config, manager, environment, fresh, archives, tmp_path
):
    other = fresh().python if there else "/opt/later/bin/python"
    before = sorted(os.listdir(os.path.dirname(other))) if there else []
    wheel = make_wheel(archives, "alpha", "1.0", data={"scripts/tool": "#!python\nprint(1)\n"})
    manager.install_binary_dist(manager.transform_binary_dist(wheel), python=other)
    with open(os.path.join(environment.prefix, "bin", "tool"), encoding="utf-8") as stream:
        assert stream.readline() == f"#!{other}\n"
    assert there is False or sorted(os.listdir(os.path.dirname(other))) == before


def test_an_item_of_pips_report_is_all_that_is_needed(config, manager, environment, model, archives, tmp_path):
    path, report = alpha(archives, "in-tree"), str(tmp_path / "report.json")
    run_pip(["install", "--quiet", "--no-index", "--report", report, path], model)
    with open(report, encoding="utf-8") as stream:
        (item,) = json.load(stream)["install"]
    requirement = Requirement(config, item)
    assert (requirement.is_direct, requirement.is_wheel, requirement.related_archives) == (True, False, [path])
    assert requirement.sdist_metadata["Name"] == "alpha"
    with TransactionalUpdate(requirement):
        manager.install_binary_dist(manager.get_binary_dist(requirement), requirement=requirement)
    assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []


def test_a_directory_is_built_each_time(config, manager, archives, tmp_path):
    counter = tmp_path / "counter"
    source = unpack_sdist(alpha(archives, "in-tree", counter=str(counter)), str(tmp_path / "source"))
    info = {"url": f"file://{source}", "dir_info": {}}
    requirement = Requirement(config, {"metadata": {"name": "alpha", "version": "1.0"}, "download_info": info})
    for build in range(1, 3):
        assert "bin/alpha-tool" in [member.name for member, _ in manager.get_binary_dist(requirement)]
        assert counter.read_text().splitlines().count("build_wheel alpha 1.0") == build
    assert manager.build_binary_dist(requirement).endswith(".whl")
    with pytest.raises(InvalidSourceDistribution, match="not an sdist"):
        manager.build_binary_dist_helper(requirement, ["bdist_dumb"])


FAILING = "import sys\nif 'bdist_dumb' in sys.argv: sys.exit('no dumb one')\n"
SETUP = "from setuptools import setup\nsetup(name='alpha', version='1.0', packages=['alpha'])\n"


@pytest.mark.index
@pytest.mark.parametrize(
    ("script", "ending"),
    [
        (SETUP, ".tar"),
        (FAILING + SETUP, ".tar.gz"),
        (FAILING.replace("'no dumb one'", "") + SETUP, ".tar.gz"),
        (FAILING.replace("bdist_dumb", "bdist") + FAILING + SETUP, ".whl"),
        (SETUP.replace("packages", "data_files=[('/etc/alpha', ['setup.py'])], packages"), ".whl"),
    ],
    ids=["bdist_dumb", "bdist", "bdist, as bdist_dumb left nothing", "wheel", "a file outside of the prefix"],
)
def test_a_setup_script_is_built_in_the_ways_there_are(
    script, ending, config, manager, environment, archives, setuptools
):
    path = alpha(archives, "setup.py", data={}, entry_points="", extra_files={"setup.py": script})
    built = manager.build_binary_dist(requirement_of(config, path))
    assert os.path.basename(built).partition("-")[0] == "alpha"
    assert built.endswith(ending)
    manager.install_binary_dist(manager.transform_binary_dist(built))
    assert installed(environment) == {"alpha": "1.0"}
    assert environment.run(["-c", "import alpha; alpha.main()"]).stdout == "alpha runs\n"


@pytest.mark.index
def test_a_setup_script_is_built_in_the_way_that_is_named(config, manager, archives, setuptools):
    script = "import sys\nif 'clean' in sys.argv: sys.exit('no cleaning')\n" + SETUP
    requirement = requirement_of(config, alpha(archives, "setup.py", extra_files={"setup.py": script}))
    built = manager.build_binary_dist_helper(requirement, ["sdist", "--formats=bztar"])
    with tarfile.open(built, "r:bz2") as archive:
        assert "alpha-1.0/setup.py" in archive.getnames()
    with pytest.raises(BuildFailed, match=r"setup\.py clean of alpha") as caught:
        manager.build_binary_dist_helper(requirement, ["clean"])
    assert "no cleaning" in caught.value.context["output"]
    with pytest.raises(NoBuildOutput, match="left 0 files"):
        manager.build_binary_dist_helper(requirement, ["build"])


def test_a_project_with_a_backend_is_built_as_a_wheel(config, manager, archives):
    requirement = requirement_of(config, alpha(archives, "in-tree"))
    assert os.path.basename(manager.build_binary_dist(requirement)) == "alpha-1.0-py3-none-any.whl"
    with pytest.raises(InvalidSourceDistribution, match="alpha"):
        manager.build_binary_dist_helper(requirement, ["bdist_dumb"])


@pytest.mark.parametrize("build", ["get_binary_dist", "build_binary_dist"])
def test_a_build_that_fails_shows_what_it_said(config, manager, archives, data, build):
    path = alpha(archives, "in-tree", fail=True, output="fatal error: ffi.h: No such file")
    with pytest.raises(BuildFailed, match="alpha") as caught:
        getattr(manager, build)(requirement_of(config, path))
    assert "ffi.h" in caught.value.context["output"]
    assert os.listdir(os.path.join(data, "tmp")) == []


@pytest.mark.parametrize("build", ["get_binary_dist", "build_binary_dist"])
def test_an_sdist_with_nothing_to_build_with_is_called_so(config, manager, archives, build):
    os.makedirs(archives)
    path = os.path.join(archives, "alpha-1.0.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("alpha-1.0/PKG-INFO"))
    with pytest.raises(InvalidSourceDistribution, match=r"setup\.py"):
        getattr(manager, build)(requirement_of(config, path))


def test_build_requirements_that_are_not_to_be_had_are_an_error_of_the_build(config, manager, archives):
    path = alpha(archives, "in-tree", build_requires=["not-to-be-had"])
    with pytest.raises(BuildFailed, match="not-to-be-had"):
        manager.get_binary_dist(requirement_of(config, path))


def test_with_required_hashes_nothing_is_taken_that_others_built(config, manager, archives, tmp_path, monkeypatch):
    requirement = requirement_of(config, alpha(archives, "in-tree", counter=str(tmp_path / "count.txt")))

    def builds():
        list(manager.get_binary_dist(requirement))
        return (tmp_path / "count.txt").read_text().split().count("build_wheel")

    assert builds() == 1
    for directory, _, names in os.walk(os.path.join(config.data_directory, "origins")):
        for name in names:
            os.unlink(os.path.join(directory, name))  # as if another machine had built it
    assert builds() == 1
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    assert builds() == 2
    assert builds() == 2


def test_a_data_directory_of_others_is_not_used(config, manager, archives, tmp_path):
    config.data_directory = str(tmp_path / "data")
    os.mkdir(config.data_directory)
    os.chmod(config.data_directory, 0o777)
    with pytest.raises(DataDirectoryError, match="others may write"):
        manager.get_binary_dist(requirement_of(config, alpha(archives, "in-tree")))


# System packages, caches and ways of building, as BinaryDistributionManager sees them


LACKING = "x.c:1:10: fatal error: needed.h: No such file or directory"
PACKAGE_MANAGER = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
case "$1" in
    list) cat packages ;;
    install) shift; printf '%s\\n' "$@" >> packages ;;
esac
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The list of what a package manager of our own has installed; it knows what brings ``needed.h``."""
    program = tmp_path / "manager" / "run"
    program.parent.mkdir()
    program.write_text(PACKAGE_MANAGER)
    program.chmod(0o755)
    definition = tmp_path / "definitions" / "own.ini"
    definition.parent.mkdir()
    commands = f"supported = true\nlist = {program} list\ninstall = {program} install"
    definition.write_text(f"[commands]\n{commands}\n[things]\nheader needed.h = libneeded-dev\n")
    monkeypatch.setattr("pip_accel.deps.OWN", (str(definition.parent),))
    monkeypatch.setattr("pip_accel.deps.SystemPackageManager._shipped", staticmethod(list))
    monkeypatch.setattr("pip_accel.deps.platforms.is_root", lambda: True)
    installed = program.with_name("packages")
    installed.touch()
    return installed


def test_a_build_succeeds_once_the_system_packages_it_lacks_are_installed(config, manager, archives, packages):
    backend = f"""
import sys
from in_tree_backend import *
with open({str(packages)!r}) as stream:
    if stream.read() != "libneeded-dev\\n":
        sys.exit({LACKING!r})
"""
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "checking"\nbackend-path = ["_backend"]\n'
    path = alpha(archives, "in-tree", extra_files={"_backend/checking.py": backend, "pyproject.toml": pyproject})
    config.auto_install = True
    members = [member.name for member, _ in manager.get_binary_dist(requirement_of(config, path))]
    assert "bin/alpha-tool" in members


@pytest.mark.parametrize(
    ("output", "allowed", "builds", "said"),
    [
        (LACKING, True, 2, r"needed\.h"),
        (LACKING, False, 1, "run install libneeded-dev"),
        ("it does not say why", True, 1, "it does not say why"),
    ],
    ids=["installed", "refused", "not known"],
)
def test_a_build_is_tried_once_more_only_where_packages_were_installed(
    config, manager, archives, packages, tmp_path, output, allowed, builds, said
):
    counter = tmp_path / "counter"
    path = alpha(archives, "in-tree", fail=True, output=output, counter=str(counter))
    config.auto_install = allowed
    with pytest.raises(BuildFailed, match=said):
        manager.get_binary_dist(requirement_of(config, path))
    assert counter.read_text().split().count("build_wheel") == builds
    assert packages.read_text().split() == ["libneeded-dev"] * (builds - 1)


def test_a_cached_archive_that_is_damaged_is_built_anew(config, manager, archives, tmp_path):
    counter = tmp_path / "counter"
    requirement = requirement_of(config, alpha(archives, "in-tree", counter=str(counter)))
    whole = [stream.read() for _, stream in manager.get_binary_dist(requirement)]
    cached = CacheManager(config).get(requirement)
    os.truncate(cached, os.path.getsize(cached) - 9)
    assert [stream.read() for _, stream in manager.get_binary_dist(requirement)] == whole
    assert counter.read_text().split().count("build_wheel") == 2


@pytest.mark.index
def test_when_every_way_fails_the_error_has_what_all_of_them_said(config, manager, archives, setuptools):
    words = ["bdist_dumb", "bdist", "bdist_wheel"]
    script = f"import sys\nfor word in {words}:\n    if word in sys.argv: sys.exit('no ' + word)\n" + SETUP
    requirement = requirement_of(config, alpha(archives, "setup.py", extra_files={"setup.py": script}))
    with pytest.raises(BuildFailed, match="alpha") as caught:
        manager.build_binary_dist(requirement)
    said = caught.value.context["output"].splitlines()
    assert [line for line in said if line.startswith("no ")] == [f"no {word}" for word in words]


@pytest.mark.index
def test_one_way_of_building_is_isolated_and_leaves_exactly_one_file(config, manager, archives, setuptools):
    script = "import importlib.util, os\nassert importlib.util.find_spec('pytest') is None\n"
    script += "assert os.environ['LC_ALL'] == 'C.UTF-8'\n" + SETUP
    path = alpha(archives, "setup.py", extra_files={"setup.py": script, "dist/alpha-0.9.tar": "of before"})
    requirement = requirement_of(config, path)
    assert manager.build_binary_dist_helper(requirement, ["sdist"]).endswith("alpha-1.0.tar.gz")
    with pytest.raises(NoBuildOutput, match="left 2 files"):
        manager.build_binary_dist_helper(requirement, ["sdist", "--formats=gztar,zip"])


# The whole run


def test_what_is_installed_from_arguments_is_what_pip_installs(
    accelerator, environment, model, index, archives, tmp_path, capfd
):
    index.add(alpha(archives, "in-tree", requires=["beta"]))
    index.add(make_wheel(archives, "beta", "1.0"))
    run_pip(["install", "alpha"], model, PIP_INDEX_URL=index.url)
    assert accelerator.install_from_arguments(["alpha"]) == 2
    assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []
    index.reset()
    assert accelerator.install_from_arguments(["alpha"]) == 0
    assert index.requests == []
    assert capfd.readouterr() == ("", "")  # to print is for the program


@pytest.mark.parametrize(
    ("words", "error"),
    [(["gamma", "not-to-be-had"], NothingFound), (["gamma", "beta==2.0", "alpha"], BuildFailed)],
    ids=["nothing found", "failed build"],
)
def test_a_run_that_fails_leaves_the_environment_as_it_was(
    words, error, accelerator, environment, index, archives, data
):
    for name, version in ("beta", "1.0"), ("beta", "2.0"), ("gamma", "1.0"):
        index.add(make_wheel(archives, name, version))
    index.add(alpha(archives, "in-tree", fail=True))
    assert accelerator.install_from_arguments(["beta==1.0"]) == 1
    before = snapshot(environment.prefix)
    with pytest.raises(error):
        accelerator.install_from_arguments(words)
    assert snapshot(environment.prefix) == before
    assert os.listdir(os.path.join(data, "tmp")) == []


def test_a_run_refuses_a_data_directory_that_others_may_write_to(
    config, accelerator, environment, index, archives, tmp_path
):
    index.add(make_wheel(archives, "beta", "1.0"))
    config.data_directory = str(tmp_path / "data")
    os.mkdir(config.data_directory)
    os.chmod(config.data_directory, 0o777)
    with pytest.raises(DataDirectoryError, match="others may write"):
        accelerator.install_from_arguments(["beta"])
    assert installed(environment) == {}


# What the configuration does


@pytest.mark.parametrize(("mode", "shared"), [("hardlink", True), ("copy", False)])
def test_files_are_shared_with_the_store_or_copied(mode, shared, config, accelerator, environment, index, archives):
    files = {"beta/__init__.py": "", "beta/data.txt": "data", "beta/settings.yml": "a: b", "beta/settings.ini": "[a]"}
    index.add(make_wheel(archives, "beta", "1.0", files=files))
    config.link_mode = mode
    config.copy_patterns = "*.yml s*.yaml"
    accelerator.install_from_arguments(["beta"])
    place = os.path.join(environment.site_packages, "beta")
    links = {name: os.stat(os.path.join(place, name)).st_nlink > 1 for name in os.listdir(place) if "." in name}
    assert links == {"__init__.py": shared, "data.txt": shared, "settings.ini": shared, "settings.yml": False}


def test_the_parts_of_the_data_directory_may_lie_elsewhere(config, accelerator, index, archives, tmp_path):
    index.add(alpha(archives, "in-tree"))
    config.data_directory = str(tmp_path / "data")
    config.source_index, config.binary_cache = str(tmp_path / "archives-here"), str(tmp_path / "built-here")
    config.cache_format_revision = 9
    old = tmp_path / "built-here" / "v8" / "alpha" / "alpha-1.0.tar.gz"
    old.parent.mkdir(parents=True)
    old.write_text("of another revision")
    accelerator.install_from_arguments(["alpha"])
    assert not {"sources", "binaries"} & set(os.listdir(config.data_directory))
    assert glob.glob(f"{config.source_index}/archives/*/*/alpha-1.0.tar.gz")
    assert glob.glob(f"{config.binary_cache}/v9/alpha/alpha-1-*.tar.gz")
    assert [path.name for path in old.parent.iterdir()] == ["alpha-1.0.tar.gz"]


@pytest.mark.index
def test_a_legacy_build_finds_its_eggs_below_the_configured_directory(
    config, accelerator, index, archives, setuptools, tmp_path
):
    seen = tmp_path / "seen"
    script = f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(os.readlink('.eggs'))\n# setup_requires\n"
    index.add(alpha(archives, "setup.py", extra_files={"setup.py": script + SETUP}))
    config.eggs_cache = str(tmp_path / "eggs")
    accelerator.install_from_arguments(["alpha"])
    assert os.path.dirname(seen.read_text()) == config.eggs_cache and os.path.isdir(seen.read_text())


@pytest.mark.parametrize("quiet", [True, False])
def test_the_loggers_of_boto3_are_quiet_unless_they_are_wanted(quiet, config, monkeypatch):
    pytest.importorskip("boto3")
    from pip_accel.caches.s3 import S3CacheBackend

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    config.s3_cache_bucket, config.silence_boto = "wheels", quiet
    loggers = [logging.getLogger(name) for name in ("boto3", "botocore", "urllib3")]
    for logger in loggers:
        monkeypatch.setattr(logger, "level", logging.DEBUG)
    assert S3CacheBackend(config).s3_connection is not None
    assert {logger.getEffectiveLevel() for logger in loggers} == {logging.FATAL if quiet else logging.DEBUG}
