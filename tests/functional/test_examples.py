"""The examples of the documentation, run as users run them: what they print, and what they leave."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pip_accel.bdist import BinaryDistributionManager
from pip_accel.config import Config
from pip_accel.utils import create_file_url
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ
from tests.lib.judge import compare_trees, drop_permitted
from tests.lib.runs import CHECKOUT, installed, run_pip
from tests.lib.trees import snapshot

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = Path(CHECKOUT, "examples")
BOTH = {"alpha": "1.0", "beta": "1.0"}


@pytest.fixture
def run(index, data, tmp_path):
    """Runs an example in a directory of its own: ``run(name, word, ..., VARIABLE=value)``."""

    def run(name, *words, status=0, umask=-1, **variables):
        paths = [*variables.pop("PYTHONPATH", "").split(), CHECKOUT]
        settings = {"PIP_INDEX_URL": index.url, "PIP_ACCEL_CACHE": data, **variables}
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), *words],
            env=clean_environ(PYTHONPATH=os.pathsep.join(paths), PYTHONDONTWRITEBYTECODE="1", **settings),
            cwd=tmp_path,
            umask=umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, f"{name} gave status {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture
def counter(tmp_path):
    """Counts the wheels that were built of alpha."""
    path = tmp_path / "counter"

    def count():
        return path.read_text().splitlines().count("build_wheel alpha 1.0") if path.exists() else 0

    count.path = str(path)
    return count


@pytest.fixture
def alpha(index, archives, counter):
    """Path of an sdist, which the index has, and a wheel of what it requires."""
    path = make_sdist(archives, "alpha", "1.0", requires=["beta"], counter=counter.path)
    index.add(path)
    index.add(make_wheel(archives, "beta", "1.0"))
    return path


@pytest.fixture
def backend(archives, tmp_path):
    """Path of a directory that the example of a cache backend is installed in, as its ``pyproject.toml`` says."""
    source = EXAMPLES / "directory-cache"
    settings = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    project, names = settings["project"], settings["tool"]["setuptools"]["py-modules"]
    points = "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in each.items())
        for group, each in project["entry-points"].items()
    )
    modules = {f"{name}.py": (source / f"{name}.py").read_text(encoding="utf-8") for name in names}
    wheel = make_wheel(archives, project["name"], project["version"], files=modules, entry_points=points)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return str(tmp_path / "site")


# Planning


def test_a_plan_tells_what_from_where_and_why_and_changes_nothing(run, alpha, index, fresh):
    environment = fresh()
    before = snapshot(environment.prefix)
    done = run("plan.py", "alpha", PIP_PYTHON=environment.python)
    beta, own = done.stdout.splitlines()
    files = index.url.removesuffix("simple/") + "files/"
    assert beta == f"beta 1.0 (wheel, required by another) from {files}beta-1.0-py3-none-any.whl"
    assert own == f"alpha 1.0 (source, asked for) from {files}alpha-1.0.tar.gz"
    index.reset()
    assert run("plan.py", "alpha", PIP_PYTHON=environment.python).stdout == done.stdout
    assert (index.requests, done.stderr, snapshot(environment.prefix)) == ([], "", before)


def test_a_plan_has_the_url_of_what_is_asked_for_by_path_and_nothing_that_is_there(run, alpha, fresh):
    environment = fresh()
    run("errors.py", environment.prefix, "beta")
    done = run("plan.py", alpha, PIP_PYTHON=environment.python)
    assert done.stdout == f"alpha 1.0 (source, asked for) from {create_file_url(alpha)}\n"


# Building


@pytest.mark.parametrize("by_path", [True, False])
def test_an_archive_is_built_once_and_installs_without_the_cache(
    by_path, run, alpha, counter, index, fresh, tmp_path
):
    word = alpha if by_path else "alpha"
    done = run("build.py", word, "one")
    index.reset()
    again = run("build.py", word, "two")
    built = [tmp_path / each.stdout.rstrip("\n") for each in (done, again)]
    assert [list((tmp_path / name).iterdir()) for name in ("one", "two")] == [[path] for path in built]
    assert built[0].read_bytes() == built[1].read_bytes() and built[0].name.startswith("alpha-1")
    assert (counter(), index.requests, done.stderr, again.stderr) == (1, [], "", "")

    environment = fresh()
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "elsewhere")
    config.python_executable = environment.python
    manager = BinaryDistributionManager(config)
    manager.install_binary_dist(manager.transform_binary_dist(str(built[0])))
    assert installed(environment) == {"alpha": "1.0"}


# Installing


def test_a_prefix_gets_what_pip_puts_there_whatever_is_installed(run, alpha, index, archives, tmp_path):
    index.add(make_wheel(archives, "packaging", "99.0"))  # which pip-accel runs on, in an earlier version
    words = ["install", "--ignore-installed", "--prefix", str(tmp_path / "one"), "alpha", "packaging"]
    run_pip(words, sys.executable, PIP_INDEX_URL=index.url)
    for _ in range(2):
        done = run("install.py", "two", "alpha", "packaging")
        assert (done.stdout, done.stderr) == ("3 installed below two\n", "")
        assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []


def test_messages_are_shown_as_the_program_wants_it(run, alpha, backend, tmp_path):
    (tmp_path / "mount").write_text("not a directory")
    done = run("install.py", "prefix", "alpha", PYTHONPATH=backend, DIRECTORY_CACHE=str(tmp_path / "mount"))
    [line] = done.stderr.splitlines()
    assert line.startswith("pip_accel: The cache backend the directory ") and "is off for this run" in line
    assert done.stdout == "2 installed below prefix\n"


# A configuration of its own


def test_files_and_variables_have_no_say_in_an_isolated_installation(run, alpha, index, tmp_path):
    (tmp_path / "pip-accel.conf").write_text("[pip-accel]\noffline = yes\n")
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text("[install]\nno-deps = yes\n")
    done = run(
        "isolated.py",
        *("own", "--index-url", index.url, "alpha"),
        HOME=str(tmp_path),
        PIP_ACCEL_CACHE=str(tmp_path / "cache"),
        PIP_ACCEL_CONFIG=str(tmp_path / "pip-accel.conf"),
        PIP_ACCEL_MAX_RETRIES="many",
        PIP_NO_BINARY=":all:",
    )
    assert (done.stdout, done.stderr) == ("2 installed into own/environment\n", "")
    assert sorted(each.name for each in (tmp_path / "own").iterdir()) == ["cache", "environment"]
    assert not (tmp_path / "cache").exists()
    [module] = (tmp_path / "own").glob("environment/lib/*/site-packages/alpha.py")
    assert module.stat().st_nlink == 1


# A cache of its own


def test_a_backend_is_found_by_its_entry_point_and_serves_another_machine(
    run, alpha, backend, counter, data, tmp_path
):
    def build(machine, **variables):
        done = run("build.py", alpha, machine, PIP_ACCEL_CACHE=f"{data}-{machine}", PYTHONPATH=backend, **variables)
        assert done.stderr == ""
        return tmp_path / done.stdout.rstrip("\n")

    shared = {"DIRECTORY_CACHE": str(tmp_path / "mount")}
    one = build("one", umask=0o077, **shared)
    [kept] = (tmp_path / "mount").glob("v*/alpha/*")
    assert kept.read_bytes() == one.read_bytes() and kept.stat().st_mode & 0o777 == 0o644
    assert build("two", **shared).read_bytes() == one.read_bytes()
    assert counter() == 1
    build("three")
    assert counter() == 2


def test_what_is_damaged_in_a_backend_is_built_again_and_replaced(run, alpha, backend, counter, data, tmp_path):
    shared = {"DIRECTORY_CACHE": str(tmp_path / "mount"), "PYTHONPATH": backend}
    run("build.py", alpha, "one", **shared)
    [kept] = (tmp_path / "mount").glob("v*/alpha/*")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-9])
    run("build.py", alpha, "two", PIP_ACCEL_CACHE=f"{data}-2", **shared)
    assert counter() == 2
    assert run("build.py", alpha, "three", PIP_ACCEL_CACHE=f"{data}-3", **shared).stderr == ""
    assert counter() == 2 and sorted(kept.parent.iterdir()) == [kept]


# Errors


def test_what_works_is_counted(run, alpha, fresh):
    environment = fresh()
    for count in (2, 0):
        done = run("errors.py", environment.prefix, "alpha")
        assert (done.stdout, done.stderr) == (f"{count} installed\n", "")
    assert installed(environment) == BOTH


@pytest.mark.parametrize(
    ("words", "variables", "printed"),
    [
        (["no-such-project"], {}, r"Not to be had: .*No matching distribution found for no-such-project"),
        (
            ["alpha==1.0", "alpha==2.0"],
            {},
            r"pip ended with status 1 and said:\nERROR: Cannot install alpha==1\.0 and alpha==2\.0(?s:.)*",
        ),
        (["broken"], {}, r"broken 1\.0 was not built\. The build said:\nit does not say why"),
        (["alpha"], {"PIP_ACCEL_LOG_VERBOSITY": "loud"}, r"ConfigError: \$PIP_ACCEL_LOG_VERBOSITY cannot be 'loud'.*"),
        (["alpha"], {"PIP_ACCEL_CACHE": "/dev/null"}, r"DataDirectoryError: The data directory /dev/null .*"),
    ],
    ids=["nothing found", "conflict", "failed build", "configuration", "data directory"],
)
def test_what_goes_wrong_is_told_apart_and_leaves_the_environment_alone(
    words, variables, printed, run, alpha, fresh, index, archives
):
    environment = fresh()
    index.add(make_sdist(archives, "broken", "1.0", fail=True, output="it does not say why"))
    before = snapshot(environment.prefix)
    done = run("errors.py", environment.prefix, *words, status=1, **variables)
    assert re.fullmatch(printed, done.stdout.rstrip("\n")), done.stdout
    assert (snapshot(environment.prefix), done.stderr) == (before, "")


OUTPUT = "src/x.c:1:10: fatal error: needed.h: No such file or directory"
#: Has pip-accel know a package manager of ours, which brings ``needed.h``, in place of that of the machine.
OWN_PACKAGES = """\
import pip_accel.deps
pip_accel.deps.OWN = ({place!r},)
pip_accel.deps.SystemPackageManager._shipped = staticmethod(list)
"""
DEFINITION = """\
[commands]
supported = true
list = true
install = bring-packages --quickly
[things]
header needed.h = libneeded-dev
"""


@pytest.fixture
def packages(tmp_path):
    """Path of a directory with which an interpreter knows the package manager."""
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "own.ini").write_text(DEFINITION)
    (tmp_path / "customized").mkdir()
    text = OWN_PACKAGES.format(place=str(tmp_path / "definitions"))
    (tmp_path / "customized" / "sitecustomize.py").write_text(text)
    return str(tmp_path / "customized")


def test_system_packages_that_a_build_needs_are_named_behind_what_it_said(run, fresh, index, archives, packages):
    index.add(make_sdist(archives, "broken", "1.0", fail=True, output=OUTPUT))
    environment = fresh()
    done = run("errors.py", environment.prefix, "broken", status=1, PYTHONPATH=packages)
    assert done.stdout.startswith("broken 1.0 could not be built") and OUTPUT in done.stdout
    assert done.stdout.splitlines()[-1].endswith("bring-packages --quickly libneeded-dev")


def test_nothing_to_do_is_no_error(run, fresh, tmp_path):
    (tmp_path / "requirements.txt").write_text("# nothing yet\n")
    assert run("errors.py", fresh().prefix, "-r", "requirements.txt").stdout == "Nothing is asked for\n"


def test_pip_does_what_only_pip_can_do(run, alpha, fresh, index):
    environment = fresh()
    done = run("errors.py", environment.prefix, "--isolated", "--index-url", index.url, "alpha")
    assert re.match(r"pip has to do this: .*--isolated\nLooking in indexes", done.stdout)
    assert installed(environment) == BOTH


def test_an_odd_configuration_is_worth_a_note(run, alpha, fresh):
    done = run("errors.py", fresh().prefix, "alpha", PIP_ACCEL_CONFIG="/nonexistent/file")
    assert re.fullmatch(r"Note: \$PIP_ACCEL_CONFIG names /nonexistent/file.*\n2 installed\n", done.stdout)


# All of them


def test_each_example_is_run_by_a_test_and_shown_in_the_documentation():
    files = [path for path in sorted(EXAMPLES.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    names = [path.relative_to(EXAMPLES).as_posix() for path in files]
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in names if f'"{name.partition("/")[0]}"' not in here] == []
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(Path(CHECKOUT, "docs").glob("*.rst")))
    shown = set(re.findall(r"^\.\. literalinclude:: \.\./examples/(\S+)$", pages, re.MULTILINE))
    assert shown == set(names)
