"""What is asked for by URL, and editables: fetched, checked out and described before pip plans with stand-ins for them.

An archive at a URL is fetched once where its hash is given, or where its file name has a version; a commit once where
it is named in full. All else at URLs may change from run to run, and pip is sent to look.

What these, and directories and sdists on this machine, require by URL themselves is found here as well: pip is told of
metadata that has stand-ins in these places. What a ``file:`` URL names it finds itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pip_accel import _fs
from pip_accel._index import name_and_version
from pip_accel._messages import speaker
from pip_accel._metadata import all_headers, read_headers
from pip_accel._names import canonical_name
from pip_accel._plan.clauses import applies, counts
from pip_accel._plan.clauses import parse_requirement as parse_dependency
from pip_accel._plan.pip import check_out, download
from pip_accel._plan.question import Direct, build_environ
from pip_accel._plan.requirements import Root, parse_requirement, split_url
from pip_accel._plan.stand_ins import StandIn, Substituted, shown_as, substitute, write_stub
from pip_accel._text import mask_secrets, path_to_url
from pip_accel._values import Archive, Pin
from pip_accel.exceptions import NothingFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from packaging.requirements import Requirement

    from pip_accel._engine import Engine
    from pip_accel._plan.arguments import Request

    #: Canonical name, core metadata, what is installed, and the contents of ``direct_url.json``.
    _Known: TypeAlias = tuple[str, bytes, Archive, Mapping[str, Any]]

__all__ = ["Directs"]

_COMMIT = re.compile(r"@[0-9a-f]{40}$")
_ENDINGS = (".tar.gz", ".tar.bz2", ".tar.xz", ".zip", ".tgz", ".tar")
#: User and password in a URL. pip keeps them where they are names of variables (PEP 610).
_SECRETS = re.compile(r"(?<=:)//(?!\$\{[\w-]+\}(?::\$\{[\w-]+\})?@)[^/@]*@")


class _Found(NamedTuple):
    """What lies at a URL."""

    name: str  #: canonical
    metadata: bytes
    archive: Archive
    direct: Mapping[str, Any]  #: contents of ``direct_url.json``
    place: str  #: directory of its stand-in


class Directs:
    """Gives the stand-ins of a request.

    :param say: is told what a user should know.
    """

    def __init__(self, engine: Engine, request: Request, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._request = request
        self._say = say
        self._environ = build_environ(request, engine.resources.environ)
        self._markers = dict(engine.resources.target.markers)
        self._found: dict[str, _Found] = {}  #: by URL
        self._extras: dict[str, frozenset[str]] = {}  #: that were asked for so far, by URL or path
        self._open: set[str] = set()  #: URLs and paths whose requirements are being looked at
        self._stand_ins: dict[Root, StandIn] = {}  #: of what is not asked for, but required by URL
        self._nested: dict[Root, None] = {}  #: what is not asked for, but required by a ``file:`` URL
        self.online = False  #: whether anything was asked for at a URL

    def substitute(self) -> Substituted:
        """Put stand-ins into the request.

        :raises PipFailed: something cannot be had; pip's words are in the context.
        :raises Unsupported: only pip can serve it.
        """
        for root in self._request.requirements:
            if root.direct and not root.editable and self._counts(root):
                self._look_into(root)
        directory = self._engine.resources.directory("asked")
        found = substitute(self._request, lambda root: self.find(root) if self._counts(root) else None, directory)
        required = self._stand_ins.items()
        return found._replace(
            nested=tuple(self._nested),
            stand_ins={**{path_to_url(each.path): each for _, each in required}, **found.stand_ins},
            shown=(*found.shown, *(pair for root, each in required for pair in shown_as(root, each))),
        )

    def _counts(self, root: Root) -> bool:
        return applies(root.marker, self._markers)

    def find(self, root: Root) -> StandIn:
        """Give the stand-in of a requirement by URL, or of an editable.

        :raises PipFailed: it cannot be had; pip's words are in the context.
        :raises Unsupported: only pip can serve it.
        """
        if root.url and not root.name and root.config_settings:
            raise Unsupported("settings for the build of {url}, whose name is not known", url=mask_secrets(root.url))
        if root.editable:
            return self._editable(root)
        if root.url not in self._found:
            place = self._engine.resources.directory("stand-in")
            self._found[root.url] = _Found(*(self._recall(root) or self._find(root)), place)
        found = self._found[root.url]
        if root.name and root.name != found.name:
            raise Unsupported("{url} has another name: {name}", url=mask_secrets(root.url), name=found.name)
        # Who asks again may ask for other extras: then it has all of them.
        stub = write_stub(self._lead_on(root, root.url, found.metadata), found.place)
        return StandIn(found.name, stub, found.archive, found.direct, False)

    def _find(self, root: Root) -> _Known:
        if self._engine.resources.config.offline:
            raise NothingFound(
                "The local index does not have what lies at {url}, and offline = yes forbids to ask there",
                url=_as_recorded(split_url(root.url)[0]),
                status=1,
            )
        self.online = True
        return self._check_out(root) if root.kind == "vcs" else self._fetch(root)

    # What is required by URL

    def _look_into(self, root: Root) -> None:
        """See to what something on this machine requires by URL."""
        direct = Direct(root.name, root.direct, root.kind, frozenset(root.extras), root.marker)
        self._tell(root, root.direct, self._engine.preparation.describe(direct))

    def _tell(self, root: Root, path: str, metadata: bytes) -> None:
        """Have pip told of stand-ins when it asks for the metadata of a source tree on this machine."""
        led_on = self._lead_on(root, path, metadata)
        if led_on != metadata:
            self._engine.preparation.tell(path, metadata, led_on)

    def _lead_on(self, root: Root, place: str, metadata: bytes) -> bytes:
        """Give the metadata of a requirement with stand-ins for what it requires by URL.

        :param place: URL or path where it was found.
        :raises Unsupported: only pip can tell what may be required so, or how that shows.
        """
        extras = self._extras[place] = self._extras.get(place, frozenset()).union(root.extras)
        required = {} if self._request.manner.no_deps else _required_by_url(metadata, extras, self._markers)
        if not required:
            return metadata
        # pip lets no project of the public index do this, and takes a wheel's metadata from the wheel.
        if root.kind not in ("directory", "sdist", "vcs") or self._request.manner.report or place in self._open:
            name = next(iter(required.values())).name
            raise Unsupported("{it} requires {name} by its URL", it=mask_secrets(root.text), name=name)
        self._open.add(place)
        for text, requirement in required.items():
            nested = parse_requirement(text, "metadata")
            if nested.direct:
                self._look_into(nested)
                self._nested[nested] = None
            else:
                stand_in = self._stand_ins[nested] = self.find(nested)
                metadata = _put_in(metadata, text, requirement, stand_in)
        self._open.remove(place)
        return metadata

    # What was there before

    def _recall(self, root: Root) -> _Known | None:
        """Give what an earlier run found, if that still holds."""
        resources = self._engine.resources
        kept = resources.index.look_at(root.url)
        if kept is None:
            return None
        archive = resources.index.locate(kept["sha256"], kept["filename"])
        metadata = resources.index.metadata(archive)
        if metadata is None or not self._lasts(root, kept):
            return None
        if root.kind == "vcs" or "subdirectory" in kept["direct"]:
            if self._engine.builder.find(Pin(kept["name"], kept["version"], archive, True, "")) is None:
                return None
        elif not os.path.exists(archive.path):
            return None
        resources.index.touch(archive)
        direct = (
            kept["direct"] if root.kind == "vcs" else {**kept["direct"], "url": _as_recorded(split_url(root.url)[0])}
        )
        return canonical_name(kept["name"]), metadata, archive, direct

    def _lasts(self, root: Root, kept: Mapping[str, Any]) -> bool:
        config = self._engine.resources.config
        if config.offline:
            return True
        bare, fields = split_url(root.url)
        if root.kind == "vcs":
            return _COMMIT.search(bare) is not None
        if f"sha256:{kept['sha256']}" in root.hashes or fields.get("sha256") == kept["sha256"]:
            return True
        old = config.index_max_age is not None and time.time() - kept["time"] > config.index_max_age
        filename = bare.partition("?")[0].rpartition("/")[2]
        return name_and_version(filename) is not None and not (old or self._request.manner.upgrade or root.hashes)

    def _keep(self, root: Root, metadata: bytes, archive: Archive, direct: Mapping[str, Any]) -> _Known:
        name, version = (all_headers(metadata).get(each, [""])[0] for each in ("name", "version"))
        value = {
            "name": name,
            "version": version,
            "filename": archive.filename,
            "sha256": archive.sha256,
            "time": time.time(),
            # The query of a URL may hold a secret.
            "direct": {key: value for key, value in direct.items() if key != "url" or root.kind == "vcs"},
        }
        self._engine.resources.index.keep_url(root.url, value)
        return canonical_name(name), metadata, archive, direct

    # What is there now

    def _fetch(self, root: Root) -> _Known:
        """Fetch an archive."""
        resources = self._engine.resources
        inside = split_url(root.url)[1].get("subdirectory")
        with self._engine.preparing(self._environ) as (environ, sources):
            if inside:
                sources.expect_repository()
            downloads = download(
                resources.python,
                ["--no-deps", "--no-index", *self._words(root)],
                environ=environ,
                work=resources.directory("url"),
                passes=resources.config.max_retries,
                on_retry=lambda reason: speaker(self._say, "warning")(f"pip failed and will be asked again: {reason}"),
                keep_log=self._request.manner.log,
            )
            if len(downloads.files) != 1:
                raise Unsupported("pip did not fetch one file from {url}", url=mask_secrets(root.url))
            path = downloads.files[0]
            if root.hashes and not _has_hash(path, root.hashes):
                raise Unsupported("what lies at {url} has no hash that is asked for", url=mask_secrets(root.url))
            direct = _archive_info(root, path)
            if path.endswith(".whl"):
                from pip_accel._archives import wheel_metadata

                archive = resources.index.add(path)
                metadata = wheel_metadata(archive.path)
            else:
                answer = sources.sole()
                if answer is None:
                    raise Unsupported("pip did not prepare what lies at {url}", url=mask_secrets(root.url))
                metadata = answer[0]
                if inside:  # one archive may hold many projects
                    archive = self._locate([_fs.hash_file(path), inside], metadata)
                else:
                    archive = resources.index.add(_rename(path, metadata))
                self._engine.preparation.keep_tree(archive, answer[1])
            resources.index.set_metadata(archive, metadata)
        return self._keep(root, metadata, archive, direct)

    def _locate(self, what: list[str], metadata: bytes) -> Archive:
        """Give the place in the index of what is no archive by itself, and is known by the digest of what it is."""
        digest = hashlib.sha256("\n".join(what).encode()).hexdigest()
        return self._engine.resources.index.locate(digest, _filename(metadata, ".tar.gz"))

    def _check_out(self, root: Root) -> _Known:
        """Have pip check out what version control has."""
        resources = self._engine.resources
        with self._engine.preparing(self._environ) as (environ, sources):
            sources.expect_repository()
            work = resources.directory("url")
            direct = check_out(resources.python, self._words(root), environ=environ, work=work)["download_info"]
            answer = sources.sole()
            if answer is None:
                raise Unsupported("pip did not prepare what lies at {url}", url=mask_secrets(root.url))
        metadata, prepared = answer
        what = [direct["url"], direct["vcs_info"]["commit_id"], direct.get("subdirectory", "")]
        archive = self._locate(what, metadata)
        self._engine.preparation.keep_tree(archive, prepared)
        resources.index.set_metadata(archive, metadata)
        return self._keep(root, metadata, archive, direct)

    def _words(self, root: Root) -> list[str]:
        """Give the words that name a requirement by URL to pip.

        All users of a machine see them: a password that came from elsewhere than words goes into a file.
        """
        option = ["--editable"] if root.editable else []
        if root.source == "command line" or mask_secrets(root.url) == root.url:
            return [*option, root.url]
        path = os.path.join(self._engine.resources.directory("url"), "requirement.txt")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(" ".join([*option, root.url]) + "\n")
        return ["--requirement", path]

    def _editable(self, root: Root) -> StandIn:
        resources, path = self._engine.resources, root.direct
        if root.url:
            if resources.config.offline:
                text = "{url} cannot be checked out with offline = yes"
                raise NothingFound(text, url=mask_secrets(root.url), status=1)
            options = self._request.options
            words = [f"--exists-action={each}" for each in options.get("exists_action") or ()]
            words += ["--src", options["src_dir"]] if options.get("src_dir") else []
            self.online = True
            with self._engine.preparing(self._environ) as (environ, _sources):
                words += self._words(root)
                item = check_out(resources.python, words, environ=environ, work=resources.directory("url"))
            path = _path_of(item["download_info"]["url"])
        metadata = self._engine.preparation.describe_editable(path, root.name)
        self._tell(root, path, metadata)
        direct = {"dir_info": {"editable": True}, "url": path_to_url(path)}
        name = canonical_name(read_headers(metadata).get("name", ""))
        return StandIn(name, path, Archive(path, os.path.basename(path), ""), direct, True)


def _required_by_url(metadata: bytes, extras: Iterable[str], markers: Mapping[str, str]) -> dict[str, Requirement]:
    """Give what core metadata requires by URL in a target, by the text of the requirement."""
    texts = all_headers(metadata).get("requires-dist", [])
    found = ((text, parse_dependency(text)) for text in texts if "@" in text)
    return {text: each for text, each in found if each is not None and each.url and counts(each, extras, markers)}


def _put_in(metadata: bytes, text: str, requirement: Requirement, stand_in: StandIn) -> bytes:
    """Give core metadata with a stand-in in the place of a requirement."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    spelled = f"{requirement.name}{extras} @ {path_to_url(stand_in.path)}{marker}".encode()
    line = re.compile(rb"^(Requires-Dist:[ \t]*)" + re.escape(text.encode()), re.MULTILINE | re.IGNORECASE)
    changed, count = line.subn(lambda found: found[1] + spelled, metadata)
    if not count:
        raise Unsupported("{name} is required by its URL, over several lines", name=requirement.name)
    return changed


def _path_of(url: str) -> str:
    from urllib.parse import urlsplit

    from pip_accel._text import url_to_path

    return url_to_path(urlsplit(url).path)


def _as_recorded(url: str) -> str:
    return _SECRETS.sub("//", url, 1)


def _archive_info(root: Root, path: str) -> dict[str, Any]:
    """Give the contents of ``direct_url.json`` for an archive, as pip writes it: with the hash that the user gave."""
    bare, fields = split_url(root.url)
    given = {name: value for name, value in fields.items() if name not in ("egg", "subdirectory")}
    name, value = next(iter(given.items()), ("sha256", ""))
    value = value or _fs.hash_file(path)
    return {
        "url": _as_recorded(bare),
        "archive_info": {"hashes": {name: value}, "hash": f"{name}={value}"},
        **({"subdirectory": fields["subdirectory"]} if fields.get("subdirectory") else {}),
    }


def _has_hash(path: str, hashes: tuple[str, ...]) -> bool:
    for each in hashes:
        name, _colon, wanted = each.partition(":")
        with open(path, "rb") as stream:
            if hashlib.new(name, stream.read()).hexdigest() == wanted:
                return True
    return False


def _filename(metadata: bytes, ending: str) -> str:
    headers = read_headers(metadata)
    return f"{re.sub('[-_.]+', '_', headers.get('name', '')).lower()}-{headers.get('version', '')}{ending}"


def _rename(path: str, metadata: bytes) -> str:
    """Give an sdist the name of its distribution: URLs end in all ways."""
    ending = next((each for each in _ENDINGS if path.lower().endswith(each)), None)
    if ending is None:
        raise Unsupported("{path} is an archive of an unknown kind", path=os.path.basename(path))
    renamed = os.path.join(os.path.dirname(path), _filename(metadata, ending))
    os.rename(path, renamed)
    return renamed
