"""The memo: plans that were worked out before, for a request that comes again.

A plan stands under the words, the directory and pip's variables with which it was asked for. Beside it stands all else
that its answer depended on: the files and variables that were looked at while the words were understood, the target,
what was installed, and what the local index knew of every project that the request can lead to. If any of that has
changed, the plan is worked out anew. The documentation has the table (``docs/local-index.rst``).

On the warm path: this is what keeps pip, and all that understands its words, from being imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pip_accel import __version__, _fs
from pip_accel._digests import blake2b
from pip_accel._installed import trace_installed
from pip_accel._plan.places import describe_place, is_elsewhere
from pip_accel._resources import find_fault, host_pip_version
from pip_accel._text import shown_lines
from pip_accel._values import Destination, Manner, Pin, Plan, Target
from pip_accel.exceptions import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._plan.arguments import Request
    from pip_accel._plan.question import Question
    from pip_accel._resources import Resources
    from pip_accel.config import Config

__all__ = ["Recording", "Remembered", "keep", "recall"]

_FORMAT = 1
_MOST = 1000  # files that are kept
_MOST_SITUATIONS = 10  # plans in one of them
_SALT = "salt"
#: Beginnings of variables that no plan is independent of: paths may begin with a tilde, too.
_VARIABLES = ("PIP_", "HOME", "USERPROFILE")


class Recording:
    """What is looked at while words are understood. Its parts go to :func:`~pip_accel._plan.arguments.parse`."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self.words = tuple(words)
        self.environ = _Watched(environ)
        self.files: dict[str, bytes | None] = {}  #: contents by path; ``None``: there is no such file

    def read(self, path: str) -> bytes:
        """Read a file.

        :raises OSError: it cannot be read.
        """
        from pip_accel._plan.arguments import read_file

        self.files[path] = None
        self.files[path] = content = read_file(path)
        return content


class _Watched(Mapping[str, str]):
    """Variables, of which it is noted which ones somebody wants to know."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.names: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        self.names[name] = None
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        """Give the names of pip's own variables: the others have no common meaning, so nobody wants all of them."""
        return (name for name in self._environ if name.startswith("PIP_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Remembered(NamedTuple):
    """Plans for the words of this run, which mean the same as when they were made; the rest is to be seen."""

    path: str  #: of their file
    plans: Mapping[str, Any]  #: by :func:`_situation`, or :func:`_in_place`
    manner: Manner
    digest: _Digests

    def plan(self, resources: Resources) -> Plan | None:
        """Give the one for the target, if it still holds for the local index."""
        target = resources.target
        situation = _situation(self.digest, target)
        entry = self.plans.get(situation) or self.plans.get(_in_place(self.digest, situation, target))
        if entry is None:
            return None
        try:
            if entry["known"] != self.digest.of(_contents(resources.index.root, entry["views"])):
                return None
            archives = [resources.index.locate(row[3], row[2]) for row in entry["pins"]]
            pins = [
                Pin(name, version, archive, requested, "")
                for (name, version, _, _, requested), archive in zip(entry["pins"], archives, strict=True)
            ]
            plan = Plan(
                tuple(pins),
                entry["output"],
                entry["errors"],
                entry["learned"],
                online=False,
                lasting=True,
                spellings=dict(entry["spellings"]),
                sound=entry["sound"],
            )
        except (ValueError, KeyError, TypeError, AttributeError):  # of another release
            return None
        for archive in archives:
            resources.index.touch(archive)
        try:
            os.utime(self.path)
        except OSError:
            pass
        return plan


def recall(
    config: Config, words: Sequence[str], environ: Mapping[str, str], on_manner: Callable[[Manner], None]
) -> Remembered | None:
    """Give the plan for these words, if there is one and everything they lead to is as it was.

    :param on_manner: is told as early as possible how it will be carried out.
    """
    try:
        directory = config.data_directory
        if find_fault(os.stat(directory)):
            return None
        digest = _Digests(directory)
        python, others = _split(words)
        path = _path(directory, digest, others, environ)
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
        meaning = value["meaning"]
        manner = Manner(**{**meaning["manner"], "destination": Destination(*meaning["manner"]["destination"])})
        if python is not None:
            manner = manner._replace(python=python)
        on_manner(manner)
        prefix = _prefix_of(python)
        if any(digest.of(environ.get(name)) != value for name, value in meaning["environ"].items()):
            return None
        if any(digest.of(_read(path.replace("\0", prefix))) != value for path, value in meaning["files"].items()):
            return None
        trust = config.trust_mod_times
        if any(describe_place(place, trust=trust) != value for place, value in meaning["places"].items()):
            return None
        limit = config.index_max_age
        oldest = time.time() - limit if limit is not None else 0
        plans = {key: plan for key, plan in value["plans"].items() if not plan["learned"] or plan["learned"] >= oldest}
        return Remembered(path, plans, manner, digest)
    except (OSError, ConfigError, ValueError, KeyError, TypeError, AttributeError):  # cut short, or of another release
        return None


def keep(
    resources: Resources,
    recording: Recording,
    request: Request,
    question: Question,
    plan: Plan,
    seen: float,
) -> None:
    """Keep a plan, unless it may be another one next time for a reason that cannot be seen.

    :param seen: when the local index was as the plan was made from it, seconds since the epoch.

    A data directory that fails now will soon be told of by somebody who needs it.
    """
    if not _may_be_kept(resources, request, plan):
        return
    try:
        _keep(resources, recording, request, question, plan, seen)
    except OSError:
        pass


def _may_be_kept(resources: Resources, request: Request, plan: Plan) -> bool:
    manner = request.manner
    aside = (manner.upgrade, manner.dry_run, manner.report, manner.log, manner.no_cache, request.locks)
    options = ("dependency_groups", "requirements_from_scripts")  # files that are read elsewhere
    if any(aside) or any(request.options.get(each) for each in options) or not plan.lasting or not resources.kept:
        return False
    if any(root.kind for root in request.requirements) or any("://" in path for path in request.files):
        return False
    # What such a place means depends on whether there is something of that name beside the file.
    given = [each for line in request.lines for each in line.given if each.option.dest == "find_links"]
    if not all("://" in str(each.value) or os.path.isabs(str(each.value)) for each in given):
        return False
    return all(pin.archive.filename.endswith(".whl") and not pin.direct_url for pin in plan.pins)


def _keep(
    resources: Resources, recording: Recording, request: Request, question: Question, plan: Plan, seen: float
) -> None:
    from pip_accel._plan.inquiry import reach

    projects, archives = reach(resources, question)
    if not all(archive.filename.endswith(".whl") for archive in archives):  # what an sdist says may depend on variables
        return
    target, directory = resources.target, resources.config.data_directory
    digest = _Digests(directory, make=True)
    view, index = question.view, resources.index
    views = sorted(index.view_file(view.key(project), project) for project in projects)
    known = digest.of(_contents(index.root, views))
    changes = [time for path in views for time in _fs.state(os.path.join(index.root, path))[1:]]
    if max(changes, default=0) > seen * 1e9:  # another run has learned something since, and may know better
        return
    output, errors = (shown_lines(text) for text in (plan.output, plan.errors))
    python, others = _split(recording.words)
    prefix = _prefix_of(python)
    links, trust = request.index.find_links, resources.config.trust_mod_times
    manner = request.manner if python is None else request.manner._replace(python=None)
    meaning = {
        "environ": {name: digest.of(resources.environ.get(name)) for name in recording.environ.names},
        "files": {_below(path, prefix): digest.of(content) for path, content in recording.files.items()},
        "places": {each: describe_place(each, trust=trust) for each in links if not is_elsewhere(each)},
        "manner": {**manner._asdict(), "destination": list(manner.destination)},
    }
    entry = {
        "views": views,
        "known": known,
        "pins": [[pin.name, pin.version, pin.archive.filename, pin.archive.sha256, pin.requested] for pin in plan.pins],
        "output": output,
        "errors": errors,
        "learned": plan.learned,
        "spellings": dict(plan.spellings),
        "sound": _is_sound(target, plan),
    }
    path = _path(directory, digest, others, resources.environ)
    plans = _plans_with(path, meaning)
    situation = _situation(digest, target)
    plans[_in_place(digest, situation, target) if output or errors else situation] = entry  # which may name the place
    plans = dict(list(plans.items())[-_MOST_SITUATIONS:])
    _fs.write_file(path, json.dumps({"meaning": meaning, "plans": plans}), mode=0o600)
    _prune(os.path.dirname(path))


def _is_sound(target: Target, plan: Plan) -> bool:
    """Whether pip would have nothing to say of what is installed: there is nothing, or it is well and nothing comes."""
    from pip_accel._installed import find_installed, is_plain
    from pip_accel._warnings import find_conflicts

    if not is_plain(target):
        return False
    if not find_installed(target):
        return True
    said: list[str] = []
    return not plan.pins and not find_conflicts(target, (), pip=host_pip_version(), on_broken=said.append) and not said


def _plans_with(path: str, meaning: object) -> dict[str, Any]:
    """Give the plans that stand in a file for words that mean the same."""
    try:
        value = json.loads(_read(path) or b"{}")
        return dict(value["plans"]) if value["meaning"] == meaning else {}
    except (ValueError, KeyError, TypeError):
        return {}


class _Digests:
    """Digests that only the owner of the data directory can check guesses against: there may be passwords among them.

    :param make: whether the secret they are made with may be made.
    :raises OSError: there is none.
    """

    def __init__(self, directory: str, *, make: bool = False) -> None:
        path = os.path.join(directory, "memo", _SALT)
        try:
            with open(path, "rb") as stream:
                self._salt = stream.read()
        except FileNotFoundError:
            if not make:
                raise
            self._salt = os.urandom(32)
            _fs.write_file(path, self._salt, mode=0o600)

    def of(self, value: object) -> str:
        """Give the digest of bytes, or of a JSON value."""
        data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
        return str(blake2b(data, key=self._salt[:64], digest_size=20).hexdigest())


def _path(directory: str, digest: _Digests, words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Say where the plan for some words stands, given without the interpreter that they begin with."""
    variables = sorted((name, value) for name, value in environ.items() if name.startswith(_VARIABLES))
    asked = [_FORMAT, __version__, sys.version, sys.prefix, host_pip_version(), os.getcwd(), list(words), variables]
    return os.path.join(directory, "memo", digest.of(asked) + ".json")


def _split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Give the interpreter that words begin with, and the words without it: plans serve all that are alike."""
    found = list(words)
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--python" and (equals or place + 1 < len(words)):
            found[place : place + (1 if equals else 2)] = [name]
            return value if equals else words[place + 1], found
        if not word.startswith("-"):
            break
    return None, found


def _prefix_of(python: str | None) -> str:
    """Give the place of an interpreter where pip looks for a configuration file; any one if it is not needed."""
    from pip_accel._plan.pip_configuration import find_interpreter, find_prefix

    interpreter = find_interpreter(python) if python else None
    return find_prefix(interpreter) if interpreter else ""


def _below(path: str, prefix: str) -> str:
    """Give the path of a file, with a mark in place of the prefix if it lies directly in that."""
    return os.path.join("\0", os.path.basename(path)) if prefix and os.path.dirname(path) == prefix else path


def _situation(digest: _Digests, target: Target) -> str:
    """Name all that is known of a target and what it holds, the same for environments that differ in place only."""
    identity = json.dumps(target).replace(json.dumps(target.prefix)[1:-1], "\0")
    return digest.of([identity, trace_installed(target)])


def _in_place(digest: _Digests, situation: str, target: Target) -> str:
    """Name a situation that is also one of place."""
    return digest.of([situation, target.prefix])


def _contents(root: str, paths: Sequence[str]) -> bytes:
    """Give the contents of files, and which of them are not there."""
    parts = []
    for path in paths:
        content = _read(os.path.join(root, path))
        parts.append(b"-" if content is None else b"%d:" % len(content) + content)
    return b"".join(parts)


def _read(path: str) -> bytes | None:
    """Read a file; one that cannot be read is none for pip either, or stops it."""
    try:
        return _fs.read_bytes(path)
    except OSError:
        return None


def _prune(directory: str) -> None:
    """Remove plans that were not used for longest, many at once: then most runs need not look further."""
    if len(os.listdir(directory)) > _MOST:
        _fs.prune(directory, _MOST * 9 // 10, {_SALT})
