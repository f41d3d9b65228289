"""What ``bdist_dumb`` leaves, in the form that can be installed under any prefix."""

from __future__ import annotations

import io
import tarfile

import pytest

from pip_accel._archives import Contents, Entry, record_digest
from pip_accel._build.transform import read_dumb, with_digests
from pip_accel._values import Launcher
from pip_accel.exceptions import PipAcceleratorError

PREFIX = "/tmp/build/env"
SITE = "lib/python3.12/site-packages"


def member(name, data=b"x", mode=0o644, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(data) if kind == tarfile.REGTYPE else 0, mode, kind, target
    return info, data


@pytest.fixture
def read(tmp_path):
    def read(*members, entry_points="", pure=True, prefix=PREFIX):
        payload = str(tmp_path / "payload.tar")
        with tarfile.open(payload, "w") as archive:
            for info, data in members:
                archive.addfile(info, io.BytesIO(data))
        info = tmp_path / "metadata" / "Alpha-1.0.dist-info"
        (info / "licenses").mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n\nName: not\n")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\n")
        (info / "licenses" / "LICENSE").write_text("MIT")
        if entry_points:
            (info / "entry_points.txt").write_text(entry_points)
        return read_dumb(payload, str(tmp_path / "metadata"), prefix)

    return read


def placed(contents):
    return {(each.scheme, each.path): each for each in contents.entries if ".dist-info/" not in each.path}


def test_members_get_the_scheme_that_they_belong_to(read):
    names = {
        f"{SITE}/alpha/__init__.py": ("purelib", "alpha/__init__.py"),
        "lib64/python3.12/site-packages/fast.so": ("purelib", "fast.so"),
        "lib/python3.12/dist-packages/debian.py": ("purelib", "debian.py"),
        "bin/run": ("scripts", "run"),
        "bin/sub/run": ("data", "bin/sub/run"),
        "include/site/python3.12/Alpha/alpha.h": ("headers", "alpha.h"),
        "include/python3.12/Alpha/sub/beta.h": ("headers", "sub/beta.h"),
        "share/alpha/a.txt": ("data", "share/alpha/a.txt"),
        "lib/alpha/a.txt": ("data", "lib/alpha/a.txt"),
        "etc/alpha.conf": ("data", "etc/alpha.conf"),
    }
    contents = read(*(member(f".{PREFIX}/{name}") for name in names))
    assert set(placed(contents)) == set(names.values())
    assert contents[:4] == ("Alpha", "1.0", "purelib", "Alpha-1.0.dist-info")


def test_what_is_not_pure_goes_to_platlib(read):
    assert set(placed(read(member(f".{PREFIX}/{SITE}/fast.so"), pure=False))) == {("platlib", "fast.so")}


def test_the_dist_info_comes_from_the_metadata(read):
    contents = read()
    assert {(each.scheme, each.path): each.data for each in contents.entries} == {
        ("purelib", "Alpha-1.0.dist-info/METADATA"): b"Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n\nName: not\n",
        ("purelib", "Alpha-1.0.dist-info/WHEEL"): b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
        ("purelib", "Alpha-1.0.dist-info/licenses/LICENSE"): b"MIT",
    }


def test_byte_code_and_egg_info_are_made_anew(read):
    contents = read(
        member(f".{PREFIX}/{SITE}/alpha/__pycache__/a.cpython-312.pyc"),
        member(f".{PREFIX}/{SITE}/Alpha-1.0-py3.12.egg-info/PKG-INFO"),
        member(f".{PREFIX}/{SITE}/Alpha-1.0-py3.12.egg-info"),
        member(f".{PREFIX}/{SITE}/alpha", kind=tarfile.DIRTYPE),
    )
    assert placed(contents) == {}


def test_scripts_of_entry_points_are_made_anew(read):
    contents = read(
        member(f".{PREFIX}/bin/alpha", b"#!python\n", 0o755),
        member(f".{PREFIX}/bin/other", b"#!python\n", 0o755),
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    assert contents.launchers == (Launcher("alpha", "alpha", "main", False),)
    assert set(placed(contents)) == {("scripts", "other")}


def test_modes_and_hashbangs_are_told(read):
    entries = placed(
        read(
            member(f".{PREFIX}/bin/python", b"#!python -u\n", 0o755),
            member(f".{PREFIX}/bin/shell", b"#!/bin/sh\n", 0o755),
            member(f".{PREFIX}/{SITE}/tool.py", b"#!python\n"),
        )
    )
    told = {path: (entry.executable, entry.script) for (_, path), entry in entries.items()}
    assert told == {"python": (True, True), "shell": (True, False), "tool.py": (False, False)}


def test_a_hard_link_within_is_a_file(read):
    entries = placed(
        read(
            member(f"./{PREFIX[1:]}/share/a", b"data"),
            member(f"./{PREFIX[1:]}/share/b", kind=tarfile.LNKTYPE, target=f"./{PREFIX[1:]}/share/a"),
        )
    )
    assert entries["data", "share/b"].data == b"data"


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(member("./etc/alpha.conf"), id="another place"),
        pytest.param(member(f".{PREFIX}-other/x"), id="beside the prefix"),
        pytest.param(member(f".{PREFIX}/../../etc/alpha.conf"), id="parent"),
        pytest.param(member(f".{PREFIX}/{SITE}/../../../../evil.py"), id="parent below site-packages"),
        pytest.param(member(f".{PREFIX}/share/x", kind=tarfile.SYMTYPE, target="/etc/passwd"), id="symbolic link"),
        pytest.param(member(f".{PREFIX}/share/x", kind=tarfile.CHRTYPE), id="device"),
        pytest.param(member(f".{PREFIX}/share/x", kind=tarfile.FIFOTYPE), id="pipe"),
    ],
)
def test_what_a_wheel_would_not_hold_there_is_refused_by_name(read, hostile):
    with pytest.raises(PipAcceleratorError) as caught:
        read(member(f".{PREFIX}/{SITE}/alpha.py"), hostile)
    assert hostile[0].name.rpartition("/")[2] in str(caught.value)


def test_every_entry_gets_the_digest_of_what_it_holds():
    entries = [
        Entry("purelib", "a.py", False, False, "", b"a"),
        Entry("purelib", "b.py", False, False, "sha256=x", b"b"),
    ]
    contents = with_digests(Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries))
    assert [each.digest for each in contents.entries] == [record_digest(b"a"), record_digest(b"b")]
