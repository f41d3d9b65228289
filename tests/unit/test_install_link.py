"""Reflinks, hard links and copies, and the check of the store before them."""

from __future__ import annotations

import errno
import os
import stat
import sys

import pytest

from pip_accel._install import link
from pip_accel._install.link import Linker
from pip_accel._trees import expand, find_damage, find_damaged_file
from pip_accel.exceptions import Edited, LinkError
from tests.lib.trees import bundled, make_tree

NAMES = ["a.py", "b.py", "c.pem", "d.ini", "e"]


@pytest.fixture
def tree(tmp_path):
    files = {f"purelib/{name}": name * 3 for name in NAMES}
    return make_tree(str(tmp_path), "alpha", "1.0", files, executable={"purelib/e"}, byte_code=False)


@pytest.fixture
def pairs(tree, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    return [(os.path.join(tree.path, "purelib", name), str(target / name)) for name in NAMES]


@pytest.fixture
def broken(monkeypatch):
    """Make ways fail with an error number, from a call on; gives the numbers of calls."""
    calls = {"reflink": 0, "link": 0}

    def refuse(module, name, number, after=0, only=None):
        original = getattr(module, name)

        def function(source, destination, **handles):
            calls[name] += 1
            if calls[name] > after and only in (None, calls[name]):
                raise OSError(number, os.strerror(number), source)
            original(source, destination, **handles)

        monkeypatch.setattr(module, name, function)

    refuse.calls = calls
    return refuse


def shared(pairs):
    """Names of the files that have one inode with their sources."""
    return [os.path.basename(target) for source, target in pairs if os.path.samefile(source, target)]


def check_equal(pairs):
    for source, target in pairs:
        before, after = os.stat(source), os.stat(target)
        assert (before.st_mode, before.st_size, before.st_mtime_ns) == (after.st_mode, after.st_size, after.st_mtime_ns)
        with open(source, "rb") as one, open(target, "rb") as other:
            assert one.read() == other.read()


@pytest.mark.parametrize("mode", ["auto", "reflink", "hardlink", "copy"])
def test_every_mode_gives_equal_files(tree, pairs, mode):
    Linker(mode).link(tree.path, pairs)
    check_equal(pairs)
    if mode in ("reflink", "copy"):
        assert shared(pairs) == []
    if mode == "hardlink":
        assert shared(pairs) == NAMES


def test_what_people_edit_is_always_copied(tree, pairs):
    Linker("hardlink", ["*.pem", "d.i?i", "*[x]"]).link(tree.path, pairs)
    assert shared(pairs) == ["a.py", "b.py", "e"]
    check_equal(pairs)


@pytest.mark.parametrize("name", ["EXDEV", "EPERM", "EOPNOTSUPP", "EINVAL", "ENOTTY", "EACCES"])
def test_an_error_at_the_first_file_speaks_for_the_file_systems(tree, pairs, broken, name):
    broken(link, "reflink", getattr(errno, name))
    broken(os, "link", getattr(errno, name))
    linker = Linker("auto")
    linker.link(tree.path, pairs[:3])
    linker.link(tree.path, pairs[3:])
    assert shared(pairs) == []
    assert broken.calls["link"] == 1
    assert broken.calls["reflink"] <= 1
    check_equal(pairs)


def test_without_reflinks_there_are_hard_links(tree, pairs, broken):
    broken(link, "reflink", errno.EOPNOTSUPP)
    Linker("auto").link(tree.path, pairs)
    assert shared(pairs) == NAMES


@pytest.mark.parametrize("position", [1, 3])
def test_too_many_links_speak_for_one_file(tree, pairs, broken, position):
    broken(os, "link", errno.EMLINK, only=position)
    Linker("hardlink").link(tree.path, pairs)
    assert shared(pairs) == NAMES[: position - 1] + NAMES[position:]
    check_equal(pairs)


def test_an_error_at_a_later_file_speaks_for_that_file(tree, pairs, broken):
    broken(os, "link", errno.EXDEV, only=2)
    Linker("hardlink").link(tree.path, pairs)
    assert shared(pairs) == [NAMES[0], *NAMES[2:]]


def test_files_of_another_user_are_copied(tree, pairs, monkeypatch):
    linker = Linker("hardlink")
    monkeypatch.setattr(link, "_effective_user", lambda: os.stat(tree.path).st_uid + 1)
    linker.link(tree.path, pairs[:2])
    assert shared(pairs[:2]) == []
    monkeypatch.undo()
    linker.link(tree.path, pairs[2:])  # that was no word about the file systems
    assert shared(pairs[2:]) == NAMES[2:]


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_another_file_system_gets_copies(tree, tmp_path):
    import shutil
    import tempfile

    target = tempfile.mkdtemp(dir="/dev/shm")
    try:
        if os.stat(target).st_dev == os.stat(tree.path).st_dev:
            pytest.skip("needs a second file system")
        pairs = [(os.path.join(tree.path, "purelib", name), os.path.join(target, name)) for name in NAMES]
        Linker("auto").link(tree.path, pairs)
        check_equal(pairs)
    finally:
        shutil.rmtree(target)


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_a_name_that_is_taken_is_an_error_with_both_paths(tree, pairs, mode):
    source, destination = pairs[1]
    with open(destination, "w") as stream:
        stream.write("taken")
    with pytest.raises(LinkError) as caught:
        Linker(mode).link(tree.path, pairs)
    assert caught.value.context["source"] == source
    assert caught.value.context["destination"] == destination
    assert isinstance(caught.value.context["error"], FileExistsError)
    with open(destination) as stream:
        assert stream.read() == "taken"


def test_a_copy_that_fails_leaves_nothing(tree, pairs, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LinkError, match="No space left"):
        Linker("copy").link(tree.path, pairs)
    assert os.listdir(os.path.dirname(pairs[0][1])) == []


def test_an_untouched_tree_has_no_damage(tree):
    assert find_damage(tree) is None


def damage_size(path):
    status = os.stat(path)
    with open(path, "a") as stream:
        stream.write("x")
    os.utime(path, (status.st_atime, status.st_mtime))


def damage_type(path):
    os.unlink(path)
    os.mkdir(path)


@pytest.mark.parametrize(
    "damage",
    [
        damage_size,
        damage_type,
        os.unlink,
        lambda path: os.utime(path),
        lambda path: os.chmod(path, 0o600),
        lambda path: os.chmod(path, 0o4644),
        lambda path: (os.rename(path, path + "2"), os.symlink(path + "2", path)),
    ],
    ids=["size", "directory", "missing", "mtime", "mode", "setuid", "symlink"],
)
def test_a_changed_file_is_found(tree, damage):
    damage(os.path.join(tree.path, "purelib", "b.py"))
    assert find_damage(tree) == "b.py"


@pytest.mark.root
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_of_another_owner_is_found(tree):
    os.chown(os.path.join(tree.path, "purelib", "b.py"), 12345, -1)
    assert find_damage(tree) == "b.py"


def test_fractions_of_seconds_are_no_damage(tree):
    path = os.path.join(tree.path, "purelib", "b.py")
    os.utime(path, ns=(0, tree.mtime * 10**9 + 5))
    assert find_damage(tree) is None


def test_a_tree_that_is_gone_is_damaged(tree):
    os.rename(tree.path, tree.path + "-gone")
    assert find_damage(tree) == tree.files[0].path


@pytest.mark.skipif(sys.platform != "linux", reason="reflinks are asked for with a Linux ioctl")
def test_a_failed_reflink_leaves_nothing(tree, pairs):
    source, destination = pairs[0]
    try:
        link.reflink(source, destination)
    except OSError:
        assert not os.path.exists(destination)
    else:
        assert stat.S_ISREG(os.stat(destination).st_mode)


# Bundles: the same by paths that are relative to open directories


@pytest.fixture
def whole(tmp_path):
    """With a group for each of two modes, and byte code in a directory of its own."""
    paths = [*(f"n/{name}" for name in NAMES), "p/a.py", "p/q/b.py", "top.py"]
    files = {f"purelib/{path}": path * 3 for path in paths}
    return bundled(make_tree(str(tmp_path), "beta", "1.0", files, executable={"purelib/n/e"}))


@pytest.fixture
def link_bundles(whole, tmp_path):
    """Links the bundles of the tree, and gives the pairs that this comes to."""
    target = tmp_path / "target"
    target.mkdir()

    def function(linker, bundles=whole.bundles):
        found = []
        handle = os.open(target, os.O_RDONLY)
        for bundle in bundles:
            for directory in bundle.directories:
                os.mkdir(target / directory)
            source = os.open(bundle.root, os.O_RDONLY)
            try:
                linker.link_bundle(bundle, source, handle, str(target))
            finally:
                os.close(source)
            found += [(f"{bundle.root}/{path}", str(target / path)) for group in bundle.groups for path in group.paths]
        os.close(handle)
        return found

    function.target = str(target)
    return function


def test_bundles_are_all_of_a_tree_but_what_lies_at_the_top(whole):
    assert [len(bundle.groups) for bundle in whole.bundles] == [2, 1]
    assert [file.path for file in whole.files] == ["top.py", f"__pycache__/top.{sys.implementation.cache_tag}.pyc"]


@pytest.mark.parametrize("mode", ["auto", "reflink", "hardlink", "copy"])
def test_every_mode_gives_equal_files_of_bundles(link_bundles, mode):
    pairs = link_bundles(Linker(mode))
    check_equal(pairs)
    assert len(pairs) == 13
    lying = [os.path.join(directory, name) for directory, _, names in os.walk(link_bundles.target) for name in names]
    assert sorted(lying) == sorted(target for _, target in pairs)
    if mode in ("reflink", "copy"):
        assert shared(pairs) == []
    if mode == "hardlink":
        assert len(shared(pairs)) == len(pairs)


def test_patterns_are_for_base_names_in_bundles_too(link_bundles):
    pairs = link_bundles(Linker("hardlink", ["*.pem", "a.*", "d.i?i", "q*"]))
    copied = {source.rpartition("/purelib/")[2] for source, target in pairs if not os.path.samefile(source, target)}
    compiled = {f"{package}/__pycache__/a.{sys.implementation.cache_tag}.pyc" for package in ("n", "p")}
    assert copied == {"n/a.py", "n/c.pem", "n/d.ini", "p/a.py", *compiled}
    check_equal(pairs)


def test_an_error_at_the_first_file_of_a_bundle_speaks_for_the_file_systems(link_bundles, broken):
    broken(link, "reflink", errno.EOPNOTSUPP)
    broken(os, "link", errno.EXDEV)
    pairs = link_bundles(Linker("auto"))
    assert shared(pairs) == []
    assert broken.calls["link"] == 1
    check_equal(pairs)


@pytest.mark.parametrize(("number", "position"), [("EMLINK", 1), ("EMLINK", 3), ("EXDEV", 3)])
def test_an_error_can_speak_for_one_file_of_a_bundle(link_bundles, broken, number, position):
    broken(os, "link", getattr(errno, number), only=position)
    pairs = link_bundles(Linker("hardlink"))
    assert len(shared(pairs)) == len(pairs) - 1
    assert not os.path.samefile(*pairs[position - 1])
    check_equal(pairs)


def test_bundles_of_another_user_are_copied(whole, link_bundles, monkeypatch):
    monkeypatch.setattr(link, "_effective_user", lambda: os.stat(whole.path).st_uid + 1)
    pairs = link_bundles(Linker("hardlink"))
    assert shared(pairs) == []
    check_equal(pairs)


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
@pytest.mark.parametrize("position", [0, 2])
def test_an_error_in_a_bundle_has_both_paths(whole, link_bundles, mode, position):
    bundle = whole.bundles[0]
    path = bundle.groups[0].paths[position]
    taken = os.path.join(link_bundles.target, path)
    os.makedirs(os.path.dirname(taken))
    missing = [each for each in bundle.directories if not os.path.isdir(os.path.join(link_bundles.target, each))]
    with open(taken, "w") as stream:
        stream.write("taken")
    with pytest.raises(LinkError) as caught:
        link_bundles(Linker(mode), [bundle._replace(directories=missing)])
    assert caught.value.context["source"] == f"{whole.path}/purelib/{path}"
    assert caught.value.context["destination"] == taken
    assert isinstance(caught.value.context["error"], FileExistsError)


@pytest.mark.parametrize("mode", ["auto", "copy"])
@pytest.mark.parametrize("position", [0, 2])
def test_a_file_that_is_gone_is_told_from_one_that_cannot_be_linked(tree, pairs, mode, position):
    os.unlink(pairs[position][0])
    with pytest.raises(Edited, match=f"{NAMES[position]} is gone"):
        Linker(mode).link(tree.path, pairs)
    with pytest.raises(LinkError) as caught:
        Linker(mode).link(tree.path, [(pairs[1][0], "/nonexistent/directory/b.py")])
    assert not isinstance(caught.value, Edited)


def test_a_copy_of_a_bundle_that_fails_leaves_nothing(link_bundles, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LinkError, match="No space left"):
        link_bundles(Linker("copy"))
    assert not [name for _, _, names in os.walk(link_bundles.target) for name in names]


PLACES = [
    "purelib/n/b.py",
    "purelib/n/e",
    "purelib/p/q/b.py",
    f"purelib/p/__pycache__/a.{sys.implementation.cache_tag}.pyc",
    "purelib/top.py",
    f"purelib/__pycache__/top.{sys.implementation.cache_tag}.pyc",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("damage", [damage_size, damage_type, os.unlink, os.utime])
def test_a_changed_file_is_found_in_bundles_too(whole, place, damage):
    assert find_damage(whole) is None
    root = whole.byte_code if place.endswith(".pyc") else whole.path
    damage(os.path.join(root, place))
    assert find_damage(whole) == place.removeprefix("purelib/")
    assert find_damage(expand(whole)) == place.removeprefix("purelib/")
    in_file = find_damaged_file(whole)
    assert in_file == (place.removeprefix("purelib/") if place in PLACES[-2:] else None)


@pytest.mark.root
def test_a_file_of_another_owner_is_found_in_bundles_too(whole):
    os.chown(os.path.join(whole.byte_code, PLACES[3]), 12345, -1)
    assert find_damage(whole) == PLACES[3].removeprefix("purelib/")


@pytest.mark.parametrize("lost", ["path", "byte_code"])
def test_a_tree_with_bundles_of_which_a_part_is_gone_is_damaged(whole, lost):
    os.rename(os.path.join(getattr(whole, lost), "purelib"), str(whole.path) + "-gone")
    assert find_damage(whole) in [file.path for file in expand(whole).files]


def test_a_tree_without_any_files_for_bundles_has_no_damage(tmp_path):
    """Nor a directory that these would lie in."""
    tree = bundled(make_tree(str(tmp_path), "gamma", "1.0", {"data/x": "1"}, byte_code=False))
    other = tree._replace(bundles=tuple(bundle._replace(root="/nonexistent", groups=[]) for bundle in tree.bundles))
    assert find_damage(other) is None
