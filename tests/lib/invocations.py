"""The invocations of ``install`` that people use, and the judge's word on each of them for several versions of pip.

:data:`MATRIX` is the table. :func:`judge_case` carries one of it out: with pip into one side, with pip-accel and an
empty data directory into another one, and where that says something with pip-accel once more, from what the first run
kept. The archives are real ones, from frozen indexes, and made ones where no real one has the oddity.

As a command it judges all of them and writes ``docs/invocations.rst``::

    python -m tests.lib.invocations --write-docs
    python -m tests.lib.invocations --pip 26.3 --case "an upgrade" --case "a constraint file"

What was judged is kept, so that a run which was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.lib.archives import make_sdist, make_wheel
from tests.lib.environments import cache_directory, clean_environ, fetching, make_environment
from tests.lib.frozen import frozen_index
from tests.lib.index import ARCHIVE_SUFFIXES, IndexServer
from tests.lib.judge import Difference, Side, compare_sides, drop_permitted, run_side
from tests.lib.runs import CHECKOUT, run_pip, summary

__all__ = ["MATRIX", "PIPS", "Bench", "Case", "Verdict", "find_case", "judge_case", "main", "open_bench"]

#: The versions of pip that are the model, each one also as the pip beside pip-accel; the oldest first.
PIPS = ("25.3", "26.0", "26.3")
#: What a host needs beside pip: the requirements of pip-accel.
HOST_REQUIREMENTS = """\
cached-property
coloredlogs
humanfriendly
packaging
pyproject-hooks
setuptools
tomli; python_version < "3.11"
"""
#: Requirement files whose frozen indexes make up one index together: pip takes one version of a project from each.
ARCHIVES = {
    "new": """\
attrs==26.1.0
click==8.5.1
colorama==0.4.6
idna==3.20
iniconfig==2.3.1
jinja2==3.1.6
markupsafe==3.0.4
packaging==26.3
pluggy==1.7.0
python-dateutil==2.9.0.post0
requests[socks]==2.34.2
six==1.17.0
tabulate[widechars]==0.10.0
zope.event==6.2
""",
    "old": """\
attrs==25.4.0
click==8.1.8
colorama==0.4.5
idna==3.10
iniconfig==2.0.0
markupsafe==3.0.2
packaging==25.0
pluggy==1.6.0
python-dateutil==2.8.2
six==1.16.0
tabulate==0.9.0
""",
    "source": """\
--no-binary colorama,docopt,idna,markupsafe,six
colorama==0.4.6
docopt==0.6.2
idna==3.20
markupsafe==3.0.4
six==1.17.0
""",
}
#: Differences that lie in the nature of what a case leaves behind: category, pattern of the path, and the reason.
GIT_STATE = (
    ("content", "*/.git/*", "git's own files hold the time of the clone"),
    ("missing", "*/.git/*", "how git packs its objects is its own affair"),
    ("extra", "*/.git/*", "how git packs its objects is its own affair"),
)
TWO_VERSIONS = (
    ("output", "stdout", "of two versions that are there pip names the one whose directory it reads first"),
)
FINDER = (("code", "*/__editable___*_finder.*.pyc", "the path of the project is one of its constants"),)
BUILD_ERROR = (("alarm", "stderr", "what a build that failed has said is told in words of pip-accel"),)

#: Runs a module of the host in a directory. The checkout is not put on the path of what pip itself runs.
RUN_MODULE = """\
import os, runpy, sys
directory, checkout, module, *sys.argv[1:] = sys.argv[1:]
os.chdir(directory)
sys.path[0:1] = [checkout] if checkout else []
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
#: An interpreter that only serves to make environments, those that see the packages of the system.
WITH_SYSTEM_SITE = '#!/bin/sh\nexec {python} "$@" --system-site-packages\n'
#: What pip-accel says when it leaves a run to pip; with its variable for that, which changes nothing else.
HANDED_OVER = re.compile(r" DEBUG pip does all of it: (.*)$", re.MULTILINE)
#: What it says when it could have done it, and something failed: that is no reason, and so a difference.
GIVEN_UP = re.compile(r" WARNING (.*: pip does this run alone\.)$", re.MULTILINE)
VERBOSITY = {"PIP_ACCEL_LOG_VERBOSITY": "NOTSET"}
#: How many differences of a case are shown; they are all kept.
SHOWN = 8
#: Lines that alarm people, and the parts of them that are different in each run.
ALARM = re.compile(r"^(?:WARNING|ERROR|DEPRECATION):.*$", re.MULTILINE)
RANDOM = re.compile(r"\b(pip-[a-z-]+-|tmp)[a-z0-9_]{8}\b")
TEMPORARY = re.compile(r"\S*/(?=pip-(?:unpack|req-build)-)")


class Case(NamedTuple):
    """One invocation. In its texts ``{side}``, ``{index}`` and the like stand for what a run has (:func:`_values`)."""

    name: str  #: unique
    words: str  #: what follows ``install``, as for a shell
    status: int = 0  #: what pip gives
    since: str = ""  #: the first of :data:`PIPS` that has what is asked for
    prepare: tuple[str, ...] = ()  #: words of earlier installations, which pip carries out
    files: Mapping[str, str] = {}  #: contents by path, relative to the directory that the run works in
    remote: Mapping[str, str] = {}  #: contents by path below ``{web}``
    environ: Mapping[str, str] = {}
    before: str = ""  #: options of pip that stand before ``install``
    bare: bool = False  #: the words name the index themselves, if there is one
    system_site: bool = False  #: the environment sees the packages of the system
    umask: int = -1  #: of the run; -1 leaves the caller's
    warm: str = ""  #: ``yes``: judge a run from a warm cache, too; ``offline``: it also asks the index for nothing
    report: str = ""  #: path of the report below the side's directory, or ``-``
    log: str = ""  #: path of the log below the side's directory
    keeps_nothing: bool = False  #: no archive may be left in the data directory
    permitted: tuple[tuple[str, str, str], ...] = ()  #: more differences that are meant to be


class Verdict(NamedTuple):
    """What the judge says of a case."""

    differences: tuple[str, ...]  #: from pip, of both runs of pip-accel
    handed_over: str  #: why pip-accel let pip do it; empty if it did not
    seconds: tuple[float, ...]  #: wall-clock times of the runs: pip, pip-accel, pip-accel once more


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share; nothing of it changes."""

    directories: tuple[str, ...]  #: of archives, which the index serves
    other: str  #: directory of the archives of a second index
    repositories: str  #: directory of git repositories
    commits: Mapping[str, str]  #: the first commit of each repository
    python: str  #: the interpreter that environments are made of
    system_python: str  #: the same for environments that see the packages of the system

    def find(self, filename: str) -> str:
        """Path of an archive."""
        paths = (os.path.join(directory, filename) for directory in (*self.directories, self.other))
        return next(path for path in paths if os.path.exists(path))

    def digest(self, filename: str) -> str:
        """SHA-256 of an archive, in hex."""
        return hashlib.sha256(Path(self.find(filename)).read_bytes()).hexdigest()

    def serve(self) -> IndexServer:
        """An index of all archives."""
        index = IndexServer()
        for directory in self.directories:
            for name in os.listdir(directory):
                if name.endswith(ARCHIVE_SUFFIXES):
                    index.add(os.path.join(directory, name))
        index.add(self.find("eta-1.1-py3-none-any.whl"), yanked="it was a mistake")
        return index


def _flit(name: str, version: str = "1.0", *, more: str = "", directory: str = "project") -> dict[str, str]:
    """Files of a project that flit builds, also as an editable one."""
    return {
        f"{directory}/pyproject.toml": (
            '[build-system]\nrequires = ["flit_core >=3.11,<5"]\nbuild-backend = "flit_core.buildapi"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "A test."\n{more}'
        ),
        f"{directory}/{name}.py": f"__version__ = {version!r}\n",
    }


def _setup_py(name: str, version: str = "1.0", *, directory: str = "project") -> dict[str, str]:
    """Files of a project that has only a ``setup.py``."""
    keywords = f"name={name!r}, version={version!r}, py_modules=[{name!r}], scripts=['tool']"
    return {
        f"{directory}/setup.py": f"from setuptools import setup\nsetup({keywords})\n",
        f"{directory}/{name}.py": f"__version__ = {version!r}\n",
        f"{directory}/tool": "#!/usr/bin/env python\nprint('tool')\n",
    }


SIX = "six-1.17.0-py2.py3-none-any.whl"
OLD_SIX = "six-1.16.0-py2.py3-none-any.whl"
IDNA = "idna-3.20-py3-none-any.whl"
PYLOCK = f"""\
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "six"
version = "1.17.0"
[[packages.wheels]]
name = "{SIX}"
url = "{{files}}/{SIX}"
hashes = {{sha256 = "{{sha256:{SIX}}}"}}
[[packages]]
name = "mu"
version = "2.0"
[packages.sdist]
name = "mu-2.0.tar.gz"
url = "{{files}}/mu-2.0.tar.gz"
hashes = {{sha256 = "{{sha256:mu-2.0.tar.gz}}"}}
"""
GROUPS = """\
[dependency-groups]
test = ["iniconfig", "pluggy<1.7"]
dev = [{include-group = "test"}, "six"]
"""
SCRIPT = """\
# /// script
# requires-python = ">=3.8"
# dependencies = ["six", "tabulate<0.10"]
# ///
print("a script")
"""

#: The invocations by the title of their group.
MATRIX: Mapping[str, tuple[Case, ...]] = {
    "Requirements": (
        Case("a name", "six", warm="offline"),
        Case("a version", "six==1.16.0", warm="offline"),
        Case("several names", "six idna click colorama iniconfig", warm="offline"),
        Case("a range of versions", "'idna>=3,<3.20' 'click~=8.1.0' 'six!=1.17.0'", warm="offline"),
        Case("a version with a wildcard", "'pluggy==1.6.*'"),
        Case("a version as a string", "six===1.16.0"),
        Case("what requires others", "python-dateutil jinja2", warm="offline"),
        Case("an extra", "'tabulate[widechars]'", warm="offline"),
        Case("several extras", "'alpha[x,y]' 'alpha[x]==1.0'"),
        Case("an extra of a real project", "'requests[socks]'"),
        Case("an extra that is not there", "'six[nothing]' 'alpha[Z]'"),
        Case("a marker that holds", """'six; python_version >= "3"'"""),
        Case("a marker that does not hold", """'six; python_version < "3"' idna"""),
        Case("only a marker that does not hold", """'six; os_name == "other"'"""),
        Case("another spelling of a name", "Python_DateUtil ZOPE-Event OMI-cron_one"),
        Case("the same requirement twice", "six 'six>=1.16' SIX"),
        Case("requirements that exclude each other", "six==1.16.0 six==1.17.0", status=1),
        Case("requirements whose dependencies exclude each other", "needs-old needs-new", status=1),
        Case("a version whose dependencies cannot be met", "backs", warm="yes"),
        Case("distributions that require each other", "pi"),
        Case("no such project", "no-such-project", status=1),
        Case("no such version", "six==99", status=1),
        Case("a dependency that is not there", "needs-absent", status=1),
        Case("something that is no requirement", "'six=1.16'", status=1),
        Case("nothing to install", "", status=1),
        Case("a yanked version by its number", "eta==1.1", warm="yes"),
        Case("a project with a yanked version", "eta"),
        Case("a version for another Python", "iota"),
        Case("a version for another Python by its number", "iota==2.0", status=1),
        Case("only versions for another Python", "kappa", status=1),
        Case("a version beside a local one", "theta==1.0", warm="yes"),
        Case("a local version", "theta==1.0+local.1", warm="offline"),
        Case("wheels with build tags", "psi==1.0", warm="yes"),
        Case("a wheel for another platform", "nu", status=1),
        Case("a damaged wheel", "xi", status=1),
    ),
    "Pre-releases, wheels and source distributions": (
        Case("a project that has a pre-release", "epsilon"),
        Case("pre-releases", "--pre epsilon", warm="offline"),
        Case("a project that has only pre-releases", "zeta"),
        Case("a pre-release by its number", "epsilon==2.0rc1"),
        Case("a range that names a pre-release", "'epsilon>=2.0rc1'"),
        Case("pre-releases of one project", "--all-releases epsilon epsilon zeta", since="26.0"),
        Case("final releases only", "--pre --only-final=:all: epsilon", status=1, since="26.0"),
        Case("final releases of one project only", "--only-final epsilon epsilon", since="26.0"),
        Case("a source distribution in place of a wheel", "--no-binary six six", warm="offline"),
        Case("source distributions in place of all wheels", "--no-binary :all: mu"),
        Case("wheels again", "--no-binary :all: --no-binary :none: six"),
        Case("wheels only", "--only-binary :all: mu alpha", warm="offline"),
        Case("wheels only, of what has none", "--only-binary=docopt docopt", status=1),
        Case("a wheel rather than a newer source distribution", "--prefer-binary mu", warm="offline"),
        Case("a newer source distribution rather than a wheel", "mu", warm="offline"),
        Case("an extension in C", "--no-binary markupsafe markupsafe", warm="offline"),
        Case("uploaded before a moment that the index does not know", "--uploaded-prior-to 2025-01-01 six", status=1,
             since="26.0"),
    ),
    "Builds": (
        Case("a project with only a setup.py", "docopt", warm="offline"),
        Case("a project of flit", "--no-binary idna idna"),
        Case("a project of hatchling", "--no-binary colorama colorama"),
        Case("settings of a build", "-C one=1 --config-settings=two=2 sigma", warm="offline"),
        Case("settings of a build that are no pair", "-C one sigma", status=2),
        Case("without isolation", "--no-build-isolation docopt", prepare=("setuptools",)),
        Case("without isolation, and without what the build needs", "--no-build-isolation docopt", status=1,
             since="26.3", permitted=BUILD_ERROR),  # earlier ones crash
        Case("a build constraint", "--build-constraint build.txt docopt", files={"build.txt": "setuptools<84.2\n"},
             status=1, permitted=BUILD_ERROR),
        Case("a build constraint that can be met", "--build-constraint build.txt docopt",
             files={"build.txt": "setuptools>=80\n"}),
        Case("the standard of builds", "--use-pep517 docopt"),
        Case("a build that fails", "broken", status=1, permitted=BUILD_ERROR),
        Case("a build that fails beside others", "six broken alpha", status=1, permitted=BUILD_ERROR),
        Case("metadata that cannot be prepared", "broken-metadata", status=1, permitted=BUILD_ERROR),
        Case("without cleaning up", "--no-clean sigma", permitted=(
            ("missing", "tmp/*", "what pip leaves is named by chance"),
            ("extra", "tmp/*", "what pip leaves is named by chance"),
        )),
    ),
    "Requirement files": (
        Case("a requirement file", "-r requirements.txt", warm="offline", files={
            "requirements.txt": "# a comment\nsix==1.17.0\n\nidna >= 3 # another one\n  click ; python_version > '3'\n",
        }),
        Case("several requirement files and a name", "-rone.txt --requirement=two.txt --requirement two.txt pluggy",
             files={"one.txt": "six\n", "two.txt": "idna\n"}),
        Case("files that include others", "-r sub/one.txt", warm="offline", files={
            "sub/one.txt": "-r two.txt\n--requirement ../three.txt\n", "sub/two.txt": "six\n", "three.txt": "idna\n",
        }),
        Case("a file that includes itself", "-r one.txt", status=1, files={"one.txt": "six\n-r one.txt\n"}),
        Case("a file that includes constraints", "-r one.txt",
             files={"one.txt": "-c two.txt\nsix\nidna\n", "two.txt": "six<1.17\nidna==3.10\nclick==1.0\n"}),
        Case("continued lines", "-r requirements.txt",
             files={"requirements.txt": "six \\\n  == \\\n  1.16.0\n# no \\\nidna\n"}),
        Case("variables in a file", "-r requirements.txt", environ={"SIX_VERSION": "1.16.0", "INDEX": "{index}"},
             bare=True,
             files={"requirements.txt": "-i ${INDEX}\nsix==${SIX_VERSION}\nidna # $SIX_VERSION ${ABSENT}\n"}),
        Case("a file with a byte order mark", "-r requirements.txt", files={"requirements.txt": "\ufeffsix\nidna\n"}),
        Case("a file with another encoding", "-r requirements.txt",
             files={"requirements.txt": "# -*- coding: latin-1 -*-\nsix # \u00e4\n"}),
        Case("an empty file", "-r requirements.txt", files={"requirements.txt": "# nothing yet\n"}),
        Case("a file that is not there", "-r absent.txt", status=1),
        Case("a file with an unknown option", "-r requirements.txt", status=1,
             files={"requirements.txt": "--no-such-option\nsix\n"}),
        Case("a file with an invalid line", "-r requirements.txt", status=1, files={"requirements.txt": "six ==\n"}),
        Case("the index in a file", "-r requirements.txt", bare=True, warm="offline",
             files={"requirements.txt": "--index-url {index}\n--extra-index-url={other}\nsix\nomega\n"}),
        Case("formats in a file", "-r requirements.txt",
             files={"requirements.txt": "--no-binary six\n--only-binary mu\nsix\nmu\n"}),
        Case("links in a file", "-r sub/requirements.txt", bare=True, files={
            "sub/requirements.txt": "--no-index\n--find-links ../links\nsix\n",
            "links/page.html": "no archives here",
        }, status=1),
        Case("pre-releases in a file", "-r requirements.txt", files={"requirements.txt": "--pre\nepsilon\nzeta\n"}),
        Case("settings of one build in a file", "-r requirements.txt",
             files={"requirements.txt": "sigma --config-settings one=1 --config-settings='two=2'\nsix\n"}),
        Case("archives and directories in a file", "-r requirements.txt", files={
            "requirements.txt": "./project\n{files}/alpha-1.0-py3-none-any.whl\n", **_flit("local"),
        }),
        Case("an editable project in a file", "-r sub/requirements.txt",
             files={"sub/requirements.txt": "-e ./project\nsix\n", **_flit("local")}),
        Case("a file from a URL", "-r {web}/requirements.txt", warm="yes",
             remote={"requirements.txt": "-r more.txt\nsix<1.17\n", "more.txt": "idna\n"}),
        Case("a file from a URL that is not there", "-r {web}/absent.txt", status=1, remote={"a.txt": ""}),
        Case("a file from a file: URL", "-r file://{side}/here/requirements.txt", files={"requirements.txt": "six\n"}),
    ),
    "Constraints": (
        Case("a constraint file", "-c constraints.txt jinja2 idna", warm="offline",
             files={"constraints.txt": "markupsafe<3.0.4\nidna==3.10\nsix==1.16.0\n"}),
        Case("several constraint files", "-c one.txt --constraint=two.txt six idna",
             files={"one.txt": "six<1.17\n-c sub/three.txt\n", "sub/three.txt": "idna<3.20\n", "two.txt": "six>1\n"}),
        Case("a constraint with a marker", "-c constraints.txt six",
             files={"constraints.txt": "six<1.17; python_version < '3'\n"}),
        Case("constraints that exclude what is asked for", "-c constraints.txt six==1.17.0", status=1,
             files={"constraints.txt": "six<1.17\n"}),
        Case("a constraint on what is installed", "-c constraints.txt six", prepare=("six",),
             files={"constraints.txt": "six<1.17\n"}),
        Case("constraints from a URL", "-c {web}/constraints.txt six", remote={"constraints.txt": "six<1.17\n"}),
        Case("a URL as a constraint", "-c constraints.txt six",
             files={"constraints.txt": f"six @ {{files}}/{OLD_SIX}\n"}),
        Case("a constraint with an extra", "-c constraints.txt alpha", status=1,
             files={"constraints.txt": "alpha[x]==1.0\n"}),
        Case("an editable constraint", "-c constraints.txt six", status=1,
             files={"constraints.txt": "-e ./project\n", **_flit("local")}),
        Case("constraints in a variable", "six docopt", environ={"PIP_CONSTRAINT": "constraints.txt"},
             files={"constraints.txt": "six<1.17\n"}),
        Case("a constraint file that is not there", "-c absent.txt six", status=1),
    ),
    "Hashes": (
        Case("hashes in a file", "-r requirements.txt", warm="offline", files={
            "requirements.txt": f"six==1.17.0 --hash=sha256:{{sha256:{SIX}}} \\\n"
            f"  --hash=sha256:{'0' * 64}\nidna==3.20 --hash sha256:{{sha256:{IDNA}}}\n",
        }),
        Case("hashes of all kinds of archives", "--require-hashes -r requirements.txt", files={
            "requirements.txt": f"six==1.17.0 --hash=sha256:{{sha256:{SIX}}} "
            "--hash=sha256:{sha256:six-1.17.0.tar.gz}\n",
        }),
        Case("a hash of a source distribution", "-r requirements.txt", warm="offline",
             files={"requirements.txt": "docopt==0.6.2 --hash=sha256:{sha256:docopt-0.6.2.tar.gz}\n"}),
        Case("a wrong hash", "-r requirements.txt", status=1,
             files={"requirements.txt": f"six==1.17.0 --hash=sha256:{'0' * 64}\n"}),
        Case("a hash of a version that is not pinned", "-r requirements.txt",
             files={"requirements.txt": f"six --hash=sha256:{{sha256:{SIX}}}\n"}),
        Case("a dependency without a hash", "-r requirements.txt", status=1, files={
            "requirements.txt": "alpha==1.0 --hash=sha256:{sha256:alpha-1.0-py3-none-any.whl}\n",
        }),
        Case("hashes required and not given", "--require-hashes six==1.17.0", status=1),
        Case("hashes not required", "--no-require-hashes -r requirements.txt", since="26.3", files={
            "requirements.txt": f"six==1.17.0 --hash=sha256:{{sha256:{SIX}}}\nidna\n",
        }),
        Case("a hash in a URL", f"'{{files}}/{SIX}#sha256={{sha256:{SIX}}}'"),
        Case("a wrong hash in a URL", f"'{{files}}/{SIX}#sha256={'0' * 64}'", status=1),
    ),
    "What is installed already": (
        Case("what is there", "six", prepare=("six==1.16.0",), warm="yes"),
        Case("what is there by its number", "six==1.16.0", prepare=("six==1.16.0",)),
        Case("an upgrade", "-U six", prepare=("six==1.16.0",), warm="yes"),
        Case("an upgrade of what is the newest", "--upgrade six", prepare=("six",)),
        Case("a downgrade", "six==1.16.0", prepare=("six==1.17.0",), warm="yes"),
        Case("a range that excludes what is there", "'six<1.17'", prepare=("six",)),
        Case("an upgrade leaves dependencies", "-U python-dateutil", prepare=("python-dateutil==2.8.2 six==1.16.0",)),
        Case("an eager upgrade", "-U --upgrade-strategy eager python-dateutil",
             prepare=("python-dateutil==2.8.2 six==1.16.0",), warm="yes"),
        Case("an upgrade only if needed", "-U --upgrade-strategy=only-if-needed jinja2",
             prepare=("jinja2 markupsafe==3.0.2",)),
        Case("an upgrade strategy without an upgrade", "--upgrade-strategy eager jinja2",
             prepare=("jinja2 markupsafe==3.0.2",)),
        Case("a dependency that has to change", "needs-old", prepare=("beta==2.0",)),
        Case("the same again", "--force-reinstall six", prepare=("six==1.17.0",), warm="yes"),
        Case("the same again, with its dependencies", "--force-reinstall alpha", prepare=("alpha beta==1.0",)),
        Case("the same again, alone", "--force-reinstall --no-deps alpha", prepare=("alpha beta==1.0",)),
        Case("as if nothing was there", "-I six", prepare=("six==1.17.0",)),
        Case("as if nothing was there, another version", "-I six", prepare=("six==1.16.0",),
             permitted=TWO_VERSIONS),
        Case("without dependencies", "--no-deps alpha jinja2", warm="offline"),
        Case("what breaks others", "beta==1.0", prepare=("needs-new",), warm="yes"),
        Case("what breaks others, without a warning", "--no-warn-conflicts beta==1.0", prepare=("needs-new",)),
        Case("an extra of what is there", "'alpha[x]'", prepare=("alpha",)),
        Case("a URL in place of what is there", f"{{files}}/{SIX}", prepare=("six==1.17.0",)),
        Case("a name in place of a URL", "six", prepare=(f"{{files}}/{OLD_SIX}",)),
        Case("a version in place of an editable project", "alpha==1.0", prepare=("-e {side}/here/project",),
             files=_flit("alpha", "3.0")),
        Case("files that another one has, too", "beta", prepare=("overlaps",)),
    ),
    "URLs, archives and directories": (
        Case("a wheel from a URL", f"{{files}}/{SIX}", warm="yes"),
        Case("a name and a URL", "'alpha[x] @ {files}/alpha-1.0-py3-none-any.whl'"),
        Case("a source distribution from a URL", "{files}/sigma-1.0.tar.gz", warm="yes"),
        Case("a URL with a name", "'{files}/sigma-1.0.tar.gz#egg=sigma'"),
        Case("a URL that is not there", "{files}/absent-1.0-py3-none-any.whl", status=1),
        Case("a wheel from a file: URL", f"file://{{side}}/here/{SIX}", files={SIX: "{copy}"}),
        Case("a wheel by its path", f"./{SIX}", files={SIX: "{copy}"}, warm="offline"),
        Case("a source distribution by its path", "sigma-1.0.tar.gz",
             files={"sigma-1.0.tar.gz": "{copy}"}, warm="offline"),
        Case("a wheel and an extra by its path", "'./alpha-1.0-py3-none-any.whl[x]'",
             files={"alpha-1.0-py3-none-any.whl": "{copy}"}),
        Case("an archive that is not there", "./absent-1.0-py3-none-any.whl", status=1),
        Case("a wheel for another platform by its path", "./nu-1.0-cp311-cp311-win_amd64.whl", status=1,
             files={"nu-1.0-cp311-cp311-win_amd64.whl": "{copy}"}),
        Case("a directory", "./project", files=_flit("local", more='dependencies = ["beta<2"]\n'), warm="yes"),
        Case("the current directory and an extra", "'.[more]'",
             files=_flit("local", more='optional-dependencies.more = ["six"]\n', directory=".")),
        Case("a directory with only a setup.py", "./project", files=_setup_py("local")),
        Case("a directory by its URL", "'local @ file://{side}/here/project'", files=_flit("local")),
        Case("a directory without a project", "./project", status=1, files={"project/readme.txt": ""}),
        Case("a directory that is not there", "./absent", status=1),
        Case("a project that requires a URL", "./project",
             files=_flit("local", more='dependencies = ["beta @ {files}/beta-1.0-py3-none-any.whl"]\n'), warm="yes"),
        Case("a project that requires a repository", "./project six",
             files=_flit("local", more='dependencies = ["made @ git+file://{git}/made@v1.0", "beta"]\n'), warm="yes"),
        Case("an extra that requires a URL", "'./project[more]'",
             files=_flit("local", more='optional-dependencies.more = ["sigma @ {files}/sigma-1.0.tar.gz"]\n'
                                       'optional-dependencies.less = ["absent @ {files}/absent-1.0.tar.gz"]\n')),
        Case("an editable project that requires a URL", "-e ./project",
             files=_flit("local", more=f'dependencies = ["six @ {{files}}/{OLD_SIX} ; python_version > \\"3\\""]\n')),
        Case("a project that requires another URL than is asked for", f"./project {{files}}/{SIX}", status=1,
             files=_flit("local", more=f'dependencies = ["six @ {{files}}/{OLD_SIX}"]\n')),
        Case("a directory in an archive from a URL", "'{files}/many-1.0.tar.gz#subdirectory=inner'", warm="yes"),
        Case("a URL for another Python", "'six @ {files}/absent-1.0.tar.gz ; python_version < \"3\"' idna"),
        Case("an editable directory", "-e ./project", files=_flit("local", more='dependencies = ["six"]\n'),
             warm="yes"),
        Case("an editable directory with only a setup.py", "--editable project", files=_setup_py("local"),
             permitted=FINDER),
        Case("an editable directory and an extra", "-e './project[more]' idna",
             files=_flit("local", more='optional-dependencies.more = ["six"]\n')),
        Case("an editable directory that is not there", "-e ./absent", status=1),
        Case("an editable project again", "-e ./project", prepare=("-e {side}/here/project",), files=_flit("local")),
        Case("an editable URL that is no repository", "-e {files}/sigma-1.0.tar.gz", status=1),
    ),
    "Version control": (
        Case("a repository", "git+file://{git}/made", warm="yes"),
        Case("a tag of a repository", "'made @ git+file://{git}/made@v1.0'", warm="yes"),
        Case("a branch of a repository", "git+file://{git}/made@next"),
        Case("a commit of a repository", "git+file://{git}/made@{commit:made}", warm="yes"),
        Case("a directory of a repository", "'git+file://{git}/made#subdirectory=inner'"),
        Case("a repository that requires another one", "git+file://{git}/made@chain", warm="yes"),
        Case("a revision that is not there", "git+file://{git}/made@absent", status=1),
        Case("a repository that is not there", "git+file://{git}/absent", status=1),
        Case("a real project from its repository", "'idna @ git+file://{git}/idna'"),
        Case("an editable repository", "-e 'git+file://{git}/made#egg=made'", permitted=GIT_STATE, warm="yes"),
        Case("an editable repository in another directory",
             "--src {side}/sources -e 'git+file://{git}/made@v1.0#egg=made'", permitted=GIT_STATE),
        Case("a repository without its protocol", "git+/absent", status=1),
    ),
    "Indexes": (
        Case("the index by its short option", "-i {index} six", bare=True),
        Case("another index as well", "--extra-index-url {other} omega beta", warm="offline"),
        Case("an index with a user and a password", "--extra-index-url http://user:secret@{private}/simple/ omega"),
        Case("an index that refuses", "--extra-index-url http://{private}/simple/ --no-input omega", status=1),
        Case("an index that is not there", "-i http://127.0.0.1:9/simple/ --retries 0 six", bare=True, status=1),
        Case("a directory of archives", "--no-index -f {links} omega", bare=True, warm="offline"),
        Case("a directory of archives beside the index", "--find-links={links} omega alpha"),
        Case("a page of links", "--no-index --find-links {web}/page.html six", bare=True,
             remote={"page.html": f'<a href="{{files}}/{SIX}#sha256={{sha256:{SIX}}}">{SIX}</a>\n'}),
        Case("no index and no links", "--no-index six", bare=True, status=1),
        Case("no index, and it is there already", "--no-index six", bare=True, prepare=("-i {index} six",)),
        Case("a trusted host, a time limit and retries", "--trusted-host 127.0.0.1 --timeout 30 --retries 2 six"),
        Case("a proxy that is not there", "--proxy http://127.0.0.1:9 --retries 0 six", status=1),
        Case("fresh pages of a project", "--refresh-package six six", since="26.3"),
    ),
    "Where to": (
        Case("a target", "--target {side}/target tabulate alpha", warm="yes"),
        Case("a target by a relative path", "-t target six"),
        Case("a target twice", "-t target six alpha", prepare=("-t {side}/here/target six==1.16.0 alpha",)),
        Case("a target twice, with an upgrade", "-t target -U six", prepare=("-t {side}/here/target six==1.16.0",)),
        Case("a target with other files", "-t target six",
             files={"target/six.py": "mine\n", "target/a/b": "mine\n"}),
        Case("a target for another platform",
             "-t target --platform win_amd64 --python-version 3.12 --implementation cp --abi cp311 "
             "--only-binary=:all: six"),
        Case("another platform without a target", "--platform win_amd64 --only-binary=:all: six", status=1),
        Case("a prefix", "--prefix {side}/prefix alpha six", warm="yes"),
        Case("a prefix that has it already", "--prefix {side}/prefix six",
             prepare=("--prefix {side}/prefix six==1.16.0",), permitted=TWO_VERSIONS),
        Case("a root", "--root {side}/root alpha", warm="yes"),
        Case("a root and a prefix", "--root {side}/root --prefix=/usr alpha"),
        Case("the user's own, which the environment does not see", "--user six", status=1),
        Case("the user's own", "--user alpha six", system_site=True, warm="yes"),
        Case("the user's own, twice", "--user -U sigma", system_site=True, prepare=("--user mu==1.0 sigma",)),
        Case("not the user's own", "--no-user sigma", system_site=True),
        Case("beside the packages of the system", "alpha", system_site=True, warm="yes"),
        Case("two places at once", "--user --target target six", status=1),
        Case("a prefix for the user", "--user --prefix {side}/prefix six", status=1),
    ),
    "Output": (
        Case("quiet", "-q six", warm="yes"),
        Case("very quiet", "-qq docopt"),
        Case("quiet about an error", "-q no-such-project", status=1),
        Case("verbose", "-v six", warm="yes"),
        Case("very verbose", "-vv --no-deps alpha", prepare=("beta==1.0",)),
        Case("a dry run", "--dry-run python-dateutil", warm="yes"),
        Case("a dry run of an upgrade", "--dry-run -U six idna", prepare=("six==1.16.0 idna",)),
        Case("a report", "--report {side}/report.json tabulate", report="report.json", warm="yes"),
        Case("a report of a dry run", "--dry-run --ignore-installed --quiet --report {side}/report.json jinja2",
             prepare=("jinja2",), report="report.json"),
        Case("a report on standard output", "--dry-run -q --report - six mu", report="-"),
        Case("a report of all kinds",
             f"--report {{side}}/report.json 'six @ {{files}}/{SIX}' ./project git+file://{{git}}/made eta==1.1 "
             "'alpha[x]'", report="report.json", files=_flit("local")),
        Case("a log", "--log {side}/pip.log six", log="pip.log"),
        Case("without a progress bar and colours", "--progress-bar off --no-color six idna"),
        Case("without questions and warnings",
             "--no-input --no-python-version-warning --no-warn-script-location --root-user-action ignore "
             "--disable-pip-version-check tabulate"),
        Case("an umask for the group", "alpha six", umask=0o002),
    ),
    "Other options": (
        Case("without byte code", "--no-compile six click", warm="offline"),
        Case("without a cache", "--no-cache-dir six mu", keeps_nothing=True),
        Case("without a cache, before the command", "six", before="--no-cache-dir", keeps_nothing=True),
        Case("another cache", "--cache-dir {side}.pip-cache/other six"),
        Case("in spite of the system's packages", "--break-system-packages six"),
        Case("for another Python in spite of it", "--ignore-requires-python iota kappa"),
        Case("options before the command", "six", before="-q --no-color"),
        Case("abbreviated options", "--upgrade-s eager --no-comp --force six", prepare=("six",)),
        Case("options in one word", "-qUr requirements.txt", files={"requirements.txt": "six\n"},
             prepare=("six==1.16.0",)),
        Case("words after two dashes", "--no-deps -- six alpha"),
        Case("a feature", "--use-feature fast-deps six"),
        Case("a feature that is not there", "--use-feature no-such-feature six", status=2),
        Case("an unknown option", "--no-such-option six", status=2),
        Case("an option without its value", "six -r", status=2),
        Case("an option with a wrong value", "--upgrade-strategy always six", status=2),
        Case("an environment is required", "--require-virtualenv six"),
        Case("isolated from variables", "six", before="--isolated", environ={"PIP_NO_DEPS": "1", "PIP_DRY_RUN": "1"}),
        Case("what to do with what exists", "--exists-action w six"),
        Case("only dependencies", "--only-deps alpha", since="26.3"),
    ),
    "Groups, scripts and lock files": (
        Case("a group", "--group test", files={"pyproject.toml": GROUPS}, warm="yes"),
        Case("a group of a file, and a name", "--group sub/pyproject.toml:dev idna",
             files={"sub/pyproject.toml": GROUPS}),
        Case("a group that is not there", "--group absent", status=1, files={"pyproject.toml": GROUPS}),
        Case("a group without a file", "--group test", status=1),
        Case("what a script requires", "--requirements-from-script script.py", since="26.0",
             files={"script.py": SCRIPT}, warm="yes"),
        Case("a script that requires nothing", "--requirements-from-script script.py", since="26.0", status=1,
             files={"script.py": "print('a script')\n"}),
        Case("a lock file", "-r pylock.toml", since="26.3", files={"pylock.toml": PYLOCK}, warm="yes"),
        Case("a lock file with a name", "-r pylock.more.toml", since="26.3", files={"pylock.more.toml": PYLOCK}),
        Case("a lock file from a URL", "-r {web}/pylock.toml", since="26.3", remote={"pylock.toml": PYLOCK}),
        Case("a lock file that is none", "-r pylock.toml", since="26.3", status=1, files={"pylock.toml": "six\n"}),
    ),
    "Settings": (
        Case("the index in a variable", "six", bare=True, environ={"PIP_INDEX_URL": "{index}"}, warm="offline"),
        Case("several indexes in variables", "omega beta", bare=True,
             environ={"PIP_INDEX_URL": "{index}", "PIP_EXTRA_INDEX_URL": "{other} {index}"}),
        Case("links in a variable", "omega", bare=True, environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "{links}"}),
        Case("options in variables", "--no-input alpha python-dateutil",
             environ={"PIP_NO_DEPS": "true", "PIP_NO_COMPILE": "1", "PIP_UPGRADE": "yes"},
             prepare=("python-dateutil==2.8.2",)),
        Case("formats in a variable", "six mu", environ={"PIP_NO_BINARY": "six", "PIP_PREFER_BINARY": "on"}),
        Case("pre-releases in a variable", "epsilon", environ={"PIP_PRE": "1"}),
        Case("a place in a variable", "six", environ={"PIP_TARGET": "{side}/target"}),
        Case("a requirement file in a variable", "", environ={"PIP_REQUIREMENT": "requirements.txt"},
             files={"requirements.txt": "six\n"}),
        Case("quiet by a variable", "six", environ={"PIP_QUIET": "1"}),
        Case("without a cache by a variable", "six", environ={"PIP_NO_CACHE_DIR": "1"}, keeps_nothing=True),
        Case("a variable with a wrong value", "six", environ={"PIP_RETRIES": "often"}, status=3),
        Case("a configuration file", "alpha", bare=True, warm="offline",
             environ={"PIP_CONFIG_FILE": "{side}/here/pip.conf"},
             files={"pip.conf": "[global]\nindex-url = {index}\n[install]\nno-deps = true\ncompile = no\n"}),
        Case("a configuration file with other commands", "six", bare=True,
             environ={"PIP_CONFIG_FILE": "{side}/here/pip.conf"},
             files={"pip.conf": "[global]\nindex-url = {index}\n[download]\nno-deps = true\n[freeze]\nall = true\n"}),
        Case("the environment's configuration file", "six mu", environ={"PIP_CONFIG_FILE": ""},
             files={"../env/pip.conf": "[install]\nprefer-binary = true\nno-compile = true\n"}),
        Case("the user's configuration file", "six", environ={"PIP_CONFIG_FILE": "", "XDG_CONFIG_HOME": "{side}/xdg"},
             files={"../xdg/pip/pip.conf": "[install]\nconstraint = {side}/here/constraints.txt\n",
                    "constraints.txt": "six<1.17\n"}),
        Case("variables over configuration files over nothing", "six",
             environ={"PIP_CONFIG_FILE": "{side}/here/pip.conf", "PIP_COMPILE": "1"},
             files={"pip.conf": "[install]\ncompile = false\n[global]\nquiet = 1\n"}),
        Case("a password in the user's netrc", "--extra-index-url http://{private}/simple/ omega",
             environ={"NETRC": "{side}/here/netrc"},
             files={"netrc": "machine 127.0.0.1 login user password secret\n"}),
        Case("a broken configuration file", "six", environ={"PIP_CONFIG_FILE": "{side}/here/pip.conf"}, status=2,
             files={"pip.conf": "no section = here\n"}),
    ),
}  # fmt: skip


def find_case(name: str) -> Case:
    """The case with this name."""
    return next(case for cases in MATRIX.values() for case in cases if case.name == name)


def supports(pip: str, case: Case) -> bool:
    """Whether this version of pip has what the case asks for."""
    return not case.since or PIPS.index(pip) >= PIPS.index(case.since)


def provide_host(pip: str) -> str:
    """The interpreter of an environment with this version of pip and all that pip-accel needs; it is made once."""
    python = _base_python()
    name = f"{pip}-{hashlib.sha256((python + HOST_REQUIREMENTS).encode()).hexdigest()[:16]}"
    directory = os.path.join(cache_directory("hosts"), name)
    stamp = Path(directory, "complete")
    archives = _freeze("host", HOST_REQUIREMENTS)
    with fetching(f"host-{name}"):
        if not stamp.exists():
            shutil.rmtree(directory, ignore_errors=True)
            environment = make_environment(directory, python, pip=pip)
            requirements = Path(directory, "requirements.txt")
            requirements.write_text(HOST_REQUIREMENTS)
            run_pip(["install", "--no-index", "--find-links", archives, "-r", str(requirements)], environment)
            stamp.touch()
    return os.path.join(directory, "bin", "python")


def open_bench(directory: str) -> Bench:
    """Make what all cases share, in an empty directory; fetches the real archives if they are not there yet."""
    python = _base_python()
    system_python = Path(directory, "python-with-system-site")
    system_python.write_text(WITH_SYSTEM_SITE.format(python=shlex.quote(python)))
    system_python.chmod(0o755)
    frozen = [_freeze(name, text) for name, text in ARCHIVES.items()]
    made, other, repositories = (os.path.join(directory, name) for name in ("made", "other", "repositories"))
    _make_archives(made)
    make_wheel(other, "omega", "1.0", requires=["beta"])
    make_wheel(other, "beta", "3.0")
    [idna] = (path for each in frozen for path in Path(each).glob("idna-3.20.tar.gz"))
    commits = _make_repositories(repositories, idna)
    return Bench((made, *frozen), other, repositories, commits, python, str(system_python))


def judge_case(case: Case, pip: str, bench: Bench, workdir: str) -> Verdict:
    """Carry a case out and compare.

    :param workdir: an empty directory, which may be kept to look at. The path of a socket below it must not be long.
    :raises AssertionError: pip's own run gave another status than the case says.
    """
    interpreter = provide_host(pip)
    data = os.path.join(workdir, "data")
    with ExitStack() as stack:
        index = stack.enter_context(bench.serve())
        values = _values(case, bench, index, workdir, stack)

        def side(name: str, module: str) -> Side:
            directory = os.path.join(workdir, name)
            work = os.path.join(directory, "here")
            own = {**values, "{side}": directory}
            _write_files(work, case.files, own, bench)
            checkout = CHECKOUT if module == "pip_accel" else ""
            environ = {name: _fill(value, own) for name, value in case.environ.items()}
            done = run_side(
                directory,
                [interpreter, "-c", RUN_MODULE, work, checkout, module, *shlex.split(case.before)],
                shlex.split(_fill(case.words, values)),
                index_args=[] if case.bare else ["--index-url", index.url],
                python=bench.system_python if case.system_site else bench.python,
                prepare=[shlex.split(_fill(words, values)) for words in case.prepare],
                pip_python=interpreter,
                environ={"PIP_ACCEL_CACHE": data, **VERBOSITY, **environ},
                umask=case.umask,
            )  # fmt: skip
            inside = f"{directory}/root{directory}"  # with --root {side}/root: a path that is another one on each side
            if os.path.exists(inside):
                os.rename(inside, os.path.join(directory, "root", "side"))
            return done

        pip_side = side("one", "pip")
        if pip_side.status != case.status:
            output = f"{pip_side.stdout}{pip_side.stderr}"
            raise AssertionError(f"pip {pip} itself gave status {pip_side.status}, not {case.status}:\n{output}")
        first = side("two", "pip_accel")
        runs = {"": first}
        if case.warm:
            index.reset()
            runs["warm: "] = side("six", "pip_accel")
        requests = list(index.requests)
    found = [label + str(difference) for label, run in runs.items() for difference in _compare(case, pip_side, run)]
    # The judge has found some of them in two ways.
    differences = list(dict.fromkeys(each.replace(workdir, "<workdir>") for each in found))
    handed_over = _handed_over(first, data)
    if case.keeps_nothing and (kept := _find_kept(data)):
        differences.append(f"kept: {os.path.relpath(kept, data)}")
    if case.warm == "offline" and not handed_over and requests:
        differences.append(f"warm: requests: {len(requests)}, the first of them {requests[0]}")
    return Verdict(tuple(differences), handed_over, tuple(run.seconds for run in (pip_side, *runs.values())))


def _base_python() -> str:
    """The interpreter that the present one's environment was made of."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _freeze(name: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
        requirements = Path(directory, "requirements.txt")
        requirements.write_text(text)
        return frozen_index(str(requirements), python=_base_python())


def _make_archives(directory: str) -> None:
    """Write the made archives: what each of them is for is in the cases that name it."""
    make_wheel(
        directory, "alpha", "1.0", requires=["beta"], extras={"x": ["gamma"], "y": ["delta>=1"]},
        files={"alpha/__init__.py": "def main():\n    print('alpha')\n", "alpha/data.ini": "[alpha]\n"},
        entry_points="[console_scripts]\nalpha = alpha:main\n[gui_scripts]\nalpha-gui = alpha:main\n",
        data={"scripts/tool": "#!python\nprint('tool')\n", "data/share/alpha/readme.txt": "read me\n",
              "headers/alpha.h": "#define ALPHA 1\n"},
    )  # fmt: skip
    for version in ("1.0", "2.0"):
        make_wheel(directory, "beta", version)
    make_wheel(directory, "gamma", "1.0")
    make_wheel(directory, "delta", "1.0")
    make_wheel(directory, "epsilon", "1.0")
    make_wheel(directory, "epsilon", "2.0rc1")
    make_wheel(directory, "zeta", "1.0b1")
    make_wheel(directory, "eta", "1.0")
    make_wheel(directory, "eta", "1.1")
    make_wheel(directory, "theta", "1.0")
    make_wheel(directory, "theta", "1.0+local.1")
    make_wheel(directory, "iota", "1.0", requires_python=">=3.8")
    make_wheel(directory, "iota", "2.0", requires_python=">=4")
    make_wheel(directory, "kappa", "1.0", requires_python=">=4")
    make_wheel(directory, "needs-old", "1.0", requires=["beta<2"])
    make_wheel(directory, "needs-new", "1.0", requires=["beta>=2"])
    make_wheel(directory, "needs-absent", "1.0", requires=["absent"])
    make_wheel(directory, "backs", "1.0", requires=["beta<2"])
    make_wheel(directory, "backs", "2.0", requires=["beta>=9"])
    make_wheel(directory, "overlaps", "1.0", files={"overlaps.py": "", "beta.py": "# not that of beta\n"})
    make_wheel(directory, "pi", "1.0", requires=["rho"])
    make_wheel(directory, "rho", "1.0", requires=["pi"])
    make_wheel(directory, "Omi.cron-One", "1.0")
    make_wheel(directory, "mu", "1.0")
    make_sdist(directory, "mu", "2.0")
    make_wheel(directory, "nu", "1.0", tag="cp311-cp311-win_amd64")
    for build in ("1", "2"):
        make_wheel(directory, "psi", "1.0", build=build, files={"psi.py": f"BUILD = {build}\n"})
    make_sdist(directory, "sigma", "1.0", requires=["beta<2"], entry_points="[console_scripts]\nsigma = sigma:main\n")
    make_sdist(directory, "many", "1.0", extra_files=_flit("within", directory="inner"))
    make_sdist(directory, "broken", "1.0", fail=True)
    old = "Metadata-Version: 2.1\nName: broken-metadata\nVersion: 1.0\n"  # from 2.2 on the hook need not be asked
    make_sdist(
        directory, "broken-metadata", "1.0", fail="prepare_metadata_for_build_wheel", extra_files={"PKG-INFO": old}
    )
    Path(directory, "xi-1.0-py3-none-any.whl").write_bytes(b"this is no wheel")


def _make_repositories(directory: str, sdist: Path) -> dict[str, str]:
    """Make the repositories ``made``, with two versions and a branch, and ``idna``, of the files of its sdist.

    :returns: the first commit of each, by name.
    """
    made, idna = Path(directory, "made"), Path(directory, "idna")
    git = functools.partial(_git, made)
    _write_files(str(made), {**_flit("made", directory="."), **_flit("within", directory="inner")}, {})
    git("init", "--quiet", "--initial-branch", "main")
    _commit(made)
    git("tag", "v1.0")
    _write_files(str(made), _flit("made", "2.0", directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "-b", "next")
    _write_files(str(made), _flit("made", "3.0", more='dependencies = ["six"]\n', directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "-b", "chain")
    more = f'dependencies = ["idna @ git+file://{idna}"]\n'
    _write_files(str(made), _flit("made", "4.0", more=more, directory="."), {})
    _commit(made)
    git("checkout", "--quiet", "main")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.unpack_archive(sdist, scratch, filter="data")
        shutil.copytree(Path(scratch, "idna-3.20"), idna)
    _git(idna, "init", "--quiet", "--initial-branch", "main")
    _commit(idna)
    return {each.name: _git(each, "rev-list", "--max-parents=0", "HEAD").strip() for each in (made, idna)}


def _commit(repository: Path) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message", "A commit")


def _git(repository: Path, *words: str) -> str:
    """Run git without anybody's settings; all commits are of the same moment, and so have the same names each time."""
    moment = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "A tester"), ("EMAIL", "tester@example.org"), ("DATE", "2020-02-02T02:02:02Z"),
    )}  # fmt: skip
    environ = clean_environ(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", **moment)
    done = subprocess.run(["git", "-C", repository, *words], env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def _values(case: Case, bench: Bench, index: IndexServer, workdir: str, stack: ExitStack) -> dict[str, str]:
    """What the words in braces become, except ``{side}``. Servers are only started for those that the case has."""
    text = repr(case)
    values = {
        "{index}": index.url,
        "{files}": f"http://{index.host}/files",
        "{links}": bench.other,
        "{git}": bench.repositories,
        **{f"{{commit:{name}}}": commit for name, commit in bench.commits.items()},
        **{each: bench.digest(each[len("{sha256:") : -1]) for each in re.findall(r"\{sha256:[^}]+\}", text)},
    }
    if "{other}" in text:
        values["{other}"] = stack.enter_context(IndexServer(bench.other)).url
    if "{private}" in text:
        values["{private}"] = stack.enter_context(IndexServer(bench.other, auth=("user", "secret"))).host
    if "{web}" in text:
        web = os.path.join(workdir, "web")
        _write_files(web, case.remote, values)
        values["{web}"] = stack.enter_context(_serve_files(web))
    return values


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in; not as :meth:`str.format` does, as texts have braces of their own."""
    return re.sub(r"\{[a-z0-9]+(?::[^{}]+)?\}", lambda match: values.get(match[0], match[0]), text)


def _write_files(
    directory: str, files: Mapping[str, str], values: Mapping[str, str], bench: Bench | None = None
) -> None:
    os.makedirs(directory, exist_ok=True)
    for name, text in files.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text == "{copy}" and bench is not None:
            shutil.copy(bench.find(path.name), path)
        else:
            encoding = "latin-1" if "coding: latin-1" in text else "utf-8"
            path.write_text(_fill(text, values), encoding=encoding)


@contextmanager
def _serve_files(directory: str) -> Iterator[str]:
    """Serve the files of a directory; gives their URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _compare(case: Case, one: Side, two: Side) -> Iterator[Difference]:
    """The differences that are not meant to be."""
    permitted = [(category, pattern) for category, pattern, _reason in case.permitted]
    permitted += [("content", path) for path in (case.report, case.log) if path]  # they are compared in parts
    differences = [*drop_permitted(compare_sides(one, two)), *_compare_more(case, one, two)]
    for difference in _without_scripts_beside(differences, one, two):
        rules = (
            difference.category == category and fnmatch.fnmatchcase(difference.path, pattern)
            for category, pattern in permitted
        )
        if not any(rules) or "itself failed" in difference.actual:
            yield difference


def _compare_more(case: Case, one: Side, two: Side) -> Iterator[Difference]:
    """What the judge leaves out, or does not look into."""
    if (gave_up := GIVEN_UP.search(two.stderr)) is not None:
        yield Difference("gave up", "stderr", "", gave_up[1])
    if "Traceback" in two.stderr and "Traceback" not in one.stderr:
        yield Difference("traceback", "stderr", "", two.stderr.partition("Traceback")[0].strip().splitlines()[-1])
    yield from _compare_counts("alarm", "stderr", *(_alarms(side) for side in (one, two)))
    if case.report:
        yield from _compare_reports(case.report, one, two)
    if case.log:
        lines = (Counter(_log_lines(os.path.join(side.directory, case.log))) for side in (one, two))
        yield from _compare_counts("log", case.log, *lines)


def _without_scripts_beside(differences: Sequence[Difference], one: Side, two: Side) -> Iterator[Difference]:
    """All but rows of RECORD that are right about scripts in a ``--target``, which name the path of their side.

    pip writes these rows before it moves the scripts: their paths lead to nowhere, and the judge cannot find the files.
    """
    right: dict[Difference, tuple[str, str]] = {}
    for difference in differences:
        row = (difference.expected or difference.actual).split(",")
        if difference.category == "record" and row[0].startswith("../../bin/") and len(row) == 3:
            side = one if difference.expected else two
            script = Path(side.directory, difference.path).parent.parent / "bin" / os.path.basename(row[0])
            if script.is_file() and row[1] == _record_digest(script.read_bytes()):
                right[difference] = difference.path, row[0]
    pairs = Counter(right.values())
    return (each for each in differences if each not in right or pairs[right[each]] != 2)


def _record_digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.rstrip(b'=').decode('ascii')}"


def _compare_counts(category: str, path: str, one: Counter[str], two: Counter[str]) -> Iterator[Difference]:
    yield from (Difference(category, path, line, "") for line in (one - two).elements())
    yield from (Difference(category, path, "", line) for line in (two - one).elements())


def _alarms(side: Side) -> Counter[str]:
    """Warnings and errors word for word, but for paths that are different in each run."""
    lines = (line.replace(side.directory, "<side>") for line in ALARM.findall(side.stderr))
    return Counter(TEMPORARY.sub("", RANDOM.sub(r"\1", line)) for line in lines)


def _log_lines(path: str) -> Iterator[str]:
    """The lines of a log that tell what was installed, without the time before them."""
    with open(path, encoding="utf-8") as handle:
        for line in handle:
            text = line.rstrip().partition(" ")[2]
            if text.startswith(("Successfully installed", "Installing collected packages")):
                yield text


def _compare_reports(path: str, one: Side, two: Side) -> Iterator[Difference]:
    """Differences between installation reports; the order of what is installed is not one."""
    reports = []
    for side in (one, two):
        if path == "-":
            text = side.stdout[side.stdout.find("{") :]
        else:
            text = Path(side.directory, path).read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(text.replace(side.directory, "<side>"))
        items = {item["metadata"]["name"]: item for item in report.pop("install")}
        reports.append(dict(_leaves({**report, "install": items}, "")))
    for name in sorted({*reports[0], *reports[1]}):
        values = [report.get(name, "") for report in reports]
        if values[0] != values[1]:
            yield Difference("report", name, *values)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}")
    else:
        yield name, json.dumps(value)


def _handed_over(side: Side, data: str) -> str:
    """Why pip-accel let pip do a run; empty if it did not."""
    found = HANDED_OVER.search(side.stderr)
    if found is not None:
        return RANDOM.sub(r"\1", found[1].replace(side.directory, "{side}"))
    said = os.path.exists(data) or summary(side.stderr)  # with -qq it does not say why
    return "" if said else "pip-accel was told to be too quiet to say why"


def _find_kept(data: str) -> str:
    """An archive, a binary distribution or a tree in a data directory, or nothing."""
    places = ("sources/archives", "binaries", "trees")
    return next((str(path) for place in places for path in Path(data, place).rglob("*") if path.is_file()), "")


class Results:
    """What was judged, in a file with a line for each case and pip; the last one counts.

    :param path: of the file, which need not be there yet.
    :param commit: of the checkout; what other commits gave is not looked at.
    """

    def __init__(self, path: str, commit: str) -> None:
        self._path = path
        self._commit = commit
        self._lock = threading.Lock()
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        lines = Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []
        for line in lines:
            entry = json.loads(line)
            if entry["commit"] == commit and entry["python"] == sys.version:
                self.known[entry["case"], entry["pip"]] = entry

    def find(self, case: Case, pip: str) -> dict[str, Any] | None:
        """What is known of a case, if it has not changed since."""
        entry = self.known.get((case.name, pip))
        return entry if entry is not None and entry["digest"] == _digest(case) else None

    def add(self, case: Case, pip: str, differences: Sequence[str], handed_over: str) -> None:
        """Write down what was judged."""
        entry = {
            "commit": self._commit, "python": sys.version, "case": case.name, "pip": pip, "digest": _digest(case),
            "differences": list(differences), "handed_over": handed_over,
        }  # fmt: skip
        with self._lock:
            self.known[case.name, pip] = entry
            with open(self._path, "a", encoding="utf-8") as handle:
                handle.write(json.dumps(entry) + "\n")


def _digest(case: Case) -> str:
    return hashlib.sha256(repr(case).encode()).hexdigest()[:16]


def find_commit() -> str:
    """The commit of the checkout, and whether it was changed since; ``unknown`` outside of a repository."""
    command = ["git", "-C", CHECKOUT, "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def describe(results: Results, commit: str) -> str:
    """The page of the documentation, from what was judged."""
    return "".join(_describe(results, commit))


def _describe(results: Results, commit: str) -> Iterator[str]:
    title = "Invocations"
    python = ".".join(map(str, sys.version_info[:3]))
    yield f"{title}\n{'=' * len(title)}\n\n"
    yield (
        "Each of these was run with pip and with pip-accel, and the results were compared: files, modes, metadata,\n"
        f"status and what was printed. Written on {time.strftime('%Y-%m-%d')} by ``python -m tests.lib.invocations\n"
        f"--write-docs``, for commit {commit}, with Python {python}.\n\n"
    )
    yield ".. list-table::\n   :header-rows: 1\n\n"
    yield _row(["pip", "judged", "equal, by pip-accel itself", "equal, handed to pip", "different"])
    cases = [case for group in MATRIX.values() for case in group]
    for pip in PIPS:
        counts = Counter(_word(results.find(case, pip)) for case in cases if supports(pip, case))
        judged = counts["pip-accel"] + counts["pip"] + counts["different"]
        numbers = (judged, counts["pip-accel"], counts["pip"], counts["different"])
        yield _row([pip, *map(str, numbers)])
    yield (
        "\nIn the tables, *pip-accel* and *pip* say who did it, with the same result; a dash, that this pip does not\n"
        "have what is asked for. ``{side}`` is a directory of the run's own, ``{index}`` and ``{other}`` are indexes,\n"
        "``{web}`` and ``{files}`` other URLs, ``{git}`` is a directory of repositories.\n"
    )
    for group, members in MATRIX.items():
        yield f"\n{group}\n{'-' * len(group)}\n\n"
        yield ".. list-table::\n   :header-rows: 1\n   :widths: 70 10 10 10\n\n"
        yield _row(["install", *(f"pip {pip}" for pip in PIPS)])
        for case in members:
            entries = [results.find(case, pip) for pip in PIPS]
            pairs = zip(PIPS, entries, strict=True)
            words = (_word(entry) if supports(pip, case) else "\u2013" for pip, entry in pairs)
            yield _row([_explain(case, entries), *words])
    yield from _describe_differences(results, cases)


def _describe_differences(results: Results, cases: Iterable[Case]) -> Iterator[str]:
    lines = []
    for case in cases:
        for pip in PIPS:
            entry = results.find(case, pip) or {"differences": ()}
            lines += [f"{case.name}, pip {pip}: {each}" for each in entry["differences"][:SHOWN]]
    if lines:
        yield "\nDifferences\n-----------\n\n::\n\n"
        for line in lines:
            yield textwrap.fill(line.replace("\n", " "), 112, initial_indent="    ", subsequent_indent="      ") + "\n"


def _word(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not judged"
    if entry["differences"]:
        return "different"
    return "pip" if entry["handed_over"] else "pip-accel"


def _explain(case: Case, entries: Iterable[Mapping[str, Any] | None]) -> str:
    """A case for its reader: its name, its words and what they depend on, and why pip had to do it."""
    parts = [case.name]
    if case.before:
        parts.append(f"before the command: {_literal(case.before)}")
    if case.words:
        parts.append(_literal(case.words))
    parts += [f"after {_literal(words)}" for words in case.prepare]
    if case.environ:
        parts.append("with " + ", ".join(_literal(f"{name}={value}") for name, value in case.environ.items()))
    for reason in dict.fromkeys(entry["handed_over"] for entry in entries if entry is not None):
        if reason:
            parts.append("pip, as " + re.sub(r"([*`|_\\])", r"\\\1", reason))
    return "\n\n".join(parts)


def _literal(text: str) -> str:
    return f"``{_shorten(text)}``"


def _shorten(text: str) -> str:
    """Digests are long, and say nothing to a reader."""
    return re.sub(r"\{sha256:[^}]+\}|0{64}", "\u2026", text)


def _row(cells: Sequence[str]) -> str:
    """A row of a list-table."""
    lines = []
    for place, cell in enumerate(cells):
        first, *rest = cell.split("\n")
        lines.append(f"   {'*' if place == 0 else ' '} - {first}")
        lines += [f"       {line}".rstrip() for line in rest]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line.

    :returns: 0 if there is no difference, 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.lib.invocations", description=__doc__.partition("\n")[0])
    parser.add_argument("--pip", action="append", choices=PIPS, help="only this version")
    parser.add_argument("--group", action="append", choices=MATRIX, help="only the cases of this group")
    parser.add_argument("--case", action="append", default=[], help="only this case")
    parser.add_argument("--write-docs", action="store_true", help="write docs/invocations.rst from all that is known")
    parser.add_argument("--again", action="store_true", help="judge also what was judged for this commit")
    parser.add_argument("--results", help="file to keep what was judged in; one in the cache of the tests by default")
    parser.add_argument("--keep", metavar="DIRECTORY", help="where to work, and what to keep")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many cases at a time")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.case if not any(name == each.name for each in _cases())]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}")
    commit = find_commit()
    results = Results(options.results or os.path.join(cache_directory("invocations"), "results.jsonl"), commit)
    wanted = [
        (case, pip)
        for pip in options.pip or PIPS
        for group in options.group or MATRIX
        for case in MATRIX[group]
        if supports(pip, case) and (not options.case or case.name in options.case)
        and (options.again or results.find(case, pip) is None)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="invocations-") as temporary, ThreadPoolExecutor(options.jobs) as pool:
        directory = options.keep or temporary
        shared = os.path.join(directory, f"shared-{os.getpid()}")
        os.makedirs(shared)
        bench = open_bench(shared)

        def judge(number: int, case: Case, pip: str) -> str:
            name = re.sub(r"\W+", "-", f"{case.name}-{pip}") if options.keep else str(number)
            workdir = os.path.join(directory, name)
            shutil.rmtree(workdir, ignore_errors=True)
            os.mkdir(workdir)
            try:
                verdict = judge_case(case, pip, bench, workdir)
            except Exception as error:  # one case that cannot be judged does not keep others from it
                verdict = Verdict((f"not judged: {type(error).__name__}: {error}",), "", ())
            results.add(case, pip, verdict.differences, verdict.handed_over)
            if not options.keep:
                shutil.rmtree(workdir)
            who = "different" if verdict.differences else "pip" if verdict.handed_over else "pip-accel"
            seconds = " ".join(f"{each:.1f}" for each in verdict.seconds)
            head = f"{number}/{len(wanted)} pip {pip}: {case.name}: {who} ({seconds} s) {verdict.handed_over}"
            more = [f"and {len(verdict.differences) - SHOWN} more"] if len(verdict.differences) > SHOWN else []
            return "\n    ".join([head.rstrip(), *verdict.differences[:SHOWN], *more])

        futures = [pool.submit(judge, number, *each) for number, each in enumerate(wanted, 1)]
        for future in as_completed(futures):
            print(future.result(), flush=True)
    if options.write_docs:
        Path(CHECKOUT, "docs", "invocations.rst").write_text(describe(results, commit), encoding="utf-8")
    found = [results.find(case, pip) for pip in options.pip or PIPS for case in _cases()]
    return 1 if any(entry is not None and entry["differences"] for entry in found) else 0


def _cases() -> Iterator[Case]:
    return (case for group in MATRIX.values() for case in group)


if __name__ == "__main__":
    sys.exit(main())
