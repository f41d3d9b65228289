"""Install into a prefix of its own, and show what pip-accel has to say meanwhile.

python install.py PREFIX -r requirements.txt
"""

from __future__ import annotations

import logging
import sys

from pip_accel import PipAccelerator
from pip_accel.config import Config


def main(prefix: str, *words: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    accelerator = PipAccelerator(Config())
    # What this environment has already is of no use in another place.
    count = accelerator.install_from_arguments(["--ignore-installed", *words], prefix=prefix)
    print(f"{count} installed below {prefix}")


if __name__ == "__main__":
    main(*sys.argv[1:])
