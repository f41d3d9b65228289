"""What builds leave, in the form that can be installed under any prefix."""

from __future__ import annotations

import io
import json
import os
import tarfile

import pytest

from pip_accel._archives import record_digest
from pip_accel._build.transform import read_dumb, read_foreign
from pip_accel._values import Launcher
from pip_accel.exceptions import BinaryDistributionError

NOT_UTF_8 = "\udce9"  #: as tarfile gives a byte that is none


def member(name, data=b"x", mode=0o644, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(data) if kind == tarfile.REGTYPE else 0, mode, kind, target
    return info, data


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, mode=0o777, kind=kind, target=target)


def pack(path, *members):
    with tarfile.open(path, "w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.fixture
def read(tmp_path):
    """Reads a payload with these members and the metadata of Alpha 1.0."""

    def read(*members, entry_points="", pure=True):
        payload = pack(tmp_path / "payload.tar", *members)
        info = tmp_path / "metadata" / "Alpha-1.0.dist-info"
        (info / "licenses").mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n\nName: not\n")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\n")
        (info / "licenses" / "LICENSE").write_text("MIT")
        (info / "licenses" / "LICENSE").chmod(0o755)
        if entry_points:
            (info / "entry_points.txt").write_text(entry_points)
        names = {"data": "Alpha-1.0-7.data", "egg-info": "purelib/Alpha-1.0-py3.12.egg-info"}
        (tmp_path / "metadata" / "names.json").write_text(json.dumps(names))
        return read_dumb(payload, str(tmp_path / "metadata"))

    return read


def placed(contents):
    return {(each.scheme, each.path): each for each in contents.entries if ".dist-info/" not in each.path}


def test_members_get_the_scheme_that_their_top_directory_names(read):
    names = {"purelib/alpha/__init__.py", "platlib/fast.so", "scripts/sub/run", "headers/sub/beta.h", "data/bin/x"}
    contents = read(*(member(f"./{name}") for name in names))
    assert {"/".join(place) for place in placed(contents)} == names
    assert contents[:4] == ("Alpha", "1.0", "purelib", "Alpha-1.0.dist-info")


def test_the_metadata_of_what_is_not_pure_goes_to_platlib(read):
    contents = read(member("./platlib/fast.so"), pure=False)
    assert contents.lib == "platlib"
    assert {each.scheme for each in contents.entries} == {"platlib"}


def test_the_dist_info_comes_from_the_metadata(read):
    contents = read()
    assert {(each.scheme, each.path): (each.data, each.executable) for each in contents.entries} == {
        ("purelib", "Alpha-1.0.dist-info/METADATA"): (
            b"Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n\nName: not\n",
            False,
        ),
        ("purelib", "Alpha-1.0.dist-info/WHEEL"): (b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n", False),
        ("purelib", "Alpha-1.0.dist-info/licenses/LICENSE"): (b"MIT", True),
    }


def test_every_entry_has_the_digest_that_a_wheel_would_have(read):
    contents = read(member("./purelib/alpha.py", b"x = 1\n"), member("./scripts/run", b"#!python\n"))
    assert all(each.digest == record_digest(each.data) and each.size is None for each in contents.entries)


def test_the_egg_info_is_left_out_and_no_other(read):
    contents = read(
        member("./purelib/Alpha-1.0-py3.12.egg-info/PKG-INFO"),
        member("./purelib/Alpha-1.0-py3.12.egg-info"),
        member("./purelib/beta.egg-info/PKG-INFO"),
        member("./purelib/alpha", kind=tarfile.DIRTYPE),
    )
    assert set(placed(contents)) == {("purelib", "beta.egg-info/PKG-INFO")}


def test_scripts_of_entry_points_are_made_anew_and_keep_their_rows(read):
    contents = read(
        member("./scripts/alpha", b"#!python\n", 0o755),
        member("./scripts/alpha-script.py", b"old", 0o755),
        member("./scripts/other", b"#!python\n", 0o755),
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    assert contents.launchers == (Launcher("alpha", "alpha", "main", False),)
    assert set(placed(contents)) == {("scripts", "other")}
    assert contents.rows == (
        ("Alpha-1.0-7.data/scripts/alpha", record_digest(b"#!python\n"), "9"),
        ("Alpha-1.0-7.data/scripts/alpha-script.py", record_digest(b"old"), "3"),
    )


def test_modes_and_hashbangs_are_told(read):
    entries = placed(
        read(
            member("./scripts/python", b"#!python -u\n", 0o4755),
            member("./scripts/shell", b"#!/bin/sh\n", 0o100),
            member("./purelib/tool.py", b"#!python\n"),
        )
    )
    told = {path: (entry.executable, entry.script) for (_, path), entry in entries.items()}
    assert told == {"python": (True, True), "shell": (True, False), "tool.py": (False, False)}


LINKS = [
    link("./data/share/b", "./data/share/a", tarfile.LNKTYPE),
    link("./data/share/b", "a"),
    link("./data/b", "share/a"),
    link("./data/share/sub/b", "../a"),
    link("./data/share/sub/b", "../../../data/share/./a"),
    link("./data/share/b", "/data/share/a"),
]


@pytest.mark.parametrize("given", LINKS, ids=lambda given: f"{given[0].type.decode()} {given[0].linkname}")
def test_a_link_to_a_file_within_is_that_file(read, given):
    entries = placed(read(member("./data/share/a", b"data", 0o755), given))
    name = given[0].name.removeprefix("./data/")
    assert (entries["data", name].data, entries["data", name].executable) == (b"data", True)


def test_links_are_followed_to_their_end(read):
    chain = [link(f"./data/{n}", str(n + 1)) for n in range(5)]
    assert placed(read(*chain, member("./data/5", b"data")))["data", "0"].data == b"data"


HOSTILE = [
    pytest.param(member("./etc/alpha.conf"), id="another place"),
    pytest.param(member("./purelib"), id="a file of that name"),
    pytest.param(member("./data/../../etc/alpha.conf"), id="parent"),
    pytest.param(member("./purelib/../../evil.py"), id="parent below site-packages"),
    pytest.param(member("/etc/alpha.conf"), id="absolute"),
    pytest.param(link("./data/share/x", "/etc/passwd"), id="link elsewhere"),
    pytest.param(link("./data/share/x", "../../../../etc/passwd"), id="link above"),
    pytest.param(link("./data/share/x", "y"), id="link to nothing"),
    pytest.param(link("./data/share/x", "x"), id="link to itself"),
    pytest.param(link("./data/share/x", "/purelib"), id="link to a directory"),
    pytest.param(link("./data/share/x", "/etc/passwd", tarfile.LNKTYPE), id="hard link elsewhere"),
    pytest.param(member("./data/share/x", kind=tarfile.CHRTYPE), id="device"),
    pytest.param(member("./data/share/x", kind=tarfile.BLKTYPE), id="block device"),
    pytest.param(member("./data/share/x", kind=tarfile.FIFOTYPE), id="pipe"),
    pytest.param(member(f"./data/share/{NOT_UTF_8}"), id="a name that is not UTF-8"),
    pytest.param(member("./data/share/a\nb"), id="a name of two lines"),
    pytest.param(member("./purelib/alpha/__pycache__/a.cpython-312.pyc"), id="byte code"),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_wheel_would_not_hold_there_is_refused_by_name(read, hostile):
    with pytest.raises(BinaryDistributionError) as caught:
        read(member("./purelib", kind=tarfile.DIRTYPE), member("./purelib/alpha.py"), hostile)
    name = hostile[0].name.rpartition("/")[2]
    assert name in str(caught.value) or repr(name)[1:-1] in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b\x08\x00"], ids=["empty", "text", "cut off"])
def test_a_payload_that_cannot_be_read_is_named(tmp_path, content):
    payload = tmp_path / "payload.tar"
    payload.write_bytes(content)
    with pytest.raises(BinaryDistributionError, match=r"payload\.tar"):
        list(read_foreign(str(payload), "/usr"))


# Tarballs that were made for one prefix

PLACES = [
    ("/usr", "./usr/lib/python3.11/site-packages/a/b.py", "purelib", "a/b.py"),
    ("/usr", "usr/lib64/python3.11/site-packages/a.so", "platlib", "a.so"),
    ("/usr", "./usr/lib/python3/dist-packages/a.py", "purelib", "a.py"),
    ("/usr", "./usr/local/lib/python3.11/dist-packages/a.py", "purelib", "a.py"),
    ("/usr/local", "./usr/local/lib/python3.11/dist-packages/a.py", "purelib", "a.py"),
    ("/usr/local/", "./usr/local/lib/python3.13t/site-packages/a.py", "purelib", "a.py"),
    ("/opt/pypy", "./opt/pypy/lib/pypy3.10/site-packages/a.py", "purelib", "a.py"),
    ("/opt/pypy", "./opt/pypy/site-packages/a.py", "purelib", "a.py"),
    ("/", "./lib/python3.11/site-packages/a.py", "purelib", "a.py"),
    ("/e", "./e/lib/python3.11/site-packages/A-1.egg-info/PKG-INFO", "purelib", "A-1.egg-info/PKG-INFO"),
    ("/e", "./e/lib/python3.11/site-packages", "data", "lib/python3.11/site-packages"),
    ("/e", "./e/lib/python3.11/lib-dynload/a.so", "data", "lib/python3.11/lib-dynload/a.so"),
    ("/e", "./e/bin/run", "scripts", "run"),
    ("/usr", "./usr/local/bin/sub/run", "scripts", "sub/run"),
    ("/e", "./e/include/python3.11/alpha/a.h", "headers", "a.h"),
    ("/e", "./e/include/site/python3.11/alpha/sub/a.h", "headers", "sub/a.h"),
    ("/usr", "./usr/include/python3.11d/alpha/a.h", "headers", "a.h"),
    ("/e", "./e/include/python3.11/a.h", "data", "include/python3.11/a.h"),
    ("/e", "./e/include/alpha/a.h", "data", "include/alpha/a.h"),
    ("/e", "./e/share/man/man1/a.1", "data", "share/man/man1/a.1"),
    ("/e", "./e/etc/a b,c\"d\n.conf", "data", "etc/a b,c\"d\n.conf"),
    ("/e", "./e/lib/python3.11/site-packages/a\n.py", "purelib", "a\n.py"),
]  # fmt: skip


@pytest.mark.parametrize(("prefix", "name", "scheme", "path"), PLACES, ids=[repr(each[1]) for each in PLACES])
def test_members_below_a_prefix_are_sorted_into_schemes(tmp_path, prefix, name, scheme, path):
    payload = pack(tmp_path / "a.tar", member("./usr", kind=tarfile.DIRTYPE), member(name))
    assert [(each.scheme, each.path) for each in read_foreign(payload, prefix)] == [(scheme, path)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"#!/build/env/bin/python\nx\r\n\xff", b"#!python\nx\r\n\xff"),
        (b"#!/usr/bin/env -S python3 -u\n", b"#!python -u\n"),
        (b"#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n' '''\nx", b"#!python\nx"),
        (b"#!python\nx", b"#!python\nx"),
        (b"#!/bin/sh\nexec python\n", b"#!/bin/sh\nexec python\n"),
        (b"\x7fELF", b"\x7fELF"),
    ],
)
def test_hashbangs_of_scripts_become_neutral(tmp_path, data, expected):
    payload = pack(tmp_path / "a.tar", member("./e/bin/run", data, 0o755), member("./e/share/run", data))
    script, other = read_foreign(payload, "/e")
    assert (script.data, script.script, script.executable) == (expected, expected.startswith(b"#!python"), True)
    assert script.digest == record_digest(expected)
    assert (other.data, other.script, other.executable) == (data, False, False)


def test_byte_code_beside_its_source_is_left_out(tmp_path):
    names = ["__pycache__/a.cpython-311.pyc", "__pycache__/a.cpython-311.opt-1.pyc", "__pycache__/b.txt", "c.pyc"]
    payload = pack(tmp_path / "a.tar", *(member(f"./e/lib/python3.11/site-packages/{name}") for name in names))
    assert [each.path for each in read_foreign(payload, "/e")] == names[2:]


def test_compressed_tarballs_are_read_too(tmp_path):
    path = str(tmp_path / "a.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        info, data = member("./e/bin/run")
        archive.addfile(info, io.BytesIO(data))
    assert [each.path for each in read_foreign(path, "/e")] == ["run"]


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(member("./etc/alpha.conf"), id="another place"),
        pytest.param(member("./ee/alpha.conf"), id="a prefix that begins so"),
        pytest.param(member("./e"), id="a file in place of the prefix"),
        pytest.param(member("./e/../etc/alpha.conf"), id="parent"),
        pytest.param(member("/e/alpha.conf"), id="absolute"),
        pytest.param(link("./e/x", "/etc/passwd"), id="link elsewhere"),
        pytest.param(link("./e/x", "."), id="link to a directory"),
        pytest.param(member("./e/x", kind=tarfile.CHRTYPE), id="device"),
        pytest.param(member("./e/x", kind=tarfile.FIFOTYPE), id="pipe"),
        pytest.param(member(f"./e/{NOT_UTF_8}"), id="a name that is not UTF-8"),
    ],
)
def test_what_lies_outside_of_the_prefix_is_refused_by_name_before_anything_is_given(tmp_path, hostile):
    payload = pack(tmp_path / "a.tar", member("./e/bin/run"), hostile)
    with pytest.raises(BinaryDistributionError) as caught:
        next(read_foreign(payload, "/e"))
    name = os.path.basename(hostile[0].name)
    assert name in str(caught.value) or repr(name)[1:-1] in str(caught.value)
