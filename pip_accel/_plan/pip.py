"""Runs pip as a subprocess: to plan, to download, and for whole commands; reads its JSON installation report.

pip is only spoken to through its command line, its settings in the environment, and its report; it is never imported.
Source of the report's shape: pip's documentation, "Installation Report", version 1.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from pip_accel._fs import find_told_error
from pip_accel._index import name_and_version
from pip_accel._names import canonical_name
from pip_accel._process import Completed, pass_through, run
from pip_accel._text import mask_secrets, path_to_url, without_users
from pip_accel.exceptions import NothingFound, PipFailed, Unsupported

__all__ = [
    "Downloads",
    "Item",
    "Report",
    "check_out",
    "download",
    "hand_over",
    "last_error",
    "pip_command",
    "resolve_locally",
]

#: Without ``-P`` modules in the working directory would take the place of pip's, where we were started as a script.
_PIP = (sys.executable, *(("-P",) if sys.version_info >= (3, 11) else ()), "-m", "pip")

#: Where a run without network would have to go: the port "discard", on which nothing answers.
_DEAD_PROXY = "http://127.0.0.1:9"

_CURABLE = (
    "Read timed out",
    "ReadTimeoutError",
    "Connection reset",
    "ConnectionResetError",
    "IncompleteRead",
    "IncompleteDownload",
    "incomplete-download",
    "ProtocolError",
    "RemoteDisconnected",
    "500 Server Error",
    "502 Server Error",
    "503 Server Error",
    "504 Server Error",
    "too many 50",
    "DO NOT MATCH",
)

#: pip goes on when one of several indexes does not answer: what it then chooses holds for that moment only.
_UNANSWERED = ("Retrying (Retry(", "Could not fetch URL")
#: What an index answers that does not have a project, or does not show it to anybody.
_NOT_THERE = re.compile(r"Could not fetch URL .*: (403|404|410) Client Error")

#: What stands above the traceback of an error that ``logging`` goes on after.
_NO_LOG = "--- Logging error ---"

#: The digest of an archive that is not the one asked for.
_GOT = re.compile(r"^\s+Got +([0-9a-f]{32,})", re.MULTILINE)

#: pip's warning about a yanked file, as its log has it.
_YANKED = re.compile(r" is a yanked version: .* at (?P<url>\S+).*\n(?:\S+ )?Reason for being yanked: (?P<reason>.*)")


#: pip's line about a file that an index or a page has.
_LINK = re.compile(r" Found link ((\S+) \(from .*), version: ")

#: The same; a directory of files is no page to come from.
_SEEN = re.compile(r" Found link (\S+?)(?: \(from .*)?, version: ")

#: pip's line about a project before it looks for it in all places.
_SEARCHED = re.compile(r" location\(s\) to search for versions of (\S+):$", re.MULTILINE)

#: pip's line about an archive whose metadata it reads: the name of the file, or name and version.
_LOOKED_AT = re.compile(
    r" (?:Processing|Downloading|Using cached) (?:.*?[/\\])?([^/\\ ]+\.(?:whl|zip|t[\w.]+?))(?:\.metadata)?(?:[?# ]|$)"
    r"|Obtaining dependency information from (\S+) (\S+)$"
)


class Item(NamedTuple):
    """One distribution of pip's answer."""

    name: str  #: as the metadata spells it
    version: str
    url: str  #: where pip found it
    requested: bool
    direct: Mapping[str, Any] | None  #: contents of ``direct_url.json``, if it was asked for by URL or path
    requires: tuple[str, ...]  #: values of ``Requires-Dist``
    python: bool = False  #: whether it asks for some versions of Python
    extras: frozenset[str] = frozenset()  #: canonical names of those that it offers


class Report(NamedTuple):
    """pip's answer, without having installed anything."""

    items: tuple[Item, ...]
    output: str  #: what pip said on standard output meanwhile
    errors: str
    raw: Mapping[str, Any] = {}  #: the report as pip wrote it
    backtracked: bool = False  #: whether it had to turn a candidate down


class Downloads(NamedTuple):
    """What the download-only pass brought."""

    files: tuple[str, ...]  #: paths of archives
    backtracked: bool  #: pip had to try more than one candidate for some project
    complete: bool  #: every place that pip asked has answered
    yanked: tuple[tuple[str, str], ...] = ()  #: names of yanked files, with the reasons
    links: Mapping[str, str] = {}  #: where they were found, as pip prints it, without user and password; by file name
    seen: tuple[str, ...] = ()  #: names of all files that pip found, if it tried more than one of some project
    searched: frozenset[str] = frozenset()  #: canonical names of all projects that pip searched versions of


def pip_command(python: str | None) -> list[str]:
    """Give the words that start pip for a target."""
    return [*_PIP, *(["--python", python] if python is not None else [])]


def hand_over(words: Sequence[str], environ: Mapping[str, str], *, offline: bool = False) -> int:
    """Let pip do the whole command, with our streams; give its status.

    :param offline: whether it is to be kept off the network.
    """
    if offline:
        leading = ("no_proxy", "http_proxy", "https_proxy", "all_proxy", "pip_index_url", "pip_extra_index_url")
        environ = {name: value for name, value in environ.items() if name.lower() not in leading}
        dead = dict.fromkeys(("PIP_PROXY", "http_proxy", "https_proxy", "all_proxy"), _DEAD_PROXY)
        environ |= {"PIP_NO_INDEX": "1", "PIP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **dead}
    return pass_through([*_PIP, *words], environ)


def resolve_locally(
    python: str | None,
    words: Sequence[str],
    *,
    page: str,
    environ: Mapping[str, str],
    work: str,
    keep_log: str = "",
) -> Report | Completed:
    """Let pip plan an installation from a page of links, without any network.

    :param words: of ``pip install``, from behind that word.
    :param page: path of the page.
    :param environ: for pip; settings that would lead it elsewhere are taken out here.
    :param work: a directory for what it writes.
    :param keep_log: path of a file that gets pip's log, too.
    :returns: its answer, or how it failed.
    :raises OSError: it could not write.
    """
    report, log = (os.path.join(work, name) for name in ("report.json", "log"))
    for path in (report, log):
        if os.path.exists(path):  # of an earlier pass; pip may leave none when there is nothing to install
            os.unlink(path)
    # In the environment this takes the place of find-links there and in configuration files. --no-index alone does not
    # keep pip off the network: links in requirement files remain.
    settings = {
        **environ,
        "PIP_FIND_LINKS": path_to_url(page),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_EXISTS_ACTION": environ.get("PIP_EXISTS_ACTION") or "w",
        # For what it tells an index of this machine, pip asks a dozen programs; here it speaks to none.
        "PATH": "",
    }
    for name in ("NO_PROXY", "no_proxy", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        settings.pop(name, None)
    own = ["--dry-run", "--report", report, "--no-index", "--no-build-isolation"]
    own += ["--proxy", _DEAD_PROXY, "--retries", "0", "--log", log]
    # Of options that are given twice the last one counts; behind "--" there are none.
    words = [*own, *words] if "--" in words else [*words, *own]
    answer = run([*pip_command(python), "install", *words], env=settings)
    if keep_log:
        _append(log, keep_log)
    _look_for_faults(answer, work)
    if answer.status != 0:
        return answer
    try:
        with open(report, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:  # nothing to install, in some releases
        value = {"version": "1", "install": []}
    items = tuple(_item(each) for each in value["install"])
    text = _read_log(log)
    return Report(items, answer.output, answer.errors, value, text is None or _backtracked(text))


def _item(value: Mapping[str, Any]) -> Item:
    metadata = value["metadata"]
    return Item(
        name=metadata["name"],
        version=metadata["version"],
        url=value["download_info"]["url"],
        requested=bool(value.get("requested")),
        direct=value["download_info"] if value.get("is_direct") else None,
        requires=tuple(metadata.get("requires_dist", ())),
        python=bool(metadata.get("requires_python")),
        extras=frozenset(map(canonical_name, metadata.get("provides_extra", ()))),
    )


def check_out(
    python: str | None, words: Sequence[str], *, environ: Mapping[str, str], work: str
) -> Mapping[str, Any]:
    """Let pip check out one requirement from version control; give what its report says of that.

    :param words: of ``pip install``: the requirement, and where an editable is to be checked out.
    :raises PipFailed: pip failed; its words are in the context.
    :raises Unsupported: pip wants to ask the user something.
    """
    report = os.path.join(work, "report.json")
    settings = {**environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    own = ["--dry-run", "--report", report, "--no-index", "--no-deps", "--ignore-installed", "--no-build-isolation"]
    command = [*pip_command(python), "install", *own, *words]
    answer = run(command, env=settings)
    if answer.status != 0:
        _leave_questions(answer)
        _look_for_faults(answer, work)
        raise _failure(PipFailed, command, answer, work)
    with open(report, encoding="utf-8") as stream:
        item: dict[str, Any] = json.load(stream)["install"][0]
    return item


def _look_for_faults(answer: Completed, work: str) -> None:
    """See that pip could write what it had to, also its log, where it goes on without.

    :param work: the directory for that, beside that of its temporary files.
    :raises OSError: it could not.
    """
    if answer.status != 0 or _NO_LOG in answer.errors:
        error = find_told_error(answer.output + answer.errors, os.path.dirname(work))
        if error is not None:
            raise error


def _failure(kind: type[PipFailed], command: Sequence[str], answer: Completed, work: str) -> PipFailed:
    return kind(
        "pip could not get what the installation needs: {reason}",
        reason=last_error(answer.errors) or f"exit status {answer.status}",
        command=[mask_secrets(word) for word in command],
        status=answer.status,
        output=answer.output,
        errors="".join(line for line in answer.errors.splitlines(True) if f"'{path_to_url(work)}" not in line),
    )


def download(
    python: str | None,
    words: Sequence[str],
    *,
    environ: Mapping[str, str],
    work: str,
    passes: int,
    on_retry: Callable[[str], None],
    keep_log: str = "",
    translate: Callable[[str], str] = str,
) -> Downloads:
    """Let pip find and fetch all archives that an installation needs, as if nothing was installed.

    :param words: of ``pip download``, from behind that word.
    :param passes: how often pip may be sent, where sending it again can help.
    :param on_retry: is told the failure each time.
    :param keep_log: path of a file that gets pip's log, too.
    :param translate: gives what pip said of a failure in words that the user knows.
    :raises PipFailed: pip failed; its words are in the context.
    :raises NothingFound: a requirement has no candidate.
    :raises Unsupported: pip wants to ask the user something.
    :raises OSError: it could not write.
    """
    settings = {
        **environ,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_EXISTS_ACTION": environ.get("PIP_EXISTS_ACTION") or "w",
    }
    got: list[str] = []
    for attempt in range(max(passes, 1)):
        stage = os.path.join(work, f"stage-{attempt}")
        log = os.path.join(work, f"log-{attempt}")
        os.mkdir(stage)
        own = ["--dest", stage, "--log", log, "--no-build-isolation"]
        command = [*pip_command(python), "download", *own, *words]
        answer = run(command, env=settings)
        if keep_log:
            _append(log, keep_log)
        _look_for_faults(answer, work)
        if answer.status == 0:
            files = tuple(os.path.join(stage, name) for name in sorted(os.listdir(stage)))
            text = _read_log(log)
            if text is None:
                return Downloads(files, True, False)
            backtracked = _backtracked(text)
            told = _complete(text), _yanked(text), _found(text), _seen(text) if backtracked else ()
            return Downloads(files, backtracked, *told, _searched(text))
        answer = answer._replace(output=translate(answer.output), errors=translate(answer.errors))
        said = answer.output + answer.errors
        _leave_questions(answer)
        if attempt + 1 >= passes or not any(sign in said for sign in _CURABLE):
            break
        before, got = got, _GOT.findall(said)
        if got and got == before:  # it was not cut short on the way: that is what lies there
            break
        on_retry(last_error(answer.errors))
        time.sleep(2**attempt)
    nothing = "No matching distribution found" in said
    raise _failure(NothingFound if nothing else PipFailed, command, answer, work)


def _leave_questions(answer: Completed) -> None:
    """Let pip ask what it wanted to ask, if there is somebody to answer.

    :raises Unsupported: so it is.
    """
    if "EOFError" in answer.output + answer.errors and sys.stdin is not None and sys.stdin.isatty():
        raise Unsupported("pip has a question")


def last_error(errors: str) -> str:
    """Give the last thing that pip called an error, without secrets."""
    lines = [line.strip() for line in errors.splitlines() if line.startswith("ERROR:")]
    if lines and lines[-1] == "ERROR: Exception:":  # a traceback follows
        lines = errors.splitlines()
    return mask_secrets(lines[-1].removeprefix("ERROR:").strip()) if lines else ""


def _read_log(path: str) -> str | None:
    """Give the text of a log of pip's, which tells all at any verbosity; ``None`` if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def _complete(log: str) -> bool:
    """Whether every place that pip asked has answered. At its usual verbosity pip is silent about one that did not."""
    return not any(
        any(sign in line for sign in _UNANSWERED) and not _NOT_THERE.search(line) for line in log.split("\n")
    )


def _yanked(log: str) -> tuple[tuple[str, str], ...]:
    """Give the names of the files that pip called yanked, with the reasons."""
    return tuple(
        (_filename(found["url"]), found["reason"].replace("<none given>", "")) for found in _YANKED.finditer(log)
    )


def _found(log: str) -> dict[str, str]:
    """Give pip's words for the links of all files that it saw, by their names; of equal names pip takes the last."""
    return {_filename(url): without_users(text) for text, url in _LINK.findall(log)}


def _seen(log: str) -> tuple[str, ...]:
    """Give the names of all files that pip saw, in indexes, pages and directories."""
    return tuple(map(_filename, _SEEN.findall(log)))


def _searched(log: str) -> frozenset[str]:
    """Give the canonical names of the projects that pip looked for."""
    return frozenset(map(canonical_name, _SEARCHED.findall(log)))


def _filename(url: str) -> str:
    return unquote(re.split("[?#]", url)[0].rpartition("/")[2])


def _append(log: str, to: str) -> None:
    try:
        with open(log, "rb") as source, open(to, "ab") as stream:
            stream.write(source.read())
    except OSError:  # pip failed before it wrote one
        pass


def _backtracked(log: str) -> bool:
    """Whether pip tried more than one candidate for some project.

    It says so where it turns one down, but not where it puts another one in place of what it had chosen before.
    """
    seen: dict[str, str] = {}
    for line in log.split("\n"):
        if "Will try a different candidate" in line:
            return True
        looked_at = _LOOKED_AT.search(line)
        if looked_at is not None:
            filename, name, version = looked_at.groups()
            found = name_and_version(unquote(filename)) if filename else (canonical_name(name), version)
            if found is None or seen.setdefault(*found) != found[1]:
                return True
    return False
