"""Words to :class:`Request`, by pip's rules: what is asked for, and with which options, wherever they were given.

Files are read, nothing is changed, and pip is not started. What only pip itself can serve, and all that pip would
refuse, raises :class:`~pip_accel.exceptions.Unsupported`: pip then gets the words as they came.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import NamedTuple

from pip_accel._plan.options import (
    OPTIONS,
    FormatControl,
    Given,
    apply_settings,
    apply_words,
    default_of,
    scan,
)
from pip_accel._plan.pip_configuration import find_interpreter, find_prefix, read_settings, settings_for
from pip_accel._plan.project_files import read_groups, read_scripts
from pip_accel._plan.pylock import Lock, is_lock, read_lock
from pip_accel._plan.remote_files import fetch_file
from pip_accel._plan.requirement_files import Line, is_remote, read_requirement_file
from pip_accel._plan.requirements import Root, parse_editable, parse_requirement, split_url
from pip_accel._text import mask_secrets
from pip_accel._values import Destination, Manner
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from pip_accel._plan.requirements import ConfigSettings

__all__ = ["FormatControl", "IndexSettings", "Request", "Root", "download_words", "find_command", "parse", "read_file"]

#: pip sets these where it starts itself and builds; what it then does differs
_INSIDE_PIP = ("_PIP_RUNNING_IN_SUBPROCESS", "_PIP_IN_BUILD_IGNORE_CONSTRAINTS")
#: options in requirement files that pip carries out while it parses a line, whatever else stands on it
_AT_ONCE = ("format_control", "features_enabled")
#: options that ask for something to be installed
_ASKING = ("requirements", "editables", "dependency_groups", "requirements_from_scripts")
_HASHES = ("sha256:", "sha384:", "sha512:")


class IndexSettings(NamedTuple):
    """Where pip would look for archives, after all configuration, words and requirement files. May hold passwords."""

    index_url: str  #: empty for pip's default, and with ``no_index``
    extra_index_urls: tuple[str, ...]
    find_links: tuple[str, ...]  #: URLs, and absolute paths of what exists locally
    no_index: bool
    trusted_hosts: tuple[str, ...]


class Request(NamedTuple):
    """A ``pip install``: what was asked for, and everything that has a say in the answer."""

    words: tuple[str, ...]  #: all words behind the program's name, as they came
    command_words: tuple[str, ...]  #: ``words`` for behind ``install``: without it, and without ``--python`` before it
    manner: Manner  #: what counts of it once there is a plan
    requirements: tuple[Root, ...]  #: in the order in which pip meets them
    constraints: tuple[Root, ...]
    constrained_by_settings: bool  #: whether pip's configuration or its variables name constraint files
    files: tuple[str, ...]  #: paths (absolute) or URLs of requirement and (build) constraint files, also included ones
    contents: Mapping[str, bytes]  #: of those, by path or URL
    lines: tuple[Line, ...]  #: of requirement and constraint files
    locks: tuple[Lock, ...]
    from_settings: bool  #: whether pip's configuration or its variables name such files, or editables
    index: IndexSettings  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    format_control: FormatControl
    prefer_binary: bool
    pre: bool
    upgrade_strategy: str  #: ``only-if-needed`` or ``eager``; has no effect without ``upgrade``
    force_reinstall: bool
    build_isolation: bool
    build_constraints: tuple[Root, ...]  #: for what builds require, not for what is installed; only names and versions
    build_constraint_files: tuple[str, ...]  #: absolute paths, without included files: ``files`` has these, too
    options: Mapping[str, Any]  #: pip's name of an option → its value, for all in configuration, variables and words
    install_settings: tuple[str, ...]  #: words that give other commands what the section ``[install]`` gives this one
    install_environ: Mapping[str, str]  #: variables that do so with passwords: all users of a machine see words


def read_file(path: str) -> bytes:
    """The contents of a file.

    :raises Unsupported: it is a pipe or the like, which gives its contents only once: they are for pip.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Unsupported("{path} can perhaps be read only once", path=path)
    with open(path, "rb") as stream:
        return stream.read()


def find_command(words: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str] | None:
    """The place and the name of pip's command among words; ``None`` if there is none, or pip would not get to it.

    pip does not get to it when its options before the command are wrong or ask for help or its version, and when it is
    called to complete a command line.
    """
    try:
        scanned = scan(words, "m", interspersed=False)
    except Unsupported:
        return None
    if "PIP_AUTO_COMPLETE" in environ or any(each.option.dest in ("help", "version") for each in scanned.given):
        return None
    return (scanned.end, words[scanned.end]) if scanned.end < len(words) else None


def parse(
    words: Sequence[str],
    environ: Mapping[str, str],
    read: Callable[[str], bytes] = read_file,
    fetch: Callable[[str, Mapping[str, Any]], bytes] = fetch_file,
    prefix_of: Callable[[str], str] = find_prefix,
) -> Request:
    """Understand the words of a ``pip install``.

    :param words: all behind the program's name.
    :param read: gives the contents of a file by its absolute path, or raises :class:`OSError`: of pip's configuration
        files, and of requirement and constraint files.
    :param fetch: gives the contents of a file at a URL, given pip's options.
    :param prefix_of: gives the ``sys.prefix`` of the interpreter that ``--python`` chose, where pip looks for a
        configuration file.
    :raises Unsupported: pip has to have the whole command.
    """
    words = tuple(words)
    if any(name in environ for name in _INSIDE_PIP):
        raise Unsupported("pip runs inside of another pip")
    command_words, python, settings = _parse_before_command(words, environ, read, prefix_of)
    given, positional, _end = scan(command_words, "i")
    values: dict[str, Any] = {}
    apply_settings(values, settings_for("install", settings), "i")
    install_settings, install_environ = _translate_settings(values, settings)
    constrained_by_settings = bool(values.get("constraints"))
    from_settings = any(values.get(dest) for dest in ("requirements", "constraints", "editables"))
    apply_words(values, given)
    if values.get("python") and not python:
        raise Unsupported("the option --python stands behind the command")
    if not positional and not any(values.get(dest) for dest in _ASKING):
        raise Unsupported("there is no requirement")
    if not all(word.strip() for word in positional):
        raise Unsupported("a requirement is empty")

    contents: dict[str, bytes] = {}
    locks: list[Lock] = []
    seen: list[Line] = []

    def read_and_note(path: str) -> bytes:
        if path not in contents:
            contents[path] = fetch(path, values) if is_remote(path) else read(path)
        return contents[path]

    def lines(dest: str) -> Iterator[Line]:
        for path in values.get(dest, ()):
            if dest == "requirements" and is_lock(path):
                locks.append(_read_lock(path, read_and_note, from_settings))
                continue
            for line in read_requirement_file(
                path, constraint=dest != "requirements", environ=environ, read=read_and_note
            ):
                seen.append(line)
                yield line

    # pip reads constraints first, and what files set holds for all: the order decides which setting is the last.
    index = _Index(values)
    constraints, requirements = _read_lines(lines("constraints"), values, index)
    settings_of_words = _merge_pairs(values.get("config_settings", ()))
    requirements += [parse_requirement(word, "command line", (), settings_of_words) for word in positional]
    requirements += _read_project_files(read_groups, values.get("dependency_groups"))
    requirements += [parse_editable(text, "command line", settings_of_words) for text in values.get("editables", ())]
    for more, roots in zip(_read_lines(lines("requirements"), values, index), (constraints, requirements), strict=True):
        roots += more
    for lock in locks:
        requirements += [
            parse_requirement(f"{each.name}=={each.version} ; {each.marker}".rstrip("; "), lock.path, each.hashes)
            for each in lock.packages
        ]
    if len(values.get("requirements_from_scripts", ())) > 1:
        raise Unsupported("pip takes one script only")
    requirements += _read_project_files(read_scripts, values.get("requirements_from_scripts"))
    _check_config_settings(requirements)
    build_isolation = values.get("build_isolation", True)
    if values.get("build_constraints") and not build_isolation:
        raise Unsupported("the options --build-constraint and --no-build-isolation exclude each other")
    build_constraints = tuple(_read_build_constraints(lines("build_constraints")))
    manner = Manner(
        python=python,
        destination=_destination(values),
        upgrade=values.get("upgrade", False),
        ignore_installed=values.get("ignore_installed", False) or bool(values.get("target_dir")),
        no_deps=values.get("ignore_dependencies", False),
        compile=values.get("compile", True),
        require_hashes=_requires_hashes(values, [*constraints, *requirements]),
        verbosity=values.get("verbose", 0) - values.get("quiet", 0),
        warn_script_location=values.get("warn_script_location", True),
        warn_conflicts=values.get("warn_about_conflicts", True),
        progress_bar=values.get("progress_bar", "auto"),
        root_user_action=values.get("root_user_action", "warn"),
        break_system_packages=values.get("override_externally_managed", False),
        dry_run=values.get("dry_run", False),
        report=values.get("json_report_file") or "",
        log=os.path.abspath(values["log"]) if values.get("log") else "",
        no_cache=values.get("cache_dir") is False,
        no_input=values.get("no_input", False),
    )
    return Request(
        words=words,
        command_words=command_words,
        manner=manner,
        requirements=tuple(requirements),
        constraints=tuple(constraints),
        constrained_by_settings=constrained_by_settings,
        files=tuple(contents),
        contents=contents,
        lines=tuple(seen),
        from_settings=from_settings,
        locks=tuple(locks),
        index=index.settings(),
        format_control=values.get("format_control", FormatControl()),
        prefer_binary=index.prefer_binary,
        pre=index.pre,
        upgrade_strategy=values.get("upgrade_strategy", "only-if-needed"),
        force_reinstall=values.get("force_reinstall", False),
        build_isolation=build_isolation,
        build_constraints=build_constraints,
        build_constraint_files=tuple(os.path.abspath(path) for path in values.get("build_constraints", ())),
        options=values,
        install_settings=install_settings,
        install_environ=install_environ,
    )


def _destination(values: Mapping[str, Any]) -> Destination:
    """Where distributions are to go.

    :raises Unsupported: pip refuses it, or does something of which nobody can mean that.
    """
    dests = ("target_dir", "prefix_path", "root_path")
    places = {dest: values[dest] for dest in dests if values.get(dest) is not None}
    user = values.get("use_user_site")
    if not all(places.values()):
        raise Unsupported("a directory to install into has no name")
    if (user and places) or (len(places) > 1 and "target_dir" in places):
        raise Unsupported("the options that say where to install exclude each other")
    target, prefix, root = (os.path.abspath(places[dest]) if dest in places else "" for dest in dests)
    return Destination(user, target, prefix, root)


def download_words(request: Request) -> list[str]:
    """The same request in words for behind ``pip download``, which knows fewer options than ``pip install``.

    They are meant for the same working directory, variables and configuration files: paths are as the user wrote them.
    """
    scanned = scan(request.command_words, "i")
    words = list(request.install_settings)
    for option, value, _start, _end in scanned.given:
        if "d" in option.commands:
            words.append(f"{option.long}={value}" if option.takes_value else option.long)
    return [*words, *scanned.positional]


def _parse_before_command(
    words: tuple[str, ...],
    environ: Mapping[str, str],
    read: Callable[[str], bytes],
    prefix_of: Callable[[str], str],
) -> tuple[tuple[str, ...], str | None, Mapping[str, Mapping[str, str]]]:
    """The words for behind ``install``, the value of ``--python``, and the settings that pip then finds."""
    scanned = scan(words, "m", interspersed=False)
    settings = read_settings(environ, sys.prefix, read)
    values: dict[str, Any] = {}
    apply_settings(values, settings_for("global", settings), "m")
    apply_words(values, scanned.given)
    # pip takes out the first word that is equal to the command, wherever it stands.
    if scanned.end == len(words) or words[scanned.end] != "install" or words.index("install") != scanned.end:
        raise Unsupported("the command is not install")
    python = values.get("python") or None
    if python:
        interpreter = find_interpreter(python)
        if interpreter is None:
            raise Unsupported("there is no interpreter {python}", python=python)
        settings = read_settings(environ, prefix_of(interpreter), read)
    dropped = {scanned.end}
    for each in scanned.given:
        if each.option.dest == "python":
            dropped.update(range(each.start, each.end))
    return tuple(word for place, word in enumerate(words) if place not in dropped), python, settings


def _translate_settings(
    values: Mapping[str, Any], settings: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Words and variables that make up for the sections ``[install]`` and ``[download]``, which are for one command."""
    environ: dict[str, str] = {}
    if not settings.get("install") and not settings.get("download"):
        return (), environ
    others: dict[str, Any] = {}
    apply_settings(others, settings_for("download", settings), "d")
    words: list[str] = []
    # Of several options for one dest the first can set any value.
    shared = {option.dest: option for option in reversed(OPTIONS) if {"i", "d"} <= set(option.commands)}
    for dest, option in shared.items():
        wanted, found = (each.get(dest, default_of(option)) for each in (values, others))
        if wanted == found or dest == "log":
            continue
        if dest == "cache_dir" and wanted is False:
            words.append("--no-cache-dir")
        elif wanted and option.kind in ("append", "value") and mask_secrets(str(wanted)) != str(wanted):
            # No variable has a say in it, or it would have overridden both sections.
            value = wanted if option.kind == "value" else " ".join(wanted)
            environ["PIP_" + option.long.strip("-").replace("-", "_").upper()] = value
        elif (option.kind == "flag" and wanted) or (option.kind == "off" and not wanted):
            words.append(option.long)
        elif option.kind == "count" and wanted > found:
            words += [option.long] * (wanted - found)
        elif option.kind == "append" and wanted[: len(found)] == found:
            words += [f"{option.long}={value}" for value in wanted[len(found) :]]
        elif option.kind == "value" and wanted is not None:
            words.append(f"{option.long}={wanted}")
        elif option.kind == "format":
            words += _format_words(wanted)
        else:
            raise Unsupported("the setting {option} cannot be given to another command", option=option.long)
    return tuple(words), environ


def _format_words(control: FormatControl) -> Iterator[str]:
    """Words that bring about a format control, whatever it was before. ``:all:`` empties both sets: it goes first."""
    yield from ("--no-binary=:none:", "--only-binary=:none:")
    pairs = [("--no-binary", name) for name in control.no_binary]
    pairs += [("--only-binary", name) for name in control.only_binary]
    for option, name in sorted(pairs, key=lambda pair: (pair[1] != ":all:", pair)):
        yield f"{option}={name}"


def _read_lock(path: str, read: Callable[[str], bytes], from_settings: bool) -> Lock:
    if is_remote(path) or "[" in path or path.lower().startswith("file:") or from_settings:
        raise Unsupported("only pip itself can serve {path}", path=path)
    try:
        return read_lock(os.path.abspath(path), path, read(os.path.abspath(path)))
    except OSError as error:
        raise Unsupported("{path} cannot be read: {error}", path=path, error=error) from error


def _read_project_files(read: Callable[[Iterable[str]], Iterable[str]], names: Iterable[str] | None) -> Iterator[Root]:
    """The requirements of files that are not for pip alone. pip finds in them the same as we: by URL, nothing."""
    for text in read(names) if names else ():
        root = parse_requirement(text, "command line")
        if root.kind:
            raise Unsupported("{wanted}, in a file that is not for pip alone, is not by name", wanted=text)
        yield root


class _Index:
    """What requirement files may change while they are read: pip's search scope, and its taste in archives."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.no_index: bool = values.get("no_index", False)
        self.urls: list[str] = []
        if not self.no_index:
            self.urls = [values.get("index_url", ""), *values.get("extra_index_urls", ())]
        self.find_links: list[str] = [_find_home(link) for link in values.get("find_links", ())]
        self.trusted_hosts: list[str] = list(values.get("trusted_hosts", ()))
        self.prefer_binary: bool = values.get("prefer_binary", False)
        self.pre: bool = values.get("pre", False)

    def apply_options(self, options: Mapping[str, Any], directory: str) -> None:
        """Take over the options of a line that has no requirement and includes no file.

        :param directory: the one of its file.
        """
        if options.get("no_index"):
            self.no_index, self.urls = True, []
        if not self.no_index:
            if url := options.get("index_url"):
                self.urls = [url]
            self.urls += options.get("extra_index_urls", ())
        # Of several on one line pip takes the first.
        for link in options.get("find_links", ())[:1]:
            beside = os.path.join(directory, link)
            self.find_links.append(beside if os.path.exists(beside) else link)
        self.trusted_hosts += options.get("trusted_hosts", ())
        self.prefer_binary |= options.get("prefer_binary", False)
        self.pre |= options.get("pre", False)

    def settings(self) -> IndexSettings:
        return IndexSettings(
            index_url=self.urls[0] if self.urls else "",
            extra_index_urls=tuple(self.urls[1:]),
            find_links=tuple(os.path.abspath(link) if os.path.exists(link) else link for link in self.find_links),
            no_index=self.no_index,
            trusted_hosts=tuple(self.trusted_hosts),
        )


def _find_home(link: str) -> str:
    """A link that begins with ``~`` is a path if that path exists."""
    path = os.path.expanduser(link)
    return path if link.startswith("~") and os.path.exists(path) else link


def _read_lines(lines: Iterable[Line], values: dict[str, Any], index: _Index) -> tuple[list[Root], list[Root]]:
    """The constraints and the requirements of lines; their options change ``values`` and ``index``."""
    constraints: list[Root] = []
    requirements: list[Root] = []
    for line in lines:
        source = f"{line.path}:{line.number}"
        _refuse_options(line.given, source)
        apply_words(values, (each for each in line.given if each.option.dest in _AT_ONCE))
        options: dict[str, Any] = {}
        apply_words(options, (each for each in line.given if each.option.dest not in _AT_ONCE))
        config_settings = _merge_pairs(options.get("config_settings", ())) if not line.constraint else ()
        if line.requirement:
            if "editables" in options:
                raise Unsupported("a line ({source}) has more than an editable requirement", source=source)
            root = parse_requirement(line.requirement, source, _hashes(line.given, source), config_settings)
            if line.constraint and (root.extras or root.kind):
                raise Unsupported("a constraint ({source}) is more than a name and versions", source=source)
            (constraints if line.constraint else requirements).append(root)
        elif options.get("editables"):
            if line.constraint or line.included:
                raise Unsupported("a line ({source}) has more than an editable requirement", source=source)
            requirements.append(parse_editable(options["editables"][0], source, config_settings))
        elif not options.keys() & {"requirements", "constraints"}:
            if "hashes" in options:
                raise Unsupported("a line ({source}) has hashes without a requirement", source=source)
            for dest in options.keys() & {"require_hashes", "no_require_hashes"}:
                values[dest] = True
            index.apply_options(options, os.path.dirname(os.path.abspath(line.shown)))
    return constraints, requirements


def _read_build_constraints(lines: Iterable[Line]) -> Iterator[Root]:
    """The constraints of build constraint files.

    pip reads them where it installs what a build requires: their options change the index of that installation, hashes
    make it require hashes, and requirements that they include are installed with it. All this is left to pip.
    """
    for line in lines:
        source = f"{line.path}:{line.number}"
        root = parse_requirement(line.requirement, source) if line.requirement else None
        options = {each.option.dest for each in line.given}
        if options != (set() if root else {"constraints"}) or (root and (root.extras or root.kind)):
            raise Unsupported("a build constraint ({source}) is more than a name and versions", source=source)
        if root:
            yield root


def _refuse_options(given: Iterable[Given], source: str) -> None:
    for each in given:
        if not each.option.ours:
            raise Unsupported(
                "only pip itself can serve the option {option} ({source})", option=each.option.long, source=source
            )


def _hashes(given: Iterable[Given], source: str) -> tuple[str, ...]:
    hashes = tuple(each.value for each in given if each.option.dest == "hashes")
    if not all(value.startswith(_HASHES) for value in hashes):
        raise Unsupported("a requirement ({source}) has a hash of an unknown kind", source=source)
    return hashes


def _merge_pairs(pairs: Iterable[tuple[str, str]]) -> ConfigSettings:
    merged: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        merged[key] = (*merged.get(key, ()), value)
    return tuple((key, values if len(values) > 1 else values[0]) for key, values in merged.items())


def _check_config_settings(roots: Iterable[Root]) -> None:
    """Leave a project to pip that is asked for with different settings.

    Which of them it is built with depends on the order in which pip's resolver comes to it: with and without extras
    are two things there. What is given directly is built with its own.
    """
    found: dict[str, ConfigSettings] = {}
    for root in roots:
        if root.name and found.setdefault(root.name, root.config_settings) != root.config_settings:
            raise Unsupported("{name} is asked for with different settings for its build", name=root.name)


def _requires_hashes(values: Mapping[str, Any], roots: Iterable[Root]) -> bool:
    """Whether every archive must have a known hash: as asked for, or as soon as one requirement has hashes."""
    required: bool = values.get("require_hashes", False)
    if values.get("no_require_hashes"):
        if required:
            raise Unsupported("the options --require-hashes and --no-require-hashes exclude each other")
        return False
    roots = tuple(roots)
    required = required or any(root.hashes for root in roots)
    if required and not all(map(_can_be_checked, roots)):
        raise Unsupported("hashes are required, and what was given by a path has none")
    return required


def _can_be_checked(root: Root) -> bool:
    """Whether it can be seen that an archive is the one that is meant, where hashes are required."""
    if root.kind == "archive":
        return bool(root.hashes) or not split_url(root.url)[1].keys().isdisjoint(("sha256", "sha384", "sha512"))
    return root.kind not in ("directory", "vcs") and (root.kind != "sdist" or bool(root.hashes))
