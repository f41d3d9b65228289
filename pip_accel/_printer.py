"""pip's own lines, as pip would print them now: the closing ones on standard output, its warnings on standard error.

A log that pip was told to write gets all of them.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence

from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._accelerator import Outcome
    from pip_accel._messages import Messages
    from pip_accel._values import Change, Installed, Manner, Plan, Target

__all__ = ["Printer"]

_DEFAULTED = "Defaulting to user installation because normal site-packages is not writeable"
_IN_THE_WAY = "Target directory {} already exists. Specify --upgrade to force replacement."
_LINK_IN_THE_WAY = (
    "Target directory {} already exists and is a link. pip will not automatically replace links, "
    "please remove if replacement is desired."
)


class Printer:
    """Prints what pip prints, step by step.

    :param path: value of ``$PATH``.
    :param messages: prints our own messages; it may show a line that has to go meanwhile.
    """

    def __init__(self, manner: Manner, target: Target, path: str, messages: Messages) -> None:
        self._manner = manner
        self._target = target
        self._path = path
        self._messages = messages
        self._conflicts: list[str] = []  #: lines of pip's error about them
        self._replaced: set[str] = set()  #: names of what has been said to go
        self.announced = False  #: whether the environment is about to change

    def announce(self, plan: Plan, changes: tuple[Change, ...]) -> None:
        """Print what pip prints before it installs."""
        lines = [_DEFAULTED] if self._target.defaulted else []
        lines += [line for line in plan.output.splitlines() if line.startswith("Requirement already satisfied:")]
        if changes:
            lines.append("Installing collected packages: " + ", ".join(change.tree.name for change in changes))
        warnings = ("WARNING:", "Reason for being yanked:")
        self._warn([line for line in plan.errors.splitlines() if line.startswith(warnings)])
        manner = self._manner
        if manner.report:
            self._write_report(plan.report)
        if not (manner.dry_run or manner.no_deps or plan.sound) and manner.warn_conflicts:
            from pip_accel._resources import host_pip_version
            from pip_accel._warnings import find_conflicts

            self._conflicts = find_conflicts(
                self._target, changes, pip=host_pip_version(), on_broken=lambda text: self._warn([f"WARNING: {text}"])
            )
        self._print(lines)
        if manner.dry_run and plan.pins:
            items = sorted((pin.name, pin.version) for pin in plan.pins)
            self._print(["Would install " + " ".join(f"{name}-{version}" for name, version in items)])
        self.announced = True

    def replaced(self, change: Change) -> None:
        """Print what pip prints when it takes a version out."""
        installed = change.replaces or change.beside
        if installed is None or installed.name in self._replaced:
            return
        self._replaced.add(installed.name)
        name, version = _name_and_version(installed)
        if change.replaces is not None:
            done = [f"    Uninstalling {name}-{version}:", f"      Successfully uninstalled {name}-{version}"]
        else:
            place, prefix = os.path.realpath(installed.location), self._target.prefix
            done = [
                f"    Not uninstalling {installed.name} at {place}, outside environment {prefix}",
                f"    Can't uninstall '{installed.name}'. No files were found to uninstall.",
            ]
        first = [f"  Attempting uninstall: {change.tree.name}", f"    Found existing installation: {name} {version}"]
        self._print([*first, *done])

    def finish(self, outcome: Outcome) -> None:
        """Print what pip prints when all is done."""
        manner = self._manner
        if manner.dry_run:
            return
        from pip_accel._warnings import root_warning, scripts_off_path

        if manner.warn_script_location and not (manner.destination.target or manner.destination.prefix):
            for text in scripts_off_path(outcome.changes, self._target, self._path, pip=outcome.pip):
                self._warn([f"  {line}" for line in f"WARNING: {text}".splitlines()])
        if self._conflicts:
            self._alarm([f"ERROR: {self._conflicts[0]}", *self._conflicts[1:]])
        if outcome.changes:
            # pip reads back what it has installed, and prints versions in their normal form.
            items = sorted((change.tree.name, _normal(change.tree.version)) for change in outcome.changes)
            self._print(["Successfully installed " + " ".join(f"{name}-{version}" for name, version in items)])
        for path in outcome.kept:
            text = _LINK_IN_THE_WAY if manner.upgrade else _IN_THE_WAY  # that replaces all but links
            self._warn([f"WARNING: {text.format(path)}"])
        warning = root_warning(self._target) if manner.root_user_action == "warn" else None
        if warning is not None:
            self._warn([f"WARNING: {warning}"])

    def _write_report(self, report: Mapping[str, object]) -> None:
        import json

        text = json.dumps(report, indent=2, ensure_ascii=False)
        if self._manner.report == "-":
            with self._messages.alone():
                print(text, flush=True)
            return
        try:
            with open(self._manner.report, "w", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise Unsupported("the report cannot be written: {error}", error=error) from error

    def _print(self, lines: Sequence[str]) -> None:
        self._log(lines)
        if self._manner.verbosity >= 0:
            with self._messages.alone():
                for line in lines:
                    print(line)
                sys.stdout.flush()

    def _warn(self, lines: Sequence[str]) -> None:
        """Print lines of warnings, which ``-q`` leaves and ``-qq`` hides."""
        if self._manner.verbosity >= -1:
            self._alarm(lines)
        else:
            self._log(lines)

    def _alarm(self, lines: Sequence[str]) -> None:
        self._log(lines)
        with self._messages.alone():
            for line in lines:
                print(line, file=sys.stderr)

    def _log(self, lines: Sequence[str]) -> None:
        """Add lines to the log that pip was told to write, in pip's own form."""
        if self._manner.log and lines:
            moment = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(moment)) + f",{int(moment % 1 * 1000):03}"
            with open(self._manner.log, "a", encoding="utf-8") as stream:
                stream.writelines(f"{stamp} {line}\n" for line in lines)


def _normal(version: str) -> str:
    number = "(?:0|[1-9][0-9]*)"
    if re.fullmatch(rf"{number}(?:\.{number})*(?:(?:a|b|rc){number})?(?:\.post{number})?(?:\.dev{number})?", version):
        return version
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(version))
    except InvalidVersion:
        return version


def _name_and_version(installed: Installed) -> tuple[str, str]:
    """Give name and version as the metadata of an installed distribution spells them."""
    from pip_accel._metadata import read_headers

    try:
        with open(os.path.join(installed.metadata, "METADATA"), "rb") as stream:
            headers = read_headers(stream.read())
    except OSError:
        headers = {}
    return headers.get("name", installed.name), headers.get("version", installed.version)
