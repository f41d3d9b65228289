"""The store: wheels and binary distributions unpacked once, with byte code, ready to be linked into environments.

A tree is a directory that is complete or absent and never written to afterwards. It is named by the digest of its
archive, the umask (a linked file has one mode for all) and the byte code in it. Its manifest holds all that an
installation asks.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Sequence

from pip_accel import _fs
from pip_accel._values import Archive, Launcher, Target, Tree, TreeFile
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._archives import Contents

__all__ = ["Store"]

_MANIFEST = "manifest.json"
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
        self._sound: dict[str, Tree] = {}
        byte_code = f"{target.cache_tag}-{target.magic}" + ("-hash" if by_hash else "")
        self._suffix = f"-{umask:03o}-{byte_code}"

    def _location(self, sha256: str) -> str:
        return os.path.join(self.root, sha256[:2], sha256 + self._suffix)

    def has(self, sha256: str) -> bool:
        """Whether the tree of an archive is there."""
        return os.path.exists(os.path.join(self._location(sha256), _MANIFEST))

    def find(self, sha256: str) -> Tree | None:
        """Give the tree of an archive if it is there; that counts as a use."""
        location = self._location(sha256)
        try:
            with open(os.path.join(location, _MANIFEST), encoding="utf-8") as stream:
                manifest = json.load(stream)
            os.utime(os.path.join(location, _MANIFEST))
            return Tree(
                location,
                manifest["name"],
                manifest["version"],
                manifest["lib"],
                manifest["dist-info"],
                manifest["mtime"],
                tuple(Launcher(*each) for each in manifest["launchers"]),
                tuple(TreeFile(*each) for each in manifest["files"]),
                tuple((path, digest, size) for path, digest, size in manifest["rows"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # a manifest that a full disk cut short, or another hand
            self.discard(sha256)
            return None

    def find_sound(self, sha256: str) -> Tree | None:
        """Give the tree of an archive if it is there and nobody has edited it; looked at once. An edited one goes."""
        from pip_accel._install.link import find_damage

        tree = self._sound.get(sha256) or self.find(sha256)
        if tree is None or sha256 in self._sound:
            return tree
        damage = find_damage(tree)
        if damage is not None:
            self.edited.append((f"{tree.name} {tree.version}", damage.path))
            self.discard(sha256)
            return None
        self._sound[sha256] = tree
        return tree

    def discard(self, sha256: str) -> None:
        """Take a tree away, so that it is unpacked anew."""
        location = self._location(sha256)
        aside = _fs.unique_name(location)
        try:
            os.rename(location, aside)
        except OSError as error:
            if error.errno != errno.EXDEV:
                return
            aside = location
        _fs.remove_tree(aside)

    def add(self, archives: Sequence[Archive]) -> list[Tree]:
        """Unpack archives that are not there yet, and give their trees in the same order.

        :raises UnsafeArchive: one is damaged or has members that would leave the environment.
        :raises Unsupported: a wheel is one that pip has to judge.
        """
        self.added = True
        staged: list[str] = []
        unpacked: list[Tree] = []
        try:
            for archive in archives:
                _fs.make_directory(os.path.dirname(self._location(archive.sha256)))
                location = _fs.unique_name(self._location(archive.sha256))
                os.mkdir(location, 0o755)
                staged.append(location)
                unpacked.append(self._unpack(archive, location))
            compiled = self._compile(unpacked)
            for archive, location, tree in zip(archives, staged, unpacked, strict=True):
                self._finish(tree, compiled)
                _fs.publish(location, self._location(archive.sha256))
        except BaseException:
            for location in staged:
                _fs.remove_tree(location)
            raise
        trees = []
        for archive in archives:
            found = self.find(archive.sha256)
            if found is None:
                raise FileNotFoundError(self._location(archive.sha256))
            trees.append(found)
        return trees

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
                with open(path, "wb") as stream:
                    stream.write(entry.data)
            except OSError as error:
                if error.errno in _IMPOSSIBLE:
                    raise Unsupported("{path} cannot be unpacked: {error}", path=entry.path, error=error) from error
                raise
            os.chmod(path, mode)
            os.utime(path, (mtime, mtime))
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

    def _compile(self, trees: Iterable[Tree]) -> set[str]:
        """Make the byte code of trees, over all cores; give the files that were made."""
        from pip_accel._process import in_parallel, run

        tasks = []
        for tree in trees:
            for file in tree.files:
                if file.path.endswith(".py"):
                    source = os.path.join(tree.path, file.scheme, *file.path.split("/"))
                    target = os.path.join(tree.path, file.scheme, *self._byte_code_path(file.path).split("/"))
                    _fs.make_directory(os.path.dirname(target))
                    tasks.append((file.size, [source, target, file.path]))
        if not tasks:
            return set()
        tasks.sort(reverse=True)
        slices = [[task for _, task in tasks[start :: self.jobs]] for start in range(self.jobs)]
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_compile.py")

        def compile_slice(part: list[list[str]]) -> str:
            # Without site: what a .pth file prints is not for us.
            command = [self.target.python, "-I", "-S", "-W", "ignore", script]
            return run(command, text=json.dumps(part)).output

        outputs = in_parallel(compile_slice, [part for part in slices if part], self.jobs)
        return {json.loads(line) for output in outputs for line in output.splitlines()}

    def _byte_code_path(self, path: str) -> str:
        directory, _, name = path.rpartition("/")
        if name == ".py":
            raise Unsupported("Byte code of {path} is something that pip has its own name for", path=path)
        return f"{directory}/__pycache__/{name[:-3]}.{self.target.cache_tag}.pyc".lstrip("/")

    def _finish(self, tree: Tree, compiled: set[str]) -> None:
        """Take byte code into the manifest, and write it."""
        files = {(file.scheme, file.path): file for file in tree.files}
        for file in tree.files:
            if not file.path.endswith(".py"):
                continue
            relative = self._byte_code_path(file.path)
            path = os.path.join(tree.path, file.scheme, *relative.split("/"))
            if path not in compiled:
                continue
            mode = stat.S_IMODE(0o666 & ~self.umask)
            os.chmod(path, mode)
            os.utime(path, (tree.mtime, tree.mtime))
            kind = "script-bytecode" if file.kind == "script" else "bytecode"
            digest, recorded_size = "", None
            own = files.get((file.scheme, relative))
            if own is not None:
                if file.kind == "script":
                    raise Unsupported("{path} comes with byte code of its own", path=file.path)
                kind, digest = "replaced-bytecode", own.digest
                recorded_size = own.recorded_size
                if recorded_size is None:
                    recorded_size = str(own.size) if digest else ""
            size = os.path.getsize(path)
            files[file.scheme, relative] = TreeFile(file.scheme, relative, mode, size, digest, kind, recorded_size)
        manifest = {
            "name": tree.name,
            "version": tree.version,
            "lib": tree.lib,
            "dist-info": tree.dist_info,
            "mtime": tree.mtime,
            "launchers": tree.launchers,
            "bytes": sum(file.size for file in files.values()),
            "files": [file if file.recorded_size is not None else file[:-1] for file in files.values()],
            "rows": tree.rows,
        }
        _fs.write_file(os.path.join(tree.path, _MANIFEST), json.dumps(manifest, separators=(",", ":")))
