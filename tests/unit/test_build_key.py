"""The key of a built distribution: what it depends on changes it, and nothing else does."""

from __future__ import annotations

import os
import re
import sys

import pytest

from pip_accel._build.key import cache_filename, identify_compiler, key_digest, make_key
from pip_accel._index import LocalIndex
from pip_accel._values import Archive, Pin
from tests.lib.archives import make_sdist
from tests.lib.trees import make_target

TARGET = make_target("/env")._replace(
    version="3.12.1", abi="cpython-312-x86_64-linux-gnu", platform="linux-x86_64", libc="glibc-2.36",
    implementation="cpython",
)  # fmt: skip


def pin(name, version="1.0", sha256="ab"):
    return Pin(name, version, Archive(f"/a/{name}", f"{name}-{version}.tar.gz", sha256), False, "")


REQUIREMENTS = (pin("setuptools", sha256="01"), pin("wheel", sha256="02"))


def digest(
    source=None, target=TARGET, requirements=REQUIREMENTS, environ=(("CFLAGS", "-O2"),), salt="", variables=(),
    revision=8, compiler="gcc 12",
):  # fmt: skip
    source = source or pin("Alpha.Beta")
    return key_digest(
        make_key(
            source, target, requirements, dict(environ), salt=salt, variables=variables, revision=revision,
            compiler=compiler,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"source": pin("gamma")}, id="name"),
        pytest.param({"source": pin("Alpha.Beta", "1.1")}, id="version"),
        pytest.param({"source": pin("Alpha.Beta", sha256="cd")}, id="source"),
        pytest.param({"target": TARGET._replace(implementation="pypy")}, id="implementation"),
        pytest.param({"target": TARGET._replace(version="3.13.1")}, id="minor version of Python"),
        pytest.param({"target": TARGET._replace(abi=TARGET.abi + "-debug")}, id="ABI"),
        pytest.param({"target": TARGET._replace(platform="linux-aarch64")}, id="platform"),
        pytest.param({"target": TARGET._replace(libc="glibc-2.39")}, id="libc"),
        pytest.param({"requirements": REQUIREMENTS[:1]}, id="a build requirement less"),
        pytest.param({"requirements": (REQUIREMENTS[0], pin("wheel", sha256="03"))}, id="another build requirement"),
        pytest.param({"environ": ()}, id="a variable less"),
        pytest.param({"environ": [("CFLAGS", "-O3")]}, id="another value"),
        pytest.param({"salt": "s"}, id="salt"),
        pytest.param({"revision": 9}, id="revision"),
        pytest.param({"compiler": ""}, id="no compiler"),
        pytest.param({"compiler": "gcc 13"}, id="another compiler"),
    ],
)
def test_each_part_alone_changes_the_key(change):
    assert digest(**change) != digest()


@pytest.mark.parametrize(
    "name",
    [
        "CC", "CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED", "ARCHFLAGS", "RUSTFLAGS", "CMAKE_ARGS",
        "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH", "CARGO_BUILD_TARGET", "SETUPTOOLS_SCM_PRETEND_VERSION",
        "ALPHA_BETA_NO_EXTENSIONS",
    ],
)  # fmt: skip
def test_variables_that_builds_read_change_the_key(name):
    assert digest(environ=[("CFLAGS", "-O2"), (name, "1")]) != digest()


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "PIP_INDEX_URL", "ALPHA", "ALPHA_GAMMA", "BETA_X", "TMPDIR"])
def test_other_variables_do_not_unless_the_user_names_them(name):
    assert digest(environ=[("CFLAGS", "-O2"), (name, "1")]) == digest()
    assert digest(environ=[("CFLAGS", "-O2"), (name, "1")], variables=[name]) != digest()
    assert digest(variables=[name]) == digest()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"source": pin("alpha_beta")}, id="spelling of the name"),
        pytest.param({"source": pin("Alpha.Beta", "1.0.0")}, id="spelling of the version"),
        pytest.param({"source": pin("Alpha.Beta")._replace(requested=True, direct_url="{}")}, id="why it is wanted"),
        pytest.param({"target": TARGET._replace(version="3.12.9")}, id="patch version of Python"),
        pytest.param({"target": TARGET._replace(prefix="/x", python="/x/bin/python", path=("/x",))}, id="prefix"),
        pytest.param({"requirements": REQUIREMENTS[::-1]}, id="order of build requirements"),
    ],
)
def test_what_the_result_does_not_depend_on_leaves_the_key(change):
    assert digest(**change) == digest()


def test_touching_an_archive_changes_nothing(tmp_path):
    index = LocalIndex(str(tmp_path / "sources"), "tag")
    archive = index.add(make_sdist(str(tmp_path / "one"), "alpha", "1.0"))
    before = digest(Pin("alpha", "1.0", archive, True, ""))
    os.utime(archive.path, (1, 1))
    path = make_sdist(str(tmp_path / "two"), "alpha", "1.0")
    os.utime(path, (2_000_000_000, 2_000_000_000))
    for root in (index.root, str(tmp_path / "elsewhere")):
        again = LocalIndex(root, "tag").add(path) if os.path.exists(path) else archive
        assert digest(Pin("alpha", "1.0", again, True, "")) == before


def test_the_file_name_begins_with_what_a_person_looks_for():
    key = make_key(pin("Alpha.Beta", "1.0.post1"), TARGET, (), {}, salt="", variables=(), revision=8, compiler="")
    name = cache_filename(key, "cpython-3.12-linux_x86_64")
    pattern = r"v8/alpha-beta/alpha-beta-1\.post1-cpython-3\.12-linux_x86_64-[0-9a-f]{32}\.tar\.gz"
    assert re.fullmatch(pattern, name)
    assert key_digest(key).startswith(name[-39:-7])


@pytest.fixture
def program(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_compiler_is_named_by_its_first_line(program, tmp_path):
    program("cc", "import os; print('cc 1.0', os.environ['LC_ALL']); print('more')")
    assert identify_compiler({"PATH": str(tmp_path)}, "") == "cc 1.0 C.UTF-8"


def test_the_variable_names_the_compiler_with_its_options(program, tmp_path):
    program("clang", "import sys; print('clang', *sys.argv[1:])")
    assert identify_compiler({"PATH": str(tmp_path), "CC": "clang -m32 'a b'"}, "") == "clang --version"


def test_no_compiler_has_no_name(tmp_path):
    assert identify_compiler({"PATH": str(tmp_path)}, "") == ""
    assert identify_compiler({"PATH": str(tmp_path), "CC": "missing"}, "") == ""


def test_a_compiler_that_says_nothing_is_named_by_its_file(program, tmp_path):
    program("cc", "")
    assert identify_compiler({"PATH": str(tmp_path)}, "") == "cc"


def test_a_program_that_cannot_run_is_named_by_its_file(tmp_path):
    (tmp_path / "cc").write_bytes(b"\x7fELF no program")
    (tmp_path / "cc").chmod(0o755)
    assert identify_compiler({"PATH": str(tmp_path)}, "") == "cc"


@pytest.mark.parametrize("value", ["'unbalanced", "  "])
def test_an_odd_variable_is_no_error(tmp_path, value):
    assert identify_compiler({"PATH": str(tmp_path), "CC": value}, "") == ""
