"""Make a virtual environment in a directory that has everything, whatever the files and variables of this machine say.

python isolated.py DIRECTORY --index-url https://index.example.com/simple/ alpha
"""

from __future__ import annotations

import os
import sys
import venv

from pip_accel import PipAccelerator
from pip_accel.config import Config


def make_config(directory: str) -> Config:
    config = Config(load_configuration_files=False, load_environment_variables=False)
    config.data_directory = os.path.join(directory, "cache")
    config.link_mode = "copy"
    config.max_cache_size = None
    config.auto_install = False
    return config


def isolate_pip() -> None:
    """Have pip, which is told what to do by variables and files of its own, see none of them."""
    for name in list(os.environ):
        if name.startswith("PIP_") and not name.startswith("PIP_ACCEL_"):
            del os.environ[name]
    os.environ["PIP_CONFIG_FILE"] = os.devnull


def main(directory: str, *words: str) -> None:
    isolate_pip()
    environment = os.path.join(directory, "environment")
    venv.create(environment, symlinks=True)
    accelerator = PipAccelerator(make_config(directory), python=os.path.join(environment, "bin", "python"))
    print(f"{accelerator.install_from_arguments(words)} installed into {environment}")


if __name__ == "__main__":
    main(*sys.argv[1:])
