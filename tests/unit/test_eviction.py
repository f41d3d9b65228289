"""The data directory is kept below its limit by removing what was least recently used."""

from __future__ import annotations

import json
import os
import time

import pytest

from pip_accel._eviction import keep_size
from pip_accel.config import Config

HOUR = 3600


class Directory:
    """A data directory, and entries of any size and age in it."""

    def __init__(self, path):
        self.path = str(path)
        self.config = Config(load_configuration_files=False, load_environment_variables=False)
        self.config.data_directory = self.path

    def write(self, size, *parts):
        path = os.path.join(self.path, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.truncate(size)
        return path

    def add_archive(self, name, size, hours, *, prepared=False):
        digest = name * 32
        path = self.write(size, "sources", "archives", digest[:2], digest, f"{name}-1.0.tar.gz")
        if prepared:  # a hard link, as the local index keeps it beside the metadata for one interpreter
            beside = os.path.join(os.path.dirname(path), "cpython-3.11")
            os.mkdir(beside)
            os.link(path, os.path.join(beside, os.path.basename(path)))
        return self.used(os.path.dirname(path), hours)

    def add_binary(self, name, size, hours):
        return self.used(self.write(size, "binaries", "v8", name, f"{name}-1.0.tar.gz"), hours)

    def add_tree(self, name, size, hours):
        path = self.write(size, "trees", name[:2], name * 32 + "-022", "purelib", "module.py")
        tree = os.path.dirname(os.path.dirname(path))
        with open(os.path.join(tree, "manifest.json"), "w") as stream:
            json.dump({"bytes": size}, stream)
        self.used(os.path.join(tree, "manifest.json"), hours)
        return tree

    def used(self, path, hours):
        moment = time.time() - hours * HOUR
        os.utime(path, (moment, moment))
        return path

    def keep(self, limit):
        self.config.max_cache_size = limit
        return keep_size(self.config)


@pytest.fixture
def directory(tmp_path):
    return Directory(tmp_path / "data")


def there(*paths):
    return [os.path.exists(path) for path in paths]


def test_nothing_is_removed_below_the_limit(directory):
    paths = [directory.add_archive("aa", 400, 9), directory.add_binary("bb", 400, 9), directory.add_tree("cc", 200, 9)]
    assert directory.keep(1000) == 0
    assert there(*paths) == [True] * 3


def test_nothing_is_removed_without_a_limit(directory):
    path = directory.add_archive("aa", 10**9, 9)
    assert directory.keep(None) == 0 and os.path.exists(path)


def test_a_directory_that_is_not_there_is_empty(directory):
    assert directory.keep(1) == 0


def test_the_least_recently_used_go_first_whatever_they_are(directory):
    archive = directory.add_archive("aa", 300, 5)
    binary = directory.add_binary("bb", 300, 8)
    tree = directory.add_tree("cc", 300, 7)
    recent = directory.add_archive("dd", 300, 3)
    assert directory.keep(1000) == 1  # 1200 bytes, and 900 are to be left
    assert there(binary, tree, archive, recent) == [False, True, True, True]
    assert directory.keep(700) == 1
    assert there(tree, archive, recent) == [False, True, True]
    assert directory.keep(400) == 1
    assert there(archive, recent) == [False, True]
    assert os.listdir(os.path.dirname(tree)) == [] and os.listdir(os.path.dirname(binary)) == []


def test_more_than_the_limit_asks_for_goes_so_that_not_every_run_has_to(directory):
    paths = [directory.add_archive(f"{number:02}", 100, 20 - number) for number in range(11)]
    assert directory.keep(1000) == 2  # 1100 bytes, and 900 are to be left
    assert there(*paths) == [False] * 2 + [True] * 9
    directory.add_archive("ff", 100, 1)
    assert directory.keep(1000) == 0


def test_what_was_used_in_the_last_hour_stays(directory):
    old, young = directory.add_archive("aa", 500, 2), directory.add_tree("bb", 5000, 0.5)
    assert directory.keep(1000) == 1
    assert there(old, young) == [False, True]


def test_what_is_shared_by_hard_links_counts_once(directory):
    paths = directory.add_archive("aa", 500, 5, prepared=True), directory.add_archive("bb", 500, 4, prepared=True)
    assert directory.keep(1000) == 0
    assert directory.keep(999) == 1
    assert there(*paths) == [False, True]


def test_a_tree_that_a_killed_run_left_counts_with_all_its_files(directory):
    half = os.path.dirname(directory.write(800, "trees", "aa", f"{'aa' * 32}.123-0.tmp", "module.py"))
    directory.used(half, 5)
    whole = directory.add_tree("bb", 400, 4)
    assert directory.keep(1000) == 1
    assert there(half, whole) == [False, True]


def test_a_damaged_manifest_does_not_keep_the_rest(directory):
    tree = directory.add_tree("aa", 400, 5)
    with open(os.path.join(tree, "manifest.json"), "w") as stream:
        stream.write('{"bytes": ')
    directory.used(tree, 5)
    other = directory.add_tree("bb", 900, 4)
    assert directory.keep(1000) == 1
    assert there(tree, other) == [False, True]


def test_what_another_release_built_in_its_own_format_stays(directory):
    old = directory.used(directory.write(5000, "binaries", "v7", "aa", "aa-1.0.tar.gz"), 9)
    new = directory.add_binary("bb", 5000, 8)
    assert directory.keep(1000) == 1
    assert there(old, new) == [True, False]


def test_other_files_of_the_data_directory_stay(directory):
    places = ("templates", "pip-26.3"), ("sources", "views", "a", "b.json"), ("tmp", "run-1-0", "large")
    kept = [directory.write(10**6, *parts) for parts in places]
    directory.add_archive("aa", 2000, 5)
    assert directory.keep(1000) == 1
    assert there(*kept) == [True] * 3
