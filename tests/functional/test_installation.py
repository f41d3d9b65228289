"""What is installed, judged by pip: the same files, modes, scripts and records, whatever was there before."""

from __future__ import annotations

import os
import sys

import pytest

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.index import IndexServer
from tests.lib.judge import compare
from tests.lib.runs import PIP_ACCEL, run_pip
from tests.lib.trees import snapshot

ENTRY_POINTS = """\
[console_scripts]
alpha-run = alpha:main
alpha-deep = alpha.inner:Runner.run
[gui_scripts]
alpha-window = alpha:main
[alpha.plugins]
one = alpha.inner:Runner
"""

DATA = {
    "scripts/alpha-tool": "#!python\nimport alpha\nprint('tool')\n",
    "scripts/alpha-window-tool": "#!pythonw -u\nprint('tool')\n",
    "scripts/alpha-shell": "#!/bin/sh\necho shell\n",
    "scripts/alpha_script.py": "#!python\nprint('script')\n",
    "scripts/alpha_module.py": "print('without a hashbang')\n",
    "scripts/alpha-binary": b"\x7fELF\0\1\2\3",
    "headers/alpha.h": "int alpha;\n",
    "headers/inner/deep.h": "int deep;\n",
    "data/share/alpha/readme.txt": "read me\n",
    "data/share/alpha/run.sh": "#!/bin/sh\n",
    "data/etc/alpha.conf": "[alpha]\n",
    "purelib/alpha_pure.py": "pure = True\n",
    "platlib/alpha_platform.py": "platform = True\n",
}

FILES = {
    "alpha/__init__.py": "def main():\n    return 0\n",
    "alpha/inner.py": "class Runner:\n    @staticmethod\n    def run():\n        return 0\n",
    "alpha/table.txt": "1 2 3\n",
    "alpha/empty.py": "",
    "alpha/run.sh": "#!/bin/sh\n",
    "alpha/native.so": b"\0\1\2",
    "alpha/broken_syntax.py": "this is not Python\n",
    "common/alpha/__init__.py": "",
    "alpha_single.py": "single = 1\n",
    "alpha_path.pth": "# nothing\n",
}


@pytest.fixture
def archives(archives):
    """A directory of archives with something of each kind that an installation has to deal with."""
    modes = {"alpha/run.sh": 0o755, "data/share/alpha/run.sh": 0o755, "alpha/native.so": 0o755}
    make_wheel(
        archives, "Alpha", "1.0", files=FILES, data=DATA, modes=modes, entry_points=ENTRY_POINTS, requires=["beta>=1"]
    )
    newer = {**FILES, "alpha/inner.py": "class Runner:\n    run = print\n", "alpha/added.py": "added = 2\n"}
    del newer["alpha/empty.py"]
    make_wheel(archives, "Alpha", "2.0", files=newer, entry_points=ENTRY_POINTS, requires=["beta>=1"])
    for version in ("1.0", "2.0"):
        files = {"common/beta.py": f"version = {version!r}\n", "beta/__init__.py": f"version = {version!r}\n"}
        make_wheel(archives, "beta", version, files=files)
    make_sdist(
        archives, "gamma.project", "1.0", files={"gamma/__init__.py": "def main():\n    return 0\n"},
        data={"scripts/gamma-tool": "#!python\nprint('tool')\n", "data/share/gamma/x": "x", "headers/gamma.h": ""},
        entry_points="[console_scripts]\ngamma = gamma:main\n",
    )  # fmt: skip
    return archives


@pytest.fixture
def judge(archives, tmp_path):
    """Installs the same with pip and with pip-accel, and gives the differences."""
    with IndexServer(archives) as server:

        def run(*words, name="judge", **options):
            return compare(
                words,
                index_args=["--index-url", server.url],
                python=sys.executable,
                pip_accel_command=PIP_ACCEL,
                workdir=str(tmp_path / name),
                cache=str(tmp_path / "data"),
                **options,
            )

        run.server = server
        yield run


def test_each_umask_gives_the_modes_that_pip_gives(judge):
    for umask in (0o022, 0o002, 0o077):
        assert judge("alpha", "gamma-project", umask=umask, name=oct(umask)) == [], oct(umask)
    assert judge.server.downloads["gamma_project-1.0.tar.gz"] == 4  # three times by pip, once by pip-accel


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        pytest.param([["alpha==1.0", "beta==2.0"]], ["alpha==2.0", "beta==1.0"], id="upgrade and downgrade"),
        pytest.param(
            [["alpha==1.0", "beta==1.0"]], ["-U", "alpha"], id="upgrade only if needed", marks=pytest.mark.slow
        ),
        pytest.param(
            [["alpha==1.0", "beta==1.0"]], ["-U", "--upgrade-strategy", "eager", "alpha"],
            id="eager upgrade", marks=pytest.mark.slow,
        ),
        pytest.param([["alpha==1.0"]], ["--force-reinstall", "alpha==1.0"], id="force-reinstall"),
        pytest.param([["alpha==1.0"]], ["Alpha", "gamma_project"], id="satisfied in part", marks=pytest.mark.slow),
        pytest.param([], ["--no-compile", "--no-deps", "alpha==1.0"], id="no-compile and no-deps"),
        pytest.param([], ["--target", "{side}/target", "beta"], id="target"),
        pytest.param([], ["--root", "{side}/root", "--prefix", "/usr", "alpha", "gamma-project"], id="root and prefix"),
        pytest.param([], ["-q", "beta"], id="quiet", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_result_is_that_of_pip(judge, prepare, words):
    assert judge(*words, prepare=prepare) == []


def test_ignore_installed_leaves_what_was_there(judge):
    differences = judge("-I", "alpha", prepare=[["alpha==1.0"]])
    # Of two metadata directories pip's last line names the one that the file system lists first.
    assert [each for each in differences if each.category != "output"] == []


def test_a_wheel_by_its_path_is_noted_as_such(judge, archives, tmp_path):
    wheel = os.path.join(archives, "alpha-1.0-py3-none-any.whl")
    assert judge(wheel) == []
    assert judge(wheel, name="again", prepare=[["alpha==2.0"]]) == []
    [info] = (tmp_path / "judge" / "two" / "env").glob("lib/*/site-packages/*lpha-1.0.dist-info")
    assert (info / "direct_url.json").is_file()


def test_pip_uninstall_leaves_the_prefix_as_it_was(bench, archives):
    for filename in sorted(os.listdir(archives)):
        bench.index.add(os.path.join(archives, filename))
    environments = bench.fresh(), bench.fresh()
    before, after = [snapshot(each.prefix) for each in environments], []
    for words in (["alpha==1.0", "beta==1.0", "gamma-project"], ["-U", "alpha"]):
        run_pip(["install", "--index-url", bench.index.url, *words], environments[0])
        bench.install(*words, into=environments[1])
    for environment in environments:
        run_pip(["uninstall", "--yes", "alpha", "beta", "gamma-project"], environment)
        after.append(snapshot(environment.prefix))
    # pip itself leaves some directories behind, such as share and include.
    assert all(os.path.isdir(os.path.join(environments[1].prefix, path)) for path in after[1].keys() - before[1].keys())
    assert after[1].keys() - before[1].keys() == after[0].keys() - before[0].keys()
    assert {path: after[1].get(path) for path in before[1]} == before[1]


def test_an_edit_in_place_stays_in_its_environment(bench, archives):
    bench.index.add(os.path.join(archives, "beta-1.0-py3-none-any.whl"))
    edited = bench.install("beta")
    with open(os.path.join(edited.environment.site_packages, "beta", "__init__.py"), "a") as stream:
        stream.write("edited = True\n")
    later = bench.install("beta")
    assert later.read("beta", "__init__.py") == "version = '1.0'\n"
    assert edited.read("beta", "__init__.py") == "version = '1.0'\nedited = True\n"
    assert "edited in some environment" in later.run.stderr
    assert later.requests == []
    assert "edited" not in bench.install("beta").run.stderr


def test_byte_code_of_another_environment_is_used_as_it_is(bench, archives):
    bench.index.add(os.path.join(archives, "beta-1.0-py3-none-any.whl"))
    bench.install("beta")
    environment = bench.install("beta").environment
    code = "import sys; sys.dont_write_bytecode = True; import beta; print(beta.__cached__)"
    said = environment.run(["-v", "-c", code])
    cached = said.stdout.strip()
    assert f"# code object from {cached!r}" in said.stderr or f"{cached} matches" in said.stderr
    assert os.path.exists(cached)
