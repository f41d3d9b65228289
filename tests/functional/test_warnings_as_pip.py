"""pip's warnings about what it installs, judged by pip: the same words on standard error, at any verbosity."""

from __future__ import annotations

import os
import re
import sys

import pytest

from pip_accel._environment import find_target
from pip_accel._resources import host_pip_version
from pip_accel._values import Change, Tree
from pip_accel._warnings import find_conflicts
from tests.lib.archives import make_wheel
from tests.lib.runs import run_pip, run_pip_accel

ENTRY_POINTS = """\
[console_scripts]
zeta = app:main
alpha = app:main
beta = app:main
[gui_scripts]
window = app:main
"""


@pytest.fixture
def archives(archives):
    """A directory of archives: what comes is always one of these."""
    tool = {"scripts/tool": "#!python\n"}
    make_wheel(archives, "app", "1.0", requires=["lib>=2"], entry_points=ENTRY_POINTS, data=tool)
    make_wheel(archives, "one", "1.0", entry_points="[console_scripts]\none-only = one:main\n")
    for version in ("1.0", "2.0", "3.0b1"):
        make_wheel(archives, "lib", version)
    return archives


def hold(directory, name, version, *headers, info="{stem}-{version}.dist-info/METADATA", **more):
    """Put the metadata of a distribution somewhere; ``more`` files have ``_`` for their dot."""
    path = os.path.join(directory, info.format(stem=name.replace("-", "_").lower(), version=version))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
    files = {os.path.basename(path): "\n".join([*lines, "", "Requires-Dist: nothing that counts\n"]), **more}
    for file, text in files.items():
        with open(os.path.join(os.path.dirname(path), file.replace("_", ".")), "w", encoding="latin-1") as stream:
            stream.write(text)


def requiring(*requirements):
    return [f"Requires-Dist: {each}" for each in requirements]


def fill(environment):
    """Give an environment distributions of many kinds that require ``lib``, or something else."""
    site, elsewhere = environment.site_packages, os.path.join(environment.prefix, "elsewhere")
    egg = {"info": "{stem}-{version}-py3.egg-info/PKG-INFO"}
    hold(site, "lib", "1.0", INSTALLER="pip\n", RECORD="lib-1.0.dist-info/RECORD,,\n")
    hold(site, "user", "1.0", *requiring("lib<2", "gone>1", 'lib!=2.0 ; python_version>"3"', "more; extra=='x'"))
    hold(site, "Other-Thing", "1.0.post1", *requiring("LIB (<2,!=0.5)", "away[b,a]; os_name!='x'", "lib @ file:///l"))
    hold(site, "third", "1", *requiring("user", "nowhere"))
    hold(site, "unconcerned", "1", *requiring("nowhere", "lib; python_version < '3'"))
    hold(site, "content", "1+local.1", *requiring("lib>=1", "content2.0; extra == 'x'", "third~=1.0"))
    hold(site, "broken", "1.0", *requiring("lib>=1.*"))
    hold(site, "needs-broken", "1.0", *requiring("broken", "lib"))
    hold(site, "egg", "1.0", **egg, requires_txt="lib<1\n\n[x]\nno-extra\n\n[:os_name=='x']\nno-egg\n")
    hold(site, "file", "1.0", info="file-1.0.egg-info")
    hold(elsewhere, "legacy", "2004d", *requiring("lib<1"))
    hold(elsewhere, "seen", "1.0", *requiring("lib<1"))
    hold(elsewhere, "user", "0.1", *requiring("lib<0.1"))
    with open(os.path.join(site, "elsewhere.pth"), "w", encoding="utf-8") as stream:
        stream.write(elsewhere + "\n")
    if sys.version_info >= (3, 11):  # with an older one pip follows no link, and says more about encodings
        hold(site, "latin", "1.0", "Author: \xe9\xe8", *requiring("lib<1"))
        source = os.path.join(environment.prefix, "source")
        hold(source, "developed", "1.0", info="developed.egg-info/PKG-INFO", requires_txt="lib<1\n")
        with open(os.path.join(site, "developed.egg-link"), "w", encoding="utf-8") as stream:
            stream.write("\n../../../source\n.\n")


def words_of_pip(stderr):
    """What was said on standard error, without what pip-accel says of itself."""
    ours = re.compile(r" pip_accel\[\d+\] (?:DEBUG|INFO) ")
    return "".join(line for line in stderr.splitlines(keepends=True) if not ours.search(line))


def compare(words, environments, data, archives, *, status=0, **variables):
    """Run the same words with pip and with pip-accel in two equal environments; give the words of both."""
    said = []
    for run, environment, own in zip((run_pip, run_pip_accel), environments, ((), (data,)), strict=True):
        place = {"prefix": environment.prefix}
        done = run(
            ["install", "--no-index", "--find-links", archives, *(word.format(**place) for word in words)],
            environment,
            *own,
            status=status,
            **{name: value.format(**place) for name, value in variables.items()},
        )
        assert run is run_pip or "Successfully installed" not in done.stdout or done.summary, "pip did all of it"
        said.append(words_of_pip(done.stderr).replace(environment.prefix, "<environment>"))
    return said


def test_conflicts_are_named_in_the_words_and_the_order_of_pip(fresh, archives):
    environment = fresh()
    fill(environment)
    changes = [
        Change(Tree("", name, version, "purelib", "", 0, (), ()), True, "", None)
        for name, version in (("App", "1.0"), ("lib", "3.0b1"))
    ]
    warnings = []
    lines = find_conflicts(find_target(environment.python), changes, pip=host_pip_version(), on_broken=warnings.append)
    expected = "".join(f"WARNING: {text}\n" for text in warnings) + "ERROR: " + "\n".join(lines) + "\n"
    words = ["install", "--no-index", "--find-links", archives, "app", "lib==3.0b1"]
    assert run_pip(words, environment).stderr == expected
    named = {line.partition(" ")[0] for line in lines[1:]}
    assert {"user", "other-thing", "egg", "seen", "needs-broken"} <= named
    assert not {"content", "unconcerned", "broken", "latin", "legacy", "app"} & named
    assert {"broken", "legacy"} <= {text.partition(":")[0].rpartition(" ")[2] for text in warnings}


@pytest.mark.parametrize(
    "words",
    [
        ["app"],
        ["app", "one"],
        ["--quiet", "app"],
        ["-qq", "app"],
        ["-qqq", "app"],
        ["--verbose", "--no-warn-conflicts", "app"],
        ["--no-deps", "lib==2.0"],
        ["--dry-run", "app"],
        ["--ignore-installed", "app"],
        ["--root", "{prefix}-root", "lib==2.0"],
        ["--target", "{prefix}-target", "lib==2.0"],
        ["lib==1.0"],
        ["lib"],
        ["one"],
    ],
    ids=" ".join,
)
def test_conflicts_with_what_is_installed_are_warned_of_as_by_pip(words, fresh, data, archives):
    environments = fresh(), fresh()
    for environment in environments:
        fill(environment)
    # Elsewhere what lies on no search path would not be on PATH either.
    by_pip, by_us = compare(["--no-warn-script-location", *words], environments, data, archives)
    assert by_us == by_pip


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin",
        "~/bin:/usr/bin",
        "/usr/bin:~:",
        "",
        "{prefix}-root{prefix}/bin",
        "/usr/bin:{prefix}-root{prefix}/./bin/",
        "{prefix}-root{prefix}/lib/../bin:~/bin",
        "{prefix}-link{prefix}/bin",
    ],
)
def test_scripts_that_are_not_on_path_are_warned_of_as_by_pip(path, fresh, data, archives):
    environments = fresh(), fresh()
    for environment in environments:
        os.symlink(f"{environment.prefix}-root", f"{environment.prefix}-link")
    words = ["--root", "{prefix}-root", "app", "one"]
    by_pip, by_us = compare(words, environments, data, archives, PATH=path)
    assert by_us == by_pip


def test_a_directory_of_scripts_that_is_a_link_is_named_as_by_pip(fresh, data, archives):
    environments = fresh(), fresh()
    for environment in environments:
        os.mkdir(f"{environment.prefix}-real")
        os.symlink(f"{environment.prefix}-real", f"{environment.prefix}-root")
    by_pip, by_us = compare(["--root", "{prefix}-root", "one"], environments, data, archives)
    assert "one-only" in by_pip
    assert by_us == by_pip


@pytest.mark.parametrize(
    "words",
    [
        ["app"],
        ["--root", "{prefix}-root", "--no-warn-script-location", "app"],
        ["--prefix", "{prefix}-other", "app"],
        ["--target", "{prefix}-target", "app"],
    ],
    ids=" ".join,
)
def test_scripts_in_their_place_are_not_warned_of(words, fresh, data, archives):
    by_pip, by_us = compare(words, (fresh(), fresh()), data, archives, PATH="/usr/bin")
    assert by_us == by_pip == ""


@pytest.mark.root
@pytest.mark.parametrize(
    "words",
    [["lib"], ["-q", "lib"], ["-qq", "lib"], ["--root-user-action=ignore", "lib"], ["--dry-run", "lib"], ["lib==4"]],
    ids=" ".join,
)
def test_root_is_warned_as_by_pip_outside_of_virtual_environments(words, tmp_path, data, archives):
    python = getattr(sys, "_base_executable", sys.executable)
    status = 1 if "lib==4" in words else 0
    said = []
    for run, own in ((run_pip, ()), (run_pip_accel, (data,))):
        target = str(tmp_path / run.__name__)
        place = ["--no-index", "--find-links", archives, "--target", target]
        done = run(["install", *place, *words], python, *own, status=status)
        said.append(words_of_pip(done.stderr))
    assert said[1] == said[0]
