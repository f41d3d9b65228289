"""The environment that is installed into: found, asked, and checked against the one the user seems to mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from pip_accel._values import Destination, Scheme, Target
from pip_accel.exceptions import EnvironmentMismatchError, Unsupported

_USUAL = Destination()

__all__ = ["Probe", "find_interpreter", "find_target", "target_tag", "validate_environment"]


def find_interpreter(python: str) -> str:
    """Give the interpreter that pip's ``--python`` names: a program, or a virtual environment with one.

    :raises Unsupported: there is none; pip says so in its own words.
    """
    if os.path.isdir(python):
        for name in ("bin/python", "Scripts/python.exe"):
            candidate = os.path.join(python, *name.split("/"))
            if os.path.exists(candidate):
                return candidate
    elif os.path.exists(python):
        return python
    raise Unsupported("There is no Python interpreter at {python}", python=python)


def find_target(python: str | None, destination: Destination = _USUAL) -> Target:
    """Describe the environment of an interpreter, by default of the one that runs us.

    :param destination: where its distributions are to go.
    :raises Unsupported: the interpreter cannot be started, or pip refuses to install there.
    """
    return Probe(python, destination).target()


class Probe:
    """Asks an interpreter about its environment, which takes a moment: there is time for other things meanwhile.

    The parameters are those of :func:`find_target`.
    """

    def __init__(self, python: str | None, destination: Destination = _USUAL) -> None:
        self.python = python
        self.destination = destination
        self._process: tuple[int, int] | None = None  #: its number, and what it prints
        self._failure: Exception | None = None
        if python is not None:
            try:
                self._process = _start([find_interpreter(python), *_as_words(destination)])
            except (OSError, Unsupported) as error:  # when it is asked for, and perhaps it never is
                self._failure = error

    def end(self) -> None:
        """Do without the answer."""
        if self._process is not None:
            process, output = self._process
            self._process = None
            os.close(output)
            _kill(process)
            os.waitpid(process, 0)

    def target(self) -> Target:
        """Wait for the answer; to be called once.

        :raises Unsupported: the interpreter cannot be started, or pip refuses to install there.
        """
        if self.python is None:
            from pip_accel._probe import probe

            try:
                return _as_target(probe(*self.destination))
            except ValueError as error:
                raise Unsupported("{prefix}: {error}", prefix=sys.prefix, error=error) from error
        if isinstance(self._failure, Unsupported):
            raise self._failure
        try:
            if self._failure is not None or self._process is None:
                raise self._failure or OSError
            import marshal

            process, self._process = self._process, None
            answer = marshal.loads(_read(*process))
            if "refused" in answer:
                raise Unsupported("{python}: {reason}", python=self.python, reason=answer["refused"])
            return _as_target(answer)
        except (OSError, ValueError, EOFError, TypeError, KeyError) as error:
            raise Unsupported("{python} does not run as a Python interpreter", python=self.python) from error


def _as_words(destination: Destination) -> list[str]:
    """Give the words for :mod:`pip_accel._probe` as a script."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_probe.py")
    user = {None: "", True: "yes", False: "no"}[destination.user]
    return [script, user, destination.target, destination.prefix, destination.root, "yes" if destination.plain else ""]


def _start(command: list[str]) -> tuple[int, int]:
    """Start a program that prints something; give its number and an open file. Subprocess is not imported for that.

    It gets a group of its own: a Ctrl-C is for us.

    :raises OSError: it cannot be started.
    """
    if not hasattr(os, "posix_spawn"):
        raise Unsupported("pip-accel has not been tried on Windows yet")
    reading, writing = os.pipe()
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writing, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    try:
        return os.posix_spawn(command[0], command, os.environ, file_actions=files, setpgroup=0), reading
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _read(process: int, output: int) -> bytes:
    """Give all that a program prints, when it has ended."""
    try:
        with open(output, "rb") as stream:
            return stream.read()
    except BaseException:
        _kill(process)
        raise
    finally:
        os.waitpid(process, 0)


def _kill(process: int) -> None:
    import signal

    os.kill(process, signal.SIGKILL)


def _as_target(values: Mapping[str, Any]) -> Target:
    fields = dict(values)
    fields["scheme"] = Scheme(**fields["scheme"])
    fields["path"] = tuple(dict.fromkeys(fields["path"]))
    fields["markers"] = tuple(sorted(fields["markers"].items()))
    return Target(**fields)


def target_tag(target: Target) -> str:
    """Name what decides which archives fit a target; metadata of sdists is kept by it, too."""
    minor = ".".join(target.version.split(".")[:2])
    parts = (target.implementation, minor, target.abi, target.platform, target.libc)
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in part) for part in parts if part)


def validate_environment(environ: Mapping[str, str]) -> None:
    """Make sure that ``$VIRTUAL_ENV``, where it is set, is the environment we run in.

    :raises EnvironmentMismatchError: it is another one, or it is gone.
    """
    active = environ.get("VIRTUAL_ENV")
    if not active:
        return
    if not os.path.isdir(active) or not _same(active, sys.prefix):
        raise EnvironmentMismatchError(
            "The active virtual environment is {active} (the value of $VIRTUAL_ENV), but pip-accel runs in {prefix}. "
            "Install into the active one with: pip-accel --python {active} install ...",
            active=active,
            prefix=sys.prefix,
        )


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
