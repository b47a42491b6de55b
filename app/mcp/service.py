"""The verbs of the room: add servers to projects, see how they stand, connect them, list their tools, call one.

Only people with `mcp:write` name a command; agents never do, whoever they work for.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from app import db, ids, outbound, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Invalid, NotFound
from app.mcp.links import Beginning, Links, Tell
from app.mcp.models import server as table
from app.mcp.things import Answer, RemoteTool, Server, Status, Wanted
from app.processes import service as processes
from app.processes.spawn import Child, start
from app.projects import service as projects
from app.projects.service import Place
from app.secrets import service as secrets

__all__ = [
    "Answer",
    "RemoteTool",
    "Server",
    "Status",
    "Wanted",
    "add",
    "call",
    "connect",
    "disconnect",
    "remove",
    "statuses",
    "stop",
    "tools",
]
HELD = "given"
MOST_SERVERS = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_columns = [table.c[field.name] for field in dataclasses.fields(Server)]
_links = Links()


def add(actor: Actor | None, place: Place, name: str, wanted: Wanted) -> Status:
    """Add a server to the place's project, in place of one of that name, and connect it if it is enabled.

    Raises Invalid for a name, a command or a URL that is none, NotAllowed for a URL that leads inside.
    """
    actor = accounts.require(actor, "mcp:write", place.project)
    _check(name, wanted)
    new = Server(
        ids.random("mcp"), place.project.id, name, wanted.kind, list(wanted.target), wanted.timeout,
        wanted.enabled, actor.user, ids.now(),
    )  # fmt: skip
    with db.transaction() as conn:
        gone = _select(conn, table.c.project == new.project, table.c.name == name)
        for old in gone:
            _delete(conn, old)
        if len(_select(conn, table.c.project == new.project)) >= MOST_SERVERS:
            raise Invalid(f"A project has at most {MOST_SERVERS} MCP servers.", "name")
        conn.execute(table.insert().values(**dataclasses.asdict(new)))
        if wanted.secret:
            secrets.hold(_scope(new), HELD, orjson.dumps(dict(wanted.secret)).decode())
        record.audit(conn, actor, "mcp.add", new.id, {"project": new.project, "name": name, "target": new.target})
    for old in gone:
        _links.close(old.id)
    return _status(place, new)


def remove(actor: Actor | None, place: Place, name: str) -> None:
    """Forget a server, its secrets too, and end it; raises NotFound."""
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        old = _find(conn, place, name)
        _delete(conn, old)
        record.audit(conn, actor, "mcp.remove", old.id, {"project": old.project, "name": name})
    _links.close(old.id)


def connect(actor: Actor | None, place: Place, name: str) -> Status:
    """Enable a server and connect it now, however often it failed; raises NotFound."""
    server = _switch(actor, place, name, on=True)
    return _status(place, server, at_once=True)


def disconnect(actor: Actor | None, place: Place, name: str) -> None:
    """Disable a server and end its connection; raises NotFound."""
    server = _switch(actor, place, name, on=False)
    _links.close(server.id)


def statuses(actor: Actor | None, place: Place) -> dict[str, Status]:
    """How the servers of the place's project stand, by name; those that are enabled are connected first."""
    accounts.require(actor, "mcp:read", place.project)
    servers = _of(place)
    _open(place, servers)
    return {server.name: _now(server) for server in servers}


def tools(actor: Actor | None, place: Place) -> tuple[RemoteTool, ...]:
    """The tools of the project's servers that can be connected, by their order of adding."""
    accounts.require(actor, "mcp:read", place.project)
    servers = [server for server in _of(place) if server.enabled]
    _open(place, servers)
    return tuple(tool for server in servers for tool in _tools_of(server))


def call(
    actor: Actor | None, place: Place, tool: RemoteTool, arguments: Mapping[str, Any], tell: Tell,
    cancel: threading.Event,
) -> Answer | None:  # fmt: skip
    """Call a tool as it was described; None if it was cancelled meanwhile.

    Raises Unavailable if it gives no result, Conflict if the server describes it in another way by now.
    """
    accounts.require(actor, "mcp:read", place.project)
    accounts.require(actor, "tool:mcp")
    with db.read() as conn:
        found = _select(conn, table.c.id == tool.server_id, table.c.project == place.project.id, table.c.enabled)
    if not found:
        raise NotFound("tool", tool.id)
    _open(place, found)
    return _links.call(tool, dict(arguments), tell, cancel)


def stop() -> None:
    """When the server stops: end all connections, and the local servers with them."""
    _links.stop()


def _check(name: str, wanted: Wanted) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid("A server's name has 1 to 40 letters, digits, dots, dashes or underscores.", "name")
    if wanted.kind == "remote":
        outbound.check(wanted.target[0])
        if any(not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key) for key in wanted.secret):
            raise Invalid("This is no name of a header.", "headers")
        if any(re.search(r"[^\t\x20-\x7e]", value) for value in wanted.secret.values()):
            raise Invalid("A header's value is printable ASCII.", "headers")
        return
    if not wanted.target or not wanted.target[0] or any("\0" in word for word in wanted.target):
        raise Invalid("A command is a list of words, the first of them a program.", "command")
    if any("=" in key or not key or "\0" in key + value for key, value in wanted.secret.items()):
        raise Invalid("An environment variable's name has no '=', its value no NUL.", "environment")


def _switch(actor: Actor | None, place: Place, name: str, *, on: bool) -> Server:
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        server = _find(conn, place, name)
        if server.enabled != on:
            conn.execute(table.update().where(table.c.id == server.id).values(enabled=on))
            record.audit(conn, actor, "mcp.enable" if on else "mcp.disable", server.id, {"project": server.project})
    return dataclasses.replace(server, enabled=on)


def _status(place: Place, server: Server, *, at_once: bool = False) -> Status:
    _open(place, [server], at_once=at_once)
    return _now(server)


def _open(place: Place, servers: list[Server], *, at_once: bool = False) -> None:
    wanted = [(server, _means(place, server)) for server in servers if server.enabled]
    if wanted:
        _links.open(wanted, at_once=at_once)


def _now(server: Server) -> Status:
    link = _links.find(server.id)
    return link.status() if link is not None and server.enabled else Status("disabled")


def _tools_of(server: Server) -> tuple[RemoteTool, ...]:
    link = _links.find(server.id)
    return link.tools if link is not None and link.status().state == "connected" else ()


def _means(place: Place, server: Server) -> Callable[[], tuple[Beginning, Mapping[str, str]]]:
    """How to connect it: what starts a local one's command, and the headers of a remote one."""

    def means() -> tuple[Beginning, Mapping[str, str]]:
        given = _secret_of(server)
        return (None, given) if server.kind == "remote" else (lambda: _begin(place, server, given), {})

    return means


def _begin(place: Place, server: Server, environment: Mapping[str, str]) -> Child:
    """Start a local server's exact command in the project's root: in the sandbox, without a network.

    Raises Unavailable SANDBOX_UNAVAILABLE in a team without a sandbox.
    """
    processes.check_walls()
    root = place.project.path
    private = projects.private_of(place.project)
    beside = projects.beside(str(root))
    return start(
        server.target, cwd=root, workspace=root, private=private, env=environment, stdin=True,
        also=beside.also, keep=beside.keep,
    )  # fmt: skip


def _secret_of(server: Server) -> dict[str, str]:
    try:
        given: dict[str, str] = orjson.loads(secrets.held(_scope(server), HELD))
    except NotFound:
        return {}
    for name, value in given.items():
        redact.watch(f"{server.name}/{name}", value)
    return given


def _of(place: Place) -> list[Server]:
    with db.read() as conn:
        return _select(conn, table.c.project == place.project.id)


def _find(conn: sa.Connection, place: Place, name: str) -> Server:
    found = _select(conn, table.c.project == place.project.id, table.c.name == name)
    if not found:
        raise NotFound("MCP server", name[:100])
    return found[0]


def _select(conn: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Server]:
    rows = conn.execute(sa.select(*_columns).where(*conditions).order_by(table.c.created, table.c.id))
    return [Server(**row._asdict()) for row in rows]


def _delete(conn: sa.Connection, old: Server) -> None:
    conn.execute(table.delete().where(table.c.id == old.id))
    secrets.let_go(_scope(old))


def _scope(server: Server) -> str:
    return f"mcp:{server.id}"
