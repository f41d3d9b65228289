"""What goes with an installed distribution: pip is the judge."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from pip_accel._install.link import Linker
from pip_accel._install.remove import find_directories, find_files
from pip_accel._install.transaction import install
from pip_accel._values import Change, Installed, Launcher
from pip_accel.exceptions import Unsupported
from tests.lib.environments import make_environment
from tests.lib.trees import TEMPLATE, find_in, make_target, make_tree, pack_tree, run_pip, snapshot

TAG = sys.implementation.cache_tag


def place(target, tree):
    """Install without pip."""
    os.makedirs(target.prefix, exist_ok=True)
    install([Change(tree, True, "", None)], target, linker=Linker(), byte_code=True, template=TEMPLATE, umask=0o022)
    return find_in(target, tree)


def take_away(installed, target):
    files = find_files(installed, target)
    directories, links = find_directories(files, target.prefix)
    for path in (*files, *links):
        os.unlink(path)
    for path in sorted(directories, key=len, reverse=True):
        os.rmdir(path)


def touch(*parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("foreign")
    return path


def test_the_prefix_is_what_pip_uninstall_leaves(tmp_path):
    environment = make_environment(str(tmp_path / "env"))
    target = make_target(environment.prefix)
    trees = [
        make_tree(
            str(tmp_path),
            "alpha",
            "1.0",
            {
                "purelib/alpha/__init__.py": "",
                "purelib/alpha/deep/er/module.py": "",
                "purelib/alpha/data/table.csv": "1,2",
                "purelib/alpha_single.py": "",
                'purelib/alpha/odd "name", really.txt': "x",
                "data/share/man/man1/alpha.1": "man",
                "data/share/alpha/file": "x",
                "scripts/alpha-script.py": "#!python\nprint()",
                "headers/alpha.h": "int x;",
            },
            launchers=[Launcher("alpha", "alpha", "main", False), Launcher("alpha-gui", "alpha", "main", True)],
        ),
        make_tree(str(tmp_path), "names-one", "1.0", {"purelib/names/one/__init__.py": "", "purelib/names/a.py": ""}),
        make_tree(str(tmp_path), "names-two", "1.0", {"purelib/names/two/__init__.py": "", "purelib/names/b.py": ""}),
        make_tree(str(tmp_path), "clean", "1.0", {"purelib/clean/__init__.py": "", "purelib/clean/sub/x.py": ""}),
        make_tree(str(tmp_path), "holder", "1.0", {"purelib/holder/inner/x.py": "", "purelib/mono.py": ""}),
    ]
    wheels = [pack_tree(tree, str(tmp_path)) for tree in trees]
    run_pip(environment.python, "install", "--no-deps", *wheels)
    site = environment.site_packages
    touch(site, "alpha", "deep", "notes.txt")  # a user's file keeps its directories
    touch(site, "alpha", "__pycache__", f"__init__.{TAG}.opt-1.pyc")
    touch(site, "alpha", "__pycache__", "__init__.cpython-36.pyc")  # another interpreter's
    touch(site, "alpha_single.pyc")
    touch(site, "alpha_single.pyo")
    touch(site, "names", "foreign.py")
    touch(site, "names", "two", "nested", "foreign.txt")
    os.makedirs(os.path.join(site, "clean", "empty", "emptier"))
    os.symlink(environment.prefix, os.path.join(site, "clean", "link"))  # to a directory: goes with pip
    os.unlink(os.path.join(site, "mono.py"))  # its byte code is in RECORD
    os.makedirs(os.path.join(site, "holder", "empty"))
    os.unlink(os.path.join(environment.prefix, "bin", "alpha"))
    os.symlink("python", os.path.join(environment.prefix, "bin", "alpha"))
    copy = str(tmp_path / "copy")
    shutil.copytree(environment.prefix, copy, symlinks=True)
    names = [tree.name for tree in trees]

    run_pip(environment.python, "uninstall", "-y", *names)
    ours = make_target(copy)
    for tree in trees:
        take_away(find_in(ours, tree), ours)

    expected = snapshot(environment.prefix)
    # pip leaves it, and it would run in place of a later version's source.
    del expected[os.path.join(os.path.relpath(site, environment.prefix), f"alpha/__pycache__/__init__.{TAG}.opt-1.pyc")]
    assert snapshot(copy) == expected
    assert os.path.exists(os.path.join(target.scheme.purelib, "alpha", "deep", "notes.txt"))


def test_files_outside_of_a_virtual_environment_stay(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": ""}))
    outside = touch(str(tmp_path), "outside.txt")
    beside = touch(str(tmp_path), "env-beside", "file.txt")
    with open(os.path.join(installed.metadata, "RECORD"), "a", encoding="utf-8") as stream:
        stream.write(f"{outside},,\r\n../../../../env-beside/file.txt,,\r\n")
    files = find_files(installed, target)
    assert os.path.join(target.scheme.purelib, "alpha.py") in files
    assert outside not in files
    assert beside not in files


def test_a_system_interpreter_owns_what_record_says(tmp_path):
    target = make_target(str(tmp_path / "env"))._replace(virtual=False)
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": ""}))
    outside = touch(str(tmp_path), "outside.txt")
    with open(os.path.join(installed.metadata, "RECORD"), "a", encoding="utf-8") as stream:
        stream.write(f"{outside},,\r\n")
    assert outside in find_files(installed, target)


def test_optimised_byte_code_of_removed_sources_goes(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": ""}))
    stale = [touch(target.scheme.purelib, "__pycache__", f"alpha.{TAG}.opt-{level}.pyc") for level in (1, 2)]
    take_away(installed, target)
    assert not any(map(os.path.exists, stale))
    assert not os.path.exists(target.scheme.purelib)


def test_record_comes_last(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/zeta.py": ""}))
    assert find_files(installed, target)[-1] == os.path.join(installed.metadata, "RECORD")


def test_files_below_a_link_to_a_directory_are_found_where_they_are(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha/x.py": ""}))
    os.rename(os.path.join(target.scheme.purelib, "alpha"), os.path.join(target.prefix, "elsewhere"))
    os.symlink(os.path.join(target.prefix, "elsewhere"), os.path.join(target.scheme.purelib, "alpha"))
    assert os.path.join(target.prefix, "elsewhere", "x.py") in find_files(installed, target)


@pytest.mark.parametrize("metadata", ["alpha-1.0.egg-info", "alpha.egg-link", "alpha-1.0.dist-info"])
def test_what_only_pip_can_remove_is_left_to_it(tmp_path, metadata):
    target = make_target(str(tmp_path))
    path = os.path.join(target.scheme.purelib, metadata)
    os.makedirs(path)  # a .dist-info has no RECORD here
    with pytest.raises(Unsupported, match="alpha"):
        find_files(Installed("alpha", "1.0", target.scheme.purelib, path), target)


def test_a_distribution_outside_of_the_prefix_is_left_to_pip(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha.py": ""}))
    with pytest.raises(Unsupported, match="outside"):
        find_files(installed, make_target(str(tmp_path / "other")))


def test_a_directory_in_record_is_left_to_pip(tmp_path):
    target = make_target(str(tmp_path / "env"))
    installed = place(target, make_tree(str(tmp_path), "alpha", "1.0", {"purelib/alpha/x.py": ""}))
    with open(os.path.join(installed.metadata, "RECORD"), "a", encoding="utf-8") as stream:
        stream.write("alpha,,\r\n")
    with pytest.raises(Unsupported, match="directory"):
        find_files(installed, target)
