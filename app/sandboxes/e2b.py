"""E2B's control plane: sandboxes made, listed, connected to, given time, paused and killed."""

from __future__ import annotations

import base64
import binascii
import os
import shutil
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote

from flask import Response, request
from pydantic import BaseModel, Field

from app import config, web
from app.actor import Actor
from app.dialects import e2b
from app.errors import Invalid
from app.sandboxes import bp, service
from app.sandboxes.service import DEFAULT_SECONDS, Sandbox, Wanted

door = e2b.door(bp)
Text = Annotated[str, Field(max_length=4_000)]
Seconds = Annotated[int, Field(ge=0, le=service.LONGEST)]
KEY = "Idempotency-Key"
MIB = 1 << 20
PAGE = 100
FILES_ONLY = "A pause keeps the files of a sandbox, not its memory"


class AutoResume(BaseModel):
    """Whether a paused sandbox wakes by itself."""

    enabled: bool = False


class NewSandbox(BaseModel):
    """POST /sandboxes and /v2/sandboxes."""

    templateID: Annotated[str, Field(min_length=1, max_length=200)]
    timeout: Seconds = DEFAULT_SECONDS
    metadata: Annotated[dict[Text, Text], Field(max_length=100)] | None = None
    envVars: Annotated[dict[Text, str], Field(max_length=1_000)] | None = None
    autoPause: bool = False
    autoPauseMemory: bool | None = None
    autoResume: AutoResume | None = None
    allow_internet_access: bool | None = None
    mcp: dict[str, Any] | None = None
    network: dict[str, Any] | None = None
    iam: dict[str, Any] | None = None
    volumeMounts: list[Any] | None = None


class Connecting(BaseModel):
    """POST /sandboxes/{id}/connect and /resume."""

    timeout: Seconds = DEFAULT_SECONDS
    memory: bool | None = None


class Timeout(BaseModel):
    """POST /sandboxes/{id}/timeout."""

    timeout: Seconds


class Refresh(BaseModel):
    """POST /sandboxes/{id}/refreshes."""

    duration: Seconds = DEFAULT_SECONDS


class Pausing(BaseModel):
    """POST /sandboxes/{id}/pause."""

    memory: bool | None = None


class Listing(BaseModel):
    """GET /sandboxes and /v2/sandboxes; metadata is a query string of its own, quoted twice."""

    metadata: Text | None = None
    state: Text | None = None
    startedAfter: datetime | None = None
    template: Text | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE
    nextToken: Text | None = None


@door.post("/sandboxes", body=NewSandbox, answer=dict[str, Any])
def create_v1(actor: Actor, body: NewSandbox) -> Response:
    """Make a sandbox."""
    return _create(actor, body)


@door.post("/v2/sandboxes", body=NewSandbox, answer=dict[str, Any])
def create(actor: Actor, body: NewSandbox) -> Response:
    """Make a sandbox; with an Idempotency-Key, the same request again finds the same one."""
    return _create(actor, body)


@door.get("/sandboxes", query=Listing, answer=list[dict[str, Any]])
def index_v1(actor: Actor, query: Listing) -> Response:
    """The running sandboxes."""
    return _listed(actor, query, ("running",))


@door.get("/v2/sandboxes", query=Listing, answer=list[dict[str, Any]])
def index(actor: Actor, query: Listing) -> Response:
    """The running and the paused sandboxes, in pages; X-Next-Token leads to the next."""
    return _listed(actor, query, ("running", "paused"))


@door.get("/sandboxes/<sandbox_id>", answer=dict[str, Any])
def show(actor: Actor, sandbox_id: str) -> dict[str, Any]:
    """One sandbox."""
    found = service.get(actor, sandbox_id)
    lifecycle = {"onTimeout": found.on_timeout, "autoResume": False}
    secret = service.secret_for(actor, found)
    return {
        **_listed_shape(found),
        **({"envdAccessToken": secret} if secret else {}),
        "domain": None,
        "lifecycle": lifecycle,
        **({"pauseMode": "filesystem"} if found.state == "paused" else {}),
    }


@door.delete("/sandboxes/<sandbox_id>")
def kill(actor: Actor, sandbox_id: str) -> None:
    """Take a sandbox down, with all that runs and lies in it."""
    service.kill(actor, sandbox_id)


@door.post("/v2/sandboxes/<sandbox_id>/connect", body=Connecting, answer=dict[str, Any])
def connect(actor: Actor, body: Connecting, sandbox_id: str) -> Response:
    """Go on with a sandbox; a paused one runs again (201)."""
    return _connect(actor, body, sandbox_id)


@door.post("/sandboxes/<sandbox_id>/connect", body=Connecting, answer=dict[str, Any])
def connect_v1(actor: Actor, body: Connecting, sandbox_id: str) -> Response:
    """Go on with a sandbox; a paused one runs again (201)."""
    return _connect(actor, body, sandbox_id)


@door.post("/sandboxes/<sandbox_id>/resume", body=Connecting, answer=dict[str, Any])
def resume(actor: Actor, body: Connecting, sandbox_id: str) -> Response:
    """Let a paused sandbox run again."""
    return _connect(actor, body, sandbox_id)


@door.post("/sandboxes/<sandbox_id>/timeout", body=Timeout)
def set_timeout(actor: Actor, body: Timeout, sandbox_id: str) -> None:
    """Give a sandbox so many seconds from now, more or less than it had."""
    service.set_timeout(actor, sandbox_id, body.timeout)


@door.post("/sandboxes/<sandbox_id>/refreshes", body=Refresh)
def refresh(actor: Actor, body: Refresh, sandbox_id: str) -> None:
    """Give a sandbox at least so many seconds from now."""
    service.set_timeout(actor, sandbox_id, body.duration, no_less=True)


@door.post("/sandboxes/<sandbox_id>/pause", body=Pausing)
def pause(actor: Actor, body: Pausing, sandbox_id: str) -> None:
    """Keep a sandbox's files and end what runs in it; 400 for a client that insists on the memory."""
    if body.memory:
        raise Invalid(f"{FILES_ONLY}: pause it with the mode `filesystem`.", "memory")
    service.pause(actor, sandbox_id)


@door.post("/sandboxes/<sandbox_id>/fork")
def fork(actor: Actor, sandbox_id: str) -> None:
    """Refuse, with the reason: memory can't be copied here."""
    service.get(actor, sandbox_id)
    raise Invalid("Sandboxes can't be forked here: there is no memory to copy. Make another one from the template.")


@door.post("/sandboxes/<sandbox_id>/snapshots")
def snapshot(actor: Actor, sandbox_id: str) -> None:
    """Refuse, with the reason: templates are projects."""
    service.get(actor, sandbox_id)
    raise Invalid("No snapshots are taken here: templates are `base` and the projects of this server.")


@door.put("/sandboxes/<sandbox_id>/network")
def network(actor: Actor, sandbox_id: str) -> None:
    """Refuse, with the reason: the server's rules decide."""
    service.get(actor, sandbox_id)
    raise Invalid("Which hosts commands reach is for this server's rules to say, not for a sandbox's client.")


def _create(actor: Actor, body: NewSandbox) -> Response:
    _refuse(body)
    wanted = Wanted(
        template=body.templateID,
        seconds=body.timeout,
        metadata=body.metadata or {},
        environment=body.envVars or {},
        on_timeout="pause" if body.autoPause else "kill",
        reach=body.allow_internet_access,
        key=request.headers.get(KEY, "")[:255] or None,
    )
    return web.json(_shape(service.create(actor, wanted)), 201)


def _refuse(body: NewSandbox) -> None:
    """Tell what cannot be had, instead of leaving it out; raises Invalid."""
    if body.autoPauseMemory and body.autoPause:
        raise Invalid(f"{FILES_ONLY}: choose the mode `filesystem`.", "autoPauseMemory")
    if body.autoResume is not None and body.autoResume.enabled:
        raise Invalid(f"{FILES_ONLY}, so a paused one is resumed by a connect, not by itself.", "autoResume")
    for name in ("mcp", "network", "iam", "volumeMounts"):
        if getattr(body, name):
            raise Invalid(f"{name} is not offered here.", name)


def _connect(actor: Actor, body: Connecting, sandbox_id: str) -> Response:
    found, was_paused = service.connect(actor, sandbox_id, body.timeout)
    return web.json(_shape(found), 201 if was_paused else 200)


def _listed(actor: Actor, query: Listing, states: tuple[service.State, ...]) -> Response:
    asked = {word for word in (query.state or "").split(",") if word}
    if asked - {"running", "paused"}:
        raise Invalid("A state is running or paused.", "state")
    wanted = tuple(state for state in states if not asked or state in asked)
    found = [one for one in service.list_all(actor, wanted) if _fits(one, query)]
    found.sort(key=_cursor, reverse=query.order == "desc")
    if query.nextToken:
        after = _read_cursor(query.nextToken)
        found = [one for one in found if (_cursor(one) < after if query.order == "desc" else _cursor(one) > after)]
    answer = web.json([_listed_shape(one) for one in found[: query.limit]])
    if len(found) > query.limit:
        started, sandbox_id = _cursor(found[query.limit - 1])
        answer.headers["X-Next-Token"] = base64.urlsafe_b64encode(f"{started}/{sandbox_id}".encode()).decode()
    return answer


def _fits(one: Sandbox, query: Listing) -> bool:
    wanted = {unquote(name): unquote(value) for name, value in parse_qsl(query.metadata or "", keep_blank_values=True)}
    if any(one.metadata.get(name) != value for name, value in wanted.items()):
        return False
    if query.template and query.template != one.template:
        return False
    after = query.startedAfter
    return after is None or one.started > (after if after.tzinfo else after.replace(tzinfo=UTC)).timestamp() * 1000


def _cursor(one: Sandbox) -> tuple[int, str]:
    return one.started, one.id


def _read_cursor(text: str) -> tuple[int, str]:
    try:
        started, _, sandbox_id = base64.urlsafe_b64decode(text.encode()).decode().partition("/")
        return int(started), sandbox_id
    except (binascii.Error, ValueError):
        raise Invalid("This is no token of a page.", "nextToken") from None


def _shape(one: Sandbox) -> dict[str, Any]:
    """What a client needs to work in a sandbox."""
    return {
        "templateID": one.template,
        "alias": one.template,
        "sandboxID": one.id,
        "clientID": one.owner,
        "envdVersion": e2b.ENVD_VERSION,
        "envdAccessToken": service.secret_of(one),
        "trafficAccessToken": None,
        "domain": None,
    }


def _listed_shape(one: Sandbox) -> dict[str, Any]:
    """A sandbox as it is listed; its size is what one of its commands may use."""
    return {
        "templateID": one.template,
        "alias": one.template,
        "sandboxID": one.id,
        "clientID": one.owner,
        "startedAt": _time(one.started),
        "endAt": _time(one.ends),
        "cpuCount": os.cpu_count() or 1,
        "memoryMB": config.current().limits.memory,
        "diskSizeMB": shutil.disk_usage(config.current().data_dir).total // MIB,
        "state": one.state,
        "metadata": one.metadata,
        "envdVersion": e2b.ENVD_VERSION,
        "allowInternetAccess": one.reach,
        "volumeMounts": [],
    }


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
