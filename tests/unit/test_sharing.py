"""What machines share: plans in numbers, and what is made of those that anybody may have written."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pip_accel import _sharing
from pip_accel._index import Answer, Known, LocalIndex
from pip_accel._sharing import Found, Offer, Requirements, Sdist, Sharing
from pip_accel.caches import AbstractCacheBackend, CacheManager
from pip_accel.config import Config
from tests.lib.archives import make_wheel

QUESTION = "0123456789abcdef" * 2
SHA256 = "ab" * 32
KNOWN = Known(frozenset({">=1"}), "1", 100.0, "")
FOUND = Found("Alpha", "1.0", "alpha", "alpha-1.0.tar.gz", SHA256, True, None, "https://i/alpha-1.0.tar.gz", (KNOWN,))
FACTS = {"requires": ["setuptools"], "dynamic": [], "variables": {"CC": ""}, "binding": False}
OFFER = Offer(
    (FOUND,),
    "",
    "WARNING: alpha 1.0 does not provide the extra 'more'",
    100.0,
    {"alpha": "Alpha"},
    {SHA256: Sdist("Name: Alpha\n", FACTS, "")},
    (Requirements(("setuptools",), (("setuptools", "84", "setuptools-84-py3-none-any.whl", "cd" * 32),), 90.0),),
    (SHA256,),
    "from %(module)s import %(import_name)s\nraise SystemExit(%(func)s())\n",
    straight=True,
    searched=frozenset({"alpha", "beta"}),
)


class Bucket(AbstractCacheBackend):
    """Keeps files in memory, and counts what it is asked for."""

    def __init__(self, config):
        super().__init__(config)
        self.files = {}
        self.asked = []

    def fetch(self, filename, path):
        self.asked.append(filename)
        if filename not in self.files:
            return False
        with open(path, "wb") as stream:
            stream.write(self.files[filename])
        return True

    def has(self, filename):
        return filename in self.files

    def put(self, filename, handle):
        self.files[filename] = handle.read()


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    from pip_accel import caches

    monkeypatch.setattr(caches, "_registered", [])
    monkeypatch.setattr(CacheManager, "_load_entry_points", lambda self: None)
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "data")
    return Bucket(config)


@pytest.fixture
def said():
    return []


@pytest.fixture
def sharing(bucket, said, tmp_path):
    """Makes a fresh one at each call, of a machine with this index."""
    index = LocalIndex(str(tmp_path / "index"), "tag")

    def make():
        manager = CacheManager(bucket.config, on_report=said.append)
        manager._backends = [bucket]
        manager._calling[id(bucket)] = nullcontext()
        store = SimpleNamespace(
            has=lambda sha256: True, find_sound=lambda sha256: None, name_byte_code=lambda each: each
        )
        resources = SimpleNamespace(index=index, store=store, directory=lambda name: str(tmp_path))
        return Sharing(resources, manager)

    return make


def name(number):
    return f"plans/v2/01/{QUESTION}/{number}.json.gz"


def write(bucket, number, offer):
    bucket.files[name(number)] = gzip.compress(json.dumps(_sharing._spell(offer, QUESTION, number)).encode())


def test_a_plan_comes_back_as_it_was_given(sharing, bucket):
    sharing().publish(QUESTION, OFFER, [])
    assert list(bucket.files) == [name(0)]
    assert sharing().find(QUESTION) == OFFER


def test_what_is_not_there_is_not_found(sharing):
    assert sharing().find(QUESTION) is None


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 100, 1000])
def test_the_newest_plan_is_found_with_few_requests(count, sharing, bucket):
    for number in range(count):
        write(bucket, number, OFFER._replace(learned=100.0 + number))
    found = sharing().find(QUESTION)
    assert found is not None and found.learned == 100.0 + count - 1
    assert len(bucket.asked) <= 2 + 2 * count.bit_length()


NEWER = OFFER._replace(learned=200.0)
OTHER = NEWER._replace(found=(FOUND._replace(version="2.0"),))


@pytest.mark.parametrize(
    "offer, max_age, numbers",
    [
        pytest.param(OTHER, None, [0, 1], id="another answer"),
        pytest.param(NEWER, None, [0], id="the same"),
        pytest.param(NEWER, 60.0, [0, 1], id="the same, whose age matters"),
        pytest.param(OTHER._replace(learned=50.0), 60.0, [0], id="an older one"),
        pytest.param(OTHER._replace(learned=100.0), None, [0, 1], id="another one of the same age"),
    ],
)
def test_a_plan_is_given_if_it_says_more(offer, max_age, numbers, sharing, bucket):
    sharing().publish(QUESTION, OFFER, [])
    bucket.config.index_max_age = max_age
    sharing().publish(QUESTION, offer, [])
    assert sorted(bucket.files) == [name(number) for number in numbers]


def test_a_plan_is_given_after_what_it_names(sharing, bucket, tmp_path):
    maker = sharing()
    archive = maker._index.add(make_wheel(str(tmp_path / "wheels"), "alpha", "1.0"))
    built = tmp_path / "built.tar.gz"
    built.write_bytes(b"built")
    offer = OFFER._replace(found=(FOUND._replace(filename=archive.filename, sha256=archive.sha256),))
    assert maker.publish(QUESTION, offer, [("v8/x/x.tar.gz", str(built))]) == 2
    *others, last = bucket.files
    assert sorted(others) == [f"archives/{archive.sha256[:2]}/{archive.sha256}/{archive.filename}", "v8/x/x.tar.gz"]
    assert last == name(0)


def test_archives_come_into_the_index_with_their_metadata(sharing, bucket, tmp_path):
    path = make_wheel(str(tmp_path / "wheels"), "alpha", "1.0")
    maker = sharing()
    with open(path, "rb") as stream:
        content = stream.read()
    import hashlib

    sha256 = hashlib.sha256(content).hexdigest()
    bucket.files[f"archives/{sha256[:2]}/{sha256}/alpha-1.0-py3-none-any.whl"] = content
    maker.fetch({sha256: "alpha-1.0-py3-none-any.whl"})
    archive = maker._index.locate(sha256, "alpha-1.0-py3-none-any.whl")
    assert os.path.exists(archive.path)
    assert b"Name: alpha" in maker._index.metadata(archive)
    assert not os.path.exists(
        os.path.join(bucket.config.binary_cache, "archives", sha256[:2], sha256, archive.filename)
    )


def test_an_archive_with_another_digest_is_not_taken(sharing, bucket, said):
    bucket.files[f"archives/{SHA256[:2]}/{SHA256}/alpha-1.0-py3-none-any.whl"] = b"something else"
    maker = sharing()
    maker.fetch({SHA256: "alpha-1.0-py3-none-any.whl"})
    assert not os.path.exists(maker._index.locate(SHA256, "alpha-1.0-py3-none-any.whl").path)
    assert len(said) == 1


def test_what_was_learned_elsewhere_is_known_here(sharing, tmp_path):
    maker = sharing()
    archive = maker._index.add(make_wheel(str(tmp_path / "wheels"), "alpha", "1.0"))
    rows = (KNOWN, KNOWN._replace(roots="roots"))
    found = FOUND._replace(filename=archive.filename, sha256=archive.sha256, known=rows, yanked="bad")
    maker.learn(OFFER._replace(found=(found,)), lambda project: "view", "roots here")
    assert [(each.version, each.roots) for each in maker._index.known("view", "alpha")] == [
        ("1", ""),
        ("1", "roots here"),
    ]
    assert maker._index.archives_in_view("view", "alpha")[0].yanked == "bad"
    assert maker._index.answer_to("roots here") == Answer({"alpha": "1"}, 100.0, True, frozenset({"alpha", "beta"}))


def test_what_is_known_here_of_an_sdist_stays(sharing, tmp_path):
    maker = sharing()
    path = tmp_path / "alpha-1.0.tar.gz"
    path.write_bytes(b"an sdist")
    archive = maker._index.add(str(path))
    found = FOUND._replace(filename=archive.filename, sha256=archive.sha256)
    for metadata in ("Name: Alpha\n", "Name: Beta\n"):
        sdists = {archive.sha256: Sdist(metadata, FACTS, "")}
        maker.learn(OFFER._replace(found=(found,), sdists=sdists), lambda project: "view", "roots")
        assert maker._index.metadata(archive) == b"Name: Alpha\n"


def spelled(**changes):
    value = json.loads(json.dumps(_sharing._spell(OFFER, QUESTION, 0)))
    return {**value, **changes}


def found_with(place, value):
    row = copy.deepcopy(spelled()["found"][0])
    row[place] = value
    return spelled(found=[row])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([], id="no object"),
        pytest.param({}, id="nothing"),
        pytest.param(spelled(format=3), id="an unknown format"),
        pytest.param(spelled(question="another"), id="the answer to something else"),
        pytest.param(found_with(0, "alpha\x1b[2J"), id="a name that moves the cursor"),
        pytest.param(found_with(0, 1), id="a name that is none"),
        pytest.param(found_with(2, "../../alpha"), id="a project outside of its place"),
        pytest.param(found_with(3, "../alpha-1.0.tar.gz"), id="a file outside of its place"),
        pytest.param(found_with(3, "alpha"), id="a file that is no archive"),
        pytest.param(found_with(3, "alpha-1.0\0.tar.gz"), id="a name that ends early"),
        pytest.param(found_with(3, "alpha-1.0\x1b[31m.tar.gz"), id="a file that moves the cursor"),
        pytest.param(found_with(4, "../" * 22), id="a digest that is a path"),
        pytest.param(found_with(8, [["1"]]), id="knowledge that is none"),
        pytest.param(spelled(sdists={"..": ["", FACTS, ""]}), id="an sdist outside of its place"),
        pytest.param(spelled(sdists={SHA256: ["", {"requires": 1}, ""]}), id="facts that are none"),
        pytest.param(
            spelled(builds=[[["a"], [["a", "1", "../a-1.tar.gz", SHA256]]]]), id="a build outside of its place"
        ),
        pytest.param(spelled(trees=["../x"]), id="byte code outside of its place"),
        pytest.param(spelled(learned="yesterday"), id="no time"),
        pytest.param(spelled(learned=float("nan")), id="a time that is no number"),
        pytest.param(spelled(template="import os"), id="launchers of nothing"),
        pytest.param(spelled(searched=["../alpha"]), id="a search for a path"),
        pytest.param(spelled(searched=None), id="no searches"),
        pytest.param(spelled(template="%(module)s %(import_name)s %(func)s %(more)s"), id="launchers of more"),
        pytest.param(found_with(0, "beta"), id="the name of another project"),
        pytest.param(found_with(1, "2.0"), id="another version than its file"),
        pytest.param(spelled(found=spelled()["found"] * 2), id="one project twice"),
        pytest.param(spelled(sdists={}), id="an sdist without metadata"),
        pytest.param(spelled(spellings={"alpha": ".."}), id="a spelling that is a path"),
        pytest.param(spelled(number=1), id="another number"),
    ],
)
def test_a_plan_that_makes_no_sense_is_none(value, sharing, bucket, said):
    bucket.files[name(0)] = gzip.compress(json.dumps(value).encode())
    maker = sharing()
    assert maker.find(QUESTION) is None
    assert said == [f"{name(0)} in Bucket() is not what its name says, and is not used"]
    maker.find(QUESTION)
    assert len(said) == 1


def test_what_is_printed_of_a_plan_is_only_what_pip_would_say(sharing, bucket):
    value = _sharing._spell(OFFER._replace(learned=0.0), QUESTION, 0)
    value["errors"] = (
        "WARNING: alpha 1.0 does not provide the extra \x1b[31mred\nsomething else\n"
        "WARNING: Ignoring incompletely removed distribution ~lpha in a place of that machine"
    )
    bucket.files[name(0)] = gzip.compress(json.dumps(value).encode())
    found = sharing().find(QUESTION)
    assert found.errors == "WARNING: alpha 1.0 does not provide the extra \\x1b[31mred"


def test_the_files_of_plans_do_not_stay(sharing, bucket):
    write(bucket, 0, OFFER._replace(learned=0.0))
    sharing().find(QUESTION)
    left = [files for _, _, files in os.walk(bucket.config.binary_cache) if files]
    assert left == []


def test_it_gives_where_something_can_be_put(sharing, bucket, monkeypatch):
    assert sharing().gives
    monkeypatch.setattr(Bucket, "read_only", True)
    maker = sharing()
    assert not maker.gives
    maker.publish(QUESTION, OFFER, [])
    assert bucket.files == {}


def test_a_handle_is_only_made_where_it_is_needed(bucket, said):
    manager = CacheManager(bucket.config)
    manager._backends = [bucket]
    from contextlib import nullcontext

    manager._calling[id(bucket)] = nullcontext()
    bucket.files["a/b"] = b""
    manager.share("a/b", lambda: pytest.fail("it is there"))
    manager.share("a/c", lambda: io.BytesIO(b"c"))
    assert bucket.files["a/c"] == b"c"


def test_a_backend_that_says_that_it_has_something_and_gives_nothing_is_off(bucket, tmp_path):
    failures = []
    bucket.fetch = lambda filename, path: True
    manager = CacheManager(
        bucket.config, on_failure=lambda name, error: failures.append(str(error)), directory=lambda name: str(tmp_path)
    )
    manager._backends = [bucket]
    manager._calling[id(bucket)] = nullcontext()
    assert manager.fetch("x/y", lambda path: True) is None
    assert failures == ["It says that it has x/y, and gave none"]
    assert manager.shared == []
