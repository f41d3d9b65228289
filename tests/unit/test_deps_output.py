"""What failed builds say is missing: sentences one by one, and real outputs, verbatim, with what cured them."""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path

import pytest

import pip_accel.deps
from pip_accel.deps.catalogue import Catalogue
from pip_accel.deps.definitions import read_definition
from pip_accel.deps.file_index import FileIndex
from pip_accel.deps.output import Missing, find_missing

DEPS = Path(pip_accel.deps.__file__).parent
DATA = Path(__file__).parent.parent / "data" / "build-failures"

#: Lines of outputs, and the first thing that they say is missing.
SAID = [
    # compilers and linkers
    ("src/a.c:9:10: fatal error: portaudio.h: No such file or directory", "header portaudio.h"),
    ("    a.cpp:3:10: fatal error: 'lzo/lzo1.h' file not found", "header lzo/lzo1.h"),
    ("In file included from x.c:1:\nx.h:76:10: fatal error: gmp.h: No such file or directory", "header gmp.h"),
    ("b\"make: all\\nhci.c:36:10: fatal error: glib.h: No such file or directory\\n\"", "header glib.h"),
    ("../meson.build:69:19: ERROR: C header 'umfpack.h' not found", "header umfpack.h"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/include/linux/input.h'", "header linux/input.h"),
    ("/usr/bin/ld: cannot find -llapack: No such file or directory", "library lapack"),
    ("/usr/bin/ld: cannot find -lcrypto", "library crypto"),
    ("ld.lld: error: unable to find library -lzstd", "library zstd"),
    ("OSError: libhdf5.so.103: cannot open shared object file: No such file or directory", "library hdf5"),
    # pkg-config
    ("Package 'fuse', required by 'virtual:world', not found", "pkgconfig fuse"),
    ("Package icu-i18n was not found in the pkg-config search path.", "pkgconfig icu-i18n"),
    ("No package 'libcdio' found", "pkgconfig libcdio"),
    ("Perhaps you should add the directory containing `fuse3.pc'", "pkgconfig fuse3"),
    ("Exception: pkg-config package 'libusb-1.0 >= 1.0.9' not found", "pkgconfig libusb-1.0"),
    ("pkgconfig.pkgconfig.PackageNotFoundError: xxhash not found", "pkgconfig xxhash"),
    ("configure: error: Package requirements (glib-2.0 >= 2.40) were not met:", "pkgconfig glib-2.0"),
    ("The system library `dbus-1` required by crate `libdbus-sys` was not found.", "pkgconfig dbus-1"),
    ("/bin/sh: 1: pkg-config: not found", "program pkg-config"),
    ("pkg-config is required for building PyAV", "program pkg-config"),
    ("error: Unable to invoke pkg-config.", "program pkg-config"),
    ("pkg-config and shout-config unavailable, build terminated", "program pkg-config"),
    ("ERROR: Dependency lookup for cairo with method 'pkg-config' failed: Pkg-config for machine host machine not"
     " found. Giving up.", "dependency cairo"),
    # meson and CMake
    ("../meson.build:31:12: ERROR: Dependency \"cairo\" not found (tried pkg-config)", "dependency cairo"),
    ("../meson.build:9:9: ERROR: Dependency 'girepository-2.0' is required but not found.",
     "dependency girepository-2.0"),
    ("../meson.build:21:7: ERROR: Program 'swig' not found or not executable", "program swig"),
    ("../meson.build:1:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang']]", "program gfortran"),
    ("CMake Error at /x/FindPackage.cmake:233 (message):\n  Could NOT find ZLIB (missing: ZLIB_LIBRARY)", "cmake ZLIB"),
    ("  Could not find a package configuration file provided by \"Qt5\" with any of", "cmake Qt5"),
    ("CMake Error at x:2 (find_program):\n  Could not find A using the following names: flex", "program flex"),
    ("CMake Error at x:2 (find_library):\n  Could not find Z using the following names: z, zlib", "library z"),
    ("CMake Error at x:2 (find_path):\n  Could not find Z using the following files: zlib.h", "header zlib.h"),
    ("CMake Error:\n  error: could not find git for clone of imath-populate", "program git"),
    # programs
    ("FileNotFoundError: [Errno 2] No such file or directory: 'curl-config'", "program curl-config"),
    ("error: command 'swig' failed: No such file or directory", "program swig"),
    ("unable to execute 'x86_64-linux-gnu-gcc': No such file or directory", "program x86_64-linux-gnu-gcc"),
    ("/bin/sh: 1: krb5-config: not found", "program krb5-config"),
    ("./build.sh: line 4: cmake: command not found", "program cmake"),
    ("make: flex: No such file or directory", "program flex"),
    ("/usr/bin/env: ‘ruby’: No such file or directory", "program ruby"),
    ("error: exec: \"gcc\": executable file not found in $PATH", "program gcc"),
    ("error: can't find Rust compiler", "program cargo"),
    ("Cargo, the Rust package manager, is not installed or is not on PATH.", "program cargo"),
    ("error: Rust 1.63.0 does not match extension requirement >=1.64.0", "newer cargo"),
    ("lock file version `4` was found, but this version of Cargo does not understand it", "newer cargo"),
    ("Error: pg_config executable not found.", "program pg_config"),
    ("The 'apxs' command appears not to be installed or is not executable.", "program apxs"),
    ("Exception: Unable to find javac", "program javac"),
    ("RuntimeError: Unable to run \"sdl-config\". Please make sure a development version is installed.",
     "program sdl-config"),
    # words of people
    ("gpgme.h not found.", "header gpgme.h"),
    ("unable to locate include directory containing header files ['nss.h', 'pk11pub.h']", "header nss.h"),
    ("error: cannot find PARI/GP: make sure that the 'gp' program is in your $PATH", "program gp"),
    ("error: Could not find the FFTW header 'fftw3.h'", "header fftw3.h"),
    ("Could not find crypto lib/headers, please ensure libcrypto.pc is in PKG_CONFIG_PATH.", "pkgconfig libcrypto"),
    ("  $ sudo apt-get install -y libfoo-dev libbar-dev", "package libfoo-dev"),
    ("On Debian or Ubuntu you need the package libaugeas-dev", "package libaugeas-dev"),
    ("Error: Please make sure the libxml2 and libxslt development packages are installed.", "name libxml2"),
    ("You need to install libcap development headers to build this module", "name libcap"),
    ("Can't find a local Oracle Berkeley DB installation.", "name Oracle Berkeley DB"),
    ("The headers or library files could not be found for jpeg,", "name jpeg"),
    ("ValueError: Did not find netCDF version 4 headers.", "name netCDF"),
    ("Exception: Magick++ not found", "name Magick++"),
]  # fmt: skip

#: What looks as if something was missing and is no such thing.
SILENT = [
    "",
    "error in PyBluez setup command: use_2to3 is invalid.",
    "TypeError: Popen.__init__() got an unexpected keyword argument 'dry_run'",
    "FileNotFoundError: [Errno 2] No such file or directory: 'requirements.txt'",
    "FileNotFoundError: [Errno 2] No such file or directory: 'VERSION'",
    "FileNotFoundError: [Errno 2] No such file or directory: 'tests'",
    "a.c:1:10: fatal error: longintrepr.h: No such file or directory",
    "a.c:1:10: fatal error: numpy/arrayobject.h: No such file or directory",
    "a.c:1:10: fatal error: utils.h: No such file or directory",
    "RuntimeError: Please install torch before building this package.",
    "ModuleNotFoundError: No module named 'numpy'",
    "ImportError: Please install numpy first",
    "Minimum supported PROJ version is 9.4.0, installed version is 9.1.1.",
    "Run-time dependency cairo found: NO. Found 1.12.0 but need: '>= 1.15.10'\n"
    "../meson.build:31:12: ERROR: Dependency \"cairo\" not found (tried pkg-config)",
    "[6] Couldn't resolve host name (Could not resolve host: example.com)",
]


@pytest.fixture(scope="module")
def catalogue():
    """What is known of Debian 12, without its own file index."""
    index = FileIndex(lzma.decompress((DEPS / "debian-12.files.xz").read_bytes()))
    return Catalogue(read_definition(str(DEPS / "debian.ini")), index, lambda: "python3-dev")


@pytest.mark.parametrize(("said", "thing"), SAID, ids=[thing for _, thing in SAID])
def test_what_is_said_to_be_missing_is_found(said, thing):
    output = f"running build_ext\nbuilding 'x' extension\n{said}\nerror: it failed\n"
    kind, _, name = thing.partition(" ")
    assert next(iter(next(each for each in find_missing(output) if each))) == Missing(kind, name)


#: What a hostile build may print, or an unlucky one.
NASTY = {
    "words that may be taken in many ways": " ".join(["header file"] * 300),
    "headers of libraries": "the " + "C library " * 200,
    "names": "could not find " + "a " * 2000,
    "paths": "/tmp" * 20000 + ":1:1: error: x.h: No such file or directory",
    "probes": "check_a" * 20000 + ":1:1: error: x.h: No such file or directory",
    "programs": "ERROR: Program 'a', " * 10000,
    "modules": "pkg-config --a " * 10000,
    "blank lines": "required packages were not found:" + "\n" * 50000,
    "errors of CMake": "CMake Error\n" * 20000,
    "items": "\n - a.b" * 25000,
    "backslashes": "\\n" * 100000,
    "quotes": "failed to execute `" * 10000,
    "one long line": "a" * 3_000_000,
    "no such files": "No such file or directory: 'a'\n" * 20000,
}


@pytest.mark.parametrize("output", NASTY.values(), ids=NASTY)
def test_nothing_that_a_build_prints_takes_long(output):
    started = time.process_time()
    list(find_missing(output))
    assert time.process_time() - started < 30  # a pattern that goes back and forth takes days


@pytest.mark.parametrize("said", SILENT)
def test_other_failures_lead_to_no_package(said, catalogue):
    assert catalogue.find_for_output(find_missing(said), frozenset()) == ({}, [])


def test_what_is_missing_for_sure_comes_alone_and_guesses_come_after_it():
    lists = list(find_missing("conftest.c:1:10: fatal error: a.h: No such file or directory\nb.h not found"))
    assert lists[:3] == [[], [Missing("header", "a.h")], [Missing("header", "b.h")]]


def test_programs_that_builds_do_without_are_guesses():
    said = "No such file or directory: 'git'\na.c:1:10: fatal error: a.h: No such file or directory"
    lists = list(find_missing(said))
    assert lists[:2] == [[Missing("header", "a.h")], [Missing("file", "git")]]


def test_the_advice_to_install_pkg_config_is_stale_where_pkg_config_has_spoken():
    lists = list(find_missing("Package 'x', required by 'virtual:world', not found\nPlease install pkg-config"))
    assert lists[0] == [Missing("pkgconfig", "x")]


def test_an_output_of_megabytes_is_read_in_moments():
    output = "x.c:1:10: warning: this is " + "not found " * 30 + "\n"
    started = time.process_time()
    assert any(find_missing(output * 10000 + "x.c:1:10: fatal error: a.h: No such file or directory\n"))
    assert time.process_time() - started < 60  # a pattern that looks back and forth would take hours


# Real outputs

ROUNDS = json.loads((DATA / "rounds.json").read_text())


def offered(catalogue, row):
    """Names of the packages that an output alone leads to, less those that were installed."""
    installed = set(row["installed"])
    if not row["bare"]:  # builds began with a compiler
        installed |= {"build-essential", "gcc", "g++", "make", "libc6-dev", "linux-libc-dev", "python3-dev"}
    output = (DATA / row["log"]).read_text(encoding="utf-8")
    found, _ = catalogue.find_for_output(find_missing(output), frozenset(installed))
    return {each.name for several in found.values() for each in several} - installed


def is_right(got, row):
    wanted, other = set(row["packages"]), set(row["alternatives"])
    return got <= wanted | other and all(each in got or got & other for each in wanted)


def test_the_first_answer_is_right_for_nearly_all_real_failures_and_silence_for_the_others(catalogue):
    wrong = {row["log"] for row in ROUNDS if row["packages"] and not is_right(offered(catalogue, row), row)}
    curable = [row for row in ROUNDS if row["packages"]]
    assert wrong == {"M2Crypto.0.log"}  # it names nothing at all: only the rule for the project helps
    assert 1 - len(wrong) / len(curable) > 0.95
    loud = {row["log"] for row in ROUNDS if not row["packages"] and offered(catalogue, row)}
    assert loud == set()


def test_a_project_whose_output_says_nothing_has_a_rule(catalogue):
    assert {each.name for each in catalogue.find_for_project("m2crypto")} == {"libssl-dev", "swig"}
