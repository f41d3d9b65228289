"""What a run takes from other machines, and what it gives them: plans, with all that these name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pip_accel._index import Answer
from pip_accel._names import canonical_name, canonical_version
from pip_accel._plan.closing import is_complete, is_of_use, plan_from_offer
from pip_accel._plan.places import hide_places
from pip_accel._plan.question import depends_on_machine, known_places, roots_digest, shared_digest
from pip_accel._resources import host_pip_version
from pip_accel._sharing import Found, Offer, Requirements, Sdist, common_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._build.builder import Builder
    from pip_accel._build.recipe import Recipe
    from pip_accel._plan.question import Question
    from pip_accel._resources import Resources
    from pip_accel._sharing import Sharing
    from pip_accel._values import Plan

__all__ = ["borrow", "make_offer"]


def borrow(
    sharing: Sharing, resources: Resources, recipe: Recipe, question: Question, *, unpacks: bool
) -> tuple[Plan | None, tuple[Requirements, ...]]:
    """Learn what other machines found out about a question; give their plan if that holds here, and those of builds.

    :param unpacks: whether wheels are unpacked while others come.
    """
    digest = shared_digest(question, resources.target, recipe, host_pip_version())
    offer = sharing.find(digest) if digest else None
    if offer is None or (recipe.own and offer.sdists) or not is_of_use(resources, question, offer):
        return None, ()
    offer = offer.at(known_places(question.view))
    filenames = {each.sha256: each.filename for each in offer.found}
    if resources.jobs > 1 and unpacks:
        from pip_accel._arrivals import Handed

        with Handed(resources.store) as hand_over:
            sharing.fetch(filenames, offer.trees, hand_over)
    else:
        sharing.fetch(filenames, offer.trees)
    archives = {each.project: resources.index.locate(each.sha256, each.filename) for each in offer.found}
    told = {sha256: each.core_metadata for sha256, each in offer.sdists.items()}
    # What does not answer the question teaches nothing, either.
    if not all(os.path.exists(each.path) for each in archives.values()):
        return None, ()
    if not is_complete(resources, question, archives, told):
        return None, ()
    if not sharing.learn(offer, question.view.key, roots_digest(question)):
        return None, ()
    if not recipe.own:
        resources.lent_template = offer.template
    return plan_from_offer(resources, question, offer), offer.builds if not recipe.own else ()


def make_offer(
    resources: Resources,
    recipe: Recipe,
    builder: Builder,
    question: Question,
    plan: Plan,
    builds: tuple[Requirements, ...],
    *,
    quiet: bool,
) -> tuple[str, Offer, Sequence[tuple[str, str]]] | None:
    """Give what other machines are to know of a plan: its question's digest, an offer, and what was built, by name.

    ``None`` if it is of no use to them.

    :param builds: plans for build requirements.
    :param quiet: whether pip was told to be: then it says neither how it spells names, nor what it warns of.
    """
    from pip_accel._build.key import may_hold_secret

    index = resources.index
    if plan.borrowed or not plan.lasting or not plan.pins:
        return None
    digest = shared_digest(question, resources.target, recipe, host_pip_version())
    if not digest or any(pin.direct_url or pin.editable or not pin.archive.sha256 for pin in plan.pins):
        return None
    if quiet and not {canonical_name(pin.name) for pin in plan.pins} <= question.spellings.keys():
        return None
    # What was installed has no part in it then.
    if not is_complete(resources, question, {canonical_name(pin.name): pin.archive for pin in plan.pins}):
        return None

    places, roots = known_places(question.view), roots_digest(question)
    found, sdists, built, trees = [], {}, [], []
    for pin in plan.pins:
        project, archive = canonical_name(pin.name), pin.archive
        metadata = index.metadata(archive)
        if metadata is None or depends_on_machine([metadata.decode("utf-8", "replace")]):
            return None
        view = question.view.key(project)
        known = [
            each
            for each in index.known(view, project)
            if each.version == canonical_version(pin.version) and each.roots in ("", roots)
        ]
        yanked = index.read_view(view, project).get("yanked", {}).get(archive.sha256)
        link = hide_places(index.origin(view, project, archive), places)
        row = (pin.name, pin.version, project, archive.filename, archive.sha256, pin.requested)
        found.append(Found(*row, yanked, link, tuple(known)))
        if not archive.filename.endswith(".whl"):
            facts, result = index.build_facts(archive), builder.find_shareable(pin)
            if facts is None or result is None or any(map(may_hold_secret, facts["variables"].items())):
                return None
            variant = index.variant(project)
            sdists[archive.sha256] = Sdist(metadata.decode("utf-8", "surrogateescape"), facts, variant)
            name, archive = result
            built.append((name, archive.path))
        trees.append(archive.sha256)
    output, errors = (hide_places(common_lines(text), places) for text in (plan.output, plan.errors))
    if "file:" in output + errors:
        return None
    versions = {canonical_name(pin.name): canonical_version(pin.version) for pin in plan.pins}
    answer = index.answer_to(roots)
    if answer.versions != versions:  # then it is certain: nothing else comes up
        answer = Answer(versions, plan.learned, False, frozenset(versions))
    more = (plan.learned, dict(plan.spellings), sdists, builds, tuple(trees), resources.template)
    offer = Offer(tuple(found), output, errors, *more, answer.straight, answer.searched)
    return digest, offer, built
