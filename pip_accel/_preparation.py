"""Metadata of source trees: prepared once each in build environments of our own, for a pip that plans and for us.

The build backends of a pip that plans ask the run that started it (:mod:`pip_accel._build.service`). A distribution
whose version is pinned is built as soon as pip has asked for its metadata, while pip goes on planning.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from pip_accel import _fs
from pip_accel._index import name_and_version
from pip_accel._names import canonical_name, canonical_version
from pip_accel._process import Ended
from pip_accel._values import Archive, Pin
from pip_accel.exceptions import PipAcceleratorError, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._build.builder import Builder, Prepared
    from pip_accel._build.service import MetadataService
    from pip_accel._build_plans import Chain
    from pip_accel._plan.question import Direct
    from pip_accel._process import Workers
    from pip_accel._resources import Resources

__all__ = ["Pass", "Preparation"]

_LONGEST_SOCKET = 100  # bytes of its path


class Workshop(Protocol):
    """Where builds go on."""

    @property
    def resources(self) -> Resources: ...

    @property
    def chain(self) -> Chain: ...

    @property
    def builder(self) -> Builder: ...

    @property
    def workers(self) -> Workers: ...

    def begin(self, pin: Pin, prepared: Prepared | None) -> object:
        """Have something built when there is a thread for it."""

    def has_begun(self, archive: Archive) -> bool:
        """Whether an sdist is being built, or has been."""


class Pass:
    """A pip that plans, as its build backends are answered."""

    def __init__(self, chain: tuple[str, ...], place: str, pinned: Mapping[str, str]) -> None:
        self.chain = chain
        self.place = place  #: directory of its temporary files
        self.pinned = pinned  #: versions of which there is no choice, by canonical name
        self.answers: dict[tuple[str, str], tuple[bytes, Prepared]] = {}  #: by canonical name and version
        self.failure: Exception | None = None
        self.whole = False  #: whether it works on one repository, all of which is needed

    def answer_to(self, archive: Archive) -> tuple[bytes, Prepared] | None:
        """Give what pip was answered when it asked for the metadata of an archive, if it has."""
        split = name_and_version(archive.filename)
        return self.answers.get(split) if split is not None else None


class Preparation:
    """Gives metadata that only build backends know. Several threads may ask at once.

    :param workshop: where that is prepared, and what is certain to be installed is built early.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.eager = True  #: whether builds may begin before the plan is there
        self._workshop = workshop
        self._resources = workshop.resources
        self._lock = threading.Lock()
        self._service: MetadataService | None = None
        self._passes: dict[str, Pass] = {}
        self._numbers = itertools.count(1)
        self._described: dict[str, tuple[bytes, Prepared | None]] = {}  #: by real path
        self._told: dict[str, bytes] = {}  #: what pip is told in place of the metadata of a directory, by real path
        self._sdists: dict[tuple[str, str], bytes] = {}  #: metadata of those asked for by path, by name and version
        self._prepared: dict[str, tuple[bytes, Prepared]] = {}  #: by digest of the tree
        self._trees: dict[str, Prepared] = {}  #: by digest of the archive

    def close(self) -> None:
        """Answer nobody any more."""
        if self._service is not None:
            self._service.close()

    @contextmanager
    def serving(
        self, environ: Mapping[str, str], pinned: Mapping[str, str] | None = None
    ) -> Iterator[tuple[dict[str, str], Pass]]:
        """Give the environment in which pip's build backends ask us, and what is known of them then.

        :param pinned: versions of which there is no choice, by canonical name.
        """
        place = self._resources.directory("pip")
        pass_ = Pass(self._workshop.chain.links, place, pinned or {})
        number = str(next(self._numbers))
        self._passes[number] = pass_
        with self._lock:
            if self._service is None:
                from pip_accel._build.service import MetadataService

                directory = self._resources.temporary
                if len(os.fsencode(directory)) > _LONGEST_SOCKET - 2:
                    directory = self._resources.short_directory()
                self._service = MetadataService(os.path.join(directory, "s"), self._answer)
        inner = {**self._service.variables(number, dict(environ)), "TMPDIR": place}
        try:
            yield inner, pass_
        except (PipFailed, Unsupported) as error:
            if pass_.failure is not None and (isinstance(error, PipFailed) or isinstance(pass_.failure, OSError)):
                raise pass_.failure from error
            raise
        finally:
            del self._passes[number]

    def _answer(self, number: str, source: str, directory: str, kind: str) -> str:
        """Prepare the metadata of a source tree for a pip; give the name of its ``.dist-info``."""
        pass_ = self._passes[number]
        with self._workshop.chain.working_for(pass_.chain):
            try:
                return self._workshop.workers.enter(lambda place: self._prepare(pass_, source, place, kind), directory)
            except (PipAcceleratorError, OSError) as error:
                pass_.failure = error
                raise
            except Ended:
                raise Unsupported("The run has ended") from None
            except Exception as error:
                message = "pip-accel itself failed ({kind}: {error})"
                pass_.failure = Unsupported(message, kind=type(error).__name__, error=error)
                raise pass_.failure from error

    def _prepare(self, pass_: Pass, source: str, directory: str, kind: str) -> str:
        from pip_accel._plan.question import Direct

        real = os.path.realpath(source)
        if real in self._told:
            return _write_metadata(self._told[real], directory)
        if kind == "editable":
            return _write_metadata(self.describe_editable(source, ""), directory)
        if not _is_below(source, pass_.place):  # a directory, asked for by the user or by some distribution
            return _write_metadata(self.describe(Direct("", source, "directory", frozenset(), "")), directory)
        known = self._known_sdist(source)
        if known is not None:
            return _write_metadata(known, directory)
        # pip's directory: the name, and a random number.
        label = os.path.basename(source).rpartition("_")[0] or os.path.basename(source)
        metadata, prepared = self._prepare_tree(source, label, released=not pass_.whole)
        name, version = _name_and_version(metadata)
        if prepared.source == source:  # pip has no more use for it
            # Of a repository there may be more than the project.
            top = os.path.join(pass_.place, os.path.relpath(source, pass_.place).split(os.sep)[0])
            moved = top if pass_.whole else source
            tree = os.path.join(self._resources.directory("tree"), os.path.basename(moved))
            os.rename(moved, tree)
            os.makedirs(source)
            prepared = prepared._replace(source=os.path.normpath(os.path.join(tree, os.path.relpath(source, moved))))
        pass_.answers[name, version] = metadata, prepared
        if self.eager and pass_.pinned.get(name) == version:
            self._begin_early(pass_, metadata, prepared)
        return _write_metadata(metadata, directory)

    def _known_sdist(self, source: str) -> bytes | None:
        """Give the metadata of the sdist that was asked for by its path, if this is its tree: pip unpacks it again."""
        path = os.path.join(source, "PKG-INFO")
        if not self._sdists or not os.path.isfile(path):
            return None
        with open(path, "rb") as stream:
            return self._sdists.get(_name_and_version(stream.read()))

    def _prepare_tree(self, source: str, label: str, *, released: bool = True) -> tuple[bytes, Prepared]:
        """Give the metadata of a source tree: its own where that binds its builds, else from its build backend.

        :param released: whether it is that of an sdist: elsewhere, what is called like its metadata is none.
        """
        from pip_accel._build.source import static_metadata

        metadata = static_metadata(source) if released else None
        if metadata is not None:
            return metadata, self._workshop.builder.examine(source, binding=True)
        # In hash-checking mode, and for what the user's own pages have, pip asks in every pass of every run.
        digest, project, index = _fs.hash_tree(source), canonical_name(label), self._resources.index
        if digest not in self._prepared:
            metadata = index.tree_metadata(digest, project)
            if metadata is not None:
                prepared = self._workshop.builder.examine(source)
            else:
                place = os.path.join(self._resources.directory("metadata"), "m")
                prepared = self._workshop.builder.prepare(source, label, place, project)
                metadata = prepared.read_metadata()
                index.set_tree_metadata(digest, project, metadata, prepared.variables)
            self._prepared[digest] = metadata, prepared
        metadata, prepared = self._prepared[digest]
        # No two builds share a tree.
        return metadata, prepared if prepared.source == source else prepared._replace(source=source, metadata=None)

    def _begin_early(self, pass_: Pass, metadata: bytes, prepared: Prepared) -> None:
        """Begin to build what pip will install in any case, if the archive is found that it has fetched for that."""
        from pip_accel._metadata import parse_metadata

        path = _find_archive(pass_.place, *_name_and_version(metadata))
        if path is not None:
            name, version, _ = parse_metadata(metadata)
            # Where it will lie in the index, as what is known of its build lies beside it.
            archive = self._resources.index.locate(_fs.hash_file(path), os.path.basename(path))
            self._workshop.begin(Pin(name, version, archive, False, ""), prepared)

    def metadata(self, archive: Archive, pass_: Pass | None) -> bytes:
        """Give the metadata of an sdist in the index: as the pip of a pass was given it, or prepared now."""
        answer = pass_.answer_to(archive) if pass_ is not None else None
        if answer is None:
            from pip_accel._build.source import unpack_sdist

            split = name_and_version(archive.filename)
            source = unpack_sdist(archive.path, os.path.join(self._resources.directory("tree"), "t"))
            answer = self._prepare_tree(source, split[0] if split is not None else archive.filename)
        metadata, prepared = answer
        self.keep_tree(archive, prepared)
        return metadata

    def adopt(self, archive: Archive, pass_: Pass) -> None:
        """Build an sdist where the pip of a pass has had its metadata prepared, if it has."""
        answer = pass_.answer_to(archive)
        if answer is not None:
            self.keep_tree(archive, answer[1])

    def keep_tree(self, archive: Archive, prepared: Prepared) -> None:
        """Have an sdist, or what was checked out, built in the tree in which its metadata was prepared."""
        if prepared.dynamic is not None:
            self._resources.index.set_build_facts(archive, prepared.facts)
        if not self._workshop.has_begun(archive):  # else it is built in that tree right now
            self._trees[archive.sha256] = prepared

    def describe(self, direct: Direct) -> bytes:
        """Give the metadata of a requirement by path."""
        path = os.path.realpath(direct.path)
        if path not in self._described:
            self._described[path] = self._describe(direct)
        return self._described[path][0]

    def recall(self, name: str) -> bytes | None:
        """Give the metadata of a directory that was described, by the canonical name of its project."""
        described = (metadata for metadata, _ in list(self._described.values()))
        return next((metadata for metadata in described if _name_and_version(metadata)[0] == name), None)

    def _describe(self, direct: Direct) -> tuple[bytes, Prepared | None]:
        index = self._resources.index
        if direct.kind == "wheel":
            from pip_accel._archives import wheel_metadata

            return wheel_metadata(direct.path), None
        if direct.kind == "sdist":
            from pip_accel._build.source import check_sdist

            check_sdist(direct.path)  # here its error has the path that the user knows
            if not direct.name:
                raise Unsupported("{path} is not named after its project", path=direct.path)
            archive = index.add_copy(direct.path)
            metadata = index.metadata(archive)
            if metadata is None:
                metadata = self.metadata(archive, None)
                index.set_metadata(archive, metadata)
            if _name_and_version(metadata)[0] != direct.name:  # views and config settings go by its name
                raise Unsupported("{path} is not named after its project", path=direct.path)
            self._sdists[_name_and_version(metadata)] = metadata
            return metadata, None
        # In place, as pip does it: it is the user's own tree, of which nothing is kept.
        place = os.path.join(self._resources.directory("metadata"), "m")
        label = os.path.basename(direct.path)
        prepared = self._workshop.builder.prepare(direct.path, label, place, direct.name, in_place=True)
        return prepared.read_metadata(), prepared

    def describe_editable(self, path: str, project: str) -> bytes:
        """Give the metadata of a directory that is to be installed as editable.

        :param project: canonical name of its project, as far as that is known.
        """
        real = os.path.realpath(path)
        if real not in self._described:
            place = os.path.join(self._resources.directory("metadata"), "m")
            label = os.path.basename(real)
            prepared = self._workshop.builder.prepare(path, label, place, project, in_place=True, editable=True)
            self._described[real] = prepared.read_metadata(), prepared
        return self._described[real][0]

    def tell(self, path: str, metadata: bytes, instead: bytes) -> None:
        """Have pip told other metadata than that of a directory, or an sdist on this machine."""
        if os.path.isdir(path):
            self._told[os.path.realpath(path)] = instead
        else:
            self._sdists[_name_and_version(metadata)] = instead

    def take_tree(self, pin: Pin) -> Prepared | None:
        """Give the tree in which the metadata was prepared, once: a build may leave anything in it."""
        if not pin.archive.sha256:
            return self._described[os.path.realpath(pin.archive.path)][1]
        return self._trees.pop(pin.archive.sha256, None)


def _is_below(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep)


def _name_and_version(metadata: bytes) -> tuple[str, str]:
    from pip_accel._metadata import read_headers

    headers = read_headers(metadata)
    return canonical_name(headers.get("name", "")), canonical_version(headers.get("version", ""))


def _write_metadata(metadata: bytes, directory: str) -> str:
    """Write a ``.dist-info`` that pip can read; give its name, off which pip reads the version."""
    from pip_accel._metadata import read_headers

    headers = read_headers(metadata)
    dist_info = f"{re.sub('[-_.]+', '_', headers.get('name', ''))}-{headers.get('version', '')}.dist-info"
    if not re.fullmatch(r"[\w.!+-]+", dist_info):
        raise Unsupported("{name} is no name of a distribution and its version", name=dist_info)
    _fs.write_file(os.path.join(directory, dist_info, "METADATA"), metadata)
    return dist_info


def _find_archive(place: str, name: str, version: str) -> str | None:
    """Find the archive that pip has fetched, among its temporary files; give its path."""
    for directory in os.scandir(place):
        if not directory.is_dir(follow_symlinks=False):
            continue
        for entry in os.scandir(directory.path):
            if entry.is_file(follow_symlinks=False) and name_and_version(entry.name) == (name, version):
                return entry.path
    return None
