"""The verbs of the room: add servers to projects, see how they stand, connect and test them, use what they offer.

Only people with `mcp:write` name a command; agents never do, whoever they work for.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, NotFound
from app.events.service import Subscription
from app.mcp import checks, reaching, repository, rows, written
from app.mcp.elsewhere import Hearing
from app.mcp.events import ServerChanged
from app.mcp.keys import Keys
from app.mcp.links import Links, Tell
from app.mcp.models import server as table
from app.mcp.repository import Repository
from app.mcp.signing import Begun, Signing
from app.mcp.things import (
    Answer,
    OAuth,
    Offer,
    Prompt,
    RemoteTool,
    Resource,
    Server,
    Shown,
    Status,
    Terms,
    Tested,
    Wanted,
)
from app.mcp.written import Written
from app.projects.service import Place
from app.secrets import service as secrets

__all__ = [
    "Answer",
    "Begun",
    "OAuth",
    "Offer",
    "Prompt",
    "RemoteTool",
    "Repository",
    "Resource",
    "Server",
    "Shown",
    "Status",
    "Terms",
    "Tested",
    "Wanted",
    "Written",
    "add",
    "allow_named",
    "always_allowed",
    "begin_sign_in",
    "begin_sign_in_elsewhere",
    "call",
    "come_back",
    "come_back_to",
    "connect",
    "disconnect",
    "fill_prompt",
    "follow_sign_ins",
    "give_up_sign_in",
    "is_there",
    "list_servers",
    "named",
    "prompts",
    "put",
    "read_written",
    "remove",
    "resources",
    "sign_out",
    "start",
    "statuses",
    "stop",
    "test",
    "tools",
]
MOST_SERVERS = 50
GLANCE = 1.0  # seconds that who asks how servers stand waits for those that are being connected
_links = Links()
_hearing = Hearing(_links)


def add(actor: Actor | None, place: Place, name: str, wanted: Wanted) -> Status:
    """Add a server to the place's project, in place of one of that name, and connect it if it is enabled.

    Raises Invalid for a name, a command or a URL that is none, NotAllowed for a URL that leads inside, Stale.
    """
    return _status(place, _put(accounts.require(actor, "mcp:write", place.project), place, name, wanted))


def put(actor: Actor | None, place: Place, name: str, wanted: Wanted) -> bool:
    """The same without connecting it, which its first use does; False, and nothing is done, if it is there just so."""
    actor = accounts.require(actor, "mcp:write", place.project)
    if is_there(actor, place, name, wanted):
        return False
    _put(actor, place, name, wanted)
    return True


def is_there(actor: Actor | None, place: Place, name: str, wanted: Wanted) -> bool:
    """Whether the project has this very server, with this environment or these headers."""
    accounts.require(actor, "mcp:read", place.project)
    found = next((server for server in rows.of(place) if server.name == name), None)
    if found is None:
        return False
    like = dataclasses.replace(
        found, kind=wanted.kind, target=list(wanted.target), timeout=wanted.timeout, enabled=wanted.enabled,
        cwd=checks.directory(place, wanted.cwd), terms=dataclasses.replace(wanted.terms, seen=found.terms.seen),
    )  # fmt: skip
    return found == like and reaching.secret_of(found) == dict(wanted.secret)


def read_written(
    actor: Actor | None, place: Place, servers: Mapping[str, Any], values: Mapping[str, str] | None = None
) -> list[Written]:
    """The servers of a file of Roo's, each as it could be added here, or why not; nothing is added.

    `values` are those of variables that the file wants of the environment, which gives it nothing by itself.
    """
    accounts.require(actor, "mcp:read", place.project)
    return written.read(place, servers, values)


def named(actor: Actor | None, place: Place) -> Repository:
    """The servers that the project's own `.roo/mcp.json` names; nobody has started any by looking."""
    accounts.require(actor, "mcp:read", place.project)
    return repository.look(place, rows.of(place))


def allow_named(
    actor: Actor | None, place: Place, name: str, mark: str, values: Mapping[str, str] | None = None
) -> Status:
    """Say yes to one of them exactly as it was shown, and connect it; when the file says another thing it asks again.

    Raises NotFound, Conflict if it says another thing already, Invalid if it cannot be added.
    """
    accounts.require(actor, "mcp:write", place.project)
    found = next((one for one in repository.read(place, values) if one.name == name), None)
    if found is None:
        raise NotFound("MCP server", name[:100])
    if found.mark != mark:
        raise Conflict(repository.CHANGED)
    if found.wanted is None:
        raise Invalid(found.why, "name")
    terms = dataclasses.replace(found.wanted.terms, mark=mark)
    return add(actor, place, name, dataclasses.replace(found.wanted, terms=terms))


def always_allowed(actor: Actor | None, place: Place) -> tuple[str, ...]:
    """The ids of the tools that run unasked where the switches of who works let MCP tools run.

    That was said of a name; from its first offer on it holds for the tool as it was described then.
    """
    accounts.require(actor, "mcp:read", place.project)
    return tuple(tool.id for server in rows.of(place) for tool in _allowed(server))


def remove(actor: Actor | None, place: Place, name: str) -> None:
    """Forget a server, its secrets too, and end it; raises NotFound."""
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        old = rows.find(conn, place, name)
        _delete(conn, old)
        detail = {"project": old.project, "name": name, "target": rows.stored(old)}
        record.audit(conn, actor, "mcp.remove", old.id, detail)
        _tell(conn, place, name)
    _end(old)


def connect(actor: Actor | None, place: Place, name: str) -> Status:
    """Enable a server and connect it now, however often it failed; raises NotFound, Stale for one that was disabled."""
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
    servers, asks = _glance(place)
    return {server.name: _now(server, asks) for server in servers}


def list_servers(actor: Actor | None, place: Place, *, only_look: bool = False) -> list[Shown]:
    """The servers of the place's project as people see them, connected as `statuses` has it, unless one only looks."""
    accounts.require(actor, "mcp:read", place.project)
    servers, asks = _glance(place, only_look=only_look)
    return [
        Shown(
            server, _now(server, asks), _offer(server), tuple(reaching.secret_of(server)),
            server.kind == "remote" and Keys.of(server).has_tokens(),
        )
        for server in servers
    ]  # fmt: skip


def test(actor: Actor | None, place: Place, name: str) -> Tested:
    """Connect a server and list what it offers, to see whether it works; a disabled one ends again after it.

    Raises NotFound.
    """
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        server = rows.find(conn, place, name)
        record.audit(conn, actor, "mcp.test", server.id, {"project": server.project, "name": name})
    if repository.changed(place, [server]):
        return Tested(Status("needs_consent", repository.CHANGED), Offer(), 0.0)
    began = time.monotonic()
    status, offer = _links.test(server, reaching.means(place, server), keep=server.enabled)
    return Tested(status, offer if status.state == "connected" else Offer(), time.monotonic() - began)


def tools(actor: Actor | None, place: Place) -> tuple[RemoteTool, ...]:
    """The tools of the project's servers that can be connected, by their order of adding."""
    accounts.require(actor, "mcp:read", place.project)
    servers = rows.of(place)
    _open(place, servers)
    return tuple(tool for server in servers for tool in _offer(server).tools)


def resources(actor: Actor | None, place: Place) -> tuple[Resource, ...]:
    """What the project's servers that are connected let read."""
    accounts.require(actor, "mcp:read", place.project)
    return tuple(one for server in _glance(place)[0] for one in _offer(server).resources)


def prompts(actor: Actor | None, place: Place) -> tuple[Prompt, ...]:
    """The prompts that the project's servers that are connected keep."""
    accounts.require(actor, "mcp:read", place.project)
    return tuple(one for server in _glance(place)[0] for one in _offer(server).prompts)


def fill_prompt(actor: Actor | None, place: Place, prompt: Prompt, arguments: Mapping[str, str]) -> str:
    """The words of a prompt with these arguments, as its server gives them; raises Unavailable, NotFound, Invalid."""
    accounts.require(actor, "mcp:read", place.project)
    missing = [name for name in prompt.required if not arguments.get(name)]
    if missing:
        raise Invalid(f"The prompt {prompt.id} needs {', '.join(missing)[:200]}.", "arguments")
    _open(place, [_enabled(place, prompt.server_id, "prompt", prompt.id)])
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
    found = _enabled(place, tool.server_id, "tool", tool.id)
    if tool.name in found.terms.without:
        raise NotFound("tool", tool.id)
    _open(place, [found])
    return _links.call(tool, dict(arguments), tell, cancel)


def begin_sign_in(actor: Actor | None, place: Place, name: str) -> Begun:
    """Begin to sign in to a remote server by OAuth: where to go (see `signing`)."""
    return _signing.begin(actor, place, name)


def begin_sign_in_elsewhere(actor: Actor, place: Place, name: str) -> Begun:
    """The same, and tell the person's own clients where to go."""
    return _signing.begin_elsewhere(actor, place, name)


def follow_sign_ins(actor: Actor) -> Subscription:
    """The ends of a person's sign-ins from now on."""
    return _signing.follow(actor)


def come_back(actor: Actor, state: str, code: str, issuer: str | None) -> tuple[Place, Server]:
    """Finish the sign-in of this state, and connect the server."""
    return _signing.come_back(actor, state, code, issuer)


def come_back_to(actor: Actor, place: Place, name: str, code: str) -> tuple[Place, Server]:
    """Finish the sign-in that the actor began at a server, and connect it."""
    return _signing.come_back_to(actor, place, name, code)


def give_up_sign_in(actor: Actor, state: str) -> tuple[Place, Server]:
    """End the sign-in of this state without anything."""
    return _signing.give_up(actor, state)


def sign_out(actor: Actor | None, place: Place, name: str) -> Status:
    """Forget what a sign-in got, and connect again without it; raises NotFound."""
    return _again(place, _signing.sign_out(actor, place, name))


def start() -> None:
    """At start: end what other processes remove, replace or disable."""
    _hearing.start()


def stop() -> None:
    """When the server stops: end all connections, and the local servers with them."""
    _signing.stop()
    _links.stop()


def _put(actor: Actor, place: Place, name: str, wanted: Wanted) -> Server:
    accounts.require_fresh(actor)
    checks.check(name, wanted)
    new = Server(
        ids.random("mcp"), place.project.id, name, wanted.kind, list(wanted.target), wanted.timeout,
        wanted.enabled, actor.user, ids.now(), checks.directory(place, wanted.cwd), wanted.terms,
    )  # fmt: skip
    with db.transaction() as conn:
        gone = rows.select(conn, table.c.project == new.project, table.c.name == name)
        for old in gone:
            _delete(conn, old)
            db.after_commit(functools.partial(_end, old))
        if len(rows.select(conn, table.c.project == new.project)) >= MOST_SERVERS:
            raise Invalid(f"A project has at most {MOST_SERVERS} MCP servers.", "name")
        rows.insert(conn, new)
        reaching.hold(new, wanted.secret)
        if new.kind == "remote":
            Keys.of(new).configure(wanted.oauth)
        detail = {"project": new.project, "name": name, "target": rows.stored(new)}
        record.audit(conn, actor, "mcp.add", new.id, detail)
        _tell(conn, place, name)
    return new


def _end(old: Server) -> None:
    _signing.drop(old)
    _links.close(old.id)


def _allowed(server: Server) -> list[RemoteTool]:
    """Which of a server's tools are always allowed; of those that are offered for the first time, how is kept."""
    said, seen = server.terms.always, server.terms.seen
    tools = [tool for tool in _offer(server).tools if tool.name in said or "*" in said]
    new = {tool.name: tool.definition for tool in tools if tool.name not in seen}
    if new:
        with db.transaction() as conn:
            for found in rows.select(conn, table.c.id == server.id, lock=True):
                seen = {**new, **found.terms.seen}
                rows.set_terms(conn, found, dataclasses.replace(found.terms, seen=seen))
    return [tool for tool in tools if seen.get(tool.name) == tool.definition]


def _switch(actor: Actor | None, place: Place, name: str, *, on: bool) -> Server:
    actor = accounts.require(actor, "mcp:write", place.project)
    with db.transaction() as conn:
        server = rows.find(conn, place, name)
        if server.enabled != on:
            if on:
                accounts.require_fresh(actor)
            conn.execute(table.update().where(table.c.id == server.id).values(enabled=on))
            record.audit(conn, actor, "mcp.enable" if on else "mcp.disable", server.id, {"project": server.project})
            _tell(conn, place, name)
    return dataclasses.replace(server, enabled=on)


def _status(place: Place, server: Server, *, at_once: bool = False) -> Status:
    return _now(server, _open(place, [server], at_once=at_once))


def _again(place: Place, server: Server) -> Status:
    """Connect it afresh, with what it is now reached by."""
    _links.close(server.id)
    status = _status(place, server, at_once=True)
    with db.transaction() as conn:
        _tell(conn, place, server.name)
    return status


def _open(place: Place, servers: list[Server], *, at_once: bool = False, seconds: float | None = None) -> set[str]:
    """Connect those that are enabled; end, and give the ids of, those whose file changed since somebody said yes."""
    asks = repository.changed(place, servers)
    for server_id in asks:
        _links.close(server_id)
    usable = [server for server in servers if server.enabled and server.id not in asks]
    wanted = [(server, reaching.means(place, server)) for server in usable]
    if wanted:
        _links.open(wanted, at_once=at_once, seconds=seconds)
    return asks


def _glance(place: Place, *, only_look: bool = False) -> tuple[list[Server], set[str]]:
    """The project's servers, connected unless one only looks, and the ids of those that wait for another yes."""
    servers = rows.of(place)
    return servers, repository.changed(place, servers) if only_look else _open(place, servers, seconds=GLANCE)


def _enabled(place: Place, server_id: str, kind: str, name: str) -> Server:
    with db.read() as conn:
        found = rows.select(conn, table.c.id == server_id, table.c.project == place.project.id, table.c.enabled)
    if not found:
        raise NotFound(kind, name)
    return found[0]


def _now(server: Server, asks: Collection[str]) -> Status:
    if server.id in asks and server.enabled:
        return Status("needs_consent", repository.CHANGED)
    link = _links.find(server.id)
    return link.status() if link is not None and server.enabled else Status("disabled")


def _offer(server: Server) -> Offer:
    """What a connected server offers, without the tools that its file says are not to be."""
    link = _links.find(server.id)
    if link is None or not server.enabled or link.status().state != "connected":
        return Offer()
    kept = tuple(tool for tool in link.offer.tools if tool.name not in server.terms.without)
    return dataclasses.replace(link.offer, tools=kept)


def _tell(conn: sa.Connection, place: Place, name: str) -> None:
    record.event(conn, ServerChanged(str(place.project.path), name), place.project)


def _delete(conn: sa.Connection, old: Server) -> None:
    conn.execute(table.delete().where(table.c.id == old.id))
    secrets.let_go(reaching.scope(old))
    if old.kind == "remote":
        Keys.of(old).forget()


_signing = Signing(_links, _again)
