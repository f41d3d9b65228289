"""The memo of plans: used where nothing has changed, and never where that would give another answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.lib.archives import make_wheel
from tests.lib.runs import find_interpreters, installed, run_pip

#: Only imported where there is no plan for the words.
WORKED_OUT = "pip_accel._plan.arguments"


class Place:
    """A directory with requirement files, a home of its own, and an index with three projects."""

    def __init__(self, bench, root, archives):
        self.bench = bench
        self.root = root
        self.home = root / "home"
        self.archives = archives
        self.home.mkdir(parents=True)
        self.variables = {"HOME": str(self.home), "SET": "1.0", "PIP_CONFIG_FILE": ""}  # the usual ones
        for version in ("1.0", "2.0"):
            self.add("alpha", version)
        self.add("beta", "1.0", requires=["alpha"])
        self.add("gamma", "1.0", entry_points="[console_scripts]\ngamma = gamma:main\n")
        self.write("requirements.txt", "-c constraints.txt\n-r more.txt\nalpha\n")
        self.write("constraints.txt", "alpha<2\n")
        self.write("more.txt", "beta\nalpha>=${SET}\n")

    def add(self, name, version, **options):
        self.bench.index.add(make_wheel(str(self.archives), name, version, **options))

    def write(self, name, text):
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text)

    def install(self, *words, into=None, **options):
        """Run in the directory; give the result, and whether the plan was a kept one."""
        variables = {**self.variables, "PYTHONPROFILEIMPORTTIME": "1", **options}
        result = self.bench.install(*words, into=into, cwd=variables.pop("cwd", self.root), **variables)
        modules = set(re.findall(r"^import time:.*\| +(\S+)$", result.run.stderr, re.MULTILINE))
        assert "pip_accel.cli" in modules
        return result, WORKED_OUT not in modules

    def forget(self):
        shutil.rmtree(os.path.join(self.bench.data, "memo"))

    def plans(self):
        directory = os.path.join(self.bench.data, "memo")
        names = os.listdir(directory) if os.path.isdir(directory) else []
        return [os.path.join(directory, name) for name in names if name.endswith(".json")]


@pytest.fixture
def place(bench, tmp_path):
    return Place(bench, tmp_path / "project", tmp_path / "archives")


USUAL = ("-r", "requirements.txt")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["alpha"], {"alpha": "2.0"}),
        (["alpha==1.0"], {"alpha": "1.0"}),
        (["beta", "gamma==1.0"], {"alpha": "2.0", "beta": "1.0", "gamma": "1.0"}),
        (USUAL, {"alpha": "1.0", "beta": "1.0"}),
        (["beta", "--no-deps"], {"beta": "1.0"}),
        (["beta", "--no-compile", "--no-warn-script-location", "-q"], {"alpha": "2.0", "beta": "1.0"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, (list, tuple)) else "",
)
def test_the_second_run_has_the_plan_of_the_first_and_does_the_same(place, words, expected):
    first, kept = place.install(*words)
    assert not kept
    second, kept = place.install(*words)
    assert kept
    assert second.requests == []
    assert first.installed == second.installed == expected
    assert first.run.stdout == second.run.stdout
    assert tree(first) == tree(second)


def tree(result):
    """What lies in an environment, but for what differs between any two."""
    root = Path(result.environment.prefix)
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and "bin" not in path.parts:
            found[path.relative_to(root)] = (path.stat().st_mode, path.read_bytes())
    config = Path("pyvenv.cfg")
    return {
        path: (mode, re.sub(rb"\.\./bin/[^\n]*", b"", content).replace(os.fsencode(root), b""))
        for path, (mode, content) in found.items()
        if path != config
    }


def hashes_of(archives):
    import hashlib

    return {name: hashlib.sha256((archives / name).read_bytes()).hexdigest() for name in os.listdir(archives)}


def test_hashes_are_the_usual_case(place):
    digests = hashes_of(place.archives)
    lines = [f"alpha==2.0 --hash=sha256:{'0' * 64} --hash=sha256:{digests['alpha-2.0-py3-none-any.whl']}"]
    lines.append(f"beta==1.0 --hash=sha256:{digests['beta-1.0-py3-none-any.whl']}")
    place.write("requirements.txt", "\n".join(lines) + "\n")
    place.install("--require-hashes", *USUAL)
    result, kept = place.install("--require-hashes", *USUAL)
    assert kept
    assert result.installed == {"alpha": "2.0", "beta": "1.0"}
    place.write("requirements.txt", "\n".join(lines).replace(digests["beta-1.0-py3-none-any.whl"], "1" * 64) + "\n")
    result, kept = place.install("--require-hashes", *USUAL, status=1)
    assert not kept
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.run.stderr
    assert result.installed == {}


def newer_by_upgrade(place):
    place.add("alpha", "1.5")
    place.install("-U", *USUAL)


def newer_by_another_request(place):
    place.add("alpha", "1.5")
    place.install("alpha<2,>1.2")


def newer_dependency(place):
    place.add("beta", "1.1", requires=["alpha", "gamma"])
    place.install("-U", "beta")


def configure(name, text):
    def change(place):
        place.write(name, text)

    return change


def set_variable(**variables):
    def change(place):
        place.variables.update(variables)

    return change


def drop_trees(place):
    shutil.rmtree(os.path.join(place.bench.data, "trees"))


def cut_short(place):
    for path in place.plans():
        with open(path, "r+") as stream:
            stream.truncate(os.path.getsize(path) // 2)


def of_another_shape(place):
    for path in place.plans():
        Path(path).write_text(json.dumps({"meaning": [], "plans": {}}))


def of_an_older_release(place):
    for path in place.plans():
        value = json.loads(Path(path).read_text())
        for plan in value["plans"].values():
            del plan["sound"]
        Path(path).write_text(json.dumps(value))


def without_salt(place):
    os.unlink(os.path.join(place.bench.data, "memo", "salt"))


def elsewhere(place):
    shutil.copytree(place.root, place.root / "copy", ignore=shutil.ignore_patterns("home", "copy"))
    place.write("copy/constraints.txt", "alpha>=2\n")
    place.variables["cwd"] = place.root / "copy"


CHANGES = {
    "a requirement file": configure("requirements.txt", "-c constraints.txt\nbeta\n"),
    "an included file": configure("more.txt", "gamma\n"),
    "a constraint file": configure("constraints.txt", "alpha>=2\n"),
    "a file that is gone": lambda place: (place.root / "more.txt").unlink(),
    "a variable that a file names": set_variable(SET="0.5"),
    "a variable of pip": set_variable(PIP_CONSTRAINT="other.txt"),
    "a configuration file that was not there": configure("home/.pip/pip.conf", "[install]\nno-deps = yes\n"),
    "another home": set_variable(HOME="elsewhere"),
    "another working directory": elsewhere,
    "what -U found": newer_by_upgrade,
    "what another request found": newer_by_another_request,
    "what came for a dependency": newer_dependency,
    "an age": set_variable(PIP_ACCEL_INDEX_MAX_AGE="0"),
    "the store is gone": drop_trees,
    "the memo is cut short": cut_short,
    "the memo has another shape": of_another_shape,
    "the memo is of an older release": of_an_older_release,
    "the secret is gone": without_salt,
}


LIKE_OTHERS = {
    "an included file",
    "a constraint file",
    "a file that is gone",
    "another home",
    "what another request found",
    "the memo has another shape",
    "the memo is of an older release",
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=name, marks=pytest.mark.slow if name in LIKE_OTHERS else ())
        for name, change in CHANGES.items()
    ],
)
def test_what_may_change_the_answer_is_noticed(place, change):
    place.write("other.txt", "alpha!=1.0\n")
    place.install(*USUAL)
    assert place.install(*USUAL)[1]
    change(place)
    result, kept = place.install(*USUAL, status=None)
    assert not kept
    place.forget()
    expected, _ = place.install(*USUAL, status=None)
    assert (result.run.status, result.installed) == (expected.run.status, expected.installed)
    assert result.run.stdout == expected.run.stdout


def test_a_configuration_file_of_the_target_is_noticed(place):
    environment = place.bench.fresh()
    place.install("beta")
    Path(environment.prefix, "pip.conf").write_text("[install]\nno-deps = yes\n")
    result, kept = place.install("beta", into=environment)
    assert not kept
    assert result.installed == {"beta": "1.0"}
    result, kept = place.install("beta")
    assert kept or result.installed == {"alpha": "2.0", "beta": "1.0"}
    assert result.installed == {"alpha": "2.0", "beta": "1.0"}


def test_a_place_that_is_looked_into_is_noticed(place, tmp_path):
    links = tmp_path / "links"
    make_wheel(str(links), "alpha", "2.5")
    words = ["--find-links", str(links), "alpha"]
    place.install(*words)
    assert place.install(*words)[1]
    make_wheel(str(links), "alpha", "3.0")
    result, kept = place.install(*words)
    assert not kept
    assert result.installed == {"alpha": "3.0"}


@pytest.mark.parametrize("there", [["alpha==1.0"], ["gamma"], ["alpha==1.0", "beta"]], ids=" ".join)
def test_what_is_installed_counts(place, there):
    place.install("beta")
    assert place.install("beta")[1]
    environment = place.bench.fresh()
    place.install(*there, into=environment)
    result, kept = place.install("beta", into=environment)
    assert not kept
    other = place.bench.fresh()
    run_pip(["install", "-i", place.bench.index.url, *there], other)
    run_pip(["install", "-i", place.bench.index.url, "beta"], other)
    assert result.installed == installed(other)


def test_nothing_to_do_is_kept_beside_the_plan_for_a_fresh_environment(place):
    environment = place.bench.fresh()
    place.install("beta", into=environment)
    first, kept = place.install("beta", into=environment)
    assert not kept
    second, kept = place.install("beta", into=environment)
    assert kept
    assert first.run.stdout == second.run.stdout
    assert second.run.stdout.count("Requirement already satisfied:") == 2
    assert place.install("beta")[1]
    metadata = Path(environment.site_packages, "beta-1.0.dist-info", "METADATA")
    metadata.write_text(metadata.read_text().replace("Requires-Dist: alpha", "Requires-Dist: gamma"))
    result, kept = place.install("beta", into=environment)
    assert not kept
    assert "gamma" in result.installed


def test_what_a_path_file_adds_counts(place, tmp_path):
    place.install("beta")
    environment = place.bench.fresh()
    added = tmp_path / "added"
    (added / "alpha-1.0.dist-info").mkdir(parents=True)
    (added / "alpha-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    Path(environment.site_packages, "added.pth").write_text(f"{added}\n")
    result, kept = place.install("beta", into=environment)
    assert not kept
    assert result.installed == {"beta": "1.0"}


def test_another_python_has_another_plan(place):
    own = place.bench.fresh()
    real = os.path.realpath(own.python)
    others = [python for python in find_interpreters().values() if os.path.realpath(python) != real]
    if not others:
        pytest.skip("needs two interpreters")
    place.install("beta")
    result, kept = place.install("beta", into=place.bench.fresh(others[0]))
    assert not kept
    assert result.installed == {"alpha": "2.0", "beta": "1.0"}


def test_an_answer_becomes_too_old(place):
    place.install("beta")
    assert place.install("beta", PIP_ACCEL_INDEX_MAX_AGE="1h")[1] is False  # the variable is part of the request
    assert place.install("beta", PIP_ACCEL_INDEX_MAX_AGE="1h")[1]
    place.add("alpha", "3.0")
    for path in place.plans():
        value = json.loads(Path(path).read_text())
        for plan in value["plans"].values():
            assert abs(plan["learned"] - time.time()) < 600
            plan["learned"] -= 7200
        Path(path).write_text(json.dumps(value))
    assert not place.install("beta", PIP_ACCEL_INDEX_MAX_AGE="1h")[1]
    result, kept = place.install("beta")  # unlimited
    assert kept
    assert result.installed == {"alpha": "2.0", "beta": "1.0"}


@pytest.mark.parametrize(
    "words",
    [["-U", "alpha"], ["--dry-run", "alpha"], ["--no-cache-dir", "alpha"], ["--log", "log", "alpha"]],
    ids=" ".join,
)
def test_what_has_to_be_done_anew_is_not_kept(place, words):
    place.install(*words)
    assert not place.install(*words)[1]


def test_what_a_directory_requires_is_looked_at_anew(place):
    place.write("project/pyproject.toml", "[project]\nname = 'own'\nversion = '1'\ndependencies = ['alpha<2']\n")
    words = ["--no-deps", "./project", "-i", place.bench.index.url]
    place.install("setuptools", status=None)
    place.install(*words, status=None)
    assert not place.install(*words, status=None)[1]


def test_an_edit_in_the_store_is_noticed_and_said_once(place):
    environment = place.bench.fresh()
    place.install("beta", into=environment)
    path = Path(environment.site_packages, "beta.py")
    assert path.exists()
    with path.open("a") as stream:
        stream.write("edited = True\n")
    result, _ = place.install("beta")
    assert "edited" not in result.read("beta.py")
    assert result.run.stdout.count("Installing collected packages") == 1
    assert result.run.stdout.count("Successfully installed") == 1


def test_secrets_cannot_be_guessed_from_what_is_kept(place):
    place.variables["SET"] = "1.0"
    place.write("requirements.txt", "--trusted-host 127.0.0.1\nalpha>=${SET}\n")
    place.install(*USUAL)
    directory = Path(place.bench.data, "memo")
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o77 == 0
        text = path.read_bytes().decode("latin-1")
        assert "trusted" not in text
        import hashlib

        assert hashlib.sha256(b"1.0").hexdigest() not in text


def test_a_password_is_not_kept(place):
    page = place.bench.index.url.replace("http://", "http://name:hidden-word@") + "alpha/"
    words = ["--find-links", page, "alpha"]
    place.install(*words)
    result, kept = place.install(*words)
    assert kept
    assert result.installed == {"alpha": "2.0"}
    for path in place.plans():
        assert "hidden-word" not in Path(path).read_text()


def test_what_another_run_learned_meanwhile_is_waited_for(place):
    place.install("beta")
    views = list(Path(place.bench.data, "sources", "views").rglob("*.json"))
    place.forget()
    for path in views:
        os.utime(path, (time.time() + 1000,) * 2)
    place.install("beta")
    assert not place.install("beta")[1]
    for path in views:
        os.utime(path, (time.time() - 1000,) * 2)
    place.install("beta")
    assert place.install("beta")[1]


def test_old_plans_go(place, monkeypatch, tmp_path):
    from pip_accel._plan import memo

    monkeypatch.setattr(memo, "_MOST", 10)
    directory = tmp_path / "memo"
    directory.mkdir()
    for number in range(14):
        path = directory / f"{number}.json"
        path.write_text("{}")
        os.utime(path, (1000 + number, 1000 + number))
    (directory / "salt").write_text("x")
    os.utime(directory / "salt", (1, 1))
    memo._prune(str(directory))
    left = sorted(path.name for path in directory.iterdir())
    assert "salt" in left
    assert "13.json" in left
    assert "0.json" not in left
    assert len(left) <= 10
