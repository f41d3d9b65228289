"""Digests of small things, without :mod:`hashlib`, which loads OpenSSL: that takes half as long as to start Python."""

from __future__ import annotations

import json
from typing import Any

try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]  # before Python 3.12
    except ImportError:
        from hashlib import sha256
try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["blake2b", "digest_of", "sha256"]


def digest_of(value: Any) -> str:
    """Give a short digest of a JSON value, the same in every process."""
    data = json.dumps(value, sort_keys=True, default=list).encode()
    return str(sha256(data).hexdigest()[:32])
