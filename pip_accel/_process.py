"""The door to other programs: every one is started here, in a process group of its own that ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Completed", "end_all", "pass_through", "run", "stay_in_group"]

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_running: set[subprocess.Popen[str]] = set()
_own_groups = True  # whether each program gets a process group of its own


class Completed(NamedTuple):
    """What a program said, and how it ended."""

    status: int  #: as ``subprocess`` gives it: negative for a signal
    output: str  #: standard output
    errors: str  #: standard error; empty if it was merged into ``output``


def run(
    command: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    merge: bool = False,
) -> Completed:
    """Run a program to its end and give what it printed.

    Standard input is ``text`` or closed. The program and all that it started are ended if we are interrupted meanwhile:
    in a group of its own it does not see the terminal's Ctrl-C, so nothing races with our clean-up.

    :param merge: give standard error as part of ``output``, in the order of printing.
    :raises OSError: the program cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=_own_groups,
    )
    _running.add(process)
    try:
        output, errors = process.communicate(text)
    except BaseException:
        _end(process)
        raise
    finally:
        _running.discard(process)
    return Completed(process.returncode, output, errors or "")


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and whatever it started."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # its leader may be gone, what that started may not
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def end_all() -> None:
    """End every program that some thread waits for: that thread then sees a failure."""
    for process in list(_running):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for process in list(_running):
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def stay_in_group() -> None:
    """Start programs in our own process group from now on, for a process that is itself ended with its group."""
    global _own_groups
    _own_groups = False


def _signal(process: subprocess.Popen[str], signum: int) -> None:
    """Send a signal to a program and all that it started."""
    try:
        if _own_groups and hasattr(os, "killpg"):
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
    except (ProcessLookupError, PermissionError):
        pass


def pass_through(command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run a program with our own streams and terminal, and give the status a shell would see."""
    process = subprocess.Popen(list(command), env=None if env is None else dict(env))
    previous: dict[int, Any] = {}
    try:
        # The terminal sends Ctrl-C to both of us: it is the program that answers it. SIGTERM comes to us alone.
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
    except ValueError:  # not in the main thread
        pass
    try:
        status = process.wait()
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 128 - status if status < 0 else status
