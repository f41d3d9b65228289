"""The documented helpers."""

import hashlib
import inspect
import os
import platform
import sys

import pytest
from packaging.requirements import InvalidRequirement

from pip_accel import _process, utils
from pip_accel.exceptions import PipFailed
from pip_accel.utils import (
    AtomicReplace,
    contains_sublist,
    create_file_url,
    find_home_directory,
    get_python_version,
    hash_files,
    is_installed,
    is_short_option,
    makedirs,
    match_option,
    match_option_with_value,
    replace_file,
    requirement_is_installed,
    same_directories,
    uninstall,
)

SIGNATURES = {
    "AtomicReplace": "filename",
    "compact": "text, **kw",
    "contains_sublist": "lst, sublst",
    "create_file_url": "pathname",
    "expand_path": "pathname",
    "find_home_directory": "",
    "get_python_version": "",
    "hash_files": "method, *files",
    "is_installed": "package_name",
    "is_root": "",
    "is_short_option": "argument",
    "makedirs": "path, mode=511",
    "match_option": "argument, short_option, long_option",
    "match_option_with_value": "arguments, option, value",
    "replace_file": "src, dst",
    "requirement_is_installed": "expr",
    "same_directories": "path1, path2",
    "uninstall": "*package_names",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signature_is_the_documented_one(name):
    parameters = inspect.signature(getattr(utils, name)).parameters.values()
    plain = (str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in parameters)
    assert ", ".join(plain) == SIGNATURES[name]


def test_these_are_all_helpers():
    assert set(utils.__all__) == set(SIGNATURES)


def test_the_url_of_a_file_is_absolute_and_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert create_file_url("/a b/c#d.tar.gz") == "file:///a%20b/c%23d.tar.gz"
    assert create_file_url("x") == f"{tmp_path.as_uri()}/x"


@pytest.mark.parametrize(
    ("variables", "expected"), [({"APPDATA": "C:/data"}, "C:/data"), ({"HOME": "/me"}, "/me/Application Data")]
)
def test_at_home_on_windows_is_where_applications_keep_their_data(variables, expected, monkeypatch):
    monkeypatch.delenv("APPDATA", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "win32")
    assert find_home_directory() == expected


def test_the_python_version_names_the_implementation():
    assert get_python_version() == "{}-{}.{}".format(platform.python_implementation(), *sys.version_info)


def test_directories_are_made_once(tmp_path):
    path = tmp_path / "a" / "b"
    assert makedirs(str(path), 0o700) is True
    assert path.stat().st_mode & 0o777 == 0o700
    assert makedirs(str(path)) is False


def test_a_file_in_the_way_of_a_directory_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        makedirs(str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        makedirs(str(tmp_path / "file" / "below"))


def test_directories_are_the_same_however_they_are_reached(tmp_path):
    one, two, link, missing = (str(tmp_path / name) for name in ("one", "two", "link", "missing"))
    os.mkdir(one)
    os.mkdir(two)
    os.symlink(one, link)
    assert same_directories(one, os.path.join(two, os.pardir, "one")) is True
    assert same_directories(one, link) is True
    assert same_directories(one, two) is False
    assert same_directories(missing, missing) is False


def test_the_digest_is_that_of_the_files_one_behind_the_other(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"y")
    files = str(tmp_path / "a"), str(tmp_path / "b")
    assert hash_files("sha256", *files) == hashlib.sha256(b"x" * 3_000_000 + b"y").hexdigest()
    assert hash_files("sha1") == hashlib.sha1(b"").hexdigest()
    with pytest.raises(ValueError, match="crc"):
        hash_files("crc", *files)


def test_a_file_is_moved_over_another(tmp_path):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    replace_file(str(tmp_path / "new"), str(tmp_path / "old"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "new"}


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    (tmp_path / "file").write_text("old")
    with AtomicReplace(str(tmp_path / "file")) as temporary:
        assert os.path.dirname(temporary) == str(tmp_path) and not os.path.exists(temporary)
        with open(temporary, "w") as handle:
            handle.write("new")
        assert (tmp_path / "file").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "new"}


@pytest.mark.parametrize("written", [True, False])
def test_a_file_stays_when_writing_fails(written, tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), AtomicReplace(str(tmp_path / "file")) as temporary:
        if written:
            with open(temporary, "w") as handle:
                handle.write("half")
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_nothing_is_left_when_a_file_cannot_be_replaced(tmp_path):
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError), AtomicReplace(str(tmp_path / "directory")) as temporary:
        open(temporary, "w").close()
    assert os.listdir(tmp_path) == ["directory"]


def test_temporary_files_have_names_of_their_own():
    assert AtomicReplace("x").temporary_file != AtomicReplace("x").temporary_file


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Add a distribution to the environment, or take it away: ``site("Foo.Bar", "1.5")``, ``site("Foo.Bar", None)``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def change(name, version):
        directory = tmp_path / f"{name.replace('.', '_').lower()}-1.dist-info"
        if version is None:
            (directory / "METADATA").unlink()
            directory.rmdir()
            return
        directory.mkdir()
        content = f"Metadata-Version: 2.1\nName: {name}\n" + (f"Version: {version}\n" if version else "")
        (directory / "METADATA").write_text(content)

    return change


@pytest.mark.parametrize("name", ["Foo.Bar", "foo-bar", "FOO_BAR"])
def test_a_project_is_installed_however_it_is_spelled(name, site):
    assert is_installed(name) is False
    site("Foo.Bar", "1.5")
    assert is_installed(name) is True
    site("Foo.Bar", None)
    assert is_installed(name) is False


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("foo.bar", True),
        ("Foo_Bar", True),
        ("foo-bar>=1", True),
        ("foo-bar (>=1)", True),
        ("foo-bar==1.5.0", True),
        ("foo-bar>=1,<1.5", False),
        ("foo-bar[extra]~=1.0", True),
        ("foo-bar @ https://example.org/foo.zip", True),
        ("foo-bar>2; python_version > '3'", False),
        ("foo-bar>2; python_version < '3'", True),
        ("no-such-project", False),
        ("no-such-project; python_version > '3'", False),
        ("no-such-project; python_version < '3'", True),
    ],
)
def test_a_requirement_is_installed_if_what_is_there_satisfies_it(expr, expected, site):
    site("Foo.Bar", "1.5")
    assert requirement_is_installed(expr) is expected


def test_a_pre_release_that_is_installed_satisfies(site):
    site("foo", "2.0rc1")
    assert requirement_is_installed("foo>=1") is True
    assert requirement_is_installed("foo>=2") is False


@pytest.mark.parametrize("version", ["", "2004d-x"])
def test_a_version_that_is_none_satisfies_only_who_does_not_ask(version, site):
    site("foo", version)
    assert is_installed("foo") is requirement_is_installed("foo") is True
    assert requirement_is_installed("foo>=0") is False


def test_what_is_no_requirement_is_an_error():
    with pytest.raises(InvalidRequirement):
        requirement_is_installed("foo bar")


class FakePip:
    """Takes the place of ``_process.run``."""

    def __init__(self, status, output=""):
        self.done = _process.Completed(status, output, "")
        self.commands = []

    def __call__(self, command, *, merge):
        self.commands.append(command)
        return self.done


def test_pip_uninstalls_without_a_question(site, monkeypatch):
    site("foo", "1.0")
    site("bar", "1.0")
    pip = FakePip(0)
    monkeypatch.setattr(_process, "run", pip)
    uninstall("foo", "bar")
    assert [command[-3:] for command in pip.commands] == [["--yes", "foo", "bar"]]
    # A pip.py in the working directory is not what is meant.
    assert pip.commands[0][:-4] == [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-m", "pip"]


@pytest.mark.parametrize("missing", ["no-such-project", "-r", "--help"])
def test_nothing_is_uninstalled_if_one_is_missing(missing, site, monkeypatch):
    site("foo", "1.0")
    pip = FakePip(0)
    monkeypatch.setattr(_process, "run", pip)
    with pytest.raises(PipFailed, match=f"^{missing} cannot be removed: it is not installed"):
        uninstall("foo", missing)
    assert pip.commands == []


def test_nothing_is_asked_of_pip_without_names(monkeypatch):
    monkeypatch.setattr(_process, "run", None)
    uninstall()


def test_what_pip_says_about_a_failed_uninstallation_is_shown(site, monkeypatch):
    site("foo", "1.0")
    monkeypatch.setattr(_process, "run", FakePip(1, "error: externally-managed {environment}\n"))
    with pytest.raises(PipFailed, match=r"foo \(status 1\): error: externally-managed \{environment\}") as caught:
        uninstall("foo")
    assert caught.value.context["command"][-2:] == ("--yes", "foo")
    assert (caught.value.context["status"], caught.value.context["output"][:6]) == (1, "error:")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-v", True), ("-vq", True), ("-rfile", True), ("--verbose", False), ("--", False), ("-", False), ("v", False),
        ("", False),
    ],
)  # fmt: skip
def test_short_options_have_one_dash(argument, expected):
    assert is_short_option(argument) is expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-v", True), ("-vv", True), ("-qv", True), ("-Uv", True), ("--verbose", True), ("-q", False), ("-V", False),
        ("-fhttp://v", False), ("-rdev.txt", False), ("-iv", False), ("--verb", False), ("--verbose=1", False),
        ("-", False), ("v", False), ("", False),
    ],
)  # fmt: skip
def test_options_match_long_or_short_or_in_a_cluster_of_flags(argument, expected):
    assert match_option(argument, "-v", "--verbose") is expected


def test_an_option_with_a_value_may_end_a_cluster():
    assert match_option("-r", "-r", "--requirement") is match_option("-vr", "-r", "--requirement") is True


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x", "--no-binary", ":all:", "y"], True),
        (["--no-binary=:all:"], True),
        ([":all:", "--no-binary"], False),
        (["--no-binary", "x", ":all:"], False),
        (["--no-binary=x"], False),
        ([], False),
    ],
)
def test_an_option_has_its_value_behind_it(arguments, expected):
    assert match_option_with_value(arguments, "--no-binary", ":all:") is expected
    assert match_option_with_value(tuple(arguments), "--no-binary", ":all:") is expected


@pytest.mark.parametrize(
    ("lst", "sublst", "expected"),
    [
        ([1, 2, 3], [2, 3], True),
        ([1, 2, 3], [1, 2, 3], True),
        ([1, 2, 3], [], True),
        ([], [], True),
        ([1, 2, 3], [1, 3], False),
        ([1, 2, 3], [2, 1], False),
        ([1, 2], [1, 2, 3], False),
        ((1, 2, 3), [1, 2], True),
    ],
)
def test_a_sublist_is_in_order_and_without_gaps(lst, sublst, expected):
    assert contains_sublist(lst, sublst) is expected
