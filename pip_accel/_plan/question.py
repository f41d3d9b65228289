"""From the user's words to what is planned: a question, and the view in which it is asked; the same for builds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from pip_accel._digests import digest_of
from pip_accel._index import ViewSettings
from pip_accel._names import canonical_name, leading_name
from pip_accel._plan.arguments import Request, download_words
from pip_accel._plan.clauses import Demand, applies
from pip_accel._plan.options import scan
from pip_accel._plan.places import describe_place, digest_place, is_elsewhere, is_there, without_secrets
from pip_accel._plan.requirements import split_url
from pip_accel._resources import host_pip_version
from pip_accel._text import path_to_url
from pip_accel._values import Target
from pip_accel.exceptions import BuildFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._build.recipe import Recipe
    from pip_accel._plan.pylock import Lock
    from pip_accel._plan.requirements import Root
    from pip_accel._plan.stand_ins import StandIn, Substituted
    from pip_accel._resources import Resources

__all__ = [
    "Direct",
    "Question",
    "build_environ",
    "demands_of",
    "depends_on_machine",
    "known_places",
    "make_question",
    "parse_build_requirement",
    "question_of_build",
    "roots_digest",
    "settings_for_builds",
    "shared_digest",
    "view_of",
    "view_settings",
]

#: Markers that differ between machines of a kind; hardly anything depends on them.
_MARKERS_OF_MACHINES = ("platform_release", "platform_version", "platform.version")
#: Options of pip that say how it reaches an index: they hold for build requirements, too.
_CONNECTION = (
    ("trusted_hosts", "PIP_TRUSTED_HOST"),
    ("cert", "PIP_CERT"),
    ("client_cert", "PIP_CLIENT_CERT"),
    ("proxy", "PIP_PROXY"),
    ("no_proxy_env", "PIP_NO_PROXY_ENV"),
    ("retries", "PIP_RETRIES"),
    ("resume_retries", "PIP_RESUME_RETRIES"),
    ("timeout", "PIP_TIMEOUT"),
    ("cache_dir", "PIP_CACHE_DIR"),
    ("keyring_provider", "PIP_KEYRING_PROVIDER"),
    ("no_input", "PIP_NO_INPUT"),
)


class Direct(NamedTuple):
    """A requirement by path."""

    name: str  #: canonical, empty where only the metadata tells it
    path: str  #: absolute, of a wheel, an sdist or a directory
    kind: str  #: ``wheel``, ``sdist`` or ``directory``
    extras: frozenset[str]  #: canonical
    marker: str
    identity: str = ""  #: what it is known by from run to run, if that is not its path


class Question(NamedTuple):
    """A request in the form in which it can be planned, for the user's requirements and for those of a build alike."""

    python: str | None  #: pip's ``--python``
    install_words: tuple[str, ...]  #: of ``pip install``
    download_words: tuple[str, ...]  #: the same for ``pip download``
    roots: tuple[Demand, ...]
    constraints: tuple[Demand, ...]
    directs: tuple[Direct, ...]
    view: ViewSettings
    dependencies: bool  #: not with ``--no-deps``
    refresh: bool  #: ask the index in any case (``-U``)
    require_hashes: bool  #: take no archive but those whose hashes the view demands
    odd_places: bool  #: whether pip would warn of a place that it is told to look into
    spellings: Mapping[str, str]  #: canonical names of the roots, as the user spelled them
    replaced: frozenset[str] | None  #: canonical names of what is replaced though it would do; ``None``: everything
    forgets: bool = False  #: whether it does not matter what is installed
    log: str = ""  #: path of a file to which pip's logs are added
    report: bool = False  #: whether pip's report is wanted
    stand_ins: Mapping[str, StandIn] = {}  #: by the URL that pip finds them under
    locks: tuple[Lock, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()  #: what pip says of stand-ins, and what it would say


def make_question(
    substituted: Substituted, view: ViewSettings, target: Target, python: str | None, environ: Mapping[str, str]
) -> Question:
    """Put a request into the form in which it can be planned.

    :param view: that of the request.
    :param python: pip's ``--python``.
    :param environ: in which the words were given.
    :raises Unsupported: only pip can serve it.
    """
    request = substituted.request
    words, dropped = _without(request.command_words, "build_constraints")
    words, _ = _without(words, "dry_run", "json_report_file", "log")
    if len(request.build_constraint_files) > dropped and "PIP_BUILD_CONSTRAINT" not in environ:
        raise Unsupported("pip's configuration has build constraints")
    return Question(
        python=python,
        install_words=words,
        download_words=tuple(download_words(request._replace(command_words=words))),
        roots=demands_of(root for root in request.requirements if not root.direct),
        constraints=demands_of(request.constraints),
        directs=tuple(
            _direct(root, substituted.stand_ins) for root in (*request.requirements, *substituted.nested) if root.direct
        ),
        view=view,
        dependencies=not request.manner.no_deps,
        refresh=request.manner.upgrade,
        require_hashes=request.manner.require_hashes,
        odd_places=_has_odd_places(request),
        spellings=_spellings(request, target),
        replaced=_replaced(request),
        forgets=_forgets(request),
        log=request.manner.log,
        stand_ins=substituted.stand_ins,
        locks=request.locks,
        shown=substituted.shown,
        report=bool(request.manner.report),
    )


def _direct(root: Root, stand_ins: Mapping[str, StandIn]) -> Direct:
    stand_in = stand_ins.get(path_to_url(root.direct))
    return Direct(
        root.name,
        root.direct,
        "wheel" if root.url else root.kind,
        frozenset(root.extras),
        root.marker,
        f"{stand_in.archive.sha256} {stand_in.editable}" if stand_in is not None and root.url else "",
    )


def question_of_build(
    requires: Sequence[str],
    view: ViewSettings,
    python: str | None,
    constraints: Sequence[Demand],
    constraint_words: Sequence[str],
) -> Question:
    """Ask what satisfies build requirements, in an environment that has nothing yet.

    :param view: see :func:`settings_for_builds`.
    :param python: pip's ``--python``.
    :param constraint_words: that tell pip of the constraints.
    :raises BuildFailed: a requirement is not valid.
    :raises Unsupported: a requirement is a URL.
    """
    roots = []
    for text in requires:
        requirement = parse_build_requirement(text)
        if requirement.url:
            raise Unsupported("The build requirement {requirement} is a URL", requirement=text)
        marker = str(requirement.marker) if requirement.marker is not None else ""
        extras = frozenset(map(canonical_name, requirement.extras))
        roots.append(Demand(canonical_name(requirement.name), extras, str(requirement.specifier), marker))
    return Question(
        python=python,
        install_words=("--ignore-installed", *constraint_words, *requires),
        download_words=(*constraint_words, *requires),
        roots=tuple(roots),
        constraints=tuple(constraints),
        directs=(),
        view=view,
        dependencies=True,
        refresh=False,
        require_hashes=False,
        odd_places=False,
        spellings={},
        replaced=None,
        forgets=True,
    )


def parse_build_requirement(text: str) -> Requirement:
    """Parse what a build backend or ``[build-system]`` requires (PEP 508).

    :raises BuildFailed: it is not valid.
    """
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        message = "The build requirement {requirement!r} is not valid: {error}"
        raise BuildFailed(message, requirement=text, error=error) from error


def _without(words: Sequence[str], *dests: str) -> tuple[tuple[str, ...], int]:
    """Give the words without some options, and how often they were given."""
    dropped = [each for each in scan(words, "i").given if each.option.dest in dests]
    places = {place for each in dropped for place in range(each.start, each.end)}
    return tuple(word for place, word in enumerate(words) if place not in places), len(dropped)


def _replaced(request: Request) -> frozenset[str] | None:
    """Give the names of what pip replaces although it would do; ``None`` if that is everything."""
    upgrade = request.manner.upgrade
    if _forgets(request) or (upgrade and request.upgrade_strategy == "eager"):
        return None
    return frozenset(root.name for root in request.requirements) if upgrade else frozenset()


def _forgets(request: Request) -> bool:
    return request.manner.ignore_installed or request.force_reinstall


def _has_odd_places(request: Request) -> bool:
    """Whether pip has more to say: of an index without a scheme, of a place on this machine that is not there."""
    index = request.index
    urls = (index.index_url, *index.extra_index_urls)
    if request.locks or request.options.get("requirements_from_scripts"):  # an experiment; may ask for another Python
        return True
    return any("://" not in url for url in urls if url) or not all(map(is_there, index.find_links))


def _spellings(request: Request, target: Target) -> dict[str, str]:
    """Give the names of what was asked for, as the user spelled them first."""
    found: dict[str, str] = {}
    markers = dict(target.markers)
    for root in request.requirements:
        if not applies(root.marker, markers):
            continue
        spelling = leading_name(root.text.strip())
        if root.url and not root.specifier:
            spelling = split_url(root.url)[1].get("egg", spelling)
        if root.kind and not root.specifier and canonical_name(spelling) != root.name:
            continue  # asked for by its path or URL alone, it is called what its metadata says
        # A wheel given by its path alone has the name that pip reads off the file: the canonical one.
        found.setdefault(root.name, root.name if root.direct and root.specifier else spelling)
    return found


def demands_of(roots: Iterable[Root]) -> tuple[Demand, ...]:
    return tuple(Demand(root.name, frozenset(root.extras), root.specifier, root.marker) for root in roots)


def roots_digest(question: Question) -> str:
    """Name what was asked for as a whole, with all settings that have a say in the answer."""
    demands = [
        [[each.name, sorted(each.extras), each.specifier, each.marker] for each in demands]
        for demands in (question.roots, question.constraints)
    ]
    directs = [[each.identity or each.path, each.kind, sorted(each.extras), each.marker] for each in question.directs]
    view = question.view
    settings = [*view[:2], sorted(view.no_binary), sorted(view.only_binary), view.prefer_binary, view.pre, view.hashes]
    return digest_of([host_pip_version(), *demands, directs, question.dependencies, *settings])


def shared_digest(question: Question, target: Target, recipe: Recipe, pip: str) -> str:
    """Name a question on all machines where pip gives the same answer to it in an empty environment.

    It is empty where that cannot be told: where something lies on this machine alone, or may change.

    :param recipe: how sdists are to be built.
    :param pip: version of the pip that answers.
    """
    if question.directs or question.stand_ins or question.locks or question.odd_places:
        return ""
    if depends_on_machine(each.marker for each in (*question.roots, *question.constraints)):
        return ""
    view = question.view
    (index_url, extra_index_urls, _, no_index), links = view.places[:4], [*map(digest_place, view.links)]
    if "" in links:
        return ""
    everywhere = view._replace(places=(index_url, extra_index_urls, list(dict.fromkeys(links)), no_index))
    markers = [pair for pair in target.markers if pair[0] not in _MARKERS_OF_MACHINES]
    ways = recipe.ways(root.name for root in question.roots)
    return digest_of([roots_digest(question._replace(view=everywhere)), markers, ways, pip])


def known_places(view: ViewSettings) -> list[str]:
    """Give the places on other machines that pip looks into."""
    index_url, extra_index_urls = view.places[:2]
    return [without_secrets(each) for each in (index_url, *extra_index_urls, *view.links) if is_elsewhere(each)]


def depends_on_machine(texts: Iterable[str]) -> bool:
    """Whether requirements may count on one machine and not on another one of its kind."""
    return any(name in text for text in texts for name in _MARKERS_OF_MACHINES)


def view_settings(request: Request, target: Target, tag: str, *, trust: bool = True) -> ViewSettings:
    """Give what decides which archives a request may see. Directories that it names are looked into.

    :param tag: of the target.
    :param trust: whether files there with the same size and modification time are the same.
    """
    index = request.index
    hashes: dict[str, tuple[str, ...]] = {}
    for root in (*request.requirements, *request.constraints):
        if root.hashes:
            hashes[root.name] = (*hashes.get(root.name, ()), *root.hashes)
    return ViewSettings(
        places=(
            without_secrets(index.index_url),
            tuple(dict.fromkeys(without_secrets(url) for url in index.extra_index_urls)),
            tuple(dict.fromkeys(describe_place(link, trust=trust) for link in index.find_links)),
            index.no_index,
        ),
        links=tuple(index.find_links),
        target=f"{tag}-{target.version}",
        no_binary=request.format_control.no_binary,
        only_binary=request.format_control.only_binary,
        prefer_binary=request.prefer_binary,
        pre=request.pre,
        hashes=hashes,
    )


def view_of(request: Request, resources: Resources) -> ViewSettings:
    """Give the same for a run."""
    trust = resources.config.trust_mod_times
    return view_settings(request, resources.target, resources.index.tag, trust=trust)


def settings_for_builds(view: ViewSettings, *, own: bool = False) -> ViewSettings:
    """Give the settings for build requirements: those are built from wheels wherever there are any.

    :param own: see nothing that was learned from other machines.
    """
    places = (*view.places, "own") if own else view.places
    return view._replace(places=places, no_binary=frozenset(), only_binary=frozenset(), hashes={})


def build_environ(request: Request, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for the pip that plans build requirements: the user's index and connection, nothing else.

    It is spoken to by variables only, as words may be seen by every user of the machine.
    """
    result = {name: value for name, value in environ.items() if not name.startswith("PIP_")}
    result["PIP_CONFIG_FILE"] = os.devnull
    for dest, variable in _CONNECTION:
        value = request.options.get(dest)
        if dest == "cache_dir" and value is False:
            result["PIP_NO_CACHE_DIR"] = "1"
        elif value is not None and value is not False and value != ():  # 0 is a number of retries
            result[variable] = " ".join(value) if isinstance(value, (tuple, list)) else str(value)
    index = request.index
    if index.no_index:
        result["PIP_NO_INDEX"] = "1"
    if index.index_url:
        result["PIP_INDEX_URL"] = index.index_url
    if index.extra_index_urls:
        result["PIP_EXTRA_INDEX_URL"] = " ".join(index.extra_index_urls)
    if index.find_links:
        result["PIP_FIND_LINKS"] = " ".join(_as_url(link) for link in index.find_links)
    if request.pre:
        result["PIP_PRE"] = "1"
    if request.prefer_binary:
        result["PIP_PREFER_BINARY"] = "1"
    return result


def _as_url(link: str) -> str:
    return path_to_url(link) if os.path.isabs(link) else link
