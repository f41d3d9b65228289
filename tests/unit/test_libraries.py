"""The libraries that something is linked with: read from ELF files, and looked for on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from pip_accel._build.libraries import Library, Machine, find_needed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="about ELF")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a compiler")


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """An extension that is linked with a library of its own, the mathematical one, and looks into a directory."""
    place = tmp_path_factory.mktemp("elf")
    (place / "own.c").write_text("int own(void) { return 1; }\n")
    (place / "module.c").write_text("#include <math.h>\nint own(void); double f(double x) { return sin(x) + own(); }\n")
    library = str(place / "libown.so.3")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,-soname,libown.so.3", "-o", library, str(place / "own.c")], check=True
    )
    words = ["-Wl,-rpath,/opt/elsewhere:$ORIGIN/lib", "-o", str(place / "module.so"), str(place / "module.c"), library]
    subprocess.run(["cc", "-shared", "-fPIC", *words, "-lm"], check=True)
    return place


@needs_compiler
def test_it_reads_what_readelf_reads(module):
    data = (module / "module.so").read_bytes()
    # The C library's parts stand in the key of each build.
    assert find_needed([("m.so", data)]) == (["libown.so.3"], ["/opt/elsewhere"])


@needs_compiler
def test_what_comes_along_is_not_needed(module):
    files = [(f"alpha.libs/{name}", (module / name).read_bytes()) for name in ("libown.so.3", "module.so")]
    assert find_needed(files) == ([], ["/opt/elsewhere"])


@needs_compiler
def test_damaged_files_are_passed_over(module):
    data = (module / "module.so").read_bytes()
    for length in range(0, len(data), 97):
        find_needed([("m.so", data[:length])])
    for place in range(16, 200):
        find_needed([("m.so", data[:place] + b"\xff" + data[place + 1 :])])


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!python\n", b"\x7fELF" + bytes(60)])
def test_what_is_no_elf_needs_nothing(data):
    assert find_needed([("a", data)]) == ([], [])


def test_the_interpreters_own_modules_are_read():
    import importlib.machinery
    from pathlib import Path

    (directory,) = {path for path in sys.path if path.endswith("lib-dynload")} or {""}
    for path in Path(directory).glob("_ctypes*" + importlib.machinery.EXTENSION_SUFFIXES[0]):
        needed, _ = find_needed([(path.name, path.read_bytes())])
        assert all(name.startswith("lib") for name in needed)


class Commands:
    """Answers in place of ``ldconfig`` and dpkg."""

    def __init__(self, installed):
        self.installed = installed

    def __call__(self, words):
        program, *rest = words
        if program.endswith("ldconfig"):
            return "1 libs found\n\tlibpq.so.5 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libpq.so.5\n"
        if program.endswith("dpkg-query") and "--search" in rest:
            return "libpq5:amd64: /usr/lib/x86_64-linux-gnu/libpq.so.5\n"
        if program.endswith("dpkg-query"):
            version = self.installed.get(rest[-1])
            return f"installed {version}\n" if version else None
        return subprocess.run(words, capture_output=True, text=True).stdout if not subprocess.call(words) else None


@pytest.fixture
def machine(monkeypatch):
    def make(**installed):
        return Machine({}, (), Commands(installed))

    return make


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs Debian's package manager")


@needs_dpkg
def test_libraries_have_the_packages_that_they_are_from(machine):
    assert machine(libpq5="15.6-0+deb12u1").describe(["libpq.so.5", "libnone.so.1"]) == [
        Library("libpq.so.5", "libpq5", "15.6-0+deb12u1"),
        Library("libnone.so.1", "", ""),
    ]


@needs_dpkg
@pytest.mark.parametrize(
    "here, there, well",
    [
        pytest.param("15.6-1", "15.6-1", True, id="the same"),
        pytest.param("15.6-0+deb12u1", "15.6-2", True, id="another revision of Debian's"),
        pytest.param("15.10-1", "15.6-1", True, id="a newer one"),
        pytest.param("15.4-1", "15.6-1", False, id="an older one"),
        pytest.param("1:15.4-1", "15.6-1", True, id="a newer epoch"),
        pytest.param("", "15.6-1", True, id="from elsewhere"),
    ],
)
def test_a_library_must_not_be_older_than_that_it_was_built_with(machine, here, there, well):
    library = Library("libpq.so.5", "libpq5", there)
    assert machine(libpq5=here).find_missing([library]) == (None if well else library)


def test_a_library_that_is_not_here_is_missing(machine):
    there = Library("libnone.so.1", "libnone1", "1.0-1")
    assert machine().find_missing([Library("libpq.so.5"), there]) == there


@pytest.mark.parametrize("package", ["--help", "a b", "../x", "Lib"])
def test_what_is_no_name_of_a_package_is_not_asked_for(package):
    asked = []
    Machine({}, (), asked.append).find_missing([Library("libc.so.6", package, "1")])
    assert not any(package in words for words in asked)


def test_directories_of_this_run_count(tmp_path):
    (tmp_path / "libown.so.1").touch()
    own = Library("libown.so.1")
    assert Machine({}, (), lambda words: None).find_missing([own]) == own
    assert Machine({"LD_LIBRARY_PATH": f"/nowhere:{tmp_path}"}, (), lambda words: None).find_missing([own]) is None
    assert Machine({}, (str(tmp_path),), lambda words: None).find_missing([own]) is None


def test_this_machine_has_the_library_that_everything_needs():
    assert Machine({}).find_missing([Library("libc.so.6")]) is None
