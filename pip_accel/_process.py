"""The door to other programs: every one is started here, in a process group of its own that ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["Completed", "Ended", "in_parallel", "pass_through", "run", "stay_in_group"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_running: set[subprocess.Popen[str]] = set()
_own_groups = True  # whether each program gets a process group of its own
_ending = False  # whether nothing may be started any more


class Ended(BaseException):
    """A program was ended, or not started, as another thread failed or was interrupted. No error of its own."""


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
    :raises Ended: nothing is to go on.
    """
    if _ending:
        raise Ended
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
    if _ending:
        raise Ended
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


def in_parallel(function: Callable[[_Item], _Result], items: Sequence[_Item], jobs: int) -> list[_Result]:
    """Apply a function to items, several at a time; give the results in their order.

    When one fails, or we are interrupted, the programs that the others wait for are ended, and no more are started.

    :raises BaseException: the first failure.
    """
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    global _ending
    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(function, item) for item in items]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            error = future.exception() if future.done() else None
            if error is not None:
                raise error
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _ending = True
        while not all(future.done() for future in futures):
            _end_running()
        raise
    finally:
        pool.shutdown(wait=True)
        _ending = False


def _end_running() -> None:
    """End every program that some thread waits for."""
    for process in list(_running):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for process in list(_running):
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(0.01)  # for the threads to notice


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
