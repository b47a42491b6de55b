"""How sandboxes end: by a word, at their time, or at the next start when the server died over it.

A sandbox that is to go is first marked so and loses its access in one transaction; then its processes are ended and
its files removed; its row goes last, so that a start finds what was not finished.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson
import sqlalchemy as sa

from app import db, dispatch, ids, record
from app.accounts import service as accounts
from app.actor import SYSTEM
from app.errors import NotFound
from app.projects import service as projects
from app.sandboxes import rows, tokens
from app.sandboxes.models import sandbox as table
from app.sandboxes.rows import Sandbox
from app.secrets import service as secrets

EXPIRE = "sandboxes.expire"
SWEEP = 60.0
ENVIRONMENT = "environment"
_logger = logging.getLogger(__name__)


class _Taken:
    """What some thread of this process is taking down just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()

    def add(self, sandbox_id: str) -> bool:
        with self._lock:
            is_new = sandbox_id not in self._ids
            self._ids.add(sandbox_id)
            return is_new

    def discard(self, sandbox_id: str) -> None:
        with self._lock:
            self._ids.discard(sandbox_id)


_taken = _Taken()
# Only the process that holds the processes of sandboxes can end one.
_enders: list[Callable[[Path], None]] = []


def register_ender(end: Callable[[Path], None]) -> None:
    """Say who ends all that runs in a directory, and waits for it."""
    _enders[:] = [end]


def start() -> None:
    """At start: set the clock of each running sandbox, and finish what was begun."""
    accounts.register_signatures(tokens.find_signer)
    with db.read() as conn:
        running = rows.select(conn, table.c.state == "running")
    for one in running:
        dispatch.at(one.ends, EXPIRE, one.id)
    sweep()


@dispatch.every(SWEEP)
def sweep() -> None:
    """Take down what no clock has: sandboxes whose time is over, and those that a process died over."""
    if not _enders:
        return
    with db.read() as conn:
        over = sa.and_(table.c.state == "running", table.c.ends <= ids.now())
        found = rows.select(conn, sa.or_(over, table.c.state == "ending"))
    for one in found:
        try:
            expire(one.id)
        except Exception:
            _logger.exception("the sandbox %s could not be taken down", one.id)


@dispatch.actor(EXPIRE)
def expire(sandbox_id: str) -> None:
    """Pause or take down a sandbox whose time is over; one that was given more time is looked at then."""
    with db.transaction() as conn:
        found = rows.select(conn, table.c.id == sandbox_id, table.c.state.in_(("running", "ending")))
        if not found:
            return
        one = found[0]
        if one.state == "running" and one.ends > ids.now():
            dispatch.at(one.ends, EXPIRE, one.id)
            return
        is_paused = one.state == "running" and one.on_timeout == "pause"
        if is_paused:
            put_aside(conn, one)
        else:
            begin(conn, one)
        if one.state == "running":
            record.audit(conn, SYSTEM, "sandbox.expire", one.id, {"how": one.on_timeout})
    if is_paused:
        end_processes(one)
    else:
        finish(one)


def put_aside(conn: sa.Connection, one: Sandbox) -> None:
    """Mark a sandbox as paused: nothing more is started in it."""
    rows.update(conn, one, state="paused")


def begin(conn: sa.Connection, one: Sandbox) -> None:
    """Take a sandbox's access away and hide it; within the caller's transaction."""
    rows.update(conn, one, state="ending")
    accounts.take_back(one.token)


def finish(one: Sandbox) -> None:
    """End what runs in a sandbox, remove its files, and forget it."""
    if not _taken.add(one.id):
        return
    try:
        end_processes(one)
        take_away(one.project, one.directory)
        with db.transaction() as conn:
            secrets.let_go(_scope(one))
            rows.delete(conn, one.id)
    finally:
        _taken.discard(one.id)


def take_away(project_id: str, directory: str) -> None:
    """Remove the files of a sandbox; a worktree that holds work of its own stays."""
    projects.close_scratch(project_id)
    projects.release(directory)


def end_processes(one: Sandbox) -> None:
    """End all that runs in a sandbox."""
    for end in _enders:
        end(one.path)


def hold_environment(one: Sandbox, environment: Mapping[str, str]) -> None:
    """Keep, sealed, what each command of a sandbox finds in its environment; within the caller's transaction."""
    if environment:
        secrets.hold(_scope(one), ENVIRONMENT, orjson.dumps(dict(environment)).decode())


def held_environment(one: Sandbox) -> dict[str, str]:
    """Return what is kept for a sandbox's commands."""
    try:
        kept: dict[str, str] = orjson.loads(secrets.held(_scope(one), ENVIRONMENT))
    except NotFound:
        return {}
    return kept


def _scope(one: Sandbox) -> str:
    return f"sandbox:{one.id}"
