"""Others' servers that are told things: they keep what came and answer as they are told to."""

from __future__ import annotations

import json
import queue
import struct
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.notifications.senders.encrypting import encoded
from tests import patience
from tests.peer import Peer, reply


@dataclass(frozen=True)
class Visit:
    """What came once."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Listener(Peer):
    """Keeps what it is told; the next answers have these statuses, all others 201."""

    def __init__(self) -> None:
        self.told: queue.Queue[Visit] = queue.Queue()
        self.statuses: list[int] = []
        super().__init__(self._take)

    def next(self) -> Visit:
        """What came next; waits for it."""
        return self.told.get(timeout=patience.PATIENCE)

    def _take(self, visit: BaseHTTPRequestHandler) -> None:
        body = visit.rfile.read(int(visit.headers["Content-Length"]))
        self.told.put(Visit(visit.path, dict(visit.headers), body))
        reply(visit, self.statuses.pop(0) if self.statuses else 201)


class Device:
    """A browser's side of web push: its keys, and reading what it gets (RFC 8291, the other way round)."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | None = None, auth: bytes = b"0123456789abcdef") -> None:
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.auth = auth
        self.point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def form(self, endpoint: str) -> dict[str, str]:
        """What its page posts."""
        return {"endpoint": endpoint, "p256dh": encoded(self.point), "auth": encoded(self.auth)}

    def read(self, body: bytes) -> bytes:
        """The message in a body."""
        salt, (_record, length) = body[:16], struct.unpack("!IB", body[16:21])
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        secret = HKDF(hashes.SHA256(), 32, self.auth, b"WebPush: info\0" + self.point + theirs).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        opened = AESGCM(key).decrypt(nonce, sealed, None)
        assert opened.endswith(b"\x02")
        return opened[:-1]
