"""Every option of pip-accel: assigned, set by an environment variable or in a configuration file, or its default.

On the warm path: what reads files and builds messages is imported when there is a file or a message.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Generic, NamedTuple, TypeVar, overload

from pip_accel._text import mask_secrets, parse_boolean, parse_size, parse_timespan
from pip_accel.exceptions import ConfigError, ConfigFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Config", "expand_path", "find_home_directory", "is_root"]

SYSTEM_FILE = "/etc/pip-accel.conf"
USER_FILE = "~/.pip-accel/pip-accel.conf"  # also root's, wherever the data directory is
FILE_VARIABLE = "PIP_ACCEL_CONFIG"
SECTION = "pip-accel"
_OF_BACKENDS = ("s3_", "silence_boto")  #: what the names of properties begin with that only a cache backend reads

_T = TypeVar("_T")
_UNSET = object()


def is_root() -> bool:
    """Say whether this process runs as the super user."""
    return sys.platform != "win32" and os.geteuid() == 0


def find_home_directory() -> str:
    """Give the home directory of the effective user; on Windows ``%APPDATA%``, or else ``~/Application Data``.

    Not ``$HOME``, since ``sudo -s`` keeps that of the user who called it; only a user whom the system does not know, as
    in a container that was given a number, is at home there.

    :raises ConfigError: there is no home directory.
    """
    if sys.platform == "win32":
        return os.environ.get("APPDATA") or os.path.expanduser(os.path.join("~", "Application Data"))
    import pwd

    user = os.geteuid()
    try:
        home = pwd.getpwuid(user).pw_dir
    except KeyError:
        home = ""
    home = home or os.environ.get("HOME", "")
    if not home:
        raise ConfigError(
            """The user with the id {user} has no home directory: the system does not know this user, and $HOME is not
            set. Set $PIP_ACCEL_CACHE to the absolute path of a directory that may be written to.""",
            user=user,
        )
    return home


def expand_path(pathname: str) -> str:
    """Give a path as absolute, with variables expanded, and ``~/`` in front by :func:`find_home_directory`."""
    pathname = os.path.expandvars(pathname)
    if pathname[:1] == "~" and pathname[1:2] in ("", os.sep, os.altsep):
        pathname = os.path.join(find_home_directory(), pathname[2:])
    return os.path.abspath(os.path.expanduser(pathname))


class _Setting(NamedTuple):
    """The value of a key, and where it stands."""

    text: str
    place: str  #: ``/etc/pip-accel.conf, line 3``


class _Option(Generic[_T]):
    """A property of :class:`Config` that can be assigned to, and may have a variable and a key.

    :param default: computes the default; it also gives the property its name, type and documentation.
    :param variable: name of the environment variable, or ``None``.
    :param key: name in configuration files, or ``None``.
    :param parse: makes a value of a text; its ``ValueError`` has for a message what would be accepted.
    """

    def __init__(
        self, default: Callable[[Config], _T], variable: str | None, key: str | None, parse: Callable[[str], Any]
    ) -> None:
        self.default = default
        self.variable = variable
        self.key = key
        self.parse = parse
        self.name = default.__name__
        self.__doc__ = default.__doc__

    @overload
    def __get__(self, config: None, owner: type[Config]) -> _Option[_T]: ...

    @overload
    def __get__(self, config: Config, owner: type[Config]) -> _T: ...

    def __get__(self, config: Config | None, owner: type[Config]) -> _Option[_T] | _T:
        if config is None:
            return self
        if self.name not in config._values:
            config._values[self.name] = self._find(config)
        value: _T = config._values[self.name]
        return value

    def __set__(self, config: Config, value: _T | str | os.PathLike[str]) -> None:
        config._assigned[self.name] = value
        config._values.clear()  # defaults depend on other options

    def _find(self, config: Config) -> Any:
        """Give the value that counts.

        :raises ConfigError: it cannot be understood; has where it comes from, the value and what is accepted.
        """
        value = config.get(self.name, self.variable, self.key, default=_UNSET)
        if value is _UNSET:
            return self.default(config)
        if value is None and (self.parse in _NONE_TOO or self.default(config) is None):
            return None
        try:
            if isinstance(value, (list, tuple)) and self.parse in (_words, _names):
                return tuple(map(str, value))
            # What was assigned has its type already, but may be out of range, or a path that is not a text.
            return self.parse(str(value))
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(
                "{origin} cannot be {value!r}; accepted: {accepted}.",
                origin=self._origin(config),
                value=mask_secrets(str(value)),
                accepted=str(error),
            ) from None

    def _origin(self, config: Config) -> str:
        """Say where the value that counts was set."""
        if self.name in config._assigned:
            return f"The attribute {self.name}"
        if self.variable and config._environment.get(self.variable):
            return f"${self.variable}"
        return f"{config._settings[self.key or ''].place}: {self.key}"


def _option(
    variable: str | None, key: str | None, parse: Callable[[str], Any]
) -> Callable[[Callable[[Config], _T]], _Option[_T]]:
    """Decorate the function that computes the default of an option."""
    return lambda default: _Option(default, variable, key, parse)


def _whole_number(minimum: int) -> Callable[[str], int]:
    """Make a parser for whole numbers that are not below ``minimum``, which is not negative."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = -1
        if number < minimum:
            raise ValueError(f"a whole number, {minimum} or more")
        return number

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    """Make a parser that accepts ``words`` in any case, and gives them as they are spelled here."""

    def parse(text: str) -> str:
        for word in words:
            if word.lower() == text.strip().lower():
                return word
        raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")

    return parse


def _path(text: str) -> str:
    if not text.strip():
        raise ValueError("the path of a directory")
    return expand_path(text.strip())


def _url(text: str) -> str:
    url = text.strip()
    if not url.lower().startswith(("http://", "https://")) or url.endswith("://"):
        raise ValueError("a URL that begins with http:// or https://")
    return url


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split())
    if any("=" in name for name in names):
        raise ValueError("names of variables, with blanks between them")
    return names


def _text_or_none(text: str) -> str | None:
    return text.strip() or None


class _Fields(dict[str, Any]):
    """What a message has for each field that :mod:`logging` or coloredlogs knows."""

    def __missing__(self, name: str) -> Any:
        if name in _NUMBERS:
            return 1
        if name in _TEXTS:
            return ""
        raise ValueError(name)


_NUMBERS = ["created", "levelno", "lineno", "msecs", "process", "relativeCreated", "thread"]
_TEXTS = ["asctime", "filename", "funcName", "hostname", "levelname", "message", "module", "name", "pathname"]
_TEXTS += ["processName", "programname", "taskName", "threadName", "username"]


def _log_format(text: str) -> str:
    """See that messages can be written in a format."""
    import re

    try:
        text % _Fields()
        sound = re.search(r"%\(\w+\)", text) is not None
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise ValueError("a text with fields of logging, such as %(asctime)s %(levelname)s %(message)s")
    return text


#: Those of which ``None`` can be assigned: a text says so, too, or has a word for it.
_NONE_TOO = (parse_size, parse_timespan, _text_or_none)


class Config:
    """The configuration of one run.

    Each property has the first of these: what was assigned to it, its environment variable if that is not empty, what
    the last of the configuration files says that has its key, its default. The documentation has the table of all.
    Values are read once, and one that cannot be understood raises :exc:`~pip_accel.exceptions.ConfigError` when it is.

    :param load_configuration_files: ``False`` leaves the configuration files out.
    :param load_environment_variables: ``False`` leaves the environment variables out.
    :ivar warnings: what is odd about the configuration files, a sentence each (list).
    :raises ConfigFileError: a configuration file is there and cannot be loaded.
    """

    def __init__(self, load_configuration_files: bool = True, load_environment_variables: bool = True) -> None:
        self.warnings: list[str] = []
        self._environment: Mapping[str, str] = os.environ if load_environment_variables else {}
        self._settings: dict[str, _Setting] = {}
        self._assigned: dict[str, Any] = {}
        self._values: dict[str, Any] = {}  # in place of cached_property, whose import takes longer than a warm run
        if load_configuration_files:
            for path in self.available_configuration_files:
                self.load_configuration_file(path)
            named = self._environment.get(FILE_VARIABLE)
            if named and not os.path.exists(expand_path(named)):
                self.warnings.append(f"${FILE_VARIABLE} names {expand_path(named)}, and there is no such file.")

    @property
    def available_configuration_files(self) -> list[str]:
        """Absolute paths of those configuration files that exist, in the order of reading: later ones win."""
        paths: list[str] = []
        for name in SYSTEM_FILE, USER_FILE, self._environment.get(FILE_VARIABLE):
            try:
                path = expand_path(name) if name else ""
            except ConfigError:  # no home directory, so no file in it
                continue
            if path not in paths and os.path.exists(path):
                paths.append(path)
        return paths

    def load_configuration_file(self, configuration_file: str | os.PathLike[str]) -> None:
        """Add the settings of one file to those that were read before; where both have a key, the file wins.

        :raises ConfigFileError: the file or its section is missing, or it cannot be read; has the path and the reason.
        """
        from configparser import Error, RawConfigParser

        path = expand_path(os.fspath(configuration_file))
        lines: dict[str, int] = {}
        number = 0

        def count(stream: Iterable[str]) -> Iterator[str]:
            nonlocal number
            for line in stream:
                number += 1
                yield line

        def note(key: str) -> str:
            # The parser calls this for each key that it meets, before it asks for the next line.
            if parser.sections()[-1:] == [SECTION]:
                lines.setdefault(key.lower(), number)
            return key.lower()

        parser = RawConfigParser()
        parser.optionxform = note  # type: ignore[method-assign, assignment]
        try:
            with open(path, encoding="utf-8-sig") as stream:
                parser.read_file(count(stream), source=path)
            settings = parser.items(SECTION)
        except (OSError, UnicodeError, Error) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise ConfigFileError(
                "Failed to load the configuration file {path}: {reason}.", path=path, reason=reason
            ) from error
        for key, text in settings:
            place = f"{path}, line {lines[key]}" if key in lines else path
            self._settings[key] = _Setting(text, place)
            if key not in _KEYS:
                self.warnings.append(f"{place}: {key} is no option of pip-accel.{_suggest(key)}")
        self._values.clear()

    def check(self) -> None:
        """See that all values can be understood that were set, but those of cache backends, which these see to.

        :raises ConfigError: one cannot; has where it comes from, the value and what is accepted.
        """
        for option in _OPTIONS:
            if option.name.startswith(_OF_BACKENDS):
                continue
            if self.get(option.name, option.variable, option.key, default=_UNSET) is not _UNSET:
                getattr(self, option.name)

    def get(
        self,
        property_name: str | None = None,
        environment_variable: str | None = None,
        configuration_option: str | None = None,
        default: Any = None,
    ) -> Any:
        """Give what was assigned to a property, or the raw text of a variable or key, or the default."""
        if property_name in self._assigned:
            return self._assigned[property_name]
        if environment_variable and (text := self._environment.get(environment_variable)):
            return text
        if configuration_option in self._settings:
            return self._settings[configuration_option].text
        return default

    def at(self, directory: str) -> Config:
        """Give the same configuration with another data directory, and without the parts of it that lie elsewhere."""
        other = self.derive(data_directory=directory)
        for name in ("source_index", "binary_cache", "eggs_cache"):
            other._assigned.pop(name, None)
        return other

    def derive(self, **values: Any) -> Config:
        """Give the same configuration with other values assigned to some properties."""
        other = Config(load_configuration_files=False, load_environment_variables=False)
        other._environment, other._settings = self._environment, self._settings
        other._assigned = {**self._assigned, **values}
        return other

    # Places.

    @_option("PIP_ACCEL_CACHE", "data-directory", _path)
    def data_directory(self) -> str:
        """Absolute path of the directory with everything that pip-accel keeps."""
        return "/var/cache/pip-accel" if is_root() else os.path.join(find_home_directory(), ".pip-accel")

    @_option(None, None, _path)
    def source_index(self) -> str:
        """Absolute path of the directory with the archives of the local index, as they came."""
        return os.path.join(self.data_directory, "sources")

    @_option(None, None, _path)
    def binary_cache(self) -> str:
        """Absolute path of the directory with the binary distributions that were built."""
        return os.path.join(self.data_directory, "binaries")

    @_option(None, None, _path)
    def eggs_cache(self) -> str:
        """Absolute path of the directory with what legacy builds find as ``.eggs``."""
        return os.path.join(self.data_directory, "eggs")

    @_option("PIP_ACCEL_MAX_CACHE_SIZE", "max-cache-size", parse_size)
    def max_cache_size(self) -> int | None:
        """Bytes that the data directory may hold; what was least recently used goes first. ``None``: no limit."""
        return 10 * 1024**3

    @_option(None, None, _whole_number(8))
    def cache_format_revision(self) -> int:
        """Revision of the cache's format: the first directory in the name of every file of the cache."""
        return 8

    # The running interpreter.

    @_option(None, None, parse_boolean)
    def on_debian(self) -> bool:
        """Whether this is Debian or a derivative. Nothing here depends on it any more."""
        return os.path.exists("/etc/debian_version")

    @_option(None, None, _path)
    def install_prefix(self) -> str:
        """Absolute path of the directory that pip installs below: ``/usr/local`` for the Python of Debian.

        It is that of ``python_executable``, where that was assigned. Assigned itself, it is like pip's ``--prefix``.
        """
        if self.get("python_executable") and os.path.exists(self.python_executable):
            from pip_accel._environment import find_target

            return find_target(self.python_executable).scheme.data
        import sysconfig

        return sysconfig.get_path("data")

    @_option(None, None, _path)
    def python_executable(self) -> str:
        """Absolute path of the interpreter that scripts name; assigned, that of the environment that is meant."""
        return sys.executable or os.path.join(self.install_prefix, "bin", "python")

    # What a run does.

    @_option("PIP_ACCEL_DISABLE", "disable", parse_boolean)
    def disable(self) -> bool:
        """Whether every command goes to pip, unchanged."""
        return False

    @_option("PIP_ACCEL_OFFLINE", "offline", parse_boolean)
    def offline(self) -> bool:
        """Whether no connection may be opened."""
        return False

    @_option("PIP_ACCEL_INDEX_MAX_AGE", "index-max-age", parse_timespan)
    def index_max_age(self) -> int | None:
        """Seconds for which the local index may answer open requirements. ``None``: no limit."""
        return None

    @_option("PIP_ACCEL_MAX_RETRIES", "max-retries", _whole_number(0))
    def max_retries(self) -> int:
        """How often pip is sent to download at most, as long as repeating may help; there is always one pass."""
        return 3

    @_option("PIP_ACCEL_TRUST_MOD_TIMES", "trust-mod-times", parse_boolean)
    def trust_mod_times(self) -> bool:
        """Whether an archive in a local ``--find-links`` directory is known by its size and modification time."""
        return self._environment.get("APPVEYOR", "").strip().lower() not in ("1", "yes", "true", "on")

    @_option("PIP_ACCEL_AUTO_INSTALL", "auto-install", parse_boolean)
    def auto_install(self) -> bool | None:
        """Whether missing system packages are installed. ``None``: ask."""
        return None

    # Builds.

    @_option("PIP_ACCEL_BUILD_JOBS", "build-jobs", _whole_number(1))
    def build_jobs(self) -> int | None:
        """How many builds may run at the same time. ``None``: one for each core."""
        return None

    @_option("PIP_ACCEL_SALT", "salt", str)
    def salt(self) -> str:
        """A text of the user's that belongs to the key of everything that is built."""
        return ""

    @_option("PIP_ACCEL_KEY_VARIABLES", "key-variables", _names)
    def key_variables(self) -> tuple[str, ...]:
        """Names of further environment variables that belong to the key of everything that is built."""
        return ()

    # Installation.

    @_option("PIP_ACCEL_LINK_MODE", "link-mode", _one_of("auto", "reflink", "hardlink", "copy"))
    def link_mode(self) -> str:
        """How files get from the store into the prefix: ``auto``, ``reflink``, ``hardlink`` or ``copy``."""
        return "auto"

    @_option("PIP_ACCEL_COPY_PATTERNS", "copy-patterns", _words)
    def copy_patterns(self) -> tuple[str, ...]:
        """Patterns for the names of files that people edit, and that are therefore always copied."""
        return ("*.pem", "*.crt", "*.ini", "*.cfg", "*.conf")

    # Messages.

    @_option("PIP_ACCEL_LOG_FORMAT", "log-format", _log_format)
    def log_format(self) -> str:
        """Format of the messages, with the fields of :class:`coloredlogs.ColoredFormatter`."""
        # coloredlogs.DEFAULT_LOG_FORMAT: importing it takes as long as a warm run.
        return "%(asctime)s %(hostname)s %(name)s[%(process)d] %(levelname)s %(message)s"

    @_option(
        "PIP_ACCEL_LOG_VERBOSITY",
        "log-verbosity",
        _one_of("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL", "NOTSET"),
    )
    def log_verbosity(self) -> str:
        """Level from which on there are messages, the name of a level of :mod:`logging`."""
        return "INFO"

    # The cache in S3.

    @_option("PIP_ACCEL_S3_URL", "s3-url", _url)
    def s3_cache_url(self) -> str:
        """URL of the service; the default leaves it to boto3, which knows the endpoints of Amazon's regions."""
        return "https://s3.amazonaws.com"

    @_option("PIP_ACCEL_S3_BUCKET", "s3-bucket", _text_or_none)
    def s3_cache_bucket(self) -> str | None:
        """Name of the bucket. ``None``: the backend is off."""
        return None

    @_option("PIP_ACCEL_S3_CREATE_BUCKET", "s3-create-bucket", parse_boolean)
    def s3_cache_create_bucket(self) -> bool:
        """Whether a missing bucket is created."""
        return False

    @_option("PIP_ACCEL_S3_PREFIX", "s3-prefix", _text_or_none)
    def s3_cache_prefix(self) -> str | None:
        """First part of the names of all objects in the bucket."""
        return None

    @_option("PIP_ACCEL_S3_READONLY", "s3-readonly", parse_boolean)
    def s3_cache_readonly(self) -> bool:
        """Whether the bucket is only read."""
        return False

    @_option("PIP_ACCEL_S3_TIMEOUT", "s3-timeout", _whole_number(1))
    def s3_cache_timeout(self) -> int:
        """Seconds to wait for a connection, and for an answer."""
        return 60

    @_option("PIP_ACCEL_S3_RETRIES", "s3-retries", _whole_number(0))
    def s3_cache_retries(self) -> int:
        """How many times a request that failed is repeated at most."""
        return 5

    @_option("PIP_ACCEL_SILENCE_BOTO", "silence-boto", parse_boolean)
    def silence_boto(self) -> bool:
        """Whether the loggers of boto3, botocore and urllib3 stay quiet."""
        return True


_OPTIONS = tuple(option for option in vars(Config).values() if isinstance(option, _Option))
_KEYS = frozenset(option.key for option in _OPTIONS if option.key)


def _suggest(key: str) -> str:
    """Give the sentence that names the option which was probably meant, or an empty text."""
    from difflib import get_close_matches

    meant = get_close_matches(key.replace("_", "-"), _KEYS, 1)
    return f" Did you mean {meant[0]}?" if meant else ""
