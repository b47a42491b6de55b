"""Web push's own encryption (RFC 8291 over RFC 8188): a message that one browser can read, whoever carries it."""

from __future__ import annotations

import base64
import os
import struct

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
RECORD = 4096
SALT = 16
# Push services take 4096 bytes in all: a header of 86, the end mark and the tag go from that.
MOST = 3993


def encrypt(
    message: bytes,
    p256dh: bytes,
    auth: bytes,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body to send, one record of aes128gcm; `key` and `salt` are made for each message, and given by tests alone.

    Raises ValueError for a key that is no point of P-256, and for a message of more than MOST bytes.
    """
    if len(message) > MOST:
        raise ValueError(f"a pushed message has at most {MOST} bytes")
    key = key or ec.generate_private_key(CURVE)
    salt = salt or os.urandom(SALT)
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, p256dh)
    except UnsupportedAlgorithm:
        raise ValueError("a browser's key is an uncompressed point") from None
    ours = point_of(key.public_key())
    shared = key.exchange(ec.ECDH(), theirs)
    secret = _derived(shared, auth, b"WebPush: info\0" + p256dh + ours, 32)
    content_key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    # 2 marks the last record, and this is the only one.
    sealed = AESGCM(content_key).encrypt(nonce, message + b"\x02", None)
    return salt + struct.pack("!IB", RECORD, len(ours)) + ours + sealed


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as browsers take it: an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encoded(raw: bytes) -> str:
    """Bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Bytes of base64url without padding; ValueError for what is none."""
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
