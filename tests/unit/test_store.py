"""The store: trees that are complete or absent, with the modes, times and byte code that installations need."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import py_compile
import shutil
import stat
import subprocess
import sys
import threading

import pytest

from pip_accel import _fs
from pip_accel import _store as store_module
from pip_accel._archives import Contents, Entry, record_digest, write_bdist
from pip_accel._environment import find_target
from pip_accel._store import Store
from pip_accel._trees import expand
from pip_accel._values import Archive, Launcher, TreeFile
from pip_accel.exceptions import UnsafeArchive, Unsupported
from tests.lib.archives import make_wheel

SOURCES = {
    "alpha/__init__.py": "x = 1\n",
    "alpha/broken.py": "x = (\n",
    "alpha/data.bin": b"\0\1",
    "alpha/run": "#!/bin/sh\n",
}


@pytest.fixture(scope="module")
def target():
    return find_target(None)


@pytest.fixture
def wheel(tmp_path):
    path = make_wheel(
        str(tmp_path / "wheels"),
        "alpha",
        "1.0",
        files=SOURCES,
        data={"scripts/tool.py": "#!python\nprint('ran')\n", "scripts/plain": "#!/bin/sh\n"},
        modes={"alpha/run": 0o755},
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    return as_archive(path)


def as_archive(path):
    return Archive(path, os.path.basename(path), _fs.hash_file(path))


def make_store(root, target, **changes):
    return Store(str(root), target, **{"umask": 0o022, "jobs": 2, **changes})


def located(tree, file):
    root = tree.byte_code if file.kind.endswith("bytecode") else tree.path
    return os.path.join(root, file.scheme, *file.path.split("/"))


def files_of(tree):
    return expand(tree).files


def byte_code_of(tree):
    """Contents by path."""
    found = {}
    for file in files_of(tree):
        if file.kind.endswith("bytecode"):
            with open(located(tree, file), "rb") as stream:
                found[file.path] = stream.read()
    return found


def status_of(tree):
    """What would show that a file was made anew, by path, but for its access time and its number of links."""
    found = {file.path: os.stat(located(tree, file)) for file in files_of(tree)}
    return {path: (each.st_ino, each.st_mode, each.st_size, each.st_mtime_ns) for path, each in found.items()}


def damage_manifest(location, content):
    with open(os.path.join(location, "manifest.json"), "w", encoding="utf-8") as stream:
        stream.write(content)


def trees_below(directory):
    """The trees there are."""
    return sorted(str(path.parent) for path in directory.rglob("manifest.json"))


def test_what_was_added_is_found(tmp_path, target, wheel):
    store = make_store(tmp_path / "store", target)
    assert store.find(wheel.sha256) is None
    assert not store.added
    (tree,) = store.add([wheel])
    assert store.added
    assert tree == make_store(tmp_path / "store", target).find(wheel.sha256)
    assert (tree.name, tree.version, tree.lib, tree.dist_info) == ("alpha", "1.0", "purelib", "alpha-1.0.dist-info")
    assert tree.launchers == (Launcher("alpha", "alpha", "main", False),)


def test_the_manifest_says_what_lies_there(tmp_path, target, wheel):
    (tree,) = make_store(tmp_path / "store", target).add([wheel])
    tag = target.cache_tag
    assert {(file.scheme, file.path): file.kind for file in files_of(tree)} == {
        ("purelib", "alpha/__init__.py"): "file",
        ("purelib", f"alpha/__pycache__/__init__.{tag}.pyc"): "bytecode",
        ("purelib", "alpha/broken.py"): "file",
        ("purelib", "alpha/data.bin"): "file",
        ("purelib", "alpha/run"): "file",
        ("purelib", "alpha-1.0.dist-info/METADATA"): "file",
        ("purelib", "alpha-1.0.dist-info/WHEEL"): "file",
        ("purelib", "alpha-1.0.dist-info/entry_points.txt"): "file",
        ("scripts", "tool.py"): "script",
        ("scripts", f"__pycache__/tool.{tag}.pyc"): "script-bytecode",
        ("scripts", "plain"): "file",
    }
    for file in files_of(tree):
        status = os.stat(located(tree, file))
        assert (file.size, file.mode) == (status.st_size, stat.S_IMODE(status.st_mode))
        assert status.st_mtime == tree.mtime
        with open(located(tree, file), "rb") as stream:
            digest = record_digest(stream.read())
        assert file.digest == ("" if file.kind.endswith("bytecode") else digest)
    lying = {str(path) for path in (tmp_path / "store").rglob("*") if path.is_file()}
    manifests = {os.path.join(root, "manifest.json") for root in (tree.path, tree.byte_code)}
    assert lying == {located(tree, file) for file in files_of(tree)} | manifests
    assert {file.path for file in tree.files} == {"tool.py", f"__pycache__/tool.{tag}.pyc", "plain"}  # the odd ones
    assert tree.names == ("alpha", "alpha-1.0.dist-info")


def test_what_a_wheel_says_of_its_files_is_kept(tmp_path, target):
    path = make_wheel(
        str(tmp_path),
        "alpha",
        "1.0",
        data={"scripts/alpha": "old"},
        entry_points="[console_scripts]\nalpha = alpha:main\n",
        dist_info={"INSTALLER": "uv"},
    )
    store = make_store(tmp_path / "store", target)
    (tree,) = store.add([as_archive(path)])
    assert tree.rows == (("alpha-1.0.data/scripts/alpha", record_digest(b"old"), "3"),)
    assert "alpha-1.0.dist-info/INSTALLER" in [file.path for file in tree.files]


def test_what_an_archive_says_of_sizes_is_kept(tmp_path, target):
    entry = Entry("purelib", "alpha.txt", False, False, "md5=x", b"text", "007")
    path = str(tmp_path / "alpha-1.0.tar.gz")
    with open(path, "wb") as stream:
        given = Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), [entry])
        write_bdist(given, stream, key={}, key_digest="", revision=8, version="3.12")
    (tree,) = make_store(tmp_path / "store", target).add([as_archive(path)])
    assert files_of(tree) == (TreeFile("purelib", "alpha.txt", 0o644, 4, "md5=x", "file", "007"),)


def test_byte_code_that_a_wheel_brings_is_made_anew_where_that_is_possible(tmp_path, target):
    names = ("__pycache__/good.{}.pyc", "__pycache__/bad.{}.pyc", "__pycache__/gone.{}.pyc", "good.pyc")
    own = {name.format(target.cache_tag): "own" for name in names}
    path = make_wheel(str(tmp_path), "alpha", "1.0", files={"good.py": "x = 1\n", "bad.py": "x = (\n", **own})
    (tree,) = make_store(tmp_path / "store", target).add([as_archive(path)])
    found = {}
    for file in files_of(tree):
        with open(located(tree, file), "rb") as stream:
            if file.path.endswith(".pyc"):
                found[file.path] = (file.kind, file.digest, file.recorded_size, stream.read() == b"own")
    kept = ("file", record_digest(b"own"), None, True)
    assert found == {**dict.fromkeys(own, kept), next(iter(own)): ("replaced-bytecode", kept[1], "3", False)}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"files": {"alpha/.py": "x = 1\n"}}, id="a name that is only an extension"),
        pytest.param({"files": {"alpha": "", "alpha/x": ""}}, id="a file that is a directory, too"),
        pytest.param({"files": {"x" * 300: ""}}, id="a name that is too long"),
    ],
)
def test_what_only_pip_can_unpack_or_fail_with_is_left_to_it(tmp_path, target, arguments):
    store = make_store(tmp_path / "store", target)
    with pytest.raises(Unsupported):
        store.add([as_archive(make_wheel(str(tmp_path), "alpha", "1.0", **arguments))])
    assert [name for _, _, names in os.walk(tmp_path / "store") for name in names] == []


def test_a_script_with_byte_code_of_its_own_is_left_to_pip(tmp_path, target):
    data = {"scripts/run.py": "#!python\n", f"scripts/__pycache__/run.{target.cache_tag}.pyc": ""}
    with pytest.raises(Unsupported, match=r"run\.py"):
        make_store(tmp_path / "store", target).add([as_archive(make_wheel(str(tmp_path), "alpha", "1.0", data=data))])


def test_times_are_whole_even_seconds_of_the_past_that_differ_between_archives(tmp_path, target, wheel):
    other = as_archive(make_wheel(str(tmp_path / "wheels"), "alpha", "1.1"))
    trees = make_store(tmp_path / "store", target).add([wheel, other])
    assert trees[0].mtime != trees[1].mtime
    for tree in trees:
        assert isinstance(tree.mtime, int)
        assert tree.mtime % 2 == 0
        assert 315532800 < tree.mtime < 1_700_000_000  # zip begins in 1980
    (again,) = make_store(tmp_path / "another", target).add([wheel])
    assert again.mtime == trees[0].mtime


@pytest.mark.parametrize(
    ("umask", "plain", "executable"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o711)]
)
def test_modes_follow_the_umask_as_those_of_pip_do(tmp_path, target, wheel, umask, plain, executable):
    (tree,) = make_store(tmp_path / "store", target, umask=umask).add([wheel])
    modes = {file.path: stat.S_IMODE(os.stat(located(tree, file)).st_mode) for file in files_of(tree)}
    assert modes["alpha/__init__.py"] == modes["alpha/data.bin"] == plain
    assert modes[f"alpha/__pycache__/__init__.{target.cache_tag}.pyc"] == plain
    assert modes["alpha/run"] == modes["plain"] == executable


def test_trees_for_another_umask_or_byte_code_are_other_trees(tmp_path, target, wheel):
    make_store(tmp_path, target).add([wheel])
    assert make_store(tmp_path, target, umask=0o002).find(wheel.sha256) is None
    assert make_store(tmp_path, target, by_hash=True).find(wheel.sha256) is None
    assert make_store(tmp_path, target._replace(magic="00000000")).find(wheel.sha256) is None
    assert make_store(tmp_path, target._replace(cache_tag="cpython-399")).find(wheel.sha256) is None
    assert make_store(tmp_path, target._replace(python="/elsewhere")).find(wheel.sha256) is not None


def test_byte_code_is_what_the_interpreter_loads(tmp_path, target, wheel):
    (tree,) = make_store(tmp_path / "store", target).add([wheel])
    library = str(tmp_path / "library")
    for root in (tree.path, tree.byte_code):
        shutil.copytree(os.path.join(root, "purelib"), library, dirs_exist_ok=True)
    compiled = importlib.util.cache_from_source(os.path.join(library, "alpha", "__init__.py"))
    before = os.stat(compiled).st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-v", "-c", "import alpha; print(alpha.__file__)"],
        env={"PYTHONPATH": library},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"matches {library}/alpha/__init__.py" in done.stderr  # the byte code, that is
    assert os.stat(compiled).st_mtime_ns == before


def test_byte_code_has_no_path_of_the_store(tmp_path, target, wheel):
    (tree,) = make_store(tmp_path / "store", target).add([wheel])
    assert len(byte_code_of(tree)) == 2
    for content in byte_code_of(tree).values():
        assert str(tmp_path).encode() not in content


def test_byte_code_is_the_same_wherever_it_is_made(tmp_path, target, wheel):
    one, two = (make_store(tmp_path / name, target).add([wheel])[0] for name in ("one", "two"))
    assert byte_code_of(one) == byte_code_of(two) != {}


def test_byte_code_is_checked_by_hash_under_source_date_epoch(tmp_path, target, wheel, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    (tree,) = make_store(tmp_path / "store", target, by_hash=True).add([wheel])
    compiled = byte_code_of(tree)[f"alpha/__pycache__/__init__.{target.cache_tag}.pyc"]
    assert int.from_bytes(compiled[4:8], "little") == 0b11  # PEP 552: by hash, and checked


def test_nothing_to_compile_starts_no_interpreter(tmp_path, target):
    archive = as_archive(make_wheel(str(tmp_path / "wheels"), "alpha", "1.0", files={"alpha.txt": "a"}))
    (tree,) = make_store(tmp_path / "store", target._replace(python="/nonexistent")).add([archive])
    assert tree.name == "alpha"


def test_a_binary_distribution_archive_is_unpacked_too(tmp_path, target):
    entries = [
        Entry(scheme, path, False, False, record_digest(b"x = 1\n"), b"x = 1\n")
        for scheme, path in [("platlib", "alpha.py"), ("platlib", "alpha-1.0.dist-info/METADATA"), ("data", "a/b")]
    ]
    path = str(tmp_path / "alpha-1.0.tar.gz")
    with open(path, "wb") as stream:
        given = Contents("alpha", "1.0", "platlib", "alpha-1.0.dist-info", (), entries)
        write_bdist(given, stream, key={}, key_digest="", revision=8, version="3.12")
    (tree,) = make_store(tmp_path / "store", target).add([as_archive(path)])
    assert tree.lib == "platlib"
    assert {(file.scheme, file.path) for file in files_of(tree) if file.kind == "file"} == {
        (entry.scheme, entry.path) for entry in entries
    }


def test_finding_a_tree_counts_as_use_and_changes_none_of_its_files(tmp_path, target, wheel):
    store = make_store(tmp_path / "store", target)
    (tree,) = store.add([wheel])
    manifests = [os.path.join(each, "manifest.json") for each in (tree.path, tree.byte_code)]
    for manifest in manifests:
        os.utime(manifest, (1, 1))
    before = status_of(tree)
    store.find(wheel.sha256)
    assert all(os.stat(manifest).st_mtime > 1 for manifest in manifests)
    assert status_of(tree) == before


def test_versions_of_python_share_a_tree(tmp_path, target, wheel):
    """All but the byte code, which has names of its own, and takes the times of the tree that is there."""
    (first,) = make_store(tmp_path, target).add([wheel])
    before = status_of(first)
    other = target._replace(cache_tag="cpython-399")
    (second,) = make_store(tmp_path, other).add([wheel])
    assert second.path == first.path
    assert second.byte_code != first.byte_code
    assert {file.path for file in files_of(second)} == {
        file.path.replace(target.cache_tag, "cpython-399") for file in files_of(first)
    }
    assert {os.stat(located(second, file)).st_mtime for file in files_of(second)} == {first.mtime}
    assert make_store(tmp_path, target).find(wheel.sha256) == first
    assert status_of(first) == before


@pytest.mark.parametrize(
    "damage",
    [
        shutil.rmtree,
        lambda path: damage_manifest(path, "{"),
        lambda path: damage_manifest(path, '{"files": [], "bundle": {"groups": [], "directories": 1}}'),
    ],
    ids=["gone", "damaged", "of other types"],
)
def test_byte_code_that_is_lost_is_made_anew_and_nothing_else(tmp_path, target, wheel, damage):
    store = make_store(tmp_path, target)
    (tree,) = store.add([wheel])
    before = status_of(tree)
    damage(tree.byte_code)
    assert store.find(wheel.sha256) is None
    assert not os.path.exists(tree.byte_code)
    assert store.has(wheel.sha256)
    assert store.add([wheel]) == [tree]
    after = status_of(tree)
    own = {file.path for file in files_of(tree) if not file.kind.endswith("bytecode")}
    assert {path: after[path] for path in own} == {path: before[path] for path in own}


def test_the_tree_is_unpacked_anew_for_byte_code_that_is_there(tmp_path, target, wheel):
    store = make_store(tmp_path, target)
    (tree,) = store.add([wheel])
    before = byte_code_of(tree), os.stat(tree.byte_code).st_ino
    shutil.rmtree(tree.path)
    assert store.find(wheel.sha256) is None
    assert store.add([wheel]) == [tree]
    assert (byte_code_of(tree), os.stat(tree.byte_code).st_ino) == before
    assert {os.stat(located(tree, file)).st_mtime for file in files_of(tree)} == {tree.mtime}


def test_what_another_process_made_anew_meanwhile_stays(tmp_path, target, wheel, monkeypatch):
    store = make_store(tmp_path, target)
    [tree] = store.add([wheel])
    find_damage, looks = store_module.find_damage, []

    def find_damage_late(tree):
        looks.append(tree)
        if len(looks) > 1:
            return find_damage(tree)
        other = make_store(tmp_path, target)
        other.discard(wheel.sha256)
        other.add([wheel])
        return "alpha/__init__.py"

    monkeypatch.setattr(store_module, "find_damage", find_damage_late)
    assert store.find_sound(wheel.sha256) == tree
    assert len(looks) == 2 and store.edited == [] and os.path.exists(tree.path)


def test_what_was_sound_can_be_looked_at_again(tmp_path, target, wheel):
    store = make_store(tmp_path, target)
    [tree] = store.add([wheel])
    assert store.find_sound(wheel.sha256) == tree
    make_store(tmp_path, target).discard(wheel.sha256)
    store.look_again()
    assert store.find_sound(wheel.sha256) is None


@pytest.mark.parametrize("path", ["alpha/data.bin", "alpha/__pycache__/__init__.{}.pyc", "__pycache__/tool.{}.pyc"])
def test_an_edited_tree_goes_with_its_byte_code_and_is_noted(tmp_path, target, wheel, path):
    store = make_store(tmp_path, target)
    (tree,) = store.add([wheel])
    path = path.format(target.cache_tag)
    [edited] = [located(tree, file) for file in files_of(tree) if file.path == path]
    assert store.find_sound(wheel.sha256) == tree
    os.utime(edited)
    assert store.find_sound(wheel.sha256) == tree  # looked at once
    again = make_store(tmp_path, target)
    assert again.find_sound(wheel.sha256) is None
    assert again.edited == [("alpha 1.0", path)]
    assert trees_below(tmp_path) == []
    assert again.add([wheel]) == [tree]
    assert again.find_sound(wheel.sha256) == tree


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "1", "null", "{}", '{"name": "alpha", "launchers": 1}', '"name"'),
        '{"lib": "purelib", "records": 1, "bundle": {"groups": [], "directories": ""}}',
    ],
    ids=repr,
)
def test_a_tree_with_a_damaged_manifest_is_not_there(tmp_path, target, wheel, content):
    store = make_store(tmp_path / "store", target)
    (tree,) = store.add([wheel])
    damage_manifest(tree.path, content)
    assert store.find(wheel.sha256) is None
    assert not os.path.exists(tree.path)
    assert store.add([wheel]) == [tree]


def test_what_was_discarded_is_not_there(tmp_path, target, wheel):
    store = make_store(tmp_path / "store", target)
    store.discard(wheel.sha256)
    (tree,) = store.add([wheel])
    store.discard(wheel.sha256)
    assert store.find(wheel.sha256) is None
    assert not store.has(wheel.sha256)
    assert os.listdir(os.path.dirname(tree.path)) == []


@pytest.mark.parametrize(
    ("files", "error"),
    [
        pytest.param({"../../../evil.py": "x"}, UnsafeArchive, id="parent"),
        pytest.param({"/evil.py": "x"}, UnsafeArchive, id="absolute"),
        pytest.param({"alpha-1.0.data/unknown/x": "x"}, Unsupported, id="unknown scheme"),
    ],
)
def test_a_wheel_that_is_refused_leaves_nothing(tmp_path, target, wheel, files, error):
    store = make_store(tmp_path / "store", target)
    hostile = as_archive(make_wheel(str(tmp_path / "hostile"), "alpha", "1.0", files={"alpha.py": "", **files}))
    with pytest.raises(error):
        store.add([wheel, hostile])
    assert [name for _, _, names in os.walk(tmp_path / "store") for name in names] == []
    assert sorted(os.listdir(tmp_path)) == ["hostile", "store", "wheels"]
    assert store.find(wheel.sha256) is None


def test_two_that_add_the_same_end_with_one_tree(tmp_path, target, wheel):
    stores = [make_store(tmp_path / "store", target, jobs=1) for _ in range(2)]
    together = threading.Barrier(2)
    publish = _fs.publish
    found = []

    def add(store):
        found.append(store.add([wheel]))

    def wait_and_publish(staged, final):
        together.wait(20)
        publish(staged, final)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module._fs, "publish", wait_and_publish)
        threads = [threading.Thread(target=add, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 2
    assert found[0] == found[1]
    (tree,) = found[0]
    assert trees_below(tmp_path) == [tree.path, tree.byte_code]
    assert sorted(os.listdir(os.path.dirname(tree.path))) == list(map(os.path.basename, (tree.path, tree.byte_code)))


def test_an_interpreter_that_cannot_be_started_leaves_nothing(tmp_path, target, wheel):
    store = make_store(tmp_path / "store", target._replace(python="/nonexistent"))
    with pytest.raises(OSError):
        store.add([wheel])
    assert [name for _, _, names in os.walk(tmp_path / "store") for name in names] == []


def test_compiling_skips_what_is_no_python(tmp_path):
    sources = {"good.py": b"x = 1\n", "syntax.py": b"x = (\n", "null.py": b"x\0\n", "latin.py": b"x = '\xe4'\n"}
    sources["deep.py"] = b"x = " + b"-" * 100_000 + b"1\n"
    tasks = []
    (tmp_path / "out").mkdir()
    for name, data in sources.items():
        (tmp_path / name).write_bytes(data)
        tasks.append([str(tmp_path / name), str(tmp_path / "out" / f"{name}c"), name, 1_500_000_000])
    tasks.append([str(tmp_path / "good.py"), str(tmp_path / "out" / "last.pyc"), "last.py", 1_500_000_000])
    script = os.path.join(os.path.dirname(store_module.__file__), "_compile.py")
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", script], input=json.dumps([0o640, tasks]), capture_output=True, text=True
    )
    made = [os.path.basename(path) for path, _ in json.loads(done.stdout)]
    assert done.stderr == ""
    assert made[0] == "good.pyc"
    assert made[-1] == "last.pyc"
    assert {"syntax.pyc", "null.pyc", "latin.pyc"}.isdisjoint(made)
    assert sorted(os.listdir(tmp_path / "out")) == sorted(made)
    for path, size in json.loads(done.stdout):
        status = os.stat(path)
        assert (status.st_size, status.st_mtime, stat.S_IMODE(status.st_mode)) == (size, 1_500_000_000, 0o640)


@pytest.mark.parametrize("by_hash", [False, True])
def test_byte_code_is_what_the_standard_library_makes(tmp_path, by_hash):
    source = tmp_path / "module.py"
    source.write_text("'''Text.'''\nimport os\n\ndef f(x: int) -> int:\n    assert x\n    return x + 1\n")
    os.utime(source, (1_500_000_000, 1_500_000_000))
    mode = py_compile.PycInvalidationMode.CHECKED_HASH if by_hash else py_compile.PycInvalidationMode.TIMESTAMP
    py_compile.compile(str(source), str(tmp_path / "expected"), "shown.py", doraise=True, invalidation_mode=mode)
    environ = {"SOURCE_DATE_EPOCH": "1"} if by_hash else {}
    script = os.path.join(os.path.dirname(store_module.__file__), "_compile.py")
    text = json.dumps([0o644, [[str(source), str(tmp_path / "made"), "shown.py", 1_500_000_000]]])
    subprocess.run([sys.executable, "-I", script], input=text, text=True, check=True, env=environ, capture_output=True)
    assert (tmp_path / "made").read_bytes() == (tmp_path / "expected").read_bytes()


def test_a_tree_whose_byte_code_cannot_be_made_is_none(wheel, target, tmp_path):
    """It would be one without byte code from then on."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    python.chmod(0o755)
    store = make_store(tmp_path / "store", target._replace(python=str(python)))
    with pytest.raises(OSError, match="No space left on device"):
        store.add([wheel])
    assert store.find(wheel.sha256) is None
    assert not [name for _, _, names in os.walk(store.root) for name in names]


def test_a_time_of_use_that_cannot_be_set_is_no_reason_not_to_use_a_tree(wheel, target, tmp_path, monkeypatch):
    store = make_store(tmp_path / "store", target)
    store.add([wheel])

    def refuse(*arguments, **options):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refuse)
    assert store.find(wheel.sha256) is not None
