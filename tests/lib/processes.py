"""Runs that go on beside a test: what belongs to them, and when they end."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import time

from tests.lib.environments import clean_environ
from tests.lib.runs import CHECKOUT, PIP_ACCEL

__all__ = ["finish", "processes_of", "start", "wait_for", "watch_interpreters"]


def start(words, environment, data, *, program=PIP_ACCEL, **variables):
    """Start a run into an environment, in a session of its own, as that of a terminal would be."""
    return subprocess.Popen(
        [*program, "--python", environment.python, *words],
        env=clean_environ(**variables, PIP_ACCEL_CACHE=data),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(place):
    """Command lines of the processes whose environment names a place, by process id, where the system tells."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as command:
                if os.fsencode(place) in environ.read():
                    found[int(pid)] = command.read().replace(b"\0", b" ").decode()
        except OSError:  # it has gone meanwhile
            pass
    return found


def wait_for(condition, process=None, seconds=60.0):
    """Wait until something is so, and not for a process that has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.0005)


def watch_interpreters(directory):
    """Note which Python programs are started, but for isolated ones (``-I``).

    :returns: variables for a program that may start some, and a function that gives their words, by program.
    """
    place = os.path.join(directory, "watched")
    os.makedirs(place)
    log = os.path.join(place, "log.txt")
    with open(os.path.join(place, "sitecustomize.py"), "w", encoding="utf-8") as stream:
        stream.write(f"import sys\nwith open({log!r}, 'a') as stream:\n    print(sys.orig_argv, file=stream)\n")

    def started():
        with open(log, encoding="utf-8") as stream:
            return [ast.literal_eval(line) for line in stream]

    return {"PYTHONPATH": place}, started


def finish(process, seconds=120.0):
    """Wait for a run: its status and streams. It leads a process group, which ends with it if that takes too long."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, stdout, stderr
