"""The environment that is installed into: found, asked, and checked against the one the user seems to mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from pip_accel._values import Destination, Scheme, Target
from pip_accel.exceptions import EnvironmentMismatchError, Unsupported

_USUAL = Destination()

__all__ = ["find_interpreter", "find_target", "target_tag", "validate_environment"]


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
    if python is None:
        from pip_accel._probe import probe

        try:
            return _as_target(probe(*destination))
        except ValueError as error:
            raise Unsupported("{prefix}: {error}", prefix=sys.prefix, error=error) from error
    import json

    from pip_accel._process import run

    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_probe.py")
    interpreter = find_interpreter(python)
    try:
        answer = json.loads(run([interpreter, script, json.dumps(destination)]).output)
        if "refused" in answer:
            raise Unsupported("{python}: {reason}", python=interpreter, reason=answer["refused"])
        return _as_target(answer)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unsupported("{python} does not run as a Python interpreter", python=interpreter) from error


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
