"""The options of ``pip install`` and ``pip download`` from pip 25.3 to 26.3, and what words and settings make of them.

pip reads its words with :mod:`optparse`, whose rules are followed here without importing it: options and requirements
may be mixed, long options abbreviated, short ones clustered. What is in no table, is spelled so that one of these
versions finds it ambiguous, or has a value that pip would refuse, raises :class:`~pip_accel.exceptions.Unsupported`:
pip then gets the whole command, and says in its own words what is wrong.
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from pip_accel._names import canonical_name
from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

__all__ = [
    "OPTIONS",
    "FormatControl",
    "Given",
    "Option",
    "Scanned",
    "apply_settings",
    "apply_words",
    "default_of",
    "known_options",
    "scan",
]


class Option(NamedTuple):
    """One option of pip."""

    dest: str  #: the name pip keeps its value under
    #: ``flag``, ``off`` (a flag that sets false), ``never`` (the same, whatever a setting says), ``value``, ``append``,
    #: ``pairs``, ``count`` or ``format``
    kind: str
    spellings: str  #: separated by blanks
    commands: str  #: who knows it: ``m`` pip before the command, ``i`` install, ``d`` download, ``f`` requirement files
    check: str = ""  #: ``int``, ``float``, ``path``, or the choices, separated by blanks
    ours: bool = True  #: whether pip-accel can serve it; else pip has to

    @property
    def takes_value(self) -> bool:
        return self.kind in ("value", "append", "pairs", "format")

    @property
    def long(self) -> str:
        """Its first long spelling."""
        return next(spelling for spelling in self.spellings.split() if spelling.startswith("--"))


class FormatControl(NamedTuple):
    """Projects for which wheels or sdists are not wanted: canonical names, or ``:all:``."""

    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()


class Given(NamedTuple):
    """An option among words."""

    option: Option
    value: str  #: as written; empty for options without one
    start: int  #: place of its word
    end: int  #: place of the first word behind it


class Scanned(NamedTuple):
    """Words told apart."""

    given: tuple[Given, ...]
    positional: tuple[str, ...]
    end: int  #: place of the first word that was not looked at: the one behind ``--``, or the command


def _pip(dest: str, kind: str, spellings: str, commands: str, check: str = "") -> Option:
    """An option that only pip itself can serve."""
    return Option(dest, kind, spellings, commands, check, ours=False)


OPTIONS = (
    # General options. pip takes them before the command and after it, ``--python`` before it only.
    _pip("help", "flag", "-h --help", "mid"),
    _pip("version", "flag", "-V --version", "mid"),
    _pip("debug_mode", "flag", "--debug", "mid"),
    _pip("isolated_mode", "flag", "--isolated", "mid"),
    _pip("require_venv", "flag", "--require-virtualenv --require-venv", "mid"),
    Option("python", "value", "--python", "mid"),
    Option("verbose", "count", "-v --verbose", "mid"),
    Option("quiet", "count", "-q --quiet", "mid"),
    Option("log", "value", "--log --log-file --local-log", "mid", "path"),
    Option("no_input", "flag", "--no-input", "mid"),
    Option("keyring_provider", "value", "--keyring-provider", "mid", "auto disabled import subprocess"),
    Option("proxy", "value", "--proxy", "mid"),
    Option("no_proxy_env", "flag", "--no-proxy-env", "mid"),
    Option("retries", "value", "--retries", "mid", "int"),
    Option("resume_retries", "value", "--resume-retries", "mid", "int"),
    Option("timeout", "value", "--timeout --default-timeout", "mid", "float"),
    Option("exists_action", "append", "--exists-action", "mid", "s i w b a"),
    Option("trusted_hosts", "append", "--trusted-host", "midf"),
    Option("cert", "value", "--cert", "mid", "path"),
    Option("client_cert", "value", "--client-cert", "mid", "path"),
    Option("cache_dir", "value", "--cache-dir", "mid", "path"),
    Option("cache_dir", "never", "--no-cache-dir", "mid"),
    Option("disable_pip_version_check", "flag", "--disable-pip-version-check", "mid"),
    Option("no_color", "flag", "--no-color", "mid"),
    Option("no_python_version_warning", "flag", "--no-python-version-warning", "mid"),
    Option("features_enabled", "append", "--use-feature", "midf", "build-constraint"),
    _pip("deprecated_features_enabled", "append", "--use-deprecated", "mid"),
    # What to install, and from where.
    Option("requirements", "append", "-r --requirement", "idf"),
    Option("constraints", "append", "-c --constraint", "idf"),
    Option("build_constraints", "append", "--build-constraint", "id"),
    Option("requirements_from_scripts", "append", "--requirements-from-script", "id"),
    Option("editables", "append", "-e --editable", "if"),
    Option("dependency_groups", "append", "--group", "id"),
    Option("ignore_dependencies", "flag", "--no-deps --no-dependencies", "id"),
    _pip("only_dependencies", "flag", "--only-deps --only-dependencies", "id"),
    Option("index_url", "value", "-i --index-url --pypi-url", "idf"),
    Option("extra_index_urls", "append", "--extra-index-url", "idf"),
    Option("no_index", "flag", "--no-index", "idf"),
    Option("find_links", "append", "-f --find-links", "idf"),
    _pip("refresh_package", "append", "--refresh-package", "id"),
    _pip("uploaded_prior_to", "value", "--uploaded-prior-to", "id"),
    Option("pre", "flag", "--pre", "idf"),
    _pip("release_control", "append", "--all-releases", "idf"),
    _pip("release_control", "append", "--only-final", "idf"),
    Option("format_control", "format", "--no-binary", "idf"),
    Option("format_control", "format", "--only-binary", "idf"),
    Option("prefer_binary", "flag", "--prefer-binary", "idf"),
    Option("require_hashes", "flag", "--require-hashes", "idf"),
    Option("no_require_hashes", "flag", "--no-require-hashes", "idf"),
    Option("hashes", "append", "--hash", "f"),
    _pip("platforms", "append", "--platform", "id"),
    _pip("python_version", "value", "--python-version", "id"),
    _pip("implementation", "value", "--implementation", "id"),
    _pip("abis", "append", "--abi", "id"),
    _pip("ignore_requires_python", "flag", "--ignore-requires-python", "id"),
    # How to build.
    Option("build_isolation", "off", "--no-build-isolation", "id"),
    Option("use_pep517", "flag", "--use-pep517", "id"),
    _pip("check_build_deps", "flag", "--check-build-dependencies", "id"),
    Option("config_settings", "pairs", "-C --config-settings", "if"),
    Option("src_dir", "value", "--src --source --source-dir --source-directory", "id", "path"),
    _pip("no_clean", "flag", "--no-clean", "id"),
    # How and where to install, or to download.
    Option("dry_run", "flag", "--dry-run", "i"),
    Option("json_report_file", "value", "--report", "i"),
    Option("target_dir", "value", "-t --target", "i"),
    Option("use_user_site", "flag", "--user", "i"),
    Option("use_user_site", "off", "--no-user", "i"),
    Option("root_path", "value", "--root", "i"),
    Option("prefix_path", "value", "--prefix", "i"),
    Option("upgrade", "flag", "-U --upgrade", "i"),
    Option("upgrade_strategy", "value", "--upgrade-strategy", "i", "only-if-needed eager"),
    Option("force_reinstall", "flag", "--force-reinstall", "i"),
    Option("ignore_installed", "flag", "-I --ignore-installed", "i"),
    Option("override_externally_managed", "flag", "--break-system-packages", "i"),
    Option("compile", "flag", "--compile", "i"),
    Option("compile", "off", "--no-compile", "i"),
    Option("warn_script_location", "off", "--no-warn-script-location", "i"),
    Option("warn_about_conflicts", "off", "--no-warn-conflicts", "i"),
    Option("progress_bar", "value", "--progress-bar", "id", "auto on off raw"),
    Option("root_user_action", "value", "--root-user-action", "i", "warn ignore"),
    Option("download_dir", "value", "-d --dest --destination-dir --destination-directory", "d"),
)

_KIND_DEFAULTS: Mapping[str, Any] = {
    "flag": False,
    "off": True,
    "never": None,
    "value": None,
    "append": (),
    "pairs": (),
    "count": 0,
    "format": FormatControl(),
}
#: where two options share a dest, or pip's default is not that of the kind
_DEFAULTS: Mapping[str, Any] = {
    "cache_dir": None,
    "compile": True,
    "keyring_provider": "auto",
    "progress_bar": "auto",
    "root_user_action": "warn",
    "upgrade_strategy": "only-if-needed",
    "use_pep517": True,
    "use_user_site": None,
}
_BOOLEANS = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}


@cache
def known_options(command: str) -> Mapping[str, Option]:
    """All spellings that a command knows.

    :param command: a letter of :attr:`Option.commands`.
    """
    known = (option for option in OPTIONS if command in option.commands)
    return {spelling: option for option in known for spelling in option.spellings.split()}


def default_of(option: Option) -> Any:
    """The value that ``option.dest`` has when nobody gives one; ``None`` also stands for what pip finds out itself."""
    return _DEFAULTS.get(option.dest, _KIND_DEFAULTS[option.kind])


def scan(words: Sequence[str], command: str, *, interspersed: bool = True) -> Scanned:
    """Tell options, their values and other words apart.

    :param command: a letter of :attr:`Option.commands`.
    :param interspersed: options may follow positional words; else the first of those ends the search.
    :raises Unsupported: where :mod:`optparse` would stop with an error.
    """
    known = known_options(command)
    given: list[Given] = []
    positional: list[str] = []
    at, count = 0, len(words)
    while at < count:
        start, word = at, words[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            name, joined, value = word.partition("=")
            option = _find_long(name, known)
            if option.takes_value and not joined:
                value, at = _next_word(words, at, name)
            elif joined and not option.takes_value:
                raise Unsupported("the option {option} takes no value", option=option.long)
            given.append(Given(option, value, start, at))
        elif word.startswith("-") and word != "-":
            for place, letter in enumerate(word[1:], 2):
                short = known.get("-" + letter)
                if short is None:
                    raise Unsupported("the option {option} is not known", option="-" + letter)
                if short.takes_value:
                    value = word[place:]
                    if not value:
                        value, at = _next_word(words, at, "-" + letter)
                    given.append(Given(short, value, start, at))
                    break
                given.append(Given(short, "", start, at))
        elif interspersed:
            positional.append(word)
        else:
            at = start
            break
    return Scanned(tuple(given), (*positional, *words[at:]), at)


def _find_long(name: str, known: Mapping[str, Option]) -> Option:
    if name in known:
        return known[name]
    matches = [spelling for spelling in known if spelling.startswith(name)]
    if not matches:
        raise Unsupported("the option {option} is not known", option=name)
    if len(matches) > 1:
        raise Unsupported("the option {option} is ambiguous: {matches}", option=name, matches=", ".join(matches))
    return known[matches[0]]


def _next_word(words: Sequence[str], at: int, name: str) -> tuple[str, int]:
    if at == len(words):
        raise Unsupported("the option {option} lacks its value", option=name)
    return words[at], at + 1


def apply_words(values: dict[str, Any], given: Iterable[Given]) -> None:
    """Let options among words change the values that they set, as pip does: the last one wins, lists get longer.

    :param values: by :attr:`Option.dest`.
    :raises Unsupported: a value that pip would refuse, or an option that only pip can serve.
    """
    for option, text, _start, _end in given:
        value: Any
        if option.kind == "flag":
            value = True
        elif option.kind in ("off", "never"):
            value = False
        elif option.kind == "count":
            value = values.get(option.dest, 0) + 1
        elif option.kind == "append":
            value = (*values.get(option.dest, ()), _checked(option, text))
        elif option.kind == "pairs":
            value = (*values.get(option.dest, ()), _split_pair(option, text))
        elif option.kind == "format":
            value = _restrict(values.get(option.dest, FormatControl()), option, text)
        else:
            value = _checked(option, text)
        _store(values, option, value)


def apply_settings(values: dict[str, Any], settings: Iterable[tuple[str, str]], command: str) -> None:
    """Let settings from configuration files and the environment change the values that they set.

    Here a later list replaces an earlier one, and a flag gets the value it is given: ``no-compile = yes`` compiles.
    Pairs are no list: each setting is one, whatever blanks it has, and joins the earlier ones.

    :param values: by :attr:`Option.dest`.
    :param settings: names of long options without their dashes, and texts; names that the command does not know are
        ignored, as they may be meant for others.
    :raises Unsupported: a value that pip would refuse, or a setting that only pip can serve.
    """
    known = known_options(command)
    for name, text in settings:
        option = known.get("--" + name)
        if option is None:
            continue
        value: Any
        if option.kind in ("flag", "off", "never"):
            value = _BOOLEANS.get(text.lower())
            if value is None:
                raise Unsupported("the setting {name} is not a boolean", name=name)
            value = value and option.kind != "never"
        elif option.kind == "count":
            value = _parse_count(name, text)
        elif option.kind == "append":
            value = tuple(_checked(option, part) for part in text.split())
        elif option.kind == "pairs":
            value = (*values.get(option.dest, ()), _split_pair(option, text))
        elif option.kind == "format":
            value = _restrict(values.get(option.dest, FormatControl()), option, text)
        else:
            value = _checked(option, text)
        _store(values, option, value)


def _store(values: dict[str, Any], option: Option, value: Any) -> None:
    if not option.ours and value != default_of(option):
        raise Unsupported("only pip itself can serve the option {option}", option=option.long)
    values[option.dest] = value


def _parse_count(name: str, text: str) -> int:
    try:
        count = int(_BOOLEANS.get(text.lower(), text))
    except ValueError:
        count = -1
    if count < 0:
        raise Unsupported("the setting {name} is neither a number nor a boolean", name=name)
    return count


def _checked(option: Option, text: str) -> Any:
    """What optparse makes of the text, by the type of the option."""
    if not option.check:
        return text
    if option.check == "path":
        return os.path.expanduser(text)
    try:
        if option.check == "int":
            # C's prefixes; a leading zero alone makes it octal.
            prefix = text[:2].lower()
            return int(text, {"0x": 16, "0b": 2}.get(prefix, 8 if text[:1] == "0" else 10))
        if option.check == "float":
            return float(text)
    except ValueError:
        raise Unsupported("the value of {option} is not a number", option=option.long) from None
    if text not in option.check.split():
        raise Unsupported("the value of {option} is none of {choices}", option=option.long, choices=option.check)
    return text


def _split_pair(option: Option, text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise Unsupported("the value of {option} is not KEY=VALUE", option=option.long)
    return key, value


def _restrict(control: FormatControl, option: Option, text: str) -> FormatControl:
    """Carry out one ``--no-binary`` or ``--only-binary``: each takes its names out of the other's set."""
    if text.startswith("-"):
        raise Unsupported("the option {option} lacks its value", option=option.long)
    negative = option.long == "--no-binary"
    target, other = (set(names) for names in (control if negative else reversed(control)))
    names = text.split(",")
    while ":all:" in names:
        target, other = {":all:"}, set()
        del names[: names.index(":all:") + 1]
        if ":none:" not in names:
            names = []
    for name in names:
        if name == ":none:":
            target.clear()
        else:
            name = canonical_name(name)
            other.discard(name)
            target.add(name)
    no_binary, only_binary = (target, other) if negative else (other, target)
    return FormatControl(frozenset(no_binary), frozenset(only_binary))
