"""A file that somebody looks at before they take it over: it may hold keys, so the vault keeps it for that time."""

from __future__ import annotations

import base64
from contextlib import suppress
from functools import partial

import orjson

from app import dispatch, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.ticks import ticks
from app.errors import NotFound
from app.secrets import service as secrets

LIFE = 30 * 60 * 1000  # ms
NAME = "document"
SWEPT = 600.0  # seconds


def hold(actor: Actor | None, data: bytes) -> None:
    """Keep a file for its person, in place of an earlier one, for half an hour."""
    scope = _scope(accounts.require(actor, "sessions:write"))
    secrets.hold(scope, NAME, orjson.dumps({"at": ids.now(), "data": base64.b64encode(data).decode()}).decode())
    ticks.after(LIFE / 1000 + 1, partial(_forget_old, scope))


def held(actor: Actor | None) -> bytes:
    """The file that is kept for a person; raises NotFound."""
    return _held(_scope(accounts.require(actor, "sessions:write")))


def drop(actor: Actor | None) -> None:
    """Forget it."""
    secrets.let_go(_scope(accounts.require(actor, "sessions:write")))


@dispatch.every(SWEPT)
def forget_old() -> None:
    """What waits since before a restart has no timer any more: it goes too when its time is over."""
    secrets.let_go_old("import:", NAME, ids.now() - LIFE)


def _held(scope: str) -> bytes:
    kept = orjson.loads(secrets.held(scope, NAME))
    if ids.now() - kept["at"] > LIFE:
        secrets.let_go(scope)
        raise NotFound("file")
    return base64.b64decode(kept["data"])


def _forget_old(scope: str) -> None:
    """Its time is over, whatever its person may do by now; a newer one of theirs stays."""
    with suppress(NotFound):
        _held(scope)


def _scope(actor: Actor) -> str:
    return f"import:{actor.user}"
