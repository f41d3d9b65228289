"""The S3 cache backend without a server: what it needs, and what it makes of S3's answers."""

import io

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
