"""The local index: archives by digest, metadata beside them, and views that keep apart what must not mix."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from pip_accel._digests import digest_of
from pip_accel._index import Answer, Known, LocalIndex, ViewSettings, name_and_version
from tests.lib.archives import make_sdist, make_wheel

VIEW = ViewSettings(
    places=("https://index/simple", (), (), False),
    target="cpython-3.12",
    no_binary=frozenset(),
    only_binary=frozenset(),
    prefer_binary=False,
    pre=False,
    hashes={},
)
METADATA = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n\nRequires-Python: >=99\n"


@pytest.fixture
def index(tmp_path):
    return LocalIndex(str(tmp_path / "sources"), "cpython-3.12")


@pytest.fixture
def wheel(tmp_path, index):
    return index.add(make_wheel(str(tmp_path / "stage"), "alpha", "1.0"))


@pytest.fixture
def sdist(tmp_path, index):
    return index.add(make_sdist(str(tmp_path / "stage"), "alpha", "1.0"))


def known(*clauses, version="1", time=100, roots=""):
    return Known(frozenset(clauses), version, time, roots)


def learn(index, path, *clauses, view="v", version, roots="", project="alpha"):
    archive = index.add(path)
    index.set_metadata(archive, METADATA)
    index.learn(view, project, archive, known(*clauses, version=version, roots=roots))
    return archive


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs))


def links(path):
    parser = Links()
    with open(path, encoding="utf-8") as stream:
        parser.feed(stream.read())
    return parser.found


# Archives


def test_an_archive_is_kept_under_its_digest(tmp_path, index):
    path = make_wheel(str(tmp_path / "stage"), "alpha", "1.0")
    with open(path, "rb") as stream:
        data = stream.read()
    archive = index.add(path)
    assert index.added
    assert archive == index.locate(archive.sha256, "alpha-1.0-py3-none-any.whl")
    with open(archive.path, "rb") as stream:
        assert stream.read() == data
    assert os.stat(archive.path).st_mode & 0o777 == 0o644
    assert not os.path.exists(path)


def test_the_same_archive_is_kept_once(tmp_path, index, wheel):
    before = os.stat(wheel.path)
    second = LocalIndex(index.root, index.tag)
    assert second.add(make_wheel(str(tmp_path / "stage"), "alpha", "1.0")) == wheel
    assert not second.added
    assert os.stat(wheel.path).st_ino == before.st_ino


def test_two_contents_of_one_name_lie_side_by_side(tmp_path, index, wheel):
    other = index.add(make_wheel(str(tmp_path / "stage"), "alpha", "1.0", files={"alpha.py": "other = 1\n"}))
    assert other.filename == wheel.filename
    assert other.path != wheel.path
    assert os.path.exists(other.path)
    assert os.path.exists(wheel.path)


def test_an_archive_that_cannot_be_added_leaves_nothing(tmp_path, index, monkeypatch):
    path = make_wheel(str(tmp_path / "stage"), "alpha", "1.0")
    monkeypatch.setattr(os, "chmod", lambda *words: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        index.add(path)
    assert [name for _, _, names in os.walk(index.root) for name in names] == []


def test_touching_an_archive_that_is_gone_is_no_error(index):
    index.touch(index.locate("ab" * 32, "alpha-1.0.tar.gz"))


# Metadata


def test_metadata_of_a_wheel_is_the_same_for_every_target(index, wheel):
    assert index.metadata(wheel) is None
    index.set_metadata(wheel, METADATA)
    assert LocalIndex(index.root, "pypy-3.11").metadata(wheel) == METADATA


def test_metadata_of_an_sdist_is_kept_for_the_target_that_asked(index, sdist):
    index.set_metadata(sdist, METADATA)
    other = LocalIndex(index.root, "pypy-3.11")
    assert index.metadata(sdist) == METADATA
    assert other.metadata(sdist) is None
    other.set_metadata(sdist, b"other")
    assert (index.metadata(sdist), other.metadata(sdist)) == (METADATA, b"other")


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pip_finds_archive_and_metadata_beside_each_other(index, kind, request):
    archive = request.getfixturevalue(kind)
    index.set_metadata(archive, METADATA)
    path = url2pathname(urlsplit(index.url(archive)).path)
    assert os.path.basename(path) == archive.filename
    assert os.path.samefile(path, archive.path)
    with open(path + ".metadata", "rb") as stream:
        assert stream.read() == METADATA


def test_an_sdist_is_copied_for_a_target_where_it_cannot_be_linked(index, sdist, monkeypatch):
    def link(*words, **more):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", link)
    index.set_metadata(sdist, METADATA)
    with open(url2pathname(urlsplit(index.url(sdist)).path), "rb") as one, open(sdist.path, "rb") as other:
        assert one.read() == other.read()


def test_what_a_build_needs_is_kept_for_the_target_that_asked(index, sdist):
    assert index.build_facts(sdist) is None
    index.set_build_facts(sdist, {"requires": ["setuptools"], "dynamic": [], "variables": {}, "binding": False})
    assert index.build_facts(sdist) == {"requires": ["setuptools"], "dynamic": [], "variables": {}, "binding": False}
    assert LocalIndex(index.root, "pypy-3.11").build_facts(sdist) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"requires": ["setup'], ids=repr)
def test_damaged_build_facts_are_none(index, sdist, text):
    index.set_build_facts(sdist, {"requires": [], "dynamic": [], "variables": {}, "binding": False})
    (path,) = (os.path.join(d, n) for d, _, names in os.walk(index.root) for n in names if n == "build.json")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    assert index.build_facts(sdist) is None


# Views


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"places": ("https://other/simple", (), (), False)}, id="index"),
        pytest.param({"places": ("https://index/simple", ("https://extra",), (), False)}, id="extra index"),
        pytest.param({"places": ("https://index/simple", (), ("/links",), False)}, id="find-links"),
        pytest.param({"target": "cpython-3.13"}, id="target"),
        pytest.param({"no_binary": frozenset({"alpha"})}, id="no binary"),
        pytest.param({"no_binary": frozenset({":all:"})}, id="no binary at all"),
        pytest.param({"only_binary": frozenset({"alpha"})}, id="only binary"),
        pytest.param({"only_binary": frozenset({":all:"})}, id="only binaries"),
        pytest.param({"prefer_binary": True}, id="prefer binary"),
        pytest.param({"pre": True}, id="pre-releases"),
        pytest.param({"hashes": {"alpha": ("sha256:ab",)}}, id="hashes"),
    ],
)
def test_what_decides_which_archive_wins_makes_another_view(change):
    assert VIEW._replace(**change).key("alpha") != VIEW.key("alpha")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"no_binary": frozenset({"beta"})}, id="format of another project"),
        pytest.param({"hashes": {"beta": ("sha256:ab",)}}, id="hash of another project"),
    ],
)
def test_what_is_said_of_other_projects_makes_no_other_view(change):
    assert VIEW._replace(**change).key("alpha") == VIEW.key("alpha")


def test_an_exception_from_all_counts():
    view = VIEW._replace(no_binary=frozenset({":all:"}), only_binary=frozenset({"alpha"}))
    assert view.key("alpha") == VIEW._replace(only_binary=frozenset({"alpha"})).key("alpha")
    assert view.key("beta") == VIEW._replace(no_binary=frozenset({"beta"})).key("beta")


def test_the_order_of_hashes_does_not_count():
    one, other = ({"alpha": hashes} for hashes in (("sha256:a", "sha256:b"), ("sha256:b", "sha256:a")))
    assert VIEW._replace(hashes=one).key("alpha") == VIEW._replace(hashes=other).key("alpha")


def test_digests_are_the_same_in_every_process():
    code = "from pip_accel._digests import digest_of; print(digest_of([frozenset(), ('a', 1), {'b': 2, 'a': None}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of([[], ["a", 1], {"a": None, "b": 2}])


def test_what_was_learned_is_known_in_that_view_only(tmp_path, index):
    archive = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), ">=1", version="1")
    assert index.known("v", "alpha") == [known(">=1")]
    assert index.archives_in_view("v", "alpha") == [archive]
    assert index.known("w", "alpha") == []
    assert index.archives_in_view("w", "alpha") == []
    assert index.known("v", "beta") == []


def test_an_archive_stays_out_of_views_that_it_did_not_come_for(tmp_path, index):
    sdist = learn(index, make_sdist(str(tmp_path / "stage"), "alpha", "2.0"), view="no-binary", version="2")
    wheel = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), view="plain", version="1")
    assert index.archives_in_view("plain", "alpha") == [wheel]
    assert index.archives_in_view("no-binary", "alpha") == [sdist]
    assert {archive.filename for archive in index.archives_in_any_view("alpha")} == {wheel.filename, sdist.filename}


def test_a_newer_answer_to_the_same_question_replaces_the_older(tmp_path, index):
    archive = index.add(make_wheel(str(tmp_path / "stage"), "alpha", "1.0"))
    for each in (known(">=1"), known(">=1", time=200), known("<3", time=50), known(">=1", time=70, roots="r")):
        index.learn("v", "alpha", archive, each)
    assert set(index.known("v", "alpha")) == {
        known(">=1", time=200),
        known("<3", time=50),
        known(">=1", time=70, roots="r"),
    }


def test_the_state_of_a_view_changes_when_it_learns(tmp_path, index):
    states = [index.state_of("v", "alpha")]
    for version in ("1.0", "2.0"):
        learn(index, make_wheel(str(tmp_path / "stage"), "alpha", version), version=version)
        states.append(index.state_of("v", "alpha"))
    assert states[0] == []
    assert len({tuple(state) for state in states}) == 3


def test_an_older_version_stays_for_those_who_pin_it(tmp_path, index):
    old = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), "==1.0", version="1")
    new = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "2.0"), version="2")
    assert index.archives_in_view("v", "alpha") == [old, new]


def test_a_version_that_would_have_won_and_did_not_is_gone_from_the_index(tmp_path, index):
    learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "2.0"), version="2")
    old = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), version="1")
    assert index.archives_in_view("v", "alpha") == [old]


@pytest.mark.parametrize(("clauses", "roots"), [(["<2"], ""), ([], "r")], ids=["ruled out", "pip tried candidates"])
def test_a_newer_version_that_could_not_win_stays(tmp_path, index, clauses, roots):
    new = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "2.0"), version="2")
    old = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), *clauses, version="1", roots=roots)
    assert index.archives_in_view("v", "alpha") == [new, old]


def test_another_file_of_the_version_that_won_is_superseded(tmp_path, index):
    learn(index, make_sdist(str(tmp_path / "stage"), "alpha", "1.0"), version="1")
    wheel = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0.0"), version="1")
    assert index.archives_in_view("v", "alpha") == [wheel]


def test_an_archive_that_was_removed_is_not_in_the_view(tmp_path, index):
    archive = learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), version="1")
    os.unlink(archive.path)
    assert index.archives_in_view("v", "alpha") == []
    assert index.archives_in_any_view("alpha") == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "{}", '{"archives": {}}'], ids=repr)
def test_a_damaged_view_knows_nothing_and_learns_again(tmp_path, index, text):
    path = make_wheel(str(tmp_path / "stage"), "alpha", "1.0")
    archive = learn(index, path, version="1")
    (view,) = (os.path.join(d, n) for d, _, names in os.walk(index.root) for n in names if n == "alpha.json")
    with open(view, "w", encoding="utf-8") as stream:
        stream.write(text)
    assert index.known("v", "alpha") == []
    assert index.archives_in_view("v", "alpha") == []
    assert index.archives_in_any_view("alpha") == []
    index.learn("v", "alpha", archive, known())
    assert index.archives_in_view("v", "alpha") == [archive]


def test_two_processes_learn_both(tmp_path, index, wheel):
    code = (
        "import sys; from pip_accel._index import *; from pip_accel._values import Archive\n"
        "root, path, name, sha256, who = sys.argv[1:]\n"
        "for n in range(25): LocalIndex(root, 't').learn('v', 'alpha', Archive(path, name, sha256),"
        " Known(frozenset({f'!={who}.{n}'}), '1', 1, ''))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, index.root, wheel.path, wheel.filename, wheel.sha256, who])
        for who in ("1", "2")
    ]
    assert [process.wait() for process in started] == [0, 0]
    assert len(index.known("v", "alpha")) == 50


# Pages


def test_a_page_has_what_pip_reads(tmp_path, index, wheel, sdist):
    python = b"Metadata-Version: 2.1\nName: alpha\nRequires-Python: >=3.8, <4\n\nRequires-Python: >=99\n"
    index.set_metadata(wheel, python)
    index.set_metadata(sdist, METADATA)
    page = str(tmp_path / "page.html")
    by_url = index.write_page([wheel, sdist], page)
    found = links(page)
    assert [link["href"].partition("#")[0] for link in found] == list(by_url)
    assert list(by_url.values()) == [wheel, sdist]
    assert [link["href"].partition("#")[2] for link in found] == [f"sha256={wheel.sha256}", f"sha256={sdist.sha256}"]
    assert all(link["data-core-metadata"].startswith("sha256=") for link in found)
    assert [link.get("data-requires-python") for link in found] == [">=3.8, <4", None]


def test_an_archive_without_metadata_is_not_on_the_page(tmp_path, index, wheel):
    assert index.write_page([wheel], str(tmp_path / "page.html")) == {}
    assert links(tmp_path / "page.html") == []


def test_no_file_name_is_on_a_page_twice(tmp_path, index, wheel):
    other = index.add(make_wheel(str(tmp_path / "stage"), "alpha", "1.0", files={"alpha.py": "other = 1\n"}))
    for archive in (wheel, other):
        index.set_metadata(archive, METADATA)
    assert list(index.write_page([wheel, other], str(tmp_path / "page.html")).values()) == [wheel]


def test_odd_directories_are_escaped(tmp_path):
    index = LocalIndex(str(tmp_path / "a b+c#d%20&\"e'<f>"), "cpython 3+")
    archive = index.add(make_sdist(str(tmp_path / "stage"), "alpha", "1.0+local.1"))
    index.set_metadata(archive, METADATA)
    (url,) = index.write_page([archive], str(tmp_path / "page.html"))
    (link,) = links(tmp_path / "page.html")
    assert link["href"] == f"{url}#sha256={archive.sha256}"
    path = url2pathname(urlsplit(url).path)
    assert os.path.samefile(path, archive.path)


@pytest.mark.parametrize(
    ("filename", "project", "expected"),
    [
        ("alpha-1.0-py3-none-any.whl", None, ("alpha", "1")),
        ("Alpha_Beta-1.0.post1-1-cp312-cp312-linux_x86_64.whl", None, ("alpha-beta", "1.post1")),
        ("alpha_beta-1.0.tar.gz", None, ("alpha-beta", "1")),
        ("alpha-3-4.tar.gz", "alpha", ("alpha", "3-4")),
        ("alpha-3-4.tar.gz", "alpha-3", ("alpha-3", "4")),
        ("alpha.whl", None, None),
        ("alpha-1.0.tar.gz.metadata", None, None),
        ("alpha-1.0.exe", None, None),
    ],
)
def test_names_of_archives_tell_name_and_version(filename, project, expected):
    found = name_and_version(filename, project)
    if expected is not None and expected[1] == "3-4":
        expected = (expected[0], "3.post4")  # PEP 440: an implicit post-release
    assert found == expected


def test_views_are_json_that_others_can_read(tmp_path, index):
    learn(index, make_wheel(str(tmp_path / "stage"), "alpha", "1.0"), ">=1", version="1")
    value = json.loads(json.dumps(index.read_view("v", "alpha")))
    assert value["known"] == [[[">=1"], "1", 100, ""]]
    assert list(value["archives"].values()) == ["alpha-1.0-py3-none-any.whl"]


def test_metadata_counts_while_the_variables_are_as_they_were_that_its_build_reads(index, sdist):
    index.set_metadata(sdist, b"Metadata-Version: 2.1")
    index.set_build_facts(sdist, {"requires": [], "dynamic": [], "variables": {"ODD": "1"}, "binding": False})
    index.state = lambda names: dict.fromkeys(names, "1")
    assert index.metadata(sdist) == b"Metadata-Version: 2.1"
    index.state = lambda names: dict.fromkeys(names, "2")
    assert index.metadata(sdist) is None


# Where archives came from, and what lies at URLs


def test_the_place_that_an_archive_came_from_is_known_in_its_view(tmp_path, index, wheel):
    url = "https://h.example/f/alpha-1.0-py3-none-any.whl"
    index.learn("v", "alpha", wheel, known(), url)
    assert (index.origin("v", "alpha", wheel), index.origin("w", "alpha", wheel)) == (url, "")
    index.learn("v", "alpha", wheel, known(">1"), "https://other.example/alpha")
    assert index.origin("v", "alpha", wheel) == "https://other.example/alpha"


def test_the_place_of_an_archive_is_known_as_long_as_the_archive(tmp_path, index):
    archives = []
    for version in ("2.0", "1.0"):
        archives.append(index.add(make_wheel(str(tmp_path / "stage"), "alpha", version)))
        index.learn("v", "alpha", archives[-1], known(version=version[0]), f"https://h.example/{version}")
    assert [index.origin("v", "alpha", each) for each in archives] == ["", "https://h.example/1.0"]


@pytest.mark.parametrize("url", ["", "https://h.example/alpha.whl?token=hunter2"])
def test_a_place_that_may_hold_a_secret_is_not_kept(index, wheel, url):
    index.learn("v", "alpha", wheel, known(), url)
    assert index.origin("v", "alpha", wheel) == ""
    for directory, _, names in os.walk(index.root):
        for name in names:
            with open(os.path.join(directory, name), "rb") as stream:
                assert b"hunter2" not in stream.read()


AT_URL = {"name": "Alpha", "version": "1.0", "filename": "a.zip", "sha256": "ab", "time": 1.5, "direct": {"url": "x"}}


def test_what_lies_at_a_url_is_kept_for_the_target_that_asked(index):
    url = "https://me:hunter2@h.example/alpha"
    assert index.look_at(url) is None
    index.keep_url(url, AT_URL)
    assert index.look_at(url) == AT_URL
    assert index.look_at(url + "#egg=alpha") is None
    assert LocalIndex(index.root, "cpython-3.13").look_at(url) is None
    assert b"hunter2" not in b"".join(path.encode() for *path_, names in os.walk(index.root) for path in names)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({**AT_URL, "time": "1"}), json.dumps({"name": "alpha"})])
def test_a_damaged_note_of_a_url_is_none(index, text):
    index.keep_url("u", AT_URL)
    (path,) = (os.path.join(d, n) for d, _, names in os.walk(index.root) for n in names)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    assert index.look_at("u") is None


def test_metadata_is_kept_of_an_archive_that_is_none(index):
    """What was checked out is known by a digest alone."""
    archive = index.locate("ab" * 32, "alpha-1.0.tar.gz")
    index.set_metadata(archive, METADATA)
    assert index.metadata(archive) == METADATA
    assert not os.path.exists(archive.path)


# Answers to whole requests


def test_an_answer_to_a_whole_request_is_kept(index):
    nothing = Answer({}, 0, False, frozenset())
    assert index.answer_to("ab") == nothing
    index.keep_answer("ab", Answer({"alpha": "1"}, 5.0, False, frozenset({"alpha", "beta"})))
    newer = Answer({"alpha": "2", "beta": "1"}, 6.0, True, frozenset({"alpha", "beta"}))
    index.keep_answer("ab", newer)
    assert index.answer_to("ab") == newer
    assert index.answer_to("cd") == nothing
