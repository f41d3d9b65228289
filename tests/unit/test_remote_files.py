"""Requirement files at URLs: what anybody gets is fetched, all else is left to pip."""

from __future__ import annotations

import http.server
import os
import threading

import pytest

from pip_accel._plan import remote_files
from pip_accel._plan.remote_files import fetch_file
from pip_accel.exceptions import Unsupported


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("User-Agent", ""), "Authorization" in self.headers))
        status = int(self.path.split("/")[1])
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", "/200/else.txt")
        self.send_header("Content-Length", "8" if status == 206 else "4")
        self.end_headers()
        self.wfile.write(b"six\n")

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Answers with the status that a path begins with; knows what it was asked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(remote_files, "_LIMIT", 5.0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_lies_at_a_url_is_fetched(server):
    assert fetch_file(f"{server.url}/200/reqs.txt?a=b", {}) == b"six\n"
    assert server.asked == [("/200/reqs.txt?a=b", "pip-accel", False)]


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 500, 503])
def test_what_is_not_simply_there_is_left_to_pip(server, status):
    with pytest.raises(Unsupported, match="requirement file"):
        fetch_file(f"{server.url}/{status}/reqs.txt", {})


def test_what_does_not_come_whole_is_left_to_pip(server):
    with pytest.raises(Unsupported, match="cannot be read"):
        fetch_file(f"{server.url}/206/reqs.txt", {})


def test_a_url_that_none_can_be_is_left_to_pip(server):
    for path in ("a b.txt", "\u00e9.txt"):
        with pytest.raises(Unsupported, match="cannot be read"):
            fetch_file(f"{server.url}/200/{path}", {})


def test_a_server_that_does_not_answer_is_left_to_pip(server):
    with pytest.raises(Unsupported, match="cannot be read"):
        fetch_file("http://127.0.0.1:9/reqs.txt", {})


@pytest.mark.parametrize(
    "options",
    [{"cert": "c"}, {"client_cert": "c"}, {"proxy": "p"}, {"no_proxy_env": True}, {"trusted_hosts": ("h",)}],
    ids=lambda options: next(iter(options)),
)
def test_settings_of_the_connection_are_for_pip(server, options):
    with pytest.raises(Unsupported, match="settings"):
        fetch_file(f"{server.url}/200/reqs.txt", options)
    assert server.asked == []


def test_other_options_do_not_matter(server):
    options = {"proxy": "", "cert": None, "trusted_hosts": (), "upgrade": True, "timeout": 3.0}
    assert fetch_file(f"{server.url}/200/reqs.txt", options) == b"six\n"


def test_a_password_is_for_pip_and_in_no_message(server):
    url = server.url.replace("//", "//me:hunter2@")
    with pytest.raises(Unsupported) as caught:
        fetch_file(f"{url}/200/reqs.txt", {})
    assert "hunter2" not in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("name", [".netrc", "_netrc", "elsewhere"])
def test_where_there_may_be_a_password_it_is_left_to_pip(server, tmp_path, monkeypatch, name):
    if name == "elsewhere":
        monkeypatch.setenv("NETRC", str(tmp_path / name))
        assert fetch_file(f"{server.url}/200/reqs.txt", {}) == b"six\n"
    (tmp_path / name).touch()
    asked = len(server.asked)
    with pytest.raises(Unsupported, match="settings"):
        fetch_file(f"{server.url}/200/reqs.txt", {})
    assert len(server.asked) == asked
    os.unlink(tmp_path / name)
    assert fetch_file(f"{server.url}/200/reqs.txt", {}) == b"six\n"
