"""The service that answers build backends, asked by what stands in their place in the processes of pip."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from pip_accel._build import service
from pip_accel._build.service import MetadataService
from pip_accel.exceptions import BuildFailed

SHIM = os.path.join(os.path.dirname(service.__file__), "shim")


@pytest.fixture
def serve(tmp_path):
    """Starts a service with this answer."""
    started = []

    def start(answer):
        started.append(MetadataService(str(tmp_path / f"s{len(started)}"), answer))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def backend():
    """The build backend that pip gets in place of a real one."""
    spec = importlib.util.spec_from_file_location("pip_accel_backend", os.path.join(SHIM, "pip_accel_backend.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ask(backend, monkeypatch, tmp_path):
    """Ask a service for the metadata of a source tree, as in a process of pip."""
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.chdir(source)

    def ask(of, number="1", directory="info", kind=""):
        for name, value in of.variables(number, {}).items():
            monkeypatch.setenv(name, value)
        hook = f"prepare_metadata_for_build_{kind or 'wheel'}"
        return getattr(backend, hook)(directory, {"ignored": "setting"})

    return ask


def connect(to):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    try:
        connection.connect(to.path)
    except OSError:
        connection.close()
        raise
    return connection


def say(to, line):
    """Send a line; give the answer, empty if there is none."""
    with connect(to) as connection, connection.makefile("rwb") as stream:
        stream.write(line)
        stream.flush()
        return stream.readline()


# Questions and answers


def test_a_backend_gets_the_name_of_what_was_prepared(serve, ask, tmp_path):
    asked = []

    def answer(*question):
        asked.append(question)
        return "alpha-1.0.dist-info"

    assert ask(serve(answer), number="7", directory="some where") == "alpha-1.0.dist-info"
    assert asked == [("7", str(tmp_path / "source"), str(tmp_path / "source" / "some where"), "")]


def test_it_is_told_that_the_metadata_is_that_of_an_editable(serve, ask, tmp_path):
    asked = []
    of = serve(lambda *question: asked.append(question) or "alpha-1.0.dist-info")
    assert ask(of, kind="editable") == "alpha-1.0.dist-info"
    assert asked == [("1", str(tmp_path / "source"), str(tmp_path / "source" / "info"), "editable")]


def test_a_failure_ends_the_process_that_asked_with_its_message(serve, ask):
    def answer(*question):
        raise BuildFailed("{label} could not be built: {output}", label="alpha", output="one\ntwo")

    with pytest.raises(SystemExit, match="alpha could not be built: one\ntwo"):
        ask(serve(answer))


def test_an_error_of_ours_is_told_as_such(serve, ask):
    def answer(*question):
        raise ValueError("what is this")

    with pytest.raises(SystemExit, match=r"pip-accel itself failed \(ValueError: what is this\)"):
        ask(serve(answer))


def test_where_nobody_answers_any_more_the_process_ends(backend, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        hangs_up = threading.Thread(target=lambda: listening.accept()[0].close())
        hangs_up.start()
        monkeypatch.setenv("PIP_ACCEL_PREPARE", json.dumps({"socket": str(tmp_path / "s"), "pass": "1"}))
        with pytest.raises((SystemExit, OSError), match=r"pip-accel has ended|Broken pipe|Connection reset"):
            backend.prepare_metadata_for_build_wheel("info")
        hangs_up.join(10)


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_the_backend_never_builds(backend, kind):
    with pytest.raises(NotImplementedError):
        getattr(backend, f"build_{kind}")("directory")


def test_questions_are_answered_at_the_same_time(serve):
    """One may have to wait for what another one asks for."""
    together = threading.Barrier(3, timeout=10)
    answered = []

    def answer(number, source, directory, kind):
        together.wait()
        return f"{number}.dist-info"

    of = serve(answer)

    def client(number):
        question = {"pass": number, "source": "/s", "directory": "/d", "kind": ""}
        answered.append(json.loads(say(of, json.dumps(question).encode() + b"\n")))

    threads = [threading.Thread(target=client, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(each["name"] for each in answered) == ["0.dist-info", "1.dist-info", "2.dist-info"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(b"GET / HTTP/1.1\r\n", id="nonsense"),
        pytest.param(b"\xff\xfe\n", id="no text"),
        pytest.param(b"[]\n", id="no question"),
        pytest.param(b"{}\n", id="an empty question"),
        pytest.param(b'{"pass": "1", "source": "/s", "directory": "/d"}\n', id="a question of no kind"),
    ],
)
def test_what_is_no_question_does_not_stop_it(serve, ask, line):
    of = serve(lambda *question: "alpha-1.0.dist-info")
    with connect(of) as connection:
        connection.sendall(line)
    assert ask(of) == "alpha-1.0.dist-info"


def test_who_asks_and_goes_away_does_not_stop_it(serve, ask):
    gone, over = threading.Event(), threading.Event()

    def answer(number, source, directory, kind):
        if number == "gone":
            gone.wait(10)
            over.set()
        return "alpha-1.0.dist-info"

    of = serve(answer)
    with connect(of) as connection:
        connection.sendall(b'{"pass": "gone", "source": "/s", "directory": "/d", "kind": ""}\n')
    gone.set()
    assert over.wait(10)
    assert ask(of) == "alpha-1.0.dist-info"


# Open and closed


def test_only_its_owner_may_ask(serve):
    of = serve(lambda *question: "")
    assert stat.S_IMODE(os.stat(of.path).st_mode) == 0o600


def test_when_it_is_closed_it_does_not_listen(tmp_path):
    before = threading.active_count()
    of = MetadataService(str(tmp_path / "s"), lambda *question: "")
    of.close()
    with pytest.raises(OSError):
        connect(of)
    assert threading.active_count() == before


def test_when_it_is_closed_no_answer_is_worked_on(tmp_path):
    """What an answer writes would come back after it was removed."""
    begun, over = threading.Event(), []

    def answer(*question):
        begun.set()
        time.sleep(0.2)
        over.append(True)
        return ""

    of = MetadataService(str(tmp_path / "s"), answer)
    with connect(of) as connection:
        connection.sendall(b'{"pass": "1", "source": "/s", "directory": "/d", "kind": ""}\n')
        assert begun.wait(10)
        of.close()
        assert over == [True]


# The processes of pip


def test_the_environment_is_pips_own_and_names_the_service(serve):
    of = serve(lambda *question: "")
    variables = of.variables("3", {"PATH": "/bin", "PIP_ACCEL_PREPARE": "of another run"})
    assert variables.pop("PIP_ACCEL_PREPARE") == json.dumps({"socket": of.path, "pass": "3"})
    assert variables == {"PATH": "/bin", "PYTHONPATH": SHIM}
    assert of.variables("3", {"PYTHONPATH": "/mine"})["PYTHONPATH"] == SHIM + os.pathsep + "/mine"


#: What a process of pip finds once ``sitecustomize`` has run.
FIND = """\
import json, os, sys
found = {name: value for name, value in os.environ.items() if name.startswith("_PYPROJECT_HOOKS_")}
ours = [place for place, each in enumerate(sys.path) if os.path.basename(each) == "shim"]
print(json.dumps([found, ours, sys.modules["sitecustomize"].__file__ if "sitecustomize" in sys.modules else "",
                  os.environ.get("CUSTOMISED", "")]))
"""


def find(*, paths=(SHIM,), **variables):
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), **variables}
    done = subprocess.run([sys.executable, "-c", FIND], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_in_a_process_that_calls_a_backend_ours_takes_its_place():
    asks = {"_PYPROJECT_HOOKS_BUILD_BACKEND": "flit_core.buildapi", "_PYPROJECT_HOOKS_BACKEND_PATH": "/backend"}
    variables, ours, _, _ = find(**asks, PIP_ACCEL_PREPARE="{}")
    assert variables == {"_PYPROJECT_HOOKS_BUILD_BACKEND": "pip_accel_backend"}
    assert ours == [1]  # behind the directory of the program


@pytest.mark.parametrize(
    "asks",
    [
        pytest.param({"PIP_ACCEL_PREPARE": "{}"}, id="pip itself"),
        pytest.param({"_PYPROJECT_HOOKS_BUILD_BACKEND": "flit_core.buildapi"}, id="somebody else's build"),
    ],
)
def test_any_other_process_is_as_it_would_be(asks):
    variables, ours, _, _ = find(**asks)
    assert variables == {name: value for name, value in asks.items() if name.startswith("_PYPROJECT")}
    assert ours == []


@pytest.mark.parametrize("backend", ["", "flit_core.buildapi"])
def test_the_users_own_customisation_runs_all_the_same(tmp_path, backend):
    (tmp_path / "sitecustomize.py").write_text("import os\nos.environ['CUSTOMISED'] = 'yes'\n")
    asks = {"_PYPROJECT_HOOKS_BUILD_BACKEND": backend} if backend else {}
    variables, _, module, customised = find(paths=(SHIM, str(tmp_path)), **asks, PIP_ACCEL_PREPARE="{}")
    assert (module, customised) == (str(tmp_path / "sitecustomize.py"), "yes")
    assert variables == ({"_PYPROJECT_HOOKS_BUILD_BACKEND": "pip_accel_backend"} if backend else {})


def test_a_customisation_that_fails_takes_nothing_from_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('mine')\n")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((SHIM, str(tmp_path)))}
    environ |= {"_PYPROJECT_HOOKS_BUILD_BACKEND": "flit_core.buildapi", "PIP_ACCEL_PREPARE": "{}"}
    command = [sys.executable, "-c", "import pip_accel_backend"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ValueError: mine" in done.stderr
