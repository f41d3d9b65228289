"""What ``--target`` makes of an installation: whole entries that come, go or stay."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from pip_accel._environment import find_target
from pip_accel._install.directory import redirect
from pip_accel._install.layout import Layout, Write
from pip_accel._install.link import Linker
from pip_accel._install.scripts import learn_template
from pip_accel._install.transaction import install
from pip_accel._values import Change, Destination, Launcher, Scheme
from pip_accel.exceptions import Unsupported
from tests.lib.trees import TEMPLATE, make_target, make_tree, pack_tree, run_pip, snapshot

PLACE = os.path.abspath("/place")


def make_directory(place, *, platlib="lib/python"):
    """The target that a directory is."""
    lib, plat = (os.path.join(place, *each.split("/")) for each in ("lib/python", platlib))
    headers, scripts = (os.path.join(place, *each.split("/")) for each in ("include/python", "bin"))
    scheme = Scheme(lib, plat, headers, scripts, place)
    return make_target("/env")._replace(scheme=scheme, kind="directory", place=place)


def layout(*paths, written=(), record="lib/python/alpha-1.dist-info/RECORD"):
    def write(path):
        return Write(os.path.join(PLACE, path), b"", 0o644, None)

    links = [(f"/tree/{path}", os.path.join(PLACE, path)) for path in paths]
    return Layout(links, [write(path) for path in written], write(record), [])


def move(*layouts, entries=None, replace=False, platlib="lib/python"):
    found = redirect(layouts, make_directory(PLACE, platlib=platlib), entries or {}, replace=replace)
    names = [{os.path.relpath(path, PLACE) for path in group} for group in found[1:]]
    return found.layouts, *names


def links(moved):
    return {source.removeprefix("/tree/"): os.path.relpath(path, PLACE) for source, path in moved.links}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lib/python/alpha.py", "alpha.py"),
        ("lib/python/alpha/sub/x.py", "alpha/sub/x.py"),
        ("lib64/python/alpha.so", "alpha.so"),
        ("bin/tool", "bin/tool"),
        ("include/python/alpha/a.h", "include/python/alpha/a.h"),
        ("share/alpha/x", "share/alpha/x"),
        ("lib/other/x", None),
        ("lib64/x", None),
        ("li", None),
        ("libs/x", "libs/x"),
    ],
)
def test_libraries_and_what_lies_beside_them_become_one_directory(path, expected):
    (moved,), *_ = move(layout(path), platlib="lib64/python")
    assert links(moved) == ({path: expected} if expected else {})


def test_what_is_written_is_moved_as_well():
    (moved,), *_ = move(layout(written=["bin/tool", "lib/python/alpha-1.dist-info/INSTALLER", "lib/x"]))
    assert [os.path.relpath(each.path, PLACE) for each in moved.writes] == ["bin/tool", "alpha-1.dist-info/INSTALLER"]
    assert moved.record.path == os.path.join(PLACE, "alpha-1.dist-info", "RECORD")


ENTRIES = {"alpha": False, "link": True, "bin": False, "other": False}


@pytest.mark.parametrize(
    ("replace", "replaced", "kept", "comes"),
    [
        (False, set(), {"alpha", "link", "bin"}, {"lib/python/beta.py"}),
        (True, {"alpha", "bin"}, {"link"}, {"lib/python/alpha/x.py", "bin/tool", "lib/python/beta.py"}),
    ],
)
def test_entries_stay_or_are_replaced_whole(replace, replaced, kept, comes):
    files = layout("lib/python/alpha/x.py", "lib/python/link/x.py", "bin/tool", "lib/python/beta.py")
    (moved,), *found = move(files, entries=ENTRIES, replace=replace)
    assert found == [replaced, kept]
    assert set(links(moved)) == comes


def test_a_record_that_would_take_the_place_of_another_stays_out():
    files = layout("lib/python/alpha.py")
    (moved,), _, kept = move(files, entries={"alpha-1.dist-info": False})
    assert (moved.record, kept, len(moved.links)) == (None, {"alpha-1.dist-info"}, 1)


def test_distributions_may_share_an_entry():
    one = layout("lib/python/names/one.py")
    two = layout("lib/python/names/two.py", record="lib/python/beta-1.dist-info/RECORD")
    (first, second), *found = move(one, two)
    assert [*links(first).values(), *links(second).values()] == ["names/one.py", "names/two.py"]
    assert found == [set(), set()]


@pytest.mark.parametrize("others", [("bin/x", "lib/python/bin/y"), ("lib64/python/a/x", "lib/python/a/y")])
def test_two_things_of_one_name_are_left_to_pip(others):
    with pytest.raises(Unsupported, match="two things of the name"):
        move(layout(*others), platlib="lib64/python")


# As pip does it


def carry_out(target, *trees, template=TEMPLATE, **options):
    changes = [Change(tree, True, "{}", None) for tree in trees]
    options = {"linker": Linker("auto"), "byte_code": True, "template": template, "umask": 0o022, **options}
    return [os.path.basename(path) for path in install(changes, target, **options)]


def make_trees(directory, version):
    alpha = make_tree(
        directory,
        "alpha",
        version,
        {
            "purelib/alpha/__init__.py": f"version = {version}\n",
            f"purelib/alpha/only_{version[0]}.py": "",
            "purelib/names/alpha.py": "",
            "scripts/tool": "#!python\nprint()\n",
            "headers/alpha.h": "",
            "data/share/alpha/x": version,
            "data/lib/lost": "",
        },
        launchers=[Launcher("alpha", "alpha", "main", False)],
    )
    return [make_tree(directory, "beta", "1.0", {"purelib/names/beta.py": "", "platlib/beta.py": "1"}), alpha]


def readable(files):
    """A snapshot without what differs by chance: time stamps of byte code, the origins that RECORD has digests of."""
    found = {}
    for path, (mode, content) in files.items():
        if path.endswith("RECORD"):
            rows = (line.split(",")[0] for line in content.decode().splitlines())
            content = sorted(row for row in rows if not row.endswith("direct_url.json"))
        found[path] = mode, "" if path.endswith((".pyc", "direct_url.json")) else content
    return found


OLD = {"__pycache__", "alpha", "beta-1.0.dist-info", "beta.py", "bin", "include", "names", "share"}


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_directory_gets_what_it_gets_from_pip(tmp_path, upgrade):
    """First when it is new, then when it has another version, a link and things of its own."""
    template = learn_template(sys.executable, str(tmp_path))
    first, second = (make_trees(str(tmp_path), version) for version in ("1.0", "2.0"))
    states = []
    for judge in (True, False):
        place = tmp_path / "at" / "place"
        for trees, again in ((first, False), (second, True)):
            words = ["--upgrade"] if again and upgrade else []
            if judge:
                wheels = [pack_tree(tree, str(tmp_path)) for tree in trees]
                run_pip(sys.executable, "install", "--no-deps", "--target", str(place), *words, *wheels)
            else:
                target = find_target(None, Destination(target=str(place)))
                kept = carry_out(target, *trees, template=template, replace=upgrade)
                stays = {"names"} if upgrade else OLD
                assert set(kept) == (stays if again else set())
            states.append(readable(snapshot(str(place))))
            if not again:
                (place / "alpha" / "own").touch()
                (place / "own").touch()
                shutil.move(place / "names", tmp_path / f"names-{judge}")
                (place / "names").symlink_to(tmp_path / f"names-{judge}")
        names = readable(snapshot(str(tmp_path / f"names-{judge}")))
        states[-1]["names"] = (states[-1]["names"][0], names)
        shutil.rmtree(place)
    assert states[2:] == states[:2]
    assert ("alpha/own" in states[1]) is not upgrade


def test_a_directory_that_was_not_there_goes_when_it_fails(tmp_path):
    def fail():
        raise RuntimeError("no")

    target = make_directory(str(tmp_path / "a" / "b"))
    with pytest.raises(RuntimeError):
        carry_out(target, *make_trees(str(tmp_path), "1.0"), on_start=fail)
    assert not (tmp_path / "a").exists()
