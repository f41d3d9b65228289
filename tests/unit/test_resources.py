"""The data directory, and what is temporary in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from pip_accel import _fs, _resources
from pip_accel._resources import Resources, host_pip_version, open_data_directory, open_resources
from pip_accel.config import Config
from pip_accel.exceptions import DataDirectoryError
from tests.lib.trees import make_target

TARGET = make_target("/env")


@pytest.fixture
def config(tmp_path):
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "data")
    return config


def open_here(config, environ=None):
    return open_resources(config, TARGET, None, {} if environ is None else environ)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o000, 0o077])
def test_a_missing_data_directory_is_made_for_us_alone(tmp_path, umask):
    path = tmp_path / "a" / "data"
    before = os.umask(umask)
    try:
        open_data_directory(str(path))
    finally:
        os.umask(before)
    open_data_directory(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o755 & ~umask
    assert os.listdir(path) == ["tmp"]
    assert os.listdir(path / "tmp") == []
    assert stat.S_IMODE((path / "tmp").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_data_directory_that_others_may_write_to_is_not_used(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(DataDirectoryError, match=r"others may write to it.*PIP_ACCEL_CACHE") as caught:
        open_data_directory(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_data_directory_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(DataDirectoryError, match="another user"):
        open_data_directory(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_file_is_no_data_directory(tmp_path):
    (tmp_path / "data").write_text("")
    for path in ("data", "data/below"):
        with pytest.raises(DataDirectoryError, match="cannot be used"):
            open_data_directory(str(tmp_path / path))


def test_a_data_directory_that_cannot_be_written_to_is_not_used(tmp_path, monkeypatch):
    def refuse(path, *words, **more):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataDirectoryError, match=r"\(read-only file system\)"):
        open_data_directory(str(tmp_path))


def test_a_link_to_a_directory_of_ours_is_used(tmp_path):
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to(tmp_path / "real")
    open_data_directory(str(tmp_path / "data"))


# Temporary directories


def test_what_is_temporary_goes_with_the_run(config):
    with open_here(config) as resources:
        one, two = resources.directory("plan"), resources.directory("plan")
        assert one != two
        assert os.path.dirname(one) == resources.temporary
        assert stat.S_IMODE(os.stat(one).st_mode) == stat.S_IMODE(os.stat(resources.temporary).st_mode) == 0o700
    assert os.listdir(os.path.join(config.data_directory, "tmp")) == []


def test_what_is_temporary_goes_also_when_the_run_fails(config):
    with pytest.raises(KeyboardInterrupt), open_here(config) as resources:
        resources.directory("plan")
        raise KeyboardInterrupt
    assert os.listdir(os.path.join(config.data_directory, "tmp")) == []


RUN = """
import sys, time
from pip_accel._resources import open_resources
from pip_accel.config import Config
from tests.lib.trees import make_target
config = Config(load_configuration_files=False, load_environment_variables=False)
config.data_directory = sys.argv[1]
with open_resources(config, make_target("/env"), None, {}) as resources:
    resources.directory("plan")
    print(resources.temporary, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(config):
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, config.data_directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_a_living_one(config, start):
    killed, leftover = start()
    living, in_use = start()
    killed.kill()
    killed.wait()
    assert os.path.isdir(leftover)
    with open_here(config) as resources:
        assert not os.path.exists(leftover)
        assert os.listdir(os.path.join(in_use)) != []
        assert os.path.isdir(resources.temporary)
    assert living.communicate("")[0] == ""
    assert living.returncode == 0
    assert not os.path.exists(in_use)


@pytest.mark.parametrize(
    ("name", "age", "goes"),
    [
        pytest.param("run-1-ab", 0, True, id="killed while it was removed"),
        pytest.param("new-1-ab", 0, False, id="beginning"),
        pytest.param("new-1-ab", 200_000, True, id="killed at its beginning"),
    ],
)
def test_directories_without_a_lock_are_removed_when_nobody_can_need_them(config, name, age, goes):
    open_data_directory(config.data_directory)
    path = os.path.join(config.data_directory, "tmp", name)
    os.makedirs(os.path.join(path, "plan-1"))
    os.utime(path, (time.time() - age,) * 2)
    with open_here(config):
        assert os.path.exists(path) is not goes


def test_a_lock_that_cannot_be_opened_is_left_alone(config, monkeypatch):
    open_data_directory(config.data_directory)
    path = os.path.join(config.data_directory, "tmp", "run-1-ab")
    os.makedirs(path)
    _fs.write_file(os.path.join(path, "lock"), "")
    try_lock = _fs.try_lock

    def refuse(name, **more):
        if name.startswith(path):
            raise PermissionError(13, "not yours")
        return try_lock(name, **more)

    monkeypatch.setattr(_fs, "try_lock", refuse)
    with open_here(config):
        assert os.path.isdir(path)


# Parts


def test_the_parts_lie_in_the_data_directory(config):
    config.build_jobs = 3
    with open_here(config, {"SOURCE_DATE_EPOCH": "1"}) as resources:
        assert resources.place("a", "b") == os.path.join(config.data_directory, "a", "b")
        assert resources.index.root == os.path.join(config.data_directory, "sources")
        assert resources.store.root == os.path.join(config.data_directory, "trees")
        assert (resources.jobs, resources.store.jobs) == (3, 3)
        assert resources.umask == resources.store.umask == _fs.current_umask()
        assert resources.python is None


def test_another_interpreter_is_named_by_its_absolute_path(config, tmp_path):
    assert Resources(config, TARGET, "bin/python", {}, str(tmp_path)).python == TARGET.python


def test_the_text_of_launchers_is_learned_once(config, monkeypatch):
    from pip_accel._install import scripts

    calls = []
    monkeypatch.setattr(scripts, "learn_template", lambda python, directory: calls.append(python) or "template")
    for _ in range(2):
        with open_here(config) as resources:
            assert resources.template == resources.template == "template"
    assert calls == [sys.executable]


def test_another_pip_teaches_its_own_text(config, monkeypatch):
    from pip_accel._install import scripts

    monkeypatch.setattr(scripts, "learn_template", lambda python, directory: _resources.host_pip_version())
    for version in ("26.3", "26.4"):
        monkeypatch.setattr(_resources, "host_pip_version", lambda version=version: version)
        with open_here(config) as resources:
            assert resources.template == version


def test_the_version_of_pip_is_told_by_its_metadata(tmp_path, monkeypatch):
    (tmp_path / "pip-99.1.dist-info").mkdir()
    (tmp_path / "pip_tools-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "missing"), str(tmp_path)])
    assert host_pip_version() == "99.1"
    monkeypatch.setattr(sys, "path", [])
    assert host_pip_version() == "unknown"


def test_the_files_of_the_whole_process_go_with_the_run(config):
    usual = tempfile.gettempdir()
    with open_here(config) as resources:
        with resources.process_files():
            assert os.path.dirname(tempfile.mkdtemp()) == resources.temporary
            short = resources.short_directory()
            assert os.path.dirname(short) == usual
        assert tempfile.gettempdir() == usual
    assert not os.path.exists(short) and os.listdir(os.path.join(config.data_directory, "tmp")) == []


def test_a_directory_elsewhere_that_cannot_be_noted_is_not_made(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_here(config) as resources:
        before = os.listdir(tmp_path)
        os.symlink("missing/file", os.path.join(resources.temporary, "elsewhere"))
        with pytest.raises(FileNotFoundError):
            resources.short_directory()
        assert os.listdir(tmp_path) == before


# A run that keeps nothing


def test_a_run_that_keeps_nothing_has_a_data_directory_of_its_own(config):
    with open_here(config) as resources:
        kept = resources.place("x")
    with open_resources(config, TARGET, None, {}, keep=False) as resources:
        directory = resources.config.data_directory
        assert (resources.kept, os.path.isdir(directory)) == (False, True)
        assert not directory.startswith(config.data_directory)
        assert resources.index.root.startswith(directory)
        assert resources.place("x") != kept
        with open(os.path.join(resources.directory("work"), "x"), "wb"):
            pass
    assert not os.path.exists(directory)


def test_a_run_that_keeps_nothing_needs_no_data_directory(config, tmp_path):
    tmp_path.chmod(0o777)
    config.data_directory = str(tmp_path)
    with pytest.raises(DataDirectoryError), open_here(config):
        pass
    with open_resources(config, TARGET, None, {}, keep=False) as resources:
        assert not resources.kept
    assert os.listdir(tmp_path) == []


def test_other_runs_keep_what_they_learn(config):
    with open_here(config) as resources:
        assert resources.kept
        assert resources.config is config
