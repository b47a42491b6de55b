"""Web push: a message that only the browser can read, signed by this server (VAPID, RFC 8292)."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import urlsplit

import orjson

from app import config
from app.errors import NotFound
from app.notifications.senders.outcome import Refused, post
from app.notifications.senders.scopes import scope_of
from app.notifications.senders.told import Told
from app.notifications.things import Channel
from app.secrets import service as secrets

SUBSCRIPTION = "subscription"
# An approval that nobody saw for a day is seen on the page; push services keep it no longer for a sleeping device.
KEPT = 24 * 3600
SIGNED_FOR = 12 * 3600
_SCOPE, _NAME = "notifications", "vapid"


def send(channel: Channel, told: Told) -> None:
    """Encrypt it for the one browser and hand it to that browser's push service."""
    from app.notifications.senders.encrypting import decoded, encrypt

    kept = orjson.loads(secrets.held(scope_of(channel.id), SUBSCRIPTION))
    said = {"title": f"{told.headline}: {told.title}", "url": told.url, "tag": told.about, "event": told.occasion}
    try:
        body = encrypt(orjson.dumps(said), decoded(kept["p256dh"]), decoded(kept["auth"]))
    except ValueError:
        raise Refused("this browser's key cannot be used") from None
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": str(KEPT),
        "Urgency": "high",
        # A push service keeps one message of a topic: what is told again takes the place of what was not read.
        "Topic": hashlib.sha256(told.about.encode()).hexdigest()[:32],
        "Authorization": _signature(channel.address),
    }
    post(channel.address, body, headers)


def public_key() -> str:
    """The key that browsers subscribe with: an uncompressed point of P-256 in base64url."""
    from joserfc.jwk import ECKey

    from app.notifications.senders.encrypting import encoded, point_of

    return encoded(point_of(ECKey.import_key(_key()).public_key))


def _signature(endpoint: str) -> str:
    """What proves to a push service that it is this server which sends."""
    from joserfc import jwt
    from joserfc.jwk import ECKey

    parts, url = urlsplit(endpoint), config.current().url
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "sub": url if url.startswith("https:") else "mailto:operator@signalcabin.invalid",
        "exp": int(time.time()) + SIGNED_FOR,
    }
    token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, ECKey.import_key(_key()))
    return f"vapid t={token},k={public_key()}"


def _key() -> str:
    """The server's own key in PEM, made the first time that it is wanted."""
    from joserfc.jwk import ECKey

    try:
        return secrets.held(_SCOPE, _NAME)
    except NotFound:
        return secrets.hold_once(_SCOPE, _NAME, ECKey.generate_key("P-256").as_pem(private=True).decode())
