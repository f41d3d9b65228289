"""Names of projects, versions and archives."""

import pytest
from packaging.utils import canonicalize_name, canonicalize_version

from pip_accel._names import canonical_name, canonical_version, is_archive, split_sdist_name, split_wheel_name


@pytest.mark.parametrize("name", ["six", "Zope.Interface", "foo__bar", "foo-_.-bar", "A.b-C_d", "_x_", ""])
def test_names_are_canonical_as_packaging_has_them(name):
    assert canonical_name(name) == canonicalize_name(name)


@pytest.mark.parametrize(
    "version",
    [
        "1", "1.0", "1.0.0", "0", "0.0", "1.10", "10.0", "2026.01.02", "01.002", "1!2.0", "0!1.0", "v1.0", " 1.0 ",
        "1.0a1", "1.0-beta.2", "1.0RC1", "1.0.0c1", "1.0.dev0", "1.0.post1", "1.0-1", "1.0+local.1", "1.0+Ubuntu-1_x",
        "1.0a0.post1.dev2+x", "2004d", "latest", "", "1..0", "1.", "1.0\n", "1-",
    ],
)  # fmt: skip
def test_versions_are_canonical_as_packaging_has_them(version):
    assert canonical_version(version) == canonicalize_version(version)


def test_a_version_too_long_for_a_number_comes_back():
    assert canonical_version("9" * 5000) == "9" * 5000
    assert canonical_version(f"{'9' * 5000}.post1") == f"{'9' * 5000}.post1"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("six-1.17.0.tar.gz", ("six", "1.17.0")),
        ("zope_interface-7.2.tar.gz", ("zope-interface", "7.2")),
        ("zope.interface-4.0.5.zip", ("zope-interface", "4.0.5")),
        ("python-dateutil-2.9.0.post0.tar.gz", ("python-dateutil", "2.9.0.post0")),
        ("Foo_Bar-1.0rc1.tar.bz2", ("foo-bar", "1.0rc1")),
        ("foo-1.0+local.1.tar.xz", ("foo", "1.0+local.1")),
        ("foo-1!2.0.tgz", ("foo", "1!2.0")),
        ("foo-v1.0.tar", ("foo", "v1.0")),
        ("foo-1.0.TAR.GZ", ("foo", "1.0")),
        ("foo-1.0-1.tar.gz", ("foo", "1.0-1")),
        ("foo-1.0-beta1.tar.gz", ("foo", "1.0-beta1")),
        ("foo-2-1.0.tar.gz", ("foo-2", "1.0")),
        ("foo-2to3-1.0.tar.gz", ("foo-2to3", "1.0")),
        ("suds-jurko-0.6.1.jurko.5.zip", ("suds-jurko", "0.6.1.jurko.5")),
        ("pytz-2004d.tar.gz", ("pytz", "2004d")),
        ("foo.tar.gz", None),
        ("foo-latest.tar.gz", None),
        ("-1.0.tar.gz", None),
        ("foo-.tar.gz", None),
        ("foo-1.0", None),
        ("foo-1.0.exe", None),
        ("foo-1.0-py3-none-any.whl", None),
        (".tar.gz", None),
    ],
)
def test_the_file_name_of_an_sdist_is_split(filename, expected):
    assert split_sdist_name(filename) == expected


@pytest.mark.parametrize(
    ("filename", "project", "expected"),
    [
        ("foo-3-4.tar.gz", "foo", ("foo", "3-4")),
        ("foo-3-4.tar.gz", "foo-3", ("foo-3", "4")),
        ("Foo.Bar-1.0.tar.gz", "foo-bar", ("foo-bar", "1.0")),
        ("foo_bar-1.0.tar.gz", "foo-bar", ("foo-bar", "1.0")),
        ("foo--bar-1.0.tar.gz", "foo-bar", ("foo-bar", "1.0")),
        ("foo-bar-1.0.tar.gz", "foo", ("foo", "bar-1.0")),
        ("foo-latest.tar.gz", "foo", ("foo", "latest")),
        ("foo-1.0.tar.gz", "bar", None),
        ("foo-.tar.gz", "foo", None),
        ("foo-1.0.whl", "foo", None),
    ],
)
def test_a_known_project_tells_where_the_version_begins(filename, project, expected):
    assert split_sdist_name(filename, project) == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("six-1.17.0-py2.py3-none-any.whl", ("six", "1.17.0", "", ("py2-none-any", "py3-none-any"))),
        ("Foo_Bar-1.0-2b-cp312-cp312-linux_x86_64.whl", ("foo-bar", "1.0", "2b", ("cp312-cp312-linux_x86_64",))),
        ("foo-1.0+x-CP39-abi3-win32.WHL", ("foo", "1.0+x", "", ("cp39-abi3-win32",))),
        (
            "x-1-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            ("x", "1", "", ("py3-none-manylinux_2_17_x86_64", "py3-none-manylinux2014_x86_64")),
        ),
        ("foo-1.0-x2-py3-none-any.whl", None),
        ("foo-1.0-1-2-py3-none-any.whl", None),
        ("foo-1.0-py3-none.whl", None),
        ("foo--py3-none-any.whl", None),
        ("-1.0-py3-none-any.whl", None),
        ("foo-1.0-py3-none-any.zip", None),
        (".whl", None),
    ],
)
def test_the_file_name_of_a_wheel_is_split(filename, expected):
    assert split_wheel_name(filename) == expected


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("x.whl", True), ("x.tar.gz", True), ("x.zip", True), ("x.tar.bz2", True), ("x.tar.xz", True), ("x.tgz", True),
        ("x.tar", True), ("./dir/X-1.0.ZIP", True), ("x.gz", False), ("x.py", False), ("requirements.txt", False),
        ("whl", False), ("", False),
    ],
)  # fmt: skip
def test_archives_are_known_by_their_extension(filename, expected):
    assert is_archive(filename) is expected
