"""The S3 cache backend: one cache for many machines, by way of any S3-compatible service.

It is the second level, below the local cache: what it gives lies in the local cache afterwards. Objects are never
changed: their names say what they are, and what is there already stays. No listing is needed.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from pip_accel import _fs
from pip_accel._process import pause
from pip_accel._text import escape_unprintable, mask_secrets
from pip_accel.caches import AbstractCacheBackend
from pip_accel.exceptions import CacheBackendDisabledError, CacheBackendError

__all__ = ["S3CacheBackend"]

_DEFAULT_URL = "https://s3.amazonaws.com"
_MISSING = frozenset(("404", "NoSuchKey", "NoSuchBucket"))
#: S3 says so of a key that is not there, too, to those who may not list the bucket.
_DENIED = frozenset(("403", "AccessDenied", "AllAccessDisabled"))
#: That somebody else was faster. An equal object is there then.
_PRESENT = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "412", "409"))
#: That the service does not know conditional writes.
_UNKNOWN = frozenset(("NotImplemented", "501"))
#: Those whose credentials are not good may neither read nor write.
_UNFIT = frozenset(
    (
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
        *("ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
    )
)
_LOUD = ("boto3", "botocore", "urllib3", "s3transfer")
_BLOCK = 1 << 16  # bytes
_LARGE = 16 << 20  # bytes, from which on an object is sent in parts
_SLOWEST = 10 << 10  # bytes per second; below, the service counts as gone
_CONNECTIONS = 16
_WAKE = 0.2  # seconds between looks at whether the run has ended


class S3CacheBackend(AbstractCacheBackend):
    """Stores files in a bucket.

    :raises CacheBackendDisabledError: no bucket is configured, or boto3 is not installed.
    """

    PRIORITY = 20
    CONCURRENT = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._bucket: Any = None
        self._connection: Any = None
        self._connecting = threading.Lock()
        self._rejected: set[str] = set()
        self._conditional = True  #: whether the service knows conditional writes
        self._told = False  #: whether it was told that the service denied something
        self.check_prerequisites()

    def __repr__(self) -> str:
        return f"the S3 bucket {self.config.s3_cache_bucket}"

    def check_prerequisites(self) -> None:
        """See that there is something to work with.

        :raises CacheBackendDisabledError: no bucket is configured, or boto3 is not installed.
        """
        if not self.config.s3_cache_bucket:
            raise CacheBackendDisabledError("No S3 bucket is configured ($PIP_ACCEL_S3_BUCKET)")
        from importlib.util import find_spec

        if find_spec("boto3") is None:
            raise CacheBackendDisabledError("The S3 cache needs boto3: install pip-accel[s3]", wanted=True)

    @property
    def read_only(self) -> bool:
        """Whether nothing is put: as it is configured, or as the service has refused something."""
        return bool(self.config.s3_cache_readonly)

    @property
    def s3_connection(self) -> Any:
        """boto3's S3 service resource for ``s3_cache_url``; anonymous where no credentials are found."""
        with self._connecting:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    def _connect(self) -> Any:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config as BotoConfig

        if self.config.silence_boto:
            import logging

            for name in _LOUD:
                logging.getLogger(name).setLevel(logging.FATAL)
        url = self.config.s3_cache_url
        usual = url.rstrip("/") == _DEFAULT_URL
        session = boto3.session.Session()
        settings: dict[str, Any] = {
            "connect_timeout": self.config.s3_cache_timeout,
            "read_timeout": self.config.s3_cache_timeout,
            "retries": {"max_attempts": self.config.s3_cache_retries},
            "s3": {"addressing_style": "virtual" if usual else "path"},
            "max_pool_connections": _CONNECTIONS,
        }
        if session.get_credentials() is None:
            settings["signature_version"] = UNSIGNED
        if not usual:  # other services reject the checksums that boto3 adds by default
            settings["request_checksum_calculation"] = "when_required"
            settings["response_checksum_validation"] = "when_required"
        region = session.region_name or os.environ.get("AWS_REGION") or "us-east-1"
        return session.resource(
            "s3", endpoint_url=None if usual else url, region_name=region, config=BotoConfig(**settings)
        )

    @property
    def s3_bucket(self) -> Any:
        """boto3's ``Bucket``; no request is made for it."""
        if self._bucket is None:
            self._bucket = self.s3_connection.Bucket(self.config.s3_cache_bucket)
        return self._bucket

    @property
    def _client(self) -> Any:
        """boto3's client, which several threads may use."""
        return self.s3_connection.meta.client

    def get_cache_key(self, filename: str) -> str:
        """Give the name of the object that a file is stored in."""
        prefix = (self.config.s3_cache_prefix or "").strip("/")
        return f"{prefix}/{filename}" if prefix else filename

    def _place(self, filename: str) -> dict[str, Any]:
        return {"Bucket": self.config.s3_cache_bucket, "Key": self.get_cache_key(filename)}

    def get(self, filename: str) -> str | None:
        """Download a file into the local cache and give its path there, or ``None`` if the bucket has none.

        :raises CacheBackendError: S3 failed.
        """
        path = os.path.join(self.config.binary_cache, *filename.split("/"))
        return path if self.fetch(filename, path) else None

    def fetch(self, filename: str, path: str) -> bool:
        """Download a file to a path; give whether the bucket has it.

        :raises CacheBackendError: S3 failed.
        """
        found: bool = self._patiently(partial(self._download, filename, path), f"give {filename}")
        return found

    def _download(self, filename: str, path: str, progress: _Progress) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        for attempt in range(self.config.s3_cache_retries + 1):
            try:
                answer = self._client.get_object(**self._place(filename))
                if "ContentLength" not in answer:  # there may be no end to it
                    raise CacheBackendError("S3 does not say how long {filename} is", filename=filename)
                with _fs.replacing(path) as stream:
                    for block in answer["Body"].iter_chunks(_BLOCK):
                        progress.add(stream.write(block))
                    if progress.moved != answer["ContentLength"]:
                        raise CacheBackendError("S3 sent only a part of {filename}", filename=filename)
                return True
            except ClientError as error:
                if _code(error) in _DENIED:
                    self._tell("denies to read some of its objects, which count as missing", error)
                elif _code(error) not in _MISSING:
                    raise
                return False
            except BotoCoreError:  # boto3 repeats requests, but not what breaks off while it is read
                if attempt == self.config.s3_cache_retries or not progress.moved:
                    raise
                progress.moved = 0
        return False

    def put(self, filename: str, handle: BinaryIO) -> None:
        """Upload a file, unless the bucket is only read. A refusal makes it read-only for the rest of the run.

        :raises CacheBackendError: S3 failed.
        """
        if not self.read_only:
            self._patiently(partial(self._upload, filename, handle), f"take {filename}")

    def has(self, filename: str) -> bool:
        """Whether there is an object for a file.

        :raises CacheBackendError: S3 failed.
        """
        if filename in self._rejected:
            return False
        found: bool = self._patiently(partial(self._look_for, filename), f"look for {filename}")
        return found

    def reject(self, filename: str) -> None:
        """Know that an object is damaged: it will be replaced."""
        self._rejected.add(filename)

    def _upload(self, filename: str, handle: BinaryIO, progress: _Progress) -> None:
        from botocore.exceptions import ClientError

        try:
            self._send_as_known(filename, handle, progress)
        except ClientError as error:
            if _code(error) in _PRESENT:
                return
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if _code(error) in _UNFIT or not 400 <= status < 500:
                raise
            self.config.s3_cache_readonly = True
            self._tell("takes nothing from here, and is only read in this run", error)

    def _send_as_known(self, filename: str, handle: BinaryIO, progress: _Progress) -> None:
        """Send an object in the way that the service knows, to a bucket that may have to be created."""
        from botocore.exceptions import ClientError

        may_create = self.config.s3_cache_create_bucket
        while True:
            condition = {"IfNoneMatch": "*"} if self._conditional and filename not in self._rejected else {}
            try:
                return self._send(filename, handle, progress, condition)
            except ClientError as error:
                if _code(error) in _UNKNOWN and condition:
                    self._conditional = False
                elif _code(error) == "NoSuchBucket" and may_create:
                    may_create = False
                    self._create_bucket()
                else:
                    raise

    def _look_for(self, filename: str, progress: _Progress) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(**self._place(filename))
        except ClientError as error:
            if _code(error) in _MISSING or _code(error) in _DENIED:
                return False
            raise
        return True

    def _send(self, filename: str, handle: BinaryIO, progress: _Progress, condition: Mapping[str, str]) -> None:
        body = _Body(handle, progress)
        if handle.seek(0, os.SEEK_END) < _LARGE:
            handle.seek(0)
            self._client.put_object(**self._place(filename), Body=body, **condition)
            return
        handle.seek(0)
        place = self._place(filename)
        place["UploadId"] = self._client.create_multipart_upload(**place)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            while block := handle.read(_LARGE):
                number = len(parts) + 1
                part = _Body(io.BytesIO(block), progress)
                answer = self._client.upload_part(**place, PartNumber=number, Body=part)
                parts.append({"ETag": answer["ETag"], "PartNumber": number})
            self._client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            with suppress(Exception):  # the service may know that it ended
                self._client.abort_multipart_upload(**place)
            raise

    def _create_bucket(self) -> None:
        from botocore.exceptions import ClientError

        region = self._client.meta.region_name
        usual = region in ("us-east-1", "aws-global")
        try:
            self.s3_bucket.create(**({} if usual else {"CreateBucketConfiguration": {"LocationConstraint": region}}))
        except ClientError as error:  # by somebody else, meanwhile
            if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def _tell(self, what: str, error: Exception) -> None:
        """Report once per run what the service denies."""
        if not self._told:
            self._told = True
            said = mask_secrets(escape_unprintable(str(error)))
            self.report(f"The S3 bucket {self.config.s3_cache_bucket} {what}: {said}")

    def _patiently(self, operation: Callable[[_Progress], Any], what: str) -> Any:
        """Carry out an operation, as long as it goes on; one that stands still or crawls is left alone.

        boto3 has time limits for each read of a socket only: a byte now and then would keep it busy for ever.

        :raises CacheBackendError: S3 failed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        progress, outcome = _Progress(), _Outcome()

        def carry_out() -> None:
            try:
                outcome.value = operation(progress)
            except BaseException as error:  # it is raised in the thread that waits
                outcome.error = error
            finally:
                progress.ended.set()

        threading.Thread(target=carry_out, daemon=True).start()  # nobody waits for it when the program ends
        timeout = self.config.s3_cache_timeout
        try:
            before = 0
            while not _wait(progress.ended, timeout):
                moved, before = progress.total - before, progress.total
                if moved < timeout * _SLOWEST:
                    raise CacheBackendError(
                        "S3 failed to {what}: {moved} bytes in {timeout} seconds",
                        what=what,
                        moved=moved,
                        timeout=timeout,
                    )
        finally:
            progress.given_up = True
        error = outcome.error
        if isinstance(error, (BotoCoreError, ClientError)):
            raise CacheBackendError("S3 failed to {what}: {error}", what=what, error=error) from error
        if error is not None:
            raise error
        return outcome.value


class _Progress:
    """What moves in an operation; one that was given up ends where it would move on."""

    def __init__(self) -> None:
        self.moved = 0  #: bytes of this attempt
        self.total = 0  #: bytes of all attempts
        self.given_up = False
        self.ended = threading.Event()

    def add(self, count: int) -> None:
        if self.given_up:
            raise CacheBackendError("S3 is too slow")
        self.moved += count
        self.total += count


class _Outcome:
    """What came of an operation."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None


class _Body:
    """A file on its way, as boto3 wants it: which reads it once for its digest, and closes it if it can."""

    def __init__(self, handle: BinaryIO, progress: _Progress) -> None:
        self._handle = handle
        self._progress = progress
        self.seek, self.tell = handle.seek, handle.tell

    def read(self, size: int = -1) -> bytes:
        data = self._handle.read(size)
        self._progress.add(len(data))
        return data


def _wait(event: threading.Event, seconds: float) -> bool:
    """Wait for an event; give whether it came.

    :raises Ended: nothing is to go on.
    """
    end = time.monotonic() + seconds
    while not event.wait(_WAKE):
        if time.monotonic() > end:
            return False
        pause(0)
    return True


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
