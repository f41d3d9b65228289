"""What pip-accel says about itself, on standard error. Standard output belongs to pip's own lines.

``coloredlogs`` takes 100 ms to import: it is used where its colours can be seen, else its format is followed here.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import RLock  # not from threading, which a run that only installs need not import
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

__all__ = ["Log", "Messages", "speaker"]

_LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}


class Messages:
    """Prints messages from a level on, from any thread, and shows one line that changes in place.

    :param verbosity: name of that level.
    :param offset: steps that ``-v`` (positive) and ``-q`` (negative) move it.
    """

    def __init__(self, verbosity: str, log_format: str, offset: int = 0) -> None:
        self.level = _LEVELS[verbosity] - 10 * offset
        self.lock = RLock()  #: held while something is printed
        self._format = log_format
        self._shown = ""

    def __call__(self, text: str) -> None:
        """Do the same as :meth:`info`, for those who are only given what says something."""
        self.info(text)

    def debug(self, text: str) -> None:
        """Say what helps to find out why something happened."""
        self._say("DEBUG", text)

    def info(self, text: str) -> None:
        """Say what was done."""
        self._say("INFO", text)

    def warning(self, text: str) -> None:
        """Say what the user may want to change."""
        self._say("WARNING", text)

    def show(self, text: str, end: str = "") -> None:
        """Show a line at the end of the terminal that the next message or :meth:`show` takes away again.

        :param text: ASCII, cut where the terminal is too narrow for it and ``end``. Both empty: no line any more.
        """
        with self.lock:
            if text + end == self._shown:
                return
            width = _terminal_width()
            room = max(0, width - 3)  # the terminal may add its ^C, and a full line would be continued on the next one
            text = text if len(text + end) <= room else text[: max(0, room - len(end) - 3)] + "..."
            # Blanks and no escape sequence: they work on every terminal. The text is last, so that a ^C follows it.
            sys.stderr.write(f"\r{' ' * (width - 1)}\r{(text + end)[:room]}")
            sys.stderr.flush()
            self._shown = text + end

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Take the line of :meth:`show` away and let no other thread print, while something else is printed."""
        with self.lock:
            self.show("")
            yield

    def _say(self, level: str, text: str) -> None:
        if _LEVELS[level] >= self.level:
            with self.alone():
                self._print(level, text)

    def _print(self, level: str, text: str) -> None:
        if sys.stderr.isatty():
            self._say_in_colour(level, text)
            return
        moment = time.time()
        values = {
            "asctime": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)),
            "hostname": _hostname(),
            "name": "pip_accel",
            "process": os.getpid(),
            "levelname": level,
            "message": text,
        }
        try:
            line = self._format % values
        except (KeyError, ValueError, TypeError):  # a field that only logging or coloredlogs knows
            self._say_in_colour(level, text)
            return
        print(line, file=sys.stderr, flush=True)

    def _say_in_colour(self, level: str, text: str) -> None:
        import logging

        import coloredlogs

        logger = logging.getLogger("pip_accel")
        if not logger.handlers:
            logger.propagate = False
            coloredlogs.install(level=max(self.level, 1), logger=logger, fmt=self._format, stream=sys.stderr)
        logger.log(_LEVELS[level], "%s", text)


class Log:
    """Says the same by way of :mod:`logging`, for programs that embed pip-accel: the logger is ``pip_accel``."""

    def __call__(self, text: str) -> None:
        self.info(text)

    def debug(self, text: str) -> None:
        self._logger.debug("%s", text)

    def info(self, text: str) -> None:
        self._logger.info("%s", text)

    def warning(self, text: str) -> None:
        self._logger.warning("%s", text)

    @property
    def _logger(self) -> logging.Logger:
        import logging

        return logging.getLogger("pip_accel")


def speaker(say: Callable[[str], None], level: str) -> Callable[[str], None]:
    """Give what says something at a level. Where ``say`` knows no levels, it says all but ``debug``."""
    found: Callable[[str], None] | None = getattr(say, level, None)
    if found is None:
        return say if level != "debug" else lambda text: None
    return found


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def _hostname() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
