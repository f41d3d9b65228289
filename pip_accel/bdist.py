"""Binary distributions as programs that embed pip-accel see them: built, taken apart into members, and installed.

*Members* are pairs of a :class:`tarfile.TarInfo`, whose name is relative to a prefix
(``lib/python3.12/site-packages/six.py``, ``bin/tool``), and a binary file object with the content.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from pip_accel import _fs
from pip_accel._archives import (
    MANIFEST_NAME,
    Contents,
    Entry,
    is_whole,
    parse_entry_points,
    read_manifest,
    read_wheel,
    record_digest,
    write_bdist,
)
from pip_accel._metadata import read_headers
from pip_accel._names import canonical_name
from pip_accel._plausibility import WRITTEN_AT_INSTALLATION, check_member_name
from pip_accel._values import Archive, Change, Target, Tree
from pip_accel.exceptions import (
    BinaryDistributionError,
    BuildFailed,
    InvalidSourceDistribution,
    NoBuildOutput,
    PipAcceleratorError,
    SystemDependencyError,
    UnsafeArchive,
)
from pip_accel.req import (
    Requirement,
    find_destination,
    find_environment,
    find_replaced,
    find_update,
    open_engine_for,
    open_resources,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pip_accel._build.builder import Lent
    from pip_accel._engine import Engine
    from pip_accel._install.steps import Steps
    from pip_accel._resources import Resources
    from pip_accel.config import Config

__all__ = ["BinaryDistributionManager"]

Member = tuple[tarfile.TarInfo, BinaryIO]
_Text = TypeVar("_Text", bytes, str)

#: Runs a ``setup.py`` under setuptools, so that one that knows distutils only leaves metadata, too.
_RUN_SETUP = """\
import os, sys, tokenize, setuptools
sys.argv[0] = "setup.py"
__file__ = os.path.abspath("setup.py")
with tokenize.open(__file__) as stream:
    code = stream.read().replace("\\r\\n", "\\n")
exec(compile(code, __file__, "exec"))
"""
_LEGACY_COMMANDS = (["bdist_dumb", "--format=tar"], ["bdist", "--formats=gztar"])
#: What :func:`~pip_accel._archives.write_bdist` names members by, and the schemes that it means.
_PLACES = (
    ("purelib", re.compile(r"lib/python[\d.]+/site-packages/(.+)", re.DOTALL)),
    ("scripts", re.compile(r"bin/(.+)", re.DOTALL)),
    ("headers", re.compile(r"include/site/python[\d.]+/[^/]+/(.+)", re.DOTALL)),
)
_LIBS = ("purelib", "platlib")
#: What of an ``.egg-info`` says nothing about what is installed, or in another way.
_LEFT_OUT = ("PKG-INFO", "SOURCES.txt", "requires.txt", "dependency_links.txt", "not-zip-safe", "zip-safe")


class BinaryDistributionManager:
    """Builds binary distributions, and installs them.

    It works for the environment of ``config.python_executable``, by default the one it runs in. Archives that it makes
    lie in a temporary directory that goes with the manager: when it is garbage-collected, or the process ends.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._place: str | None = None
        self._prefixes: dict[str, str] = {}  #: of archives that were built here: the prefix they were made for

    # Building

    def get_binary_dist(self, requirement: Requirement) -> Iterator[Member]:
        """Give the members of a binary distribution, found by its key in a cache or built now; in order.

        It is built and checked before this returns. The manifest is not among the members; hashbangs that are to name
        an interpreter read ``#!python``. Of a wheel these are its own files, under the names that they get.

        :raises BinaryDistributionError: it cannot be built; the whole output of the build, as far as there is one, is
            ``output`` in the context.
        :raises DataDirectoryError: the data directory cannot be used.
        :raises Unsupported: only pip itself can serve this requirement.
        """
        archive = requirement.archive
        if archive is not None and archive.sha256 and archive.filename.endswith(".whl"):
            with _translated(requirement):
                return self._read(self._pack_wheel(archive.path))
        with open_engine_for(self.config, requirement.name) as (_, engine), _translated(requirement):
            built = self._build_with_packages(engine, requirement)
            return self._read(self._keep(built.path))

    def _build_with_packages(self, engine: Engine, requirement: Requirement) -> Archive:
        """Build; if that fails for want of system packages, and these may be installed, once more."""
        try:
            return engine.builder.obtain(requirement.pin(engine.resources.index))
        except (BuildFailed, NoBuildOutput) as error:
            from pip_accel._rounds import Rounds

            try:
                if not Rounds(self.config, target=engine.resources.target).mend(error):
                    raise
            except SystemDependencyError as reason:
                raise BuildFailed(
                    "{error}\n\n{reason}", error=error, reason=reason, output=error.context.get("output", "")
                ) from reason
            return engine.builder.obtain(requirement.pin(engine.resources.index))

    def needs_invalidation(self, requirement: Requirement, cache_file: str) -> bool:
        """Whether a cached archive is damaged, or was built from another source than ``requirement.checksum``."""
        return not is_whole(cache_file) or self.recall_checksum(cache_file) != requirement.checksum

    def recall_checksum(self, cache_file: str) -> str | None:
        """Give the SHA-256 of the source that a cached archive was built from, ``None`` if its manifest has none."""
        key = (read_manifest(cache_file) or {}).get("key")
        checksum = key.get("source") if isinstance(key, dict) else None
        return checksum if isinstance(checksum, str) else None

    def persist_checksum(self, requirement: Requirement, cache_file: str) -> None:
        """Do nothing: the checksum is in the archive's manifest already."""

    def build_binary_dist(self, requirement: Requirement) -> str:
        """Build an sdist now, whatever caches have; give the absolute path of what the build left.

        A project that has only a ``setup.py`` is built with ``bdist_dumb``, else with ``bdist``; one with a
        ``[build-system]``, and where both of these fail or leave a file outside of the prefix, as a wheel.

        :returns: a tarball or a wheel for :meth:`transform_binary_dist`. It goes with this manager.
        :raises InvalidSourceDistribution: there is neither a ``setup.py`` nor a ``pyproject.toml``.
        :raises BinaryDistributionError: every way failed; the whole output is ``output`` in the context.
        """
        from pip_accel._build.transform import read_foreign

        said: list[str] = []
        with self._workshop(requirement) as shop:
            for command in _LEGACY_COMMANDS if shop.legacy else ():
                try:
                    built = self._run_setup(shop, command)
                    for _ in read_foreign(built, shop.lent.environment.target.prefix):
                        pass
                    return built
                except BinaryDistributionError as error:
                    said.append(str(error.context.get("output", error)))
            place = self._new_directory()
            try:
                return shop.lent.backend.wheel(place, None)
            except BinaryDistributionError as error:
                error.context = {**error.context, "output": "\n".join([*said, shop.lent.backend.output])}
                raise

    def build_binary_dist_helper(self, requirement: Requirement, setup_command: Sequence[str]) -> str:
        """Build a project that has only a ``setup.py`` in one way, isolated; give the absolute path of the archive.

        :param setup_command: the words after ``setup.py``, such as ``["bdist_dumb", "--format=tar"]``.
        :raises InvalidSourceDistribution: it is another kind of project.
        :raises BuildFailed: the command gave another status than 0.
        :raises NoBuildOutput: it did not leave exactly one file in ``dist``.
        """
        with self._workshop(requirement) as shop:
            if not shop.legacy:
                raise InvalidSourceDistribution(
                    "{requirement} is not an sdist with a setup.py and nothing else.", requirement=requirement
                )
            return self._run_setup(shop, setup_command)

    @contextmanager
    def _workshop(self, requirement: Requirement) -> Iterator[_Workshop]:
        """Give a source tree, and what it is built with."""
        from pip_accel._build.source import unpack_sdist

        if requirement.archive is not None and requirement.archive.filename.endswith(".whl"):
            raise InvalidSourceDistribution("{requirement} is a wheel already.", requirement=requirement)
        with open_engine_for(self.config, requirement.name) as (_, engine), _translated(requirement):
            archive = requirement.pin(engine.resources.index).archive
            source, in_place = archive.path, not archive.sha256  # a directory is the user's own
            if not in_place:
                source = unpack_sdist(source, os.path.join(engine.resources.directory("build"), "tree"))
            label, project = str(requirement), canonical_name(requirement.name)
            tree = engine.builder.examine(source)
            with engine.builder.lend(tree, label, project, in_place=in_place) as lent:
                yield _Workshop(source, tree.system.legacy and not in_place, lent, label)

    def _run_setup(self, shop: _Workshop, words: Sequence[str]) -> str:
        from pip_accel._process import run

        dist = os.path.join(shop.source, "dist")
        _fs.remove_tree(dist)
        target = shop.lent.environment.target
        command = [target.python, "-c", _RUN_SETUP, *words]
        answer = run(command, cwd=shop.source, env=shop.lent.environ, merge=True)
        if answer.status != 0:
            raise BuildFailed(
                "setup.py {words} of {label} failed with status {status}:\n\n{output}",
                words=" ".join(words),
                label=shop.label,
                status=answer.status,
                output=answer.output,
            )
        names = os.listdir(dist) if os.path.isdir(dist) else []
        if len(names) != 1:
            raise NoBuildOutput(
                "setup.py {words} of {label} left {count} files in dist, not one:\n\n{output}",
                words=" ".join(words),
                label=shop.label,
                count=len(names),
                output=answer.output,
            )
        path = os.path.join(self._new_directory(), names[0])
        shutil.move(os.path.join(dist, names[0]), path)
        self._prefixes[path] = target.prefix
        return path

    def transform_binary_dist(self, archive_path: str) -> Iterator[Member]:
        """Give the members of what a build left, with names relative to the prefix it was built for.

        A manifest is added in front, hashbangs become ``#!python``, ``*.egg-info`` becomes ``*.dist-info``. Nothing is
        given before all of the archive was looked at.

        :param archive_path: a tarball of ``bdist_dumb`` or ``bdist``, built by this manager or for
            ``config.install_prefix``; or a wheel.
        :raises BinaryDistributionError: a file would lie outside of the prefix, or the metadata is missing.
        :raises UnsafeArchive: it is damaged.
        :raises Unsupported: it is a wheel that pip would not install, or not in this way.
        """
        path = os.path.abspath(archive_path)
        if path.endswith(".whl"):
            packed = self._pack_wheel(path)
        elif read_manifest(path) is not None:
            if not is_whole(path):
                raise UnsafeArchive("{path} is damaged.", path=path)
            packed = self._keep(path)
        else:
            from pip_accel._build.transform import read_foreign

            entries = read_foreign(path, self._prefixes.get(path, self.config.install_prefix))
            packed = self._pack(_gather(entries, find_environment(self.config)[0], os.path.basename(path)))
        return self._read(packed, manifest=True)

    def _pack_wheel(self, path: str) -> str:
        contents, opened = read_wheel(path)
        with opened:
            return self._pack(contents)

    def _pack(self, contents: Contents) -> str:
        """Write an archive that no key leads to; give its path."""
        path = os.path.join(self._new_directory(), f"{canonical_name(contents.name)}.tar.gz")
        _write(contents, path, self.config, find_environment(self.config)[0])
        return path

    def _keep(self, path: str) -> str:
        """Copy an archive to where it stays while its members are read."""
        return shutil.copyfile(path, os.path.join(self._new_directory(), os.path.basename(path)))

    def _read(self, path: str, *, manifest: bool = False) -> Iterator[Member]:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is not None and (manifest or member.name != MANIFEST_NAME):
                    yield member, io.BytesIO(stream.read())  # outlives the archive

    def _new_directory(self) -> str:
        import tempfile

        if self._place is None:
            self._place = tempfile.mkdtemp(prefix="pip-accel-")
            weakref.finalize(self, _fs.remove_tree, self._place)
        return tempfile.mkdtemp(dir=self._place)

    # Installation

    def install_binary_dist(
        self,
        members: Iterable[Member],
        virtualenv_compatible: bool = True,
        prefix: str | None = None,
        python: str | None = None,
        track_installed_files: bool = False,
        *,
        requirement: Requirement | None = None,
    ) -> None:
        """Install a binary distribution as pip would have: all of it, or nothing. What is there of it is replaced.

        :param members: in any order; a manifest among them is passed over. All of them are read before the first file
            is written.
        :param virtualenv_compatible: whether headers go to ``include/site`` in a virtual environment, as with pip.
        :param prefix: absolute path, used as by pip's ``--prefix``; by default ``config.install_prefix``, where pip
            installs without that option.
        :param python: absolute path of the interpreter that scripts name, by default ``config.python_executable``. It
            need not be there yet. Without a prefix it has no say in where files go.
        :param track_installed_files: accepted and without effect: RECORD is always written.
        :param requirement: says whether it was asked for, and by which URL; by default it was, by its name.
        :raises UnsafeArchive: a member would land outside of the prefix, or is no file.
        :raises BinaryDistributionError: the members are not those of one distribution.
        :raises Unsupported: only pip can do this: another tool manages the environment, say.
        :raises LinkError: a file cannot be written.
        """
        from pip_accel._accelerator import check_target
        from pip_accel._install.link import Linker
        from pip_accel._install.steps import decide
        from pip_accel._install.transaction import lock_prefix, pending, repair

        target = find_destination(self.config, prefix, python, virtualenv_compatible=virtualenv_compatible)
        contents = _gather(_entries(members), target, "The binary distribution")
        with open_resources(self.config, contents.name, target, None) as (request, resources):
            check_target(target, request.manner)
            if python is not None and not os.path.isdir(python):
                target = target._replace(python=os.path.abspath(python))
            tree = _unpack(contents, resources)
            requested = requirement is None or requirement.is_direct
            change = Change(tree, requested, "" if requirement is None else requirement.direct_url, None)
            linker = Linker(self.config.link_mode, self.config.copy_patterns)  # type: ignore[arg-type]

            def decide_alone(change: Change) -> Steps:
                byte_code, template = request.manner.compile, resources.template
                return decide([change], target, byte_code=byte_code, template=template, umask=resources.umask)

            update = find_update(target.prefix)
            if update is not None:
                update.install(change, decide_alone, linker)
                return
            os.makedirs(target.prefix, exist_ok=True)
            with lock_prefix(target.prefix, lambda: None):
                repair(target.prefix)
                steps = decide_alone(change._replace(replaces=find_replaced(target, contents.name)))
                with pending(steps, target.prefix, linker):
                    pass

    def fix_hashbang(self, contents: _Text, python: str) -> _Text:
        """Give a script with the interpreter in its first line replaced, if that is a Python; all else stays.

        :param contents: of the script, bytes or text; the same comes back.
        :param python: absolute path of the interpreter. One that the kernel could not use in a hashbang, as it is too
            long or has blanks, is started through ``/bin/sh``, as with pip.
        """
        from pip_accel._install.scripts import fix_hashbang

        return fix_hashbang(contents, python)

    def update_installed_files(self, installed_files: Iterable[str]) -> None:
        """Write RECORD for the one ``*.dist-info`` among these files; unless there is exactly one, warn in the log.

        :param installed_files: absolute paths of all files of the distribution.
        """
        from pip_accel._install.layout import format_rows

        paths = sorted(set(map(os.path.abspath, installed_files)))
        found = {os.path.dirname(path) for path in paths if os.path.dirname(path).endswith(".dist-info")}
        if len(found) != 1:
            import logging

            logging.getLogger(__name__).warning("Not tracking installed files: there are %i .dist-info", len(found))
            return
        (dist_info,) = found
        record = os.path.join(dist_info, "RECORD")
        rows = [(_row_name(record, dist_info), "", "")]
        for path in paths:
            if path.endswith(".pyc") and os.path.basename(os.path.dirname(path)) == "__pycache__":
                rows.append((_row_name(path, dist_info), "", ""))
            elif path != record:
                with open(path, "rb") as stream:
                    data = stream.read()
                rows.append((_row_name(path, dist_info), record_digest(data), str(len(data))))
        _fs.write_file(record, format_rows(rows), mode=0o666)


class _Workshop(NamedTuple):
    """A source tree, and what it is built with."""

    source: str
    legacy: bool  #: whether it is an sdist with a ``setup.py`` and nothing else
    lent: Lent
    label: str


@contextmanager
def _translated(requirement: Requirement) -> Iterator[None]:
    """Let every failure be one of building: build requirements that are not to be had, a damaged sdist."""
    try:
        yield
    except BinaryDistributionError:
        raise
    except PipAcceleratorError as error:
        raise BuildFailed(
            "{requirement} could not be built: {error}",
            requirement=requirement,
            error=error,
            output=error.context.get("output", ""),
        ) from error


def _entries(members: Iterable[Member]) -> Iterator[Entry]:
    """Give members as files of schemes.

    :raises UnsafeArchive: one would land outside of the prefix, or is no plain file.
    """
    for member, stream in members:
        name = check_member_name(member.name, "The binary distribution")
        if member.isdir() or name == MANIFEST_NAME:
            continue
        if not member.isreg() or member.mode & 0o7000:
            raise UnsafeArchive(
                "The binary distribution has the member {name!r}, which is no plain file: nothing was installed.",
                name=name,
            )
        data = stream.read()
        scheme, path = next(
            ((scheme, match[1]) for scheme, pattern in _PLACES if (match := pattern.fullmatch(name))), ("data", name)
        )
        script = scheme == "scripts" and data.startswith(b"#!python")
        yield Entry(scheme, path, bool(member.mode & 0o111), script, record_digest(data), data)


def _gather(entries: Iterable[Entry], target: Target, archive: str) -> Contents:
    """Put the files of a distribution together.

    :raises BinaryDistributionError: they are not those of one distribution.
    """
    found = {(entry.scheme, entry.path): entry for entry in entries}
    tops = {path.partition("/")[0] for scheme, path in found if scheme in _LIBS}
    infos, eggs = ([top for top in tops if top.endswith(each)] for each in (".dist-info", ".egg-info"))
    if len(infos or eggs) != 1:
        raise BinaryDistributionError(
            "{archive} has the metadata of {count} distributions, not of one.",
            archive=archive,
            count=len(infos or eggs),
        )
    native = any(scheme == "platlib" or path.endswith((".so", ".pyd")) for scheme, path in found)
    files = [entry for (scheme, path), entry in found.items() if scheme not in _LIBS]
    libs = {path: entry for (scheme, path), entry in found.items() if scheme in _LIBS}
    if not infos:
        libs = _without_egg_info(libs, eggs[0], _describe_wheel(target, native))
        infos = [path.partition("/")[0] for path in libs if path.endswith(".dist-info/METADATA")]
    (dist_info,) = infos
    for name in WRITTEN_AT_INSTALLATION:
        libs.pop(f"{dist_info}/{name}", None)
    metadata, wheel = (_headers(libs, f"{dist_info}/{name}") for name in ("METADATA", "WHEEL"))
    if not metadata.get("name") or not metadata.get("version") or not wheel:
        raise BinaryDistributionError("{archive} has no complete metadata in {info}", archive=archive, info=dist_info)
    lib = "purelib" if wheel.get("root-is-purelib", "").lower() == "true" else "platlib"
    points = libs.get(f"{dist_info}/entry_points.txt")
    launchers = parse_entry_points(points.data.decode("utf-8")) if points is not None else ()
    wrappers = {launcher.name for launcher in launchers}
    files = [entry for entry in files if entry.scheme != "scripts" or entry.path not in wrappers]
    files += [entry._replace(scheme=lib) for entry in libs.values()]
    return Contents(metadata["name"], metadata["version"], lib, dist_info, launchers, files)


def _headers(libs: Mapping[str, Entry], path: str) -> dict[str, str]:
    return read_headers(libs[path].data) if path in libs else {}


def _without_egg_info(libs: Mapping[str, Entry], egg_info: str, wheel: str) -> dict[str, Entry]:
    """Give the files of a distribution with a ``.dist-info`` in place of its ``.egg-info``, as wheels have it."""
    own = {path: entry for path, entry in libs.items() if path.partition("/")[0] == egg_info}
    inside = {path.partition("/")[2]: entry for path, entry in own.items()}
    core = inside.get("PKG-INFO") or inside.get("")  # distutils alone wrote a file
    data = core.data if core is not None else b""
    if "requires.txt" in inside and b"\nRequires-Dist:" not in data:
        data = _with_requirements(data, inside["requires.txt"].data.decode("utf-8"))
    headers = read_headers(data)
    name, version = re.sub(r"[-_.]+", "_", headers.get("name", "")), headers.get("version", "").replace("-", "_")
    dist_info = f"{name}-{version}.dist-info"
    made = {"METADATA": data, "WHEEL": wheel.encode()}
    made.update((path, entry.data) for path, entry in inside.items() if path and path not in _LEFT_OUT)
    others = {path: entry for path, entry in libs.items() if path not in own}
    for file, content in made.items():
        path = f"{dist_info}/{file}"
        others[path] = Entry("purelib", path, False, False, record_digest(content), content)
    return others


def _with_requirements(metadata: bytes, requires: str) -> bytes:
    """Add what ``requires.txt`` says to metadata: sections are named ``extra:marker``."""
    lines: list[str] = []
    extra = marker = ""
    for line in map(str.strip, requires.splitlines()):
        if line.startswith("["):
            extra, _, marker = (part.strip() for part in line.strip("[]").partition(":"))
            if extra and f"Provides-Extra: {extra}" not in lines:
                lines.append(f"Provides-Extra: {extra}")
        elif line:
            conditions = [f"({marker})"] if marker else []
            conditions += [f'extra == "{extra}"'] if extra else []
            lines.append(f"Requires-Dist: {line}" + ("; " + " and ".join(conditions) if conditions else ""))
    head, blank, description = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")
    return b"\n".join([head.rstrip(b"\n"), *(line.encode() for line in lines)]) + (blank or b"\n") + description


def _describe_wheel(target: Target, native: bool) -> str:
    """Give the text of ``WHEEL`` for what no wheel was made of."""
    minor = "".join(target.version.split(".")[:2])
    interpreter = {"cpython": "cp", "pypy": "pp"}.get(target.implementation, target.implementation) + minor
    tag = f"{interpreter}-none-{re.sub('[-.]', '_', target.platform)}" if native else "py3-none-any"
    return f"Wheel-Version: 1.0\nGenerator: pip-accel\nRoot-Is-Purelib: {str(not native).lower()}\nTag: {tag}\n"


def _write(contents: Contents, path: str, config: Config, target: Target) -> None:
    """Write an archive that no key leads to."""
    version = ".".join(target.version.split(".")[:2])
    with open(path, "wb") as stream:
        write_bdist(contents, stream, key={}, key_digest="", revision=config.cache_format_revision, version=version)


def _unpack(contents: Contents, resources: Resources) -> Tree:
    """Give the tree of contents: it lies in the store, under a digest over all that they are."""
    import hashlib

    entries = list(contents.entries)
    rows = [(each.scheme, each.path, each.executable, each.script, each.digest) for each in entries]
    text = json.dumps([contents.name, contents.version, contents.lib, contents.dist_info, rows])
    digest = hashlib.sha256(text.encode()).hexdigest()
    store = resources.store
    tree = store.find_sound(digest)
    if tree is not None:
        return tree
    path = os.path.join(resources.directory("members"), "members.tar.gz")
    _write(contents._replace(entries=entries), path, resources.config, resources.target)
    return store.add([Archive(path, os.path.basename(path), digest)])[0]


def _row_name(path: str, dist_info: str) -> str:
    return os.path.relpath(path, os.path.dirname(dist_info)).replace(os.sep, "/")
