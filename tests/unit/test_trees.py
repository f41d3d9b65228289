"""Manifests of trees: what was written is read, whatever the files are called, and a damaged one is no manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pip_accel._trees import expand, read_byte_code, read_manifest, write_byte_code, write_manifest
from pip_accel._values import Launcher, Tree, TreeFile

INFO = "alpha-1.0.dist-info"
METADATA = TreeFile("purelib", f"{INFO}/METADATA", 0o644, 40, "sha256=m", "file")
MODULE = TreeFile("purelib", "alpha/__init__.py", 0o644, 6, "sha256=a", "file")
COMPILED = TreeFile("purelib", "alpha/__pycache__/__init__.cpython-311.pyc", 0o644, 90, "", "bytecode")

posix = pytest.mark.skipif(os.name != "posix", reason="there are no bundles")


def make(*files, **fields):
    tree = Tree("/store/tree", "alpha", "1.0", "purelib", INFO, 1_500_000_000, (), (METADATA, *files))
    return tree._replace(**fields)


def read(tree, *compiled):
    """Write a tree, with byte code if there is any, and read it."""
    found, _ = read_manifest(write_manifest(tree), tree.path)
    return read_byte_code(write_byte_code(tree, compiled), "/store/byte-code", found) if compiled else found


def bundled_paths(tree):
    return sorted(path for bundle in tree.bundles for group in bundle.groups for path in group.paths)


def settle(files):
    """Give files in one order, with sizes as they will stand in RECORD."""
    found = []
    for file in files:
        usual = str(file.size) if file.digest else ""
        found.append(file._replace(recorded_size=usual if file.recorded_size is None else file.recorded_size))
    return sorted(found)


def check_same(found, expected, *compiled):
    """Nothing but the shape differs; byte code takes the place of a file of the same name."""
    replaced = {(file.scheme, file.path) for file in compiled if file.kind == "replaced-bytecode"}
    kept = [file for file in expected.files if (file.scheme, file.path) not in replaced]
    whole = expand(found)
    assert settle(whole.files) == settle([*kept, *compiled])
    assert (whole.names, whole.bundles) == ((), ())
    place = "/store/byte-code" if compiled else ""
    assert whole._replace(files=()) == expected._replace(files=(), byte_code=place)


def test_what_was_written_is_read():
    launchers = (Launcher("alpha", "alpha.main", "Main.run", False), Launcher("alpha-ui", "alpha", "ui", True))
    rows = (("alpha-1.0.data/scripts/alpha", "sha256=x", "3"), ("/etc/x", "", ""), ("a,b", "y\n", ""))
    tree = make(MODULE, launchers=launchers, rows=rows, lib="platlib", name="Al.pha", version="1.0+ü", mtime=2)
    check_same(read(tree), tree)


@posix
def test_most_files_are_in_bundles():
    tree = make(MODULE, TreeFile("purelib", "alpha/one.py", 0o644, 1, "sha256=o", "file"))
    found = read(tree, COMPILED)
    assert found.files == ()
    assert found.names == ("alpha", INFO)
    own, byte_code = found.bundles
    assert own.root == "/store/tree/purelib"
    assert byte_code.root == "/store/byte-code/purelib"
    assert own.directories == ["alpha", INFO]
    assert byte_code.directories == ["alpha/__pycache__"]
    assert own.groups == [(0o644, [f"{INFO}/METADATA", "alpha/__init__.py", "alpha/one.py"], [40, 6, 1])]
    assert byte_code.groups == [(0o644, [COMPILED.path], [90])]
    assert own.rows == [
        f"{INFO}/METADATA\0sha256=m\x0040",
        "alpha/__init__.py\0sha256=a\x006",
        "alpha/one.py\0sha256=o\x001",
    ]
    assert byte_code.rows == [f"{COMPILED.path}\0\0"]
    check_same(found, tree, COMPILED)


@posix
def test_directories_come_before_what_is_in_them_and_once():
    paths = ["z/y/x/w.py", "z-y/x.py", "z/y.py", "a/b/c/d/e", "a/f", "b"]
    tree = make(*(TreeFile("purelib", path, 0o644, 1, "sha256=x", "file") for path in paths))
    compiled = [
        TreeFile("purelib", path, 0o644, 1, "", "bytecode")
        for path in ("z/y/x/__pycache__/w.pyc", "z/__pycache__/y.pyc", "new/made/x.pyc")
    ]
    found = read(tree, *compiled)
    made: list[str] = []
    for bundle in found.bundles:
        for directory in bundle.directories:
            parent = os.path.dirname(directory)
            assert directory not in made
            assert not parent or parent in made
            made.append(directory)
        for group in bundle.groups:
            assert {os.path.dirname(path) for path in group.paths} <= set(made)
    own = {"z", "z/y", "z/y/x", "z-y", "a", "a/b", "a/b/c", "a/b/c/d", INFO}
    assert set(made) == own | {"z/y/x/__pycache__", "z/__pycache__", "new", "new/made"}
    assert found.names == ("a", INFO, "z", "z-y", "new")


@posix
def test_files_of_one_mode_are_together():
    tree = make(
        MODULE,
        TreeFile("purelib", "alpha/run", 0o755, 9, "sha256=r", "file"),
        TreeFile("purelib", "alpha/all", 0o666, 0, "sha256=e", "file"),
        TreeFile("purelib", "alpha/go", 0o755, 8, "sha256=g", "file"),
    )
    found = read(tree)
    assert {mode: (paths, sizes) for mode, paths, sizes in found.bundles[0].groups} == {
        0o644: ([f"{INFO}/METADATA", MODULE.path], [40, 6]),
        0o755: (["alpha/go", "alpha/run"], [8, 9]),
        0o666: (["alpha/all"], [0]),
    }
    check_same(found, tree)


ODD = {
    "comma": MODULE._replace(path="alpha/a,b.py"),
    "quote": MODULE._replace(path='alpha/a"b.py'),
    "newline": MODULE._replace(path="alpha/a\nb.py"),
    "carriage return": MODULE._replace(path="alpha/a\rb.py"),
    "comma in a directory": MODULE._replace(path="a,b/x.py"),
    "at the top": MODULE._replace(path="alpha.py"),
    "at the top without an extension": MODULE._replace(path="alpha"),
    "backslash at the top": MODULE._replace(path="alpha\\x"),
    "byte code of a module that is in no package": MODULE._replace(path="__pycache__/x.cpython-311.pyc"),
    "its own INSTALLER": MODULE._replace(path=f"{INFO}/INSTALLER"),
    "its own RECORD": MODULE._replace(path=f"{INFO}/RECORD"),
    "its own REQUESTED": MODULE._replace(path=f"{INFO}/REQUESTED"),
    "its own direct_url.json": MODULE._replace(path=f"{INFO}/direct_url.json"),
    "other library": MODULE._replace(scheme="platlib"),
    "data": MODULE._replace(scheme="data", path="share/alpha"),
    "header": MODULE._replace(scheme="headers", path="alpha.h"),
    "script": MODULE._replace(scheme="scripts", path="run", kind="script"),
    "plain script": MODULE._replace(scheme="scripts", path="run"),
    "parent": MODULE._replace(path="alpha/../x.py"),
    "current directory": MODULE._replace(path="./alpha/x.py"),
    "empty part": MODULE._replace(path="alpha//x.py"),
    "absolute": MODULE._replace(path="/etc/x"),
    "empty": MODULE._replace(path=""),
    "NUL": MODULE._replace(path="alpha/a\0b"),
    "digest with a comma": MODULE._replace(digest="sha256=a,b"),
    "digest with a NUL": MODULE._replace(digest="sha256=a\0b"),
    "recorded size with a comma": MODULE._replace(recorded_size="1,2"),
    "recorded size with a newline": MODULE._replace(recorded_size="1\n"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_has_to_be_decided_about_is_in_no_bundle(odd):
    plain = MODULE._replace(path="alpha/plain.py")
    tree = make(plain, odd)
    found = read(tree)
    assert found.files[-1:] == (odd,)
    assert odd.path not in bundled_paths(found)
    if os.name == "posix":
        assert bundled_paths(found) == [f"{INFO}/METADATA", plain.path]
    check_same(found, tree)


PLAIN = {
    "nested INSTALLER": MODULE._replace(path=f"alpha/{INFO}/INSTALLER"),
    "INSTALLER in another directory of metadata": MODULE._replace(path="beta-1.0.dist-info/INSTALLER"),
    "nested byte code": MODULE._replace(path="alpha/__pycache__/x.pyc"),
    "spaces and semicolons": MODULE._replace(path="a b/c; d"),
    "hidden": MODULE._replace(path=".alpha/.x"),
    "dots": MODULE._replace(path="...alpha/x.."),
    "other letters": MODULE._replace(path="älpha/ц.py"),
    "surrogates": MODULE._replace(path="alpha/\udce4.py"),
    "other ends of lines": MODULE._replace(path="alpha/a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"),
    "backslash": MODULE._replace(path="alpha/a\\x"),
    "backslash in a directory": MODULE._replace(path="alpha\\a/x"),
    "tab": MODULE._replace(path="alpha/a\tb"),
    "no digest": MODULE._replace(digest=""),
    "no digest, but a size": MODULE._replace(digest="", recorded_size="6"),
    "a digest, but no size": MODULE._replace(recorded_size=""),
    "another size": MODULE._replace(recorded_size="007"),
    "the same size": MODULE._replace(recorded_size="6"),
    "other digest": MODULE._replace(digest="md5=x"),
    "executable": MODULE._replace(mode=0o755),
    "no permissions": MODULE._replace(mode=0),
    "empty": MODULE._replace(size=0),
    "huge": MODULE._replace(size=2**40),
}


@posix
@pytest.mark.parametrize("file", PLAIN.values(), ids=PLAIN)
def test_what_only_looks_odd_is_in_a_bundle(file):
    tree = make(file)
    found = read(tree)
    assert found.files == ()
    assert bundled_paths(found) == sorted([f"{INFO}/METADATA", file.path])
    assert set(found.names) == {INFO, file.path.partition("/")[0]}
    check_same(found, tree)


def test_the_name_of_the_directory_of_metadata_decides_what_is_written_there():
    tree = make(MODULE._replace(path="x.dist-info/RECORD"), dist_info="x.dist-info")
    assert [file.path for file in read(tree).files][-1:] == ["x.dist-info/RECORD"]


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
def test_bundles_are_of_the_scheme_that_the_metadata_is_in(scheme):
    files = [MODULE._replace(scheme=each, path=f"{each}/x.py") for each in ("purelib", "platlib")]
    tree = make(*files, lib=scheme)
    found = read(tree)
    assert f"{scheme}/x.py" not in [file.path for file in found.files] or os.name != "posix"
    assert ({"purelib", "platlib"} - {scheme}) == {file.scheme for file in found.files if file.path != METADATA.path}
    check_same(found, tree)


@pytest.mark.parametrize("files", [(), (METADATA,), (METADATA._replace(path="a,b"),)], ids=["none", "one", "odd"])
def test_a_tree_with_next_to_no_files(files):
    tree = make(files=files)
    check_same(read(tree), tree)
    text = write_manifest(tree)
    assert json.loads(text)["bytes"] == sum(file.size for file in files)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("alpha/x.py", True), ("a,b.py", True), ("alpha/x.pyc", False), ("alpha/py", False), (".py", True)],
)
@pytest.mark.parametrize("scheme", ["purelib", "scripts"])
def test_a_manifest_tells_whether_byte_code_can_be_made(scheme, path, expected):
    tree = make(MODULE._replace(scheme=scheme, path=path))
    assert read_manifest(write_manifest(tree), tree.path)[1] is expected
    assert not read_manifest(write_manifest(make()), tree.path)[1]


@pytest.mark.parametrize("write", [write_manifest, lambda tree: write_byte_code(make(), tree.files)])
def test_a_manifest_tells_the_sum_of_sizes(write):
    """For whoever decides what is kept; that of a tree does not count its byte code, and the reverse."""
    assert json.loads(write(make(MODULE, ODD["data"])))["bytes"] == 40 + 6 + 6


# Byte code


def test_byte_code_that_is_in_no_package_is_in_no_bundle():
    single = TreeFile("purelib", "one.py", 0o644, 1, "sha256=o", "file")
    compiled = TreeFile("purelib", "__pycache__/one.cpython-311.pyc", 0o644, 9, "", "bytecode")
    found = read(make(single), compiled)
    assert compiled in found.files
    assert "__pycache__" not in found.names
    check_same(found, make(single), compiled)


def test_byte_code_of_scripts_and_of_other_schemes_is_in_no_bundle():
    script = TreeFile("scripts", "run.py", 0o755, 3, "sha256=s", "script")
    other = MODULE._replace(scheme="platlib")
    compiled = [
        TreeFile("scripts", "__pycache__/run.cpython-311.pyc", 0o644, 9, "", "script-bytecode"),
        COMPILED._replace(scheme="platlib"),
    ]
    tree = make(script, other, MODULE)
    found = read(tree, *compiled, COMPILED)
    assert set(compiled) <= set(found.files)
    check_same(found, tree, *compiled, COMPILED)


def test_an_empty_bundle_of_byte_code_has_nothing():
    tree = make(MODULE)
    found = read_byte_code(write_byte_code(tree, []), "/store/byte-code", read(tree))
    assert (found.bundles[1].directories, found.bundles[1].groups, found.bundles[1].rows) == ([], [], [])
    assert (found.byte_code, found.names) == ("/store/byte-code", read(tree).names)
    assert settle(expand(found).files) == settle(tree.files)


@pytest.mark.parametrize("path", [COMPILED.path, "__pycache__/one.cpython-311.pyc", "a,b/__pycache__/x.pyc"])
@pytest.mark.parametrize("recorded_size", ["7", "", None])
def test_replaced_byte_code_takes_the_place_of_a_file(path, recorded_size):
    """Whether that was in a bundle or not; then there are no bundles, as it is there twice in RECORD."""
    own = MODULE._replace(path=path, digest="sha256=own")
    tree = make(MODULE, own)
    new = TreeFile("purelib", path, 0o644, 99, "sha256=own", "replaced-bytecode", recorded_size)
    also = COMPILED._replace(path="alpha/__pycache__/other.cpython-311.pyc")
    found = read(tree, new, also)
    assert [file for file in expand(found).files if file.path == path] == [new]
    assert new in found.files
    assert path not in bundled_paths(found)
    assert INFO not in found.names
    check_same(found, tree, new, also)


def test_replaced_byte_code_of_another_scheme_replaces_nothing_else():
    own = [MODULE._replace(path=COMPILED.path), MODULE._replace(path=COMPILED.path, scheme="platlib")]
    new = COMPILED._replace(kind="replaced-bytecode", scheme="platlib", digest="sha256=a", recorded_size="6")
    tree = make(MODULE, *own)
    check_same(read(tree, new), tree, new)


@pytest.mark.parametrize("scheme", ["platlib", "data"])
def test_files_are_in_an_order_in_which_the_last_one_of_a_name_stays(scheme):
    """That of pip: what lies at the root of a wheel, what its data directory has, byte code."""
    own = [MODULE._replace(path="p/x.py"), MODULE._replace(path="p/x.py", scheme=scheme)]
    brought = MODULE._replace(path="p/__pycache__/x.pyc", scheme=scheme)
    compiled = [COMPILED._replace(path="p/__pycache__/x.pyc")]
    found = expand(read(make(*own, brought), *compiled)).files
    assert [file.scheme for file in found if file.path == "p/x.py"] == ["purelib", scheme]
    assert [file.kind for file in found if file.path == brought.path] == ["file", "bytecode"]


def test_a_tree_that_has_all_its_files_in_files_is_expanded_already():
    tree = make(MODULE, COMPILED)
    assert expand(tree) == tree
    assert expand(expand(read(make(MODULE), COMPILED))) == expand(read(make(MODULE), COMPILED))


# Whatever files there are

# Few letters, so that names meet: in directories, in other schemes, and as what is odd.
parts = st.text(st.sampled_from('ab.,"\n\r\0 ü\u2028\udce4'), max_size=3) | st.sampled_from(
    ["__pycache__", INFO, "INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "x.py"]
)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
sizes = st.integers(0, 10**12)
digests = st.sampled_from(["", "sha256=x", "md5=y,z", "sha256=\0", "sha256=\n"])
recorded = st.none() | st.text(st.sampled_from('0123, "\n\0'), max_size=3)
modes = st.sampled_from([0o644, 0o755, 0o600, 0o664, 0])
schemes = st.sampled_from(["purelib", "platlib", "data", "scripts", "headers"])


def unique(files):
    return tuple({(file.scheme, file.path): file for file in files}.values())


own_files = st.lists(
    st.builds(TreeFile, schemes, paths, modes, sizes, digests, st.sampled_from(["file", "script"]), recorded)
).map(unique)


byte_code_files = st.lists(
    st.builds(TreeFile, schemes, paths, st.just(0o644), sizes, st.just(""), st.just("bytecode"), st.none())
)


@st.composite
def trees(draw):
    """Give a tree, and byte code for it that replaces some of its files."""
    tree = make(files=draw(own_files), lib=draw(st.sampled_from(["purelib", "platlib"])))
    compiled = draw(byte_code_files)
    if tree.files:
        replaced = draw(st.lists(st.sampled_from(tree.files), max_size=2))
        compiled += [file._replace(kind="replaced-bytecode", recorded_size="8") for file in replaced]
    own = {(file.scheme, file.path) for file in tree.files}
    fits = [each for each in compiled if each.kind == "replaced-bytecode" or (each.scheme, each.path) not in own]
    return tree, unique(fits)


@settings(deadline=None, database=None, derandomize=True)
@given(trees())
def test_whatever_is_written_is_read(given_trees):
    tree, compiled = given_trees
    check_same(read(tree), tree)
    found = read(tree, *compiled)
    check_same(found, tree, *compiled)
    own = set(found.bundles[0].directories) if found.bundles else set()  # byte code may lie in these, too
    for bundle in found.bundles:
        rows = [tuple(row.split("\0")) for row in bundle.rows]
        assert rows == sorted(rows)
        assert len(rows) == sum(len(group.paths) for group in bundle.groups)
        assert not [row for row in rows for text in row if not {",", '"', "\r", "\n"}.isdisjoint(text)]
        for group in bundle.groups:
            assert [path for path in group.paths if os.path.normpath(path) != path] == []
            assert {path.partition("/")[0] for path in group.paths} <= set(found.names) - {"__pycache__"}
            assert {path.partition("/")[0] for path in group.paths} <= set(bundle.directories) | own


# Damage

LAUNCHER = Launcher("alpha", "alpha", "main", False)
MANIFEST = write_manifest(make(MODULE, ODD["data"], launchers=(LAUNCHER,), rows=(("a", "b", "c"),)))
BYTE_CODE = write_byte_code(make(MODULE), [COMPILED, COMPILED._replace(path="__pycache__/x.pyc")])
DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


def read_each(which, text):
    if which == "tree":
        return read_manifest(text, "/store/tree")
    return read_byte_code(text, "/store/byte-code", read(make(MODULE)))


@pytest.mark.parametrize(("which", "text"), [("tree", MANIFEST), ("byte code", BYTE_CODE)], ids=["tree", "byte code"])
def test_a_manifest_that_was_cut_short_is_none(which, text):
    assert read_each(which, text)
    for length in range(len(text)):
        with pytest.raises(DAMAGE):
            read_each(which, text[:length])


@pytest.mark.parametrize(("which", "text"), [("tree", MANIFEST), ("byte code", BYTE_CODE)], ids=["tree", "byte code"])
@pytest.mark.parametrize("other", ["", "null", "1", '"text"', "[]", "{}", "[[]]", "\0" * 20, MANIFEST, BYTE_CODE])
def test_another_text_is_no_manifest(which, text, other):
    if other != text and (which == "tree" or other != MANIFEST):  # that of a tree has all that one of byte code has
        with pytest.raises(DAMAGE):
            read_each(which, other)


def mutations(value):
    """Give a value of JSON with one of its parts missing, or being something else."""
    for other in (None, 0, "", "x", [], [0], {}, True):
        if type(other) is not type(value):
            yield other
    if isinstance(value, dict):
        for key in value:
            yield {each: value[each] for each in value if each != key}
            for mutated in mutations(value[key]):
                yield {**value, key: mutated}
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
            for mutated in mutations(value[index]):
                yield [*value[:index], mutated, *value[index + 1 :]]


@pytest.mark.parametrize(("which", "text"), [("tree", MANIFEST), ("byte code", BYTE_CODE)], ids=["tree", "byte code"])
def test_a_manifest_that_another_hand_changed_is_read_or_is_none(which, text):
    """No other error comes of it: what is no manifest is made anew."""
    count = 0
    for value in mutations(json.loads(text)):
        try:
            read_each(which, json.dumps(value))
        except DAMAGE:
            count += 1
    assert count > 50


def test_reading_a_manifest_imports_nothing_slow():
    code = "import sys; before = set(sys.modules); import pip_accel._trees; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"csv", "dataclasses", "tempfile", "pathlib", "shutil", "logging"} & set(done.stdout.split())
