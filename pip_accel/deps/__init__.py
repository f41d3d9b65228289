"""System packages that builds need: which are missing, whether they may be installed, and installing them.

What is missing comes from three sources, in this order: what a project declares (PEP 725, ``[external]``), rules by
project name (``debian.ini`` and the user's own files), and the output of the build that failed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from pip_accel._names import canonical_name
from pip_accel._text import escape_unprintable
from pip_accel.deps.catalogue import Catalogue, Package
from pip_accel.deps.definitions import OWN, check_owner, find_definitions, read_definition
from pip_accel.deps.output import Missing, find_missing
from pip_accel.deps.platforms import Platform, open_platform
from pip_accel.exceptions import (
    BinaryDistributionError,
    DependencyInstallationFailed,
    DependencyInstallationRefused,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel.config import Config
    from pip_accel.req import Requirement

__all__ = ["Failure", "Finding", "Offer", "SystemPackageManager", "describe_things", "errors_of", "failures_of"]


class Failure(NamedTuple):
    """A build that failed."""

    label: str  #: name and version of the distribution, as far as they are known
    output: str  #: all that the build said
    external: tuple[str, ...] = ()  #: what the project declares (PEP 725)

    @property
    def project(self) -> str:
        """Canonical name of the project."""
        return canonical_name(self.label.partition(" ")[0])


class Finding(NamedTuple):
    """What is known about the needs of one distribution, by source."""

    label: str
    declared: tuple[Package, ...] = ()  #: by the project itself
    ruled: tuple[Package, ...] = ()  #: by the rules for its name
    said: Mapping[Missing, Sequence[Package]] = {}  #: what the output of its build says is missing, and who has it
    linked: tuple[Package, ...] = ()  #: what a build that succeeded is linked with
    unknown: tuple[Missing, ...] = ()  #: what the output says is missing, and no package is known for

    @property
    def packages(self) -> tuple[Package, ...]:
        """All of them, each once."""
        said = (each for several in self.said.values() for each in several)
        return tuple({each.name: each for each in (*said, *self.linked, *self.ruled, *self.declared)}.values())


class Offer(NamedTuple):
    """What would help with failures."""

    findings: tuple[Finding, ...]
    packages: tuple[Package, ...]  #: all that is needed, as far as it is known
    missing: tuple[Package, ...]  #: of these, those that are not installed

    @property
    def labels(self) -> tuple[str, ...]:
        """The distributions that what is missing would help, by name and version."""
        names = set(self.names)
        helped = (each for each in self.findings if names & {package.name for package in each.packages})
        return tuple(dict.fromkeys(each.label for each in helped))

    @property
    def unknown(self) -> tuple[Missing, ...]:
        """What is missing, and no package is known for."""
        return tuple(dict.fromkeys(thing for each in self.findings for thing in each.unknown))

    @property
    def names(self) -> list[str]:
        """Names of the packages that are not installed, sorted."""
        return sorted({package.name for package in self.missing})


def errors_of(error: BaseException) -> list[object]:
    """Give an error, and behind it those of the other builds that failed in the same round."""
    others = error.context.get("others") if isinstance(error, BinaryDistributionError) else None
    return [error, *(others if isinstance(others, list) else ())]


def failures_of(error: BaseException) -> list[Failure]:
    """Give the builds that an error tells of; none if it tells of no build."""
    found = []
    for each in errors_of(error):
        if isinstance(each, BinaryDistributionError) and ("distribution" in each.context or each.context["output"]):
            external = each.context.get("external", ())
            # It comes from outside, and stands in questions.
            label = escape_unprintable(str(each.context.get("distribution") or each.context.get("label") or ""))
            declared = tuple(map(str, external)) if isinstance(external, (list, tuple)) else ()
            found.append(Failure(label, str(each.context["output"]), declared))
    return found


class SystemPackageManager:
    """Knows and installs system packages.

    On a platform that no definition file is about it knows nothing.

    :param python: the interpreter that is built for, not that of a virtual environment of it; by default ours.
    :param say: is told what is done.
    :param ask: puts a question to the user, and gives the answer; ``None`` if there is nobody to ask. By default the
        terminal, if standard input and standard error are one.
    """

    def __init__(
        self,
        config: Config,
        *,
        python: str | None = None,
        say: Callable[[str], None] = lambda text: None,
        ask: Callable[[str], str | None] | None = None,
    ) -> None:
        self.config = config
        self._python: str = python or getattr(sys, "_base_executable", "") or sys.executable
        self._say = say
        self._ask = ask or _ask_on_terminal
        directory = os.path.join(config.data_directory, "system")
        shipped = self._shipped()
        own = [check_owner(path) for place in OWN for path in find_definitions(place)]
        environ = dict(os.environ)
        self._platform = open_platform(map(read_definition, shipped), map(read_definition, own), directory, environ)
        self._catalogue: Catalogue | None = None

    @staticmethod
    def _shipped() -> list[str]:
        """Give the paths of the definition files that come with pip-accel."""
        return find_definitions(os.path.dirname(os.path.abspath(__file__)))

    @property
    def platform(self) -> Platform | None:
        """The package manager of this system, ``None`` if it is not known."""
        return self._platform

    # What is missing

    def find_known_dependencies(self, requirement: Requirement) -> list[str]:
        """Give the names of the packages that a project is known to need, installed or not."""
        if self._platform is None:
            return []
        return [each.name for each in self._open(self._platform).find_for_project(canonical_name(requirement.name))]

    def find_missing_dependencies(self, requirement: Requirement) -> list[str]:
        """Give the names of the packages that a project is known to need and that are not installed.

        :raises SystemDependencyError: what is installed cannot be listed.
        """
        known = self.find_known_dependencies(requirement)
        installed = set(self.find_installed_packages()) if known else set()
        return [name for name in known if name not in installed]

    def find_installed_packages(self) -> list[str]:
        """Give the names of all installed packages, and of what they provide; sorted.

        :raises SystemDependencyError: the command that lists them failed.
        """
        return sorted(self._platform.find_installed()) if self._platform is not None else []

    def find_offer(self, failures: Sequence[Failure], *, installed: Iterable[str] | None = None) -> Offer:
        """Give what would help with builds that failed.

        :param installed: the packages that are; by default those that the system lists.
        :raises SystemDependencyError: what is installed cannot be listed.
        """
        there = frozenset(self.find_installed_packages() if installed is None else installed)
        return self.offer_of([self.find(each, there) for each in failures], installed=there)

    def find(self, failure: Failure, installed: Iterable[str] = (), *, linked: Iterable[str] = ()) -> Finding:
        """Give what is known about the needs of a distribution.

        :param installed: names of packages that are: what leads to them was no reason to fail.
        :param linked: names of shared libraries that what was built of it is linked with.
        """
        if self._platform is None:
            return Finding(failure.label)
        catalogue = self._open(self._platform)
        said, unknown = catalogue.find_for_output(find_missing(failure.output), frozenset(installed))
        libraries = [match for match in map(_SONAME.match, linked) if match is not None]
        return Finding(
            failure.label,
            tuple(_declared(failure.external, catalogue)),
            tuple(catalogue.find_for_project(failure.project)),
            said,
            tuple(
                each
                for match in libraries
                for each in catalogue.find(Missing("library", match[1] + (match[2] or "")))
                or catalogue.find(Missing("library", match[1]))
            ),
            tuple(unknown),
        )

    def find_toolchain(self) -> tuple[Package, ...]:
        """Give the packages that whoever compiles extension modules needs in any case, or nearly so."""
        if self._platform is None:
            return ()
        catalogue = self._open(self._platform)
        things = Missing("program", "cc"), Missing("header", "Python.h"), Missing("program", "pkg-config")
        return tuple(package for each in things for package in catalogue.find(each))

    def offer_of(self, findings: Sequence[Finding], *, installed: Iterable[str] | None = None) -> Offer:
        """Put findings together.

        :raises SystemDependencyError: what is installed cannot be listed.
        """
        packages: dict[str, Package] = {}
        for finding in findings:
            for package in finding.packages:
                kept = packages.setdefault(package.name, package)
                packages[package.name] = package if package.vetted else kept
        there: set[str] = set()
        if packages and self._platform is not None:
            there = set(installed) if installed is not None else self._platform.find_installed()
        missing = tuple(each for each in packages.values() if each.name not in there)
        return Offer(tuple(findings), tuple(packages.values()), missing)

    def explain(self, error: BaseException) -> str:
        """Say in a sentence what builds lack that no package is known for; nothing if there is no such thing."""
        if self._platform is None:
            return ""
        unknown = self.offer_of([self.find(each) for each in failures_of(error)]).unknown
        if not unknown:
            return ""
        text = f"No package is known that has {describe_things(unknown)}"
        if self._platform.has_index:
            return f"{text}, also not by the file index of the distribution."
        return f"{text}. With PIP_ACCEL_AUTO_INSTALL=yes the file index of the distribution is looked at as well."

    def can_help(self, error: BaseException) -> bool:
        """Whether packages are known that would help with a build that failed.

        :raises SystemDependencyError: what is installed cannot be listed.
        """
        return bool(self.find_offer(failures_of(error)).missing)

    def _open(self, platform: Platform) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = Catalogue(platform.definition, platform.load_index(), self._find_python_package)
        return self._catalogue

    def _find_python_package(self) -> str | None:
        """Give the package with the headers of the interpreter that is built for, if it comes from a package."""
        real = os.path.realpath(self._python)
        found = re.fullmatch(r"/usr/bin/python(3\.\d+)", real)
        if found is None:
            return None
        return "python3-dev" if os.path.realpath("/usr/bin/python3") == real else f"python{found[1]}-dev"

    # Consent

    def install_dependencies(self, requirement: Requirement) -> bool:
        """Install the packages that a project is known to need; give whether any were installed.

        :raises DependencyInstallationRefused: that is switched off, or the operator said no.
        :raises DependencyInstallationFailed: it failed.
        :raises SystemDependencyError: what is installed cannot be listed.
        """
        return self.install_for([Failure(str(requirement), "")])

    def install_for(self, failures: Sequence[Failure], *, dry_run: bool = False) -> bool:
        """Install, with consent, what would help with builds that failed; give whether anything was installed.

        All of them are helped by one command. Where the table that ships with pip-accel does not know what is missing,
        the file index of the distribution is fetched, with consent as well.

        :param dry_run: whether that is refused in any case.
        :raises DependencyInstallationRefused: that is switched off, or the operator said no; the context has the
            ``packages`` and the ``command``.
        :raises DependencyInstallationFailed: it failed.
        :raises SystemDependencyError: what is installed cannot be listed.
        """
        platform = self._platform
        if platform is None:
            return False
        offer = self.find_offer(failures)
        wanting = bool(offer.unknown) and not offer.missing
        if wanting and not (platform.has_index or dry_run) and self._may_fetch(offer):
            self._say("Fetching the file index of the distribution, to find out which packages are missing")
            try:
                platform.fetch_index()
            except DependencyInstallationFailed as error:
                self._say(str(error))
            self._catalogue = None
            offer = self.find_offer(failures)
        if not offer.missing:
            return False
        names, command = offer.names, platform.command_for(offer.names)
        subject = ", ".join(offer.labels)
        if dry_run:
            self.installation_refused(subject, names, "This is a dry run")
        elif self.config.offline:
            self.installation_refused(subject, names, "No connection may be opened (offline)")
        elif self.config.auto_install is None:
            self.confirm_installation(subject, names, command)
        elif not self.config.auto_install:
            self.installation_refused(subject, names, "Installing system packages is switched off (auto-install)")
        else:
            odd = self._find_odd(platform, offer)
            if odd:
                reason = f"Not all are development files that are installed unasked: see to {' '.join(odd)} yourself"
                self.installation_refused(subject, names, reason)
        self._say(f"Installing system packages for {subject}: {' '.join(names)}")
        platform.install(names)
        missing = set(names) - platform.find_installed()
        if missing:
            raise DependencyInstallationFailed(
                "The system packages {names} are not there, though they were installed with: {command}",
                names=" ".join(sorted(missing)),
                command=command,
            )
        return True

    def _may_fetch(self, offer: Offer) -> bool:
        if self.config.offline or self.config.auto_install is not None:
            return bool(self.config.auto_install) and not self.config.offline
        labels = ", ".join(each.label for each in offer.findings if each.unknown)
        return _is_yes(
            self._ask(
                f"{labels} could not be built: no package is known here that has {describe_things(offer.unknown)}."
                " Fetch the file index of the distribution (some 12 MB) and look there? [y/N] "
            )
        )

    def _find_odd(self, platform: Platform, offer: Offer) -> list[str]:
        """Give the packages that a build's output led to, and that are not of a harmless kind."""
        definition = platform.definition
        doubtful = [each for each in offer.missing if not each.vetted and each.name not in definition.packages]
        sections = {each.name: each.section for each in doubtful}
        sections |= platform.find_sections(list(sections))
        return [name for name, section in sections.items() if section not in definition.sections]

    def confirm_installation(
        self, requirement: Requirement | str, missing_dependencies: Sequence[str], install_command: Sequence[str] | str
    ) -> None:
        """Ask the operator. Anything but a clear yes is a no.

        :param requirement: what needs the packages.
        :param install_command: what would be run: a command line, or its words.
        :raises DependencyInstallationRefused: the operator said no, or cannot be asked.
        """
        command = install_command if isinstance(install_command, str) else " ".join(install_command)
        count = len(missing_dependencies)
        answer = self._ask(
            f"{requirement} could not be built without the system {'packages' if count > 1 else 'package'}"
            f" {' '.join(missing_dependencies)}. Install {'them' if count > 1 else 'it'} now with this command?\n"
            f"  {command}\n[y/N] "
        )
        if answer is None:
            reason = "There is nobody to ask (PIP_ACCEL_AUTO_INSTALL=yes installs them unasked)"
            self.installation_refused(requirement, missing_dependencies, reason)
        if not _is_yes(answer):
            self.installation_refused(requirement, missing_dependencies, "They were not installed, as you said")

    def installation_refused(
        self, requirement: Requirement | str, missing_dependencies: Sequence[str], reason: str
    ) -> NoReturn:
        """Say what to do instead.

        :param reason: a sentence without its full stop.
        :raises DependencyInstallationRefused: always.
        """
        platform = self._platform
        command = platform.command_for(missing_dependencies) if platform is not None else ""
        raise DependencyInstallationRefused(
            "{requirement} {need} system packages that are not installed: {packages}. {reason}. Run this command, and"
            " then try again: {command}",
            requirement=requirement,
            need="need" if ", " in str(requirement) else "needs",
            packages=" ".join(missing_dependencies),
            reason=reason,
            command=command,
        )


def describe_things(things: Iterable[Missing]) -> str:
    """Name things that are missing, for people."""
    return escape_unprintable(", ".join(map(str, things)))


#: The name of a shared library, without ``lib`` and version.
_SONAME = re.compile(r"lib(.+?)(-[\d.]+)?\.so(?:\.|$)")


def _ask_on_terminal(text: str) -> str | None:
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(text, end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # what is said next begins a line
        raise


def _is_yes(answer: str | None) -> bool:
    return answer is not None and answer.strip().lower() in ("y", "yes")


#: What PEP 725 calls things that every distribution calls otherwise.
_VIRTUAL = {
    "compiler/c": Missing("program", "cc"),
    "compiler/cxx": Missing("program", "c++"),
    "compiler/cpp": Missing("program", "c++"),
    "compiler/c++": Missing("program", "c++"),
    "compiler/fortran": Missing("program", "gfortran"),
    "compiler/rust": Missing("program", "rustc"),
    "compiler/go": Missing("program", "go"),
    "compiler/java": Missing("program", "javac"),
    "interface/blas": Missing("name", "blas"),
    "interface/lapack": Missing("name", "lapack"),
    "interface/mpi": Missing("name", "mpi"),
}


def _declared(external: Iterable[str], catalogue: Catalogue) -> list[Package]:
    """Give packages for what a project declares: package URLs, and virtual names (PEP 725)."""
    packages = []
    for text in external:
        text = text.partition(";")[0].strip().removeprefix("dep:").removeprefix("pkg:")
        kind, _, name = re.split(r"[@?#]", text, maxsplit=1)[0].strip().partition("/")
        if kind.startswith("virtual"):
            thing = _VIRTUAL.get(f"{kind.partition(':')[2]}/{name}".strip("/")) or _VIRTUAL.get(name)
            packages += catalogue.find(thing) if thing is not None else []
        elif kind == "generic":
            packages += catalogue.find(Missing("program", name)) or catalogue.find(Missing("name", name))
        elif kind == "deb":
            packages += catalogue.find(Missing("package", name.rpartition("/")[2]))
        elif kind in ("github", "gitlab"):
            packages += catalogue.find(Missing("name", name.rpartition("/")[2]))
    return packages
