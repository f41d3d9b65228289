"""The errors that pip-accel raises on purpose, one class for each failure that a caller may want to tell apart."""

from __future__ import annotations

from pip_accel._text import compact, mask_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BinaryDistributionError",
    "BuildFailed",
    "CacheBackendDisabledError",
    "CacheBackendError",
    "ConfigError",
    "ConfigFileError",
    "DamagedSourceDistribution",
    "DataDirectoryError",
    "DependencyInstallationFailed",
    "DependencyInstallationRefused",
    "Edited",
    "EnvironmentMismatchError",
    "InvalidSourceDistribution",
    "LinkError",
    "NoBuildOutput",
    "NothingFound",
    "NothingToDoError",
    "PipAcceleratorError",
    "PipFailed",
    "SystemDependencyError",
    "UnknownDistributionFormat",
    "UnsafeArchive",
    "Unsupported",
]


class PipAcceleratorError(Exception):
    """Base of all that pip-accel raises on purpose.

    :param text: the message, a format string for :func:`~pip_accel.utils.compact`; secrets in URLs are masked in it.
    :param context: values of the message, and others that callers may want.
    :ivar context: these, unchanged (a dictionary).
    """

    def __init__(self, text: str, **context: object) -> None:
        self.context: dict[str, Any] = context
        super().__init__(mask_secrets(compact(text, **context)))


class NothingToDoError(PipAcceleratorError):
    """There is no error, and yet nothing to install."""


class EnvironmentMismatchError(PipAcceleratorError):
    """``$VIRTUAL_ENV`` names another environment than the one that would be installed into."""


class UnknownDistributionFormat(PipAcceleratorError):
    """A distribution is neither a wheel nor an sdist."""


class ConfigError(PipAcceleratorError, ValueError):
    """The value of an option cannot be understood; the message says where it stands and what is accepted."""


class ConfigFileError(PipAcceleratorError):
    """A configuration file cannot be loaded; the context has its ``path`` and the ``reason``."""


class DataDirectoryError(PipAcceleratorError):
    """The data directory cannot be used: it cannot be written to, or others can."""


class Unsupported(PipAcceleratorError):
    """Something that only pip can serve: the command is handed to pip."""


class PipFailed(PipAcceleratorError):
    """pip ended with an error.

    The context has the ``command`` (a tuple of words), the ``status`` and the ``output``, with secrets in URLs masked;
    and where pip was started to plan or to download, what it wrote to standard error as ``errors``.
    """

    def __init__(self, text: str, **context: object) -> None:
        context = {"command": (), "status": None, "output": "", "errors": "", **context}
        super().__init__(text, **{name: _mask(value) for name, value in context.items()})


class NothingFound(PipFailed):
    """No place that may be asked has a distribution that answers a requirement."""


class UnsafeArchive(PipAcceleratorError):
    """An archive holds what must not be unpacked, or is not what it claims to be."""


class LinkError(PipAcceleratorError):
    """A file could be neither linked nor copied."""


class Edited(LinkError):
    """A file in the store is not as it was unpacked: somebody edited it in an environment, or it was removed."""


class BinaryDistributionError(PipAcceleratorError):
    """Base for the errors of building a binary distribution: the one to catch.

    The context has the ``output`` of the build, which is empty where none had begun.
    """

    def __init__(self, text: str, **context: object) -> None:
        super().__init__(text, **{"output": "", **context})


class InvalidSourceDistribution(BinaryDistributionError):
    """An sdist has nothing to build with."""


class DamagedSourceDistribution(InvalidSourceDistribution):
    """An sdist cannot be read to its end."""


class BuildFailed(BinaryDistributionError):
    """The build of a binary distribution reported an error; the context has its whole ``output``."""


class NoBuildOutput(BinaryDistributionError):
    """A build reported no error and left no archive; the context has its whole ``output``."""


class CacheBackendError(PipAcceleratorError):
    """A cache backend failed in a way that it understands."""


class CacheBackendDisabledError(CacheBackendError):
    """A cache backend is not set up: settings or a library are missing."""


class SystemDependencyError(PipAcceleratorError):
    """Base for the errors of system packages, and raised itself when they cannot be listed."""


class DependencyInstallationRefused(SystemDependencyError):
    """The installation of system packages is switched off, or the operator said no."""


class DependencyInstallationFailed(SystemDependencyError):
    """The installation of system packages failed."""


def _mask(value: object) -> object:
    """Give a text, or a sequence of texts, without secrets; anything else as it is."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, (list, tuple)):
        return tuple(_mask(item) for item in value)
    return value
