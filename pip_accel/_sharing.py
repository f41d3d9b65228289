"""What machines share beside built archives: plans, and the archives that they are made of.

Nothing is listed, and no object changes. An archive is named by its digest. A plan is named by the question that it
answers, and a number: the first answer is 0, and a newer one that is another gets the next number. A plan is written
after what it names. What comes from there is as trustworthy as everybody who may write there: see ``docs/sharing.rst``.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from pip_accel import _fs
from pip_accel._digests import SHA256
from pip_accel._index import Answer, Known
from pip_accel._names import canonical_name, canonical_version
from pip_accel._text import escape_unprintable
from pip_accel._values import Archive
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._index import LocalIndex
    from pip_accel._resources import Resources
    from pip_accel.caches import CacheManager

__all__ = ["Found", "Offer", "Requirements", "Sdist", "Sharing", "common_lines"]

_FORMAT = 2
_TRANSFERS = 12  # at a time
_LONGEST = 16 << 20  # bytes of a plan
_LONGEST_TEMPLATE = 1 << 16  # characters
_HIGHEST = 1 << 20  # number of a plan
#: What pip says of candidates, wherever they are installed.
_SAID = re.compile(
    r"WARNING: The candidate selected for download or install is a yanked version:|Reason for being yanked:"
    r"|WARNING: \S+ \S+ does not provide the extra "
)
_PLAIN = re.compile(r"[\w.!+-]+", re.ASCII)
#: Where a template of launchers has a word, or a percent sign.
_PLACE = re.compile(r"%(?:%|\((?:module|import_name|func)\)s)")
_PROJECT = re.compile("[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class Found(NamedTuple):
    """A distribution of a plan, and what the index of its machine said of it."""

    name: str  #: as the metadata spells it
    version: str  #: as the metadata spells it
    project: str  #: canonical name
    filename: str
    sha256: str
    requested: bool
    yanked: str | None  #: see :class:`~pip_accel._values.Archive`
    link: str  #: by which it came
    known: tuple[Known, ...]


class Sdist(NamedTuple):
    """What is known of a source distribution."""

    metadata: str
    facts: Mapping[str, Any]  #: of its build, see :meth:`~pip_accel._index.LocalIndex.build_facts`
    variant: str  #: the way in which it is built, see :meth:`~pip_accel._build.recipe.Recipe.variant`

    @property
    def core_metadata(self) -> bytes:
        """The metadata as they are kept."""
        return self.metadata.encode("utf-8", "surrogateescape")


class Requirements(NamedTuple):
    """A plan for build requirements."""

    requires: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str], ...]  #: name, version, file name and digest of what satisfies them
    learned: float  #: when that was planned, seconds since the epoch


class Offer(NamedTuple):
    """The answer to a question for an empty environment, and what carrying it out needs to know."""

    found: tuple[Found, ...]  #: dependencies first
    output: str
    errors: str
    learned: float  #: see :class:`~pip_accel._values.Plan`
    spellings: Mapping[str, str]
    sdists: Mapping[str, Sdist]  #: by digest
    builds: tuple[Requirements, ...]
    trees: tuple[str, ...]  #: digests of archives that byte code goes with: of wheels, and of what was built
    template: str  #: of launchers, as the pip writes them that the question names
    straight: bool  #: see :class:`~pip_accel._index.Answer`
    searched: frozenset[str]  #: the same

    @property
    def archives(self) -> dict[str, str]:
        """File names by digest: of all that it names."""
        needed = {sha256: filename for each in self.builds for _, _, filename, sha256 in each.rows}
        return {**needed, **{each.sha256: each.filename for each in self.found}}

    def at(self, urls: Sequence[str]) -> Offer:
        """Give the plan as it reads where it is followed.

        :param urls: see :func:`~pip_accel._plan.places.hide_places`.
        """
        from pip_accel._plan.places import show_places

        found = tuple(each._replace(link=show_places(each.link, urls)) for each in self.found)
        output, errors = (show_places(text, urls) for text in (self.output, self.errors))
        return self._replace(found=found, output=output, errors=errors)


class Sharing:
    """Takes from shared caches, and gives to them.

    :param own: take nothing that was made elsewhere.
    """

    def __init__(self, resources: Resources, caches: CacheManager, *, own: bool = False) -> None:
        self._index: LocalIndex = resources.index
        self._store = resources.store
        self._caches = caches
        self._own = own
        self._newest: dict[str, tuple[int, Offer]] = {}  #: number and plan by question

    @property
    def gives(self) -> bool:
        """Whether any shared cache may be written to."""
        return any(map(self._caches.may_write, self._caches.shared))

    # Archives

    def fetch(
        self,
        archives: Mapping[str, str],
        trees: Iterable[str] = (),
        on_wheel: Callable[[Archive], None] | None = None,
    ) -> None:
        """Have archives come into the local index, as far as a shared cache has them.

        :param archives: file names by digest.
        :param trees: digests of archives whose byte code is to come as well, for the store of this run.
        :param on_wheel: is told of each wheel that is here then, in some thread.
        """
        from pip_accel._process import in_parallel

        missing = {sha256 for sha256, name in archives.items() if not self._is_here(sha256, name)}
        bare = {each for each in trees if self._store.find(each) is None} if not self._own else set()

        def take(sha256: str) -> None:
            filename = archives.get(sha256, "")
            if sha256 in missing:
                self._fetch(sha256, filename)
            if sha256 in bare:
                self._fetch_byte_code(sha256)
            if on_wheel is not None and filename.endswith(".whl") and self._is_here(sha256, filename):
                on_wheel(self._index.locate(sha256, filename))

        tasks = [each for each in dict.fromkeys((*archives, *trees)) if each in missing or each in bare]
        if tasks:
            in_parallel(take, tasks, min(_TRANSFERS, len(tasks)))

    def _is_here(self, sha256: str, filename: str) -> bool:
        return os.path.exists(self._index.locate(sha256, filename).path)

    def _fetch_byte_code(self, sha256: str) -> None:
        from pip_accel._byte_code import read_packed, unpack

        name = self._store.name_byte_code(sha256)

        def is_sound(path: str) -> bool:
            try:
                next(unpack(read_packed(path), name), None)
            except (ValueError, OSError):
                return False
            return True

        path = self._caches.fetch(_byte_code_name(name), is_sound)
        if path is not None:
            self._store.packed[sha256] = path

    def _fetch(self, sha256: str, filename: str) -> None:
        path = self._caches.fetch(_archive_name(sha256, filename), lambda path: _fs.hash_file(path) == sha256)
        if path is None:
            return
        archive = self._index.add(path, sha256)
        if filename.endswith(".whl"):
            from pip_accel._archives import wheel_metadata

            try:
                self._index.set_metadata(archive, wheel_metadata(archive.path))
            except Unsupported:  # it is of no use here, and pip will say why
                pass

    # Plans

    def find(self, question: str) -> Offer | None:
        """Give the newest plan for a question.

        :param question: see :func:`~pip_accel._plan.question.shared_digest`.
        """
        if question in self._newest:
            return self._newest[question][1]
        first = self._read(question, 0)
        if first is None:
            return None
        self._newest[question] = found = _find_last(partial(self._read, question), first)
        return found[1]

    def _read(self, question: str, number: int) -> Offer | None:
        offers = []

        def is_sound(path: str) -> bool:
            try:
                with gzip.open(path) as stream:
                    text = stream.read(_LONGEST + 1)
                if len(text) > _LONGEST:
                    return False
                offers.append(_parse(json.loads(text), question, number))
            except Exception:  # there is no end to what may be wrong with what anybody may write
                return False
            return True

        path = self._caches.fetch(_plan_name(question, number), is_sound)
        if path is None:
            return None
        os.unlink(path)
        return offers[-1]

    def learn(self, offer: Offer, keys: Callable[[str], str], roots: str) -> bool:
        """Have the local index know what a plan's machine knew of its archives, which are all here.

        What is known here and is newer stays.

        :param keys: gives the view of a project, see :meth:`~pip_accel._index.ViewSettings.key`.
        :param roots: local name of the question.
        :returns: whether nothing newer speaks against the plan.
        """
        index, agrees = self._index, True
        for each in offer.found:
            archive = index.locate(each.sha256, each.filename)._replace(yanked=each.yanked)
            sdist = offer.sdists.get(each.sha256)
            if sdist is not None and index.metadata(archive) is None:
                index.set_build_facts(archive, sdist.facts)
                index.set_metadata(archive, sdist.core_metadata)
            view = keys(each.project)
            newest = max((known.time for known in each.known), default=0.0)
            newer = [known for known in index.known(view, each.project) if known.time > newest]
            if newer:
                agrees = agrees and all(known.version == canonical_version(each.version) for known in newer)
                continue
            for known in each.known:
                own = known._replace(roots=roots if known.roots else "")
                index.learn(view, each.project, archive, own, each.link)
        times = [known.time for each in offer.found for known in each.known]
        if agrees and index.answer_to(roots).time <= min(times, default=0.0):
            versions = {each.project: each.known[0].version for each in offer.found if each.known}
            index.keep_answer(roots, Answer(versions, min(times, default=0.0), offer.straight, offer.searched))
        return agrees

    def publish(self, question: str, offer: Offer, built: Iterable[tuple[str, str]]) -> int:
        """Give a plan to the shared caches, after all that it names; give the number of archives looked after.

        :param built: names and paths of what was built for it.
        """
        from pip_accel._process import in_parallel

        files = [
            (_archive_name(sha256, filename), self._index.locate(sha256, filename).path)
            for sha256, filename in offer.archives.items()
        ]
        files += built
        files = [(name, path) for name, path in files if os.path.exists(path)]
        tasks = [partial(self._give, *each) for each in files]
        tasks += [partial(self._give_byte_code, each) for each in offer.trees]
        in_parallel(lambda task: task(), tasks, min(_TRANSFERS, len(tasks)) or 1)
        before = self.find(question)
        number = 0 if before is None else self._newest[question][0] + 1
        if self.gives and (before is None or _is_news(offer, before, self._caches.config.index_max_age)):
            data = gzip.compress(json.dumps(_spell(offer, question, number)).encode(), mtime=0)
            self._caches.share(_plan_name(question, number), lambda: io.BytesIO(data))
            self._newest[question] = number, offer
        return len(files)

    def _give(self, name: str, path: str) -> None:
        def provide() -> BinaryIO:
            return open(path, "rb")

        self._caches.share(name, provide)

    def _give_byte_code(self, sha256: str) -> None:
        from pip_accel._byte_code import pack

        name = self._store.name_byte_code(sha256)
        tree = self._store.find_sound(sha256)  # what somebody has edited in some environment is not for others
        if tree is not None and tree.byte_code:
            self._caches.share(_byte_code_name(name), lambda: io.BytesIO(pack(tree, name)))


def _archive_name(sha256: str, filename: str) -> str:
    return f"archives/{sha256[:2]}/{sha256}/{filename}"


def _byte_code_name(name: str) -> str:
    return f"byte-code/v{_FORMAT}/{name[:2]}/{name}"


def _plan_name(question: str, number: int) -> str:
    return f"plans/v{_FORMAT}/{question[:2]}/{question}/{number}.json.gz"


def _find_last(read: Callable[[int], Offer | None], first: Offer) -> tuple[int, Offer]:
    """Give the plan with the highest number, and that: numbers have no gaps.

    It takes two requests if there is one plan, and few if there are many.
    """
    low, offer, step = 0, first, 1
    while low < _HIGHEST and (found := read(low + step)) is not None:
        low, offer, step = low + step, _newer(found, offer), step * 2
    high = low + step  # there is none
    while high - low > 1:
        middle = (low + high) // 2
        found = read(middle)
        if found is None:
            high = middle
        else:
            low, offer = middle, _newer(found, offer)
    return low, offer


def _newer(one: Offer, other: Offer) -> Offer:
    """Give the plan that was learned later: an early number may have expired, and been used again."""
    return one if one.learned >= other.learned else other


def _is_news(offer: Offer, before: Offer, max_age: float | None) -> bool:
    """Whether a plan says more than one that is there: another answer, or the same of a later time if that matters."""
    if offer.learned < before.learned:
        return False
    same = [each[:5] for each in offer.found] == [each[:5] for each in before.found]
    return not same or (max_age is not None and offer.learned > before.learned)


def _spell(offer: Offer, question: str, number: int) -> dict[str, Any]:
    """Give a plan as JSON has it."""
    return {
        "format": _FORMAT,
        "question": question,
        "number": number,
        "found": [
            [*each[:7], _link(each.link), [[sorted(known.clauses), *known[1:]] for known in each.known]]
            for each in offer.found
        ],
        "output": offer.output,
        "errors": offer.errors,
        "learned": offer.learned,
        "spellings": dict(offer.spellings),
        "sdists": {sha256: [each.metadata, dict(each.facts), each.variant] for sha256, each in offer.sdists.items()},
        "builds": offer.builds,
        "trees": offer.trees,
        "template": offer.template,
        "straight": offer.straight,
        "searched": sorted(offer.searched),
    }


def _parse(value: Any, question: str, number: int) -> Offer:
    """Read a plan that anybody may have written.

    :raises Exception: it makes no sense.
    """
    if (value["format"], value["question"], value["number"]) != (_FORMAT, question, number):
        raise ValueError("it is another one")
    found = tuple(_parse_found(*row) for row in value["found"])
    sdists = {each.sha256 for each in found if not each.filename.endswith(".whl")}
    if len({each.project for each in found}) != len(found) or sdists != value["sdists"].keys():
        raise ValueError("it contradicts itself")
    return Offer(
        found,
        common_lines(value["output"]),
        common_lines(value["errors"]),
        _time(value["learned"]),
        {name: _spelled(spelling, name) for name, spelling in value["spellings"].items()},
        {
            _matched(SHA256, sha256): Sdist(_text(metadata), _facts(facts), _text(variant))
            for sha256, (metadata, facts, variant) in value["sdists"].items()
        },
        tuple(
            Requirements(
                tuple(map(_text, requires)),
                tuple(
                    (_matched(_PLAIN, name), _matched(_PLAIN, version), _filename(filename), _matched(SHA256, sha256))
                    for name, version, filename, sha256 in rows
                ),
                _time(when),
            )
            for requires, rows, when in value["builds"]
        ),
        tuple(_matched(SHA256, each) for each in value["trees"]),
        _template(value["template"]),
        value["straight"] is True,
        frozenset(_matched(_PROJECT, each) for each in value["searched"]),
    )


def _parse_found(
    name: Any,
    version: Any,
    project: Any,
    filename: Any,
    sha256: Any,
    requested: Any,
    yanked: Any,
    link: Any,
    known: Any,
) -> Found:
    """Read a row of a plan.

    :raises Exception: it makes no sense.
    """
    from pip_accel._index import name_and_version

    version = _matched(_PLAIN, version)
    if name_and_version(_filename(filename), project) != (project, canonical_version(version)):
        raise ValueError("it is not what its file is called")
    return Found(
        _spelled(name, project),
        version,
        _matched(_PROJECT, project),
        filename,
        _matched(SHA256, sha256),
        bool(requested),
        None if yanked is None else escape_unprintable(_text(yanked)),
        _link(link),
        tuple(
            Known(frozenset(map(_text, clauses)), _text(winner), _time(when), _text(roots))
            for clauses, winner, when, roots in known
        ),
    )


def _template(value: Any) -> str:
    """Give the text of launchers.

    :raises Exception: it cannot be used as such.
    """
    words = {"module": "alpha.cli", "import_name": "main", "func": "main.run"}
    # Nothing that would make a launcher longer than its words are.
    if len(_text(value)) > _LONGEST_TEMPLATE or "%" in _PLACE.sub("", value):
        raise ValueError("too much of a launcher")
    if not all(word in value % words for word in words.values()):
        raise ValueError("no launcher")
    return _text(value)


def _spelled(spelling: Any, project: Any) -> str:
    """Give the name of a project as somebody spells it.

    :raises ValueError: it is that of another one.
    """
    if canonical_name(_matched(_PLAIN, spelling)) != project:
        raise ValueError("another name")
    return _text(spelling)


def _time(value: Any) -> float:
    """Give seconds since the epoch; other machines' clocks may be fast.

    :raises ValueError: it is no time.
    """
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError("no time")
    return min(seconds, time.time())


def _link(value: Any) -> str:
    """Give pip's words for where an archive came from; what lies on some machine is of no use to others."""
    return _text(value) if _text(value).startswith(("http://", "https://", "{")) and value.isprintable() else ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def common_lines(value: Any) -> str:
    """Give what pip says of the distributions of a plan, whatever the machine."""
    return "\n".join(escape_unprintable(line) for line in _text(value).splitlines() if _SAID.match(line))


def _matched(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_text(value)):
        raise ValueError("not as it has to be")
    return _text(value)


def _filename(value: Any) -> str:
    """Give the name of an archive, which is to lie in a directory of its own.

    :raises ValueError: it is none.
    """
    from pip_accel._index import name_and_version

    if name_and_version(_matched(_PLAIN, value)) is None:
        raise ValueError("not the name of an archive")
    return _text(value)


def _facts(value: Any) -> dict[str, Any]:
    """Give what is known of a build: lists and mappings of texts."""
    requires, dynamic = ([*map(_text, value[name])] for name in ("requires", "dynamic"))
    variables = {_text(name): _text(digest) for name, digest in value["variables"].items()}
    return {"requires": requires, "dynamic": dynamic, "variables": variables, "binding": bool(value["binding"])}
