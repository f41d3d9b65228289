"""What pip-accel plans without pip is what pip plans, and where pip would say more, pip is asked."""

from __future__ import annotations

import os
import types
import zipfile
from typing import NamedTuple

import pytest

from pip_accel._archives import wheel_metadata
from pip_accel._environment import find_target
from pip_accel._index import Known, LocalIndex
from pip_accel._names import canonical_name, canonical_version
from pip_accel._plan.arguments import parse
from pip_accel._plan.closing import plan_from_pins
from pip_accel._plan.inquiry import Given, Inquiry
from pip_accel._plan.planning import _from_view
from pip_accel._plan.question import make_question, view_settings
from pip_accel._plan.stand_ins import Substituted
from tests.lib.archives import make_wheel
from tests.lib.environments import clean_environ, make_environment
from tests.lib.runs import run_pip


class Offer(NamedTuple):
    """A wheel in the local index, and how it came there: under which clauses, and for which roots alone."""

    name: str
    version: str = "1.0"
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    yanked: str | None = None
    clauses: tuple[str, ...] = ()
    roots: str = ""


ALPHA, BETA, GAMMA = Offer("alpha"), Offer("Beta_B"), Offer("gamma")
NEEDS = Offer("alpha", requires=("beta-b>=0.5",))
ASKED_BY_NAME = Offer("gamma", clauses=("===1.0",))

#: What the index has, and what is asked of it: pip-accel answers alone.
ANSWERED = {
    "one": ([ALPHA], ["alpha==1.0"]),
    "versions are spelled in many ways": ([Offer("alpha", "1.0.post1")], ["Alpha == 1.post1"]),
    "a pre-release": ([Offer("alpha", "2.0rc1")], ["alpha==2.0rc1"]),
    "a local version": ([Offer("alpha", "2.0"), Offer("alpha", "2.0+cpu")], ["alpha==2.0+cpu"]),
    "more than is asked for": ([ALPHA, Offer("alpha", "2.0"), BETA], ["alpha==1.0"]),
    "dependencies among the roots": ([NEEDS, BETA], ["alpha==1.0", "Beta.b==1.0"]),
    "a circle": ([NEEDS, Offer("beta-b", requires=("alpha",))], ["beta-b==1.0", "alpha==1.0"]),
    "named twice": ([ALPHA], ["alpha==1.0", "alpha>=0.5", "alpha==1"]),
    "a marker that does not apply": ([ALPHA], ["alpha==1.0", "beta-b==1.0; python_version<'3'"]),
    "a dependency whose marker does not apply": (
        [Offer("alpha", requires=("beta-b; python_version<'3'",))], ["alpha==1.0"]
    ),
    "an extra": (
        [Offer("alpha", requires=("beta-b; extra == 'more'",), extras=("more",)), BETA],
        ["alpha[More]==1.0", "beta-b==1.0"],
    ),
    "an extra of a dependency": (
        [Offer("alpha", requires=("beta-b[more]",)), Offer("beta-b", extras=("more",))], ["alpha==1.0", "beta-b==1.0"]
    ),
    "a constraint that says the same": ([ALPHA], ["alpha>0.1", "-c", "alpha==1.0"]),
    "a constraint on something else": ([ALPHA], ["alpha==1.0", "-c", "beta-b==1.0"]),
    "without dependencies": ([NEEDS], ["alpha==1.0", "--no-deps"]),
    "something else is installed": ([ALPHA], ["alpha==1.0", "installed: beta-b"]),
    "it is installed, and that does not matter": ([ALPHA], ["alpha==1.0", "--ignore-installed", "installed: alpha"]),
    "hashes": ([NEEDS, BETA], ["alpha==1.0 {hash}", "beta-b==1.0 {hash}"]),
    "a name whose first spelling does not count": ([ALPHA], ["Alpha==1.0; python_version<'3'", "ALPHA==1.0"]),
    "a requirement that holds only without an extra": (
        [Offer("alpha", requires=("beta-b; extra != 'more'",), extras=("more",)), BETA],
        ["alpha[more]==1.0", "beta-b==1.0"],
    ),
}  # fmt: skip
LEFT_TO_PIP = {
    "nothing is there": ([], ["alpha==1.0"]),
    "another version is there": ([Offer("alpha", "2.0")], ["alpha==1.0"]),
    "any version will do": ([ALPHA], ["alpha"]),
    "any version with this beginning will do": ([ALPHA], ["alpha==1.*"]),
    "a dependency is missing": ([NEEDS], ["alpha==1.0"]),
    "a dependency is not asked for": ([NEEDS, BETA], ["alpha==1.0"]),
    "a dependency is only bound by a constraint": ([NEEDS, BETA], ["alpha==1.0", "-c", "beta-b==1.0"]),
    "a dependency wants another version": (
        [Offer("alpha", requires=("beta-b<1",)), BETA], ["alpha==1.0", "beta-b==1.0"]
    ),
    "a constraint wants another version": ([ALPHA], ["alpha==1.0", "-c", "alpha<1"]),
    "two versions are asked for": ([ALPHA, Offer("alpha", "2.0")], ["alpha==1.0", "alpha==2.0"]),
    "a requirement that holds only without an extra": (
        [Offer("alpha", requires=("beta-b; extra != 'more'",), extras=("more",)), BETA], ["alpha[more]==1.0"]
    ),
    "the spelling of the version counts": ([ALPHA], ["alpha===1"]),
    "a local version was ruled out then": ([ALPHA._replace(clauses=("==1.0", "!=1.0+cpu"))], ["alpha==1.0"]),
    "a local version was turned down then": ([ALPHA._replace(roots="others")], ["alpha==1.0"]),
    "a place is not there": ([ALPHA], ["alpha==1.0", "--find-links=not-there"]),
    "an index has no scheme": ([ALPHA], ["alpha==1.0", "--extra-index-url=index"]),
    "a local version is preferred": ([ALPHA, Offer("alpha", "1.0+cpu")], ["alpha==1.0"]),
    "there may be a local version": ([ASKED_BY_NAME], ["gamma==1.0"]),
    "it is yanked": ([ALPHA._replace(yanked="broken")], ["alpha==1.0"]),
    "an extra is not there": ([ALPHA], ["alpha[more]==1.0"]),
    "an extra of a dependency is not there": (
        [Offer("alpha", requires=("beta-b[more]",)), BETA], ["alpha==1.0", "beta-b==1.0"]
    ),
    "a dependency is a URL": (
        [Offer("alpha", requires=("beta-b @ https://example.com/b.whl",)), BETA], ["alpha==1.0", "beta-b==1.0"]
    ),
    "it is installed": ([ALPHA], ["alpha==1.0", "installed: alpha"]),
    "a dependency is installed": ([NEEDS, BETA], ["alpha==1.0", "beta-b==1.0", "installed: beta-b"]),
    "the index has to be asked": ([ALPHA], ["alpha==1.0", "-U"]),
    "hashes for some": ([NEEDS, BETA], ["alpha==1.0 {hash}", "beta-b==1.0"]),
    "hashes of another kind": ([ALPHA], ["alpha==1.0 --hash=sha512:" + "0" * 128]),
    "hashes are missing": ([ALPHA], ["alpha==1.0", "--require-hashes"]),
    "hashes in two places": ([ALPHA], ["alpha==1.0 {hash}", "alpha==1.0 {hash}"]),
}  # fmt: skip


class Place:
    """A local index that has the offers, and a request."""

    def __init__(self, directory, environment, offers, words):
        self.directory = str(directory)
        self.environ = clean_environ(PIP_INDEX_URL="https://index.invalid/simple")
        index = LocalIndex(os.path.join(self.directory, "sources"), "here")
        self.resources = types.SimpleNamespace(
            index=index,
            target=find_target(environment.python),
            config=types.SimpleNamespace(offline=False, index_max_age=None),
        )
        archives = [index.add(self.wheel(offer))._replace(yanked=offer.yanked) for offer in offers]
        hashes = {canonical_name(offer.name): archive.sha256 for offer, archive in zip(offers, archives, strict=True)}
        request = parse(["--python", environment.python, "install", *self.words(words, hashes)], self.environ)
        view = view_settings(request, self.resources.target, "here")
        asked = Substituted(request, {}, ())
        self.question = make_question(asked, view, self.resources.target, environment.python, self.environ)
        for offer, archive in zip(offers, archives, strict=True):
            index.set_metadata(archive, wheel_metadata(archive.path))
            clauses = frozenset(offer.clauses or {f"=={offer.version}"})
            known = Known(clauses, canonical_version(offer.version), 1.0, offer.roots)
            name = canonical_name(offer.name)
            index.learn(view.key(name), name, archive, known)

    def wheel(self, offer):
        extras = dict.fromkeys(offer.extras, ())
        place = os.path.join(self.directory, "wheels", canonical_name(offer.name))
        return make_wheel(place, offer.name, offer.version, requires=offer.requires, extras=extras)

    def words(self, lines, hashes):
        """Write all but the options into files; give the words for these."""
        words, files, kind = [], {"-r": [], "-c": []}, "-r"
        for line in lines:
            if line == "-c":
                kind = line
            elif line.startswith("-"):
                words.append(line)
            elif not line.startswith("installed:"):
                digest = hashes.get(canonical_name(line.partition("=")[0].strip()))
                files[kind].append(line.format(hash=f"--hash=sha256:{digest}") + "\n")
        for kind, texts in files.items():
            if texts:
                path = os.path.join(self.directory, f"file{kind}.txt")
                with open(path, "w", encoding="utf-8") as stream:
                    stream.writelines(texts)
                words += [kind, path]
        return words

    def ask_pip(self):
        return _from_view(Inquiry(self.resources, self.question, self.environ, None, self.directory, Given((), {})))


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """Environments by what is installed in them."""
    made = {}

    def give(names):
        if names not in made:
            made[names] = make_environment(str(tmp_path_factory.mktemp("environment") / "env"))
            for name in names:
                info = os.path.join(made[names].site_packages, f"{name.replace('-', '_')}-1.0.dist-info")
                os.mkdir(info)
                with open(os.path.join(info, "METADATA"), "w", encoding="utf-8") as stream:
                    stream.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        return made[names]

    return give


@pytest.fixture
def place(tmp_path, environments):
    def give(offers, words):
        names = tuple(word.removeprefix("installed: ") for word in words if word.startswith("installed: "))
        return Place(tmp_path, environments(names), offers, words)

    return give


@pytest.mark.parametrize("case", ANSWERED)
def test_what_leaves_no_choice_is_planned_as_pip_plans_it(place, case):
    here = place(*ANSWERED[case])
    own, by_pip = plan_from_pins(here.resources, here.question), here.ask_pip()
    assert own.pins == by_pip.pins != ()
    assert [(own.learned, own.online, own.lasting)] == [(by_pip.learned, by_pip.online, by_pip.lasting)]
    assert "already satisfied" not in by_pip.output and by_pip.errors == ""
    for pin in own.pins:
        name = canonical_name(pin.name)
        assert own.spellings.get(name, pin.name) == by_pip.spellings.get(name, pin.name)


@pytest.mark.parametrize("case", LEFT_TO_PIP)
def test_where_pip_has_a_choice_or_more_to_say_it_is_asked(place, case):
    here = place(*LEFT_TO_PIP[case])
    assert plan_from_pins(here.resources, here.question) is None


@pytest.mark.parametrize(
    "name",
    [
        "~lpha-1.0.dist-info/METADATA", "-beta-1.0.dist-info/METADATA", "beta-1.0.dist-info/RECORD",
        "weird.dist-info/METADATA", "alpha-1.0.DIST-INFO/METADATA", "alpha.egg-link",
    ],
)  # fmt: skip
def test_where_directories_do_not_tell_what_is_installed_pip_is_asked(tmp_path, name):
    environment = make_environment(str(tmp_path / "env"))
    path = os.path.join(environment.site_packages, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    here = Place(tmp_path, environment, *ANSWERED["it is installed, and that does not matter"])
    assert plan_from_pins(here.resources, here.question) is None


def test_where_an_archive_is_on_the_path_pip_is_asked(tmp_path, monkeypatch):
    path = str(tmp_path / "archive.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alpha-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", path)
    here = Place(tmp_path, make_environment(str(tmp_path / "env")), *ANSWERED["one"])
    assert plan_from_pins(here.resources, here.question) is None


def test_what_is_not_there_any_more_is_not_planned(place):
    here = place(*ANSWERED["one"])
    (pin,) = plan_from_pins(here.resources, here.question).pins
    os.unlink(pin.archive.path)
    assert plan_from_pins(here.resources, here.question) is None


# The order of pip's closing lines

WITH_PYTHON = {"requires_python": ">=3"}
MORE = {"extras": {"more": ["alpha"]}}
#: With a line of blanks, which does not end the headers.
LICENSE = "Metadata-Version: 2.1\nName: beta\nVersion: 1.0\nLicense: a\n        \n        b\nRequires-Python: >=3\n"
ORDERS = {
    "names": ({"alpha": {}, "beta": {}, "gamma": {}}, []),
    "what is free": ({"alpha": {}, "beta": {}, "mu": {"requires": ["beta"]}, "zeta": {"requires": ["mu"]}}, []),
    "markers": ({"alpha": {}, "beta": {"requires": ["alpha; python_version < '3'"]}}, []),
    "without dependencies": ({"alpha": {}, "beta": {"requires": ["alpha"]}}, ["--no-deps"]),
    "an extra that nobody asks for": ({"alpha": {}, "beta": MORE}, []),
    "an extra": ({"alpha": {}, "beta": MORE, "zeta": {}}, ["beta[more]"]),
    "an extra of a dependency": ({"alpha": {}, "beta": MORE, "gamma": {"requires": ["beta[more]"]}}, []),
    "Python": ({"alpha": {}, "beta": WITH_PYTHON, "gamma": {}}, []),
    "Python behind a license": ({"alpha": {}, "beta": {"metadata": LICENSE}, "gamma": {}}, []),
    "Python for all": ({"alpha": WITH_PYTHON, "beta": WITH_PYTHON}, []),
    "a dependency that is not asked for": ({"alpha": {}, "beta": {"requires": ["alpha"]}}, ["beta", "only"]),
}


@pytest.mark.parametrize("case", ORDERS)
def test_the_order_is_that_of_pip(bench, fresh, case):
    """With a plan by pip in the first run, and where all versions are given without pip in the second."""
    offers, more = ORDERS[case]
    for name, options in offers.items():
        bench.index.add(make_wheel(os.path.dirname(bench.data), name, "1.0", **options))
    only = "only" in more
    words = [word for word in more if word != "only"]
    words += [] if only else [f"{name}==1.0" for name in offers]
    lines = []
    for run in (
        run_pip(["install", *words], fresh(), PIP_INDEX_URL=bench.index.url),
        *(bench.install(*words).run for _ in range(2)),
    ):
        lines.append([line for line in run.stdout.splitlines() if line.startswith(("Installing", "Successfully"))])
    assert lines[0] == lines[1] == lines[2]
    assert len(lines[0]) == 2
