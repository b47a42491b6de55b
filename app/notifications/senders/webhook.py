"""A webhook: JSON by POST, signed, so that its reader knows who sent it and when."""

from __future__ import annotations

import hashlib
import hmac

import orjson

from app.notifications.senders.outcome import post
from app.notifications.senders.scopes import scope_of
from app.notifications.senders.told import Told
from app.notifications.things import Channel
from app.secrets import service as secrets

SECRET = "secret"  # noqa: S105 - its name
GONE = (410,)


def send(channel: Channel, told: Told) -> None:
    """`{id, event, title, session, url, at}`, of a summary also `items` of such.

    The signature is HMAC-SHA256 over `<at>.<body>`, in hex.
    """
    items = {"items": [_said(one) for one in told.items]} if told.items else {}
    body = orjson.dumps({**_said(told), "at": told.at, **items})
    key = secrets.held(scope_of(channel.id), SECRET)
    headers = {
        "Content-Type": "application/json",
        "X-Signalcabin-Delivery": told.id,
        "X-Signalcabin-Timestamp": str(told.at),
        "X-Signalcabin-Signature": sign(key, told.at, body),
    }
    post(channel.address, body, headers, GONE)


def _said(told: Told) -> dict[str, object]:
    return {
        "id": told.id,
        "event": told.occasion,
        "headline": told.headline,
        "title": told.title,
        "about": told.about,
        "session": told.session,
        "url": told.url,
    }


def sign(key: str, at: int, body: bytes) -> str:
    """The signature of a body that was sent at a time (unix ms)."""
    digest = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"
