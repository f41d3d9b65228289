"""Wheels and binary distribution archives: one stream of entries, and nothing of a hostile one gets through."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import types
import zipfile

import pytest

from pip_accel import _plausibility
from pip_accel._archives import (
    MANIFEST_NAME,
    Contents,
    Entry,
    parse_entry_points,
    read_bdist,
    read_manifest,
    read_wheel,
    record_digest,
    wheel_metadata,
    write_bdist,
)
from pip_accel._plausibility import check_member_name
from pip_accel._values import Launcher
from pip_accel.exceptions import UnsafeArchive, Unsupported
from tests.lib.archives import make_wheel

KEY = {"name": "alpha", "revision": 8}


def entry(scheme, path, data=b"x\n", *, executable=False, script=False, digest=None, size=None):
    return Entry(scheme, path, executable, script, record_digest(data) if digest is None else digest, data, size)


def contents(*entries, launchers=(), rows=()):
    return Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", tuple(launchers), entries, rows)


def write(path, given):
    with open(path, "wb") as stream:
        write_bdist(given, stream, key=KEY, key_digest="ab", revision=8, version="3.12")
    return str(path)


def test_equal_contents_give_equal_archives(tmp_path, monkeypatch):
    """So that two machines which build the same have the same."""
    import time

    given = [entry("purelib", "alpha.py"), entry("scripts", "alpha", executable=True)]
    one = write(tmp_path / "one", contents(*given))
    monkeypatch.setattr(time, "time", lambda: 2e9)
    other = write(tmp_path / "another-name", contents(*given))
    with open(one, "rb") as left, open(other, "rb") as right:
        assert left.read() == right.read()


def write_by_hand(path, listed, members, **overrides):
    """Write an archive whose manifest and members need not agree.

    :param members: pairs of a name, or a ``TarInfo``, and the data.
    """
    manifest = {
        "format": 8, "key": KEY, "key-digest": "ab", "signature": None, "name": "alpha", "version": "1.0",
        "lib": "purelib", "dist-info": "alpha-1.0.dist-info", "launchers": [], "files": listed, "recorded": [],
        "rows": [], **overrides,
    }  # fmt: skip
    with tarfile.open(path, "w:gz") as archive:
        for name, data in [(MANIFEST_NAME, json.dumps(manifest).encode()), *members]:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def row(name, scheme, path, data=b"x\n", *, script=False, **changes):
    return [
        name,
        scheme,
        path,
        False,
        script,
        changes.get("digest", record_digest(data)),
        changes.get("size", len(data)),
    ]


def read_all(path):
    found, close = read_bdist(path)
    try:
        return found._replace(entries=list(found.entries))
    finally:
        close()


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


# Names of members


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alpha/__init__.py", "alpha/__init__.py"),
        ("./alpha//beta.py", "alpha/beta.py"),
        ("alpha/..beta", "alpha/..beta"),
        ("alpha/beta..", "alpha/beta.."),
        (".", ""),
        ("two words", "two words"),
    ],
)
def test_names_below_the_root_are_normalised(name, expected):
    assert check_member_name(name, "alpha.whl") == expected


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "//etc/passwd", "..", "../x", "alpha/../../x", "alpha/..", "a\0b"], ids=repr
)
def test_names_that_leave_the_root_are_refused_by_name(name):
    with pytest.raises(UnsafeArchive) as caught:
        check_member_name(name, "alpha.whl")
    assert repr(name) in str(caught.value)
    assert "alpha.whl" in str(caught.value)


@pytest.mark.parametrize("name", ["..\\x", "a\\b", "C:/x", "C:x", "a/b:stream"])
def test_names_with_meaning_on_windows_are_refused_there(name, monkeypatch):
    assert check_member_name(name, "alpha.whl") == name
    monkeypatch.setattr(_plausibility, "os", types.SimpleNamespace(name="nt"))
    with pytest.raises(UnsafeArchive):
        check_member_name(name, "alpha.whl")


# Entry points


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("[console_scripts]\nrun = a.b:c\n", (Launcher("run", "a.b", "c", False),), id="console"),
        pytest.param("[gui_scripts]\nrun=a:b.c", (Launcher("run", "a", "b.c", True),), id="gui, dotted function"),
        pytest.param("[console_scripts]\nrun = a:b [extra, more]", (Launcher("run", "a", "b", False),), id="extras"),
        pytest.param("[console_scripts]\nrün+x = ä:ß\n", (Launcher("rün+x", "ä", "ß", False),), id="letters"),
        pytest.param(
            "# one\n[other]\nx y = nothing\nz=a.b : c [d]\n\n[console_scripts]\n# two\n  run = a:b\n",
            (Launcher("run", "a", "b", False),),
            id="comments and other groups",
        ),
        pytest.param(
            "[console_scripts]\nrun = a:b\n[gui_scripts]\nrun = a:c\n",
            (Launcher("run", "a", "b", False), Launcher("run", "a", "c", True)),
            id="one name in both groups",
        ),
    ],
)
def test_entry_points_that_are_scripts_are_found(text, expected):
    assert parse_entry_points(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        "run = a", "run = a:", "= a:b", "a/b = a:b", "../x = a:b", ".. = a:b", "run = a : b", "run = a:b # c",
        "run = a:b=c", "run = a-b:c", "run = a:b:c", "run = a:b [", "run = a:b []", "run = a:b [c d]", "my run = a:b",
        "; run = a:b", "run[1] = a:b [c]", "run", "[other]\nrun", "[other]\nrun = a b", "run = a:b\nrun = a:c",
        "[other]\n[console_scripts]", "[other", "[ gui_scripts ]\nrun = a:b", "[[gui_scripts]]\nrun = a:b",
    ],
)  # fmt: skip
def test_entry_points_that_pip_has_to_judge_are_left_to_it(line):
    """It fails, makes something odd of them, or does different things with different Pythons."""
    with pytest.raises(Unsupported):
        parse_entry_points(f"[console_scripts]\n{line}\n")


def test_an_entry_point_outside_of_groups_is_left_to_pip():
    with pytest.raises(Unsupported):
        parse_entry_points("run = a:b\n")


# Wheels


def test_a_wheel_is_read_by_scheme(tmp_path):
    path = make_wheel(
        str(tmp_path),
        "Alpha.Beta",
        "1.0",
        files={"alpha/__init__.py": "x = 1\n", "alpha/tool.sh": "#!/bin/sh\n"},
        data={
            "scripts/run": "#!python\nprint()\n",
            "scripts/plain": "#!/bin/sh\n",
            "headers/alpha.h": "int x;",
            "data/share/a.txt": "a",
            "platlib/fast.so": b"\x7fELF",
        },
        modes={"alpha/tool.sh": 0o755},
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    found, opened = read_wheel(path)
    with opened:
        entries = {(each.scheme, each.path): each for each in found.entries}
    assert found[:5] == (
        "Alpha.Beta",
        "1.0",
        "purelib",
        "alpha_beta-1.0.dist-info",
        (Launcher("alpha", "alpha", "main", False),),
    )
    assert {key for key in entries if ".dist-info" not in key[1]} == {
        ("purelib", "alpha/__init__.py"),
        ("purelib", "alpha/tool.sh"),
        ("scripts", "run"),
        ("scripts", "plain"),
        ("headers", "alpha.h"),
        ("data", "share/a.txt"),
        ("platlib", "fast.so"),
    }
    assert entries["scripts", "run"].script
    assert not entries["scripts", "plain"].script
    assert entries["purelib", "alpha/tool.sh"].executable
    assert not entries["purelib", "alpha/__init__.py"].executable
    assert all(each.digest == record_digest(each.data) for each in entries.values())
    assert ("purelib", "alpha_beta-1.0.dist-info/RECORD") not in entries
    assert wheel_metadata(path).startswith(b"Metadata-Version")


def test_a_wheel_that_is_not_pure_goes_to_platlib(tmp_path):
    found, opened = read_wheel(make_wheel(str(tmp_path), "alpha", "1.0", tag="cp312-cp312-linux_x86_64"))
    opened.close()
    assert found.lib == "platlib"


@pytest.mark.parametrize("name", ["alpha", "alpha.exe", "alpha-script.py", "alpha.EXE", "alpha.pya", "sub/alpha"])
def test_wrappers_of_entry_points_are_made_anew_and_keep_their_rows(tmp_path, name):
    path = make_wheel(
        str(tmp_path),
        "alpha",
        "1.0",
        data={f"scripts/{name}": "old", "scripts/other": "kept"},
        entry_points="[console_scripts]\nalpha = alpha:main\n",
    )
    found, opened = read_wheel(path)
    with opened:
        assert [each.path for each in found.entries if each.scheme == "scripts"] == ["other"]
    assert found.rows == ((f"alpha-1.0.data/scripts/{name}", record_digest(b"old"), "3"),)


def read_with_record(directory, change, **arguments):
    """Read a wheel whose RECORD is what ``change`` makes of its lines."""
    path = make_wheel(str(directory), "alpha", "1.0", **{"files": {"alpha.py": "x"}, **arguments})
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members.items():
            if info.filename == "alpha-1.0.dist-info/RECORD":
                text = change(data.decode())
                if text is None:
                    continue
                data = text if isinstance(text, bytes) else text.encode()
            archive.writestr(info, data)
    found, opened = read_wheel(path)
    with opened:
        return found._replace(entries=list(found.entries))


def test_what_pip_adds_is_taken_from_a_wheel_too(tmp_path):
    """pip writes its own over them, and then RECORD has two rows of each."""
    info = {"INSTALLER": "uv", "REQUESTED": "", "direct_url.json": "{}", "RECORD.jws": "", "sub/RECORD": ""}
    found, opened = read_wheel(make_wheel(str(tmp_path), "alpha", "1.0", dist_info=info))
    with opened:
        names = {each.path.partition("/")[2] for each in found.entries if ".dist-info/" in each.path}
    assert names == {*info, "METADATA", "WHEEL"}


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        pytest.param("ghost.py,sha256=x,1\n", (("ghost.py", "sha256=x", "1"),), id="a file that is not there"),
        pytest.param("d/\nd,x\n", (("d/", "", ""), ("d", "x", "")), id="short rows"),
        pytest.param("alpha.py,sha256=x,7\n", (("alpha.py", "sha256=x", "7"),), id="a second row of a file"),
        pytest.param("/etc/x,,\n../../x,,\n", (("/etc/x", "", ""), ("../../x", "", "")), id="files elsewhere"),
        pytest.param('"a,""b",,\n', (('a,"b', "", ""),), id="quotes"),
        pytest.param('"a\nb",,\n', (("ab", "", ""),), id="a line feed, which pip loses"),
        pytest.param("a\x0bb,,\n", (("a", "", ""), ("b", "", "")), id="a line break that is none in a file"),
    ],
)
def test_rows_that_belong_to_no_file_are_kept_as_pip_reads_them(tmp_path, lines, rows):
    assert read_with_record(tmp_path, lambda text: text + lines).rows == rows


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param("alpha.py,sha512=x,1", ("sha512=x", None), id="another algorithm"),
        pytest.param("alpha.py,sha256=wrong,1", ("sha256=wrong", None), id="a wrong digest"),
        pytest.param("alpha.py,sha256=x,007", ("sha256=x", "007"), id="a wrong size"),
        pytest.param("alpha.py,sha256=x,", ("sha256=x", ""), id="no size"),
        pytest.param("alpha.py,,1", ("", "1"), id="no digest"),
        pytest.param("alpha.py", ("", None), id="only the name"),
        pytest.param("", ("", None), id="nothing"),
    ],
)
def test_what_a_wheel_says_of_a_file_is_kept_true_or_not(tmp_path, row, expected):
    def change(text):
        return "".join(line for line in text.splitlines(keepends=True) if "alpha.py" not in line) + (row and row + "\n")

    (found,) = [each for each in read_with_record(tmp_path, change).entries if each.path == "alpha.py"]
    assert (found.digest, found.size) == expected


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: None, id="no RECORD"),
        pytest.param(lambda text: text + "\n\n", id="empty line"),
        pytest.param(lambda text: text + "a,b,c,d\n", id="four columns"),
        pytest.param(lambda text: text + "a\0b,,\n", id="zero byte"),
        pytest.param(lambda text: text + "x" * 140_000 + ",,\n", id="too long for csv"),
        pytest.param(lambda text: text.replace("RECORD,,", "RECORD,sha256=x,1"), id="digest of itself"),
        pytest.param(lambda text: "", id="a script that it has not"),
        pytest.param(lambda text: b"\xff\xfe", id="no text"),
    ],
)
def test_a_record_that_pip_has_to_judge_is_left_to_it(tmp_path, change):
    with pytest.raises(Unsupported):
        read_with_record(tmp_path, change, data={"scripts/run": "#!python\n"})


@pytest.mark.parametrize(
    "name",
    ["/etc/evil", "../evil", "alpha/../../evil", "alpha-1.0.data/scripts/../../evil", "alpha-1.0.data/data/../x"],
)
def test_a_wheel_with_a_member_outside_is_refused_by_name(tmp_path, name):
    path = make_wheel(str(tmp_path), "alpha", "1.0", files={"alpha.py": "", name: "evil"})
    with pytest.raises(UnsafeArchive) as caught:
        read_wheel(path)
    assert repr(name) in str(caught.value)


def write_members(directory, *members):
    """Write a wheel with more members: names, contents and modes as the archive has them."""
    path = make_wheel(str(directory), "alpha", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    ("mode", "executable"),
    [
        (0o100755, True), (0o100744, True), (0o104711, True), (0o100001, True), (0o100644, False), (0o100000, False),
        (0o755, False), (0, False), (0o120777, False), (0o010777, False),
    ],
    ids=oct,
)  # fmt: skip
def test_only_plain_files_are_executable(tmp_path, mode, executable):
    found, opened = read_wheel(write_members(tmp_path, ("alpha/run", "", mode)))
    with opened:
        assert [each.executable for each in found.entries if each.path == "alpha/run"] == [executable]


def test_an_executable_file_that_pip_empties_is_left_to_it(tmp_path):
    found, opened = read_wheel(write_members(tmp_path, ("alpha-1.0.dist-info/REQUESTED", "", 0o100755)))
    with opened, pytest.raises(Unsupported, match="REQUESTED"):
        list(found.entries)


def test_directories_are_left_out(tmp_path):
    found, opened = read_wheel(write_members(tmp_path, ("alpha/", "", 0o040755), ("alpha/sub/", "", 0)))
    with opened:
        assert [each.path for each in found.entries if "dist-info" not in each.path] == ["alpha.py"]


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'q"q', "c,c", " lead", "trail ", "back\\slash", "ü", "日本", "e\u0301", "x" * 300, "a\nb"]
)
def test_members_keep_their_names(tmp_path, name):
    other = name.upper() + "2"
    found, opened = read_wheel(write_members(tmp_path, (name, "x", 0o100644), (other, "y", 0o100644)))
    with opened:
        entries = {each.path: each.data for each in found.entries}
    assert (entries[name], entries[other]) == (b"x", b"y")


def test_names_that_are_not_marked_as_unicode_are_read_as_zip_has_them(tmp_path):
    path = write_members(tmp_path, ("a?.txt", "x", 0o100644))
    with open(path, "rb") as stream:
        data = stream.read()
    with open(path, "wb") as stream:
        stream.write(data.replace(b"a?.txt", b"a\x82.txt"))
    found, opened = read_wheel(path)
    with opened:
        assert "aé.txt" in [each.path for each in found.entries]


def test_files_come_in_the_order_in_which_pip_writes_them(tmp_path):
    path = write_members(
        tmp_path,
        ("alpha-1.0.data/scripts/a", "", 0o100644),
        ("alpha-1.0.data/platlib/b", "", 0o100644),
        ("other.data/purelib/c", "", 0o100644),
        ("d", "", 0o100644),
    )
    found, opened = read_wheel(path)
    with opened:
        names = [(each.scheme, each.path) for each in found.entries if len(each.path) == 1]
    assert names == [("purelib", "d"), ("platlib", "b"), ("purelib", "c"), ("scripts", "a")]


def test_of_a_member_that_comes_twice_the_last_one_counts(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_members(tmp_path, ("a", "1", 0o100644), ("a", "2", 0o100644))
    found, opened = read_wheel(path)
    with opened:
        assert [each.data for each in found.entries if each.path == "a"] == [b"2"]


def test_a_link_in_a_wheel_becomes_a_plain_file(tmp_path):
    path = make_wheel(str(tmp_path), "alpha", "1.0")
    info = zipfile.ZipInfo("alpha/link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    found, opened = read_wheel(path)
    with opened:
        (link,) = (each for each in found.entries if each.path == "alpha/link")
    assert (link.data, link.executable) == (b"/etc/passwd", False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"data": {"unknown/x": ""}}, "no place", id="unknown scheme"),
        pytest.param({"files": {"alpha-1.0.data/stray": ""}}, "no place", id="stray file"),
        pytest.param({"files": {"stray.data": ""}}, "no place", id="a file called data"),
        pytest.param({"files": {"./a": ""}}, "no place", id="a name with a dot"),
        pytest.param({"files": {"a//b": ""}}, "no place", id="a name with two slashes"),
        pytest.param({"files": {"a": ""}, "data": {"purelib/a": ""}}, "no place", id="two files of one name"),
        pytest.param({"dist_info": {"RECORD/x": ""}}, "no place", id="RECORD is a directory"),
        pytest.param({"files": {"beta-1.0.dist-info/METADATA": ""}}, "exactly one", id="two dist-info"),
        pytest.param({"dist_info": {"WHEEL": "Wheel-Version: 2.0\n"}}, "wheel version", id="future version"),
        pytest.param({"dist_info": {"WHEEL": "Wheel-Version: 1.1\n"}}, "wheel version", id="newer version"),
        pytest.param({"dist_info": {"WHEEL": "Wheel-Version: 1.0\njunk\n"}}, "wheel version", id="no header"),
        pytest.param({"dist_info": {"WHEEL": "Wheel-Version: 1.0\nTag:\n x\n"}}, "wheel version", id="two lines"),
        pytest.param({"dist_info": {"WHEEL": ""}}, "wheel version", id="no version"),
        pytest.param({"metadata": "Metadata-Version: 2.1\nVersion: 1.0\n"}, "complete", id="no name"),
        pytest.param({"metadata": "Metadata-Version: 2.1\nName: alpha\n"}, "complete", id="no project version"),
        pytest.param({"metadata": "Name:\n alpha\nVersion: 1.0\n"}, "what it is", id="name on the next line"),
        pytest.param({"dist_info": {"entry_points.txt": b"\xff\xfe"}}, "complete", id="entry points are no text"),
        pytest.param({"dist_info": {"RECORD": b"\xff\xfe"}}, "complete", id="RECORD is no text"),
    ],
)
def test_a_wheel_that_pip_has_to_judge_is_left_to_it(tmp_path, arguments, words):
    path = make_wheel(str(tmp_path), "alpha", "1.0", **arguments)
    with pytest.raises(Unsupported, match=words):
        found, opened = read_wheel(path)
        with opened:
            list(found.entries)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "no members"])
def test_what_is_no_wheel_is_left_to_pip(tmp_path, content):
    path = tmp_path / "alpha-1.0-py3-none-any.whl"
    path.write_bytes(content)
    for read in (read_wheel, wheel_metadata):
        with pytest.raises(Unsupported):
            read(str(path))


def test_a_wheel_of_another_project_is_left_to_pip(tmp_path):
    path = make_wheel(str(tmp_path), "alpha", "1.0")
    renamed = os.path.join(os.path.dirname(path), "beta-1.0-py3-none-any.whl")
    os.rename(path, renamed)
    with pytest.raises(Unsupported, match="of its project"):
        read_wheel(renamed)


def test_a_damaged_wheel_is_named(tmp_path):
    path = make_wheel(str(tmp_path), "alpha", "1.0", files={"alpha.py": os.urandom(5000)})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("alpha.py").header_offset + 200
    for damage in (b"\0" * 40, b"\xff" * 40):
        with open(path, "r+b") as stream:
            stream.seek(start)
            stream.write(damage)
        found, opened = read_wheel(path)
        with opened, pytest.raises(Unsupported, match=r"alpha-1\.0-py3-none-any\.whl"):
            list(found.entries)


def test_a_wheel_with_a_password_is_left_to_pip(tmp_path):
    path = make_wheel(str(tmp_path), "alpha", "1.0", files={"alpha.py": "x"})
    with open(path, "rb") as stream:
        data = bytearray(stream.read())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag says that the member is encrypted
    with open(path, "wb") as handle:
        handle.write(data)
    found, opened = read_wheel(path)
    with opened, pytest.raises(Unsupported):
        list(found.entries)


# Binary distribution archives


def test_what_was_written_is_read_back(tmp_path):
    given = contents(
        entry("purelib", "odd.py", digest="sha512=x"),
        entry("purelib", "odder.py", digest="", size="7"),
        entry("purelib", "unknown.py", digest=""),
        entry("purelib", "sizeless.py", size=""),
        entry("purelib", "alpha/__init__.py"),
        entry("purelib", "alpha/ü.py", "ü".encode()),
        entry("platlib", "fast.so", b"\x7fELF", executable=True),
        entry("scripts", "run", b"#!python\n", executable=True, script=True),
        entry("headers", "alpha.h"),
        entry("data", "share/a.txt", b""),
        launchers=[Launcher("alpha", "alpha", "main", False)],
        rows=(("alpha-1.0.data/scripts/alpha", "sha256=x", "3"), ("../odd,\n", "", "")),
    )
    path = write(tmp_path / "a.tar.gz", given)
    found = read_all(path)
    assert found == given._replace(entries=list(given.entries))
    with tarfile.open(path) as archive:
        members = {member.name: member.mode for member in archive}
    assert members == {
        MANIFEST_NAME: 0o644,
        **{f"lib/python3.12/site-packages/{name}.py": 0o644 for name in ("odd", "odder", "unknown", "sizeless")},
        "lib/python3.12/site-packages/alpha/__init__.py": 0o644,
        "lib/python3.12/site-packages/alpha/ü.py": 0o644,
        "lib/python3.12/site-packages/fast.so": 0o755,
        "bin/run": 0o755,
        "include/site/python3.12/alpha/alpha.h": 0o644,
        "share/a.txt": 0o644,
    }
    assert next(iter(members)) == MANIFEST_NAME


def test_the_manifest_has_the_key_in_the_clear(tmp_path):
    manifest = read_manifest(write(tmp_path / "a.tar.gz", contents(entry("purelib", "alpha.py"))))
    assert manifest is not None
    assert (manifest["format"], manifest["key"], manifest["key-digest"], manifest["signature"]) == (8, KEY, "ab", None)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"text"), id="text"),
        pytest.param(lambda path: path.write_bytes(gzip.compress(b"")), id="nothing inside"),
        pytest.param(lambda path: path.write_bytes(gzip.compress(b"text")), id="no tarball"),
        pytest.param(lambda path: path.mkdir(), id="directory"),
        pytest.param(lambda path: None, id="not there"),
        pytest.param(lambda path: tarfile.open(path, "w:gz").close(), id="no members"),
    ],
)
def test_without_a_manifest_there_is_no_archive(tmp_path, make):
    path = tmp_path / "a.tar.gz"
    make(path)
    assert read_manifest(str(path)) is None
    with pytest.raises(UnsafeArchive, match="manifest"):
        read_bdist(str(path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_manifest_is_a_plain_file(tmp_path, kind):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(special(MANIFEST_NAME, kind, "/etc/passwd"))
    assert read_manifest(str(path)) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"\xff\xfe"], ids=repr)
def test_a_manifest_is_an_object(tmp_path, text):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(MANIFEST_NAME)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    assert read_manifest(str(path)) is None


HOSTILE = [
    pytest.param([row("x", "data", "/etc/evil")], [("x", b"x\n")], "/etc/evil", id="absolute name"),
    pytest.param([row("x", "data", "../evil")], [("x", b"x\n")], "../evil", id="parent"),
    pytest.param([row("x", "purelib", "a/../../evil")], [("x", b"x\n")], "a/../../evil", id="parent in the middle"),
    pytest.param([row("x", "../..", "evil")], [("x", b"x\n")], "evil", id="no scheme"),
    pytest.param([row("x", "purelib", ".")], [("x", b"x\n")], "'.'", id="no name"),
    pytest.param([row("x", "purelib", "a//b")], [("x", b"x\n")], "a//b", id="a name that is not plain"),
    pytest.param([row("x", "purelib", "a\0b")], [("x", b"x\n")], "a\\x00b", id="zero byte"),
    pytest.param([row("x", "purelib", "alpha-1.0.dist-info/RECORD")], [("x", b"x\n")], "RECORD", id="RECORD"),
    pytest.param([row("x", "purelib", "alpha-1.0.dist-info/RECORD/x")], [("x", b"x\n")], "RECORD", id="below RECORD"),
    pytest.param([row("x", "purelib", "y", script=True)], [("x", b"x\n")], "y", id="a script that is none"),
    pytest.param([row("x", "purelib", "x")], [("y", b"x\n")], "x", id="another member"),
    pytest.param([row("x", "purelib", "x")], [], "x", id="no member"),
    pytest.param([row("x", "purelib", "x")], [("x", b"y\n")], "x", id="another content"),
    pytest.param([row("x", "purelib", "x", size=1)], [("x", b"x\n")], "x", id="another size"),
    pytest.param([row("x", "purelib", "x", digest="")], [("x", b"x\n")], "x", id="no digest"),
    pytest.param(
        [row("x", "purelib", "x", b"")], [(special("x", tarfile.SYMTYPE, "/etc/passwd"), b"")], "x", id="symbolic link"
    ),
    pytest.param(
        [row("x", "purelib", "x", b"")], [(special("x", tarfile.LNKTYPE, "/etc/passwd"), b"")], "x", id="hard link"
    ),
    pytest.param([row("x", "purelib", "x", b"")], [(special("x", tarfile.CHRTYPE), b"")], "x", id="device"),
    pytest.param([row("x", "purelib", "x", b"")], [(special("x", tarfile.FIFOTYPE), b"")], "x", id="pipe"),
    pytest.param([row("x", "purelib", "x", b"")], [(special("x", tarfile.DIRTYPE), b"")], "x", id="directory"),
]


@pytest.mark.parametrize(("rows", "members", "name"), HOSTILE)
def test_a_manifest_that_lies_is_found_out(tmp_path, rows, members, name):
    path = write_by_hand(tmp_path / "a.tar.gz", rows, members)
    with pytest.raises(UnsafeArchive) as caught:
        read_all(path)
    assert name in str(caught.value)
    assert path in str(caught.value)
    assert os.listdir(tmp_path) == ["a.tar.gz"]


def test_members_that_the_manifest_does_not_name_are_not_given(tmp_path):
    path = write_by_hand(tmp_path / "a.tar.gz", [row("x", "purelib", "x")], [("x", b"x\n"), ("../../evil", b"")])
    assert [each.path for each in read_all(path).entries] == ["x"]


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"launchers": [["../evil", "a", "b", False]]}, id="launcher outside"),
        pytest.param({"launchers": [["/evil", "a", "b", False]]}, id="launcher with an absolute name"),
        pytest.param({"launchers": [["x", "a", 1, False]]}, id="launcher with a number"),
        pytest.param({"launchers": [["x"]]}, id="launcher without a function"),
        pytest.param({"launchers": 1}, id="launchers are no list"),
        pytest.param({"launchers": [["x", "a\nimport evil", "b", False]]}, id="launcher with more than a module"),
        pytest.param({"launchers": [["x", "a", "b()", False]]}, id="launcher with more than a function"),
        pytest.param({"launchers": [["x y", "a", "b", False]]}, id="launcher with a blank"),
        pytest.param({"launchers": [["x", "a", "b", 1]]}, id="launcher without a kind"),
        pytest.param({"files": [row("x", "purelib", "x")] * 2}, id="the same file twice"),
        pytest.param({"recorded": [[1, "", ""]]}, id="digest of no file"),
        pytest.param({"recorded": [[-1, "", ""]]}, id="digest of a file before the first"),
        pytest.param({"recorded": [["x", "", ""]]}, id="digest of a name"),
        pytest.param({"recorded": [[0, "", 1]]}, id="size that is a number"),
        pytest.param({"recorded": None}, id="nothing about RECORD"),
        pytest.param({"rows": [["x", ""]]}, id="short row of RECORD"),
        pytest.param({"rows": [["x", "", None]]}, id="row of RECORD without size"),
        pytest.param({"rows": 1}, id="rows of RECORD are no list"),
        pytest.param({"lib": "scripts"}, id="unknown library"),
        pytest.param({"dist-info": "../alpha-1.0.dist-info"}, id="dist-info outside"),
        pytest.param({"dist-info": "alpha"}, id="no dist-info"),
        pytest.param({"name": "../alpha"}, id="name with a separator"),
        pytest.param({"name": None}, id="no name"),
        pytest.param({"files": None}, id="no files"),
        pytest.param({"files": [["x"]]}, id="short row"),
        pytest.param(
            {"files": [["x", "purelib", None, False, False, record_digest(b"x\n"), 2]]}, id="row without path"
        ),
        pytest.param({"files": [["x", ["purelib"], "x", False, False, record_digest(b"x\n"), 2]]}, id="row of lists"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, overrides):
    path = write_by_hand(tmp_path / "a.tar.gz", [row("x", "purelib", "x")], [("x", b"x\n")], **overrides)
    with pytest.raises(UnsafeArchive, match=r"a\.tar\.gz"):
        read_all(path)


def test_a_truncated_archive_is_damaged_wherever_it_ends(tmp_path):
    whole = write(tmp_path / "whole.tar.gz", contents(*[entry("purelib", f"a{n}", os.urandom(3000)) for n in range(5)]))
    with open(whole, "rb") as stream:
        data = stream.read()
    path = tmp_path / "a.tar.gz"
    for length in range(0, len(data) - 200, 997):
        path.write_bytes(data[:length])
        with pytest.raises(UnsafeArchive, match=r"a\.tar\.gz"):
            read_all(str(path))


def test_a_damaged_archive_is_found_out_wherever_it_is_damaged(tmp_path):
    given = contents(*[entry("purelib", f"a{n}", f"{n}\n".encode() * 500) for n in range(20)])
    with open(write(tmp_path / "whole.tar.gz", given), "rb") as stream:
        data = stream.read()
    path = tmp_path / "a.tar.gz"
    expected = given._replace(entries=list(given.entries))
    for position in range(10, len(data) - 8, 13):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            found = read_all(str(path))
        except UnsafeArchive:
            continue
        assert found == expected  # it met what is not looked at: modes, padding
