"""What is current for somebody in a workspace: Roo's clients speak of the current task, mode and profile."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from app import db
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import modes
from app.agent.models import choice
from app.errors import NotFound, Problem
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session

FIRST = "code"


@dataclass(frozen=True)
class Choice:
    """Ids of what is current, "" for what was never chosen."""

    task: str = ""
    mode: str = ""
    profile: str = ""


def get(actor: Actor | None, place: Place) -> Choice:
    """What this actor has chosen in this workspace."""
    actor = accounts.require(actor, "settings:read", place.project)
    with db.read() as connection:
        return _read(connection, actor, place)


def choose(actor: Actor | None, place: Place, **changes: str) -> Choice:
    """Make a task, a mode or a profile the current one."""
    actor = accounts.require(actor, "sessions:write")
    if "mode" in changes and modes.find(changes["mode"], place.directory) is None:
        raise NotFound("mode", changes["mode"])
    with db.transaction() as connection:
        before = _read(connection, actor, place)
        now = replace(before, **changes)
        if now != before:
            _write(connection, actor, place, now)
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


def _read(connection: sa.Connection, actor: Actor, place: Place) -> Choice:
    query = sa.select(choice.c.task, choice.c.mode, choice.c.profile).where(*_where(actor, place))
    row = connection.execute(query).first()
    return Choice(*row) if row else Choice()


def _write(connection: sa.Connection, actor: Actor, place: Place, now: Choice) -> None:
    """Update the row, or make it; of two who make it at once, one updates after all."""
    update = choice.update().where(*_where(actor, place)).values(**asdict(now))
    if connection.execute(update).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(choice.insert().values(owner=actor.user, directory=str(place.directory), **asdict(now)))
    except sa.exc.IntegrityError:
        connection.execute(update)


def _where(actor: Actor, place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return choice.c.owner == actor.user, choice.c.directory == str(place.directory)
