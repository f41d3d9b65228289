"""Trees as the store holds them, made of a dictionary; wheels with the same files for pip; targets to install into."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import py_compile
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Collection, Mapping, Sequence

from pip_accel._trees import expand, read_byte_code, read_manifest, write_byte_code, write_manifest
from pip_accel._values import Installed, Launcher, Scheme, Target, Tree, TreeFile
from tests.lib.environments import clean_environ

__all__ = [
    "TEMPLATE",
    "bundled",
    "find_in",
    "make_target",
    "make_tree",
    "pack_tree",
    "read_rows",
    "run_pip",
    "snapshot",
]

#: Body of launchers for tests that do not look at it.
TEMPLATE = "from %(module)s import %(import_name)s\n%(func)s()\n"


def make_tree(
    directory: str,
    name: str,
    version: str,
    files: Mapping[str, str | bytes],
    *,
    launchers: Sequence[Launcher] = (),
    executable: Collection[str] = (),
    lib: str = "purelib",
    umask: int = 0o022,
    mtime: int = 1_500_000_000,
    byte_code: bool = True,
) -> Tree:
    """Write a tree below ``directory``, byte code of this interpreter included; all of its files are in ``files``.

    :param files: contents by ``scheme/path``; below ``scripts``, what begins with ``#!python`` is a script.
    :param executable: those of them with executable bits, all scripts aside.
    """
    root = os.path.join(directory, f"{name}-{version}-tree")
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    contents = dict(files)
    contents[f"{lib}/{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    contents[f"{lib}/{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if launchers:
        groups = {
            "console_scripts": [each for each in launchers if not each.gui],
            "gui_scripts": [each for each in launchers if each.gui],
        }
        contents[f"{lib}/{info}/entry_points.txt"] = "".join(
            f"[{group}]\n" + "".join(f"{each.name} = {each.module}:{each.function}\n" for each in members)
            for group, members in groups.items()
        )
    found = []
    compiled = []
    for member, content in contents.items():
        data = content.encode() if isinstance(content, str) else content
        scheme, _, path = member.partition("/")
        mode = 0o666 & ~umask
        if member in executable or scheme == "scripts":
            mode |= 0o111
        kind = "script" if scheme == "scripts" and data.startswith(b"#!python") else "file"
        _write(os.path.join(root, scheme, path), data, mode, mtime)
        found.append(TreeFile(scheme, path, mode, len(data), _digest(data), kind))
        if byte_code and path.endswith(".py"):
            head, _, tail = path.rpartition("/")
            relative = f"{head}/__pycache__/{tail[:-3]}.{sys.implementation.cache_tag}.pyc".lstrip("/")
            place = os.path.join(root, scheme, relative)
            py_compile.compile(os.path.join(root, scheme, path), place, doraise=True)
            os.chmod(place, 0o666 & ~umask)
            os.utime(place, (mtime, mtime))
            kind = "script-bytecode" if kind == "script" else "bytecode"
            compiled.append(TreeFile(scheme, relative, 0o666 & ~umask, os.path.getsize(place), "", kind))
    return Tree(root, name, version, lib, info, mtime, tuple(launchers), (*found, *compiled))


def bundled(tree: Tree) -> Tree:
    """Give a tree of :func:`make_tree` as it comes out of the store: with bundles, and byte code beside it."""
    compiled = [file for file in tree.files if file.kind.endswith("bytecode")]
    own = tree._replace(files=tuple(file for file in tree.files if file not in compiled))
    found, _ = read_manifest(write_manifest(own), tree.path)
    if not compiled:
        return found
    place = tree.path + "-byte-code"
    for file in compiled:
        os.renames(os.path.join(tree.path, file.scheme, file.path), os.path.join(place, file.scheme, file.path))
    return read_byte_code(write_byte_code(own, compiled), place, found)


def pack_tree(tree: Tree, directory: str) -> str:
    """Write a wheel with the files of a tree; give its path."""
    stem = tree.dist_info.removesuffix(".dist-info")
    path = os.path.join(directory, f"{stem}-py3-none-any.whl")
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for file in expand(tree).files:
            if file.kind.endswith("bytecode"):
                continue
            member = file.path if file.scheme == tree.lib else f"{stem}.data/{file.scheme}/{file.path}"
            rows.append(f"{member},{file.digest},{file.size}\n")
            info = zipfile.ZipInfo(member, (2020, 2, 2, 2, 2, 2))
            info.create_system = 3
            info.external_attr = (0o100644 | file.mode & 0o111) << 16
            with open(os.path.join(tree.path, file.scheme, file.path), "rb") as stream:
                archive.writestr(info, stream.read())
        archive.writestr(f"{tree.dist_info}/RECORD", "".join([*rows, f"{tree.dist_info}/RECORD,,\n"]))
    return path


def run_pip(python: str, *words: str) -> None:
    """Run the pip of this interpreter for the environment of another, without an index; a failure shows its output."""
    options = ["--no-index"] if words[0] == "install" else []
    command = [sys.executable, "-m", "pip", "--python", python, words[0], *options, *words[1:]]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def make_target(prefix: str, *, python: str = "") -> Target:
    """Give the target that a virtual environment at ``prefix`` would be; nothing is written."""
    version = "{}.{}".format(*sys.version_info)
    lib = os.path.join(prefix, "lib", f"python{version}", "site-packages")
    scheme = Scheme(
        purelib=lib,
        platlib=lib,
        headers=os.path.join(prefix, "include", "site", f"python{version}"),
        scripts=os.path.join(prefix, "bin"),
        data=prefix,
    )
    return Target(
        python=python or os.path.join(prefix, "bin", "python"),
        version="{}.{}.{}".format(*sys.version_info),
        implementation=sys.implementation.name,
        cache_tag=sys.implementation.cache_tag or "",
        magic="",
        abi=sysconfig.get_config_var("SOABI") or "",
        platform=sysconfig.get_platform(),
        libc="",
        prefix=prefix,
        base_python=sys.executable,
        scheme=scheme,
        path=(lib,),
        virtual=True,
        externally_managed="",
        place=prefix,
        scripts=scheme.scripts,
    )


def find_in(target: Target, tree: Tree) -> Installed:
    """Give what :class:`Installed` says once a tree is installed."""
    location = getattr(target.scheme, tree.lib)
    return Installed(tree.name, tree.version, location, os.path.join(location, tree.dist_info))


def read_rows(record: bytes) -> list[tuple[str, ...]]:
    """Give the rows of a RECORD."""
    return [tuple(row) for row in csv.reader(io.StringIO(record.decode("utf-8"), newline=""))]


def snapshot(root: str) -> dict[str, tuple[int, bytes | str]]:
    """Give type and mode of all below ``root``, with the content of files and the target of symbolic links, by path."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for directory, directories, names in os.walk(root):
        for name in (*directories, *names):
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            content: bytes | str = ""
            if stat.S_ISLNK(mode):
                content = os.readlink(path)
            elif stat.S_ISREG(mode):
                with open(path, "rb") as stream:
                    content = stream.read()
            found[os.path.relpath(path, root)] = mode, content
    return found


def _write(path: str, data: bytes, mode: int, mtime: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(data)
    os.chmod(path, mode)
    os.utime(path, (mtime, mtime))


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
