"""Where files go and what RECORD says, without touching the target."""

from __future__ import annotations

import csv
import io
import os
import py_compile
import subprocess
import sys

import pytest

from pip_accel._install.layout import format_rows, plan
from pip_accel._trees import expand
from pip_accel._values import Bundle, Change, Launcher, TreeFile
from pip_accel.exceptions import UnsafeArchive, Unsupported
from tests.lib.trees import TEMPLATE, bundled, make_target, make_tree, read_rows

TAG = sys.implementation.cache_tag
TARGET = make_target("/env")
SITE = TARGET.scheme.purelib


def lay_out(tree, target=TARGET, *, requested=True, direct_url="", byte_code=True, umask=0o022):
    change = Change(tree, requested, direct_url, None)
    return plan(change, target, byte_code=byte_code, template=TEMPLATE, umask=umask)


def rows_of(layout):
    return read_rows(layout.record.data)


@pytest.fixture(params=[lambda tree: tree, bundled], ids=["files", "bundles"])
def tree(request, tmp_path):
    """With all that it has in ``files``, and as it comes out of the store: no test here sees a difference."""
    made = make_tree(
        str(tmp_path),
        "alpha",
        "1.0",
        {
            "purelib/alpha/__init__.py": "x = 1\n",
            "platlib/alpha/fast.so": "ELF",
            "data/share/alpha/a.txt": "a",
            f"data/{os.path.relpath(SITE, '/env')}/beside.txt": "b",
            "headers/alpha.h": "int x;",
            "scripts/run.py": "#!python\nprint('ran')\n",
            "scripts/plain": "#!/bin/sh\n",
        },
        launchers=[Launcher("alpha", "alpha", "main", False)],
    )
    return request.param(made)


def test_each_scheme_has_its_directory(tree):
    destinations = {destination for _, destination in lay_out(tree).links}
    for expected in (
        f"{SITE}/alpha/__init__.py",
        f"{SITE}/alpha/__pycache__/__init__.{TAG}.pyc",
        f"{SITE}/alpha/fast.so",
        f"{SITE}/beside.txt",
        f"{SITE}/alpha-1.0.dist-info/METADATA",
        "/env/share/alpha/a.txt",
        f"{TARGET.scheme.headers}/alpha/alpha.h",
        "/env/bin/plain",
    ):
        assert expected in destinations


def test_links_name_files_that_exist(tree):
    assert all(os.path.isfile(source) for source, _ in lay_out(tree).links)


def test_record_is_relative_to_the_distribution(tree):
    rows = {path: (digest, size) for path, digest, size in rows_of(lay_out(tree))}
    version = "{}.{}".format(*sys.version_info)
    assert rows["alpha/__init__.py"][1] == "6"
    assert rows[f"alpha/__pycache__/__init__.{TAG}.pyc"] == ("", "")
    assert rows["alpha-1.0.dist-info/RECORD"] == ("", "")
    assert rows["alpha-1.0.dist-info/INSTALLER"] == ("sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg", "4")
    assert rows["alpha-1.0.dist-info/REQUESTED"] == ("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "0")
    for path in (
        "beside.txt",
        "../../../bin/alpha",
        f"../../../bin/__pycache__/run.{TAG}.pyc",
        "../../../share/alpha/a.txt",
        f"../../../include/site/python{version}/alpha/alpha.h",
    ):
        assert path in rows


def test_rows_are_sorted_and_written_as_csv_writes_them(tree):
    record = lay_out(tree).record.data
    rows = read_rows(record)
    assert rows == sorted(rows)
    assert len(rows) > 10
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    assert record == stream.getvalue().encode()


def test_rows_that_belong_to_no_file_stand_in_record_as_they_are(tree):
    rows = (("alpha-1.0.data/scripts/alpha", "sha256=x", "3"), ("/etc/x", "", ""), ("a,b", "y", ""))
    layout = lay_out(tree._replace(rows=rows))
    assert sorted(set(rows_of(layout)) - set(rows_of(lay_out(tree)))) == sorted(rows)
    assert b'"a,b",y,\r\n' in layout.record.data
    assert layout.links == lay_out(tree).links


def test_a_row_under_the_final_name_of_a_script_has_its_digest(tree):
    [script] = [row for row in rows_of(lay_out(tree)) if row[0] == "../../../bin/run.py"]
    again = lay_out(tree._replace(rows=(("../../../bin/run.py", "x", "1"),)))
    assert [row for row in rows_of(again) if row[0] == script[0]] == [script] * 2


def test_what_record_says_of_a_size_is_kept(tree):
    files = [TreeFile("purelib", "odd.py", 0o644, 4, "sha256=x", "file", "7")]
    files.append(TreeFile("purelib", "odder.py", 0o644, 4, "", "file", "4"))
    files.append(TreeFile("purelib", "unknown.py", 0o644, 4, "", "file"))
    rows = rows_of(lay_out(tree._replace(files=(*tree.files, *files))))
    assert {("odd.py", "sha256=x", "7"), ("odder.py", "", "4"), ("unknown.py", "", "")} < set(rows)


def test_byte_code_that_a_distribution_brought_has_its_row_and_ours_too(tree):
    path = f"alpha/__pycache__/__init__.{TAG}.pyc"
    whole = expand(tree)
    files = tuple(
        file._replace(kind="replaced-bytecode", digest="sha256=x", recorded_size="7") if file.path == path else file
        for file in whole.files
    )
    layout = lay_out(whole._replace(files=files))
    assert [row for row in rows_of(layout) if row[0] == path] == [(path, "", ""), (path, "sha256=x", "7")]
    assert dict(map(reversed, layout.links))[f"{SITE}/{path}"] == f"{tree.byte_code or tree.path}/purelib/{path}"
    with pytest.raises(Unsupported, match="byte code of its own"):
        lay_out(whole._replace(files=files), byte_code=False)


def test_a_script_in_place_of_a_data_file_is_left_to_pip(tree):
    files = (TreeFile("data", "bin/run.py", 0o644, 1, "", "file"), *tree.files)
    with pytest.raises(Unsupported, match="two files"):
        lay_out(tree._replace(files=files))


def test_a_name_in_both_groups_of_entry_points_has_two_rows_of_one_launcher(tree):
    twice = (Launcher("alpha", "alpha", "main", False), Launcher("alpha", "alpha", "window", True))
    layout = lay_out(tree._replace(launchers=twice))
    [launcher] = [write for write in layout.writes if write.path == "/env/bin/alpha"]
    rows = [row for row in rows_of(layout) if row[0] == "../../../bin/alpha"]
    assert b"window" in launcher.data
    assert rows == [rows[0]] * 2
    assert rows[0][2] == str(len(launcher.data))


@pytest.mark.parametrize("name", ["plain", "a,b", 'a"b', "a\nb", "a\rb", "ü", "a b", "a;b"])
def test_names_are_quoted_as_csv_quotes_them(name):
    rows = [("other", "sha256=x", "1"), (name, "sha256=y", "2")]
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(sorted(rows))
    assert format_rows(rows) == stream.getvalue().encode()


@pytest.mark.parametrize("name", ["plain", "a,b", 'a"b', "a\nb"])
def test_rows_of_bundles_are_put_among_the_others(name):
    rows = [("other", "sha256=x", "1"), (name, "sha256=y", "2"), ("b/c.pyc", "", ""), ("b/c", "sha256=z", "3")]
    bundle = Bundle("/store", [], [], ["\0".join(rows[3]), "\0".join(rows[2])])
    assert format_rows(rows[:2], [bundle]) == format_rows(rows)
    assert read_rows(format_rows(rows)) == sorted(rows)


def test_what_pip_adds_depends_on_the_request(tree):
    def added(**options):
        prefix = f"{SITE}/alpha-1.0.dist-info/"
        return {write.path.removeprefix(prefix): write.data for write in lay_out(tree, **options).writes}

    assert added()["REQUESTED"] == b""
    assert added()["INSTALLER"] == b"pip\n"
    assert "REQUESTED" not in added(requested=False)
    assert "direct_url.json" not in added()
    assert added(direct_url='{"url": "x"}')["direct_url.json"] == b'{"url": "x"}'


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_generated_files_follow_the_umask(tree, umask):
    layout = lay_out(tree, umask=umask, direct_url="{}")
    modes = {os.path.basename(write.path): write.mode for write in (*layout.writes, layout.record)}
    for name in ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD"):
        assert modes[name] == 0o666 & ~umask


def test_byte_code_can_be_left_out(tree):
    layout = lay_out(tree, byte_code=False)
    names = [destination for _, destination in layout.links] + [write.path for write in layout.writes]
    names += [row[0] for row in rows_of(layout)]
    assert not [name for name in names if name.endswith(".pyc")]
    assert f"{SITE}/alpha/__init__.py" in names


def test_byte_code_of_a_script_fits_the_script(tree, tmp_path):
    """Header and code: an interpreter that must not write runs it, and takes it from the byte code."""
    target = make_target(str(tmp_path / "env"), python=sys.executable)
    for write in lay_out(tree, target).writes:
        os.makedirs(os.path.dirname(write.path), exist_ok=True)
        with open(write.path, "wb") as stream:
            stream.write(write.data)
        if write.mtime is not None:
            os.utime(write.path, (write.mtime, write.mtime))
    command = [sys.executable, "-v", "-c", "import run"]
    environ = {"PYTHONPATH": target.scheme.scripts, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "ran\n"
    assert f"matches {target.scheme.scripts}/run.py" in done.stderr


def test_byte_code_of_a_script_that_is_checked_by_hash_fits_too(tree, tmp_path):
    place = os.path.join(tree.byte_code or tree.path, "scripts", "__pycache__", f"run.{TAG}.pyc")
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    py_compile.compile(os.path.join(tree.path, "scripts", "run.py"), place, invalidation_mode=checked)
    [compiled] = [write for write in lay_out(tree).writes if write.path.endswith(".pyc")]
    [script] = [write for write in lay_out(tree).writes if write.path.endswith("run.py")]
    (tmp_path / "run.py").write_bytes(script.data)
    expected = str(tmp_path / "run.pyc")
    py_compile.compile(str(tmp_path / "run.py"), expected, invalidation_mode=checked)
    with open(expected, "rb") as stream:
        assert stream.read()[:16] == compiled.data[:16]


@pytest.mark.parametrize("shape", [lambda tree: tree, bundled], ids=["files", "bundles"])
@pytest.mark.parametrize("directory", ["", "p/", "p/q/"])
@pytest.mark.parametrize("scheme", ["platlib", f"data/{os.path.relpath(SITE, '/env')}"])
def test_of_two_files_with_one_name_the_last_one_stays(tmp_path, shape, directory, scheme):
    """What lies in the directory of the data comes after what lies beside it, in pip's order."""
    path, compiled = f"{directory}x.py", f"{directory}__pycache__/x.{TAG}.pyc"
    tree = shape(make_tree(str(tmp_path), "alpha", "1.0", {f"purelib/{path}": "1", f"{scheme}/{path}": "22"}))
    layout = lay_out(tree)
    links = {destination: source for source, destination in layout.links}
    assert links[f"{SITE}/{path}"] == f"{tree.path}/{scheme}/{path}"
    assert links[f"{SITE}/{compiled}"] == f"{tree.byte_code or tree.path}/{scheme}/{compiled}"
    assert [row[0] for row in rows_of(layout)].count(path) == 2  # as pip has it


@pytest.mark.parametrize("shape", [lambda tree: tree, bundled], ids=["files", "bundles"])
def test_byte_code_made_here_comes_after_what_a_distribution_brought(tmp_path, shape):
    """As pip makes it when all files are there."""
    name = f"__pycache__/x.{TAG}.pyc"
    tree = shape(make_tree(str(tmp_path), "alpha", "1.0", {"purelib/p/x.py": "1", f"platlib/p/{name}": "own"}))
    links = {destination: source for source, destination in lay_out(tree).links}
    assert links[f"{SITE}/p/{name}"] == f"{tree.byte_code or tree.path}/purelib/p/{name}"


@pytest.mark.parametrize(
    ("scheme", "path"),
    [
        ("purelib", "../x"),
        ("purelib", "a/../../x"),
        ("purelib", "/etc/x"),
        ("purelib", "a/.."),
        ("purelib", ".."),
        ("purelib", ""),
        ("purelib", "a/"),
        ("purelib", "a\0b"),
        ("purelib", "a\0b/c"),
        ("scripts", "../../x"),
        ("headers", "../other/x.h"),
        ("nowhere", "x"),
    ],
)
def test_unsafe_names_are_refused(tree, scheme, path):
    bad = tree._replace(files=(*tree.files, TreeFile(scheme, path, 0o644, 1, "", "file")))
    with pytest.raises(UnsafeArchive, match="alpha"):
        lay_out(bad)


@pytest.mark.parametrize("field", ["name", "dist_info"])
def test_unsafe_names_of_directories_are_refused(tree, field):
    with pytest.raises(UnsafeArchive):
        lay_out(tree._replace(**{field: "../up"}))


def test_a_name_that_is_only_odd_is_normalised(tmp_path):
    tree = make_tree(str(tmp_path), "alpha", "1.0", {"purelib/a/x": ""}, byte_code=False)
    odd = tree._replace(files=(*tree.files, TreeFile("purelib", "a/.//b/../x", 0o644, 0, "", "file")))
    assert f"{SITE}/a/x" in [destination for _, destination in lay_out(odd).links]
