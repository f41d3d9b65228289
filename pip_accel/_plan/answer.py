"""From pip's report to a plan: pins in pip's order, with its spellings and its words, as if it had used the index.

pip was shown archives of the local index. What it says of them is led back to where they came from.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pip_accel._index import name_and_version
from pip_accel._names import canonical_name, leading_name
from pip_accel._plan.certainty import requires_of
from pip_accel._plan.inquiry import Inquiry, existing
from pip_accel._plan.order import in_order
from pip_accel._plan.pip import Report
from pip_accel._plan.stand_ins import lead_back
from pip_accel._text import url_to_path
from pip_accel._values import Archive, Pin, Plan
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._resources import Resources

__all__ = ["read_answer"]

#: pip's line about a file that it looks at, and the distribution that requires it.
_PARENT = re.compile(
    r"Processing .*?(?P<file>[^/\\]+) \(from (?P<parent>[A-Za-z0-9](?:[A-Za-z0-9._-]*?[A-Za-z0-9])?)"
    r"(?:->.*|[^A-Za-z0-9._-].*)?\)$"
)


def read_answer(
    inquiry: Inquiry,
    report: Report,
    by_url: Mapping[str, Archive],
    *,
    learned: float = 0,
    online: bool = False,
    lasting: bool = True,
) -> Plan:
    """Give the plan that pip's report tells of.

    :param by_url: the archives that pip was shown.
    :param learned: when the oldest part of it was learned, seconds since the epoch; 0 if nothing had to be.
    :param online: whether an index was asked.
    :param lasting: whether it holds beyond this run.
    :raises Unsupported: pip chose something else than an archive, or it is not known where one came from.
    """
    pins = _pins(inquiry, report, by_url)
    output, errors = (lead_back(text, inquiry.question.shown) for text in (report.output, report.errors))
    errors = _with_links(inquiry, errors, by_url)
    raw = _with_origins(inquiry, report, by_url) if inquiry.question.report else {}
    return Plan(pins, output, errors, learned, online, lasting, _spellings(inquiry, report), raw)


def _with_links(inquiry: Inquiry, errors: str, by_url: Mapping[str, Archive]) -> str:
    """Give pip's warnings about yanked archives with the links that they came by."""
    for url, archive in by_url.items():
        split = name_and_version(archive.filename)
        if archive.yanked is not None and split is not None and url in errors:
            link = inquiry.resources.index.origin(inquiry.question.view.key(split[0]), split[0], archive)
            pattern = re.escape(url) + r"\S* \(from [^)]*\)(?: \(requires-python:[^)]*\))?"
            errors = re.sub(pattern, link.replace("\\", "\\\\"), errors) if link else errors
    return errors


def _with_origins(inquiry: Inquiry, report: Report, by_url: Mapping[str, Archive]) -> dict[str, Any]:
    """Give pip's report with the URLs that the archives of the local index came from.

    :raises Unsupported: one of them is not known.
    """
    rows = []
    locked: dict[str, str] = {}
    for lock in inquiry.question.locks:
        locked.update(lock.localize(lambda name, sha256: existing(inquiry, name, sha256))[1])
    for item, row in zip(report.items, report.raw["install"], strict=True):
        bare, name = item.url.partition("#")[0], canonical_name(item.name)
        archive, stand_in = by_url.get(bare), inquiry.question.stand_ins.get(bare)
        if stand_in is not None:
            row = {**row, "download_info": stand_in.direct}
        elif bare in locked:
            row = {**row, "download_info": {**row["download_info"], "url": locked[bare]}}
        elif archive is not None:
            link = inquiry.resources.index.origin(inquiry.question.view.key(name), name, archive)
            if not link:
                raise Unsupported("the local index does not know where {name} came from", name=archive.filename)
            row = {**row, "download_info": {**row["download_info"], "url": re.split("[ #]", link)[0]}}
        rows.append(row)
    return {**report.raw, "install": rows}


def _spellings(inquiry: Inquiry, report: Report) -> dict[str, str]:
    """Find out how pip spells names in its lines: as the requirement did that it met first."""
    question, installed = inquiry.question, inquiry.installed
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
            texts = requires_of(installed[parent])
        for text in texts:
            spelling = leading_name(text)
            if canonical_name(spelling) == name:
                spelled[name] = spelling
                break
    return {**spelled, **question.spellings}


def _pins(inquiry: Inquiry, report: Report, by_url: Mapping[str, Archive]) -> tuple[Pin, ...]:
    resources, question = inquiry.resources, inquiry.question
    markers = dict(resources.target.markers)
    roots = [*question.roots, *inquiry.given.demands]
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
