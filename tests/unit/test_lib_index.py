"""The index on the loopback answers as a package index does, counts, and fails on demand."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from pathlib import Path

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import JSON_TYPE, IndexServer


def get(index, path, method="GET", **headers):
    connection = http.client.HTTPConnection(index.host, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_a_page_links_all_archives_of_a_project(index, tmp_path):
    wheel = make_wheel(str(tmp_path), "Zope.Interface", "1.0", requires_python=">=3.8")
    index.add(wheel, yanked="broken")
    index.add(make_sdist(str(tmp_path), "zope-interface", "1.0", filename="zope.interface-1.0.tar.gz"))
    digest = hashlib.sha256(Path(wheel).read_bytes()).hexdigest()
    page = get(index, "/simple/zope-interface/")[2].decode()
    assert f'href="/files/zope_interface-1.0-py3-none-any.whl#sha256={digest}"' in page
    assert 'data-requires-python="&gt;=3.8"' in page and 'data-yanked="broken"' in page
    assert page.count("<a ") == 2 and page.count("data-core-metadata=") == 1
    assert index.pages == {"zope-interface": 1}


def test_a_page_as_json_says_the_same(index, tmp_path):
    index.add(make_wheel(str(tmp_path), "six", "1.0"))
    index.add(make_sdist(str(tmp_path), "six", "1.0"))
    page = json.loads(get(index, "/simple/six/", Accept=JSON_TYPE)[2])
    assert [(each["filename"], "core-metadata" in each) for each in page["files"]] == [
        ("six-1.0-py3-none-any.whl", True),
        ("six-1.0.tar.gz", False),
    ]
    assert json.loads(get(index, "/simple/", Accept=JSON_TYPE)[2])["projects"] == [{"name": "six"}]


def test_a_sidecar_is_the_metadata_of_the_wheel(index, tmp_path):
    index.add(make_wheel(str(tmp_path), "six", "1.0"))
    assert b"Name: six\n" in get(index, "/files/six-1.0-py3-none-any.whl.metadata")[2]
    assert not index.downloads


def test_an_index_can_do_without_sidecars(tmp_path):
    make_wheel(str(tmp_path), "six", "1.0")
    with IndexServer(str(tmp_path), sidecars=False) as index:
        assert b"core-metadata" not in get(index, "/simple/six/")[2]
        assert get(index, "/files/six-1.0-py3-none-any.whl.metadata")[0] == 404


def test_downloads_are_counted_and_other_requests_listed(index, tmp_path):
    path = make_wheel(str(tmp_path), "six", "1.0+local")
    index.add(path)
    name = "six-1.0+local-py3-none-any.whl"
    location = index.url_of(name).removeprefix(f"http://{index.host}")
    for _ in range(2):
        assert get(index, location)[2] == Path(path).read_bytes()
    assert get(index, location, "HEAD")[2] == b""
    assert index.downloads == {name: 2}
    assert [method for method, _ in index.requests] == ["GET", "GET", "HEAD"]
    index.reset()
    assert not index.requests and not index.downloads


@pytest.mark.parametrize("path", ["/simple/none/", "/files/none.whl", "/elsewhere", "/files/"])
def test_what_is_not_there_is_not_found(index, path):
    assert get(index, path)[0] == 404


def test_credentials_are_needed_where_set(tmp_path):
    make_wheel(str(tmp_path), "six", "1.0")
    with IndexServer(str(tmp_path), auth=("me", "a:b@c")) as index:
        status, headers, _ = get(index, "/simple/six/")
        assert status == 401 and headers["WWW-Authenticate"].startswith("Basic ")
        token = base64.b64encode(b"me:a:b@c").decode()
        assert get(index, "/simple/six/", Authorization=f"Basic {token}")[0] == 200
        assert index.url_with_credentials == f"http://me:a%3Ab%40c@{index.host}/simple/"


def test_faults_pass(index, tmp_path):
    index.add(make_wheel(str(tmp_path), "six", "1.0"))
    index.fail("/simple/six/", times=2, status=500)
    assert [get(index, "/simple/six/")[0] for _ in range(3)] == [500, 500, 200]


def test_an_answer_can_break_off(index, tmp_path):
    index.add(make_wheel(str(tmp_path), "six", "1.0"))
    index.fail(".whl", status=0)
    with pytest.raises(http.client.IncompleteRead):
        get(index, "/files/six-1.0-py3-none-any.whl")


def test_the_cache_control_header_is_sent_where_set(tmp_path):
    make_wheel(str(tmp_path), "six", "1.0")
    with IndexServer(str(tmp_path), cache_control="max-age=600") as index:
        assert get(index, "/simple/six/")[1]["Cache-Control"] == "max-age=600"


def test_an_archive_can_be_replaced_removed_and_lied_about(index, tmp_path):
    path = make_wheel(str(tmp_path), "six", "1.0")
    index.add(path, sha256="0" * 64)
    assert b"sha256=" + b"0" * 64 in get(index, "/simple/six/")[2]
    index.add(path, sidecar=False)
    assert get(index, "/simple/six/")[2].count(b"<a ") == 1
    index.remove("six-1.0-py3-none-any.whl")
    assert get(index, "/simple/six/")[0] == 404
