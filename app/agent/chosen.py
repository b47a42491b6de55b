"""What is current for somebody in a workspace: Roo's clients speak of the current task, mode and profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import modes
from app.agent.models import choice
from app.errors import Denied, Invalid, NotFound, Problem
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session

FIRST = "code"
LONGEST = 100_000


@dataclass(frozen=True)
class Choice:
    """Ids of what is current, "" for what was never chosen; words that agents are told; switches of auto_approve."""

    task: str = ""
    mode: str = ""
    profile: str = ""
    instructions: str = ""
    approve: Mapping[str, Any] = field(default_factory=dict)


def get(actor: Actor | None, place: Place) -> Choice:
    """What this actor has chosen in this workspace."""
    actor = accounts.require(actor, "settings:read", place.project)
    with db.read() as connection:
        return _read(connection, actor.user, str(place.directory))


def of(owner: str, directory: str) -> Choice:
    """What the owner of a session has chosen for its directory."""
    with db.read() as connection:
        return _read(connection, owner, directory)


def choose(actor: Actor | None, place: Place, **changes: Any) -> Choice:
    """Change what holds for this actor's own tasks in this workspace; agents change nothing.

    Raises NotFound for a mode, Invalid for too many words.
    """
    actor = accounts.require(actor, "sessions:write")
    if actor.kind == "agent":
        raise Denied("An agent never changes what it is told or may do.")
    if "mode" in changes and modes.find(changes["mode"], place.directory) is None:
        raise NotFound("mode", changes["mode"])
    if len(changes.get("instructions", "")) > LONGEST:
        raise Invalid(f"Instructions have at most {LONGEST} characters.", "instructions")
    owner, directory = actor.user, str(place.directory)
    with db.transaction() as connection:
        before = _read(connection, owner, directory)
        now = replace(before, **changes)
        if now != before:
            _write(connection, owner, directory, now)
        audited = {name: value for name, value in changes.items() if name in ("instructions", "approve")}
        if audited:
            record.audit(connection, actor, "agent.choose", directory, audited)
    return now


def mode(actor: Actor | None, place: Place) -> str:
    """The slug of the current mode: the chosen one while it is there, else the first."""
    chosen = get(actor, place).mode
    return chosen if chosen and modes.find(chosen, place.directory) else FIRST


def task(actor: Actor | None, place: Place) -> Session | None:
    """The current task: the one created or addressed last, if it is still there, else the newest of this actor's."""
    actor = accounts.require(actor, "sessions:read")
    chosen = get(actor, place).task
    if chosen:
        try:
            found = sessions.get(actor, chosen)
        except Problem:
            found = None
        if found is not None and found.archived is None:
            return found
    newest, _ = sessions.by_creation(actor, directory=str(place.directory), owner=actor.user, limit=1)
    return newest[0] if newest else None


def _read(connection: sa.Connection, owner: str, directory: str) -> Choice:
    columns = (choice.c.task, choice.c.mode, choice.c.profile, choice.c.instructions, choice.c.approve)
    row = connection.execute(sa.select(*columns).where(*_where(owner, directory))).first()
    return Choice(*row) if row else Choice()


def _write(connection: sa.Connection, owner: str, directory: str, now: Choice) -> None:
    """Update the row, or make it; of two who make it at once, one updates after all."""
    values = {**asdict(now), "approve": dict(now.approve)}
    update = choice.update().where(*_where(owner, directory)).values(**values)
    if connection.execute(update).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(choice.insert().values(owner=owner, directory=directory, **values))
    except sa.exc.IntegrityError:
        connection.execute(update)


def _where(owner: str, directory: str) -> tuple[sa.ColumnElement[bool], ...]:
    return choice.c.owner == owner, choice.c.directory == directory
