"""Sources of every kind, as pip builds and installs them: what build backends are given, how often, and what is kept.

The projects have a build backend of their own. It notes each call of its hooks, and builds a module that says what it
was given. pip is the judge: the same words are run by pip and by pip-accel, in environments with equally long paths.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from typing import NamedTuple
from urllib.request import pathname2url

import pytest

from tests.lib.archives import IN_TREE_BACKEND, MEMBER_TIME, make_sdist, make_wheel
from tests.lib.environments import Environment, make_environment
from tests.lib.index import IndexServer
from tests.lib.judge import compare_sides, compare_trees, drop_permitted, run_side
from tests.lib.processes import processes_of, start, wait_for
from tests.lib.runs import CHECKOUT, PIP, PIP_ACCEL, Run, installed, run_pip, run_pip_accel
from tests.lib.trees import snapshot

#: Notes the calls of its hooks. The module that it builds has the config settings, and the version of ``tool``.
RECORDING = (
    IN_TREE_BACKEND
    + """

_prepare, _build = prepare_metadata_for_build_wheel, build_wheel


def called(hook, config_settings=None):
    pass


def note(hook, settings, **more):
    with open(SETTINGS["counter"], "a", encoding="utf-8") as handle:
        handle.write(json.dumps({"project": SETTINGS["name"], "hook": hook, "settings": settings, **more}) + "\\n")


def tool():
    try:
        import tool
    except ImportError:
        return "none"
    return tool.__version__


def get_requires_for_build_wheel(config_settings=None):
    note("requires", config_settings)
    return SETTINGS["dynamic_requires"]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    note("metadata", config_settings)
    with open("left-behind", "w") as handle:
        handle.write("by the metadata hook")
    return _prepare(metadata_directory)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    given = metadata_directory and [os.path.basename(metadata_directory), sorted(os.listdir(metadata_directory))]
    note("wheel", config_settings, given=given, left_behind=os.path.exists("left-behind"))
    with open(os.path.join("payload", SETTINGS["members"][0][0]), "w") as handle:
        handle.write("settings, tool = %r, %r\\n" % (config_settings, tool()))
    return _build(wheel_directory)
"""
)
#: More of a backend: a build that says that it has begun, and never ends.
ENDLESS = """

def build_wheel(*arguments):
    import subprocess, time

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open({marker!r}, "w").close()
    time.sleep(600)
"""
#: A build that says much, and fails.
FAILING = """

def build_wheel(*arguments):
    for number in range(300):
        print("line %d of the output" % number, flush=True)
    print("fatal error: ffi.h: No such file or directory", file=sys.stderr, flush=True)
    open({marker!r}, "w").close()
    raise SystemExit(1)
"""
#: A metadata hook that waits for such a build.
WAITING = """

_prepare_now = prepare_metadata_for_build_wheel


def prepare_metadata_for_build_wheel(*arguments):
    import time

    for _ in range(2000):
        if os.path.exists({marker!r}):
            return _prepare_now(*arguments)
        time.sleep(0.01)
    raise SystemExit("nobody built")
"""
#: Requires the version of ``late`` that an expression gives.
LATE = """

_prepare_plain, _build_plain = prepare_metadata_for_build_wheel, build_wheel


def _require_late():
    path = os.path.join("payload", SETTINGS["dist_info"], "METADATA")
    with open(path) as handle:
        text = handle.read()
    with open(path, "w") as handle:
        handle.write(text.replace("Requires-Dist: late\\n", "Requires-Dist: late==%s\\n" % ({expression})))


def prepare_metadata_for_build_wheel(*arguments):
    _require_late()
    return _prepare_plain(*arguments)


def build_wheel(*arguments):
    _require_late()
    return _build_plain(*arguments)
"""
#: Leads to the directory of the project, as those of setuptools and others do in some way.
EDITABLE = """

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info, name = SETTINGS["dist_info"], SETTINGS["wheel"]
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for member in ("METADATA", "WHEEL"):
            archive.write(os.path.join("payload", info, member), info + "/" + member)
        archive.writestr(SETTINGS["name"] + ".pth", os.getcwd() + "\\n")
        archive.writestr(info + "/RECORD", "")
    return name
"""
#: It does not bind, so that the build backend is asked for the metadata.
NOT_BINDING = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
ALL_HOOKS = ["requires", "metadata", "wheel"]


class Tried(NamedTuple):
    """A run, its environment, and the calls of hooks that were noted meanwhile."""

    run: Run
    environment: Environment
    calls: list[dict]

    @property
    def hooks(self):
        """Names of the hooks, in order, by project."""
        found = {}
        for call in self.calls:
            found.setdefault(call["project"], []).append(call["hook"])
        return found

    @property
    def errors(self):
        """Lines of standard error, without what pip-accel tells of its own work."""
        return [line for line in self.run.stderr.splitlines() if " DEBUG " not in line and " INFO " not in line]

    def module(self, name):
        """What the build of a project was given: the text of its module."""
        with open(os.path.join(self.environment.site_packages, f"{name}.py"), encoding="utf-8") as stream:
            return stream.read()


class Trial:
    """An index, a directory of the user's own, a data directory, and runs in fresh environments that use them."""

    #: What the first of all runs has learned about pip's scripts; the others need not learn it again.
    templates = None

    def __init__(self, directory, index):
        self.directory = str(directory)
        self.own = os.path.join(self.directory, "own place")
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        self.marker = os.path.join(self.directory, "marker")
        self.index = index
        self._numbers = itertools.count(11)
        os.mkdir(self.own)
        if self.templates is not None:
            shutil.copytree(self.templates, os.path.join(self.data, "templates"))

    def sdist(self, name, version="1.0", *, more="", binding=False, directory=None, **options):
        """Write an sdist whose backend notes its calls; give its path."""
        files = {"_backend/in_tree_backend.py": RECORDING + more}
        if not binding:
            files["PKG-INFO"] = NOT_BINDING.format(name=name, version=version)
        directory = directory or self.own
        return make_sdist(directory, name, version, counter=self.log, extra_files=files, **options)

    def tree(self, name, directory=None, **options):
        """The same as a directory."""
        path = self.sdist(name, **options)
        directory = os.path.join(self.own, directory or name)
        with tarfile.open(path) as archive:
            archive.extractall(self.own, filter="data")
        os.unlink(path)
        os.rename(path.removesuffix(".tar.gz"), directory)
        return directory

    def offer(self, name, *versions, make=None, **options):
        """Put a project on the index."""
        for version in versions or ["1.0"]:
            path = (make or self.sdist)(name=name, version=version, directory=f"{self.directory}/archives", **options)
            self.index.add(path)

    def offer_wheels(self, name, *versions, **options):
        self.offer(name, *versions, make=make_wheel, **options)

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def environment(self, *wheels):
        """A fresh environment, into which wheels of the index are unpacked."""
        # Of one name each: the scripts that activate them have it.
        environment = make_environment(os.path.join(self.directory, str(next(self._numbers)), "env"))
        for name in wheels:
            with zipfile.ZipFile(f"{self.directory}/archives/{name}-py3-none-any.whl") as archive:
                archive.extractall(environment.site_packages)
        return environment

    def pip(self, *words, into=None, **options):
        return self._run(run_pip, words, into, options)

    def accel(self, *words, into=None, **options):
        return self._run(lambda *run, **more: run_pip_accel(*run, self.data, **more), words, into, options)

    def _run(self, function, words, into, options):
        environment = into or self.environment()
        self.calls()
        settings = {"PIP_INDEX_URL": self.index.url, "PIP_ACCEL_LOG_VERBOSITY": "debug"}
        run = function(["install", *words], environment, **{**settings, **options})
        if Trial.templates is None and os.path.isdir(os.path.join(self.data, "templates")):
            Trial.templates = os.path.join(self.data, "templates")
        print(run.stderr)  # why pip did it all, for one
        return Tried(run, environment, self.calls())

    def calls(self):
        """The calls that were noted since the last look."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as stream:
            found = [json.loads(line) for line in stream]
        os.unlink(self.log)
        return found

    def leftovers(self):
        """Temporary files, and locks that somebody holds."""
        import fcntl

        found = os.listdir(os.path.join(self.data, "tmp"))
        locks = os.path.join(self.data, "locks")
        for name in os.listdir(locks) if os.path.isdir(locks) else ():
            with open(os.path.join(locks, name)) as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(name)
        return found


@pytest.fixture
def trial(tmp_path, index):
    return Trial(tmp_path, index)


def differences(one, two):
    """What pip-accel (``two``) did not do as pip did (``one``)."""
    found = drop_permitted(compare_trees(one.environment.prefix, two.environment.prefix, one.environment.python))
    said = [(tried.run.status, closing_lines(tried)) for tried in (one, two)]
    return found if said[0] == said[1] else [*found, tuple(said)]


def closing_lines(tried):
    words = ("Successfully installed", "Requirement already satisfied", "Found existing", "Uninstalling")
    return [line for line in map(str.strip, tried.run.stdout.splitlines()) if line.startswith(words)]


def repack(path, suffix):
    """Write a gzipped tarball in another format; give the new path."""
    result = path.removesuffix(".tar.gz") + suffix
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member).read()) for member in archive.getmembers()]
    os.unlink(path)
    if suffix == ".zip":
        with zipfile.ZipFile(result, "w") as archive:
            for member, data in members:
                archive.writestr(zipfile.ZipInfo(member.name, MEMBER_TIME), data)
    else:
        with tarfile.open(result, f"w:{COMPRESSIONS[suffix]}") as archive:
            for member, data in members:
                archive.addfile(member, io.BytesIO(data))
    return result


COMPRESSIONS = {".tar": "", ".tgz": "gz", ".tar.bz2": "bz2", ".tbz": "bz2", ".tar.xz": "xz", ".txz": "xz"}


def url(path):
    return "file://" + pathname2url(path)


def digest(path):
    with open(path, "rb") as stream:
        return "sha256:" + hashlib.sha256(stream.read()).hexdigest()


# Every kind at once


class Judged(NamedTuple):
    """A run of pip and two of pip-accel: what they left, which hooks were called, and the user's files afterwards."""

    sides: list
    calls: list[list[dict]]
    own: list[dict]
    requests: list[tuple[str, str]]  #: of the last run

    def hooks(self, number, project):
        return [call["hook"] for call in self.calls[number] if call["project"] == project]


DIRECTORIES = ("plain-dir", "named-dir", "extra-dir", "dynamic-dir", "linked-dir", "deep-dir")
#: Sdists whose own metadata binds: nobody is asked for it.
BINDING = ("binding", "binding-path")
ARCHIVES = (
    *("tar-gz", "zip", "tar-bz2", "tar-xz", "tar", "tgz", "relative", "by-url", "by-name", "with-extra", *BINDING),
    *("from-tar-gz", "from-zip", "from-tar-bz2", "from-tar-xz", "dep-of-extra", "dep-of-dir", "dep-of-dynamic"),
)


def ask_for_everything(trial):
    """Put together what is asked for: words that have it, and a page of links for what the index cannot have."""
    words = [repack(trial.sdist(kind.replace(".", "-")[1:]), kind) for kind in (".zip", ".tar", ".tgz")]
    words += [repack(trial.sdist(f"tar-{kind}"), f".tar.{kind}") for kind in ("bz2", "xz")]
    words += [trial.sdist("tar-gz"), os.path.relpath(trial.sdist("relative"), CHECKOUT), url(trial.sdist("by-url"))]
    words += [f"By.Name @ {url(trial.sdist('by-name'))}", trial.sdist("binding-path", binding=True)]
    extras = {"more": ["dep-of-extra"], "less": ["no-such-project"]}
    words += [trial.sdist("with-extra", extras=extras) + "[more]"]
    words += [trial.tree("plain-dir"), f"named-dir @ {url(trial.tree('named-dir', directory='named dir'))}"]
    words += [trial.tree("extra-dir", extras={"more": ["dep-of-dir"]}) + "[more]"]
    words += [trial.tree("dynamic-dir", requires=["dep-of-dynamic"], dynamic_requires=["tool"])]
    os.symlink(trial.tree("linked-dir", directory="where it is"), os.path.join(trial.own, "linked-dir"))
    words += [os.path.join(trial.own, "linked-dir")]
    for name in ("dep-of-extra", "dep-of-dir", "dep-of-dynamic"):
        trial.offer(name)
    trial.offer_wheels("tool", "1.0")
    trial.offer("binding", binding=True, build_requires=["tool"])
    trial.offer("from-tar-gz", requires=["plain-dir"])
    trial.offer("asks-for-dir", requires=[f"deep-dir @ {url(trial.tree('deep-dir'))}"])
    trial.index.add(repack(trial.sdist("from-zip", directory=f"{trial.directory}/archives"), ".zip"))
    links = [repack(trial.sdist(f"from-tar-{kind}", directory=f"{trial.directory}/links"), f".tar.{kind}")
             for kind in ("bz2", "xz")]  # fmt: skip
    page = trial.file("links.html", "".join(f'<a href="{url(path)}">{os.path.basename(path)}</a>' for path in links))
    words += ["binding", "asks-for-dir", *(f"from-{kind}" for kind in ("tar-gz", "zip", "tar-bz2", "tar-xz"))]
    return words, page


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kinds")
    result = Judged([], [], [], [])
    with IndexServer() as index:
        trial = Trial(directory, index)
        words, page = ask_for_everything(trial)
        variables = {"PIP_ACCEL_CACHE": trial.data, "PIP_FIND_LINKS": page}
        shutil.copytree(trial.own, directory / "as it was", symlinks=True)
        for name, command in (("one", PIP), ("two", PIP_ACCEL), ("six", PIP_ACCEL)):
            shutil.rmtree(trial.own)
            shutil.copytree(directory / "as it was", trial.own, symlinks=True)
            index.reset()
            side = run_side(
                os.path.join(trial.directory, name), command, words,
                index_args=["--index-url", index.url], python=sys.executable, environ=variables,
            )  # fmt: skip
            assert side.status == 0, side.stdout + side.stderr
            result.sides.append(side)
            result.calls.append(trial.calls())
            result.own.append(snapshot(trial.own))
        result.requests.extend(index.requests)
    return result


@pytest.mark.parametrize("number", [1, 2], ids=["first run", "second run"])
def test_every_kind_comes_out_as_with_pip(judged, number):
    assert drop_permitted(compare_sides(judged.sides[0], judged.sides[number])) == []
    assert "pip does all of it" not in judged.sides[number].stderr
    assert "Installed 26 distributions" in judged.sides[number].stderr


@pytest.mark.parametrize("project", [*ARCHIVES, *DIRECTORIES])
def test_each_hook_is_called_once_with_what_pip_gives(judged, project):
    calls = [[call for call in run if call["project"] == project] for run in judged.calls]
    if project in BINDING:
        assert judged.hooks(1, project) == ["requires", "wheel"]
    else:
        assert judged.hooks(1, project) == ALL_HOOKS
        assert calls[1] == calls[0]
    # It is built once for all environments; a directory is the user's own, and may have changed.
    assert calls[2] == (calls[1] if project in DIRECTORIES else [])


def test_without_new_archives_nobody_is_asked(judged):
    assert judged.requests == []
    assert "without network" in judged.sides[2].stderr


def test_the_users_directories_hold_what_pip_leaves_in_them(judged):
    assert judged.own[1] == judged.own[0]
    assert judged.own[2] == judged.own[0]
    assert os.path.join("plain-dir", "left-behind") in judged.own[0]


def test_an_sdist_with_a_suffix_that_hardly_anybody_uses_is_left_to_pip(trial):
    path = repack(trial.sdist("odd"), ".tbz")
    tried = trial.accel(path)
    assert installed(tried.environment) == {"odd": "1.0"}
    assert tried.hooks == {"odd": ALL_HOOKS}


@pytest.mark.parametrize("asked", ["odd @ {}", "{}"], ids=["directory", "archive"])
def test_what_is_named_otherwise_is_what_it_is_with_pip(trial, asked):
    """A directory that is asked for by a wrong name is an error; an archive may have any file name."""
    if "@" in asked:
        word = asked.format(url(trial.tree("even")))
    else:
        word = os.path.join(trial.own, "odd-1.0.tar.gz")
        os.rename(trial.sdist("even"), word)
    status = 1 if "@" in asked else 0
    one, two = trial.pip(word, status=status), trial.accel(word, status=status)
    assert differences(one, two) == []
    assert one.errors == two.errors


# Directories


def test_a_directory_is_built_again_whenever_it_is_asked_for(trial):
    """Over the result of its last build, as with pip; nothing of it stays in the data directory."""
    path = trial.tree("changing", files={"changing.py": "", "changing_data.txt": "before"})
    data = os.path.join(path, "payload", "changing_data.txt")
    environments = trial.environment(), trial.environment()
    for text in ("before", "after-the-change", "after-the-change"):
        with open(data, "w") as stream:
            stream.write(text)
        tried = trial.pip(path, into=environments[0]), trial.accel(path, into=environments[1])
        assert differences(*tried) == []
        assert [each.hooks for each in tried] == [{"changing": ALL_HOOKS}] * 2
        with open(os.path.join(environments[1].site_packages, "changing_data.txt")) as stream:
            assert stream.read() == text
    kept = subprocess.run(["grep", "-rl", "changing", trial.data], capture_output=True, text=True)
    assert [path for path in kept.stdout.splitlines() if "/logs/" not in path] == []


def test_an_editable_is_installed_as_by_pip(trial):
    more = "\n\ndef build_editable(*arguments):\n    return build_wheel(*arguments)\n"
    words = ["-e", trial.tree("edited", more=more), trial.sdist("by-path")]
    one, two = trial.pip(*words), trial.accel(*words)
    assert differences(one, two) == []
    assert two.hooks == one.hooks
    assert "built" in two.run.summary


def test_an_editable_is_imported_from_where_it_lies_and_its_dependencies_come_from_the_index(trial):
    trial.offer_wheels("tool", "1.0")
    trial.offer("dependency", binding=True, build_requires=["tool"])
    path = trial.tree("edited", more=EDITABLE, requires=["dependency"], build_requires=["tool"])
    for number in range(2):
        trial.index.reset()
        tried = trial.accel("-e", path)
        assert installed(tried.environment) == {"edited": "1.0", "dependency": "1.0"}
        with open(os.path.join(path, "edited.py"), "w") as stream:
            stream.write(f"number = {number}\n")
        code = "import edited; print(edited.__file__, edited.number)"
        said = tried.environment.run(["-B", "-c", code]).stdout
        assert said == f"{os.path.join(path, 'edited.py')} {number}\n"
        assert bool(trial.index.requests) == (number == 0)
    assert [each for each in snapshot(trial.data) if "edited" in each and not each.startswith("logs")] == []


def test_an_editable_that_cannot_be_built_leaves_the_environment_as_it_was(trial):
    path = trial.tree("edited", more=EDITABLE.replace("return name", "raise SystemExit('not today')"))
    environment = trial.environment()
    before = snapshot(environment.prefix)
    tried = trial.accel("-e", path, trial.sdist("by-path"), into=environment, status=1)
    assert "not today" in tried.run.stderr
    assert snapshot(environment.prefix) == before


@pytest.mark.parametrize("bound", ["=={}", "==={}"])
def test_a_path_satisfies_a_constraint_on_its_version(trial, bound):
    lines = "".join(f"{name}{bound.format('1.0')}\n" for name in ("in-dir", "by-path"))
    words = ["-c", trial.file("constraints", lines), trial.tree("in-dir"), trial.sdist("by-path")]
    assert installed(trial.accel(*words).environment) == {"in_dir": "1.0", "by_path": "1.0"}


@pytest.mark.index
def test_setuptools_leaves_in_a_directory_what_it_leaves_with_pip(trial, setuptools):
    """Also where there is only a ``setup.py``: ``build`` and ``*.egg-info`` are what the next build there finds."""
    trial.index.add(setuptools)
    paths = []
    for backend in ("setup.py", "setuptools"):
        name = "only-setup-py" if backend == "setup.py" else "modern"
        sdist = make_sdist(trial.own, name, "1.0", backend=backend, data={"scripts/run": "#!python\n"})
        with tarfile.open(sdist) as archive:
            archive.extractall(trial.own, filter="data")
        os.unlink(sdist)
        paths.append(sdist.removesuffix(".tar.gz"))
    shutil.copytree(trial.own, trial.own + ".before")
    tried, left = [], []
    for run in (trial.pip, trial.accel):
        tried.append(run(*paths))
        left.append(snapshot(trial.own))
        shutil.rmtree(trial.own)
        shutil.copytree(trial.own + ".before", trial.own)
    assert differences(*tried) == []
    assert left[0] == left[1]
    assert os.path.join("modern-1.0", "modern.egg-info", "PKG-INFO") in left[0]


# Config settings


def test_config_settings_reach_the_hooks_of_what_pip_gives_them_to(trial):
    """What is asked for by a word gets those of the words, a line of a file its own; dependencies get none."""
    for name in ("from-index", "from-file", "file-without", "dependency"):
        trial.offer(name, requires=["dependency"] if name == "from-index" else [])
    trial.offer("binding", binding=True)
    lines = 'from-file --config-settings="mode=file" --config-settings="more=1"\nfile-without\n'
    lines += f"{trial.tree('dir-in-file')} --config-settings=mode=dir\n"
    asked = ["-r", trial.file("requirements.txt", lines)]
    asked += [trial.sdist("by-path"), trial.tree("by-dir"), "from-index", "binding"]
    words = ["-C", "mode=fast", "--config-settings", "list=1", "-C", "list=2", "-C", "also=", *asked]
    one, two = trial.pip(*words), trial.accel(*words)
    assert differences(one, two) == []
    with_metadata = [call for call in one.calls if (call["project"], call["hook"]) != ("binding", "metadata")]
    for call in with_metadata:
        if call["project"] == "binding" and call["hook"] == "wheel":
            call.update(given=None, left_behind=False)
    assert sorted(map(str, two.calls)) == sorted(map(str, with_metadata))
    fast = {"mode": "fast", "list": ["1", "2"], "also": ""}
    expected = dict.fromkeys(("by-path", "by-dir", "from-index", "binding"), fast)
    expected |= {"from-file": {"mode": "file", "more": "1"}, "dir-in-file": {"mode": "dir"}}
    expected |= {"file-without": None, "dependency": None}
    assert {call["project"]: call["settings"] for call in two.calls} == expected
    # Another value is another build; where it stands does not matter.
    slow = trial.accel(*asked, PIP_CONFIG_SETTINGS="mode=slow")
    assert "built" in slow.run.summary and "mode" in slow.module("by_path")
    assert slow.module("from_index") == slow.module("binding") == "settings, tool = {'mode': 'slow'}, 'none'\n"
    assert {project for project, hooks in slow.hooks.items() if "wheel" in hooks} == {
        *("by-path", "by-dir", "from-index", "binding", "dir-in-file")
    }
    # And the old one is the old result.
    again = trial.accel(*words)
    assert again.hooks == {"by-dir": ALL_HOOKS, "dir-in-file": ALL_HOOKS}
    assert differences(one, again) == []


# What a build can see


def test_a_build_without_isolation_sees_the_target_and_is_known_by_what_it_sees(trial):
    trial.offer_wheels("tool", "1.0", "2.0")
    trial.offer_wheels("late", "1.0", "2.0")
    needs = {"build_requires": ["tool", "no-such-project"], "dynamic_requires": ["no-such-project"]}
    trial.offer("dependency", requires=["late"], more=LATE.format(expression="tool()"), **needs)
    trial.offer("from-index", requires=["dependency"], **needs)
    words = ["--no-build-isolation", trial.sdist("by-path", **needs), trial.tree("by-dir", **needs), "from-index"]
    environments = [trial.environment("tool-1.0") for _ in range(2)]
    one, two = trial.pip(*words, into=environments[0]), trial.accel(*words, into=environments[1])
    assert differences(one, two) == []
    assert two.hooks == one.hooks
    assert list(map(sorted, two.hooks.values())) == [["metadata", "wheel"]] * 4
    # In another environment with the same packages: the old result.
    same = trial.accel(*words, into=trial.environment("tool-1.0"))
    assert same.hooks == {"by-dir": ["metadata", "wheel"]}
    assert differences(one, same) == []
    # With other packages it is another build, and another plan.
    other = trial.accel(*words, into=trial.environment("tool-2.0"))
    assert other.module("by_path") == "settings, tool = None, '2.0'\n"
    assert set(other.hooks) == set(one.hooks)
    assert installed(other.environment)["late"] == "2.0"


def test_what_scripts_are_called_by_does_not_matter_to_a_build_without_isolation(trial):
    trial.offer_wheels("tool", "1.0", entry_points="[console_scripts]\ntool = tool:main\n")
    trial.offer("from-index")
    tried = []
    for _ in range(2):
        environment = trial.pip("tool").environment
        tried.append(trial.accel("--no-build-isolation", "from-index", into=environment))
    assert [each.hooks for each in tried] == [{"from-index": ["metadata", "wheel"]}, {}]


def test_a_build_without_isolation_beside_an_editable_is_never_taken_from_a_cache_and_never_kept(trial):
    trial.offer("from-index")
    kept = []
    for _ in range(2):
        environment = trial.environment()
        info = os.path.join(environment.site_packages, "edited-1.0.dist-info")
        os.mkdir(info)
        direct = {"dir_info": {"editable": True}, "url": "file:///somewhere"}
        for name, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: edited\nVersion: 1.0\n"),
            ("direct_url.json", json.dumps(direct, sort_keys=True)),
            ("RECORD", "edited-1.0.dist-info/METADATA,,\n"),
        ):
            with open(os.path.join(info, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        assert "wheel" in trial.accel("--no-build-isolation", "from-index", into=environment).hooks["from-index"]
        files = {path for path in snapshot(trial.data) if not path.startswith("logs")}
        assert not any(path.startswith(("binaries", "trees")) and "from" in path for path in files)
        kept.append(files)
    assert kept[0] == kept[1]


def test_build_constraints_bound_what_builds_require(trial):
    trial.offer_wheels("tool", "1.0", "2.0", "3.0")
    trial.offer_wheels("late", "1.0", "2.0")
    needs = {"build_requires": ["tool"], "dynamic_requires": ["late"]}
    trial.offer("from-index", binding=True, requires=["tool"], **needs)
    asked = [trial.sdist("by-path", **needs), trial.tree("by-dir", **needs), "from-index"]
    two = trial.file("two", "tool < 3\nlate<2; python_version>'3'\nno-such-project==1\n")
    words = ["--build-constraint", two, *asked]
    tried = trial.pip(*words), trial.accel(*words)
    assert differences(*tried) == []
    assert {tried[1].module(name) for name in ("by_path", "by_dir", "from_index")} == {
        "settings, tool = None, '2.0'\n"
    }
    assert installed(tried[1].environment)["tool"] == "3.0"  # nothing else is bound by them
    # From elsewhere, and others: other builds. The first are there still.
    one = trial.file("one", "tool<2\n")
    assert trial.accel(*asked, PIP_BUILD_CONSTRAINT=one).module("from_index") == "settings, tool = None, '1.0'\n"
    again = trial.accel(*words)
    assert again.hooks == {"by-dir": ALL_HOOKS}
    assert differences(tried[0], again) == []


def test_build_constraints_that_cannot_be_met_are_an_error_as_with_pip(trial):
    trial.offer_wheels("tool", "1.0")
    trial.offer("from-index", build_requires=["tool"])
    words = ["--build-constraint", trial.file("nine", "tool>=9\n"), "from-index"]
    one, two = trial.pip(*words, status=1), trial.accel(*words, status=1)
    for said in (one.run.stdout + one.run.stderr, two.run.stdout + two.run.stderr):
        assert "Cannot install tool because these package versions have conflicting dependencies." in said
        assert "(constraint) tool>=9" in said
    assert installed(two.environment) == {}


def test_build_constraints_without_isolation_are_refused_in_pips_words(trial):
    words = ["--build-constraint", trial.file("one", "tool<2\n"), "--no-build-isolation", trial.sdist("by-path")]
    one, two = trial.pip(*words, status=1), trial.accel(*words, status=1)
    assert one.errors == two.errors != []
    assert two.calls == []


def test_metadata_is_prepared_again_when_a_variable_changes_that_it_depends_on(trial):
    trial.offer_wheels("late", "1.0", "2.0")
    expressions = ('os.environ["BY_NAME_LATE"]', 'os.environ.get("SOME_OTHER")')
    for name, expression in zip(("by-name", "by-source"), expressions, strict=True):
        trial.offer(name, requires=["late"], more=LATE.format(expression=expression))
    for version in ("1.0", "2.0", "1.0"):
        tried = trial.accel("by-name", "by-source", BY_NAME_LATE=version, SOME_OTHER=version)
        assert installed(tried.environment)["late"] == version
    assert [call for call in tried.calls if call["hook"] == "wheel"] == []


# Builds in the background


def test_what_was_built_in_the_background_is_known_afterwards(trial):
    trial.offer("binding", binding=True)
    trial.offer("asked")
    words = ["binding==1.0", "asked==1.0"]
    assert trial.accel(*words).hooks == {"binding": ["requires", "wheel"], "asked": ALL_HOOKS}
    assert trial.accel(*words).calls == []


def test_a_conflict_is_pips_own_error_and_ends_what_was_begun(trial):
    """The build goes on when pip finds out: that only then looks at what waits for it."""
    trial.offer("begun", more=ENDLESS.format(marker=trial.marker))
    trial.offer("conflicts", more=WAITING.format(marker=trial.marker), requires=["begun==2.0"])
    environment = trial.environment()
    before = snapshot(environment.prefix)
    started = time.monotonic()
    two = trial.accel("begun==1.0", "conflicts==1.0", into=environment, status=1)
    assert time.monotonic() - started < 60
    assert processes_of(trial.data) == {} and trial.leftovers() == []
    assert snapshot(environment.prefix) == before
    assert os.path.exists(trial.marker)
    one = trial.pip("begun==1.0", "conflicts==1.0", status=1)
    assert two.errors == one.errors
    assert one.run.stdout.rstrip().endswith(two.run.stdout.rstrip())
    assert "The conflict is caused by" in two.run.stdout


def test_a_build_that_fails_in_the_background_is_told_once_with_all_that_it_said(trial):
    trial.offer("fails", more=FAILING.format(marker=trial.marker))
    trial.offer("other", more=WAITING.format(marker=trial.marker))
    environment = trial.environment()
    before = snapshot(environment.prefix)
    tried = trial.accel("fails==1.0", "other==1.0", into=environment, status=1)
    assert tried.hooks["fails"] == ["requires", "metadata"]  # its build failed while another one was asked
    lines = tried.run.stderr.splitlines()
    assert [line.strip() for line in lines if "of the output" in line] == [
        f"line {number} of the output" for number in range(300)
    ]
    assert sum("ffi.h" in line for line in lines) == 1
    assert "ERROR: fails 1.0 could not be built" in tried.run.stderr
    assert tried.run.stdout == ""
    with open(os.path.join(trial.data, "logs", "fails-1.0.log"), encoding="utf-8") as stream:
        kept = stream.read()
    assert "line 0 of the output\n" in kept and "line 299 of the output\n" in kept and "ffi.h" in kept
    assert snapshot(environment.prefix) == before
    assert processes_of(trial.data) == {} and trial.leftovers() == []


def test_after_a_failed_build_the_metadata_is_known(trial):
    trial.offer("fails", more=FAILING.format(marker=trial.marker))
    hooks = [trial.accel("fails", status=1).hooks["fails"] for _ in range(2)]
    assert hooks == [["requires", "metadata"], ["requires"]]


def test_a_build_that_was_begun_in_vain_does_not_matter(trial):
    """pip gives up what requires it, and the other version does without it."""
    trial.offer_wheels("choice", "1.0")
    trial.offer_wheels("choice", "2.0", requires=["vain"])
    trial.offer("vain", more=FAILING.format(marker=trial.marker), requires=["spoils"])
    trial.offer("spoils", more=WAITING.format(marker=trial.marker), requires=["choice<2"])
    words = ["-c", trial.file("constraints", "vain==1.0\n"), "choice"]
    tried = trial.accel(*words)
    assert os.path.exists(trial.marker), "it was not begun"
    assert installed(tried.environment) == {"choice": "1.0"}
    assert "ERROR" not in tried.run.stderr
    assert processes_of(trial.data) == {} and trial.leftovers() == []
    assert differences(trial.pip(*words), tried) == []


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_while_builds_go_on_and_pip_plans_leaves_nothing(trial, signum, status):
    trial.offer("begun", more=ENDLESS.format(marker=trial.marker))
    trial.offer("waits", more=WAITING.format(marker=trial.marker + ".never"))
    process = begin(trial, "begun==1.0", "waits==1.0")
    wait_for(lambda: os.path.exists(trial.marker), process)
    before = snapshot(process.environment.prefix)
    process.send_signal(signum)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (status, "")
    assert stderr == ("ERROR: Operation cancelled by user\n" if status == 1 else "")
    assert processes_of(trial.data) == {} and trial.leftovers() == []
    assert snapshot(process.environment.prefix) == before


def test_a_run_that_waits_for_the_build_of_another_one_can_be_interrupted(trial):
    trial.offer("begun", more=ENDLESS.format(marker=trial.marker))
    first = begin(trial, "begun")
    wait_for(lambda: os.path.exists(trial.marker), first)
    trial.calls()
    second = begin(trial, "begun")
    try:
        deadline = time.monotonic() + 5
        wait_for(lambda: trial.calls() or time.monotonic() > deadline, second)
        time.sleep(0.5)  # from the last hook before it builds to that
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=30)
    finally:
        for process in (first, second):
            process.send_signal(signal.SIGINT)
        for process in (first, second):
            process.communicate(timeout=30)


def begin(trial, *words):
    """Start a run of pip-accel into a fresh environment."""
    environment = trial.environment()
    process = start(["install", *words], environment, trial.data, PIP_INDEX_URL=trial.index.url)
    process.environment = environment
    return process


# Hashes, and links


def test_with_required_hashes_sdists_are_prepared_once(trial):
    trial.offer("dependency")
    trial.offer("binding", binding=True, requires=["dependency"])
    archives = f"{trial.directory}/archives"
    by_path = trial.sdist("by-path", requires=["binding"])
    lines = [f"{by_path} --hash={digest(by_path)}"]
    for name in ("dependency", "binding"):
        lines.append(f"{name}==1.0 --hash={digest(f'{archives}/{name}-1.0.tar.gz')}")
    words = ["--require-hashes", "-r", trial.file("requirements.txt", "\n".join(lines))]
    one, two = trial.pip(*words), trial.accel(*words)
    assert differences(one, two) == []
    assert two.hooks == {"by-path": ALL_HOOKS, "dependency": ALL_HOOKS, "binding": ["requires", "wheel"]}
    again = trial.accel(*words)
    assert differences(one, again) == []
    assert again.calls == []


def test_sdists_of_a_page_of_links_are_prepared_once(trial):
    path = trial.sdist("linked")
    page = trial.file("links.html", f'<a href="{url(path)}">{os.path.basename(path)}</a>')
    words = ["--no-index", "--find-links", page, "linked"]
    assert trial.accel(*words).hooks == {"linked": ALL_HOOKS}
    assert trial.accel(*words).calls == []


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_an_editable_from_version_control_is_a_clone_that_stays_and_its_build_can_ask_it(trial):
    """As those builds do that take the version from a tag."""
    ask = "\n    import subprocess\n    with open({!r}, 'w') as said:\n"
    ask += "        subprocess.run(['git', 'describe', '--tags'], stdout=said, check=True)\n    info, name ="
    path = trial.tree("edited", more=EDITABLE.replace("\n    info, name =", ask.format(trial.marker)))
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "x"], ["tag", "v1.0"]):
        subprocess.run(["git", *words], cwd=path, check=True)
    sources = os.path.join(trial.directory, "sources")
    tried = trial.accel("--src", sources, "-e", f"git+{url(path)}#egg=edited")
    assert installed(tried.environment) == {"edited": "1.0"}
    with open(trial.marker) as said:
        assert said.read() == "v1.0\n"
    clone = os.path.join(sources, "edited")
    assert tried.environment.run(["-c", "import sys; print(sys.path[-1])"]).stdout == f"{clone}\n"
    described = subprocess.run(["git", "describe", "--tags"], cwd=clone, capture_output=True, text=True, check=True)
    assert described.stdout == "v1.0\n"
    assert [each for each in snapshot(trial.data) if "edited" in each and not each.startswith("logs")] == []
