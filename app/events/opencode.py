"""OpenCode's event streams: `/event` of one directory and `/global/event` of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import Response, request

from app import ids, web
from app.actor import Actor
from app.dialects import opencode
from app.events import bp, service
from app.events.service import Fact, Subscription
from app.streams import Feed, Stream

door = opencode.door(bp)
HEARTBEAT = 10.0
Wrap = Callable[[dict[str, Any], Fact | None], dict[str, Any]]


@door.get("/event")
def subscribe(actor: Actor) -> Response:
    """Everything that happens, as it happens; replays behind Last-Event-ID."""
    return _stream(_open(actor), _plain)


@door.get("/global/event")
def subscribe_global(actor: Actor) -> Response:
    """The same for all directories, each event wrapped with the directory it is about."""
    return _stream(_open(actor), _wrapped)


def _open(actor: Actor) -> Subscription:
    after = request.headers.get("Last-Event-ID") or request.args.get("lastEventId")
    return service.subscribe(actor, after, keep=lambda fact: type(fact.event) in opencode.encoders)


def _stream(subscription: Subscription, wrap: Wrap) -> Response:
    """The stream of what the subscription gives; each event's JSON is made once for all of them."""

    def said(name: str) -> bytes:
        return web.frame(orjson.dumps(wrap(_event(name, {}), None)))

    opening = said("server.connected")
    if subscription.resync:
        opening += b"event: resync\n" + said("server.resync")
    frame: Callable[[Fact], bytes] = lambda fact: fact.once(wrap, lambda fact: _encode(fact, wrap))  # noqa: E731
    return Stream(Feed(subscription, opening, frame, lambda: said("server.heartbeat"), HEARTBEAT, shared=True))


def _encode(fact: Fact, wrap: Wrap) -> bytes:
    payloads = opencode.encode(fact)
    return b"".join(
        web.frame(orjson.dumps(wrap({"id": f"evt_{fact.cursor}", **payload}, fact)), fact.cursor if last else "")
        for payload, last in zip(payloads, [False] * (len(payloads) - 1) + [True], strict=True)
    )


def _plain(payload: dict[str, Any], _fact: Fact | None) -> dict[str, Any]:
    """The payload itself; a function of the module, because it is the key under which all streams share a frame."""
    return payload


def _wrapped(payload: dict[str, Any], fact: Fact | None) -> dict[str, Any]:
    if fact is None:
        return {"payload": payload}
    # What is about a deleted session names the directory itself.
    directory = service.directory_of(fact) or payload["properties"].get("info", {}).get("directory") or "global"
    project = {"project": fact.scope.project} if fact.scope.project else {}
    return {"directory": directory, **project, "payload": payload}


def _event(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"id": ids.ascending("evt"), "type": name, "properties": properties}
