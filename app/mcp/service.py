"""The verbs of the room: add servers to projects, see how they stand, connect and test them, use what they offer.

Only people with `mcp:write` name a command; agents never do, whoever they work for.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa

from app import db, ids, outbound, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Invalid, NotFound
from app.mcp import reaching, rows
from app.mcp.events import ServerChanged
from app.mcp.links import Links, Tell
from app.mcp.models import server as table
from app.mcp.things import Answer, Offer, Prompt, RemoteTool, Resource, Server, Shown, Status, Tested, Wanted
from app.projects.service import Place
from app.secrets import service as secrets

__all__ = [
    "Answer",
    "Offer",
    "Prompt",
    "RemoteTool",
    "Resource",
    "Server",
    "Shown",
    "Status",
    "Tested",
    "Wanted",
    "add",
    "call",
    "connect",
    "disconnect",
    "fill_prompt",
    "list_servers",
    "prompts",
    "remove",
    "resources",
    "statuses",
    "stop",
    "test",
    "tools",
]
MOST_SERVERS = 50
GLANCE = 1.0  # seconds that who asks how servers stand waits for those that are being connected
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_links = Links()


def add(actor: Actor | None, place: Place, name: str, wanted: Wanted) -> Status:
    """Add a server to the place's project, in place of one of that name, and connect it if it is enabled.

    Raises Invalid for a name, a command or a URL that is none, NotAllowed for a URL that leads inside.
    """
    actor = accounts.require(actor, "mcp:write", place.project)
    _check(name, wanted)
    new = Server(
        ids.random("mcp"), place.project.id, name, wanted.kind, list(wanted.target), wanted.timeout,
        wanted.enabled, actor.user, ids.now(), _cwd(place, wanted.cwd),
    )  # fmt: skip
    with db.transaction() as conn:
        gone = rows.select(conn, table.c.project == new.project, table.c.name == name)
        for old in gone:
            _delete(conn, old)
        if len(rows.select(conn, table.c.project == new.project)) >= MOST_SERVERS:
            raise Invalid(f"A project has at most {MOST_SERVERS} MCP servers.", "name")
        rows.insert(conn, new)
        reaching.hold(new, wanted.secret)
        detail = {"project": new.project, "name": name, "target": rows.stored(new)}
        record.audit(conn, actor, "mcp.add", new.id, detail)
        _tell(conn, place, name)
    for old in gone:
        _links.close(old.id)
    return _status(place, new)


def remove(actor: Actor | None, place: Place, name: str) -> None:
    """Forget a server, its secrets too, and end it; raises NotFound."""
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        old = rows.find(conn, place, name)
        _delete(conn, old)
        detail = {"project": old.project, "name": name, "target": rows.stored(old)}
        record.audit(conn, actor, "mcp.remove", old.id, detail)
        _tell(conn, place, name)
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
    """How the servers of the place's project stand, by name; who is enabled and not connected is being connected.

    It waits for that a second at most; what comes later is told by an event.
    """
    accounts.require(actor, "mcp:read", place.project)
    return {server.name: _now(server) for server in _glance(place)}


def list_servers(actor: Actor | None, place: Place, *, only_look: bool = False) -> list[Shown]:
    """The servers of the place's project as people see them, connected as `statuses` has it, unless one only looks."""
    accounts.require(actor, "mcp:read", place.project)
    servers = rows.of(place) if only_look else _glance(place)
    return [Shown(server, _now(server), _offer(server), tuple(reaching.secret_of(server))) for server in servers]


def test(actor: Actor | None, place: Place, name: str) -> Tested:
    """Connect a server and list what it offers, to see whether it works; a disabled one ends again after it.

    Raises NotFound.
    """
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        server = rows.find(conn, place, name)
        record.audit(conn, actor, "mcp.test", server.id, {"project": server.project, "name": name})
    began = time.monotonic()
    status, offer = _links.test(server, reaching.means(place, server), keep=server.enabled)
    return Tested(status, offer if status.state == "connected" else Offer(), time.monotonic() - began)


def tools(actor: Actor | None, place: Place) -> tuple[RemoteTool, ...]:
    """The tools of the project's servers that can be connected, by their order of adding."""
    accounts.require(actor, "mcp:read", place.project)
    servers = [server for server in rows.of(place) if server.enabled]
    _open(place, servers)
    return tuple(tool for server in servers for tool in _offer(server).tools)


def resources(actor: Actor | None, place: Place) -> tuple[Resource, ...]:
    """What the project's servers that are connected let read."""
    accounts.require(actor, "mcp:read", place.project)
    return tuple(one for server in _glance(place) for one in _offer(server).resources)


def prompts(actor: Actor | None, place: Place) -> tuple[Prompt, ...]:
    """The prompts that the project's servers that are connected keep."""
    accounts.require(actor, "mcp:read", place.project)
    return tuple(one for server in _glance(place) for one in _offer(server).prompts)


def fill_prompt(actor: Actor | None, place: Place, prompt: Prompt, arguments: Mapping[str, str]) -> str:
    """The words of a prompt with these arguments, as its server gives them; raises Unavailable, NotFound, Invalid."""
    accounts.require(actor, "mcp:read", place.project)
    missing = [name for name in prompt.required if not arguments.get(name)]
    if missing:
        raise Invalid(f"The prompt {prompt.id} needs {', '.join(missing)[:200]}.", "arguments")
    _open(place, _enabled(place, prompt.server_id, "prompt", prompt.id))
    return _links.prompt(prompt, dict(arguments))


def call(
    actor: Actor | None, place: Place, tool: RemoteTool, arguments: Mapping[str, Any], tell: Tell,
    cancel: threading.Event,
) -> Answer | None:  # fmt: skip
    """Call a tool as it was described; None if it was cancelled meanwhile.

    Raises Unavailable if it gives no result, Conflict if the server describes it in another way by now.
    """
    accounts.require(actor, "mcp:read", place.project)
    accounts.require(actor, "tool:mcp")
    _open(place, _enabled(place, tool.server_id, "tool", tool.id))
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
    if not wanted.target or not wanted.target[0].strip() or any("\0" in word for word in wanted.target):
        raise Invalid("A command is a list of words, the first of them a program.", "command")
    if any("=" in key or not key or "\0" in key + value for key, value in wanted.secret.items()):
        raise Invalid("An environment variable's name has no '=', its value no NUL.", "environment")


def _switch(actor: Actor | None, place: Place, name: str, *, on: bool) -> Server:
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        server = rows.find(conn, place, name)
        if server.enabled != on:
            conn.execute(table.update().where(table.c.id == server.id).values(enabled=on))
            record.audit(conn, actor, "mcp.enable" if on else "mcp.disable", server.id, {"project": server.project})
            _tell(conn, place, name)
    return dataclasses.replace(server, enabled=on)


def _status(place: Place, server: Server, *, at_once: bool = False) -> Status:
    _open(place, [server], at_once=at_once)
    return _now(server)


def _open(place: Place, servers: list[Server], *, at_once: bool = False, seconds: float | None = None) -> None:
    wanted = [(server, reaching.means(place, server)) for server in servers if server.enabled]
    if wanted:
        _links.open(wanted, at_once=at_once, seconds=seconds)


def _glance(place: Place) -> list[Server]:
    servers = rows.of(place)
    _open(place, servers, seconds=GLANCE)
    return servers


def _enabled(place: Place, server_id: str, kind: str, name: str) -> list[Server]:
    with db.read() as conn:
        found = rows.select(conn, table.c.id == server_id, table.c.project == place.project.id, table.c.enabled)
    if not found:
        raise NotFound(kind, name)
    return found


def _now(server: Server) -> Status:
    link = _links.find(server.id)
    return link.status() if link is not None and server.enabled else Status("disabled")


def _offer(server: Server) -> Offer:
    link = _links.find(server.id)
    return link.offer if link is not None and link.status().state == "connected" else Offer()


def _cwd(place: Place, given: str) -> str:
    """A directory of the project as it is kept: relative to its root, "" for that itself; raises Invalid."""
    path = PurePosixPath(given)
    if path.is_absolute():
        root = PurePosixPath(place.project.path)
        if not path.is_relative_to(root):
            raise Invalid("It runs in a directory of the project.", "cwd")
        path = path.relative_to(root)
    if ".." in path.parts or "\0" in given:
        raise Invalid("It runs in a directory of the project.", "cwd")
    return "" if str(path) == "." else str(path)


def _tell(conn: sa.Connection, place: Place, name: str) -> None:
    record.event(conn, ServerChanged(str(place.project.path), name), place.project)


def _delete(conn: sa.Connection, old: Server) -> None:
    conn.execute(table.delete().where(table.c.id == old.id))
    secrets.let_go(reaching.scope(old))
