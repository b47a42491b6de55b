"""How servers are reached: what starts a local one, what a remote one is sent, and what the vault holds for both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import orjson
import sqlalchemy as sa

from app import db, record, redact
from app.errors import NotFound
from app.mcp.events import ServerChanged
from app.mcp.things import Means, Server
from app.processes import service as processes
from app.processes.spawn import Child, start
from app.projects import service as projects
from app.projects.service import Place
from app.secrets import service as secrets

HELD = "given"
_logger = logging.getLogger(__name__)


def means(place: Place, server: Server) -> Callable[[], Means]:
    """How to connect it, worked out when it is wanted."""

    def work_out() -> Means:
        given = secret_of(server)
        is_local = server.kind == "local"
        begin = (lambda: _begin(place, server, given)) if is_local else None
        return Means(begin, {} if is_local else given, lambda: _announce(place, server))

    return work_out


def hold(server: Server, secret: Mapping[str, str]) -> None:
    """Give the vault a server's environment or headers, in the open transaction."""
    if secret:
        secrets.hold(scope(server), HELD, orjson.dumps(dict(secret)).decode())


def secret_of(server: Server) -> dict[str, str]:
    """Its environment or headers; from now on nothing shows them."""
    try:
        given: dict[str, str] = orjson.loads(secrets.held(scope(server), HELD))
    except NotFound:
        return {}
    for name, value in given.items():
        redact.watch(f"{server.name}/{name}", value)
    return given


def scope(server: Server) -> str:
    """Where the vault keeps what belongs to it."""
    return f"mcp:{server.id}"


def _begin(place: Place, server: Server, environment: Mapping[str, str]) -> Child:
    """Start a local server's exact command in its directory of the project: in the sandbox, without a network.

    Raises Unavailable SANDBOX_UNAVAILABLE in a team without a sandbox.
    """
    processes.check_walls()
    root = place.project.path
    private = projects.private_of(place.project)
    beside = projects.beside(str(root))
    return start(
        server.target, cwd=root / server.cwd, workspace=root, private=private, env=environment, stdin=True,
        also=beside.also, keep=beside.keep,
    )  # fmt: skip


def _announce(place: Place, server: Server) -> None:
    try:
        with db.transaction() as conn:
            record.event(conn, ServerChanged(str(place.project.path), server.name), place.project)
    except sa.exc.SQLAlchemyError:
        _logger.exception("that an MCP server changed could not be announced")
