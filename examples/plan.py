"""Print what ``pip install WORDS`` would install: what, of which kind, why, and from where. Nothing is installed.

python plan.py -r requirements.txt
"""

from __future__ import annotations

import sys

from pip_accel import PipAccelerator
from pip_accel.config import Config


def main(*words: str) -> None:
    accelerator = PipAccelerator(Config())
    for requirement in accelerator.get_requirements(words, use_wheels=True):
        kind = "wheel" if requirement.is_wheel else "source"
        reason = "asked for" if requirement.is_direct else "required by another"
        url = requirement.pip_requirement["download_info"]["url"]
        print(f"{requirement.name} {requirement.version} ({kind}, {reason}) from {url}")


if __name__ == "__main__":
    main(*sys.argv[1:])
