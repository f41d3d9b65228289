"""The store: wheels and binary distributions unpacked once, and their byte code, ready to be linked into environments.

A tree is a directory that is complete or absent and never written to afterwards. It is named by the digest of its
archive and the umask (a linked file has one mode for all). Byte code lies in trees of its own, one for each kind of
interpreter, so that several versions of Python share the rest. A manifest holds all that an installation asks.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from pip_accel import _fs
from pip_accel._trees import (
    expand,
    find_damage,
    read_byte_code,
    read_manifest,
    recorded_size,
    write_byte_code,
    write_manifest,
)
from pip_accel._values import Archive, Target, Tree, TreeFile
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._archives import Contents

__all__ = ["Store"]

_MANIFEST = "manifest.json"
_BORROWED = "-borrowed"
_HEADER = 16  # bytes that byte code begins with (PEP 552)
_PORTION = 2 << 20  #: bytes of archives that are unpacked at once, at least
#: Errors that speak for the names in an archive: too long, or those of a file and of a directory.
_IMPOSSIBLE = frozenset((errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR))


class Store:
    """The trees that fit one target and one umask.

    :param root: directory of the store; made at the first addition.
    :param by_hash: byte code is checked by the digest of its source (``SOURCE_DATE_EPOCH``), as pip has it then.
    """

    def __init__(self, root: str, target: Target, *, umask: int, jobs: int, by_hash: bool = False) -> None:
        self.root = root
        self.target = target
        self.umask = umask
        self.jobs = jobs
        self.added = False  #: whether this run added a tree
        self.edited: list[tuple[str, str]] = []  #: trees that somebody had edited: name and version, and the file
        self.own = False  #: whether nothing that another machine made is given
        self.packed: dict[str, str] = {}  #: paths of byte code that other machines made, by digest of the archive
        self._sound: dict[str, Tree] = {}
        self._by_hash = by_hash
        self._byte_code_mode = stat.S_IMODE(0o666 & ~umask)
        self._byte_code = f"-{target.cache_tag}-{target.magic}" + ("-hash" if by_hash else "")

    def _location(self, sha256: str) -> str:
        return os.path.join(self.root, sha256[:2], f"{sha256}-{self.umask:03o}")

    def _byte_code_location(self, sha256: str) -> str:
        return self._location(sha256) + self._byte_code

    def _borrowed_location(self, sha256: str) -> str:
        """Say where byte code lies that another machine made."""
        return self._byte_code_location(sha256) + _BORROWED

    @property
    def _places(self) -> tuple[Callable[[str], str], ...]:
        """What say where the directories of a tree are."""
        return self._location, self._byte_code_location, self._borrowed_location

    def name_byte_code(self, sha256: str) -> str:
        """Name the byte code of an archive, the same on all machines that can use it."""
        return sha256 + self._byte_code

    def has(self, sha256: str) -> bool:
        """Whether the tree of an archive is there."""
        return os.path.exists(os.path.join(self._location(sha256), _MANIFEST))

    def find(self, sha256: str) -> Tree | None:
        """Give the tree of an archive, with its byte code, if both are there; that counts as a use."""
        tree, byte_code = self._find_source(sha256)
        return self._with_byte_code(sha256, tree) if tree is not None and byte_code else tree

    def _with_byte_code(self, sha256: str, tree: Tree) -> Tree | None:
        for place in (self._byte_code_location, self._borrowed_location):
            if place == self._borrowed_location and self.own:
                break
            location = place(sha256)
            try:
                return read_byte_code(_read_and_touch(os.path.join(location, _MANIFEST)), location, tree)
            except FileNotFoundError:
                pass
            except (ValueError, KeyError, TypeError, AttributeError):
                _discard(location)
        return None

    def _find_source(self, sha256: str) -> tuple[Tree | None, bool]:
        """Give the tree of an archive without byte code if it is there, and whether byte code can be made of it."""
        location = self._location(sha256)
        try:
            return read_manifest(_read_and_touch(os.path.join(location, _MANIFEST)), location)
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError):  # cut short by a full disk, or another hand
            _discard(location)
        return None, False

    def find_sound(self, sha256: str) -> Tree | None:
        """Give the tree of an archive if it is there and nobody has edited it; looked at once. An edited one goes."""
        while sha256 not in self._sound:
            seen = self._identify(sha256)
            tree = self.find(sha256)
            if tree is None:
                return None
            damage = find_damage(tree)
            if damage is None:
                self._sound[sha256] = tree
            elif seen == self._identify(sha256):  # and not replaced by another process meanwhile
                self.edited.append((f"{tree.name} {tree.version}", damage))
                self.discard(sha256)
                return None
        return self._sound[sha256]

    def look_again(self) -> None:
        """Forget which trees were sound when they were looked at."""
        self._sound.clear()

    def _identify(self, sha256: str) -> list[list[int]]:
        """Give what tells the directories of a tree from others that are made in their place."""
        return [_fs.state(place(sha256)) for place in self._places]

    def discard(self, sha256: str) -> None:
        """Take a tree away, and the byte code of it, so that it is unpacked anew."""
        self._sound.pop(sha256, None)
        for place in self._places:
            _discard(place(sha256))

    def add(self, archives: Sequence[Archive], *, jobs: int | None = None) -> list[Tree]:
        """Unpack archives that are not there yet, make missing byte code, and give their trees in the same order.

        :param jobs: processes that compile; by default as many as the store was told.
        :raises UnsafeArchive: one is damaged or has members that would leave the environment.
        :raises Unsupported: a wheel is one that pip has to judge.
        """
        self.added = True
        jobs = jobs or self.jobs
        portions = _portions(archives, jobs)
        if jobs > 1 and len(portions) > 1:  # one is unpacked while another is compiled
            from pip_accel._process import in_parallel

            in_parallel(lambda portion: self._add(portion, 1), portions, jobs)
        else:
            self._add(archives, jobs)
        trees = []
        for archive in archives:
            found = self.find(archive.sha256)
            if found is None:
                raise FileNotFoundError(self._location(archive.sha256))
            trees.append(found)
        return trees

    def _add(self, archives: Sequence[Archive], jobs: int) -> None:
        staged: list[tuple[str, str]] = []  # directories, and what they will be called
        try:
            sources: dict[str, Tree] = {}
            for archive in archives:
                tree, _ = self._find_source(archive.sha256)
                if tree is None:
                    tree = self._unpack(archive, _stage(self._location(archive.sha256), staged))
                    _write_manifest(tree.path, write_manifest(tree))
                sources[archive.sha256] = expand(tree)
            bare: list[tuple[Tree, str]] = []
            compiled: dict[str, int] = {}
            uncompiled: list[tuple[Tree, str]] = []
            for sha256, tree in sources.items():
                if not any(map(_is_python, tree.files)) or self._with_byte_code(sha256, tree) is not None:
                    continue
                made = self._unpack_byte_code(sha256, tree, staged)
                if made is None:
                    uncompiled.append((tree, _stage(self._byte_code_location(sha256), staged)))
                else:
                    bare.append((tree, staged[-1][0]))
                    compiled.update(made)
            bare += uncompiled
            compiled.update(self._compile(bare, jobs, compiled))
            for tree, location in bare:
                _write_manifest(location, write_byte_code(tree, self._byte_code_files(tree, location, compiled)))
            for location, final in staged:
                _fs.publish(location, final)
        except BaseException:
            for location, _ in staged:
                _fs.remove_tree(location)
            raise

    def _unpack(self, archive: Archive, location: str) -> Tree:
        from pip_accel._archives import read_bdist, read_wheel

        if archive.filename.endswith(".whl"):
            contents, opened = read_wheel(archive.path)
            close = opened.close
        else:
            contents, close = read_bdist(archive.path)
        try:
            return self._write(contents, archive.sha256, location)
        finally:
            close()

    def _write(self, contents: Contents, sha256: str, location: str) -> Tree:
        # Even whole seconds of the past that tar and zip keep, and that differ from one archive to the next.
        mtime = 1_000_000_000 + 2 * (int(sha256[:8], 16) % 300_000_000)
        plain, executable = 0o666 & ~self.umask, 0o777 & ~self.umask | 0o111
        files: dict[tuple[str, str], TreeFile] = {}
        made: set[str] = set()
        for entry in contents.entries:
            path = os.path.join(location, entry.scheme, *entry.path.split("/"))
            directory = os.path.dirname(path)
            mode = executable if entry.executable else plain
            try:
                if directory not in made:
                    _fs.make_directory(directory)
                    made.add(directory)
                _write_file(path, entry.data, mode, mtime)
            except OSError as error:
                if error.errno in _IMPOSSIBLE:
                    text = "{path!r} of {name} {version} cannot be unpacked: {reason}"
                    known = {"name": contents.name, "version": contents.version, "reason": error.strerror}
                    raise Unsupported(text, path=entry.path[:100], **known) from error
                raise
            kind = "script" if entry.script else "file"
            files[entry.scheme, entry.path] = TreeFile(
                entry.scheme, entry.path, mode, len(entry.data), entry.digest, kind, entry.size
            )
        return Tree(
            location,
            contents.name,
            contents.version,
            contents.lib,
            contents.dist_info,
            mtime,
            contents.launchers,
            tuple(files.values()),
            contents.rows,
        )

    def _unpack_byte_code(self, sha256: str, tree: Tree, staged: list[tuple[str, str]]) -> dict[str, int] | None:
        """Write byte code that another machine made; give sizes by path, ``None`` if there is none.

        Only what would be made here is taken: one file for each file of Python, and nothing else.

        :param staged: gets the directory that it was written to, and what that will be called.
        """
        path = self.packed.get(sha256)
        if path is None or self.own:
            return None
        from pip_accel._byte_code import read_packed, unpack

        made: dict[str, int] = {}
        wanted = {(file.scheme, self._byte_code_path(file.path)): file for file in tree.files if _is_python(file)}
        directories: set[str] = set()
        location = _stage(self._borrowed_location(sha256), staged)
        try:
            for scheme, relative, data in unpack(read_packed(path), self.name_byte_code(sha256)):
                target = os.path.join(location, scheme, *relative.split("/"))
                source = wanted.get((scheme, relative))
                if source is None or target in made or not self._is_byte_code_of(data, source, tree.mtime):
                    raise ValueError(relative)
                directory = os.path.dirname(target)
                if directory not in directories:
                    directories.add(directory)
                    _fs.make_directory(directory)
                _write_file(target, data, self._byte_code_mode, tree.mtime)
                made[target] = len(data)
        except (ValueError, FileNotFoundError):  # made here then
            staged.pop()
            _fs.remove_tree(location)
            return None
        return made

    def _is_byte_code_of(self, data: memoryview, source: TreeFile, mtime: int) -> bool:
        """Whether data begin as byte code of a file does: so that it is loaded as long as that has not changed."""
        magic = bytes.fromhex(self.target.magic)
        if self._by_hash:
            begins = magic + (0b11).to_bytes(4, "little")
        else:
            begins = magic + b"".join(each.to_bytes(4, "little") for each in (0, mtime, source.size & 0xFFFFFFFF))
        return len(data) > _HEADER and data[: len(begins)] == begins

    def _compile(self, trees: Iterable[tuple[Tree, str]], jobs: int, done: Container[str]) -> dict[str, int]:
        """Make the byte code of trees below a directory for each, over all cores; give the sizes of what was made.

        :param done: paths of what there is already.
        """
        from pip_accel._process import in_parallel, run

        tasks = []
        directories: set[str] = set()
        for tree, location in trees:
            for file in filter(_is_python, tree.files):
                source = os.path.join(tree.path, file.scheme, *file.path.split("/"))
                target = os.path.join(location, file.scheme, *self._byte_code_path(file.path).split("/"))
                if target in done:
                    continue
                if os.path.dirname(target) not in directories:
                    directories.add(os.path.dirname(target))
                    _fs.make_directory(os.path.dirname(target))
                tasks.append((file.size, [source, target, file.path, tree.mtime]))
        if not tasks:
            return {}
        tasks.sort(reverse=True)
        slices = [[task for _, task in tasks[start::jobs]] for start in range(jobs)]
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_compile.py")

        def compile_slice(part: list[list[Any]]) -> str:
            # Without site: what a .pth file prints is not for us.
            command = [self.target.python, "-I", "-S", "-W", "ignore", script]
            done = run(command, text=json.dumps([self._byte_code_mode, part]))
            if done.status != 0:  # a tree without its byte code would be one for good
                said = done.errors.strip().splitlines() or [f"exit status {done.status}"]
                raise OSError(f"{os.path.basename(script)} failed: {said[-1]}")
            return done.output

        outputs = in_parallel(compile_slice, [part for part in slices if part], jobs)
        return {target: size for output in outputs for target, size in json.loads(output)}

    def _byte_code_path(self, path: str) -> str:
        directory, _, name = path.rpartition("/")
        if name == ".py":
            raise Unsupported("Byte code of {path} is something that pip has its own name for", path=path)
        return f"{directory}/__pycache__/{name[:-3]}.{self.target.cache_tag}.pyc".lstrip("/")

    def _byte_code_files(self, tree: Tree, location: str, compiled: Mapping[str, int]) -> list[TreeFile]:
        """Give the files of byte code that was made for a tree.

        :param compiled: sizes by absolute path.
        """
        files = {(file.scheme, file.path): file for file in tree.files}
        found = []
        for file in filter(_is_python, tree.files):
            relative = self._byte_code_path(file.path)
            path = os.path.join(location, file.scheme, *relative.split("/"))
            if path not in compiled:
                continue
            kind = "script-bytecode" if file.kind == "script" else "bytecode"
            digest, recorded = "", None
            own = files.get((file.scheme, relative))
            if own is not None:
                if file.kind == "script":
                    raise Unsupported("{path} comes with byte code of its own", path=file.path)
                kind, digest, recorded = "replaced-bytecode", own.digest, recorded_size(own)
            mode, size = self._byte_code_mode, compiled[path]
            found.append(TreeFile(file.scheme, relative, mode, size, digest, kind, recorded))
        return found


def _write_file(path: str, data: bytes | memoryview, mode: int, mtime: int) -> None:
    """Write a file of a tree; of names that come twice the last one counts."""
    with _fs.naming(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            _fs.stamp(handle, path, mode, (mtime * 10**9, mtime * 10**9))
        finally:
            os.close(handle)


def _portions(archives: Sequence[Archive], jobs: int) -> list[list[Archive]]:
    """Divide archives into portions that get smaller: each starts an interpreter, and all shall end together."""
    sizes = {archive.sha256: (os.path.getsize(archive.path), archive) for archive in archives}
    left = sum(size for size, _ in sizes.values())
    portions: list[list[Archive]] = []
    room = 0
    for size, archive in sorted(sizes.values(), key=lambda each: each[0], reverse=True):
        if size > room or not portions:
            portions.append([])
            room = max(_PORTION, left // (4 * jobs))
        portions[-1].append(archive)
        room -= size
        left -= size
    return portions


def _is_python(file: TreeFile) -> bool:
    return file.path.endswith(".py")


def _read_and_touch(path: str) -> str:
    return _fs.read_bytes(path, touch=True).decode("utf-8")


def _stage(final: str, staged: list[tuple[str, str]]) -> str:
    """Make a directory under another name than its final one, and note that."""
    _fs.make_directory(os.path.dirname(final))
    location = _fs.unique_name(final)
    os.mkdir(location, 0o755)
    staged.append((location, final))
    return location


def _write_manifest(location: str, text: str) -> None:
    _fs.write_file(os.path.join(location, _MANIFEST), text)


def _discard(location: str) -> None:
    aside = _fs.unique_name(location)
    try:
        os.rename(location, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            return
        aside = location
    _fs.remove_tree(aside)
