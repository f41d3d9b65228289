"""Checks what a data directory holds: whether archives are what their digests say, and trees what archives say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from pip_accel import _fs
from pip_accel._archives import Contents, is_whole, read_bdist, read_manifest, read_wheel
from pip_accel._build.key import key_digest
from pip_accel._inventory import ARCHIVE, BUILT, NOTE, TREE, Entry
from pip_accel._names import is_archive
from pip_accel._trees import expand, find_damage, read_byte_code
from pip_accel._trees import read_manifest as read_tree
from pip_accel._values import Tree
from pip_accel.exceptions import PipAcceleratorError

__all__ = ["find_faults"]

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
_NOT_COMPLETE = "its manifest cannot be read"
#: Beginning of a file of byte code (PEP 552): magic number, flags, and, without flags, time and size of the source.
_HEADER = struct.Struct("<4sIII")
#: Name of a directory of byte code: its tree, the kind of interpreter, the magic number, and more.
_BYTE_CODE = re.compile(r"([0-9a-f]{64}-[0-7]+)-(.+)-([0-9a-f]{8})(?:-hash)?(?:-borrowed)?")


def find_faults(entries: Iterable[Entry]) -> Iterator[tuple[Entry, str]]:
    """Give those entries and notes that are damaged, and in what. What is removed meanwhile is passed over.

    :param entries: all that the directory holds, as trees are compared with their archives.
    """
    archives: dict[str, str] = {}  #: paths by digest, of those that are sound
    trees: dict[str, Tree] = {}  #: those that are sound, by path
    order = (ARCHIVE, BUILT, TREE, NOTE)
    for entry in sorted(entries, key=lambda entry: (order.index(entry.kind), entry.path)):
        try:
            fault = _look(entry, archives, trees)
        except FileNotFoundError as error:
            fault = f"{error.filename} is missing"
        except OSError as error:
            fault = f"{error.filename} cannot be read ({error.strerror})"
        if fault and os.path.lexists(entry.path):
            yield entry, fault


def _look(entry: Entry, archives: dict[str, str], trees: dict[str, Tree]) -> str:
    """Say what is wrong with an entry, nothing if it is sound.

    :raises OSError: a file of it is missing, or cannot be read.
    """
    if entry.kind == ARCHIVE:
        return _look_at_archive(entry, archives)
    if entry.kind == BUILT:
        return _look_at_built(entry, archives)
    if entry.kind == TREE:
        named = _BYTE_CODE.fullmatch(os.path.basename(entry.path))
        if named is None:
            return _look_at_tree(entry, archives, trees)
        tree = trees.get(os.path.join(os.path.dirname(entry.path), named[1]))
        # Without its tree byte code is of no use, and does no harm.
        return _look_at_byte_code(entry, tree, named[2], named[3]) if tree is not None else ""
    if entry.path.endswith(".json"):
        with open(entry.path, "rb") as stream:
            try:
                json.load(stream)
            except ValueError:
                return "it cannot be read"
    return ""


def _look_at_archive(entry: Entry, archives: dict[str, str]) -> str:
    digest = os.path.basename(entry.path)
    for name in os.listdir(entry.path):
        path = os.path.join(entry.path, name)
        if is_archive(name):
            if _fs.hash_file(path) != digest:
                return f"{name} is not what its digest says"
            archives[digest] = path
    return ""


def _look_at_built(entry: Entry, archives: dict[str, str]) -> str:
    manifest = read_manifest(entry.path) or {}
    digest = str(manifest.get("key-digest"))
    named = os.path.basename(entry.path).removesuffix(".tar.gz").rpartition("-")[2]
    if not is_whole(entry.path):
        return "it is not what its manifest says"
    if key_digest(manifest.get("key", {})) != digest or not named or not digest.startswith(named):
        return "its key is not that of its name"
    archives[_fs.hash_file(entry.path)] = entry.path
    return ""


def _look_at_tree(entry: Entry, archives: dict[str, str], trees: dict[str, Tree]) -> str:
    try:
        found, _ = read_tree(_read_manifest(entry), entry.path)
        tree = expand(found)
    except _UNREADABLE:
        return _NOT_COMPLETE
    damage = find_damage(tree)
    if damage is not None:
        return f"{damage} was edited in some environment"
    archive = archives.get(os.path.basename(entry.path)[:64])
    edited = _compare_with_archive(tree, archive) if archive is not None else _compare_with_digests(tree)
    if edited:
        return f"{edited} is not as it came"
    trees[entry.path] = found
    return ""


def _compare_with_archive(tree: Tree, path: str) -> str:
    """Give the path of a file that is not as in its archive, an empty text if there is none."""
    contents: Contents
    close: Any
    try:
        if path.endswith(".whl"):
            contents, opened = read_wheel(path)
            close = opened.close
        else:
            contents, close = read_bdist(path)
        try:
            for each in contents.entries:
                if _fs.read_bytes(os.path.join(tree.path, each.scheme, *each.path.split("/"))) != each.data:
                    return each.path
        finally:
            close()
    except PipAcceleratorError:  # it was unpacked by another release, which knew what to make of it
        return ""
    return ""


def _compare_with_digests(tree: Tree) -> str:
    """Give the path of a file that is not as RECORD says, an empty text if there is none."""
    for file in tree.files:
        if file.digest.startswith("sha256="):
            data = _fs.read_bytes(os.path.join(tree.path, file.scheme, *file.path.split("/")))
            spelled = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            if file.digest != f"sha256={spelled}":
                return file.path
    return ""


def _look_at_byte_code(entry: Entry, tree: Tree, tag: str, magic: str) -> str:
    """Look at byte code.

    :param tag: of the interpreter that it is for.
    :param magic: number that it begins with, hex.
    """
    try:
        whole = expand(read_byte_code(_read_manifest(entry), entry.path, tree))
    except _UNREADABLE:
        return _NOT_COMPLETE
    made = whole._replace(files=tuple(file for file in whole.files if file.kind.endswith("bytecode")))
    damage = find_damage(made)
    if damage is not None:
        return f"{damage} was edited in some environment"
    sizes = {(file.scheme, file.path): file.size for file in whole.files}
    for file in made.files:
        with open(os.path.join(entry.path, file.scheme, *file.path.split("/")), "rb") as stream:
            head = stream.read(_HEADER.size)
        source = file.path.replace("__pycache__/", "").removesuffix(f".{tag}.pyc") + ".py"
        if len(head) < _HEADER.size:
            return f"{file.path} is too short"
        found, flags, mtime, size = _HEADER.unpack(head)
        expected = tree.mtime & 0xFFFFFFFF, sizes.get((file.scheme, source))
        if found.hex() != magic or (flags == 0 and (mtime, size) != expected):
            return f"{file.path} is not that of its module"
    return ""


def _read_manifest(entry: Entry) -> str:
    with open(os.path.join(entry.path, "manifest.json"), encoding="utf-8") as stream:
        return stream.read()
