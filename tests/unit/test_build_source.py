"""Sdists: unpacked without harm, and what they say about their build."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile

import pytest

from pip_accel._build.source import (
    BuildSystem,
    check_sdist,
    link_eggs,
    named_variables,
    read_build_system,
    static_metadata,
    unpack_sdist,
)
from pip_accel.exceptions import InvalidSourceDistribution, UnsafeArchive
from tests.lib.archives import make_sdist

LEGACY = "setuptools.build_meta:__legacy__"


def tarball(path, *members, mode="w:gz"):
    """Write a tarball of pairs: a name or a ``TarInfo``, and the data."""
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, data)
    return str(path)


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def below(root):
    return sorted(
        os.path.relpath(os.path.join(directory, name), root)
        for directory, directories, names in os.walk(root)
        for name in (*directories, *names)
    )


# Unpacking


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar.gz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz"), (".tar", "w")]
)
def test_tarballs_of_every_kind_are_unpacked(tmp_path, suffix, mode):
    path = tarball(tmp_path / f"a-1{suffix}", ("a-1/setup.py", b"x"), ("./a-1/b/c", b"y"), mode=mode)
    into = str(tmp_path / "into")
    assert unpack_sdist(path, into) == os.path.join(into, "a-1")
    assert below(into) == ["a-1", "a-1/b", "a-1/b/c", "a-1/setup.py"]


def test_a_zip_file_is_unpacked_with_executable_bits(tmp_path):
    path = zipped(
        tmp_path / "a-1.zip", ("a-1/", b"", 0o40755), ("a-1/run", b"x", 0o100755), ("a-1/setup.py", b"", 0o100644)
    )
    top = unpack_sdist(path, str(tmp_path / "into"))
    modes = {name: bool(os.stat(os.path.join(top, name)).st_mode & stat.S_IXUSR) for name in os.listdir(top)}
    assert modes == {"run": True, "setup.py": False}


def test_executable_bits_of_a_tarball_are_kept(tmp_path):
    run = tarfile.TarInfo("a-1/run")
    run.mode = 0o6755
    top = unpack_sdist(tarball(tmp_path / "a-1.tar.gz", (run, b"x"), ("a-1/setup.py", b"")), str(tmp_path / "into"))
    assert stat.S_IMODE(os.stat(os.path.join(top, "run")).st_mode) == 0o755  # neither setuid nor setgid


def test_without_a_top_directory_the_whole_is_the_source(tmp_path):
    path = tarball(tmp_path / "a-1.tar.gz", ("setup.py", b""), ("a.py", b""))
    assert unpack_sdist(path, str(tmp_path / "into")) == str(tmp_path / "into")


def test_an_empty_archive_is_an_empty_source(tmp_path):
    for path in (tarball(tmp_path / "a-1.tar.gz"), zipped(tmp_path / "a-1.zip")):
        top = unpack_sdist(path, f"{path}-into")
        with pytest.raises(InvalidSourceDistribution, match="nothing to build it with"):
            read_build_system(top)


@pytest.mark.parametrize("name", ["/evil", "../evil", "a-1/../../evil", "a-1/..", "//evil"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_outside_is_refused_by_name_before_anything_is_written(tmp_path, kind, name):
    if kind == "tar":
        path = tarball(tmp_path / "a-1.tar.gz", ("a-1/setup.py", b""), (name, b"x"))
    else:
        path = zipped(tmp_path / "a-1.zip", ("a-1/setup.py", b"", 0o100644), (name, b"x", 0o100644))
    into = tmp_path / "deep" / "into"
    with pytest.raises(UnsafeArchive) as caught:
        unpack_sdist(path, str(into))
    assert repr(name) in str(caught.value)
    assert below(tmp_path) in ([os.path.basename(path)], [os.path.basename(path), "deep", "deep/into"])


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(special("a-1/x", tarfile.SYMTYPE, "/etc/passwd"), id="absolute symbolic link"),
        pytest.param(special("a-1/x", tarfile.SYMTYPE, "../../evil"), id="symbolic link out"),
        pytest.param(special("a-1/x", tarfile.LNKTYPE, "/etc/passwd"), id="absolute hard link"),
        pytest.param(special("a-1/x", tarfile.LNKTYPE, "../evil"), id="hard link out"),
        pytest.param(special("a-1/x", tarfile.CHRTYPE), id="device"),
        pytest.param(special("a-1/x", tarfile.FIFOTYPE), id="pipe"),
    ],
)
def test_links_out_and_devices_are_refused_by_name(tmp_path, member):
    into = tmp_path / "into"
    with pytest.raises(UnsafeArchive, match="a-1/x"):
        unpack_sdist(tarball(tmp_path / "a-1.tar.gz", (member, b"")), str(into))
    assert below(into) in ([], ["a-1"])


def test_nothing_is_written_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tarball(
        tmp_path / "a-1.tar.gz", (special("a-1/x", tarfile.SYMTYPE, str(outside)), b""), ("a-1/x/evil", b"x")
    )
    with pytest.raises(UnsafeArchive):
        unpack_sdist(path, str(tmp_path / "into"))
    assert below(outside) == []


def test_links_within_the_tree_are_made(tmp_path):
    path = tarball(
        tmp_path / "a-1.tar.gz",
        ("a-1/b/c", b"x"),
        (special("a-1/link", tarfile.SYMTYPE, "b/c"), b""),
        (special("a-1/hard", tarfile.LNKTYPE, "a-1/b/c"), b""),
    )
    top = unpack_sdist(path, str(tmp_path / "into"))
    assert os.readlink(os.path.join(top, "link")) == "b/c"
    assert os.path.samefile(os.path.join(top, "hard"), os.path.join(top, "b", "c"))


def test_a_link_in_a_zip_file_becomes_a_plain_file(tmp_path):
    path = zipped(tmp_path / "a-1.zip", ("a-1/x", b"/etc/passwd", 0o120777), ("a-1/setup.py", b"", 0o100644))
    link = os.path.join(unpack_sdist(path, str(tmp_path / "into")), "x")
    assert not os.path.islink(link)
    assert os.path.getsize(link) == len("/etc/passwd")


def test_backslashes_lead_nowhere(tmp_path):
    path = zipped(tmp_path / "a-1.zip", ("a-1\\..\\..\\evil", b"x", 0o100644), ("..\\evil", b"x", 0o100644))
    unpack_sdist(path, str(tmp_path / "deep" / "into"))
    assert all(name.startswith("deep") or name == "a-1.zip" for name in below(tmp_path))


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".tar", ".zip"])
@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped", "zeros"])
def test_a_damaged_sdist_is_named(tmp_path, suffix, damage):
    good = tmp_path / f"good{suffix}"
    data = os.urandom(20_000)
    if suffix == ".zip":
        with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a-1/setup.py", data.hex())
    else:
        tarball(good, ("a-1/setup.py", data), mode={".tar": "w"}.get(suffix, f"w:{suffix[5:]}"))
    whole = good.read_bytes()
    middle = len(whole) // 2
    damaged = {
        "empty": b"",
        "text": b"this is no archive" * 100,
        "truncated": whole[:middle],
        "flipped": whole[:middle] + bytes(each ^ 0xFF for each in whole[middle : middle + 64]) + whole[middle + 64 :],
        "zeros": whole[:middle] + bytes(200) + whole[middle + 200 :],
    }[damage]
    path = tmp_path / f"a-1{suffix}"
    path.write_bytes(damaged)
    # Neither tar nor the way in which tarfile reads gzip, in pip as here, has a checksum of the data.
    silent = suffix in (".tar", ".tar.gz") and damage in ("flipped", "zeros")
    for read in (check_sdist, lambda path: unpack_sdist(path, str(tmp_path / "into"))):
        try:
            read(str(path))
        except InvalidSourceDistribution as error:
            assert path.name in str(error)
        else:
            assert silent


def test_an_sdist_that_is_whole_passes_the_check(tmp_path):
    check_sdist(make_sdist(str(tmp_path), "alpha", "1.0"))
    check_sdist(zipped(tmp_path / "a-1.zip", ("a-1/setup.py", b"", 0o100644)))


# The build system


def source(tmp_path, pyproject=None, setup=False):
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    if setup:
        (tmp_path / "setup.py").write_text("", encoding="utf-8")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("pyproject", "setup", "expected"),
    [
        pytest.param(None, True, (("setuptools>=40.8.0",), LEGACY, (), True), id="setup.py alone"),
        pytest.param("[tool.x]\n", True, (("setuptools>=40.8.0",), LEGACY, (), True), id="no build system, setup.py"),
        pytest.param("", False, (("setuptools>=40.8.0",), LEGACY, (), False), id="no build system, no setup.py"),
        pytest.param(
            '[build-system]\nrequires = ["a>1", "b"]\nbuild-backend = "a.b:c"\n', True,
            (("a>1", "b"), "a.b:c", (), False), id="backend",
        ),
        pytest.param(
            '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["x", "y"]\n', False,
            ((), "b", ("x", "y"), False), id="in the tree",
        ),
        pytest.param('[build-system]\nrequires = ["a"]\n', True, (("a",), LEGACY, (), False), id="requires alone"),
    ],
)  # fmt: skip
def test_a_source_tree_says_how_it_is_built(tmp_path, pyproject, setup, expected):
    assert read_build_system(source(tmp_path, pyproject, setup)) == BuildSystem(*expected)


@pytest.mark.parametrize(
    ("pyproject", "words"),
    [
        (None, "neither a setup.py nor a pyproject.toml"),
        ("[build-system]\n", "list of strings"),
        ('[build-system]\nrequires = "setuptools"\n', "list of strings"),
        ("[build-system]\nrequires = [1]\n", "list of strings"),
        ("build-system = 1\n", "list of strings"),
        ("[build-system\n", "not valid TOML"),
        ("x = '\udcff'", "not valid TOML"),
    ],
)
def test_a_source_tree_that_cannot_be_built_is_named(tmp_path, pyproject, words):
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_bytes(pyproject.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidSourceDistribution, match=words):
        read_build_system(str(tmp_path))


# Metadata


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        pytest.param("Metadata-Version: 2.2\nName: a\nVersion: 1\n", True, id="2.2"),
        pytest.param("Metadata-Version: 2.10\nName: a\nVersion: 1\n", True, id="2.10"),
        pytest.param(
            "metadata-version: 2.4\nNAME: a\nversion: 1\nDynamic: License-File\n", True, id="harmless dynamic"
        ),
        pytest.param("Metadata-Version: 2.1\nName: a\nVersion: 1\n", False, id="too old"),
        pytest.param("Name: a\nVersion: 1\n", False, id="no metadata version"),
        pytest.param("Metadata-Version: x\nName: a\nVersion: 1\n", False, id="odd metadata version"),
        pytest.param("Metadata-Version: 2.2\nVersion: 1\n", False, id="no name"),
        pytest.param("Metadata-Version: 2.2\nName: a\n", False, id="no version"),
        pytest.param("Metadata-Version: 2.2\n\nName: a\nVersion: 1\n", False, id="in the description"),
        *(
            pytest.param(f"Metadata-Version: 2.2\nName: a\nVersion: 1\nDynamic: {field}\n", False, id=field)
            for field in ("Version", "requires-dist", "Requires-Python", "Provides-Extra", "NAME")
        ),
    ],
)
def test_the_metadata_of_an_sdist_binds_where_it_says_so(tmp_path, text, binding):
    (tmp_path / "PKG-INFO").write_text(text, encoding="utf-8")
    assert static_metadata(str(tmp_path)) == (text.encode() if binding else None)


def test_without_metadata_none_binds(tmp_path):
    assert static_metadata(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.py", "os.environ['ODD_DIR']"),
        ("setup.py", 'os.environ.get("ODD_DIR", "")'),
        ("setup.py", "os.getenv(\n    'ODD_DIR')"),
        ("setup.py", "environ.pop('ODD_DIR', None)"),
        ("setup.py", "if 'ODD_DIR' not in os.environ:"),
        ("CMakeLists.txt", "if(DEFINED ENV{ODD_DIR})"),
        ("CMakeLists.txt", "set(x $ENV{ODD_DIR})"),
        ("build.rs", 'env::var("ODD_DIR")'),
        ("build.rs", 'std::env::var_os("ODD_DIR")'),
        ("backend/inner/b.py", "os.environb.get(b'ODD_DIR')"),
    ],
)
def test_variables_that_a_build_script_reads_are_found(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert named_variables(str(tmp_path), BuildSystem((), "b", ("backend",), False)) == ["ODD_DIR"]


def test_other_words_in_a_build_script_are_no_variables(tmp_path):
    (tmp_path / "setup.py").write_text("# environ ODD\nprint('LICENSE'); setup(name='ODD_DIR'); x = {}['KEY']\n")
    assert named_variables(str(tmp_path), BuildSystem((), "b", (), True)) == []


def test_a_setup_script_with_setup_requires_gets_a_place_for_eggs(tmp_path):
    tree, eggs = tmp_path / "tree", tmp_path / "cache" / "eggs"
    tree.mkdir()
    (tree / "setup.py").write_text("setup(setup_requires=['tool'])")
    for _ in range(2):  # once for the metadata, once for the build
        link_eggs(str(tree), str(eggs))
    assert os.readlink(tree / ".eggs") == str(eggs)
    assert eggs.is_dir()


def test_where_links_are_not_possible_there_is_no_place_for_eggs(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(os, "symlink", refuse)
    (tmp_path / "setup.py").write_text("setup(setup_requires=['tool'])")
    link_eggs(str(tmp_path), str(tmp_path / "eggs"))
    assert not os.path.lexists(tmp_path / ".eggs")


def test_without_setup_requires_nothing_is_linked(tmp_path):
    (tmp_path / "setup.py").write_text("setup()")
    link_eggs(str(tmp_path), str(tmp_path / "eggs"))
    assert os.listdir(tmp_path) == ["setup.py"]


@pytest.mark.parametrize("place", ['".."', '["../elsewhere"]', '["/"]', "3", "[3]"])
def test_a_backend_has_to_lie_in_its_own_tree(tmp_path, place):
    text = f'[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = {place}\n'
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(InvalidSourceDistribution, match="backend-path"):
        read_build_system(str(tmp_path))
