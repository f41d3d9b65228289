"""The hooks of build backends (PEP 517), each in a process of its own in the build environment."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import pyproject_hooks
from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

from pip_accel._build.source import BuildSystem
from pip_accel._fs import naming
from pip_accel._process import run
from pip_accel.exceptions import BuildFailed, NoBuildOutput, Unsupported

__all__ = ["Backend"]

# What a backend warns of is part of the build's output. Newer releases raise it again here, where pip says nothing.
if hasattr(pyproject_hooks, "BuildBackendWarning"):
    warnings.filterwarnings("ignore", category=pyproject_hooks.BuildBackendWarning)


class Backend:
    """The build backend of one source tree.

    :param environ: the variables that the hooks get.
    :param settings: the config settings that the hooks get.
    :param label: the distribution, as errors name it.
    :param editable: whether its hooks for editables are called (PEP 660).
    """

    def __init__(
        self,
        source: str,
        system: BuildSystem,
        python: str,
        environ: Mapping[str, str],
        settings: Mapping[str, Any],
        label: str,
        *,
        editable: bool = False,
    ) -> None:
        self.label = label
        self._editable = editable
        self._environ = environ
        self._settings = dict(settings) or None
        self._said: list[str] = []
        self._caller = BuildBackendHookCaller(
            source,
            system.backend,
            list(system.backend_path) or None,
            runner=self._run,
            python_executable=python,
        )

    @property
    def output(self) -> str:
        """What the hooks have said so far."""
        return "".join(self._said)

    def _run(
        self,
        cmd: Sequence[str],
        cwd: str | PathLike[str] | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = {**self._environ, **(extra_environ or {})}
        answer = run(cmd, cwd=None if cwd is None else os.fspath(cwd), env=environ, merge=True)
        self._said.append(answer.output)
        if answer.status != 0:
            raise self._failure("exit status {}".format(answer.status))

    def _failure(self, reason: str) -> BuildFailed:
        return BuildFailed(
            "{label} could not be built: {reason}. The build said:\n\n{output}",
            label=self.label,
            reason=reason,
            output=self.output.rstrip(),
        )

    def _unavailable(self, error: BackendUnavailable) -> BuildFailed:
        reason = str(error.traceback).strip().rpartition("\n")[2]  # what was raised; the rest is about this process
        return self._failure(f"cannot import build backend {error.backend_name!r} ({reason})")

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook, which is told all in a file, and answers in one."""
        with naming(tempfile.gettempdir()):
            return hook(*arguments)

    def requires(self) -> list[str]:
        """Ask which requirements a build has beyond those in ``pyproject.toml``."""
        caller = self._caller
        try:
            ask = caller.get_requires_for_build_editable if self._editable else caller.get_requires_for_build_wheel
            return list(self._call(ask, self._settings))
        except HookMissing:
            return []
        except BackendUnavailable as error:
            raise self._unavailable(error) from error

    def metadata(self, directory: str) -> str:
        """Prepare the metadata; give the path of the ``.dist-info`` directory."""
        caller = self._caller
        try:
            editable = self._editable
            prepare = caller.prepare_metadata_for_build_editable if editable else caller.prepare_metadata_for_build_wheel
            return os.path.join(directory, self._call(prepare, directory, self._settings))
        except HookMissing as error:
            raise Unsupported("the build backend of {label} knows no editables", label=self.label) from error
        except BackendUnavailable as error:
            raise self._unavailable(error) from error

    def wheel(self, directory: str, metadata: str | None) -> str:
        """Build the wheel; give its path.

        :param metadata: the ``.dist-info`` that was prepared in this source tree before.
        """
        try:
            build = self._caller.build_editable if self._editable else self._caller.build_wheel
            name = self._call(build, directory, self._settings, metadata)
        except BackendUnavailable as error:
            raise self._unavailable(error) from error
        path = os.path.join(directory, name)
        if not os.path.isfile(path):
            raise NoBuildOutput(
                "The build of {label} ended well but left no wheel. The build said:\n\n{output}",
                label=self.label,
                output=self.output.rstrip(),
            )
        return path
