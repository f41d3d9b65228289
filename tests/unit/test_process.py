"""Other programs: what they said, and that none of them outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pip_accel import _process
from pip_accel._process import Completed, Ended, in_parallel, pass_through, read_lines, run

PYTHON = [sys.executable, "-I", "-S", "-c"]
#: Starts a program that starts another one; both would stay for a minute. The first line names their processes.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {child!r}], stdout=subprocess.DEVNULL)
with open({path!r} + ".new", "w") as stream:
    stream.write(f"{{os.getpid()}} {{child.pid}}")
os.rename({path!r} + ".new", {path!r})
time.sleep(60)
"""
PATIENT = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def is_alive(process):
    """Whether a process runs; one that nobody waited for yet does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def family(path, child=PATIENT):
    return [*PYTHON, FAMILY.format(child=child, path=str(path))]


def members(path):
    wait_for(path.exists)
    return [int(each) for each in path.read_text().split()]


def test_both_streams_are_given_apart():
    code = "import sys; print('ü out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run([sys.executable, "-c", code], env={"PYTHONUTF8": "1"}) == Completed(3, "ü out\n", "err\n")


def test_streams_can_be_merged_in_the_order_of_printing():
    code = "import os; os.write(1, b'1'); os.write(2, b'2'); os.write(1, b'3')"
    assert run([*PYTHON, code], merge=True) == Completed(0, "123", "")


def test_what_is_no_utf8_is_replaced():
    assert run([*PYTHON, "import os; os.write(1, b'\\xff')"]).output == "\ufffd"


def test_standard_input_is_closed_or_the_text():
    code = "import sys; print(repr(sys.stdin.read()))"
    assert run([*PYTHON, code]).output == "''\n"
    assert run([*PYTHON, code], text="a\nb").output == "'a\\nb'\n"


def test_directory_and_environment_are_those_given(tmp_path):
    code = "import os; print(os.getcwd(), os.environ.get('A'), os.environ.get('PATH'))"
    assert run([*PYTHON, code], cwd=str(tmp_path), env={"A": "b"}).output == f"{tmp_path} b None\n"


def test_a_signal_is_a_negative_status():
    assert run([*PYTHON, "import os; os.kill(os.getpid(), 9)"]).status == -9


def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        run(["/nonexistent/program"])
    assert not _process._all.running


def test_programs_run_in_a_group_of_their_own():
    code = "import os; print(os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid())"
    assert run([*PYTHON, code]).output == "True True\n"


@pytest.mark.parametrize("child", [PATIENT, STUBBORN], ids=["patient", "stubborn"])
def test_an_interruption_ends_the_whole_group(tmp_path, child):
    path = tmp_path / "family"
    code = f"from pip_accel._process import run; run({family(path, child)!r})"
    outer = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    processes = members(path)
    time.sleep(0.2 if child is STUBBORN else 0)  # until it ignores the signal
    outer.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in outer.communicate(timeout=20)[1]
    wait_for(lambda: not any(map(is_alive, processes)))


def test_a_program_that_is_spared_comes_to_its_end_however_often_we_are_interrupted(tmp_path):
    begun, done = tmp_path / "begun", tmp_path / "done"
    inner = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(1.5); print(3 * 'x' * 10**5)"
    inner += f"; pathlib.Path({str(done)!r}).touch()"
    code = f"from pip_accel._process import run; run({[*PYTHON, inner]!r}, spare=True)"
    outer = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    wait_for(begun.exists)
    for _ in range(3):
        outer.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert "KeyboardInterrupt" in outer.communicate(timeout=20)[1]
    assert done.exists()


def test_lines_of_a_program_are_read_one_after_the_other(tmp_path):
    code = "import itertools\nfor number in itertools.count(): print(number, flush=True)"
    lines = read_lines([*PYTHON, code], env={})
    assert [next(lines), next(lines)] == ["0", "1"]
    lines.close()  # the program is ended
    assert list(read_lines([*PYTHON, "print('a\\nb')"], env={})) == ["a", "b"]
    with pytest.raises(FileNotFoundError):
        list(read_lines(["/nonexistent/program"], env={}))


def test_results_come_in_the_order_of_the_items():
    assert in_parallel(lambda number: number * number, [3, 1, 2], 2) == [9, 1, 4]


@pytest.mark.parametrize("ignores", [False, True], ids=["that ends when told", "that has to be killed"])
def test_one_failure_ends_the_programs_of_the_others(tmp_path, monkeypatch, ignores):
    monkeypatch.setattr(_process, "_GRACE", 0.1 if ignores else 5.0)
    path = tmp_path / "ready"
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if ignores else ""
    code += FAMILY.format(child=STUBBORN if ignores else PATIENT, path=str(path))
    seen = []

    def work(fails):
        if fails:
            seen.extend(members(path))
            raise ValueError("the first")
        run([*PYTHON, code])

    with pytest.raises(ValueError, match="the first"):
        in_parallel(work, [False, True], 2)
    wait_for(lambda: not any(map(is_alive, seen)))
    assert not _process._all.running


def test_after_a_failure_nothing_is_started_any_more(tmp_path):
    path, second, caught = tmp_path / "ready", tmp_path / "second", []

    def work(fails):
        if fails:
            members(path)
            raise ValueError
        try:
            run(family(path))
        except Ended:
            try:
                run([*PYTHON, f"open({str(second)!r}, 'w')"])
            except Ended as error:
                caught.append(error)

    with pytest.raises(ValueError):
        in_parallel(work, [False, True], 2)
    assert caught
    assert not second.exists()
    assert run([*PYTHON, "print(1)"]).output == "1\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("pass", 0, id="success"),
        pytest.param("raise SystemExit(3)", 3, id="status"),
        pytest.param("import os; os.kill(os.getpid(), 15)", 143, id="SIGTERM"),
        pytest.param("import os; os.kill(os.getpid(), 9)", 137, id="SIGKILL"),
    ],
)
def test_the_status_is_that_of_a_shell(code, expected):
    assert pass_through([*PYTHON, code]) == expected


def test_streams_are_ours(capfd):
    assert pass_through([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]) == 0
    assert capfd.readouterr() == ("out\n", "err\n")


def test_the_environment_is_the_one_given(capfd):
    pass_through([*PYTHON, "import os; print(os.environ.get('A'), os.environ.get('PATH'))"], {"A": "b"})
    assert capfd.readouterr().out == "b None\n"


def test_signal_handlers_are_put_back():
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    pass_through([*PYTHON, "pass"])
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_may_hand_over():
    found = []
    thread = threading.Thread(target=lambda: found.append(pass_through([*PYTHON, "raise SystemExit(4)"])))
    thread.start()
    thread.join(10)
    assert found == [4]


def test_the_program_answers_sigterm_and_ctrl_c_itself(tmp_path):
    for signum, whole in ((signal.SIGTERM, False), (signal.SIGINT, True)):
        path = tmp_path / f"ready-{signum}"
        inner = (
            f"import os, signal, time; signal.signal({int(signum)}, lambda *a: os._exit(7))\n"
            f"os.close(os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY)); time.sleep(60)"
        )
        code = f"import sys; from pip_accel._process import pass_through; sys.exit(pass_through({[*PYTHON, inner]!r}))"
        outer = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        wait_for(path.exists)
        if whole:  # as the terminal does
            os.killpg(outer.pid, signum)
        else:
            outer.send_signal(signum)
        assert outer.wait(20) == 7
