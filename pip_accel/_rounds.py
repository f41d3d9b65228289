"""The rounds of an installation in which builds fail for want of system packages, and are tried again with these."""

from __future__ import annotations

from collections.abc import Callable

from pip_accel.exceptions import BinaryDistributionError, ConfigFileError, SystemDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._accelerator import Outcome
    from pip_accel._values import Target
    from pip_accel.config import Config
    from pip_accel.deps import SystemPackageManager

__all__ = ["Rounds"]


class Rounds:
    """The rounds of an installation in which builds fail for want of system packages.

    :param say: is told what is done.
    :param ask: puts a question to the user, as for :class:`~pip_accel.deps.SystemPackageManager`.
    :param dry_run: whether nothing may be installed, whatever is allowed.
    """

    #: How often one distribution may fail: each time another thing may be missing.
    LIMIT = 5

    def __init__(
        self,
        config: Config,
        *,
        target: Target,
        say: Callable[[str], None] = lambda text: None,
        ask: Callable[[str], str | None] | None = None,
        dry_run: bool = False,
    ) -> None:
        self._config = config
        self._dry_run = dry_run
        self._target = target
        self._say = say
        self._ask = ask
        self._counts: dict[str, int] = {}
        self._built: tuple[str, ...] = ()
        self._online = False
        self._made: SystemPackageManager | None = None

    @property
    def manager(self) -> SystemPackageManager:
        """What knows of system packages; made when a build has failed."""
        if self._made is None:
            from pip_accel.deps import SystemPackageManager

            python = self._target.base_python
            try:
                self._made = SystemPackageManager(self._config, python=python, say=self._say, ask=self._ask)
            except ConfigFileError as error:
                raise SystemDependencyError("{reason}", reason=error) from error
        return self._made

    def is_curable(self, error: BaseException) -> bool:
        """Whether packages are known that would help with a build that failed."""
        try:
            return isinstance(error, BinaryDistributionError) and self.manager.can_help(error)
        except Exception:  # it would be said at the end, and must not hide what the build said
            return False

    def carry_out(self, attempt: Callable[[], Outcome], on_failure: Callable[[], None] = lambda: None) -> Outcome:
        """Carry out an installation, and again when builds failed and what they lacked was installed.

        :param on_failure: is called when builds have failed, before anything is said of that.
        :raises SystemDependencyError: packages are missing, and not installed; the context has the ``failure``.
        :raises BinaryDistributionError: builds failed; the context may have a sentence of ``advice``.
        """
        while True:
            try:
                outcome = attempt()
            except BinaryDistributionError as error:
                on_failure()
                try:
                    if not self.mend(error):
                        error.context["advice"] = self._advise(error)
                        raise
                except SystemDependencyError as reason:
                    reason.context["failure"] = error
                    raise
            else:
                built, online = (*self._built, *outcome.built), outcome.online or self._online
                return outcome._replace(built=built, online=online)

    def _advise(self, error: BinaryDistributionError) -> str:
        """Say what is known about what builds lacked; nothing where that goes wrong."""
        try:
            return self.manager.explain(error)
        except Exception:
            return ""

    def mend(self, error: BinaryDistributionError) -> bool:
        """Install what builds lacked; give whether anything was installed, so that it is worth another try.

        :raises SystemDependencyError: packages are missing, and not installed.
        """
        from pip_accel.deps import failures_of

        failures = failures_of(error)
        for label in {each.label for each in failures}:
            self._counts[label] = self._counts.get(label, 0) + 1
        if not failures or max(self._counts.values()) > self.LIMIT:
            return False
        built = error.context.get("built", ())
        self._built += built if isinstance(built, tuple) else ()
        self._online = self._online or bool(error.context.get("online"))
        try:
            return self.manager.install_for(failures, dry_run=self._dry_run)
        except SystemDependencyError:
            raise
        except Exception as wrong:
            self._say(f"System packages could not be looked for ({type(wrong).__name__}: {wrong})")
            return False
