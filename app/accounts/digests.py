"""How secrets of 160 random bits and more are kept and compared: only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac


def digest(secret: str) -> str:
    """The SHA-256 of a secret in hex: what the database holds of it."""
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


def is_same(secret: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(digest(secret), digest(other))
