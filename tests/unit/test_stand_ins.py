"""What pip is asked in place of URLs and editables: words and files with stand-ins, read back as pip reads them."""

from __future__ import annotations

import hashlib
import os
import zipfile

import pytest

from pip_accel._archives import wheel_metadata
from pip_accel._plan.arguments import parse
from pip_accel._plan.stand_ins import StandIn, lead_back, needs_stand_in, substitute, write_stub
from pip_accel._text import path_to_url
from pip_accel._values import Archive
from pip_accel.exceptions import Unsupported
from tests.lib.oracle import Case, ask_pip

HASH = "a" * 64
METADATA = b"Metadata-Version: 2.1\nName: Alpha.x\nVersion: 1.0\nRequires-Dist: beta>1\n\nText.\n"
ENVIRON = {"HOME": os.path.abspath(os.sep), "PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull}

FILES = {
    "project/setup.py": "",
    "a b/setup.py": "",
    "reqs.txt": (
        "# coding: latin-1\n"
        "-e project[x] -Ca=1  # caf\u00e9\n"
        "idna>3 ; os_name != 'x'\n"
        "alpha @ https://h.example/alpha.zip ; os_name != 'x'\n"
        "-r sub/more.txt\n"
        "--pre\n"
    ),
    "sub/more.txt": "-f links -i https://i.example\ngit+https://h.example/beta \\\n  # c\nattrs\n-c ../limits.txt\n",
    "sub/links/x": "",
    "limits.txt": "six<2\n",
    "loop.txt": "-r reqs.txt\n-r reqs.txt\nhttps://h.example/alpha.zip\n",
    "hashed.txt": f"https://h.example/alpha.zip#egg=alpha --hash=sha256:{HASH}\nidna==3 --hash=sha256:{HASH}\n",
    "mark.txt": "\ufeffhttps://h.example/alpha.zip\n",
    "plain.txt": "six\n",
}
PAGES = {
    "https://h.example/r/reqs.txt": "-r more.txt\nsix\n-f links\n",
    "https://h.example/r/more.txt": "-c limits.txt\n-e ./project\nhttps://h.example/alpha.zip\n",
    "https://h.example/r/limits.txt": "idna<9\n",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(root):
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="latin-1" if name == "reqs.txt" else "utf-8")
    (root / "copies").mkdir()


def fetch(url, options):
    return PAGES[url].encode()


def ask(words, **settings):
    return parse(["install", *words], {**ENVIRON, **settings}, fetch=fetch)


def find(root):
    """A stand-in for all: the directory of an editable, or a wheel at the place that its URL has."""
    if root.direct:
        path = root.direct
    else:
        path = os.path.abspath(f"stub-{hashlib.sha256(root.url.encode()).hexdigest()[:8]}/alpha-1.0-py3-none-any.whl")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(root.url)
    return StandIn("alpha", path, Archive(path, "x", ""), {"url": root.url}, root.editable)


def replace(place, *words, **settings):
    return substitute(ask(words, **settings), find, str(place / "copies"))


def stub_of(place, url):
    return path_to_url(str(place / f"stub-{hashlib.sha256(url.encode()).hexdigest()[:8]}/alpha-1.0-py3-none-any.whl"))


# Wheels of metadata alone


def test_a_stub_is_a_wheel_with_metadata_and_nothing_else(tmp_path):
    path = write_stub(METADATA, str(tmp_path))
    assert os.path.basename(path) == "Alpha_x-1.0-py3-none-any.whl"
    assert wheel_metadata(path) == METADATA
    with zipfile.ZipFile(path) as archive:
        info = "Alpha_x-1.0.dist-info"
        assert sorted(archive.namelist()) == [f"{info}/METADATA", f"{info}/RECORD", f"{info}/WHEEL"]


@pytest.mark.parametrize(
    ("name", "version", "stem"),
    [("a-b.c__d", "1.0", "a_b_c_d-1.0"), ("A", "1.0-1", "A-1.0_1"), ("a", "1!2.0+l.1", "a-1!2.0+l.1")],
)
def test_a_stub_is_named_as_wheels_are(tmp_path, name, version, stem):
    path = write_stub(f"Name: {name}\nVersion: {version}\n".encode(), str(tmp_path))
    assert os.path.basename(path) == f"{stem}-py3-none-any.whl"


@pytest.mark.parametrize(
    "metadata", [b"", b"Name: a\n", b"Version: 1\n", b"Name: ../a\nVersion: 1\n", b"Name: a\nVersion: ../1\n"]
)
def test_what_cannot_be_the_name_of_a_wheel_is_left_to_pip(tmp_path, metadata):
    with pytest.raises(Unsupported, match="cannot be the name of a wheel"):
        write_stub(metadata, str(tmp_path))
    assert os.listdir(tmp_path) == []


# Words


@pytest.mark.parametrize(
    ("word", "needed"),
    [("six", False), ("./project", False), ("https://h.example/a.zip", True), ("git+https://h.example/a", True)],
)
def test_what_lies_elsewhere_needs_a_stand_in(place, word, needed):
    (root,) = ask([word]).requirements
    assert needs_stand_in(root) is needed


def test_an_editable_needs_a_stand_in(place):
    (root,) = ask(["-e", "project"]).requirements
    assert needs_stand_in(root)


@pytest.mark.parametrize("words", [["six"], ["-r", "plain.txt", "./project", "-U"]])
def test_without_any_a_request_stays_as_it_is(place, words):
    request = ask(words)
    assert substitute(request, find, str(place / "copies")) == (request, {}, (), ())
    assert os.listdir(place / "copies") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["https://h.example/a.zip"], ["{https://h.example/a.zip}"]),
        (["https://h.example/a.zip ; os_name != 'x'"], ["{https://h.example/a.zip} ; os_name != 'x'"]),
        (["Al_pha[B,a] @ https://h.example/a"], ["Al_pha[a,b] @ {https://h.example/a}"]),
        (["al@https://h.example/a;os_name!='x'"], ["al @ {https://h.example/a} ; os_name!='x'"]),
        (["git+https://h.example/a#egg=A.lpha"], ["A.lpha @ {git+https://h.example/a#egg=A.lpha}"]),
        (["-e", "git+https://h.example/a#egg=alpha"], ["alpha @ {git+https://h.example/a#egg=alpha}"]),
        (["-e", "alpha[x] @ git+https://h.example/a"], ["alpha[x] @ {git+https://h.example/a}"]),
        (["-e", "project"], ["{root}/project"]),
        (["-e", "./a b[X,y]"], ["{root}/a b[x,y]"]),
        (["-U", "six", "-eproject", "idna", "--no-deps"], ["--upgrade", "--no-deps", "six", "idna", "{root}/project"]),
        (["-qU", "https://h.example/a"], ["--quiet", "--upgrade", "{https://h.example/a}"]),
        (["-f", "a b", "--retries=3", "https://h.example/a"],
         ["--find-links=a b", "--retries=3", "{https://h.example/a}"]),
    ],
    ids=lambda words: " ".join(words),
)  # fmt: skip
def test_words_have_stand_ins_in_their_places(place, words, expected):
    request = ask(words)
    urls = [root.url for root in request.requirements if root.url]
    for url in urls:
        expected = [word.replace("{" + url + "}", stub_of(place, url)) for word in expected]
    expected = [word.replace("{root}", str(place)) for word in expected]
    assert list(replace(place, *words).request.command_words) == expected


def test_stand_ins_are_known_by_the_url_that_pip_finds_them_under(place):
    url = "https://h.example/a.zip"
    found = replace(place, url, "-e", "a b").stand_ins
    assert {key: (each.direct["url"], each.editable) for key, each in found.items()} == {
        stub_of(place, url): (url, False),
        f"file://{place}/a%20b": ("", True),
    }


def test_requirements_get_the_name_and_the_place_of_their_stand_ins(place):
    request = replace(place, "six", "https://h.example/a.zip", "-e", "project").request
    stub = stub_of(place, "https://h.example/a.zip").removeprefix("file://")
    assert [(root.name, root.direct, root.editable) for root in request.requirements] == [
        ("six", "", False),
        ("alpha", stub, False),
        ("alpha", str(place / "project"), True),
    ]


def test_where_hashes_are_required_a_stand_in_has_its_own(place):
    (_, word) = replace(place, "--require-hashes", f"https://h.example/a#sha256={HASH}").request.command_words
    url, _, digest = word.partition("#sha256=")
    assert url == stub_of(place, f"https://h.example/a#sha256={HASH}")
    with open(url.removeprefix("file://"), "rb") as stream:
        assert digest == hashlib.sha256(stream.read()).hexdigest()


@pytest.mark.parametrize(
    "settings", [{"PIP_REQUIREMENT": "plain.txt"}, {"PIP_CONSTRAINT": "limits.txt"}, {"PIP_EDITABLE": "project"}]
)
def test_what_settings_ask_for_cannot_be_taken_back(place, settings):
    with pytest.raises(Unsupported, match="settings"):
        replace(place, "https://h.example/a.zip", **settings)
    assert replace(place, "six", PIP_CONSTRAINT="limits.txt").stand_ins == {}


@pytest.mark.parametrize("words", [["-e", "project", "./project"], ["./a b", "six", "-e", "a b[x]"]])
def test_a_directory_that_is_asked_for_as_editable_and_as_it_is_is_left_to_pip(place, words):
    """pip calls it a conflict; with one stand-in for both it would find none."""
    with pytest.raises(Unsupported):
        replace(place, *words)


# Files, as pip reads them


WITH_FILES = {
    "options-and-includes": ["-r", "reqs.txt"],
    "twice": ["-r", "loop.txt", "-c", "limits.txt", "attrs"],
    "mark": ["-r", "mark.txt", "-e", "a b"],
    "words": ["-r", "plain.txt", "https://h.example/alpha.zip"],
    "remote": ["-r", "https://h.example/r/reqs.txt"],
    "remote-constraints": ["six", "-c", "https://h.example/r/limits.txt"],
    "hashes": ["-r", "hashed.txt"],
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What pip makes of words and files, and of those with stand-ins; and which copy is shown as what; by key."""
    place, questions, shown = tmp_path_factory.mktemp("place"), [], []
    fill(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for key, words in WITH_FILES.items():
            (place / "copies" / key).mkdir()
            substituted = substitute(ask(words), find, str(place / "copies" / key))
            questions += [words, substituted.request.command_words]
            shown.append(dict(substituted.shown))
    answers = ask_pip([Case(["install", *words], ENVIRON, str(place), PAGES) for words in questions])
    assert [answer["error"] for answer in answers if "error" in answer] == []
    return dict(zip(WITH_FILES, zip(answers[::2], answers[1::2], shown, strict=True), strict=True)), place


@pytest.mark.parametrize("key", WITH_FILES)
def test_files_have_stand_ins_in_their_places(both, key):
    """All else means to pip what it meant: what is asked for, from where, in which lines."""
    answers, place = both
    before, after, copies = answers[key]
    for answer in (before, after):
        paths = [os.path.join(place, link) for link in answer["find_links"]]
        answer["find_links"] = [path for path in paths if os.path.exists(path)]
    for name in ("index_urls", "find_links", "no_index", "pre", "no_binary", "only_binary", "trusted_hosts"):
        assert after[name] == before[name], name
    assert [summarise(each) for each in after["constraints"]] == [summarise(each) for each in before["constraints"]]
    found, wanted = after["requirements"], before["requirements"]
    assert [line_of(each) for each in found] == [line_of(each) for each in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        path, _, line = ours["source"].removeprefix("-r ").partition(" (")
        if path:
            assert f"-r {copies[path]} ({line}" == theirs["source"]
        assert (ours["extras"], ours["marker"]) == (theirs["extras"], theirs["marker"])
        if theirs["editable"] and theirs["kind"] == "directory":
            assert (ours["direct"], ours["editable"]) == (theirs["direct"], False)
        elif theirs["url"]:
            assert path_to_url(ours["direct"]) == stub_of(place, theirs["url"])
        else:
            assert summarise(ours) == summarise(theirs)


def summarise(requirement):
    """What is left of a requirement without its place, which is another one in a copy."""
    return {name: value for name, value in requirement.items() if name != "source"}


def line_of(requirement):
    return requirement["source"].rpartition(" (")[2]


def test_files_keep_their_number_of_lines(place):
    replace(place, "-r", "reqs.txt")
    lines = {len(path.read_text().splitlines()) for path in (place / "copies").iterdir()}
    assert lines == {len(FILES[name].splitlines()) for name in ("reqs.txt", "sub/more.txt", "limits.txt")}


def test_the_users_own_files_stay_as_they_are(place):
    before = {path: path.read_bytes() for path in place.rglob("*.txt")}
    replace(place, "-r", "reqs.txt", "-r", "loop.txt")
    assert {path: path.read_bytes() for path in before} == before


# What pip says


def test_what_pip_says_is_led_back_to_what_the_user_knows(place):
    shown = replace(place, "-r", "reqs.txt", "beta @ https://me:secret@h.example/b.zip").shown
    copies = {os.path.basename(known): strange for strange, known in shown if known.endswith(".txt")}
    stub = stub_of(place, "https://h.example/alpha.zip")
    said = (
        f"Requirement already satisfied: idna>3 in /x (from -r {copies['reqs.txt']} (line 3)) (3.1)\n"
        f"ERROR: attrs (from -r {copies['more.txt']} (line 4))\n"
        f"Requirement already satisfied: alpha @ {stub} in /x\n"
    )
    assert lead_back(said, shown) == (
        "Requirement already satisfied: idna>3 in /x (from -r reqs.txt (line 3)) (3.1)\n"
        f"ERROR: attrs (from -r {place}/sub/more.txt (line 4))\n"
        "Requirement already satisfied: alpha @ https://h.example/alpha.zip in /x\n"
    )
    assert "secret" not in repr(shown)
