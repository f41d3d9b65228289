"""What a target holds, told by the names of directories."""

from __future__ import annotations

import os

import pytest

from pip_accel._installed import find_installed, find_removable, is_in_user_site, is_plain
from pip_accel._values import Installed
from pip_accel.exceptions import Unsupported
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
        ("my-project.egg-link", "my-project", ""),
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


IN, SEEN, USER = "lib/python3/site-packages", "../system/site-packages", "../home/lib/site-packages"


@pytest.mark.parametrize(
    ("location", "virtual", "kind", "expected"),
    [
        (IN, True, "environment", "removed"),
        (SEEN, True, "environment", "kept"),
        ("../env-other/site-packages", True, "environment", "kept"),
        (SEEN, False, "environment", "removed"),
        (USER, False, "environment", "removed"),
        (USER, True, "environment", "kept"),
        (USER, False, "user", "removed"),
        (USER, True, "user", "kept"),
        (SEEN, False, "user", "kept"),
        (SEEN, True, "user", "kept"),
        (IN, False, "user", "kept"),
        (IN, True, "user", "refused"),
    ],
)
def test_another_version_takes_the_place_of_what_is_its_own(tmp_path, location, virtual, kind, expected):
    prefix = tmp_path / "env"
    target = make_target(str(prefix))._replace(
        virtual=virtual, kind=kind, user_site=os.path.normpath(prefix / "../home/lib/site-packages")
    )
    installed = Installed("alpha", "1", os.path.normpath(prefix / location), "")
    if expected == "refused":
        with pytest.raises(Unsupported, match=r"alpha .* hides it in the user site"):
            find_removable(installed, target)
    else:
        assert find_removable(installed, target) == (installed if expected == "removed" else None)


def test_links_to_an_environment_are_followed(tmp_path):
    site = fill(tmp_path / "env" / "site")
    (tmp_path / "link").symlink_to(tmp_path / "env")
    installed = Installed("a", "1", site, "")
    assert find_removable(installed, make_target(str(tmp_path / "link"))) is installed


def test_the_user_site_is_known_by_its_place(tmp_path):
    site = fill(tmp_path / "home" / "lib")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    target = make_target("/env")
    for user_site, expected in ((site, True), (str(tmp_path / "link" / "lib"), True), (site + "x", False), ("", False)):
        assert is_in_user_site(Installed("a", "1", site, ""), target._replace(user_site=user_site)) is expected


@pytest.mark.parametrize(
    ("entry", "plain"),
    [
        ("six-1.0.dist-info/METADATA", True),
        ("foo-1.0-py3.12.egg-info/PKG-INFO", True),
        ("six/METADATA", True),
        ("six-1.0.dist-info/RECORD", False),
        ("six.dist-info/METADATA", False),
        ("~ix-1.0.dist-info/METADATA", False),
        ("six-1.0.DIST-INFO/METADATA", False),
        ("foo.egg-link/x", False),
        ("_six-1.0.dist-info/METADATA", False),
    ],
)
def test_an_environment_is_plain_if_names_tell_all_that_pip_would_find(tmp_path, entry, plain):
    path = tmp_path / "site" / entry
    path.parent.mkdir(parents=True)
    path.touch()
    target = make_target("/env")._replace(path=(str(tmp_path / "missing"), str(tmp_path / "site")))
    assert is_plain(target) is plain


def test_an_environment_with_an_archive_on_its_path_is_not_plain(tmp_path):
    (tmp_path / "six.egg").touch()
    assert not is_plain(make_target("/env")._replace(path=(str(tmp_path / "six.egg"),)))
