"""Tickets: a secret for one connection to one terminal, for clients whose WebSocket cannot carry credentials."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass

from app import ids
from app.actor import Actor
from app.errors import Limited

SECONDS = 30
MOST = 1000
_lock = threading.Lock()
_given: dict[bytes, tuple[float, str, Actor]] = {}


@dataclass(frozen=True)
class Ticket:
    """The secret, and the seconds in which it can be used once."""

    secret: str
    seconds: int


def give(actor: Actor, terminal_id: str) -> Ticket:
    """A ticket for this actor and terminal; raises Limited when too many are out."""
    now = time.monotonic()
    secret = ids.secret("ticket")
    with _lock:
        for key in [key for key, (until, _, _) in _given.items() if until < now]:
            del _given[key]
        if len(_given) >= MOST:
            raise Limited("Too many tickets are out.", SECONDS)
        _given[_key(secret)] = now + SECONDS, terminal_id, actor
    return Ticket(secret, SECONDS)


def redeem(secret: str, terminal_id: str) -> Actor | None:
    """Whose ticket it is; it is spent by that. None for one that is unknown, spent, late or for another terminal."""
    with _lock:
        found = _given.pop(_key(secret), None)
    if found is None:
        return None
    until, wanted, actor = found
    return actor if until >= time.monotonic() and wanted == terminal_id else None


def withdraw(principal: str) -> None:
    """Spend the tickets of a revoked person or token."""
    with _lock:
        for key, (_, _, actor) in list(_given.items()):
            if principal in (actor.id, actor.user, actor.token):
                del _given[key]


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
