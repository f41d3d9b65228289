"""``pip-accel cache dir|info|list|remove|purge|verify|prune``: pip's verbs, and more, for what pip-accel keeps."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from humanfriendly import format_size, format_timespan
from humanfriendly.text import pluralize

from pip_accel import _fs
from pip_accel._commands import Invocation, Refused, reporting
from pip_accel._eviction import find_oldest
from pip_accel._inventory import (
    ARCHIVE,
    BUILT,
    NOTE,
    TREE,
    Entry,
    find_entries,
    find_notes,
    is_byte_code,
    remove_entry,
    removing,
    tree_of,
)
from pip_accel._names import canonical_name, canonical_version
from pip_accel._resources import find_fault, open_temporary
from pip_accel._text import parse_size, parse_timespan
from pip_accel._usage import read_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = ["VERBS"]

#: What each kind of entry is called in what is printed for programs.
_PARTS = {ARCHIVE: "archives", BUILT: "built", TREE: "unpacked", NOTE: "notes"}


class _Parser(argparse.ArgumentParser):
    """Fails in pip's way."""

    def __init__(self, verb: str) -> None:
        super().__init__(prog=f"pip-accel cache {verb}", add_help=False)
        self.add_argument("-v", "--verbose", action="count", default=0)
        self.add_argument("-q", "--quiet", action="count", default=0)
        self.add_argument("words", nargs="*", metavar="PATTERN")

    def error(self, message: str) -> NoReturn:
        """End with the status that pip has for words that it cannot read."""
        self.exit(2, f"ERROR: {self.prog}: {message}\n")

    def read(self, invocation: Invocation, most: int) -> argparse.Namespace:
        """Give what the words mean.

        :param most: number of words that are no options.
        :raises Refused: there are more.
        """
        found = self.parse_args([*_loudness(invocation.before), *invocation.words])
        if len(found.words) > most:
            raise Refused("Too many arguments")
        found.verbosity = found.verbose - found.quiet
        return found


def _loudness(before: Sequence[str]) -> list[str]:
    """Give those of the words before the command that say how much is to be said."""
    return [word for word in before if word in ("--verbose", "--quiet") or re.fullmatch("-[vq]+", word)]


def _parser(verb: str, *formats: str) -> _Parser:
    parser = _Parser(verb)
    if formats:
        parser.add_argument("--format", choices=formats, default="human")
    return parser


@reporting
def _dir(invocation: Invocation) -> int:
    """Print the path of the data directory."""
    _parser("dir").read(invocation, 0)
    print(invocation.config.data_directory)
    return 0


@reporting
def _info(invocation: Invocation) -> int:
    """Print where everything is, how large, and of what use it has been."""
    words = _parser("info", "human", "json").read(invocation, 0)
    config = invocation.config
    _check(config)
    values = _describe(config)
    if words.format == "json":
        print(json.dumps(values, indent=2))
        return 0
    limit = "no limit" if config.max_cache_size is None else f"limit: {format_size(config.max_cache_size)}"
    print(f"Cache location: {config.data_directory}")
    print(f"Cache size: {format_size(values['bytes'])} ({limit})")
    for part, title, noun in (
        ("archives", "Local index", "archives"),
        ("built", "Locally built distributions", "locally built distributions"),
        ("unpacked", "Store", "unpacked distributions"),
    ):
        found = values[part]
        print(f"{title} location: {found['location']}")
        print(f"{title} size: {format_size(found['bytes'])}")
        print(f"Number of {noun}: {found['count']}")
    print(f"Size of what was learned (views, plans, logs): {format_size(values['notes']['bytes'])}")
    if config.s3_cache_bucket:
        below = f", below {config.s3_cache_prefix}" if config.s3_cache_prefix else ""
        print(f"Shared cache: bucket {config.s3_cache_bucket}{below}")
    usage = read_usage(config)
    if usage.installations:
        since = time.strftime("%Y-%m-%d", time.localtime(usage.since))
        print(f"Installations since {since}: {usage.installations}, {usage.without_network} of them without network")
        print(f"Distributions installed: {usage.distributions}")
        print(f"Builds: {usage.builds} ({format_timespan(round(usage.build_seconds))})")
        print(f"Built distributions used again: {usage.reuses} (saved {format_timespan(round(usage.saved_seconds))})")
    return 0


def _describe(config: Config) -> dict[str, Any]:
    """Give what there is to say of a data directory, as JSON has it: sizes in bytes, times in seconds."""
    parts: dict[str, dict[str, Any]] = {part: {"count": 0, "bytes": 0} for part in _PARTS.values()}
    parts["archives"]["location"] = os.path.join(config.source_index, "archives")
    parts["built"]["location"] = config.binary_cache
    parts["unpacked"]["location"] = os.path.join(config.data_directory, "trees")
    for entry in (*find_entries(config), *find_notes(config)):
        part = parts[_PARTS[entry.kind]]
        part["bytes"] += entry.size
        part["count"] += not is_byte_code(entry)  # which is no distribution of its own
    bucket = config.s3_cache_bucket
    return {
        "location": config.data_directory,
        "bytes": sum(part["bytes"] for part in parts.values()),
        "limit": config.max_cache_size,
        **parts,
        "shared": {"bucket": bucket, "prefix": config.s3_cache_prefix} if bucket else None,
        "usage": read_usage(config)._asdict(),
    }


@reporting
def _list(invocation: Invocation) -> int:
    """Print the archives and binary distributions that there are."""
    words = _parser("list", "human", "abspath", "json").read(invocation, 1)
    _check(invocation.config)
    found = _matching(find_entries(invocation.config), words.words[0] if words.words else "*")
    shown = [entry for entry in found if entry.kind != TREE]
    if words.format == "json":
        unpacked: dict[tuple[str, str], int] = {}
        for entry in found:
            if entry.kind == TREE:
                key = entry.name, canonical_version(entry.version)
                unpacked[key] = unpacked.get(key, 0) + entry.size
        print(json.dumps([_as_json(entry, unpacked) for entry in sorted(shown, key=_by_name)], indent=2))
    elif words.format == "abspath":
        for path in sorted(_path(entry) for entry in shown):
            print(path)
    elif not shown:
        print("No archives and no locally built distributions cached.")
    else:
        print("Cache contents:\n")
        for entry in sorted(shown, key=_by_name):
            print(f" - {entry.filename} ({format_size(entry.size)})")
    return 0


def _by_name(entry: Entry) -> tuple[str, str]:
    return entry.name, entry.filename


def _path(entry: Entry) -> str:
    return os.path.join(entry.path, entry.filename) if entry.kind == ARCHIVE else entry.path


def _as_json(entry: Entry, unpacked: Mapping[tuple[str, str], int]) -> dict[str, object]:
    return {
        "name": entry.name,
        "version": entry.version,
        "kind": entry.kind,
        "path": _path(entry),
        "bytes": entry.size,
        "unpacked_bytes": unpacked.get((entry.name, canonical_version(entry.version)), 0),
        "last_used": int(entry.used),
    }


@reporting
def _remove(invocation: Invocation) -> int:
    """Remove all that is kept of some projects, or of versions of them."""
    words = _parser("remove").read(invocation, 1)
    if not words.words:
        raise Refused("Please provide a pattern")
    return _remove_matching(invocation.config, words.words[0], words.verbosity)


@reporting
def _purge(invocation: Invocation) -> int:
    """Remove everything."""
    words = _parser("purge").read(invocation, 0)
    return _remove_matching(invocation.config, "*", words.verbosity)


def _remove_matching(config: Config, pattern: str, verbosity: int) -> int:
    with _opened(config):
        found = _matching((*find_entries(config), *find_notes(config)), pattern)
        if not found and verbosity > -2:
            said = f' for pattern "{pattern}"' if pattern != "*" else ""
            print(f"WARNING: No matching packages{said}", file=sys.stderr)
        _remove_all(found, verbosity)
        if pattern == "*":
            _fs.remove_free_locks(os.path.join(config.data_directory, "locks"))
    return 0


def _remove_all(entries: Iterable[Entry], verbosity: int) -> None:
    """Remove entries, and tell of it in pip's words."""
    count = size = 0
    for entry in entries:
        path = _path(entry)
        files = remove_entry(entry)
        count += files
        size += entry.size if files else 0
        if files and verbosity > 0:
            print(f"Removed {path}")
    if verbosity >= 0:
        print(f"Files removed: {count} ({format_size(size)})")


def _matching(entries: Iterable[Entry], pattern: str) -> list[Entry]:
    """Give the entries of the distributions that a pattern means: projects, versions of one, or a file.

    As with pip, it may have wildcards, and behind a dash the beginning of a version.
    """
    if pattern == "*":
        return list(entries)
    places = [place for place, sign in enumerate(pattern) if sign == "-"]
    pairs = [(pattern, ""), *((pattern[:place], pattern[place + 1 :]) for place in places)]
    wanted = [(canonical_name(name), version) for name, version in pairs]

    def is_meant(entry: Entry) -> bool:
        named = any(fnmatchcase(entry.name, name) and _begins(entry.version, version) for name, version in wanted)
        return bool(entry.name) and (named or fnmatchcase(entry.filename, pattern))

    return [entry for entry in entries if is_meant(entry)]


def _begins(version: str, beginning: str) -> bool:
    """Whether a version begins in a way, or is the same: built distributions are named by their canonical versions."""
    return fnmatchcase(version, beginning + "*") or canonical_version(version) == canonical_version(beginning)


@reporting
def _verify(invocation: Invocation) -> int:
    """Look at all that is kept; what is damaged goes. The status is 1 if there was any."""
    from pip_accel._verification import find_faults

    words = _parser("verify", "human", "json").read(invocation, 0)
    config = invocation.config
    _check(config)
    entries = [*find_entries(config, every=False), *find_notes(config)]
    faults = []
    for entry, fault in find_faults(entries):
        path = _path(entry)
        with _opened(config):
            remove_entry(entry)
        faults.append({"path": path, "fault": fault})
        print(f"WARNING: {path} is damaged: {fault}. It is removed.", file=sys.stderr)
    size = sum(entry.size for entry in entries)
    if words.format == "json":
        print(json.dumps({"entries": len(entries), "bytes": size, "damaged": faults}, indent=2))
    elif words.verbosity >= 0:
        result = f"{pluralize(len(faults), 'was', 'were')} damaged, and removed" if faults else "all of them are sound"
        print(f"Verified {pluralize(len(entries), 'entry', 'entries')} ({format_size(size)}): {result}")
    return 1 if faults else 0


@reporting
def _prune(invocation: Invocation) -> int:
    """Remove what is of no use any more, what was not used for long, and what is too much."""
    parser = _parser("prune")
    parser.add_argument("--max-size", metavar="SIZE")
    parser.add_argument("--unused-for", metavar="TIME")
    words = parser.read(invocation, 0)
    config = invocation.config
    limit = config.max_cache_size if words.max_size is None else _read("--max-size", words.max_size, parse_size)
    age = None if words.unused_for is None else _read("--unused-for", words.unused_for, parse_timespan)
    now = time.time()
    with _opened(config):
        every = [*find_entries(config), *find_notes(config)]
        old = {entry for entry in every if age is not None and entry.used < now - age}
        left = [entry for entry in every if entry not in old]
        if limit is not None:
            old.update(find_oldest((entry for entry in left if entry.kind != NOTE), limit))
        old.update(_useless(entry for entry in left if entry not in old))
        _remove_all((entry for entry in every if entry in old), words.verbosity)
    return 0


def _read(option: str, text: str, parse: Callable[[str], int | None]) -> int | None:
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(f"{option} cannot be {text!r}; accepted: {error}.") from error


def _useless(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Give byte code of trees that are not among the others, and what was learned of archives that are not."""
    every = list(entries)
    paths = {entry.path for entry in every}
    archives = {os.path.basename(entry.path) for entry in every if entry.kind == ARCHIVE}
    for entry in every:
        if is_byte_code(entry) and tree_of(entry) not in paths:
            yield entry
        if entry.kind == NOTE and entry.name and entry.path.endswith(".json"):
            try:
                seen = json.loads(_fs.read_text(entry.path) or "")["archives"]
            except (ValueError, KeyError, TypeError):
                seen = {}
            if archives.isdisjoint(seen):
                yield entry


def _check(config: Config) -> None:
    """See that a data directory, if it is there, is one that nobody else writes to.

    :raises Refused: somebody may.
    """
    try:
        fault = find_fault(os.stat(config.data_directory))
    except FileNotFoundError:
        return
    if fault:
        raise Refused(f"The data directory {config.data_directory} is not used, as {fault}")


@contextmanager
def _opened(config: Config) -> Iterator[None]:
    """Have something removed from a data directory: what is on its way out lies in a temporary directory.

    :raises Refused: the directory cannot be used.
    """
    _check(config)
    if not os.path.isdir(config.data_directory):
        yield
        return
    os.makedirs(os.path.join(config.data_directory, "tmp"), mode=0o700, exist_ok=True)
    with open_temporary(config.data_directory), removing(config):
        yield


#: What each verb does; it gives the exit status.
VERBS: Mapping[str, Callable[[Invocation], int]] = {
    "dir": _dir,
    "info": _info,
    "list": _list,
    "prune": _prune,
    "purge": _purge,
    "remove": _remove,
    "verify": _verify,
}
