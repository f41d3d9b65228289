"""What goes wrong is said in one clear sentence, with pip's status, and leaves the environment as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import clean_environ, make_environment, setuptools_wheel
from tests.lib.index import IndexServer
from tests.lib.runs import CHECKOUT, PIP, PIP_ACCEL, installed, run_pip, run_pip_accel
from tests.lib.trees import snapshot

#: A line of pip-accel's own on standard error: its level and what it says.
OWN_LINE = re.compile(r"^\d{4}-\d\d-\d\d \S+ \S+ pip_accel\[\d+\] ([A-Z]+) (.*)$", re.MULTILINE)
#: Metadata that does not bind a build, so that the build backend is asked for it.
OLD_METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"
#: Another user, who can read as much as root so that the interpreter and the checkout may lie anywhere.
NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
NUMBER_ONLY = tuple(word.replace("65534", "54321") for word in NOBODY)


def can_be_root():
    """Whether mounts in a namespace of one's own, and other users, are to be had."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    mount = "mount -t tmpfs none /mnt"
    return not any(
        subprocess.run(command, capture_output=True).returncode
        for command in (["unshare", "--mount", "sh", "-c", mount], [*NOBODY, sys.executable, "-c", ""])
    )


needs_root = [pytest.mark.root, pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")]


def own_lines(stderr, *levels):
    return [text for level, text in OWN_LINE.findall(stderr) if level in levels]


def words_of(stderr, *secrets):
    """Standard error without what two runs cannot have in common."""
    for secret in secrets:
        stderr = stderr.replace(secret, "")
    stderr = re.sub(r"located at \S+/", "located at ", OWN_LINE.sub("", stderr))
    return " ".join(stderr.split())  # pip folds its lines, wherever the length of a path makes it


def cut(path):
    """Take the second half away from a file."""
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) // 2)
    return path


def fill(path):
    """Write a file as large as its disk allows."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(handle, bytes(4096))
    os.close(handle)


class Place:
    """An environment, a data directory and a directory for temporary files, watched for what a run leaves in them."""

    def __init__(self, directory, url):
        self.directory = str(directory)
        self.data = os.path.join(self.directory, "data")
        self.temporary = os.path.join(self.directory, "tmp")
        self.pip_cache = os.path.join(self.directory, "pip-cache")
        self.home = os.path.join(self.directory, "home")
        for each in (self.temporary, self.pip_cache, self.home):
            os.mkdir(each)
        self.environment = make_environment(os.path.join(self.directory, "env"))
        self.prefix = self.environment.prefix
        self.url = url

    @property
    def variables(self):
        places = {"TMPDIR": self.temporary, "PIP_CACHE_DIR": self.pip_cache, "HOME": self.home}
        return {"PIP_INDEX_URL": self.url, "PIP_ACCEL_MAX_RETRIES": "1", **places}

    def give_to(self, user):
        """Make another user the owner of all but the data directory."""
        for top in (self.prefix, self.temporary, self.pip_cache, self.home):
            for directory, _, names in os.walk(top):
                for name in ("", *names):
                    os.chown(os.path.join(directory, name), user, user, follow_symlinks=False)

    def run(self, *words, **options):
        run = run_pip_accel(words, self.environment, self.data, **{**self.variables, **options})
        assert "Traceback" not in run.stdout + run.stderr, run.stderr
        assert os.listdir(self.temporary) == []
        assert not os.path.isdir(os.path.join(self.data, "tmp")) or os.listdir(os.path.join(self.data, "tmp")) == []
        return run

    def fail(self, *words, status=1, **options):
        """Run what has to fail; the environment has to be what it was."""
        before = snapshot(self.prefix)
        run = self.run(*words, status=status, **options)
        assert snapshot(self.prefix) == before
        return run


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("archives"))
    make_wheel(directory, "alpha", "0.5")
    make_wheel(directory, "alpha", "1.0", requires=["beta"])
    make_wheel(directory, "beta", "1.0", files={"beta.py": "", "beta.bin": os.urandom(200_000)})
    make_wheel(directory, "beta", "2.0", files={"beta.py": "", "beta.bin": os.urandom(200_000)})
    make_wheel(directory, "gamma", "1.0", requires=["beta<2"])
    for hook in ("get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "build_wheel"):
        name = f"fails-in-{hook.split('_')[0]}"
        make_sdist(directory, name, "1.0", fail=hook, extra_files={"PKG-INFO": OLD_METADATA.format(name)})
    make_sdist(directory, "static", "1.0", fail=True)
    make_sdist(directory, "needs-it-built", "1.0", build_requires=["fails-in-prepare"])
    make_sdist(directory, "needs-nothing-there", "1.0", build_requires=["absent-tool"])
    make_sdist(
        directory, "needs-nothing-there-soon", "1.0", build_requires=["absent-tool"],
        extra_files={"PKG-INFO": OLD_METADATA.format("needs-nothing-there-soon")},
    )  # fmt: skip
    cut(make_wheel(directory, "cutwheel", "1.0", files={"cutwheel.py": os.urandom(5000)}))
    cut(make_sdist(directory, "cutsdist", "1.0", files={"cutsdist.py": os.urandom(5000)}))
    return directory


@pytest.fixture(scope="module")
def server(archives, tmp_path_factory):
    with IndexServer(archives) as server:
        server.add(make_wheel(str(tmp_path_factory.mktemp("more")), "tampered", "1.0"), sha256="0" * 64)
        yield server


@pytest.fixture
def place(tmp_path, server, archives):
    """An environment with an old version in it."""
    place = Place(tmp_path, server.url)
    with zipfile.ZipFile(os.path.join(archives, "alpha-0.5-py3-none-any.whl")) as wheel:
        wheel.extractall(place.environment.site_packages)  # as pip does for one as plain as this
    return place


@pytest.fixture
def empty(tmp_path, server):
    """An environment with nothing in it."""
    return Place(tmp_path, server.url)


@pytest.fixture
def reachable(server):
    """As ``empty``, where other users may go too: the directories of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Place(directory, server.url)


@pytest.fixture
def requirements(tmp_path):
    def write(text):
        path = tmp_path / "requirements.txt"
        path.write_text(text)
        return str(path)

    return write


# What pip refuses


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["alpha", "absent"], "No matching distribution found for absent", id="nothing-there"),
        pytest.param(["beta==3"], "(from versions: 1.0, 2.0)", id="no-such-version"),
        pytest.param(["alpha", "beta==2.0", "gamma"], "ERROR: ResolutionImpossible", id="conflict"),
        pytest.param(["-r", "{}/missing.txt"], "Could not open requirements file", id="missing-file"),
        pytest.param(["-r", "{}/syntax.txt"], "(from line 2 of ", id="syntax-error"),
        pytest.param(["-r", "{}/option.txt"], "no such option: --nonsense", id="unknown-option-in-file"),
        pytest.param(["alpha", "beta =="], "ERROR: Invalid requirement", id="syntax-error-in-words"),
        pytest.param(["alpha", "{}/absent-1.0-py3-none-any.whl"], "No such file or directory", id="absent-path"),
        pytest.param(["alpha", "{archives}/cutwheel-1.0-py3-none-any.whl"], "is invalid", id="truncated-wheel"),
        pytest.param(["alpha", "cutwheel"], "is invalid", id="truncated-wheel-on-the-index"),
        pytest.param(["alpha", "tampered"], "DO NOT MATCH THE HASHES", id="wrong-hash-on-the-index"),
        pytest.param(["-r", "{}/hashes.txt"], "DO NOT MATCH THE HASHES", id="wrong-hash-in-a-file"),
        pytest.param(["alpha", "--nonsense"], "no such option: --nonsense", id="unknown-option"),
        pytest.param([], "You must give at least one requirement", id="no-requirement"),
        pytest.param(["-c", "{}/limits.txt"], "You must give at least one requirement", id="constraints-only"),
    ],
)
def test_what_pip_refuses_is_refused_in_its_words(place, tmp_path, archives, words, says):
    (tmp_path / "syntax.txt").write_text("alpha\nbeta ==\n")
    (tmp_path / "option.txt").write_text("alpha\n--nonsense\n")
    (tmp_path / "limits.txt").write_text("alpha<1\n")
    (tmp_path / "hashes.txt").write_text(f"beta==1.0 --hash=sha256:{'0' * 64}\n")
    words = ["install", *(word.replace("{}", str(tmp_path)).replace("{archives}", archives) for word in words)]
    before = snapshot(place.prefix)
    with ThreadPoolExecutor() as pool:
        pip = pool.submit(run_pip, words, place.environment, status=None, PIP_INDEX_URL=place.url)
        run = place.run(*words, status=None)
    expected = pip.result()
    assert (run.status, words_of(run.stderr)) == (expected.status, words_of(expected.stderr))
    assert run.status in (1, 2) and says in " ".join(run.stderr.split())
    if "The conflict is caused by" in expected.stdout:
        start = expected.stdout.index("The conflict is caused by")
        explanation = expected.stdout[start:].split()
        assert run.stdout.split()[-len(explanation) :] == explanation
    assert snapshot(place.prefix) == before


def test_a_failure_with_a_warm_index_is_the_same(place):
    place.run("install", "alpha", "beta==1.0")
    run = place.fail("install", "alpha", "beta==1.5")
    assert run.stderr.count("No matching distribution found for beta==1.5") == 1
    run = place.fail("install", "--upgrade", "beta==2.0", "gamma")
    assert run.stderr.count("ResolutionImpossible") == 1


def test_an_empty_requirement_file_installs_nothing(place, requirements):
    before = snapshot(place.prefix)
    path = requirements("# nothing\n")
    run = place.run("install", "-r", path)
    assert (run.stdout, own_lines(run.stderr, "WARNING", "ERROR")) == ("", [])
    assert run.stderr == run_pip(["install", "-r", path], place.environment).stderr
    assert snapshot(place.prefix) == before


@pytest.mark.parametrize("python", ["{}/no/python", "{}"])
def test_a_python_that_does_not_exist(place, tmp_path, python):
    python = python.format(tmp_path)
    expected = run_pip(["install", "beta"], python, status=1)
    run = run_pip_accel(["install", "beta"], python, place.data, status=1, **place.variables)
    assert run.stderr == expected.stderr == f"ERROR: Could not locate Python interpreter {python}\n"


def test_another_active_environment(place):
    before = snapshot(place.prefix)
    environ = clean_environ(**place.variables, PIP_ACCEL_CACHE=place.data, VIRTUAL_ENV=place.prefix)
    command = [*PIP_ACCEL, "install", "absent"]
    run = subprocess.run(command, env=environ, cwd=CHECKOUT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"ERROR: The active virtual environment is {place.prefix} (the value of $VIRTUAL_ENV)")
    assert sys.prefix in run.stderr and f"pip-accel --python {place.prefix} install" in run.stderr
    assert run.stderr.count("\n") == 1 and snapshot(place.prefix) == before


def test_an_externally_managed_environment(tmp_path, server):
    code = "import os, sysconfig; print(os.path.join(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED'))"
    system = "/usr/bin/python3"
    done = subprocess.run([system, "-c", code], capture_output=True, text=True) if os.path.exists(system) else None
    if done is None or not os.path.exists(done.stdout.strip()):
        pytest.skip("there is no Python here that another tool manages")
    words = ["install", "absent"]  # should it not be refused, there is still nothing to install
    expected = run_pip(words, system, status=None, PIP_INDEX_URL=server.url)
    run = run_pip_accel(words, system, str(tmp_path / "data"), status=None, PIP_INDEX_URL=server.url)
    assert (run.status, run.stderr) == (expected.status, expected.stderr)
    assert "externally-managed-environment" in run.stderr or run.status != 1


# Builds


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("static", "fatal error: ffi.h"),
        ("fails-in-build", "fatal error: ffi.h"),
        ("fails-in-prepare", "fatal error: ffi.h"),
        ("fails-in-get", "fatal error: ffi.h"),
        ("needs-it-built", "fatal error: ffi.h"),
        ("needs-nothing-there", "No matching distribution found for absent-tool"),
        ("needs-nothing-there-soon", "No matching distribution found for absent-tool"),
    ],
)
def test_a_build_that_fails_shows_what_it_said(place, name, said):
    run = place.fail("install", "alpha==1.0", name)  # an older one is there, and stays
    assert run.stderr.count(said) == 1
    assert len(re.findall(r"^ERROR: .* could not be built: ", run.stderr, re.MULTILINE)) <= 1
    if not name.startswith("needs"):
        assert re.match(rf"ERROR: {name}( 1\.0|-1\.0)? could not be built: ", run.stderr)
    assert "pip-accel" not in run.stdout and "Installing" not in run.stdout


@pytest.mark.index
@pytest.mark.parametrize("backend", ["setup.py", "setuptools"])
def test_a_setup_script_that_fails_shows_what_it_said(place, tmp_path, backend):
    wheels = os.path.dirname(setuptools_wheel())
    sdists = str(tmp_path / "sdists")
    make_sdist(sdists, "legacy", "1.0", backend=backend, fail=True)
    run = place.fail("install", "beta", "legacy", PIP_FIND_LINKS=f"{sdists} {wheels}")
    assert run.stderr.count("fatal error: ffi.h") == 1
    assert re.match(r"ERROR: legacy( 1\.0|-1\.0)? could not be built: ", run.stderr)


@pytest.mark.parametrize("way", ["path", "file", "index"])
def test_a_truncated_sdist(place, archives, requirements, way):
    path = os.path.join(archives, "cutsdist-1.0.tar.gz")
    words = {"path": [path], "file": ["-r", requirements(f"beta\n{path}\n")], "index": ["cutsdist"]}[way]
    run = place.fail("install", *words, status=2)  # pip's, which shows a traceback
    assert re.fullmatch(r"ERROR: .*cutsdist.*\n", run.stderr)


# The data directory


def unusable_file(place):
    with open(place.data, "w"):
        pass


def writable_by_others(place):
    os.mkdir(place.data)
    os.chmod(place.data, 0o777)


def not_writable(place):
    os.mkdir(place.data)
    os.chmod(place.data, 0o500)


def another_users(place):
    os.mkdir(place.data)
    os.chown(place.data, 65534, 65534)


def below_a_file(place):
    with open(place.data, "w"):
        pass
    place.data = os.path.join(place.data, "below")


def dangling(place):
    os.symlink(os.path.join(place.directory, "nowhere"), place.data)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unusable_file, "exists"),
        (writable_by_others, "others may write to it"),
        (below_a_file, "not a directory"),
        (dangling, "exists"),
        pytest.param(
            not_writable, "ermission denied", marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write")
        ),
        pytest.param(another_users, "it belongs to another user", marks=needs_root),
    ],
)
def test_a_data_directory_that_cannot_be_used_costs_one_warning(empty, spoil, reason):
    spoil(empty)
    run = empty.run("install", "gamma", lends=False)
    check_that_pip_did_it(empty, run, reason)


def check_that_pip_did_it(place, run, reason):
    assert installed(place.environment) == {"beta": "1.0", "gamma": "1.0"}
    assert "Successfully installed beta-1.0 gamma-1.0" in run.stdout
    [warning] = own_lines(run.stderr, "WARNING", "ERROR")
    assert reason in warning and place.data in warning and "pip does this run alone" in warning
    assert "ERROR" not in run.stderr and "\nWARNING:" not in run.stderr


def read_only_mount(place):
    os.mkdir(place.data)
    place.give_to = lambda user: None  # root it is
    script = 'mount -t tmpfs -o ro,mode=755 none "$0" && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, place.data)


def not_writable_for_nobody(place):
    os.mkdir(place.data)
    os.chmod(place.data, 0o500)
    os.chown(place.data, 65534, 65534)
    return NOBODY


def below_a_directory_of_root(place):
    place.data = os.path.join(place.directory, "root", "data")
    os.mkdir(os.path.dirname(place.data))
    return NOBODY


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (read_only_mount, "read-only file system"),
        (not_writable_for_nobody, "permission denied"),
        (below_a_directory_of_root, "permission denied"),
    ],
)
@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_a_data_directory_that_may_not_be_written_to_costs_one_warning(reachable, spoil, reason):
    before = spoil(reachable)
    reachable.give_to(65534)
    run = reachable.run("install", "gamma", before=before, lends=False)
    check_that_pip_did_it(reachable, run, reason)


@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_a_user_without_a_home_costs_one_warning(reachable):
    reachable.give_to(54321)
    before = (*NUMBER_ONLY, "env", "--unset=HOME", "--unset=PIP_ACCEL_CACHE")
    needed_by_pip = {f"XDG_{kind}_HOME": reachable.home for kind in ("CACHE", "CONFIG", "DATA")}
    run = reachable.run("install", "gamma", before=before, **needed_by_pip)
    assert installed(reachable.environment) == {"beta": "1.0", "gamma": "1.0"}
    [warning] = own_lines(run.stderr, "WARNING", "ERROR")
    assert "has no home directory" in warning and "$PIP_ACCEL_CACHE" in warning


@pytest.mark.parametrize("size", ["4k", "64k", "256k", "400k"])
@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_a_full_disk_for_the_data_directory_costs_one_warning(empty, size):
    os.mkdir(empty.data)
    script = f'mount -t tmpfs -o size={size},mode=755 none "$0" && "$@"; status=$?; ls "$0/tmp" >&2; exit $status'
    run = empty.run("install", "gamma", before=("unshare", "--mount", "sh", "-c", script, empty.data))
    assert installed(empty.environment) == {"beta": "1.0", "gamma": "1.0"}
    [warning] = own_lines(run.stderr, "WARNING", "ERROR")
    assert "pip does this run alone" in warning and empty.data in warning
    assert run.stdout.count("Successfully installed") == 1
    assert run.stderr.count("\n") == 1  # nothing is left in its tmp


# The environment


@pytest.fixture
def small_disk(empty):
    """A file system of 1 MB for the environment: the words that run a command with it, and its path seen from here."""
    shutil.rmtree(empty.prefix)
    os.mkdir(empty.prefix)
    script = f'mount -t tmpfs -o size=1m none "{empty.prefix}" && echo ready && exec cat'
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "ready\n"
        enter = ("nsenter", f"--target={holder.pid}", "--mount", f"--wd={CHECKOUT}")
        subprocess.run([*enter, sys.executable, "-m", "venv", "--without-pip", empty.prefix], check=True)
        yield enter, f"/proc/{holder.pid}/root{empty.prefix}"
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_a_full_disk_for_the_environment_leaves_it_as_it_was(empty, small_disk, tmp_path):
    enter, seen = small_disk
    archives = str(tmp_path / "archives")
    for version in ("1.0", "2.0"):
        make_wheel(archives, "small", version)
        files = {f"large/{number}.bin": os.urandom(50_000) for number in range(10 if version == "1.0" else 25)}
        make_wheel(archives, "large", version, files=files)
    with IndexServer(archives) as server:
        empty.url = server.url
        empty.run("install", "small==1.0", "large==1.0", before=enter)
        before = snapshot(seen)
        run = empty.run("install", "small==2.0", "large==2.0", before=enter, status=1)
        assert snapshot(seen) == before
        assert re.fullmatch(r"ERROR: .*No space left on device.*\n", run.stderr)
        assert "Successfully installed" not in run.stdout
        empty.run("install", "small==2.0", before=enter)
        fill(f"{seen}/full")
        before = snapshot(seen)
        run = empty.run("install", "small==1.0", before=enter, status=1)
        assert snapshot(seen) == before
        assert re.fullmatch(r"ERROR: .*No space left on device.*\n", run.stderr)


@pytest.mark.root
@pytest.mark.skipif("not can_be_root()", reason="needs root, unshare and setpriv")
def test_an_environment_that_may_not_be_written_to_is_left_to_pip(reachable):
    before = snapshot(reachable.prefix)
    reachable.give_to(65534)
    for directory, _, _ in os.walk(reachable.prefix):
        os.chown(directory, 0, 0)
    os.mkdir(reachable.data)
    os.chown(reachable.data, 65534, 65534)
    run = reachable.run("install", "gamma", before=NOBODY, status=1)
    assert run.stderr.count("ERROR:") == 1 and "Permission denied" in run.stderr
    assert snapshot(reachable.prefix) == before


# Settings


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[pip-accel\nfoo", r"Failed to load the configuration file {file}: .*"),
        ("[pip-accel]\nmax-retries = many\n", r".*{file}, line 2.*'many'.*"),
        ("[pip-accel]\nlog-verbosity = loud\n", r".*{file}, line 2.*'loud'.*"),
    ],
    ids=["syntax", "retries", "verbosity"],
)
def test_a_broken_configuration_file_is_named(place, tmp_path, content, says):
    path = tmp_path / "pip-accel.conf"
    path.write_text(content)
    variables = {name: value for name, value in place.variables.items() if name != "PIP_ACCEL_MAX_RETRIES"}
    before = snapshot(place.prefix)
    run = run_pip_accel(
        ["install", "beta"], place.environment, place.data, status=1, PIP_ACCEL_CONFIG=str(path), **variables
    )
    assert re.fullmatch("ERROR: " + says.replace("{file}", re.escape(str(path))) + "\n", run.stderr)
    assert snapshot(place.prefix) == before
    place.run("install", "beta", PIP_ACCEL_CONFIG=str(path), PIP_ACCEL_DISABLE="1")
    assert "beta" in installed(place.environment)


@pytest.mark.parametrize("content", ["[pip-accel]\nno-such-key = 1\n", None])
def test_a_setting_that_nobody_knows_costs_one_warning(empty, tmp_path, content):
    path = tmp_path / "pip-accel.conf"
    if content is not None:
        path.write_text(content)
    run = empty.run("install", "beta", PIP_ACCEL_CONFIG=str(path))
    [warning] = own_lines(run.stderr, "WARNING", "ERROR")
    assert str(path) in warning and ("no-such-key" in warning) == (content is not None)
    assert "beta" in installed(empty.environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PIP_ACCEL_DISABLE", "perhaps"), ("PIP_ACCEL_LOG_VERBOSITY", "loud"), ("PIP_ACCEL_MAX_RETRIES", "many"),
     ("PIP_ACCEL_LINK_MODE", "soft"), ("PIP_ACCEL_OFFLINE", "perhaps"), ("PIP_ACCEL_MAX_CACHE_SIZE", "large")],
)  # fmt: skip
def test_a_variable_that_cannot_be_understood_is_named(place, name, value):
    run = place.fail("install", "beta", **{name: value})
    assert re.fullmatch(rf"ERROR: \${name} cannot be '{value}'.*\n", run.stderr)


# Other commands


@pytest.mark.parametrize(
    "words", [["--version"], ["list"], ["freeze", "--all"], ["help", "install"], ["nosuchcommand"], ["show", "absent"]]
)
def test_other_commands_are_those_of_pip(place, words):
    expected = run_pip(words, place.environment, status=None)
    run = place.run(*words, status=None)
    assert (run.status, run.stdout, run.stderr) == (expected.status, expected.stdout, expected.stderr)


def test_no_words_show_the_usage():
    run = subprocess.run(PIP_ACCEL, env=clean_environ(), cwd=CHECKOUT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith("Usage: pip-accel")


@pytest.mark.parametrize("words", [[], ["--version"], ["help"], ["install", "--help"], ["install", "beta"]])
def test_a_reader_that_has_gone_away_gives_no_traceback(place, words):
    environ = clean_environ(**place.variables, PIP_ACCEL_CACHE=place.data)
    before = snapshot(place.prefix)
    words = [*(["--python", place.environment.python] if "beta" in words else []), *words]
    statuses, errors = [], []
    for program in (PIP_ACCEL, PIP):
        reader, writer = os.pipe()
        os.close(reader)
        command = [*program, *words]
        run = subprocess.run(command, env=environ, cwd=CHECKOUT, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        statuses.append(run.returncode)
        errors.append(run.stderr)
        if not words or "beta" in words:
            break  # pip is no model here: it may have installed it or not
    if words and "beta" not in words:  # pip's own complaint, as it came
        assert statuses[0] == statuses[1] and errors[0] == errors[1]
    else:
        assert "Traceback" not in errors[-1] and "Exception ignored" not in errors[-1]
        assert "data directory" not in errors[-1]
        assert snapshot(place.prefix) == before or statuses[-1] == 0


def test_an_error_of_our_own_leaves_the_run_to_pip(place, tmp_path):
    """A mistake in pip-accel is no reason for an installation to fail, as long as nothing has changed yet."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nif 'pip_accel' in sys.orig_argv:\n"
        "    import pip_accel._engine as engine\n    engine.Engine.trees = None\n"
    )
    command = [*PIP_ACCEL, "--python", place.environment.python, "install", "beta"]
    path = os.pathsep.join([str(broken), CHECKOUT])
    environ = clean_environ(**place.variables, PIP_ACCEL_CACHE=place.data, PYTHONPATH=path)
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip-accel itself failed (TypeError") == 1
    assert "Traceback" not in done.stderr
    assert "beta" in installed(place.environment)
