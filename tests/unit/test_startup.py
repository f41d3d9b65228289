"""What starting pip-accel costs, told by the modules that it loads: these do not flicker as timings do."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {
    "asyncio", "coloredlogs", "dataclasses", "email", "http", "humanfriendly", "importlib.metadata", "inspect",
    "logging", "packaging", "pip", "shutil", "socket", "ssl", "subprocess", "tarfile", "tempfile", "tomllib",
    "urllib.request", "zipfile",
}  # fmt: skip


def loaded_by(code, tmp_path):
    code = f"import sys; before = set(sys.modules)\n{code}\nprint('\\n', *sorted(set(sys.modules) - before))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)})
    return set(done.stdout.rpartition("\n ")[2].split())


@pytest.mark.parametrize(
    "code", ["import pip_accel", "import pip_accel.cli", "import pip_accel.cli, pip_accel.__main__ as m"]
)
def test_starting_loads_no_slow_module(code, tmp_path):
    assert loaded_by(code, tmp_path) & SLOW == set()


def test_saying_how_it_is_used_loads_no_slow_module(tmp_path):
    code = "sys.argv = ['pip-accel']; import pip_accel.cli; pip_accel.cli.main()"
    assert loaded_by(code, tmp_path) & SLOW == set()


def test_reading_the_configuration_loads_no_slow_module(tmp_path):
    code = "from pip_accel.config import Config; Config(load_configuration_files=False).data_directory"
    assert loaded_by(code, tmp_path) & SLOW == set()
