"""A file that somebody looks at before they take it over: it may hold keys, so the vault keeps it for that time."""

from __future__ import annotations

import base64
from contextlib import suppress
from functools import partial

import orjson

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.ticks import ticks
from app.errors import NotFound
from app.secrets import service as secrets

LIFE = 30 * 60 * 1000  # ms
NAME = "document"


def hold(actor: Actor | None, data: bytes) -> None:
    """Keep a file for its person, in place of an earlier one, for half an hour."""
    actor = accounts.require(actor, "sessions:write")
    kept = orjson.dumps({"at": ids.now(), "data": base64.b64encode(data).decode()}).decode()
    with db.transaction():
        secrets.hold(_scope(actor), NAME, kept)
    ticks.after(LIFE / 1000 + 1, partial(_forget_old, actor))


def held(actor: Actor | None) -> bytes:
    """The file that is kept for a person; raises NotFound."""
    actor = accounts.require(actor, "sessions:write")
    kept = orjson.loads(secrets.held(_scope(actor), NAME))
    if ids.now() - kept["at"] > LIFE:
        drop(actor)
        raise NotFound("file")
    return base64.b64decode(kept["data"])


def drop(actor: Actor | None) -> None:
    """Forget it."""
    actor = accounts.require(actor, "sessions:write")
    with db.transaction():
        secrets.let_go(_scope(actor))


def _forget_old(actor: Actor) -> None:
    """Its time is over; a newer one of the same person stays."""
    with suppress(NotFound):
        held(actor)


def _scope(actor: Actor) -> str:
    return f"import:{actor.user}"
