"""The frame of the project: its metadata, its modules each imported alone, and what the files around it promise."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

import pip_accel

CHECKOUT = Path(pip_accel.__file__).resolve().parent.parent
SOURCES = sorted((CHECKOUT / "pip_accel").rglob("*.py"))

pytestmark = pytest.mark.skipif(not (CHECKOUT / "setup.py").exists(), reason="pip-accel is not run from a checkout")

#: What no file may name: hosts of registries, and directories of one machine.
FORBIDDEN = re.compile(
    r"pypi\.[a-z]{3}\b|pythonhosted\.[a-z]|deb\.[a-z]+\.org|registry\.npm|/wor[k]/[a-z.]|/roo[t]/|/far[m]/[a-z]"
)


def module_name(source: Path) -> str:
    """Dotted name of a module of the package."""
    parts = source.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture
def metadata(monkeypatch):
    """What ``setup.py`` hands to setuptools."""
    found = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: found.update(arguments))
    monkeypatch.chdir(CHECKOUT)
    runpy.run_path("setup.py")
    return found


def test_the_version_is_the_one_of_the_package(metadata):
    assert metadata["version"] == pip_accel.__version__


def test_every_file_of_the_package_is_packaged(metadata):
    patterns = {package: ["*.py", *metadata["package_data"].get(package, [])] for package in metadata["packages"]}
    packaged = {
        path
        for package, names in patterns.items()
        for name in names
        for path in (CHECKOUT / package.replace(".", "/")).glob(name)
    }
    present = {p for p in (CHECKOUT / "pip_accel").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert present == packaged


def test_entry_points_lead_somewhere(metadata):
    values = [value for group in metadata["entry_points"].values() for value in group]
    assert len(values) == 3
    for value in values:
        path, _, attribute = re.sub(r"\s*\[\w+\]$", "", value.partition(" = ")[2]).partition(":")
        module = importlib.import_module(path)
        assert not attribute or callable(getattr(module, attribute))


def test_the_program_is_the_main_function_of_the_command_line(metadata):
    assert metadata["entry_points"]["console_scripts"] == ["pip-accel = pip_accel.cli:run_alone"]


@pytest.mark.parametrize("module", [module_name(source) for source in SOURCES])
def test_a_module_can_be_imported_alone(module):
    command = [sys.executable, "-W", "error", "-c", f"import {module}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)


def test_the_readme_names_commands_that_exist():
    commands = re.findall(r"^ +python3 (\S+\.py)$", (CHECKOUT / "README.rst").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands == ["benchmarks/quickstart.py", "tests/run.py"]
    assert all((CHECKOUT / command).is_file() for command in commands)


def test_ci_runs_the_test_command_of_the_readme():
    script = CHECKOUT / ".ci" / "run"
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "python3 tests/run.py"
    assert os.access(script, os.X_OK)


def test_no_file_names_a_registry_or_a_place_on_one_machine():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = CHECKOUT / name
        if path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if FORBIDDEN.search(line):
                    found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found
