"""The manifest of a tree in the store: written when the tree is, read and compared with it by every installation.

What has nothing to be decided about stands in it as a few long strings, which are read a hundred times faster than the
same as a list of files.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pip_accel._values import Bundle, Group, Launcher, Tree, TreeFile

__all__ = [
    "expand",
    "find_damage",
    "find_damage_in",
    "find_damaged_file",
    "read_byte_code",
    "read_manifest",
    "recorded_size",
    "write_byte_code",
    "write_manifest",
]

#: Of ``*.dist-info``: an installation writes these itself.
_WRITTEN = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


def write_manifest(tree: Tree) -> str:
    """Give the manifest of a tree without byte code; all of its files are in ``files``."""
    bundled, others = _split(tree, tree.files)
    value = {
        "name": tree.name,
        "version": tree.version,
        "lib": tree.lib,
        "dist-info": tree.dist_info,
        "mtime": tree.mtime,
        "launchers": tree.launchers,
        "bytes": sum(file.size for file in tree.files),
        "names": _names(bundled),
        "bundle": _pack(bundled, ()),
        "records": "\n".join(sorted(map(_row, bundled))),
        "files": others,
        "rows": tree.rows,
        "python": any(file.path.endswith(".py") for file in tree.files),
    }
    return json.dumps(value, separators=(",", ":"))


def read_manifest(text: str, path: str) -> tuple[Tree, bool]:
    """Give a tree without byte code, and whether it has files that byte code could be made of.

    :param path: of the directory of the tree.
    :raises ValueError, KeyError, TypeError, AttributeError: the text is no manifest.
    """
    value = json.loads(text)
    lib = value["lib"]
    bundle = _unpack(value["bundle"], f"{path}/{lib}", _split_lines(value["records"]))
    tree = Tree(
        path,
        value["name"],
        value["version"],
        lib,
        value["dist-info"],
        value["mtime"],
        tuple(Launcher(*each) for each in value["launchers"]),
        tuple(TreeFile(*each) for each in value["files"]),
        tuple((path, digest, size) for path, digest, size in value["rows"]),
        names=tuple(value["names"]),
        bundles=(bundle,),
    )
    return tree, bool(value["python"])


def write_byte_code(tree: Tree, files: Sequence[TreeFile]) -> str:
    """Give the manifest of byte code that was made for a tree, all of whose own files are in ``tree.files``."""
    own, _ = _split(tree, tree.files)
    bundled, others = _split(tree, files)
    value = {
        "bytes": sum(file.size for file in files),
        "names": _names(bundled),
        "bundle": _pack(bundled, _directories(own)),
        "files": others,
    }
    return json.dumps(value, separators=(",", ":"))


def read_byte_code(text: str, path: str, tree: Tree) -> Tree:
    """Give a tree with its byte code.

    :param path: of the directory of the byte code.
    :raises ValueError, KeyError, TypeError, AttributeError: the text is no such manifest.
    """
    value = json.loads(text)
    files = [TreeFile(*each) for each in value["files"]]
    bundle = _unpack(value["bundle"], f"{path}/{tree.lib}", None)
    names = tuple(dict.fromkeys((*tree.names, *value["names"])))
    tree = tree._replace(byte_code=path, names=names, bundles=(*tree.bundles, bundle))
    replaced = {(file.scheme, file.path) for file in files if file.kind == "replaced-bytecode"}
    if replaced:
        tree = expand(tree)
        tree = tree._replace(files=tuple(each for each in tree.files if (each.scheme, each.path) not in replaced))
    return tree._replace(files=(*tree.files, *files))


def expand(tree: Tree) -> Tree:
    """Give a tree that has all its files in ``files``."""
    if not tree.bundles:
        return tree
    found: list[TreeFile] = []
    for bundle, kind in zip(tree.bundles, ("file", "bytecode"), strict=False):
        found += _files(bundle, tree.lib, kind)
    # Of two files with one name the later stays: what needs no decision comes first, and byte code is made last.
    ordered = sorted([*found, *tree.files], key=lambda file: file.kind.endswith("bytecode"))
    return tree._replace(files=tuple(ordered), names=(), bundles=())


def _files(bundle: Bundle, lib: str, kind: str) -> Iterator[TreeFile]:
    rows = dict(row.split("\0", 1) for row in bundle.rows)
    for mode, paths, sizes in bundle.groups:
        for path, size in zip(paths, sizes, strict=True):
            digest, recorded = rows[path].split("\0")
            usual = recorded == _usual_size(size, digest)
            yield TreeFile(lib, path, mode, size, digest, kind, None if usual else recorded)


def _split(tree: Tree, files: Iterable[TreeFile]) -> tuple[list[TreeFile], list[TreeFile]]:
    """Tell the files for a bundle from the others, which an installation has to decide about one by one."""
    written = {f"{tree.dist_info}/{name}" for name in _WRITTEN}
    bundled: list[TreeFile] = []
    others: list[TreeFile] = []
    for file in files:
        usual = file.scheme == tree.lib and file.kind in ("file", "bytecode") and _is_plain(_row(file), file.path)
        (bundled if usual and file.path not in written else others).append(file)
    return bundled, others


def _is_plain(row: str, path: str) -> bool:
    """Whether a file goes where its path says, in a directory that may be its own, and RECORD needs no quotes."""
    parts = path.split("/")
    # Byte code of modules that lie in no package shares one directory.
    shared = len(parts) == 1 or parts[0] == "__pycache__"
    if os.name != "posix" or shared or not {"", ".", ".."}.isdisjoint(parts):
        return False
    return row.count("\0") == 2 and not any(each in row for each in '",\r\n')


def recorded_size(file: TreeFile) -> str:
    """Give the size of a file as RECORD is to have it."""
    return _usual_size(file.size, file.digest) if file.recorded_size is None else file.recorded_size


def _usual_size(size: int, digest: str) -> str:
    return str(size) if digest else ""


def _row(file: TreeFile) -> str:
    return f"{file.path}\0{file.digest}\0{recorded_size(file)}"


def _names(files: Iterable[TreeFile]) -> list[str]:
    return sorted({file.path.partition("/")[0] for file in files})


def _directories(files: Iterable[TreeFile]) -> set[str]:
    found: set[str] = set()
    for file in files:
        directory = file.path.rpartition("/")[0]
        while directory and directory not in found:
            found.add(directory)
            directory = directory.rpartition("/")[0]
    return found


def _pack(files: Sequence[TreeFile], there: Collection[str]) -> dict[str, Any]:
    """Put files into the form that they have in a manifest.

    :param there: directories that need not be made for them.
    """
    modes: dict[int, list[TreeFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        modes.setdefault(file.mode, []).append(file)
    return {
        "directories": "\n".join(sorted(_directories(files).difference(there))),
        "groups": [
            [mode, "\n".join(each.path for each in group), " ".join(str(each.size) for each in group)]
            for mode, group in modes.items()
        ],
    }


def _unpack(value: Mapping[str, Any], root: str, rows: list[str] | None) -> Bundle:
    groups = [Group(mode, _split_lines(paths), list(map(int, sizes.split()))) for mode, paths, sizes in value["groups"]]
    if rows is None:
        rows = [f"{path}\0\0" for group in groups for path in group.paths]
    return Bundle(root, _split_lines(value["directories"]), groups, rows)


def _split_lines(text: str) -> list[str]:
    return text.split("\n") if text else []


# Whether a tree is as its manifest says


def find_damage(tree: Tree) -> str | None:
    """Find a file of a tree in the store that is not as its manifest says, at the price of one ``lstat`` per file.

    Whoever edits a hard-linked file in some environment edits the store as well: its size or time stamp tells.

    :returns: its path, relative to the directory of its scheme.
    """
    damage = find_damaged_file(tree)
    for bundle in tree.bundles if damage is None else ():
        try:
            handle = os.open(bundle.root, os.O_RDONLY)
        except FileNotFoundError:
            return next((group.paths[0] for group in bundle.groups), None)
        try:
            damage = find_damage_in(bundle, tree.mtime, handle)
        finally:
            os.close(handle)
        if damage is not None:
            break
    return damage


def find_damaged_file(tree: Tree) -> str | None:
    """Do the same as :func:`find_damage` for the files that are not in a bundle."""
    owners: dict[str, int] = {}
    for file in tree.files:
        root = tree.byte_code if tree.byte_code and file.kind.endswith("bytecode") else tree.path
        try:
            if root not in owners:
                owners[root] = os.lstat(root).st_uid
            status = os.lstat(f"{root}{os.sep}{file.scheme}/{file.path}")
        except OSError:
            return file.path
        if not _is_as(status, tree.mtime, file.size, file.mode, owners[root]):
            return file.path
    return None


def find_damage_in(bundle: Bundle, mtime: int, handle: int) -> str | None:
    """Do the same for the files of a bundle.

    :param mtime: of all files, seconds.
    :param handle: the open directory of the bundle.
    """
    owner = os.fstat(handle).st_uid
    look, time = os.stat, stat.ST_MTIME
    for permissions, paths, sizes in bundle.groups:
        mode = stat.S_IFREG | permissions
        for path, size in zip(paths, sizes, strict=True):
            try:
                status = look(path, dir_fd=handle, follow_symlinks=False)
            except OSError:
                return path
            if status.st_size != size or status[time] != mtime or status.st_mode != mode or status.st_uid != owner:
                return path
    return None


def _is_as(status: os.stat_result, mtime: int, size: int, permissions: int, owner: int) -> bool:
    known = 0xFFFF if os.name == "posix" else stat.S_IFMT(0xFFFF)  # Windows has no modes of this kind
    return (
        status[stat.ST_MTIME] == mtime
        and status.st_size == size
        and status.st_mode & known == (stat.S_IFREG | permissions) & known
        and status.st_uid == owner
    )
