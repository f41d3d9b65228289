"""Which file of a distribution goes where, and what is written beside it (PEP 376, PEP 427, PEP 610), as pip has it.

Nothing is changed here; of the store, only scripts are read, as their contents depend on the target.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from pip_accel._digests import sha256, spell
from pip_accel._install.scripts import fix_script, launcher_mode, make_launchers
from pip_accel._trees import expand, recorded_size
from pip_accel._values import Bundle, Change, Row, Target, Tree
from pip_accel.exceptions import UnsafeArchive, Unsupported

__all__ = ["Layout", "Row", "Whole", "Write", "format_rows", "plan"]


class Write(NamedTuple):
    """A file that is written and not linked."""

    path: str  #: absolute
    data: bytes
    mode: int  #: permission bits
    mtime: int | None  #: seconds; ``None``: the time of writing


class Whole(NamedTuple):
    """Entries of the directory of the libraries that come with one distribution, with all that is in them."""

    base: str  #: that directory, absolute
    names: tuple[str, ...]  #: of the entries; the directory of the metadata is the last
    bundles: tuple[Bundle, ...]  #: their files
    mtime: int  #: of these, seconds
    writes: list[Write]  #: files that are written and not linked; paths are relative to the base
    rows: list[Row]  #: what RECORD says beyond the files of the bundles
    mode: int  #: permission bits of RECORD


class Layout(NamedTuple):
    """The files of one distribution under their final names, each name once."""

    links: list[tuple[str, str]]  #: source in the store, destination
    writes: list[Write]
    record: Write | None  #: last of all: where it is, the installation is complete; ``None`` if it stays out
    whole: Whole | None = None  #: what comes beside these


class _Places:
    """Directories that files of a tree go to, each looked at once: 22,000 files lie in 6,000 directories."""

    def __init__(self, tree: Tree, target: Target) -> None:
        _check_name(tree.name, tree)
        _check_name(tree.dist_info, tree)
        self._tree = tree
        bases = target.scheme._replace(headers=os.path.join(target.scheme.headers, tree.name))
        self._bases = {scheme: os.path.normpath(base) for scheme, base in zip(bases._fields, bases, strict=True)}
        self._known: dict[tuple[str, str], tuple[str, str, str]] = {}

    def find(self, scheme: str, directory: str) -> tuple[str, str, str]:
        """Give source, destination and RECORD's form of a directory, each with its separator at the end."""
        known = self._known.get((scheme, directory))
        if known is None:
            known = self._known[scheme, directory] = self._find(scheme, directory)
        return known

    def _find(self, scheme: str, directory: str) -> tuple[str, str, str]:
        base = self._bases.get(scheme)
        if base is None:
            raise UnsafeArchive("{name} has files in the unknown scheme {path!r}", name=self._tree.name, path=scheme)
        if scheme == self._tree.lib and _is_plain(directory):
            return f"{self._tree.path}/{scheme}/{directory}/", f"{base}/{directory}/", f"{directory}/"
        source = os.path.join(self._tree.path, scheme, *directory.split("/"))
        destination = os.path.normpath(os.path.join(base, *directory.split("/")))
        inside = destination == base or destination.startswith(base.rstrip(os.sep) + os.sep)
        if not inside or directory.startswith("/") or "\0" in directory:
            _refuse(directory, self._tree)
        row = _record_path(destination, self._bases[self._tree.lib])
        return os.path.join(source, ""), os.path.join(destination, ""), "" if row == "." else row + "/"


def _is_plain(directory: str) -> bool:
    """Whether a path needs no normalisation. That is the case for most, and saves half of the time of planning."""
    if os.sep != "/" or "\0" in directory:
        return False
    framed = f"/{directory}/"
    return "//" not in framed and "/." not in framed


def plan(
    change: Change, target: Target, *, byte_code: bool, template: str, umask: int, whole: bool = False
) -> Layout:
    """Decide what an installation of one distribution consists of.

    :param byte_code: whether byte code is installed (``--no-compile`` leaves it out).
    :param template: body of launchers, see :func:`~pip_accel._install.scripts.learn_template`.
    :param whole: whether the bundles of the tree come as they are.
    :raises UnsafeArchive: a file would lie outside its scheme's directory.
    :raises Unsupported: pip would do it in a way that is its own.
    """
    tree = change.tree if whole else expand(change.tree)
    places = _Places(tree, target)
    links: dict[str, str] = {}
    writes: dict[str, Write] = {}
    rows: list[Row] = []
    byte_code_rows: set[Row] = set()
    changed: dict[str, Row] = {}
    for file in tree.files:
        scheme, path, mode, _, digest, kind, _ = file
        directory, _, name = path.rpartition("/")
        source, destination, row = places.find(scheme, directory)
        if name in ("", ".", "..") or "\0" in name or (os.sep != "/" and (os.sep in name or ":" in name)):
            _refuse(path, tree)
        if kind == "file":
            links[destination + name] = source + name
            rows.append((row + name, digest, recorded_size(file)))
        elif kind == "script":
            if destination + name in links:
                raise Unsupported("{name} has two files {path}", name=tree.name, path=destination + name)
            data = fix_script(_read(source + name), target.python)
            writes[destination + name] = Write(destination + name, data, mode, tree.mtime)
            changed[row + name] = (row + name, *_measure(data))
            rows.append(changed[row + name])
        elif byte_code:
            byte_code_rows.add((row + name, "", ""))
            if kind == "replaced-bytecode":
                rows.append((row + name, digest, recorded_size(file)))
            compiled = f"{tree.byte_code}/{scheme}/{path}" if tree.byte_code else source + name
            if kind != "script-bytecode":
                links[destination + name] = compiled
            else:
                script = places.find(scheme, directory.rpartition("/")[0])[0] + _source_name(name, target)
                data = _validate_byte_code(_read(compiled), fix_script(_read(script), target.python), tree.mtime)
                writes[destination + name] = Write(destination + name, data, mode, tree.mtime)
        elif kind == "replaced-bytecode":
            raise Unsupported("{name} has byte code of its own in {path}", name=tree.name, path=path)
    rows += byte_code_rows
    rows += [changed.get(row[0], row) for row in tree.rows]

    generated: dict[str, Write] = {}
    _, scripts, row = places.find("scripts", "")
    launchers = make_launchers(tree.launchers, target, template)
    for name, data in launchers:
        generated[scripts + name] = Write(scripts + name, data, launcher_mode(umask), None)
    # Where a name comes twice, there are two rows of the one that is there in the end.
    rows += [(row + name, *_measure(generated[scripts + name].data)) for name, _ in launchers]
    _, info, row = places.find(tree.lib, tree.dist_info)
    metadata = {"INSTALLER": b"pip\n"}
    if change.direct_url:
        metadata["direct_url.json"] = change.direct_url.encode("utf-8")
    if change.requested:
        metadata["REQUESTED"] = b""
    for name, data in metadata.items():
        generated[info + name] = Write(info + name, data, 0o666 & ~umask, None)
        rows.append((row + name, *_measure(data)))
    rows.append((row + "RECORD", "", ""))

    bundles = tree.bundles if byte_code else tree.bundles[:1]
    record = Write(info + "RECORD", b"" if whole else format_rows(rows, bundles), 0o666 & ~umask, None)
    if whole:
        base = info[: -len(tree.dist_info) - 1]
        inside = [generated.pop(info + name) for name in metadata]
        inside = [write._replace(path=write.path[len(base) :]) for write in inside]
        paths = (path for bundle in bundles for group in bundle.groups for path in group.paths)
        names = tree.names if byte_code else tuple(dict.fromkeys(path.partition("/")[0] for path in paths))
        names = (*(name for name in names if name != tree.dist_info), tree.dist_info)
        together = Whole(base.rstrip(os.sep), names, bundles, tree.mtime, inside, rows, 0o666 & ~umask)
    writes.update(generated)
    for path in (*writes, record.path):
        links.pop(path, None)
    writes.pop(record.path, None)
    pairs = [(source, destination) for destination, source in links.items()]
    if whole:
        return Layout(pairs, list(writes.values()), None, together)
    return Layout(pairs, list(writes.values()), record)


def format_rows(rows: Iterable[Row], bundles: Iterable[Bundle] = ()) -> bytes:
    """Give the text of RECORD, as the :mod:`csv` module with its defaults writes it, sorted."""
    lines = ["\0".join(row) for row in rows]
    for bundle in bundles:
        lines += bundle.rows
    lines.sort()  # as the tuples would be: nothing comes before a NUL
    text = "\r\n".join([*lines, ""])
    # Names that need quotes are rare, and importing csv costs more than looking for them.
    if '"' in text or "," in text or not text.count("\n") == text.count("\r") == len(lines):
        import csv
        import io

        stream = io.StringIO(newline="")
        csv.writer(stream).writerows(line.split("\0") for line in lines)
        text = stream.getvalue()
    return text.replace("\0", ",").encode("utf-8")


def _record_path(path: str, lib: str) -> str:
    """Give a path as RECORD has it: relative unless it lies on another drive."""
    if os.path.splitdrive(path)[0].lower() == os.path.splitdrive(lib)[0].lower():
        path = os.path.relpath(path, lib)
    return path.replace(os.sep, "/")


def _measure(data: bytes) -> tuple[str, str]:
    """Give digest and size as RECORD spells them."""
    return spell(sha256(data).digest()), str(len(data))


def _source_name(name: str, target: Target) -> str:
    """Give the name of the source of a byte code file, after :func:`importlib.util.source_from_cache`."""
    return name.removesuffix(".pyc").removesuffix("." + target.cache_tag) + ".py"


def _validate_byte_code(data: bytes, source: bytes, mtime: int) -> bytes:
    """Make byte code valid for a source whose first line was changed (PEP 552)."""
    if int.from_bytes(data[4:8], "little") & 1:
        import _imp

        check = _imp.source_hash(int.from_bytes(data[:4], "little"), source)
    else:
        check = (mtime & 0xFFFFFFFF).to_bytes(4, "little") + (len(source) & 0xFFFFFFFF).to_bytes(4, "little")
    return data[:8] + check + data[16:]


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _check_name(name: str, tree: Tree) -> None:
    if name in ("", ".", "..") or "/" in name or os.sep in name or "\0" in name:
        _refuse(name, tree)


def _refuse(path: str, tree: Tree) -> None:
    raise UnsafeArchive("{name} has files under the unsafe name {path!r}", name=tree.name, path=path)
