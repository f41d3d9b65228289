"""The values that the stages hand to each other: what was asked for, what was chosen, what lies in the store.

Plain immutable tuples without behaviour: every stage can be tested on its own, and the warm path imports nothing.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "Archive",
    "Bundle",
    "Change",
    "Destination",
    "Group",
    "Installed",
    "Launcher",
    "Manner",
    "Pin",
    "Plan",
    "Row",
    "Scheme",
    "Target",
    "Tree",
    "TreeFile",
]

#: One line of RECORD: path (relative to the directory of ``*.dist-info``), digest, size.
Row = tuple[str, str, str]


class Scheme(NamedTuple):
    """The directories of a target, absolute, as pip uses them (PEP 427 and ``sysconfig`` name them so)."""

    purelib: str
    platlib: str
    headers: str  #: without the project's name: each distribution gets a directory below it
    scripts: str
    data: str


class Destination(NamedTuple):
    """Where an environment's distributions are to go, as pip's options say; by default into the environment itself."""

    user: bool | None = None  #: ``--user``, or ``--no-user``; ``None``: neither, pip decides
    target: str = ""  #: ``--target``, absolute
    prefix: str = ""  #: ``--prefix``, absolute
    root: str = ""  #: ``--root``, absolute
    plain: bool = False  #: whether ``--prefix`` has no ``local`` below it even with Debian's Python (from pip 26.3 on)


class Target(NamedTuple):
    """The environment that is installed into, and the interpreter that will run in it."""

    python: str  #: absolute path of its interpreter, as hashbangs name it; symbolic links are not followed
    version: str  #: full version of Python, ``3.12.1``
    implementation: str  #: ``cpython``, ``pypy``
    cache_tag: str  #: ``cpython-312``, the middle of the names of byte code files
    magic: str  #: magic number of its byte code, hex
    abi: str  #: ``SOABI``, plus what it does not tell: ``debug``, ``freethreaded``
    platform: str  #: ``sysconfig.get_platform()``
    libc: str  #: ``glibc-2.36``, empty where that has no meaning
    prefix: str  #: ``sys.prefix``
    base_python: str  #: interpreter that virtual environments are made from
    scheme: Scheme  #: where distributions go
    path: tuple[str, ...]  #: what there is of its ``sys.path``: directories that can hold distributions, and archives
    virtual: bool  #: whether it is a virtual environment
    externally_managed: str  #: path of its ``EXTERNALLY-MANAGED`` file, empty if there is none
    compiler: str = ""  #: the command that compiles its extensions, as it was configured
    markers: tuple[tuple[str, str], ...] = ()  #: the values of environment markers (PEP 508), ``("os_name", "posix")``
    #: where that is: ``environment``; ``user``, its user site; ``directory`` (``--target``); ``elsewhere``
    #: (``--prefix`` or ``--root``)
    kind: str = "environment"
    place: str = ""  #: directory that all of ``scheme`` lies in, which has the lock and the journal of a transaction
    defaulted: bool = False  #: whether it is the user site because the environment cannot be written to
    scripts: str = ""  #: where the environment's own scripts lie
    user_site: str = ""  #: its user site, whether or not there is one
    user_scripts: str = ""  #: where the scripts of the user site lie


class Archive(NamedTuple):
    """A file of a distribution, as it came, in the local index."""

    path: str  #: absolute
    filename: str  #: as the index spelled it
    sha256: str  #: hex digest
    yanked: str | None = None  #: the reason, empty if none was given; ``None`` if it is not yanked (PEP 592)


class Pin(NamedTuple):
    """A distribution that the plan chose, and the archive that provides it."""

    name: str  #: as the metadata spells it; compare canonical forms only
    version: str  #: as the metadata spells it
    archive: Archive
    requested: bool  #: asked for by the user; else another distribution brought it in
    direct_url: str  #: contents of ``direct_url.json``, empty unless it was asked for by URL or path
    editable: bool = False  #: whether what is installed points to the archive, a directory


class Plan(NamedTuple):
    """What will be installed."""

    pins: tuple[Pin, ...]  #: dependencies first
    output: str  #: what pip said on standard output
    errors: str  #: and on standard error
    learned: float  #: when the oldest answer in it was learned, seconds since the epoch; 0 if no answer was needed
    online: bool  #: whether the index was asked
    lasting: bool  #: whether the answer holds beyond this run
    spellings: Mapping[str, str]  #: canonical names as pip spells them in its lines: as they were asked for first
    report: Mapping[str, Any] = {}  #: pip's report, if that was asked for
    sound: bool = False  #: whether it is known that pip has nothing to say of what is installed beside it
    borrowed: bool = False  #: whether another machine made it


class Manner(NamedTuple):
    """How something is to be installed, whatever it is: what counts of a request once there is a plan."""

    python: str | None  #: value of ``--python``: an interpreter, or the directory of an environment
    destination: Destination
    upgrade: bool
    ignore_installed: bool
    no_deps: bool
    compile: bool
    require_hashes: bool
    verbosity: int  #: number of ``-v`` less number of ``-q``
    warn_script_location: bool
    warn_conflicts: bool
    progress_bar: str  #: ``auto``, ``on``, ``off`` or ``raw``
    root_user_action: str  #: ``warn`` or ``ignore``
    break_system_packages: bool
    dry_run: bool
    report: str  #: path of the file that gets pip's report, or ``-``; empty: none is asked for
    log: str  #: absolute path of the file that gets a log, or empty
    no_cache: bool  #: whether nothing may be kept, and nothing that was kept be used
    no_input: bool = False  #: whether the user may not be asked anything


class TreeFile(NamedTuple):
    """One file of a :class:`Tree`. It lies at ``<tree.path>/<scheme>/<path>``, byte code below ``tree.byte_code``."""

    scheme: str  #: a field of :class:`Scheme`
    path: str  #: relative to that scheme's directory (headers: to the project's below it), ``/`` on every system
    mode: int  #: permission bits, umask applied
    size: int  #: bytes
    digest: str  #: as RECORD spells it: ``sha256=`` and urlsafe base64 without padding; empty for byte code
    #: ``file``; ``script``: line one is to name the interpreter; ``bytecode`` of a file; ``script-bytecode``;
    #: ``replaced-bytecode``: of a file, made anew in place of what the distribution brought along.
    kind: str
    recorded_size: str | None = None  #: as RECORD is to have it; ``None``: ``size``, or nothing without a digest


class Group(NamedTuple):
    """Files with one mode, each at its path below the directory of a :class:`Bundle`."""

    mode: int  #: permission bits, umask applied
    paths: list[str]  #: in normal form, ``/`` between their parts
    sizes: list[int]  #: bytes


class Bundle(NamedTuple):
    """Files that go where their paths say, below the directory of the libraries: nearly all files of most trees.

    It is kept apart from other files as nothing has to be decided for any one of these, and there are thousands.
    """

    root: str  #: absolute
    directories: list[str]  #: below it, parents first
    groups: list[Group]
    rows: list[str]  #: what RECORD says of the files, sorted: path, digest and size, with a NUL between


class Launcher(NamedTuple):
    """A script that is made from an entry point."""

    name: str
    module: str
    function: str  #: may have dots
    gui: bool


class Tree(NamedTuple):
    """A distribution unpacked in the store: everything that an installation needs to know, no file opened."""

    path: str  #: absolute
    name: str  #: of the project, as its metadata spells it
    version: str
    lib: str  #: ``purelib`` or ``platlib``: where ``dist_info`` lies
    dist_info: str  #: name of its directory, ``six-1.17.0.dist-info``
    mtime: int  #: modification time of all its files, seconds, even
    launchers: tuple[Launcher, ...]
    files: tuple[TreeFile, ...]  #: without RECORD, launchers, what pip adds to ``dist_info``, and the bundles
    rows: tuple[Row, ...] = ()  #: what RECORD says beyond that: of scripts that were left out, of files nobody has
    byte_code: str = ""  #: directory of byte code that was made here, absolute; empty: ``path``
    names: tuple[str, ...] = ()  #: entries of the directory of the libraries that the bundles are made of
    bundles: tuple[Bundle, ...] = ()  #: of the distribution's files, and of byte code


class Installed(NamedTuple):
    """A distribution that the target holds."""

    name: str  #: canonical
    version: str
    location: str  #: the directory on ``sys.path``
    metadata: str  #: absolute path of its ``.dist-info`` directory (or ``.egg-info`` file or directory, ``.egg-link``)


class Change(NamedTuple):
    """One step of an installation: what goes, and what comes."""

    tree: Tree
    requested: bool
    direct_url: str  #: contents of ``direct_url.json``, or empty
    replaces: Installed | None
    beside: Installed | None = None  #: what stays, as it is not the target's own, though pip speaks of removing it
