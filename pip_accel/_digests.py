"""Digests of small things, without :mod:`hashlib`, which loads OpenSSL: that takes half as long as to start Python."""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
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

__all__ = ["SHA256", "blake2b", "digest_of", "sha256", "spell"]

#: A SHA-256 digest as ours are written.
SHA256 = re.compile("[0-9a-f]{64}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # base64, which has this, takes 1 ms to import


def digest_of(value: Any) -> str:
    """Give a short digest of a JSON value, the same in every process."""
    data = json.dumps(value, sort_keys=True, default=list).encode()
    return str(sha256(data).hexdigest()[:32])


def spell(digest: bytes) -> str:
    """Give a SHA-256 digest as RECORD spells it."""
    return "sha256=" + b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode("ascii")
