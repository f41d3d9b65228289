"""The S3 cache backend: binary distribution archives shared between machines, by way of any S3-compatible service.

It is the second level, below the local cache: what it gives lies in the local cache afterwards.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from pip_accel import _fs
from pip_accel.caches import AbstractCacheBackend
from pip_accel.exceptions import CacheBackendDisabledError, CacheBackendError

__all__ = ["S3CacheBackend"]

_DEFAULT_URL = "https://s3.amazonaws.com"
#: S3 says 403 of a key that is not there, too, to those who may not list the bucket.
_MISSING = frozenset(("404", "403", "NoSuchKey", "NoSuchBucket", "AccessDenied"))
_REFUSED = frozenset(("403", "AccessDenied", "AllAccessDisabled"))
_LOUD = ("boto3", "botocore", "urllib3")


class S3CacheBackend(AbstractCacheBackend):
    """Stores archives in a bucket.

    :raises CacheBackendDisabledError: no bucket is configured, or boto3 is not installed.
    """

    PRIORITY = 20

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._bucket: Any = None
        self._connection: Any = None
        self.check_prerequisites()

    def check_prerequisites(self) -> None:
        """See that there is something to work with.

        :raises CacheBackendDisabledError: no bucket is configured, or boto3 is not installed.
        """
        if not self.config.s3_cache_bucket:
            raise CacheBackendDisabledError("No S3 bucket is configured ($PIP_ACCEL_S3_BUCKET)")
        from importlib.util import find_spec

        if find_spec("boto3") is None:
            raise CacheBackendDisabledError("The S3 cache needs boto3: install pip-accel[s3]")

    @property
    def s3_connection(self) -> Any:
        """boto3's S3 service resource for ``s3_cache_url``; anonymous where no credentials are found."""
        if self._connection is None:
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
            }
            if session.get_credentials() is None:
                settings["signature_version"] = UNSIGNED
            if not usual:  # other services reject the checksums that boto3 adds by default
                settings["request_checksum_calculation"] = "when_required"
                settings["response_checksum_validation"] = "when_required"
            region = session.region_name or "us-east-1"
            self._connection = session.resource(
                "s3", endpoint_url=None if usual else url, region_name=region, config=BotoConfig(**settings)
            )
        return self._connection

    @property
    def s3_bucket(self) -> Any:
        """boto3's ``Bucket``; no request is made for it."""
        if self._bucket is None:
            self._bucket = self.s3_connection.Bucket(self.config.s3_cache_bucket)
        return self._bucket

    def get_cache_key(self, filename: str) -> str:
        """Give the name of the object that an archive is stored in."""
        prefix = (self.config.s3_cache_prefix or "").strip("/")
        return f"{prefix}/{filename}" if prefix else filename

    def get(self, filename: str) -> str | None:
        """Download an archive into the local cache and give its path there, or ``None`` if the bucket has none.

        :raises CacheBackendError: S3 failed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        path = os.path.join(self.config.binary_cache, *filename.split("/"))
        try:
            answer = self.s3_bucket.Object(self.get_cache_key(filename)).get()
            with _fs.replacing(path) as stream:
                size = sum(stream.write(block) for block in answer["Body"].iter_chunks(1 << 20))
                if size != answer["ContentLength"]:
                    raise CacheBackendError("S3 sent only a part of {filename}", filename=filename)
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise CacheBackendError("S3 failed to give {filename}: {error}", filename=filename, error=error) from error
        except BotoCoreError as error:
            raise CacheBackendError("S3 failed to give {filename}: {error}", filename=filename, error=error) from error
        return path

    def put(self, filename: str, handle: BinaryIO) -> None:
        """Upload an archive, unless the bucket is only read. A refusal makes it read-only for the rest of the run.

        :raises CacheBackendError: S3 failed.
        """
        if self.config.s3_cache_readonly:
            return
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            try:
                self._upload(filename, handle)
            except ClientError as error:
                if _code(error) != "NoSuchBucket" or not self.config.s3_cache_create_bucket:
                    raise
                self._create_bucket()
                handle.seek(0)
                self._upload(filename, handle)
        except ClientError as error:
            if _code(error) not in _REFUSED:
                raise CacheBackendError("S3 refused {filename}: {error}", filename=filename, error=error) from error
            self.config.s3_cache_readonly = True
        except BotoCoreError as error:
            raise CacheBackendError("S3 did not take {filename}: {error}", filename=filename, error=error) from error

    def _upload(self, filename: str, handle: BinaryIO) -> None:
        self.s3_bucket.put_object(Key=self.get_cache_key(filename), Body=handle)

    def _create_bucket(self) -> None:
        region = self.s3_connection.meta.client.meta.region_name
        usual = region in ("us-east-1", "aws-global")
        self.s3_bucket.create(**({} if usual else {"CreateBucketConfiguration": {"LocationConstraint": region}}))


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
