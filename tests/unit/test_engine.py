"""The engine without pip: what it refuses, chains of builds and plans, threads that want the same, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pip_accel import _preparation, _resources
from pip_accel._build.builder import Prepared
from pip_accel._build.recipe import Recipe
from pip_accel._build_plans import BuildPlans, _Planned
from pip_accel._engine import Engine
from pip_accel._plan import closing, planning
from pip_accel._preparation import Preparation
from pip_accel._process import Ended, run
from pip_accel._values import Archive, Pin
from pip_accel.config import Config
from pip_accel.exceptions import BuildFailed, PipAcceleratorError, Unsupported


def engine():
    config = Config(load_configuration_files=False, load_environment_variables=False)
    resources = SimpleNamespace(
        environ={}, config=config, jobs=1, target=None, kept=True,
        python=None, place=lambda *parts: "/nowhere", note_borrowing=None, directory=None
    )
    return Engine(resources, Recipe(), None, {}, lambda text: None)


def planned(requires, *pins):
    """A plan for build requirements that was made before."""
    return _Planned(tuple(requires), pins, 0.0, True)


@pytest.mark.parametrize(
    ("version", "refused"), [("25.3", True), ("26.0.1", True), ("26.2", False), ("26.3", False), ("27.1.dev0", False)]
)
def test_constraints_that_an_older_pip_also_applies_to_builds_are_left_to_it(monkeypatch, version, refused):
    monkeypatch.setattr(_resources, "host_pip_version", lambda: version)
    assert engine().builder
    constrained = engine()
    constrained.constrained = True
    if refused:
        with pytest.raises(Unsupported, match="constraints"):
            assert constrained.builder
    else:
        assert constrained.builder


@pytest.mark.parametrize(
    ("requirement", "error"),
    [("not a requirement!", BuildFailed), ("alpha @ https://example.com/alpha.whl", Unsupported)],
)
def test_build_requirements_that_cannot_be_planned_are_named(monkeypatch, requirement, error):
    monkeypatch.setattr(BuildPlans, "_recall", lambda self, requires: None)
    with pytest.raises(error, match=requirement.split()[0]):
        engine().build_plans.pins_for([requirement])


# Chains


class Nobody:
    """Stands in for a builder: hands what it is to build to a function."""

    def __init__(self, obtain):
        self.obtain = obtain
        self.built = []

    def lasts(self, pin):
        return bool(pin.archive.sha256)


def pin(name):
    return Pin(name, "1.0", Archive(f"/archives/{name}-1.0.tar.gz", f"{name}-1.0.tar.gz", sha256=name), False, "")


def needing(needs, monkeypatch):
    """An engine for projects that are built from what others are: ``needs`` by name."""
    made = engine()
    order = []

    def obtain(pin, prepared):
        for name in needs[pin.name]:
            for each in made.build_plans.pins_for([name]):
                made._build(each, None)
        order.append(pin.name)
        return pin.archive

    monkeypatch.setattr(BuildPlans, "_recall", lambda self, requires: planned(requires, *map(pin, requires)))
    monkeypatch.setattr(BuildPlans, "_remember", lambda self, planned: None)
    made._builder = Nobody(obtain)
    return made, order


def test_what_a_build_needs_is_built_before_it(monkeypatch):
    made, order = needing({"alpha": ["beta", "gamma"], "beta": ["gamma"], "gamma": []}, monkeypatch)
    made._build(pin("alpha"), None)
    assert order == ["gamma", "beta", "gamma", "alpha"]


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param({"alpha": ["alpha"]}, id="itself"),
        pytest.param({"alpha": ["beta"], "beta": ["alpha"]}, id="each other"),
        pytest.param({"alpha": ["beta"], "beta": ["gamma", "alpha"], "gamma": []}, id="each other, and a third"),
        pytest.param({"alpha": ["beta"], "beta": ["gamma"], "gamma": ["alpha"]}, id="in a circle"),
    ],
)
def test_what_needs_itself_to_be_built_is_an_error(needs, monkeypatch):
    made, order = needing(needs, monkeypatch)
    with pytest.raises(BuildFailed, match="alpha needs itself"):
        made._build(pin("alpha"), None)
    assert "alpha" not in order


def test_what_only_others_need_in_a_circle_is_an_error_too(monkeypatch):
    made, _ = needing({"alpha": ["beta"], "beta": ["gamma"], "gamma": ["beta"]}, monkeypatch)
    with pytest.raises(BuildFailed, match="beta needs itself"):
        made._build(pin("alpha"), None)


@pytest.mark.parametrize(
    ("plans", "asked"),
    [
        pytest.param({"alpha": "alpha"}, "alpha", id="itself"),
        pytest.param({"alpha": "beta", "beta": "alpha"}, "alpha", id="each other"),
        pytest.param({"alpha": "beta>1, <3", "beta>1, <3": "alpha"}, "alpha", id="with bounds"),
    ],
)
def test_plans_that_need_each_other_are_an_error(plans, asked, monkeypatch):
    """For the metadata of one its build requirements are planned, while their plan waits for that."""

    def recall(self, requires):
        return self.pins_for([plans[", ".join(requires)]])

    monkeypatch.setattr(BuildPlans, "_recall", recall)
    made = engine()
    with pytest.raises(BuildFailed, match="require each other"):
        made.build_plans.pins_for([asked])
    assert made.chain.links == ()


def test_after_a_failure_nothing_is_taken_for_a_circle(monkeypatch):
    needs = {"alpha": ["beta"], "beta": ["alpha"]}
    made, order = needing(needs, monkeypatch)
    with pytest.raises(BuildFailed):
        made._build(pin("alpha"), None)
    needs["beta"] = []
    made._build(pin("alpha"), None)
    assert order == ["beta", "alpha"]


# Threads


def in_threads(function, count=6):
    """Call a function in several threads at once; give the results."""
    together = threading.Barrier(count, timeout=10)

    def call():
        together.wait()
        return function()

    with ThreadPoolExecutor(count) as threads:
        return [future.result(20) for future in [threads.submit(call) for _ in range(count)]]


@pytest.mark.parametrize("closes", [True, False], ids=["the view then tells", "only pip can tell"])
def test_what_many_threads_require_is_fetched_and_planned_once(closes, monkeypatch):
    fetched, planned = [], []

    def fetch(*arguments, **options):
        time.sleep(0.05)
        fetched.append(threading.current_thread().name)

    def plan(self, question, environ):
        planned.append(threading.current_thread().name)
        return SimpleNamespace(pins=(pin("beta"),), online=False, lasting=False)

    monkeypatch.setattr(planning, "fetch", fetch)
    monkeypatch.setattr(Engine, "plan", plan)
    monkeypatch.setattr(BuildPlans, "_recall", lambda self, requires: None)
    monkeypatch.setattr(BuildPlans, "_remember", lambda self, planned: None)
    monkeypatch.setattr(closing, "plan_from_winners", lambda *given: (pin("beta"),) if fetched and closes else None)
    monkeypatch.setattr(Engine, "preparing", lambda self, environ, pinned=None: nullcontext(({}, None)))
    made = engine()
    found = in_threads(lambda: made.build_plans.pins_for(["beta"]))
    assert found == [(pin("beta"),)] * 6
    assert len(fetched) == 1
    assert len(planned) == (0 if closes else 1)


def test_what_many_threads_want_built_is_built_once():
    built = []

    def obtain(pin, prepared):
        time.sleep(0.05)
        built.append(pin.name)
        return pin.archive

    with stored(obtain) as made:
        found = in_threads(lambda: made._obtain([pin("alpha"), pin("beta")]))
    assert sorted(built) == ["alpha", "beta"]
    assert found == [[pin("alpha").archive, pin("beta").archive]] * 6


def test_a_directory_is_told_by_its_path():
    """It has no digest; two of them are two, whatever their projects are called."""
    built = []

    def obtain(pin, prepared):
        built.append(pin.archive.path)
        return pin.archive

    pins = [pin("alpha")._replace(archive=Archive(path, "alpha", "")) for path in ("/one", "/two", "/one")]
    with stored(obtain) as made:
        made.preparation._described = dict.fromkeys(("/one", "/two"), (b"", None))
        made._obtain(pins)
    assert sorted(built) == ["/one", "/two"]


class Everything:
    """Stands in for a store that has everything."""

    def find_sound(self, sha256):
        return True


def stored(obtain, jobs=2):
    made = engine()
    made.resources.jobs = jobs
    made.resources.store = Everything()
    made.resources.open_store = lambda root: Everything()
    made.resources.directory = lambda name: "/nowhere"
    made._builder = Nobody(obtain)
    return made


# The end


def endless(marker):
    """A program that starts another one, says that it runs, and never ends."""
    code = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    code += f"open({str(marker)!r}, 'w').close()\ntime.sleep(600)"
    return [sys.executable, "-c", code]


def processes(sign):
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/environ", "rb") as stream:
                if os.fsencode(sign) in stream.read():
                    found.append(number)
        except OSError:
            pass
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, None], ids=["interrupted", "failed", "left"])
def test_when_it_is_left_nothing_goes_on(error, tmp_path):
    """Builds that go on are ended with all that they started; those that wait never begin."""
    markers = [tmp_path / name for name in ("one", "two", "three")]
    environ = {"PATH": os.environ["PATH"], "SIGN": str(tmp_path)}
    ended = []

    def obtain(pin, prepared):
        try:
            run(endless(tmp_path / pin.name), env=environ)
        except Ended:
            ended.append(pin.name)
            raise

    threads = threading.active_count()
    with pytest.raises(error) if error is not None else nullcontext(), stored(obtain) as made:
        for name in ("one", "two", "three"):
            made.begin(pin(name), None)
        wait_until(lambda: markers[0].exists() and markers[1].exists())
        assert processes(tmp_path)
        if error is not None:
            raise error
    assert processes(tmp_path) == []
    assert sorted(ended) == ["one", "two"]
    assert not markers[2].exists()
    wait_until(lambda: threading.active_count() <= threads)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_when_it_is_left_no_build_backend_is_answered_any_more(tmp_path, monkeypatch):
    """The program of the answer is ended, and the thread that waited for it is gone."""
    marker = tmp_path / "marker"

    def prepare(self, pass_, source, directory, kind):
        run(endless(marker), env={"PATH": os.environ["PATH"], "SIGN": str(tmp_path)})
        raise AssertionError("it has ended by itself")

    monkeypatch.setattr(Preparation, "_prepare", prepare)
    made = engine()
    made.resources.temporary = str(tmp_path)
    made.resources.directory = lambda name: str(tmp_path)
    threads = threading.active_count()
    answers = []

    def ask(path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b'{"pass": "1", "source": "/s", "directory": "/d", "kind": ""}\n')
            answers.append(connection.makefile().readline())

    with pytest.raises(KeyboardInterrupt), made, made.preparing({}) as (environ, _):
        client = threading.Thread(target=ask, args=(json.loads(environ["PIP_ACCEL_PREPARE"])["socket"],))
        client.start()
        wait_until(marker.exists)
        raise KeyboardInterrupt
    client.join(10)
    assert processes(tmp_path) == []
    assert [json.loads(answer) for answer in answers] == [{"error": "The run has ended"}]
    wait_until(lambda: threading.active_count() <= threads)


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


# What pip is told


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("alpha", "1.0", "alpha-1.0.dist-info"),
        ("Zope.Interface", "8.0.post1+local.1", "Zope_Interface-8.0.post1+local.1.dist-info"),
        ("a-b", "1!2.0", "a_b-1!2.0.dist-info"),
    ],
)
def test_the_metadata_directory_has_the_version_as_it_is_spelled(name, version, expected, tmp_path):
    """pip reads it there."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
    assert _preparation._write_metadata(metadata, str(tmp_path)) == expected
    assert (tmp_path / expected / "METADATA").read_bytes() == metadata


@pytest.mark.parametrize(
    ("name", "version"), [("alpha", "1/../../out"), ("alpha", "1.0/in"), ("in/alpha", "1.0"), ("alpha", "1.0\\in")]
)
def test_a_name_that_leads_elsewhere_is_refused(name, version, tmp_path):
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
    directory = tmp_path / "one" / "two"
    directory.mkdir(parents=True)
    with pytest.raises(PipAcceleratorError):
        _preparation._write_metadata(metadata, str(directory))
    assert list(tmp_path.rglob("METADATA")) == []


# Source trees: those of pip, and the user's own


class Trees:
    """Stands in for a builder: what it prepares is called after the directory."""

    def __init__(self):
        self.prepared = []

    def prepare(self, source, label, directory, project="", *, in_place=False, editable=False):
        self.prepared.append((source, label, project, in_place, editable))
        name = os.path.basename(source).partition("_")[0]
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        return Prepared(source, None, {}, False, editable=editable)._replace(metadata=metadata)


@pytest.fixture
def preparing(tmp_path, monkeypatch):
    """An engine with a pip that plans: the engine, what it makes of the trees, and the temporary directory of pip."""
    monkeypatch.setattr(Prepared, "read_metadata", lambda self: self.metadata)
    monkeypatch.setattr(Preparation, "_prepare_tree", prepare_tree)
    made = engine()
    made._builder = Trees()
    made.resources.temporary = str(tmp_path)
    made.resources.directory = lambda name: tempfile.mkdtemp(dir=tmp_path, prefix=name)
    with made, made.preparing({}) as (environ, sources):
        yield made, sources, environ["TMPDIR"]


def prepare_tree(self, source, label, *, released=True):
    prepared = self._workshop.builder.prepare(source, label, "", in_place=not released)
    return prepared.metadata, prepared


def answer(made, source, directory, kind=""):
    os.makedirs(directory)
    return made.preparation._answer("1", str(source), str(directory), kind)


def test_the_metadata_of_an_editable_is_prepared_once_and_in_place(preparing, tmp_path):
    made, sources, _ = preparing
    project = tmp_path / "alpha"
    project.mkdir()
    (tmp_path / "link").symlink_to(project)
    first = made.preparation.describe_editable(str(tmp_path / "link"), "al-pha")
    assert made.preparation.describe_editable(str(project), "") == first
    assert answer(made, project, tmp_path / "out", "editable") == "link-1.0.dist-info"
    assert (tmp_path / "out" / "link-1.0.dist-info" / "METADATA").read_bytes() == first
    assert made.builder.prepared == [(str(tmp_path / "link"), "alpha", "al-pha", True, True)]
    assert sources.sole() is None


def test_the_sole_answer_of_a_pip_is_known(preparing, tmp_path):
    made, sources, place = preparing
    assert sources.sole() is None
    for number, name in enumerate(("alpha_x", "beta_y")):
        os.makedirs(os.path.join(place, name))
        answer(made, os.path.join(place, name), tmp_path / f"out{number}")
        metadata, prepared = sources.sole() or (b"", None)
        assert (b"Name: alpha" in metadata) is (number == 0)
        assert (prepared is not None) is (number == 0)


@pytest.mark.parametrize(("whole", "kept"), [(False, ["setup.py"]), (True, ["sub", "top.txt"])])
def test_of_a_repository_all_is_kept(preparing, tmp_path, whole, kept):
    made, sources, place = preparing
    source = os.path.join(place, "install-x", "alpha_y", "sub") if not whole else os.path.join(place, "alpha_y", "sub")
    os.makedirs(source)
    for path in (os.path.join(source, "setup.py"), os.path.join(os.path.dirname(source), "top.txt")):
        with open(path, "w", encoding="utf-8"):
            pass
    if whole:
        sources.expect_repository()
    answer(made, source, tmp_path / "out")
    tree = sources.sole()[1].source
    assert os.listdir(tree) == ["setup.py"]
    assert sorted(os.listdir(os.path.dirname(tree) if whole else tree)) == kept
    assert os.listdir(source) == []  # where pip works on
    assert not tree.startswith(place)
    assert made.builder.prepared[0][3] is whole  # what is called like the metadata of an sdist is none there
