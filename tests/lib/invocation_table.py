"""The invocations of ``install`` that people use: the table that :mod:`tests.lib.invocations` goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["MATRIX", "Case", "flit"]

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


class Case(NamedTuple):
    """One invocation. In its texts ``{side}``, ``{index}`` and the like stand for what a run has."""

    name: str  #: unique
    words: str  #: what follows ``install``, as for a shell
    status: int = 0  #: what pip gives
    since: str = ""  #: the first release of pip that has what is asked for
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


def flit(name: str, version: str = "1.0", *, more: str = "", directory: str = "project") -> dict[str, str]:
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
            "requirements.txt": "./project\n{files}/alpha-1.0-py3-none-any.whl\n", **flit("local"),
        }),
        Case("an editable project in a file", "-r sub/requirements.txt",
             files={"sub/requirements.txt": "-e ./project\nsix\n", **flit("local")}),
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
             files={"constraints.txt": "-e ./project\n", **flit("local")}),
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
        Case("a hash of a version that is not pinned", "-r requirements.txt", since="26.3",
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
             files=flit("alpha", "3.0")),
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
        Case("a directory", "./project", files=flit("local", more='dependencies = ["beta<2"]\n'), warm="yes"),
        Case("the current directory and an extra", "'.[more]'",
             files=flit("local", more='optional-dependencies.more = ["six"]\n', directory=".")),
        Case("a directory with only a setup.py", "./project", files=_setup_py("local")),
        Case("a directory by its URL", "'local @ file://{side}/here/project'", files=flit("local")),
        Case("a directory without a project", "./project", status=1, files={"project/readme.txt": ""}),
        Case("a directory that is not there", "./absent", status=1),
        Case("a project that requires a URL", "./project",
             files=flit("local", more='dependencies = ["beta @ {files}/beta-1.0-py3-none-any.whl"]\n'), warm="yes"),
        Case("a project that requires a repository", "./project six",
             files=flit("local", more='dependencies = ["made @ git+file://{git}/made@v1.0", "beta"]\n'), warm="yes"),
        Case("an extra that requires a URL", "'./project[more]'",
             files=flit("local", more='optional-dependencies.more = ["sigma @ {files}/sigma-1.0.tar.gz"]\n'
                                       'optional-dependencies.less = ["absent @ {files}/absent-1.0.tar.gz"]\n')),
        Case("an editable project that requires a URL", "-e ./project",
             files=flit("local", more=f'dependencies = ["six @ {{files}}/{OLD_SIX} ; python_version > \\"3\\""]\n')),
        Case("a project that requires another URL than is asked for", f"./project {{files}}/{SIX}", status=1,
             files=flit("local", more=f'dependencies = ["six @ {{files}}/{OLD_SIX}"]\n')),
        Case("a directory in an archive from a URL", "'{files}/many-1.0.tar.gz#subdirectory=inner'", warm="yes"),
        Case("a URL for another Python", "'six @ {files}/absent-1.0.tar.gz ; python_version < \"3\"' idna"),
        Case("an editable directory", "-e ./project", files=flit("local", more='dependencies = ["six"]\n'),
             warm="yes"),
        Case("an editable directory with only a setup.py", "--editable project", files=_setup_py("local"),
             permitted=FINDER),
        Case("an editable directory and an extra", "-e './project[more]' idna",
             files=flit("local", more='optional-dependencies.more = ["six"]\n')),
        Case("an editable directory that is not there", "-e ./absent", status=1),
        Case("an editable project again", "-e ./project", prepare=("-e {side}/here/project",), files=flit("local")),
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
             "'alpha[x]'", report="report.json", files=flit("local")),
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
