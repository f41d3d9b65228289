"""What is told about builds while they run, and what is kept of what they said.

On a terminal it is one line that changes in place. Elsewhere it is a line now and then, as systems that run tests end
what is silent for long. Only imported when something is built.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from pip_accel import _fs
from pip_accel._text import escape_unprintable, mask_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._messages import Messages

__all__ = ["BuildWatcher", "Progress", "QUIET", "keep_output", "prune_logs"]

_PERIOD = 0.25  # seconds between two looks at what there is to show
_SHORT = 0.5  # seconds of building that are not worth a line in place
_SILENCE = 60.0  # seconds of building without a word

_INFO = 20  # the level of usual messages


class BuildWatcher(Protocol):
    """Is told about builds, by any thread."""

    def expect(self, count: int) -> None:
        """Know that so many more builds are needed."""

    def started(self, label: str) -> None:
        """Know that a build begins.

        :param label: name and version, separated by a blank; from outside, so it may hold anything.
        """

    def ended(self, label: str, seconds: float, output: str, failed: bool) -> None:
        """Know that a build is over, and what it said."""


class _Quiet:
    def expect(self, count: int) -> None:
        pass

    def started(self, label: str) -> None:
        pass

    def ended(self, label: str, seconds: float, output: str, failed: bool) -> None:
        pass


#: Tells nobody.
QUIET: BuildWatcher = _Quiet()


class Progress:
    """Tells a person about builds. What is shown changes with time inside of its ``with`` block only.

    :param messages: where it is told, and their level decides how much: each build from one step of ``-v`` on,
                     its whole output from two, nothing from one of ``-q``.
    :param environ: has ``TERM``.
    :param progress_bar: pip's option of that name; there is no line in place for ``off`` and ``raw``.
    :param clock: gives seconds.
    """

    def __init__(
        self,
        messages: Messages,
        *,
        environ: Mapping[str, str],
        progress_bar: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._messages = messages
        self._lock = messages.lock  # one for all, as most of what happens here ends in a message
        self._clock = clock
        self._in_place = (
            messages.level == _INFO
            and progress_bar not in ("off", "raw")
            and environ.get("TERM") != "dumb"
            and sys.stderr.isatty()
        )
        self._running: list[tuple[str, float]] = []
        self._expected = 0
        self._done = 0
        self._since = 0.0  # when something began to be built after nothing was
        self._before = 0.0  # seconds of building before that
        self._told = 0.0  # seconds of building at the last message
        self._over = threading.Event()
        # A daemon, so that nothing can keep the process alive; joined, as one that prints may not live until its end.
        self._thread = threading.Thread(target=self._keep_ticking, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        try:
            self._messages.show("")
        finally:
            self._thread.join()

    def expect(self, count: int) -> None:
        """Know that so many more builds are needed."""
        with self._lock:
            self._expected += count

    def started(self, label: str) -> None:
        """Know that a build begins."""
        label = _make_ascii(label)
        with self._lock:
            now = self._clock()
            if not self._running:
                self._since = now
            self._running.append((label, now))
            if self._messages.level < _INFO:
                self._tell(self._messages.debug, f"Building {label}")

    def ended(self, label: str, seconds: float, output: str, failed: bool) -> None:
        """Know that a build is over, and what it said."""
        label = _make_ascii(label)
        text = f"Failed to build {label} after {seconds:.1f} s" if failed else f"Built {label} in {seconds:.1f} s"
        if self._messages.level <= 0:
            lines = mask_secrets(output).splitlines()
            text = "\n".join([text, *(f"  {label} | {escape_unprintable(line.expandtabs())}" for line in lines)])
        with self._lock:
            time_built = self._time_built()
            place = next((place for place, running in enumerate(self._running) if running[0] == label), None)
            if place is not None:
                del self._running[place]
            self._done += 1
            if not self._running:
                self._before = time_built
                self._messages.show("")
            if self._messages.level < _INFO:
                self._tell(self._messages.debug, text)

    def tick(self) -> None:
        """Show what is to be seen now."""
        with self._lock:
            time_built = self._time_built()
            if self._over.is_set() or not self._running:
                return
            if self._in_place:
                if time_built > _SHORT:
                    total = max(self._expected, self._done + len(self._running))
                    count = f"{self._done} of {total}: " if total > 1 else ""
                    labels = ", ".join(label for label, _ in self._running)
                    self._messages.show(f"Building {count}{labels}", f" ({_format_time(time_built)})")
            elif time_built - self._told >= _SILENCE:
                now = self._clock()
                items = ", ".join(f"{label} ({_format_time(now - start)})" for label, start in self._running)
                self._tell(self._messages.info, f"Still building {items}")

    def _tell(self, say: Callable[[str], None], text: str) -> None:
        say(text)
        self._told = self._time_built()

    def _time_built(self) -> float:
        """Give the seconds in which anything was built."""
        return self._before + (self._clock() - self._since if self._running else 0.0)

    def _keep_ticking(self) -> None:
        while not self._over.wait(_PERIOD):
            try:
                self.tick()
            except (OSError, ValueError):  # standard error is gone or closed
                return


def keep_output(directory: str, label: str, output: str) -> str | None:
    """Keep what a build said, in place of what the build of the same distribution said before.

    :param label: name and version, separated by a blank; from outside, so it may hold anything.
    :returns: path of the file, which only its owner may read, or ``None`` if it could not be written.
    """
    name = re.sub(r"[^A-Za-z0-9._+!-]+", "-", label).lstrip(".-")[:200]
    path = os.path.join(directory, f"{name or 'unnamed'}.log")
    try:
        _fs.write_file(path, mask_secrets(output).encode("utf-8", "backslashreplace"), mode=0o600)
    except OSError:
        return None
    return path


def prune_logs(directory: str, keep: int = 200) -> None:
    """Remove all but the newest files that :func:`keep_output` wrote, or left half written when it was killed."""
    _fs.prune(directory, keep)


def _make_ascii(label: str) -> str:
    """Give a label whose every character takes one column."""
    return escape_unprintable(label).encode("ascii", "backslashreplace").decode("ascii")


def _format_time(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
