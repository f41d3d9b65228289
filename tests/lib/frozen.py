"""Frozen indexes: every archive that pip needs for a set of requirements, build requirements too, in one directory.

This is the only part of the tests that contacts the package index, with the machine's own settings for it. A directory
is filled once, by pip, and proven complete by a last pass of pip that sees nothing else.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from tests.lib.environments import MACHINE_ENVIRON, cache_directory, clean_environ, fetching

__all__ = ["frozen_index", "read_build_requires"]

#: What pip itself asks for where a project names no build requirements, and what older build backends add.
LEGACY_BUILD_REQUIRES = ("setuptools>=40.8.0", "wheel")
#: Options in the requirement file that hold for build requirements as well.
FORMAT_OPTION = re.compile(r"\s*--(no-binary|only-binary|prefer-binary|pre)\b")
MISSING = re.compile(r"No matching distribution found for (?P<requirement>[^\n]+?)\s*$", re.MULTILINE)


def frozen_index(requirements: str, cache: str | None = None, python: str = sys.executable) -> str:
    """A directory of archives from which pip can install a requirement file with no other index.

    :param requirements: path of the requirement file.
    :param cache: directory of all such directories, see :func:`~tests.lib.environments.cache_directory`.
    :param python: the interpreter that the set is to be installed for.
    :returns: path of the directory: complete, as it only gets its name when it is.
    """
    cache = cache or cache_directory("frozen")
    with open(requirements, "rb") as handle:
        digest = hashlib.sha256(handle.read()).hexdigest()[:16]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    final = os.path.join(cache, f"{digest}-{version}")
    os.makedirs(cache, exist_ok=True)
    with fetching(os.path.basename(final)):
        if not os.path.isdir(final):
            with tempfile.TemporaryDirectory(prefix="freezing-", dir=cache) as scratch:
                staged = os.path.join(scratch, "archives")
                _fill(requirements, staged, scratch, python)
                os.rename(staged, final)
    return final


def read_build_requires(sdist: str) -> tuple[str, ...]:
    """The ``build-system.requires`` of an sdist, or what pip assumes where it has none."""
    pyproject = _read_member(sdist, "pyproject.toml")
    if pyproject is None:
        return LEGACY_BUILD_REQUIRES
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    table = tomllib.loads(pyproject.decode("utf-8")).get("build-system", {})
    return tuple(table.get("requires", LEGACY_BUILD_REQUIRES))


def _fill(requirements: str, staged: str, scratch: str, python: str) -> None:
    """Download the set, the build requirements its sdists name, and those that only show when pip asks the backends."""
    with open(requirements, encoding="utf-8") as handle:
        formats = [line for line in handle.read().splitlines() if FORMAT_OPTION.match(line)]

    def download(path: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", python, "download", "--dest", staged, "--requirement", path]
        subprocess.run(command, env=MACHINE_ENVIRON, check=True, stdout=subprocess.DEVNULL)

    def fetch(wanted: tuple[str, ...]) -> None:
        path = os.path.join(scratch, "build-requirements.txt")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("\n".join([*formats, *wanted, ""]))
        download(path)

    download(requirements)
    done: set[tuple[str, ...]] = {()}
    while True:
        sdists = [path for path in glob.glob(os.path.join(staged, "*")) if path.endswith((".tar.gz", ".zip"))]
        wanted = sorted({tuple(sorted(read_build_requires(path))) for path in sdists} - done)
        if not wanted:
            missing = _find_missing(requirements, staged, scratch, python)
            if missing is None:
                return
            wanted = [(missing,)]
            if wanted[0] in done:
                raise RuntimeError(f"pip finds no {missing} in {staged}, where it has been downloaded to")
        for each in wanted:
            fetch(each)
        done.update(wanted)


def _find_missing(requirements: str, staged: str, scratch: str, python: str) -> str | None:
    """Let pip prepare the whole set from ``staged`` alone.

    :returns: the first requirement that pip could not find there, None if nothing is missing.
    """
    throwaway = os.path.join(scratch, "throwaway")
    command = [sys.executable, "-m", "pip", "--python", python, "download", "--no-index", "--find-links", staged]
    command += ["--no-cache-dir", "--dest", throwaway, "--requirement", requirements]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True)
    shutil.rmtree(throwaway, ignore_errors=True)
    if done.returncode == 0:
        return None
    found = MISSING.search(done.stdout + done.stderr)
    if found is None:
        raise RuntimeError(f"pip cannot prepare {requirements} offline:\n{done.stdout}{done.stderr}")
    return found["requirement"].partition(" (from ")[0]


def _read_member(sdist: str, name: str) -> bytes | None:
    """A file of an sdist's top directory, or None."""
    if sdist.endswith(".zip"):
        with zipfile.ZipFile(sdist) as archive:
            for member in archive.namelist():
                if member.count("/") == 1 and member.endswith("/" + name):
                    return archive.read(member)
        return None
    with tarfile.open(sdist) as archive:
        for entry in archive:
            parts = entry.name.removeprefix("./").split("/")
            if len(parts) == 2 and parts[1] == name and (handle := archive.extractfile(entry)) is not None:
                return handle.read()
    return None
