"""Builds from source, with pip as the judge: projects with only a ``setup.py`` in all variety, and odd backends."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import MACHINE_ENVIRON, clean_environ
from tests.lib.frozen import cache_directory
from tests.lib.judge import compare
from tests.lib.runs import CHECKOUT, PIP, PIP_ACCEL, installed, run_pip_accel


@pytest.fixture(scope="session")
def setuptools():
    """Path of a wheel of setuptools."""
    wheels = cache_directory("setuptools")
    if not os.path.isdir(wheels) or not os.listdir(wheels):
        command = [*PIP, "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", wheels, "setuptools"]
        subprocess.run(command, check=True, env=MACHINE_ENVIRON, stderr=subprocess.DEVNULL)
    return os.path.join(wheels, sorted(os.listdir(wheels))[-1])


def setup_script(arguments, before="", after=""):
    return f"{before}\nfrom setuptools import setup\nsetup(name='odd', version='1.0', {arguments})\n{after}\n"


#: Arguments of ``setup()`` and files of the project, by what is odd about it.
ODD = {
    "a bit of everything": (
        "packages=['odd'], py_modules=['one'], package_data={'odd': ['*.txt']}, headers=['odd.h'],"
        " data_files=[('share/odd', ['d.txt']), ('include/python3/odd', ['d.txt'])],"
        " scripts=['s/run', 's/shell', 's/tool.py'], license='MIT', license_files=['COPYING'],"
        " entry_points={'console_scripts': ['odd-main=odd:main'], 'other': ['x=odd']},"
        " extras_require={'more': ['nothing-of-the-kind']}",
        {
            "odd/a.txt": "a",
            "one.py": "x = 1\n",
            "odd.h": "/* odd */",
            "d.txt": "d",
            "COPYING": "do",
            "s/run": "#!/usr/bin/env python -u\nprint(1)\n",
            "s/shell": "#!/bin/sh\nexit 0\n",
            "s/tool.py": "#!/usr/bin/python3\nprint(2)\n",
        },
    ),
    "a script and an entry point of one name": (
        "packages=['odd'], scripts=['s/odd'], entry_points={'console_scripts': ['odd=odd:main']}",
        {"s/odd": "#!/usr/bin/python3\nprint(2)\n"},
    ),
    "a source directory": ("package_dir={'': 'src'}, packages=['under']", {"src/under/__init__.py": ""}),
    "no python at all": ("data_files=[('share', ['d.txt'])]", {"d.txt": "d"}),
    "a file outside of the prefix": ("packages=['odd'], data_files=[('/etc/odd', ['d.txt'])]", {"d.txt": "d"}),
    "its own bdist_wheel": ("packages=['odd'], package_data={'odd': ['made.txt']}, cmdclass={'bdist_wheel': B}", {}),
}
BEFORE = {
    "its own bdist_wheel": textwrap.dedent(
        """
        from setuptools.command.bdist_wheel import bdist_wheel
        class B(bdist_wheel):
            def run(self):
                open("odd/made.txt", "w").write("made")
                super().run()
        """
    ),
}


def judge(words, index, workdir, **options):
    return compare(
        words,
        index_args=["--index-url", index.url],
        python=sys.executable,
        pip_accel_command=PIP_ACCEL,
        workdir=str(workdir),
        **options,
    )


def add_project(index, archives, setuptools, script, files):
    index.add(setuptools)
    files = {"odd/__init__.py": "def main(): pass\n", **files, "setup.py": script}
    metadata = "Metadata-Version: 1.0\nName: odd\nVersion: 1.0\n"
    index.add(make_sdist(archives, "odd", "1.0", backend="setup.py", extra_files={**files, "PKG-INFO": metadata}))


SAME_NAME = "a script and an entry point of one name"
PIP_KEEPS_A_ROW = pytest.mark.xfail(reason="pip's RECORD also has the script that it left out", strict=True)


@pytest.mark.index
@pytest.mark.parametrize("kind", [pytest.param(k, marks=PIP_KEEPS_A_ROW if k == SAME_NAME else ()) for k in ODD])
def test_a_project_with_only_a_setup_script_comes_out_as_with_pip(kind, index, archives, setuptools, tmp_path):
    arguments, files = ODD[kind]
    add_project(index, archives, setuptools, setup_script(arguments, BEFORE.get(kind, "")), files)
    assert judge(["odd"], index, tmp_path / "judge") == []


@pytest.mark.index
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(setup_script("packages=['odd']", after="raise SystemExit('no')"), id="exits at the end"),
        pytest.param("print('no setup here')\n", id="never calls setup"),
    ],
)
def test_a_setup_script_that_fails_with_pip_fails(script, index, archives, setuptools, tmp_path):
    add_project(index, archives, setuptools, script, {})
    differences = judge(["odd"], index, tmp_path / "judge", status=1)
    assert [each for each in differences if each.category != "alarm"] == []  # pip's error begins with "error:" at times


def test_a_build_that_gives_another_version_is_an_error(bench, archives):
    backend = {"_backend/in_tree_backend.py": LYING_BACKEND}
    bench.index.add(make_sdist(archives, "odd", "1.0", extra_files=backend))
    result = bench.install("odd", status=1)
    assert "odd 1.0" in result.run.stderr
    assert "odd 2.0" in result.run.stderr
    assert result.installed == {}


LYING_BACKEND = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "odd-2.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("odd-2.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: odd\\nVersion: 2.0\\n")
        archive.writestr("odd-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("odd-2.0.dist-info/RECORD", "")
    return name
"""


def test_modules_of_an_sdist_do_not_take_the_place_of_others(bench, archives):
    shadows = {f"{name}.py": "raise SystemExit('shadowed')\n" for name in ("json", "types", "packaging", "pip")}
    old = {"PKG-INFO": "Metadata-Version: 1.0\nName: odd\nVersion: 1.0\n"}  # so that the backend is asked
    bench.index.add(make_sdist(archives, "odd", "1.0", extra_files={**shadows, **old}))
    assert bench.install("odd").installed == {"odd": "1.0"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot leave the working directory out")
def test_modules_in_the_working_directory_do_not_take_the_place_of_pip(bench, archives, tmp_path):
    (tmp_path / "types.py").write_text("raise SystemExit('shadowed')\n")
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    environment = bench.fresh()
    command = [sys.executable, "-P", "-m", "pip_accel", "--python", environment.python, "install", "alpha"]
    environ = clean_environ(PIP_ACCEL_CACHE=bench.data, PIP_INDEX_URL=bench.index.url, PYTHONPATH=CHECKOUT)
    subprocess.run(command, cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert installed(environment) == {"alpha": "1.0"}


def test_what_a_backend_asks_for_is_asked_again_for_each_build(bench, archives, tmp_path):
    """Backends ask for cmake only where the machine has none; a cache may come from another machine."""
    tool = tmp_path / "there"
    bench.index.add(make_sdist(archives, "odd", "1.0", extra_files={"_backend/in_tree_backend.py": asking(tool)}))
    tool.write_text("")
    assert bench.install("odd").installed == {"odd": "1.0"}
    tool.unlink()
    for directory in ("binaries", "trees"):
        subprocess.run(["rm", "-r", os.path.join(bench.data, directory)], check=True)
    bench.index.add(make_wheel(archives, "faketool", "1.0"))
    assert bench.install("odd").installed == {"odd": "1.0"}


def asking(tool):
    return f"""
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return [] if os.path.exists({str(tool)!r}) else ["faketool"]
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if not os.path.exists({str(tool)!r}):
        import faketool
    name = "odd-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("odd.py", "")
        archive.writestr("odd-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: odd\\nVersion: 1.0\\n")
        archive.writestr("odd-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("odd-1.0.dist-info/RECORD", "")
    return name
"""


def test_projects_that_need_each_other_to_be_built_are_an_error(bench, archives):
    old = {"PKG-INFO": "Metadata-Version: 1.0\nName: beta\nVersion: 1.0\n"}
    bench.index.add(make_sdist(archives, "alpha", "1.0", build_requires=["beta"]))
    bench.index.add(make_sdist(archives, "beta", "1.0", build_requires=["alpha"], extra_files=old))
    result = bench.install("alpha", before=["timeout", "120"], status=1)
    assert "ERROR" in result.run.stderr
    assert result.installed == {}


def test_secrets_in_variables_do_not_reach_what_is_built(bench, archives):
    bench.index.add(make_sdist(archives, "odd", "1.0"))
    secrets = {"ODD_PASSWORD": "swordfish", "CARGO_REGISTRY_TOKEN": "swordfish", "ODD_MODE": "swordfish"}
    bench.install("odd", **secrets)
    found = subprocess.run(["grep", "-rz", "swordfish", bench.data], capture_output=True)
    assert found.stdout == b""
    (archive,) = [os.path.join(where, name) for where, _, names in os.walk(bench.data) for name in names
                  if where.endswith("binaries/v8/odd")]  # fmt: skip
    assert b"swordfish" not in subprocess.run(["zcat", archive], capture_output=True, check=True).stdout


def test_the_build_directory_has_a_path_that_sockets_fit_into(fresh, index, archives, tmp_path):
    listen = "import socket, tempfile\n    place = os.path.join(tempfile.mkdtemp(), 'listener-12345678')\n"
    listen += "    socket.socket(socket.AF_UNIX).bind(place)\n    name = "
    backend = asking(tmp_path).replace("name = ", listen, 1)
    index.add(make_sdist(archives, "odd", "1.0", extra_files={"_backend/in_tree_backend.py": backend}))
    data = tmp_path / ("a-directory-with-quite-a-long-name" * 3)
    run_pip_accel(["install", "odd"], fresh(), data, PIP_INDEX_URL=index.url)


def test_a_requirement_by_url_says_nothing_about_the_index(bench, archives, tmp_path):
    beta = make_wheel(str(tmp_path / "elsewhere"), "beta", "9.0")
    bench.index.add(make_wheel(archives, "alpha", "1.0", requires=[f"beta @ file://{beta}"]))
    bench.index.add(make_wheel(archives, "beta", "1.0"))
    assert bench.install("alpha").installed == {"alpha": "1.0", "beta": "9.0"}
    assert bench.install("beta").installed == {"beta": "1.0"}


def test_what_is_installed_and_would_do_is_kept_as_pip_keeps_it(bench, archives):
    for version, requires in (("1.0", ["beta<2"]), ("2.0", [])):
        bench.index.add(make_wheel(archives, "alpha", version, requires=requires))
    for version in ("1.5", "1.9", "2.0"):
        bench.index.add(make_wheel(archives, "beta", version))
    environment = bench.install("alpha==1.0", "--no-deps").environment
    assert bench.install("alpha", "beta", into=environment).installed == {"alpha": "1.0", "beta": "1.9"}


@pytest.mark.parametrize("bucket", ["", "wheels"])
def test_with_required_hashes_nothing_is_taken_that_others_built(bench, archives, tmp_path, bucket):
    sdist = make_sdist(archives, "odd", "1.0")
    bench.index.add(sdist)
    with open(sdist, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"odd==1.0 --hash=sha256:{digest}\n")
    shared = {"PIP_ACCEL_S3_BUCKET": bucket, "PIP_ACCEL_S3_URL": "http://127.0.0.1:9"} if bucket else {}
    result = bench.install("-r", str(requirements), **shared)
    assert result.installed == {"odd": "1.0"}
    assert bool(result.run.summary) is not bool(bucket)  # pip did it, or we did
