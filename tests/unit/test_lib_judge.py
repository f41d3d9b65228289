"""The judge finds every kind of difference: each test plants one, and only that one may be reported."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import py_compile
import shutil
import sys
from dataclasses import replace

import pytest

from tests.lib import judge
from tests.lib.environments import Environment
from tests.lib.judge import Difference, Side, compare_sides, compare_trees, drop_permitted

SITE = "env/lib/site-packages"
MODULE = f"{SITE}/pkg.py"
SCRIPT = "env/bin/tool"
RECORD = f"{SITE}/pkg-1.0.dist-info/RECORD"
BYTECODE = f"{SITE}/__pycache__/pkg.{sys.implementation.cache_tag}.pyc"
SOURCE = 'def f(x):\n    return x in {"a", "b", "c"}, (1, 2.0, "text"), lambda: x\n'


def record_row(path, content):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"


def write_record(side):
    """A RECORD as pip writes it, right for the files of this side."""
    rows = [record_row("pkg.py", (side / MODULE).read_bytes())]
    rows += [record_row("../../bin/tool", (side / SCRIPT).read_bytes())]
    rows += [f"__pycache__/{os.path.basename(BYTECODE)},,", "pkg-1.0.dist-info/RECORD,,"]
    (side / RECORD).write_text("".join(row + "\n" for row in rows))


def compile_module(side, **options):
    py_compile.compile(str(side / MODULE), str(side / BYTECODE), doraise=True, **options)


@pytest.fixture
def sides(tmp_path):
    """Two directories as the judge makes them, without a difference."""
    for name in ("one", "two"):
        side = tmp_path / name
        for path in (SITE, f"{SITE}/__pycache__", f"{SITE}/pkg-1.0.dist-info", "env/bin", "home", "tmp"):
            os.makedirs(side / path, exist_ok=True)
        (side / MODULE).write_text(SOURCE)
        (side / SCRIPT).write_text(f"#!{side}/env/bin/python\nprint(1)\n")
        (side / SCRIPT).chmod(0o755)
        (side / "home/.rc").write_text("")
        (side / "env/bin/python").symlink_to(sys.executable)
        (side / "env/bin/absolute").symlink_to(side / "env")
        compile_module(side)
        write_record(side)
    return tmp_path / "one", tmp_path / "two"


def categories(sides, permitted=True):
    differences = compare_trees(str(sides[0]), str(sides[1]), sys.executable)
    return [(each.category, each.path) for each in (drop_permitted(differences) if permitted else differences)]


def test_equal_sides_have_no_difference(sides):
    assert categories(sides) == []


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        pytest.param(lambda side: (side / "home/.rc").unlink(), [("missing", "home/.rc")], id="missing file"),
        pytest.param(lambda side: (side / "home/.x").write_text(""), [("extra", "home/.x")], id="extra file"),
        pytest.param(lambda side: (side / "tmp/left").mkdir(), [("extra", "tmp/left")], id="extra directory"),
        pytest.param(lambda side: (side / MODULE).chmod(0o600), [("mode", MODULE)], id="mode of a file"),
        pytest.param(lambda side: (side / SITE).chmod(0o700), [("mode", SITE)], id="mode of a directory"),
        pytest.param(lambda side: (side / SCRIPT).chmod(0o4755), [("mode", SCRIPT)], id="setuid"),
        pytest.param(lambda side: (side / BYTECODE).unlink(), [("missing", BYTECODE)], id="missing byte code"),
    ],
)
def test_what_is_there_and_how_is_compared(sides, plant, expected):
    plant(sides[1])
    assert categories(sides) == expected


def test_a_file_in_place_of_a_link_is_found(sides):
    link = sides[1] / "env/bin/python"
    link.unlink()
    link.write_text("")
    assert ("type", "env/bin/python") in categories(sides)


def test_a_link_to_elsewhere_is_found(sides):
    link = sides[1] / "env/bin/python"
    link.unlink()
    link.symlink_to("/elsewhere")
    assert categories(sides) == [("link", "env/bin/python")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_another_owner_is_found(sides):
    os.chown(sides[1] / MODULE, 65534, -1)
    assert categories(sides) == [("owner", MODULE)]


def test_another_content_is_found_and_shown(sides):
    (sides[1] / SCRIPT).write_text(f"#!{sides[1]}/env/bin/python\nprint(2)\n")
    write_record(sides[1])
    found = drop_permitted(compare_trees(*map(str, sides)))
    assert ("content", SCRIPT) in [(each.category, each.path) for each in found]
    assert any("print(2)" in each.actual and "print(1)" in each.expected for each in found)


def test_the_path_of_the_other_side_is_found(sides):
    (sides[1] / SCRIPT).write_text(f"#!{sides[0]}/env/bin/python\nprint(1)\n")
    write_record(sides[1])
    assert ("content", SCRIPT) in categories(sides)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + "other.py,,\n", id="extra row"),
        pytest.param(lambda text: text.replace("pkg-1.0.dist-info/RECORD,,\n", ""), id="missing row"),
        pytest.param(lambda text: text + "pkg-1.0.dist-info/RECORD,,\n", id="row twice"),
        pytest.param(lambda text: text.replace("pkg.py,sha256=", "pkg.py,sha256=x"), id="digest"),
        pytest.param(lambda text: text.replace("bin/tool,sha256=", "bin/tool,sha256=x"), id="digest of a script"),
        pytest.param(lambda text: text.replace("/bin/tool", "/bin/toolx"), id="path"),
    ],
)
def test_another_record_is_found(sides, change):
    record = sides[1] / RECORD
    record.write_text(change(record.read_text()))
    assert {*categories(sides)} == {("record", RECORD)}


def test_the_size_of_a_script_in_a_record_counts(sides):
    record = sides[1] / RECORD
    size = (sides[1] / SCRIPT).stat().st_size
    record.write_text(record.read_text().replace(f",{size}\n", f",{size + 1}\n"))
    assert {*categories(sides)} == {("record", RECORD)}


def test_another_order_of_a_record_is_permitted_but_seen(sides):
    record = sides[1] / RECORD
    record.write_text("".join(reversed(record.read_text().splitlines(keepends=True))))
    assert categories(sides) == []
    assert ("record-order", RECORD) in categories(sides, permitted=False)


def test_stale_byte_code_is_found(sides):
    os.utime(sides[1] / MODULE, (1, 1))
    assert categories(sides) == [("bytecode", BYTECODE)]


def test_byte_code_of_a_source_of_another_size_is_found(sides):
    path = sides[1] / BYTECODE
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)
    assert categories(sides) == [("bytecode", BYTECODE)]


def test_hash_checked_byte_code_is_found(sides):
    compile_module(sides[1], invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    assert categories(sides) == [("bytecode", BYTECODE)]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(SOURCE.replace("2.0", "2.5"), id="constant"),
        pytest.param(SOURCE.replace("2.0", "2  "), id="type of a constant"),
        pytest.param(SOURCE.replace('"c"', '"d"'), id="set"),
        pytest.param(SOURCE.replace("lambda: x", "lambda: f"), id="nested function"),
        pytest.param(SOURCE.replace("def f(x):\n    return x", "def f(x):\n\n   return x"), id="line numbers"),
    ],
)
def test_other_code_is_found(sides, source):
    good = (sides[1] / MODULE).read_bytes()
    status = (sides[1] / MODULE).stat()
    (sides[1] / MODULE).write_text(source)
    os.utime(sides[1] / MODULE, ns=(status.st_atime_ns, status.st_mtime_ns))
    compile_module(sides[1])
    (sides[1] / MODULE).write_bytes(good)
    os.utime(sides[1] / MODULE, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert categories(sides) == [("code", BYTECODE)]


def test_damaged_byte_code_is_found(sides):
    path = sides[1] / BYTECODE
    path.write_bytes(path.read_bytes()[:40])
    assert categories(sides) == [("code", BYTECODE)]


def test_another_file_name_in_byte_code_is_permitted_but_seen(sides):
    compile_module(sides[1], dfile="pkg.py")
    assert categories(sides) == []
    assert ("code-filename", BYTECODE) in categories(sides, permitted=False)


def test_another_mtime_is_permitted_but_seen(sides):
    os.utime(sides[1] / SCRIPT, (2, 2))
    assert categories(sides) == []
    assert ("mtime", SCRIPT) in categories(sides, permitted=False)


def test_sides_of_other_lengths_are_refused(sides):
    shutil.copytree(sides[1], f"{sides[1]}-longer", symlinks=True)
    with pytest.raises(ValueError, match="equally long"):
        compare_trees(str(sides[0]), f"{sides[1]}-longer")


@pytest.fixture
def runs(sides):
    """The same run on both sides."""
    results = []
    for directory in map(str, sides):
        place = os.path.join(directory, SITE)
        metadata = {"metadata": {"name": "pkg", "version": "1.0"}, "metadata_location": f"{place}/pkg-1.0.dist-info"}
        stdout = (
            f"Collecting pkg\nRequirement already satisfied: six in {place} (1.17.0)\n"
            "Installing collected packages: pkg, idna\n  Attempting uninstall: pkg\n"
            "    Found existing installation: pkg 0.9\nSuccessfully installed idna-3 pkg-1.0\n"
        )
        environment = Environment(f"{directory}/env", sys.executable, place)
        report = json.dumps({"version": "1", "installed": [metadata], "environment": {"os_name": "posix"}})
        check = "status 0\nNo broken requirements found.\n"
        results.append(
            Side(directory, environment, 0, stdout, "", 1.0, f"status 0\npkg @ file://{place}\n", report, check)
        )
    return results


def judged(runs, **changes):
    one, two = runs
    return [(each.category, each.path) for each in drop_permitted(compare_sides(one, replace(two, **changes)))]


def test_equal_runs_have_no_difference(runs):
    assert judged(runs) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"status": 1}, {("status", "")}, id="status"),
        pytest.param({"freeze": "status 0\npkg==1.0\n"}, {("freeze", "")}, id="freeze"),
        pytest.param({"check": "status 1\nNo broken requirements found.\n"}, {("check", "")}, id="status of check"),
        pytest.param({"inspect": "{}"}, {("inspect", ""), ("inspect", "pkg")}, id="inspect"),
        pytest.param({"stderr": "WARNING: slow\n"}, {("alarm", "stderr")}, id="a warning"),
    ],
)
def test_the_results_of_runs_are_compared(runs, changes, expected):
    assert {*judged(runs, **changes)} == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Successfully installed idna-3 pkg-1.0", "Successfully installed idna-3 pkg-1.1"),
        ("Successfully installed idna-3 pkg-1.0\n", ""),
        ("    Found existing installation: pkg 0.9\n", ""),
        ("packages: pkg, idna", "packages: pkg"),
        ("six in ", "six in /elsewhere"),
        ("Collecting pkg\n", "Collecting pkg\nWould install pkg-1.0\n"),
    ],
)
def test_closing_lines_are_compared(runs, old, new):
    assert old in runs[1].stdout
    assert {*judged(runs, stdout=runs[1].stdout.replace(old, new))} == {("output", "stdout")}


@pytest.mark.parametrize(
    ("old", "new"),
    [("Collecting pkg\n", "Using what is there\n"), ("packages: pkg, idna", "packages: idna, pkg")],
)
def test_other_lines_and_the_order_of_installation_do_not_count(runs, old, new):
    assert old in runs[1].stdout
    assert judged(runs, stdout=runs[1].stdout.replace(old, new)) == []


def test_what_is_printed_where_pip_is_quiet_is_found(runs):
    runs[0] = replace(runs[0], stdout="")
    assert judged(runs, stdout="Linked 2 files\n") == [("output", "stdout")]
    assert judged(runs, stdout="") == []


def test_a_permission_needs_a_reason(tmp_path):
    path = tmp_path / "permitted.txt"
    path.write_text("# comment\n\nmode | env/bin/* | set by hand\n")
    differences = [Difference("mode", "env/bin/x", "1", "2"), Difference("mode", "env/lib/x", "1", "2")]
    assert drop_permitted(differences, str(path)) == differences[1:]
    path.write_text("mode | *\n")
    with pytest.raises(ValueError, match="line 1: expected a category, a pattern and a reason"):
        drop_permitted(differences, str(path))


def test_permissions_are_few():
    assert len(judge._read_permitted(judge.PERMITTED)) <= 5
