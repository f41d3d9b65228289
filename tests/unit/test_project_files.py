"""Requirements in files that are not for pip alone: groups of projects, comments of scripts."""

from __future__ import annotations

import pytest

from pip_accel._plan.project_files import read_groups, read_scripts
from pip_accel.exceptions import Unsupported

GROUPS = """
[project]
name = "alpha"
[dependency-groups]
dev = ["beta>1", {include-group = "Tests_and.more"}, "gamma[x]; os_name != 'x'"]
tests-and-more = ["delta", "beta>1"]
none = []
circle = [{include-group = "circle"}]
missing = [{include-group = "nowhere"}]
bad = ["beta = 1"]
odd = [1]
"""


def make_project(directory, text=GROUPS):
    directory.mkdir(exist_ok=True)
    path = directory / "pyproject.toml"
    path.write_text(text)
    return str(path)


# Groups


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("tests-and-more", ["delta", "beta>1"]),
        ("Tests.and_more", ["delta", "beta>1"]),
        ("dev", ["beta>1", "delta", "beta>1", "gamma[x]; os_name != 'x'"]),
        ("none", []),
    ],
)
def test_a_group_has_its_requirements_and_those_of_groups_that_it_includes(tmp_path, monkeypatch, group, expected):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [each.replace('"', "'") for each in read_groups([group])] == expected


def test_groups_may_be_those_of_other_projects(tmp_path, monkeypatch):
    make_project(tmp_path)
    other = make_project(tmp_path / "an:other", '[dependency-groups]\nown = ["epsilon"]\n')
    monkeypatch.chdir(tmp_path)
    assert read_groups([f"{other}:own", "none", "tests-and-more"]) == ["epsilon", "delta", "beta>1"]


@pytest.mark.parametrize("group", ["nowhere", "circle", "missing", "bad", "odd", ""])
def test_a_group_without_a_meaning_is_left_to_pip(tmp_path, monkeypatch, group):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unsupported, match="group"):
        read_groups([group])


@pytest.mark.parametrize(
    "text", ["", "[dependency-groups", 'dependency-groups = "x"\n', "dependency-groups = []\n"]
)
def test_a_project_without_groups_is_left_to_pip(tmp_path, text):
    path = make_project(tmp_path, text)
    with pytest.raises(Unsupported, match=r"pyproject\.toml"):
        read_groups([f"{path}:dev"])


@pytest.mark.parametrize("name", ["setup.cfg", "pylock.toml", "xpyproject.toml", ""])
def test_a_group_of_any_other_file_is_left_to_pip(tmp_path, name):
    (tmp_path / "setup.cfg").write_text(GROUPS)
    with pytest.raises(Unsupported, match="dev"):
        read_groups([f"{tmp_path}/{name}:dev"])


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "no text"])
def test_a_file_that_cannot_be_read_is_left_to_pip(tmp_path, content):
    path = tmp_path / "pyproject.toml"
    if content is not None:
        path.write_bytes(content)
    for read, value in ((read_groups, f"{path}:dev"), (read_scripts, str(path))):
        with pytest.raises(Unsupported, match="cannot be read"):
            read([value])


# Scripts


def make_script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('# /// script\n# dependencies = ["beta", "gamma>1"]\n# ///\n', ["beta", "gamma>1"]),
        ("#!/x\n\n# /// script\n# dependencies = [\n#   'beta',\n#\n# ]\n# ///\nimport beta\n", ["beta"]),
        ("# /// script\n#\n# ///\n", []),
        ("# /// script\n# requires-python = '>=3'\n# ///\n", []),
        ("# /// other\n# x\n# ///\n\n# /// script\n# dependencies = ['beta']\n# ///\n", ["beta"]),
        ("# /// script\n# dependencies = ['beta'] # c\n# [tool.x]\n# dependencies = ['x']\n# ///\n", ["beta"]),
        ("# /// script\n# dependencies = ['beta']\n# ///\n# ///\n", None),
        ("# /// script\n# dependencies = ['beta']\n# ///\n\n# ///\n", ["beta"]),
    ],
)
def test_a_script_has_requirements_in_a_comment(tmp_path, text, expected):
    path = make_script(tmp_path, text)
    if expected is None:  # the block ends where the last of such lines is
        with pytest.raises(Unsupported, match="TOML"):
            read_scripts([path])
    else:
        assert read_scripts([path]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "import beta\n",
        "# /// script\n# dependencies = []\n",
        "#/// script\n# dependencies = []\n# ///\n",
        "# /// script\n#dependencies = []\n# ///\n",
        "# /// script\n# dependencies = []\n# ///\n\n# /// script\n# dependencies = []\n# ///\n",
        "# /// script\n# dependencies = [\n# ///\n",
        "# /// script\n# dependencies = 'beta'\n# ///\n",
        "# /// script\n# dependencies = [1]\n# ///\n",
        "# /// script\n# dependencies = {}\n# ///\n",
    ],
)
def test_what_is_no_such_comment_is_left_to_pip(tmp_path, text):
    with pytest.raises(Unsupported, match=r"script\.py"):
        read_scripts([make_script(tmp_path, text)])
