"""Install into an environment, and say what went wrong if something did.

python errors.py ENVIRONMENT -r requirements.txt
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from pip_accel import PipAccelerator
from pip_accel.config import Config
from pip_accel.exceptions import (
    BinaryDistributionError,
    NothingFound,
    NothingToDoError,
    PipAcceleratorError,
    PipFailed,
    SystemDependencyError,
    Unsupported,
)


def install(environment: str, words: Sequence[str]) -> int:
    config = Config()
    config.check()  # a value that cannot be understood raises here, and not when it is needed
    for warning in config.warnings:
        print(f"Note: {warning}")
    return PipAccelerator(config, python=environment).install_from_arguments(words)


def main(environment: str, *words: str) -> int:
    try:
        print(f"{install(environment, words)} installed")
        return 0
    except NothingToDoError:
        print("Nothing is asked for")
        return 0
    except Unsupported as error:
        print(f"pip has to do this: {error}", flush=True)
        command = [sys.executable, "-m", "pip", "--python", environment, "install", *words]
        return subprocess.run(command).returncode
    except NothingFound as error:
        print(f"Not to be had: {error}")
    except PipFailed as error:
        print(f"pip ended with status {error.context['status']} and said:\n{error.context.get('errors', '')}")
    except SystemDependencyError as error:
        print(f"{error.context['failure']}\n{error}")
    except BinaryDistributionError as error:
        print(f"{error.context.get('distribution')} was not built. The build said:\n{error.context['output']}")
    except PipAcceleratorError as error:  # of the configuration, the data directory, the environment
        print(f"{type(error).__name__}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
