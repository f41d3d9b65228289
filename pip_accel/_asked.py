"""A command as it was given: what it asks for, its target, and the plan that is remembered for the very same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._environment import Probe
    from pip_accel._plan.arguments import Request
    from pip_accel._values import Manner, Target
    from pip_accel.config import Config

__all__ = ["Asked"]


class Asked:
    """What the words ask for. They are only understood where there is no plan for the very same words."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], config: Config) -> None:
        self._config = config
        self._probe: Probe | None = None
        if list(words[:1]) == ["--python"] and "install" in words[2:]:
            from pip_accel._environment import Probe

            self._probe = Probe(words[1])  # most probably that is all, and it takes as long as what follows
        from pip_accel._plan.memo import Recording, recall

        self.recording = Recording(words, environ)
        self.remembered = recall(config, words, environ, self._begin) if "install" in words else None

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *error: object) -> None:
        if self._probe is not None:
            self._probe.end()

    def _begin(self, manner: Manner) -> None:
        from pip_accel._accelerator import start_probe

        self._probe = start_probe(manner, self._probe)

    @property
    def manner(self) -> Manner:
        """How it is to be installed.

        :raises Unsupported: pip has to have the whole command.
        """
        return self.remembered.manner if self.remembered is not None else self.request.manner

    @property
    def target(self) -> Target:
        """What is to be installed into.

        :raises Unsupported: its interpreter cannot be started, or pip refuses to install there.
        """
        self._begin(self.manner)
        assert self._probe is not None
        return self._probe.target()

    @cached_property
    def request(self) -> Request:
        """What the words mean.

        :raises Unsupported: pip has to have the whole command.
        :raises NothingFound: a requirement file would have to be fetched, and that is forbidden.
        """
        from pip_accel._plan.arguments import parse
        from pip_accel._plan.remote_files import fetch_file, refuse_file

        fetch = refuse_file if self._config.offline else fetch_file
        return parse(self.recording.words, self.recording.environ, self.recording.read, fetch)
