"""Commands in the documentation: which texts are some, where they are, and what stands below them."""

from __future__ import annotations

import textwrap

import pytest

from tests.lib.documented import collect_commands, commands_of, read_blocks


def found(text: str) -> list[tuple[int, str]]:
    """Lines and texts of the commands on a page."""
    return [(command.line, command.text) for command in commands_of(textwrap.dedent(text), "page.rst")]


@pytest.mark.parametrize(
    ("literal", "is_one"),
    [
        ("pip-accel cache dir", True),
        ("PIP_ACCEL_OFFLINE=yes pip-accel install example", True),
        ('pip install "pip-accel[s3]"', True),
        ("python -m pip_accel", True),
        ("/opt/app/bin/python3 -m app", True),
        ("tox -r", True),
        ("pip-accel", False),
        ("pip freeze", False),
        ("PIP_ACCEL_DISABLE=1", False),
        ("--max-size=500MB", False),
        ("cp -al", False),
        ("pip-accel cache dir|info", False),
        ("pip_accel.config", False),
    ],
)
def test_a_literal_in_a_sentence_is_a_command_if_it_is_a_whole_one(literal, is_one):
    assert found(f"One\ntwo ``{literal}``: three.\n") == [(2, literal)] * is_one


def test_a_literal_may_go_on_in_the_next_line():
    assert found("One ``pip-accel cache\n    dir`` and ``pip-accel cache info``.") == [
        (1, "pip-accel cache dir"),
        (2, "pip-accel cache info"),
    ]


@pytest.mark.parametrize("begin", ["Do this::", "::", ".. code-block:: sh", ".. code-block:: sh\n   :name: one"])
def test_each_line_of_a_block_for_a_shell_is_a_command(begin):
    lines = ["pip-accel  install one  # a comment", "# another", "", "pip-accel \\", "   cache dir"]
    text = f"{begin}\n\n" + "".join(f"   {line}".rstrip() + "\n" for line in lines) + "\nThe end.\n"
    first = begin.count("\n") + 3
    assert found(text) == [(first, "pip-accel install one"), (first + 3, "pip-accel cache dir")]


def test_commands_of_a_block_know_that_they_belong_together():
    named = ".. code-block:: sh\n   :name: one\n\n   pip-accel cache dir\n   pip list\n"
    blocks = [command.block for command in commands_of(f"{named}\n::\n\n   pip list\n\n``pip list all``", "page.rst")]
    assert blocks == ["one", "one", "page.rst:9", ""]


@pytest.mark.parametrize(
    "line", ["export A=b", "alias pip=pip-accel", "cd there", "a='b c'", "for a in b; do", "#!/bin/sh", "if true; then"]
)
def test_a_block_with_a_line_that_others_depend_on_is_a_script(line):
    [command] = commands_of(f"::\n\n    pip list  # one\n    {line}\n", "page.rst") or [None]
    assert command.text == f"pip list  # one\n{line}"
    assert (command.key, command.whole) == (f"pip list # one {line}", True)


def test_a_script_is_known_by_the_name_of_its_block():
    [command] = commands_of(".. code-block:: sh\n   :name: one\n\n   export A=b\n   pip list\n", "page.rst")
    assert command.key == "one"


def test_what_a_session_shows_below_a_command_is_no_command():
    text = """\
        ::

            $ pip-accel cache dir
            /one
            pip-accel cache info
            $ pip list

            Two …
    """
    commands = commands_of(textwrap.dedent(text), "page.rst")
    assert [(command.text, command.prints) for command in commands] == [
        ("pip-accel cache dir", ("/one", "pip-accel cache info")),
        ("pip list", ("Two …",)),
    ]


def test_a_session_that_sets_variables_is_a_script_without_what_it_shows():
    [command] = commands_of("::\n\n    $ export A=b\n    $ pip list\n    Two\n", "page.rst")
    assert (command.text, command.prints, command.key) == ("export A=b\npip list", ("Two",), "export A=b pip list")


@pytest.mark.parametrize(
    ("language", "lines", "commands"),
    [
        ("docker", ["FROM a", "RUN --mount=b \\", "    pip list", "COPY pip c", 'CMD ["python", "-m", "a"]'],
         ["pip list", "python -m a"]),
        ("docker", ["RUN python -m venv a && a/bin/pip list"], ["python -m venv a", "a/bin/pip list"]),
        ("yaml", ["on: [push]", "- run: pip list", "- uses: a", "  - python -m a", "path: pip", "    pip check it"],
         ["pip list", "python -m a", "pip check it"]),
        ("groovy", ["stage('a') {", "    sh 'pip list'", "}"], ["pip list"]),
        ("ini", ["[a]", "install_command = pip-accel install {b}", "allowlist_externals = pip-accel", "pip = 1"],
         ["pip-accel install {b}"]),
        ("toml", ['install_command = ["pip-accel", "install", "{b}"]', "python = [1"], ["pip-accel install '{b}'"]),
        ("python", ["pip list"], []),
        ("console", ["$ pip list"], ["pip list"]),
        ("text", ["pip list"], []),
    ],
)  # fmt: skip
def test_lines_of_blocks_in_other_languages_are_commands_if_they_begin_with_a_program(language, lines, commands):
    block = "".join(f"    {line}\n" for line in lines)
    assert [text for _, text in found(f".. code-block:: {language}\n\n{block}\nEnd.\n")] == commands


def test_a_block_ends_where_nothing_is_indented_any_more():
    text = "- One::\n\n      a\n        b\n\n      c\n\n  two\n\n.. code-block:: ini\n   :name: n\n\n   d\n"
    assert [tuple(block)[1:] for block in read_blocks(text, "page.rst")] == [
        (3, "", "", ("a", "  b", "", "c")),
        (13, "ini", "n", ("d",)),
    ]


def test_a_directive_is_no_block():
    assert found(".. note::\n\n   Use ``pip-accel cache dir``.\n") == [(3, "pip-accel cache dir")]
    assert list(read_blocks(".. note::\n\n   One.\n", "page.rst")) == []


def test_literals_in_blocks_are_not_looked_for():
    assert found(".. code-block:: ini\n\n   ; ``pip-accel cache dir``\n") == []


def test_each_command_is_where_it_is_said_to_be():
    commands = collect_commands()
    assert {"README.rst", "docs/cache.rst", "docs/recipes.rst"} <= {command.path for command in commands}
    assert all(command.line > 0 and command.text.strip() for command in commands)
