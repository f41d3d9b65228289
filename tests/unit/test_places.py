"""Places where pip looks for archives, as other machines know them."""

from __future__ import annotations

import os
import sys

import pytest

from pip_accel._plan.places import describe_place, digest_place, hide_places, show_places

URLS = ["https://index.example/TOKEN/team/simple", "https://other.example/simple"]


@pytest.mark.parametrize(
    "text",
    [
        "https://index.example/TOKEN/team/files/a-1.whl (from https://index.example/TOKEN/team/simple/a/)",
        "https://other.example/a-1.whl (from https://other.example/simple/a/)",
        "https://elsewhere.example/a-1.whl",
        "{0} is no place",
        "",
    ],
)
def test_what_is_hidden_can_be_shown(text):
    hidden = hide_places(text, URLS)
    assert "TOKEN" not in hidden
    assert show_places(hidden, URLS) == text


def test_other_places_show_as_those_of_the_reader():
    assert show_places(hide_places("https://other.example/simple/a/", URLS), ["", "https://mine.example/simple"]) == (
        "https://mine.example/simple/a/"
    )


def test_a_directory_is_known_by_what_lies_in_it(tmp_path):
    for name in "one", "two":
        (tmp_path / name).mkdir()
        (tmp_path / name / "alpha-1.0.tar.gz").write_bytes(b"alpha")
    one, two = (digest_place(str(tmp_path / name)) for name in ("one", "two"))
    assert one == two != ""
    (tmp_path / "two" / "beta-1.0.tar.gz").write_bytes(b"beta")
    assert digest_place(str(tmp_path / "two")) != one


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that nobody can read")
def test_what_cannot_be_read_is_known_to_nobody(tmp_path):
    os.symlink("/proc/self/mem", tmp_path / "notes.txt")
    assert digest_place(str(tmp_path)) == ""


def test_files_of_the_same_size_and_time_are_trusted_or_read(tmp_path):
    path = tmp_path / "alpha-1.0.tar.gz"
    (tmp_path / "directory").mkdir()
    seen = []
    for content in (b"alpha", b"ALPHA"):
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        seen.append([describe_place(str(tmp_path), trust=trust) for trust in (True, False)])
    (trusted, read), (trusted_again, read_again) = seen
    assert trusted == trusted_again and read != read_again
    os.utime(path, (1_700_000_001, 1_700_000_001))
    assert describe_place(str(tmp_path)) != trusted
    assert describe_place(str(tmp_path), trust=False) == read_again
