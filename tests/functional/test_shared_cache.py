"""One cache for many machines: real S3 servers, faults between them and us, and what must hold whatever they do."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from pip_accel._archives import is_whole
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.processes import finish, start, watch_interpreters
from tests.lib.runs import installed, run_pip, run_pip_accel
from tests.lib.s3_server import NOBODY, OWNER, READER, Fault, FaultyProxy, rclone_server, seaweed_server, variables

pytest.importorskip("boto3")

LINE = re.compile(r"^\S+ \S+ \S+ pip_accel\[\d+\] (?:INFO|WARNING) (.*)$", re.MULTILINE)
#: What every run here has: failures show soon.
SOON = {"PIP_ACCEL_S3_TIMEOUT": "3", "PIP_ACCEL_S3_RETRIES": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with seaweed_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def prefix(request):
    """What the names of a test's objects begin with."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture
def shared(server, prefix):
    """Variables that lead to the server, and to a name space of this test's own."""
    return {**SOON, **server.variables(), "PIP_ACCEL_S3_PREFIX": prefix}


@pytest.fixture
def objects(server, prefix):
    """Gives the sizes of this test's objects, by name without the prefix."""

    def objects():
        return {name.removeprefix(f"{prefix}/"): size for name, size in server.objects().items() if prefix in name}

    return objects


@pytest.fixture
def projects(bench, archives, tmp_path):
    """An index with a wheel that requires another one, and an sdist whose builds are counted; gives the counter."""
    counter = tmp_path / "builds.txt"
    for path in (
        make_wheel(archives, "alpha", "1.0", requires=["beta"], files={"alpha.py": "ALPHA = 1\n"}),
        make_wheel(archives, "beta", "1.5", files={"beta/__init__.py": "", "beta/b.py": "B = 2\n"}),
        make_sdist(archives, "gamma", "2.0", files={"gamma.py": "GAMMA = 3\n"}, counter=str(counter)),
    ):
        bench.index.add(path)

    def builds():
        return counter.read_text().split().count("build_wheel") if counter.exists() else 0

    return builds


WORDS = ("alpha", "gamma")
EVERYTHING = {"alpha": "1.0", "beta": "1.5", "gamma": "2.0"}


def lines(result):
    """What pip-accel said, but for its closing line."""
    return [line for line in LINE.findall(result.run.stderr) if not line.startswith("Installed ")]


class Worker:
    """A machine: a data directory of its own."""

    def __init__(self, bench, data):
        self.bench = bench
        self.data = data

    def install(self, *words, **options):
        before, self.bench.data = self.bench.data, self.data
        try:
            return self.bench.install(*words, **options)
        finally:
            self.bench.data = before


@pytest.fixture
def worker(bench, tmp_path):
    """Makes a worker with an empty disk at each call."""
    made = []

    def make():
        made.append(Worker(bench, str(tmp_path / f"disk-{len(made)}")))
        return made[-1]

    return make


def test_a_second_worker_neither_builds_nor_asks_the_index(worker, shared, projects, objects, tmp_path):
    first = worker().install(*WORDS, **shared)
    assert first.installed == EVERYTHING
    assert lines(first) == []
    assert "with downloads, built gamma 2.0" in first.run.summary

    kinds = [name.split("/")[0] for name in objects()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"archives": 3, "byte-code": 3, "plans": 1, "v8": 1}

    watched, started = watch_interpreters(tmp_path)
    other = worker()
    second = other.install(*WORDS, **shared, **watched)
    assert second.installed == EVERYTHING
    assert second.requests == []
    assert lines(second) == []
    assert "from a shared cache" in second.run.summary
    assert [program for program in started() if "pip" in program and "--isolated" not in program] == []
    assert projects() == 1

    third = other.install(*WORDS)  # what came from there is here now
    assert third.requests == []
    assert third.installed == EVERYTHING
    assert "without network" in third.run.summary


def test_a_warm_run_does_not_import_boto3(worker, shared, projects, fresh):
    machine = worker()
    machine.install(*WORDS, **shared)
    code = (
        "import atexit, sys; sys.argv[0] = 'pip-accel'; from pip_accel.cli import main\n"
        "atexit.register(lambda: print(sorted({'boto3', 'botocore', 'pip_accel.caches.s3'} & set(sys.modules))))\n"
        "main()"
    )
    environment = fresh()
    command = [sys.executable, "-c", code, "--python", environment.python, "install", "-q", *WORDS]
    environ = {**os.environ, **shared, "PIP_INDEX_URL": machine.bench.index.url, "PIP_ACCEL_CACHE": machine.data}
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
    assert installed(environment) == EVERYTHING


def test_what_comes_from_there_is_what_pip_installs(worker, shared, projects, fresh, bench):
    worker().install(*WORDS, **shared)
    ours = worker().install(*WORDS, **shared).environment
    theirs = fresh()
    run_pip(["install", *WORDS], theirs, PIP_INDEX_URL=bench.index.url)

    def files(environment):
        found = {}
        for directory, _, names in os.walk(environment.site_packages):
            for name in names:
                path = Path(directory, name)
                content = path.read_bytes()
                found[str(path.relative_to(environment.site_packages))] = (
                    sorted(content.split(b"\n")) if name == "RECORD" else content if not name.endswith(".pyc") else b""
                )
        return found

    assert files(ours) == files(theirs)


@pytest.mark.parametrize("way", ["-U", "index-max-age"])
def test_a_newer_answer_goes_beside_the_older_one(way, worker, shared, bench, archives, objects):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    machine = worker()
    machine.install("alpha", **shared)
    bench.index.add(make_wheel(archives, "alpha", "2.0"))
    assert worker().install("alpha", **shared).installed == {"alpha": "1.0"}

    newer = machine.install("-U", "alpha", **shared) if way == "-U" else None
    if newer is None:
        newer = worker().install("alpha", **shared, PIP_ACCEL_INDEX_MAX_AGE="0")
    assert newer.installed == {"alpha": "2.0"}
    assert sorted(name[-9:] for name in objects() if name.startswith("plans/")) == ["0.json.gz", "1.json.gz"]

    last = worker().install("alpha", **shared)
    assert last.installed == {"alpha": "2.0"}
    assert last.requests == []


def test_another_index_is_another_question(worker, shared, bench, archives):
    bench.index.add(make_wheel(archives, "alpha", "1.0"))
    worker().install("alpha", **shared)
    elsewhere = worker().install("alpha", "--extra-index-url", bench.index.url, **shared)
    assert elsewhere.requests


def test_with_offline_no_shared_cache_is_asked(worker, shared, projects, server):
    worker().install(*WORDS, **shared)
    with FaultyProxy(server.url) as proxy:
        options = {**shared, "PIP_ACCEL_S3_URL": proxy.url, "PIP_ACCEL_OFFLINE": "yes"}
        result = worker().install(*WORDS, **options, status=1)
    assert proxy.requests == []
    assert "offline = yes" in result.run.stderr


# Trust


def test_in_hash_checking_mode_nothing_is_used_that_was_built_elsewhere(worker, shared, projects, archives, tmp_path):
    import hashlib

    rows = []
    for name, file in (
        ("alpha==1.0", "alpha-1.0-py3-none-any.whl"),
        ("beta==1.5", "beta-1.5-py3-none-any.whl"),
        ("gamma==2.0", "gamma-2.0.tar.gz"),
    ):
        rows.append(f"{name} --hash=sha256:{hashlib.sha256(Path(archives, file).read_bytes()).hexdigest()}")
    hashed = tmp_path / "hashed.txt"
    hashed.write_text("\n".join(rows) + "\n")
    machine = worker()
    machine.install(*WORDS, **shared)
    machine.install("-r", str(hashed), **shared)
    assert projects() == 1  # that was here

    other = worker()
    other.install(*WORDS, **shared)
    assert projects() == 1
    result = other.install("-r", str(hashed), **shared)
    assert result.installed == EVERYTHING
    assert projects() == 2
    other.install("-r", str(hashed), **shared)
    assert projects() == 2

    hashed.write_text("\n".join(rows[:2]) + "\n")
    worker().install("-r", str(hashed), **shared)
    wheels = worker().install("-r", str(hashed), **shared)  # their digests are the user's
    assert wheels.requests == []
    assert wheels.installed == {"alpha": "1.0", "beta": "1.5"}


@pytest.mark.parametrize("damage", ["cut short", "a byte changed", "something else", "an unknown format"])
@pytest.mark.parametrize("kind", ["archives", "byte-code", "plans", "v8"])
def test_a_damaged_object_is_not_used_and_is_replaced(kind, damage, worker, shared, projects, server, objects, prefix):
    worker().install(*WORDS, **shared)
    name = next(name for name in objects() if name.startswith(kind) and "beta" not in name)
    client, place = server.client(), {"Bucket": shared["PIP_ACCEL_S3_BUCKET"], "Key": f"{prefix}/{name}"}
    content = client.get_object(**place)["Body"].read()
    middle = len(content) // 2
    if damage == "an unknown format":
        if kind != "plans":
            pytest.skip("a digest names it")
        other = gzip.compress(json.dumps({**json.loads(gzip.decompress(content)), "format": 99}).encode())
    else:
        other = {
            "cut short": content[:middle],
            "a byte changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "something else": zlib.compress(b"something else"),
        }[damage]
    client.put_object(**place, Body=other)

    result = worker().install(*WORDS, **shared)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert name in line
    assert "is not what its name says, and is not used" in line
    if kind != "byte-code":  # that is made here, of what came from there
        assert client.get_object(**place)["Body"].read() != other
        assert lines(worker().install(*WORDS, **shared)) == []


# Faults


def always(fault):
    return lambda method, path, number: fault


def from_the_second_archive_on(fault):
    seen = []

    def decide(method, path, number):
        if "/archives/" in path and method == "GET":
            seen.append(path)
        return fault if len(set(seen)) > 1 else None

    return decide


FAULTS = {
    "gone at the start": (always(Fault(drop=True)), "is off for this run"),
    "gone in the middle": (from_the_second_archive_on(Fault(drop=True)), "is off for this run"),
    "403": (always(Fault(403, "AccessDenied")), "denies"),
    "500": (always(Fault(500, "InternalError")), "is off for this run"),
    "503": (always(Fault(503, "SlowDown")), "is off for this run"),
    "500 in the middle": (from_the_second_archive_on(Fault(500, "InternalError")), "is off for this run"),
    "a byte a second": (always(Fault(drip=1)), "bytes in 3 seconds"),
    "a byte a second in the middle": (from_the_second_archive_on(Fault(drip=1)), "bytes in 3 seconds"),
    "no answer": (always(Fault(hang=60)), "is off for this run"),
    "answers break off": (always(Fault(truncate=True)), "is off for this run"),
    "answers have a wrong byte": (always(Fault(flip=True)), "is not what its name says"),
    "expired credentials": (always(Fault(400, "ExpiredToken")), "ExpiredToken"),
    "no such bucket": (always(Fault(404, "NoSuchBucket")), "NoSuchBucket"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_service_costs_one_line(fault, worker, shared, projects, server):
    worker().install(*WORDS, **shared)
    decide, said = FAULTS[fault]
    with FaultyProxy(server.url, decide) as proxy:
        result = worker().install(*WORDS, **{**shared, "PIP_ACCEL_S3_URL": proxy.url})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert said in line
    assert result.run.seconds < 30


def test_a_fault_while_something_is_given_costs_one_line(worker, shared, projects, server, objects):
    def decide(method, path, number):
        return Fault(500, "InternalError") if method == "PUT" and "/archives/" in path else None

    with FaultyProxy(server.url, decide) as proxy:
        result = worker().install(*WORDS, **{**shared, "PIP_ACCEL_S3_URL": proxy.url})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "is off for this run" in line
    assert not [name for name in objects() if name.startswith("plans/")]  # what it names is not there


def test_a_server_that_is_not_there_costs_one_line(worker, shared, projects):
    result = worker().install(*WORDS, **{**shared, "PIP_ACCEL_S3_URL": "http://127.0.0.1:9"})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "is off for this run" in line


@pytest.mark.parametrize("create", [True, False])
def test_a_bucket_that_does_not_exist_is_made_if_that_is_wanted(create, worker, shared, projects, server, prefix):
    bucket = "made-" + str(create).lower()
    options = {**shared, "PIP_ACCEL_S3_BUCKET": bucket, "PIP_ACCEL_S3_CREATE_BUCKET": str(create)}
    result = worker().install(*WORDS, **options)
    assert result.installed == EVERYTHING
    if create:
        assert lines(result) == []
        assert worker().install(*WORDS, **options).requests == []
    else:
        (line,) = lines(result)
        assert "NoSuchBucket" in line


# Who may do what


def test_who_may_only_read_reads(worker, shared, projects, server, objects):
    worker().install(*WORDS, **shared)
    before = objects()
    reader = {**shared, **variables(server.url, READER)}
    result = worker().install(*WORDS, **reader)
    assert result.requests == []
    assert lines(result) == []

    result = worker().install("alpha", **reader)  # this is new
    assert result.installed == {"alpha": "1.0", "beta": "1.5"}
    (line,) = lines(result)
    assert "takes nothing from here, and is only read in this run" in line
    assert objects() == before

    result = worker().install("alpha", **reader, PIP_ACCEL_S3_READONLY="yes")
    assert lines(result) == []


def test_who_may_nothing_installs_all_the_same(worker, shared, projects, server):
    worker().install(*WORDS, **shared)
    result = worker().install(*WORDS, **{**shared, **variables(server.url, NOBODY)})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "denies" in line or "is off for this run" in line


def test_wrong_credentials_cost_one_line(worker, shared, projects, server):
    wrong = {**shared, **variables(server.url, OWNER._replace(secret="wrong"))}
    result = worker().install(*WORDS, **wrong)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "SignatureDoesNotMatch" in line


def test_without_credentials_what_everybody_may_read_is_read(worker, projects, tmp_path):
    with seaweed_server(tmp_path / "open", anonymous=True) as server:
        worker().install(*WORDS, **SOON, **server.variables())
        result = worker().install(*WORDS, **SOON, **server.variables(None))
    assert result.requests == []
    assert result.installed == EVERYTHING
    assert lines(result) == []


def test_a_service_that_ignores_conditional_writes_does_as_well(worker, projects, tmp_path):
    with rclone_server(tmp_path / "rclone") as server:
        options = {**SOON, **server.variables()}
        assert lines(worker().install(*WORDS, **options)) == []
        before = server.objects()
        result = worker().install(*WORDS, **options)
        assert server.objects() == before
    assert result.requests == []
    assert result.installed == EVERYTHING
    assert lines(result) == []
    assert projects() == 1


# Several workers


def test_ten_workers_at_once_on_one_empty_bucket(bench, shared, projects, objects, fresh, tmp_path):
    environments = [fresh() for _ in range(10)]
    runs = [
        start(
            ["install", *WORDS],
            environment,
            str(tmp_path / f"disk-of-{number}"),
            **{**shared, "PIP_ACCEL_S3_TIMEOUT": "60"},
            PIP_INDEX_URL=bench.index.url,
        )
        for number, environment in enumerate(environments)
    ]
    ended = [finish(run) for run in runs]
    assert [status for status, _, _ in ended] == [0] * 10, ended
    assert [installed(environment) for environment in environments] == [EVERYTHING] * 10
    kinds = [name.split("/")[0] for name in objects()]
    assert {kind: kinds.count(kind) for kind in ("archives", "plans", "v8")} == {"archives": 3, "plans": 1, "v8": 1}
    said = [line for _, _, stderr in ended for line in LINE.findall(stderr) if not line.startswith("Installed ")]
    assert said == []


# pip-accel cache push, and pull


def test_what_is_pushed_can_be_pulled(worker, shared, projects, bench, fresh, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("alpha\ngamma==2.0\n")
    words = ["-r", str(requirements)]
    options = {**shared, "PIP_INDEX_URL": bench.index.url}
    environment, here, there = fresh(), str(tmp_path / "here"), str(tmp_path / "there")
    answer = run_pip_accel(["cache", "push", *words], environment, here, **options)
    assert answer.stdout == "Pushed 3 distributions: 4 files are in the shared cache\n"
    assert installed(environment) == {}
    again = run_pip_accel(["cache", "push", *words], environment, str(tmp_path / "third"), **options)
    assert again.stdout == "The shared cache has all of 3 distributions already\n"

    bench.index.reset()
    answer = run_pip_accel(["cache", "pull", *words], environment, there, **options)
    assert answer.stdout == "Pulled 3 distributions\n"
    assert bench.index.requests == []
    bench.data = there
    result = bench.install(*words, PIP_ACCEL_OFFLINE="yes")
    assert result.installed == EVERYTHING
    assert result.requests == []
    assert projects() == 1


def test_a_machine_that_has_everything_pushes_it(worker, shared, projects, bench, fresh):
    machine = worker()
    environment = machine.install(*WORDS).environment
    options = {**shared, "PIP_INDEX_URL": bench.index.url}
    bench.index.reset()
    run_pip_accel(["cache", "push", *WORDS], environment, machine.data, **options)  # where it is installed already
    assert bench.index.requests == []
    assert worker().install(*WORDS, **shared).requests == []
    assert projects() == 1


def test_what_cannot_be_pushed_or_pulled_is_said_in_one_sentence(shared, projects, bench, fresh, archives, data):
    environment = fresh()

    def said(*words, **options):
        options = {**shared, "PIP_INDEX_URL": bench.index.url, **options}
        answer = run_pip_accel(["cache", *words], environment, data, status=1, **options)
        assert answer.stdout == ""
        return answer.stderr

    assert "has no plan for these requirements" in said("pull", "alpha")
    assert "Please say what to pull" in said("pull")
    assert "Please say what to push" in said("push")
    assert "lies on this machine alone" in said("push", os.path.join(archives, "alpha-1.0-py3-none-any.whl"))
    assert "There is no shared cache to push to" in said("push", "alpha", PIP_ACCEL_S3_BUCKET="")
    assert "is only read from here" in said("push", "alpha", PIP_ACCEL_S3_READONLY="yes")
    assert "offline = yes" in said("pull", "alpha", PIP_ACCEL_OFFLINE="yes")
    assert "No matching distribution found for nothing" in said("push", "nothing")
    assert "does not take what it is given" in said("push", "alpha", AWS_SECRET_ACCESS_KEY="wrong")


def test_what_a_machine_pushed_is_whole(worker, shared, projects, server, objects, prefix, tmp_path):
    worker().install(*WORDS, **shared)
    (name,) = [name for name in objects() if name.startswith("v8/")]
    path = tmp_path / "built.tar.gz"
    server.client().download_file(shared["PIP_ACCEL_S3_BUCKET"], f"{prefix}/{name}", str(path))
    assert is_whole(str(path))
