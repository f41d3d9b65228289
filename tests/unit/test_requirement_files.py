"""Requirement files are read as pip reads them: lines, comments, variables, encodings, inclusion."""

from __future__ import annotations

import codecs
import os

import pytest

from pip_accel._plan.arguments import parse
from pip_accel._plan.requirement_files import read_requirement_file
from pip_accel.exceptions import Unsupported
from tests.lib.oracle import Case, ask_pip, check_request

HASH = "0" * 64
ENVIRON = {"HOME": os.path.abspath(os.sep), "PIP_CONFIG_FILE": os.devnull, "NAME": "idna", "EMPTY": "", "_1": "3.1"}

SAME = {
    "comments": "# first\nsix # behind\n  # indented\nidna==1\n",
    "sharp-without-blank": "six==1.0 #c\n\nidna  \t# c # d\n",
    "continuation": "six \\\n  == \\\n 1.0\nidna\n",
    "continuation-in-comment": "six \\\n# comment \\\nidna\n",
    "continuation-at-the-end": "six==1.0 \\",
    "continuation-and-empty-line": "six \\\n\nidna\n",
    "backslash-first": "six \\\n\\ >=1 \\\n",
    "windows-lines": "six\r\nidna \\\r\n==3.1\r\n",
    "form-feed": "six\x0cidna\x0b\x1cattrs\u2028urllib3\n",
    "variables": "${NAME}==${_1}\n--find-links https://${NAME}.example/${EMPTY}${UNSET}$NAME${name}\n",
    "utf-8-mark": codecs.BOM_UTF8 + b"six\n",
    "utf-16": "six\nidna\n".encode("utf-16"),
    "utf-16-big": codecs.BOM_UTF16_BE + "six\n".encode("utf-16-be"),
    "utf-32": "six\n".encode("utf-32"),
    "declared-encoding": "# -*- coding: latin-1 -*-\nsix # caf\xe9\n".encode("latin-1"),
    "declared-in-the-second-line": "# x\n# vim: set fileencoding=cp1252 :\nsix # \x80\n".encode("latin-1"),
    "utf-8": "six # caf\u00e9\n",
    "quoted-options": "--find-links 'a b' \n-i \"https://q.example/\"\n-f c\\ d\nsix\n",
    "markers": "six>=1; python_version>='3' and os_name != 'x' # c\nidna;'linux' in sys_platform\n",
    "marker-with-a-dash": "six ; platform_version != '-x'\n",
    "abbreviated": "--extra-i https://e.example\n--no-bin six\n--prefer\nsix\n",
    "clustered": "-ihttps://i.example\n-fa\nsix\n",
    "several-options": "-i https://i.example --extra-index-url https://e.example --trusted-host h --pre\nsix\n",
    "two-links-on-a-line": "-f a -f b\n-f c\nsix\n",
    "hashes": f"six==1.0 --hash=sha256:{HASH} --hash 'sha384:{HASH}{HASH[:32]}'\nidna==3.1 \\\n --hash sha256:{HASH}\n",
    "nested": "-r inner/one.txt\nsix\n",
    "nested-constraint": "-c inner/limits.txt\nsix\n",
    "nested-twice": "-r inner/one.txt\n-r inner/one.txt\n",
    "nested-absolute": "--requirement=${HERE}/inner/one.txt\n",
    "nested-ignores-the-rest": "-r inner/one.txt --pre -i https://never.example --no-binary six\n",
    "options-behind-a-requirement": "six --pre -i https://never.example --only-binary=six --require-hashes\n",
    "words-behind-an-option": "-i https://i.example six\n",
    "double-dash": "-- six\n",
    "nothing": "\n# only\n   \n",
    "config-settings": "six --config-settings=a=b -C c='d e' ; # f\nidna ; os_name != '-C' -Ca=b\n-Ca=b\n",
    "known-feature": "--use-feature build-constraint\nsix\n",
    "editable": "-e ./project[x] # c\n--editable=project -Ca=b\nsix\n",
    "editables-on-a-line": "-e ./project -e ./none\n",
    "url": "https://h.example/six.zip#egg=six # c\nidna @ https://h.example/idna.zip\n",
    "url-with-a-blank-before-its-sharp": "https://h.example/six.zip #egg=six\n",
    "version-control": "git+https://${NAME}.example/six@v1\n",
    "file-url": "-c file://${HERE}/inner/limits.txt\n",
}
REFUSED_BY_PIP = {
    "unknown-option": "--unknown\n",
    "install-option": "six --global-option=x\n",
    "command-option": "--upgrade\n",
    "missing-value": "six\n-r\n",
    "quotes": "--find-links 'a\n",
    "bad-setting": "six -Ca\n",
    "bad-setting-elsewhere": "-r inner/one.txt --config-settings a\n",
    "bad-feature": "six --use-feature none\n",
    "bad-hash": f"six --hash=md5:{HASH}\n",
    "no-hash": "six --hash=sha256\n",
    "itself": "-r reqs.txt\n",
    "through-another": "-r inner/back.txt\n",
    "missing": "-r none.txt\n",
    "not-text": b"# coding: utf-8\nsix # \xff\xfe\n",
    "unknown-encoding": b"# coding: klingon\nsix\n",
    "requirement": "six = 1\n",
    "constraint-with-extras": "-c inner/extras.txt\nsix\n",
    "both-about-hashes": "--require-hashes\n--no-require-hashes\nsix\n",
    "missing-file-url": "-r file:///nonexistent/r.txt\n",
    "editable-by-name": "-e six\n",
}
LEFT_TO_PIP = {
    "editable-behind": "six -e .\n",
    "editable-behind-a-directory": "./project -e ./project\n",
    "editable-constraint": "-c inner/editable.txt\nsix\n",
    "editable-without-a-project": "-e ./inner\n",
    "editable-with-an-include": "-e ./project -r inner/one.txt\n",
    "feature": "--use-feature fast-deps\nsix\n",
    "all-releases": "--all-releases six\nsix\n",
    "only-final": "--only-final=:all:\nsix\n",
    "hash-without-requirement": f"--hash=sha256:{HASH}\nsix\n",
    "locale-encoding": b"six # \xe9\n",
    "pylock": "-r pylock.toml\n",
}
INNER = {
    "one.txt": "attrs\n-f here\n-c limits.txt\n",
    "limits.txt": "attrs>20\nsix<2\n",
    "extras.txt": "six[x]\n",
    "back.txt": "-r ../reqs.txt\n",
    "here/x": "",
    "editable.txt": "-e ./project\n",
    "../project/setup.py": "",
    "remote.txt": "-r https://h.example/a/reqs.txt\n",
}


#: by what the words name: contents by URL
REMOTE = {
    "alone": {"https://h.example/a/reqs.txt": "six>1 # c\n-f here\n--pre\nidna ; os_name != 'x'\n"},
    "beside": {
        "https://h.example/a/reqs.txt": "-r more.txt\n-c ../limits.txt\nsix\n-r /top.txt\n",
        "https://h.example/a/more.txt": "attrs\n-r in/more.txt\n",
        "https://h.example/a/in/more.txt": "certifi\n",
        "https://h.example/limits.txt": "six<2\n",
        "https://h.example/top.txt": "urllib3\n",
    },
    "elsewhere": {
        "https://h.example/a/reqs.txt": "-r http://other.example/x?a=b\n-c https://OTHER.example/y\nsix\n",
        "http://other.example/x?a=b": "idna\n-r z\n",
        "http://other.example/z": "attrs\n",
        "https://OTHER.example/y": "attrs>1\n",
    },
    "on-this-machine": {"https://h.example/a/reqs.txt": "-r file://${HERE}/inner/limits.txt\n-e ./project\n"},
    "twice": {
        "https://h.example/a/reqs.txt": "-r more.txt\n-r more.txt\n",
        "https://h.example/a/more.txt": "six --hash=sha256:" + HASH + "\n",
    },
    "escaped": {
        "https://h.example/a/reqs.txt": "-r a%20b.txt\n-r 'c d.txt'\n",
        "https://h.example/a/a%20b.txt": "six\n",
        "https://h.example/a/c d.txt": "idna\n",
    },
    "continued": {"https://h.example/a/reqs.txt": "six \\\n>=1 \\\n # c\nidna\n"},
}
REMOTE_REFUSED_BY_PIP = {
    "missing": {"https://h.example/a/reqs.txt": "-r none.txt\n"},
    "itself": {"https://h.example/a/reqs.txt": "-r reqs.txt\n"},
}
REMOTE_LEFT_TO_PIP = {
    "not-ascii": {"https://h.example/a/reqs.txt": "six # caf\xe9\n"},
    "pylock": {"https://h.example/a/reqs.txt": "-r pylock.toml\n", "https://h.example/a/pylock.toml": "x"},
}
REMOTE_WORDS = ["install", "-r", "https://h.example/a/reqs.txt", "-r", "inner/remote.txt"]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A directory for each of the files above, with some that they may include."""
    root = tmp_path_factory.mktemp("files")
    for key, content in {**SAME, **REFUSED_BY_PIP, **LEFT_TO_PIP}.items():
        for name, text in {f"inner/{name}": text for name, text in INNER.items()}.items():
            (root / key / name).parent.mkdir(parents=True, exist_ok=True)
            (root / key / name).write_text(text)
        data = content if isinstance(content, bytes) else content.encode()
        (root / key / "reqs.txt").write_bytes(data)
    return root


def make_environ(directory) -> dict[str, str]:
    return {**ENVIRON, "HERE": str(directory)}


@pytest.fixture(scope="module")
def answers(workshop):
    keys = [*SAME, *REFUSED_BY_PIP]
    cases = [Case(["install", "-r", "reqs.txt"], make_environ(workshop / key), str(workshop / key)) for key in keys]
    return dict(zip(keys, ask_pip(cases), strict=True))


@pytest.fixture(scope="module")
def remote_answers(workshop):
    place, pages = workshop / "utf-8", {**REMOTE, **REMOTE_REFUSED_BY_PIP}
    cases = [Case(REMOTE_WORDS, make_environ(place), str(place), each) for each in pages.values()]
    return dict(zip(pages, ask_pip(cases), strict=True))


def parse_remote(place, pages):
    def fetch(url, options):
        if url not in pages:
            raise Unsupported("there is nothing at {url}", url=url)
        return pages[url].encode("latin-1")

    return parse(REMOTE_WORDS, make_environ(place), fetch=fetch)


@pytest.mark.parametrize("key", REMOTE)
def test_files_at_urls_mean_what_they_mean_to_pip(workshop, remote_answers, monkeypatch, key):
    monkeypatch.chdir(workshop / "utf-8")
    request = parse_remote(workshop / "utf-8", REMOTE[key])
    check_request(request, remote_answers[key], str(workshop / "utf-8"))
    assert {name: content.decode() for name, content in request.contents.items() if "://" in name} == REMOTE[key]


@pytest.mark.parametrize("key", REMOTE_REFUSED_BY_PIP)
def test_what_is_wrong_at_a_url_is_wrong_for_pip(remote_answers, key):
    assert "error" in remote_answers[key]


@pytest.mark.parametrize("key", [*REMOTE_REFUSED_BY_PIP, *REMOTE_LEFT_TO_PIP])
def test_only_pip_can_serve_what_is_at_a_url(workshop, monkeypatch, key):
    monkeypatch.chdir(workshop / "utf-8")
    with pytest.raises(Unsupported):
        parse_remote(workshop / "utf-8", {**REMOTE_REFUSED_BY_PIP, **REMOTE_LEFT_TO_PIP}[key])


@pytest.mark.parametrize("key", SAME)
def test_files_mean_what_they_mean_to_pip(workshop, answers, monkeypatch, key):
    monkeypatch.chdir(workshop / key)
    request = parse(["install", "-r", "reqs.txt"], make_environ(workshop / key))
    check_request(request, answers[key], str(workshop / key))


@pytest.mark.parametrize("key", REFUSED_BY_PIP)
def test_what_is_left_to_pip_as_wrong_is_wrong_for_pip(answers, key):
    assert "error" in answers[key]


@pytest.mark.parametrize("key", [*REFUSED_BY_PIP, *LEFT_TO_PIP])
def test_only_pip_can_serve(workshop, monkeypatch, key):
    monkeypatch.chdir(workshop / key)
    with pytest.raises(Unsupported):
        parse(["install", "-r", "reqs.txt"], make_environ(workshop / key))


@pytest.mark.parametrize("words", [["-r", "reqs.txt", "six"], ["six", "-c", "reqs.txt"]], ids=["file", "constraints"])
def test_hashes_may_be_given_without_being_required(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reqs.txt").write_text(f"six==1.0 --hash=sha256:{HASH}\n")
    assert parse(["install", *words], ENVIRON).manner.require_hashes
    assert not parse(["install", "--no-require-hashes", *words], ENVIRON).manner.require_hashes


def test_lines_know_their_place(tmp_path):
    files = {
        "/top.txt": b"# one\nsix \\\n  >=1 --hash=sha256:0\n-r sub/in.txt\nidna\n",
        "/sub/in.txt": b"attrs\n-c ../limits.txt\n",
        "/limits.txt": b"attrs<30\n",
    }
    paths = {os.path.abspath(path): content for path, content in files.items()}
    lines = list(read_requirement_file("/top.txt", constraint=False, environ={}, read=paths.__getitem__))
    assert [(line.path, line.number, line.requirement.strip(), line.constraint) for line in lines] == [
        (os.path.abspath("/top.txt"), 2, "six   >=1", False),
        (os.path.abspath("/top.txt"), 4, "", False),
        (os.path.abspath("/sub/in.txt"), 1, "attrs", False),
        (os.path.abspath("/sub/in.txt"), 2, "", False),
        (os.path.abspath("/limits.txt"), 1, "attrs<30", True),
        (os.path.abspath("/top.txt"), 5, "idna", False),
    ]


def test_a_message_names_the_file_and_the_line(tmp_path):
    path = tmp_path / "reqs.txt"
    path.write_text("six\n\nidna --upgrade\n")
    with pytest.raises(Unsupported, match=r"line 3 of .*reqs\.txt .*--upgrade"):
        parse(["install", "-r", str(path)], ENVIRON)
