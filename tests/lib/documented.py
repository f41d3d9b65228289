"""The commands that the documentation shows, each with its place: ``python -m tests.lib.documented`` lists them.

They stand in literal blocks for a shell, in lines of blocks for other programs (Docker, CI systems, tox), and in
sentences as literals.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

__all__ = ["Block", "Command", "collect_commands", "commands_of", "is_for_a_shell", "pages", "read_blocks"]

CHECKOUT = Path(__file__).resolve().parent.parent.parent

#: What a line begins with that is a command, in blocks that have other lines as well.
PROGRAMS = frozenset(
    {"apt-get", "curl", "dnf", "docker", "git", "make", "pip", "pip-accel", "pipx", "pytest", "python", "python3"}
    | {"rpm", "sh", "sudo", "test", "tox", "uv"}
)
#: Programs whose commands count in sentences, and how many words have to follow. ``pip freeze`` is but a name there.
IN_SENTENCES = {"pip": 2, "pip-accel": 1, "pipx": 1, "python": 1, "python3": 1, "tox": 1}
SHELLS = frozenset({"bash", "console", "sh", "shell"})
#: Where lines of blocks in other languages have commands; what does not begin with a program is none.
LINES = {
    "docker": re.compile(r"(?:RUN|CMD)\s+(?:--\S+\s+)*(?P<command>.*)"),
    "groovy": re.compile(r"\s*sh\s+'(?P<command>.*)'"),
    "ini": re.compile(r"\w+\s*=\s*(?P<command>.*)"),
    "toml": re.compile(r"\w+\s*=\s*(?P<command>.*)"),
    "yaml": re.compile(r"\s*(?:-\s+)?(?:run:\s+)?(?P<command>.*)"),
}

DIRECTIVE = re.compile(r"(?P<indent>\s*)\.\. (?:code|code-block|sourcecode)::\s*(?P<language>\S*)\s*$")
LITERAL = re.compile(r"(?P<indent>\s*(?:(?:[-*+]|\w+\.)\s+)*)(?!\s|\.\. ).*::\s*$")
OPTION = re.compile(r"\s+:(?P<option>[\w-]+):\s*(?P<value>.*?)\s*$")
INLINE = re.compile(r"(?<!`)``(?!`)(?P<text>(?:[^`]|`(?!`))+)``(?!`)")
SEVERAL = re.compile(r"\w\|\w")  # ``cache dir|info``: a name for two commands
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=\S*")
COMMENT = re.compile(r"(?:^|\s+)#(?:\s.*)?$")
#: What only has a meaning for the lines behind it.
PART_OF_A_SCRIPT = re.compile(r"(?:#!|(?:alias|case|cd|export|for|if|set|while)\s|[A-Za-z_]\w*=(?:\S*|'.*'|\".*\")$)")


class Command(NamedTuple):
    """A command, or a script."""

    path: str  #: of the page, relative to the checkout
    line: int
    text: str  #: a command on one line, without comments; all lines of a script
    block: str  #: name or place of the block it stands in; those of one belong together. Empty in a sentence
    whole: bool = False  #: whether it is all of its block: a script
    prints: tuple[str, ...] = ()  #: the lines that the page shows below it; ``…`` stands for anything

    @property
    def key(self) -> str:
        """What it is called in tables: its text; for a script the name of its block, if it has one."""
        if not self.whole:
            return self.text
        return " ".join(self.text.split()) if ":" in self.block else self.block


class Block(NamedTuple):
    """A literal block."""

    path: str
    line: int  #: of its first line of content
    language: str  #: empty where nothing says it
    name: str
    lines: tuple[str, ...]  #: not indented


def pages() -> list[Path]:
    """All pages of the documentation."""
    return [CHECKOUT / "README.rst", CHECKOUT / "CHANGELOG.rst", *sorted((CHECKOUT / "docs").rglob("*.rst"))]


def collect_commands() -> list[Command]:
    """All commands of all pages, in the order in which they stand there."""
    found = []
    for page in pages():
        found += commands_of(page.read_text(encoding="utf-8"), page.relative_to(CHECKOUT).as_posix())
    return found


def commands_of(text: str, path: str) -> list[Command]:
    """The commands of a page."""
    lines = text.splitlines()
    found = []
    for block in read_blocks(text, path):
        found += _in_block(block)
        start = block.line - 1
        lines[start : start + len(block.lines)] = [""] * len(block.lines)
    prose = "\n".join(lines)
    for literal in INLINE.finditer(prose):
        words = " ".join(literal["text"].split())
        program, behind = _program_of(words)
        if behind >= IN_SENTENCES.get(program, sys.maxsize) and not SEVERAL.search(words):
            found.append(Command(path, prose.count("\n", 0, literal.start()) + 1, words, ""))
    return sorted(found, key=lambda command: command.line)


def read_blocks(text: str, path: str) -> Iterator[Block]:
    """The literal blocks of a page, also those in other languages than that of a shell."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        begin = DIRECTIVE.match(lines[number]) or LITERAL.match(lines[number])
        number += 1
        if begin is None:
            continue
        options = {}
        if begin.re is DIRECTIVE:
            for line in takewhile(OPTION.match, lines[number:]):
                option = OPTION.match(line)
                assert option is not None
                options[option["option"]] = option["value"]
                number += 1
        while number < len(lines) and not lines[number].strip():
            number += 1
        content = _indented(lines[number:], len(begin["indent"]))
        if content:
            language = begin.groupdict().get("language") or ""
            yield Block(path, number + 1, language, options.get("name", ""), tuple(content))
            number += len(content)


def is_for_a_shell(block: Block) -> bool:
    """Whether the lines of a block are commands; one that has no language is looked at."""
    if block.language:
        return block.language in SHELLS
    return block.lines[0].startswith(("$ ", "#!")) or _program_of(block.lines[0])[0] in PROGRAMS


def _in_block(block: Block) -> list[Command]:
    where = block.name or f"{block.path}:{block.line}"
    if is_for_a_shell(block):
        lines = list(_commands_in(block))
        if any(PART_OF_A_SCRIPT.match(text) for _, text, _ in lines):
            session = block.lines[0].startswith("$ ")
            script = "\n".join(text for _, text, _ in lines) if session else "\n".join(block.lines)
            prints = tuple(line for _, _, shown in lines for line in shown)
            return [Command(block.path, block.line, script, where, True, prints)]
        return [Command(block.path, line, text, where, False, shown) for line, text, shown in lines]
    pattern = LINES.get(block.language)
    if pattern is None:
        return []
    found = []
    for line, text in _joined(block):
        match = pattern.match(text)
        for command in _from_list(match["command"]).split(" && ") if match else ():
            program, behind = _program_of(command)
            if program in PROGRAMS and behind:  # a program alone is one that may be called
                found.append(Command(block.path, line, command, where))
    return found


def _commands_in(block: Block) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Lines and texts of what a shell would run, each with what is shown below it."""
    session = block.lines[0].startswith("$ ")
    lines = list(_joined(block))
    while lines:
        line, text = lines.pop(0)
        shown = []
        while session and lines and not lines[0][1].startswith("$ "):
            shown.append(lines.pop(0)[1].strip())
        command = text if text.startswith("#!") else _without_comment(text.removeprefix("$ "))
        if command:
            yield line, command, tuple(filter(None, shown))


def _joined(block: Block) -> Iterator[tuple[int, str]]:
    """Lines without those that only go on: these are put behind the one before."""
    text, start = "", block.line
    for number, line in enumerate(block.lines, block.line):
        if not text:
            start = number
        text = f"{text} {line.strip()}" if text else line.rstrip()
        if text.endswith("\\"):
            text = text[:-1].rstrip()
            continue
        yield start, text
        text = ""
    if text:
        yield start, text


def _without_comment(text: str) -> str:
    for match in COMMENT.finditer(text):
        before = text[: match.start()]
        if before.count("'") % 2 == before.count('"') % 2 == 0:
            text = before
            break
    return " ".join(text.split())


def _from_list(text: str) -> str:
    """A list of words in JSON, or in TOML, as a command."""
    if text.startswith("["):
        try:
            return shlex.join(json.loads(text))
        except (ValueError, TypeError):
            return ""
    return text.strip()


def _program_of(text: str) -> tuple[str, int]:
    """The name of the program of a command, and how many words follow it."""
    words = text.split()
    while words and ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return (words[0].rpartition("/")[2], len(words) - 1) if words else ("", 0)


def _indented(lines: list[str], indent: int) -> list[str]:
    """The lines at the front that are indented further, from there on."""
    found = list(takewhile(lambda line: not line.strip() or len(line) - len(line.lstrip()) > indent, lines))
    while found and not found[-1].strip():
        found.pop()
    return textwrap.dedent("\n".join(found)).split("\n") if found else []


if __name__ == "__main__":
    for each in collect_commands():
        print(f"{each.path}:{each.line}: {each.key}")
