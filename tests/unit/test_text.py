"""Text for people, and from people."""

from urllib.request import pathname2url, url2pathname

import humanfriendly
import pytest

from pip_accel._text import (
    compact,
    escape_unprintable,
    mask_secrets,
    parse_boolean,
    parse_size,
    parse_timespan,
    path_to_url,
    url_to_path,
)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        pytest.param("", {}, "", id="empty"),
        pytest.param("  one \n\t two  ", {}, "one two", id="white space becomes one blank"),
        pytest.param("\n\n  one\n  two\n\n  three\n", {}, "one two\n\nthree", id="paragraphs are kept"),
        pytest.param("one\n \t\n\n\ntwo", {}, "one\n\ntwo", id="blank lines need not be empty"),
        pytest.param("  {a}  {b!r} ", {"a": 1, "b": "x"}, "1 'x'", id="values are put in"),
        pytest.param("{a}", {"a": " x\n\n\n  {y}"}, " x\n\n\n  {y}", id="values stay as they are"),
        pytest.param("{{}}", {}, "{}", id="doubled braces are braces"),
    ],
)
def test_text_is_compacted(text, values, expected):
    assert compact(text, **values) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Größe 1.0 ✓", "Größe 1.0 ✓", id="printable"),
        pytest.param("a\x1b[2J\r\n\t\0b", "a\\x1b[2J\\r\\n\\t\\x00b", id="control characters"),
        pytest.param("\x7f\x9b31m", "\\x7f\\x9b31m", id="control characters beyond ASCII"),
        pytest.param("\u202egnp.exe", "\\u202egnp.exe", id="direction of writing"),
        pytest.param("\udcff", "\\udcff", id="undecodable byte"),
    ],
)
def test_what_could_move_the_cursor_is_escaped(text, expected):
    assert escape_unprintable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("nothing to hide", "nothing to hide", id="no URL"),
        pytest.param("https://host:80/a@1.0#sha256=ab", "https://host:80/a@1.0#sha256=ab", id="no secret"),
        pytest.param("http://[::1]:80/a@1.0", "http://[::1]:80/a@1.0", id="IPv6 host"),
        pytest.param("mail me@host", "mail me@host", id="address"),
        pytest.param("name @ file:///x", "name @ file:///x", id="direct URL"),
        pytest.param("git@host:path@tag", "git@host:path@tag", id="scp form of git"),
        pytest.param("https://me:pw@host/x", "https://****@host/x", id="password"),
        pytest.param("https://token@host/x", "https://****@host/x", id="token as user"),
        pytest.param("git+ssh://git@host/x@v1", "git+ssh://****@host/x@v1", id="user alone"),
        pytest.param("https://me:p@w@host/x", "https://****@host/x", id="at sign in password"),
        pytest.param("https://me:p?w#x@host/x", "https://****@host/x", id="question mark in password"),
        pytest.param("https://me:p/w@host/x", "https://****@host/x", id="slash in password"),
        pytest.param("https://me:1/w@host/x", "https://me:1/w@host/x", id="slash behind a port"),
        pytest.param("https://${USER}:${PW}@host", "https://****@host", id="variables"),
        pytest.param("https://a/x,https://me:pw@host/x", "https://a/x,https://****@host/x", id="URLs without a blank"),
        pytest.param("-i 'https://me:pw@host/x'.", "-i 'https://****@host/x'.", id="in a sentence"),
        pytest.param('{"url": "https://me:pw@host"}', '{"url": "https://****@host"}', id="JSON"),
        pytest.param("https://host/x?", "https://host/x?", id="empty query"),
        pytest.param("https://host/x?a=1&b=&c=2#d", "https://host/x?a=****&****&c=****#d", id="query"),
        pytest.param("https://host/x?secret", "https://host/x?****", id="query without names"),
        pytest.param("(https://host/x?a=1)", "(https://host/x?a=****)", id="query in parentheses"),
        pytest.param("https://host?next=https://me:pw@other", "https://****@other", id="URL in a query"),
        pytest.param("--proxy me:pw@host:3128", "--proxy ****@host:3128", id="proxy without scheme"),
        pytest.param("--proxy=me:p@w@host", "--proxy=****@host", id="proxy behind an equals sign"),
    ],
)
def test_secrets_are_masked(text, expected):
    assert mask_secrets(text) == expected
    assert mask_secrets(expected) == expected


@pytest.mark.parametrize("word", ["1", "yes", "true", "on", "0", "no", "false", "off", "YES", "True", " oN\n", "FALSE"])
def test_booleans_are_read_as_humanfriendly_reads_them(word):
    assert parse_boolean(word) is humanfriendly.coerce_boolean(word)


@pytest.mark.parametrize("word", ["", "2", "y", "maybe", "-1", "none"])
def test_other_words_are_no_booleans(word):
    with pytest.raises(ValueError, match="yes, true, on, 1, no, false, off or 0"):
        parse_boolean(word)


@pytest.mark.parametrize(
    "text",
    ["0", "42", "13b", "5 bytes", "1 byte", "1k", "500M", "500 MB", "10G", "10 GiB", "1.5 gb", "2T", "3 pib", "0.1KiB"],
)
def test_sizes_are_read_as_humanfriendly_reads_them(text):
    assert parse_size(text) == humanfriendly.parse_size(text)


@pytest.mark.parametrize("text", ["0", "42", "42s", "30m", "5 min", "12h", "1.5 hours", "7d", "1 day", "2w", "3 weeks"])
def test_times_are_read_as_humanfriendly_reads_them(text):
    assert parse_timespan(text) == humanfriendly.parse_timespan(text)


@pytest.mark.parametrize("parse", [parse_size, parse_timespan])
def test_unlimited_is_none(parse):
    assert parse("unlimited") is parse(" Unlimited ") is None


@pytest.mark.parametrize("parse", [parse_size, parse_timespan])
@pytest.mark.parametrize(
    "text", ["", "x", "-1", "+1", "1,5", "1.2.3", ".", "1 x", "1 2", "M", "h", "nan", "inf", "1e3", "٣", "9" * 5000]
)
def test_nonsense_is_neither_a_size_nor_a_time(parse, text):
    with pytest.raises(ValueError, match=r"^a number of .* or unlimited$"):
        parse(text)


@pytest.mark.parametrize("path", ["/plain/path.whl", "/with blank/ü#?%41;&/+x", "/"])
def test_paths_and_urls_are_those_of_the_standard_library(path):
    assert path_to_url(path) == "file://" + pathname2url(path)
    assert url_to_path(path_to_url(path).removeprefix("file://")) == path
    assert url_to_path("/a%20b%2Fc") == url2pathname("/a%20b%2Fc")
