"""Headers of core metadata, as the parser reads them that pip uses."""

from __future__ import annotations

from email.parser import BytesHeaderParser

import pytest

from pip_accel._metadata import header_values, iterate_headers, read_headers

METADATA = {
    "nothing": b"",
    "plain": b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: b>1\nRequires-Dist: c\n\nName: body\n",
    "no end": b"Name: alpha",
    "other line ends": b"Name: alpha\r\nVersion: 1\r\n\r\nVersion: 2\r\n",
    "a license with blank lines": b"License: One\n        \n        Two\n\t\nRequires-Python: >=3\nName: a\n\nX: y\n",
    "a requirement on two lines": b"Requires-Dist: x\n (>1)\nName: a\n\n",
    "an empty value": b"Name:\nVersion: 1\n\n",
    "a value that begins on the next line": b"Name:\n alpha\nVersion: 1\n\n",
    "colons and blanks": b"Name : alpha\nVersion: 1\n",
    "colons in values": b"Home-Page: https://x:1/\nnAmE:alpha\n\n",
    "no header in between": b"Name: alpha\nnonsense\nVersion: 1\n\n",
    "only a body": b"\nName: alpha\n",
    "a separator that is none": b"Summary: x\x0cName: b\nVersion: 1\x1c2\n\n",
}


@pytest.mark.parametrize("case", METADATA)
def test_headers_are_those_that_the_mail_parser_finds(case):
    message = BytesHeaderParser().parsebytes(METADATA[case].replace(b"\r\n", b"\n"))
    expected = [(name.lower(), value.strip(" \t")) for name, value in message.items()]
    assert list(iterate_headers(METADATA[case])) == expected


def test_headers_are_in_utf_8():
    assert read_headers("Author: J\u00fcrgen\u2028N.\n\n".encode()) == {"author": "J\u00fcrgen\u2028N."}
    assert read_headers(b"Author: J\xfcrgen\nName: a\n\n") == {"author": "J\ufffdrgen", "name": "a"}


def test_the_first_of_several_counts_and_all_can_be_had():
    assert read_headers(METADATA["plain"])["requires-dist"] == "b>1"
    assert header_values(METADATA["plain"], "requires-dist") == ["b>1", "c"]
    assert header_values(METADATA["plain"], "provides-extra") == []
