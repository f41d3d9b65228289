"""Builds from source, with pip as the judge: projects with only a ``setup.py`` in all variety, and odd backends."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile

import pytest

from pip_accel._build.source import unpack_sdist
from pip_accel._build.transform import read_dumb
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ
from tests.lib.judge import compare
from tests.lib.runs import CHECKOUT, PIP_ACCEL, installed, run_pip_accel, summary


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
    "scripts and files of all sorts": (
        "packages=['odd'], package_data={'odd': ['*']}, scripts=__import__('glob').glob('s/*')",
        {
            "s/options": "#!/usr/bin/env -S python3 -u -O\nx\n",
            "s/pypy": "#!/usr/bin/pypy3\nx\n",
            "s/old": "#!/usr/bin/python2.7\r\nx\r\n",
            "s/latin": "#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
            "s/marked": b"\xef\xbb\xbf#!/usr/bin/python\nx\n",
            "s/plain": "x\r\n",
            "odd/two words": "1",
            'odd/comma,quote"': "2",
            "odd/ümlaut": "3",
            "odd/empty": "",
        },
    ),
    "namespace packages": (
        "packages=['one', 'one.odd', 'two.odd', 'three', 'three.odd'], namespace_packages=['one'],"
        " data_files=[('lib/python%d.%d/site-packages' % __import__('sys').version_info[:2], ['odd.pth'])]",
        {
            "one/__init__.py": "__import__('pkg_resources').declare_namespace(__name__)\n",
            "one/odd/__init__.py": "",
            "two/odd/__init__.py": "",
            "three/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
            "three/odd/__init__.py": "",
            "odd.pth": "# nothing\n",
        },
    ),
    "settings and what was built before": (
        "packages=['odd'], scripts=['s/odd'], entry_points={'console_scripts': ['odd=odd:main']}, extra_path='deep'",
        {
            "s/odd": "#!/usr/bin/python3\nnew\n",
            "build/scripts-{}.{}/odd".format(*sys.version_info): "#!/usr/bin/python3\nold\n",
            "setup.cfg": "[bdist_wheel]\nbuild_number = 7\n[build]\nexecutable = /odd/python\n"
            "[install]\nprefix = /odd\ncompile = 1\n[metadata]\nlicense_files = COPYING, sub/NOTICE\n",
            "COPYING": "do",
            "sub/NOTICE": "this",
        },
    ),
}
#: Those that are judged on demand only.
LIKE_OTHERS = {
    "a source directory",
    "no python at all",
    "a file outside of the prefix",
    "its own bdist_wheel",
    "settings and what was built before",
    "a script and an entry point of one name",
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


@pytest.mark.index
@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=pytest.mark.slow) if each in LIKE_OTHERS else each for each in ODD]
)
def test_a_project_with_only_a_setup_script_comes_out_as_with_pip(kind, index, archives, setuptools, tmp_path):
    arguments, files = ODD[kind]
    add_project(index, archives, setuptools, setup_script(arguments, BEFORE.get(kind, "")), files)
    assert judge(["odd"], index, tmp_path / "judge") == []


@pytest.mark.index
def test_the_two_commands_for_a_setup_script_give_the_same(archives, setuptools, tmp_path):
    arguments, files = ODD["a bit of everything"]
    files = {"odd/__init__.py": "def main(): pass\n", **files, "setup.py": setup_script(arguments)}
    sdist = make_sdist(archives, "odd", "1.0", backend="setup.py", extra_files=files)
    shutil.unpack_archive(setuptools, tmp_path / "library", "zip")
    contents = []
    for command in ("bdist_dumb", "bdist"):
        source = unpack_sdist(sdist, str(tmp_path / command))
        payload, metadata = tmp_path / f"{command}-payload", tmp_path / f"{command}-metadata"
        payload.mkdir()
        metadata.mkdir()
        driver = os.path.join(CHECKOUT, "pip_accel", "_build", "_setup_driver.py")
        subprocess.run(
            [sys.executable, driver, payload, metadata, command],
            cwd=source,
            env=clean_environ(PYTHONPATH=str(tmp_path / "library")),
            check=True,
            capture_output=True,
        )
        [tarball] = os.listdir(payload)
        read = read_dumb(str(payload / tarball), str(metadata))
        contents.append(read._replace(entries=sorted(read.entries)))
    assert contents[0] == contents[1]
    assert {each.scheme for each in contents[0].entries} == {"purelib", "headers", "scripts", "data"}


@pytest.mark.index
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(setup_script("packages=['odd']", after="raise SystemExit('no')"), id="exits at the end"),
        pytest.param("print('no setup here')\n", id="never calls setup", marks=pytest.mark.slow),
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


#: A wheel as nobody should make it: RECORD is not quite right, and there is more in it than is installed.
ODD_WHEEL = {
    "files": {
        "odd.py": "x = 1\n",
        "sha512.py": "x = 2\n",
        "unlisted.py": "x = 3\n",
        "sizeless.py": "x = 4\n",
        "resized.py": "x = 5\n",
        "two words/ümlaut, it's": "x",
        f"__pycache__/odd.{sys.implementation.cache_tag}.pyc": "not byte code",
        "empty/": "",
    },
    "data": {
        "scripts/odd": "#!python\nold\n",
        "scripts/odd.exe": "old",
        "scripts/sub/tool": "#!python -u\r\nprint()\r\n",
        "platlib/fast.so": "x",
        "headers/sub/odd.h": "x",
        "data/bin/data": "x",
    },
    "entry_points": "[console_scripts]\nodd = odd:main\n[gui_scripts]\nodd = odd:window\n",
    "dist_info": {"INSTALLER": "odd\n", "RECORD.jws": "{}", "sub/RECORD": ""},
}


def make_odd_wheel(directory):
    path = make_wheel(directory, "odd", "1.0", **ODD_WHEEL)
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for info, data in members.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            row = [info.filename, f"sha256={digest}", str(len(data))]
            row[1:] = {"sha512.py": ["sha512=x", "6"], "sizeless.py": [row[1]], "resized.py": [row[1], "007"]}.get(
                info.filename, row[1:]
            )
            if info.filename != "unlisted.py" and not info.filename.endswith("/RECORD"):
                rows.append(row)
            if info.filename != "odd-1.0.dist-info/RECORD":
                archive.writestr(info, data)
        rows += [["odd-1.0.dist-info/RECORD"], ["gone.py", "sha256=x", "1"], ["odd.py", "", ""], ["/odd", "", ""]]
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        archive.writestr("odd-1.0.dist-info/RECORD", text.getvalue())
    return path


@pytest.mark.parametrize("built", [True, False], ids=["built", "as it is"])
def test_a_wheel_that_is_not_quite_right_comes_out_as_with_pip(built, index, archives, tmp_path):
    wheel = make_odd_wheel(archives)
    if built:
        with open(wheel, "rb") as stream:
            files = {"wheel": stream.read(), "_backend/in_tree_backend.py": HANDING_OUT}
        index.add(make_sdist(archives, "odd", "1.0", extra_files=files))
    else:
        index.add(wheel)
    assert judge(["odd"], index, tmp_path / "judge") == []
    assert summary((tmp_path / "judge" / "two.stderr").read_text())  # it was not pip


HANDING_OUT = """
import os, shutil
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "odd-1.0-py3-none-any.whl"
    shutil.copy("wheel", os.path.join(wheel_directory, name))
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
    options = {"PIP_ACCEL_S3_BUCKET": bucket, "PIP_ACCEL_S3_URL": "http://127.0.0.1:9", "PIP_ACCEL_S3_RETRIES": "0"}
    result = bench.install("-r", str(requirements), **(options if bucket else {}))
    assert result.installed == {"odd": "1.0"}
    assert "built odd 1.0" in result.run.summary


def test_what_another_release_left_in_cache_and_store_is_built_again(bench, archives):
    bench.index.add(make_sdist(archives, "odd", "1.0"))
    bench.install("odd")
    for where, _, names in os.walk(bench.data):
        for name in names:
            path = os.path.join(where, name)
            if name == "manifest.json":
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write("{}")
            elif "binaries" in where:
                os.truncate(path, os.path.getsize(path) - 8)
    result = bench.install("odd")
    assert result.installed == {"odd": "1.0"}
    assert "built odd 1.0" in result.run.summary


#: A setup script that says where its ``.eggs`` lead.
WITH_SETUP_REQUIRES = """
import os
with open({seen!r}, "a") as stream:
    print({name!r}, os.path.realpath(".eggs"), file=stream)
from setuptools import setup
setup(name={name!r}, version="1.0", py_modules=[{name!r}], setup_requires=["tool"])
"""


@pytest.mark.index
def test_what_setup_scripts_require_is_built_once_for_all_of_them(bench, archives, setuptools, tmp_path):
    counter, seen = tmp_path / "counter", tmp_path / "seen"
    bench.index.add(setuptools)
    bench.index.add(make_sdist(archives, "tool", "1.0", counter=str(counter)))
    for name in ("one", "two"):
        script = WITH_SETUP_REQUIRES.format(seen=str(seen), name=name)
        bench.index.add(make_sdist(archives, name, "1.0", backend="setup.py", extra_files={"setup.py": script}))
    assert bench.install("one").installed == {"one": "1.0"}
    other = bench.install("two")
    assert (other.installed, other.downloads) == ({"two": "1.0"}, {"two-1.0.tar.gz": 1})
    assert counter.read_text().splitlines().count("build_wheel tool 1.0") == 1
    # Another salt makes all builds new: the archives that they take are there.
    again = bench.install("two", PIP_ACCEL_SALT="other")
    assert (again.installed, again.requests) == ({"two": "1.0"}, [])
    assert "tool 1.0" in again.run.summary
    rows = {tuple(line.split(" ", 1)) for line in seen.read_text().splitlines()}
    [place] = {directory for _name, directory in rows}
    assert {name for name, _directory in rows} == {"one", "two"}
    assert os.path.dirname(place) == os.path.realpath(os.path.join(bench.data, "eggs"))
    assert os.path.basename(place).startswith("{}-{}.{}-".format(sys.implementation.name, *sys.version_info))
