"""OpenCode's event streams: `/event` of one directory and `/global/event` of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from flask import Response, request

from app import ids, web
from app.actor import Actor
from app.dialects import opencode
from app.events import bp, service
from app.events.service import Fact, Subscription

door = opencode.door(bp)
HEARTBEAT = 10.0


@door.get("/event")
def subscribe(actor: Actor) -> Response:
    """Everything that happens, as it happens; replays behind Last-Event-ID."""
    return web.stream(_frames(_open(actor), _plain))


@door.get("/global/event")
def subscribe_global(actor: Actor) -> Response:
    """The same for all directories, each event wrapped with the directory it is about."""
    return web.stream(_frames(_open(actor), _wrapped))


def _open(actor: Actor) -> Subscription:
    after = request.headers.get("Last-Event-ID") or request.args.get("lastEventId")
    return service.subscribe(actor, after, keep=lambda fact: type(fact.event) in opencode.encoders)


def _frames(subscription: Subscription, wrap: Any) -> Iterator[bytes]:
    """The frames of one stream; each event's JSON is made once for all subscribers."""
    with subscription:
        yield web.frame(orjson.dumps(wrap(_event("server.connected", {}), None)))
        if subscription.resync:
            yield b"event: resync\n" + web.frame(orjson.dumps(wrap(_event("server.resync", {}), None)))
        for fact in subscription.facts(heartbeat=HEARTBEAT):
            if fact is None:
                yield web.frame(orjson.dumps(wrap(_event("server.heartbeat", {}), None)))
                continue
            yield fact.once(wrap, lambda fact: _encode(fact, wrap))


def _encode(fact: Fact, wrap: Any) -> bytes:
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
