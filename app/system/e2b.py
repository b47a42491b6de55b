"""What envd tells of itself: health, the environment of commands, what is used; and E2B's document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, Field

from app import openapi, web
from app.actor import Actor
from app.dialects import e2b
from app.errors import Invalid
from app.processes import service as processes
from app.processes import spawn
from app.projects import service as projects
from app.sandboxes import service as sandboxes
from app.system import bp, service
from app.system.service import MIB, Usage

door = e2b.door(bp)
MOST_AT_ONCE = 100


class Init(BaseModel):
    """POST /init; what a cloud's orchestrator sets besides is passed over."""

    envVars: Annotated[dict[str, str], Field(max_length=1_000)] | None = None


class Between(BaseModel):
    """GET /sandboxes/{id}/metrics: unix seconds."""

    start: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None


class Several(BaseModel):
    """GET /sandboxes/metrics: ids by comma."""

    sandbox_ids: Annotated[str, Field(max_length=4_000)]


@door.get("/health")
def health(actor: Actor) -> None:
    """Nothing, with 204, while the sandbox runs."""
    sandboxes.workspace(actor, e2b.named())


@door.post("/init", body=Init)
def init(actor: Actor, body: Init) -> None:
    """Give the sandbox's commands further variables."""
    workspace = sandboxes.workspace(actor, e2b.named())
    if body.envVars:
        sandboxes.set_environment(actor, workspace, body.envVars)


@door.get("/envs", answer=dict[str, str])
def envs(actor: Actor) -> dict[str, str]:
    """What commands find in their environment: nothing of the server's own."""
    workspace = sandboxes.workspace(actor, e2b.named())
    place = workspace.place
    found = spawn.environment_in(place.directory, projects.private_of(place.project))
    return {**found, **processes.environment_at_home(place), **sandboxes.show_environment(actor, workspace)}


@door.get("/metrics", answer=dict[str, Any])
def metrics(actor: Actor) -> dict[str, Any]:
    """What is used now: of the machine, because sandboxes share it."""
    sandboxes.workspace(actor, e2b.named())
    used = service.usage(actor)
    return {
        "ts": used.at,
        "cpu_count": used.cpu_count,
        "cpu_used_pct": used.cpu_percent,
        "mem_total": used.memory_total * MIB,
        "mem_used": used.memory_used * MIB,
        "mem_total_mib": used.memory_total,
        "mem_used_mib": used.memory_used,
        "disk_total": used.disk_total,
        "disk_used": used.disk_used,
    }


@door.get("/sandboxes/metrics", query=Several, answer=dict[str, Any])
def metrics_of_several(actor: Actor, query: Several) -> dict[str, Any]:
    """What is used now, by sandbox."""
    wanted = {word for word in query.sandbox_ids.split(",") if word}
    if len(wanted) > MOST_AT_ONCE:
        raise Invalid(f"At most {MOST_AT_ONCE} sandboxes at once.", "sandbox_ids")
    mine = {one.id for one in sandboxes.list_all(actor, ("running",))}
    used = _shape(service.usage(actor))
    return {"sandboxes": dict.fromkeys(sorted(wanted & mine), used)}


@door.get("/sandboxes/<sandbox_id>/metrics", query=Between, answer=list[dict[str, Any]])
def metrics_of_one(actor: Actor, query: Between, sandbox_id: str) -> list[dict[str, Any]]:
    """What is used now, if now is within the asked time: nothing is kept of earlier."""
    sandboxes.get(actor, sandbox_id)
    used = service.usage(actor)
    is_asked = (query.start or 0) <= used.at and (query.end is None or used.at <= query.end)
    return [_shape(used)] if is_asked else []


@door.get("/openapi.json", answer=dict[str, Any])
def document(_actor: Actor) -> Response:
    """What E2B routes there are: the document itself."""
    return web.json(openapi.document("e2b"))


def _shape(used: Usage) -> dict[str, Any]:
    return {
        "timestamp": datetime.fromtimestamp(used.at, UTC).isoformat().replace("+00:00", "Z"),
        "timestampUnix": used.at,
        "cpuCount": used.cpu_count,
        "cpuUsedPct": used.cpu_percent,
        "memTotal": used.memory_total * MIB,
        "memUsed": used.memory_used * MIB,
        "memCache": 0,
        "diskTotal": used.disk_total,
        "diskUsed": used.disk_used,
    }
