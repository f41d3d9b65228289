"""pip's configuration files and variables, in pip's order."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pip_accel._plan.pip_configuration import (
    configuration_files,
    find_interpreter,
    find_prefix,
    read_settings,
    settings_for,
)
from pip_accel.exceptions import Unsupported

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="the paths below are those of Linux and its like"
)

GLOBAL, USER, LEGACY, SITE = "/etc/pip.conf", "/home/me/.config/pip/pip.conf", "/home/me/.pip/pip.conf", "/env/pip.conf"
HOME = {"HOME": "/home/me"}


def read(files: dict[str, str]):
    """A reader of files that exist nowhere else."""

    def read_one(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path].encode()

    return read_one


def settings(files: dict[str, str], environ: dict[str, str] | None = None, command: str = "install"):
    return dict(settings_for(command, read_settings({**HOME, **(environ or {})}, "/env", read(files))))


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        (HOME, ["/etc/xdg/pip/pip.conf", GLOBAL, LEGACY, USER, SITE]),
        ({**HOME, "XDG_CONFIG_HOME": "/x"}, ["/etc/xdg/pip/pip.conf", GLOBAL, LEGACY, "/x/pip/pip.conf", SITE]),
        ({**HOME, "XDG_CONFIG_HOME": "x"}, ["/etc/xdg/pip/pip.conf", GLOBAL, LEGACY, USER, SITE]),
        ({**HOME, "XDG_CONFIG_DIRS": "/a:/b"}, ["/a/pip/pip.conf", "/b/pip/pip.conf", GLOBAL, LEGACY, USER, SITE]),
        ({**HOME, "PIP_CONFIG_FILE": os.devnull}, []),
        ({**HOME, "PIP_CONFIG_FILE": "/none"}, ["/etc/xdg/pip/pip.conf", GLOBAL, LEGACY, USER, SITE, "/none"]),
        ({**HOME, "PIP_CONFIG_FILE": __file__}, ["/etc/xdg/pip/pip.conf", GLOBAL, SITE, __file__]),
        ({**HOME, "PIP_CONFIG_FILE": ""}, ["/etc/xdg/pip/pip.conf", GLOBAL, LEGACY, USER, SITE]),
    ],
    ids=["plain", "xdg-home", "xdg-home-relative", "xdg-dirs", "none", "missing", "chosen", "empty"],
)
def test_files_are_found_where_pip_finds_them(environ, files):
    assert list(configuration_files(environ, "/env")) == files


def test_pip_looks_in_the_same_places(tmp_path):
    code = (
        "from pip._internal.configuration import Configuration\n"
        "for _kind, files in Configuration(isolated=False).iter_config_files(): print(*files, sep='\\n')"
    )
    chosen = tmp_path / "chosen.conf"
    chosen.touch()
    for extra in ({}, {"XDG_CONFIG_HOME": "/x", "XDG_CONFIG_DIRS": "/a:/b"}, {"PIP_CONFIG_FILE": str(chosen)}):
        environ = {"HOME": str(tmp_path), "PYTHONWARNINGS": "ignore", **extra}
        output = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        ).stdout
        assert output.split() == list(configuration_files(environ, sys.prefix))


def test_files_give_way_in_pips_order():
    files = {
        "/etc/xdg/pip/pip.conf": "[global]\na=xdg\nb=xdg\nc=xdg\nd=xdg\ne=xdg",
        GLOBAL: "[global]\nb=global\nc=global\nd=global\ne=global",
        LEGACY: "[global]\nc=legacy\nd=legacy\ne=legacy",
        USER: "[global]\nd=user\ne=user",
        SITE: "[global]\ne=site",
    }
    assert settings(files) == {"a": "xdg", "b": "global", "c": "legacy", "d": "user", "e": "site"}


def test_sections_give_way_to_that_of_the_command_and_all_to_variables():
    files = {GLOBAL: "[install]\na=install\nb=install", SITE: "[global]\na=global\nc=global\n[download]\na=download"}
    environ = {"PIP_B": "variable"}
    assert settings(files, environ) == {"a": "install", "b": "variable", "c": "global"}
    assert settings(files, environ, "download") == {"a": "download", "b": "variable", "c": "global"}
    assert settings(files, environ, "global") == {"a": "global", "b": "variable", "c": "global"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[global]\nfind_links = a", {"find-links": "a"}),
        ("[global]\n--Find-Links = a", {"find-links": "a"}),
        ("[global]\nfind-links =\n  a\n  b", {"find-links": "\na\nb"}),
        ("[global]\nindex-url: x%(y)s", {"index-url": "x%(y)s"}),
        ("[DEFAULT]\npre = 1\n[global]\n", {"pre": "1"}),
        ("[global]\npre =", {}),
        ("[other]\npre = 1", {}),
        ("", {}),
    ],
    ids=["underscore", "dashes", "lines", "percent", "defaults", "empty", "other-section", "nothing"],
)
def test_names_and_values(text, expected):
    assert settings({SITE: text}) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PIP_INDEX_URL": "x"}, {"index-url": "x"}),
        ({"PIP_index-url": "x"}, {"index-url": "x"}),
        ({"PIP_INDEX_URL": ""}, {}),
        ({"pip_index_url": "x", "XPIP_PRE": "1"}, {}),
        ({"PIP_VERSION": "1", "PIP_HELP": "1"}, {}),
    ],
    ids=["plain", "dash", "empty", "other-names", "ignored"],
)
def test_variables(environ, expected):
    assert settings({}, environ) == expected


@pytest.mark.parametrize(
    "files",
    [
        {SITE: "no section = 1"},
        {SITE: "[global]\na = 1\na = 2"},
        {SITE: "[global]\nfind_links = 1\nfind-links = 2"},
        {GLOBAL: "[global]\npre = 1", SITE: "[global]\npre ="},
    ],
    ids=["no-section", "twice", "twice-by-spelling", "taken-back"],
)
def test_files_that_are_wrong_or_read_differently_by_versions_are_left_to_pip(files):
    with pytest.raises(Unsupported, match=SITE):
        settings(files)


def test_a_file_in_another_encoding_is_left_to_pip():
    with pytest.raises(Unsupported):
        read_settings({}, "/env", lambda path: b"[global]\na = \xff\xfe")


def test_the_prefix_of_an_environment_is_found(tmp_path):
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / "pyvenv.cfg").touch()
    assert find_prefix(str(environment / "bin" / "python")) == str(environment)
    assert find_interpreter(str(environment)) == str(environment / "bin" / "python")
    assert find_interpreter(str(environment / "bin" / "python")) == str(environment / "bin" / "python")
    assert find_interpreter(str(tmp_path)) is None
    assert find_interpreter(str(tmp_path / "none")) is None


def test_the_prefix_of_an_interpreter_without_environment_is_found(tmp_path):
    for name in ("root/bin", "links"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "bin" / "python3").touch()
    (tmp_path / "links" / "python").symlink_to(tmp_path / "root" / "bin" / "python3")
    assert find_prefix(str(tmp_path / "links" / "python")) == str(tmp_path / "root")
    assert find_prefix(sys.executable) == sys.prefix
