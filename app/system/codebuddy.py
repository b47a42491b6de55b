"""CodeBuddy's routes of the system: health, what this is, what it uses, and its document."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import openapi, web
from app.actor import Actor
from app.dialects import codebuddy
from app.processes import spawn
from app.projects import service as projects
from app.system import bp, service

door = codebuddy.door(bp)
# Whom the webhooks of this dialect can speak to.
PLATFORMS = ("generic", "wecom", "wechat-kf")


@door.get("/api/v1/health", answer=dict[str, Any])
def health(actor: Actor) -> dict[str, Any]:
    """Whether the server is well, and for how long it has been up."""
    found = service.about(actor)
    return {"status": "ok", "uptime": found.uptime, "platforms": list(PLATFORMS), "pid": found.pid}


@door.get("/api/v1/info", answer=dict[str, Any])
def info(actor: Actor) -> dict[str, Any]:
    """The server, its machine, and the directory that requests work in."""
    found = service.about(actor)
    return {
        "cwd": str(projects.resolve(actor, None).directory),
        "version": codebuddy.VERSION,
        "serverVersion": found.version,
        "os": found.os,
        "arch": found.arch,
        "nodeVersion": "",
        "gatewayMode": "local",
        "tunnelUrl": None,
        "uptime": found.uptime,
        "userName": actor.name,
        "busEnabled": False,
    }


@door.get("/api/v1/metrics", answer=dict[str, Any])
def metrics(actor: Actor) -> dict[str, Any]:
    """What the machine uses, and this server as its one instance."""
    found, used = service.about(actor), service.usage(actor)
    instance = {
        "id": str(found.pid),
        "cwd": str(projects.resolve(actor, None).directory),
        "version": codebuddy.VERSION,
        "pid": found.pid,
        "startedAt": round(found.started * 1000),
        "uptimeSeconds": int(found.uptime),
        "rssMib": round(used.server_memory, 2),
        "heapUsedMib": round(used.server_memory, 2),
        "heapTotalMib": round(used.server_memory, 2),
        "hostname": found.host,
        "os": found.os,
        "arch": found.arch,
        "mode": "local",
        "isCurrent": True,
    }
    return {
        "ts": used.at,
        "cpuCount": used.cpu_count,
        "cpuUsedPct": used.cpu_percent,
        "memTotalMib": used.memory_total,
        "memUsedMib": used.memory_used,
        "diskUsed": used.disk_used,
        "diskTotal": used.disk_total,
        "instances": [instance],
    }


@door.get("/api/v1/envs", answer=dict[str, str])
def envs(actor: Actor) -> dict[str, str]:
    """What commands in the workspace find in their environment: nothing of the server's own."""
    place = projects.resolve(actor, None)
    return spawn.environment_in(place.root, projects.private_of(place.project))


@door.get("/api/openapi.json", answer=dict[str, Any])
def document(_actor: Actor) -> Response:
    """What CodeBuddy routes there are: the document itself, bare."""
    return web.json(openapi.document("codebuddy"))
