"""From a request to a plan: which distributions, from which archives.

The ways to it, in order: *pins that close* (:mod:`pip_accel._plan.closing`), without pip; the *no-index pass*, in which
pip answers from a page of what the view has; the *download-only pass*, in which pip fetches what is missing, and then
the no-index pass again. Nothing changes in the target meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from pip_accel._index import Answer, Known, name_and_version
from pip_accel._messages import speaker
from pip_accel._metadata import parse_metadata
from pip_accel._names import canonical_name, canonical_version
from pip_accel._plan.answer import read_answer
from pip_accel._plan.certainty import (
    age_of,
    bounds_of,
    find_surpassed,
    goes_as_if_empty,
    may_be_satisfied,
    pip_would_agree,
)
from pip_accel._plan.clauses import Bounds, Metadata, collect_bounds, names_by_url
from pip_accel._plan.inquiry import Inquiry, Sources, begin, closure, existing, has_missing_roots, reachable
from pip_accel._plan.pip import Report, download, last_error, resolve_locally
from pip_accel._plan.question import Question
from pip_accel._plan.stand_ins import lead_back, reword
from pip_accel._text import path_to_url
from pip_accel._values import Archive, Plan
from pip_accel.exceptions import NothingFound, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources

__all__ = ["fetch", "make_plan"]


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
    inquiry = begin(resources, question, environ, sources)  # pip then finds prepared what is asked for by path
    if not question.refresh or config.offline:
        plan = _from_view(inquiry)
        if plan is not None:
            return plan
    if config.offline:
        return _from_anything(inquiry, say)
    if not question.refresh:
        before = resources.index.learned
        plan = sources.borrow(question) or (_from_view(inquiry) if resources.index.learned > before else None)
        if plan is not None:
            return plan
    try:
        fetched = _fetch(inquiry, say)
    except PipFailed as error:
        if may_be_satisfied(inquiry, f"{error.context.get('output')}\n{error.context.get('errors')}"):
            raise Unsupported("What is installed may satisfy what the index does not") from error
        raise
    plan = plan_from_pins(resources, question)
    if plan is not None:
        return plan._replace(online=True, lasting=fetched.lasting)
    report, by_url = _ask(inquiry, fetched.archives)
    if isinstance(report, Report):
        touched = bounds_of(inquiry, report)
        same = goes_as_if_empty(inquiry, report, touched, fetched.answer, fetched.archives)
        if same or pip_would_agree(inquiry, report, touched, fetched.known):
            learned = age_of(inquiry, report, touched, time.time())
            return read_answer(inquiry, report, by_url, learned=learned, online=True, lasting=fetched.lasting)
    plan = _from_view(inquiry)
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
    _fetch(begin(resources, question, environ, sources), say)


class _Fetched(NamedTuple):
    """What pip fetched for an empty environment."""

    archives: list[Archive]
    answer: Answer
    known: Mapping[str, Known]  #: what that says, by canonical name
    lasting: bool  #: whether it holds beyond this run


def _ask(inquiry: Inquiry, archives: Iterable[Archive]) -> tuple[Report | str, dict[str, Archive]]:
    """Let pip answer from these archives: its report, or what it said instead."""
    resources, question, environ, _, work, _ = inquiry
    page = os.path.join(work, "page.html")
    by_url = resources.index.write_page(archives, page)
    words, shown = _with_locks(inquiry)
    report = resolve_locally(question.python, words, page=page, environ=environ, work=work, keep_log=question.log)
    if isinstance(report, Report) and shown:
        report = report._replace(output=lead_back(report.output, shown), errors=lead_back(report.errors, shown))
    return (report if isinstance(report, Report) else report.errors), by_url


def _with_locks(inquiry: Inquiry) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Give the words with locks whose archives lie on this machine, and the paths of those beside the written ones."""
    from pip_accel._fs import write_file

    copies, shown = {}, []
    for number, lock in enumerate(inquiry.question.locks):
        copy = os.path.join(inquiry.work, f"lock-{number}", os.path.basename(lock.path))
        write_file(copy, lock.localize(lambda name, sha256: existing(inquiry, name, sha256))[0])
        copies[lock.path] = copy
        shown.append((copy, lock.shown))
    words = inquiry.question.install_words
    return (reword(words, {}, copies) if copies else words), shown


def _from_view(inquiry: Inquiry) -> Plan | None:
    """Plan from what the view has, or ``None`` if that is not pip's own answer, or too old."""
    resources, question = inquiry.resources, inquiry.question
    archives = reachable(inquiry)
    if not archives and not question.directs and has_missing_roots(resources, question):
        return None
    report, by_url = _ask(inquiry, archives)
    if not isinstance(report, Report):
        return None
    touched = bounds_of(inquiry, report)
    answer = resources.index.answer_to(inquiry.digest)
    as_before = goes_as_if_empty(inquiry, report, touched, answer, archives)
    if not as_before and not pip_would_agree(inquiry, report, touched):
        return None
    oldest = age_of(inquiry, report, touched, answer.time if as_before else 0)
    limit = resources.config.index_max_age
    if limit is not None and oldest and time.time() - oldest > limit and not resources.config.offline:
        return None
    return read_answer(inquiry, report, by_url, learned=oldest)


def _from_anything(inquiry: Inquiry, say: Callable[[str], None]) -> Plan:
    """Plan from all that is there, whatever it came for: the network is not to be used."""
    index = inquiry.resources.index
    # Where nothing from other machines is to be used, only what has a hash that the user knows is known not to be.
    any_will_do = not index.own or inquiry.question.require_hashes
    archives = closure(inquiry, lambda name: index.archives_in_any_view(name)) if any_will_do else []
    report, by_url = _ask(inquiry, archives)
    if not isinstance(report, Report):
        raise NothingFound(
            "The local index cannot answer, and offline = yes forbids to ask elsewhere: {reason}",
            reason=last_error(report),
            status=1,
        )
    say("Offline: the answer is made of all archives in the local index, whichever settings they came under.")
    return read_answer(inquiry, report, by_url, lasting=False)


def _bounds_of_fetched(inquiry: Inquiry, chosen: Mapping[str, Metadata]) -> tuple[dict[str, Bounds], bool]:
    """Give the clauses that bound what pip fetched; say also whether the request alone tells what has a say in that.

    :raises Unsupported: something came in by a URL that is not known here: what it requires is not known either.
    """
    question, known, alone = inquiry.question, {**chosen, **inquiry.given.metadata}, True
    while True:
        bounds = collect_bounds(
            [*question.roots, *inquiry.given.demands],
            question.constraints,
            known,
            dict(inquiry.resources.target.markers),
            dependencies=question.dependencies,
            with_missing=True,
        )
        missing = bounds.keys() - known.keys()
        found = {name: inquiry.sources.recall(name) for name in missing}
        if not any(found.values()):
            break
        alone = False
        for name, metadata in found.items():
            if metadata is not None:
                known[name] = Metadata(*parse_metadata(metadata)[1:])
    if names_by_url(known) & chosen.keys() or (missing and (inquiry.given.metadata or not alone)):
        raise Unsupported("A distribution requires another one by its URL")
    return bounds, alone


def _fetch(inquiry: Inquiry, say: Callable[[str], None]) -> _Fetched:
    """Let pip fetch what the request needs, and take it into the index and the view."""
    resources, question, environ, sources, work, given = inquiry
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
    bounds, alone = _bounds_of_fetched(inquiry, chosen)
    digest, now = inquiry.digest, time.time()
    # With --prefer-binary a winner need not be the highest version, so it says nothing about other clauses. Where pip
    # tried others first, that is so if there is one above it: what did not last may have kept that out.
    surpassed: Collection[str] = ()
    if question.view.prefer_binary:
        surpassed = chosen
    elif downloads.backtracked:
        surpassed = find_surpassed(chosen, bounds, downloads.seen)
    learned = {}
    for name, (archive, fact) in arrived.items():
        roots = digest if name in surpassed else ""
        learned[name] = known = Known(bounds[name].all, canonical_version(fact.version), now, roots)
        link = downloads.links.get(archive.filename, "")
        # What came from a URL was not found among any links.
        if downloads.complete and (link or not given.metadata):
            index.learn(question.view.key(name), name, archive, known, link)
    versions = {name: known.version for name, known in learned.items()}
    answer = Answer(versions, now, not downloads.backtracked, downloads.searched)
    if downloads.complete and alone:
        index.keep_answer(digest, answer)
    return _Fetched([archive for archive, _ in arrived.values()], answer, learned, downloads.complete)


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
