"""What is told of a distribution, and the update that is all or nothing."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import tarfile
import time

import pytest

from pip_accel import req
from pip_accel._install.transaction import lock_prefix, repair
from pip_accel._values import Archive
from pip_accel.bdist import BinaryDistributionManager
from pip_accel.config import Config
from pip_accel.exceptions import (
    DamagedSourceDistribution,
    InvalidSourceDistribution,
    PipAcceleratorError,
    UnknownDistributionFormat,
    UnsafeArchive,
    Unsupported,
)
from pip_accel.req import Requirement, TransactionalUpdate, escape_name, escape_name_callback
from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import make_environment
from tests.lib.trees import snapshot

NOTHING = hashlib.sha256().hexdigest()

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the process that is killed is a fork")


@pytest.fixture
def config(tmp_path):
    settings = Config(load_configuration_files=False, load_environment_variables=False)
    settings.data_directory = str(tmp_path / "data")
    return settings


def item(name="Alpha", version="1.0", *, url="https://example.com/alpha-1.0.tar.gz", **more):
    info = {"url": url, **more.pop("info", {})}
    metadata = {"name": name, "version": version, **more.pop("metadata", {})}
    return {"metadata": metadata, "download_info": info, "requested": False, "is_direct": False, **more}


def from_archive(config, path, **more):
    return Requirement(config, item(url=f"file://{path}", **more))


# Requirements


def test_name_and_version_are_as_the_metadata_has_them(config):
    requirement = Requirement(config, item("Zope.Interface", "1.0.0"))
    assert (requirement.name, requirement.version) == ("Zope.Interface", "1.0.0")
    assert str(requirement) == "Zope.Interface (1.0.0)"
    assert "Zope.Interface" in repr(requirement)


def test_the_mapping_stays_reachable(config):
    mapping = item()
    assert Requirement(config, mapping).pip_requirement is mapping


@pytest.mark.parametrize("requested", [True, False])
def test_who_asked_for_it_and_how_are_two_things(config, requested):
    requirement = Requirement(config, item(requested=requested, is_direct=not requested))
    assert (requirement.is_direct, requirement.is_transitive) == (requested, not requested)
    assert bool(requirement.direct_url) is not requested


@pytest.mark.parametrize(
    ("info", "editable"),
    [({}, False), ({"dir_info": {}}, False), ({"dir_info": {"editable": True}}, True), ({"archive_info": {}}, False)],
)
def test_editable_is_what_the_report_calls_so(config, info, editable):
    assert Requirement(config, item(info=info)).is_editable is editable


def test_the_sdist_is_its_one_related_archive(config, tmp_path):
    path = make_sdist(str(tmp_path), "alpha", "1.0")
    os.utime(path, (1_234_567_890, 1_234_567_890))
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    for requirement in (
        from_archive(config, path),
        from_archive(config, path, info={"archive_info": {}}),
        Requirement(config, item(), archive=Archive(path, "alpha-1.0.tar.gz", digest)),
    ):
        assert requirement.related_archives == [path]
        assert requirement.checksum == digest
        assert requirement.last_modified == 1_234_567_890


@pytest.mark.parametrize("kind", ["wheel", "directory", "editable", "remote", "repository"])
def test_all_else_has_no_related_archive(config, tmp_path, kind):
    wheel = make_wheel(str(tmp_path), "alpha", "1.0")
    requirement = {
        "wheel": from_archive(config, wheel),
        "directory": from_archive(config, tmp_path, info={"dir_info": {}}),
        "editable": from_archive(config, tmp_path, info={"dir_info": {"editable": True}}),
        "remote": Requirement(config, item()),
        "repository": from_archive(config, tmp_path, info={"vcs_info": {"vcs": "git", "commit_id": "1"}}),
    }[kind]
    assert requirement.related_archives == []
    assert requirement.checksum == NOTHING
    assert abs(requirement.last_modified - time.time()) < 60


def test_an_sdist_is_unpacked_once_and_goes_with_the_requirement(config, tmp_path):
    requirement = from_archive(config, make_sdist(str(tmp_path), "alpha", "1.0"))
    source = requirement.source_directory
    assert os.path.isfile(os.path.join(source, "pyproject.toml"))
    assert requirement.source_directory == source
    del requirement
    assert not os.path.exists(source)


def test_the_source_of_a_directory_is_that_directory(config, tmp_path):
    assert from_archive(config, tmp_path, info={"dir_info": {"editable": True}}).source_directory == str(tmp_path)


def test_the_source_of_a_wheel_is_its_tree_in_the_store(config, tmp_path):
    source = from_archive(config, make_wheel(str(tmp_path), "alpha", "1.0")).source_directory
    assert source.startswith(config.data_directory)
    assert os.path.isfile(os.path.join(source, "purelib", "alpha.py"))


def test_a_source_that_is_elsewhere_cannot_be_had(config):
    with pytest.raises(Unsupported, match=re.escape("Alpha (1.0)")):
        assert Requirement(config, item()).source_directory


def test_an_sdist_that_leaves_its_directory_is_refused(config, tmp_path):
    path = make_sdist(str(tmp_path), "alpha", "1.0", extra_files={"../../evil": "x"})
    with pytest.raises(UnsafeArchive, match="evil"):
        assert from_archive(config, path).source_directory


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alpha-1.0-py3-none-any.whl", True), ("alpha-1.0.tar.gz", False), ("alpha-1.0.zip", False)],
)
def test_the_name_of_a_remote_archive_tells_what_it_is(config, name, expected):
    assert Requirement(config, item(url=f"https://example.com/{name}?token=1")).is_wheel is expected


def test_a_wheel_with_a_setup_script_is_a_wheel(config, tmp_path):
    wheel = make_wheel(str(tmp_path), "alpha", "1.0", files={"setup.py": "", "alpha.py": ""})
    assert from_archive(config, wheel).is_wheel


@pytest.mark.parametrize("backend", ["in-tree", "setup.py"])
def test_an_sdist_that_can_be_built_is_none(config, tmp_path, backend):
    assert not from_archive(config, make_sdist(str(tmp_path), "alpha", "1.0", backend=backend)).is_wheel


def test_what_can_be_neither_installed_nor_built_has_no_format(config, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "alpha.exe").write_bytes(b"MZ")
    for requirement in (
        from_archive(config, tmp_path / "empty"),
        from_archive(config, tmp_path / "alpha.exe"),
        Requirement(config, item(url="https://example.com/alpha.exe")),
    ):
        with pytest.raises(UnknownDistributionFormat, match="Alpha"):
            assert requirement.is_wheel


METADATA = {
    "requires_dist": ["beta>=1", "gamma; extra == 'more'"],
    "keywords": ["a", "b"],
    "home_page": "https://example.com",
    "description": "Long.\n\nText.",
}


@pytest.mark.parametrize(("kind", "other"), [("wheel", "sdist"), ("sdist", "wheel")])
def test_metadata_is_that_of_the_right_kind_only(config, tmp_path, kind, other):
    archive = {"wheel": make_wheel, "sdist": make_sdist}[kind](str(tmp_path), "alpha", "1.0")
    requirement = from_archive(config, archive, metadata=METADATA)
    metadata = getattr(requirement, f"{kind}_metadata")
    assert (metadata["Name"], metadata["version"]) == ("Alpha", "1.0")
    assert metadata.get_all("Requires-Dist") == METADATA["requires_dist"]
    assert (metadata["Keywords"], metadata["Home-page"]) == ("a,b", "https://example.com")
    assert metadata.get_payload() == METADATA["description"]
    with pytest.raises(TypeError, match="Alpha"):
        getattr(requirement, f"{other}_metadata")


def test_an_archive_of_the_users_is_taken_into_the_index(config, tmp_path):
    path = make_sdist(str(tmp_path), "alpha", "1.0")
    with req.open_engine_for(config, "alpha") as (_, engine):
        index = engine.resources.index
        pin = from_archive(config, path).pin(index)
        assert pin.archive.path.startswith(config.source_index)
        assert Requirement(config, item(), archive=pin.archive).pin(index).archive == pin.archive
        for lying in (
            Requirement(config, item(), archive=Archive(path, "alpha-1.0.tar.gz", NOTHING)),
            from_archive(config, path, info={"archive_info": {"hashes": {"sha256": NOTHING}}}),
        ):
            with pytest.raises(DamagedSourceDistribution, match="is not the archive"):
                lying.pin(index)
    assert os.listdir(tmp_path / "data" / "tmp") == []


def test_what_has_no_archive_has_no_pin(config, tmp_path):
    editable = from_archive(config, tmp_path, info={"dir_info": {"editable": True}})
    inside = from_archive(config, make_sdist(str(tmp_path), "alpha", "1.0"), info={"subdirectory": "sub"})
    for requirement in (Requirement(config, item()), editable, inside):
        with pytest.raises(InvalidSourceDistribution, match="install_from_arguments"):
            requirement.pin(None)


def test_the_source_may_lie_in_a_subdirectory(config, tmp_path):
    path = make_sdist(str(tmp_path), "alpha", "1.0", extra_files={"sub/setup.py": "", "sub/x.txt": "x"})
    inside = from_archive(config, path, info={"subdirectory": "sub"})
    assert sorted(os.listdir(inside.source_directory)) == ["setup.py", "x.txt"] and not inside.is_wheel
    whole = from_archive(config, path)
    directory = from_archive(config, whole.source_directory, info={"subdirectory": "sub"})
    assert sorted(os.listdir(directory.source_directory)) == ["setup.py", "x.txt"]


def test_only_an_sdist_has_a_key(config, tmp_path):
    with pytest.raises(InvalidSourceDistribution, match="no sdist"):
        assert from_archive(config, make_wheel(str(tmp_path), "alpha", "1.0")).cache_key


@pytest.mark.parametrize(
    ("name", "matches", "others"),
    [
        ("python-debian", ["python-debian", "python_debian"], ["python.debian", "pythondebian"]),
        ("zope.interface", ["zope.interface"], ["zope-interface", "zopexinterface"]),
        ("c++", ["c++"], ["ccc"]),
        ("plain1", ["plain1"], ["plain"]),
    ],
)
def test_an_escaped_name_matches_dash_and_underscore_alike(name, matches, others):
    pattern = escape_name(name)
    assert all(re.fullmatch(pattern, each) for each in matches)
    assert not any(re.fullmatch(pattern, each) for each in others)


# Updates


class Bench:
    """An environment that looks like the one we run in, and distributions of alpha to install in it."""

    def __init__(self, config, target, directory):
        self.manager = BinaryDistributionManager(config)
        self.target = target
        self.config = config
        self.directory = directory

    def install(self, name, version, more="", **options):
        files = {f"{name}/__init__.py": f"version = {version!r}\n", f"{name}/only_{version[0]}.py": ""}
        files.update(dict.fromkeys(more.split(), ""))
        wheel = make_wheel(self.directory, name, version, files=files, entry_points=f"[console_scripts]\n{name}=x:y\n")
        self.manager.install_binary_dist(self.manager.transform_binary_dist(wheel), **options)

    def update(self, name="Alpha"):
        return TransactionalUpdate(Requirement(self.config, item(name)))

    @property
    def installed(self):
        return sorted(each for each in os.listdir(self.target.scheme.purelib) if each.endswith(".dist-info"))

    @property
    def state(self):
        return snapshot(self.target.prefix)


@pytest.fixture
def bench(config, target, tmp_path):
    bench = Bench(config, target, str(tmp_path))
    bench.install("alpha", "1.0")
    bench.install("beta", "1.0")
    return bench


def test_an_update_takes_out_what_is_there(bench):
    with bench.update():
        assert bench.installed == ["beta-1.0.dist-info"]
        assert not os.path.exists(os.path.join(bench.target.scheme.scripts, "alpha"))
    assert bench.installed == ["beta-1.0.dist-info"]
    assert not repair(bench.target.prefix)


def test_an_update_that_fails_brings_it_back(bench):
    before = bench.state
    with pytest.raises(KeyboardInterrupt), bench.update():
        raise KeyboardInterrupt
    assert bench.state == before


def test_what_is_installed_meanwhile_stays(bench):
    with bench.update():
        bench.install("alpha", "2.0")
        assert bench.installed == ["alpha-2.0.dist-info", "beta-1.0.dist-info"]
    assert bench.installed == ["alpha-2.0.dist-info", "beta-1.0.dist-info"]
    assert sorted(os.listdir(os.path.join(bench.target.scheme.purelib, "alpha"))) == [
        "__init__.py",
        "__pycache__",
        "only_2.py",
    ]
    assert not repair(bench.target.prefix)


def test_what_is_installed_meanwhile_goes_if_the_update_fails(bench):
    before = bench.state
    with pytest.raises(ValueError, match="afterwards"), bench.update():
        bench.install("alpha", "2.0")
        bench.install("alpha", "3.0")
        raise ValueError("afterwards")
    assert bench.state == before


def test_a_first_installation_goes_if_the_update_fails(bench):
    before = bench.state
    with pytest.raises(ValueError, match="afterwards"), bench.update("gamma"):
        bench.install("gamma", "1.0")
        raise ValueError("afterwards")
    assert bench.state == before
    with bench.update("gamma"):
        bench.install("gamma", "1.0")
    assert "gamma-1.0.dist-info" in bench.installed


def test_an_installation_that_fails_in_an_update_leaves_it_as_it_was(bench):
    os.makedirs(os.path.join(bench.target.scheme.purelib, "blocked.py", "by"))
    before = bench.state
    with pytest.raises(ValueError, match="given up"), bench.update():
        for _ in range(2):
            with pytest.raises(PipAcceleratorError, match=r"blocked\.py"):
                bench.install("alpha", "2.0", more="blocked.py")
            assert bench.installed == ["beta-1.0.dist-info"]
        raise ValueError("given up")
    assert bench.state == before


def test_another_distribution_cannot_be_installed_meanwhile(bench):
    before = bench.state
    with pytest.raises(PipAcceleratorError, match="beta cannot be installed while Alpha"), bench.update():
        bench.install("beta", "2.0")
    assert bench.state == before


def test_another_prefix_has_no_part_in_an_update(bench, tmp_path):
    with pytest.raises(ValueError, match="afterwards"), bench.update():
        bench.install("beta", "2.0", prefix=str(tmp_path / "elsewhere"))
        raise ValueError("afterwards")
    assert list((tmp_path / "elsewhere").glob("lib/*/site-packages/beta-2.0.dist-info/RECORD"))


def test_there_is_one_update_at_a_time(bench):
    before = bench.state
    with pytest.raises(PipAcceleratorError, match="going on already"), bench.update(), bench.update("beta"):
        pass
    assert bench.state == before
    with bench.update("beta"):
        pass
    assert bench.installed == ["alpha-1.0.dist-info"]


@needs_fork
def test_an_update_that_is_killed_is_undone_by_the_next_run(bench):
    before = bench.state
    child = os.fork()
    if child == 0:
        bench.update().__enter__()
        bench.install("alpha", "2.0")
        os._exit(0)
    os.waitpid(child, 0)
    assert "alpha-2.0.dist-info" in bench.installed
    with lock_prefix(bench.target.prefix, lambda: pytest.fail("the lock is still held")):
        assert repair(bench.target.prefix)
    assert bench.state == before


def test_what_only_pip_can_remove_is_left_alone(bench):
    os.remove(os.path.join(bench.target.scheme.purelib, "alpha-1.0.dist-info", "RECORD"))
    before = bench.state
    with pytest.raises(Unsupported, match="no RECORD"), bench.update():
        pass
    assert bench.state == before
    with bench.update("beta"):
        pass


# What embedding programs rely on


SIGNATURES = [
    (Requirement, "(config, requirement, *, archive=None)"),
    (TransactionalUpdate, "(requirement)"),
    (escape_name, "(requirement_name)"),
    (escape_name_callback, "(match)"),
]


@pytest.mark.parametrize(("documented", "expected"), SIGNATURES, ids=lambda given: getattr(given, "__name__", ""))
def test_the_signature_is_the_documented_one(documented, expected):
    signature = inspect.signature(documented)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    assert str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)) == expected


def test_nothing_is_unpacked_before_the_source_is_asked_for(config, tmp_path):
    path = tmp_path / "alpha-1.0.tar.gz"
    path.write_bytes(b"no archive")
    requirement = from_archive(config, path, metadata=METADATA)
    assert (str(requirement), requirement.is_editable, requirement.is_direct) == ("Alpha (1.0)", False, False)
    assert requirement.related_archives == [str(path)]
    assert requirement.checksum == hashlib.sha256(b"no archive").hexdigest()
    assert requirement.last_modified == os.path.getmtime(path)
    with pytest.raises(DamagedSourceDistribution, match="cannot be unpacked"):
        assert requirement.source_directory


def test_an_sdist_needs_something_to_be_built_with(config, tmp_path):
    path = tmp_path / "alpha-1.0.tar.gz"
    for name, known in (("setup.py", True), ("pyproject.toml", True), ("setup.cfg", False)):
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo(f"alpha-1.0/{name}"))
        requirement = from_archive(config, path)
        if known:
            assert not requirement.is_wheel
        else:
            with pytest.raises(UnknownDistributionFormat, match=r"alpha-1\.0\.tar\.gz"):
                assert requirement.is_wheel


def test_the_archive_is_found_by_a_url_with_quoted_characters(config, tmp_path):
    (tmp_path / "a b#c").mkdir()
    path = make_sdist(str(tmp_path / "a b#c"), "alpha", "1.0")
    assert Requirement(config, item(url=(tmp_path / "a b#c" / "alpha-1.0.tar.gz").as_uri())).related_archives == [path]


@pytest.mark.parametrize(
    ("character", "expected"),
    [("-", "[-_]"), ("_", "[-_]"), (".", r"\."), ("+", r"\+")],
)
def test_one_character_of_a_name_is_escaped(character, expected):
    assert re.sub("[^a-z]", escape_name_callback, f"a{character}b") == f"a{expected}b"


def test_the_variable_of_pip_names_the_environment_unless_the_program_does(config, tmp_path, monkeypatch):
    one, other = (make_environment(str(tmp_path / name)) for name in ("one", "other"))
    assert req.find_environment(config)[1] is None
    monkeypatch.setenv("PIP_PYTHON", one.prefix)  # pip takes the path of an environment as well
    target, python = req.find_environment(config)
    assert (target.prefix, python) == (one.prefix, one.prefix)
    config.python_executable = other.python
    assert req.find_environment(config)[0].prefix == other.prefix
