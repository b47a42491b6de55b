"""The MCP servers of the workspace as Roo's clients see them."""

from __future__ import annotations

from typing import Any

from app.accounts import service as accounts
from app.actor import Actor
from app.agent.roo.bodies import Body
from app.agent.roo.places import place
from app.agent.roo.routes import door
from app.approvals import service as approvals
from app.errors import NotFound
from app.mcp import service as mcp
from app.mcp.service import Shown
from app.projects.service import Place

MASKED = "********"


class Switch(Body):
    """POST /api/mcps/{id}/status."""

    enabled: bool


@door.get("/api/mcps")
def list_mcps(actor: Actor) -> list[dict[str, Any]]:
    """Every server with its tools; a disabled one too."""
    here = place(actor)
    return [_shape(actor, here, one) for one in mcp.list_servers(actor, here)]


@door.get("/api/mcps/<path:mcp_id>")
def get_mcp(actor: Actor, mcp_id: str) -> dict[str, Any]:
    """One server, with how it is reached."""
    here = place(actor)
    one = _find(actor, here, mcp_id)
    shape = _shape(actor, here, one)
    config = _config(one, [tool["name"] for tool in shape["tools"] if tool["alwaysAllow"]])
    return {**shape, "config": config}


@door.post("/api/mcps/<path:mcp_id>/status", body=Switch)
def switch_mcp(actor: Actor, body: Switch, mcp_id: str) -> dict[str, Any]:
    """Enable a server and connect it, or disable it; it stays in the list."""
    here = place(actor)
    name = _find(actor, here, mcp_id).server.name
    if body.enabled:
        mcp.connect(actor, here, name)
    else:
        mcp.disconnect(actor, here, name)
    return {"success": True, "status": "enabled" if body.enabled else "disabled"}


def _find(actor: Actor, here: Place, mcp_id: str) -> Shown:
    found = next((one for one in mcp.list_servers(actor, here, only_look=True) if one.server.name == mcp_id), None)
    if found is None:
        raise NotFound("mcp", mcp_id)
    return found


def _shape(actor: Actor, here: Place, one: Shown) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": one.server.name,
        "name": one.server.name,
        "status": "active" if one.status.state == "connected" else "inactive",
        "connection": "disconnected" if one.status.state in ("failed", "needs_consent") else one.status.state,
        "disabled": not one.server.enabled,
        "tools": _tools(actor, here, one),
    }
    return {**shape, "error": one.status.error} if one.status.error else shape


def _tools(actor: Actor, here: Place, one: Shown) -> list[dict[str, Any]]:
    tools = {tool.id: tool for tool in one.offer.tools}
    told = {name: tool.definition for name, tool in tools.items()}
    may_see = accounts.may(actor, "approvals:read", here.project)
    said = approvals.said_of(actor, here.project, told) if told and may_see else {}
    kept = one.server.terms.always
    always = {tool.name for tool in tools.values()} if "*" in kept else set(kept)
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "alwaysAllow": tool.name in always or (name in said and said[name].state == "allowed"),
            "inputSchema": tool.schema,
        }
        for name, tool in tools.items()
    ]


def _config(one: Shown, allowed: list[str]) -> dict[str, Any]:
    """As it would stand in Roo's own settings, with a mask in place of every secret; the time-out in seconds."""
    server = one.server
    masked = dict.fromkeys(one.held, MASKED)
    common = {"disabled": not server.enabled, "timeout": max(1, server.timeout // 1000), "alwaysAllow": allowed}
    if server.kind == "remote":
        return {"type": "streamable-http", "url": server.target[0], "headers": masked, **common}
    command, *args = server.target
    return {"type": "stdio", "command": command, "args": args, "cwd": server.cwd, "env": masked, **common}
