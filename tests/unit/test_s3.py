"""The S3 cache backend without a server: what it needs, and what it makes of S3's answers."""

import importlib.util
import io
import os

import pytest

from pip_accel.config import Config
from pip_accel.exceptions import CacheBackendDisabledError, CacheBackendError

boto3 = pytest.importorskip("boto3")
stub = pytest.importorskip("botocore.stub")


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = str(tmp_path)
    config.s3_cache_url = "http://127.0.0.1:9"
    config.s3_cache_bucket = "wheels"
    return config


@pytest.fixture
def backend(config):
    from pip_accel.caches.s3 import S3CacheBackend

    return S3CacheBackend(config)


@pytest.fixture
def service(backend):
    with stub.Stubber(backend.s3_connection.meta.client) as stubber:
        yield stubber


def test_without_a_bucket_the_backend_is_off(config):
    from pip_accel.caches.s3 import S3CacheBackend

    config.s3_cache_bucket = None
    with pytest.raises(CacheBackendDisabledError, match="PIP_ACCEL_S3_BUCKET"):
        S3CacheBackend(config)


def test_without_boto3_the_backend_is_off_and_says_what_to_install(config, monkeypatch):
    from pip_accel.caches.s3 import S3CacheBackend

    monkeypatch.setattr(importlib.util, "find_spec", {"boto3": None}.__getitem__)
    with pytest.raises(CacheBackendDisabledError, match=r"pip-accel\[s3\]"):
        S3CacheBackend(config)


def test_what_mended_boto_is_gone():
    from pip_accel.caches import s3

    assert s3.__all__ == ["S3CacheBackend"]
    assert not hasattr(s3, "PatchedBotoConfig")


def address(backend):
    """Where a request for an object would go, without its signature."""
    place = {"Bucket": "wheels", "Key": "v8/x"}
    return backend.s3_connection.meta.client.generate_presigned_url("get_object", Params=place).partition("?")[0]


@pytest.mark.parametrize(
    ("url", "expected", "checksums"),
    [
        ("https://s3.amazonaws.com", "https://wheels.s3.amazonaws.com/v8/x", "when_supported"),
        ("https://s3.amazonaws.com/", "https://wheels.s3.amazonaws.com/v8/x", "when_supported"),
        ("https://s3.example.org", "https://s3.example.org/wheels/v8/x", "when_required"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/wheels/v8/x", "when_required"),
    ],
)
def test_other_services_than_amazons_get_the_bucket_in_the_path_and_no_checksums(
    config, backend, url, expected, checksums
):
    config.s3_cache_url = url
    assert address(backend) == expected
    settings = backend.s3_connection.meta.client.meta.config
    assert settings.request_checksum_calculation == settings.response_checksum_validation == checksums


def test_time_and_repetitions_are_those_of_the_configuration(config, backend):
    config.s3_cache_timeout, config.s3_cache_retries = 7, 3
    settings = backend.s3_connection.meta.client.meta.config
    assert (settings.connect_timeout, settings.read_timeout) == (7, 7)
    assert settings.retries["total_max_attempts"] == 4  # with the first one


@pytest.mark.parametrize("known", [True, False], ids=["credentials", "no credentials"])
def test_without_credentials_requests_are_not_signed(backend, monkeypatch, known):
    from botocore import UNSIGNED

    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not known else ():
        monkeypatch.delenv(name)
    assert (backend.s3_connection.meta.client.meta.config.signature_version is UNSIGNED) is not known


def test_connection_and_bucket_are_opened_once_and_without_a_request(backend, service):
    assert backend.s3_connection is backend.s3_connection
    assert backend.s3_bucket is backend.s3_bucket  # the stub answers nothing yet
    assert backend.s3_bucket.name == "wheels"


@pytest.mark.parametrize("prefix, key", [(None, "v8/x.tar.gz"), ("ci", "ci/v8/x.tar.gz"), ("/ci/", "ci/v8/x.tar.gz")])
def test_objects_lie_below_the_prefix(config, backend, prefix, key):
    config.s3_cache_prefix = prefix
    assert backend.get_cache_key("v8/x.tar.gz") == key


def test_an_archive_comes_into_the_local_cache(backend, service):
    from botocore.response import StreamingBody

    body = StreamingBody(io.BytesIO(b"content"), 7)
    service.add_response("get_object", {"Body": body, "ContentLength": 7}, {"Bucket": "wheels", "Key": "v8/x.tar.gz"})
    path = backend.get("v8/x.tar.gz")
    with open(path, "rb") as stream:
        assert stream.read() == b"content"


@pytest.mark.parametrize("code, status", [("NoSuchKey", 404), ("AccessDenied", 403)])
def test_what_is_not_there_is_a_miss(backend, service, code, status):
    service.add_client_error("get_object", code, http_status_code=status)
    assert backend.get("v8/x.tar.gz") is None


def test_a_failing_service_is_an_error_of_the_backend(backend, service):
    service.add_client_error("get_object", "InternalError", http_status_code=500)
    with pytest.raises(CacheBackendError, match=r"v8/x\.tar\.gz"):
        backend.get("v8/x.tar.gz")


def test_an_upload_that_fails_is_an_error_of_the_backend(config, backend, service):
    service.add_client_error("put_object", "InternalError", http_status_code=500)
    with pytest.raises(CacheBackendError) as caught:
        backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
    assert caught.value.context["what"] == "take v8/x.tar.gz"
    assert "InternalError" in str(caught.value.context["error"])
    assert not config.s3_cache_readonly


def test_of_an_archive_that_breaks_off_nothing_is_left(config, backend, service):
    from botocore.response import StreamingBody

    config.s3_cache_retries = 0
    for announced in (7, 4):  # of the body, and of what it says of itself
        body = StreamingBody(io.BytesIO(b"cont"), announced)
        service.add_response("get_object", {"Body": body, "ContentLength": 7})
        with pytest.raises(CacheBackendError, match=r"v8/x\.tar\.gz"):
            backend.get("v8/x.tar.gz")
    assert os.listdir(os.path.join(config.binary_cache, "v8")) == []


def test_nothing_is_put_into_a_bucket_that_is_only_read(config, backend, service):
    config.s3_cache_readonly = True
    backend.put("v8/x.tar.gz", io.BytesIO(b"content"))  # a request would find no answer in the stub
    assert backend.read_only


def test_after_a_refused_upload_reading_goes_on(backend, service):
    from botocore.response import StreamingBody

    service.add_client_error("put_object", "AccessDenied", http_status_code=403)
    service.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"content"), 7), "ContentLength": 7})
    backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
    assert backend.get("v8/x.tar.gz") is not None


def test_a_refused_upload_makes_the_bucket_read_only_for_the_rest_of_the_run(config, backend, service):
    service.add_client_error("put_object", "AccessDenied", http_status_code=403)
    backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
    assert config.s3_cache_readonly
    backend.put("v8/y.tar.gz", io.BytesIO(b"content"))  # a second request would find no answer in the stub


def test_a_missing_bucket_is_made_if_that_is_wanted(config, backend, service):
    config.s3_cache_create_bucket = True
    service.add_client_error("put_object", "NoSuchBucket", http_status_code=404)
    service.add_response("create_bucket", {}, {"Bucket": "wheels"})
    service.add_response("put_object", {})
    backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
    service.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("region", "place"),
    [("eu-west-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}), ("us-east-1", {})],
)
def test_a_bucket_is_made_in_the_region_of_the_session(config, backend, monkeypatch, region, place):
    config.s3_cache_create_bucket = True
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    with stub.Stubber(backend.s3_connection.meta.client) as service:
        service.add_client_error("put_object", "NoSuchBucket", http_status_code=404)
        service.add_response("create_bucket", {}, {"Bucket": "wheels", **place})
        service.add_response("put_object", {})
        backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
        service.assert_no_pending_responses()


def test_what_has_no_end_is_not_read(backend, service):
    from botocore.response import StreamingBody

    service.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"content"), None)})
    with pytest.raises(CacheBackendError, match="does not say how long"):
        backend.get("v8/x.tar.gz")


def refusal(code, status, operation):
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def test_what_one_thread_learned_of_the_service_fails_no_other_one(backend, monkeypatch):
    sent = []

    def send(filename, handle, progress, condition):
        if condition:
            backend._conditional = False  # another thread was faster
            raise refusal("NotImplemented", 501, "PutObject")
        sent.append(filename)

    monkeypatch.setattr(backend, "_send", send)
    backend.put("v8/x.tar.gz", io.BytesIO(b"content"))
    assert sent == ["v8/x.tar.gz"]


def test_where_another_machine_was_faster_nothing_is_wrong(config, backend, service):
    service.add_response("create_multipart_upload", {"UploadId": "1"})
    for _ in range(2):
        service.add_response("upload_part", {"ETag": "e"})
    service.add_client_error("complete_multipart_upload", "ConditionalRequestConflict", http_status_code=409)
    service.add_client_error("abort_multipart_upload", "NoSuchUpload", http_status_code=404)
    backend.put("v8/x.tar.gz", io.BytesIO(bytes(17 << 20)))
    service.assert_no_pending_responses()
    assert not config.s3_cache_readonly
