"""OpenCode's routes of languages: servers, formatters, symbols, and what it says when diagnostics change."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints

from app.actor import Actor
from app.dialects import opencode
from app.events.service import Fact
from app.languages import bp, events, service
from app.projects import service as projects

door = opencode.door(bp)


class FindSymbols(BaseModel):
    """GET /find/symbol."""

    query: Annotated[str, StringConstraints(max_length=1000)]


@door.get("/lsp", answer=list[dict[str, Any]])
def lsp(actor: Actor) -> list[dict[str, Any]]:
    """The language servers of the directory that run or failed."""
    place = projects.resolve(actor, opencode.directory())
    return [
        {
            "id": one.server,
            "name": one.server,
            "root": str(one.root.relative_to(place.directory)) if one.root != place.directory else "",
            "status": "error" if one.why else "connected",
        }
        for one in service.list_servers(actor, place)
    ]


@door.get("/formatter", answer=list[dict[str, Any]])
def formatter(actor: Actor) -> list[dict[str, Any]]:
    """The formatters, and which of them format what agents edit in the directory."""
    place = projects.resolve(actor, opencode.directory())
    return [
        {"name": one.name, "extensions": list(one.extensions), "enabled": one.is_enabled}
        for one in service.list_formatters(actor, place)
    ]


@door.get("/find/symbol", query=FindSymbols, answer=list[dict[str, Any]])
def find_symbols(actor: Actor, query: FindSymbols) -> list[dict[str, Any]]:
    """Where names are defined, the likeliest first."""
    found = service.find_symbols(actor, projects.resolve(actor, opencode.directory()), query.query)
    return [{"name": one.name, "kind": one.kind, "location": {"uri": one.uri, "range": one.range}} for one in found]


@opencode.encodes(events.Diagnosed)
def _diagnosed(fact: Fact) -> list[dict[str, Any]]:
    event: events.Diagnosed = fact.event  # type: ignore[assignment]
    return [{"type": "lsp.client.diagnostics", "properties": {"serverID": event.server, "path": event.path}}]


@opencode.encodes(events.ServersChanged)
def _servers(_fact: Fact) -> list[dict[str, Any]]:
    return [{"type": "lsp.updated", "properties": {}}]
