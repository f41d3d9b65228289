"""What ``bdist_dumb`` leaves, in the form that can be installed under any prefix."""

from __future__ import annotations

import io
import tarfile

import pytest

from pip_accel._archives import Contents, Entry, record_digest
from pip_accel._build.transform import read_dumb, with_digests
from pip_accel._values import Launcher
from pip_accel.exceptions import PipAcceleratorError


def member(name, data=b"x", mode=0o644, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(data) if kind == tarfile.REGTYPE else 0, mode, kind, target
    return info, data


@pytest.fixture
def read(tmp_path):
    def read(*members, entry_points="", pure=True):
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
    assert {(each.scheme, each.path): each.data for each in contents.entries} == {
        ("purelib", "Alpha-1.0.dist-info/METADATA"): b"Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\n\nName: not\n",
        ("purelib", "Alpha-1.0.dist-info/WHEEL"): b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
        ("purelib", "Alpha-1.0.dist-info/licenses/LICENSE"): b"MIT",
    }


def test_byte_code_and_egg_info_are_made_anew(read):
    contents = read(
        member("./purelib/alpha/__pycache__/a.cpython-312.pyc"),
        member("./purelib/Alpha-1.0-py3.12.egg-info/PKG-INFO"),
        member("./purelib/Alpha-1.0-py3.12.egg-info"),
        member("./purelib/alpha", kind=tarfile.DIRTYPE),
    )
    assert placed(contents) == {}


def test_scripts_of_entry_points_are_made_anew(read):
    contents = read(
        member("./scripts/alpha", b"#!python\n", 0o755),
        member("./scripts/other", b"#!python\n", 0o755),
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    assert contents.launchers == (Launcher("alpha", "alpha", "main", False),)
    assert set(placed(contents)) == {("scripts", "other")}


def test_modes_and_hashbangs_are_told(read):
    entries = placed(
        read(
            member("./scripts/python", b"#!python -u\n", 0o755),
            member("./scripts/shell", b"#!/bin/sh\n", 0o755),
            member("./purelib/tool.py", b"#!python\n"),
        )
    )
    told = {path: (entry.executable, entry.script) for (_, path), entry in entries.items()}
    assert told == {"python": (True, True), "shell": (True, False), "tool.py": (False, False)}


def test_a_hard_link_within_is_a_file(read):
    entries = placed(
        read(
            member("./data/share/a", b"data"),
            member("./data/share/b", kind=tarfile.LNKTYPE, target="./data/share/a"),
        )
    )
    assert entries["data", "share/b"].data == b"data"


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(member("./etc/alpha.conf"), id="another place"),
        pytest.param(member("./purelib"), id="a file of that name"),
        pytest.param(member("./data/../../etc/alpha.conf"), id="parent"),
        pytest.param(member("./purelib/../../evil.py"), id="parent below site-packages"),
        pytest.param(member("./data/share/x", kind=tarfile.SYMTYPE, target="/etc/passwd"), id="symbolic link"),
        pytest.param(member("./data/share/x", kind=tarfile.CHRTYPE), id="device"),
        pytest.param(member("./data/share/x", kind=tarfile.FIFOTYPE), id="pipe"),
    ],
)
def test_what_a_wheel_would_not_hold_there_is_refused_by_name(read, hostile):
    with pytest.raises(PipAcceleratorError) as caught:
        read(member("./purelib/alpha.py"), hostile)
    assert hostile[0].name.rpartition("/")[2] in str(caught.value)


def test_every_entry_gets_the_digest_of_what_it_holds():
    entries = [
        Entry("purelib", "a.py", False, False, "", b"a"),
        Entry("purelib", "b.py", False, False, "sha256=x", b"b"),
    ]
    contents = with_digests(Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries))
    assert [each.digest for each in contents.entries] == [record_digest(b"a"), record_digest(b"b")]
