"""Hostile archives: nothing of them gets through, and they take neither memory nor disk nor time."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import stat
import subprocess
import types
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from pip_accel import _fs, _guards, _plausibility
from pip_accel._archives import Contents, Entry, is_whole, record_digest, write_bdist
from pip_accel._build.builder import Buildable, Builder
from pip_accel._build.key import key_digest
from pip_accel._build.source import check_sdist, unpack_sdist
from pip_accel._environment import find_target
from pip_accel._index import Known
from pip_accel._plausibility import check_member_name
from pip_accel._sharing import Found, Offer, Sdist, Sharing, _spell
from pip_accel._store import Store
from pip_accel._values import Archive
from pip_accel.exceptions import UnsafeArchive, Unsupported
from tests.lib import hostile
from tests.lib.archives import make_wheel
from tests.lib.environments import clean_environ, make_environment
from tests.lib.hostile import ABSENT, DAMAGED, LEFT, PLAIN, UNSAFE, Code, run_bounded
from tests.lib.runs import PIP, PIP_ACCEL
from tests.lib.trees import snapshot

ERRORS = {UNSAFE: "UnsafeArchive", DAMAGED: "DamagedSourceDistribution", LEFT: "Unsupported", ABSENT: "UnsafeArchive"}
LARGEST = 8 << 20  # bytes that a hostile archive may leave


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="module")
def target():
    return find_target(None)


@pytest.fixture
def ground(tmp_path):
    """Directories that an archive is unpacked in the middle of, with files around that nobody may touch."""
    deep = tmp_path.joinpath(*"123456")
    deep.mkdir(parents=True)
    for place in (deep, *deep.parents[:6]):
        (place / "canary.txt").write_text("canary")
    return deep


def around(directory, *left_out):
    """Give what there is below a directory, but for some directories, which may have what is too long for its name."""
    found = {}
    for place, directories, names in os.walk(directory):
        paths = [os.path.join(place, name) for name in (*directories, *names)]
        directories[:] = [name for name in directories if os.path.join(place, name) not in left_out]
        for path in paths:
            if path not in left_out:
                status = os.lstat(path)
                found[path] = status.st_mode, status.st_size, status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
    return found


@contextmanager
def nothing_else_changes(directory, left_out):
    """See that all below a directory stays as it was, but for one directory in it."""
    before = around(str(directory), str(left_out))
    yield
    assert around(str(directory), str(left_out)) == before


def write(case, directory, *arguments):
    path, data = os.path.join(directory, case.filename), case.make(*arguments)
    with open(path, "wb") as stream:
        stream.write(data)
    return path


def files_below(directory):
    found = (os.path.join(place, name) for place, _, names in os.walk(directory) for name in names)
    return sorted(os.path.relpath(path, directory) for path in found)


def check_that_it_is_plain(directory):
    """See that there is nothing below a directory but files and directories, with modes that mean nothing."""
    size = 0
    for name, (mode, content) in snapshot(str(directory)).items():
        if stat.S_ISLNK(mode):
            assert not os.path.isabs(content), name
        else:
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), name
            assert not mode & 0o7022, (name, oct(mode))
        size += len(content)
    assert size < LARGEST


def check(case, outcome):
    """See that a case ended as its table says, with an error that names the archive and what is wrong in it."""
    expected = ERRORS.get(case.ours, "")
    assert outcome.error == expected, outcome
    if expected:
        said = " ".join(outcome.said.split())
        assert case.filename in said or "alpha 1.0" in said
        assert case.says in said


def archive_at(path):
    return Archive(path, os.path.basename(path), _fs.hash_file(path))


def make_store(ground, target):
    return Store(str(ground / "store"), target, umask=0o022, jobs=1)


@each(hostile.WHEELS)
def test_a_hostile_wheel_is_refused_or_without_effect(case, ground, tmp_path, target):
    path = write(case, ground)
    with nothing_else_changes(tmp_path, ground / "store"):
        outcome = run_bounded(lambda: make_store(ground, target).add([archive_at(path)])[0].path)
    check(case, outcome)
    if case.ours != PLAIN:
        assert files_below(ground / "store") == []
    check_that_it_is_plain(ground / "store")


@each(hostile.SDISTS)
def test_a_hostile_sdist_is_refused_or_without_effect(case, ground, tmp_path):
    path, into = write(case, ground), ground / "into"
    with nothing_else_changes(tmp_path, into):
        outcome = run_bounded(lambda: unpack_sdist(path, str(into)))
    check(case, outcome)
    if case.ours in (UNSAFE, LEFT):
        assert files_below(into) == []
    check_that_it_is_plain(into)


@each([case for case in hostile.SDISTS if case.id.startswith(("bomb-zeros", "bomb-pax", "truncated", "encrypted"))])
def test_a_hostile_sdist_is_not_even_looked_at_to_its_end(case, tmp_path):
    path = write(case, tmp_path)
    check(case, run_bounded(lambda: check_sdist(path)))


@each(hostile.BUILT)
def test_a_hostile_archive_of_a_cache_counts_as_absent(case, ground, tmp_path, target):
    path = write(case, ground)


    def look_and_unpack():
        assert is_whole(path) == (case.ours == PLAIN)
        make_store(ground, target).add([archive_at(path)])

    with nothing_else_changes(tmp_path, ground / "store"):
        outcome = run_bounded(look_and_unpack)
    check(case, outcome)
    if case.ours != PLAIN:
        assert files_below(ground / "store") == []
    check_that_it_is_plain(ground / "store")


# Byte code


@pytest.fixture(scope="module")
def compiled(target, tmp_path_factory):
    """A wheel of one module, and its byte code as it is made here."""
    place = tmp_path_factory.mktemp("compiled")
    archive = archive_at(make_wheel(str(place), "alpha", "1.0", files={"alpha.py": "x = 1\n"}))
    store = make_store(place, target)
    (tree,) = store.add([archive])
    path = f"__pycache__/alpha.{target.cache_tag}.pyc"
    with open(os.path.join(tree.byte_code, "purelib", path), "rb") as stream:
        return archive, Code(store.name_byte_code(archive.sha256), path, stream.read())


def add_with_byte_code(ground, target, compiled, path):
    """Unpack a wheel where there is byte code of another machine; say whether that was taken, and what is there."""
    archive, code = compiled

    def add():
        store = make_store(ground, target)
        store.packed[archive.sha256] = path
        (tree,) = store.add([archive])
        with open(os.path.join(tree.byte_code, "purelib", code.path), "rb") as stream:
            return tree.byte_code.endswith("-borrowed"), stream.read() == code.data, files_below(tree.byte_code)

    return run_bounded(add)


@each(hostile.BYTE_CODE)
def test_hostile_byte_code_is_made_here(case, ground, tmp_path, target, compiled):
    path = write(case, ground, compiled[1])
    with nothing_else_changes(tmp_path, ground / "store"):
        outcome = add_with_byte_code(ground, target, compiled, path)
    expected = [False, True, ["manifest.json", f"purelib/{compiled[1].path}"]]
    assert (outcome.error, json.loads(outcome.said)) == ("", expected), outcome
    check_that_it_is_plain(ground / "store")


def test_byte_code_that_is_as_it_has_to_be_is_taken(ground, target, compiled):
    path = ground / "packed"
    path.write_bytes(hostile.code_of(compiled[1]))
    outcome = add_with_byte_code(ground, target, compiled, str(path))
    assert json.loads(outcome.said)[:2] == [True, True], outcome


# Plans

QUESTION = "0123456789abcdef" * 2
SHA256 = "ab" * 32
FACTS = {"requires": ["setuptools"], "dynamic": [], "variables": {}, "binding": False}
OFFER = Offer(
    (Found("Alpha", "1.0", "alpha", "alpha-1.0.tar.gz", SHA256, True, None, "", (Known(frozenset(), "1", 1.0, ""),)),),
    "", "", 1.0, {"alpha": "Alpha"}, {SHA256: Sdist("Name: Alpha\n", FACTS, "")}, (), (),
    "100%%\nfrom %(module)s import %(import_name)s\n%(func)s()\n", True, frozenset({"alpha"}),
)  # fmt: skip


def find_plan(path):
    """Say whether a plan is taken that a cache gives."""
    caches = SimpleNamespace(fetch=lambda name, is_sound: path if os.path.exists(path) and is_sound(path) else None)
    resources = SimpleNamespace(index=None, store=None)
    return run_bounded(lambda: Sharing(resources, caches).find(QUESTION) is not None)


@each(hostile.PLANS)
def test_a_hostile_plan_counts_as_absent(case, ground, tmp_path):
    path = write(case, ground, json.loads(json.dumps(_spell(OFFER, QUESTION, 0))))
    with nothing_else_changes(tmp_path, ground / "store"):
        outcome = find_plan(path)
    assert (outcome.error, outcome.said) == ("", "false"), outcome


def test_a_plan_that_is_as_it_has_to_be_is_taken(tmp_path):
    path = tmp_path / "0.json.gz"
    path.write_bytes(gzip.compress(json.dumps(_spell(OFFER, QUESTION, 0)).encode()))
    assert find_plan(str(path)).said == "true"


# More


def test_an_archive_under_the_name_of_another_is_not_found(tmp_path):
    """Whoever fills a cache may write any digest of a key into a manifest, and any name."""
    own, other = ({"name": "alpha", "version": "1", "salt": salt} for salt in ("", "other"))
    paths = [tmp_path / f"{number}.tar.gz" for number in range(2)]
    for path, key in zip(paths, (other, own), strict=True):
        path.write_bytes(hostile.built_of(key=key, **{"key-digest": key_digest(own)}))
    resources = SimpleNamespace(
        jobs=1, target=None, environ={}, origin_of=lambda sha256: ("built", 0.0),
        store=SimpleNamespace(find_sound=lambda sha256: None),
    )  # fmt: skip
    caches = SimpleNamespace(candidates=lambda buildable, alone: map(str, paths))
    builder = Builder(resources, SimpleNamespace(own=False), caches, None, None, None, None)
    found = builder._find(Buildable(own, "tag"))
    assert found is not None and found.path == str(paths[1])


@pytest.mark.parametrize("name", hostile.WINDOWS_NAMES)
def test_names_with_a_meaning_on_windows_are_refused_there(name, monkeypatch):
    assert check_member_name(name, "alpha.whl") == name
    monkeypatch.setattr(_plausibility, "os", types.SimpleNamespace(name="nt"))
    with pytest.raises(UnsafeArchive, match=r"alpha\.whl"):
        check_member_name(name, "alpha.whl")


@pytest.mark.parametrize("name", ["a/console.py", "a/nul_.py", "a/com.py", "a/lpt/x", "auxiliary", ".a/b", "a b/..c"])
def test_names_without_one_are_not(name, monkeypatch):
    monkeypatch.setattr(_plausibility, "os", types.SimpleNamespace(name="nt"))
    assert check_member_name(name, "alpha.whl") == name


ENTRIES = [
    pytest.param([("purelib", "a.py"), ("purelib", "A.py")], id="case"),
    pytest.param([("purelib", "a"), ("purelib", "a/b")], id="file and directory"),
    pytest.param([("scripts", "python3")], id="interpreter"),
    pytest.param([("purelib", "a\nb")], id="line feed"),
    pytest.param([("purelib", "e" * 300)], id="long name"),
    pytest.param([("purelib", str(number)) for number in range(5)], id="many files"),
]


@pytest.mark.parametrize("places", ENTRIES)
def test_what_nobody_would_take_is_not_written(places, tmp_path, monkeypatch):
    """What a build left may be odd, too: pip does that then, and no archive of ours is damaged when it is read."""
    monkeypatch.setattr(_guards, "_MOST_FILES", 4)
    entries = [Entry(scheme, path, False, False, record_digest(b""), b"") for scheme, path in places]
    contents = Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries)
    with pytest.raises(Unsupported, match=r"alpha 1\.0"), open(tmp_path / "a.tar.gz", "wb") as stream:
        write_bdist(contents, stream, key={}, key_digest="", revision=8, version="3.12")


def test_what_packs_too_well_is_not_written(monkeypatch):
    monkeypatch.setattr(_guards, "_ROOM", 1 << 20)
    entries = [Entry("data", "zeros", False, False, "", bytes(2 << 20))]
    contents = Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries)
    with pytest.raises(Unsupported, match=r"alpha 1\.0 packs too well"):
        write_bdist(contents, io.BytesIO(), key={}, key_digest="", revision=8, version="3.12")


def test_the_table_has_what_it_is_for():
    cases = [*hostile.WHEELS, *hostile.SDISTS, *hostile.BUILT, *hostile.BYTE_CODE, *hostile.PLANS]
    assert sum(case.ours != PLAIN for case in cases) > 400
    text = Path(__file__).parents[2].joinpath("docs", "reliability.rst").read_text(encoding="utf-8")
    assert re.findall(r"(\d+) odd archives", text) == [str(len(cases))]
    assert {case.ours for case in hostile.WHEELS} == {UNSAFE, LEFT, PLAIN}
    # What pip installs never fails with us.
    assert not [case.id for case in hostile.WHEELS if case.ours == UNSAFE and case.pip != "refuses"]


# pip is the judge


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return make_environment(str(tmp_path_factory.mktemp("environment") / "env"))


def install(program, path, directory, environment):
    """Install an archive with pip or pip-accel: the status, what is in the prefix then, and what was said."""
    deep = os.path.join(directory, *"1234567")
    prefix, temporary = os.path.join(deep, *"123", "prefix"), os.path.join(deep, "tmp")
    for place in (prefix, temporary):
        os.makedirs(place)
    words = ["install", "--no-index", "--no-deps", "--no-compile", "--ignore-installed", "--prefix", prefix]
    environ = clean_environ(TMPDIR=temporary, PIP_ACCEL_CACHE=os.path.join(directory, "data"), PIP_NO_CACHE_DIR="1")
    before = around(directory, deep)
    command = [*program, "--python", environment.python, *words, path]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, errors="replace")
    assert program is PIP or around(directory, deep, os.path.join(directory, "data")) == before
    found = snapshot(prefix)
    shutil.rmtree(deep)
    return done.returncode, found, done.stdout + done.stderr


@pytest.mark.slow
@each([case for case in (*hostile.WHEELS, *hostile.SDISTS) if case.pip])
def test_pip_does_what_the_table_says_and_we_do_no_more(case, tmp_path, environment):
    path = write(case, tmp_path)
    status, expected, said = install(PIP, path, str(tmp_path / "p"), environment)
    assert (status == 0) == (case.pip == "installs"), said
    status, found, said = install(PIP_ACCEL, path, str(tmp_path / "a"), environment)
    assert "Traceback" not in said or case.ours == LEFT
    if case.ours in (UNSAFE, DAMAGED):
        assert status != 0
        assert found == {}
    else:
        assert (status == 0) == (case.pip == "installs"), said
        assert status != 0 or found == expected
