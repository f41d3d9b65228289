"""A drop-in wrapper around pip that installs from caches: see :mod:`pip_accel.cli`.

The documented names resolve at first use, so that importing the package costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pip_accel._embedding import PatchedAttribute, PipAccelerator

__all__ = ["PatchedAttribute", "PipAccelerator", "__version__"]

__version__ = "1.0.dev0"


def __getattr__(name: str) -> object:
    if name in ("PatchedAttribute", "PipAccelerator"):
        from pip_accel import _embedding

        return getattr(_embedding, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
