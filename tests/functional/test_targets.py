"""Environments of all kinds as targets, and what other tools left in them: pip is the judge of each.

A Python that is not a virtual environment is a copy in a temporary directory: its program, and a library directory
whose entries lead to those of the original. It has all that is peculiar to the original, which no installation changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.functional.test_failures import NOBODY, can_be_root  # noqa: F401 (the latter in a condition)
from tests.functional.test_own_target import PROJECTS, SUMMARY
from tests.lib import judge as judge_module
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import Environment, clean_environ, make_environment
from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.judge import compare
from tests.lib.runs import CHECKOUT, PIP, PIP_ACCEL, find_interpreters
from tests.lib.trees import run_pip, snapshot

INTERPRETERS = sorted(find_interpreters().items(), key=lambda item: int(item[0].partition(".")[2]))
OLDEST, NEWEST = INTERPRETERS[0], INTERPRETERS[-1]
PAIRS = [(host, target) for host in INTERPRETERS for target in INTERPRETERS if host != target]

#: Debian's own Python, which has directories and rules of its own.
DEBIAN = "/usr/bin/python3"
BREAK = "--break-system-packages"

SCRIPT = "[console_scripts]\n{name} = {name}:main\n"
MODULE = "version = {version!r}\n\n\ndef main():\n    return 0\n"

#: Tells where an interpreter's program and standard library lie, and where pip installs to.
LOCATE = """\
import json, os, sys, sysconfig
program, prefix = os.path.realpath(sys.executable), sysconfig.get_config_var("installed_base")
print(json.dumps([program, prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]))
"""


def locate(python):
    """Paths of the program, the prefix, the standard library and where pip installs to, of an interpreter."""
    done = subprocess.run([python, "-I", "-c", LOCATE], env=clean_environ(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def is_managed(python):
    """Whether another tool manages the environment of an interpreter."""
    return os.path.exists(python) and os.path.exists(os.path.join(locate(python)[2], "EXTERNALLY-MANAGED"))


needs_debian = pytest.mark.skipif(not is_managed(DEBIAN), reason="needs a Python that Debian manages")


# Targets


def copy_python(directory, python):
    """A Python without any distribution, copied from that of an interpreter."""
    program, prefix, library, _ = locate(python)
    copied = Path(directory, os.path.relpath(library, prefix))
    copied.mkdir(parents=True)
    for entry in os.scandir(library):
        if entry.name not in ("site-packages", "dist-packages"):
            (copied / entry.name).symlink_to(entry.path)
    Path(directory, "bin").mkdir()
    interpreter = str(shutil.copy(program, Path(directory, "bin", "python")))
    site = locate(interpreter)[3]
    os.makedirs(site)
    return Environment(directory, interpreter, site)


def make_virtualenv(directory, python):
    """An environment that virtualenv makes, with a pip in it."""
    pytest.importorskip("virtualenv")
    environ = clean_environ(VIRTUALENV_NO_PERIODIC_UPDATE="1")
    command = [sys.executable, "-m", "virtualenv", "--quiet", "--python", python, directory]
    subprocess.run(command, env=environ, check=True)
    return describe_environment(directory)


def make_above(base):
    """An environment that sees what a Python has, which lies beside it."""
    directory = f"{base.prefix}-above"
    command = [base.python, "-m", "venv", "--without-pip", "--system-site-packages", directory]
    subprocess.run(command, env=clean_environ(), check=True)
    return describe_environment(directory)


def describe_environment(directory):
    """What a virtual environment in a directory consists of."""
    [site] = Path(directory).glob("lib/p*/site-packages")
    return Environment(directory, os.path.join(directory, "bin", "python"), str(site))


def unpack(archives, name, site, *, without=()):
    """Put a distribution of version 1.0 somewhere, as the package manager of a system may do it."""
    os.makedirs(site, exist_ok=True)
    with zipfile.ZipFile(os.path.join(archives, f"{name}-1.0-py3-none-any.whl")) as archive:
        archive.extractall(site, [member for member in archive.namelist() if not member.endswith(tuple(without))])


@pytest.fixture
def archives(archives):
    """A directory with an old and a new version of all projects; an sdist is the new one of ``gamma``."""
    for version in ("1.0", "2.0"):
        for name in ("alpha", "beta", "delta"):
            text = MODULE.format(version=version)
            make_wheel(
                archives, name, version,
                files={f"{name}.py": text, f"{name}_inner/__init__.py": text},
                data={f"scripts/{name}-tool": "#!python\n", f"data/share/{name}": version, f"headers/{name}.h": ""},
                entry_points=SCRIPT.format(name=name),
                requires=["delta"] if name == "alpha" else [],
            )  # fmt: skip
    make_wheel(archives, "gamma", "1.0")
    make_sdist(archives, "gamma", "2.0", entry_points=SCRIPT.format(name="gamma"))
    return archives


@pytest.fixture
def judge(archives, tmp_path, monkeypatch):
    """Installs the same with pip and with pip-accel into a kind of environment, and gives the differences.

    ``make`` takes the directory and the interpreter, and gives the environment; pip and pip-accel may be those of
    another Python, the ``host``.
    """
    with IndexServer(archives) as server:

        def run(make, *words, python=sys.executable, host=sys.executable, **options):
            monkeypatch.setattr(judge_module, "make_environment", make)
            return compare(
                words,
                index_args=["--index-url", server.url],
                python=python,
                pip_accel_command=[host, *PIP_ACCEL[1:]],
                workdir=str(tmp_path / "judge"),
                cache=str(tmp_path / "data"),
                pip_python=host,
                **options,
            )

        run.server = server
        run.directory = tmp_path / "judge"
        yield run


def said(judge):
    """What pip and pip-accel printed on standard error, without the paths of their sides."""
    sides = (judge.directory / "one", judge.directory / "two")
    return [Path(f"{side}.stderr").read_text().replace(str(side), "<side>") for side in sides]


# Kinds of environments


@pytest.mark.parametrize("make", [make_virtualenv, copy_python], ids=["a virtualenv with pip", "a Python of its own"])
def test_an_environment_is_changed_as_pip_changes_it(judge, make):
    prepare = [["alpha==1.0", "gamma==1.0", "delta==2.0"]]
    assert judge(make, "-U", "alpha", "gamma", "--force-reinstall", prepare=prepare) == []


def test_what_an_environment_sees_of_its_python_stays_as_it_is(judge, archives):
    def make(directory, python):
        base = copy_python(directory, python)
        for name in ("alpha", "beta", "delta"):
            unpack(archives, name, base.site_packages)
        return make_above(base)

    assert judge(make, "alpha==2.0", "beta", "gamma", prepare=[["gamma==1.0"]]) == []


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        pytest.param(["gamma==1.0"], ["alpha==2.0", "beta", "-U", "gamma"], id="beside those of the Python"),
        pytest.param(["alpha==1.0", "-I"], ["-U", "alpha"], id="in front of one", marks=pytest.mark.slow),
        pytest.param(["alpha==1.0", "-I"], ["alpha==2.0", "--force-reinstall"], id="again", marks=pytest.mark.slow),
    ],
)
def test_distributions_of_the_user_are_installed_as_pip_does_it(judge, archives, prepare, words):
    def make(directory, python):
        environment = copy_python(directory, python)
        for name in ("alpha", "beta"):
            unpack(archives, name, environment.site_packages)
        return environment

    assert judge(make, "--user", *words, prepare=[["--user", *prepare]] if prepare else []) == []


@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_who_may_not_write_gets_a_user_site_as_from_pip(judge, archives):
    sides = []
    with tempfile.TemporaryDirectory() as place:  # that of the test lets nobody else in
        os.chmod(place, 0o755)
        environment = copy_python(os.path.join(place, "python"), sys.executable)
        unpack(archives, "beta", environment.site_packages)
        for program in (PIP, PIP_ACCEL):
            home = os.path.join(place, "home")
            os.mkdir(home)
            os.chown(home, 65534, 65534)
            words = ["install", "--index-url", judge.server.url, "alpha==2.0", "beta", "gamma"]
            environ = clean_environ(HOME=home, PIP_ACCEL_CACHE=os.path.join(home, "data"))
            command = [*NOBODY, *program, "--python", environment.python, *words]
            done = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.startswith("Defaulting to user installation because normal site-packages")
            assert program is PIP or SUMMARY.search(done.stderr), done.stderr
            warnings = {line.strip() for line in done.stderr.splitlines() if "WARNING" in line}
            found = snapshot(os.path.join(home, ".local")).items()
            # Byte code has the moment of its source in it.
            files = {path: (mode, path.endswith(".pyc") or content) for path, (mode, content) in found}
            sides.append((files, warnings, done.stdout.splitlines()[-1]))
            shutil.rmtree(home)
    assert sides[0] == sides[1]
    assert sides[0][0]


# Other Pythons


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """Gives the interpreter of an environment with pip and all that pip-accel needs, of another Python."""
    made = {}

    def find(version, python):
        if version not in made:
            place = tmp_path_factory.mktemp(f"host-{version}")
            requirements = place / "requirements.txt"
            requirements.write_text("\n".join(PROJECTS))
            archives = frozen_index(str(requirements), python=python)
            made[version] = make_environment(str(place / "env"), python).python
            run_pip(made[version], "install", "--find-links", archives, "-r", str(requirements))
        return made[version]

    return find


@pytest.mark.index
def test_the_newest_python_installs_for_the_oldest(judge, host):
    options = {"host": host(*NEWEST), "python": OLDEST[1], "prepare": [["alpha==1.0", "gamma==1.0"]]}
    assert judge(make_environment, "-U", "alpha", "beta", "gamma", **options) == []


@pytest.mark.index
@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_host", "of_target"), PAIRS, ids=[f"{of_host[0]} for {of_target[0]}" for of_host, of_target in PAIRS]
)
def test_each_python_builds_and_installs_for_each_other(judge, archives, setuptools, host, of_host, of_target):
    text = MODULE.format(version="3.0")
    sdist = make_sdist(archives, "gamma", "3.0", backend="setup.py", files={"gamma.py": text}, extension=True)
    for path in (sdist, setuptools):
        judge.server.add(path)
    options = {"host": host(*of_host), "python": of_target[1], "prepare": [["alpha==1.0", "gamma==2.0"]]}
    assert judge(make_environment, "-U", "alpha", "beta", "gamma", **options) == []


# Debian's own Python


@needs_debian
@pytest.mark.parametrize(
    "words",
    [["alpha"], pytest.param(["--user", "alpha"], marks=pytest.mark.slow), ["--dry-run", "alpha"]],
    ids=["for all", "for the user", "a dry run"],
)
def test_a_python_that_debian_manages_is_refused_in_the_words_of_pip(judge, words):
    assert judge(copy_python, *words, python=DEBIAN, status=1) == []
    expected, actual = said(judge)
    assert actual == expected
    assert "externally-managed-environment" in actual


@needs_debian
def test_a_dry_run_with_a_report_is_not_refused_there(judge, tmp_path):
    python = copy_python(str(tmp_path / "python"), DEBIAN).python
    for program in (PIP, PIP_ACCEL):
        report = tmp_path / "report.json"
        words = ["install", "--index-url", judge.server.url, "--dry-run", "--report", str(report), "beta"]
        environ = clean_environ(PIP_ACCEL_CACHE=str(tmp_path / "data"))
        command = [*program, "--python", python, *words]
        done = subprocess.run(command, env=environ, cwd=CHECKOUT, capture_output=True, text=True)
        assert (done.returncode, "Would install beta-2.0" in done.stdout) == (0, True), done.stderr
        assert [item["metadata"]["version"] for item in json.loads(report.read_text())["install"]] == ["2.0"]
        report.unlink()
    assert "Planned 1 distribution" in done.stderr


def make_debian(archives, *names, without=()):
    """Makes copies of Debian's Python, with distributions where Debian installs to."""

    def make(directory, python):
        environment = copy_python(directory, python)
        for name in names:
            site = os.path.join(directory, "lib", "python3", "dist-packages")
            unpack(archives, name, site, without=without)
            Path(site, f"{name}-1.0.dist-info", "INSTALLER").write_text("debian\n")
        return environment

    return make


@needs_debian
@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        pytest.param([["alpha==1.0", "gamma==1.0"]], ["-U", "alpha", "gamma"], id="below local"),
        pytest.param([], ["--user", "-U", "alpha", "beta"], id="for the user", marks=pytest.mark.slow),
        pytest.param([], ["--prefix", "{side}/prefix", "-I", "beta"], id="prefix", marks=pytest.mark.slow),
        pytest.param([], ["--target", "{side}/target", "gamma==1.0"], id="target", marks=pytest.mark.slow),
    ],
)
def test_debians_python_is_changed_as_pip_changes_it(judge, archives, prepare, words):
    prepare = [[BREAK, *earlier] for earlier in prepare]
    make = make_debian(archives, "beta", without=["RECORD"])
    assert judge(make, BREAK, *words, python=DEBIAN, prepare=prepare) == []


@needs_debian
@pytest.mark.slow
def test_what_debian_installed_is_replaced_where_pip_does_it(judge, archives):
    assert judge(make_debian(archives, "beta"), BREAK, "-U", "beta", python=DEBIAN) == []


@needs_debian
@pytest.mark.slow
def test_what_debian_installed_is_not_replaced(judge, archives):
    make = make_debian(archives, "beta", "delta", without=["RECORD"])
    assert judge(make, BREAK, "-U", "beta", python=DEBIAN, status=1) == []
    expected, actual = said(judge)
    assert actual == expected
    assert "no RECORD file was found for beta" in actual


# What other tools installed


def installed_by_old_pip(site, name):
    """What a pip of before 2022 left, which ran ``setup.py install`` with a file for the list of what it installed."""
    info = Path(site, f"{name}-1.0-py3.egg-info")
    hold(site, name, info)
    script = Path(site).parents[2] / "bin" / f"{name}-tool"
    script.write_text("#!/usr/bin/python3\n")
    for path in (Path(site, f"{name}_inner", "table.txt"), Path(site, f"{name}_inner", "__init__.py")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    files = [f"../{name}.py", f"../{name}_inner/table.txt", f"../{name}_inner/__init__.py", "PKG-INFO", "top_level.txt"]
    (info / "installed-files.txt").write_text("\n".join([*files, os.path.relpath(script, info)]) + "\n")


def installed_by_develop(site, name):
    """What ``setup.py develop`` left: the sources lie elsewhere."""
    sources = Path(site).parents[3] / "sources" / name
    hold(sources, name, sources / f"{name}.egg-info")
    Path(site, f"{name}.egg-link").write_text(f"{sources}\n.")
    Path(site, "easy-install.pth").write_text(f"{sources}\n")
    script = Path(site).parents[2] / "bin" / name
    script.write_text(f"#!/usr/bin/python3\n# EASY-INSTALL-ENTRY-SCRIPT: '{name}','console_scripts','{name}'\n")


def installed_by_distutils(site, name):
    """What ``setup.py install`` of distutils left: metadata in a file, and nothing that tells which files are whose."""
    hold(site, name, None)
    Path(site, f"{name}-1.0.egg-info").write_text(f"Metadata-Version: 1.1\nName: {name}\nVersion: 1.0\n")


def installed_without_record(site, name):
    """What the package manager of a system left."""
    info = Path(site, f"{name}-1.0.dist-info")
    hold(site, name, info, metadata="METADATA")
    (info / "INSTALLER").write_text("apk\n")


def hold(site, name, info, *, metadata="PKG-INFO"):
    """Write a module, and a metadata directory if it is to have one."""
    for directory in (site, info):
        if directory is not None:
            os.makedirs(directory, exist_ok=True)
    Path(site, f"{name}.py").write_text("version = '1.0'\n")
    if info is not None:
        (info / metadata).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "top_level.txt").write_text(f"{name}\n")
        if metadata == "PKG-INFO":
            (info / "entry_points.txt").write_text(SCRIPT.format(name=name))


def make_holding(**installers):
    """Makes virtual environments with distributions in them, by name."""

    def make(directory, python):
        environment = make_environment(directory, python)
        for name, install in installers.items():
            install(environment.site_packages, name)
        return environment

    return make


@pytest.mark.parametrize(
    "words",
    [["-U", "alpha", "beta"], pytest.param(["alpha==2.0", "beta==2.0"], marks=pytest.mark.slow)],
    ids=["upgraded", "replaced"],
)
def test_what_older_tools_installed_is_replaced_as_pip_does_it(judge, words):
    assert judge(make_holding(alpha=installed_by_old_pip, beta=installed_by_develop), *words) == []


@pytest.mark.parametrize(
    ("install", "text"),
    [
        pytest.param(
            installed_by_distutils, "It is a distutils installed project", id="distutils", marks=pytest.mark.slow
        ),
        pytest.param(installed_without_record, "no RECORD file was found for alpha", id="without RECORD"),
    ],
)
def test_what_pip_cannot_remove_is_refused_in_the_words_of_pip(judge, install, text):
    assert judge(make_holding(alpha=install), "beta", "alpha==2.0", status=1) == []
    expected, actual = said(judge)
    assert actual == expected
    assert text in actual
