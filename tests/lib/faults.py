"""Calls that change files, made to fail one by one in one program: what a full, broken or protected disk does to it.

A small library (``faults.c``) is put between the program and the C library, so it does not matter which part of the
program makes a call, nor by which module. Linux only, and there has to be a compiler.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tests.lib.environments import temporary_home

__all__ = [
    "COUNTING",
    "KINDS",
    "Call",
    "Disk",
    "Fault",
    "build_library",
    "can_mount",
    "faulty",
    "missing",
    "read_calls",
]

#: What a call fails with: no space left, a broken disk, no permission.
KINDS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to fail.

    :ivar number: of the call that fails, from 1; 0 if none does.
    :ivar lasting: whether all later calls fail as well, as on a disk that stays full or has become read-only.
    """

    number: int
    error: int = errno.ENOSPC
    lasting: bool = False

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error]} {'from' if self.lasting else 'at'} call {self.number}"


#: Nothing fails; the calls are noted all the same.
COUNTING = Fault(0)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that changes a file."""

    what: str  #: such as ``open`` or ``rename``
    path: str  #: absolute; for what has two, the old one
    target: str  #: the new one, or empty
    failed: bool


def missing() -> str:
    """Say what there is not; empty if calls can be made to fail here."""
    if sys.platform != "linux":
        return "needs LD_PRELOAD"
    return "" if shutil.which("cc") else "needs a compiler"


@cache
def build_library() -> str:
    """Compile the library; give its path."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faults.c")
    path = os.path.join(temporary_home(), "faults.so")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", path, source, "-ldl"]
    subprocess.run(command, check=True)
    return path


def faulty(fault: Fault, program: str, below: Sequence[str], log: str) -> dict[str, str]:
    """Give variables with which a program is to be started.

    :param program: ends of words of its command line. What it starts itself goes on undisturbed, and so do programs
        that start it.
    :param below: absolute paths of the directories whose files count; no part of them is a symbolic link.
    :param log: path of a file that gets all calls, for :func:`read_calls`; outside of these directories.
    """
    return {
        "LD_PRELOAD": build_library(),
        "FAULTS_PROGRAM": program,
        "FAULTS_BELOW": ":".join(below),
        "FAULTS_LOG": log,
        "FAULTS_AT": str(fault.number),
        "FAULTS_ERRNO": str(fault.error),
        **({"FAULTS_LASTING": "1"} if fault.lasting else {}),
    }


def read_calls(log: str) -> list[Call]:
    """Give the calls that a program has made, in their order; none if it was not started."""
    try:
        with open(log, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return []
    calls = []
    for mark, what, path, target in (re.fullmatch(r"(.) (\w+) (.*?)(?: -> (.*))?", line).groups("") for line in lines):
        calls.append(Call(what, path, target, mark == "!"))
    return calls


@cache
def can_mount() -> bool:
    """Whether there can be a :class:`Disk` here."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


class Disk:
    """A disk that may be as small as one likes, with a copy of a directory, at the place of that.

    It is there only for programs that are started with :attr:`enter`. As a context manager it goes with the block.

    :ivar enter: words in front of a command.
    :ivar view: what to put in front of a path to see from outside what they see.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        script = """
            kept=$(mktemp -d) && mount --bind "$0" "$kept" && mount -t tmpfs -o mode=755 none "$0" &&
            cp -a "$kept/." "$0" && umount "$kept" && rmdir "$kept" && echo ready && exec cat
        """
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.enter = ("nsenter", f"--target={self._holder.pid}", "--mount", f"--wd={os.getcwd()}")
        self.view = f"/proc/{self._holder.pid}/root"

    def __enter__(self) -> Disk:
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self._holder.communicate()

    def leave(self, blocks: int, files: int = 1 << 20) -> None:
        """Have so much room left, and no more."""
        status = os.statvfs(self.view + self._directory)
        size = max(status.f_blocks - status.f_bfree + blocks, 1) * status.f_frsize  # 0 would be no limit
        options = f"remount,size={size},nr_inodes={status.f_files - status.f_ffree + files}"
        subprocess.run([*self.enter, "mount", "-o", options, self._directory], check=True)
