"""The verbs of signing in to a remote server by OAuth: begin, come back, give up, sign out.

What is got is the server's, for all of its project's agents; only people with `mcp:write` get it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Invalid, NotFound
from app.events import service as events
from app.events.service import Fact, Subscription
from app.mcp import keys, reaching, rows
from app.mcp.events import SignInEnded, SignInWanted
from app.mcp.keys import Keys
from app.mcp.links import Links
from app.mcp.signins import Pending, SignIns
from app.mcp.things import Server
from app.projects.service import Place

if TYPE_CHECKING:
    from app.mcp.oauth import SignIn

CODE = 4_000


@dataclass(frozen=True)
class Begun:
    """A sign-in that was begun: the address to go to, and the state that comes back with the code."""

    url: str
    state: str


class Signing:
    """The sign-ins that go through these connections."""

    def __init__(self, links: Links, connect: Callable[[Place, Server], object]) -> None:
        self._links = links
        self._connect = connect
        self._waiting = SignIns()

    def begin(self, actor: Actor | None, place: Place, name: str) -> Begun:
        """Begin to sign in to a server, in place of an earlier one of the same person.

        Raises NotFound, Invalid for one at which nobody signs in, Conflict if it asks nobody to, Unavailable.
        """
        from app.mcp.oauth import SignIn

        actor = accounts.require(actor, "mcp:write", place.project)
        with db.transaction() as conn:
            server = rows.find(conn, place, name)
            if server.kind != "remote" or Keys.of(server).oauth.is_off:
                raise Invalid("Nobody signs in to this server.", "name", code="OAUTH_UNSUPPORTED")
            record.audit(conn, actor, "mcp.signin_begin", server.id, {"project": server.project, "name": name})
        held = Keys.of(server)
        scope = Scope(actor.user, place.project.id)
        flow = SignIn(held, reaching.secret_of(server), held.oauth.scope, lambda: self._ended(flow, place, name, scope))
        url = self._links.run(flow.begin())
        for gone in self._waiting.put(Pending(actor.user, place, server, flow)):
            self._links.run(gone.flow.drop())
        return Begun(url, flow.state)

    def begin_elsewhere(self, actor: Actor, place: Place, name: str) -> Begun:
        """The same, and tell the person's own clients where to go: this server opens no browser."""
        begun = self.begin(actor, place, name)
        with db.transaction() as conn:
            wanted = SignInWanted(str(place.project.path), name, begun.url)
            record.event(conn, wanted, Scope(actor.user, place.project.id))
        return begun

    def come_back(self, actor: Actor, state: str, code: str, issuer: str | None) -> tuple[Place, Server]:
        """Finish the sign-in of this state with the code that came with it; once, and only by who began it."""
        accounts.require(actor, "mcp:write")
        return self._finish(actor, self._waiting.take(actor.user, state[:CODE]), state, code, issuer)

    def come_back_to(self, actor: Actor, place: Place, name: str, code: str) -> tuple[Place, Server]:
        """The same by the server's name, for a client that was given the code alone."""
        accounts.require(actor, "mcp:write", place.project)
        with db.read() as conn:
            server = rows.find(conn, place, name)
        if not self._waiting.waits(actor.user, server.id):
            raise Invalid("Begin to sign in first.", "code")
        pending = self._waiting.take_of(actor.user, server.id)
        return self._finish(actor, pending, pending.flow.state, code, None)

    def give_up(self, actor: Actor, state: str) -> tuple[Place, Server]:
        """The other side refused, or the person did."""
        accounts.require(actor, "mcp:write")
        pending = self._waiting.take(actor.user, state[:CODE])
        self._links.run(pending.flow.drop())
        return pending.place, pending.server

    def sign_out(self, actor: Actor | None, place: Place, name: str) -> Server:
        """Forget a server's tokens and the client that we are there; raises NotFound."""
        actor = accounts.require(actor, "mcp:write", place.project)
        with db.transaction() as conn:
            server = rows.find(conn, place, name)
            if server.kind == "remote":
                Keys.of(server).forget(keys.TOKENS, keys.CLIENT)
            record.audit(conn, actor, "mcp.signout", server.id, {"project": server.project, "name": name})
        return server

    def drop(self, server: Server) -> None:
        """A server is removed: nobody comes back to it."""
        for pending in self._waiting.of_server(server.id):
            self._links.run(pending.flow.drop())

    def stop(self) -> None:
        """The server stops: nobody comes back to any."""
        for pending in self._waiting.all():
            self._links.run(pending.flow.drop())

    def follow(self, actor: Actor) -> Subscription:
        """The ends of this person's sign-ins from now on; to be opened before one begins."""

        def keep(fact: Fact) -> bool:
            return isinstance(fact.event, SignInEnded)

        return events.subscribe(actor, keep=keep)

    def _finish(
        self, actor: Actor, pending: Pending, state: str, code: str, issuer: str | None
    ) -> tuple[Place, Server]:
        place, server = pending.place, pending.server
        accounts.require(actor, "mcp:write", place.project)
        if not code or len(code) > CODE:
            self._links.run(pending.flow.drop())
            raise Invalid("There is no code.", "code")
        with db.read() as conn:
            if rows.find(conn, place, server.name).id != server.id:
                raise NotFound("MCP server", server.name)
        try:
            self._links.run(pending.flow.finish(code, state, issuer))
            with db.transaction() as conn:
                detail = {"project": server.project, "name": server.name}
                record.audit(conn, actor, "mcp.signin", server.id, detail)
            self._connect(place, server)
        finally:
            _tell(place, server.name, Scope(actor.user, place.project.id))
        return place, server

    def _ended(self, flow: SignIn, place: Place, name: str, scope: Scope) -> None:
        """It ended; who finishes it tells so after that."""
        self._waiting.forget(flow)
        if not flow.is_finishing:
            _tell(place, name, scope)


def _tell(place: Place, name: str, scope: Scope) -> None:
    with db.transaction() as conn:
        record.event(conn, SignInEnded(str(place.project.path), name), scope)
