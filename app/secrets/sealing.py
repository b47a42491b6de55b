"""AES-256-GCM with a random 96-bit nonce; the place of a row is sealed in, so that it opens nowhere else.

The library is loaded on first use: it costs 6 MB, and who keeps no secret never needs it.
"""

from __future__ import annotations

import os

NONCE_BYTES = 12


class Unreadable(Exception):
    """The bytes were not sealed with this key for this place."""


def seal(key: bytes, plain: bytes, *place: str | int) -> bytes:
    """Nonce, ciphertext and tag."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _place(place))


def unseal(key: bytes, sealed: bytes, *place: str | int) -> bytes:
    """What was sealed; raises Unreadable if a bit or the place has changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(place))
    except (InvalidTag, ValueError):
        raise Unreadable from None


def _place(words: tuple[str | int, ...]) -> bytes:
    return "|".join(map(str, words)).encode()
