"""The oddly made projects as sdists, and whose a difference is."""

from __future__ import annotations

import os
import tarfile
import zipfile

import pytest

from pip_accel._names import canonical_name
from tests.lib import projects
from tests.lib.environments import Environment
from tests.lib.index import IndexServer
from tests.lib.judge import Difference, Side
from tests.lib.projects import PROJECTS, Project, attribute, fill_index, find_projects, pack_project

ALL = find_projects()


def members(directory, tmp_path):
    """Mode, or target of a link, of all in the sdist of a project, by name."""
    path = pack_project(Project(directory), str(tmp_path))
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    with tarfile.open(path) as tarball:
        return {info.name: info.linkname or info.mode for info in tarball}


@pytest.mark.parametrize("project", [pytest.param(each, id=each.directory) for each in ALL])
def test_a_project_says_what_is_odd_about_it(project):
    first, *others = (PROJECTS / project.directory / "README").read_text(encoding="utf-8").splitlines()
    assert others == []
    assert first.endswith(".")
    assert first.startswith("Cannot be installed: ") == project.fails


def test_no_two_projects_have_one_name():
    assert len({project.name for project in ALL}) == len(ALL)
    assert all(canonical_name(project.name) == project.name for project in ALL)


def test_what_is_said_about_a_project_is_about_one_that_is_there():
    names = {project.directory for project in ALL}
    for table in (projects.ARCHIVES, projects.TOP_DIRECTORIES, projects.REQUIREMENTS, projects.PROGRAMS):
        assert table.keys() <= names


def test_an_sdist_has_executable_bits_and_symbolic_links(tmp_path):
    links = members("sdist-symlinks", tmp_path)
    assert links["sdist_symlinks-1.0/sdist_symlinks/linked"] == "../shared"
    assert links["sdist_symlinks-1.0/sdist_symlinks/link.txt"] == "real.txt"
    assert "sdist_symlinks-1.0/shared/data.txt" in links
    modes = members("executable-data", tmp_path)
    assert modes["executable_data-1.0/executable_data/run.sh"] == 0o755
    assert modes["executable_data-1.0/executable_data/data.txt"] == 0o644


@pytest.mark.parametrize("suffix", ["zip", "tar.bz2", "tar.xz"])
def test_an_sdist_can_have_another_form(suffix, tmp_path):
    directory = f"sdist-{suffix.replace('.', '-')}"
    stem = f"{directory.replace('-', '_')}-1.0"
    found = members(directory, tmp_path)
    assert os.listdir(tmp_path) == [f"{stem}.{suffix}"]
    assert found[f"{stem}/setup.py"] == 0o644
    assert found[f"{stem}/tool-of-{directory}"] == 0o755


def test_the_top_directory_of_an_sdist_can_be_another_one_or_none(tmp_path):
    assert "setup.py" in members("sdist-flat", tmp_path)
    assert "something-else/setup.py" in members("sdist-top-directory", tmp_path)


def test_what_an_index_cannot_show_is_on_a_page_of_links(monkeypatch, tmp_path):
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr(projects, "build_wheels", lambda: str(tmp_path / "wheels"))
    with IndexServer() as index:
        words = fill_index(index, [Project("sdist-tar-xz"), Project("sdist-zip")], str(tmp_path / "archives"))
        assert index.answer("GET", "/simple/sdist-zip/", "", "")[0] == 200
        assert index.answer("GET", "/simple/sdist-tar-xz/", "", "")[0] == 404
        page = str(tmp_path / "archives" / "links.html")
        assert words == ["--index-url", index.url, "--find-links", page]
    with open(page, encoding="utf-8") as stream:
        assert 'href="sdist_tar_xz-1.0.tar.xz"' in stream.read()
    assert (tmp_path / "archives" / "sdist_tar_xz-1.0.tar.xz").exists()


def test_differences_are_attributed_to_projects(tmp_path):
    library = tmp_path / "env" / "lib"
    for name, rows in (("one", "one/a.py,,\n../share/x,,\n"), ("two_b", "two/a.py,,\n../share/y,,\n")):
        info = library / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").write_text(f"{rows}{info.name}/RECORD,,\n")
    side = Side(str(tmp_path), Environment("", "", str(library)), 0, "", "", 0.0, "", "", "")
    expected = {
        "one": [
            Difference("missing", "env/lib/one", "directory", "nothing"),
            Difference("mode", "env/lib/one/a.py", "0o644", "0o600"),
            Difference("record", "env/lib/one-1.0.dist-info/RECORD", "one/b.py,,", ""),
        ],
        "two-b": [
            Difference("content", "env/share/y", "", ""),
            Difference("inspect", "Two.B", "{}", "null"),
            Difference("freeze", "", "", "two_b==1.0"),
        ],
        "": [
            Difference("mode", "env/share", "0o755", "0o700"),
            Difference("extra", "home/left", "nothing", "file"),
            Difference("output", "stdout", "Successfully installed one-1.0", ""),
        ],
    }
    found = attribute([each for differences in expected.values() for each in differences], [side])
    assert found == expected
