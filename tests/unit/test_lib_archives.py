"""The archives that the tests build are real ones."""

from __future__ import annotations

import csv
import filecmp
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tests.lib.archives import make_sdist, make_wheel

HOOKS = """
import json, os, sys
sys.path.insert(0, "_backend")
import in_tree_backend as backend
os.makedirs("out")
print(json.dumps([
    backend.get_requires_for_build_wheel(),
    backend.prepare_metadata_for_build_wheel("out"),
    backend.build_wheel("out"),
]))
"""


def unpack(sdist, into):
    with tarfile.open(sdist) as archive:
        archive.extractall(into, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    [top] = os.listdir(into)
    return os.path.join(into, top)


def read_wheel(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: (archive.read(info), info.external_attr >> 16) for info in archive.infolist()}


def test_a_wheel_has_what_was_asked_for(tmp_path):
    path = make_wheel(
        str(tmp_path), "Zope.Interface", "1.0", requires=["six>=1"], extras={"tls": ["certifi; os_name == 'posix'"]},
        requires_python=">=3.8", entry_points="[console_scripts]\nz = zope_interface:main\n",
        data={"scripts/tool": "#!python\n", "data/share/z.txt": "z"}, tag="cp311.cp312-abi3-linux_x86_64", build="2",
        metadata_extra="Summary: a test\n\nIts description.\n", modes={"scripts/tool": 0o644},
    )  # fmt: skip
    assert os.path.basename(path) == "zope_interface-1.0-2-cp311.cp312-abi3-linux_x86_64.whl"
    members = read_wheel(path)
    metadata = members["zope_interface-1.0.dist-info/METADATA"][0].decode()
    assert "Name: Zope.Interface\n" in metadata and "Requires-Python: >=3.8\n" in metadata
    assert "Requires-Dist: certifi; (os_name == 'posix') and extra == \"tls\"\n" in metadata
    assert metadata.endswith("Summary: a test\n\nIts description.\n")
    about = members["zope_interface-1.0.dist-info/WHEEL"][0].decode()
    assert "Root-Is-Purelib: false" in about and "Tag: cp312-abi3-linux_x86_64\n" in about and "Build: 2\n" in about
    assert members["zope_interface-1.0.data/scripts/tool"] == (b"#!python\n", 0o100644)


def test_the_record_of_a_wheel_names_all_its_files(tmp_path):
    members = read_wheel(make_wheel(str(tmp_path), "six", "1.0"))
    rows = list(csv.reader(io.StringIO(members["six-1.0.dist-info/RECORD"][0].decode())))
    assert [row[0] for row in rows] == list(members)
    assert [int(row[2]) for row in rows[:-1]] == [len(content) for content, _ in list(members.values())[:-1]]


@pytest.mark.parametrize("make", [make_wheel, make_sdist])
def test_archives_are_the_same_every_time(make, tmp_path):
    paths = [make(str(tmp_path / name), "six", "1.0", requires=["idna"]) for name in ("a", "b")]
    assert filecmp.cmp(*paths, shallow=False)


def test_the_backend_in_the_tree_builds_what_make_wheel_writes(tmp_path):
    about = {"files": {"pkg/__init__.py": "x = 1\n"}, "requires": ["idna"], "data": {"scripts/tool": "#!python\n"}}
    counter = str(tmp_path / "counter")
    sdist = make_sdist(str(tmp_path), "pkg", "1.0", dynamic_requires=["extra-tool"], counter=counter, **about)
    top = unpack(sdist, str(tmp_path / "unpacked"))
    done = subprocess.run([sys.executable, "-c", HOOKS], cwd=top, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["extra-tool"], "pkg-1.0.dist-info", "pkg-1.0-py3-none-any.whl"]
    assert os.listdir(os.path.join(top, "out", "pkg-1.0.dist-info")) != []
    built = read_wheel(os.path.join(top, "out", "pkg-1.0-py3-none-any.whl"))
    assert built == read_wheel(make_wheel(str(tmp_path), "pkg", "1.0", **about))
    with open(counter, encoding="utf-8") as handle:
        assert [line.split()[0] for line in handle] == json.loads(
            '["get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "build_wheel"]'
        )


def test_a_build_that_fails_says_why(tmp_path):
    top = unpack(make_sdist(str(tmp_path), "pkg", "1.0", fail=True, output="no ffi.h"), str(tmp_path / "unpacked"))
    done = subprocess.run([sys.executable, "-c", HOOKS], cwd=top, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "no ffi.h\n"


@pytest.mark.parametrize(
    ("backend", "requires"),
    [("setup.py", None), ("setuptools", '["setuptools"]'), ("flit", '["flit_core>=3.11,<4"]'), ("in-tree", "[]")],
)
def test_the_backend_is_named_in_pyproject(backend, requires, tmp_path):
    top = unpack(make_sdist(str(tmp_path), "pkg", "1.0", backend=backend), str(tmp_path / "unpacked"))
    pyproject = os.path.join(top, "pyproject.toml")
    assert os.path.exists(pyproject) == (requires is not None)
    if requires is not None:
        with open(pyproject, encoding="utf-8") as handle:
            assert f"requires = {requires}\n" in handle.read()


def test_a_setup_script_is_given_all_arguments(tmp_path):
    sdist = make_sdist(
        str(tmp_path), "some-pkg", "1.0", backend="setup.py", extension=True, counter=str(tmp_path / "counter"),
        files={"pkg/__init__.py": "", "pkg/x.txt": "", "single.py": ""}, requires=["idna"], dynamic_requires=["tool"],
        data={"scripts/run": "#!python\n", "data/share/doc/x": "x", "headers/x.h": ""},
    )  # fmt: skip
    top = unpack(sdist, str(tmp_path / "unpacked"))
    with open(os.path.join(top, "setup.py"), encoding="utf-8") as handle:
        script = handle.read()
    compile(script, "setup.py", "exec")
    for part in (
        "'packages': ['pkg']", "'py_modules': ['single']", "'scripts': ['scripts/run']", "'setup_requires': ['tool']",
        "'data_files': [('share/doc', ['data/share/doc/x'])]", "Extension('_some_pkg', ['some_pkg.c'])",
    ):  # fmt: skip
        assert part in script
    assert os.path.exists(os.path.join(top, "some_pkg.c")) and os.path.exists(os.path.join(top, "headers", "x.h"))
