"""A cache of pip-accel in a directory that several machines see: a mount that they share, say.

``$DIRECTORY_CACHE`` names the directory. Without it this cache is off.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, BinaryIO

from pip_accel.caches import AbstractCacheBackend
from pip_accel.exceptions import CacheBackendDisabledError
from pip_accel.utils import AtomicReplace

if TYPE_CHECKING:
    from pip_accel.config import Config

__all__ = ["DirectoryCacheBackend"]


class DirectoryCacheBackend(AbstractCacheBackend):
    """Stores files in a directory."""

    PRIORITY = 15
    CONCURRENT = True  # files do not mind

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.root = os.environ.get("DIRECTORY_CACHE", "")
        if not self.root:
            raise CacheBackendDisabledError("$DIRECTORY_CACHE is not set")
        self.rejected: set[str] = set()

    def __repr__(self) -> str:
        return f"the directory {self.root}"

    def path(self, filename: str) -> str:
        """Give the place of a file."""
        return os.path.join(self.root, *filename.split("/"))

    def get(self, filename: str) -> str | None:
        """Give the path of a file, or ``None`` if it is not there."""
        return self.path(filename) if os.path.exists(self.path(filename)) else None

    def has(self, filename: str) -> bool:
        """Whether a file is there, and not known to be damaged."""
        return filename not in self.rejected and os.path.exists(self.path(filename))

    def reject(self, filename: str) -> None:
        """Know that a file is damaged: the next one that is put takes its place."""
        self.rejected.add(filename)

    def put(self, filename: str, handle: BinaryIO) -> None:
        """Store a file. Others see all of it, or nothing."""
        path = self.path(filename)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with AtomicReplace(path) as temporary, open(temporary, "wb") as stream:
            shutil.copyfileobj(handle, stream)
            os.chmod(temporary, 0o644)
        self.rejected.discard(filename)
