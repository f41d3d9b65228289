"""What the commands of pip-accel's own share: how they are called, what they open, and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pip_accel._messages import Messages
from pip_accel.exceptions import BinaryDistributionError, DataDirectoryError, PipFailed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._engine import Engine
    from pip_accel._index import ViewSettings
    from pip_accel._plan.arguments import Request
    from pip_accel.config import Config

__all__ = ["Invocation", "Open", "Refused", "opened", "reporting"]


class Invocation(NamedTuple):
    """What one of these commands was called with."""

    before: Sequence[str]  #: options before the command
    words: Sequence[str]  #: those after the verb, as an installation would have them
    environ: Mapping[str, str]
    config: Config


class Refused(Exception):
    """A command cannot do what it was asked for; the text is one sentence for the user."""


class Open(NamedTuple):
    """What a command works with."""

    request: Request
    messages: Messages
    engine: Engine
    view: ViewSettings


@contextmanager
def opened(invocation: Invocation, *more: str) -> Iterator[Open]:
    """Understand the words, and open what serves them. In the end the data directory is kept below its limit.

    :param more: words in front of the user's own.
    :raises Refused: only pip itself could serve them.
    """
    from pip_accel._accelerator import open_engine
    from pip_accel._environment import find_target, validate_environment
    from pip_accel._eviction import see_to_size
    from pip_accel._plan.arguments import parse
    from pip_accel._plan.question import view_of
    from pip_accel._plan.remote_files import fetch_file, refuse_file
    from pip_accel._resources import open_resources

    before, words, environ, config = invocation
    config.check()
    try:
        fetch = refuse_file if config.offline else fetch_file
        request = parse([*before, "install", *more, *words], environ, fetch=fetch)
        python = request.manner.python
        messages = Messages(config.log_verbosity, config.log_format, request.manner.verbosity)
        for warning in config.warnings:
            messages.warning(warning)
        if python is None:
            validate_environment(environ)
        with open_resources(config, find_target(python), python, environ) as resources:
            view = view_of(request, resources)
            with open_engine(resources, request, messages, view=view) as engine:
                yield Open(request, messages, engine, view)
        see_to_size(config, messages.debug)
    except Unsupported as reason:
        raise Refused(f"pip-accel does not serve these words and settings: {reason}") from reason


def reporting(command: Callable[[Invocation], int]) -> Callable[[Invocation], int]:
    """Have what a command fails with printed as pip prints errors."""

    def run(invocation: Invocation) -> int:
        try:
            return command(invocation)
        except (Refused, DataDirectoryError, BinaryDistributionError) as error:
            print(f"ERROR: {error}", file=sys.stderr)
        except OSError as error:
            print(f"ERROR: {error}", file=sys.stderr)
        except PipFailed as error:
            print(str(error.context.get("errors", "")).strip("\n") or f"ERROR: {error}", file=sys.stderr)
        return 1

    return run
