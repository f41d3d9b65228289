"""Install a requirements file with pip-accel twice, each time in a fresh environment, and show both times.

``python3 benchmarks/quickstart.py [FILE]``; without FILE it is a set of 99 pinned distributions. Everything lies below
``.cache/quickstart/`` of the checkout; the environments are removed at the end. Needs the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.run import CHECKOUT, interpreter, provide_environment

PLACE = CHECKOUT / ".cache" / "quickstart"
LARGE = CHECKOUT / "tests" / "requirements" / "web-2026-11.txt"
#: Most of the large set has left Python 3.10 behind.
SMALL = CHECKOUT / "benchmarks" / "requirements" / "quickstart.txt"


def install(accelerator: Path, requirements: Path, environment: Path) -> tuple[float, list[str]]:
    """Make an environment, install a requirements file in it, and take the environment away.

    :returns: seconds that the installation took, and what pip-accel said on standard error.
    :raises SystemExit: it failed; what it said is shown.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = interpreter(environment)
    command = [accelerator, "-m", "pip_accel", "--python", python, "install", "-r", requirements]
    # The machine's settings for pip, its package index above all, are left alone; those for pip-accel are not.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_ACCEL_")}
    environ.update(
        PIP_ACCEL_CACHE=str(PLACE / "data"), PIP_ACCEL_LOG_FORMAT="%(message)s", PIP_ACCEL_LOG_VERBOSITY="INFO"
    )
    start = time.perf_counter()
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    check = subprocess.run([accelerator, "-m", "pip", "--python", python, "check"], capture_output=True, text=True)
    if done.returncode or check.returncode:
        sys.exit(f"{done.stdout}{done.stderr}{check.stdout}{check.stderr}pip-accel failed.")
    return seconds, done.stderr.splitlines()


def main(words: list[str]) -> None:
    """Run both installations."""
    requirements = Path(words[0]).resolve() if words else LARGE if sys.version_info >= (3, 11) else SMALL
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    try:
        accelerator = provide_environment(PLACE / "pip-accel")
        print(f"Requirements: {os.path.relpath(requirements)}")
        for number, what in enumerate(["nothing is known yet", "everything is there"], 1):
            seconds, said = install(accelerator, requirements, PLACE / f"environment-{number}")
            print(f"Run {number}, {what}: {seconds:.2f} seconds", flush=True)
            for line in said or ["pip did this run alone"]:
                print(f"    {line}")
    finally:
        for directory in ("pip-accel", "environment-1", "environment-2"):
            shutil.rmtree(PLACE / directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
