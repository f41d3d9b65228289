"""Words become requests as they do in pip; pip itself is asked wherever it can be."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pip_accel._plan import requirements
from pip_accel._plan.arguments import download_words, find_command, parse
from pip_accel._plan.options import OPTIONS, FormatControl, known_options, scan
from pip_accel.exceptions import Unsupported
from tests.lib.archives import IN_TREE_BACKEND, make_sdist
from tests.lib.oracle import Case, ask_pip, check_request, describe_options

WHEEL = "six-1.17.0-py2.py3-none-any.whl"
HASH = "a" * 64

FILES = {
    "reqs.txt": "idna>=3  # comment\nurllib3==2.0.7 ; python_version >= '3.8'\n",
    "nested.txt": "-r sub/inner.txt\n-c limits.txt\nattrs\n",
    "sub/inner.txt": "certifi\n-f links\n--extra-index-url https://e.example/simple\n",
    "sub/links/empty": "",
    "limits.txt": "certifi<2030\nidna!=3.1\n",
    "early.txt": "--pre\nsix\n",
    "taste.txt": "--prefer-binary\n--no-binary six\n-i https://f.example\n--trusted-host f.example\nsix\n",
    "last.txt": "-i https://l.example\n--no-index\n-i https://never.example\n--only-binary=six\nsix\n",
    "hashed.txt": f"six==1.17.0 \\\n    --hash=sha256:{HASH} \\\n    --hash sha512:{HASH}{HASH}\n",
    "strict.txt": "--require-hashes\nsix==1.17.0\n",
    "odd.txt": "six --no-binary six --pre --find-links odd\n-r reqs.txt --no-index\n-f a -f b\n",
    "editable.txt": "-e .\n",
    "bad.txt": "six=1\n",
    "empty.txt": "# nothing\n",
    "pip.conf": "[global]\ntimeout = 7\nfind_links = one two\n[install]\nno-compile = no\nupgrade = yes\n",
    "setup.py": "",
    f"wheels/{WHEEL}": "",
    "wheels/six-1.17.0.tar.gz": "",
    "settings.txt": "six -Ca=1 --config-settings=b=2 -C a=3\nidna\n-C ignored=yes\n",
    "settings-limits.txt": "six<2 -Ca=1\n",
    "feature.txt": "--use-feature build-constraint\nidna\n",
    "feature-behind.txt": "idna --use-feature=build-constraint\n",
    "build.txt": "setuptools<80 ; python_version >= '3'  # comment\nwheel!=0.40,>=0.30\n",
    "build-nested.txt": "flit_core>=3\n-c sub/build.txt\n",
    "sub/build.txt": "hatchling==1.*\n",
    "build-extras.txt": "wheel[x]\n",
    "build-wheel.txt": f"wheels/{WHEEL}\n",
    "build-project.txt": "./project\n",
    "build-hashes.txt": f"six==1.17.0 --hash=sha256:{HASH}\n",
    "build-options.txt": "--no-index\nsix<2\n",
    "build-requires.txt": "-r build.txt\n",
    "build-settings.txt": "six<2 -Ca=1\n",
    "project/pyproject.toml": "",
    "legacy project/setup.py": "",
    "project.zip/pyproject.toml": "",
    f"directories/{WHEEL}/setup.py": "",
    "nothing/readme": "",
    "paths.txt": "./project ; os_name != 'x'\nwheels/six-1.17.0.tar.gz[x] -Ca=1\n",
    "project.txt": "./project\n",
    "hashed-project.txt": f"./project --hash=sha256:{HASH}\n",
    "hashed-sdist.txt": f"wheels/six-1.17.0.tar.gz --hash=sha256:{HASH}\n",
    **{f"sdists/{name}": "" for name in ("a_b.c-1.0.zip", "plain.tgz", "x-y-1.0.tar.bz2", "é 1-2.tar.xz", "old-1.tbz")},
    "sdists/six-1.17.0-py3-none-any.WHL": "",
    "sdists/six.txt": "",
    "editables.txt": "-e project[a] -Ca=1\nidna\n-e git+https://h.example/x@v1#egg=x&subdirectory=y\n",
    "urls.txt": (
        f"https://h.example/idna-3.1.tar.gz --hash=sha256:{HASH}\nsix @ https://h.example/s.zip ; os_name != 'x'\n"
    ),
    "more than pip/pyproject.toml": '[dependency-groups]\nown = ["attrs"]\n',
    "pyproject.toml": (
        '[dependency-groups]\ndev = ["certifi>2", {include-group = "Test_It"}]\n'
        "test-it = [\"six[x] ; os_name != 'x'\", 'certifi']\nurl = ['six @ https://h.example/s.zip']\n"
    ),
    "script.py": "#!/bin/x\n# /// script\n# dependencies = [\n#     'idna<4',\n#\n#   'attrs'\n# ]\n# ///\nimport x\n",
    "by-url.txt": "-r {root}/reqs.txt\nsix\n-c {root}/limits.txt\n",
}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A directory with a bit of everything that words may name."""
    root = tmp_path_factory.mktemp("workshop")
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content.replace("{root}", root.as_uri()))
    return root


@pytest.fixture
def directory(workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    monkeypatch.setenv("HOME", make_environ()["HOME"])
    return workshop


def make_environ(**variables: str) -> dict[str, str]:
    return {"HOME": os.path.abspath(os.sep), "PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull, **variables}


SAME = {
    "a-name": ["install", "six"],
    "case-and-dashes": ["install", "Zope__Interface"],
    "version": ["install", "six==1.17.0"],
    "range": ["install", "six >= 1.10 , < 2"],
    "wildcard": ["install", "six==1.*", "idna != 3.*"],
    "compatible": ["install", "six~=1.10"],
    "local-version": ["install", "six==1.0+local.1"],
    "arbitrary": ["install", "six===1.0"],
    "epoch": ["install", "six==1!2.0"],
    "old-spelling": ["install", "six (>=1.10)"],
    "trailing-comma": ["install", "six>=1.10,"],
    "blanks-around": ["install", "  six  "],
    "extras": ["install", "requests[Socks,use_chardet_on_py3] >= 2"],
    "no-extras": ["install", "requests[]"],
    "marker": ["install", "six; python_version < '3' and os_name=='nt'"],
    "bracketed-marker": ["install", "six;(python_version<'3' or os_name=='nt') and 'x' in platform_version"],
    "empty-marker": ["install", "six;"],
    "wheel": ["install", f"./wheels/{WHEEL}"],
    "wheel-and-extras": ["install", f"wheels/{WHEEL}[One,two]"],
    "wheel-and-marker": ["install", f"wheels/{WHEEL} ; python_version > '3'"],
    "double-dash": ["install", "-q", "--", "six"],
    "double-dash-first": ["--", "install", "six"],
    "options-anywhere": ["-v", "install", "six", "-U", "idna", "-vv", "--quiet"],
    "cluster": ["install", "-UqI", "six"],
    "cluster-with-value": ["install", "-qrreqs.txt", "-Ufwheels"],
    "short-value": ["install", "-c", "limits.txt", "-ireqs", "six"],
    "joined": ["install", "--index-url=https://i.example/?a=b", "--proxy=", "six"],
    "abbreviated": ["install", "--upgrade-s", "eager", "--force", "--no-deps", "--extra=https://e.example", "six"],
    "value-like-an-option": ["install", "--index-url", "--pre", "six"],
    "project-install": ["install", "install"],
    "command-behind-value": ["--proxy", "p.example:1", "install", "six"],
    "numbers": ["install", "--retries", "0x10", "--timeout", "1e1", "six"],
    "octal": ["install", "--retries=010", "six"],
    "choices": ["install", "--progress-bar", "off", "--root-user-action=ignore", "--exists-action", "w", "six"],
    "compile": ["install", "--no-compile", "--compile", "--no-compile", "six"],
    "warnings": ["install", "--no-warn-script-location", "--no-warn-conflicts", "--break-system-packages", "six"],
    "session": ["install", "--cert", "~/c.pem", "--client-cert=k.pem", "--trusted-host", "a", "--no-input", "six"],
    "last-wins": ["install", "-i", "https://a.example", "--index-url", "https://b.example", "six"],
    "no-index": ["install", "--no-index", "-i", "https://a.example", "-f", "wheels", "-f", "https://l.example", "six"],
    "formats": ["install", "--no-binary", "A_b,c", "--only-binary", "a.b", "--no-binary=d", "six"],
    "formats-all": [
        "install",
        "--no-binary=x",
        "--only-binary=:all:",
        "--no-binary",
        "y,:none:",
        "--no-binary=z",
        "six",
    ],
    "formats-all-and-more": ["install", "--no-binary=a,:all:,b,:none:,c", "six"],
    "formats-all-again": ["install", "--only-binary=:all:,q", "six"],
    "file": ["install", "-r", "reqs.txt"],
    "files": ["install", "-r", "reqs.txt", "six", "-r", "nested.txt", "-c", "limits.txt"],
    "file-settings": ["install", "-r", "taste.txt", "--extra-index-url", "https://gone.example", "idna"],
    "file-settings-in-turn": ["install", "-r", "taste.txt", "-r", "last.txt", "-r", "sub/inner.txt"],
    "file-settings-in-constraints": ["install", "-r", "last.txt", "-c", "taste.txt"],
    "file-pre": ["install", "-r", "early.txt"],
    "file-odd": ["install", "-r", "odd.txt"],
    "file-hashes": ["install", "-r", "hashed.txt", "idna"],
    "file-requires-hashes": ["install", "-r", "strict.txt"],
    "file-empty": ["install", "-r", "empty.txt"],
    "hashes": ["install", "--require-hashes", "six"],
    "editable": ["install", "-e", "."],
    "editables": ["install", "-e", "./project[a,B_c]", "--editable=legacy project", "six", "-Ca=1", "-r", "reqs.txt"],
    "editable-without-a-dot": ["install", "-eproject"],
    "editable-by-a-file-url": ["install", "-e", "{root}/project", "-e", "{root}/project.zip#egg=An_y"],
    "editable-by-name": ["install", "-e", "Six[B,a] @ {root}/project ; os_name != 'x'"],
    "editable-from-version-control": ["install", "-e", "git+https://h.example/x.git@v1#egg=X.y", "six"],
    "editable-by-name-from-version-control": ["install", "-e", "Six[B,a] @ git+ssh://git@h.example/x ; os_name != 'x'"],
    "editable-in-file": ["install", "-r", "editable.txt"],
    "editables-in-file": ["install", "-e", ".", "-r", "editables.txt", "attrs"],
    "url": ["install", "https://h.example/six-1.17.0.tar.gz"],
    "url-and-marker": ["install", "https://h.example/a/six.zip?a;b=c ; os_name != 'x'", "HTTP://h.example/s.tgz".lower()],
    "url-with-a-name": ["install", "https://h.example/six.zip#egg=S_ix"],
    "url-with-a-hash": ["install", f"https://h.example/six.zip#sha256={HASH}", f"https://h.example/b.zip#md5={HASH}&egg=b"],
    "url-with-a-password": ["install", "https://me:secret@h.example/six.zip"],
    "url-of-a-wheel": ["install", f"https://h.example/w/{WHEEL}", "https://h.example/Idna-3%2B1-py3-none-any.whl"],
    "url-of-a-directory-in-an-archive": ["install", "https://h.example/six.zip#subdirectory=in/it"],
    "named-url": ["install", "six @ https://h.example/six-1.17.0-py3-none-any.whl"],
    "named-url-and-more": ["install", "Six_Y [b,A]@https://h.example/six#sha512=0 ; os_name != 'x'", "-Ca=1"],
    "urls-in-file": ["install", "-r", "urls.txt", "--no-require-hashes"],
    "version-control": ["install", "git+https://h.example/six"],
    "version-control-with-a-name": ["install", "hg+https://h.example/six@v1#egg=six&subdirectory=in/it", "svn+ssh://h/x"],
    "named-version-control": ["install", "six[x] @ git+file:///srv/six@main ; os_name != 'x'", "x@bzr+https://h/x"],
    "group": ["install", "six", "--group", "dev", "-e", "."],
    "groups": ["install", "--group=test.it", "--group", "./more than pip/pyproject.toml:own", "--group", "dev"],
    "script": ["install", "idna", "--requirements-from-script", "script.py", "-r", "reqs.txt"],
    "file-by-a-url": ["install", "-r", "{root}/nested.txt", "-c", "{root}/limits.txt", "-r", "by-url.txt"],
    "target": ["install", "-tx", "six"],
    "target-and-more": ["install", "--target", "../x/~", "-U", "six"],
    "prefix": ["install", "--prefix=x", "six"],
    "root": ["install", "--root", "x", "six"],
    "prefix-and-root": ["install", "--root=~/x", "--prefix=/usr", "six"],
    "user": ["install", "--user", "six"],
    "no-user": ["install", "--user", "--no-user", "--target=x", "six"],
    "dry-run": ["install", "--dry-run", "six"],
    "report": ["install", "--report", "-", "six"],
    "report-in-a-file": ["install", "--report=r.json", "--dry-run", "six"],
    "log": ["install", "--log", "x", "six"],
    "log-at-home": ["--local-log=~/x/y", "install", "six"],
    "no-cache-dir": ["install", "--no-cache-dir", "six"],
    "cache-dir": ["install", "--no-cache-dir", "--cache-dir=x", "six"],
    "cache-dir-and-none": ["install", "--cache-dir=x", "--no-cache-dir", "six"],
}
SAME_WITH_SETTINGS = {
    "upgrade": {"PIP_UPGRADE": "yes"},
    "false": {"PIP_UPGRADE": "off", "PIP_USER": "0", "PIP_DRY_RUN": "no", "PIP_REQUIRE_VIRTUALENV": "false"},
    "inverted": {"PIP_NO_COMPILE": "0", "PIP_NO_WARN_SCRIPT_LOCATION": "1", "PIP_NO_WARN_CONFLICTS": "f"},
    "counts": {"PIP_VERBOSE": "2", "PIP_QUIET": "true"},
    "empty": {"PIP_INDEX_URL": "", "PIP_PRE": ""},
    "lists": {"PIP_FIND_LINKS": "wheels  https://l.example", "PIP_EXTRA_INDEX_URL": "https://e.example"},
    "formats": {"PIP_NO_BINARY": "a,b", "PIP_ONLY_BINARY": "b"},
    "files": {"PIP_CONSTRAINT": "limits.txt", "PIP_REQUIREMENT": "reqs.txt"},
    "aliases": {"PIP_DEFAULT_TIMEOUT": "3", "PIP_PYPI_URL": "https://p.example"},
    "case": {"PIP_index_url": "https://c.example"},
    "unknown": {"PIP_ACCEL_DISABLE": "0", "PIP_I": "x", "PIP_HELP": "1", "PIP_VERSION": "1", "PIP_REQUIREMENTS": "x"},
    "numbers": {"PIP_RETRIES": "0", "PIP_TIMEOUT": "2.5", "PIP_CERT": "~/c.pem"},
    "configuration-file": {"PIP_CONFIG_FILE": "pip.conf"},
    "configuration-file-and-variables": {"PIP_CONFIG_FILE": "pip.conf", "PIP_TIMEOUT": "8", "PIP_UPGRADE": "no"},
    "user": {"PIP_USER": "1"},
    "no-user": {"PIP_NO_USER": "0"},
    "inverted-no-user": {"PIP_NO_USER": "1"},
    "target": {"PIP_TARGET": "x"},
    "prefix-and-root": {"PIP_PREFIX": "x", "PIP_ROOT": "y"},
    "no-place": {"PIP_TARGET": "", "PIP_PREFIX": "", "PIP_ROOT": ""},
    "dry-run": {"PIP_DRY_RUN": "on", "PIP_REPORT": "-", "PIP_LOG": "x/y"},
    "no-cache-dir": {"PIP_NO_CACHE_DIR": "off"},
    "cache-dir": {"PIP_CACHE_DIR": "x"},
    "editable": {"PIP_EDITABLE": ". project"},
    "group": {"PIP_GROUP": "dev"},
}
REFUSED_BY_PIP = {
    "unknown-option": ["install", "--unknown", "six"],
    "unknown-letter": ["install", "-qZ", "six"],
    "removed-option": ["install", "--no-use-wheel", "six"],
    "ambiguous": ["install", "--no-b", "x", "six"],
    "missing-value": ["install", "six", "-r"],
    "missing-long-value": ["install", "six", "--retries"],
    "needless-value": ["install", "--upgrade=yes", "six"],
    "bad-number": ["install", "--retries", "many", "six"],
    "bad-choice": ["install", "--upgrade-strategy", "some", "six"],
    "bad-format": ["install", "--no-binary", "-x", "six"],
    "nothing": ["install"],
    "only-options": ["install", "-U"],
    "only-constraints": ["install", "-c", "limits.txt"],
    "no-file": ["install", "-r", "none.txt"],
    "bad-file": ["install", "-r", "bad.txt"],
    "no-interpreter": ["--python", "nowhere", "install", "six"],
    "bad-requirement": ["install", "six=1"],
    "dash": ["install", "-"],
    "bad-marker": ["install", "six; nonsense"],
    "bad-version": ["install", "six>1.*"],
    "conflicting-hashes": ["install", "--require-hashes", "--no-require-hashes", "six"],
    "editable-by-name": ["install", "-e", "six"],
    "editable-archive": ["install", "-e", "./wheels/six-1.17.0.tar.gz"],
    "editable-url": ["install", "-e", "https://h.example/six.zip#egg=six"],
    "editable-without-a-name": ["install", "-e", "git+https://h.example/six"],
    "bad-marker-of-an-editable": ["install", "-e", "six @ git+https://h.example/six ; nonsense"],
    "user-and-target": ["install", "--user", "--target=x", "six"],
    "user-and-prefix": ["install", "--user", "--prefix=x", "six"],
    "no-group": ["install", "--group", "none"],
    "group-of-no-project": ["install", "--group", "nothing/pyproject.toml:dev"],
    "group-of-another-file": ["install", "--group", "reqs.txt:dev"],
    "no-groups": ["install", "--group", "project/pyproject.toml:dev"],
    "no-script": ["install", "--requirements-from-script", "none.py"],
    "script-without-requirements": ["install", "--requirements-from-script", "setup.py"],
    "two-scripts": ["install", "--requirements-from-script", "script.py", "--requirements-from-script=script.py"],
}
LEFT_TO_PIP = {
    "help": ["install", "--help"],
    "help-letter": ["install", "-qh"],
    "version": ["install", "--version"],
    "missing-archive": ["install", "gone-1.0.zip"],
    "odd-file-url": ["install", f"file:wheels/{WHEEL}"],
    "editable-without-a-project": ["install", "-e", "nothing"],
    "editable-by-a-file-url-with-more": ["install", "-e", "{root}/project#subdirectory=x"],
    "editable-as-constraint": ["install", "six", "-c", "editable.txt"],
    "editable-below-a-hash": ["install", "-r", "editable.txt", "-r", "hashed.txt"],
    "url-of-a-directory-in-a-wheel": ["install", f"https://h.example/{WHEEL}#subdirectory=x"],
    "url-with-an-unknown-fragment": ["install", "https://h.example/six.zip#x=y"],
    "url-with-extras": ["install", "https://h.example/six.zip#egg=six[x]"],
    "url-of-an-unknown-kind": ["install", "ftp://h.example/six.zip"],
    "url-in-capitals": ["install", "HTTPS://h.example/six.zip"],
    "url-of-a-constraint": ["install", "six", "-c", "urls.txt"],
    "url-of-another-wheel": ["install", f"idna @ https://h.example/{WHEEL}"],
    "url-without-a-hash": ["install", "--require-hashes", "https://h.example/six.zip"],
    "url-with-a-weak-hash": ["install", "--require-hashes", f"https://h.example/six.zip#md5={HASH}"],
    "version-control-and-hashes": ["install", "git+https://h.example/x", "-r", "hashed.txt"],
    "version-control-of-an-unknown-kind": ["install", "cvs+https://h.example/x"],
    "target-and-prefix": ["install", "--target=x", "--prefix=y", "six"],
    "user-and-root": ["install", "--user", "--root=x", "six"],
    "target-without-a-name": ["install", "--target=", "six"],
    "group-with-a-url": ["install", "--group", "url"],
    "platform": ["install", "--platform", "x", "six"],
    "pylock": ["install", "-r", "pylock.toml"],
    "named-pylock": ["install", "-r", "sub/pylock.dev.toml[extra]"],
    "isolated": ["install", "--isolated", "six"],
    "feature": ["install", "--use-feature=fast-deps", "six"],
    "deprecated": ["install", "--use-deprecated", "legacy-resolver", "six"],
    "remote-file": ["install", "-r", "https://h.example/reqs.txt"],
    "requires-python": ["install", "--ignore-requires-python", "six"],
    "blank": ["install", " ", "six"],
    "command-twice": ["--proxy", "install", "install", "six"],
    "python-behind": ["install", "--python", sys.executable, "six"],
    "other-command": ["download", "six"],
    "no-command": ["-q"],
    "empty": [],
}


SETTINGS_WORDS = ["install", "six", "-f", "more", "--no-binary", "c", "-v"]


def locate(words, root):
    return [word.replace("{root}", root.as_uri()) for word in words]


@pytest.fixture(scope="module")
def known():
    """The options that the installed pip knows."""
    return {spelling for each in describe_options()["i"] for spelling in each["spellings"]}


def skip_if_newer(words, known):
    for given in scan(words, "i").given:
        if not known.issuperset(given.option.spellings.split()):
            pytest.skip(f"this pip does not know {given.option.long}")


@pytest.fixture(scope="module")
def answers(workshop):
    """What pip says to all of the above, by table and id."""
    questions = [(SAME, key, locate(words, workshop), {}) for key, words in SAME.items()]
    questions += [(SAME_WITH_SETTINGS, key, SETTINGS_WORDS, each) for key, each in SAME_WITH_SETTINGS.items()]
    questions += [(REFUSED_BY_PIP, key, words, {}) for key, words in REFUSED_BY_PIP.items()]
    cases = [Case(words, make_environ(**variables), str(workshop)) for _table, _key, words, variables in questions]
    return {(id(table), key): answer for (table, key, *_), answer in zip(questions, ask_pip(cases), strict=True)}


@pytest.mark.parametrize("key", SAME)
def test_words_mean_what_they_mean_to_pip(directory, answers, known, key):
    skip_if_newer(SAME[key], known)
    request = parse(locate(SAME[key], directory), make_environ())
    check_request(request, answers[id(SAME), key], str(directory))


@pytest.mark.parametrize("key", SAME_WITH_SETTINGS)
def test_settings_mean_what_they_mean_to_pip(directory, answers, key):
    environ = make_environ(**SAME_WITH_SETTINGS[key])
    check_request(parse(SETTINGS_WORDS, environ), answers[id(SAME_WITH_SETTINGS), key], str(directory))


def test_constraints_among_the_settings_are_told_from_those_among_the_words(directory):
    words = ["install", "six", "-c", "limits.txt"]
    (directory / "constraining.conf").write_text("[install]\nconstraint = limits.txt\n")
    assert not parse(words, make_environ()).constrained_by_settings
    for settings in ({"PIP_CONSTRAINT": "limits.txt"}, {"PIP_CONFIG_FILE": "constraining.conf"}):
        assert parse(words, make_environ(**settings)).constrained_by_settings


@pytest.mark.parametrize("key", REFUSED_BY_PIP)
def test_what_is_left_to_pip_as_wrong_is_wrong_for_pip(answers, key):
    assert "error" in answers[id(REFUSED_BY_PIP), key]


def test_a_file_url_is_taken_if_spelled_as_pip_does(directory):
    url = (directory / "wheels" / WHEEL).as_uri()
    cases = [["install", url], ["install", f"six[x] @ {url} ; os_name != 'x'"], ["install", f"{url} ; os_name != 'x'"]]
    for words, answer in zip(
        cases, ask_pip([Case(each, make_environ(), str(directory)) for each in cases]), strict=True
    ):
        check_request(parse(words, make_environ()), answer, str(directory))


@pytest.mark.parametrize(
    "words", [*REFUSED_BY_PIP.values(), *LEFT_TO_PIP.values()], ids=[*REFUSED_BY_PIP, *LEFT_TO_PIP]
)
def test_only_pip_can_serve(directory, words):
    with pytest.raises(Unsupported):
        parse(locate(words, directory), make_environ(), fetch=nowhere)


def nowhere(url, options):
    raise Unsupported("there is nothing at {url}", url=url)


@pytest.mark.parametrize(
    "variables",
    [
        {"PIP_REQUIRE_VIRTUALENV": "true"},
        {"PIP_CONFIG_SETTINGS": "a"},
        {"PIP_BUILD_CONSTRAINT": "none.txt"},
        {"PIP_USE_FEATURE": "build-constraint fast-deps"},
        {"PIP_ISOLATED": "yes"},
        {"PIP_PYTHON": "nowhere"},
        {"PIP_RETRIES": "many"},
        {"PIP_UPGRADE": "perhaps"},
        {"PIP_VERBOSE": "-1"},
        {"PIP_PROGRESS_BAR": "ascii"},
        {"_PIP_RUNNING_IN_SUBPROCESS": "1"},
    ],
    ids=lambda variables: "-".join(variables),
)
def test_only_pip_can_serve_settings(variables):
    with pytest.raises(Unsupported):
        parse(["install", "six"], make_environ(**variables))


BUILDS = {
    "no-settings": ["install", "six", "-r", "reqs.txt"],
    "settings": ["install", "-Cb=1", "six", "-C", "a=x=y", "idna", "--config-settings=a=z", "--config=c="],
    "settings-without-a-key": ["install", "-C=x", "six"],
    "settings-with-blanks": ["install", "-C", " a = b c ", "six"],
    "settings-in-a-file": ["install", "-r", "settings.txt"],
    "settings-and-a-file": ["install", "-Ca=9", "attrs", "-r", "settings.txt"],
    "settings-in-constraints": ["install", "-Ca=9", "six", "-c", "settings-limits.txt"],
    "the-same-settings-twice": ["install", "-Ca=1", "six", "six[x]"],
    "isolation": ["install", "--no-build-isolation", "six"],
    "build-constraints": ["install", "--build-constraint", "build.txt", "six", "--build-con=build-nested.txt"],
    "no-build-constraints": ["install", "--build-constraint", "empty.txt", "six"],
    "feature": ["--use-feature=build-constraint", "install", "six"],
    "feature-in-a-file": ["install", "-r", "feature.txt"],
    "feature-behind-a-requirement": ["install", "-r", "feature-behind.txt"],
    "sdist": ["install", "wheels/six-1.17.0.tar.gz", "./sdists/a_b.c-1.0.zip", "sdists/../sdists/plain.tgz"],
    "sdist-by-name": ["install", "sdists/x-y-1.0.tar.bz2 ; os_name!='x'", "sdists/old-1.tbz[B,a.C]"],
    "odd-sdist": ["install", "sdists/é 1-2.tar.xz"],
    "sdists-in-a-file": ["install", "-r", "paths.txt"],
    "sdist-with-a-hash": ["install", "-r", "hashed-sdist.txt"],
    "directory": ["install", "."],
    "directory-with-extras": ["install", ".[a,B_c] ; os_name == 'posix'"],
    "directories": ["install", "./project", "legacy project/", "./project.zip", "nothing/../project[x]"],
    "directory-and-wheel": ["install", "project/[x]", f"wheels/{WHEEL}", "-Ca=1"],
}
BUILD_URLS = {
    "sdist": ["{root}/wheels/six-1.17.0.tar.gz"],
    "named-sdist": ["Six[B,a] @ {root}/wheels/six-1.17.0.tar.gz ; os_name != 'x'"],
    "named-like-another": ["other@{root}/wheels/six-1.17.0.tar.gz"],
    "escaped": ["{root}/sdists/%C3%A9%201-2.tar.xz", "{root}/legacy%20project"],
    "directory": ["{root}/project ; os_name != 'x'"],
    "named-directory": ["any-thing[x] @ {root}/project"],
    "wheel": ["six @ {root}/wheels/" + WHEEL],
}
BUILD_SETTINGS = {
    "settings": {"PIP_CONFIG_SETTINGS": "a=b c=d"},
    "settings-from-everywhere": {"PIP_CONFIG_FILE": "builds.conf", "PIP_CONFIG_SETTINGS": "k=3"},
    "isolation": {"PIP_NO_BUILD_ISOLATION": "1"},
    "no-isolation": {"PIP_NO_BUILD_ISOLATION": "no"},
    "build-constraints": {"PIP_BUILD_CONSTRAINT": "build.txt build-nested.txt"},
    "feature": {"PIP_USE_FEATURE": "build-constraint"},
}
BUILD_SETTINGS_WORDS = ["install", "-Ck=4", "six", "-r", "reqs.txt"]
BUILDS_REFUSED_BY_PIP = {
    "settings": ["install", "-Ca", "six"],
    "build-constraints-without-isolation": ["install", "--no-build-isolation", "--build-constraint=build.txt", "six"],
    "no-build-constraints": ["install", "--build-constraint", "none.txt", "six"],
    "build-constraint-with-extras": ["install", "--build-constraint", "build-extras.txt", "six"],
    "build-constraint-without-a-name": ["install", "--build-constraint", "build-project.txt", "six"],
    "directory-as-constraint": ["install", "six", "-c", "project.txt"],
    "feature": ["install", "--use-feature", "none", "six"],
    "empty-directory": ["install", "./nothing"],
    "directory-like-a-wheel": ["install", "./wheels.whl"],
    "extras": ["install", "./project[a b]"],
    "fragment": ["install", "./project#egg=six"],
    "subdirectory": ["install", "./wheels/six-1.17.0.tar.gz#subdirectory=x"],
}
BUILDS_LEFT_TO_PIP = {
    "remote-build-constraints": ["install", "--build-constraint", "https://h.example/c.txt", "six"],
    "build-constraint-by-path": ["install", "--build-constraint", "build-wheel.txt", "six"],
    "build-constraint-with-hashes": ["install", "--build-constraint", "build-hashes.txt", "six"],
    "build-constraints-with-options": ["install", "--build-constraint", "build-options.txt", "six"],
    "build-constraints-with-requirements": ["install", "--build-constraint", "build-requires.txt", "six"],
    "build-constraint-with-settings": ["install", "--build-constraint", "build-settings.txt", "six"],
    "different-settings": ["install", "-Ca=1", "six", "-r", "settings.txt"],
    "settings-once": ["install", "-Ca=1", "idna", "-r", "settings.txt"],
    "missing-directory": ["install", "./gone"],
    "directory-of-wheels": ["install", f"./directories/{WHEEL}"],
    "wheel-in-capitals": ["install", "sdists/six-1.17.0-py3-none-any.WHL"],
    "hashed-directory": ["install", "-r", "hashed-project.txt"],
    "directory-and-hashes": ["install", "./project", "-r", "hashed.txt"],
    "sdist-without-the-hash": ["install", "wheels/six-1.17.0.tar.gz", "--require-hashes"],
    "editable": ["install", "-e", "./nothing"],
}
BUILD_URLS_LEFT_TO_PIP = [
    "{root}/project/",
    "{root}/nothing",
    "{root}/gone",
    "{root}/project[x]",
    "{root}/project#egg=six",
    "{root}/wheels/six-1.17.0.tar.gz#sha256=" + HASH,
    "{root}/wheels/six-1.17.0.tar.gz#egg=six",
    "{root}/wheels/six-1.17.0.tar.gz#subdirectory=x",
    "{root}/wheels/../wheels/six-1.17.0.tar.gz",
    "{root}/wheels/six%2D1.17.0.tar.gz",
    "{root}/sdists/six.txt",
    "six @ file:project",
    "file:./wheels/six-1.17.0.tar.gz",
]

_ASK_ABOUT_BUILDS = r"""
import contextlib, io, json, os, sys
from pip._internal.cli import cmdoptions
from pip._internal.cli.main_parser import parse_command
from pip._internal.commands import create_command
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
from pip._internal.req.req_install import check_invalid_constraint_type
from pip._vendor.packaging.utils import canonicalize_name

def checked(wanted):
    if problem := wanted.constraint and check_invalid_constraint_type(wanted):
        raise ValueError(problem)
    return wanted

def root(wanted):
    link = wanted.link
    return dict(
        name=canonicalize_name(wanted.req.name) if wanted.req else "",
        extras=sorted({canonicalize_name(extra) for extra in wanted.extras}),
        specifier=str(wanted.req.specifier) if wanted.req else "",
        marker=str(wanted.markers or ""),
        url=link.url if link else "",
        kind="" if not link else "directory" if link.is_existing_dir() else "wheel" if link.is_wheel else "sdist",
        config_settings=wanted.config_settings or {},
    )

def answer(words, environ, cwd):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    # What words and files add to this list stays there.
    cmdoptions.use_new_feature.keywords["default"].clear()
    command = create_command("install")
    options, args = command.parse_args(parse_command(words)[1])
    check_build_constraints = getattr(command, "check_build_constraints", None) or cmdoptions.check_build_constraints
    command.enter_context = contextlib.ExitStack().enter_context
    check_build_constraints(options)
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    wanted = [checked(each) for each in command.get_requirements(args, options, finder, session)]
    constraints = [
        checked(install_req_from_parsed_requirement(line))
        for path in options.build_constraints
        for line in parse_requirements(path, session, finder, options, constraint=True)
    ]
    return dict(
        requirements=[root(each) for each in wanted if not each.constraint],
        build_constraints=[root(each) for each in constraints],
        build_isolation=bool(options.build_isolation),
        features=sorted(set(options.features_enabled)),
    )

answers = []
for case in json.load(sys.stdin):
    streams = io.StringIO()
    try:
        with contextlib.redirect_stdout(streams), contextlib.redirect_stderr(streams):
            answers.append(answer(*case))
    except (Exception, SystemExit) as error:
        answers.append({"error": f"{type(error).__name__}: {error} {streams.getvalue()}"})
json.dump(answers, sys.stdout)
"""


def ask_pip_about_builds(cases):
    """What pip makes of all that says what to build, and how; or an ``error``."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK_ABOUT_BUILDS],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        env=make_environ(PYTHONWARNINGS="ignore"),
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def build_answers(workshop):
    (workshop / "builds.conf").write_text("[global]\nconfig-settings = k=1\n[install]\nconfig_settings = k=2\n  l=3\n")
    words = {key: [word.format(root=workshop.as_uri()) for word in each] for key, each in BUILD_URLS.items()}
    questions = [(BUILDS, key, each, {}) for key, each in BUILDS.items()]
    questions += [(BUILD_URLS, key, ["install", *each], {}) for key, each in words.items()]
    questions += [(BUILD_SETTINGS, key, BUILD_SETTINGS_WORDS, each) for key, each in BUILD_SETTINGS.items()]
    questions += [(BUILDS_REFUSED_BY_PIP, key, each, {}) for key, each in BUILDS_REFUSED_BY_PIP.items()]
    answers = ask_pip_about_builds(
        [(each, make_environ(**variables), str(workshop)) for _table, _key, each, variables in questions]
    )
    return {(id(table), key): answer for (table, key, *_), answer in zip(questions, answers, strict=True)}


def check_builds(request, answer):
    assert "error" not in answer, answer
    assert request.build_isolation == answer["build_isolation"]
    assert sorted(set(request.options.get("features_enabled", ()))) == answer["features"]
    for ours, theirs in (
        (request.requirements, answer["requirements"]),
        (request.build_constraints, answer["build_constraints"]),
    ):
        assert [describe_root(root) for root in ours] == theirs


def describe_root(root):
    known = root.kind != "sdist" or "@" in root.text
    return {
        "name": root.name if known else "",
        "extras": list(root.extras),
        "specifier": str(SpecifierSet(root.specifier)),
        "marker": str(Marker(root.marker)) if root.marker else "",
        "url": Path(root.direct).as_uri() if root.direct else "",
        "kind": root.kind,
        "config_settings": {
            key: value if isinstance(value, str) else list(value) for key, value in root.config_settings
        },
    }


@pytest.mark.parametrize("key", BUILDS)
def test_what_to_build_and_how_is_what_it_is_to_pip(directory, build_answers, key):
    check_builds(parse(BUILDS[key], make_environ()), build_answers[id(BUILDS), key])


@pytest.mark.parametrize("key", BUILD_URLS)
def test_what_to_build_may_be_given_by_a_url(directory, build_answers, key):
    words = [word.format(root=directory.as_uri()) for word in BUILD_URLS[key]]
    check_builds(parse(["install", *words], make_environ()), build_answers[id(BUILD_URLS), key])


@pytest.mark.parametrize("key", BUILD_SETTINGS)
def test_how_to_build_may_be_set_elsewhere(directory, build_answers, key):
    request = parse(BUILD_SETTINGS_WORDS, make_environ(**BUILD_SETTINGS[key]))
    check_builds(request, build_answers[id(BUILD_SETTINGS), key])


@pytest.mark.parametrize("key", BUILDS_REFUSED_BY_PIP)
def test_what_is_left_to_pip_as_no_build_is_wrong_for_pip(build_answers, key):
    assert "error" in build_answers[id(BUILDS_REFUSED_BY_PIP), key]


@pytest.mark.parametrize(
    "words",
    [*BUILDS_REFUSED_BY_PIP.values(), *BUILDS_LEFT_TO_PIP.values()],
    ids=[*BUILDS_REFUSED_BY_PIP, *BUILDS_LEFT_TO_PIP],
)
def test_only_pip_can_build(directory, words):
    with pytest.raises(Unsupported):
        parse(words, make_environ())


@pytest.mark.parametrize("word", BUILD_URLS_LEFT_TO_PIP)
def test_only_pip_can_serve_other_file_urls(directory, word):
    with pytest.raises(Unsupported):
        parse(["install", word.format(root=directory.as_uri())], make_environ())


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("wheels/six-1.17.0.tar.gz", "six"),
        ("sdists/a_b.c-1.0.zip", "a-b-c"),
        ("sdists/x-y-1.0.tar.bz2", "x-y"),
        ("sdists/plain.tgz", ""),
        ("sdists/é 1-2.tar.xz", ""),
        ("sdists/old-1.tbz", ""),
        ("./project", ""),
    ],
)
def test_what_is_given_by_its_path_has_the_name_that_the_file_tells(directory, word, name):
    (root,) = parse(["install", word], make_environ()).requirements
    assert (root.name, root.specifier) == (name, "")


def test_build_constraint_files_are_named(directory):
    options = ["--build-constraint=build-nested.txt", "-c", "limits.txt", "--build-constraint=build.txt"]
    request = parse(["install", "six", *options], make_environ())
    assert request.build_constraint_files == tuple(str(directory / name) for name in ("build-nested.txt", "build.txt"))
    names = ["limits.txt", "build-nested.txt", "sub/build.txt", "build.txt"]
    assert request.files == tuple(str(directory / name) for name in names)
    assert [root.name for root in request.constraints] == ["certifi", "idna"]
    assert [root.source for root in request.build_constraints[:2]] == [
        f"{directory / 'build-nested.txt'}:1",
        f"{directory / 'sub/build.txt'}:1",
    ]


_RECORDING_BACKEND = f"""{IN_TREE_BACKEND}
prepare = prepare_metadata_for_build_wheel

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    with open(os.environ["RECORD"], "a") as record:
        print(json.dumps([SETTINGS["name"], config_settings]), file=record)
    return prepare(metadata_directory)
"""


def test_the_settings_are_those_that_pip_gives_to_the_backends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, requires in {"one": ["two", "three"], "two": [], "three": [], "four": [], "five": []}.items():
        backend = {"_backend/in_tree_backend.py": _RECORDING_BACKEND}
        make_sdist("sdists", name, "1", requires=requires, extra_files=backend)
    (tmp_path / "three.txt").write_text("three -Cc=3\nfour\n-c limits.txt\n")
    (tmp_path / "limits.txt").write_text("two -Cd=4\nfive -Cd=4\n")
    words = ["install", "-Cb=1", "sdists/one-1.tar.gz", "-Ca=2", "five", "-Cb=3", "-r", "three.txt"]
    environ = make_environ(RECORD=str(tmp_path / "record"))
    options = ["--dry-run", "--no-index", "--find-links=sdists", "--no-cache-dir", "--ignore-installed"]
    subprocess.run([sys.executable, "-m", "pip", *words, *options], env=environ, check=True, capture_output=True)
    given = dict(map(json.loads, (tmp_path / "record").read_text().splitlines()))
    ours = {root.name: describe_root(root)["config_settings"] or None for root in parse(words, environ).requirements}
    assert given == {"two": None, **ours}
    assert ours["one"] == {"a": "2", "b": ["1", "3"]}


def test_random_spellings_mean_what_they_mean_to_pip(directory, known):
    """Abbreviations, clusters, joined and separate values of all options that pip-accel serves."""
    chance = random.Random(20261122)
    ours = [
        each for each in OPTIONS if each.ours and each.dest != "python" and known.issuperset(each.spellings.split())
    ]
    values = {"int": "3", "float": "2.5", "requirements": "reqs.txt", "constraints": "limits.txt"}
    values |= {"build_constraints": "build.txt", "config_settings": "a=b", "editables": "./project"}
    values |= {"dependency_groups": "dev", "requirements_from_scripts": "script.py"}
    lines = []
    for _ in range(300):
        words = ["install"]
        for option in chance.sample(ours, chance.randint(1, 4)):
            spelling = chance.choice(option.spellings.split())
            value = values.get(option.check) or values.get(option.dest) or (option.check or "x").split()[-1]
            if spelling.startswith("--"):
                spelling = spelling[: chance.randint(min(len(spelling), 8), len(spelling))]
                joined = [f"{spelling}={value}"]
            else:
                spelling = "-" + chance.choice(["", "q", "vU"]) + spelling[1]
                joined = [spelling + value]
            words += ([spelling, value] if chance.random() < 0.5 else joined) if option.takes_value else [spelling]
            words += ["six"] if chance.random() < 0.3 else []
        lines.append([*words, "idna"])
    same = 0
    answers = ask_pip([Case(words, make_environ(), str(directory)) for words in lines])
    for words, answer in zip(lines, answers, strict=True):
        try:
            request = parse(words, make_environ())
        except Unsupported as error:
            # Ambiguous in one of the versions that the table covers, not always in the installed one.
            # What is wrong with build options is seen by no part of pip that is asked here.
            ours_alone = "ambiguous|exclude each other|different settings|hashes are required"
            assert "error" in answer or re.search(ours_alone, str(error)), (words, str(error))
        else:
            check_request(request, answer, str(directory))
            same += 1
    assert same > 150


def test_the_option_table_agrees_with_pip():
    for command, described in describe_options().items():
        known = known_options(command)
        for theirs in described:
            found = {known.get(spelling) for spelling in theirs["spellings"]}
            assert len(found) == 1, theirs
            option = found.pop()
            if option is None:
                continue  # newer than the table: see below
            assert (option.dest, option.takes_value) == (theirs["dest"], theirs["takes_value"])
            if theirs["kind"] in ("flag", "off", "value", "append", "count"):
                assert option.kind == theirs["kind"], theirs
            if option.ours:
                choices = theirs["choices"] or []
                if option.dest == "features_enabled":
                    choices = [choice for choice in choices if choice == "build-constraint"]
                wanted = {"choice": " ".join(choices), "string": "", None: ""}
                assert option.check == wanted.get(theirs["type"], theirs["type"]), theirs


def test_an_option_that_is_in_no_table_is_left_to_pip():
    with pytest.raises(Unsupported, match="--of-tomorrow"):
        parse(["install", "--of-tomorrow", "six"], make_environ())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["install", "six"], (0, "install")),
        (["-v", "--proxy", "install", "list"], (3, "list")),
        (["--pyth", "/p", "install", "-r", "x"], (2, "install")),
        (["--python=/p", "-qq", "install"], (2, "install")),
        (["help", "install"], (0, "help")),
        (["--", "install"], (1, "install")),
        (["-", "install"], (0, "-")),
        ([], None),
        (["-v"], None),
        (["--", "--"], (1, "--")),
        (["-h", "install"], None),
        (["--version"], None),
        (["--index-url", "x", "install"], None),
        (["--proxy"], None),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_the_command_is_found(words, found):
    assert find_command(words, {}) == found


def test_no_command_is_found_while_a_shell_completes_words():
    assert find_command(["install"], {"PIP_AUTO_COMPLETE": "1"}) is None


def test_python_is_taken_out_of_the_words(tmp_path):
    words = ["-v", "--python", sys.executable, "--proxy=p", "install", "-U", "six"]
    request = parse(words, make_environ())
    assert request.manner.python == sys.executable
    assert request.command_words == ("-v", "--proxy=p", "-U", "six")
    assert request.words == tuple(words)
    assert parse(["install", "six"], make_environ(PIP_PYTHON=sys.executable)).manner.python == sys.executable
    chosen = parse(["--python", sys.executable, "install", "six"], make_environ(PIP_PYTHON="nowhere"))
    assert chosen.manner.python == sys.executable
    assert parse(["--python=", "install", "six"], make_environ()).manner.python is None


def test_the_site_configuration_is_that_of_the_chosen_environment(tmp_path):
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    (environment / "pyvenv.cfg").touch()
    (environment / "pip.conf").write_text("[install]\npre = yes\n")
    (environment / "pip.ini").write_text("[install]\npre = yes\n")
    environ = make_environ(PIP_CONFIG_FILE="")
    assert parse(["--python", str(environment), "install", "six"], environ).pre
    assert not parse(["install", "six"], environ).pre


def test_all_files_that_were_read_are_named_once(directory):
    request = parse(["install", "-r", "nested.txt", "-r", "nested.txt", "-c", "empty.txt"], make_environ())
    names = ["empty.txt", "nested.txt", "sub/inner.txt", "limits.txt"]
    assert request.files == tuple(str(directory / name) for name in names)


def test_options_have_the_values_that_were_given_anywhere():
    request = parse(["install", "-U", "--timeout=3", "six"], make_environ(PIP_RETRIES="1", PIP_NO_COLOR="1"))
    assert request.options == {"upgrade": True, "timeout": 3.0, "retries": 1, "no_color": True}


def test_download_knows_the_words(directory):
    words = [
        "-v",
        "install",
        "-UI",
        "--force-reinstall",
        "-r",
        "reqs.txt",
        "--no-compile",
        "--no-warn-conflicts",
        "six",
    ]
    words += [
        "--break",
        "--root-user-action=ignore",
        "--upgrade-strategy",
        "eager",
        "-fx",
        "--no-binary",
        "a,b",
        "-ihttps:x",
    ]
    request = parse(words, make_environ())
    translated = download_words(request)
    assert translated == [
        "--verbose",
        "--requirement=reqs.txt",
        "--find-links=x",
        "--no-binary=a,b",
        "--index-url=https:x",
        "six",
    ]
    assert scan(translated, "d").positional == ("six",)


def test_download_builds_alike_but_knows_no_settings(directory):
    words = ["install", "-Ca=1", "--build-constraint", "build.txt", "./project", "--use-feature=build-constraint"]
    assert download_words(parse(words, make_environ())) == [
        "--build-constraint=build.txt",
        "--use-feature=build-constraint",
        "./project",
    ]
    request = parse(["install", "--no-build-isolation", "six", "--config-settings", "a=1"], make_environ())
    assert download_words(request) == ["--no-build-isolation", "six"]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ("[global]\npre = yes", []),
        ("[install]\nupgrade = yes\nno-compile = no", []),
        ("[install]\npre = yes\ntimeout = 7\nverbose = 2", ["--verbose", "--verbose", "--timeout=7.0", "--pre"]),
        ("[global]\nfind-links = a\n[install]\nfind-links = a b", ["--find-links=b"]),
        (
            "[global]\nno-binary = a\n[install]\nno-binary = :all:",
            ["--no-binary=:none:", "--only-binary=:none:", "--no-binary=:all:"],
        ),
        ("[download]\ndest = x\n[install]\ncache-dir = /c", ["--cache-dir=/c"]),
        ("[install]\nretries = 3\n[download]\nretries = 3", []),
        ("[install]\nno-build-isolation = no\nconfig-settings = a=b", ["--no-build-isolation"]),
        ("[install]\nuse-feature = build-constraint", ["--use-feature=build-constraint"]),
    ],
    ids=["global", "install-only", "scalars", "longer-list", "formats", "cache-dir", "same", "builds", "feature"],
)
def test_download_gets_what_the_section_install_says(tmp_path, configuration, words):
    path = tmp_path / "pip.conf"
    path.write_text(configuration)
    request = parse(["install", "six"], make_environ(PIP_CONFIG_FILE=str(path)))
    assert sorted(download_words(request)[:-1]) == sorted(words)


def test_a_variable_is_stronger_than_the_section_install(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text("[install]\ntimeout = 7")
    request = parse(["install", "six"], make_environ(PIP_CONFIG_FILE=str(path), PIP_TIMEOUT="8"))
    assert request.options["timeout"] == 8.0
    assert download_words(request) == ["six"]


@pytest.mark.parametrize(
    "configuration",
    [
        "[global]\nfind-links = a\n[install]\nfind-links = b",
        "[download]\npre = yes",
        "[download]\nplatform = x",
        "[download]\nno-build-isolation = off",
    ],
    ids=["other-list", "flag", "unsupported", "isolation"],
)
def test_what_words_cannot_take_back_is_left_to_pip(tmp_path, configuration):
    path = tmp_path / "pip.conf"
    path.write_text(configuration)
    with pytest.raises(Unsupported):
        parse(["install", "six"], make_environ(PIP_CONFIG_FILE=str(path)))


def test_formats_go_over_as_they_are(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text("[install]\nno-binary = :all:\nonly-binary = six,idna")
    request = parse(["install", "six"], make_environ(PIP_CONFIG_FILE=str(path)))
    assert request.format_control == FormatControl(frozenset({":all:"}), frozenset({"six", "idna"}))
    again = parse(["install", *download_words(request)], make_environ(PIP_NO_BINARY="x"))
    assert again.format_control == request.format_control


def test_passwords_of_one_section_are_given_to_other_commands_in_variables(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text(
        "[install]\nindex-url = https://me:hunter2@h.example/simple\ntimeout = 7\n"
        "extra-index-url = https://a.example\n    https://me:hunter2@b.example\n"
    )
    request = parse(["install", "six"], make_environ(PIP_CONFIG_FILE=str(path)))
    assert request.install_environ == {
        "PIP_INDEX_URL": "https://me:hunter2@h.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example https://me:hunter2@b.example",
    }
    assert download_words(request) == ["--timeout=7.0", "six"]


def test_secrets_are_in_no_message():
    for words in (
        ["install", "six @ https://user:secret@h.example/x.zip#unknown=y"],
        ["install", "--require-hashes", "https://user:secret@h.example/x.zip"],
        ["install", "-e", "https://user:secret@h.example/x.zip"],
        ["install", "-r", "https://u:secret@h/r.txt"],
    ):
        with pytest.raises(Unsupported) as caught:
            parse(words, make_environ())
        assert "secret" not in str(caught.value)


SLOW = {
    *("optparse", "argparse", "logging", "email", "subprocess", "tempfile", "dataclasses", "importlib.metadata"),
    *("packaging", "shlex", "configparser", "urllib.parse"),
}


def test_plain_words_need_none_of_the_slow_modules(directory):
    code = (
        "import sys, types; before = set(sys.modules)\n"
        "import pip_accel\n"
        "package = sys.modules['pip_accel._plan'] = types.ModuleType('pip_accel._plan')\n"
        "package.__path__ = [pip_accel.__path__[0] + '/_plan']\n"
        "from pip_accel._plan.arguments import parse\n"
        "parse(sys.argv[1:], {'PIP_CONFIG_FILE': '/dev/null'}, prefix_of=lambda python: '/')\n"
        "print(*set(sys.modules) - before)"
    )
    words = ["install", "-U", "six[a]>=1,<2", "-r", "hashed.txt", "-r", "reqs.txt"]
    environ = make_environ(PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    loaded = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environ
    ).stdout
    assert not SLOW & set(loaded.split())


def test_what_the_expressions_take_packaging_takes_in_the_same_sense():
    chance = random.Random(503)
    pieces = [
        "six",
        "a.b",
        "A_b",
        "-",
        "[",
        "]",
        "x",
        ",",
        "==",
        ">=",
        "<",
        "~=",
        "!=",
        "===",
        "1",
        "1.0",
        ".*",
        "a1",
        "rc2",
        ".post1",
        ".dev3",
        "+l.1",
        "0",
        "b",
    ]
    plain = 0
    for _ in range(20000):
        text = "six" + "".join(chance.choice([*pieces, " "]) for _ in range(chance.randint(1, 6)))
        if requirements._PLAIN.fullmatch(text):
            root, judge = requirements.parse_requirement(text, ""), Requirement(text)
            assert root.name == canonicalize_name(judge.name)
            assert root.specifier == ",".join(sorted(map(str, judge.specifier)))
            assert set(root.extras) == {canonicalize_name(extra) for extra in judge.extras}
            plain += 1
    assert plain > 500


def test_markers_that_the_expression_takes_packaging_takes():
    chance = random.Random(508)
    pieces = ["python_version", "os_name", "extra", "'3'", '"a b"', "==", ">=", "in", "not in", "~=", "(", ")"]
    plain = 0
    for _ in range(20000):
        count = chance.choice([3, 7])
        text = " ".join(chance.choice(pieces) if place % 4 < 3 else "and" for place in range(count))
        if re.fullmatch(requirements._PLAIN_MARKER, text):
            Marker(text)
            plain += 1
    assert plain > 200


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_emptied(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unsupported, match="only once"):
        parse(["install", "-r", str(tmp_path / "pipe")], make_environ())
