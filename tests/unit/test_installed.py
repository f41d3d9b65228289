"""What a target holds, told by the names of directories."""

from __future__ import annotations

import os

import pytest

from pip_accel._installed import find_installed, is_local
from pip_accel._values import Installed
from tests.lib.trees import make_target


def fill(directory, *names):
    for name in names:
        os.makedirs(os.path.join(directory, name))
    return str(directory)


@pytest.mark.parametrize(
    ("entry", "name", "version"),
    [
        ("six-1.17.0.dist-info", "six", "1.17.0"),
        ("Zope.Interface-8.0.dist-info", "zope-interface", "8.0"),
        ("zope_interface-8.0.post1+local.1.dist-info", "zope-interface", "8.0.post1+local.1"),
        ("foo-1.0-py3.12.egg-info", "foo", "1.0"),
        ("foo-1.0-py3.12-linux-x86_64.egg-info", "foo", "1.0"),
        ("foo-1.0.egg-info", "foo", "1.0"),
        ("foo.egg-info", "foo", ""),
        ("foo.egg-link", "foo", ""),
    ],
)
def test_metadata_names_a_distribution(tmp_path, entry, name, version):
    site = fill(tmp_path / "site", entry)
    target = make_target("/env")._replace(path=(site,))
    assert find_installed(target) == {name: Installed(name, version, site, os.path.join(site, entry))}


@pytest.mark.parametrize(
    "entry",
    ["six", "six.py", "__pycache__", "~ix-1.0.dist-info", "six-1.0.dist-info.bak", "six.pth", "bin", ".dist-info.x"],
)
def test_other_names_are_no_distributions(tmp_path, entry):
    target = make_target("/env")._replace(path=(fill(tmp_path / "site", entry),))
    assert find_installed(target) == {}


def test_the_first_on_the_path_counts(tmp_path):
    one, two = fill(tmp_path / "1", "a-1.dist-info"), fill(tmp_path / "2", "A-2.dist-info", "b-1.dist-info")
    found = find_installed(make_target("/env")._replace(path=(one, str(tmp_path / "missing"), two)))
    assert {name: (each.version, each.location) for name, each in found.items()} == {"a": ("1", one), "b": ("1", two)}


def test_the_order_does_not_depend_on_the_file_system(tmp_path):
    site = fill(tmp_path / "site", "a-2.dist-info", "a-1.dist-info", "a-3.dist-info")
    assert find_installed(make_target("/env")._replace(path=(site,)))["a"].version == "1"


@pytest.mark.parametrize(
    ("location", "virtual", "expected"),
    [
        ("lib/python3.12/site-packages", True, True),
        ("../other/site-packages", True, False),
        ("../env-other/site-packages", True, False),
        ("../other/site-packages", False, True),
    ],
)
def test_a_virtual_environment_owns_what_lies_in_it(tmp_path, location, virtual, expected):
    prefix = tmp_path / "env"
    target = make_target(str(prefix))._replace(virtual=virtual)
    assert is_local(Installed("a", "1", os.path.normpath(prefix / location), ""), target) is expected


def test_links_to_an_environment_are_followed(tmp_path):
    site = fill(tmp_path / "env" / "site")
    (tmp_path / "link").symlink_to(tmp_path / "env")
    assert is_local(Installed("a", "1", site, ""), make_target(str(tmp_path / "link")))
