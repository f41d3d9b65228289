"""From a request to a plan: which distributions, from which archives.

The ways to it, in order: *pins that close* (:mod:`pip_accel._plan.closing`), without pip; the *no-index pass*, in which
pip answers from a page of what the view has; the *download-only pass*, in which pip fetches what is missing, and then
the no-index pass again. Nothing changes in the target meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from pip_accel._index import Known, name_and_version
from pip_accel._metadata import all_headers
from pip_accel._names import canonical_name, canonical_version, leading_name
from pip_accel._plan.clauses import (
    Demand,
    Metadata,
    applies,
    collect_clauses,
    is_pinned,
    names_by_url,
    required_names,
    satisfies,
    vouching,
)
from pip_accel._plan.order import in_order
from pip_accel._plan.pip import Report, download, last_error, resolve_locally
from pip_accel._plan.question import Direct, Question, roots_digest
from pip_accel._plan.stand_ins import lead_back
from pip_accel._text import path_to_url, url_to_path
from pip_accel._values import Archive, Pin
from pip_accel.exceptions import NothingFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources

__all__ = ["Plan", "fetch", "make_plan", "parse_metadata"]


#: pip's line about a file that it looks at, and the distribution that requires it.
_PARENT = re.compile(r"Processing .*?(?P<file>[^/\\]+) \(from (?P<parent>[A-Za-z0-9._-]+?)(?:[^A-Za-z0-9._-].*)?\)$")


class Sources(Protocol):
    """Gives core metadata that only a build backend knows."""

    def prepare(self, archive: Archive) -> bytes:
        """Give the metadata of an sdist."""

    def adopt(self, archive: Archive) -> None:
        """Know that an sdist has come whose metadata is known."""

    def describe(self, direct: Direct) -> bytes:
        """Give the metadata of what was asked for by its path."""


class Plan(NamedTuple):
    """What will be installed."""

    pins: tuple[Pin, ...]  #: dependencies first
    output: str  #: what pip said on standard output
    errors: str  #: and on standard error
    learned: float  #: when the oldest answer in it was learned, seconds since the epoch; 0 if no answer was needed
    online: bool  #: whether the index was asked
    lasting: bool  #: whether the answer holds beyond this run
    spellings: Mapping[str, str]  #: canonical names as pip spells them in its lines: as they were asked for first
    report: Mapping[str, Any] = {}  #: pip's report, if that was asked for


def make_plan(
    resources: Resources,
    question: Question,
    environ: Mapping[str, str],
    sources: Sources,
    *,
    say: Callable[[str], None],
) -> Plan:
    """Plan an installation, from the local index if that can answer, else with the help of the network.

    :param environ: for pip.
    :param sources: prepares the metadata of source trees.
    :param say: is told what a user should know.
    :raises PipFailed: pip failed; :class:`NothingFound` if nothing fits a requirement.
    :raises Unsupported: only pip itself can find the answer.
    """
    config = resources.config
    pass_ = _Pass(resources, question, environ, sources, resources.directory("plan"))
    pass_.directs()  # pip then finds prepared what is asked for by path
    if not question.refresh or config.offline:
        plan = _from_view(pass_)
        if plan is not None:
            return plan
    if config.offline:
        return _from_anything(pass_, say)
    arrived, lasting = _fetch(pass_, say)
    report, by_url = _ask(pass_, arrived)
    if isinstance(report, Report):
        clauses = _clauses_of(pass_, report)
        if not _replaces_needlessly(pass_, report, clauses):
            return _plan(pass_, report, by_url, learned=time.time(), online=True, lasting=lasting)
    plan = _from_view(pass_)
    if plan is not None:
        return plan._replace(online=True, lasting=lasting)
    raise Unsupported("What is installed already asks for other archives than a fresh environment would")


def fetch(
    resources: Resources,
    question: Question,
    environ: Mapping[str, str],
    sources: Sources,
    *,
    say: Callable[[str], None],
) -> None:
    """Only fetch what a request needs. The parameters and errors are those of :func:`make_plan`."""
    _fetch(_Pass(resources, question, environ, sources, resources.directory("plan")), say)


class _Pass(NamedTuple):
    """One question on its way to an answer."""

    resources: Resources
    question: Question
    environ: Mapping[str, str]
    sources: Sources
    work: str  #: a directory of its own

    def directs(self) -> dict[str, tuple[Demand, Metadata]]:
        """Give what was asked for by path, as a requirement, and its metadata, by canonical name."""
        found = {}
        for direct in self.question.directs:
            if applies(direct.marker, dict(self.resources.target.markers)):
                name, version, requires = parse_metadata(self.sources.describe(direct))
                name = canonical_name(name)
                found[name] = Demand(name, direct.extras, "", ""), Metadata(version, requires)
        return found


def _ask(pass_: _Pass, archives: Iterable[Archive]) -> tuple[Report | str, dict[str, Archive]]:
    """Let pip answer from these archives: its report, or what it said instead."""
    resources, question, environ, _, work = pass_
    page = os.path.join(work, "page.html")
    by_url = resources.index.write_page(archives, page)
    report = resolve_locally(
        question.python, question.install_words, page=page, environ=environ, work=work, log=question.log
    )
    return (report if isinstance(report, Report) else report.errors), by_url


def _from_view(pass_: _Pass) -> Plan | None:
    """Plan from what the view has, or ``None`` if that is not pip's own answer, or too old."""
    resources, question = pass_.resources, pass_.question
    archives = _reachable(pass_)
    if not archives and not question.directs and _missing_roots(resources, question):
        return None
    report, by_url = _ask(pass_, archives)
    if not isinstance(report, Report):
        return None
    clauses = _clauses_of(pass_, report)
    if _replaces_needlessly(pass_, report, clauses):
        return None
    roots = roots_digest(question)
    oldest: float = 0
    for item in report.items:
        if item.direct is not None:
            continue
        name = canonical_name(item.name)
        known = resources.index.known(question.view.key(name), name)
        if is_pinned(item.version, clauses[name], known, roots):
            continue
        vouched = vouching(item.version, clauses[name], known, roots)
        if vouched is None:
            return None
        oldest = min(oldest or vouched.time, vouched.time)
    limit = resources.config.index_max_age
    if limit is not None and oldest and time.time() - oldest > limit and not resources.config.offline:
        return None
    return _plan(pass_, report, by_url, learned=oldest)


def _replaces_needlessly(pass_: _Pass, report: Report, clauses: Mapping[str, frozenset[str]]) -> bool:
    """Whether an answer takes out a distribution that would do: with all of the index pip might have kept it."""
    from pip_accel._installed import find_installed

    question = pass_.question
    if question.replaced is None:
        return False
    installed = find_installed(pass_.resources.target)
    for item in report.items:
        name = canonical_name(item.name)
        old = installed.get(name)
        if old is None or item.direct is not None or name in question.replaced:
            continue
        if satisfies(old.version, clauses[name]):
            return True
    return False


def _plan(
    pass_: _Pass,
    report: Report,
    by_url: Mapping[str, Archive],
    *,
    learned: float = 0,
    online: bool = False,
    lasting: bool = True,
) -> Plan:
    pins = _pins(pass_, report, by_url)
    output, errors = (lead_back(text, pass_.question.shown) for text in (report.output, report.errors))
    raw = _with_origins(pass_, report, by_url) if pass_.question.report else {}
    return Plan(pins, output, errors, learned, online, lasting, _spellings(pass_.question, report), raw)


def _with_origins(pass_: _Pass, report: Report, by_url: Mapping[str, Archive]) -> dict[str, Any]:
    """Give pip's report with the URLs that the archives of the local index came from.

    :raises Unsupported: one of them is not known.
    """
    rows = []
    for item, row in zip(report.items, report.raw["install"], strict=True):
        bare, name = item.url.partition("#")[0], canonical_name(item.name)
        archive, stand_in = by_url.get(bare), pass_.question.stand_ins.get(bare)
        if stand_in is not None:
            row = {**row, "download_info": stand_in.direct}
        elif archive is not None:
            url = pass_.resources.index.origin(pass_.question.view.key(name), name, archive)
            if not url:
                raise Unsupported("the local index does not know where {name} came from", name=archive.filename)
            row = {**row, "download_info": {**row["download_info"], "url": url}}
        rows.append(row)
    return {**report.raw, "install": rows}


def _spellings(question: Question, report: Report) -> dict[str, str]:
    """Find out how pip spells names in its lines: as the requirement did that it met first."""
    items = {canonical_name(item.name): item for item in report.items}
    parents = {}
    for line in report.output.splitlines():
        found = _PARENT.match(line)
        if found is not None:
            parents[found["file"]] = canonical_name(found["parent"])
    spelled = {}
    for name, item in items.items():
        parent = items.get(parents.get(unquote(item.url.rsplit("/", 1)[-1]), ""))
        for text in parent.requires if parent is not None else ():
            spelling = leading_name(text)
            if canonical_name(spelling) == name:
                spelled[name] = spelling
                break
    return {**spelled, **question.spellings}


def _from_anything(pass_: _Pass, say: Callable[[str], None]) -> Plan:
    """Plan from all that is there, whatever it came for: the network is not to be used."""
    index = pass_.resources.index
    archives = _closure(pass_, lambda name: index.archives_in_any_view(name))
    report, by_url = _ask(pass_, archives)
    if not isinstance(report, Report):
        raise NothingFound(
            "The local index cannot answer, and offline = yes forbids to ask elsewhere: {reason}",
            reason=last_error(report),
            status=1,
        )
    say("Offline: the answer is made of all archives in the local index, whichever settings they came under.")
    return _plan(pass_, report, by_url, lasting=False)


def _missing_roots(resources: Resources, question: Question) -> bool:
    """Whether a requirement has nothing in its view; an installed distribution may satisfy it all the same."""
    from pip_accel._installed import find_installed

    installed = find_installed(resources.target)
    markers = dict(resources.target.markers)
    return any(root.name not in installed for root in question.roots if applies(root.marker, markers))


def _reachable(pass_: _Pass) -> list[Archive]:
    """Give the archives of the views that the request can lead to."""
    index, view = pass_.resources.index, pass_.question.view
    return _closure(pass_, lambda name: index.archives_in_view(view.key(name), name))


def _closure(pass_: _Pass, find: Callable[[str], list[Archive]]) -> list[Archive]:
    resources, question = pass_.resources, pass_.question
    markers = dict(resources.target.markers)
    waiting = [root.name for root in question.roots if applies(root.marker, markers)]
    for _, metadata in pass_.directs().values():
        waiting.extend(canonical_name(leading_name(text)) for text in metadata.requires)
    seen: set[str] = set()
    found: list[Archive] = []
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for archive in find(name):
            known = resources.index.metadata(archive)
            if known is not None:
                found.append(archive)
                if question.dependencies:
                    waiting.extend(required_names(known))
    return found


def _clauses_of(pass_: _Pass, report: Report) -> dict[str, frozenset[str]]:
    return _clauses(pass_, {item.name: Metadata(item.version, item.requires) for item in report.items})


def _clauses(pass_: _Pass, chosen: Mapping[str, Metadata]) -> dict[str, frozenset[str]]:
    question, directs = pass_.question, pass_.directs()
    return collect_clauses(
        [*question.roots, *(demand for demand, _ in directs.values())],
        question.constraints,
        {
            **{canonical_name(name): metadata for name, metadata in chosen.items()},
            **{name: metadata for name, (_, metadata) in directs.items()},
        },
        dict(pass_.resources.target.markers),
        dependencies=question.dependencies,
    )


def _fetch(pass_: _Pass, say: Callable[[str], None]) -> tuple[list[Archive], bool]:
    """Let pip fetch what the request needs, and take it into the index and the view.

    :returns: the archives, and whether the view learned from them.
    """
    resources, question, environ, sources, work = pass_
    index = resources.index
    downloads = download(
        question.python,
        (*_pages_of_this_run(resources, question, work), *question.download_words),
        environ=environ,
        work=work,
        passes=resources.config.max_retries,
        on_retry=lambda reason: say(f"pip failed and will be asked again: {reason}"),
        keep_log=question.log,
    )
    by_path = {os.path.basename(direct.path) for direct in question.directs}
    stand_ins = {os.path.basename(stand_in.path) for stand_in in question.stand_ins.values()}
    yanked = dict(downloads.yanked)
    arrived: dict[str, tuple[Archive, Metadata]] = {}
    for path in downloads.files:
        split = name_and_version(os.path.basename(path))
        if split is None or os.path.isdir(path) or os.path.basename(path) in stand_ins:
            continue
        direct = os.path.basename(path) in by_path
        archive = index.add(path)._replace(yanked=yanked.get(os.path.basename(path)))
        metadata = index.metadata(archive)
        if metadata is None:
            metadata = _read_metadata(archive, sources)
            index.set_metadata(archive, metadata)
        elif not archive.filename.endswith(".whl"):
            sources.adopt(archive)
        if not direct:
            name, version, requires = parse_metadata(metadata)
            arrived[canonical_name(name)] = (archive, Metadata(version, requires))
    chosen = {name: metadata for name, (_, metadata) in arrived.items()}
    if names_by_url(chosen) & chosen.keys():
        raise Unsupported("A distribution requires another one by its URL")
    clauses = _clauses(pass_, chosen)
    # With --prefer-binary a winner need not be the highest version, so it says nothing about other clauses.
    roots = roots_digest(question) if downloads.backtracked or question.view.prefer_binary else ""
    now = time.time()
    for name, (archive, fact) in arrived.items():
        known = Known(clauses[name], canonical_version(fact.version), now, roots)
        if downloads.complete:
            index.learn(question.view.key(name), name, archive, known, downloads.urls.get(archive.filename, ""))
    return [archive for archive, _ in arrived.values()], downloads.complete


def _pages_of_this_run(resources: Resources, question: Question, work: str) -> tuple[str, ...]:
    """Write an index of what this run has fetched so far, so that nothing is fetched twice; give pip's words for it.

    Of equal files pip takes the one from the index that was named last.
    """
    index = resources.index
    fetched = index.archives_learned(question.view, since=resources.started)
    if not fetched:
        return ()
    directory = os.path.join(work, "fetched")
    for name, archives in fetched.items():
        index.write_page(archives, os.path.join(directory, name, "index.html"))
    return (f"--extra-index-url={path_to_url(directory)}/",)


def _read_metadata(archive: Archive, sources: Sources) -> bytes:
    if archive.filename.endswith(".whl"):
        from pip_accel._archives import wheel_metadata

        return wheel_metadata(archive.path)
    return sources.prepare(archive)


def parse_metadata(metadata: bytes) -> tuple[str, str, list[str]]:
    """Give name, version and ``Requires-Dist`` of core metadata."""
    headers = all_headers(metadata)
    name, version = (headers.get(each, [""])[0] for each in ("name", "version"))
    return name, version, headers.get("requires-dist", [])


def _pins(pass_: _Pass, report: Report, by_url: Mapping[str, Archive]) -> tuple[Pin, ...]:
    resources, question = pass_.resources, pass_.question
    markers = dict(resources.target.markers)
    roots = [*question.roots, *(demand for demand, _ in pass_.directs().values())]
    pins = []
    for item in in_order(report.items, roots, markers, dependencies=question.dependencies):
        url = item.url.partition("#")[0]
        stand_in = question.stand_ins.get(url)
        if stand_in is not None:
            archive = stand_in.archive
            item = item._replace(direct=stand_in.direct)
        else:
            archive = by_url.get(url) or _take_in(resources, item.url)
        resources.index.touch(archive)
        # As pip writes it: sorted keys, no white space at the end.
        direct = json.dumps(item.direct, sort_keys=True) if item.direct is not None else ""
        editable = stand_in is not None and stand_in.editable
        pins.append(Pin(item.name, item.version, archive, item.requested, direct, editable))
    return tuple(pins)


def _take_in(resources: Resources, url: str) -> Archive:
    """Take what pip found elsewhere on this machine into the index; a directory is what it is."""
    parts = urlsplit(url)
    path = url_to_path(parts.path)
    if parts.scheme == "file" and os.path.isdir(path):
        return Archive(path, os.path.basename(path), "")
    if parts.scheme != "file" or not os.path.isfile(path):
        raise Unsupported("pip chose {url}, which is not an archive in the local index", url=url)
    archive = resources.index.add_copy(path)
    if archive.filename.endswith(".whl") and resources.index.metadata(archive) is None:
        from pip_accel._archives import wheel_metadata

        resources.index.set_metadata(archive, wheel_metadata(archive.path))
    return archive
