"""The scripts of a distribution, byte for byte as pip writes them.

Launchers of entry points follow pip's ``ScriptMaker`` (distlib's with a template of pip's own, which changes from one
pip to the next and is therefore learned from the pip in use). Other scripts name their interpreter by PEP 427.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence

from pip_accel._fs import find_told_error, naming
from pip_accel._values import Launcher, Target
from pip_accel.exceptions import UnsafeArchive, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Text = TypeVar("Text", bytes, str)

__all__ = [
    "fix_hashbang",
    "fix_script",
    "launcher_mode",
    "learn_template",
    "make_hashbang",
    "make_launchers",
    "split_hashbang",
]

#: Longest first line that the kernel reads, with ``#!`` and the line feed.
_LONGEST_HASHBANG = 512 if sys.platform == "darwin" else 127

# Patterns, compiled at their first use: most runs have none.
_COOKIE = rb"[ \t\f]*#[^\r\n]*?coding[:=][^\n]*(?:\n|\Z)"
#: A Python as a hashbang names it, and what follows on that line.
_PYTHON = rb"""(?:"[^"\r\n]*/|[^\s"]*/)?(?:python|pypy)(?:w|\d[\d.]*[dmt]{0,2})?(?:-dbg)?"?(?:[ \t]([^\r\n]*))?"""
_ENV = rb"(?:\S*/env[ \t]+(?:-S[ \t]*|--split-string[ \t=])?)?"
_ONE_LINE = rb"#![ \t]*" + _ENV + _PYTHON + rb"\r?(?:\n|\Z)"
_THREE_LINES = rb"#!/bin/sh\n'''exec' " + _PYTHON + rb""" "\$0" "\$@"\n' '''\n"""

_PROBE = "pip-accel-probe"
_PROBE_MODULE = "pip_accel_probe_module.within"
_PROBE_IMPORT = "pip_accel_probe_import"
_PROBE_FUNCTION = f"{_PROBE_IMPORT}.pip_accel_probe_function"


def make_hashbang(python: str, options: Sequence[str] = ()) -> bytes:
    """Give what a launcher begins with: one line, or three where the kernel could not use one.

    A path with blanks (which distlib quotes), one that is too long and an interpreter that is a script itself need
    ``/bin/sh``, for which the lines are a command and for Python a string. So do several options: the kernel would
    make one word of them.
    """
    if " " in python and not python.startswith('"'):
        python = f'"{python}"'
    line = " ".join(["#!" + python, *options]).encode("utf-8") + b"\n"
    if " " not in python and len(options) < 2 and len(line) <= _LONGEST_HASHBANG and not _is_script(python):
        return line
    from shlex import quote

    command = " ".join(["'''exec'", python, *map(quote, options), '"$0" "$@"'])
    return b"#!/bin/sh\n" + command.encode("utf-8") + b"\n' '''\n"


def _is_script(python: str) -> bool:
    try:
        with open(python, "rb") as stream:
            return stream.read(2) == b"#!"
    except OSError:
        return False


def make_launchers(launchers: Iterable[Launcher], target: Target, template: str) -> list[tuple[str, bytes]]:
    """Give names and contents of the scripts for entry points; where a name comes twice, the last one stays.

    :param template: what :func:`learn_template` gave for the pip in use.
    :raises UnsafeArchive: a name would leave the directory of scripts.
    :raises Unsupported: on Windows, where launchers are programs that only pip has.
    """
    wanted = list(_with_versions(launchers, target.version))
    if wanted and os.name == "nt":
        raise Unsupported("Launchers for Windows are made by pip itself")
    hashbang = make_hashbang(target.python) if wanted else b""
    made = []
    for name, module, function, _ in wanted:
        if name in ("", ".", "..") or "/" in name or os.sep in name or "\0" in name:
            raise UnsafeArchive("The entry point {name!r} has a name that no script can have", name=name)
        words = {"module": module, "import_name": function.split(".")[0], "func": function}
        made.append((name, hashbang + (template % words).encode("utf-8")))
    return made


def _with_versions(launchers: Iterable[Launcher], version: str) -> Iterable[Launcher]:
    """Replace the versioned scripts of pip and easy_install, which name the builder's Python, as pip does.

    ``ENSUREPIP_OPTIONS``, which changes this in pip, is only ever set by ensurepip.
    """
    major, minor = version.split(".")[:2]
    console: dict[str, Launcher] = {}
    gui: dict[str, Launcher] = {}
    for launcher in launchers:
        (gui if launcher.gui else console)[launcher.name] = launcher
    for name, versioned, pattern in (
        ("pip", (f"pip{major}", f"pip{major}.{minor}"), r"pip(\d+(\.\d+)?)?$"),
        ("easy_install", (f"easy_install-{major}.{minor}",), r"easy_install(-\d+\.\d+)?$"),
    ):
        main = console.get(name)
        if main is not None:
            console = {key: launcher for key, launcher in console.items() if not re.match(pattern, key)}
            console.update((each, main._replace(name=each)) for each in (name, *versioned))
    return (*console.values(), *gui.values())


def launcher_mode(umask: int) -> int:
    """Give the permission bits of launchers: all may read and execute them, whatever the umask says."""
    return 0o666 & ~umask | 0o555


def fix_script(content: bytes, python: str) -> bytes:
    """Give a script with the interpreter's path for the neutral first line of PEP 427, its options included."""
    if not content.startswith(b"#!python"):
        return content
    _, _, rest = content.partition(b"\n")
    return b"#!" + os.fsencode(python) + os.linesep.encode("ascii") + rest


def split_hashbang(content: bytes) -> tuple[list[str], bytes] | None:
    """Give the options of the Python that a script names, and the script below its hashbang.

    :returns: ``None`` if it names none. The three lines of :func:`make_hashbang` count as one.
    """
    match = re.match(_ONE_LINE, content) or re.match(_THREE_LINES, content)
    if match is None:
        return None
    return (match[1] or b"").decode("utf-8", "surrogateescape").split(), content[match.end() :]


def fix_hashbang(contents: Text, python: str) -> Text:
    """Give a script the path of another interpreter, if it names a Python. Options stay, and so does all the rest.

    :param python: absolute path of the interpreter.
    """
    if isinstance(contents, str):
        return fix_hashbang(contents.encode("utf-8", "surrogatepass"), python).decode("utf-8", "surrogatepass")
    found = split_hashbang(contents)
    if found is None:
        return contents
    hashbang, rest = make_hashbang(python, found[0]), found[1]
    cookie = re.match(_COOKIE, rest)
    if cookie is not None:  # counts in the first two lines only (PEP 263)
        first, _, others = hashbang.partition(b"\n")
        return first + b"\n" + cookie[0] + others + rest[cookie.end() :]
    return hashbang + rest


def learn_template(python: str, workdir: str) -> str:
    """Let a pip write a launcher, and give the text below its hashbang as a template.

    :param python: interpreter that has the pip.
    :param workdir: an existing directory; what is left in it is the caller's to remove.
    :returns: text for the ``%`` operator and a mapping with ``module``, ``import_name`` and ``func``.
    :raises Unsupported: this pip did not write a launcher of the form that is known.
    :raises OSError: it could not write.
    """
    from pip_accel._process import run

    wheel = _make_probe(workdir)
    prefix = os.path.join(workdir, "prefix")
    options = "--isolated --no-index --no-deps --no-compile --disable-pip-version-check --no-warn-script-location"
    done = run(
        [python, "-m", "pip", "install", "--quiet", *options.split(), "--prefix", prefix, wheel],
        cwd=workdir,  # which -m puts in front of sys.path
        # --isolated leaves the machine's configuration in force.
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "TMPDIR": workdir},
        merge=True,
    )
    for directory, _, names in os.walk(prefix) if done.status == 0 else ():  # else there may be half of one
        if _PROBE in names:
            with open(os.path.join(directory, _PROBE), "rb") as stream:
                return _make_template(stream.read())
    output = done.output.strip()
    error = find_told_error(output, workdir)
    if error is not None:
        raise error
    raise Unsupported("The pip of {python} wrote no launcher: {output}", python=python, output=output)


def _make_template(content: bytes) -> str:
    lines = content.decode("utf-8").split("\n")
    body = "\n".join(lines[3 if lines[0] == "#!/bin/sh" else 1 :]).replace("%", "%%")
    for text, word in ((_PROBE_MODULE, "module"), (_PROBE_FUNCTION, "func"), (_PROBE_IMPORT, "import_name")):
        if text not in body:
            raise Unsupported("The launchers of this pip have an unknown form: {body!r}", body=body)
        body = body.replace(text, f"%({word})s")
    return body


def _make_probe(workdir: str) -> str:
    """Write a wheel that has nothing but an entry point; give its path."""
    import zipfile

    info = "pip_accel_probe-1.dist-info"
    members = {
        "METADATA": f"Metadata-Version: 2.1\nName: {_PROBE}\nVersion: 1\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: pip-accel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{_PROBE} = {_PROBE_MODULE}:{_PROBE_FUNCTION}\n",
    }
    members["RECORD"] = "".join(f"{info}/{name},,\n" for name in (*members, "RECORD"))
    path = os.path.join(workdir, "pip_accel_probe-1-py3-none-any.whl")
    with naming(path), zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"{info}/{name}", text)
    return path
