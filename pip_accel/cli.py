"""The command line: words to an exit status, and all printing.

What is not ``install``, and what only pip itself can serve, goes to pip with the same words, streams and status.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from pip_accel._asked import Asked
from pip_accel.exceptions import (
    BinaryDistributionError,
    DamagedSourceDistribution,
    DataDirectoryError,
    LinkError,
    PipAcceleratorError,
    PipFailed,
    SystemDependencyError,
    Unsupported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from pip_accel._accelerator import Outcome
    from pip_accel._messages import Messages
    from pip_accel._progress import BuildWatcher
    from pip_accel.config import Config

__all__ = ["main"]

_USAGE = """\
Usage: pip-accel [PIP OPTIONS] COMMAND [WORDS]

A drop-in wrapper around pip: `pip-accel install ...' does what `pip install ...' does, from its caches where it can.
`cache' and `deps' are its own; every other command goes to pip as it is.

  pip-accel install -r requirements.txt
  pip-accel --python PATH install -r requirements.txt   (into another environment)
  pip-accel cache info                                  (what it keeps; cache --help: more about that)
  pip-accel deps -r requirements.txt                    (which system packages builds need)

`install' has no options of its own: variables ($PIP_ACCEL_CACHE and others) configure it, and the files
/etc/pip-accel.conf, ~/.pip-accel/pip-accel.conf and $PIP_ACCEL_CONFIG. PIP_ACCEL_DISABLE=1 hands everything to pip.
"""

#: pip's status when it shows a traceback.
_PIP_CRASHED = 2
#: Signs in what pip or a build said that it was the data directory that failed, where their files lie.
_OUT_OF_SPACE = ("No space left on device", "Disk quota exceeded")
#: The end of a traceback of pip's that tells of a connection.
_NETWORK_ERROR = r"pip\._vendor\.requests\.exceptions\.\w+: (.*)"


_INFO = 20  # the level of usual messages


class _Terminated(BaseException):
    """A signal came that ends programs; the argument is its number."""


def main() -> None:
    """Run the program; its words are in ``sys.argv``. Leaves by ``SystemExit`` if the status is not 0."""
    status = _run(sys.argv[1:], os.environ)
    if status != 0:
        sys.exit(status)


def run_alone() -> None:
    """Do the same in a process that does nothing else."""
    gc.disable()  # a run leaves few circles behind and ends soon; to look for them takes a tenth of a short one
    main()


def _run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        status = _dispatch(words, environ)
        sys.stdout.flush()  # here, where a reader that has gone away is no surprise
        return status
    except KeyboardInterrupt:
        print("ERROR: Operation cancelled by user", file=sys.stderr)
        return 1
    except _Terminated as error:
        return 128 + int(error.args[0])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it ends
        return 1
    except PipAcceleratorError as error:
        _show(error, _verbosity(words))
        return 1


def _show(error: PipAcceleratorError, verbosity: int) -> None:
    """Show an error, and with ``-v`` where it came from."""
    if verbosity > 0:
        import traceback

        traceback.print_exception(error)
    print(f"ERROR: {error}", file=sys.stderr)


def _dispatch(words: Sequence[str], environ: Mapping[str, str]) -> int:
    if not words:
        print(_USAGE, end="")
        return 0
    from pip_accel.config import Config

    if Config(load_configuration_files=False).disable:  # also where a configuration file is broken
        return _hand_over(words, environ)
    config = Config()
    if config.disable:
        return _hand_over(words, environ)
    with Asked(words, environ, config) as asked:
        if asked.remembered is None:
            from pip_accel._plan.arguments import find_command

            command = find_command(words, environ)
            if command is not None and command[1] == "cache":
                from pip_accel._cache_commands import cache

                return cache(words[: command[0]], words[command[0] + 1 :], environ, config)
            if command is not None and command[1] == "deps":
                from pip_accel._commands import Invocation
                from pip_accel._deps_command import deps

                with _signals_raise():
                    return deps(Invocation(words[: command[0]], words[command[0] + 1 :], environ, config))
            if command is None or command[1] != "install":
                return _hand_over(words, environ, offline=config.offline)
        return _install(asked, words, environ, config)


def _hand_over(words: Sequence[str], environ: Mapping[str, str], *, offline: bool = False) -> int:
    from pip_accel._plan.pip import hand_over

    sys.stdout.flush()
    return hand_over(words, environ, offline=offline)


def _install(asked: Asked, words: Sequence[str], environ: Mapping[str, str], config: Config) -> int:
    from pip_accel._environment import validate_environment
    from pip_accel._messages import Messages

    config.check()  # now, and not when all is installed
    try:
        manner = asked.manner
    except Unsupported as reason:
        if "PIP_PYTHON" not in environ and not any(word.startswith("--python") for word in words):
            validate_environment(environ)
        loud = Messages(config.log_verbosity, config.log_format, _verbosity(words))
        for warning in config.warnings:
            loud.warning(warning)
        loud.debug(f"pip does all of it: {reason}")
        return _hand_over(words, environ, offline=config.offline)
    messages = Messages(config.log_verbosity, config.log_format, manner.verbosity)
    for warning in config.warnings:
        messages.warning(warning)
    if manner.python is None:
        validate_environment(environ)
    try:
        with _signals_raise():
            return _install_into(asked, environ, config, messages)
    except DataDirectoryError as error:
        messages.warning(f"{error} pip does this run alone.")
    except Unsupported as reason:
        if reason.context.get("alarming"):
            messages.warning(str(reason))
        else:
            messages.debug(f"pip does all of it: {reason}")
    return _hand_over(words, environ, offline=config.offline)


def _verbosity(words: Sequence[str]) -> int:
    """Count ``-v`` less ``-q`` among words that could not be parsed, as far as that is safe."""
    return sum((word in ("-v", "--verbose")) - (word in ("-q", "--quiet")) for word in words)


def _install_into(asked: Asked, environ: Mapping[str, str], config: Config, messages: Messages) -> int:
    from pip_accel._accelerator import check_target, install, install_remembered, secure
    from pip_accel._install import transaction  # noqa: F401 (now, while the target's interpreter is at work)
    from pip_accel._printer import Printer
    from pip_accel._resources import open_resources
    from pip_accel._usage import record_usage

    started = time.monotonic()
    manner, target = asked.manner, asked.target
    check_target(target, manner)
    printer = Printer(manner, target, environ.get("PATH", ""), messages)
    with ExitStack() as locks:
        locks.enter_context(secure(target, manner, messages, messages.warning))
        try:
            keep = not manner.no_cache
            with open_resources(config, target, manner.python, environ, keep=keep) as resources, ExitStack() as stack:

                def watch() -> BuildWatcher:
                    from pip_accel._progress import Progress

                    stack.enter_context(resources.process_files())  # hooks are called by way of some
                    progress = Progress(messages, environ=environ, progress_bar=manner.progress_bar)
                    return stack.enter_context(progress)

                try:
                    outcome = None
                    if asked.remembered is not None:
                        outcome = install_remembered(
                            resources, asked.remembered, on_plan=printer.announce, on_replace=printer.replaced
                        )
                    if outcome is None:
                        from pip_accel._rounds import Rounds

                        ask = (lambda text: None) if manner.no_input else None
                        rounds = Rounds(config, target=target, say=messages, ask=ask, dry_run=manner.dry_run)
                        attempt = partial(
                            install,
                            resources,
                            asked.request,
                            say=messages,
                            watcher=watch,
                            on_plan=printer.announce if not printer.announced else None,
                            on_replace=printer.replaced,
                            recording=asked.recording,
                            is_curable=rounds.is_curable,
                        )
                        # Nothing else is to be seen while a question is.
                        outcome = rounds.carry_out(attempt, stack.close)
                except SystemDependencyError as error:
                    return _show_want(error, resources.place("logs") if keep else "")
                except (PipFailed, BinaryDistributionError) as error:
                    stack.close()
                    said = f"{error}{error.context.get('errors', '')}"
                    for sign in _OUT_OF_SPACE:
                        if sign in said:
                            raise OSError(sign) from error
                    if isinstance(error, PipFailed):
                        return _show_failure(error)
                    _show(error, manner.verbosity)
                    if error.context.get("advice"):
                        print(f"ERROR: {error.context['advice']}", file=sys.stderr)
                    return _PIP_CRASHED if isinstance(error, DamagedSourceDistribution) else 1
                printer.finish(outcome)
                record_usage(resources, outcome)
                if keep and (outcome.unpacked or outcome.online):
                    from pip_accel._eviction import see_to_size

                    see_to_size(config, messages.debug)
                if keep and outcome.built:
                    from pip_accel._progress import prune_logs

                    prune_logs(resources.place("logs"))
                if outcome.changes or manner.dry_run:
                    messages.info(_summary(outcome, time.monotonic() - started, dry_run=manner.dry_run))
                if outcome.share is not None:
                    sys.stdout.flush()
                    locks.close()  # others may go on with the environment
                    outcome.share()
        except BrokenPipeError:  # nobody reads what is printed
            raise
        except (OSError, LinkError) as error:
            if printer.announced:
                if isinstance(error, LinkError):
                    raise
                print(f"ERROR: Could not install packages due to an OSError: {error}", file=sys.stderr)
                return 1
            raise DataDirectoryError(
                "The data directory {path} failed ({error}).",
                path=config.data_directory,
                error=error,
            ) from error
        except Exception as error:
            if printer.announced or isinstance(error, PipAcceleratorError):
                raise
            # An error of ours, before anything has changed: pip can do this all the same.
            messages.warning(f"pip-accel itself failed ({type(error).__name__}: {error}): pip does this run alone.")
            if messages.level < _INFO:
                import traceback

                traceback.print_exc()
            raise Unsupported("pip-accel itself failed") from error
    return 0


def _show_want(reason: SystemDependencyError, logs: str) -> int:
    """Show that system packages are missing: what a build said, and last what to do.

    :param logs: directory where on a terminal the outputs of builds are kept instead; empty if nothing is.
    """
    error = reason.context["failure"]
    assert isinstance(error, BinaryDistributionError)
    from pip_accel._progress import keep_output
    from pip_accel._text import escape_unprintable
    from pip_accel.deps import errors_of, failures_of

    failures = failures_of(error)
    paths: list[str | None] = []
    if logs and sys.stderr.isatty():
        paths = [keep_output(logs, each.label, each.output) for each in failures]
    if paths and None not in paths:
        for failure, path in zip(failures, paths, strict=True):
            print(f"ERROR: {failure.label} could not be built. What the build said is in {path}", file=sys.stderr)
    else:  # perhaps nobody can look into files here any more
        for each in errors_of(error):
            print(f"ERROR: {each}", file=sys.stderr)
    print(f"ERROR: {escape_unprintable(str(reason))}", file=sys.stderr)
    return 1


def _show_failure(error: PipFailed) -> int:
    """Show pip's own words about its failure, and give its status."""
    output = str(error.context.get("output", ""))
    for beginning in ("\nThe conflict is caused by:", "\n  The conflict is caused by:"):
        if beginning in output:
            print(output[output.index(beginning) :].rstrip())
    errors = str(error.context.get("errors", "")).strip("\n")
    status = error.context.get("status", 1)
    found = re.fullmatch(_NETWORK_ERROR, errors.splitlines()[-1]) if errors else None
    if found is not None:  # "pip download" does not expect it, but "pip install" does
        errors, status = f"ERROR: Could not install packages due to an OSError: {found[1]}\n", 1
    elif "Traceback (most recent call last)" in errors:
        archives = re.findall(r"^ *(?:Downloading|Using cached|Processing) (\S+)", output, re.MULTILINE)
        place = f" while it worked on {archives[-1]}" if archives else ""
        errors = f"ERROR: pip failed{place}: {errors.splitlines()[-1].strip()}"
    print(errors or f"ERROR: {error}", file=sys.stderr)
    return status if isinstance(status, int) and status > 0 else 1


def _summary(outcome: Outcome, seconds: float, *, dry_run: bool) -> str:
    """Say in one line what came from where."""
    count = len(outcome.plan.pins if dry_run else outcome.changes)
    done = "Planned" if dry_run else "Installed"
    source = "from a shared cache" if outcome.plan.borrowed else "without network"
    source = "with downloads" if outcome.online else source
    if outcome.plan.learned and not outcome.online:
        source += time.strftime(", as the index was on %Y-%m-%d", time.localtime(outcome.plan.learned))
    built = f", built {', '.join(outcome.built)}" if outcome.built else ""
    return f"{done} {count} distribution{'s' if count != 1 else ''} in {seconds:.1f} s {source}{built}"


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP unless it is ignored, end a run as Ctrl-C does: all is undone on the way out."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated(number)

    previous = {}
    try:
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if number not in previous and signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, terminate)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
