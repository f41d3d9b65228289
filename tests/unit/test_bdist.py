"""Members: made of what builds leave, installed, and told apart when they are not safe."""

from __future__ import annotations

import csv
import gc
import inspect
import io
import logging
import os
import re
import subprocess
import sys
import tarfile

import pytest

from pip_accel import bdist, req
from pip_accel._archives import MANIFEST_NAME, Contents, Entry, read_manifest, record_digest, write_bdist
from pip_accel.bdist import BinaryDistributionManager
from pip_accel.config import Config
from pip_accel.exceptions import BinaryDistributionError, InvalidSourceDistribution, UnsafeArchive, Unsupported
from pip_accel.req import Requirement
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.trees import snapshot

VERSION = "{}.{}".format(*sys.version_info)
LIBRARY = f"lib/python{VERSION}/site-packages"
FILES = {"alpha/__init__.py": "version = 1\n", "alpha/data.txt": "data"}
DATA = {
    "scripts/tool": "#!python\nprint(1)\n",
    "scripts/shell": "#!/bin/sh\n",
    "headers/alpha.h": "/* */",
    "data/share/alpha/table": "1",
}
POINTS = "[console_scripts]\nalpha-main = alpha:main\n"


@pytest.fixture
def config(tmp_path):
    settings = Config(load_configuration_files=False, load_environment_variables=False)
    settings.data_directory = str(tmp_path / "data")
    return settings


@pytest.fixture
def manager(config):
    return BinaryDistributionManager(config)


@pytest.fixture
def wheel(tmp_path):
    return make_wheel(str(tmp_path), "alpha", "1.0", files=FILES, data=DATA, entry_points=POINTS)


def member(name, content=b"", mode=0o644, **attributes):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, io.BytesIO(content)


def members_of(name, version="1.0", lib=LIBRARY):
    """The members of a distribution with nothing in it."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"{lib}/{name}-{version}.dist-info"
    return [member(f"{info}/METADATA", metadata), member(f"{info}/WHEEL", wheel)]


def write_tarball(path, files, *, root, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info, stream = member(f".{root}/{name}", content.encode(), 0o755 if name.startswith("bin/") else 0o600)
            archive.addfile(info, stream)
    return str(path)


def contents(members):
    return {info.name: stream.read().decode() for info, stream in members}


# Transformation


def test_a_wheel_becomes_members(manager, wheel):
    members = list(manager.transform_binary_dist(wheel))
    assert members[0][0].name == MANIFEST_NAME
    found = contents(members)
    names = {name for name in found if ".dist-info/" not in name}
    assert names == {
        MANIFEST_NAME,
        f"{LIBRARY}/alpha/__init__.py",
        f"{LIBRARY}/alpha/data.txt",
        "bin/tool",
        "bin/shell",
        f"include/site/python{VERSION}/alpha/alpha.h",
        "share/alpha/table",
    }
    assert found["bin/tool"] == DATA["scripts/tool"]
    assert f"{LIBRARY}/alpha-1.0.dist-info/entry_points.txt" in found
    assert {info.mode for info, _ in members} == {0o644, 0o755}


OLD = {
    "bin/old-tool": "#!/usr/bin/python3 -u\nprint(1)\n",
    "bin/old-main": "#!/usr/bin/python3\n# EASY-INSTALL-ENTRY-SCRIPT\n",
    "share/old.txt": "1",
    f"{LIBRARY}/old/__init__.py": "",
}
EGG_INFO = f"{LIBRARY}/old.project-1.0-py{VERSION}.egg-info"
PKG_INFO = "Metadata-Version: 1.2\nName: old.project\nVersion: 1.0\n"
AS_DIRECTORY = {
    f"{EGG_INFO}/PKG-INFO": PKG_INFO + "\nAbout it.\n",
    f"{EGG_INFO}/entry_points.txt": "[console_scripts]\nold-main = old:main\n",
    f"{EGG_INFO}/requires.txt": "beta>=1\n\n[more]\ngamma\n\n[more:os_name == 'x']\ndelta\n\n[:os_name=='y']\nzeta\n",
    f"{EGG_INFO}/SOURCES.txt": "setup.py\n",
    f"{EGG_INFO}/top_level.txt": "old\n",
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tarball_of_bdist_dumb_becomes_members(config, manager, tmp_path, mode):
    config.install_prefix = "/opt/made for"
    files = {**OLD, **AS_DIRECTORY}
    path = write_tarball(tmp_path / "old.tar", files, root=config.install_prefix, mode=mode)
    found = contents(manager.transform_binary_dist(path))
    info = f"{LIBRARY}/old_project-1.0.dist-info"
    assert found.pop(MANIFEST_NAME)
    assert found == {
        "bin/old-tool": "#!python -u\nprint(1)\n",
        "share/old.txt": "1",
        f"{LIBRARY}/old/__init__.py": "",
        f"{info}/METADATA": PKG_INFO
        + "Requires-Dist: beta>=1\nProvides-Extra: more\n"
        + 'Requires-Dist: gamma; extra == "more"\n'
        + "Requires-Dist: delta; (os_name == 'x') and extra == \"more\"\n"
        + "Requires-Dist: zeta; (os_name=='y')\n\nAbout it.\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: pip-accel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": AS_DIRECTORY[f"{EGG_INFO}/entry_points.txt"],
        f"{info}/top_level.txt": "old\n",
    }


def test_the_metadata_of_plain_distutils_becomes_a_directory(config, manager, tmp_path):
    config.install_prefix = "/opt/x"
    native = {f"{LIBRARY}/_old.so": "ELF"}
    path = write_tarball(tmp_path / "old.tar", {**OLD, **native, EGG_INFO: PKG_INFO}, root="/opt/x")
    found = contents(manager.transform_binary_dist(path))
    info = f"{LIBRARY}/old_project-1.0.dist-info"
    assert found[f"{info}/METADATA"] == PKG_INFO
    assert "Root-Is-Purelib: false\nTag: " in found[f"{info}/WHEEL"]
    assert not any(".egg-info" in name for name in found)


def test_a_file_outside_of_the_prefix_is_named(config, manager, tmp_path):
    config.install_prefix = "/opt/x"
    path = write_tarball(tmp_path / "old.tar", {**OLD, EGG_INFO: PKG_INFO, "../../etc/passwd": ""}, root="/opt/x")
    with pytest.raises(BinaryDistributionError, match="etc/passwd"):
        manager.transform_binary_dist(path)


def test_a_tarball_without_metadata_is_refused(config, manager, tmp_path):
    config.install_prefix = "/opt/x"
    with pytest.raises(BinaryDistributionError, match=r"old\.tar has the metadata of 0"):
        manager.transform_binary_dist(write_tarball(tmp_path / "old.tar", OLD, root="/opt/x"))


def test_an_archive_of_ours_stays_as_it_is(manager, tmp_path):
    path = write_archive(tmp_path / "alpha.tar.gz", source="1" * 64)
    members = list(manager.transform_binary_dist(path))
    assert b'"1111' in members[0][1].read()
    assert [info.name for info, _ in members[1:]] == ["share/alpha"]
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) - 9)
    with pytest.raises(UnsafeArchive, match=r"alpha\.tar\.gz is damaged"):
        manager.transform_binary_dist(path)


def test_names_lead_back_to_the_places_they_were_made_of():
    places = {
        ("purelib", "alpha/bin/x.py"),
        ("purelib", "lib/x.py"),
        ("scripts", "tool"),
        ("headers", "sub/alpha.h"),
        ("data", "share/lib/python/site-packages/x"),
        ("data", "include/alpha.h"),
        ("data", "binary"),
    }
    stream = io.BytesIO()
    entries = [Entry(scheme, path, False, False, record_digest(b""), b"") for scheme, path in places]
    written = Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries)
    write_bdist(written, stream, key={}, key_digest="", revision=8, version="3.13")
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        members = [(info, archive.extractfile(info)) for info in archive]
        assert {(each.scheme, each.path) for each in bdist._entries(members)} == places


def test_archives_go_with_the_manager(config, wheel):
    manager = BinaryDistributionManager(config)
    members = manager.transform_binary_dist(wheel)
    place = manager._place
    assert os.path.isdir(place)
    del manager
    assert len(list(members)) > 5  # which are there for as long as they are read
    del members
    gc.collect()
    assert not os.path.exists(place)


# Cached archives


def write_archive(path, *, source):
    entries = [Entry("data", "share/alpha", False, False, record_digest(b"x"), b"x")]
    written = Contents("alpha", "1.0", "purelib", "alpha-1.0.dist-info", (), entries)
    with open(path, "wb") as stream:
        write_bdist(written, stream, key={"source": source}, key_digest="", revision=8, version="3.13")
    return str(path)


def test_an_archive_is_good_for_the_source_that_it_was_built_from(config, manager, tmp_path):
    item = {"metadata": {"name": "alpha", "version": "1.0"}}
    item["download_info"] = {"url": "file://" + make_sdist(str(tmp_path), "alpha", "1.0")}
    requirement = Requirement(config, item)
    path = write_archive(tmp_path / "alpha.tar.gz", source=requirement.checksum)
    os.utime(path, (0, 0))
    assert manager.recall_checksum(path) == requirement.checksum
    assert not manager.needs_invalidation(requirement, path)
    other = write_archive(tmp_path / "other.tar.gz", source="0" * 64)
    assert manager.needs_invalidation(requirement, other)
    manager.persist_checksum(requirement, other)
    assert manager.recall_checksum(other) == "0" * 64
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) - 9)
    assert manager.needs_invalidation(requirement, path)


def test_an_archive_of_another_kind_has_no_checksum(config, manager, tmp_path):
    path = write_tarball(tmp_path / "old.tar.gz", OLD, root="/", mode="w:gz")
    missing = str(tmp_path / "missing")
    assert [manager.recall_checksum(each) for each in (path, missing)] == [None, None]
    assert manager.needs_invalidation(Requirement(config, {"metadata": {}}), path)


# Installation


def test_members_are_installed_as_from_a_wheel(manager, wheel, target):
    manager.install_binary_dist(manager.transform_binary_dist(wheel))
    prefix, library = target.prefix, target.scheme.purelib
    found = {path for path, (mode, _) in snapshot(prefix).items() if mode & 0o170000 == 0o100000}
    info = f"{LIBRARY}/alpha-1.0.dist-info"
    assert found == {
        f"{LIBRARY}/alpha/__init__.py",
        f"{LIBRARY}/alpha/__pycache__/__init__.{sys.implementation.cache_tag}.pyc",
        f"{LIBRARY}/alpha/data.txt",
        "bin/tool",
        "bin/shell",
        "bin/alpha-main",
        f"include/site/python{VERSION}/alpha/alpha.h",
        "share/alpha/table",
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt", "INSTALLER", "REQUESTED", "RECORD")),
    }
    with open(os.path.join(prefix, "bin", "tool")) as stream:
        assert stream.readline() == f"#!{sys.executable}\n"
    with open(os.path.join(library, "alpha-1.0.dist-info", "RECORD"), newline="") as stream:
        rows = {row[0]: row[1:] for row in csv.reader(stream)}
    assert {os.path.relpath(os.path.join(library, name), prefix) for name in rows} == found
    assert rows["alpha/data.txt"] == [record_digest(b"data"), "4"]
    assert not os.path.exists(os.path.join(prefix, ".pip-accel-transaction"))


def test_the_same_members_are_unpacked_once(manager, wheel, target, tmp_path):
    for number in range(2):
        manager.install_binary_dist(manager.transform_binary_dist(wheel), prefix=str(tmp_path / f"prefix-{number}"))
    trees = tmp_path / "data" / "trees"
    assert len(list(trees.glob("*/*/manifest.json"))) == 2  # its byte code is a tree of its own
    (edited,) = trees.glob("*/*/purelib/alpha/data.txt")
    os.chmod(edited, 0o644)
    with open(edited, "a") as stream:
        stream.write("edited")
    manager.install_binary_dist(manager.transform_binary_dist(wheel))
    with open(os.path.join(target.scheme.purelib, "alpha", "data.txt")) as stream:
        assert stream.read() == "data"


def test_what_is_there_is_replaced(manager, target):
    manager.install_binary_dist([*members_of("alpha"), member("share/old")])
    manager.install_binary_dist([*members_of("alpha", "2.0"), member("share/new")])
    assert os.listdir(target.scheme.purelib) == ["alpha-2.0.dist-info"]
    assert os.listdir(os.path.join(target.prefix, "share")) == ["new"]


@pytest.mark.parametrize(
    ("unsafe", "named"),
    [
        (member("/etc/evil"), "/etc/evil"),
        (member("lib/../../evil"), "evil"),
        (member("bin/evil", type=tarfile.SYMTYPE, linkname="/bin/sh"), "bin/evil"),
        (member("bin/evil", type=tarfile.LNKTYPE, linkname="bin/tool"), "bin/evil"),
        (member("dev/evil", type=tarfile.CHRTYPE), "dev/evil"),
        (member("pipe/evil", type=tarfile.FIFOTYPE), "pipe/evil"),
        (member("bin/evil", mode=0o4755), "bin/evil"),
    ],
    ids=["absolute", "parent", "symbolic link", "hard link", "device", "pipe", "setuid"],
)
def test_unsafe_members_are_refused_before_anything_is_written(manager, target, tmp_path, unsafe, named):
    with pytest.raises(UnsafeArchive, match=re.escape(named)):
        manager.install_binary_dist([*members_of("alpha"), unsafe], prefix=str(tmp_path / "prefix"))
    assert not (tmp_path / "prefix").exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([member("share/alpha")], "metadata of 0"),
        ([*members_of("alpha"), *members_of("beta")], "metadata of 2"),
        (members_of("alpha")[:1], "no complete metadata"),
    ],
    ids=["none", "two", "no WHEEL"],
)
def test_members_have_to_be_those_of_one_distribution(manager, target, members, reason):
    with pytest.raises(BinaryDistributionError, match=reason):
        manager.install_binary_dist(members)
    assert os.listdir(target.prefix) == []


def test_what_an_installer_wrote_before_is_not_taken_over(manager, target):
    info = f"{LIBRARY}/alpha-1.0.dist-info"
    stale = [member(f"{info}/{name}", b"stale") for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")]
    manager.install_binary_dist([*members_of("alpha"), *stale])
    place = os.path.join(target.prefix, info)
    assert sorted(os.listdir(place)) == ["INSTALLER", "METADATA", "RECORD", "REQUESTED", "WHEEL"]
    assert not any(b"stale" in content for _, content in snapshot(place).values())


def test_the_requirement_says_how_it_was_asked_for(config, manager, target):
    item = {"metadata": {"name": "alpha", "version": "1.0"}, "download_info": {"url": "https://example.com/a.zip"}}
    requirement = Requirement(config, {**item, "requested": False, "is_direct": True})
    manager.install_binary_dist(members_of("alpha"), requirement=requirement)
    place = os.path.join(target.scheme.purelib, "alpha-1.0.dist-info")
    assert "REQUESTED" not in os.listdir(place)
    with open(os.path.join(place, "direct_url.json")) as stream:
        assert stream.read() == '{"url": "https://example.com/a.zip"}'


def test_an_environment_of_another_tool_is_refused(manager, target, monkeypatch, tmp_path):
    monkeypatch.setattr(req, "find_target", lambda python: target._replace(externally_managed="/usr/MANAGED"))
    with pytest.raises(Unsupported, match="/usr/MANAGED"):
        manager.install_binary_dist(members_of("alpha"))
    assert os.listdir(target.prefix) == []
    manager.install_binary_dist(members_of("alpha"), prefix=str(tmp_path / "prefix"))  # is none of its business
    monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", "1")
    manager.install_binary_dist(members_of("alpha"))
    assert os.listdir(target.scheme.purelib) == ["alpha-1.0.dist-info"]


@pytest.mark.parametrize("virtual", [True, False])
@pytest.mark.parametrize("compatible", [True, False])
def test_headers_go_where_the_environment_has_them(manager, monkeypatch, target, wheel, virtual, compatible):
    headers = os.path.join(target.prefix, "include", *(["site"] if virtual else []), f"python{VERSION}")
    scheme = target.scheme._replace(headers=headers)
    monkeypatch.setattr(req, "find_target", lambda python: target._replace(virtual=virtual, scheme=scheme))
    manager.install_binary_dist(manager.transform_binary_dist(wheel), compatible)
    expected = ["include", *(["site"] if virtual and compatible else []), f"python{VERSION}", "alpha", "alpha.h"]
    assert os.path.isfile(os.path.join(target.prefix, *expected))


def test_scripts_name_an_interpreter_that_is_not_there_yet(manager, target, wheel):
    manager.install_binary_dist(manager.transform_binary_dist(wheel), python="/opt/later/bin/python")
    for name in ("tool", "alpha-main"):
        with open(os.path.join(target.scheme.scripts, name)) as stream:
            assert stream.readline() == "#!/opt/later/bin/python\n"


def test_an_assigned_prefix_is_used_like_one_that_is_given(config, manager, target, tmp_path):
    config.install_prefix = str(tmp_path / "assigned")
    manager.install_binary_dist(members_of("alpha"))
    manager.install_binary_dist(members_of("beta"), prefix=str(tmp_path / "given"))
    records = [*tmp_path.glob("assigned/**/RECORD"), *tmp_path.glob("given/**/RECORD")]
    found = [path.relative_to(tmp_path).as_posix() for path in records]
    assert found == [f"assigned/{LIBRARY}/alpha-1.0.dist-info/RECORD", f"given/{LIBRARY}/beta-1.0.dist-info/RECORD"]
    assert os.listdir(target.prefix) == []


SCRIPTS = [
    ("#!/usr/bin/python3\nx\r\ny", "#!/x/python\nx\r\ny"),
    ("#!python -u\nx", "#!/x/python -u\nx"),
    ("#!/usr/bin/env pypy3\nx", "#!/x/python\nx"),
    ("#!/bin/sh\nx", "#!/bin/sh\nx"),
    ("x = '''\n#!/usr/bin/python\n'''", "x = '''\n#!/usr/bin/python\n'''"),
    ("", ""),
]


@pytest.mark.parametrize(("before", "after"), SCRIPTS)
def test_a_hashbang_that_names_a_python_gets_another(manager, before, after):
    assert manager.fix_hashbang(before, "/x/python") == after
    assert manager.fix_hashbang(before.encode(), "/x/python") == after.encode()


def test_record_is_written_anew_for_the_files_there_are(manager, target, wheel):
    manager.install_binary_dist(manager.transform_binary_dist(wheel))
    files = [os.path.join(directory, name) for directory, _, names in os.walk(target.prefix) for name in names]
    record = os.path.join(target.scheme.purelib, "alpha-1.0.dist-info", "RECORD")
    with open(record, "rb") as stream:
        before = stream.read()
    os.unlink(record)
    manager.update_installed_files(each for each in files if each != record)
    with open(record, "rb") as stream:
        assert stream.read() == before


@pytest.mark.parametrize("found", [[], ["alpha-1.0.dist-info/METADATA", "beta-1.0.dist-info/METADATA"]])
def test_record_is_for_one_distribution(manager, tmp_path, caplog, found):
    with caplog.at_level(logging.WARNING):
        manager.update_installed_files(str(tmp_path / name) for name in found)
    assert f"there are {len(found)} .dist-info" in caplog.text
    assert list(tmp_path.iterdir()) == []


# Building


def test_a_wheel_is_its_own_binary_distribution(config, manager, wheel):
    requirement = Requirement(
        config, {"metadata": {"name": "alpha", "version": "1.0"}, "download_info": {"url": f"file://{wheel}"}}
    )
    names = [info.name for info, _ in manager.get_binary_dist(requirement)]
    assert MANIFEST_NAME not in names
    assert "bin/tool" in names
    with pytest.raises(InvalidSourceDistribution, match="is a wheel already"):
        manager.build_binary_dist(requirement)


def test_what_is_not_on_this_machine_cannot_be_built(config, manager):
    item = {"metadata": {"name": "alpha", "version": "1.0"}, "download_info": {"url": "https://example.com/a.tar.gz"}}
    with pytest.raises(InvalidSourceDistribution, match="alpha"):
        manager.get_binary_dist(Requirement(config, item))


def test_manifests_are_not_mistaken_for_those_of_a_cache(manager, wheel, tmp_path):
    manager.transform_binary_dist(wheel)
    (packed,) = (
        os.path.join(directory, name) for directory, _, names in os.walk(manager._place) for name in names
    )
    manifest = read_manifest(packed)
    assert manifest is not None
    assert manifest["key"] == {}
    assert manager.recall_checksum(packed) is None


@pytest.mark.parametrize("module", ["pip_accel.bdist", "pip_accel.req"])
def test_importing_it_imports_no_pip(module):
    code = f"import sys, {module}; print('pip' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# What embedding programs rely on


SIGNATURES = {
    "get_binary_dist": "requirement",
    "needs_invalidation": "requirement, cache_file",
    "recall_checksum": "cache_file",
    "persist_checksum": "requirement, cache_file",
    "build_binary_dist": "requirement",
    "build_binary_dist_helper": "requirement, setup_command",
    "transform_binary_dist": "archive_path",
    "install_binary_dist": "members, virtualenv_compatible=True, prefix=None, python=None,"
    " track_installed_files=False, *, requirement=None",
    "fix_hashbang": "contents, python",
    "update_installed_files": "installed_files",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signature_is_the_documented_one(manager, name):
    signature = inspect.signature(getattr(manager, name))
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    signature = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)
    assert str(signature) == f"({SIGNATURES[name]})"


@pytest.mark.parametrize("track", [True, False])
def test_record_is_written_whether_files_are_to_be_tracked_or_not(manager, tmp_path, target, track):
    manager.install_binary_dist(members_of("alpha"), True, str(tmp_path / "prefix"), None, track)
    info = tmp_path / "prefix" / LIBRARY / "alpha-1.0.dist-info"
    assert "alpha-1.0.dist-info/METADATA,sha256=" in (info / "RECORD").read_text()
    assert not list(tmp_path.glob("prefix/**/installed-files.txt"))


@pytest.mark.parametrize("trusted", [True, False])
def test_no_checksum_is_kept_beside_an_archive(config, manager, tmp_path, trusted):
    config.trust_mod_times = trusted
    path = write_archive(tmp_path / "alpha.tar.gz", source="0" * 64)
    before = snapshot(str(tmp_path))
    manager.persist_checksum(Requirement(config, {"metadata": {"name": "alpha", "version": "1.0"}}), path)
    assert snapshot(str(tmp_path)) == before
