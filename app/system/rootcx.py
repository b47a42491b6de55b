"""RootCX's routes of the system: health, status, and the document of its API."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app import openapi, web
from app.accounts import service as accounts
from app.actor import Actor
from app.dialects import rootcx
from app.system import bp, service
from app.system.service import MIB

door = rootcx.door(bp)


@door.get("/health", answer=dict[str, Any])
@web.public
def health(actor: Actor | None) -> dict[str, Any]:
    """That the server answers; with `full`, and for who may read the system, what it uses and whether its database
    answers as well.
    """
    if "full" not in request.args or not accounts.may(actor, "system:read") or actor is None:
        return {"status": "ok"}
    used = service.usage(actor)
    free = used.disk_total - used.disk_used
    return {
        "status": "ok",
        "memory": {"current_bytes": used.memory_used * MIB, "limit_bytes": used.memory_total * MIB},
        "cpu": None,
        "disk": {"total_bytes": used.disk_total, "used_bytes": used.disk_used, "available_bytes": free},
        "database": {"reachable": service.has_database(actor)},
    }


@door.get("/api/v1/status", answer=dict[str, Any])
def status(actor: Actor) -> dict[str, Any]:
    """How the server and its database are; nothing here is a forge."""
    state = "online" if service.has_database(actor) else "offline"
    return {
        "runtime": {"version": service.about(actor).version, "state": "online"},
        "postgres": {"state": state, "port": None, "data_dir": None},
        "forge": {"state": "offline", "port": None},
    }


@door.get("/api/v1/openapi.json", answer=dict[str, Any])
def document(_actor: Actor) -> Response:
    """The OpenAPI document of this dialect."""
    return web.json(openapi.document("rootcx"))
