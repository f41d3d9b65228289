"""System packages: definition files, file indices, package managers that are stand-ins, and consent."""

from __future__ import annotations

import inspect
import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

import pip_accel.deps
from pip_accel._accelerator import Outcome
from pip_accel._commands import Invocation
from pip_accel._deps_command import deps
from pip_accel._environment import find_target
from pip_accel._names import canonical_name
from pip_accel._rounds import Rounds
from pip_accel._values import Plan
from pip_accel.config import Config
from pip_accel.deps import Failure, SystemPackageManager, failures_of, platforms
from pip_accel.deps.catalogue import Catalogue
from pip_accel.deps.definitions import Definition, read_definition
from pip_accel.deps.file_index import FileIndex, Provider, reduce_contents, write_rows
from pip_accel.deps.output import Missing
from pip_accel.exceptions import (
    BuildFailed,
    ConfigFileError,
    DependencyInstallationFailed,
    DependencyInstallationRefused,
    NoBuildOutput,
    PipAcceleratorError,
    SystemDependencyError,
)
from pip_accel.req import Requirement

DEPS = Path(pip_accel.deps.__file__).parent
DEBIAN = str(DEPS / "debian.ini")

CONTENTS = """\
usr/bin/swig                                            devel/swig
usr/include/openssl/ssl.h                               libdevel/libssl-dev
usr/include/x86_64-linux-gnu/curl/curl.h                libdevel/libcurl4-gnutls-dev,libdevel/libcurl4-openssl-dev
usr/include/PCSC/winscard.h                             libdevel/libpcsclite-dev
usr/include/suitesparse/umfpack.h                       libdevel/libsuitesparse-dev
usr/include/zlib.h                                      libdevel/zlib1g-dev
usr/include/a/zlib.h                                    libdevel/liba-dev
usr/include/python3.11/cpython/longintrepr.h            libdevel/libpython3.11-dev
usr/x86_64-w64-mingw32/include/zlib.h                   libdevel/libz-mingw-w64-dev
usr/include/spice/config.h                              libdevel/libspice-dev
usr/include/one/config.h                                libdevel/libone-dev
usr/include/two/config.h                                libdevel/libtwo-dev
usr/include/six/config.h                                libdevel/libsix-dev
usr/lib/x86_64-linux-gnu/openmpi/include/mpi.h          universe/libdevel/libopenmpi-dev
usr/lib/x86_64-linux-gnu/libssl.so                      libdevel/libssl-dev
usr/lib/x86_64-linux-gnu/hdf5/serial/libhdf5.so         libdevel/libhdf5-dev
usr/lib/x86_64-linux-gnu/libmd.a                        libdevel/libmd-dev
usr/lib/x86_64-linux-gnu/pkgconfig/libcap.pc            libdevel/libcap-dev
usr/share/pkgconfig/xproto.pc                           x11/x11proto-dev
usr/lib/x86_64-linux-gnu/cmake/Qt5/Qt5Config.cmake      libdevel/qtbase5-dev
usr/share/gir-1.0/GLib-2.0.gir                          libdevel/libgirepository1.0-dev
etc/passwd                                              admin/base-passwd
"""


@pytest.fixture
def index():
    return FileIndex(write_rows(reduce_contents(CONTENTS.splitlines(True))))


# File indices

@pytest.mark.parametrize(
    ("kind", "name", "packages"),
    [
        ("header", "openssl/ssl.h", ["libssl-dev"]),
        ("header", "ssl.h", ["libssl-dev"]),
        ("header", "curl/curl.h", ["libcurl4-gnutls-dev", "libcurl4-openssl-dev"]),
        ("header", "winscard.h", ["libpcsclite-dev"]),
        ("header", "zlib.h", ["zlib1g-dev", "liba-dev"]),  # where compilers look, before directories
        ("header", "mpi.h", ["libopenmpi-dev"]),
        ("header", "longintrepr.h", []),  # of Python itself
        ("header", "openssl/tls.h", []),
        ("library", "ssl", ["libssl-dev"]),
        ("library", "hdf5", ["libhdf5-dev"]),
        ("library", "md", ["libmd-dev"]),
        ("pkgconfig", "libcap", ["libcap-dev"]),
        ("pkgconfig", "xproto", ["x11proto-dev"]),
        ("cmake", "Qt5", ["qtbase5-dev"]),
        ("program", "swig", ["swig"]),
        ("program", "ssl", []),
        ("introspection", "GLib-2.0", ["libgirepository1.0-dev"]),
    ],
)
def test_a_file_is_looked_up_by_the_name_that_builds_use(index, kind, name, packages):
    assert [each.package for each in index.find(kind, name)] == packages


def test_a_provider_tells_its_section_and_whether_it_lies_where_compilers_look(index):
    assert index.find("header", "umfpack.h") == [Provider("libsuitesparse-dev", "libdevel", False)]
    assert index.find("header", "zlib.h")[0].exact
    assert index.section_of("libopenmpi-dev") == "libdevel"  # "universe" is Ubuntu's, and no section
    assert index.section_of("libopenmpi") is None


def test_of_packages_that_only_differ_in_numbers_the_newest_comes_first():
    providers = "libdevel/libfltk1.1-dev,libdevel/libfltk1.3-dev,libdevel/libfltk1.10-dev"
    found = FileIndex(write_rows({("program", "", providers): {"fltk-config"}})).find("program", "fltk-config")
    assert [each.package for each in found] == ["libfltk1.10-dev", "libfltk1.3-dev", "libfltk1.1-dev"]


def test_a_row_for_a_whole_directory_answers_for_all_below_it():
    index = FileIndex(write_rows({("header", "boost", "libdevel/libboost-dev"): {"*"}}))
    assert [each.package for each in index.find("header", "boost/a/b.hpp")] == ["libboost-dev"]
    assert index.find("header", "boosted/a.hpp") == index.find("header", "b.hpp") == []


def test_the_tables_that_ship_know_what_is_needed_most():
    lzma = pytest.importorskip("lzma")
    for release in ("12", "13"):
        index = FileIndex(lzma.decompress((DEPS / f"debian-{release}.files.xz").read_bytes()))
        for kind, name, package in [
            ("header", "openssl/ssl.h", "libssl-dev"), ("pkgconfig", "cairo", "libcairo2-dev"),
            ("library", "xml2", "libxml2-dev"), ("program", "pg_config", "libpq-dev"), ("program", "cmake", "cmake"),
        ]:  # fmt: skip
            assert index.find(kind, name)[0].package == package


# Definition files

def write(directory, text, name="own.ini"):
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_what_ships_is_about_debian_and_names_projects_canonically():
    definition = read_definition(DEBIAN)
    assert definition.command("supported") == ["test", "-e", "/etc/debian_version"]
    assert definition.dependencies["lxml"] == (("libxml2-dev",), ("libxslt1-dev",))
    assert {"m2crypto", "pyyaml", "pillow"} <= definition.dependencies.keys()
    assert "default-jdk-headless" in definition.vetted


@pytest.mark.parametrize(
    ("project", "packages"),
    [
        ("cffi", "libffi-dev"),
        ("cryptography", "libssl-dev"),
        ("lxml", "libxml2-dev libxslt1-dev"),
        ("M2Crypto", "libssl-dev swig"),
        ("Mercurial", ""),
        ("MySQL-python", "default-libmysqlclient-dev"),
        ("mysqlclient", "default-libmysqlclient-dev pkg-config"),
        ("Pillow", "libexif-dev libfreetype6-dev libjpeg-dev liblcms2-dev libtiff-dev zlib1g-dev"),
        ("python-mcrypt", "libmcrypt-dev"),
        ("PyXMLSec", "libxmlsec1-dev"),
        ("xmlsec", "libxmlsec1-dev libxml2-dev pkg-config"),
        ("PyYAML", "libyaml-dev"),
        ("scipy", "gfortran libopenblas-dev pkg-config"),
    ],
)
def test_the_projects_that_0_43_knew_are_known_with_what_debian_has_today(project, packages):
    needed = read_definition(DEBIAN).dependencies.get(canonical_name(project), ())
    assert [names[0] for names in needed] == packages.split()


def test_a_file_of_0_43_can_be_read(tmp_path):
    text = """
[commands]
supported = test -e /etc/debian_version
list = dpkg -l | awk '/^ii/ {print $2}'
install = apt-get install --yes

[dependencies]
M2Crypto = libssl-dev python-dev swig
python-mcrypt = libmcrypt-dev
"""
    definition = read_definition(write(tmp_path, text))
    assert definition.dependencies["m2crypto"] == (("libssl-dev",), ("python-dev",), ("swig",))
    assert definition.command("install") == ["apt-get", "install", "--yes"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[dependency]\na = b\n", r"\[dependency\] is none of its sections: commands, harmless, dependencies"),
        ("[commands]\nremove = b\n", "remove is none of its commands: supported, list, install"),
        ("[commands]\nlist = echo 'a\n", "No closing quotation"),
        ("[things]\nzlib.h = zlib1g-dev\n", "zlib.h has no kind: write header zlib.h, for example"),
        ("[things]\nheaders zlib.h = zlib1g-dev\n", "headers is none of the kinds of things: header, library"),
        ("a = b\n", "no section headers"),
        ("[things]\nheader ffi.h = | -o=x\n", "'' is no name of a package"),
        ("[dependencies]\na = --purge\n", "'--purge' is no name of a package"),
        ("[names]\na = b\na = c\n", "already exists"),
    ],
)
def test_what_has_no_place_in_a_file_is_named(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(ConfigFileError, match=reason) as caught:
        read_definition(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["own-definition", "another-platform"])
def test_the_files_in_the_documentation_can_be_read(tmp_path, name):
    text = (DEPS.parent.parent / "docs" / "system-packages.rst").read_text(encoding="utf-8")
    block = text.partition(f"   :name: {name}\n\n")[2]
    lines = block.splitlines()
    end = next(number for number, line in enumerate(lines) if line and not line.startswith("   "))
    definition = read_definition(write(tmp_path, "\n".join(line[3:] for line in lines[:end])))
    assert definition.dependencies and definition.things and definition.names


def test_a_comment_may_stand_behind_a_value(tmp_path):
    definition = read_definition(write(tmp_path, "[dependencies]\na = liba-dev  # for alpha\n; b = libb-dev\n"))
    assert definition.dependencies == {"a": (("liba-dev",),)}


def test_later_files_win_project_by_project(tmp_path):
    one = read_definition(write(tmp_path, "[dependencies]\na = x\nb = y\n[things]\nheader a.h = x\n", "1.ini"))
    two = read_definition(write(tmp_path, "[dependencies]\nB = z\n[things]\nheader b/*.h = y\n", "2.ini"))
    both = one.extended(two)
    assert both.dependencies == {"a": (("x",),), "b": (("z",),)}
    assert both.find_thing("header", "a.h") == (("x",),)
    assert both.find_thing("header", "b/c.h") == (("y",),)
    assert both.find_thing("header", "c.h") is None


# From things to packages

@pytest.fixture
def catalogue(index):
    return Catalogue(read_definition(DEBIAN), index, lambda: "python3-dev")


@pytest.mark.parametrize(
    ("missing", "packages"),
    [
        (Missing("header", "../openssl/ssl.h"), ["libssl-dev"]),
        (Missing("header", "Python.h"), ["python3-dev"]),
        (Missing("header", "curl/curl.h"), ["libcurl4-openssl-dev"]),  # a choice among equals
        (Missing("header", "boost/python/module.hpp"), ["libboost-python-dev"]),
        (Missing("header", "config.h"), []),  # so many have one that none is meant
        (Missing("header", "longintrepr.h"), []),
        (Missing("library", "lapack"), ["liblapack-dev"]),
        (Missing("program", "gcc"), ["build-essential"]),
        (Missing("program", "aarch64-linux-gnu-gcc-12"), ["build-essential"]),
        (Missing("program", "javac"), ["default-jdk-headless"]),
        (Missing("program", "nvcc"), []),
        (Missing("cmake", "openssl"), ["libssl-dev"]),
        (Missing("dependency", "libcap"), ["libcap-dev"]),
        (Missing("dependency", "threads"), []),
        (Missing("name", "libcap"), ["libcap-dev"]),
        (Missing("name", "Oracle Berkeley DB"), ["libdb-dev"]),
        (Missing("name", "the MariaDB Connector/C"), ["libmariadb-dev"]),
        (Missing("name", "numpy"), []),
        (Missing("name", "module"), []),
        (Missing("package", "libssl-dev"), ["libssl-dev"]),
        (Missing("package", "rm"), []),  # only what there is
        (Missing("newer", "cargo"), ["cargo-web", "rustc-web"]),
    ],
    ids=str,
)
def test_a_thing_leads_to_the_packages_that_bring_it(catalogue, missing, packages):
    assert [each.name for each in catalogue.find(missing)] == packages


def test_only_what_definitions_name_counts_as_vetted(catalogue):
    assert not catalogue.find(Missing("header", "winscard.h"))[0].vetted
    assert catalogue.find(Missing("program", "javac"))[0].vetted


def test_of_several_names_the_one_that_the_release_has_is_meant(index):
    definition = Definition("", {}, frozenset(), frozenset(), {"a": (("libnone-dev", "libcap-dev"),)}, {}, {})
    assert [each.name for each in Catalogue(definition, index, lambda: None).find_for_project("a")] == ["libcap-dev"]


def test_a_header_that_is_installed_where_only_pkg_config_finds_it_needs_that(catalogue):
    lists = [[Missing("header", "umfpack.h")]]
    found, _ = catalogue.find_for_output(lists, frozenset({"libsuitesparse-dev"}))
    assert {each.name for several in found.values() for each in several} == {"libsuitesparse-dev", "pkg-config"}


# Package managers that are stand-ins

PACKAGE_MANAGER = """\
#!{python}
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
def read(name):
    path = os.path.join(here, name)
    return open(path).read() if os.path.exists(path) else ""
if sys.argv[1] == "list":
    print(read("installed"), end="")
elif read("fail"):
    sys.exit(read("fail"))
else:
    open(os.path.join(here, "called"), "a").write(" ".join(sys.argv[2:]) + "\\n")
    open(os.path.join(here, "installed"), "a").write("".join(each + "\\n" for each in sys.argv[2:]))
"""


class Stand:
    """A package manager of our own, and a manager that uses it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program = place / "pm"
        self.program.write_text(PACKAGE_MANAGER.format(python=sys.executable))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        (place / "installed").write_text("base:amd64\nvirtual, provided (= 1)\n")
        self.config = Config(load_configuration_files=False, load_environment_variables=False)
        self.config.data_directory = str(place / "data")

    @property
    def calls(self) -> list[str]:
        path = self.place / "called"
        return path.read_text().splitlines() if path.exists() else []

    def definition(self, more: str = "", supported: str = "true") -> str:
        commands = f"supported = {supported}\nlist = {self.program} list\ninstall = {self.program} install"
        return f"[commands]\n{commands}\n[things]\nheader a.h = liba-dev\nheader b.h = libb-dev\n{more}"


@pytest.fixture
def stand(tmp_path, monkeypatch):
    monkeypatch.setattr(pip_accel.deps, "OWN", (str(tmp_path / "own"),))
    monkeypatch.setattr(platforms, "is_root", lambda: True)
    # What ships is about another platform then.
    monkeypatch.setattr(pip_accel.deps.SystemPackageManager, "_shipped", staticmethod(list))
    stand = Stand(tmp_path)
    write(tmp_path / "own", stand.definition("[dependencies]\nruled = libr-dev base\n"))
    return stand


def failure(*headers, label="alpha 1.0", external=()):
    output = "".join(f"x.c:1:10: fatal error: {each}: No such file or directory\n" for each in headers)
    return Failure(label, output, tuple(external))


def test_what_a_build_lacks_is_installed_by_one_command_where_that_is_allowed(stand):
    stand.config.auto_install = True
    said = []
    manager = SystemPackageManager(stand.config, say=said.append)
    assert manager.install_for([failure("a.h"), failure("b.h", label="ruled 2.0")])
    assert stand.calls == ["liba-dev libb-dev libr-dev"]  # base is installed
    assert said == ["Installing system packages for alpha 1.0, ruled 2.0: liba-dev libb-dev libr-dev"]
    assert not manager.install_for([failure("a.h"), failure("b.h", label="ruled 2.0")])
    assert len(stand.calls) == 1


def test_commands_are_split_into_words_and_no_shell_sees_them(stand, tmp_path):
    text = stand.definition().replace(" install\n", " install --place='a b' $HOME;true *\n")
    write(tmp_path / "own", text)
    stand.config.auto_install = True
    assert SystemPackageManager(stand.config).install_for([failure("a.h")])
    assert stand.calls == ["--place=a b $HOME;true * liba-dev"]


SUDO = """\
#!{python}
import os, sys
open(sys.argv[0] + ".called", "a").write(" ".join(sys.argv[1:]) + "\\n")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def test_who_is_not_root_needs_sudo_which_must_not_ask_for_a_password(stand, tmp_path, monkeypatch):
    stand.config.auto_install = True
    monkeypatch.setattr(platforms, "is_root", lambda: False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    write(tmp_path / "own", stand.definition(supported=sys.executable + " -c pass"))
    with pytest.raises(DependencyInstallationFailed, match=r"no sudo\..* sudo .*pm install liba-dev$"):
        SystemPackageManager(stand.config).install_for([failure("a.h")])
    sudo = tmp_path / "bin" / "sudo"
    sudo.write_text(SUDO.format(python=sys.executable))
    sudo.chmod(0o755)
    (tmp_path / "bin" / "env").symlink_to("/usr/bin/env")
    assert SystemPackageManager(stand.config).install_for([failure("a.h")])
    assert stand.calls == ["liba-dev"]
    words = (tmp_path / "bin" / "sudo.called").read_text().split()
    assert words[:2] == ["-n", "env"] and words[-3:] == [str(stand.program), "install", "liba-dev"]


def test_on_windows_nothing_stands_in_front_of_the_command(tmp_path, monkeypatch):
    definition = Definition("", {"install": "pm install"}, frozenset(), frozenset(), {}, {}, {})
    platform = platforms.Platform(definition, str(tmp_path), {})
    monkeypatch.setattr(platforms, "is_root", lambda: False)
    commands = [platform.command_for(["a"])]
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        commands.append(platform.command_for(["a"]))
    assert commands == ["sudo pm install a", "pm install a"]


def test_where_it_is_switched_off_the_command_is_named(stand):
    stand.config.auto_install = False
    with pytest.raises(DependencyInstallationRefused, match="switched off") as caught:
        SystemPackageManager(stand.config).install_for([failure("a.h")])
    assert str(caught.value).endswith(f"{stand.program} install liba-dev")
    assert caught.value.context["packages"] == "liba-dev"
    assert stand.calls == []


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), (None, False), ("yep", False)],
)
def test_else_the_user_is_asked_and_only_a_clear_yes_is_one(stand, answer, yes):
    asked = []

    def ask(text):
        asked.append(text)
        return answer

    manager = SystemPackageManager(stand.config, ask=ask)
    if yes:
        assert manager.install_for([failure("a.h")])
    else:
        reason = "nobody to ask" if answer is None else "as you said"
        with pytest.raises(DependencyInstallationRefused, match=reason):
            manager.install_for([failure("a.h")])
    assert len(asked) == 1 and "alpha 1.0" in asked[0] and f"{stand.program} install liba-dev" in asked[0]
    assert bool(stand.calls) == yes


@pytest.mark.parametrize(
    ("stdin", "stderr", "asked"), [(True, True, True), (True, False, False), (False, True, False), (None, True, False)]
)
def test_only_somebody_at_a_terminal_is_asked(stand, monkeypatch, stdin, stderr, asked):
    def stream(text, terminal):
        made = io.StringIO(text)
        made.isatty = lambda: terminal
        return made

    monkeypatch.setattr(sys, "stdin", None if stdin is None else stream("y\n", stdin))
    monkeypatch.setattr(sys, "stderr", stream("", stderr))
    manager = SystemPackageManager(stand.config)
    if asked:
        assert manager.install_for([failure("a.h")])
    else:
        with pytest.raises(DependencyInstallationRefused, match="There is nobody to ask"):
            manager.install_for([failure("a.h")])
    assert ("[y/N]" in sys.stderr.getvalue()) is asked
    assert stand.calls == (["liba-dev"] if asked else [])


def test_in_a_dry_run_nothing_is_installed_whatever_is_allowed(stand):
    stand.config.auto_install = True
    with pytest.raises(DependencyInstallationRefused, match="dry run"):
        SystemPackageManager(stand.config).install_for([failure("a.h")], dry_run=True)


def test_where_no_connection_may_be_opened_nothing_is_installed_or_fetched(stand):
    stand.config.auto_install, stand.config.offline = True, True
    manager = SystemPackageManager(stand.config, ask=lambda text: pytest.fail("it asks"))
    with pytest.raises(DependencyInstallationRefused, match="offline"):
        manager.install_for([failure("a.h")])
    assert not manager.install_for([failure("unknown.h")])
    assert stand.calls == []


def test_what_only_a_build_names_needs_a_harmless_section_to_be_installed_unasked(stand, monkeypatch):
    stand.config.auto_install = True
    index = FileIndex(b"\nheader\t\tnet/odd\t odd.h \n")
    monkeypatch.setattr(platforms.Platform, "load_index", lambda self: index)
    manager = SystemPackageManager(stand.config, ask=lambda text: "y\n")
    with pytest.raises(DependencyInstallationRefused, match="see to odd yourself"):
        manager.install_for([failure("odd.h")])
    stand.config.auto_install = None  # whoever sees the name may say yes
    assert manager.install_for([failure("odd.h")])


def test_an_installation_that_fails_or_brings_nothing_is_an_error(stand):
    stand.config.auto_install = True
    (stand.place / "fail").write_text("E: this cannot be done.")
    with pytest.raises(DependencyInstallationFailed, match=r"could not be installed: E: this cannot be done. Once"):
        SystemPackageManager(stand.config).install_for([failure("a.h")])
    stand.program.write_text(f"#!{sys.executable}\n")
    with pytest.raises(DependencyInstallationFailed, match="are not there, though"):
        SystemPackageManager(stand.config).install_for([failure("a.h")])


def test_packages_that_cannot_be_listed_are_an_error_that_names_the_command(stand):
    stand.program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('out of order')\n")
    with pytest.raises(SystemDependencyError, match="pm list failed: out of order"):
        SystemPackageManager(stand.config).find_installed_packages()
    stand.program.unlink()
    with pytest.raises(SystemDependencyError, match="cannot be started"):
        SystemPackageManager(stand.config).find_installed_packages()


def test_packages_of_other_architectures_and_those_that_are_only_configured_do_not_count():
    listing = "ii liba-dev:amd64,libx (= 1), libz\nii libb-dev:i386,\nrc libc-dev:amd64,\nhi libd-dev:all,\n"
    assert set(platforms._read_list(listing, ("all", "amd64"))) == {"liba-dev", "libx", "libz", "libd-dev"}
    assert "libb-dev" in set(platforms._read_list(listing))


def test_a_file_that_somebody_else_may_have_written_is_not_used(stand, tmp_path):
    path = tmp_path / "own" / "own.ini"
    path.chmod(0o666)
    with pytest.raises(ConfigFileError, match=r"own.ini is not used: .*others may write to it"):
        SystemPackageManager(stand.config)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    with pytest.raises(ConfigFileError, match="its directory belongs to another user, or others may write"):
        SystemPackageManager(stand.config)
    path.parent.chmod(0o700)
    assert SystemPackageManager(stand.config).platform is not None


@pytest.mark.parametrize("missing", ["list", "install"])
def test_a_platform_needs_its_commands(stand, tmp_path, missing):
    text = "\n".join(line for line in stand.definition().splitlines() if not line.startswith(missing))
    write(tmp_path / "own", text)
    with pytest.raises(ConfigFileError, match=rf"\[commands\] needs {missing}"):
        SystemPackageManager(stand.config)


def test_names_from_outside_cannot_draw_on_the_terminal():
    error = BuildFailed("no", output="x", distribution="evil\x1b[2J 1.0")
    assert "\x1b" not in failures_of(error)[0].label


def test_whatever_goes_wrong_here_leaves_the_failure_of_the_build(stand, monkeypatch):
    said = []
    target = find_target(None)
    rounds = Rounds(stand.config, target=target, say=said.append)
    error = BuildFailed("no", output="x.c:1:10: fatal error: a.h: No such file or directory", distribution="alpha 1.0")

    def attempt():
        raise error

    monkeypatch.setattr(platforms.Platform, "load_index", lambda self: 1 / 0)
    assert not rounds.is_curable(error)
    with pytest.raises(BuildFailed) as caught:
        rounds.carry_out(attempt)
    assert caught.value is error
    assert said == ["System packages could not be looked for (ZeroDivisionError: division by zero)"]


def test_a_broken_definition_file_is_told_beside_the_failure_of_the_build(stand, tmp_path):
    write(tmp_path / "own", "nonsense")
    error = BuildFailed("no", output="what the build said", distribution="alpha 1.0")

    def attempt():
        raise error

    rounds = Rounds(stand.config, target=find_target(None))
    assert not rounds.is_curable(error)
    with pytest.raises(SystemDependencyError, match="cannot be used") as caught:
        rounds.carry_out(attempt)
    assert caught.value.context["failure"] is error


@pytest.mark.parametrize("kind", [BuildFailed, NoBuildOutput])
def test_a_build_that_failed_is_tried_again_when_what_it_lacked_is_there(stand, kind):
    stand.config.auto_install = True
    done = Outcome((), Plan((), "", "", 0, False, False, {}), (), False, False)

    def attempt():
        if not stand.calls:
            output = "x.c:1:10: fatal error: a.h: No such file or directory"
            raise kind("no", output=output, distribution="alpha 1.0")
        return done

    assert Rounds(stand.config, target=find_target(None)).carry_out(attempt) == done
    assert stand.calls == ["liba-dev"]


def test_where_no_package_would_help_the_failure_of_the_build_stands_and_it_is_not_tried_again(stand):
    stand.config.auto_install = True
    output = "x.c:1:10: fatal error: none.h: No such file or directory"
    errors = [BuildFailed("no", output=output, distribution="alpha 1.0") for _ in range(2)]
    attempts = iter(errors)

    def attempt():
        raise next(attempts)

    with pytest.raises(BuildFailed) as caught:
        Rounds(stand.config, target=find_target(None)).carry_out(attempt)
    assert caught.value is errors[0]
    assert stand.calls == []


def test_a_build_may_fail_five_times_and_no_more(stand):
    stand.config.auto_install = True
    write(stand.place / "own", stand.definition("".join(f"header {each}.h = lib{each}\n" for each in "cdefgh")))
    headers = iter("abcdefgh")

    def attempt():
        output = f"x.c:1:10: fatal error: {next(headers)}.h: No such file or directory"
        raise BuildFailed("no", output=output, distribution="alpha 1.0")

    with pytest.raises(BuildFailed):
        Rounds(stand.config, target=find_target(None)).carry_out(attempt)
    assert len(stand.calls) == 5


def test_of_the_files_beside_the_module_the_last_that_applies_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(pip_accel.deps, "__file__", str(tmp_path / "shipped" / "__init__.py"))
    monkeypatch.setattr(pip_accel.deps, "OWN", ())
    stand = Stand(tmp_path)
    for name, supported in (("c", "false"), ("b", "true"), ("a", "true")):
        text = stand.definition(f"[dependencies]\nruled = lib{name}-dev\n", supported)
        write(tmp_path / "shipped", text, f"{name}.ini")
    requirement = Requirement(stand.config, {"metadata": {"name": "ruled", "version": "1"}})
    assert SystemPackageManager(stand.config).find_known_dependencies(requirement) == ["libb-dev"]


def test_a_platform_that_no_file_is_about_is_passed_over(stand, tmp_path):
    write(tmp_path / "own", stand.definition(supported="false"))
    stand.config.auto_install = True
    manager = SystemPackageManager(stand.config)
    assert manager.platform is None
    assert manager.find_installed_packages() == []
    assert not manager.install_for([failure("a.h")])
    write(tmp_path / "own", stand.definition(supported="/no/such/program"))
    assert SystemPackageManager(stand.config).platform is None


def test_the_documented_methods_go_by_the_name_of_the_project(stand):
    stand.config.auto_install = True
    item = {"metadata": {"name": "Ruled", "version": "1"}, "download_info": {"url": ""}}
    requirement = Requirement(stand.config, item)
    manager = SystemPackageManager(stand.config)
    assert manager.find_installed_packages() == ["base", "provided", "virtual"]
    assert manager.find_known_dependencies(requirement) == ["libr-dev", "base"]
    assert manager.find_missing_dependencies(requirement) == ["libr-dev"]
    assert manager.install_dependencies(requirement) is True
    assert manager.install_dependencies(requirement) is False
    with pytest.raises(DependencyInstallationRefused, match=r"Ruled.*a b.*Because it is so.*pm install a b"):
        manager.installation_refused(requirement, ["a", "b"], "Because it is so")
    with pytest.raises(DependencyInstallationRefused):
        SystemPackageManager(stand.config, ask=lambda text: "no").confirm_installation(requirement, ["a"], ["pm", "a"])


@pytest.mark.parametrize(
    ("allowed", "status", "error"),
    [
        (False, "", DependencyInstallationRefused),
        (None, "", DependencyInstallationRefused),
        (True, "E: this cannot be done.", DependencyInstallationFailed),
    ],
    ids=["switched off", "nobody to ask", "it fails"],
)
def test_what_stands_in_the_way_of_known_packages_is_told_with_all_that_is_known(stand, allowed, status, error):
    stand.config.auto_install = allowed
    (stand.place / "fail").write_text(status)
    requirement = Requirement(stand.config, {"metadata": {"name": "Ruled", "version": "1"}})
    with pytest.raises(error) as caught:
        SystemPackageManager(stand.config, ask=lambda text: None).install_dependencies(requirement)
    context = caught.value.context
    assert (context["packages"], context["command"]) == ("libr-dev", f"{stand.program} install libr-dev")
    assert {"reason", "output" if allowed else "requirement"} <= context.keys()
    assert stand.calls == []


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("__init__", ["config"]),
        ("install_dependencies", ["requirement"]),
        ("find_missing_dependencies", ["requirement"]),
        ("find_known_dependencies", ["requirement"]),
        ("find_installed_packages", []),
        ("installation_refused", ["requirement", "missing_dependencies", "reason"]),
        ("confirm_installation", ["requirement", "missing_dependencies", "install_command"]),
    ],
)
def test_the_signature_is_the_documented_one(method, parameters):
    found = inspect.signature(getattr(SystemPackageManager, method)).parameters.values()
    assert [each.name for each in found if each.kind is not each.KEYWORD_ONLY] == ["self", *parameters]


@pytest.mark.parametrize(
    ("declared", "packages"),
    [
        ("pkg:generic/openssl", ["libssl-dev"]),
        ("dep:generic/libxml2@2.9", ["libxml2-dev"]),
        ("dep:generic/swig ; platform_system == 'Linux'", ["swig"]),
        ("virtual:compiler/c", ["build-essential"]),
        ("dep:virtual/compiler/rust", ["rustc", "cargo"]),
        ("dep:virtual/interface/blas", ["libblas-dev"]),
        ("pkg:deb/debian/libcap-dev", ["libcap-dev"]),
        ("dep:github/xianyi/openblas", ["libopenblas-dev"]),
        ("pkg:pypi/numpy", []),
        ("nonsense", []),
    ],
)
def test_what_a_project_declares_leads_to_packages(catalogue, declared, packages):
    assert [each.name for each in pip_accel.deps._declared([declared], catalogue)] == packages


def test_the_headers_of_python_belong_to_the_interpreter_that_is_built_for(stand):
    for python, package in [("/opt/python/bin/python3.12", None), (os.path.realpath(sys.executable), ...)]:
        found = SystemPackageManager(stand.config, python=python)._find_python_package()
        assert package is ... or found is package


@pytest.mark.parametrize(
    ("python", "packages"),
    [("/usr/bin/python3.11", ["python3-dev"]), ("/usr/bin/python3.13", ["python3.13-dev"]), ("/opt/python3.11", [])],
)
def test_python_h_is_in_the_package_for_the_python_that_is_built_for(stand, monkeypatch, python, packages):
    manager = SystemPackageManager(stand.config, python=python)
    monkeypatch.setattr(os.path, "realpath", {"/usr/bin/python3": "/usr/bin/python3.11", python: python}.__getitem__)
    assert [each.name for each in manager.find(failure("Python.h")).packages] == packages


# Failures

def test_failures_are_read_off_errors_with_those_of_other_builds():
    other = NoBuildOutput("no", output="b", label="beta 2.0")
    context = {"distribution": "alpha 1.0", "external": ["pkg:generic/zlib"], "others": [other]}
    error = BuildFailed("no", output="a", label="x", **context)
    assert failures_of(error) == [Failure("alpha 1.0", "a", ("pkg:generic/zlib",)), Failure("beta 2.0", "b")]
    assert failures_of(BuildFailed("nothing was said")) == []
    assert failures_of(PipAcceleratorError("no build", output="a")) == []


# apt's words

SAID_BY_APT = [
    ("E: Could not get lock /var/lib/dpkg/lock. It is held by process 7 (apt-get)", "another program works with apt"),
    ("Err:1 x\n  Temporary failure resolving 'x'\nE: Failed to fetch z", "the package mirrors cannot be reached"),
    ("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full"),
    ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'.", "dpkg was interrupted"),
    ("dpkg: error processing package liba-dev (--configure):\nE: Sub-process", "dpkg failed at liba-dev"),
    ("E: Unmet dependencies.", "Unmet dependencies"),
    ("sudo: a password is required", "sudo wants a password"),
    ("nobody is not in the sudoers file.", "sudo does not allow it"),
]


@pytest.mark.parametrize(("said", "reason"), SAID_BY_APT, ids=[reason for _, reason in SAID_BY_APT])
def test_the_reason_of_a_failure_of_apt_is_told_in_one_phrase(tmp_path, said, reason):
    apt = platforms.Apt(read_definition(DEBIAN), str(tmp_path), {})
    assert apt._explain(platforms.Completed(100, said, "")).startswith(reason)


# pip-accel deps

@pytest.fixture
def ask_deps(stand, monkeypatch, capsys, tmp_path):
    """Calls ``pip-accel deps``; gives the status and both streams."""

    def call(*words, said=""):
        log = tmp_path / "build.log"
        log.write_text(said)
        words = [str(log) if word == "LOG" else word for word in words]
        status = deps(Invocation([], words, {}, stand.config))
        return (status, *capsys.readouterr())

    return call


def test_deps_reads_what_a_build_said_elsewhere_whatever_is_installed_here(ask_deps, stand):
    said = "x.c:1:10: fatal error: a.h: No such file or directory"
    (stand.place / "installed").write_text("liba-dev\n")
    assert ask_deps("--from-log", "LOG", said=said) == (0, f"{stand.program} install liba-dev\n", "")
    assert ask_deps(f"--from-log={stand.place / 'build.log'}", said=said)[0] == 0
    status, output, _ = ask_deps("--dockerfile", "--from-log", "LOG", said=said)
    assert (status, output) == (0, f"RUN {stand.program} install liba-dev\n")
    _, output, _ = ask_deps("--json", "--project", "ruled", "--from-log", "LOG", said=said)
    value = json.loads(output)
    assert value["packages"] == value["missing"] == ["base", "liba-dev", "libr-dev"]
    assert value["distributions"][0]["rules"] == ["base", "libr-dev"]
    assert value["distributions"][0]["output"] == [{"kind": "header", "name": "a.h", "packages": ["liba-dev"]}]


def test_deps_says_with_its_status_that_nothing_is_known(ask_deps):
    said = "x.c:1:10: fatal error: none.h: No such file or directory"
    status, output, errors = ask_deps("--from-log", "LOG", said=said)
    assert (status, output) == (1, "")
    assert "No package is known that has none.h" in errors


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "Please say what for: pip-accel deps -r requirements.txt"),
        (["--json"], "Please say what for"),
        (["--from-log", "/no/such.log"], "/no/such.log cannot be read: No such file or directory"),
        (["--from-log"], "--from-log needs a file, or - for standard input"),
        (["--from-log", "LOG", "six"], "does not go together with six"),
        (["--project", "x", "six"], "does nothing without that"),
        (["--json", "--dockerfile", "six"], "--json and --dockerfile do not go together"),
    ],
)
def test_deps_says_what_is_wrong_with_its_words(ask_deps, words, reason):
    status, output, errors = ask_deps(*words)
    assert (status, output) == (1, "")
    assert errors.startswith("ERROR: ") and reason in errors


def test_deps_says_how_it_is_used(ask_deps):
    status, output, _ = ask_deps("six", "--help")
    assert status == 0 and output.startswith("Usage: pip-accel deps")


def test_deps_says_so_where_no_file_is_about_the_system(ask_deps, stand, tmp_path):
    write(tmp_path / "own", stand.definition(supported="false"))
    status, _, errors = ask_deps("--from-log", "LOG")
    assert status == 1 and "knows nothing about the packages of this system" in errors
