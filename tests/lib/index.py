"""A package index on the loopback (PEP 503, PEP 658, PEP 691) that counts what it is asked for and fails on demand."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import threading
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import HeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

__all__ = ["IndexServer"]

ARCHIVE_SUFFIXES = (".whl", ".tar.gz", ".zip", ".tbz")
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class Entry:
    """An archive as the index shows it."""

    path: str
    filename: str
    project: str  #: canonical
    sha256: str
    yanked: bool | str
    requires_python: str
    metadata: bytes | None  #: of the sidecar, if there is one


class IndexServer:
    """A context manager that serves archives while it is open.

    :param directory: a directory whose archives are all added.
    :param sidecars: whether wheels have ``.metadata`` files beside them, as on the package index.
    :param auth: user and password without which all answers are 401.
    :param cache_control: value of the ``Cache-Control`` header of all answers, if any.
    """

    def __init__(
        self,
        directory: str | None = None,
        *,
        sidecars: bool = True,
        auth: tuple[str, str] | None = None,
        cache_control: str | None = None,
    ) -> None:
        self.sidecars = sidecars
        self.auth = auth
        self.cache_control = cache_control
        self.requests: list[tuple[str, str]] = []  #: method and path of all requests so far
        self.downloads: Counter[str] = Counter()  #: by file name; neither sidecars nor requests that failed
        self.pages: Counter[str] = Counter()  #: by canonical name, also of projects that are not there
        self._entries: dict[str, Entry] = {}
        self._faults: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        for filename in sorted(os.listdir(directory)) if directory else ():
            if filename.endswith(ARCHIVE_SUFFIXES):
                self.add(os.path.join(directory or "", filename))

    def __enter__(self) -> IndexServer:
        index = self

        class Handler(_Handler):
            server_index = index

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """What pip's ``--index-url`` takes; without user and password."""
        return f"http://{self.host}/simple/"

    @property
    def url_with_credentials(self) -> str:
        """:attr:`url` with user and password, where they are needed."""
        if self.auth is None:
            return self.url
        user, password = (urllib.parse.quote(each, safe="") for each in self.auth)
        return f"http://{user}:{password}@{self.host}/simple/"

    def url_of(self, filename: str) -> str:
        """The URL of an archive, without its hash."""
        return f"http://{self.host}/files/{urllib.parse.quote(filename)}"

    def add(
        self,
        path: str,
        *,
        yanked: bool | str = False,
        sidecar: bool | None = None,
        sha256: str | None = None,
        requires_python: str | None = None,
    ) -> None:
        """Show an archive from now on, in place of one with the same file name.

        :param path: path of the archive, which is read again for each download.
        :param yanked: whether it is yanked, or for which reason (PEP 592).
        :param sidecar: as ``sidecars`` of the whole index, for this wheel.
        :param sha256: hex digest to show, of the archive as it is now by default.
        :param requires_python: value to show, that of a wheel's metadata by default.
        """
        filename = os.path.basename(path)
        if sha256 is None:
            with open(path, "rb") as handle:
                sha256 = hashlib.sha256(handle.read()).hexdigest()
        metadata = _read_metadata(path)
        if requires_python is None and metadata is not None:
            requires_python = HeaderParser().parsestr(metadata.decode("utf-8")).get("Requires-Python")
        if not (self.sidecars if sidecar is None else sidecar):
            metadata = None
        self._entries[filename] = Entry(
            path, filename, _project_of(filename), sha256, yanked, requires_python or "", metadata
        )

    def remove(self, filename: str) -> None:
        """Show an archive no longer."""
        del self._entries[filename]

    def fail(self, path: str, times: int = 1, status: int = 503) -> None:
        """Fail the next requests whose path ends in ``path``.

        :param status: of the answer; 0 sends half of the right answer and closes the connection.
        """
        self._faults += [(path, status)] * times

    def mend(self) -> None:
        """Fail no longer."""
        self._faults.clear()

    def reset(self) -> None:
        """Forget what has been counted."""
        with self._lock:
            self.requests.clear()
            self.downloads.clear()
            self.pages.clear()

    def answer(self, method: str, path: str, accept: str, authorization: str) -> tuple[int, str, bytes, bool]:
        """Count a request, and work out its answer.

        :returns: status, content type, body, and whether to send but half of the body.
        """
        path = urllib.parse.unquote(path.partition("?")[0])
        with self._lock:
            self.requests.append((method, path))
            fault = next((each for each in self._faults if path.endswith(each[0])), None)
            if fault is not None:
                self._faults.remove(fault)
        if self.auth is not None:
            expected = "Basic " + base64.b64encode(":".join(self.auth).encode()).decode("ascii")
            if authorization != expected:
                return 401, "text/plain", b"authentication is needed", False
        if fault is not None and fault[1]:
            return fault[1], "text/plain", b"a fault on demand", False
        status, kind, body = self._find(method, path, accept)
        return status, kind, body, fault is not None

    def _find(self, method: str, path: str, accept: str) -> tuple[int, str, bytes]:
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "files":
            entry = self._entries.get(rest.removesuffix(".metadata"))
            if entry is not None and rest.endswith(".metadata") and entry.metadata is not None:
                return 200, "application/octet-stream", entry.metadata
            if entry is not None and not rest.endswith(".metadata"):
                if method == "GET":
                    with self._lock:
                        self.downloads[entry.filename] += 1
                with open(entry.path, "rb") as handle:
                    return 200, "application/octet-stream", handle.read()
        elif kind == "simple" and not rest:
            projects = sorted({entry.project for entry in self._entries.values()})
            if JSON_TYPE in accept:
                names = [{"name": name} for name in projects]
                return 200, JSON_TYPE, json.dumps({"meta": {"api-version": "1.0"}, "projects": names}).encode()
            return 200, "text/html", _page(f'<a href="{name}/">{name}</a><br>' for name in projects)
        elif kind == "simple":
            project = rest.removesuffix("/")
            with self._lock:
                self.pages[canonical(project)] += 1
            entries = [entry for _, entry in sorted(self._entries.items()) if entry.project == project]
            if entries and JSON_TYPE in accept:
                files = [_json_file(entry) for entry in entries]
                page = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
                return 200, JSON_TYPE, json.dumps(page).encode()
            if entries:
                return 200, "text/html", _page(_html_link(each) for each in entries)
        return 404, "text/plain", b"not found"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out in two writes
    server_index: IndexServer

    def do_GET(self) -> None:
        status, kind, body, broken = self.server_index.answer(
            self.command, self.path, self.headers.get("Accept", ""), self.headers.get("Authorization", "")
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        if self.server_index.cache_control is not None:
            self.send_header("Cache-Control", self.server_index.cache_control)
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body[: len(body) // 2] if broken else body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has gone away, which some tests make it do
        self.close_connection = self.close_connection or broken

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the output of the tests clean."""


def canonical(name: str) -> str:
    """A project's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _project_of(filename: str) -> str:
    """The project of an archive: all before the first hyphen of a wheel's name, before the last one of an sdist's."""
    if not filename.endswith(ARCHIVE_SUFFIXES):
        raise ValueError(f"{filename} is not the name of an archive")
    return canonical(filename.partition("-")[0] if filename.endswith(".whl") else filename.rpartition("-")[0])


def _read_metadata(path: str) -> bytes | None:
    """``METADATA`` of a wheel, None if it is not a wheel or cannot be read (tests serve damaged ones, too)."""
    if not path.endswith(".whl"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".dist-info/METADATA") and name.count("/") == 1:
                    return archive.read(name)
    except zipfile.BadZipFile:
        pass
    return None


def _json_file(entry: Entry) -> dict[str, object]:
    described: dict[str, object] = {
        "filename": entry.filename,
        "url": f"/files/{urllib.parse.quote(entry.filename)}",
        "hashes": {"sha256": entry.sha256},
        "yanked": entry.yanked,
    }
    if entry.requires_python:
        described["requires-python"] = entry.requires_python
    if entry.metadata is not None:
        described["core-metadata"] = {"sha256": hashlib.sha256(entry.metadata).hexdigest()}
    return described


def _html_link(entry: Entry) -> str:
    attributes = f'href="/files/{urllib.parse.quote(entry.filename)}#sha256={entry.sha256}"'
    if entry.requires_python:
        attributes += f' data-requires-python="{html.escape(entry.requires_python)}"'
    if entry.metadata is not None:
        attributes += f' data-core-metadata="sha256={hashlib.sha256(entry.metadata).hexdigest()}"'
    if entry.yanked is not False:
        attributes += f' data-yanked="{html.escape(entry.yanked) if isinstance(entry.yanked, str) else ""}"'
    return f"<a {attributes}>{html.escape(entry.filename)}</a><br>"


def _page(lines: Iterable[str]) -> bytes:
    body = "\n".join(lines)
    head = '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head><body>'
    return f"{head}\n{body}\n</body></html>\n".encode()
