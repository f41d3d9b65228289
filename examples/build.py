"""Build an sdist, unless a cache has the result, and copy that to a directory.

python build.py alpha-1.0.tar.gz dist
"""

from __future__ import annotations

import os
import shutil
import sys

from pip_accel import PipAccelerator
from pip_accel.bdist import BinaryDistributionManager
from pip_accel.caches import CacheManager
from pip_accel.config import Config


def main(sdist: str, directory: str) -> None:
    config = Config()
    words = ["--no-deps", "--ignore-installed", sdist]
    [requirement] = PipAccelerator(config).get_requirements(words)
    # What this gives are the files of the distribution; when it returns, the archive is in the local cache.
    BinaryDistributionManager(config).get_binary_dist(requirement)
    archive = CacheManager(config).get(requirement)
    if archive is None:
        sys.exit(f"The result for {requirement} could not be kept")
    os.makedirs(directory, exist_ok=True)
    print(shutil.copy(archive, directory))


if __name__ == "__main__":
    main(*sys.argv[1:])
