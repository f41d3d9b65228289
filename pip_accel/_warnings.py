"""pip's warnings about an installation, in its words: what they say, and when there is one.

Which requirements pip looks at is the matter of its ``operations/check.py``. That changes from one pip to the next, and
so does how it compares the directories of scripts: hence the version of the pip whose words are given.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from pip_accel._installed import find_installed
from pip_accel._metadata import all_headers
from pip_accel._names import canonical_name, leading_name
from pip_accel._resources import is_older
from pip_accel._values import Change, Installed, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["find_conflicts", "root_warning", "scripts_off_path"]

_CONFLICTS = (
    "pip's dependency resolver does not currently take into account all the packages that are installed. "
    "This behaviour is the source of the following dependency conflicts."
)
_ROOT = (
    "Running pip as the 'root' user can result in broken permissions and conflicting behaviour with the system package "
    "manager, possibly rendering your system unusable. It is recommended to use a virtual environment instead: "
    "https://pip.pypa.io/warnings/venv. Use the --root-user-action option if you know what you are doing and want to "
    "suppress this warning."
)
_SCRIPTS = "The {scripts} installed in '{directory}' which is not on PATH."
_ADVICE = (
    "Consider adding this directory to PATH or, if you prefer to suppress this warning, use --no-warn-script-location."
)
_TILDE = "NOTE: The current PATH contains path(s) starting with `~`, which may not be expanded by all applications."

#: Versions that are certainly ones (PEP 440), without a local part.
_VERSION = r"[0-9]+(?:\.[0-9]+)*(?:[-_.]?(?:a|b|rc)[-_.]?[0-9]*)?(?:[-_.]?post[-_.]?[0-9]*)?(?:[-_.]?dev[-_.]?[0-9]*)?"


class _Package(NamedTuple):
    """What counts of an installed distribution."""

    version: str
    requires: Sequence[str]  #: requirements under any marker


def find_conflicts(
    target: Target, changes: Sequence[Change], *, pip: str, on_broken: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Give the lines of the error in which pip names the requirements that an installation leaves unsatisfied.

    To be called before anything has changed. Those of what comes are not looked at, as they were satisfied when it was
    chosen; all those of an installed distribution are, if one of them is for something that comes. pip prints the error
    before ``Successfully installed``, and has none with ``--no-deps`` or ``--no-warn-conflicts``.

    :param pip: version of the pip whose words these are.
    :param on_broken: is told the warnings about metadata that pip cannot understand, for which it leaves a distribution
        out. It prints them before ``Installing collected packages``, and also when there are no changes.
    """
    markers = {**dict(target.markers), "extra": ""}
    packages: dict[str, _Package] = {}
    for installed in _in_order(target):
        try:
            packages[installed.name] = _read(installed, markers)
        except ValueError as error:
            on_broken(f"Error parsing dependencies of {installed.name}: {error}")
    coming = {canonical_name(change.tree.name): change.tree.version for change in changes}
    versions = {**{name: package.version for name, package in packages.items()}, **coming}
    affected = set(coming)
    # Before 26.2, what requires something that is affected is affected, too, if pip came upon it later.
    sources = affected if is_older(pip, (26, 2)) else set(coming)
    missing, conflicting = [], []
    for name, package in packages.items():
        texts = [text for text in package.requires if canonical_name(leading_name(text)) in sources]
        if name in coming or next(_parse(texts, markers), None) is None:
            continue
        affected.add(name)
        found = {*_parse(package.requires, markers)}
        # pip goes by what repr() gives, which ends in a quote.
        for requirement in sorted(found, key=lambda each: (canonical_name(each.name), _spell(each, pip) + "'")):
            required = canonical_name(requirement.name)
            beginning = f"{name} {_as_printed(package.version)} requires {_spell(requirement, pip)}"
            if required not in versions:
                missing.append(f"{beginning}, which is not installed.")
            elif not requirement.specifier.contains(versions[required], prereleases=True):
                present = f"{required} {_as_printed(versions[required])}"
                conflicting.append(f"{beginning}, but you have {present} which is incompatible.")
    lines = [*missing, *conflicting]
    return [_CONFLICTS, *lines] if lines else []


def scripts_off_path(changes: Iterable[Change], target: Target, path: str, *, pip: str) -> list[str]:
    """Give the warnings about scripts that a shell will not find, one for each distribution that brings some.

    Only those count that are made from entry points for the console. A warning has several lines. pip prints them
    while it installs, two blanks further in, and has none with ``--target``, ``--prefix`` and
    ``--no-warn-script-location``.

    :param path: value of ``$PATH``.
    :param pip: version of the pip whose words these are.
    """
    directory, entries = target.scheme.scripts, path.split(os.pathsep)
    if is_older(pip, (26, 2)):
        if os.path.normpath(directory) in map(os.path.normpath, (os.path.dirname(target.python), *entries)):
            return []
    else:
        directory = os.path.realpath(directory)
        if directory in map(os.path.realpath, (os.path.dirname(target.python), *entries)):
            return []
    from pip_accel._install.scripts import make_launchers

    advice = [_ADVICE, _TILDE] if any(each.startswith("~") for each in entries) else [_ADVICE]
    warnings = []
    for change in changes:
        launchers = [each for each in change.tree.launchers if not each.gui]
        if launchers:
            *names, last = sorted({name for name, _ in make_launchers(launchers, target, "")})
            scripts = f"scripts {', '.join(names)} and {last} are" if names else f"script {last} is"
            warnings.append("\n".join([_SCRIPTS.format(scripts=scripts, directory=directory), *advice]))
    return warnings


def root_warning(target: Target) -> str | None:
    """Give the warning about running as root, if there is to be one.

    pip prints it last, also when there was nothing to install, but not after an error or ``--dry-run``, nor with
    ``--root-user-action=ignore``.
    """
    if target.virtual or sys.platform in ("win32", "cygwin") or os.getuid() != 0:
        return None
    return _ROOT


def _in_order(target: Target) -> list[Installed]:
    """Give what the target holds in the order in which pip comes upon it, and names it."""
    found = find_installed(target)
    if target.version.startswith("3.10."):  # there pip goes by name, and follows no egg-link
        return [each for each in found.values() if not each.metadata.endswith(".egg-link")]
    by_path = {each.metadata: each for each in found.values()}
    ordered: dict[str, Installed] = {}
    for directory in target.path:
        try:
            paths = [os.path.join(directory, name) for name in os.listdir(directory)]
        except OSError:
            continue
        for path in sorted(filter(by_path.__contains__, paths), key=lambda path: path.endswith(".egg-link")):
            for each in _follow(path, target) if path.endswith(".egg-link") else [by_path[path]]:
                ordered.setdefault(each.name, each)
    return list(ordered.values())


def _follow(link: str, target: Target) -> Iterable[Installed]:
    """Give what lies in the directory that the first line of an ``.egg-link`` names."""
    with open(link, encoding="utf-8", errors="surrogateescape") as stream:
        place = next(filter(None, map(str.strip, stream)), "")
    return find_installed(target._replace(path=(os.path.join(os.path.dirname(link), place),))).values() if place else ()


def _read(installed: Installed, markers: Mapping[str, str]) -> _Package:
    """Read version and requirements of an installed distribution.

    :raises ValueError: pip cannot understand them.
    """
    headers = all_headers(_read_metadata(installed.metadata))
    requires = [text.strip() for text in headers.get("requires-dist", ())]
    version = installed.version
    if installed.metadata.endswith(".egg-info"):
        requires = requires or _read_egg_requirements(os.path.join(installed.metadata, "requires.txt"))
        version = ""
    version = version or headers.get("version", [""])[0]
    for text in requires:
        if not _is_plain(text):
            from packaging.requirements import Requirement

            requirement = Requirement(text)
            if requirement.marker is not None:
                requirement.marker.evaluate(dict(markers))
    if re.fullmatch(rf"{_VERSION}(?:\+[a-z0-9.]*[a-z0-9])?", version) is None:
        _as_printed(version)
    return _Package(version, requires)


def _read_metadata(path: str) -> bytes:
    """Read the core metadata in a directory, or in a file in place of one; nothing if there is none.

    :raises UnicodeDecodeError: it is not UTF-8.
    """
    for place in (os.path.join(path, "METADATA"), os.path.join(path, "PKG-INFO"), path):
        try:
            with open(place, "rb") as stream:
                data = stream.read()
        except OSError:
            continue
        data.decode("utf-8")
        return data
    return b""


def _read_egg_requirements(path: str) -> list[str]:
    """Read a ``requires.txt``, without the requirements of extras, for which nobody asks."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.strip() for line in stream]
    except OSError:
        return []
    requires = []
    extra = marker = ""
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line.strip("[]").partition(":")
        elif line and not line.startswith("#") and not extra:
            requires.append(f"{line} ; {marker}" if marker else line)
    return requires


@cache
def _plain_requirement() -> re.Pattern[str]:
    name = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
    extras = rf"\[ *(?:{name} *(?:, *(?!\])|(?=\])))+\] *"
    clause = rf"(?:(?:[<>]=?|[=!]=|~= *[0-9]+\.(?=[0-9])) *{_VERSION}|[=!]= *[0-9]+(?:\.[0-9]+)*\.\*) *"
    clauses = rf"\(?(?:{clause}(?:, *(?=[<>=!~])|(?=[;)]|$)))+\)? *"
    variable = "(?:extra|(?:os|implementation)_name|sys_platform|platform_(?:machine|python_implementation|system)"
    variable += "|python_(?:full_)?version)"
    comparison = rf"""\(*{variable}\b *(?:[<>]=?|[=!]=|(?:not +)?in\b) *(?:"[^"\\]*"|'[^'\\]*') *\)* *"""
    return re.compile(rf"{name} *(?:{extras})?(?:{clauses})?(?:;(?:(?:(?<=;)|\b(?:and|or)\b) *{comparison})+)?")


def _is_plain(requirement: str) -> bool:
    """Whether a requirement is certainly one that can be understood; to parse it would take thirty times as long."""
    return _plain_requirement().fullmatch(requirement) is not None and requirement.count("(") == requirement.count(")")


def _parse(requires: Iterable[str], markers: Mapping[str, str]) -> Iterator[Requirement]:
    """Parse those requirements that count in an environment."""
    from pip_accel._plan.clauses import parse_requirement

    for text in requires:
        requirement = parse_requirement(text)
        if requirement is not None and (requirement.marker is None or requirement.marker.evaluate(dict(markers))):
            yield requirement


def _spell(requirement: Requirement, pip: str) -> str:
    """Give the text of a requirement; before 26.0 there was no blank in front of a URL's ``@``."""
    if not requirement.url:
        return str(requirement)
    name, _, rest = str(requirement).partition("@ ")
    return name.rstrip() + ("@ " if is_older(pip, (26, 0)) else " @ ") + rest


def _as_printed(version: str) -> str:
    """Give a version as pip prints it.

    :raises ValueError: it is none (PEP 440).
    """
    from packaging.version import Version

    return str(Version(version))
