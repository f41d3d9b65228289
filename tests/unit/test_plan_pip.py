"""pip as a subprocess: its words, its report, its failures. Here a fake answers in its place."""

from __future__ import annotations

import json
import os
import sys

import pytest

from pip_accel._plan import pip as pip_module
from pip_accel._plan.pip import Item, Report, check_out, download, hand_over, pip_command, resolve_locally
from pip_accel._process import Completed
from pip_accel.exceptions import NothingFound, PipFailed

TIMEOUT = "ERROR: HTTPSConnectionPool(host='x', port=443): Read timed out.\n"
MISSING = (
    "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\n"
    "ERROR: No matching distribution found for nope\n"
)


class FakePip:
    """Answers one call after the other; the last answer is repeated."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.commands = []
        self.environs = []

    def __call__(self, command, *, env=None, **more):
        self.commands.append(list(command))
        self.environs.append(dict(env))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(list(command)) if callable(answer) else answer


@pytest.fixture
def pip(monkeypatch):
    def install(*answers):
        fake = FakePip(*answers)
        monkeypatch.setattr(pip_module, "run", fake)
        return fake

    slept = []
    monkeypatch.setattr(pip_module.time, "sleep", slept.append)
    install.slept = slept
    return install


def failure(errors, output="", status=1):
    return Completed(status, output, errors)


def option(command, name):
    return command[command.index(name) + 1]


def reporting(*items, log="", errors="WARNING: odd\n"):
    def answer(command):
        if "--log" in command:
            with open(option(command, "--log"), "w", encoding="utf-8") as stream:
                stream.write(log)
        with open(option(command, "--report"), "w", encoding="utf-8") as stream:
            json.dump({"version": "1", "pip_version": "27", "install": list(items)}, stream)
        return Completed(0, "Would install", errors)

    return answer


def bringing(*names, log="", output="", errors=""):
    def answer(command):
        for name in names:
            with open(os.path.join(option(command, "--dest"), name), "wb"):
                pass
        with open(option(command, "--log"), "w", encoding="utf-8") as stream:
            stream.write(log)
        return Completed(0, output, errors)

    return answer


def resolve(tmp_path, words=("alpha",), environ=None, python=None, keep_log=""):
    page, work = str(tmp_path / "a page.html"), str(tmp_path)
    return resolve_locally(python, list(words), page=page, environ=environ or {}, work=work, keep_log=keep_log)


def fetch(tmp_path, words=("alpha",), passes=3, environ=None, told=None, keep_log=""):
    told = [] if told is None else told
    work = str(tmp_path)
    return download(
        None, list(words), environ=environ or {}, work=work, passes=passes, on_retry=told.append, keep_log=keep_log
    )


def check(tmp_path, words=("git+https://h.example/alpha",), environ=None):
    return check_out(None, list(words), environ=environ or {}, work=str(tmp_path))


#: ``-P`` keeps modules of the working directory out.
PIP = [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-m", "pip"]


def test_pip_is_that_of_our_interpreter():
    assert pip_command(None) == PIP
    assert pip_command("/env/bin/python") == [*PIP, "--python", "/env/bin/python"]


def test_a_command_is_handed_over_unchanged(monkeypatch):
    monkeypatch.setattr(pip_module, "pass_through", lambda command, env: (command, env))
    assert hand_over(["list", "--python", "x"], {"A": "b"}) == (
        [*PIP, "list", "--python", "x"],
        {"A": "b"},
    )


# The no-index pass


def test_a_report_is_read(pip, tmp_path):
    direct = {"url": "file:///w/beta-2-py3-none-any.whl", "archive_info": {"hashes": {"sha256": "ab"}}}
    rows = [
        {
            "metadata": {"name": "Alpha", "version": "1.0", "requires_dist": ["beta>1"]},
            "download_info": {"url": "https://x/alpha.whl"},
            "requested": True,
            "is_direct": False,
        },
        {"metadata": {"name": "beta", "version": "2"}, "download_info": direct, "is_direct": True},
    ]
    pip(reporting(*rows))
    assert resolve(tmp_path) == Report(
        (
            Item("Alpha", "1.0", "https://x/alpha.whl", True, None, ("beta>1",)),
            Item("beta", "2", direct["url"], False, direct, ()),
        ),
        "Would install",
        "WARNING: odd\n",
        {"version": "1", "pip_version": "27", "install": rows},
    )


def test_nothing_to_install_may_leave_no_report(pip, tmp_path):
    pip(Completed(0, "satisfied", ""))
    assert resolve(tmp_path) == Report((), "satisfied", "", {"version": "1", "install": []}, True)


def test_the_report_of_an_earlier_pass_is_not_taken_for_this_one(pip, tmp_path):
    item = {"metadata": {"name": "alpha", "version": "1"}, "download_info": {"url": "https://x/alpha.whl"}}
    pip(reporting(item), Completed(0, "satisfied", ""))
    assert len(resolve(tmp_path).items) == 1
    assert resolve(tmp_path).items == ()


def test_a_failure_is_given_back_whole(pip, tmp_path):
    answer = failure(MISSING, "Looking\n", 2)
    fake = pip(answer)
    assert resolve(tmp_path) is answer
    assert len(fake.commands) == 1


@pytest.mark.parametrize("words", [("alpha", "--retries", "9", "--proxy", "http://p"), ("alpha", "--", "-x")])
def test_the_no_index_pass_has_nowhere_to_connect_to(pip, tmp_path, words):
    fake = pip(reporting())
    environ = {"NO_PROXY": "*", "no_proxy": "*", "PIP_INDEX_URL": "http://i", "PIP_EXTRA_INDEX_URL": "http://e"}
    environ["A"] = "b"
    resolve(tmp_path, words, environ)
    (command,), (given,) = fake.commands, fake.environs
    assert not {"NO_PROXY", "no_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"} & given.keys()
    assert given["A"] == "b"
    assert given["PIP_FIND_LINKS"] == f"file://{tmp_path}/a%20page.html"
    assert {"--no-index", "--dry-run", "--no-build-isolation"} <= set(command)
    end = command.index("--") if "--" in command else len(command)
    last = {name: command[max(n for n in range(end) if command[n] == name) + 1] for name in ("--retries", "--proxy")}
    assert last == {"--retries": "0", "--proxy": "http://127.0.0.1:9"}


@pytest.mark.parametrize(("given", "expected"), [({}, "w"), ({"PIP_EXISTS_ACTION": "i"}, "i")], ids=["unset", "set"])
def test_a_choice_about_existing_files_is_kept(pip, tmp_path, given, expected):
    fake = pip(reporting(), bringing("a-1.tar.gz"))
    resolve(tmp_path, environ=given)
    fetch(tmp_path, environ=given)
    assert [environ["PIP_EXISTS_ACTION"] for environ in fake.environs] == [expected] * 2


# The download-only pass


def test_what_came_is_given_with_its_paths(pip, tmp_path):
    fake = pip(bringing("b-1.tar.gz", "a-1-py3-none-any.whl", log="Collecting a\n"))
    found = fetch(tmp_path, ("a", "b"))
    assert [os.path.basename(path) for path in found.files] == ["a-1-py3-none-any.whl", "b-1.tar.gz"]
    assert all(os.path.isfile(path) for path in found.files)
    assert (found.backtracked, found.complete) == (False, True)
    assert fake.commands[0][-2:] == ["a", "b"]
    assert pip.slept == []


#: What pip's log says of an archive whose metadata it reads; the version is left out.
LOOKED_AT = [
    "2026-01-01T00:00:00,000   Downloading a.b-{}-py3-none-any.whl.metadata (2.1 kB)\n",
    "2026-01-01T00:00:00,000   Using cached https://host.example/a_b-{}-py3-none-any.whl.metadata?to=1 (2.1 kB)\n",
    "2026-01-01T00:00:00,000   Downloading https://host.example/a_b-{}%2Blocal.tar.gz (8.1 MB)\n",
    "2026-01-01T00:00:00,000 Processing ./some where/a_b-{}.tar.bz2 (from x->-r in/other.txt (line 1))\n",
    "2026-01-01T00:00:00,000 Processing c:\\some where\\a_b-{}.zip\n",
    "2026-01-01T00:00:00,000   Obtaining dependency information from a-b {}\n",
]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("2026-01-01T00:00:00,000 Collecting a\n", False),
        ("Collecting a\n2026-01-01T00:00:00,000   Will try a different candidate, due to conflict:\n", True),
        ("Will try a different candidate, \udc80", True),
        *((one.format("1"), False) for one in LOOKED_AT),
        *((one.format("1") + one.format("1"), False) for one in LOOKED_AT),
        *((one.format("1") + one.format("2"), True) for one in LOOKED_AT),
        (LOOKED_AT[0].format("1.0") + LOOKED_AT[1].format("1"), False),
        (LOOKED_AT[0].format("1") + LOOKED_AT[0].format("2").replace("a.b", "c"), False),
    ],
)
def test_the_log_tells_whether_pip_tried_more_than_one_candidate(pip, tmp_path, log, expected):
    def answer(command):
        with open(option(command, "--log"), "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(log)
        return Completed(0, "", "")

    pip(answer)
    assert fetch(tmp_path).backtracked is expected


def test_without_a_log_the_worst_is_assumed(pip, tmp_path):
    pip(Completed(0, "", ""))
    found = fetch(tmp_path)
    assert (found.backtracked, found.complete) == (True, False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'x': /simple/a/", False),
        ("Could not fetch URL https://x/simple/a/: 503 Server Error: Down for url: https://x/simple/a/", False),
        ("Could not fetch URL https://x/simple/a/: There was a problem confirming the ssl certificate", False),
        ("Could not fetch URL https://x/simple/a/: 404 Client Error: Not Found for url: https://x", True),
        ("Could not fetch URL https://x/simple/a/: 403 Client Error: Forbidden for url: https://x", True),
        ("Could not fetch URL https://x/simple/a/: 410 Client Error: Gone for url: https://x", True),
        ("Could not fetch URL https://x/simple/a/: 401 Client Error: Unauthorized for url: https://x", False),
        ("Could not fetch URL https://x/simple/a/: 429 Client Error: Too Many Requests for url: x", False),
        ("Looking in indexes: https://x/simple", True),
    ],
)
def test_the_log_tells_whether_every_index_has_answered(pip, tmp_path, line, expected):
    pip(bringing(log=f"2026-01-01T00:00:00,000 Collecting a\n2026-01-01T00:00:00,000 {line} - skipping\n"))
    assert fetch(tmp_path).complete is expected


@pytest.mark.parametrize(
    ("passes", "sent", "told", "slept"),
    [(0, 1, 0, []), (1, 1, 0, []), (2, 2, 1, [1]), (3, 3, 2, [1, 2]), (4, 4, 3, [1, 2, 4])],
)
def test_what_a_repetition_can_cure_is_repeated_with_growing_pauses(pip, tmp_path, passes, sent, told, slept):
    fake, heard = pip(failure(TIMEOUT)), []
    with pytest.raises(PipFailed, match="Read timed out"):
        fetch(tmp_path, passes=passes, told=heard)
    assert (len(fake.commands), len(heard), pip.slept) == (sent, told, slept)


@pytest.mark.parametrize(
    "errors",
    [
        TIMEOUT,
        "ERROR: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))\n",
        "ERROR: 502 Server Error: Bad Gateway for url: https://x\n",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n",
        "ERROR: ('Connection broken: IncompleteRead(10 bytes read)', IncompleteRead())\n",
        "error: incomplete-download\n\nDownload failed after 1 attempts because not enough bytes were received\n",
    ],
)
def test_a_second_pass_may_succeed(pip, tmp_path, errors):
    fake = pip(failure(errors), bringing("a-1.tar.gz"))
    found = fetch(tmp_path)
    assert [os.path.basename(path) for path in found.files] == ["a-1.tar.gz"]
    assert len(fake.commands) == 2
    assert option(fake.commands[0], "--dest") != option(fake.commands[1], "--dest")


def test_a_hash_that_is_wrong_twice_in_the_same_way_is_wrong(pip, tmp_path):
    errors = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES:\n        Expected sha256 {}\n             Got        {}\n"
    fake = pip(failure(errors.format("0" * 64, "1" * 64)))
    with pytest.raises(PipFailed):
        fetch(tmp_path, passes=9)
    assert len(fake.commands) == 2


def test_what_is_told_of_a_crash_is_its_reason(pip, tmp_path):
    told: list[str] = []
    pip(failure("ERROR: Exception:\nTraceback (most recent call last):\n  x\na.ReadTimeoutError: too late\n"))
    with pytest.raises(PipFailed, match="ReadTimeoutError: too late"):
        fetch(tmp_path, passes=2, told=told)
    assert ["too late" in line for line in told] == [True]


@pytest.mark.parametrize(
    ("errors", "error"),
    [
        (MISSING, NothingFound),
        ("ERROR: Invalid requirement: '???'\n", PipFailed),
        ("ERROR: ResolutionImpossible: for help visit https://x\n", PipFailed),
        ("ERROR: 404 Client Error: Not Found for url: https://x\n", PipFailed),
        ("", PipFailed),
    ],
)
def test_other_failures_are_final(pip, tmp_path, errors, error):
    fake = pip(failure(errors, "Looking\n", 2))
    with pytest.raises(PipFailed) as caught:
        fetch(tmp_path)
    assert type(caught.value) is error
    assert len(fake.commands) == 1
    assert caught.value.context["status"] == 2
    assert caught.value.context["output"] == "Looking\n"
    assert caught.value.context["errors"] == errors
    assert (errors.splitlines()[-1].removeprefix("ERROR: ") if errors else "exit status 2") in str(caught.value)


def test_no_secret_is_in_an_error_or_told(pip, tmp_path):
    url = "https://me:hunter2@host/simple?token=hunter2"
    error = f"ERROR: Read timed out. {url}\n"
    told: list[str] = []
    pip(failure(error, f"Looking in indexes: {url}\n"))
    with pytest.raises(PipFailed) as caught:
        fetch(tmp_path, ["-i", url, f"--extra-index-url={url}", "alpha"], passes=2, told=told)
    assert "hunter2" not in repr((str(caught.value), caught.value.context, told))
    assert "alpha" in caught.value.context["command"]


@pytest.mark.parametrize("run", [resolve, fetch, check])
def test_what_pip_could_not_write_is_no_failure_of_pips(pip, tmp_path, run):
    """But one of the data directory, where all lies that it is given to write to."""
    work = tmp_path / "run-1" / "plan"
    work.mkdir(parents=True)
    pip(failure(f"OSError: [Errno 5] Input/output error: '{tmp_path}/run-1/pip/x'\n", status=2))
    with pytest.raises(OSError, match="Input/output error"):
        run(work)


@pytest.mark.parametrize("run", [fetch, check])
def test_what_pip_could_not_read_is_its_failure(pip, tmp_path, run):
    pip(failure("OSError: [Errno 5] Input/output error: '/elsewhere/alpha.whl'\n", status=2))
    with pytest.raises(PipFailed):
        run(tmp_path)


@pytest.mark.parametrize(("run", "answer"), [(resolve, reporting), (fetch, bringing)])
def test_a_log_that_is_cut_short_is_not_believed(pip, tmp_path, run, answer):
    """pip goes on without it, and ends well."""
    said = "--- Logging error ---\nTraceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
    pip(answer(errors=said))
    with pytest.raises(OSError, match="No space left on device"):
        run(tmp_path)


def test_where_files_were_found_is_told_without_secrets(pip, tmp_path):
    lines = [
        "Found link https://me:secret@x/f/alpha-1.tar.gz#sha256=ab (from https://me:secret@x/simple/alpha/), "
        "version: 1",
        "Found link https://x/f/a%2Bb-1-py3-none-any.whl?k=v#md5=c (from https://x/simple/ab/) "
        "(requires-python:>3, !=3.1), version: 1",
        "Found link file:///w/beta-1.zip (from /w), version: 1",
        "Found link https://other/f/beta-1.zip (from https://other/simple/beta/), version: 1",
        "Skipping link: none of the wheel's tags: https://x/f/alpha-1-cp27.whl (from https://x/simple/alpha/)",
    ]
    pip(bringing(log="".join(f"2026-01-01T00:00:00,000   {line}\n" for line in lines)))
    assert fetch(tmp_path).links == {
        "alpha-1.tar.gz": "https://x/f/alpha-1.tar.gz#sha256=ab (from https://x/simple/alpha/)",
        "a+b-1-py3-none-any.whl": (
            "https://x/f/a%2Bb-1-py3-none-any.whl?k=v#md5=c (from https://x/simple/ab/) (requires-python:>3, !=3.1)"
        ),
        "beta-1.zip": "https://other/f/beta-1.zip (from https://other/simple/beta/)",
    }


def test_the_log_tells_what_pip_looked_for_and_saw(pip, tmp_path):
    lines = [
        "2026-01-01T00:00:00,000 1 location(s) to search for versions of A.b:",
        "2026-01-01T00:00:00,000   Found link https://host.example/a_b-1%2B2.tar.gz#sha256=1"
        " (from https://host.example/a-b/) (requires-python:>=3), version: 1+2",
        "2026-01-01T00:00:00,000   Found link file:///some/where/a_b-2-py3-none-any.whl, version: 2",
        "2026-01-01T00:00:00,000   Will try a different candidate, due to conflict:",
    ]
    pip(bringing(log="\n".join(lines) + "\n"))
    found = fetch(tmp_path)
    assert found.seen == ("a_b-1+2.tar.gz", "a_b-2-py3-none-any.whl")
    assert found.searched == {"a-b"}
    assert list(found.links) == ["a_b-1+2.tar.gz"]


def test_without_a_log_no_place_is_known(pip, tmp_path):
    pip(Completed(0, "", ""))
    assert fetch(tmp_path).links == {}


@pytest.mark.parametrize(
    ("log", "expected"), [("Collecting a\n", False), ("Will try a different candidate, due to conflict:\n", True)]
)
def test_the_log_of_the_no_index_pass_tells_it_too(pip, tmp_path, log, expected):
    kept = tmp_path / "kept"
    pip(reporting(log=log))
    assert resolve(tmp_path).backtracked is expected
    assert resolve(tmp_path, keep_log=str(kept)).backtracked is expected
    assert kept.read_text() == log


def test_the_logs_of_all_passes_are_kept_where_it_is_asked(pip, tmp_path):
    def fail(command):
        bringing(log="first\n")(command)
        return failure(TIMEOUT)

    log = tmp_path / "log"
    log.write_text("before\n")
    pip(fail, bringing("alpha-1.tar.gz", log="second\n"))
    fetch(tmp_path, keep_log=str(log))
    assert log.read_text() == "before\nfirst\nsecond\n"


def test_a_log_that_pip_did_not_write_leaves_the_other_as_it_is(pip, tmp_path):
    pip(Completed(0, "", ""))
    fetch(tmp_path, keep_log=str(tmp_path / "log"))
    assert not (tmp_path / "log").exists()


# Repositories


def test_what_is_checked_out_is_told_as_pip_reports_it(pip, tmp_path):
    item = {"download_info": {"url": "https://h.example/alpha", "vcs_info": {"commit_id": "0" * 40}}}
    fake = pip(reporting(item))
    words = ["--src", "s", "--editable", "git+https://h.example/alpha#egg=alpha"]
    assert check(tmp_path, words, {"A": "b"}) == item
    (command,), (given,) = fake.commands, fake.environs
    assert command[-4:] == words
    assert {"--dry-run", "--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation"} <= set(command)
    assert given["A"] == "b"


def test_a_repository_that_cannot_be_had_is_an_error_with_pips_words(pip, tmp_path):
    error = "ERROR: Failed to clone https://me:hunter2@h.example/alpha\n"
    fake = pip(failure(error, "Cloning\n", 2))
    with pytest.raises(PipFailed, match="Failed to clone") as caught:
        check(tmp_path, ["git+https://me:hunter2@h.example/alpha"])
    assert len(fake.commands) == 1
    context = caught.value.context
    assert (context["status"], context["output"]) == (2, "Cloning\n")
    assert "hunter2" not in repr((str(caught.value), context))
