"""``pip-accel cache dir|info|list|remove|purge|verify|prune``, of a data directory that installations have filled."""

from __future__ import annotations

import json
import os
import re
import shutil
import time

import pytest

from pip_accel._cache_commands import cache
from pip_accel.config import Config
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.index import IndexServer
from tests.lib.runs import installed, run_pip, run_pip_accel

FILES = {"beta_one/__init__.py": "x = 1\n", "beta_one/more.py": "y = 1\n", "beta_one/data.txt": "data\n"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a data directory that two installations have filled."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def server(place):
    """The index that they asked."""
    archives = str(place / "archives")
    make_wheel(archives, "beta.one", "1.0", files=FILES)
    make_wheel(archives, "beta.one", "1.1", files=FILES)
    make_sdist(archives, "alpha", "1.0")
    with IndexServer(archives) as server:
        for number, words in enumerate((["alpha", "beta.one==1.0"], ["alpha", "beta.one"])):
            environment = make_environment(str(place / f"env-{number}"))
            run_pip_accel(["install", *words], environment, place / "data", PIP_INDEX_URL=server.url)
        yield server


@pytest.fixture
def config(place, server, tmp_path):
    """A configuration with a data directory like that one."""
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "data")
    shutil.copytree(place / "data", config.data_directory)
    return config


@pytest.fixture
def run(config, capsys):
    """Run ``pip-accel cache WORDS``; gives standard output and standard error."""

    def run(*words, before=(), status=0):
        assert cache(before, words, os.environ, config) == status
        return capsys.readouterr()

    return run


@pytest.fixture
def install(server, config, fresh):
    """Install both projects; gives what the index was asked for."""

    def install():
        environment = fresh()
        server.reset()
        run_pip_accel(["install", "alpha", "beta.one"], environment, config.data_directory, PIP_INDEX_URL=server.url)
        assert installed(environment) == {"alpha": "1.0", "beta_one": "1.1"}
        run_pip(["check"], environment)
        return dict(server.downloads)

    return install


def files_of(config, *, kind=""):
    """Paths of all files below a part of the data directory."""
    start = os.path.join(config.data_directory, kind)
    return {os.path.join(place, name) for place, _, names in os.walk(start) for name in names}


def find(config, pattern):
    """The one path below the data directory that ends like a pattern."""
    every = [
        os.path.join(place, name)
        for place, directories, names in os.walk(config.data_directory)
        for name in [*directories, *names]
    ]
    [found] = [path for path in every if re.search(pattern + "$", path)]
    return found


def grow_old(path, days):
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment))


# What there is


def test_the_directory_is_that_of_the_configuration(run, config):
    assert run("dir") == (config.data_directory + "\n", "")


def test_the_program_has_them_whatever_environment_is_meant(place, server, tmp_path):
    data = str(tmp_path / "nothing-yet")
    assert run_pip_accel(["cache", "dir"], str(place / "env-0"), data, lends=False).stdout == data + "\n"
    assert not os.path.exists(data)


def test_sizes_and_counts_are_those_of_the_files(run, config):
    values = json.loads(run("info", "--format=json").out)
    assert values["location"] == config.data_directory
    assert [values[part]["count"] for part in ("archives", "built", "unpacked")] == [3, 1, 3]
    for part in ("archives", "built"):
        paths = files_of(config, kind=os.path.relpath(values[part]["location"], config.data_directory))
        sizes = {os.stat(path).st_ino: os.path.getsize(path) for path in paths}  # an sdist is linked to its metadata
        assert values[part]["bytes"] <= sum(sizes.values()) < values[part]["bytes"] * 1.5 + 1
    trees = [path for path in files_of(config, kind="trees") if not path.endswith("manifest.json")]
    assert values["unpacked"]["bytes"] == sum(map(os.path.getsize, trees))
    assert values["bytes"] == sum(values[part]["bytes"] for part in ("archives", "built", "unpacked", "notes"))
    assert values["limit"] == config.max_cache_size


def test_of_what_use_it_has_been_is_told(run):
    usage = json.loads(run("info", "--format=json").out)["usage"]
    assert (usage["installations"], usage["without_network"], usage["distributions"]) == (2, 0, 4)
    assert (usage["builds"], usage["reuses"]) == (1, 1)
    assert 0 < usage["build_seconds"] == usage["saved_seconds"] < 60
    assert abs(usage["since"] - time.time()) < 3600


def test_people_read_the_same_in_words(run, config):
    config.s3_cache_bucket = "wheels"
    lines = run("info").out.splitlines()
    assert lines[0] == f"Cache location: {config.data_directory}"
    assert re.fullmatch(r"Cache size: .* KB \(limit: 10.74 GB\)", lines[1])
    assert {"Number of archives: 3", "Number of locally built distributions: 1"} <= {*lines}
    assert "Shared cache: bucket wheels" in lines
    assert re.fullmatch(r"Installations since ....-..-..: 2, 0 of them without network", lines[-4])
    assert lines[-3] == "Distributions installed: 4"
    assert re.fullmatch(r"Builds: 1 \(\d+ seconds?\)", lines[-2])
    assert re.fullmatch(r"Built distributions used again: 1 \(saved \d+ seconds?\)", lines[-1])


def test_nothing_is_said_of_the_use_of_what_was_not_used(run, config, tmp_path):
    config.data_directory, config.max_cache_size = str(tmp_path / "empty"), None
    lines = run("info").out.splitlines()
    assert lines[1] == "Cache size: 0 bytes (no limit)"
    assert lines[-1] == "Size of what was learned (views, plans, logs): 0 bytes"
    assert run("list").out == "No archives and no locally built distributions cached.\n"
    assert run("list", "--format=abspath").out == ""
    assert run("purge").out == "Files removed: 0 (0 bytes)\n"
    assert run("verify").out == "Verified 0 entries (0 bytes): all of them are sound\n"
    assert not os.path.exists(config.data_directory)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("alpha", ["alpha-1-cpython", "alpha-1.0.tar.gz"]),
        ("Beta_one", ["beta_one-1.0-", "beta_one-1.1-"]),
        ("beta.one-1", ["beta_one-1.0-", "beta_one-1.1-"]),
        ("beta-one-1.1", ["beta_one-1.1-"]),
        ("beta-*-1.0", ["beta_one-1.0-"]),
        ("alpha-1.0", ["alpha-1-cpython", "alpha-1.0.tar.gz"]),
        ("b*", ["beta_one-1.0-", "beta_one-1.1-"]),
        ("beta_one-1.0-py3-none-any.whl", ["beta_one-1.0-"]),
        ("*.tar.gz", ["alpha-1-cpython", "alpha-1.0.tar.gz"]),
        ("beta", []),
        ("beta-o", []),
        ("1.0", []),
    ],
)
def test_a_pattern_means_projects_versions_or_files(run, pattern, names):
    found = [line for line in run("list", pattern).out.splitlines() if line.startswith(" - ")]
    assert [line.startswith(f" - {name}") for line, name in zip(found, names, strict=True)] == [True] * len(names)


def test_a_list_gives_file_names_and_sizes_or_paths_or_all(run):
    paths = run("list", "--format=abspath").out.splitlines()
    assert all(map(os.path.isfile, paths)) and len(paths) == 4
    [line] = run("list", "beta.one-1.0").out.splitlines()[2:]
    assert re.fullmatch(r" - beta_one-1\.0-py3-none-any\.whl \([\d.]+ (KB|bytes)\)", line)
    [row] = json.loads(run("list", "beta.one-1.0", "--format", "json").out)
    assert row["path"] in paths
    assert (row["name"], row["version"], row["kind"]) == ("beta-one", "1.0", "archive")
    assert row["bytes"] >= os.path.getsize(row["path"]) and row["unpacked_bytes"] > sum(map(len, FILES.values()))
    assert abs(row["last_used"] - time.time()) < 3600


# What goes


def test_what_is_removed_of_a_project_is_all_of_it(run, config, install):
    before = files_of(config)
    said = run("remove", "alpha")
    count = len(before - files_of(config))
    assert re.fullmatch(rf"Files removed: {count} \([\d.]+ (KB|bytes)\)\n", said.out) and said.err == ""
    assert not [path for path in files_of(config) if "alpha" in os.path.basename(path)]
    assert install()["alpha-1.0.tar.gz"] == 1


def test_more_is_said_of_what_is_removed_if_that_is_asked_for(run):
    lines = run("remove", "beta.one-1.1", "-v").out.splitlines()
    assert lines[0].startswith("Removed ") and lines[0].endswith("beta_one-1.1-py3-none-any.whl")
    assert run("remove", "alpha", before=["-q"]).out == ""


def test_nothing_that_fits_is_what_pip_says_of_it(run, config):
    before = files_of(config)
    said = run("remove", "gamma")
    assert said == ("Files removed: 0 (0 bytes)\n", 'WARNING: No matching packages for pattern "gamma"\n')
    assert files_of(config) - {os.path.join(config.data_directory, "lock")} == before


def test_everything_goes_but_what_is_not_ours(run, config, install):
    parts = ["mine"], ["logs", "mine"], ["trees", "aa", "mine"], ["binaries", "v7", "alpha-1.0.tar.gz"]  # of 0.43
    own = [os.path.join(config.data_directory, *each) for each in parts]
    for path in own:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w"):
            pass
    assert re.fullmatch(r"Files removed: \d\d \([\d.]+ KB\)\n", run("purge").out)
    assert {path for path in files_of(config) if os.path.basename(path) != "lock"} == {*own}
    assert len(install()) == 2
    assert install() == {}


def test_what_was_not_used_for_long_is_pruned(run, config, install):
    archive = os.path.dirname(find(config, r"beta_one-1\.0-py3-none-any\.whl"))
    log, plan = find(config, r"alpha-1\.0\.log"), find(config, r"/templates/pip-[^/]*")
    # Of what was learned nobody notes when it was of use: an archive may be used daily.
    views = [find(config, r"/alpha\.json"), find(config, r"/beta-one\.json")]
    for path in (archive, log, plan, *views):
        grow_old(path, 40)
    run("prune", "--unused-for=30d")
    assert [os.path.exists(path) for path in (archive, log, plan, *views)] == [False, False, True, True, True]
    assert install() == {}


def test_what_another_release_has_built_is_not_called_damaged(run, config):
    paths = [os.path.join(config.binary_cache, revision, "alpha-1.0.tar.gz") for revision in ("v7", "v9")]
    for path in paths:
        os.makedirs(os.path.dirname(path))
        with open(path, "w"):
            pass
    run("verify")
    run("remove", "alpha")
    assert all(map(os.path.exists, paths))


def test_other_commands_that_keep_something_see_to_the_size(place, server, config, tmp_path):
    archive = os.path.dirname(find(config, r"beta_one-1\.0-py3-none-any\.whl"))
    grow_old(archive, 1)
    environment = make_environment(str(tmp_path / "env"))
    words = ["deps", "--json", "beta.one==1.1"]
    variables = {"PIP_INDEX_URL": server.url, "PIP_ACCEL_MAX_CACHE_SIZE": "1"}
    run_pip_accel(words, environment, config.data_directory, **variables)
    assert not os.path.exists(archive)
    assert os.path.exists(os.path.dirname(find(config, r"beta_one-1\.1-py3-none-any\.whl")))  # used within the hour


def test_no_more_than_a_size_is_left(run, config, install):
    for tree in os.scandir(os.path.join(config.data_directory, "trees")):
        for entry in os.scandir(tree.path):
            grow_old(os.path.join(entry.path, "manifest.json"), 1)
    values = json.loads(run("info", "--format=json").out)
    limit = values["archives"]["bytes"] + values["built"]["bytes"] + 10
    run("prune", f"--max-size={limit}")
    values = json.loads(run("info", "--format=json").out)
    assert values["unpacked"]["count"] == 0 and values["archives"]["count"] == 3
    assert install() == {}  # the same is unpacked again


def test_what_is_of_no_use_without_what_is_gone_goes_too(run, config):
    tree = tree_of(config, "alpha")
    [code] = [entry.path for entry in os.scandir(os.path.dirname(tree)) if entry.path.startswith(tree + "-")]
    shutil.rmtree(tree)
    shutil.rmtree(os.path.dirname(find(config, r"/archives/../[0-9a-f]+/alpha-1\.0\.tar\.gz")))
    view = find(config, r"/alpha\.json")
    run("prune")
    assert not os.path.exists(code) and not os.path.exists(view)
    assert os.path.exists(find(config, r"/beta-one\.json"))


# What is damaged


def overwrite(path, old, new, *, restore=False):
    """Change bytes of a file in place, with the time stamp as it was if that is asked for."""
    status = os.stat(path)
    with open(path, "rb+") as stream:
        content = stream.read()
        assert old in content
        stream.seek(0)
        stream.truncate()
        stream.write(content.replace(old, new, 1))
    if restore:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path):
    with open(path, "rb+") as stream:
        stream.truncate(os.path.getsize(path) // 2)


def tree_of(config, name):
    """The tree of a distribution, by what its manifest has for a name."""
    for path in files_of(config, kind="trees"):
        if path.endswith("manifest.json"):
            with open(path) as stream:
                if json.load(stream).get("name") == name:
                    return os.path.dirname(path)
    raise AssertionError(name)


def edit_source(config):
    overwrite(os.path.join(tree_of(config, "alpha"), "purelib", "alpha.py"), b"", b"# edited\n")


def edit_secretly(config):
    path = next(iter(p for p in files_of(config, kind="trees") if p.endswith("beta_one/data.txt")))
    overwrite(path, b"data", b"DATA", restore=True)


def edit_byte_code(config):
    path = next(iter(p for p in files_of(config, kind="trees") if re.search(r"/alpha\.[^/]*\.pyc$", p)))
    with open(path, "rb") as stream:
        head = stream.read(16)
    overwrite(path, head, head[:8] + b"\1\0\0\0" + head[12:], restore=True)


DAMAGES = {
    "archive": lambda config: overwrite(find(config, r"/beta_one-1\.1-py3-none-any\.whl"), b"beta", b"BETA"),
    "sdist": lambda config: cut(find(config, r"/archives/../[0-9a-f]+/alpha-1\.0\.tar\.gz")),
    "built": lambda config: cut(find(config, r"/alpha-1-cpython[^/]*\.tar\.gz")),
    "another key": lambda config: os.rename(
        find(config, r"/alpha-1-cpython[^/]*\.tar\.gz"),
        re.sub(r"-[0-9a-f]{32}\.", f"-{'0' * 32}.", find(config, r"/alpha-1-cpython[^/]*\.tar\.gz")),
    ),
    "tree": edit_source,
    "same size and time": edit_secretly,
    "manifest": lambda config: cut(os.path.join(tree_of(config, "beta.one"), "manifest.json")),
    "byte code": edit_byte_code,
    "view": lambda config: cut(find(config, r"/beta-one\.json")),
    "missing file": lambda config: os.unlink(os.path.join(tree_of(config, "alpha"), "purelib", "alpha.py")),
}


def test_what_is_sound_is_said_to_be(run, config):
    before = files_of(config)
    count = json.loads(run("verify", "--format=json").out)["entries"]
    said = run("verify")
    assert re.fullmatch(rf"Verified {count} entries \([\d.]+ KB\): all of them are sound\n", said.out)
    assert said.err == ""
    assert files_of(config) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_found_named_and_removed(run, config, damage):
    DAMAGES[damage](config)
    said = run("verify", status=1)
    [line] = said.err.splitlines()
    path = re.fullmatch(r"WARNING: (\S+) is damaged: .+\. It is removed\.", line)[1]
    assert path.startswith(config.data_directory) and not os.path.exists(path)
    assert said.out.endswith(": 1 was damaged, and removed\n")
    assert run("verify").err == ""


def test_what_is_installed_after_that_is_sound(run, config, install):
    for name in ("built", "same size and time", "byte code", "view"):
        DAMAGES[name](config)
    found = json.loads(run("verify", "--format=json", status=1).out)
    assert len(found["damaged"]) == 4
    install()
    assert json.loads(run("verify", "--format=json").out)["damaged"] == []


# Words that make no sense


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Need an action (dir, explain, info, list, prune, pull, purge, push, remove, verify) to perform."),
        (["clean"], "Need an action (dir, explain, info, list, prune, pull, purge, push, remove, verify) to perform."),
        (["remove"], "Please provide a pattern"),
        (["dir", "x"], "Too many arguments"),
        (["list", "x", "y"], "Too many arguments"),
        (["prune", "--max-size=big"], "--max-size cannot be 'big'; accepted: a number of bytes"),
        (["prune", "--unused-for", "ever"], "--unused-for cannot be 'ever'; accepted: a number of seconds"),
    ],
)
def test_words_that_make_no_sense_are_an_error(run, config, words, says):
    before = files_of(config)
    said = run(*words, status=1)
    assert said.err.startswith(f"ERROR: {says}") and said.out == ""
    assert files_of(config) == before


def test_an_option_that_is_unknown_is_an_error(run, capsys):
    with pytest.raises(SystemExit) as caught:
        run("purge", "--everything")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "ERROR: pip-accel cache purge: unrecognized arguments: --everything\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["purge", "--help"]])
def test_help_is_given_and_nothing_done(run, config, words):
    before = files_of(config)
    assert run(*words).out.startswith("Usage: pip-accel cache VERB")
    assert files_of(config) == before


@pytest.mark.parametrize("words", [["info"], ["list"], ["purge"], ["verify"], ["prune"], ["remove", "alpha"]])
def test_a_directory_that_others_may_write_to_is_left_alone(run, config, words):
    before = files_of(config)
    os.chmod(config.data_directory, 0o777)
    said = run(*words, status=1)
    assert said.err.startswith(f"ERROR: The data directory {config.data_directory} is not used, as others")
    assert files_of(config) == before
