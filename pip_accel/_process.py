"""The door to other programs: what is started here ends with us, with all that it started itself."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Completed",
    "Ended",
    "Workers",
    "end_strays",
    "in_parallel",
    "pass_through",
    "pause",
    "read_lines",
    "results",
    "run",
]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
#: Seconds after which who waits looks about. The system may give a signal to any thread, and it is answered in the main
#: thread of an interpreter only, when that is awake.
_WAKE = 1.0


class Ended(BaseException):
    """A program was ended, or not started, as another thread failed or was interrupted. No error of its own."""


class Completed(NamedTuple):
    """What a program said, and how it ended."""

    status: int  #: as ``subprocess`` gives it: negative for a signal
    output: str  #: standard output
    errors: str  #: standard error; empty if it was merged into ``output``


class _Group:
    """Programs that end together. What belongs to a group belongs to those above it, too."""

    def __init__(self, above: _Group | None) -> None:
        self.line: tuple[_Group, ...] = (self, *(above.line if above is not None else ()))
        self.running: set[subprocess.Popen[str]] = set()
        self.ending = False  #: whether nothing may be started any more

    def end(self) -> None:
        """End every program that some thread waits for."""
        for process in list(self.running):
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for process in list(self.running):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))


_all = _Group(None)
_here = threading.local()


def _group() -> _Group:
    """Give the group of this thread."""
    group: _Group = getattr(_here, "group", _all)
    return group


def run(
    command: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    merge: bool = False,
    spare: bool = False,
) -> Completed:
    """Run a program to its end and give what it printed.

    Standard input is ``text`` or closed. The program and all that it started are ended if we are interrupted meanwhile:
    in a group of its own it does not see the terminal's Ctrl-C, so nothing races with our clean-up.

    :param merge: give standard error as part of ``output``, in the order of printing.
    :param spare: let it come to its end if we are interrupted: what it does must not be left half done.
    :raises OSError: the program cannot be started.
    :raises Ended: nothing is to go on.
    """
    groups = _group().line
    if any(group.ending for group in groups):
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
        start_new_session=True,
    )
    for group in groups:
        group.running.add(process)
    if any(group.ending for group in groups):  # whoever ends them may not have seen this one
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    try:
        output, errors = _communicate(process, text)
    except BaseException:
        if spare:
            _await(process)
        else:
            _end(process)
        raise
    finally:
        for group in groups:
            group.running.discard(process)
    if any(group.ending for group in groups):
        raise Ended
    return Completed(process.returncode, output, errors or "")


def _communicate(process: subprocess.Popen[str], text: str | None) -> tuple[str, str | None]:
    while True:
        try:
            return process.communicate(text, timeout=_WAKE)
        except subprocess.TimeoutExpired:
            text = None  # it has been taken over


def _await(process: subprocess.Popen[str]) -> None:
    """Wait for a program to end, however often we are interrupted; what it says is read and forgotten."""
    seconds = 0.0
    while process.poll() is None:
        try:
            time.sleep(seconds)
            _communicate(process, None)
        except BaseException:  # whoever insists waits all the same
            seconds = _WAKE / 10


def read_lines(command: Sequence[str], *, env: Mapping[str, str]) -> Iterator[str]:
    """Run a program and give the lines that it prints, without their ends, one after the other.

    :raises OSError: it cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            yield line.rstrip("\n")
        process.wait()
    finally:
        _end(process)


def pause(seconds: float) -> None:
    """Wait a moment.

    :raises Ended: nothing is to go on.
    """
    if any(group.ending for group in _group().line):
        raise Ended
    time.sleep(seconds)


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


class Workers:
    """Threads that carry out tasks, several at a time, and whose programs can be ended all at once.

    As a context manager it waits for all tasks; when it is left by an exception, their programs are ended.
    """

    def __init__(self, jobs: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(jobs)
        self._group = _Group(_group())
        self._futures: list[Future[Any]] = []

    def submit(self, function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
        """Have a function applied to an item when a thread is free."""
        future = self._pool.submit(self.enter, function, item)
        self._futures.append(future)
        return future

    def enter(self, function: Callable[[_Item], _Result], item: _Item) -> _Result:
        """Apply a function in this thread; the programs that it runs belong to us."""
        before = _group()
        _here.group = self._group
        try:
            return function(item)
        finally:
            _here.group = before

    def end(self) -> None:
        """End the programs that tasks wait for, and start no more; gives back when no task goes on."""
        self._group.ending = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._group.running or not all(future.done() for future in self._futures):
            self._group.end()
            time.sleep(0.01)  # for the threads to notice

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.end()
        self._pool.shutdown(wait=True)


def in_parallel(function: Callable[[_Item], _Result], items: Sequence[_Item], jobs: int) -> list[_Result]:
    """Apply a function to items, several at a time; give the results in their order.

    When one fails, or we are interrupted, the programs that the others wait for are ended, and no more are started.

    :raises BaseException: the first failure.
    """
    with Workers(jobs) as workers:
        return results([workers.submit(function, item) for item in items])


def results(
    futures: Sequence[Future[_Result]], is_last: Callable[[BaseException], bool] = lambda error: True
) -> list[_Result]:
    """Wait for tasks and give their results, in order; the first failure is raised when it comes.

    :param is_last: whether that is so; else it is raised when all tasks have ended.
    """
    from concurrent.futures import FIRST_EXCEPTION, wait

    awaited = set(futures)
    while awaited:
        done, awaited = wait(awaited, timeout=_WAKE, return_when=FIRST_EXCEPTION)
        errors = [future.exception() for future in done if not future.cancelled()]
        if any(future.cancelled() for future in done) or any(each is not None and is_last(each) for each in errors):
            break
    for future in futures:
        error = future.exception() if future.done() else None
        if error is not None:
            raise error
    return [future.result() for future in futures]


def end_strays(place: str) -> None:
    """End what a killed process started and could not end itself: the programs whose environment names its directory.

    Only where the system tells (``/proc``); elsewhere nothing happens.
    """
    import re

    # The variables that we set for every program: a shell in that directory has others with its name.
    sign = re.compile(rb"(?:^|\0)(?:TMPDIR|VIRTUAL_ENV)=" + re.escape(os.fsencode(place)) + rb"[/\0]")
    try:
        processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for process in processes:
        try:
            with open(f"/proc/{process}/environ", "rb") as stream:
                if process != os.getpid() and sign.search(stream.read()):
                    os.kill(process, signal.SIGKILL)
        except OSError:  # it has ended, or is somebody else's
            pass


def _signal(process: subprocess.Popen[str], signum: int) -> None:
    """Send a signal to a program and all that it started."""
    try:
        if hasattr(os, "killpg"):
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
