"""One cache for many machines: real S3 servers, faults between them and us, and what must hold whatever they do."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from pip_accel._archives import is_whole
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ, make_environment
from tests.lib.index import IndexServer
from tests.lib.processes import finish, start, watch_interpreters
from tests.lib.runs import CHECKOUT, PIP, find_interpreters, installed, run_pip, run_pip_accel
from tests.lib.s3_server import NOBODY, OWNER, READER, Fault, FaultyProxy, rclone_server, seaweed_server, variables

pytest.importorskip("boto3")
if sys.platform != "linux":
    pytest.skip("the servers are installed on Linux only", allow_module_level=True)

LINE = re.compile(r"^\S+ \S+ \S+ pip_accel\[\d+\] (?:INFO|WARNING) (.*)$", re.MULTILINE)
WORDS = ("alpha", "gamma")
EVERYTHING = {"alpha": "1.0", "beta": "1.5", "gamma": "2.0"}
#: What every run here has: failures show soon, and a busy machine is none.
SOON = {"PIP_ACCEL_S3_TIMEOUT": "60", "PIP_ACCEL_S3_RETRIES": "1"}


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
        found = server.objects().items()
        return {name.removeprefix(f"{prefix}/"): size for name, size in found if name.startswith(f"{prefix}/")}

    return objects


class Standing(NamedTuple):
    """What all tests have in common: an index, and a place in the bucket that a worker has filled from that."""

    index: IndexServer
    archives: str
    counter: Path  #: of builds
    prefix: str

    def builds(self):
        return self.counter.read_text().split().count("build_wheel") if self.counter.exists() else 0


@pytest.fixture(scope="module")
def standing(server, tmp_path_factory):
    place = tmp_path_factory.mktemp("standing")
    archives, counter = str(place / "archives"), place / "builds.txt"
    with IndexServer() as index, pytest.MonkeyPatch.context() as patch:
        for path in (
            make_wheel(archives, "alpha", "1.0", requires=["beta"], files={"alpha.py": "ALPHA = 1\n"}),
            make_wheel(archives, "beta", "1.5", files={"beta/__init__.py": "", "beta/b.py": "B = 2\n"}),
            make_sdist(archives, "gamma", "2.0", files={"gamma.py": "GAMMA = 3\n"}, counter=str(counter)),
        ):
            index.add(path)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        options = {**server.variables(), "PIP_ACCEL_S3_PREFIX": "standing", "PIP_INDEX_URL": index.url}
        run_pip_accel(["install", *WORDS], make_environment(str(place / "env")), str(place / "disk"), **options)
        yield Standing(index, archives, counter, "standing")


@pytest.fixture
def archives(standing):
    return standing.archives


@pytest.fixture
def index(standing):
    return standing.index


@pytest.fixture
def own_index(bench):
    """An index that is empty yet, for this test alone."""
    with IndexServer() as server:
        bench.index = server
        yield server


@pytest.fixture
def builds(standing):
    """Gives the number of builds in this test so far."""
    before = standing.builds()
    return lambda: standing.builds() - before


@pytest.fixture
def filled(standing, server, shared, prefix):
    """Variables as ``shared``, with all in its place that a worker has put there for :data:`WORDS`."""
    client, bucket = server.client(), shared["PIP_ACCEL_S3_BUCKET"]
    for name in server.objects():
        if name.startswith(f"{standing.prefix}/"):
            source = {"Bucket": bucket, "Key": name}
            client.copy_object(Bucket=bucket, Key=prefix + name.removeprefix(standing.prefix), CopySource=source)
    return shared


def is_this_python(version):
    return version == f"{sys.version_info[0]}.{sys.version_info[1]}"


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


def test_a_second_worker_neither_builds_nor_asks_the_index(worker, shared, builds, objects, tmp_path):
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
    assert [program for program in started() if "pip" in program] == []
    assert builds() == 1

    third = other.install(*WORDS)  # what came from there is here now
    assert third.requests == []
    assert third.installed == EVERYTHING
    assert "without network" in third.run.summary


def test_a_warm_run_does_not_import_boto3(worker, filled, fresh):
    machine = worker()
    machine.install(*WORDS, **filled)
    code = (
        "import atexit, sys; sys.argv[0] = 'pip-accel'; from pip_accel.cli import main\n"
        "atexit.register(lambda: print(sorted({'boto3', 'botocore', 'pip_accel.caches.s3'} & set(sys.modules))))\n"
        "main()"
    )
    environment = fresh()
    command = [sys.executable, "-c", code, "--python", environment.python, "install", "-q", *WORDS]
    environ = {**os.environ, **filled, "PIP_INDEX_URL": machine.bench.index.url, "PIP_ACCEL_CACHE": machine.data}
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
    assert installed(environment) == EVERYTHING


def test_what_comes_from_there_is_what_pip_installs(worker, filled, builds, fresh, bench):
    ours = worker().install(*WORDS, **filled).environment
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


@pytest.mark.parametrize("way", [pytest.param("-U", marks=pytest.mark.slow), "index-max-age"])
def test_a_newer_answer_goes_beside_the_older_one(way, worker, shared, own_index, tmp_path, objects):
    own_index.add(make_wheel(str(tmp_path), "alpha", "1.0"))
    machine = worker()
    machine.install("alpha", **shared)
    own_index.add(make_wheel(str(tmp_path), "alpha", "2.0"))
    assert worker().install("alpha", **shared).installed == {"alpha": "1.0"}

    newer = machine.install("-U", "alpha", **shared) if way == "-U" else None
    if newer is None:
        newer = worker().install("alpha", **shared, PIP_ACCEL_INDEX_MAX_AGE="0")
    assert newer.installed == {"alpha": "2.0"}
    assert sorted(name[-9:] for name in objects() if name.startswith("plans/")) == ["0.json.gz", "1.json.gz"]

    last = worker().install("alpha", **shared)
    assert last.installed == {"alpha": "2.0"}
    assert last.requests == []


def test_another_index_is_another_question(worker, filled, bench):
    assert worker().install(*WORDS, "--extra-index-url", bench.index.url, **filled).requests


def test_with_offline_no_shared_cache_is_asked(worker, filled, builds, server):
    with FaultyProxy(server.url) as proxy:
        options = {**filled, "PIP_ACCEL_S3_URL": proxy.url, "PIP_ACCEL_OFFLINE": "yes"}
        result = worker().install(*WORDS, **options, status=1)
    assert proxy.requests == []
    assert "offline = yes" in result.run.stderr


# Trust


def test_in_hash_checking_mode_nothing_is_used_that_was_built_elsewhere(worker, shared, builds, archives, tmp_path):
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
    assert builds() == 1  # that was here, of nothing from elsewhere

    other = worker()
    other.install(*WORDS, **shared)
    assert builds() == 1
    result = other.install("-r", str(hashed), **shared)
    assert result.installed == EVERYTHING
    assert builds() == 2
    other.install("-r", str(hashed), **shared)
    assert builds() == 2

    hashed.write_text("\n".join(rows[:2]) + "\n")
    worker().install("-r", str(hashed), **shared)
    wheels = worker().install("-r", str(hashed), **shared)  # their digests are the user's
    assert wheels.requests == []
    assert wheels.installed == {"alpha": "1.0", "beta": "1.5"}


#: Kinds of objects, and what is wrong with one of them; the others take a minute.
DAMAGES = [
    ("archives", "a byte changed"),
    ("byte-code", "something else"),
    ("plans", "cut short"),
    ("plans", "an unknown format"),
    ("v8", "a byte changed"),
    *(
        pytest.param(kind, damage, marks=pytest.mark.slow)
        for kind, damage in (
            ("archives", "cut short"),
            ("archives", "something else"),
            ("byte-code", "cut short"),
            ("byte-code", "a byte changed"),
            ("plans", "a byte changed"),
            ("plans", "something else"),
            ("v8", "cut short"),
            ("v8", "something else"),
        )
    ),
]


@pytest.mark.parametrize("kind, damage", DAMAGES)
def test_a_damaged_object_is_not_used_and_is_replaced(kind, damage, worker, filled, builds, server, objects, prefix):
    name = next(name for name in objects() if name.startswith(kind) and "beta" not in name)
    client, place = server.client(), {"Bucket": filled["PIP_ACCEL_S3_BUCKET"], "Key": f"{prefix}/{name}"}
    content = client.get_object(**place)["Body"].read()
    middle = len(content) // 2
    if damage == "an unknown format":
        other = gzip.compress(json.dumps({**json.loads(gzip.decompress(content)), "format": 99}).encode())
    else:
        other = {
            "cut short": content[:middle],
            "a byte changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "something else": zlib.compress(b"something else"),
        }[damage]
    client.put_object(**place, Body=other)

    result = worker().install(*WORDS, **filled)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert name in line
    assert "is not what its name says, and is not used" in line
    if kind != "byte-code":  # that is made here, of what came from there
        assert client.get_object(**place)["Body"].read() != other
        assert lines(worker().install(*WORDS, **filled)) == []


def forge(server, options, prefix, change):
    """Change the plan in a bucket as somebody may who can write there."""
    client, bucket = server.client(), options["PIP_ACCEL_S3_BUCKET"]
    (name,) = [name for name in server.objects() if name.startswith(f"{prefix}/plans/")]
    value = json.loads(gzip.decompress(client.get_object(Bucket=bucket, Key=name)["Body"].read()))
    change(value)
    client.put_object(Bucket=bucket, Key=name, Body=gzip.compress(json.dumps(value).encode()))


def _without_a_dependency(value):
    value["found"] = [row for row in value["found"] if row[2] != "beta"]


def _with_something_else(value):
    value["found"].append([*value["found"][0][:1], *value["found"][0][1:]])
    value["found"][-1][0:3] = ["delta", value["found"][0][1], "delta"]


def _at_a_time_that_is_none(value):
    value["learned"] = 10**400


def _in_the_far_future(value):
    value["learned"] = 1e300


@pytest.mark.parametrize(
    "change", [_without_a_dependency, _with_something_else, _at_a_time_that_is_none, _in_the_far_future]
)
def test_a_plan_that_cannot_be_is_not_followed(change, worker, filled, server, prefix):
    forge(server, filled, prefix, change)
    assert worker().install(*WORDS, **filled).installed == EVERYTHING


def _as_build_requirement(value, backend):
    value["builds"] = [[["backend"], [backend], value["learned"] or 1.0]]


def _beside_the_others(value, backend):
    name, version, filename, sha256 = backend
    known = [[[], version, value["learned"] or 1.0, ""]]
    value["found"].append([name, version, name, filename, sha256, False, None, "", known])


@pytest.mark.parametrize("forgery", [_as_build_requirement, _beside_the_others])
def test_a_forged_plan_brings_nothing_where_hashes_are_required(
    forgery, worker, shared, own_index, server, prefix, tmp_path
):
    place, counter = str(tmp_path / "archives"), tmp_path / "count.txt"
    own_index.add(make_wheel(place, "backend", "1.0", files={"backend.py": "VERSION = '1.0'\n"}))
    evil = make_wheel(place, "backend", "6.6", files={"backend.py": "VERSION = '6.6'\n"})
    wheel = make_wheel(place, "alpha", "1.0")
    sdist = make_sdist(place, "gamma", "2.0", build_requires=["backend"], counter=str(counter))
    own_index.add(wheel)
    own_index.add(sdist)
    digests = {Path(each).name: hashlib.sha256(Path(each).read_bytes()).hexdigest() for each in (evil, wheel, sdist)}
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"alpha==1.0 --hash=sha256:{digests[Path(wheel).name]}\n")
    worker().install("-r", str(requirements), **shared)

    backend = ["backend", "6.6", Path(evil).name, digests[Path(evil).name]]
    forge(server, shared, prefix, lambda value: forgery(value, backend))
    key = f"{prefix}/archives/{digests[Path(evil).name][:2]}/{digests[Path(evil).name]}/{Path(evil).name}"
    server.client().put_object(Bucket=shared["PIP_ACCEL_S3_BUCKET"], Key=key, Body=Path(evil).read_bytes())
    machine = worker()
    machine.install("-r", str(requirements), **shared)
    requirements.write_text(f"gamma==2.0 --hash=sha256:{digests[Path(sdist).name]}\n")
    machine.install("-r", str(requirements), **shared)
    assert "6.6" not in str(list(Path(machine.data).rglob("*6.6*")))


@pytest.mark.parametrize("quiet", [pytest.param((), marks=pytest.mark.slow), ("-q",)])
def test_what_was_installed_has_no_part_in_a_plan(quiet, worker, shared, fresh):
    machine, environment = worker(), fresh()
    machine.install("beta", into=environment)
    machine.install(*quiet, "alpha", into=environment, **shared)
    assert worker().install("alpha", **shared).installed == {"alpha": "1.0", "beta": "1.5"}


def test_what_is_known_here_and_newer_stays(worker, shared, own_index, tmp_path):
    own_index.add(make_wheel(str(tmp_path), "alpha", "1.0"))
    own_index.add(make_wheel(str(tmp_path), "beta", "1.0"))
    worker().install("alpha", "beta", **shared)
    own_index.add(make_wheel(str(tmp_path), "alpha", "2.0"))
    machine = worker()
    machine.install("alpha")
    result = machine.install("alpha", "beta", **shared)
    assert result.installed == {"alpha": "2.0", "beta": "1.0"}
    assert machine.install("alpha").installed == {"alpha": "2.0"}


def test_build_constraints_are_part_of_the_question(worker, shared, own_index, tmp_path):
    place = str(tmp_path / "archives")
    for version in ("1.0", "2.0"):
        own_index.add(make_wheel(place, "backend", version))
    own_index.add(make_sdist(place, "gamma", "2.0", build_requires=["backend"]))
    worker().install("gamma", **shared)
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("backend<2\n")
    machine = worker()
    machine.install("gamma", "--build-constraint", str(constraint), **shared)
    assert not list(Path(machine.data).rglob("backend-2.0*"))


def test_the_way_of_building_is_part_of_the_question(worker, shared, own_index, tmp_path):
    own_index.add(make_sdist(str(tmp_path), "gamma", "2.0"))
    for flags in ({}, {"CFLAGS": "-O1"}, {"GAMMA_MODE": "1"}):
        worker().install("gamma", **flags, **shared)
        assert worker().install("gamma", **flags, **shared).requests == []


def test_build_requirements_come_along_where_something_is_installed(worker, shared, own_index, tmp_path, fresh):
    place = str(tmp_path / "archives")
    for name in ("backend", "beta"):
        own_index.add(make_wheel(place, name, "1.0"))
    own_index.add(make_sdist(place, "gamma", "2.0", build_requires=["backend"]))
    worker().install("beta", "gamma", **shared)
    environment = fresh()
    worker().install("beta", into=environment)
    result = worker().install("beta", "gamma", into=environment, **shared)
    assert result.requests == []
    assert result.installed == {"beta": "1.0", "gamma": "2.0"}


def test_a_plan_holds_beside_an_older_version_that_requires_the_same(worker, shared, own_index, tmp_path, fresh):
    def add(name, *versions, requires):
        for version in versions:
            own_index.add(make_wheel(str(tmp_path), name, version, requires=requires))

    add("alpha", "1.0", requires=["beta>=1", "gamma"])
    add("delta", "1.0", requires=["beta<9,>=0.5"])  # so that nothing but the whole request vouches for beta
    add("beta", "1.0", requires=[])
    add("gamma", "1.0", "2.0", requires=["beta"])
    worker().install("alpha", "delta", **shared)
    environment = fresh()
    worker().install("--no-deps", "gamma==1.0", into=environment)
    result = worker().install("alpha", "delta", into=environment, **shared)
    assert (result.requests, result.installed["gamma"], len(result.installed)) == ([], "1.0", 4)


def test_a_plan_does_not_hold_where_what_came_up_and_was_dropped_is_installed(
    worker, shared, own_index, tmp_path, fresh
):
    releases = {
        "alpha==1.0": "", "alpha==2.0": "beta", "beta==1.0": "", "beta==2.0": "gamma<1", "gamma==0.5": "",
        "gamma==2.0": "", "delta==1.0": "gamma zeta", "zeta==1.0": "alpha<2",
    }  # fmt: skip
    for pin, requires in releases.items():
        own_index.add(make_wheel(str(tmp_path), *pin.split("=="), requires=requires.split()))
    assert worker().install("alpha", "delta", **shared).installed["gamma"] == "0.5"
    environment = fresh()
    worker().install("beta==1.0", into=environment)
    result = worker().install("alpha", "delta", into=environment, **shared)
    assert result.installed["gamma"] == "2.0"


@pytest.mark.parametrize("variable", ["GAMMA_PASSPHRASE", "GAMMA_URL"])
def test_what_a_secret_had_a_part_in_is_not_shared(variable, worker, shared, own_index, objects, tmp_path):
    own_index.add(make_wheel(str(tmp_path), "alpha", "1.0"))
    own_index.add(make_sdist(str(tmp_path), "gamma", "2.0"))
    machine = worker()
    machine.install("alpha", "gamma", **{variable: "hunter2"}, **shared)
    assert [name for name in objects() if name.startswith(("v8/", "plans/"))] == []
    assert machine.install("alpha", "gamma", **{variable: "hunter2"}).installed == {"alpha": "1.0", "gamma": "2.0"}


@pytest.mark.parametrize(
    ("flags", "shares"), [("-O1", True), ("", True), ("-DTOKEN=hunter2", False)], ids=["flags", "empty", "secret"]
)
def test_flags_for_compilers_that_a_source_reads_are_no_secret(flags, shares, worker, shared, own_index, tmp_path):
    reads = {"_backend/flags.py": "import os\n\nFLAGS = os.environ.get('CFLAGS')\n"}
    own_index.add(make_sdist(str(tmp_path), "gamma", "2.0", extra_files=reads))
    worker().install("gamma", CFLAGS=flags, **shared)
    assert (worker().install("gamma", CFLAGS=flags, **shared).requests == []) is shares


def test_what_vanishes_from_a_bucket_is_had_in_another_way(worker, filled, server, prefix):
    client, bucket = server.client(), filled["PIP_ACCEL_S3_BUCKET"]
    for name in server.objects():
        if name.startswith((f"{prefix}/v8/", f"{prefix}/byte-code/")) or ("beta" in name and prefix in name):
            client.delete_object(Bucket=bucket, Key=name)
    result = worker().install(*WORDS, **filled)
    assert result.installed == EVERYTHING
    assert lines(result) == []
    assert worker().install(*WORDS, **filled).requests == []  # it is there again


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
    "a byte a second": (always(Fault(drip=1)), "bytes in 4 seconds"),
    "a byte a second in the middle": (from_the_second_archive_on(Fault(drip=1)), "bytes in 4 seconds"),
    "no answer": (always(Fault(hang=60)), "is off for this run"),
    "answers break off": (always(Fault(truncate=True)), "is off for this run"),
    "answers have a wrong byte": (always(Fault(flip=True)), "is not what its name says"),
    "expired credentials": (always(Fault(400, "ExpiredToken")), "ExpiredToken"),
    "no such bucket": (always(Fault(404, "NoSuchBucket")), "NoSuchBucket"),
}


#: Those that are much like others; together they take half a minute.
LIKE_OTHERS = ("503", "500 in the middle", "a byte a second in the middle", "no answer", "answers break off")


@pytest.mark.parametrize(
    "fault", [pytest.param(each, marks=pytest.mark.slow) if each in LIKE_OTHERS else each for each in FAULTS]
)
def test_a_fault_of_the_service_costs_one_line(fault, worker, filled, builds, server):
    decide, said = FAULTS[fault]
    patience = "4" if "seconds" in said or fault == "no answer" else "60"
    with FaultyProxy(server.url, decide) as proxy:
        options = {**filled, "PIP_ACCEL_S3_URL": proxy.url, "PIP_ACCEL_S3_TIMEOUT": patience}
        result = worker().install(*WORDS, **options)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert said in line
    assert result.run.seconds < 50  # each fault of a slow service lasts a minute at least


def test_a_fault_while_something_is_given_costs_one_line(worker, shared, builds, server, objects):
    def decide(method, path, number):
        return Fault(500, "InternalError") if method == "PUT" and "/archives/" in path else None

    with FaultyProxy(server.url, decide) as proxy:
        result = worker().install(*WORDS, **{**shared, "PIP_ACCEL_S3_URL": proxy.url})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "is off for this run" in line
    assert not [name for name in objects() if name.startswith("plans/")]  # what it names is not there


def test_a_server_that_is_not_there_costs_one_line(worker, shared, builds):
    result = worker().install(*WORDS, **{**shared, "PIP_ACCEL_S3_URL": "http://127.0.0.1:9"})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "is off for this run" in line


@pytest.mark.parametrize("create", [True, False])
def test_a_bucket_that_does_not_exist_is_made_if_that_is_wanted(create, worker, shared, builds, server, prefix):
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


def test_who_may_only_read_reads(worker, filled, builds, server, objects):
    before = objects()
    reader = {**filled, **variables(server.url, READER)}
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


def test_who_may_nothing_installs_all_the_same(worker, filled, builds, server):
    result = worker().install(*WORDS, **{**filled, **variables(server.url, NOBODY)})
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "denies" in line or "is off for this run" in line


def test_wrong_credentials_cost_one_line(worker, shared, builds, server):
    wrong = {**shared, **variables(server.url, OWNER._replace(secret="wrong"))}
    result = worker().install(*WORDS, **wrong)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "SignatureDoesNotMatch" in line


def test_without_credentials_what_everybody_may_read_is_read(worker, builds, tmp_path):
    with seaweed_server(tmp_path / "open", anonymous=True) as server:
        worker().install(*WORDS, **SOON, **server.variables())
        result = worker().install(*WORDS, **SOON, **server.variables(None))
    assert result.requests == []
    assert result.installed == EVERYTHING
    assert lines(result) == []


def test_a_service_that_ignores_conditional_writes_does_as_well(worker, builds, tmp_path):
    with rclone_server(tmp_path / "rclone") as server:
        options = {**SOON, **server.variables()}
        assert lines(worker().install(*WORDS, **options)) == []
        before = server.objects()
        result = worker().install(*WORDS, **options)
        assert server.objects() == before
    assert result.requests == []
    assert result.installed == EVERYTHING
    assert lines(result) == []
    assert builds() == 1


@pytest.mark.parametrize("serve", [seaweed_server, rclone_server])
def test_large_objects_go_in_parts(serve, tmp_path, monkeypatch):
    from pip_accel.caches.s3 import S3CacheBackend
    from pip_accel.config import Config

    large = tmp_path / "large"
    large.write_bytes(os.urandom(1 << 20) * 40 + b"end")
    with serve(tmp_path / "served") as server, FaultyProxy(server.url) as proxy:
        for name, value in variables(proxy.url).items():
            monkeypatch.setenv(name, value)
        config = Config(load_configuration_files=False)
        config.data_directory = str(tmp_path / "data")
        backend = S3CacheBackend(config)
        with open(large, "rb") as stream:
            backend.put("archives/large", stream)
        assert backend.has("archives/large")
        assert not backend.has("archives/other")
        path = backend.get("archives/large")
        parts = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    assert len(parts) == 3
    assert path is not None and Path(path).read_bytes() == large.read_bytes()


def test_what_is_put_stays_open_and_is_there_as_it_was(server, prefix, monkeypatch, tmp_path):
    from pip_accel.caches.s3 import S3CacheBackend
    from pip_accel.config import Config

    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    config = Config(load_configuration_files=False)
    config.data_directory, config.s3_cache_prefix = str(tmp_path / "data"), prefix
    path, name = tmp_path / "content", "v8/alpha/alpha.tar.gz"
    for content in (b"content", os.urandom(17 << 20)):  # whole, and in parts
        path.write_bytes(content)
        with open(path, "rb") as stream:
            backend = S3CacheBackend(config)
            backend.reject(name)
            backend.put(name, stream)
            assert not stream.closed
        assert Path(backend.get(name)).read_bytes() == content
    assert f"{prefix}/{name}" in server.objects()


# Several workers


def test_pythons_share_a_bucket_and_nothing_else(worker, filled, builds, fresh):
    others = {version: path for version, path in find_interpreters().items() if not is_this_python(version)}
    if not others:
        pytest.skip("there is no other Python")
    python = next(iter(others.values()))
    first = worker().install(*WORDS, into=fresh(python), **filled)
    assert first.requests
    assert builds() == 1
    second = worker().install(*WORDS, into=fresh(python), **filled)
    assert second.requests == []
    assert builds() == 1
    assert worker().install(*WORDS, **filled).requests == []
    assert first.installed == second.installed == EVERYTHING


def test_ten_workers_at_once_on_one_empty_bucket(bench, shared, builds, objects, fresh, tmp_path):
    environments = [fresh() for _ in range(10)]
    runs = [
        start(
            ["install", *WORDS],
            environment,
            str(tmp_path / f"disk-of-{number}"),
            **shared,
            PIP_INDEX_URL=bench.index.url,
        )
        for number, environment in enumerate(environments)
    ]
    ended = [finish(run) for run in runs]
    assert [status for status, _, _ in ended] == [0] * 10, ended
    assert [installed(environment) for environment in environments] == [EVERYTHING] * 10
    kinds = [name.split("/")[0] for name in objects()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"archives": 3, "byte-code": 3, "plans": 1, "v8": 1}
    said = [line for _, _, stderr in ended for line in LINE.findall(stderr) if not line.startswith("Installed ")]
    assert said == []


# pip-accel cache push, and pull


def test_what_is_pushed_can_be_pulled(worker, shared, builds, bench, fresh, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("alpha\ngamma==2.0\n")
    words = ["-r", str(requirements)]
    options = {**shared, "PIP_INDEX_URL": bench.index.url}
    environment, here, there = fresh(), str(tmp_path / "here"), str(tmp_path / "there")
    answer = run_pip_accel(["cache", "push", *words], environment, here, **options)
    assert answer.stdout == "Pushed 3 distributions: 4 files are in the shared cache\n"
    assert installed(environment) == {}

    bench.index.reset()
    answer = run_pip_accel(["cache", "pull", *words], environment, there, **options)
    assert answer.stdout == "Pulled 3 distributions\n"
    assert bench.index.requests == []
    bench.data = there
    result = bench.install(*words, PIP_ACCEL_OFFLINE="yes")
    assert result.installed == EVERYTHING
    assert result.requests == []
    assert builds() == 1


def test_a_machine_that_has_everything_pushes_it(worker, shared, builds, bench, fresh):
    machine = worker()
    environment = machine.install(*WORDS).environment
    options = {**shared, "PIP_INDEX_URL": bench.index.url}
    bench.index.reset()
    run_pip_accel(["cache", "push", *WORDS], environment, machine.data, **options)  # where it is installed already
    assert bench.index.requests == []
    assert worker().install(*WORDS, **shared).requests == []
    assert builds() == 1


def test_what_cannot_be_pushed_or_pulled_is_said_in_one_sentence(shared, builds, bench, fresh, archives, data):
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
    assert "or -q keeps pip from saying" in said("push", "-q", "alpha")
    assert "There is no shared cache to push to" in said("push", "alpha", PIP_ACCEL_S3_BUCKET="")
    assert "is only read from here" in said("push", "alpha", PIP_ACCEL_S3_READONLY="yes")
    assert "offline = yes" in said("pull", "alpha", PIP_ACCEL_OFFLINE="yes")
    assert "No matching distribution found for nothing" in said("push", "nothing")
    assert "does not take what it is given" in said("push", "alpha", AWS_SECRET_ACCESS_KEY="wrong")


def test_what_a_machine_pushed_is_whole(worker, filled, builds, server, objects, prefix, tmp_path):
    (name,) = [name for name in objects() if name.startswith("v8/")]
    path = tmp_path / "built.tar.gz"
    server.client().download_file(filled["PIP_ACCEL_S3_BUCKET"], f"{prefix}/{name}", str(path))
    assert is_whole(str(path))


# Third parties


@pytest.fixture(scope="module")
def example(setuptools, tmp_path_factory):
    """Path of a directory that the example of a backend is installed in, by pip."""
    place = tmp_path_factory.mktemp("example")
    source = place / "source"  # builds leave something beside it
    shutil.copytree(Path(CHECKOUT, "examples", "directory-cache"), source)
    words = ["install", "--quiet", "--no-deps", "--target", str(place / "site"), str(source)]
    environ = clean_environ(PIP_NO_INDEX="1", PIP_FIND_LINKS=os.path.dirname(setuptools))
    subprocess.run([*PIP, *words], check=True, env=environ)
    return str(place / "site")


def test_a_backend_of_a_third_party_shares_all_of_it(worker, example, builds, tmp_path):
    options = {"DIRECTORY_CACHE": str(tmp_path / "mount"), "PYTHONPATH": example}
    assert worker().install(*WORDS, **options).installed == EVERYTHING
    kinds = sorted(path.name for path in (tmp_path / "mount").iterdir())
    assert kinds == ["archives", "byte-code", "plans", "v8"]

    other = worker()
    second = other.install(*WORDS, **options)
    assert second.installed == EVERYTHING
    assert second.requests == []
    assert lines(second) == []
    assert "from a shared cache" in second.run.summary
    assert builds() == 1

    shutil.rmtree(tmp_path / "mount")
    assert other.install(*WORDS).requests == []
    assert builds() == 1


def test_a_backend_of_a_third_party_that_is_not_set_up_is_not_spoken_of(worker, example, builds):
    result = worker().install(*WORDS, PYTHONPATH=example)
    assert result.installed == EVERYTHING
    assert lines(result) == []


def test_a_backend_of_a_third_party_that_fails_costs_one_line(worker, example, builds, tmp_path):
    (tmp_path / "mount").write_text("not a directory")
    result = worker().install(*WORDS, DIRECTORY_CACHE=str(tmp_path / "mount"), PYTHONPATH=example)
    assert result.installed == EVERYTHING
    (line,) = lines(result)
    assert "is off for this run" in line


# What it was linked with

_LIBRARY = "libpipacceltest.so.7"


@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    """An extension that is linked with a library, and the directory of that."""
    place = tmp_path_factory.mktemp("linked")
    (place / "library").mkdir()
    (place / "library.c").write_text("int answer(void) { return 42; }\n")
    (place / "module.c").write_text("int answer(void); int ask(void) { return answer(); }\n")
    library = str(place / "library" / _LIBRARY)
    for words in (
        ["-o", library, f"-Wl,-soname,{_LIBRARY}", str(place / "library.c")],
        ["-o", str(place / "module.so"), str(place / "module.c"), library],
    ):
        subprocess.run(["cc", "-shared", "-fPIC", *words], check=True)
    return (place / "module.so").read_bytes(), str(place / "library")


@pytest.mark.skipif(sys.platform != "linux", reason="about ELF")
def test_what_was_linked_with_a_library_that_is_not_here_is_built_here(worker, shared, own_index, linked, tmp_path):
    module, library = linked
    counter = tmp_path / "count.txt"
    files = {"delta.py": "", "_delta.so": module}
    own_index.add(make_sdist(str(tmp_path), "delta", "1.0", files=files, tag="cp311-abi3-linux", counter=str(counter)))
    with_library = {**shared, "LD_LIBRARY_PATH": library}
    worker().install("delta", **with_library)
    same = worker().install("delta", **with_library)
    assert lines(same) == []
    assert counter.read_text().split().count("build_wheel") == 1

    machine = worker()
    other = machine.install("delta", **shared)
    assert other.installed == {"delta": "1.0"}
    (line,) = lines(other)
    assert f"delta 1 was built on another machine, where it was linked with {_LIBRARY}, which is not here" in line
    assert counter.read_text().split().count("build_wheel") == 2
    assert lines(machine.install("delta", **shared)) == []
    assert counter.read_text().split().count("build_wheel") == 2
    assert lines(worker().install("delta", **with_library)) == []  # what the others can use is still there
    assert counter.read_text().split().count("build_wheel") == 2
