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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from pip_accel._digests import digest_of
from pip_accel._index import Known, name_and_version
from pip_accel._messages import speaker
from pip_accel._metadata import all_headers
from pip_accel._names import canonical_name, canonical_version, leading_name
from pip_accel._plan.clauses import (
    Bounds,
    Demand,
    Metadata,
    applies,
    collect_bounds,
    is_certain,
    is_pinned,
    names_by_url,
    newest_winner,
    required_names,
    satisfies,
    vouching,
)
from pip_accel._plan.order import in_order
from pip_accel._plan.pip import Report, download, last_error, resolve_locally
from pip_accel._plan.question import Direct, Question, roots_digest
from pip_accel._plan.stand_ins import lead_back, reword
from pip_accel._text import path_to_url, url_to_path
from pip_accel._values import Archive, Installed, Pin, Plan
from pip_accel.exceptions import NothingFound, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources

__all__ = ["fetch", "make_plan", "parse_metadata", "reach"]


#: pip's line about a file that it looks at, and the distribution that requires it.
_PARENT = re.compile(
    r"Processing .*?(?P<file>[^/\\]+) \(from (?P<parent>[A-Za-z0-9](?:[A-Za-z0-9._-]*?[A-Za-z0-9])?)"
    r"(?:->.*|[^A-Za-z0-9._-].*)?\)$"
)


#: Signs in what pip says that it found no solution for an empty environment.
_UNSOLVED = ("No matching distribution found", "ResolutionImpossible", "Could not find a version")


class Sources(Protocol):
    """Gives core metadata that only a build backend knows."""

    def prepare(self, archive: Archive) -> bytes:
        """Give the metadata of an sdist."""

    def adopt(self, archive: Archive) -> None:
        """Know that an sdist has come whose metadata is known."""

    def describe(self, direct: Direct) -> bytes:
        """Give the metadata of what was asked for by its path."""

    def recall(self, name: str) -> bytes | None:
        """Give the metadata of a directory that pip came upon, by the canonical name of its project."""

    def borrow(self, question: Question) -> Plan | None:
        """Learn what other machines found out about a question; give their plan if that holds here."""

    def unpacking(self, work: str, allowed: Collection[str] | None) -> AbstractContextManager[None]:
        """Unpack wheels while pip fetches them.

        :param work: directory of pip's logs.
        :param allowed: SHA-256 digests, hex, that they may have; ``None``: any.
        """


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
    from pip_accel._plan.closing import plan_from_pins

    config = resources.config
    pass_ = _begin(resources, question, environ, sources)  # pip then finds prepared what is asked for by path
    if not question.refresh or config.offline:
        plan = _from_view(pass_)
        if plan is not None:
            return plan
    if config.offline:
        return _from_anything(pass_, say)
    if not question.refresh:
        before = resources.index.learned
        plan = sources.borrow(question) or (_from_view(pass_) if resources.index.learned > before else None)
        if plan is not None:
            return plan
    try:
        fetched = _fetch(pass_, say)
    except PipFailed as error:
        if _may_be_satisfied(pass_, f"{error.context.get('output')}\n{error.context.get('errors')}"):
            raise Unsupported("What is installed may satisfy what the index does not") from error
        raise
    plan = plan_from_pins(resources, question)
    if plan is not None:
        return plan._replace(online=True, lasting=fetched.lasting)
    report, by_url = _ask(pass_, fetched.archives)
    if isinstance(report, Report):
        names = {canonical_name(item.name) for item in report.items if item.direct is None}
        touched = _touched(pass_, report)
        # Where nothing is installed that matters, it is what pip fetched, and nothing else.
        same = touched.keys().isdisjoint(pass_.installed) and names == fetched.known.keys()
        if same or _is_certain(pass_, report, touched, fetched.known):
            learned = _age(pass_, report, touched, time.time())
            return _plan(pass_, report, by_url, learned=learned, online=True, lasting=fetched.lasting)
    plan = _from_view(pass_)
    if plan is not None:
        return plan._replace(online=True, lasting=fetched.lasting)
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
    _fetch(_begin(resources, question, environ, sources), say)


class _Fetched(NamedTuple):
    """What pip fetched for an empty environment."""

    archives: list[Archive]
    known: Mapping[str, Known]  #: what that says, by canonical name
    lasting: bool  #: whether it holds beyond this run


class _Given(NamedTuple):
    """What no index has a say in: it was asked for by path or URL, or is required so by something that was."""

    demands: tuple[Demand, ...]
    metadata: Mapping[str, Metadata]  #: by canonical name


class _Pass(NamedTuple):
    """One question on its way to an answer."""

    resources: Resources
    question: Question
    environ: Mapping[str, str]
    sources: Sources
    work: str  #: a directory of its own
    given: _Given

    @property
    def installed(self) -> Mapping[str, Installed]:
        """What is installed and matters, by canonical name."""
        from pip_accel._installed import find_installed

        return {} if self.question.forgets else find_installed(self.resources.target)

    @property
    def digest(self) -> str:
        """The name of what was asked for as a whole, with what lies at the paths and URLs in it."""
        shown = self.question.shown
        found = [
            [name, metadata.version, *(lead_back(text, shown) for text in metadata.requires)]
            for name, metadata in sorted(self.given.metadata.items())
        ]
        return digest_of([roots_digest(self.question), found]) if found else roots_digest(self.question)


def _begin(resources: Resources, question: Question, environ: Mapping[str, str], sources: Sources) -> _Pass:
    demands, found = [], {}
    for direct in question.directs:
        if applies(direct.marker, dict(resources.target.markers)):
            name, version, requires = parse_metadata(sources.describe(direct))
            name = canonical_name(name)
            demands.append(Demand(name, direct.extras, "", ""))
            found[name] = Metadata(version, requires)
    for stand_in in question.stand_ins.values():
        if stand_in.name not in found:
            from pip_accel._archives import wheel_metadata

            _, version, requires = parse_metadata(wheel_metadata(stand_in.path))
            found[stand_in.name] = Metadata(version, requires)
    return _Pass(resources, question, environ, sources, resources.directory("plan"), _Given(tuple(demands), found))


def _ask(pass_: _Pass, archives: Iterable[Archive]) -> tuple[Report | str, dict[str, Archive]]:
    """Let pip answer from these archives: its report, or what it said instead."""
    resources, question, environ, _, work, _ = pass_
    page = os.path.join(work, "page.html")
    by_url = resources.index.write_page(archives, page)
    words, shown = _with_locks(pass_)
    report = resolve_locally(question.python, words, page=page, environ=environ, work=work, keep_log=question.log)
    if isinstance(report, Report) and shown:
        report = report._replace(output=lead_back(report.output, shown), errors=lead_back(report.errors, shown))
    return (report if isinstance(report, Report) else report.errors), by_url


def _with_locks(pass_: _Pass) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Give the words with locks whose archives lie on this machine, and the paths of those beside the written ones."""
    from pip_accel._fs import write_file

    copies, shown = {}, []
    for number, lock in enumerate(pass_.question.locks):
        copy = os.path.join(pass_.work, f"lock-{number}", os.path.basename(lock.path))
        write_file(copy, lock.localize(lambda name, sha256: _existing(pass_, name, sha256))[0])
        copies[lock.path] = copy
        shown.append((copy, lock.shown))
    words = pass_.question.install_words
    return (reword(words, {}, copies) if copies else words), shown


def _existing(pass_: _Pass, filename: str, sha256: str) -> str | None:
    path = pass_.resources.index.locate(sha256, filename).path
    return path if os.path.exists(path) else None


def _from_view(pass_: _Pass) -> Plan | None:
    """Plan from what the view has, or ``None`` if that is not pip's own answer, or too old."""
    resources, question = pass_.resources, pass_.question
    archives = _reachable(pass_)
    if not archives and not question.directs and _missing_roots(resources, question):
        return None
    report, by_url = _ask(pass_, archives)
    if not isinstance(report, Report):
        return None
    touched = _touched(pass_, report)
    answer, kept = resources.index.answer_to(pass_.digest)
    given = {canonical_name(item.name): canonical_version(item.version) for item in report.items if not item.direct}
    as_before = given == answer and touched.keys().isdisjoint(pass_.installed)
    if not as_before and not _is_certain(pass_, report, touched):
        return None
    oldest = _age(pass_, report, touched, kept if as_before else 0)
    limit = resources.config.index_max_age
    if limit is not None and oldest and time.time() - oldest > limit and not resources.config.offline:
        return None
    return _plan(pass_, report, by_url, learned=oldest)


def _may_be_satisfied(pass_: _Pass, said: str) -> bool:
    """Whether pip found no solution for an empty environment and spoke of something that is installed."""
    if not any(sign in said for sign in _UNSOLVED):
        return False
    names = {canonical_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", said)}
    names.discard("pip")  # which speaks of itself
    return not names.isdisjoint(pass_.installed)


def _touched(pass_: _Pass, report: Report) -> dict[str, Bounds]:
    """Give the bounds of all projects that an answer has to do with: those it installs, and those that stay."""
    question, given, installed = pass_.question, pass_.given, pass_.installed
    chosen = {canonical_name(item.name): Metadata(item.version, item.requires) for item in report.items}
    chosen.update(given.metadata)
    while True:
        bounds = collect_bounds(
            [*question.roots, *given.demands],
            question.constraints,
            chosen,
            dict(pass_.resources.target.markers),
            dependencies=question.dependencies,
            with_missing=True,
        )
        staying = [name for name in bounds if name not in chosen and name in installed]
        if not staying:
            return {name: each for name, each in bounds.items() if name in chosen}
        for name in staying:
            chosen[name] = Metadata(installed[name].version, _requires_of(installed[name]))


def _requires_of(installed: Installed) -> list[str]:
    """Give what an installed distribution requires; nothing if it has no ``METADATA``, though pip may know."""
    try:
        with open(os.path.join(installed.metadata, "METADATA"), "rb") as stream:
            return parse_metadata(stream.read())[2]
    except OSError:
        return []


def _is_certain(
    pass_: _Pass, report: Report, touched: Mapping[str, Bounds], fresh: Mapping[str, Known] | None = None
) -> bool:
    """Whether pip would have given this answer from all of the index, too.

    :param fresh: what has just been learned, by canonical name.
    """
    if report.backtracked:  # with more candidates it might have gone another way
        return False
    question, installed = pass_.question, pass_.installed
    items = {canonical_name(item.name): item for item in report.items}
    for name, bounds in touched.items():
        item, old, least = items.get(name), installed.get(name), bounds.least
        known = pass_.resources.index.known(question.view.key(name), name)
        if fresh is not None and name in fresh:
            known = [*known, fresh[name]]
        if item is not None and item.direct is None:
            if not is_certain(item.version, bounds, known):
                return False
            if old is not None and any(_stays(old.version, item.version, each, name, question) for each in least):
                return False
        upgraded = item is None and old is not None and (question.replaced is None or name in question.replaced)
        if upgraded and old is not None and not all(_is_newest(old.version, each, known) for each in least):
            return False
    return True


def _stays(old: str, new: str, clauses: frozenset[str], name: str, question: Question) -> bool:
    """Whether pip might have kept an installed version under clauses that it knew, in place of a new one."""
    if not satisfies(old, clauses):
        return False
    kept = question.replaced is not None and name not in question.replaced
    return kept or not satisfies(new, {f">={canonical_version(old)}"})


def _is_newest(old: str, clauses: frozenset[str], known: Iterable[Known]) -> bool:
    """Whether it is known that the index has nothing newer than an installed version."""
    winner = newest_winner(clauses, [each for each in known if not each.roots], "")
    return winner is not None and satisfies(old, {f">={winner.version}"})


def _age(pass_: _Pass, report: Report, touched: Mapping[str, Bounds], kept: float) -> float:
    """Give when the oldest part of an answer was learned, seconds since the epoch; 0 if nothing had to be.

    :param kept: when the whole of it was learned, if it was.
    """
    oldest: float = 0
    for item in report.items:
        if item.direct is not None:
            continue
        name = canonical_name(item.name)
        known = pass_.resources.index.known(pass_.question.view.key(name), name)
        for least in touched[name].least:
            if is_pinned(item.version, least, known):
                continue
            vouched = vouching(item.version, least, known, "")
            times = [each for each in (kept, vouched.time if vouched is not None else 0, oldest) if each]
            oldest = min(times, default=0)
    return oldest


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
    errors = _with_links(pass_, errors, by_url)
    raw = _with_origins(pass_, report, by_url) if pass_.question.report else {}
    return Plan(pins, output, errors, learned, online, lasting, _spellings(pass_, report), raw)


def _with_links(pass_: _Pass, errors: str, by_url: Mapping[str, Archive]) -> str:
    """Give pip's warnings about yanked archives with the links that they came by."""
    for url, archive in by_url.items():
        split = name_and_version(archive.filename)
        if archive.yanked is not None and split is not None and url in errors:
            link = pass_.resources.index.origin(pass_.question.view.key(split[0]), split[0], archive)
            pattern = re.escape(url) + r"\S* \(from [^)]*\)(?: \(requires-python:[^)]*\))?"
            errors = re.sub(pattern, link.replace("\\", "\\\\"), errors) if link else errors
    return errors


def _with_origins(pass_: _Pass, report: Report, by_url: Mapping[str, Archive]) -> dict[str, Any]:
    """Give pip's report with the URLs that the archives of the local index came from.

    :raises Unsupported: one of them is not known.
    """
    rows = []
    locked: dict[str, str] = {}
    for lock in pass_.question.locks:
        locked.update(lock.localize(lambda name, sha256: _existing(pass_, name, sha256))[1])
    for item, row in zip(report.items, report.raw["install"], strict=True):
        bare, name = item.url.partition("#")[0], canonical_name(item.name)
        archive, stand_in = by_url.get(bare), pass_.question.stand_ins.get(bare)
        if stand_in is not None:
            row = {**row, "download_info": stand_in.direct}
        elif bare in locked:
            row = {**row, "download_info": {**row["download_info"], "url": locked[bare]}}
        elif archive is not None:
            link = pass_.resources.index.origin(pass_.question.view.key(name), name, archive)
            if not link:
                raise Unsupported("the local index does not know where {name} came from", name=archive.filename)
            row = {**row, "download_info": {**row["download_info"], "url": re.split("[ #]", link)[0]}}
        rows.append(row)
    return {**report.raw, "install": rows}


def _spellings(pass_: _Pass, report: Report) -> dict[str, str]:
    """Find out how pip spells names in its lines: as the requirement did that it met first."""
    question, installed = pass_.question, pass_.installed
    items = {canonical_name(item.name): item for item in report.items}
    parents = {}
    for line in report.output.splitlines():
        found = _PARENT.match(line)
        if found is not None:
            parents[found["file"]] = canonical_name(found["parent"])
    spelled = {}
    for name, item in items.items():
        parent = parents.get(unquote(item.url.rsplit("/", 1)[-1]), "")
        texts: Sequence[str] = items[parent].requires if parent in items else ()
        if parent in installed and not texts:
            texts = _requires_of(installed[parent])
        for text in texts:
            spelling = leading_name(text)
            if canonical_name(spelling) == name:
                spelled[name] = spelling
                break
    return {**spelled, **question.spellings}


def _from_anything(pass_: _Pass, say: Callable[[str], None]) -> Plan:
    """Plan from all that is there, whatever it came for: the network is not to be used."""
    index = pass_.resources.index
    # Where nothing from other machines is to be used, only what has a hash that the user knows is known not to be.
    any_will_do = not index.own or pass_.question.require_hashes
    archives = _closure(pass_, lambda name: index.archives_in_any_view(name)) if any_will_do else []
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


def reach(resources: Resources, question: Question) -> tuple[set[str], list[Archive]]:
    """Give the canonical names of all projects that a request can lead to, and what their views have of them."""
    index, view = resources.index, question.view
    return _follow(resources, question, (), lambda name: index.archives_in_view(view.key(name), name))


def _closure(pass_: _Pass, find: Callable[[str], list[Archive]]) -> list[Archive]:
    given = [canonical_name(leading_name(text)) for each in pass_.given.metadata.values() for text in each.requires]
    return _follow(pass_.resources, pass_.question, given, find)[1]


def _follow(
    resources: Resources, question: Question, given: Iterable[str], find: Callable[[str], list[Archive]]
) -> tuple[set[str], list[Archive]]:
    """Follow what archives require.

    :param given: names to begin with, beside those that are asked for.
    """
    markers = dict(resources.target.markers)
    waiting = [*(root.name for root in question.roots if applies(root.marker, markers)), *given]
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
    return seen, found


def _bounds(pass_: _Pass, chosen: Mapping[str, Metadata]) -> tuple[dict[str, Bounds], bool]:
    """Give the clauses that bound what pip fetched; say also whether the request alone tells what has a say in that.

    :raises Unsupported: something came in by a URL that is not known here: what it requires is not known either.
    """
    question, known, alone = pass_.question, {**chosen, **pass_.given.metadata}, True
    while True:
        bounds = collect_bounds(
            [*question.roots, *pass_.given.demands],
            question.constraints,
            known,
            dict(pass_.resources.target.markers),
            dependencies=question.dependencies,
            with_missing=True,
        )
        missing = bounds.keys() - known.keys()
        found = {name: pass_.sources.recall(name) for name in missing}
        if not any(found.values()):
            break
        alone = False
        for name, metadata in found.items():
            if metadata is not None:
                known[name] = Metadata(*parse_metadata(metadata)[1:])
    if names_by_url(known) & chosen.keys() or (missing and (pass_.given.metadata or not alone)):
        raise Unsupported("A distribution requires another one by its URL")
    return bounds, alone


def _fetch(pass_: _Pass, say: Callable[[str], None]) -> _Fetched:
    """Let pip fetch what the request needs, and take it into the index and the view."""
    resources, question, environ, sources, work, given = pass_
    index = resources.index
    words = (*_pages_of_this_run(resources, question, work), *question.download_words)
    with sources.unpacking(work, _digests(question)):
        downloads = download(
            question.python,
            words,
            environ=environ,
            work=work,
            passes=resources.config.max_retries,
            on_retry=lambda reason: speaker(say, "warning")(f"pip failed and will be asked again: {reason}"),
            keep_log=question.log,
            translate=lambda text: lead_back(text, question.shown),
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
    bounds, alone = _bounds(pass_, chosen)
    # With --prefer-binary a winner need not be the highest version, so it says nothing about other clauses.
    digest, now = pass_.digest, time.time()
    roots = digest if downloads.backtracked or question.view.prefer_binary else ""
    learned = {}
    for name, (archive, fact) in arrived.items():
        learned[name] = known = Known(bounds[name].all, canonical_version(fact.version), now, roots)
        link = downloads.links.get(archive.filename, "")
        # What came from a URL was not found among any links.
        if downloads.complete and (link or not given.metadata):
            index.learn(question.view.key(name), name, archive, known, link)
    if downloads.complete and alone:
        index.keep_answer(digest, {name: known.version for name, known in learned.items()}, now)
    return _Fetched([archive for archive, _ in arrived.values()], learned, downloads.complete)


def _digests(question: Question) -> set[str] | None:
    """Give the SHA-256 digests, hex, that archives may have, where that is restricted."""
    if not question.require_hashes:
        return None
    return {value.removeprefix("sha256:") for hashes in question.view.hashes.values() for value in hashes}


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
    roots = [*question.roots, *pass_.given.demands]
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
