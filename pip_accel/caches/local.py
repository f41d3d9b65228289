"""The local cache backend: files below the ``binary_cache`` directory."""

from __future__ import annotations

import os
import shutil
from typing import BinaryIO

from pip_accel import _fs
from pip_accel.caches import AbstractCacheBackend

__all__ = ["LocalCacheBackend"]


class LocalCacheBackend(AbstractCacheBackend):
    """Stores archives in a directory of this machine."""

    PRIORITY = 10

    def _path(self, filename: str) -> str:
        return os.path.join(self.config.binary_cache, *filename.split("/"))

    def get(self, filename: str) -> str | None:
        """Give the path of a cached archive, or ``None``. The time of its last use is its modification time."""
        path = self._path(filename)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError:  # a read-only cache can be read all the same
            pass
        return path

    def put(self, filename: str, handle: BinaryIO) -> None:
        """Store an archive; nobody sees half a file.

        :raises OSError: the disk is full, say.
        """
        with _fs.replacing(self._path(filename)) as stream:
            shutil.copyfileobj(handle, stream, 1 << 20)
