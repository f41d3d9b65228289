"""What pip-accel says about itself, on standard error. Standard output belongs to pip's own lines.

``coloredlogs`` takes 100 ms to import: it is used where its colours can be seen, else its format is followed here.
"""

from __future__ import annotations

import os
import sys
import time

__all__ = ["Messages"]

_LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}


class Messages:
    """Prints messages from a level on.

    :param verbosity: name of that level.
    :param offset: steps that ``-v`` (positive) and ``-q`` (negative) move it.
    """

    def __init__(self, verbosity: str, log_format: str, offset: int = 0) -> None:
        self.level = _LEVELS[verbosity] - 10 * offset
        self._format = log_format

    def debug(self, text: str) -> None:
        """Say what helps to find out why something happened."""
        self._say("DEBUG", text)

    def info(self, text: str) -> None:
        """Say what was done."""
        self._say("INFO", text)

    def warning(self, text: str) -> None:
        """Say what the user may want to change."""
        self._say("WARNING", text)

    def _say(self, level: str, text: str) -> None:
        if _LEVELS[level] < self.level:
            return
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


def _hostname() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
