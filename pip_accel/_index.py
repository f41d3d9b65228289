"""The local index: each archive once, by digest, with its metadata; and views, which say what a run may see of it.

Without views a leftover sdist would beat pip's wheel, a leftover pre-release a final one, and a private index and a
public one would answer for each other. So what is known of a project is kept per *view*: the index settings, the format
control, pre-release setting and hashes that applied to the project, and the target. In a view stands which archives
came, and what was *learned*: "asked for under these clauses, this version won". Only that lets a later run trust an
answer without the network. Specifications: PEP 503 (page), PEP 658 and 714 (metadata beside the archive).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pip_accel import _digests, _fs
from pip_accel._digests import digest_of
from pip_accel._metadata import read_headers
from pip_accel._names import canonical_name, canonical_version, split_sdist_name, split_wheel_name
from pip_accel._text import path_to_url
from pip_accel._values import Archive
from pip_accel.exceptions import Unsupported

__all__ = ["OWN", "Answer", "Known", "LocalIndex", "ViewSettings", "name_and_version"]

#: What the names of ways to build begin with that use nothing of other machines.
OWN = "-own"


class ViewSettings(NamedTuple):
    """What decides which view of a project a run has; all but ``hashes`` are the same for every project."""

    places: tuple[Any, ...]  #: index settings in effect, as plain values
    target: str  #: the target's tag
    no_binary: frozenset[str]
    only_binary: frozenset[str]
    prefer_binary: bool
    pre: bool
    hashes: Mapping[str, tuple[str, ...]]  #: those demanded, by canonical name
    links: tuple[str, ...] = ()  #: places of ``--find-links`` as they were given, which have their part in ``places``

    def key(self, project: str) -> str:
        """Name the view of a project, given by its canonical name."""
        return digest_of(
            [
                self.places,
                self.target,
                project in self.no_binary or (":all:" in self.no_binary and project not in self.only_binary),
                project in self.only_binary or (":all:" in self.only_binary and project not in self.no_binary),
                self.prefer_binary,
                self.pre,
                sorted(self.hashes.get(project, ())),
            ]
        )


class Known(NamedTuple):
    """What an online pass learned of a project: under these clauses, this version won."""

    clauses: frozenset[str]
    version: str  #: canonical
    time: float  #: seconds since the epoch
    roots: str  #: digest of the whole request where only the same request may rely on it, else empty


class Answer(NamedTuple):
    """What a whole request got for an empty environment."""

    versions: Mapping[str, str]  #: canonical, by canonical name
    time: float  #: when that was, in seconds since the epoch
    straight: bool  #: whether pip looked at no more than one version of each project for it
    searched: frozenset[str]  #: canonical names of all projects that pip searched versions of, chosen or not


def _plain(project: str) -> str:
    """Nothing is said about how a project is to be built."""
    return ""


def _nowhere(archive: Archive) -> None:
    """No archive comes from anywhere."""


def _unset(names: Iterable[str]) -> Mapping[str, str]:
    """No variable is set."""
    return dict.fromkeys(names, "")


class LocalIndex:
    """Archives and what is known of them, in one directory that processes share.

    :param root: the directory; made when something is added.
    :param tag: of the target: metadata of sdists is kept per target.
    """

    def __init__(self, root: str, tag: str) -> None:
        self.root = root
        self.tag = tag
        self.variant: Callable[[str], str] = _plain  #: names the way in which the sdists of a project are to be built
        self.state: Callable[[Iterable[str]], Mapping[str, str]] = _unset  #: gives digests of variables as they are now
        self.own = False  #: whether nothing is to be used that other machines found out about builds
        self.passing = ""  #: a directory for what is known of sdists, if it holds for this run only
        self.added = False  #: whether this run added an archive
        self.learned = 0.0  #: when this run learned something last, seconds since the epoch
        self.provide: Callable[[Archive], object] = _nowhere  #: has an archive come that is not here

    # Archives

    def _directory(self, sha256: str) -> str:
        return os.path.join(self.root, "archives", sha256[:2], sha256)

    def add(self, path: str, sha256: str = "") -> Archive:
        """Take a finished file into the index; it is moved or, from another file system, copied there.

        :param sha256: its digest, if that was just worked out.
        """
        sha256 = sha256 or _fs.hash_file(path)
        archive = self.locate(sha256, os.path.basename(path))
        if not os.path.exists(archive.path):
            import shutil

            _fs.make_directory(os.path.dirname(archive.path))
            temporary = _fs.unique_name(archive.path)
            try:
                shutil.move(path, temporary)
                os.chmod(temporary, 0o644)
                _fs.move(temporary, archive.path)
            except BaseException:
                if os.path.exists(temporary):
                    os.unlink(temporary)
                raise
            self.added = True
        return archive

    def add_copy(self, path: str) -> Archive:
        """Take a file into the index that stays where it is."""
        archive = self.locate(_fs.hash_file(path), os.path.basename(path))
        if not os.path.exists(archive.path):
            import shutil

            with _fs.replacing(archive.path) as stream, open(path, "rb") as source:
                shutil.copyfileobj(source, stream)
            self.check(archive)  # it may have changed meanwhile
            self.added = True
        return archive

    def locate(self, sha256: str, filename: str) -> Archive:
        """Say where an archive lies, or would lie."""
        return Archive(os.path.join(self._directory(sha256), filename), filename, sha256)

    def touch(self, archive: Archive) -> None:
        """Note that an archive was used now, so that it is not among the first to go."""
        try:
            os.utime(self._directory(archive.sha256))
        except OSError:
            pass

    def check(self, archive: Archive) -> None:
        """See that an archive still is what its name says; what is damaged goes.

        :raises Unsupported: it is damaged, or gone. Where it is ``curable``, as the context says, planning again gets
            another copy of it.
        """
        if not os.path.exists(archive.path):
            self.provide(archive)
        if not os.path.exists(archive.path):
            text = "{filename} is not in the local index any more"
            raise Unsupported(text, filename=archive.filename, curable=True)
        if _fs.hash_file(archive.path) != archive.sha256:
            directory = os.path.dirname(archive.path)
            for place in (directory, *(entry.path for entry in os.scandir(directory) if entry.is_dir())):
                try:  # beside its metadata there is a link to it, or a copy
                    os.unlink(os.path.join(place, archive.filename))
                except FileNotFoundError:
                    pass
            raise Unsupported("{path} was damaged, and is removed", path=archive.path, curable=True)

    # Metadata

    def _facts_directory(self, archive: Archive) -> str:
        """Wheels say the same to everybody; what an sdist says may depend on the interpreter and on how it is built."""
        directory = os.path.dirname(archive.path)
        if archive.filename.endswith(".whl"):
            return directory
        if self.passing:
            return os.path.join(self.passing, archive.sha256)
        split = name_and_version(archive.filename)
        return os.path.join(directory, self.tag + self.variant(split[0] if split is not None else ""))

    def metadata(self, archive: Archive) -> bytes | None:
        """Give the core metadata of an archive, if it is known for this target and what its build reads now."""
        if not archive.filename.endswith(".whl"):
            facts = self._read_facts(self._facts_directory(archive))
            if facts is not None and not facts["binding"] and self.state(facts["variables"]) != facts["variables"]:
                return None
        try:
            with open(os.path.join(self._facts_directory(archive), archive.filename + ".metadata"), "rb") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def set_metadata(self, archive: Archive, metadata: bytes) -> None:
        """Keep the core metadata of an archive, where pip finds it: beside the archive, or beside a link to that."""
        directory = self._facts_directory(archive)
        beside = os.path.join(directory, archive.filename)
        if os.path.exists(archive.path) and not os.path.exists(beside):
            _fs.make_directory(directory)
            try:
                os.link(archive.path, beside)
            except FileExistsError:
                pass
            except OSError:
                import shutil

                shutil.copyfile(archive.path, beside)
        _fs.write_file(beside + ".metadata", metadata)

    def build_facts(self, archive: Archive) -> dict[str, Any] | None:
        """Give what is known of building an sdist for this target (see :mod:`pip_accel._build.builder`), or ``None``.

        It serves to find a result. For a new way to build it, what is known of other ways does as well: a result is
        only found if one was built in this way, and with what these facts say.
        """
        facts = self._read_facts(self._facts_directory(archive))
        if facts is None:
            directory = os.path.dirname(archive.path)
            names = sorted(os.listdir(directory)) if os.path.isdir(directory) else ()
            beginning = self.tag + (OWN if self.own else "")
            others = (name for name in names if name == beginning or name.startswith(beginning + "-"))
            found = (self._read_facts(os.path.join(directory, name)) for name in others)
            facts = next((each for each in found if each is not None), None)
        return facts

    def _read_facts(self, directory: str) -> dict[str, Any] | None:
        path = os.path.join(directory, "build.json")
        return _read_object(path, requires=list, dynamic=list, variables=dict, binding=bool)

    def set_build_facts(self, archive: Archive, facts: Mapping[str, Any]) -> None:
        """Keep what was found out about building an sdist for this target."""
        _fs.write_file(os.path.join(self._facts_directory(archive), "build.json"), json.dumps(facts))

    def tree_metadata(self, digest: str, project: str) -> bytes | None:
        """Give the metadata that was prepared in an sdist's tree, if it still holds.

        :param digest: of the tree, see :func:`~pip_accel._fs.hash_tree`.
        """
        kinds = {"metadata": str, "variables": dict}
        kept = _read_object(self._tree_path(digest, project), **kinds)
        if kept is None or self.state(kept["variables"]) != kept["variables"]:
            return None
        metadata: str = kept["metadata"]
        return metadata.encode("utf-8", "surrogateescape")

    def set_tree_metadata(self, digest: str, project: str, metadata: bytes, variables: Mapping[str, str]) -> None:
        """Keep the metadata that was prepared in an sdist's tree.

        :param variables: those that its build reads, with digests of their values.
        """
        value = {"variables": variables, "metadata": metadata.decode("utf-8", "surrogateescape")}
        _fs.write_file(self._tree_path(digest, project), json.dumps(value))

    def _tree_path(self, digest: str, project: str) -> str:
        if self.passing:
            return os.path.join(self.passing, digest + ".json")
        return os.path.join(self.root, "trees", digest[:2], digest, self.tag + self.variant(project) + ".json")

    # Answers

    def _answer_path(self, roots: str) -> str:
        return os.path.join(self.root, "answers", roots[:2], roots + ".json")

    def answer_to(self, roots: str) -> Answer:
        """Give the answer that a whole request got for an empty environment; without versions if none is kept.

        :param roots: digest of the request.
        """
        found = _read_object(self._answer_path(roots), answer=dict, time=float, straight=bool, searched=list)
        if found is None:
            return Answer({}, 0, False, frozenset())
        return Answer(found["answer"], found["time"], found["straight"], frozenset(map(str, found["searched"])))

    def keep_answer(self, roots: str, answer: Answer) -> None:
        """Keep such an answer."""
        kept = {"answer": answer.versions, "time": answer.time, "straight": answer.straight}
        _fs.write_file(self._answer_path(roots), json.dumps({**kept, "searched": sorted(answer.searched)}))

    # What lies at URLs

    def _origin_path(self, url: str) -> str:
        name = digest_of([url, self.tag])
        return os.path.join(self.root, "urls", name[:2], name + ".json")

    def look_at(self, url: str) -> dict[str, Any] | None:
        """Give what was kept of a URL, see :mod:`pip_accel._direct`; ``time`` is in seconds since the epoch."""
        kinds = {"filename": str, "sha256": str, "time": float, "direct": dict, "name": str, "version": str}
        return _read_object(self._origin_path(url), **kinds)

    def keep_url(self, url: str, value: Mapping[str, Any]) -> None:
        """Keep what lies at a URL, of which only a digest is kept."""
        _fs.write_file(self._origin_path(url), json.dumps(value))

    # Views

    def view_file(self, view: str, project: str) -> str:
        """Say where all stands that a view has of a project, below :attr:`root`."""
        return os.path.join("views", view[:2], view, project + ".json")

    def _view_path(self, view: str, project: str) -> str:
        return os.path.join(self.root, self.view_file(view, project))

    def read_view(self, view: str, project: str) -> dict[str, Any]:
        """Give what a view has of a project: ``archives`` (digest to file name) and ``known``."""
        found = _read_object(self._view_path(view, project), archives=dict, known=list)
        return found if found is not None else {"archives": {}, "known": []}

    def look(self, view: str, project: str) -> tuple[list[Archive], list[Known]]:
        """Give the archives that a view has of a project and that are still there, and what was learned of it."""
        value = self.read_view(view, project)
        return self._archives_in(value), _known_in(value)

    def known(self, view: str, project: str) -> list[Known]:
        """Give what was learned of a project in a view."""
        return _known_in(self.read_view(view, project))

    def state_of(self, view: str, project: str) -> list[int]:
        """Give what changes whenever a view learns something of a project."""
        try:
            status = os.stat(self._view_path(view, project))
        except OSError:
            return []
        return [status.st_mtime_ns, status.st_size, status.st_ino]

    def origin(self, view: str, project: str, archive: Archive) -> str:
        """Give pip's words for the link by which an archive came into a view: its URL, and more behind a blank.

        Empty if that is not known.
        """
        return str(self.read_view(view, project).get("links", {}).get(archive.sha256, ""))

    def learn(self, view: str, project: str, archive: Archive, known: Known, link: str = "") -> None:
        """Note that an archive came into a view, and under which clauses.

        :param link: pip's words for where it came from, without user and password. A query may hold a secret: then they
            are not kept, and neither if they lead here.
        """
        _fs.make_directory(self.root)
        with _fs.lock_file(os.path.join(self.root, "lock")):
            value = self.read_view(view, project)
            value["archives"] = _without_superseded(value["archives"], project, archive, known)
            value["archives"][archive.sha256] = archive.filename
            yanked = {**value.get("yanked", {}), archive.sha256: archive.yanked}
            value["yanked"] = {each: yanked[each] for each in value["archives"] if yanked.get(each) is not None}
            links = dict(value.get("links", {}))
            if link and "?" not in link and not link.startswith(path_to_url(os.path.abspath(self.root))):
                links[archive.sha256] = link
            value["links"] = {each: links[each] for each in value["archives"] if links.get(each)}
            # A newer answer to the same question takes the place of the older one.
            rows = [row for row in value["known"] if (frozenset(row[0]), row[3]) != (known.clauses, known.roots)]
            rows.append([sorted(known.clauses), known.version, known.time, known.roots])
            value["known"] = rows
            _fs.write_file(self._view_path(view, project), json.dumps(value))
            self.learned = time.time()

    # Pages

    def archives_in_view(self, view: str, project: str) -> list[Archive]:
        """Give the archives that a view has of a project and that are still there."""
        return self._archives_in(self.read_view(view, project))

    def _archives_in(self, value: Mapping[str, Any]) -> list[Archive]:
        found = []
        for sha256, filename in value["archives"].items():
            archive = self.locate(sha256, filename)._replace(yanked=value.get("yanked", {}).get(sha256))
            if os.path.exists(archive.path):
                found.append(archive)
        return found

    def archives_learned(self, settings: ViewSettings, *, since: float) -> dict[str, list[Archive]]:
        """Give the archives that won lately in the views of these settings, by project.

        :param since: seconds since the epoch.
        """
        import glob

        found = {}
        for path in glob.glob(os.path.join(glob.escape(self.root), "views", "*", "*", "*.json")):
            view, project = os.path.basename(os.path.dirname(path)), os.path.basename(path)[:-5]
            if os.stat(path).st_mtime < since or settings.key(project) != view:
                continue
            winners = {(project, each.version) for each in self.known(view, project) if each.time >= since}
            archives = self.archives_in_view(view, project)
            found[project] = [each for each in archives if name_and_version(each.filename, project) in winners]
        return found

    def archives_in_any_view(self, project: str) -> list[Archive]:
        """Give every archive of a project that any view has, for a run that must do without the network."""
        return list({each.filename: each for each in self._archives_of(project)}.values())

    def sdists(self, project: str) -> list[Archive]:
        """Give the sdists of a project that any view has, also those that share a file name."""
        sdists = (each for each in self._archives_of(project) if not each.filename.endswith(".whl"))
        return list({each.sha256: each for each in sdists}.values())

    def _archives_of(self, project: str) -> Iterator[Archive]:
        """Give what each view has of a project; an archive may come more than once."""
        import glob

        for path in glob.glob(os.path.join(glob.escape(self.root), "views", "*", "*", glob.escape(project) + ".json")):
            yield from self.archives_in_view(os.path.basename(os.path.dirname(path)), project)

    def url(self, archive: Archive) -> str:
        """Give the URL under which an archive stands on a page."""
        return path_to_url(os.path.join(self._facts_directory(archive), archive.filename))

    def write_page(self, archives: Iterable[Archive], path: str) -> dict[str, Archive]:
        """Write a page of links for ``--find-links``; give the archives by URL. Those without metadata are left out."""
        from html import escape

        lines = ["<!DOCTYPE html><html><body>"]
        by_url: dict[str, Archive] = {}
        names: set[str] = set()
        for archive in archives:
            metadata = self.metadata(archive)
            if metadata is None or archive.filename in names:
                continue
            names.add(archive.filename)
            url = self.url(archive)
            by_url[url] = archive
            python = read_headers(metadata).get("requires-python")
            lines.append(
                f'<a href="{escape(url)}#sha256={archive.sha256}"'
                f' data-core-metadata="sha256={_digests.sha256(metadata).hexdigest()}"'
                + (f' data-requires-python="{escape(python)}"' if python else "")
                + (f' data-yanked="{escape(archive.yanked)}"' if archive.yanked is not None else "")
                + f">{escape(archive.filename)}</a><br>"
            )
        lines.append("</body></html>")
        _fs.write_file(path, "\n".join(lines))
        return by_url


def _read_object(path: str, **types: type) -> dict[str, Any] | None:
    """Give a JSON object with members of these types; a file that a full disk cut short is as good as none."""
    try:
        value = json.loads(_fs.read_text(path) or "null")
    except ValueError:
        return None
    if not isinstance(value, dict) or not all(isinstance(value.get(name), kind) for name, kind in types.items()):
        return None
    return value


def _known_in(value: Mapping[str, Any]) -> list[Known]:
    return [Known(frozenset(row[0]), row[1], row[2], row[3]) for row in value["known"]]


def _without_superseded(
    archives: Mapping[str, str], project: str, archive: Archive, known: Known
) -> dict[str, str]:
    """Leave out what the index no longer has: other files of the winner, and versions that would have beaten it."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    kept = {}
    for sha256, filename in archives.items():
        split = name_and_version(filename, project)
        if split is None or split[1] == known.version:
            continue
        try:
            newer = Version(split[1]) > Version(known.version)
            allowed = SpecifierSet(",".join(known.clauses)).contains(split[1], prereleases=True)
        except (InvalidVersion, InvalidSpecifier):
            newer = allowed = False
        if newer and allowed and not known.roots:
            continue
        kept[sha256] = filename
    return kept


def name_and_version(filename: str, project: str | None = None) -> tuple[str, str] | None:
    """Give canonical name and version that the name of an archive tells, or ``None`` if it is no archive's name."""
    if filename.endswith(".whl"):
        wheel = split_wheel_name(filename)
        return None if wheel is None else (canonical_name(wheel[0]), canonical_version(wheel[1]))
    sdist = split_sdist_name(filename, project)
    return None if sdist is None else (sdist[0], canonical_version(sdist[1]))
