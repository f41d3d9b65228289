"""``pip-accel deps``: which system packages the builds of some requirements need, without installing any.

What builds without failing tells by the libraries it is linked with, so that the answer is good for a machine that has
none of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from pip_accel import _fs
from pip_accel._commands import Invocation, Refused, opened, reporting
from pip_accel._text import escape_unprintable
from pip_accel.deps import Failure, Finding, Offer, SystemPackageManager, describe_things, failures_of
from pip_accel.exceptions import BinaryDistributionError, SystemDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._values import Pin, Tree
    from pip_accel.deps.catalogue import Package

__all__ = ["deps"]

_FORMS = ("--command", "--dockerfile", "--json")
_MISSING = "Please say what for: pip-accel deps -r requirements.txt, or: pip-accel deps --from-log FILE"
_USAGE = """\
Usage: pip-accel deps [--dockerfile | --json] WORDS
       pip-accel deps [--dockerfile | --json] [--project NAME] --from-log FILE

Which system packages are needed by the builds of what `pip-accel install WORDS' would install; nothing is installed.
Or what a build lacked whose output is in FILE (-: standard input); with --project, also by the rules for its project.

  --dockerfile   print a line for a Dockerfile, with all of them, in place of the command that installs what is missing
  --json         print all that is known, and from where
"""


class _Words(NamedTuple):
    """What the command was called with."""

    form: str
    logs: tuple[str, ...]  #: paths of files with the output of failed builds
    project: str  #: whose they are
    rest: tuple[str, ...]  #: as of an installation


@reporting
def deps(invocation: Invocation) -> int:
    """Say which system packages builds need."""
    if {"-h", "--help"} & set(invocation.words):
        print(_USAGE, end="")
        return 0
    words = _parse(invocation.words)
    try:
        if words.logs:
            return _read_logs(invocation, words)
        if not words.rest:
            raise Refused(_MISSING)
        return _plan(invocation, words)
    except SystemDependencyError as error:
        raise Refused(str(error)) from error


def _parse(words: Sequence[str]) -> _Words:
    form, logs, project, rest = "", [], "", []
    remaining = iter(words)
    for word in remaining:
        name, equals, value = word.partition("=")
        if word in _FORMS:
            if form and form != word:
                raise Refused(f"{form} and {word} do not go together")
            form = word
        elif name in ("--from-log", "--project"):
            value = value if equals else next(remaining, "")
            if not value:
                wanted = "the name of a project" if name == "--project" else "a file, or - for standard input"
                raise Refused(f"{name} needs {wanted}")
            if name == "--project":
                project = value
            else:
                logs.append(value)
        else:
            rest.append(word)
    if logs and rest:
        raise Refused(f"--from-log reads what a build said, and does not go together with {rest[0]}")
    if project and not logs:
        raise Refused("--project says whose output --from-log reads, and does nothing without that")
    return _Words(form or _FORMS[0], tuple(logs), project, tuple(rest))


def _read_logs(invocation: Invocation, words: _Words) -> int:
    manager = _open_manager(invocation, None)
    failures = []
    for path in words.logs:
        try:
            if path == "-":
                text = sys.stdin.buffer.read()
            else:
                with open(path, "rb") as stream:
                    text = stream.read()
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}") from error
        failures.append(Failure(words.project, text.decode("utf-8", "replace")))
    # What a log says is missing was missing where it is from.
    offer = manager.find_offer(failures, installed=())
    _show(manager, offer, words.form)
    return 0 if offer.packages else 1


def _plan(invocation: Invocation, words: _Words) -> int:
    from pip_accel._accelerator import make_plan
    from pip_accel._engine import is_source

    with opened(invocation._replace(words=words.rest), "--ignore-installed") as (request, messages, engine, view):
        manager = _open_manager(invocation, engine.resources.target.base_python)
        engine.is_curable = lambda error: True
        failed: list[Failure] = []
        pins: Sequence[Pin] = ()
        try:
            pins = [pin for pin in make_plan(engine, request, view, messages)[1].pins if is_source(pin)]
            engine.trees(pins)
        except BinaryDistributionError as error:
            failed = failures_of(error)
            if not failed:
                raise
        findings = [manager.find(each) for each in failed]
        labels = {each.label for each in failed}
        built = [pin for pin in pins if f"{pin.name} {pin.version}" not in labels]
        for pin, tree in zip(built, engine.trees(built), strict=True):
            linked = _find_linked(tree)
            finding = manager.find(Failure(f"{pin.name} {pin.version}", ""), linked=linked or ())
            if linked is not None:
                finding = finding._replace(linked=(*finding.linked, *manager.find_toolchain()))
            findings.append(finding)
        offer = manager.offer_of(findings)
        _show(manager, offer, words.form)
        helped = [each for each in offer.labels if each in labels]
        hopeless = sorted(labels.difference(helped))
        for label in hopeless:
            print(f"ERROR: {label} could not be built, and no package is known that would help", file=sys.stderr)
        if helped:
            what = "" if pins else ", nor is it known what else belongs to the plan"
            text = f"{', '.join(helped)} could not be built without these{what}: more may show when they are installed"
            print(escape_unprintable(text), file=sys.stderr)
        return 1 if hopeless else 0


def _open_manager(invocation: Invocation, python: str | None) -> SystemPackageManager:
    """Give what knows of system packages.

    :raises Refused: nothing is known about this platform.
    """
    manager = SystemPackageManager(invocation.config, python=python)
    if manager.platform is None:
        raise Refused("pip-accel knows nothing about the packages of this system: no definition file is about it")
    return manager


def _find_linked(tree: Tree) -> list[str] | None:
    """Give the names of the libraries that what was built is linked with, ``None`` if nothing in it was compiled."""
    from pip_accel._build.libraries import find_needed

    walk = os.walk(tree.path)
    paths = [os.path.join(directory, name) for directory, _, names in walk for name in names if ".so" in name]
    return find_needed((path, _fs.read_bytes(path)) for path in paths)[0] if paths else None


def _show(manager: SystemPackageManager, offer: Offer, form: str) -> None:
    platform = manager.platform
    assert platform is not None
    names = sorted(each.name for each in offer.packages)
    command = platform.command_for(offer.names) if offer.names else ""
    if form == "--json":
        installed = sorted(set(names) - set(offer.names))
        value = {
            "packages": names,
            "missing": offer.names,
            "installed": installed,
            "command": command,
            "dockerfile": platform.dockerfile_line(names) if names else "",
            "distributions": [_as_json(each) for each in offer.findings if each.label or each.said or each.unknown],
        }
        print(json.dumps(value, indent=2, ensure_ascii=True))
    elif form == "--dockerfile":
        if names:
            print(platform.dockerfile_line(names))
    elif command:
        print(command)
    if not names and not offer.unknown:
        print("No system package is known to be needed", file=sys.stderr)
    elif form == "--command" and not command:
        print(f"All that is needed is installed: {' '.join(names)}", file=sys.stderr)
    if offer.unknown and form != "--json":
        print(f"No package is known that has {describe_things(offer.unknown)}", file=sys.stderr)


def _as_json(finding: Finding) -> dict[str, Any]:
    def names(packages: Sequence[Package]) -> list[str]:
        return sorted({each.name for each in packages})

    return {
        "distribution": finding.label,
        "declared": names(finding.declared),
        "rules": names(finding.ruled),
        "output": [
            {"kind": thing.kind, "name": thing.name, "packages": names(packages)}
            for thing, packages in finding.said.items()
        ],
        "linked": names(finding.linked),
        "unknown": [{"kind": each.kind, "name": each.name} for each in finding.unknown],
    }
