"""The package managers of systems. This is the one place where support for another platform plugs in.

What every package manager can do stands in a definition file (``*.ini``), and :class:`Platform` does no more than to
run its commands. A platform that can do better gets a class of its own below, and a name in :data:`PLATFORMS`, which is
what ``tool`` names in a definition file. ``docs/system-packages.rst`` goes through this step by step.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from pip_accel import _fs
from pip_accel._process import Completed, read_lines, run
from pip_accel.config import is_root
from pip_accel.deps.definitions import Definition
from pip_accel.deps.file_index import FileIndex, reduce_contents, write_rows
from pip_accel.exceptions import ConfigFileError, DependencyInstallationFailed, SystemDependencyError

__all__ = ["PLATFORMS", "Platform", "Prospect", "open_platform"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_ENGLISH = {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"}
_OLD = 7 * 24 * 3600  # seconds after which the lists of packages are fetched anew before anything is installed
_INDEX_LASTS = 90 * 24 * 3600  # seconds; in a stable release few files change their package


class Prospect(NamedTuple):
    """What would happen if packages were installed."""

    unknown: tuple[str, ...] = ()  #: packages that there are not
    removed: tuple[str, ...] = ()  #: packages that would have to go
    problem: str = ""  #: why it cannot be done, in one line


class Platform:
    """A system whose package manager is known by a definition file alone.

    :param directory: where something may be kept for later runs.
    :param environ: for the programs.
    """

    def __init__(self, definition: Definition, directory: str, environ: Mapping[str, str]) -> None:
        self.definition = definition
        self._directory = directory
        self._environ = {**environ, **_ENGLISH}

    def find_installed(self) -> set[str]:
        """Give the names of all packages that are installed, and of what they provide.

        :raises SystemDependencyError: they cannot be listed.
        """
        answer = self._run(self.definition.command("list"))
        if answer.status != 0:
            raise SystemDependencyError(
                "The installed system packages cannot be listed: {command} failed: {reason}",
                command=shlex.join(self.definition.command("list")),
                reason=_last_line(answer.errors) or f"status {answer.status}",
            )
        return set(_read_list(answer.output, self._architectures))

    @property
    def _architectures(self) -> tuple[str, ...]:
        """Those of packages that count, empty if it does not matter."""
        return ()

    def load_index(self) -> FileIndex:
        """Give what tells which package has a file; without asking anybody for it."""
        return FileIndex(b"\n")

    @property
    def has_index(self) -> bool:
        """Whether that is the index of the distribution itself, or there is none to be had."""
        return True

    def fetch_index(self) -> None:
        """Fetch the file index of the distribution, for this run and later ones.

        :raises DependencyInstallationFailed: it cannot be had.
        """

    def find_sections(self, packages: Sequence[str]) -> dict[str, str]:
        """Give the sections of packages, as far as they are known."""
        return {}

    def look_ahead(self, packages: Sequence[str]) -> Prospect:
        """Say what would happen if packages were installed; nothing does."""
        return Prospect()

    def command_for(self, packages: Iterable[str]) -> str:
        """Give the command line that a user would type to install packages."""
        prefix = [] if is_root() or os.name == "nt" else ["sudo"]
        return shlex.join([*prefix, *self.definition.command("install"), *packages])

    def dockerfile_line(self, packages: Iterable[str]) -> str:
        """Give the line of a Dockerfile that installs packages."""
        return f"RUN {shlex.join([*self.definition.command('install'), *packages])}"

    def install(self, packages: Sequence[str]) -> None:
        """Install packages. Asks nobody anything.

        :raises DependencyInstallationFailed: it failed; the whole output is in the context.
        """
        answer = self._run_as_root([*self.definition.command("install"), *packages])
        if answer.status != 0:
            raise self._failure(answer, packages)

    def _failure(self, answer: Completed, packages: Sequence[str]) -> DependencyInstallationFailed:
        return DependencyInstallationFailed(
            "The system packages {packages} could not be installed: {reason}. Once that is put right, this command"
            " installs them: {command}",
            packages=" ".join(packages),
            reason=self._explain(answer),
            command=self.command_for(packages),
            output=answer.output,
        )

    def _explain(self, answer: Completed) -> str:
        """Say in one phrase why a command failed."""
        said = answer.output + answer.errors
        if re.search(r"^sudo: .*(?:password|terminal|askpass)", said, re.MULTILINE):
            return "sudo wants a password"
        if re.search(r"not allowed to (?:execute|run)|not in the sudoers file", said):
            return "sudo does not allow it"
        return (_last_line(said) or f"status {answer.status}").rstrip(".")

    def _run(
        self, command: Sequence[str], settings: Mapping[str, str] = {}, *, merge: bool = False, spare: bool = False
    ) -> Completed:
        """Run a command; one that is not there fails like any other.

        :param settings: more variables for it.
        """
        try:
            return run(command, env={**self._environ, **settings}, merge=merge, spare=spare)
        except OSError as error:
            return Completed(127, "", f"{command[0]} cannot be started ({error.strerror})")

    def _run_as_root(self, command: Sequence[str]) -> Completed:
        """Run a command as root: with sudo where we are not, which never asks for a password here."""
        settings = {**_ENGLISH, "DEBIAN_FRONTEND": "noninteractive"}
        if not (is_root() or os.name == "nt"):
            if shutil.which("sudo", path=self._environ.get("PATH")) is None:
                return Completed(127, "", "you are not root, and there is no sudo")
            # sudo passes variables on by this only.
            command = ["sudo", "-n", "env", *(f"{name}={value}" for name, value in settings.items()), *command]
        return self._run(command, settings, merge=True, spare=True)


class Apt(Platform):
    """Debian and its derivatives."""

    _text = b""  #: the file index, as far as it was read

    @property
    def _table(self) -> str:
        """Path of the table that ships with pip-accel and is nearest to this release."""
        version = (_fs.read_text("/etc/debian_version") or "").strip()
        major = _CODENAMES.get(version) or version.partition(".")[0]
        return os.path.join(_HERE, f"debian-{major if major in _TABLES else _TABLES[-1]}.files.xz")

    @property
    def _kept(self) -> str:
        """Path of the file index, reduced and kept."""
        try:
            with open("/etc/os-release", encoding="utf-8") as stream:
                rows = dict(re.findall(r"^(ID|VERSION_ID|VERSION_CODENAME)=\"?([\w.-]+)", stream.read(), re.MULTILINE))
        except OSError:
            rows = {}
        name = "-".join((rows.get("ID", "debian"), rows.get("VERSION_ID") or rows.get("VERSION_CODENAME", "unknown")))
        return os.path.join(self._directory, f"{name}-{os.uname().machine}.files")

    @property
    def has_index(self) -> bool:
        return bool(self._text) or self._is_young(self._kept)

    def load_index(self) -> FileIndex:
        if not self.has_index:
            self._reduce(self._find_contents())
        if not self._text and self.has_index:
            self._text = _fs.read_bytes(self._kept)
        return FileIndex(b"\n".join((self._text, self._read_table())))

    def _read_table(self) -> bytes:
        try:
            import lzma

            with lzma.open(self._table) as table:
                return table.read()
        except (ImportError, OSError, EOFError):  # a Python without it
            return b"\n"
        except lzma.LZMAError:
            return b"\n"

    def fetch_index(self) -> None:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="pip-accel-") as place:
            settings = [f"Dir::State::Lists={place}/lists", f"Dir::Cache={place}/cache", "Acquire::Languages=none"]
            # Of what else there is, only what is needed to trust it; and no user that could not write here.
            settings += ["Acquire::IndexTargets::deb::Packages::DefaultEnabled=false", "APT::Sandbox::User=root"]
            settings += [f"Acquire::IndexTargets::deb::{name}::DefaultEnabled=false" for name in _OTHERS_TARGETS]
            for number, key in enumerate(_METAKEYS):
                target, key = f"Acquire::IndexTargets::deb::PipAccel{number}", key.format(self._architecture)
                settings += [f"{target}::MetaKey={key}", f"{target}::flatMetaKey=", f"{target}::Optional=true"]
                settings += [f"{target}::ShortDescription=Contents", f"{target}::Description=$(RELEASE) {key}"]
            for name in ("lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(place, name))
            words = [word for each in settings for word in ("-o", each)]
            answer = self._run(["apt-get", "update", *words], merge=True)
            paths = glob.glob(f"{place}/lists/*Contents-{self._architecture}*")
            if answer.status != 0 or not self._reduce(paths):
                raise DependencyInstallationFailed(
                    "The file index of the distribution could not be fetched: {reason}",
                    reason=self._explain(answer) if answer.status != 0 else "the mirrors have none",
                    output=answer.output,
                )

    def _find_contents(self) -> list[str]:
        """Give the paths of file indices that apt has fetched for others, such as ``apt-file``."""
        words = ["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Contents-deb"]
        if not glob.glob("/var/lib/apt/lists/*Contents-*"):
            return []
        ending = f"Contents-{self._architecture}"
        paths = [path for path in self._run(words).output.splitlines() if ending in os.path.basename(path)]
        return [path for path in paths if os.path.isfile(path)]

    @property
    def _architectures(self) -> tuple[str, ...]:
        return ("all", self._architecture)

    @cached_property
    def _architecture(self) -> str:
        """What Debian calls this machine's architecture."""
        return self._run(["dpkg", "--print-architecture"]).output.strip()

    def _reduce(self, paths: Sequence[str]) -> bool:
        """Keep what counts of file indices, if there are any."""
        rows = reduce_contents(line for path in paths for line in self._read_lines(path))
        if not rows:
            return False
        self._text = write_rows(rows)
        try:
            _fs.write_file(self._kept, self._text)
        except OSError:  # it is good for this run all the same
            pass
        return True

    def _read_lines(self, path: str) -> Iterator[str]:
        """Give the lines of a file of apt's, however it is compressed; all of them at once would be a lot."""
        try:
            yield from read_lines(["/usr/lib/apt/apt-helper", "cat-file", path], env=self._environ)
        except OSError:
            pass

    def _is_young(self, path: str) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return False
        return found.st_uid == os.geteuid() and time.time() - found.st_mtime < _INDEX_LASTS

    def find_sections(self, packages: Sequence[str]) -> dict[str, str]:
        sections = {}
        answer = self._run(["apt-cache", "show", "--no-all-versions", *packages]) if packages else None
        for text in answer.output.split("\n\n") if answer is not None else ():
            fields = dict(re.findall(r"^(Package|Section): (\S+)", text, re.MULTILINE))
            if len(fields) == 2:
                sections[fields["Package"]] = fields["Section"].rpartition("/")[2]
        return sections

    def look_ahead(self, packages: Sequence[str]) -> Prospect:
        words = ["--simulate", "-o", "Debug::NoLocking=1", "--", *packages]
        answer = self._run([*self.definition.command("install"), *words], merge=True)
        unknown = re.findall(_UNKNOWN, answer.output, re.MULTILINE)
        removed = re.findall(r"^Remv (\S+)", answer.output, re.MULTILINE)
        problem = self._explain(answer) if answer.status != 0 and not unknown else ""
        return Prospect(tuple(unknown), tuple(removed), problem)

    def command_for(self, packages: Iterable[str]) -> str:
        command = super().command_for(packages)
        if self._lists_age() is None:
            prefix = "" if is_root() else "sudo "
            return f"{prefix}apt-get update && {command}"
        return command

    def dockerfile_line(self, packages: Iterable[str]) -> str:
        command = shlex.join([*self.definition.command("install"), *packages])
        return f"RUN apt-get update && {command} && rm -rf /var/lib/apt/lists/*"

    def _lists_age(self) -> float | None:
        """Give how long ago the lists of packages were fetched, in seconds; ``None`` if there are none."""
        if not glob.glob("/var/lib/apt/lists/*_Packages*"):
            return None
        stamps = ["/var/lib/apt/lists", "/var/lib/apt/lists/partial", "/var/lib/apt/periodic/update-success-stamp"]
        times = []
        for path in stamps:
            try:
                times.append(os.stat(path).st_mtime)
            except OSError:
                pass
        return time.time() - max(times, default=0.0)

    def install(self, packages: Sequence[str]) -> None:
        age = self._lists_age()
        fresh = age is None or age > _OLD
        if fresh:
            self._update(packages)
        prospect = self.look_ahead(packages)
        if prospect.unknown and not fresh:
            self._update(packages)
            prospect = self.look_ahead(packages)
        self._check(packages, prospect)
        command = self.definition.command("install")
        patience = [] if any("DPkg::Lock::Timeout" in word for word in command) else _PATIENCE
        command = [*command, *patience, "--", *packages]
        answer = self._run_as_root(command)
        if answer.status != 0 and not fresh and "Failed to fetch" in answer.output:  # the mirror has newer ones
            self._update(packages)
            answer = self._run_as_root(command)
        if answer.status != 0:
            raise self._failure(answer, packages)

    def _check(self, packages: Sequence[str], prospect: Prospect) -> None:
        """See that nothing stands against packages.

        :raises DependencyInstallationFailed: something does.
        """
        reason = prospect.problem
        if prospect.unknown:
            reason = f"apt knows no package {' and no package '.join(prospect.unknown)}"
        elif prospect.removed:
            reason = f"apt would remove {' '.join(prospect.removed)} for that, which pip-accel does not do"
        if reason:
            raise DependencyInstallationFailed(
                "The system packages {packages} were not installed: {reason}. To see more: {command}",
                packages=" ".join(packages),
                reason=reason,
                command=self.command_for(packages),
                output="",
            )

    def _update(self, packages: Sequence[str]) -> None:
        """Fetch the lists of packages. Of several sources some may fail: what is missing then shows soon enough."""
        answer = self._run_as_root(["apt-get", "update", *_PATIENCE])
        # apt's status is 0 where no source could be reached.
        if self._lists_age() is None or re.search(_LOCKED, answer.output):
            raise self._failure(answer, packages)

    def _explain(self, answer: Completed) -> str:
        said = answer.output + answer.errors
        held = re.search(r"It is held by process \d+ \([^)]*\)", said)
        if re.search(_LOCKED, said):
            return "another program works with apt" + (f" ({held[0]})" if held else "")
        if re.search(_UNREACHABLE, said):
            return "the package mirrors cannot be reached"
        if re.search(r"No space left on device|enough free space", said):
            return "the disk is full"
        errors = re.findall(r"^E: (.+)", said, re.MULTILINE)
        broken = [each for each in errors if "dpkg was interrupted" in each]
        if broken:
            return str(broken[0]).rstrip(".")
        failed = re.search(r"^dpkg: error processing (?:package|archive) (\S+)", said, re.MULTILINE)
        if failed is not None:
            return f"dpkg failed at {failed[1]} (what is half done, dpkg --configure -a finishes)"
        return str(errors[0]).rstrip(".") if errors else super()._explain(answer)


_LOCKED = r"Could not get lock|Unable to (?:acquire|lock)|is another process using it|Could not open lock file"
_PATIENCE = ["-o", "DPkg::Lock::Timeout=60"]  # seconds
_UNKNOWN = r"^E: (?:Unable to locate package |Package (?='[^']+' has no installation))'?([\w.+-]+)"
_UNREACHABLE = (
    r"Temporary failure resolving|Could not (?:resolve|connect)|Connection (?:failed|refused|timed out)"
    r"|Network is unreachable|Cannot initiate the connection"
)
#: As Debian and Ubuntu call the file index of an architecture; one of them is there.
_METAKEYS = ("$(COMPONENT)/Contents-{}", "Contents-{}")
#: What programs that look for files in packages have apt fetch, as far as they are known.
_OTHERS_TARGETS = ("Contents-deb", "Contents-deb-legacy")
#: What derivatives have in place of Debian's number, and the numbers of the tables that ship with pip-accel.
_CODENAMES = {"bookworm/sid": "12", "trixie/sid": "13"}
_TABLES = ("12", "13")

#: What ``tool`` names in a definition file.
PLATFORMS: Mapping[str, Callable[[Definition, str, Mapping[str, str]], Platform]] = {"": Platform, "apt": Apt}


def open_platform(
    definitions: Iterable[Definition], extra: Iterable[Definition], directory: str, environ: Mapping[str, str]
) -> Platform | None:
    """Give the platform that we run on, or ``None`` if no definition file is about it.

    :param definitions: of which the last that applies is taken, and extended by those of ``extra`` that apply, too, or
        that do not say where they apply.
    """
    chosen = None
    for definition in definitions:
        if _applies(definition, environ):
            chosen = definition
    for definition in extra:
        if "supported" not in definition.commands:
            chosen = chosen.extended(definition) if chosen is not None else None
        elif _applies(definition, environ):
            chosen = chosen.extended(definition) if chosen is not None else definition
    if chosen is None:
        return None
    for name in ("list", "install"):
        if not chosen.command(name):
            text = "The definition file {path} cannot be used: [commands] needs {name}"
            raise ConfigFileError(text, path=chosen.path, name=name)
    return PLATFORMS.get(chosen.commands.get("tool", ""), Platform)(chosen, directory, environ)


def _applies(definition: Definition, environ: Mapping[str, str]) -> bool:
    command = definition.command("supported")
    try:
        return bool(command) and run(command, env=environ).status == 0
    except (OSError, ValueError):  # it is not there, or cannot be a program
        return False


def _read_list(output: str, architectures: Sequence[str] = ()) -> Iterable[str]:
    """Read what ``list`` prints: a package a line, and behind it what that provides.

    dpkg's status may stand in front; versions in parentheses count for nothing.

    :param architectures: those that count; a package that names another one is passed over.
    """
    for line in output.splitlines():
        status = re.match(r"[a-z][a-zA-Z][ R] ?", line)
        if status is not None:
            if not status[0].startswith(("ii", "hi")):
                continue
            line = line[status.end() :]
        names = [name.partition(":") for name in re.sub(r"\([^)]*\)", " ", line).replace(",", " ").split()]
        if not architectures or (names[:1] and names[0][2] in ("", *architectures)):
            yield from (name for name, _, _ in names)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
