"""OpenCode's event streams: `/event` of one directory, as the older generation has it, and `/global/event` of all.

The two differ in how a growing text is told: `/event` says it whole each time, `/global/event` only what is new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import Response, request

from app import ids
from app.actor import Actor
from app.dialects import opencode
from app.events import bp, service
from app.events.service import Fact, Subscription
from app.streams import Feed, Stream, frame

door = opencode.door(bp)
HEARTBEAT = 10.0
Wrap = Callable[[dict[str, Any], Fact | None], dict[str, Any]]


@door.get("/event")
def subscribe(actor: Actor) -> Response:
    """What happens in the directory that the request names, else everywhere; replays behind Last-Event-ID."""
    named = opencode.directory()
    here = service.place(actor, named) if named else ""
    return _stream(_open(actor, here), _plain)


@door.get("/global/event")
def subscribe_global(actor: Actor) -> Response:
    """The same for all directories, each event wrapped with the directory it is about."""
    return _stream(_open(actor, ""), _wrapped)


def _open(actor: Actor, here: str) -> Subscription:
    def keep(fact: Fact) -> bool:
        return type(fact.event) in opencode.encoders and (not here or _directory(fact) in (here, None))

    after = request.headers.get("Last-Event-ID") or request.args.get("lastEventId")
    return service.subscribe(actor, after, keep=keep, files=here)


def _directory(fact: Fact) -> str | None:
    """Where a fact happened; None for what happens in no directory."""
    # What is about a deleted session, or about none, names the directory itself.
    session: dict[str, Any] = getattr(fact.event, "session", {})
    named: str | None = session.get("directory") or getattr(fact.event, "directory", None)
    return named or service.directory_of(fact)


def _stream(subscription: Subscription, wrap: Wrap) -> Response:
    """The stream of what the subscription gives; each event's JSON is made once for all of them."""
    opening = _said("server.connected", wrap)
    if subscription.resync:
        opening += b"event: resync\n" + _said("server.resync", wrap)
    return Stream(Feed(subscription, opening, *_FRAMES[wrap], HEARTBEAT, shared=True))


def _said(name: str, wrap: Wrap) -> bytes:
    """The frame of an event that is about nothing but the stream."""
    payload = {"id": ids.ascending("evt"), "type": name, "properties": {}}
    return frame(orjson.dumps(wrap(payload, None)))


def _encode(fact: Fact, wrap: Wrap) -> bytes:
    """The frames of a fact; only the last one takes a client past it, and no two share an id."""
    payloads = opencode.encode(fact, globally=wrap is _wrapped)
    last = len(payloads) - 1
    return b"".join(
        frame(orjson.dumps(wrap({"id": _id(fact, place), **payload}, fact)), fact.cursor if place == last else "")
        for place, payload in enumerate(payloads)
    )


def _id(fact: Fact, place: int) -> str:
    if fact.is_passing:
        return str(fact.once(_id, lambda _fact: ids.ascending("evt")))
    return f"evt_{fact.cursor}.{place}" if place else f"evt_{fact.cursor}"


def _plain(payload: dict[str, Any], _fact: Fact | None) -> dict[str, Any]:
    """The payload itself; a function of the module, because it is the key under which all streams share a frame."""
    return payload


def _wrapped(payload: dict[str, Any], fact: Fact | None) -> dict[str, Any]:
    if fact is None:
        return {"payload": payload}
    project = {"project": fact.scope.project} if fact.scope.project else {}
    return {"directory": _directory(fact) or "global", **project, "payload": payload}


def _frames(wrap: Wrap) -> tuple[Callable[[Fact], bytes], Callable[[], bytes]]:
    """How a stream of this form says a fact, and how it beats."""
    return lambda fact: fact.once(wrap, lambda fact: _encode(fact, wrap)), lambda: _said("server.heartbeat", wrap)


# Made once: there are thousands of streams.
_FRAMES: dict[Wrap, tuple[Callable[[Fact], bytes], Callable[[], bytes]]] = {
    wrap: _frames(wrap) for wrap in (_plain, _wrapped)
}
