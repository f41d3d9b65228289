"""Where pip's settings come from: its configuration files and the ``PIP_*`` variables.

Follows ``pip._internal.configuration``; what pip-accel's own settings are is another matter (:mod:`pip_accel.config`).
"""

from __future__ import annotations

import os
import sys

from pip_accel.exceptions import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["configuration_files", "find_interpreter", "find_prefix", "read_settings", "settings_for"]

ENVIRONMENT = ":env:"  #: the section that holds the variables, as pip calls it

_WINDOWS = os.name == "nt"
_BASENAME = "pip.ini" if _WINDOWS else "pip.conf"


def find_interpreter(python: str) -> str | None:
    """The interpreter that ``pip --python`` starts for this value: itself, or the one of an environment's directory."""
    if os.path.isdir(python):
        candidates = (os.path.join(python, name) for name in ("bin/python", "Scripts/python.exe"))
        return next((path for path in candidates if os.path.exists(path)), None)
    return python if os.path.exists(python) else None


def find_prefix(interpreter: str) -> str:
    """The ``sys.prefix`` of an interpreter, worked out as it would itself (PEP 405), without starting it."""
    interpreter = os.path.abspath(interpreter)
    directory = os.path.dirname(interpreter)
    for prefix in (os.path.dirname(directory), directory):
        if os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
            return prefix
    directory = os.path.dirname(os.path.realpath(interpreter))
    return directory if _WINDOWS else os.path.dirname(directory)


def configuration_files(environ: Mapping[str, str], prefix: str) -> tuple[str, ...]:
    """The files that pip reads when it runs under ``prefix``, absolute, weakest first; they need not exist."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    directories = _global_directories(environ)
    if not (chosen and os.path.exists(chosen)):
        directories += _user_directories(environ)
    files = [os.path.join(directory, _BASENAME) for directory in (*directories, prefix)]
    # A file that is chosen by the same spelling again keeps its first place in pip.
    return tuple(os.path.abspath(path) for path in dict.fromkeys([*files, chosen] if chosen else files))


def _global_directories(environ: Mapping[str, str]) -> list[str]:
    if _WINDOWS:
        return [os.path.join(environ.get("PROGRAMDATA", "C:\\ProgramData"), "pip")]
    if sys.platform == "darwin":
        brewed = sys.prefix.partition("/opt/python")
        shared = [f"{brewed[0]}/share"] if brewed[1] else []
        shared.append("/Library/Application Support")
        return [os.path.join(path, "pip") for path in _xdg(environ, "XDG_DATA_DIRS") or shared]
    return [*(os.path.join(path, "pip") for path in _xdg(environ, "XDG_CONFIG_DIRS") or ["/etc/xdg"]), "/etc"]


def _user_directories(environ: Mapping[str, str]) -> list[str]:
    home = environ.get("USERPROFILE" if _WINDOWS else "HOME") or os.path.expanduser("~")
    if _WINDOWS:
        roaming = environ.get("APPDATA") or os.path.join(home, "AppData", "Roaming")
        return [os.path.join(home, "pip"), os.path.join(roaming, "pip")]
    directory = os.path.join(home, ".config")
    if sys.platform == "darwin":
        mac = (_xdg(environ, "XDG_DATA_HOME") or [os.path.join(home, "Library", "Application Support")])[0]
        directory = mac if os.path.isdir(os.path.join(mac, "pip")) else directory
    else:
        directory = (_xdg(environ, "XDG_CONFIG_HOME") or [directory])[0]
    return [os.path.join(home, ".pip"), os.path.join(directory, "pip")]


def _xdg(environ: Mapping[str, str], name: str) -> list[str]:
    """The directories of a variable; relative ones do not count (XDG Base Directory Specification)."""
    paths = (path.strip() for path in environ.get(name, "").split(os.pathsep))
    return [path for path in paths if os.path.isabs(path)]


def read_settings(
    environ: Mapping[str, str], prefix: str, read: Callable[[str], bytes]
) -> Mapping[str, Mapping[str, str]]:
    """All settings by section, the variables in the section ``:env:``, without those whose value is empty.

    :param prefix: ``sys.prefix`` of the interpreter that pip runs in.
    :param read: gives the contents of a file, or raises :class:`OSError`.
    :returns: section → name of a long option without its dashes → text.
    :raises Unsupported: a file that pip cannot read either, or one that pip's releases read in different ways.
    """
    settings: dict[str, dict[str, str]] = {}
    for path in configuration_files(environ, prefix):
        try:
            content = read(path)
        except OSError:
            continue
        for section, name, text in _parse(path, content):
            values = settings.setdefault(section, {})
            if not text and name in values:
                # Takes the earlier value back in pip 26, is ignored in 25.3.
                raise Unsupported("the empty setting {name} in {path} depends on pip's version", name=name, path=path)
            if text:
                values[name] = text
    variables = ((_normalize(name[4:]), text) for name, text in environ.items() if name.startswith("PIP_"))
    settings[ENVIRONMENT] = {name: text for name, text in variables if text and name not in ("version", "help")}
    return settings


def settings_for(command: str, settings: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """The settings that one of pip's commands takes notice of, weakest first.

    :param command: its name; ``global`` for pip's words before the command.
    """
    for section in dict.fromkeys(("global", command, ENVIRONMENT)):
        yield from settings.get(section, {}).items()


def _parse(path: str, content: bytes) -> Iterator[tuple[str, str, str]]:
    import configparser
    import io

    class Parser(configparser.RawConfigParser):
        def optionxform(self, optionstr: str) -> str:
            return _normalize(optionstr)

    parser = Parser()
    try:
        # pip reads these in the encoding of the locale (or UTF-8 mode), which is what open() takes by default.
        parser.read_string(io.TextIOWrapper(io.BytesIO(content)).read(), path)
    except (UnicodeError, configparser.Error) as error:
        raise Unsupported("{path} cannot be read: {error}", path=path, error=type(error).__name__) from error
    for section in parser.sections():
        for name, text in parser.items(section):
            yield section, name, text or ""


def _normalize(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
