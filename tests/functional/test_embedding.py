"""``PipAccelerator`` as embedding programs use it, step by step: planned, downloaded, installed; pip is the judge."""

from __future__ import annotations

import logging
import os
import re

import pytest

from pip_accel import PipAccelerator
from pip_accel.config import Config
from pip_accel.exceptions import DataDirectoryError, NothingFound, NothingToDoError, PipFailed, Unsupported
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ, make_environment
from tests.lib.judge import compare_trees, drop_permitted
from tests.lib.runs import installed, run_pip
from tests.lib.trees import snapshot


@pytest.fixture(autouse=True)
def variables(index, monkeypatch):
    """The variables of this process name the index and nothing else."""
    expected = clean_environ(PIP_INDEX_URL=index.url)
    for name in set(os.environ) - set(expected):
        monkeypatch.delenv(name)
    for name, value in expected.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def config(data):
    settings = Config(load_configuration_files=False, load_environment_variables=False)
    settings.data_directory = data
    return settings


@pytest.fixture
def environment(config, tmp_path):
    """The environment to install into, in place of the one that runs this."""
    environment = make_environment(str(tmp_path / "two" / "env"))
    config.python_executable = environment.python
    return environment


@pytest.fixture
def accelerator(config, environment):
    return PipAccelerator(config)


@pytest.fixture
def offer(index, archives):
    """Put archives into the index: ``offer(make, name, version, ...)``."""
    return lambda make, *words, **options: index.add(make(archives, *words, **options))


def described(requirements):
    return {each.name: (each.version, each.is_wheel, each.is_direct) for each in requirements}


# The steps


def test_what_is_not_there_is_downloaded_and_installs_without_network_from_then_on(
    accelerator, environment, offer, index, tmp_path
):
    offer(make_sdist, "alpha", "1.0")
    with pytest.raises(NothingFound):
        accelerator.unpack_source_dists(["alpha"])
    assert index.requests == []
    accelerator.download_source_dists(["alpha"])
    assert index.downloads == {"alpha-1.0.tar.gz": 1}
    index.reset()
    [requirement] = accelerator.unpack_source_dists(["alpha"])
    assert (requirement.name, requirement.version) == ("alpha", "1.0")
    assert os.path.isfile(os.path.join(requirement.source_directory, "pyproject.toml"))
    assert accelerator.install_requirements([requirement]) == 1
    assert installed(environment) == {"alpha": "1.0"} and index.requests == []
    assert accelerator.install_requirements([]) == 0


def test_steps_leave_what_pip_leaves(accelerator, environment, offer, index, tmp_path):
    offer(make_sdist, "alpha", "1.0", requires=["beta>1", "gamma"], entry_points="[console_scripts]\na = alpha:main\n")
    for version in ("1.0", "2.0"):
        offer(make_wheel, "beta", version, data={"scripts/tool": "#!python\nprint(1)\n"})
    offer(make_wheel, "gamma", "1.0")
    model = make_environment(str(tmp_path / "one" / "env"))
    run_pip(["install", "beta==1.0"], model, PIP_INDEX_URL=index.url)
    run_pip(["install", "alpha"], model, PIP_INDEX_URL=index.url)
    accelerator.install_from_arguments(["beta==1.0"])
    planned = accelerator.get_requirements(["alpha"], use_wheels=True)
    assert described(planned) == {
        "alpha": ("1.0", False, True), "beta": ("2.0", True, False), "gamma": ("1.0", True, False),
    }  # fmt: skip
    assert accelerator.install_requirements(planned) == 3
    assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []


def test_wheels_have_to_be_wanted_but_serve_builds(accelerator, offer):
    for make in (make_wheel, make_sdist):
        offer(make, "alpha", "1.0")
    offer(make_sdist, "beta", "1.0", build_requires=["tool"])
    offer(make_wheel, "tool", "1.0")
    assert described(accelerator.get_requirements(["alpha", "beta"])) == {
        "alpha": ("1.0", False, True), "beta": ("1.0", False, True),
    }  # fmt: skip
    assert described(accelerator.get_requirements(["alpha"], use_wheels=True)) == {"alpha": ("1.0", True, True)}
    assert described(accelerator.get_requirements(["--only-binary", "alpha", "alpha"]))["alpha"][1]
    found = accelerator.transform_pip_requirement_set(accelerator.get_pip_requirement_set(["alpha"], True, True))
    assert described(found) == {"alpha": ("1.0", True, True)}


def test_what_is_installed_is_only_planned_if_that_is_to_be_ignored(accelerator, environment, offer):
    offer(make_wheel, "alpha", "1.0")
    accelerator.install_from_arguments(["alpha"])
    assert accelerator.get_requirements(["alpha"], use_wheels=True) == []
    again = accelerator.get_requirements(["--ignore-installed", "alpha"], use_wheels=True)
    assert described(again) == {"alpha": ("1.0", True, True)}


def test_it_is_told_where_an_archive_came_from(accelerator, offer, index):
    offer(make_wheel, "alpha", "1.0")
    for _ in range(2):
        [requirement] = accelerator.get_requirements(["alpha"], use_wheels=True)
        info = requirement.pip_requirement["download_info"]
        assert info["url"] == index.url.removesuffix("simple/") + "files/alpha-1.0-py3-none-any.whl"
        assert info["archive_info"]["hashes"] == {"sha256": requirement.archive.sha256}


def test_to_plan_needs_no_environment_that_may_be_changed(accelerator, offer, monkeypatch):
    offer(make_wheel, "alpha", "1.0")
    monkeypatch.setattr("pip_accel._accelerator.os.access", lambda path, mode: False)
    planned = accelerator.get_requirements(["alpha"], use_wheels=True)
    assert described(planned) == {"alpha": ("1.0", True, True)}
    with pytest.raises(Unsupported, match="cannot be written to"):
        accelerator.install_requirements(planned)


def test_the_variable_of_pip_names_the_environment_for_every_step(config, offer, monkeypatch, tmp_path):
    offer(make_wheel, "alpha", "1.0")
    environment = make_environment(str(tmp_path / "env"))
    monkeypatch.setenv("PIP_PYTHON", environment.python)
    accelerator = PipAccelerator(config)
    assert accelerator.install_requirements(accelerator.get_requirements(["alpha"], use_wheels=True)) == 1
    assert installed(environment) == {"alpha": "1.0"}


def test_metadata_is_at_hand(accelerator, offer):
    more = "Classifier: A\nClassifier: B\nSummary: What it is\n"
    offer(make_wheel, "alpha", "1.0", requires=["beta"], metadata_extra=more)
    offer(make_sdist, "beta", "1.0", metadata_extra=more)
    alpha, beta = sorted(accelerator.get_requirements(["alpha"], use_wheels=True), key=lambda each: each.name)
    for message in (alpha.wheel_metadata, beta.sdist_metadata):
        assert message.get_all("Classifier") == ["A", "B"] and message["Summary"] == "What it is"
    assert alpha.wheel_metadata["Requires-Dist"] == "beta"


@pytest.mark.parametrize("kind", ["path", "directory", "editable"])
def test_what_is_asked_for_by_path_can_be_planned_and_installed(kind, accelerator, environment, archives, tmp_path):
    files = {"alpha.py": "x = 1\n"}
    path = make_sdist(archives, "alpha", "1.0", files=files, backend="in-tree")
    if kind != "path":
        from pip_accel._build.source import unpack_sdist

        path = unpack_sdist(path, str(tmp_path / "checkout"))
    if kind == "editable":
        backend = os.path.join(path, "_backend", "in_tree_backend.py")
        with open(backend, "a", encoding="utf-8") as stream:
            stream.write("\nbuild_editable = build_wheel\n")
    words = ["--editable", path] if kind == "editable" else [path]
    [requirement] = accelerator.get_requirements(words)
    assert requirement.is_editable == (kind == "editable") and not requirement.is_wheel
    assert accelerator.install_requirements([requirement]) == 1
    assert installed(environment) == {"alpha": "1.0"}
    with open(os.path.join(environment.site_packages, "alpha-1.0.dist-info", "direct_url.json")) as stream:
        assert ('"editable": true' in stream.read()) == (kind == "editable")


def test_one_failure_undoes_all_of_a_step(accelerator, environment, offer):
    offer(make_wheel, "alpha", "1.0")
    offer(make_sdist, "beta", "1.0", fail="build_wheel")
    planned = accelerator.get_requirements(["alpha", "beta"], use_wheels=True)
    before = snapshot(environment.prefix)
    with pytest.raises(Exception, match=r"ffi\.h"):
        accelerator.install_requirements(planned)
    assert snapshot(environment.prefix) == before


# How often, and with what


@pytest.mark.parametrize(("retries", "asked"), [(None, 3), (2, 2), (0, 1)])
def test_downloads_are_repeated_as_often_as_that_is_wanted(retries, asked, accelerator, index, offer, monkeypatch):
    monkeypatch.setattr("pip_accel._plan.pip.time.sleep", lambda seconds: None)
    offer(make_wheel, "alpha", "1.0")
    index.fail("/files/alpha-1.0-py3-none-any.whl", times=99)
    with pytest.raises(PipFailed):
        accelerator.get_requirements(["--retries", "0", "alpha"], max_retries=retries, use_wheels=True)
    assert sum("alpha-1.0-py3-none-any.whl" in path and "metadata" not in path for _, path in index.requests) == asked


def test_a_requirement_file_without_requirements_asks_for_nothing(accelerator, tmp_path):
    empty = tmp_path / "requirements.txt"
    empty.write_text("# nothing yet\n")
    for act in (accelerator.get_requirements, accelerator.install_from_arguments, accelerator.download_source_dists):
        with pytest.raises(NothingToDoError, match=r"requirements\.txt"):
            act(["-r", str(empty)])


def test_what_only_pip_can_serve_is_named(accelerator, offer):
    offer(make_wheel, "alpha", "1.0")
    for act in (accelerator.get_requirements, accelerator.install_from_arguments):
        with pytest.raises(Unsupported):
            act(["--platform", "any", "--target", "x", "--only-binary", ":all:", "alpha"])


# Where


def test_a_prefix_is_that_of_pip(accelerator, environment, offer, index, tmp_path):
    offer(make_wheel, "alpha", "1.0", data={"scripts/tool": "#!python\nprint(1)\n"})
    prefixes = [str(tmp_path / name) for name in ("model", "words", "steps", "given")]
    run_pip(["install", "--prefix", prefixes[0], "alpha"], environment, PIP_INDEX_URL=index.url)
    assert accelerator.install_from_arguments(["alpha"], prefix=prefixes[1]) == 1
    planned = accelerator.get_requirements(["alpha"], use_wheels=True)
    assert accelerator.install_requirements(planned, prefix=prefixes[2]) == 1
    accelerator.config.install_prefix = prefixes[3]
    assert accelerator.install_from_arguments(["alpha"]) == 1
    for prefix in prefixes[1:]:
        assert drop_permitted(compare_trees(prefixes[0], prefix)) == []
    assert installed(environment) == {}


def test_scripts_name_the_interpreter_that_is_given(accelerator, environment, offer):
    offer(make_wheel, "alpha", "1.0", data={"scripts/tool": "#!python\nprint(1)\n"})
    assert accelerator.install_from_arguments(["alpha"], python="/opt/later/bin/python") == 1
    with open(os.path.join(environment.prefix, "bin", "tool"), encoding="utf-8") as stream:
        assert stream.readline() == "#!/opt/later/bin/python\n"


def test_an_interpreter_may_be_given_for_all(config, offer, tmp_path):
    offer(make_wheel, "alpha", "1.0")
    environment = make_environment(str(tmp_path / "env"))
    accelerator = PipAccelerator(config, python=environment.python)
    [requirement] = accelerator.get_requirements(["alpha"], use_wheels=True)
    assert accelerator.install_requirements([requirement]) == 1
    assert installed(environment) == {"alpha": "1.0"}


@pytest.mark.parametrize("method", ["install_from_arguments", "install_requirements"])
def test_a_keyword_that_does_not_exist_is_an_error(accelerator, method):
    with pytest.raises(TypeError, match="'target'"):
        getattr(accelerator, method)([], target="x")


# What a new one does


def test_broken_links_leave_the_index_with_a_warning(config, environment, caplog):
    os.makedirs(config.source_index)
    kept, broken = (os.path.join(config.source_index, name) for name in ("kept", "broken"))
    os.symlink(config.source_index, kept)
    os.symlink("/nonexistent/archive.tar.gz", broken)
    with caplog.at_level(logging.WARNING, "pip_accel"):
        PipAccelerator(config)
    assert os.path.islink(kept) and not os.path.lexists(broken)
    assert [record.getMessage() for record in caplog.records] == [f"Removing the broken link {broken}"]
    assert os.path.isdir(config.eggs_cache)


def test_a_data_directory_of_others_is_refused(config, environment):
    os.makedirs(config.data_directory)
    os.chmod(config.data_directory, 0o777)
    with pytest.raises(DataDirectoryError, match="others may write"):
        PipAccelerator(config)


def test_another_active_environment_is_refused_unless_one_is_named(config, monkeypatch, tmp_path):
    from pip_accel.exceptions import EnvironmentMismatchError

    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    with pytest.raises(EnvironmentMismatchError):
        PipAccelerator(config)
    PipAccelerator(config, validate=False)
    monkeypatch.setenv("PIP_PYTHON", str(tmp_path / "bin" / "python"))
    PipAccelerator(config)


def test_the_data_directory_is_kept_below_its_limit(config, environment, offer):
    offer(make_wheel, "alpha", "1.0", files={"alpha.bin": os.urandom(100_000), "alpha.py": ""})
    offer(make_wheel, "beta", "1.0")
    config.max_cache_size = 50_000
    accelerator = PipAccelerator(config)
    accelerator.install_from_arguments(["alpha"])
    for place, directories, names in os.walk(config.data_directory):
        for name in (*directories, *names):
            os.utime(os.path.join(place, name), (1_700_000_000, 1_700_000_000))
    accelerator.install_from_arguments(["beta"])
    assert not [name for _, _, names in os.walk(config.data_directory) for name in names if name == "alpha.bin"]


def test_what_is_asked_again_is_not_even_planned(accelerator, environment, offer, monkeypatch):
    offer(make_wheel, "alpha", "1.0")
    accelerator.install_from_arguments(["alpha"])
    run_pip(["uninstall", "--yes", "alpha"], environment)
    accelerator.install_from_arguments(["alpha"])
    run_pip(["uninstall", "--yes", "alpha"], environment)
    monkeypatch.setattr("pip_accel._plan.arguments.parse", None)
    assert accelerator.install_from_arguments(["alpha"]) == 1


def test_the_build_directory_is_made_when_it_is_needed_and_goes(accelerator, offer):
    offer(make_wheel, "alpha", "1.0")
    path = accelerator.build_directory
    assert os.stat(path).st_mode & 0o777 == 0o700
    open(os.path.join(path, "x"), "w").close()
    accelerator.clear_build_directory()
    again = accelerator.build_directory
    assert not os.path.exists(path) and os.listdir(again) == []
    accelerator.install_from_arguments(["alpha"])
    assert not os.path.exists(again)
    accelerator.create_build_directory()
    path = accelerator.build_directory
    accelerator.cleanup_temporary_directories()
    assert not os.path.exists(path)


# Words


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["alpha"], True),
        (["--no-binary", ":all:", "alpha"], False),
        (["--no-binary=:all:"], False),
        (["--no-use-wheel"], False),
        (["--no-binary", "alpha"], True),
        (["--only-binary", ":all:"], True),
    ],
)
def test_words_may_forbid_wheels(accelerator, words, allowed):
    assert accelerator.arguments_allow_wheels(words) is allowed
    assert accelerator.setuptools_supports_wheels() is True


def test_paths_of_archives_become_urls_with_a_hash(accelerator, archives, monkeypatch, tmp_path):
    path = make_sdist(archives, "alpha", "1.0")
    monkeypatch.chdir(archives)
    words = [
        "alpha-1.0.tar.gz", "--cert", "alpha-1.0.tar.gz", "-c", "alpha-1.0.tar.gz", "./alpha-1.0.tar.gz[x]", ".",
        "alpha", "https://h/alpha-1.0.tar.gz", path,
    ]  # fmt: skip
    given = list(words)
    decorated = accelerator.decorate_arguments(words)
    url = re.compile(rf"file://{re.escape(path)}#sha256=[0-9a-f]{{64}}")
    changed = [place for place, (before, after) in enumerate(zip(given, decorated, strict=True)) if before != after]
    assert words == given and changed == [0, 9]
    assert all(url.fullmatch(decorated[place]) for place in changed)


def test_decorated_words_mean_the_file_and_nothing_else(accelerator, environment, archives, tmp_path):
    path = make_sdist(archives, "alpha", "1.0")
    words = accelerator.decorate_arguments(["--no-index", path])
    model = make_environment(str(tmp_path / "one" / "env"))
    run_pip(["install", *words], model)
    assert accelerator.install_from_arguments(words) == 1
    assert drop_permitted(compare_trees(str(tmp_path / "one"), str(tmp_path / "two"))) == []
    with open(path, "ab") as stream:
        stream.write(b"\0")
    with pytest.raises(Unsupported, match="something else"):
        accelerator.install_from_arguments(words)
