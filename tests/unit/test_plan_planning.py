"""From a request to a plan: when the local index may answer, what is fetched, and what is learned from it."""

from __future__ import annotations

import os
import re
import types
from contextlib import nullcontext
from urllib.parse import unquote, urlsplit
from urllib.request import pathname2url, url2pathname

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pip_accel._archives import wheel_metadata
from pip_accel._index import LocalIndex, ViewSettings, name_and_version
from pip_accel._metadata import parse_metadata
from pip_accel._names import canonical_name
from pip_accel._plan import planning
from pip_accel._plan.answer import _spellings
from pip_accel._plan.clauses import Demand
from pip_accel._plan.inquiry import begin
from pip_accel._plan.pip import Downloads, Item, Report
from pip_accel._plan.planning import make_plan
from pip_accel._plan.question import Direct, Question, roots_digest
from pip_accel._plan.stand_ins import StandIn
from pip_accel._process import Completed
from pip_accel._values import Archive
from pip_accel.exceptions import NothingFound, Unsupported
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.trees import make_target

VIEW = ViewSettings(("https://index/simple", (), (), False), "cpython-3.12", frozenset(), frozenset(), False, False, {})
MARKERS = (("python_version", "3.12"), ("sys_platform", "linux"), ("python_full_version", "3.12.0"))


def question(*requirements, constraints=(), **changes):
    def demands(texts):
        found = []
        for text in texts:
            each = Requirement(text)
            marker = str(each.marker) if each.marker else ""
            found.append(Demand(canonical_name(each.name), frozenset(each.extras), str(each.specifier), marker))
        return tuple(found)

    fields = {
        "python": None, "install_words": requirements, "download_words": requirements, "roots": demands(requirements),
        "constraints": demands(constraints), "directs": (), "view": VIEW, "dependencies": True, "refresh": False,
        "require_hashes": False, "odd_places": False, "spellings": {}, "replaced": None,
    }  # fmt: skip
    return Question(**{**fields, **changes})


class World:
    """An index on the network, a local index, and a pip that knows how to choose the highest version."""

    def __init__(self, tmp_path, monkeypatch):
        self.root = str(tmp_path)
        self.remote = {}  # path by file name
        self.local_passes = 0
        self.downloads = 0
        self.said = []
        self.prepared = []
        self.logs = []
        self.query = ""  # of the URLs that archives come from
        self.yanked = {}  # reasons by file name
        self.backtracked = False
        self.keeps_out = ""  # name of a file that pip does not choose
        self.hidden = False  # whether the log lacks what pip found
        self.complete = True
        self.now = 1_000_000.0
        self.config = types.SimpleNamespace(offline=False, index_max_age=None, max_retries=3)
        target = make_target(os.path.join(self.root, "env"))._replace(markers=MARKERS)
        self.resources = types.SimpleNamespace(
            config=self.config,
            target=target,
            index=LocalIndex(os.path.join(self.root, "sources"), "cpython-3.12"),
            directory=self.directory,
            started=self.now,
        )
        monkeypatch.setattr(planning, "resolve_locally", self.resolve)
        monkeypatch.setattr(planning, "download", self.download)
        monkeypatch.setattr(planning, "time", types.SimpleNamespace(time=lambda: self.now))

    def directory(self, name):
        path = os.path.join(self.root, f"{name}-{len(os.listdir(self.root))}")
        os.makedirs(path)
        return path

    def publish(self, name, version, *, sdist=False, **more):
        make = make_sdist if sdist else make_wheel
        path = make(os.path.join(self.root, "remote"), name, version, **more)
        self.remote[os.path.basename(path)] = path
        return path

    def plan(self, *requirements, **changes):
        self.resources.started = self.now
        return make_plan(self.resources, question(*requirements, **changes), {}, self, say=self.said.append)

    def prepare(self, archive):
        self.prepared.append(archive.filename)
        name, version = name_and_version(archive.filename)
        return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()

    def adopt(self, archive):
        pass

    def describe(self, direct):
        return wheel_metadata(direct.path)

    def recall(self, name):
        return None

    def borrow(self, question):
        """No other machine shares anything."""

    def unpacking(self, work, allowed):
        return nullcontext()

    # What stands in for pip

    def resolve(self, python, words, *, page, environ, work, keep_log):
        self.local_passes += 1
        self.logs.append(keep_log)
        with open(page, encoding="utf-8") as stream:
            urls = [url.partition("#")[0] for url in re.findall('href="([^"]+)"', stream.read())]
        candidates = {unquote(url.rsplit("/", 1)[-1]): url for url in urls}

        def describe(filename):
            with open(url2pathname(urlsplit(candidates[filename]).path) + ".metadata", "rb") as stream:
                return parse_metadata(stream.read())

        chosen = self.choose(words, candidates, lambda filename: describe(filename)[2])
        if chosen is None:
            return Completed(1, "", "ERROR: No matching distribution found\n")
        items = []
        for filename in chosen.values():
            name, version, requires = describe(filename)
            asked = canonical_name(name) in {canonical_name(Requirement(word).name) for word in words}
            items.append(Item(name, version, candidates[filename], asked, None, tuple(requires)))
        rows = [{"metadata": {"name": each.name}, "download_info": {"url": each.url}} for each in items]
        return Report(tuple(items), "Would install\n", "", {"version": "1", "install": rows})

    def download(self, python, words, *, keep_log, **more):
        self.downloads += 1
        self.logs.append(keep_log)
        stage = self.directory("stage")

        def requires(filename):
            archive = LocalIndex(os.path.join(self.root, "scratch"), "x").add(self.copy(filename, stage))
            from pip_accel._archives import wheel_metadata

            return parse_metadata(wheel_metadata(archive.path))[2] if filename.endswith(".whl") else []

        choice = {filename: path for filename, path in self.remote.items() if filename != self.keeps_out}
        chosen = self.choose(words, choice, requires)
        if chosen is None:
            raise NothingFound("nothing", status=1)
        files = tuple(self.copy(filename, stage) for filename in chosen.values())
        yanked = tuple((filename, reason) for filename, reason in self.yanked.items() if filename in chosen.values())
        links = {filename: self.link(filename) for filename in self.remote if not self.hidden}
        more = (tuple(links), frozenset(name_and_version(each)[0] for each in self.remote))
        return Downloads(files, self.backtracked, self.complete, yanked, links, *more)

    def link(self, filename):
        """pip's words for where an archive was found."""
        return f"https://index/f/{filename}{self.query}#sha256=ab (from https://index/simple/x/) (requires-python:>3)"

    def copy(self, filename, stage):
        with open(self.remote[filename], "rb") as source, open(os.path.join(stage, filename), "wb") as stream:
            stream.write(source.read())
        return os.path.join(stage, filename)

    def choose(self, words, candidates, requires):
        chosen, waiting = {}, [word for word in words if not word.startswith("--")]
        while waiting:
            requirement = Requirement(waiting.pop())
            name = canonical_name(requirement.name)
            fitting = [
                (Version(split[1]), filename)
                for filename in candidates
                if (split := name_and_version(filename, name)) and split[0] == name
                and SpecifierSet(str(requirement.specifier)).contains(split[1])
            ]  # fmt: skip
            if not fitting:
                return None
            if name not in chosen:
                chosen[name] = max(fitting)[1]
                waiting += requires(chosen[name])
        return chosen


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def versions(plan):
    return {pin.name: pin.version for pin in plan.pins}


def test_what_is_not_there_is_fetched(world):
    world.publish("alpha", "1.0", requires=["beta"])
    world.publish("beta", "2.0")
    plan = world.plan("alpha")
    assert versions(plan) == {"alpha": "1.0", "beta": "2.0"}
    assert [pin.name for pin in plan.pins] == ["beta", "alpha"]
    assert {pin.name: pin.requested for pin in plan.pins} == {"alpha": True, "beta": False}
    assert (plan.online, plan.lasting, plan.learned, plan.output) == (True, True, world.now, "Would install\n")
    assert all(os.path.isfile(pin.archive.path) and pin.direct_url == "" for pin in plan.pins)
    assert (world.downloads, world.local_passes) == (1, 1)


def test_what_was_learned_answers_without_network(world):
    world.publish("alpha", "1.0", requires=["beta>=1"])
    world.publish("beta", "2.0")
    first = world.plan("alpha")
    world.publish("alpha", "2.0")
    world.now += 1000
    plan = world.plan("alpha")
    assert plan.pins == first.pins
    assert (plan.online, plan.learned, plan.lasting) == (False, 1_000_000, True)
    assert world.downloads == 1


def test_an_answer_is_as_old_as_its_oldest_part(world):
    world.publish("beta", "1.0")
    world.plan("beta")
    world.now += 500
    world.publish("alpha", "1.0", requires=["beta<9"])
    world.plan("alpha")
    world.now += 500
    assert world.plan("alpha").learned == 1_000_000 + 500
    assert world.plan("alpha", "beta").learned == 1_000_000
    assert world.plan("beta").learned == 1_000_000


def test_pins_answer_however_old_they_are(world):
    world.publish("alpha", "1.0")
    world.plan("alpha==1.0")
    world.config.index_max_age = 10
    world.now += 10_000
    plan = world.plan("alpha==1.0")
    assert (plan.online, plan.learned) == (False, 0)
    assert world.downloads == 1


def test_an_answer_that_nothing_vouches_for_is_asked_for_again(world):
    world.publish("alpha", "1.0")
    world.publish("alpha", "2.0")
    assert versions(world.plan("alpha==1.0")) == {"alpha": "1.0"}
    plan = world.plan("alpha")
    assert (versions(plan), plan.online) == ({"alpha": "2.0"}, True)
    assert versions(world.plan("alpha==1.0")) == {"alpha": "1.0"}
    assert world.downloads == 2


def test_another_view_does_not_answer(world):
    world.publish("alpha", "1.0")
    world.plan("alpha")
    assert world.plan("alpha", view=VIEW._replace(pre=True)).online
    assert world.plan("alpha", view=VIEW._replace(places=("https://other/simple", (), (), False))).online
    assert not world.plan("alpha").online
    assert world.downloads == 3


def test_what_another_view_was_told_vouches_for_nothing(world):
    other = VIEW._replace(places=("https://other/simple", (), (), False))
    world.publish("alpha", "1.0")
    world.plan("alpha")
    world.publish("alpha", "2.0")
    world.plan("alpha==1.0", view=other)
    assert versions(world.plan("alpha", view=other)) == {"alpha": "2.0"}


def test_a_constraint_is_a_clause(world):
    world.publish("alpha", "1.0")
    world.plan("alpha", constraints=["alpha<2"])
    assert world.plan("alpha").online
    assert not world.plan("alpha", constraints=["alpha<2"]).online


def test_a_refresh_asks_the_index(world):
    world.publish("alpha", "1.0")
    world.plan("alpha")
    world.publish("alpha", "2.0")
    plan = world.plan("alpha", refresh=True)
    assert (versions(plan), plan.online) == ({"alpha": "2.0"}, True)
    assert versions(world.plan("alpha")) == {"alpha": "2.0"}


@pytest.mark.parametrize(("age", "online"), [(99, False), (100, False), (101, True)])
def test_an_answer_beyond_its_age_limit_is_asked_for_again(world, age, online):
    world.publish("alpha", "1.0")
    world.plan("alpha")
    world.config.index_max_age = 100
    world.now += age
    plan = world.plan("alpha")
    assert (plan.online, plan.learned) == (online, world.now if online else 1_000_000)
    if online:
        assert not world.plan("alpha").online


def test_an_answer_of_the_moment_is_not_learned(world):
    world.publish("alpha", "1.0")
    world.complete = False
    plan = world.plan("alpha")
    assert (versions(plan), plan.lasting) == ({"alpha": "1.0"}, False)
    world.complete = True
    world.publish("alpha", "2.0")
    assert versions(world.plan("alpha")) == {"alpha": "2.0"}
    assert world.downloads == 2


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not in the log"])
def test_where_pip_tried_candidates_only_the_same_request_relies_on_what_is_not_the_best(world, seen):
    world.publish("alpha", "1.0", requires=["beta<2", "gamma"])
    world.publish("gamma", "1.0", requires=["delta"])
    for version in ("1.0", "2.0"):
        world.publish("beta", version)
    world.publish("delta", "1.0")
    world.backtracked, world.hidden = True, not seen
    world.keeps_out = "delta-2.0-py3-none-any.whl"  # something that did not last
    world.publish("delta", "2.0")
    world.plan("alpha")
    world.backtracked, world.hidden, world.keeps_out = False, False, ""
    assert not world.plan("alpha").online
    assert world.plan("beta<2").online is not seen  # nothing that is allowed is above it
    assert versions(world.plan("delta")) == {"delta": "2.0"}
    assert world.plan("beta").online


def test_sdists_are_prepared_once(world):
    world.publish("alpha", "1.0", sdist=True)
    plan = world.plan("alpha")
    assert plan.pins[0].archive.filename == "alpha-1.0.tar.gz"
    world.plan("alpha")
    world.plan("alpha", refresh=True)
    assert world.prepared == ["alpha-1.0.tar.gz"]


def test_what_pip_fails_with_is_passed_on(world):
    with pytest.raises(NothingFound):
        world.plan("alpha")
    assert (world.downloads, world.local_passes) == (1, 0)


# Offline


def test_offline_never_downloads(world):
    world.publish("alpha", "1.0")
    world.config.offline = True
    with pytest.raises(NothingFound, match="offline = yes"):
        world.plan("alpha")
    assert world.downloads == 0


@pytest.mark.parametrize("refresh", [False, True])
def test_offline_answers_as_usual_where_it_can(world, refresh):
    world.publish("alpha", "1.0")
    world.plan("alpha")
    world.config.offline, world.config.index_max_age = True, 10
    world.now += 10_000
    plan = world.plan("alpha", refresh=refresh)
    assert (plan.online, plan.lasting, world.said) == (False, True, [])


def test_offline_falls_back_to_all_that_is_there_and_says_so(world):
    world.publish("alpha", "1.0")
    world.plan("alpha")
    world.config.offline = True
    plan = world.plan("alpha", view=VIEW._replace(pre=True))
    assert (versions(plan), plan.online, plan.lasting) == ({"alpha": "1.0"}, False, False)
    assert len(world.said) == 1
    assert "Offline" in world.said[0]
    assert world.downloads == 1


# What is asked for by path


def by_path(path):
    return Direct("alpha", path, "wheel", frozenset(), "")


def test_what_a_wheel_by_path_requires_bounds_what_is_learned(world):
    for version in ("1.0", "2.0"):
        world.publish("beta", version)
    path = make_wheel(os.path.join(world.root, "elsewhere"), "alpha", "1.0", requires=["beta<2"])
    world.plan(directs=(by_path(path),), install_words=("beta<2",), download_words=("beta<2",))
    known = world.resources.index.known(VIEW.key("beta"), "beta")
    assert [(each.clauses, each.version) for each in known] == [(frozenset({"<2"}), "1")]


def test_the_answer_to_a_path_holds_for_what_it_requires_then(world):
    for version in ("1.0", "2.0"):
        world.publish("beta", version)
    path = os.path.join(world.root, "elsewhere")
    for clause, online in (("beta<2", True), ("beta<2", False), ("beta", True), ("beta", False)):
        direct = by_path(make_wheel(path, "alpha", "1.0", requires=[clause]))
        plan = world.plan(directs=(direct,), install_words=(clause,), download_words=(clause,))
        assert (versions(plan)["beta"], plan.online) == ("1.0" if "<" in clause else "2.0", online)


def test_a_wheel_that_pip_found_elsewhere_is_taken_in(world, monkeypatch):
    path = make_wheel(os.path.join(world.root, "elsewhere"), "alpha", "1.0")
    direct = {"url": f"file://{path}", "archive_info": {}}
    item = Item("alpha", "1.0", f"file://{pathname2url(path)}", True, direct, ())
    monkeypatch.setattr(planning, "resolve_locally", lambda *words, **more: Report((item,), "", ""))
    (pin,) = world.plan(directs=(by_path(path),)).pins
    assert pin.direct_url == '{"archive_info": {}, "url": "file://' + path + '"}'
    assert pin.archive.path.startswith(world.resources.index.root)
    assert os.path.isfile(path)
    assert world.downloads == 0


@pytest.mark.parametrize(
    "url", ["https://x/alpha-1.0-py3-none-any.whl", "file:///nonexistent/alpha-1.0-py3-none-any.whl"]
)
def test_what_pip_found_in_a_place_that_we_do_not_know_is_left_to_pip(world, monkeypatch, url):
    item = Item("alpha", "1.0", url, True, {"url": url}, ())
    monkeypatch.setattr(planning, "resolve_locally", lambda *words, **more: Report((item,), "", ""))
    path = make_wheel(os.path.join(world.root, "elsewhere"), "alpha", "1.0")
    with pytest.raises(Unsupported, match="not an archive in the local index"):
        world.plan(directs=(by_path(path),))


# What stands in for what is asked for by URL


def stand_in(world, *, editable=False, name="alpha-1.0-py3-none-any.whl"):
    """A stand-in, and what makes a question with it."""
    stub = make_wheel(os.path.join(world.root, "stub"), "alpha", "1.0", requires=["beta<2"])
    archive = Archive(os.path.join(world.root, name), name, "" if editable else "a" * 64)
    found = StandIn("alpha", stub, archive, {"url": "https://h.example/alpha", "archive_info": {}}, editable)
    url = f"file://{pathname2url(stub)}"
    changes = {
        "directs": (Direct("alpha", stub, "wheel", frozenset(), "", "identity"),),
        "stand_ins": {url: found},
        "shown": ((stub, "https://h.example/alpha"),),
        "install_words": ("beta<2",),
        "download_words": ("beta<2",),
    }
    return found, url, changes


def with_stand_in(world, monkeypatch, url, stub):
    """Let pip report the stand-in, and fetch it, too."""
    item = Item("alpha", "1.0", url + "#sha256=b", True, {"url": url}, ("beta<2",))
    row = {"metadata": {"name": "alpha"}, "download_info": {"url": url}}

    def resolve(*words, **more):
        report = world.resolve(*words, **more)
        if not isinstance(report, Report):
            return report
        raw = {**report.raw, "install": [*report.raw["install"], row]}
        return report._replace(items=(*report.items, item), output=f"Processing {stub}\n", errors=stub, raw=raw)

    def download(*words, **more):
        downloads = world.download(*words, **more)
        copy = os.path.join(world.directory("stage"), os.path.basename(stub))
        with open(stub, "rb") as source, open(copy, "wb") as stream:
            stream.write(source.read())
        return downloads._replace(files=(copy, *downloads.files))

    monkeypatch.setattr(planning, "resolve_locally", resolve)
    monkeypatch.setattr(planning, "download", download)


@pytest.mark.parametrize("editable", [False, True])
def test_in_place_of_a_stand_in_comes_what_it_stands_for(world, monkeypatch, editable):
    for version in ("1.0", "2.0"):
        world.publish("beta", version)
    found, url, changes = stand_in(world, editable=editable)
    with_stand_in(world, monkeypatch, url, found.path)
    for online in (True, False):
        plan = world.plan(report=True, **changes)
        beta, alpha = plan.pins
        assert (beta.name, beta.version, beta.editable) == ("beta", "1.0", False)
        assert (alpha.archive, alpha.requested, alpha.editable) == (found.archive, True, editable)
        assert alpha.direct_url == '{"archive_info": {}, "url": "https://h.example/alpha"}'
        assert plan.online is online
        assert (plan.output, plan.errors) == ("Processing https://h.example/alpha\n", "https://h.example/alpha")
        assert plan.report["install"][-1]["download_info"] == found.direct
    assert world.downloads == 1
    assert world.resources.index.archives_in_any_view("alpha") == []


# What pip reports, and its log


def test_a_report_tells_where_archives_came_from(world):
    world.publish("alpha", "1.0", requires=["beta"])
    world.publish("beta", "2.0")
    first, again = (world.plan("alpha", report=True) for _ in range(2))
    assert (first.online, again.online) == (True, False)
    for plan in (first, again):
        rows = {row["metadata"]["name"]: row["download_info"]["url"] for row in plan.report["install"]}
        assert rows == {pin.name: f"https://index/f/{pin.archive.filename}" for pin in plan.pins}
        assert plan.report["version"] == "1"
    assert world.plan("alpha").report == {}


def test_where_that_is_not_known_the_report_is_left_to_pip(world):
    world.publish("alpha", "1.0")
    world.query = "?token=x"
    for _ in range(2):
        with pytest.raises(Unsupported, match=r"where alpha-1\.0-py3-none-any\.whl came from"):
            world.plan("alpha", report=True)
    assert versions(world.plan("alpha")) == {"alpha": "1.0"}


def test_a_warning_of_a_yanked_archive_has_the_link_that_it_came_by(world, monkeypatch):
    filename = os.path.basename(world.publish("alpha", "1.0"))
    world.yanked[filename] = "broken"

    def resolve(*words, page, **more):
        report = world.resolve(*words, page=page, **more)
        url = report.items[0].url
        said = "WARNING: The candidate selected is a yanked version: 'alpha' candidate (version 1.0 at "
        said += f"{url}#sha256=ab (from file://{page}) (requires-python:>3))\nReason for being yanked: broken\n"
        return report._replace(errors=said)

    monkeypatch.setattr(planning, "resolve_locally", resolve)
    for _ in range(2):
        warning, reason = world.plan("alpha==1.0").errors.splitlines()
        assert warning.endswith(f"candidate (version 1.0 at {world.link(filename)})")
        assert reason == "Reason for being yanked: broken"
    assert world.downloads == 1


def test_pips_log_goes_where_it_is_asked_for(world):
    world.publish("alpha", "1.0")
    world.plan("alpha", log="/a/log")
    assert world.logs == ["/a/log"] * 2
    world.plan("alpha")
    assert world.logs[2:] == [""]


# Order and names


def item(name, *requires, url=""):
    return Item(name, "1", url or f"file:///i/{name}-1-py3-none-any.whl", False, None, requires)


def spell(world, report, **changes):
    return _spellings(begin(world.resources, question(**changes), {}, world), report)


def test_names_are_spelled_as_the_first_requirement_spells_them(world):
    report = Report(
        (item("alpha", "Beta_B>=1", "GAMMA"), item("beta-b", url="file:///i/beta_b-1%2Blocal.tar.gz"), item("gamma")),
        "Processing /i/alpha-1-py3-none-any.whl\n"
        "Processing /i/beta_b-1+local.tar.gz (from Alpha==1->-r file (line 1))\n"
        "Requirement already satisfied: gamma in /x (from alpha)\n",
        "",
    )
    assert spell(world, report, spellings={"alpha": "ALPHA"}) == {"alpha": "ALPHA", "beta-b": "Beta_B"}


def test_the_users_spelling_counts_first(world):
    report = Report((item("alpha", "beta"), item("beta")), "Processing /i/beta-1-py3-none-any.whl (from alpha)\n", "")
    assert spell(world, report, spellings={"beta": "BETA"})["beta"] == "BETA"


def test_the_digest_of_a_request_is_that_of_its_content():
    one = question("a[y,x]>1", constraints=["b<2"])
    named = by_path("/w.whl")._replace(identity="of what it stands for")
    assert roots_digest(question(directs=(named,))) == roots_digest(question(directs=(named._replace(path="/x.whl"),)))
    assert roots_digest(one) == roots_digest(question("a[x,y]>1", constraints=["b<2"], refresh=True, python="/x"))
    for other in (
        question("a[x]>1", constraints=["b<2"]),
        question("a[x,y]>2", constraints=["b<2"]),
        question("a[x,y]>1", constraints=["b<3"]),
        question("a[x,y]>1", "b<2"),
        question("a[x,y]>1", constraints=["b<2"], dependencies=False),
        question("a[x,y]>1", constraints=["b<2"], directs=(by_path("/w.whl"),)),
    ):
        assert roots_digest(other) != roots_digest(one)


def test_metadata_is_parsed_with_its_requirements():
    text = "Name: Alpha\nVersion: 1.0\nRequires-Dist: b>1\nRequires-Dist: c\n\nRequires-Dist: d\n"
    assert parse_metadata(text.encode()) == ("Alpha", "1.0", ["b>1", "c"])
