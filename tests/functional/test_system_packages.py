"""System packages in a throw-away Debian with a real apt: named, refused or installed, and then the build goes on."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from pip_accel.deps.definitions import read_definition
from tests.lib.archives import make_sdist
from tests.lib.debian_root import VENV, make_deb, opened_root, why_not
from tests.lib.environments import setuptools_wheel
from tests.lib.runs import CHECKOUT

pytestmark = [pytest.mark.root, pytest.mark.index, pytest.mark.skipif("why_not()", reason=why_not() or "can be")]

#: A project that needs a header, and asks the preprocessor for it before anybody has its metadata.
SETUP = """
import subprocess
from setuptools import setup
source = '#include <{header}>\\n'
subprocess.run(["cc", "-E", "-o", "/dev/null", "-x", "c", "-"], input=source, text=True, check=True)
setup(name="{name}", version="1.0", py_modules=[])
"""
NOBODY = "65534:65534"
#: A user who may write where pip-accel has to.
PREPARE_FOR_NOBODY = "mkdir -p /home/nobody && chown 65534:65534 /home/nobody && chown -R 65534 /opt/venv"


@pytest.fixture
def root(tmp_path):
    with opened_root(str(tmp_path / "root")) as opened:
        yield opened


@pytest.fixture
def needing(root, tmp_path):
    """Puts projects into the root that need headers; gives the words that ask for one of them, without any index."""

    def make(name: str, header: str) -> list[str]:
        place = root.inside("/opt/archives")
        os.makedirs(place, exist_ok=True)
        script = SETUP.format(name=name, header=header)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"  # does not bind its builds
        make_sdist(place, name, "1.0", backend="setup.py", extra_files={"setup.py": script, "PKG-INFO": metadata})
        shutil.copy(setuptools_wheel(), place)
        return ["--no-index", "--find-links=/opt/archives", name]

    return make


@pytest.fixture
def debs(tmp_path):
    """Makes Debian packages."""
    return lambda name, **options: make_deb(str(tmp_path / "debs"), name, **options)


def rule(root, project, *packages, more=""):
    """Have the user's own definition file say what a project needs."""
    root.write("/etc/pip-accel/deps/own.ini", f"[dependencies]\n{project} = {' '.join(packages)}\n{more}")


def last_error(run):
    return run.stderr.strip().splitlines()[-1]


# Real projects

SAMPLE = ("python-prctl",)
EIGHT = {
    "python-prctl": ("prctl", {"libcap-dev"}),
    "systemd-python": ("systemd.journal", {"pkg-config", "libsystemd-dev"}),
    "psycopg2": ("psycopg2", {"libpq-dev"}),
    "python-ldap": ("ldap", {"libldap-dev", "libsasl2-dev"}),
    "pycurl": ("pycurl", {"libcurl4-openssl-dev", "libssl-dev"}),
    "PyAudio": ("pyaudio", {"portaudio19-dev"}),
    "pycairo": ("cairo", {"libcairo2-dev", "pkg-config"}),
    "gmpy2": ("gmpy2", {"libgmp-dev", "libmpfr-dev", "libmpc-dev"}),
}


@pytest.mark.parametrize(
    "project", [each if each in SAMPLE else pytest.param(each, marks=pytest.mark.slow) for each in EIGHT]
)
def test_a_real_project_is_built_once_its_packages_are_installed_and_can_be_imported(root, project):
    module, packages = EIGHT[project]
    before = root.installed()
    words = ["--no-binary", project, project]
    refused = root.install(*words, PIP_ACCEL_AUTO_INSTALL="no")
    assert refused.status == 1
    assert root.installed() == before
    first = last_error(refused)
    assert "is switched off" in first and "apt-get install --yes --no-install-recommends" in first
    done = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert done.status == 0, done.stderr
    assert packages <= root.installed()
    assert root.call([f"{VENV}/bin/python", "-c", f"import {module}"]).status == 0
    named = set(shlex.split(first.partition("--no-install-recommends ")[2]))
    assert named and named <= root.installed() - before


def test_what_a_project_declares_is_installed_though_its_build_says_nothing(root, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    pyproject = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[external]
build-requires = ["virtual:compiler/c"]
host-requires = ["pkg:deb/debian/libneeded-dev", "dep:generic/zlib"]
"""
    script = SETUP.format(name="alpha", header="needed.h").replace("text=True", "text=True, stderr=-3")
    metadata = "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
    files = {"setup.py": script, "PKG-INFO": metadata, "pyproject.toml": pyproject}
    make_sdist(root.inside("/opt/archives"), "alpha", "1.0", backend="setuptools", extra_files=files)
    shutil.copy(setuptools_wheel(), root.inside("/opt/archives"))
    index = "\nheader\t\tlibdevel/libneeded-dev\t needed.h \n"
    root.write("/var/cache/pip-accel/system/debian-12-x86_64.files", index)
    done = root.install("--no-index", "--find-links=/opt/archives", "alpha", PIP_ACCEL_AUTO_INSTALL="yes")
    assert done.status == 0, done.stderr
    assert {"libneeded-dev", "zlib1g-dev"} <= root.installed()


def test_programs_that_embed_pip_accel_get_system_packages_as_well(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    rule(root, "alpha", "libneeded-dev")
    code = f"""
from pip_accel import PipAccelerator
from pip_accel.config import Config
print(PipAccelerator(Config()).install_from_arguments({needing("alpha", "needed.h")!r}))
"""
    refused = root.call([f"{VENV}/bin/python", "-c", code])
    assert "DependencyInstallationRefused: alpha needs system packages" in refused.stderr
    done = root.call([f"{VENV}/bin/python", "-c", code], PIP_ACCEL_AUTO_INSTALL="yes")
    assert done.stdout == "1\n", done.stderr


def test_the_file_index_of_the_distribution_is_fetched_where_the_table_knows_nothing(root, needing):
    words = needing("wants-lzo", "lzo/lzo1.h")
    root.call(["sh", "-c", "rm /opt/venv/lib/python3*/site-packages/pip_accel/deps/*.files.xz"])
    asked = root.install(*words)
    assert asked.status == 1 and "apt-get" not in asked.stderr  # it may not even look
    done = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert "Fetching the file index" in done.stderr
    assert done.status == 0, done.stderr
    assert "liblzo2-dev" in root.installed()
    assert os.listdir(root.inside("/var/cache/pip-accel/system"))


# Consent

def test_on_a_terminal_one_question_is_asked_and_no_is_no(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libneeded-dev")
    before = root.installed()
    for answer in ("n\n", "\n", "\x04", "nonsense\n"):
        status, said = root.install_on_terminal(*words, answer=answer)
        assert status == 1, said
        assert said.count("[y/N]") == 1
        assert "as you said" in said and "/logs/alpha" in said
    status, said = root.install_on_terminal(*words, answer="\x03")
    assert status == 1 and "Operation cancelled by user" in said
    assert root.installed() == before
    status, said = root.install_on_terminal(*words, "--no-input", answer="y\n")
    assert status == 1 and "[y/N]" not in said
    status, said = root.install_on_terminal(*words, answer="y\n")
    assert status == 0, said
    assert root.installed() - before == {"libneeded-dev"}


def test_without_a_terminal_and_in_a_dry_run_the_command_is_named_and_nothing_changes(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libneeded-dev")
    before = root.installed()
    command = "apt-get install --yes --no-install-recommends libneeded-dev"
    for more, variables in ([], {}), (["--dry-run"], {"PIP_ACCEL_AUTO_INSTALL": "yes"}):
        run = root.install(*words, *more, **variables)
        assert run.status == 1
        assert last_error(run).endswith(command)
        assert "needed.h" in run.stderr  # what the build said is shown in full
    assert root.installed() == before


def test_what_a_build_names_is_installed_unasked_only_from_harmless_sections(root, needing, debs):
    root.add_repository(
        debs("libharmless-dev", files={"usr/include/harmless.h": ""}),
        debs("odd-service", files={"usr/include/odd.h": ""}, section="net"),
    )
    index = "\nheader\t\tlibdevel/libharmless-dev\t harmless.h \nheader\t\tnet/odd-service\t odd.h \n"
    root.write("/var/cache/pip-accel/system/debian-12-x86_64.files", index)
    run = root.install(*needing("wants-odd", "odd.h"), PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "see to odd-service yourself" in last_error(run) and last_error(run).endswith(" odd-service")
    run = root.install(*needing("wants-harmless", "harmless.h"), PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 0, run.stderr
    installed = root.installed()
    assert "libharmless-dev" in installed and "odd-service" not in installed


def test_several_builds_that_fail_are_helped_by_one_command(root, needing, debs):
    names = ["alpha", "beta", "gamma"]
    root.add_repository(*(debs(f"lib{each}-dev", files={f"usr/include/{each}.h": ""}) for each in names))
    rows = "".join(f"header\t\tlibdevel/lib{each}-dev\t {each}.h \n" for each in names)
    root.write("/var/cache/pip-accel/system/debian-12-x86_64.files", f"\n{rows}")
    place = root.inside("/opt/archives")
    os.makedirs(place)
    for each in names:  # it is not the metadata that fails
        source = f"#include <Python.h>\n#include <{each}.h>\nstatic PyModuleDef module = {{.m_name = \"_{each}\"}};\n"
        source += f"PyMODINIT_FUNC PyInit__{each}(void) {{ return PyModuleDef_Init(&module); }}\n"
        make_sdist(place, each, "1.0", backend="setuptools", extension=True, extra_files={f"{each}.c": source})
    shutil.copy(setuptools_wheel(), place)
    words = ["--no-index", "--find-links=/opt/archives", *names]
    named = last_error(root.install(*words))
    assert named.endswith("libalpha-dev libbeta-dev libgamma-dev")
    done = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert done.status == 0, done.stderr
    assert done.stderr.count("Installing system packages") == 1
    assert all(f"{each} 1.0" in done.summary for each in names)


def test_not_root_uses_sudo_where_that_asks_for_no_password(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libneeded-dev")
    assert root.call(["sh", "-c", PREPARE_FOR_NOBODY]).status == 0
    before = root.installed()
    as_nobody = {"user": NOBODY, "HOME": "/home/nobody", "PIP_ACCEL_CACHE": "/home/nobody/data"}
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes", **as_nobody)
    assert run.status == 1
    assert "you are not root, and there is no sudo" in last_error(run)
    assert "sudo apt-get install" in last_error(run)
    done = root.call(["apt-get", "install", "--yes", "--no-install-recommends", "sudo"])
    assert done.status == 0, done.stderr
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes", **as_nobody)
    assert run.status == 1
    assert "sudo wants a password" in last_error(run)
    assert root.installed() == before | {"sudo"}
    root.write("/etc/sudoers.d/nobody", "nobody ALL=(ALL) NOPASSWD: ALL\n")
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes", **as_nobody)
    assert run.status == 0, run.stderr
    assert "libneeded-dev" in root.installed()


# Each way to fail

def test_a_package_that_there_is_not_is_named(root, needing):
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libnowhere-dev")
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "apt knows no package libnowhere-dev" in last_error(run)


def test_a_plan_that_would_remove_something_is_shown_and_not_carried_out(root, needing, debs):
    root.add_repository(
        debs("victim"), debs("libneeded-dev", files={"usr/include/needed.h": ""}, Conflicts="victim")
    )
    assert root.call(["apt-get", "install", "--yes", "victim"]).status == 0
    before = root.installed()
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libneeded-dev")
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "apt would remove victim" in last_error(run)
    assert root.installed() == before


def test_apt_that_fails_half_way_is_told_with_the_package(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"DEBIAN/postinst": "#!/bin/sh\nexit 3\n"}))
    words = needing("alpha", "needed.h")
    rule(root, "alpha", "libneeded-dev")
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "dpkg failed at libneeded-dev" in last_error(run)
    assert "dpkg --configure -a" in last_error(run)


def test_apt_that_another_program_holds_is_told_with_who_it_is(root, needing, debs):
    root.add_repository(debs("libneeded-dev", files={"usr/include/needed.h": ""}))
    words = needing("alpha", "needed.h")
    rule(
        root, "alpha", "libneeded-dev",
        more="[commands]\ninstall = apt-get install --yes -o DPkg::Lock::Timeout=1\n",
    )  # fmt: skip
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    holder = [sys.executable, "-c", code, root.inside("/var/lib/dpkg/lock-frontend")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
        process.communicate(b"\n")
    assert run.status == 1
    assert "another program works with apt (It is held by process" in last_error(run)
    assert root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes").status == 0


def test_without_network_the_mirrors_cannot_be_reached(root, needing):
    words = needing("wants-lzo", "lzo/lzo1.h")
    root.write("/etc/apt/apt.conf.d/99patience", 'Acquire::Retries "0";\n')
    for lists in ("kept", "gone"):
        if lists == "gone":
            assert root.call(["sh", "-c", "rm -r /var/lib/apt/lists/*"]).status == 0
        run = root.install(*words, before=("unshare", "--net"), PIP_ACCEL_AUTO_INSTALL="yes")
        assert run.status == 1
        assert "the package mirrors cannot be reached" in last_error(run)
    assert "apt-get update && apt-get install" in last_error(run)  # there are no lists any more
    done = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert done.status == 0, done.stderr


def test_without_apt_the_build_fails_as_it_would_have_and_says_why(root, needing):
    words = needing("wants-lzo", "lzo/lzo1.h")
    assert root.call(["mv", "/usr/bin/apt-get", "/usr/bin/apt-gone"]).status == 0
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "apt-get cannot be started" in last_error(run)
    assert root.call(["mv", "/usr/bin/dpkg-query", "/usr/bin/dpkg-gone"]).status == 0
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert run.status == 1
    assert "The installed system packages cannot be listed" in last_error(run)
    assert "lzo/lzo1.h" in run.stderr


def test_a_damaged_definition_file_is_named(root, needing):
    words = needing("wants-lzo", "lzo/lzo1.h")
    root.write("/etc/pip-accel/deps/own.ini", "[dependency]\nalpha = beta\n")
    run = root.install(*words)
    assert run.status == 1
    assert "/etc/pip-accel/deps/own.ini cannot be used: [dependency] is none of its sections" in last_error(run)
    assert "lzo/lzo1.h" in run.stderr


# What ships

@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_every_package_that_the_definition_names_is_there(root, suite):
    [source] = [line for line in read(root, "/etc/apt/sources.list").splitlines() if line.startswith("deb ")][:1]
    root.write("/opt/sources.list", source.replace("bookworm", suite) + "\n")
    places = ["Dir::Etc::SourceList=/opt/sources.list", "Dir::Etc::SourceParts=-", "Dir::State::Lists=/opt/lists"]
    words = [word for each in [*places, "Dir::Cache=/opt/cache"] for word in ("-o", each)]
    root.call(["mkdir", "-p", "/opt/lists/partial", "/opt/cache/archives/partial"])
    assert root.call(["apt-get", "update", *words]).status == 0
    available = root.call(["apt-cache", "dumpavail", *words]).stdout
    names = set(re.findall(r"^Package: (\S+)", available, re.MULTILINE))
    provided = re.findall(r"^Provides: (.+)", available, re.MULTILINE)
    names |= {each.split()[0] for line in provided for each in line.split(",")}
    definition = read_definition(os.path.join(CHECKOUT, "pip_accel", "deps", "debian.ini"))
    tables = [*definition.dependencies.values(), *definition.things.values(), *definition.names.values()]
    assert len(names) > 50000 and len(tables) > 400
    assert [several for needed in tables for several in needed if names.isdisjoint(several)] == []


def read(root, path):
    with open(root.inside(path), encoding="utf-8") as stream:
        return stream.read()


# pip-accel deps

def test_deps_names_packages_as_command_dockerfile_line_and_json_and_installs_none(root, needing):
    needing("wants-lzo", "lzo/lzo1.h")
    words = [*needing("wants-cap", "sys/capability.h"), "wants-lzo"]
    before = root.installed()
    run = root.call([f"{VENV}/bin/pip-accel", "deps", *words[:2], "wants-lzo"])
    assert (run.status, run.stdout) == (0, "apt-get install --yes --no-install-recommends liblzo2-dev\n")
    run = root.call([f"{VENV}/bin/pip-accel", "deps", "--dockerfile", *words[:2], "wants-lzo"])
    assert run.stdout == (
        "RUN apt-get update && apt-get install --yes --no-install-recommends liblzo2-dev"
        " && rm -rf /var/lib/apt/lists/*\n"
    )
    run = root.call([f"{VENV}/bin/pip-accel", "deps", "--json", *words[:2], "wants-lzo"])
    value = json.loads(run.stdout)
    assert value["packages"] == value["missing"] == ["liblzo2-dev"]
    [distribution] = value["distributions"]
    assert distribution["output"] == [{"kind": "header", "name": "lzo/lzo1.h", "packages": ["liblzo2-dev"]}]
    assert root.installed() == before
    assert root.call([f"{VENV}/bin/pip", "show", "wants-lzo"]).status == 1
    assert "more may show when they are installed" in run.stderr


def test_deps_names_for_what_was_built_what_another_machine_needs(root):
    words = ["--no-binary=:all:", "python-prctl"]
    assert root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes").status == 0
    run = root.call([f"{VENV}/bin/pip-accel", "deps", "--dockerfile", *words])
    assert run.status == 0, run.stderr
    assert {"build-essential", "libcap-dev", "pkg-config", "python3-dev"} == set(
        run.stdout.partition("--no-install-recommends ")[2].partition(" &&")[0].split()
    )
    run = root.call([f"{VENV}/bin/pip-accel", "deps", *words])
    assert "pkg-config" in run.stdout  # that was not needed, and is not there


def test_what_no_package_has_is_said_behind_what_the_build_said(root, needing):
    words = needing("wants-nothing", "no/such/header.h")
    run = root.install(*words)
    assert run.status == 1
    assert last_error(run).startswith("ERROR: No package is known that has no/such/header.h. With PIP_ACCEL_AUTO")
    root.write("/var/cache/pip-accel/system/debian-12-x86_64.files", "\nheader\t\tlibdevel/liba-dev\t a.h \n")
    run = root.install(*words, PIP_ACCEL_AUTO_INSTALL="yes")
    assert "also not by the file index of the distribution" in last_error(run)
    run = root.call([f"{VENV}/bin/pip-accel", "deps", *words])
    assert run.status == 1 and run.stdout == ""
    assert "wants-nothing could not be built, and no package is known that would help" in run.stderr
