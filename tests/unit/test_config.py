"""Every option: where its value comes from, what is accepted, and what is said about the rest."""

import inspect
import io
import os
import re
import subprocess
import sys
import sysconfig
from difflib import get_close_matches
from pathlib import Path
from types import SimpleNamespace

import coloredlogs
import pytest

from pip_accel import caches, cli
from pip_accel import config as module
from pip_accel._resources import Resources
from pip_accel.caches import AbstractCacheBackend, CacheManager
from pip_accel.caches.local import LocalCacheBackend
from pip_accel.config import Config, expand_path, find_home_directory, is_root
from pip_accel.exceptions import ConfigError, ConfigFileError, PipAcceleratorError
from tests.lib.documented import pages, read_blocks

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTATION = CHECKOUT / "docs" / "configuration.rst"

# Property: variable, key, default, and a text with the value it stands for.
OPTIONS = {
    "data_directory": ("PIP_ACCEL_CACHE", "data-directory", None, "/a/../b", "/b"),
    "disable": ("PIP_ACCEL_DISABLE", "disable", False, "yes", True),
    "offline": ("PIP_ACCEL_OFFLINE", "offline", False, "1", True),
    "index_max_age": ("PIP_ACCEL_INDEX_MAX_AGE", "index-max-age", None, "12h", 43200),
    "max_retries": ("PIP_ACCEL_MAX_RETRIES", "max-retries", 3, "0", 0),
    "trust_mod_times": ("PIP_ACCEL_TRUST_MOD_TIMES", "trust-mod-times", True, "off", False),
    "auto_install": ("PIP_ACCEL_AUTO_INSTALL", "auto-install", None, "no", False),
    "build_jobs": ("PIP_ACCEL_BUILD_JOBS", "build-jobs", None, "1", 1),
    "salt": ("PIP_ACCEL_SALT", "salt", "", "gcc 12", "gcc 12"),
    "key_variables": ("PIP_ACCEL_KEY_VARIABLES", "key-variables", (), "A_B  C", ("A_B", "C")),
    "link_mode": ("PIP_ACCEL_LINK_MODE", "link-mode", "auto", "Copy", "copy"),
    "copy_patterns": (
        "PIP_ACCEL_COPY_PATTERNS",
        "copy-patterns",
        ("*.pem", "*.crt", "*.ini", "*.cfg", "*.conf"),
        "*.yml *.toml",
        ("*.yml", "*.toml"),
    ),
    "max_cache_size": ("PIP_ACCEL_MAX_CACHE_SIZE", "max-cache-size", 10 * 1024**3, "500M", 500_000_000),
    "log_format": ("PIP_ACCEL_LOG_FORMAT", "log-format", coloredlogs.DEFAULT_LOG_FORMAT, "%(message)s", "%(message)s"),
    "log_verbosity": ("PIP_ACCEL_LOG_VERBOSITY", "log-verbosity", "INFO", "debug", "DEBUG"),
    "s3_cache_url": ("PIP_ACCEL_S3_URL", "s3-url", "https://s3.amazonaws.com", "http://h:1", "http://h:1"),
    "s3_cache_bucket": ("PIP_ACCEL_S3_BUCKET", "s3-bucket", None, "b", "b"),
    "s3_cache_create_bucket": ("PIP_ACCEL_S3_CREATE_BUCKET", "s3-create-bucket", False, "true", True),
    "s3_cache_prefix": ("PIP_ACCEL_S3_PREFIX", "s3-prefix", None, "p/q", "p/q"),
    "s3_cache_readonly": ("PIP_ACCEL_S3_READONLY", "s3-readonly", False, "on", True),
    "s3_cache_timeout": ("PIP_ACCEL_S3_TIMEOUT", "s3-timeout", 60, "1", 1),
    "s3_cache_retries": ("PIP_ACCEL_S3_RETRIES", "s3-retries", 5, "0", 0),
    "silence_boto": ("PIP_ACCEL_SILENCE_BOTO", "silence-boto", True, "false", False),
}
CONSTANTS = ["cache_format_revision", "install_prefix", "on_debian", "python_executable"]
DERIVED = {"source_index": "sources", "binary_cache": "binaries", "eggs_cache": "eggs"}
BOOLEANS = [name for name, (*_, value) in OPTIONS.items() if isinstance(value, bool)]
#: Options that any text is a value of.
ANY_TEXT = {"copy_patterns", "s3_cache_bucket", "s3_cache_prefix", "salt"}

each_option = pytest.mark.parametrize("name", OPTIONS)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A system without configuration files, in which a user who is not root has a home."""
    home = tmp_path / "home"
    (home / ".pip-accel").mkdir(parents=True)
    monkeypatch.setattr(module, "SYSTEM_FILE", str(tmp_path / "system.conf"))
    monkeypatch.setattr(module, "find_home_directory", lambda: str(home))
    monkeypatch.setattr(module, "is_root", lambda: False)
    monkeypatch.delenv("APPVEYOR", raising=False)
    return SimpleNamespace(
        home=home,
        system=tmp_path / "system.conf",
        user=home / ".pip-accel" / "pip-accel.conf",
        named=tmp_path / "named.conf",
    )


def write(path, *lines):
    """A configuration file with these lines in the section of pip-accel; gives its path."""
    path.write_text("\n".join(["[pip-accel]", *lines, ""]), encoding="utf-8")
    return str(path)


# What callers rely on.


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Config, {"load_configuration_files": True, "load_environment_variables": True}),
        (Config.load_configuration_file, {"self": ..., "configuration_file": ...}),
        (
            Config.get,
            {
                "self": ...,
                "property_name": None,
                "environment_variable": None,
                "configuration_option": None,
                "default": None,
            },
        ),
    ],
    ids=["Config", "load_configuration_file", "get"],
)
def test_the_signature_is_the_documented_one(function, expected):
    parameters = inspect.signature(function).parameters.values()
    found = {each.name: ... if each.default is each.empty else each.default for each in parameters}
    assert list(found.items()) == list(expected.items())
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)


# Where values come from.


@each_option
def test_an_option_that_is_not_set_has_its_default(name, places):
    default = str(places.home / ".pip-accel") if name == "data_directory" else OPTIONS[name][2]
    assert getattr(Config(), name) == getattr(Config(False, False), name) == default


@each_option
def test_an_option_is_set_by_its_variable(name, monkeypatch):
    variable, _, _, text, value = OPTIONS[name]
    monkeypatch.setenv(variable, text)
    assert getattr(Config(), name) == value
    assert getattr(Config(load_environment_variables=False), name) != value


@each_option
def test_an_option_is_set_by_its_key(name, places):
    _, key, _, text, value = OPTIONS[name]
    write(places.user, f"{key} = {text}")
    assert getattr(Config(), name) == value
    assert getattr(Config(load_configuration_files=False), name) != value


@each_option
def test_an_option_is_set_by_assignment(name):
    *_, text, value = OPTIONS[name]
    config, other = Config(), Config()
    setattr(config, name, text)
    assert getattr(config, name) == value
    assert getattr(other, name) != value
    setattr(other, name, value)
    assert getattr(other, name) == value


def test_later_sources_win(places, monkeypatch):
    assert Config().max_retries == 3
    write(places.system, "max-retries = 10", "s3-retries = 10", "s3-timeout = 10")
    assert Config().max_retries == 10
    write(places.user, "max-retries = 11", "s3-retries = 11")
    assert Config().max_retries == 11
    monkeypatch.setenv("PIP_ACCEL_CONFIG", write(places.named, "max-retries = 12"))
    assert Config().max_retries == 12
    monkeypatch.setenv("PIP_ACCEL_MAX_RETRIES", "13")
    config = Config()
    assert (config.max_retries, config.s3_cache_retries, config.s3_cache_timeout) == (13, 11, 10)
    config.max_retries = 14
    assert config.max_retries == 14


@each_option
def test_an_empty_variable_is_an_unset_one(name, monkeypatch):
    monkeypatch.setenv(OPTIONS[name][0], "")
    assert getattr(Config(), name) == getattr(Config(False, False), name)


def test_an_empty_variable_names_no_file(places, monkeypatch):
    write(places.user, "max-retries = 4")
    monkeypatch.setenv("PIP_ACCEL_CONFIG", "")
    config = Config()
    assert (config.max_retries, config.warnings) == (4, [])
    assert config.available_configuration_files == [str(places.user)]


def test_without_both_sources_only_assignments_count(places, monkeypatch):
    write(places.system, "max-retries = nonsense", "unknown = 1")
    monkeypatch.setenv("PIP_ACCEL_CONFIG", "/missing")
    monkeypatch.setenv("PIP_ACCEL_OFFLINE", "yes")
    monkeypatch.setenv("APPVEYOR", "True")
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = "/elsewhere"
    assert (config.max_retries, config.offline, config.trust_mod_times, config.warnings) == (3, False, True, [])
    assert config.source_index == "/elsewhere/sources"


def test_a_value_is_read_once(monkeypatch):
    config = Config()
    assert config.max_retries == 3
    monkeypatch.setenv("PIP_ACCEL_MAX_RETRIES", "7")
    assert (config.max_retries, Config().max_retries) == (3, 7)


def test_a_text_is_read_from_the_place_that_counts(places, monkeypatch):
    write(places.user, "max-retries = 4", "of-a-plugin = x")
    config = Config()
    names = "max_retries", "PIP_ACCEL_MAX_RETRIES", "max-retries"
    assert config.get() is None
    assert config.get(default=5) == 5
    assert config.get(*names, default=5) == "4"
    assert config.get(configuration_option="of-a-plugin") == "x"
    monkeypatch.setenv("PIP_ACCEL_MAX_RETRIES", "6")
    assert config.get(*names) == "6"
    config.max_retries = 7
    assert config.get(*names) == 7
    assert config.get(environment_variable="PIP_ACCEL_MAX_RETRIES") == "6"


@pytest.mark.parametrize("name", ["auto_install", "index_max_age", "build_jobs", "max_cache_size", "s3_cache_bucket"])
def test_assigning_none_overrides_what_was_set(name, monkeypatch):
    variable, *_, text, _ = OPTIONS[name]
    monkeypatch.setenv(variable, text)
    config = Config()
    setattr(config, name, None)
    assert getattr(config, name) is None


@pytest.mark.parametrize("name", [*CONSTANTS, *DERIVED])
def test_other_properties_can_be_assigned_too(name):
    config = Config()
    value = {"cache_format_revision": 9, "on_debian": not config.on_debian}.get(name, "/elsewhere")
    setattr(config, name, value)
    assert getattr(config, name) == value


# Files.


def test_those_files_count_that_exist_in_the_order_of_reading(places, monkeypatch):
    monkeypatch.setenv("PIP_ACCEL_CONFIG", str(places.named))
    assert Config().available_configuration_files == []
    for path in places.named, places.user, places.system:
        write(path)
    expected = [str(places.system), str(places.user), str(places.named)]
    assert Config().available_configuration_files == expected
    assert Config(load_environment_variables=False).available_configuration_files == expected[:2]
    monkeypatch.setenv("PIP_ACCEL_CONFIG", "~/.pip-accel/pip-accel.conf")
    assert Config().available_configuration_files == expected[:2]


def test_a_user_without_a_home_has_no_file_there(places, monkeypatch):
    def find_home_directory():
        raise ConfigError("no home")

    write(places.system)
    monkeypatch.setattr(module, "find_home_directory", find_home_directory)
    assert Config().available_configuration_files == [str(places.system)]


def test_a_file_that_is_loaded_wins_over_those_before(places):
    write(places.user, "max-retries = 4", "offline = yes")
    config = Config()
    assert config.max_retries == 4
    config.load_configuration_file(Path(write(places.named, "max-retries = 5")))
    assert (config.max_retries, config.offline) == (5, True)


def test_files_are_read_as_configparser_reads_them(places):
    places.user.write_bytes(
        b"\xef\xbb\xbf; a comment\n[other]\nmax-retries = 1\n[pip-accel]\n# a comment\nMax-Retries: 2\n"
        b"copy-patterns = *.a\n  *.b\n\n  *.c\nsalt = 100% ; \xc3\xa9\nlog-format = %(message)s\n[more]\nsalt = x\n"
    )
    config = Config()
    assert (config.max_retries, config.copy_patterns) == (2, ("*.a", "*.b", "*.c"))
    assert (config.salt, config.log_format) == ("100% ; é", "%(message)s")
    assert config.warnings == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "No such file or directory", id="missing file"),
        pytest.param(b"", "No section: 'pip-accel'", id="empty file"),
        pytest.param(b"[pip_accel]\nmax-retries = 1\n", "No section: 'pip-accel'", id="missing section"),
        pytest.param(b"max-retries = 1\n", "contains no section headers", id="no section at all"),
        pytest.param(b"[pip-accel]\nmax-retries\n", r"line.* 2\b", id="key without a value"),
        pytest.param(b"[pip-accel]\nsalt = 1\nsalt = 2\n", r"line.* 3\b.*already exists", id="key twice"),
        pytest.param(b"[pip-accel]\nsalt = \xff\n", "utf-8", id="not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named(content, reason, places):
    if content is not None:
        places.named.write_bytes(content)
    with pytest.raises(ConfigFileError, match=reason) as caught:
        Config().load_configuration_file(str(places.named))
    assert str(places.named) in str(caught.value)
    assert caught.value.context["path"] == str(places.named)
    assert isinstance(caught.value, PipAcceleratorError) and "\n" not in str(caught.value)


def test_a_directory_is_no_configuration_file(tmp_path):
    with pytest.raises(ConfigFileError, match="Is a directory"):
        Config().load_configuration_file(tmp_path)


def test_a_file_that_exists_must_be_one(places):
    places.user.write_text("nonsense")
    with pytest.raises(ConfigFileError, match=r"\.pip-accel/pip-accel\.conf"):
        Config()


def test_an_unknown_key_is_a_warning_with_file_and_line(places):
    write(places.user, "; a comment", "max_retries = 5", "  continued = value", "offline = yes", "xyzzy: 1")
    config = Config()
    assert (config.max_retries, config.offline) == (3, True)
    assert config.warnings == [
        f"{places.user}, line 3: max_retries is no option of pip-accel. Did you mean max-retries?",
        f"{places.user}, line 6: xyzzy is no option of pip-accel.",
    ]


def test_a_missing_file_that_the_variable_names_is_a_warning(monkeypatch, places):
    monkeypatch.setenv("PIP_ACCEL_CONFIG", "~/gone.conf")
    assert Config().warnings == [f"$PIP_ACCEL_CONFIG names {places.home}/gone.conf, and there is no such file."]
    assert Config(load_configuration_files=False).warnings == []
    assert Config(load_environment_variables=False).warnings == []


# What is accepted.


@pytest.mark.parametrize("text", ["1", "yes", "true", "on", "YES", "True", "oN", " yes "])
@pytest.mark.parametrize("name", ["offline", "auto_install"])
def test_booleans_can_be_spelled_as_true(name, text, monkeypatch):
    monkeypatch.setenv(OPTIONS[name][0], text)
    assert getattr(Config(), name) is True


@pytest.mark.parametrize("text", ["0", "no", "false", "off", "NO", "False", "oFF"])
@pytest.mark.parametrize("name", ["silence_boto", "auto_install"])
def test_booleans_can_be_spelled_as_false(name, text, monkeypatch):
    monkeypatch.setenv(OPTIONS[name][0], text)
    assert getattr(Config(), name) is False


BAD = [
    *[(name, text) for name in BOOLEANS for text in ("maybe", "2", "y", "None")],
    *[("max_retries", text) for text in ("-1", "three", "1.5", "0x1", "9" * 5000)],
    *[("s3_cache_retries", text) for text in ("-1", "x")],
    *[("s3_cache_timeout", text) for text in ("0", "-1", "1s")],
    *[("build_jobs", text) for text in ("0", "-2", "all")],
    *[("index_max_age", text) for text in ("-1", "soon", "1 century")],
    *[("max_cache_size", text) for text in ("-1", "10X", "big")],
    *[("link_mode", text) for text in ("symlink", "hard link")],
    *[("log_verbosity", text) for text in ("loud", "10")],
    *[("log_format", text) for text in ("%", "message", "%(nonsense)s", "%(levelno)q", "%(message)", "%(message)d")],
    *[("key_variables", text) for text in ("A=1", "A B=")],
    *[("s3_cache_url", text) for text in ("s3.example.org", "ftp://h", "https://")],
]
bad_values = pytest.mark.parametrize(("name", "text"), BAD, ids=[f"{name}={text[:12]}" for name, text in BAD])
ACCEPTED = {
    **dict.fromkeys(BOOLEANS, "yes, true, on, 1, no, false, off or 0"),
    "max_retries": "a whole number, 0 or more",
    "s3_cache_retries": "a whole number, 0 or more",
    "s3_cache_timeout": "a whole number, 1 or more",
    "build_jobs": "a whole number, 1 or more",
    "index_max_age": "a number of seconds, a time such as 30m, 12h, 7d or 2w, or unlimited",
    "max_cache_size": "a number of bytes, a size such as 500M or 10 GiB, or unlimited",
    "link_mode": "auto, reflink, hardlink or copy",
    "log_verbosity": "DEBUG, INFO, WARNING, WARN, ERROR, CRITICAL, FATAL or NOTSET",
    "log_format": "a text with fields of logging, such as %(asctime)s %(levelname)s %(message)s",
    "key_variables": "names of variables, with blanks between them",
    "s3_cache_url": "a URL that begins with http:// or https://",
}


@bad_values
def test_a_bad_value_in_a_variable_is_named_when_it_is_read(name, text, monkeypatch):
    variable = OPTIONS[name][0]
    monkeypatch.setenv(variable, text)
    config = Config()
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            getattr(config, name)
        assert str(caught.value) == f"${variable} cannot be {text!r}; accepted: {ACCEPTED[name]}."
        assert caught.value.context == {"origin": f"${variable}", "value": text, "accepted": ACCEPTED[name]}


@bad_values
def test_a_bad_value_in_a_file_is_named_with_its_line(name, text, places):
    key = OPTIONS[name][1]
    write(places.system, f"{key} = {OPTIONS[name][3]}")
    write(places.user, "salt = a", "  b = c", "", f"{key.upper()} = {text}")
    with pytest.raises(ConfigError) as caught:
        getattr(Config(), name)
    assert str(caught.value) == f"{places.user}, line 5: {key} cannot be {text!r}; accepted: {ACCEPTED[name]}."


@bad_values
def test_a_bad_value_that_was_assigned_is_named(name, text):
    config = Config()
    setattr(config, name, text)
    with pytest.raises(ConfigError) as caught:
        getattr(config, name)
    assert str(caught.value) == f"The attribute {name} cannot be {text!r}; accepted: {ACCEPTED[name]}."


def test_every_option_is_known_with_a_bad_value_unless_any_text_will_do():
    assert {*OPTIONS} - {name for name, _ in BAD} == {*ANY_TEXT, "data_directory"}  # that has a test of its own


@pytest.mark.parametrize("text", ["%", "[", "A=1", "-1", "no such thing"])
@pytest.mark.parametrize("name", sorted(ANY_TEXT))
def test_any_text_will_do_where_nothing_can_be_wrong(name, text, monkeypatch, places):
    variable, key, default, *_ = OPTIONS[name]
    value = tuple(text.split()) if isinstance(default, tuple) else text
    write(places.user, f"{key} = {text}")
    assert getattr(Config(), name) == value
    write(places.user, f"{key} = another")
    monkeypatch.setenv(variable, text)
    assert getattr(Config(), name) == value


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("cache_format_revision", 7, "a whole number, 8 or more"),
        ("cache_format_revision", "new", "a whole number, 8 or more"),
        ("on_debian", "perhaps", "yes, true, on, 1, no, false, off or 0"),
        ("max_retries", None, "a whole number, 0 or more"),
        ("link_mode", ["copy"], "auto, reflink, hardlink or copy"),
        ("offline", (), "yes, true, on, 1, no, false, off or 0"),
        *[(name, " ", "the path of a directory") for name in (*DERIVED, "install_prefix", "python_executable")],
    ],
)
def test_what_can_only_be_assigned_may_be_wrong_too(name, value, accepted):
    config = Config()
    setattr(config, name, value)
    with pytest.raises(ConfigError) as caught:
        getattr(config, name)
    assert str(caught.value) == f"The attribute {name} cannot be {str(value)!r}; accepted: {accepted}."


@pytest.mark.parametrize("name", ["max_cache_size", "index_max_age", "auto_install", "build_jobs", "s3_cache_prefix"])
def test_nothing_can_be_assigned_where_it_means_something(name):
    config = Config()
    setattr(config, name, None)
    assert getattr(config, name) is None


@pytest.mark.parametrize(
    "text",
    ["%(message)s", "%(asctime)s %(created)f %(levelno)5d %(hostname)s[%(process)d] 100%% %(message)-20s"],
)
def test_a_format_of_messages_has_fields_of_logging(text, monkeypatch):
    monkeypatch.setenv("PIP_ACCEL_LOG_FORMAT", text)
    assert Config().log_format == text


def test_an_error_of_a_value_is_a_value_error_of_ours():
    assert issubclass(ConfigError, PipAcceleratorError) and issubclass(ConfigError, ValueError)


@bad_values
def test_all_that_was_set_can_be_checked_at_once(name, text, places, monkeypatch):
    variable, key, _, good, _ = OPTIONS[name]
    write(places.user, f"{key} = {text}")
    if name.startswith("s3_") or name == "silence_boto":  # these concern a cache backend alone
        Config().check()
        return
    with pytest.raises(ConfigError, match=rf"line 2: {key} cannot be"):
        Config().check()
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=rf"^\${variable} cannot be"):
        Config().check()
    monkeypatch.setenv(variable, good)
    Config().check()


def test_a_check_asks_for_no_default(monkeypatch):
    def find_home_directory():
        raise ConfigError("no home")

    monkeypatch.setattr(module, "find_home_directory", find_home_directory)
    Config().check()


@pytest.fixture
def backends(monkeypatch):
    """The local cache backend and those that a test defines are all there are."""
    monkeypatch.setattr(caches, "_registered", [LocalCacheBackend])
    monkeypatch.setattr(CacheManager, "_load_entry_points", lambda self: None)


@pytest.mark.usefixtures("backends")
@pytest.mark.parametrize("name", ["s3_cache_timeout", "s3_cache_url", "s3_cache_create_bucket"])
def test_a_bad_value_that_a_cache_backend_reads_switches_off_that_backend(name, tmp_path):
    class Backend(AbstractCacheBackend):
        def has(self, filename):
            return getattr(self.config, name)

    config, failures = Config(), []
    config.data_directory = tmp_path / "data"
    setattr(config, name, "nonsense")
    manager = CacheManager(config, on_failure=lambda *failure: failures.append(failure))
    assert len(manager.backends) == 2
    for _ in range(2):
        manager.share("v8/alpha/alpha-1.tar.gz", io.BytesIO)
    assert [type(each).__name__ for each in manager.backends] == ["LocalCacheBackend"]
    [(_, error)] = failures
    assert isinstance(error, ConfigError) and f"{name} cannot be 'nonsense'" in str(error)


def test_a_number_that_was_assigned_may_be_out_of_range():
    config = Config()
    config.max_retries = -1
    with pytest.raises(ConfigError, match="The attribute max_retries cannot be '-1'"):
        _ = config.max_retries


def test_a_bad_value_that_is_overridden_does_no_harm(places, monkeypatch):
    write(places.user, "max-retries = nonsense")
    monkeypatch.setenv("PIP_ACCEL_MAX_RETRIES", "4")
    assert Config().max_retries == 4


def test_an_error_about_a_url_does_not_show_its_password(monkeypatch):
    monkeypatch.setenv("PIP_ACCEL_S3_URL", "ftp://me:secret@host")
    with pytest.raises(ConfigError) as caught:
        _ = Config().s3_cache_url
    assert "secret" not in f"{caught.value} {caught.value.context}"


def test_an_empty_path_is_a_bad_value(places, monkeypatch):
    write(places.user, "data-directory =")
    with pytest.raises(ConfigError, match=r"line 2: data-directory cannot be ''; accepted: the path of a directory"):
        _ = Config().data_directory
    monkeypatch.setenv("PIP_ACCEL_CACHE", " ")
    with pytest.raises(ConfigError, match=r"\$PIP_ACCEL_CACHE cannot be ' '; accepted: the path of a directory"):
        _ = Config().data_directory


@pytest.mark.parametrize("name", ["s3_cache_bucket", "s3_cache_prefix"])
def test_an_empty_key_takes_back_what_an_earlier_file_says(name, places):
    key = OPTIONS[name][1]
    write(places.system, f"{key} = x")
    write(places.user, f"{key} =")
    assert getattr(Config(), name) is None


@pytest.mark.parametrize("name", ["index_max_age", "max_cache_size"])
def test_a_limit_can_be_lifted(name, monkeypatch):
    monkeypatch.setenv(OPTIONS[name][0], "unlimited")
    assert getattr(Config(), name) is None


@pytest.mark.parametrize("name", ["key_variables", "copy_patterns"])
def test_a_list_can_be_assigned_as_one(name):
    config = Config()
    setattr(config, name, ["A B", "C"])
    assert getattr(config, name) == ("A B", "C")


@pytest.mark.parametrize(
    ("value", "trusted"), [("True", False), ("1", False), ("False", True), ("", True), ("nonsense", True)]
)
def test_modification_times_are_not_trusted_on_appveyor(value, trusted, monkeypatch):
    monkeypatch.setenv("APPVEYOR", value)
    assert Config().trust_mod_times is trusted
    assert Config(load_environment_variables=False).trust_mod_times is True


# Paths.


@pytest.mark.parametrize("name", DERIVED)
def test_derived_paths_follow_the_data_directory(name, monkeypatch):
    monkeypatch.setenv("PIP_ACCEL_CACHE", "/one")
    config = Config()
    assert getattr(config, name) == os.path.join("/one", DERIVED[name])
    config.data_directory = "/two"
    assert getattr(config, name) == os.path.join("/two", DERIVED[name])


def test_a_configuration_can_be_had_for_another_data_directory(places, monkeypatch):
    write(places.user, "max-retries = 3", "offline = yes")
    monkeypatch.setenv("PIP_ACCEL_CACHE", "/one")
    monkeypatch.setenv("PIP_ACCEL_LOG_VERBOSITY", "DEBUG")
    config = Config()
    config.max_retries = 7
    for name in DERIVED:
        setattr(config, name, "/elsewhere")
    other = config.at("/two")
    assert (other.data_directory, config.data_directory) == ("/two", "/one")
    assert {name: getattr(other, name) for name in DERIVED} == {
        name: os.path.join("/two", place) for name, place in DERIVED.items()
    }
    assert {getattr(config, name) for name in DERIVED} == {"/elsewhere"}
    assert (other.offline, other.max_retries, other.log_verbosity) == (True, 7, config.log_verbosity)
    other.max_retries = 1
    assert config.max_retries == 7


def test_root_has_the_data_directory_of_the_system(monkeypatch):
    monkeypatch.setattr(module, "is_root", lambda: True)
    assert Config().data_directory == "/var/cache/pip-accel"


def test_paths_are_absolute_texts_with_all_expanded(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BASE", "~/base")
    config = Config()
    for value, expected in {
        "relative/./x": tmp_path / "relative/x",
        "~": places.home,
        "~/x": places.home / "x",
        "$BASE/x": places.home / "base/x",
        "a~/x": tmp_path / "a~/x",
        tmp_path / "y": tmp_path / "y",
    }.items():
        config.data_directory = value
        assert config.data_directory == str(expected)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no password database")
def test_home_is_that_of_the_effective_user_and_not_of_the_variable(monkeypatch):
    import pwd

    monkeypatch.setenv("HOME", "/somebody/else")
    monkeypatch.setattr(pwd, "getpwuid", lambda user: SimpleNamespace(pw_dir=f"/home/{user}"))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert find_home_directory() == "/home/4711"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no password database")
def test_a_user_whom_the_system_does_not_know_is_at_home_where_the_variable_says(monkeypatch):
    import pwd

    def getpwuid(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    monkeypatch.setenv("HOME", "/somewhere")
    assert find_home_directory() == "/somewhere"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(module, "find_home_directory", find_home_directory)
    with pytest.raises(ConfigError, match="PIP_ACCEL_CACHE"):
        _ = Config().data_directory
    monkeypatch.setenv("PIP_ACCEL_CACHE", "/cache")
    assert Config().data_directory == "/cache"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no user ids")
def test_root_is_known_by_the_effective_user_id(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert is_root() is True
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert is_root() is False


def test_another_users_home_is_expanded_too():
    assert expand_path("~nobody-of-that-name/x") == os.path.abspath("~nobody-of-that-name/x")
    assert not expand_path("~root/x").startswith("~")


# The running interpreter.


def test_the_prefix_is_where_the_default_scheme_has_its_scripts():
    config = Config()
    assert config.install_prefix == os.path.dirname(sysconfig.get_path("scripts"))
    assert config.python_executable == sys.executable


def test_the_python_of_debian_installs_below_usr_local(monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", {"data": "/usr/local"}.__getitem__)
    assert Config().install_prefix == "/usr/local"


def test_an_interpreter_that_does_not_know_its_path_is_looked_for_in_the_prefix(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    config = Config()
    config.install_prefix = "/prefix"
    assert config.python_executable == "/prefix/bin/python"


@pytest.mark.parametrize("there", [True, False])
def test_debian_is_known_by_its_version_file(there, monkeypatch):
    monkeypatch.setattr(module.os.path, "exists", lambda path: there and path == "/etc/debian_version")
    assert Config(load_configuration_files=False).on_debian is there


def test_the_format_of_the_cache_is_newer_than_that_of_the_last_release():
    assert Config().cache_format_revision == 8


# What options do that no module has for its own.


@pytest.mark.parametrize("place", ["variable", "file"])
@pytest.mark.parametrize("words", [["install", "alpha"], ["-v", "cache", "explain", "alpha"], ["deps", "alpha"]])
def test_where_it_is_disabled_pip_gets_every_command_unchanged(place, words, places, monkeypatch):
    handed = []
    monkeypatch.setattr(cli, "_hand_over", lambda *given: handed.append(given) or 7)
    if place == "file":
        write(places.user, "disable = yes")
    else:
        monkeypatch.setenv("PIP_ACCEL_DISABLE", "1")
    assert cli._dispatch(words, os.environ) == 7
    assert handed == [(words, os.environ)]


@pytest.mark.usefixtures("backends")
def test_offline_no_cache_is_asked_but_the_local_one(tmp_path):
    class Backend(AbstractCacheBackend):
        pass

    config = Config()
    config.data_directory = tmp_path / "data"
    assert len(CacheManager(config).backends) == 2
    config.offline = True
    assert [type(each) for each in CacheManager(config).backends] == [LocalCacheBackend]


@pytest.mark.parametrize(("chosen", "cores", "jobs"), [(None, 7, 7), (None, None, 1), (2, 7, 2), (9, 7, 9)])
def test_as_many_builds_run_as_are_allowed_or_as_there_are_cores(chosen, cores, jobs, target, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    config = Config()
    config.data_directory, config.build_jobs = tmp_path / "data", chosen
    assert Resources(config, target, None, {}, str(tmp_path)).jobs == jobs


# The table, the documentation, and what it costs.


def test_all_properties_are_known_here():
    properties = {name for name, value in vars(Config).items() if isinstance(value, module._Option)}
    assert properties == {*OPTIONS, *CONSTANTS, *DERIVED}
    assert all(getattr(Config, name).__doc__ for name in properties)


@each_option
def test_the_documentation_has_every_option(name):
    variable, key, *_ = OPTIONS[name]
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert f"``{variable}``" in text and f"``{key}``" in text and f"``{name}``" in text


#: A row of the table: variable, key, property, default, example.
ROW = re.compile(
    r"^   \* - ``(PIP_ACCEL_\w+)``\n     - ``(.+)``\n     - ``(.+)``\n     - (.+)\n     - ``(.+)``$", re.MULTILINE
)
#: What the table says of defaults that are no text of a value.
DEFAULTS_IN_WORDS = {"none": [None], "empty": ["", ()], "that of coloredlogs": [coloredlogs.DEFAULT_LOG_FORMAT]}


def documented_rows():
    return {found[3]: found for found in ROW.finditer(DOCUMENTATION.read_text(encoding="utf-8"))}


def test_the_documentation_has_a_row_for_each_option_and_no_other():
    rows = documented_rows().values()
    options = [value for value in vars(Config).values() if isinstance(value, module._Option) and value.variable]
    assert sorted((found[1], found[2], found[3]) for found in rows) == sorted(
        (option.variable, option.key, option.name) for option in options
    )
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert text.count("   * - ``PIP_ACCEL_") == len(rows)
    told = re.findall(r"^``([a-z0-9-]+)``: ", text, re.MULTILINE)
    assert sorted(told) == sorted(option.key for option in options), "each is told below the table"


@each_option
def test_the_documentation_has_the_default(name, monkeypatch):
    said = documented_rows()[name][4]
    values = re.findall("``(.+?)``", said)
    if name == "data_directory":
        for_root, for_others = values
        assert for_root in said.partition(" for root")[0]
        assert Config().data_directory == expand_path(for_others)
        monkeypatch.setattr(module, "is_root", lambda: True)
        assert Config().data_directory == for_root
    elif values:
        default = getattr(Config(), name)
        monkeypatch.setenv(OPTIONS[name][0], values[0])
        assert getattr(Config(), name) == default
    else:
        assert getattr(Config(), name) in DEFAULTS_IN_WORDS[said.partition(":")[0]]


@each_option
def test_the_example_of_the_documentation_is_accepted_and_changes_something(name, places, monkeypatch):
    default, example = getattr(Config(), name), documented_rows()[name][5]
    write(places.user, f"{OPTIONS[name][1]} = {example}")
    value = getattr(Config(), name)
    assert value != default
    places.user.unlink()
    monkeypatch.setenv(OPTIONS[name][0], example)
    assert getattr(Config(), name) == value


def test_the_file_in_the_documentation_is_accepted(places, monkeypatch):
    blocks = read_blocks(DOCUMENTATION.read_text(encoding="utf-8"), "")
    [block] = [block for block in blocks if "[pip-accel]" in block.lines]
    places.named.write_text("\n".join(block.lines), encoding="utf-8")
    monkeypatch.setenv("PIP_ACCEL_CONFIG", str(places.named))
    config = Config()
    changed = {name for name in OPTIONS if getattr(config, name) != getattr(Config(False, False), name)}
    assert len(changed) > 2 and config.warnings == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_names_and_sets_only_options_that_exist(page, places, monkeypatch):
    text = page.read_text(encoding="utf-8")
    variables, keys = ({values[place]: name for name, values in OPTIONS.items()} for place in (0, 1))
    assert {*re.findall(r"PIP_ACCEL_[A-Z0-9_]*[A-Z0-9]", text)} <= {*variables, "PIP_ACCEL_CONFIG"}
    for key, value in re.findall(r"``([a-z0-9-]+) = ([^`]+)``", text):
        write(places.user, f"{key} = {value}")
        getattr(Config(), keys[key])
    places.user.unlink(missing_ok=True)
    for variable, value in re.findall(r"``(PIP_ACCEL_\w+)=(\S+?)``", text):
        monkeypatch.setenv(variable, value)
        getattr(Config(), variables[variable])
    words = {*re.findall(r"``([a-z0-9]+(?:-[a-z0-9]+)+)``", text)}
    assert [word for word in words - keys.keys() if get_close_matches(word, keys, 1, 0.8)] == []


def test_reading_the_configuration_loads_no_slow_module():
    code = """if True:
        import sys
        before = set(sys.modules)
        from pip_accel.config import Config
        config = Config(load_configuration_files=False)
        for name in dir(Config):
            getattr(config, name)
        print(*set(sys.modules) - before)
    """
    command = [sys.executable, "-W", "error", "-c", code]
    loaded = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    slow = {
        "asyncio", "cached_property", "coloredlogs", "configparser", "dataclasses", "difflib", "email", "humanfriendly",
        "importlib.metadata", "inspect", "logging", "packaging", "pathlib", "pip", "shutil", "subprocess", "tempfile",
    }  # fmt: skip
    assert "pip_accel.config" in loaded.stdout.split()
    assert not slow & set(loaded.stdout.split())
