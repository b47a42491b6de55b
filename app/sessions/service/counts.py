"""Figures over many sessions, one query each; only sessions that the actor may read count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.sessions.service import rows
from app.sessions.service.lists import readable
from app.sessions.service.rows import PARTS, RUNS, SESSIONS
from app.sessions.things import Run, run_of

BUSY = ("queued", "running")


@dataclass(frozen=True)
class Standing:
    """How many sessions a project has, how many of them run, and when one changed last (unix ms)."""

    sessions: int
    running: int
    updated: int


@dataclass(frozen=True)
class Label:
    """What other rooms show of a session beside their own things: title, place, whose it is, who sees it."""

    title: str
    directory: str
    owner: str
    project: str
    visibility: str


def count_by_state(actor: Actor) -> dict[str, int]:
    """How many sessions are in each state; archived ones count as `archived` alone."""
    accounts.require(actor, "sessions:read")
    # Of archived ones a count of their own: to group by them too would sort all sessions.
    query = sa.select(SESSIONS.c.state, sa.func.count(), sa.func.count(SESSIONS.c.archived)).where(*readable(actor))
    found: dict[str, int] = {}
    with db.read() as connection:
        for state, every, archived in connection.execute(query.group_by(SESSIONS.c.state)):
            found[state] = every - archived
            found["archived"] = found.get("archived", 0) + archived
    return {name: number for name, number in found.items() if number}


def count_running(actor: Actor) -> int:
    """How many sessions run or wait for their turn."""
    accounts.require(actor, "sessions:read")
    this = (SESSIONS.c.state.in_(BUSY), SESSIONS.c.archived.is_(None), *readable(actor))
    with db.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(SESSIONS).where(*this)) or 0


def labels(actor: Actor, session_ids: list[str]) -> dict[str, Label]:
    """Title, place and scope of those of the sessions that the actor may read, by id."""
    if not session_ids or not accounts.may(actor, "sessions:read"):
        return {}
    scope = (SESSIONS.c.owner, SESSIONS.c.project, SESSIONS.c.visibility)
    query = sa.select(SESSIONS.c.id, SESSIONS.c.title, SESSIONS.c.directory, *scope).where(
        SESSIONS.c.id.in_(session_ids), *readable(actor)
    )
    with db.read() as connection:
        return {session_id: Label(*label) for session_id, *label in connection.execute(query)}


def seen(actor: Actor) -> sa.Subquery:
    """The sessions that the actor may read, for a room to join its own rows with: id, title, directory, visibility."""
    query = sa.select(SESSIONS.c.id, SESSIONS.c.title, SESSIONS.c.directory, SESSIONS.c.visibility)
    where = readable(actor) if accounts.may(actor, "sessions:read") else [sa.false()]
    return query.where(*where).subquery("seen")


def count_by_project(actor: Actor) -> dict[str, Standing]:
    """How the sessions of each project stand, by the project's id."""
    accounts.require(actor, "sessions:read")
    where = readable(actor)
    # Apart, for an index of its own has each: together they would read every session.
    every = sa.select(SESSIONS.c.project, sa.func.count(), sa.func.max(SESSIONS.c.updated)).where(*where)
    busy = sa.select(SESSIONS.c.project).where(SESSIONS.c.state.in_(BUSY), *where)
    with db.read() as connection:
        running = Counter(connection.scalars(busy))
        found = connection.execute(every.group_by(SESSIONS.c.project))
        return {project: Standing(number, running[project], updated) for project, number, updated in found}


def count_busy_in(directory: str) -> int:
    """How many sessions are at work in a directory, whoever they belong to: for the server's own caution."""
    query = sa.select(sa.func.count()).where(
        SESSIONS.c.directory == directory, SESSIONS.c.state.in_((*BUSY, "waiting"))
    )
    with db.read() as connection:
        return connection.scalar(query) or 0


def live_runs(actor: Actor, session_ids: list[str]) -> dict[str, list[Run]]:
    """The runs of these sessions that have not ended, by session, oldest first."""
    accounts.require(actor, "sessions:read")
    query = (
        sa.select(RUNS)
        .join(SESSIONS, SESSIONS.c.id == RUNS.c.session_id)
        .where(RUNS.c.session_id.in_(session_ids), RUNS.c.ended.is_(None), *readable(actor))
        .order_by(RUNS.c.id)
    )
    found: dict[str, list[Run]] = {}
    with db.read() as connection:
        for row in connection.execute(query):
            found.setdefault(row.session_id, []).append(run_of(row))
    return found


def count_calls(actor: Actor, session_id: str) -> dict[str, tuple[int, int]]:
    """How often each tool was called in a session, and how often that failed, by the tool's name."""
    tool = PARTS.c.data["tool"].as_string().label("tool")
    status = PARTS.c.data["state", "status"].as_string()
    failed = sa.func.count(sa.case((status == "error", 1)))
    query = sa.select(tool, sa.func.count(), failed).where(PARTS.c.session_id == session_id, PARTS.c.type == "tool")
    with db.read() as connection:
        accounts.require(actor, "sessions:read", rows.session(connection, session_id))
        return {name: (calls, failures) for name, calls, failures in connection.execute(query.group_by("tool"))}
