"""Launchers and scripts: byte for byte what pip writes."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import zipfile

import pytest

from pip_accel._install.scripts import (
    fix_hashbang,
    fix_script,
    launcher_mode,
    learn_template,
    make_hashbang,
    make_launchers,
    split_hashbang,
)
from pip_accel._values import Launcher
from pip_accel.exceptions import UnsafeArchive, Unsupported
from tests.lib.environments import make_environment
from tests.lib.trees import TEMPLATE, make_target, make_tree, pack_tree, run_pip

LAUNCHERS = [
    Launcher("tool", "alpha", "main", False),
    Launcher("tool-gui", "alpha.window", "Window.open", True),
    Launcher("pip", "alpha", "main", False),
    Launcher("pip3.5", "alpha", "main", False),
    Launcher("easy_install", "alpha", "main", False),
    Launcher("easy_install-2.7", "alpha", "main", False),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return learn_template(sys.executable, str(tmp_path_factory.mktemp("learn")))


def test_the_template_is_the_body_of_a_launcher(template):
    body = template % {"module": "a.b", "import_name": "C", "func": "C.d"}
    assert "from a.b import C\n" in body
    assert "sys.exit(C.d())" in body
    assert not body.startswith("#!")
    compile(body, "launcher", "exec")


def test_a_pip_that_writes_no_launcher_is_not_supported(tmp_path):
    with pytest.raises(Unsupported, match="no launcher"):
        learn_template("/bin/false", str(tmp_path))


def test_half_a_launcher_teaches_nothing(tmp_path):
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        'mkdir -p prefix/bin && : > prefix/bin/pip_accel_probe\n'
        'echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"; exit 1\n'
    )
    program.chmod(0o755)
    with pytest.raises(OSError, match="No space left") as caught:
        learn_template(str(program), str(tmp_path))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


@pytest.mark.parametrize("directory", ["env", "with blanks in it", "long" + "g" * 120], ids=["plain", "blanks", "long"])
def test_launchers_and_scripts_are_what_pip_writes(tmp_path, template, directory):
    tree = make_tree(
        str(tmp_path),
        "alpha",
        "1.0",
        {
            "purelib/alpha.py": "",
            "scripts/run": b"#!python -u\r\nprint(1)\r\n\xff",
            "scripts/w": "#!pythonw\nimport os\n",
            "scripts/versioned": "#!python3.11 -E\nx\n",
            "scripts/another": "#!pythonic\n",
            "scripts/short": "#!python",
            "scripts/zip": b"#!python\nPK\x03\x04\r\n\0",
            "scripts/late": "\n#!python\n",
        },
        launchers=LAUNCHERS,
    )
    environment = make_environment(str(tmp_path / directory))
    binaries = os.path.join(environment.prefix, "bin")
    before = set(os.listdir(binaries))
    run_pip(environment.python, "install", "--no-deps", pack_tree(tree, str(tmp_path)))
    written = {}
    modes = set()
    for name in set(os.listdir(binaries)) - before:
        path = os.path.join(binaries, name)
        modes.add(stat.S_IMODE(os.stat(path).st_mode))
        with open(path, "rb") as stream:
            written[name] = stream.read()

    ours = dict(make_launchers(LAUNCHERS, make_target(environment.prefix), template))
    for name in ("run", "w", "versioned", "another", "short", "zip", "late"):
        with open(os.path.join(tree.path, "scripts", name), "rb") as stream:
            ours[name] = fix_script(stream.read(), environment.python)
    assert ours == written
    assert modes == {launcher_mode(0o022)}


def test_versioned_scripts_of_pip_name_the_target():
    target = make_target("/env")._replace(version="3.14.2")
    names = [name for name, _ in make_launchers(LAUNCHERS, target, TEMPLATE)]
    expected = ["tool", "tool-gui", "pip", "pip3", "pip3.14", "easy_install", "easy_install-3.14"]
    assert sorted(names) == sorted(expected)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/x", "a\0b"])
def test_a_name_with_separators_is_refused(name):
    with pytest.raises(UnsafeArchive):
        make_launchers([Launcher(name, "alpha", "main", False)], make_target("/env"), TEMPLATE)


@pytest.mark.parametrize(
    ("umask", "mode"),
    [(0o022, 0o755), (0o002, 0o775), (0o077, 0o755), (0o000, 0o777)],
    ids=["022", "002", "077", "000"],
)
def test_launchers_can_be_read_and_run_by_all(tmp_path, umask, mode):
    assert launcher_mode(umask) == mode


def test_the_longest_hashbang_is_one_line():
    longest = 512 if sys.platform == "darwin" else 127
    fits = "/" + "p" * (longest - 4)
    assert make_hashbang(fits) == f"#!{fits}\n".encode()
    assert make_hashbang(fits + "p").startswith(b"#!/bin/sh\n")


def test_an_interpreter_that_is_a_script_is_started_by_the_shell(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    assert make_hashbang(str(python)) == f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n".encode()


@pytest.mark.skipif(os.name != "posix", reason="scripts are started by the kernel")
def test_a_launcher_runs_from_a_path_with_blanks(tmp_path):
    home = tmp_path / "a b"
    home.mkdir()
    os.symlink(sys.executable, home / "python")
    launcher = home / "tool"
    launcher.write_bytes(make_hashbang(str(home / "python")) + b"import sys; print(sys.argv[1:])\n")
    launcher.chmod(0o755)
    assert subprocess.run([launcher, "x y"], capture_output=True, text=True).stdout == "['x y']\n"


@pytest.mark.parametrize(
    ("content", "fixed"),
    [
        (b"#!python\nx\r\n", b"#!/e/python\nx\r\n"),
        (b"#!pythonw -u\nx", b"#!/e/python\nx"),
        (b"#!python", b"#!/e/python\n"),
        (b"#!/bin/sh\nx", b"#!/bin/sh\nx"),
        (b"PK\x03", b"PK\x03"),
    ],
    ids=["plain", "options", "one line", "another program's", "no script"],
)
def test_only_the_neutral_first_line_changes(content, fixed):
    assert fix_script(content, "/e/python") == fixed


LONG = "/" + "p" * 130
SHELL = b"#!/bin/sh\n'''exec' %s \"$0\" \"$@\"\n' '''\n"


@pytest.mark.parametrize(
    ("content", "fixed"),
    [
        (b"#!python\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/python\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/python2.7\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/python3.13t -I\nx", b"#!/e/python -I\nx"),
        (b"#!/usr/bin/python3-dbg\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/pythonw\nx", b"#!/e/python\nx"),
        (b"#!/opt/pypy\nx", b"#!/e/python\nx"),
        (b"#! /opt/pypy3.10 -u\nx", b"#!/e/python -u\nx"),
        (b"#!/usr/bin/env python\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/env\tpypy3\nx", b"#!/e/python\nx"),
        (b"#!/usr/bin/env -S python -u\nx", b"#!/e/python -u\nx"),
        (b"#!/usr/bin/env --split-string=python3 -u\nx", b"#!/e/python -u\nx"),
        (b"#!/usr/bin/env -S python -u  -O\nx", SHELL % b"/e/python -u -O" + b"x"),
        (b"#!python -W $x -u\nx", SHELL % b"/e/python -W '$x' -u" + b"x"),
        (b'#!"/with blanks/python3" -u\nx', b"#!/e/python -u\nx"),
        (SHELL % b'"/with blanks/python"' + b"x", b"#!/e/python\nx"),
        (SHELL % b"/long/python -u" + b"x", b"#!/e/python -u\nx"),
        (b"#!python", b"#!/e/python\n"),
        (b"#!python \t\n", b"#!/e/python\n"),
        (b"#!/usr/bin/python\r\nx\r\ny\rz\n", b"#!/e/python\nx\r\ny\rz\n"),
        (b"#!/usr/bin/env python\nPK\x03\x04\r\n\x1a\0\xff", b"#!/e/python\nPK\x03\x04\r\n\x1a\0\xff"),
    ],
)
def test_the_hashbang_of_a_python_script_names_another_interpreter(content, fixed):
    assert fix_hashbang(content, "/e/python") == fixed


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"\n#!python\n", b"#!", b"#!\n", b"\xef\xbb\xbf#!python\n", b"PK\x03\x04", b"\x7fELF",
        b"#!/bin/sh\nexec python\r\n", b"#!/usr/bin/env ruby\n# python\n", b"#!/usr/bin/env perl python\n",
        b"#!/home/python/ruby\n", b"#!/usr/bin/python-config\n", b"#!/usr/bin/pythonic\n",
        b"#!/usr/bin/ipython\n", b"#!/usr/bin/env FOO=1 python\n", b"#!/bin/sh\n'''exec' ruby \"$0\" \"$@\"\n' '''\n",
    ],
)  # fmt: skip
def test_other_files_stay_as_they_are(content):
    assert fix_hashbang(content, "/e/python") == content
    assert split_hashbang(content) is None


@pytest.mark.parametrize(
    ("python", "hashbang"),
    [
        ("/a b/python", SHELL % b'"/a b/python" -u'),
        (LONG, SHELL % (LONG.encode() + b" -u")),
        ("/é/python", "#!/é/python -u\n".encode()),
    ],
    ids=["blanks", "long", "letters"],
)
def test_paths_that_the_kernel_cannot_use_are_given_to_the_shell(python, hashbang):
    assert fix_hashbang(b"#!/usr/bin/env python -u\nx\r\n", python) == hashbang + b"x\r\n"


def test_a_hashbang_is_one_line_as_long_as_it_fits_with_its_options():
    longest = 512 if sys.platform == "darwin" else 127
    fits = "/" + "p" * (longest - 7)
    assert fix_hashbang(b"#!python -u\n", fits) == f"#!{fits} -u\n".encode()
    assert fix_hashbang(b"#!python -u\n", fits + "p").startswith(b"#!/bin/sh\n")


@pytest.mark.parametrize("content", ["#!/usr/bin/python\nä\udcff\ud800\r\n", "#!/bin/sh\n\udcff", ""])
def test_text_stays_text(content):
    assert fix_hashbang(content, "/e/python") == content.replace("/usr/bin/python", "/e/python")


def test_an_encoding_in_line_two_still_counts_below_the_lines_for_the_shell(tmp_path):
    (tmp_path / "a b").mkdir()
    os.symlink(sys.executable, tmp_path / "a b" / "python")
    script = tmp_path / "run"
    content = (
        "#!/usr/bin/python -B\n# -*- coding: latin-1 -*-\r\nimport sys\nprint('ä', sys.flags.dont_write_bytecode)\n"
    )
    script.write_bytes(fix_hashbang(content.encode("latin-1"), str(tmp_path / "a b" / "python")))
    script.chmod(0o755)
    done = subprocess.run([script], capture_output=True, env={"PYTHONIOENCODING": "utf-8"})
    assert (done.stdout.decode(), done.stderr) == ("ä 1\n", b"")


def test_several_options_reach_the_interpreter(tmp_path):
    script = tmp_path / "run"
    content = "#!/usr/bin/env -S python -W ignore -O\nimport sys\nprint(sys.warnoptions, sys.flags.optimize)\n"
    script.write_text(fix_hashbang(content, sys.executable))
    script.chmod(0o755)
    assert subprocess.run([script], capture_output=True, text=True).stdout == "['ignore'] 1\n"


def test_a_zip_application_runs_with_another_interpreter(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("__main__.py", "print('ran')")
    script = tmp_path / "app"
    script.write_bytes(fix_hashbang(b"#!/usr/bin/env python3\n" + archive.getvalue(), sys.executable))
    script.chmod(0o755)
    assert subprocess.run([script], capture_output=True, text=True).stdout == "ran\n"
