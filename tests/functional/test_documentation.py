"""Every command that the documentation shows is run: here, where all that it needs is made, or by another test.

A command that is new in the documentation needs a line in one of two tables, ``SHOWN`` or ``ELSEWHERE``. Commands of a
block are run one after the other in one place; those in sentences have a place each.
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import setuptools
from packaging.requirements import Requirement

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.contract import find_tests
from tests.lib.documented import Block, collect_commands, is_for_a_shell, pages, read_blocks
from tests.lib.environments import clean_environ, make_environment, setuptools_wheel
from tests.lib.frozen import frozen_index
from tests.lib.index import IndexServer
from tests.lib.runs import CHECKOUT
from tests.lib.s3_server import BUCKET, OWNER, Server, seaweed_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the documentation is written for Linux")

NAMES = ("app", "example", "pytest")  #: what the requirement file asks for
ENVIRONMENTS = ("path/to/environment", ".venv", "one", "two")
#: What ``requests`` requires.
ITS_REQUIREMENTS = {
    "charset_normalizer": "charset_normalizer<4,>=2",
    "idna": "idna<4,>=2.5",
    "urllib3": "urllib3<3,>=1.26",
    "certifi": "certifi>=2017.4.17",
}
#: What the output of a failed build is. It lacks something that is hardly ever there.
LOG = "src/one.c:1:10: fatal error: lzo/lzo1.h: No such file or directory\n"
#: What is in a checkout.
DIRECTORIES = ("benchmarks", "docs", "examples", "pip_accel", "tests")
FILES = ("setup.py", "pyproject.toml", "README.rst", "LICENSE.txt", "CHANGELOG.rst")
#: What the quick start installs.
REQUIREMENT_FILES = ("tests/requirements/web-2026-11.txt", "benchmarks/requirements/quickstart.txt")

#: What readers fill in, and directories of a machine.
FILLED_IN = (
    (r"\bNAME\b", "example"),
    (r"WORDS…", "--version"),
    (r"\$\(mktemp -d\)", "{place}/empty"),
    (r"(?<![\w.])/(?:opt|tmp|var/cache)/", r"{place}\g<0>"),
    (r"AWS_ACCESS_KEY_ID=\.\.\.", f"AWS_ACCESS_KEY_ID={OWNER.key}"),
    (r"AWS_SECRET_ACCESS_KEY=\.\.\.", f"AWS_SECRET_ACCESS_KEY={OWNER.secret}"),
    ("our-wheels", BUCKET),
)
#: What a message of pip-accel has in front of its level.
PREFIX = re.compile(r"^\S+ \S+ \S+ pip_accel\[\d+\] ", re.MULTILINE)

NEEDS = {
    "apt": pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt"),
    "index": pytest.mark.index,  # for a setuptools that can build pip-accel
    "pipx": pytest.mark.skipif(not find_spec("pipx"), reason="needs pipx"),
    "s3": pytest.mark.skipif(not find_spec("boto3"), reason="needs boto3"),
}


class Place:
    """Where a reader may be: with environments, requirements, a data directory, and a checkout."""

    def __init__(self, path: Path, checkout: Path, index: IndexServer, server: Server | None, prefix: str) -> None:
        self.path = path
        self.checkout = checkout
        self.index = index
        self.server = server
        self.prefix = prefix
        programs = [path / "outside" / "bin", path / "bin", os.environ["PATH"], Path(sys.executable).parent]
        self.variables = clean_environ(
            PATH=os.pathsep.join(map(str, programs)),
            HOME=str(path),
            PIP_INDEX_URL=index.url,
            PIP_ACCEL_CACHE=str(path / "data"),
            PIP_ACCEL_LOG_VERBOSITY="debug",  # tells what is left to pip
            PIPX_HOME=str(path / "pipx"),
            PIPX_BIN_DIR=str(path / "bin"),
            PIPX_MAN_DIR=str(path / "man"),
            PIPX_SHARED_LIBS=str(checkout.parent / "pipx"),
        )
        if server is not None:
            self.variables |= {**server.variables(), "PIP_ACCEL_S3_PREFIX": prefix}

    def fill_in(self, text: str) -> str:
        """A command as a reader would write it here."""
        for pattern, value in FILLED_IN:
            text = re.sub(pattern, value, text)
        return text.replace("{place}", str(self.path))

    def run(self, text: str, *words: str, status: int = 0, cwd: Path | None = None, **variables: str) -> Run:
        """Run it with a shell."""
        done = subprocess.run(
            ["sh", "-e", "-c", self.fill_in(text), "sh", *words],
            cwd=cwd or self.path,
            env=self.variables | {name: self.fill_in(value) for name, value in variables.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = f"{text} gave status {done.returncode}:\n{done.stdout}{done.stderr}"
        assert done.returncode == status, said
        assert not re.search(r"^Traceback", done.stderr, re.MULTILINE), said
        assert status or " pip does " not in done.stderr, said
        return Run(done.stdout, done.stderr)

    def interrupt(self, text: str, until: str) -> Run:
        """Run a command that does not end, and press Ctrl-C when it has said something."""
        command = ["sh", "-c", f"exec {self.fill_in(text)}"]
        with (
            open(self.path / "errors", "w+", encoding="utf-8") as errors,
            subprocess.Popen(
                command, cwd=self.checkout, env=self.variables, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process,
        ):
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if until in line:
                    process.send_signal(signal.SIGINT)
            status = process.wait()
            errors.seek(0)
            run = Run("".join(lines), errors.read())
        assert status == 0, run
        return run

    def holds(self, environment: str) -> set[str]:
        """Names of what is in one of the environments."""
        [packages] = self.path.glob(f"{environment}/lib/p*/site-packages")
        return {each.name.partition("-")[0] for each in packages.glob("*.dist-info")}

    def shares(self, kind: str) -> bool:
        """Whether there is something of a kind in the cache that machines share."""
        assert self.server is not None
        return any(name.startswith(f"{self.prefix}/{kind}/") for name in self.server.objects())


class Run(NamedTuple):
    """What a command said."""

    stdout: str
    stderr: str


class Shown(NamedTuple):
    """What a command has to do when it is run here."""

    says: str = ""  #: a pattern for its standard output
    tells: str = ""  #: a pattern for its standard error
    leaves: Callable[[Place], object] = lambda place: True  #: whether the place is then as it has to be
    status: int = 0
    before: str = ""  #: commands in front of it, for what the page takes for granted
    more: str = ""  #: what is put behind it
    words: tuple[str, ...] = ()  #: what a script is called with
    variables: Mapping[str, str] = {}
    needs: frozenset[str] = frozenset()  #: keys of ``NEEDS``, and ``checkout`` for one that is run in a checkout
    until: str = ""  #: what it says before it is interrupted, if it does not end by itself
    lasts: bool = False  #: whether it is run once in a place, as its effect is not undone there


def has(environment: str) -> Callable[[Place], object]:
    """Whether all that the requirement file asks for is in an environment, and nothing had to be asked for it."""
    return lambda place: place.holds(environment) == {*NAMES} and not place.index.requests


def is_empty(environment: str) -> Callable[[Place], object]:
    return lambda place: place.holds(environment) == set()


def is_unchanged(page: str) -> Callable[[Place], object]:
    """Whether a page that was removed is as it was."""
    return lambda place: (place.checkout / page).read_text("utf-8") == Path(CHECKOUT, page).read_text("utf-8")


def needs(*names: str) -> frozenset[str]:
    return frozenset(names)


INSTALLED = r"^Successfully installed app-2\.0 example-1\.0 pytest-2\.0$"
LOCAL = r"INFO Installed 3 distributions in [\d.]+ s without network, as the index was on "
NOTHING_TO_REMOVE = r"^Files removed: 0 \(0 bytes\)$"
ASK_FOR_MORE = "grep fails requirements.txt || echo fails >> requirements.txt"
PIPX = r"installed package pip-accel 1\.0"
EMPTY = {"PIP_ACCEL_CACHE": "{place}/empty"}
#: Byte code is not worth its time for what is installed by pip and hardly used.
FAST = {"PIP_NO_COMPILE": "1"}

#: What commands have to do that are run here, in alphabetical order of what they are about.
SHOWN = {
    # The cache
    "pip-accel cache": Shown(tells="^ERROR: Need an action .*explain.*verify", status=1),
    "pip-accel cache dir": Shown("/place/data$"),
    "pip-accel cache explain": Shown(tells="^ERROR: Please provide the name of a project: ", status=1),
    "pip-accel cache explain NAME": Shown(r"^example 1\.0 .*^  result: .*unpacked in the store"),
    "pip-accel cache info": Shown("^Cache location: .*^Number of archives: 3$.*^Builds: 1 "),
    "pip-accel cache list": Shown(r"^ - app-2\.0-.*^ - example-1-.*^ - example-1\.0\.tar\.gz.*^ - pytest-2\.0-"),
    "pip-accel cache list NAME":
        Shown(r"^Cache contents:\n\n - example-1-[^\n]*\n - example-1\.0\.tar\.gz [^\n]*\n\Z"),
    "pip-accel cache prune": Shown(NOTHING_TO_REMOVE),
    "pip-accel cache prune --max-size=1GiB --unused-for=14d": Shown(NOTHING_TO_REMOVE),
    "pip-accel cache pull": Shown(tells="^ERROR: Please say what to pull: ", status=1),
    "pip-accel cache pull -r requirements.txt": Shown(
        "^Pulled 3 distributions$", leaves=lambda place: not place.index.requests,
        before="pip-accel cache push -r requirements.txt && mv data elsewhere", needs=needs("s3"),
    ),
    "pip-accel cache purge": Shown(
        "^Files removed: [1-9]", leaves=lambda place: "example" not in place.run("pip-accel cache list").stdout
    ),
    "pip-accel cache push": Shown(tells="^ERROR: Please say what to push: ", status=1),
    "pip-accel cache push -r requirements.txt": Shown(
        r"^Pushed 3 distributions: \d+ files are in the shared cache$",
        leaves=lambda place: place.shares("plans"), needs=needs("s3"),
    ),
    "pip-accel cache remove NAME": Shown(
        "^Files removed: [1-9]", leaves=lambda place: "example" not in place.run("pip-accel cache list").stdout
    ),
    "pip-accel cache verify": Shown(r"^Verified \d+ entries .*: all of them are sound$"),
    "/opt/pip-accel/bin/pip-accel cache prune --max-size=1GiB --unused-for=14d": Shown(NOTHING_TO_REMOVE),
    'pipx install "pip-accel[s3]" '
    "export PIP_ACCEL_S3_BUCKET=our-wheels AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... "
    "pip-accel install -r requirements.txt": Shown(
        f"{PIPX}.*{INSTALLED}.*{INSTALLED}",
        "built example 1.0$.* 3 distributions in [^\n]* from a shared cache",
        lambda place: place.holds("outside") == {*NAMES},
        more="\nPIP_ACCEL_CACHE=$PWD/another pip-accel --python .venv install -r requirements.txt",
        variables={**FAST, **EMPTY}, needs=needs("pipx", "s3"),
    ),
    # A checkout
    "pip install .": Shown(
        "^Successfully installed pip-accel-",
        leaves=lambda place: place.holds("outside") == {"pip_accel"},
        variables=FAST, needs=needs("checkout", "index"),
    ),
    "python -m tests.lib.architecture": Shown(
        before="rm docs/architecture.rst", leaves=is_unchanged("docs/architecture.rst"), needs=needs("checkout")
    ),
    "python -m tests.lib.contract": Shown(
        before="rm docs/contract.rst", leaves=is_unchanged("docs/contract.rst"), needs=needs("checkout")
    ),
    "python -m tests.lib.option_table": Shown(
        before="rm docs/options.rst", leaves=is_unchanged("docs/options.rst"), needs=needs("checkout")
    ),
    "python3 benchmarks/quickstart.py": Shown(
        r"^Run 1, nothing is known yet: [\d.]+ seconds$.* built example 1\.0$.*"
        r"^Run 2, everything is there: [\d.]+ seconds$.* without network",
        variables=FAST, needs=needs("checkout", "index"),
    ),
    "python3 tests/lib/s3_server.py /tmp/s3-server": Shown(
        "^export PIP_ACCEL_S3_URL=http://127", until="# serves until Ctrl-C", needs=needs("checkout", "s3")
    ),
    "python3 tests/run.py": Shown(
        r"^ruff check \.$.*^mypy --strict pip_accel$.*^sphinx .* docs docs/_build/html$.*^pytest -m not slow ",
        variables=FAST, needs=needs("checkout", "index"),
    ),
    # Environments
    "python -m venv --without-pip .venv": Shown(before="rm -r .venv", leaves=is_empty(".venv")),
    "python -m venv --without-pip /opt/app": Shown(leaves=is_empty("opt/app")),
    "python -m venv /opt/pip-accel": Shown(leaves=lambda place: "pip" in place.holds("opt/pip-accel"), lasts=True),
    "python3 -m venv --clear --without-pip .venv": Shown(
        before="pip-accel --python .venv install -r requirements.txt", leaves=is_empty(".venv")
    ),
    # Installations
    "alias": Shown(
        INSTALLED, LOCAL, has("one"),
        more="\npip install -r requirements.txt", variables={"VIRTUAL_ENV": "{place}/one"},
    ),
    "export PIP_ACCEL_CACHE=$(mktemp -d) PIP_ACCEL_LOG_VERBOSITY=debug pip-accel --python one install docopt requests":
        Shown(leaves=lambda place: "docopt" in place.holds("one"), needs=needs("index")),
    "pip install -r requirements.txt": Shown(INSTALLED),
    'pip install "pip-accel[s3]"': Shown("^Successfully installed boto3-2.0$"),
    "pip download --no-deps": Shown("^Successfully downloaded example$", more=" example"),
    "pip-accel --python .venv install -r requirements.txt": Shown(INSTALLED, LOCAL, has(".venv")),
    "pip-accel --python path/to/environment install -r requirements.txt":
        Shown(INSTALLED, LOCAL, has("path/to/environment")),
    "pip-accel --python two install docopt requests": Shown(
        leaves=lambda place: "docopt" in place.holds("two") and not place.index.requests,
        variables=EMPTY, needs=needs("index"),
    ),
    "pip-accel WORDS…": Shown(r"^pip \d"),
    "pip-accel help install": Shown("pip install .*Install Options:", leaves=is_empty("outside")),
    "pip-accel install": Shown(tells="^ERROR: You must give at least one requirement to install", status=1),
    "pip-accel install --no-cache-dir": Shown(
        r"^Successfully installed example-1\.0$", r"built example 1\.0", more=" example"
    ),
    "pip-accel install -r requirements.txt": Shown(INSTALLED, LOCAL, has("outside")),
    "python -m pip_accel": Shown("^Usage: pip-accel "),
    "python -m pip_accel WORDS…": Shown(r"^pip \d"),
    "/opt/app/bin/python -m app": Shown("^app$"),
    "/opt/pip-accel/bin/pip-accel --python .venv install -r requirements.txt": Shown(INSTALLED, LOCAL, has(".venv")),
    ".venv/bin/python -m pytest": Shown("^pytest$"),
    "PIP_ACCEL_CACHE=/var/cache/pip-accel /opt/pip-accel/bin/pip-accel --python /opt/app install -r requirements.txt":
        Shown(INSTALLED, r"built example 1\.0$", lambda place: place.holds("opt/app") == {*NAMES}),
    '#!/bin/sh exec pip-accel --python "${VIRTUAL_ENV:?}" "$@"':
        Shown(
            INSTALLED, LOCAL, has("two"),
            words=("install", "-r", "requirements.txt"), variables={"VIRTUAL_ENV": "{place}/two"},
        ),
    # pip-accel itself
    "pipx install pip-accel": Shown(
        PIPX, leaves=lambda place: os.access(place.path / "bin" / "pip-accel", os.X_OK),
        variables=FAST, needs=needs("pipx"), lasts=True,
    ),
    'pipx install "pip-accel[s3]"': Shown(PIPX, variables=FAST, needs=needs("pipx")),
    'python -m pip wheel --wheel-dir "$HOME/pip-accel-wheels" pip-accel':
        Shown(leaves=lambda place: list(place.path.glob("pip-accel-wheels/pip_accel-1.0*.whl"))),
    "/opt/pip-accel/bin/pip install pip-accel":
        Shown(r"^Successfully installed .* pip-accel-1\.0", variables=FAST, lasts=True),
    # System packages
    "pip-accel deps": Shown(tells="^ERROR: Please say what for: ", status=1),
    "pip-accel deps --dockerfile -r requirements.txt": Shown(
        "^RUN apt-get update && apt-get install .* liblzo2-dev && rm ", before=ASK_FOR_MORE, needs=needs("apt")
    ),
    "pip-accel deps --from-log build.log": Shown("apt-get install .* liblzo2-dev$", needs=needs("apt")),
    "pip-accel deps --help": Shown("^Usage: pip-accel deps "),
    "pip-accel deps --json -r requirements.txt": Shown(
        r'^\{.*"packages": \[\s*"liblzo2-dev"', before=ASK_FOR_MORE, needs=needs("apt")
    ),
    "pip-accel deps -r requirements.txt": Shown(
        "apt-get install .* liblzo2-dev$", before=ASK_FOR_MORE, leaves=is_empty("outside"), needs=needs("apt")
    ),
}  # fmt: skip

OUTSIDE = "tests/functional/test_tox.py::test_tox_makes_the_environments_again_with_one_pip_accel_outside"
INSIDE = "tests/functional/test_tox.py::test_tox_makes_an_environment_with_a_pip_accel_in_it"
#: A file that only Fedora could run; others there have programs that stand in for such.
FEDORA = "tests/unit/test_deps.py::test_the_files_in_the_documentation_can_be_read"
#: Commands that cannot be run here: the tests that run them, one of them always, and why.
ELSEWHERE = {
    "dnf install --assumeyes --setopt=install_weak_deps=False": (FEDORA, "for Fedora"),
    "pip-accel --python {env_python} install {opts} {packages}": (OUTSIDE, "tox fills it in"),
    "pip-accel --python '{env_python}' install '{opts}' '{packages}'": (OUTSIDE, "as in the other form of the recipe"),
    "pip-accel install python-ldap": (
        "tests/functional/test_system_packages.py::test_on_a_terminal_one_question_is_asked_and_no_is_no",
        "asks on a terminal, and installs packages of Debian",
    ),
    "python -m tests.lib.invocations --write-docs": (
        "tests/functional/test_invocations.py::test_an_invocation_does_what_pip_does",
        "takes an hour; a sample is judged each time",
    ),
    "python3 benchmarks/compare.py": (
        "tests/functional/test_documentation.py::test_the_benchmarks_compare_a_small_set_and_write_their_page "
        "tests/unit/test_benchmarks.py::test_without_options_all_is_compared",
        "takes an hour",
    ),
    r'rpm --query --all --queryformat "%{NAME}\n"': (FEDORA, "for Fedora"),
    "sh {tox_root}/tox-install.sh {opts} {packages}": (INSIDE, "tox fills it in"),
    "test -e /etc/fedora-release": (FEDORA, "for Fedora"),
    "tox -r": (OUTSIDE, "needs a project with a tox.ini"),
    "tox-install-sh": (INSIDE, "for tox"),
    "tox-override": (
        "tests/functional/test_tox.py::test_the_recipes_for_one_pip_accel_outside_say_the_same",
        "for tox",
    ),
}

#: Pages whose blocks go on from each other, or share what takes long to make.
IN_ONE_PLACE = {"docs/how-it-decides.rst", "docs/recipes.rst"}
COMMANDS = collect_commands()


def groups() -> Iterator[Any]:
    """Commands that are run in one place: those of a block, or one in a sentence. None is run the same way twice."""
    together: dict[str, list[str]] = {}
    for number, command in enumerate(COMMANDS):
        if command.key in SHOWN:
            block = command.path if command.block and command.path in IN_ONE_PLACE else command.block
            keys = together.setdefault(block or str(number), [])
            if command.key not in keys or not SHOWN[command.key].lasts:
                keys.append(command.key)
    kept: list[str] = []
    for keys in sorted(together.values(), key=len, reverse=True):
        joined = "\0".join(["", *keys, ""])
        if not any(joined in other for other in kept):
            kept.append(joined)
            first = next(command for command in COMMANDS if command.key == keys[0])
            marks = [NEEDS[need] for key in keys for need in sorted(SHOWN[key].needs & NEEDS.keys())]
            yield pytest.param(keys, id=f"{first.path}:{first.line} {first.key[:40]}", marks=marks)


def required(lines: Iterable[str]) -> dict[str, metadata.Distribution]:
    """What is installed here and required by these lines, and all that it requires itself."""
    found: dict[str, metadata.Distribution] = {}
    for line in lines:
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
            distribution = metadata.distribution(requirement.name)
            found |= {requirement.name: distribution, **required(distribution.requires or ())}
    return found


def link(distribution: metadata.Distribution, directory: Path) -> None:
    """Make a distribution that is installed here appear in a directory as well."""
    for name in {path.parts[0] for path in distribution.files or () if path.parts[0] not in ("..", "__pycache__")}:
        (directory / name).symlink_to(distribution.locate_file(name))


def repack(distribution: metadata.Distribution, name: str, archives: str) -> None:
    """Write a wheel of a distribution that is installed here."""
    top = str(distribution.locate_file(""))
    files = {
        str(path): Path(top, path).read_bytes()
        for path in distribution.files or ()
        if ".." not in path.parts and "__pycache__" not in path.parts and not path.parts[0].endswith(".dist-info")
    }
    entry_points = distribution.read_text("entry_points.txt") or ""
    text = distribution.read_text("METADATA")
    make_wheel(archives, name, distribution.version, files=files, metadata=text, entry_points=entry_points)


def write_archives(archives: str) -> str:
    """Write what the index has: what is asked for, pip-accel as it is here, what that runs on and is tested with.

    :returns: path of the wheel of pip-accel.
    """
    described: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", described.update)
        patch.chdir(CHECKOUT)
        runpy.run_path("setup.py")
    package = Path(CHECKOUT, "pip_accel")
    sources = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    points = described["entry_points"].items()
    wheel = make_wheel(
        archives,
        "pip-accel",
        described["version"],
        files={path.relative_to(CHECKOUT).as_posix(): path.read_bytes() for path in sources},
        requires=described["install_requires"],
        extras=described["extras_require"],
        entry_points="".join("".join(f"{line}\n" for line in [f"[{group}]", *lines]) for group, lines in points),
    )
    for name, distribution in required(described["install_requires"]).items():
        repack(distribution, name, archives)
    for name in {Requirement(line).name for lines in described["extras_require"].values() for line in lines} | {"app"}:
        main = f"import sys\nprint(*[{name!r}, *sys.argv[1:]])\n"  # says what it was called with
        make_wheel(archives, name, "2.0", files={f"{name}/__init__.py": "", f"{name}/__main__.py": main})
    make_sdist(archives, "example", "1.0")
    make_sdist(archives, "fails", "1.0", fail=True, output=LOG)
    make_sdist(archives, "docopt", "0.6.2", backend="setup.py")
    make_wheel(archives, "requests", "2.32.0", requires=list(ITS_REQUIREMENTS.values()), requires_python=">=3.8")
    for name, line in ITS_REQUIREMENTS.items():
        make_wheel(archives, name, line.partition(">=")[2], requires_python=">=3.8")  # counts for pip's order
    return wheel


def write_program(path: Path, python: str, module: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{python}" -m {module} "$@"\n')
    path.chmod(0o755)


class Bench:
    """What all places have in common: an index, a checkout, and the model of a place that has been used already."""

    def __init__(self, directory: Path, index: IndexServer) -> None:
        archives = str(directory / "archives")
        wheel = write_archives(archives)
        for name in os.listdir(archives):
            index.add(os.path.join(archives, name))
        self.index = index
        self.checkout = directory / "checkout"
        for name in DIRECTORIES:
            ignore = shutil.ignore_patterns("__pycache__", "html")
            shutil.copytree(Path(CHECKOUT, name), self.checkout / name, symlinks=True, ignore=ignore)
        for name in FILES:
            shutil.copy(Path(CHECKOUT, name), self.checkout)
        for name in REQUIREMENT_FILES:
            (self.checkout / name).write_text("".join(f"{name}\n" for name in NAMES))
        self.tool = directory / "tool"  #: pip-accel and what it runs on, which all places share
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.tool)
        [described] = self.tool.glob("*.dist-info")
        for distribution in required(metadata.PathDistribution(described).requires or ()).values():
            link(distribution, self.tool)
        self.boto3 = directory / "boto3"
        self.boto3.mkdir()
        # The pip that pipx has for all that it installs, and would take seconds to make.
        pipx = make_environment(str(directory / "pipx"))
        link(metadata.distribution("pip"), Path(pipx.site_packages))
        write_program(directory / "pipx" / "bin" / "pip", pipx.python, "pip")
        self.model = directory / "model"
        self._make_model()

    def _make_model(self) -> None:
        """Make a place with an own pip-accel, empty environments, and a data directory that has what is asked for."""
        outside = make_environment(str(self.model / "outside"))
        Path(outside.site_packages, "tool.pth").write_text(f"{self.tool}\n")
        (self.model / "bin").mkdir()
        for path, python, module in (
            ("outside/bin/pip", "${0%/*}/python", "pip"),
            ("outside/bin/pip-accel", "${0%/*}/python", "pip_accel"),
            ("bin/pipx", sys.executable, "pipx"),
        ):
            write_program(self.model / path, python, module)
        (self.model / "requirements.txt").write_text("".join(f"{name}\n" for name in NAMES))
        (self.model / "build.log").write_text(LOG)
        for name in ("opt", "tmp", "var/cache"):
            (self.model / name).mkdir(parents=True)
        make_environment(str(self.model / "scratch"))
        place = Place(self.model, self.checkout, self.index, None, "")
        place.run("pip-accel --python scratch install -r requirements.txt")
        shutil.rmtree(self.model / "scratch")
        for name in ENVIRONMENTS:
            make_environment(str(self.model / name))

    def place(self, path: Path, server: Server | None = None, prefix: str = "") -> Place:
        """Make a place like the model; its pip-accel can use S3 if there is a server."""
        shutil.copytree(self.model, path, symlinks=True)
        if server is not None:
            if not os.listdir(self.boto3):
                for distribution in required(["boto3"]).values():
                    link(distribution, self.boto3)
            [packages] = path.glob("outside/lib/p*/site-packages")
            (packages / "boto3.pth").write_text(f"{self.boto3}\n")
        return Place(path, self.checkout, self.index, server, prefix)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with IndexServer() as index:
        yield Bench(tmp_path_factory.mktemp("documentation"), index)


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """Gives an S3 server, the same one each time."""
    with ExitStack() as stack:
        servers: list[Server] = []

        def open_server() -> Server:
            if not servers:
                servers.append(stack.enter_context(seaweed_server(tmp_path_factory.mktemp("served"))))
            return servers[0]

        yield open_server


@pytest.mark.parametrize("keys", list(groups()))
def test_a_command_does_what_the_documentation_says(keys, bench, open_server, tmp_path):
    needed = {need for key in keys for need in SHOWN[key].needs}
    place = bench.place(tmp_path / "place", open_server() if "s3" in needed else None, tmp_path.name)
    if "index" in needed:
        bench.index.add(setuptools_wheel())
    for key in keys:
        command = next(command for command in COMMANDS if command.key == key)
        shown = SHOWN[key]
        cwd = place.checkout if "checkout" in shown.needs else None
        if shown.before:
            place.run(shown.before, cwd=cwd, **shown.variables)
        bench.index.reset()
        if shown.until:
            run = place.interrupt(command.text, shown.until)
        else:
            text = command.text + shown.more
            run = place.run(text, *shown.words, status=shown.status, cwd=cwd, **shown.variables)
        said = f"{command.path}:{command.line}: {key}\n{run.stdout}{run.stderr}"
        assert re.search(shown.says, run.stdout, re.MULTILINE | re.DOTALL), said
        assert re.search(shown.tells, run.stderr, re.MULTILINE | re.DOTALL), said
        assert shown.leaves(place), said
        lines = PREFIX.sub("", run.stdout + run.stderr)
        for line in command.prints:
            assert re.search("^{}$".format(re.escape(line).replace("…", ".*")), lines, re.MULTILINE), f"{line}\n{said}"


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the benchmarks need Python 3.11")
def test_the_benchmarks_compare_a_small_set_and_write_their_page(bench, tmp_path):
    (tmp_path / "uv.txt").write_text("uv\n")
    uv = frozen_index(str(tmp_path / "uv.txt"))
    for path in [setuptools_wheel(), *(os.path.join(uv, name) for name in os.listdir(uv))]:
        bench.index.add(path)
    page = bench.checkout / "docs" / "benchmarks.rst"
    page.unlink()
    text = "python3 benchmarks/compare.py --write-docs --only synthetic-1 --scenario warm --rounds 1 --size 3"
    bench.place(tmp_path / "place").run(text, cwd=bench.checkout, **FAST)
    assert re.search(r"^warm +synthetic-1 +pip-accel +[\d.]+ ", page.read_text("utf-8"), re.MULTILINE)


# The tables


def test_every_command_is_run_here_or_by_another_test():
    missing = [f"{each.path}:{each.line}: {each.key}" for each in COMMANDS if each.key not in {*SHOWN, *ELSEWHERE}]
    assert not missing, "each needs a line in SHOWN or in ELSEWHERE"


def test_all_that_is_in_the_tables_is_in_the_documentation():
    known = {command.key for command in COMMANDS}
    assert [key for key in (*SHOWN, *ELSEWHERE) if key not in known] == []
    assert not SHOWN.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("key", ELSEWHERE)
def test_tests_that_run_a_command_elsewhere_exist(key):
    tests, reason = ELSEWHERE[key]
    slow = []
    for test in tests.split():
        path, _, name = test.partition("::")
        assert name in find_tests(path), test
        slow.append(find_tests(path)[name])
    assert not all(slow), "each test of it is slow"
    assert reason


def is_something_else(block: Block) -> bool:
    """Whether a block that has no language is a picture, messages of pip-accel, or Python."""
    if any(re.search(r"─►|->", line) for line in block.lines):
        return True
    if all(re.match(r"(?:DEBUG|INFO|WARNING|ERROR)[: ]", line) for line in block.lines):
        return True
    try:
        return bool(ast.parse("\n".join(block.lines)))
    except SyntaxError:
        return False


def test_a_block_without_a_language_is_known_for_what_it_is():
    blocks = [
        block for page in pages() for block in read_blocks(page.read_text("utf-8"), page.name) if not block.language
    ]
    assert len(blocks) > 10
    assert [block for block in blocks if not is_for_a_shell(block) and not is_something_else(block)] == []
