"""What is asked for by URL, and editables: what is fetched, what is remembered, and when it is asked for again."""

from __future__ import annotations

import hashlib
import os
import types
from contextlib import contextmanager

import pytest

from pip_accel import _direct
from pip_accel._archives import wheel_metadata
from pip_accel._direct import Directs
from pip_accel._index import LocalIndex
from pip_accel._plan.arguments import parse
from pip_accel._plan.pip import Downloads
from pip_accel._values import Archive
from pip_accel.exceptions import NothingFound, PipFailed, Unsupported
from tests.lib.archives import make_sdist, make_wheel

ENVIRON = {"HOME": os.path.abspath(os.sep), "PIP_CONFIG_FILE": os.devnull}
WHEEL = "https://h.example/w/alpha-1.0-py3-none-any.whl"
SDIST = "https://h.example/s/alpha-1.0.tar.gz"
MOVING = "https://h.example/archive/main.zip"
COMMIT = "0123456789" * 4
PINNED = f"git+https://h.example/alpha@{COMMIT}"
BRANCH = "git+https://h.example/alpha@main"
METADATA = b"Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n"


class World:
    """Places on the network, a local index, and a pip that fetches from there."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.preparation = self
        self.at = {}  # paths of archives by URL
        self.fetched = []
        self.metadata = METADATA
        self.commit = COMMIT
        self.in_cache = True  # whether a cache has what was built
        self.described = []
        self.told = {}
        self.metadata_of = {}  # by URL, where it is not the one above
        self.kept_trees = []
        self.whole = False
        self.now = 1_000_000.0
        self.config = types.SimpleNamespace(offline=False, index_max_age=None, max_retries=2)
        self.index = LocalIndex(str(root / "sources"), "cpython-3.12")
        self.builder = types.SimpleNamespace(find=lambda pin: pin.archive if self.in_cache else None)
        self.resources = types.SimpleNamespace(
            config=self.config, index=self.index, directory=self.directory, environ=ENVIRON, python=None
        )
        self.resources.target = types.SimpleNamespace(markers=(("python_version", "3.12"), ("os_name", "posix")))
        monkeypatch.setattr(_direct, "download", self.download)
        monkeypatch.setattr(_direct, "check_out", self.check_out)
        monkeypatch.setattr(_direct, "time", types.SimpleNamespace(time=lambda: self.now))

    def directory(self, name):
        path = str(self.root / f"{name}-{len(os.listdir(self.root))}")
        os.mkdir(path)
        return path

    def find(self, *words, **settings):
        """The stand-in of the last requirement, found in a run of its own; and whether that asked at its URL."""
        request = parse(["install", *words], {**ENVIRON, **settings})
        directs = Directs(self, request, lambda text: None)
        return directs.find(request.requirements[-1]), directs.online

    def substitute(self, *words):
        return Directs(self, parse(["install", *words], ENVIRON), lambda text: None).substitute()

    # What stands in for the engine

    @contextmanager
    def preparing(self, environ):
        self.whole = False
        yield {**environ, "SERVED": "yes"}, self

    def sole(self):
        metadata = self.metadata_of.get(self.fetched[-1], self.metadata)
        return (metadata, types.SimpleNamespace(source="tree")) if metadata is not None else None

    def expect_repository(self):
        self.whole = True

    def keep_tree(self, archive, prepared):
        self.kept_trees.append(archive)

    def describe_editable(self, path, project):
        self.described.append((path, project))
        return self.metadata

    def describe(self, direct):
        return self.metadata

    def tell(self, path, metadata, instead):
        self.told[path] = metadata, instead

    # What stands in for pip

    def download(self, python, words, *, environ, work, passes, on_retry, keep_log):
        assert environ["SERVED"] == "yes"
        self.fetched.append(words[-1])
        path = os.path.join(work, os.path.basename(words[-1].partition("#")[0].partition("?")[0]))
        with open(self.at[words[-1].partition("#")[0]], "rb") as source, open(path, "wb") as stream:
            stream.write(source.read())
        return Downloads((path,), False, True)

    def check_out(self, python, words, *, environ, work):
        assert environ["SERVED"] == "yes"
        self.fetched.append(words[-1])
        url, _, commit = words[-1].partition("#")[0].removeprefix("git+").partition("@")
        info = {"vcs": "git", "requested_revision": commit, "commit_id": self.commit}
        if "--editable" in words:
            return {"download_info": {"url": f"file://{self.root}/src/alpha", "dir_info": {"editable": True}}}
        return {"download_info": {"url": url, "vcs_info": info}}


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch)
    world.at[WHEEL] = make_wheel(str(tmp_path / "there"), "alpha", "1.0", requires=["beta>1"])
    world.at[SDIST] = make_sdist(str(tmp_path / "there"), "alpha", "1.0")
    world.at[MOVING] = make_sdist(str(tmp_path / "there"), "alpha", "1.0")
    return world


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


# What is found


def test_a_wheel_is_fetched_and_described_by_itself(world):
    stand_in, online = world.find(WHEEL)
    assert (stand_in.name, stand_in.editable, online) == ("alpha", False, True)
    assert stand_in.archive.sha256 == digest(world.at[WHEEL]) == digest(stand_in.archive.path)
    assert wheel_metadata(stand_in.path) == wheel_metadata(world.at[WHEEL])
    assert stand_in.path != stand_in.archive.path
    assert world.kept_trees == []


def test_an_sdist_is_described_by_what_pip_prepared(world):
    stand_in, _ = world.find(SDIST)
    assert stand_in.name == "alpha"
    assert wheel_metadata(stand_in.path) == METADATA == world.index.metadata(stand_in.archive)
    assert world.kept_trees == [stand_in.archive]


def test_an_archive_gets_the_name_of_its_distribution(world):
    stand_in, _ = world.find(MOVING)
    assert stand_in.archive.filename == "alpha-1.0.zip"
    assert digest(stand_in.archive.path) == digest(world.at[MOVING])


def test_what_is_checked_out_is_known_by_its_commit(world):
    first, _ = world.find(BRANCH)
    assert world.whole
    assert world.kept_trees == [first.archive]
    world.commit = "f" * 40
    second, _ = world.find(BRANCH)
    third, _ = world.find("alpha @ git+https://h.example/alpha@v1")
    assert first.archive.sha256 != second.archive.sha256 == third.archive.sha256
    assert first.archive.filename == "alpha-1.0.tar.gz"


@pytest.mark.parametrize("what", ["sdist", "commit"])
def test_what_pip_did_not_prepare_is_left_to_it(world, what):
    world.metadata = None
    with pytest.raises(Unsupported, match="did not prepare"):
        world.find(SDIST if what == "sdist" else PINNED)


def test_an_archive_of_an_unknown_kind_is_left_to_pip(world):
    world.at["https://h.example/alpha.rar"] = world.at[SDIST]
    with pytest.raises(Unsupported, match="unknown kind"):
        world.find("https://h.example/alpha.rar")


def test_what_has_another_name_is_left_to_pip(world):
    with pytest.raises(Unsupported, match="has another name: alpha"):
        world.find(f"beta @ {SDIST}")


def test_settings_for_the_build_of_a_nameless_project_are_left_to_pip(world):
    with pytest.raises(Unsupported, match="name is not known"):
        world.find("-Ca=b", SDIST)
    assert world.fetched == []
    assert world.find("-Ca=b", f"{SDIST}#egg=alpha")[0].name == "alpha"


def test_a_failure_of_pip_is_passed_on(world, monkeypatch):
    def fail(*words, **more):
        raise PipFailed("404", status=1)

    monkeypatch.setattr(_direct, "download", fail)
    with pytest.raises(PipFailed, match="404"):
        world.find(WHEEL)
    assert world.index.look_at(WHEEL) is None


# direct_url.json


@pytest.mark.parametrize(
    ("url", "shown", "kind"),
    [
        (SDIST, SDIST, "sha256"),
        (f"{SDIST}#egg=alpha", SDIST, "sha256"),
        (SDIST.replace("//", "//me:secret@"), SDIST, "sha256"),
        (SDIST.replace("//", "//${ME}:${WORD}@"), SDIST.replace("//", "//${ME}:${WORD}@"), "sha256"),
        (SDIST.replace("//", "//${ME}@"), SDIST.replace("//", "//${ME}@"), "sha256"),
        (f"{SDIST}#md5=abc", SDIST, "md5"),
        (f"{SDIST}#egg=alpha&sha512=abc", SDIST, "sha512"),
    ],
)
def test_the_origin_of_an_archive_is_told_as_pip_tells_it(world, url, shown, kind):
    world.at[url.partition("#")[0]] = world.at[SDIST]
    direct = world.find(url)[0].direct
    value = digest(world.at[SDIST]) if kind == "sha256" else "abc"
    info = {"hashes": {kind: value}, "hash": f"{kind}={value}"}
    assert direct == {"url": shown, "archive_info": info}


def test_the_origin_of_a_commit_is_what_pip_reports(world):
    direct = world.find(BRANCH)[0].direct
    assert direct["url"] == "https://h.example/alpha"
    assert direct["vcs_info"] == {"vcs": "git", "requested_revision": "main", "commit_id": COMMIT}


# Once, or again


@pytest.mark.parametrize("url", [WHEEL, SDIST, PINNED])
def test_what_does_not_change_is_fetched_once(world, url):
    first, online = world.find(url)
    again, online_again = world.find(url)
    assert (online, online_again, len(world.fetched)) == (True, False, 1)
    assert (again.archive, again.direct, again.name) == (first.archive, first.direct, first.name)
    assert wheel_metadata(again.path) == wheel_metadata(first.path)


@pytest.mark.parametrize("url", [MOVING, BRANCH, f"git+https://h.example/alpha@{COMMIT[:12]}", "git+https://h.example/a"])
def test_what_may_change_is_asked_for_again(world, url):
    world.find(url)
    assert world.find(url)[1]
    assert len(world.fetched) == 2


def test_what_is_named_by_its_hash_does_not_change(world):
    url = f"{MOVING}#sha256={digest(world.at[MOVING])}"
    world.find(url)
    assert not world.find("-U", url)[1]
    assert len(world.fetched) == 1


def test_a_hash_beside_a_url_says_so_too(world, tmp_path):
    (tmp_path / "reqs.txt").write_text(f"{MOVING} --hash=sha256:{digest(world.at[MOVING])}\n")
    words = ["-r", str(tmp_path / "reqs.txt")]
    assert [world.find(*words)[1], world.find(*words)[1]] == [True, False]


def test_a_wrong_hash_is_left_to_pip(world, tmp_path):
    (tmp_path / "reqs.txt").write_text(f"{SDIST} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Unsupported, match="no hash that is asked for"):
        world.find("-r", str(tmp_path / "reqs.txt"))


def test_an_upgrade_asks_again(world):
    world.find(SDIST)
    assert world.find("-U", SDIST)[1]
    assert world.find("-U", PINNED)[1]
    assert not world.find("-U", PINNED)[1]


@pytest.mark.parametrize(("age", "online"), [(100, False), (101, True)])
def test_what_is_older_than_the_limit_is_asked_for_again(world, age, online):
    world.find(SDIST)
    world.config.index_max_age = 100
    world.now += age
    assert world.find(SDIST)[1] is online


def test_an_archive_that_is_gone_is_fetched_again(world):
    os.unlink(world.find(SDIST)[0].archive.path)
    assert world.find(SDIST)[1]


def test_a_commit_of_which_no_build_is_kept_is_checked_out_again(world):
    world.find(PINNED)
    world.in_cache = False
    assert world.find(PINNED)[1]


def test_passwords_are_in_nothing_that_is_kept(world):
    url = SDIST.replace("//", "//me:hunter2@")
    world.at[url] = world.at[SDIST]
    world.find(url)
    for directory, _, names in os.walk(world.index.root):
        for name in names:
            with open(os.path.join(directory, name), "rb") as stream:
                assert b"hunter2" not in stream.read()


# Offline


@pytest.mark.parametrize("url", [WHEEL, PINNED, BRANCH])
def test_offline_nothing_is_fetched(world, url):
    world.config.offline = True
    with pytest.raises(NothingFound, match="offline = yes"):
        world.find(url)
    assert world.fetched == []


@pytest.mark.parametrize("url", [MOVING, BRANCH, WHEEL])
def test_offline_what_was_there_last_answers(world, url):
    world.find(url)
    world.config.offline = True
    assert not world.find("-U", url)[1]


def test_offline_no_editable_is_checked_out(world):
    world.config.offline = True
    with pytest.raises(NothingFound, match="offline = yes"):
        world.find("-e", f"{BRANCH}#egg=alpha")


def test_a_password_is_in_no_message(world):
    world.config.offline = True
    for word in ("https://me:hunter2@h.example/a.zip", "git+https://me:hunter2@h.example/a"):
        with pytest.raises(NothingFound) as caught:
            world.find(word)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(NothingFound) as caught:
        world.find("-e", "git+https://me:hunter2@h.example/a#egg=a")
    assert "hunter2" not in str(caught.value)


# Editables


def test_an_editable_is_its_directory(world, tmp_path):
    (tmp_path / "pro ject").mkdir()
    (tmp_path / "pro ject" / "setup.py").touch()
    path = str(tmp_path / "pro ject")
    stand_in, online = world.find("-e", path)
    direct = {"dir_info": {"editable": True}, "url": "file://" + path.replace(" ", "%20")}
    assert stand_in == ("alpha", path, Archive(path, "pro ject", ""), direct, True)
    assert (online, world.described, world.fetched) == (False, [(path, "")], [])


def test_an_editable_is_described_by_the_name_that_is_known(world, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "setup.py").touch()
    world.find("-e", f"Al.pha @ file://{tmp_path}/project")
    assert world.described == [(str(tmp_path / "project"), "al-pha")]


@pytest.mark.parametrize("words", [[], ["--src", "/some/where"]])
def test_an_editable_from_version_control_is_where_pip_checked_it_out(world, words, monkeypatch):
    said = []
    check_out = world.check_out
    monkeypatch.setattr(
        _direct, "check_out", lambda python, given, **more: said.append(given) or check_out(python, given, **more)
    )
    stand_in, online = world.find(*words, "-e", f"{BRANCH}#egg=alpha")
    path = f"{world.root}/src/alpha"
    assert (stand_in.path, stand_in.editable, online) == (path, True, True)
    assert stand_in.direct == {"dir_info": {"editable": True}, "url": f"file://{path}"}
    assert said == [[*words, "--editable", f"{BRANCH}#egg=alpha"]]
    assert world.described == [(path, "alpha")]


# What is required by URL


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "setup.py").touch()
    return str(tmp_path / "project")


def requires(*texts, name="Local"):
    lines = "".join(f"Requires-Dist: {text}\n" for text in texts)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{lines}\nText.\n".encode()


def told_requirements(metadata):
    from pip_accel._metadata import all_headers

    return all_headers(metadata)["requires-dist"]


@pytest.mark.parametrize("editable", [False, True])
def test_pip_is_told_of_stand_ins_for_what_a_project_requires_by_url(world, project, editable):
    world.metadata = requires("six>1", f"alpha[x] @ {WHEEL} ; os_name == 'posix'")
    given = world.substitute(*(["-e"] if editable else []), project)
    [url] = [url for url, each in given.stand_ins.items() if not each.editable]
    assert given.stand_ins[url].archive.sha256 == digest(world.at[WHEEL])
    metadata, instead = world.told[project]
    assert metadata == world.metadata
    assert told_requirements(instead) == ["six>1", f'alpha[x] @ {url} ; os_name == "posix"']
    assert instead.endswith(b"\n\nText.\n")
    assert (f" @ {url}", f" @ {WHEEL}") in given.shown


def test_what_does_not_count_is_not_fetched(world, project):
    world.metadata = requires(
        f"alpha @ {SDIST} ; extra == 'other'", f"alpha @ {SDIST} ; os_name == 'nt'"
    )
    assert world.substitute(f"{project}[more]", f"alpha @ {SDIST} ; os_name == 'nt'").stand_ins == {}
    assert (world.fetched, world.told) == ([], {})


def test_an_extra_that_was_asked_for_counts(world, project):
    world.metadata = requires(f"alpha @ {WHEEL} ; extra == 'more'")
    assert len(world.substitute(f"{project}[more]").stand_ins) == 1


def test_repositories_require_others(world):
    other = "git+https://h.example/beta@main"
    world.metadata_of = {BRANCH: requires(f"beta @ {other}"), other: requires(name="beta")}
    given = world.substitute(BRANCH)
    assert world.fetched == [BRANCH, other]
    first, second = (next(each for each in given.stand_ins.values() if each.name == name) for name in ("local", "beta"))
    assert told_requirements(wheel_metadata(first.path)) == [f"beta @ file://{second.path}"]
    # What is kept is the metadata as it is.
    assert world.index.metadata(first.archive) == world.metadata_of[BRANCH]


def test_what_is_asked_for_and_required_is_fetched_once(world, project):
    world.metadata = requires(f"alpha @ {WHEEL}")
    given = world.substitute(project, WHEEL)
    assert (len(given.stand_ins), world.fetched) == (1, [WHEEL])


def test_a_circle_of_urls_is_left_to_pip(world):
    world.metadata = requires(f"local @ {BRANCH}")
    with pytest.raises(Unsupported, match="requires local by its URL"):
        world.substitute(BRANCH)


def test_requirements_by_url_that_pip_reports_are_left_to_it(world, project):
    world.metadata = requires(f"alpha @ {WHEEL}")
    with pytest.raises(Unsupported, match="requires alpha by its URL"):
        world.substitute("--report", "-", project)
    assert world.fetched == []


def test_an_archive_that_requires_a_url_is_left_to_pip(world):
    world.metadata = requires(f"alpha @ https://me:hunter2@{WHEEL.removeprefix('https://')}", name="alpha")
    with pytest.raises(Unsupported, match="requires alpha by its URL") as caught:
        world.substitute(SDIST)
    assert "hunter2" not in str(caught.value)


def test_without_dependencies_nothing_is_required(world, project):
    world.metadata = requires(f"alpha @ {WHEEL}")
    assert world.substitute("--no-deps", project).stand_ins == {}
    assert world.fetched == []


# Directories in archives


def test_a_directory_in_an_archive_is_known_by_both(world):
    one, other = (world.find(f"{SDIST}#subdirectory={name}")[0] for name in ("one", "other"))
    assert world.whole
    assert len({one.archive.sha256, other.archive.sha256, digest(world.at[SDIST])}) == 3
    assert one.direct["subdirectory"] == "one"
    assert one.direct["archive_info"]["hashes"] == {"sha256": digest(world.at[SDIST])}
    assert not os.path.exists(one.archive.path)
    again, online = world.find(f"{SDIST}#subdirectory=one")
    assert (again.archive, again.direct, online) == (one.archive, one.direct, False)
    world.in_cache = False
    assert world.find(f"{SDIST}#subdirectory=one")[1]


# What others may see


def test_a_password_from_a_file_is_in_no_word(world, tmp_path, monkeypatch):
    url = SDIST.replace("//", "//me:hunter2@")
    world.at[url] = world.at[SDIST]
    (tmp_path / "reqs.txt").write_text(f"{SDIST.replace('//', '//${ME}:${WORD}@')}\n")
    seen = []

    def download(python, words, **more):
        [path] = words[words.index("--requirement") + 1 :]
        with open(path, encoding="utf-8") as stream:
            seen.append((words, stream.read(), os.stat(path).st_mode & 0o777))
        return World.download(world, python, [url], **more)

    monkeypatch.setattr(_direct, "download", download)
    world.find("-r", str(tmp_path / "reqs.txt"), ME="me", WORD="hunter2")
    [(words, text, mode)] = seen
    assert "hunter2" not in str(words)
    assert (text, mode) == (f"{url}\n", 0o600)


def test_the_query_of_a_url_is_not_kept(world):
    url = f"{WHEEL}?token=hunter2"
    world.at[url] = world.at[WHEEL]
    direct = world.find(url)[0].direct
    assert (direct["url"], world.find(url)[0].direct) == (url, direct)
    for directory, _, names in os.walk(world.index.root):
        for name in names:
            with open(os.path.join(directory, name), "rb") as stream:
                assert b"hunter2" not in stream.read()


def test_what_is_in_the_way_of_an_editable_is_dealt_with_as_asked(world, monkeypatch):
    said = []
    check_out = world.check_out
    monkeypatch.setattr(
        _direct, "check_out", lambda python, given, **more: said.append(given) or check_out(python, given, **more)
    )
    world.find("--exists-action", "b", "-e", f"{BRANCH}#egg=alpha")
    assert said == [["--exists-action=b", "--editable", f"{BRANCH}#egg=alpha"]]
