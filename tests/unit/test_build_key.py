"""The key of a built distribution: what it depends on changes it, and nothing else does."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

from pip_accel._build.key import (
    Difference,
    cache_filename,
    compare_keys,
    describe_key,
    identify_compiler,
    key_digest,
    make_key,
)
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


REQUIREMENTS = (pin("setuptools", "84.2.1", "01"), pin("wheel", "0.47", "02"))
COMPILER = {"C": "gcc 12", "C++": "g++ 12", "Fortran": "gfortran 12", "Rust": "rustc 1.95", "processor": "fast"}
USUAL = {
    "source": pin("Alpha.Beta"),
    "target": TARGET,
    "requirements": REQUIREMENTS,
    "environ": {"CFLAGS": "-O2"},
    "salt": "",
    "variables": (),
    "revision": 8,
    "compiler": COMPILER,
    "config_settings": {"editable-verbose": "yes"},
    "build_constraints": ("setuptools<90",),
    "outside": (),
}


def key(**change):
    parts = {**USUAL, **change}
    positional = [parts.pop(name) for name in ("source", "target", "requirements", "environ")]
    return make_key(*positional, **parts)


def digest(**change):
    return key_digest(key(**change))


CHANGES = {
    "name": {"source": pin("gamma")},
    "version": {"source": pin("Alpha.Beta", "1.1")},
    "source": {"source": pin("Alpha.Beta", sha256="cd")},
    "implementation": {"target": TARGET._replace(implementation="pypy")},
    "minor version of Python": {"target": TARGET._replace(version="3.13.1")},
    "Python before its release": {"target": TARGET._replace(markers=(("python_full_version", "3.12.1rc1"),))},
    "debug ABI": {"target": TARGET._replace(abi=TARGET.abi + "-debug")},
    "free-threaded ABI": {"target": TARGET._replace(abi="cpython-312t-x86_64-linux-gnu-freethreaded")},
    "platform": {"target": TARGET._replace(platform="linux-aarch64")},
    "version of libc": {"target": TARGET._replace(libc="glibc-2.39")},
    "another libc": {"target": TARGET._replace(libc="musl-1.2.5")},
    "a config setting less": {"config_settings": {}},
    "a config setting more": {"config_settings": {**USUAL["config_settings"], "a": ""}},
    "value of a config setting": {"config_settings": {"editable-verbose": "no"}},
    "a config setting given twice": {"config_settings": {"editable-verbose": ["yes", "no"]}},
    "no build constraint": {"build_constraints": ()},
    "another build constraint": {"build_constraints": ("setuptools<91",)},
    "a build requirement less": {"requirements": REQUIREMENTS[:1]},
    "another build requirement": {"requirements": (REQUIREMENTS[0], pin("wheel", "0.47", "03"))},
    "what an unisolated build sees": {"outside": ("numpy==2.4 0a",)},
    "a variable less": {"environ": {}},
    "a variable that is empty": {"environ": {"CFLAGS": ""}},
    "another value": {"environ": {"CFLAGS": "-O3"}},
    "no compiler": {"compiler": {**COMPILER, "C": ""}},
    "another compiler": {"compiler": {**COMPILER, "C": "gcc 13"}},
    "another compiler of C++": {"compiler": {**COMPILER, "C++": ""}},
    "salt": {"salt": "s"},
    "revision": {"revision": 9},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_part_alone_changes_the_key_and_back(change):
    before = digest()
    assert digest(**change) != before
    assert compare_keys(key(**change), key())
    back = {name: USUAL[name] for name in change}
    assert digest(**back) == before
    assert compare_keys(key(**back), key()) == []


def test_all_changes_differ_from_each_other():
    assert len({digest(**change) for change in CHANGES.values()}) == len(CHANGES)


@pytest.mark.parametrize(
    "name",
    [
        "CC", "CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED", "ARCHFLAGS", "RUSTFLAGS", "CMAKE_ARGS",
        "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH", "CARGO_BUILD_TARGET", "SETUPTOOLS_SCM_PRETEND_VERSION", "FC", "CC_LD",
        "SKBUILD_CMAKE_DEFINE", "MATURIN_PEP517_ARGS", "MESON", "RUSTUP_TOOLCHAIN", "LD_RUN_PATH", "CMAKE_PREFIX_PATH",
        "PKG_CONFIG", "CARGO_HOME", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "HATCH_BUILD_HOOKS_ENABLE",
        "PBR_VERSION", "CFLAGS_x86_64_unknown_linux_gnu", "TORCH_CUDA_ARCH_LIST",
        "ALPHA_BETA_NO_EXTENSIONS", "ALPHABETA_X", "DISABLE_ALPHA_BETA_CEXT", "WITH_ALPHABETA",
    ],
)  # fmt: skip
def test_variables_that_builds_read_change_the_key(name):
    assert digest(environ={"CFLAGS": "-O2", name: "1"}) != digest()
    assert digest(environ={"CFLAGS": "-O2", name: "1"}) != digest(environ={"CFLAGS": "-O2", name: "2"})


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "HOME", "LANG", "PIP_INDEX_URL", "ALPHA", "ALPHA_GAMMA", "BETA_X", "TMPDIR", "WITHALPHABETA",
        "ALPHA_BETAS", "CARGO_TERM_COLOR", "CARGO_NET_OFFLINE", "CARGO_TARGET_DIR", "CARGO_REGISTRIES_OURS_INDEX",
        "CARGO_BUILD_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "CMAKE_C_COMPILER_LAUNCHER", "CARGO_REGISTRY_TOKEN",
        "ALPHA_BETA_API_KEY", "CMAKE_X_PASSWORD", "CFLAGS_TOKEN",
    ],
)  # fmt: skip
def test_other_variables_do_not_unless_the_user_names_them(name):
    environ = {"CFLAGS": "-O2", name: "hush"}
    assert digest(environ=environ) == digest()
    assert digest(environ=environ, variables=[name]) != digest()
    assert "hush" not in json.dumps(key(environ=environ, variables=[name]))
    assert digest(variables=[name]) == digest()


def test_pip_and_its_wrapper_are_not_keyed_by_their_own_settings():
    for name in ("pip", "pip-accel"):
        source = pin(name)
        environ = {"PIP_INDEX_URL": "https://example.com/", "PIP_ACCEL_CACHE": "/data"}
        assert digest(source=source, environ=environ) == digest(source=source, environ={})


@pytest.mark.parametrize(
    "environ",
    [
        {"ALPHA_BETA_LICENSE": "hush"},
        {"CARGO_BUILD_X": "hush"},
        {"CMAKE_ARGS": "-DAPI_TOKEN=hush"},
        {"LDFLAGS": "-L/x -DURL=https://user:hush@example.com"},
        {"MINE": "hush"},
    ],
    ids=str,
)
def test_values_that_may_be_secret_are_not_in_the_key(environ):
    text = json.dumps(key(environ=environ, variables=["MINE"], config_settings={"licence": "hush", "more": ["hush"]}))
    assert next(iter(environ)) in text
    assert "licence" in text
    assert "hush" not in text


def test_flags_for_compilers_can_be_read_in_the_key():
    environ = {"CFLAGS": "-O2 -g", "PKG_CONFIG_PATH": "/opt/lib/pkgconfig", "CMAKE_ARGS": "-DX=ON"}
    assert key(environ=environ)["variables"] == environ


@pytest.mark.parametrize(
    ("requirements", "languages"),
    [
        ((), {"C", "C++"}),
        (("setuptools", "Cython"), {"C", "C++"}),
        (("setuptools", "setuptools_rust"), {"C", "C++", "Rust"}),
        (("maturin",), {"C", "C++", "Rust"}),
        (("meson-python",), {"C", "C++", "Fortran"}),
        (("scikit_build-core", "numpy", "maturin"), {"C", "C++", "Fortran", "Rust"}),
    ],
)
def test_only_compilers_that_a_build_may_call_are_looked_up(requirements, languages):
    asked = set()

    class Compiler(dict):
        def __getitem__(self, language):
            asked.add(language)
            return language.lower()

    key(requirements=[pin(name) for name in requirements], compiler=Compiler())
    assert asked == languages
    asked.clear()
    rows = [f"{name.lower().replace('_', '-')}==1 ab" for name in requirements]
    key(requirements=(), outside=rows, compiler=Compiler())
    assert asked == languages


@pytest.mark.parametrize(
    ("change", "native"),
    [
        ({"environ": {"CFLAGS": "-O2 -march=native"}}, True),
        ({"environ": {"RUSTFLAGS": "-Ctarget-cpu=native"}}, True),
        ({"environ": {"CMAKE_ARGS": "-DGGML_NATIVE=ON"}}, True),
        ({"config_settings": {"setup-args": ["-Dc_args=-mtune=native"]}}, True),
        ({"environ": {"CMAKE_PREFIX_PATH": "/opt/alternative"}}, False),
        ({"environ": {"OTHER": "-march=native"}}, False),
    ],
)
def test_code_for_the_processor_it_is_built_on_is_kept_apart(change, native):
    other = {**COMPILER, "processor": "slow"}
    assert (digest(**change, compiler=other) != digest(**change)) == native


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"source": pin("alpha_beta")}, id="spelling of the name"),
        pytest.param({"source": pin("Alpha.Beta", "1.0.0")}, id="spelling of the version"),
        pytest.param({"source": pin("Alpha.Beta")._replace(requested=True, direct_url="{}")}, id="why it is wanted"),
        pytest.param({"target": TARGET._replace(version="3.12.9")}, id="patch version of Python"),
        pytest.param({"target": TARGET._replace(prefix="/x", python="/x/bin/python", path=("/x",))}, id="prefix"),
        pytest.param({"target": TARGET._replace(markers=(("python_full_version", "3.12.1+"),))}, id="a local build"),
        pytest.param({"requirements": REQUIREMENTS[::-1]}, id="order of build requirements"),
        pytest.param({"requirements": REQUIREMENTS + REQUIREMENTS[:1]}, id="a build requirement twice"),
        pytest.param({"environ": {"PATH": "/bin", "CFLAGS": "-O2"}}, id="order of variables"),
        pytest.param({"compiler": {**COMPILER, "Rust": "", "Fortran": "", "processor": ""}}, id="other compilers"),
    ],
)
def test_what_the_result_does_not_depend_on_leaves_the_key(change):
    assert digest(**change) == digest()


def test_touching_an_archive_changes_nothing(tmp_path):
    index = LocalIndex(str(tmp_path / "sources"), "tag")
    archive = index.add(make_sdist(str(tmp_path / "one"), "alpha", "1.0"))
    before = digest(source=Pin("alpha", "1.0", archive, True, ""))
    os.utime(archive.path, (1, 1))
    path = make_sdist(str(tmp_path / "two"), "alpha", "1.0")
    os.utime(path, (2_000_000_000, 2_000_000_000))
    for root in (index.root, str(tmp_path / "elsewhere")):
        again = LocalIndex(root, "tag").add(path) if os.path.exists(path) else archive
        assert digest(source=Pin("alpha", "1.0", again, True, "")) == before


def test_the_file_name_begins_with_what_a_person_looks_for():
    post = key(source=pin("Alpha.Beta", "1.0.post1"))
    name = cache_filename(post, "cpython-3.12-linux_x86_64")
    pattern = r"v8/alpha-beta/alpha-beta-1\.post1-cpython-3\.12-linux_x86_64-[0-9a-f]{32}\.tar\.gz"
    assert re.fullmatch(pattern, name)
    assert key_digest(post).startswith(name[-39:-7])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"environ": {"CFLAGS": "-O3"}}, [("variables: CFLAGS", "'-O3'", "'-O2'")]),
        ({"environ": {}}, [("variables: CFLAGS", "not set", "'-O2'")]),
        ({"environ": {"CFLAGS": ""}}, [("variables: CFLAGS", "''", "'-O2'")]),
        (
            {"requirements": (REQUIREMENTS[0], pin("wheel", "0.48", "f" * 64))},
            [("build-requirements: wheel", "0.48 sha256:ffffffffffffffff", "0.47 02")],
        ),
        ({"requirements": REQUIREMENTS[:1]}, [("build-requirements: wheel", "none", "0.47 02")]),
        ({"outside": ("six==1.17 0a",)}, [("outside: six", "1.17 0a", "none")]),
        ({"config_settings": {}}, [("config-settings: editable-verbose", "not set", "sha256:8a798890fe938171")]),
        ({"build_constraints": ()}, [("build-constraints", "none", "setuptools<90")]),
        ({"compiler": {**COMPILER, "C": ""}}, [("compiler: C", "none", "gcc 12")]),
        (
            {"target": TARGET._replace(libc="glibc-2.39")},
            [("platform", "linux-x86_64, glibc-2.39", "linux-x86_64, glibc-2.36")],
        ),
        (
            {"source": pin("Alpha.Beta", "1.1", "a" * 64), "salt": "s"},
            [("version", "1.1", "1"), ("source", "sha256:aaaaaaaaaaaaaaaa", "ab"), ("salt", "s", "none")],
        ),
    ],
)
def test_differences_can_be_read(change, expected):
    then = json.loads(json.dumps(key()))  # as a manifest has it
    assert compare_keys(key(**change), then) == [Difference(*each) for each in expected]


def test_a_key_in_another_form_can_be_compared():
    old = {**key(), "compiler": "gcc 11", "python": None, "newer": {"a": 1}, "outside": "odd\x1b[2J"}
    old["build-requirements"] = ["ab" * 32, 3, [], ["x"]]
    found = {each.part: each.then for each in compare_keys(key(), old)}
    assert found["compiler"] == "gcc 11"
    assert found["outside"] == "odd?[2J"
    assert found["newer: a"] == "1"
    assert found["build-requirements: x"] == "there"
    assert found["python"] == "null"
    assert {"build-requirements: setuptools", "build-requirements: sha256:abababababababab"} <= set(found)
    assert compare_keys(key(), {})


def test_a_key_can_be_read():
    assert describe_key(key())["build-requirements: setuptools"] == "84.2.1 01"
    assert describe_key(key())["python"] == "cpython, 3.12, cpython-312-x86_64-linux-gnu"
    apple = TARGET._replace(platform="macosx-11.0-arm64", libc="")
    assert describe_key(key(target=apple))["platform"] == "macosx-11.0-arm64"


#: Prints the name of the program and its words without the last one, which has to be ``--version``.
ECHO = """
line=${0##*/}
while [ $# -gt 1 ]; do line="$line $1"; shift; done
[ "$1" = --version ] && echo "$line"
"""


@pytest.fixture
def program(tmp_path):
    def make(name, text, interpreter=sys.executable):
        path = tmp_path / name
        path.write_text(f"#!{interpreter}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_compiler_is_named_by_its_first_line(program, tmp_path):
    program("cc", "import os; print(); print('cc 1.0', os.environ['LC_ALL']); print('more')")
    assert identify_compiler({"PATH": str(tmp_path)}, "")["C"] == "cc 1.0 C.UTF-8"


def test_a_compiler_is_asked_once_and_only_if_somebody_wants_to_know(program, tmp_path):
    program("cc", f"open({str(tmp_path / 'asked')!r}, 'a').write('c'); print('cc 1.0')")
    program("rustc", f"open({str(tmp_path / 'asked')!r}, 'a').write('r'); print('rustc 1.0')")
    found = identify_compiler({"PATH": str(tmp_path)}, "")
    assert not (tmp_path / "asked").exists()
    assert [found["C"], found["C"]] == ["cc 1.0", "cc 1.0"]
    assert (tmp_path / "asked").read_text() == "c"
    assert found["Rust"] == "rustc 1.0"


@pytest.mark.parametrize(
    ("variables", "usual", "language", "expected"),
    [
        ({}, "", "C", "cc"),
        ({}, "gcc -pthread", "C", "gcc -pthread"),
        ({"CC": "clang -m32 'a b'"}, "gcc", "C", "clang -m32 a b"),
        ({"CC": "ccache clang"}, "gcc", "C", "ccache clang"),
        ({"CC": "missing"}, "gcc", "C", ""),
        ({"CC": "'unbalanced"}, "gcc", "C", ""),
        ({"CC": "  "}, "gcc", "C", "gcc"),
        ({}, "missing-gcc -pthread", "C", "cc, without missing-gcc"),
        ({}, "", "C++", "c++"),
        ({}, "gcc -pthread", "C++", "g++"),
        ({}, "x86-gcc-13 -pthread", "C++", "x86-g++-13"),
        ({}, "ccache gcc", "C++", "ccache g++"),
        ({}, "{bin}/gcc", "C++", "g++"),
        ({}, "clang", "C++", "c++, without clang++"),
        ({}, "icx", "C++", "c++"),
        ({"CXX": "g++ -O"}, "clang", "C++", "g++ -O"),
        ({}, "gcc", "Fortran", ""),
        ({"FC": "gcc"}, "gcc", "Fortran", "gcc"),
        ({}, "gcc", "Rust", "rustc"),
    ],
)
def test_the_compiler_is_the_one_that_a_build_takes(variables, usual, language, expected, program, tmp_path):
    for name in ("cc", "gcc", "clang", "c++", "g++", "x86-g++-13", "rustc", "ccache"):
        program(name, ECHO, "/bin/sh")
    usual = usual.replace("{bin}", str(tmp_path))
    assert identify_compiler({"PATH": str(tmp_path), **variables}, usual)[language] == expected


def test_no_compiler_has_no_name(tmp_path):
    found = identify_compiler({"PATH": str(tmp_path)}, "gcc")
    assert {found[language] for language in ("C", "C++", "Fortran", "Rust")} == {""}


def test_a_compiler_that_says_nothing_is_named_by_its_file(program, tmp_path):
    program("cc", "")
    assert identify_compiler({"PATH": str(tmp_path)}, "")["C"] == "cc"


def test_a_program_that_cannot_run_is_named_by_its_file(tmp_path):
    (tmp_path / "cc").write_bytes(b"\x7fELF no program")
    (tmp_path / "cc").chmod(0o755)
    assert identify_compiler({"PATH": str(tmp_path)}, "")["C"] == "cc"


def test_the_processor_has_a_name_that_stays():
    names = [identify_compiler({}, "")["processor"] for _ in range(2)]
    assert names[0] == names[1] != ""


def test_a_variable_that_the_source_names_counts_unless_it_is_everywhere_or_a_secret():
    environ = {"HDF5_DIR": "/a", "HOME": "/a", "ODD_TOKEN": "a", "OTHER": "a"}
    variables = key(environ=environ, named=["HDF5_DIR", "HOME", "ODD_TOKEN", "UNSET"])["variables"]
    assert list(variables) == ["HDF5_DIR"]
    assert variables != key(environ={"HDF5_DIR": "/b"}, named=["HDF5_DIR"])["variables"]
    assert variables != key(environ=environ)["variables"]
