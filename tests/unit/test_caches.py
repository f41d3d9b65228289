"""Caches of binary distribution archives: backends in order, and none of them makes a run fail."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from pip_accel import _fs, caches
from pip_accel._archives import Contents, Entry, record_digest, write_bdist
from pip_accel._build.key import key_digest
from pip_accel.caches import AbstractCacheBackend, CacheBackendMeta, CacheManager
from pip_accel.caches.local import LocalCacheBackend
from pip_accel.caches.s3 import S3CacheBackend
from pip_accel.config import Config
from pip_accel.exceptions import CacheBackendDisabledError, CacheBackendError

KEY = {"name": "alpha", "version": "1", "revision": 8}
REQUIREMENT = SimpleNamespace(cache_key=KEY, cache_tag="cpython-3.12")
FILENAME = f"v8/alpha/alpha-1-cpython-3.12-{key_digest(KEY)[:32]}.tar.gz"


def archive(key=KEY, text=b"x = 1\n"):
    entry = Entry("purelib", "alpha.py", False, False, record_digest(text), text)
    contents = Contents("alpha", "1", "purelib", "alpha-1.dist-info", (), [entry])
    stream = io.BytesIO()
    write_bdist(contents, stream, key=key, key_digest=key_digest(key), revision=8, version="3.12")
    return stream.getvalue()


@pytest.fixture
def config(tmp_path):
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path / "data")
    return config


@pytest.fixture
def register(monkeypatch):
    """Register backends for one test; no other is there."""
    monkeypatch.setattr(caches, "_registered", [])
    monkeypatch.setattr(CacheManager, "_load_entry_points", lambda self: None)

    def register(name, priority, *, get=lambda self, filename: None, put=lambda self, filename, handle: None, **more):
        return type(name, (AbstractCacheBackend,), {"PRIORITY": priority, "get": get, "put": put, **more})

    return register


@pytest.fixture
def failures():
    return []


@pytest.fixture
def manager(config, failures):
    return CacheManager(config, on_failure=lambda name, error: failures.append((name, str(error))))


def raising(error):
    def raise_error(*words):
        raise error

    return raise_error


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


# What others build upon


@pytest.mark.parametrize(
    ("documented", "parameters"),
    [
        (AbstractCacheBackend, ["config"]),
        (AbstractCacheBackend.get, ["self", "filename"]),
        (AbstractCacheBackend.put, ["self", "filename", "handle"]),
        (CacheManager, ["config"]),
        (CacheManager.get, ["self", "requirement"]),
        (CacheManager.put, ["self", "requirement", "handle"]),
        (CacheManager.generate_filename, ["self", "requirement"]),
        (LocalCacheBackend, ["config"]),
        (LocalCacheBackend.get, ["self", "filename"]),
        (LocalCacheBackend.put, ["self", "filename", "handle"]),
        (S3CacheBackend, ["config"]),
        (S3CacheBackend.get, ["self", "filename"]),
        (S3CacheBackend.put, ["self", "filename", "handle"]),
        (S3CacheBackend.get_cache_key, ["self", "filename"]),
        (S3CacheBackend.check_prerequisites, ["self"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_signature_is_the_documented_one_and_what_is_new_goes_by_name(documented, parameters):
    found = inspect.signature(documented).parameters.values()
    assert [each.name for each in found if each.kind is not each.KEYWORD_ONLY] == parameters
    assert {each.default for each in found if each.kind is not each.KEYWORD_ONLY} == {inspect.Parameter.empty}


def test_the_local_cache_comes_before_s3():
    assert (LocalCacheBackend.PRIORITY, S3CacheBackend.PRIORITY) == (10, 20)


def test_a_class_that_the_metaclass_makes_is_registered(register, manager):
    made = CacheBackendMeta("Made", (AbstractCacheBackend,), {})
    assert [type(backend) for backend in manager.backends] == [made]
    assert type(made) is CacheBackendMeta


@pytest.mark.parametrize("value", ["their_cache", "their_cache:TheirBackend"])
def test_an_entry_point_leads_to_a_module_or_to_a_class(value, config, monkeypatch, tmp_path):
    code = "from pip_accel.caches import AbstractCacheBackend\nclass TheirBackend(AbstractCacheBackend): pass\n"
    (tmp_path / "their_cache.py").write_text(code)
    (tmp_path / "theirs-1.dist-info").mkdir()
    (tmp_path / "theirs-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    text = f"[pip_accel.cache_backends]\ntheirs = {value}\n"
    (tmp_path / "theirs-1.dist-info" / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(caches, "_registered", list(caches._registered))
    try:
        assert "TheirBackend" in [type(backend).__name__ for backend in CacheManager(config).backends]
    finally:
        sys.modules.pop("their_cache", None)


def test_other_backends_are_only_looked_up_where_the_local_one_has_nothing(config, register, monkeypatch):
    looked_up, asked = [], []
    register("Eager", 5, get=lambda self, filename: asked.append(filename))
    monkeypatch.setattr(caches, "_registered", [*caches._registered, LocalCacheBackend])
    monkeypatch.setattr(CacheManager, "_load_entry_points", lambda self: looked_up.append(self))
    LocalCacheBackend(config).put(FILENAME, io.BytesIO(archive()))
    assert CacheManager(config).get(REQUIREMENT) == LocalCacheBackend(config).get(FILENAME)
    assert (looked_up, asked) == ([], [])
    os.unlink(LocalCacheBackend(config).get(FILENAME))
    assert CacheManager(config).get(REQUIREMENT) is None
    assert (len(looked_up), asked) == (1, [FILENAME])


# All backends as one


def test_alone_the_local_backend_is_the_only_one(config, register, monkeypatch):
    register("RemoteBackend", 1)
    monkeypatch.setattr(caches, "_registered", [*caches._registered, LocalCacheBackend])
    names = {alone: [type(each).__name__ for each in CacheManager(config, alone=alone).backends] for alone in (0, 1)}
    assert sorted(names[0]) == ["LocalCacheBackend", "RemoteBackend"]
    assert names[1] == ["LocalCacheBackend"]


def test_defining_a_backend_registers_it(config, register, manager):
    backend_class = register("Mine", 5)
    assert [type(backend) for backend in manager.backends] == [backend_class]
    assert manager.backends[0].config is config
    assert repr(manager.backends[0]) == "Mine()"


def test_a_backend_has_to_say_what_it_does(config):
    backend = AbstractCacheBackend(config)
    with pytest.raises(NotImplementedError):
        backend.get("a")
    with pytest.raises(NotImplementedError):
        backend.put("a", io.BytesIO())


def test_our_own_backends_are_found(config):
    names = [type(backend).__name__ for backend in CacheManager(config).backends]
    assert "LocalCacheBackend" in names


def test_the_file_name_is_that_of_the_key(manager):
    assert manager.generate_filename(REQUIREMENT) == FILENAME


def test_backends_are_asked_by_priority_until_one_has_it(register, manager, tmp_path):
    asked = []
    path = write(tmp_path, "a", archive())

    def answer(name, value):
        def get(self, filename):
            asked.append((name, filename))
            return value

        return get

    register("Third", 30, get=answer("third", path))
    register("First", 10, get=answer("first", None))
    register("Second", 20, get=answer("second", path))
    assert read(manager.get(REQUIREMENT)) == read(path)
    assert asked == [("first", FILENAME), ("second", FILENAME)]


def test_every_backend_stores_the_whole(register, manager):
    stored = {}

    def put(self, filename, handle):
        assert handle.tell() == 0
        stored[type(self).__name__] = (filename, handle.read())

    register("One", 10, put=put)
    register("Two", 20, put=put)
    with io.BytesIO(b"content") as handle:
        handle.read(3)
        manager.put(REQUIREMENT, handle)
        assert not handle.closed
    assert stored == {"One": (FILENAME, b"content"), "Two": (FILENAME, b"content")}


@pytest.mark.parametrize("error", [CacheBackendError("slow"), OSError("down"), ValueError("odd")], ids=lambda e: str(e))
@pytest.mark.parametrize("method", ["get", "put"])
def test_a_backend_that_raises_is_off_for_the_run_and_reported_once(
    register, manager, failures, tmp_path, method, error
):
    calls = []

    def fail(self, *words):
        calls.append(words[0])
        raise error

    path = write(tmp_path, "a", archive())
    register("Broken", 10, **{method: fail})
    register("Sound", 20, get=lambda self, filename: path)
    for _ in range(3):
        manager.put(REQUIREMENT, io.BytesIO(b"content"))
        assert read(manager.get(REQUIREMENT)) == read(path)
    assert calls == [FILENAME]
    assert failures == [("Broken()", str(error))]
    assert [repr(backend) for backend in manager.backends] == ["Sound()"]


def test_a_backend_that_cannot_be_made_is_reported_once(register, manager, failures):
    register("Broken", 10, __init__=raising(RuntimeError("no")))
    register("Sound", 20)
    for _ in range(3):
        assert manager.get(REQUIREMENT) is None
    assert failures == [("Broken", "no")]


@pytest.mark.parametrize("method", ["__init__", "get", "put"])
def test_a_backend_that_is_not_set_up_is_no_failure(register, manager, failures, method):
    register("Off", 10, **{method: raising(CacheBackendDisabledError("no bucket"))})
    manager.put(REQUIREMENT, io.BytesIO())
    assert manager.get(REQUIREMENT) is None
    assert failures == []
    assert manager.backends == []


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_asked_for_and_cannot_be_had_is_worth_a_word(config, register, wanted):
    failed, disabled = [], []
    register("Off", 10, get=raising(CacheBackendDisabledError("no library", wanted=wanted)))
    manager = CacheManager(
        config,
        on_failure=lambda name, error: failed.append(str(error)),
        on_disabled=lambda name, error: disabled.append(str(error)),
    )
    assert manager.get(REQUIREMENT) is None
    assert (failed, disabled) == ((["no library"], []) if wanted else ([], ["no library"]))


def test_a_priority_that_is_no_number_switches_off_that_backend_alone(register, manager, failures):
    register("Odd", "first")
    sound = register("Sound", 30)
    assert [type(each) for each in manager.backends] == [sound]
    assert failures == [("Odd", "its PRIORITY is no number")]


def test_a_backend_that_cannot_say_whether_it_takes_anything_is_off(register, manager, failures):
    class Unsure(AbstractCacheBackend):
        PRIORITY = 10

        @property
        def read_only(self):
            raise ValueError("perhaps")

    manager.put(REQUIREMENT, io.BytesIO(b"x"))
    assert [type(each) for each in manager.backends] == [] and failures == [("Unsure()", "perhaps")]


def test_nobody_has_to_be_told(config, register):
    register("Broken", 10, get=raising(OSError("down")))
    assert CacheManager(config).get(REQUIREMENT) is None


def test_an_entry_point_that_cannot_be_loaded_is_reported(monkeypatch, manager, failures):
    import importlib.metadata

    entry_point = SimpleNamespace(name="theirs", load=raising(ImportError("no module")))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [entry_point])
    assert any(isinstance(backend, LocalCacheBackend) for backend in manager.backends)
    assert ("theirs", "no module") in failures


def test_an_interruption_is_not_a_failure_of_a_backend(register, manager, failures):
    register("Slow", 10, get=raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        manager.get(REQUIREMENT)
    assert failures == []


WHOLE = archive()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>Sign in</html>", id="another file"),
        pytest.param(archive({**KEY, "salt": "x"}), id="of another key"),
        pytest.param(WHOLE[: len(WHOLE) // 2], id="truncated"),
        pytest.param(WHOLE[:-20], id="truncated near its end"),
        pytest.param(WHOLE[:-60] + bytes(60), id="overwritten near its end"),
    ],
)
def test_a_damaged_archive_is_as_good_as_none(register, manager, tmp_path, failures, content):
    damaged, whole = write(tmp_path, "damaged", content), write(tmp_path, "whole", WHOLE)
    register("Damaged", 10, get=lambda self, filename: damaged)
    assert manager.get(REQUIREMENT) is None
    register("Whole", 20, get=lambda self, filename: whole)
    assert read(CacheManager(manager.config).get(REQUIREMENT)) == read(whole)
    assert failures == []


def test_a_path_that_leads_nowhere_is_as_good_as_none(register, manager, tmp_path):
    register("Forgetful", 10, get=lambda self, filename: str(tmp_path / "gone"))
    assert manager.get(REQUIREMENT) is None


def test_threads_call_a_backend_one_at_a_time_and_hear_of_its_failure_once(register, manager, failures):
    inside, most, calls = [0], [0], []

    def get(self, filename):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        calls.append(filename)
        inside[0] -= 1
        if len(calls) == 4:
            raise OSError("down")

    register("Slow", 10, get=get)
    threads = [threading.Thread(target=manager.get, args=(REQUIREMENT,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], len(calls), failures) == (1, 4, [("Slow()", "down")])


# The local backend


@pytest.fixture
def local(config):
    return LocalCacheBackend(config)


def test_what_was_put_is_got(config, local):
    assert local.get(FILENAME) is None
    local.put(FILENAME, io.BytesIO(b"content"))
    path = local.get(FILENAME)
    assert path == os.path.join(config.binary_cache, *FILENAME.split("/"))
    with open(path, "rb") as stream:
        assert stream.read() == b"content"
    local.put(FILENAME, io.BytesIO(b"newer"))
    with open(path, "rb") as stream:
        assert stream.read() == b"newer"
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_the_handle_stays_open(local):
    handle = io.BytesIO(b"content")
    local.put(FILENAME, handle)
    assert not handle.closed


def test_getting_counts_as_use(local):
    local.put(FILENAME, io.BytesIO(b"content"))
    path = local.get(FILENAME)
    os.utime(path, (1, 1))
    local.get(FILENAME)
    assert os.stat(path).st_mtime > 1


def test_a_read_only_cache_is_read(local, monkeypatch):
    local.put(FILENAME, io.BytesIO(b"content"))
    monkeypatch.setattr(os, "utime", raising(OSError(30, "Read-only file system")))
    assert local.get(FILENAME) is not None


def test_a_full_disk_leaves_what_was_there(local, monkeypatch):
    local.put(FILENAME, io.BytesIO(b"content"))

    class Broken(io.BytesIO):
        def read(self, *words):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        local.put(FILENAME, Broken(b"newer"))
    path = local.get(FILENAME)
    with open(path, "rb") as stream:
        assert stream.read() == b"content"
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_names_of_temporary_files_differ_between_containers(config, local, monkeypatch):
    opened = []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "replace", lambda source, target: opened.append(source))
    for _ in range(20):
        local.put(FILENAME, io.BytesIO(b""))
    assert len(set(opened)) == 20
    assert {os.path.dirname(name) for name in opened} == {os.path.dirname(os.path.join(config.binary_cache, FILENAME))}


def test_a_file_is_written_first_where_the_next_run_sweeps(config, local, tmp_path):
    seen = []

    class Watched(io.BytesIO):
        def read(self, *words):
            seen.append(os.listdir(tmp_path / "data" / "run"))
            return super().read(*words)

    (tmp_path / "data" / "run").mkdir(parents=True)
    with _fs.staging(config.data_directory, str(tmp_path / "data" / "run")):
        local.put(FILENAME, Watched(b"content"))
    assert [len(names) for names in seen] == [1, 1]
    assert os.listdir(tmp_path / "data" / "run") == []
    assert os.listdir(os.path.dirname(local.get(FILENAME))) == [os.path.basename(FILENAME)]


def test_two_processes_that_put_the_same_leave_one_whole_file(config, local):
    code = (
        "import io, sys\nfrom pip_accel.caches.local import LocalCacheBackend\nfrom pip_accel.config import Config\n"
        "config = Config(False, False); config.data_directory = sys.argv[1]\n"
        "for _ in range(40): LocalCacheBackend(config).put(sys.argv[2], io.BytesIO(sys.argv[3].encode() * 100_000))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, config.data_directory, FILENAME, letter]) for letter in "ab"
    ]
    seen = set()
    while any(process.poll() is None for process in started):
        path = local.get(FILENAME)
        if path is not None:
            with open(path, "rb") as stream:
                content = stream.read()
            assert len(content) == 100_000
            seen |= set(content)
            assert len(set(content)) == 1
    assert [process.returncode for process in started] == [0, 0]
    assert seen <= set(b"ab")
    assert os.listdir(os.path.dirname(local.get(FILENAME))) == [os.path.basename(FILENAME)]


def test_who_says_nobody_to_tell_finds_failures_in_the_log(config, caplog):
    class Failing(AbstractCacheBackend):
        def get(self, filename):
            raise OSError("out of order")

    with caplog.at_level("DEBUG", "pip_accel"):
        assert CacheManager(config).get(REQUIREMENT) is None
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.name == "pip_accel" and "out of order" in warning.getMessage()
    assert any("Traceback" in record.getMessage() for record in caplog.records)
