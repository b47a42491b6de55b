"""What is current for somebody in a workspace: Roo's clients speak of the current task, mode and profile."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
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
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Choice:
    """Ids of what is current, "" for what was never chosen; `linked` is the profile of each mode, `instructions` what
    agents are told, `approve` the switches of auto_approve.
    """

    task: str = ""
    mode: str = ""
    profile: str = ""
    linked: Mapping[str, str] = field(default_factory=dict)
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


def of_many(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Choice]:
    """What the owners of sessions have chosen for their directories, by one query; who chose nothing is left out."""
    wanted = set(pairs)
    names = [one.name for one in fields(Choice)]
    query = sa.select(choice.c.owner, choice.c.directory, *(choice.c[name] for name in names)).where(
        choice.c.owner.in_(sorted({owner for owner, _directory in wanted}))
    )
    with db.read() as connection:
        rows = connection.execute(query).all() if wanted else []
    return {(owner, where): Choice(*row) for owner, where, *row in rows if (owner, where) in wanted}


def choose(actor: Actor | None, place: Place, *, approve: Mapping[str, Any] = NOTHING, **changes: Any) -> Choice:
    """Change what holds for this actor's own tasks in this workspace; agents change nothing.

    Raises NotFound for a mode, Invalid for too many words.
    """
    actor = require_person(actor)
    if "mode" in changes:
        check_mode(place, changes["mode"])
    if len(changes.get("instructions", "")) > LONGEST:
        raise Invalid(f"Instructions have at most {LONGEST} characters.", "instructions")
    owner, directory = actor.user, str(place.directory)
    with db.transaction() as connection:
        _make(connection, owner, directory)
        before = _read(connection, owner, directory, lock=True)
        now = _followed(before, replace(before, **changes, approve={**before.approve, **approve}), changes)
        if now != before:
            connection.execute(choice.update().where(*_where(owner, directory)).values(**_values(now)))
        if approve or "instructions" in changes:
            said = {name: changes[name] for name in changes if name == "instructions"}
            record.audit(connection, actor, "agent.choose", directory, {**said, **approve})
    return now


def require_person(actor: Actor | None) -> Actor:
    """Give the actor back, who is no agent; raises Denied. To be asked before what ends in a choice is begun."""
    actor = accounts.require(actor, "sessions:write")
    if actor.kind == "agent":
        raise Denied("An agent never changes what it is told or may do.")
    return actor


def profile_of(choice: Choice, mode: str) -> str:
    """The profile that a mode brings along: the one that was chosen in it, else the current one."""
    return choice.profile if mode == (choice.mode or FIRST) else choice.linked.get(mode, choice.profile)


def _followed(before: Choice, now: Choice, changed: Collection[str]) -> Choice:
    """A mode brings its profile along; the profile that is current then stays with it."""
    if "profile" not in changed and "mode" not in changed:
        return now
    mode = now.mode or FIRST
    profile = now.profile if "profile" in changed else profile_of(before, mode)
    return replace(now, profile=profile, linked={**now.linked, mode: profile})


def check_mode(place: Place, name: str) -> None:
    """Raise NotFound unless people may choose this mode."""
    found = modes.find(name, place.directory)
    if found is None or not found.is_primary:
        raise NotFound("mode", name)


def mode(actor: Actor | None, place: Place) -> str:
    """The slug of the current mode: the chosen one while it is there, else the first, which can be taken away too."""
    chosen = get(actor, place).mode
    there = {one.name for one in modes.of(place.directory)}
    return next((name for name in (chosen, FIRST) if name in there), None) or modes.default(place.directory)


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
    return sessions.newest(actor, directory=str(place.directory), owner=actor.user)


def _read(connection: sa.Connection, owner: str, directory: str, *, lock: bool = False) -> Choice:
    query = sa.select(*(choice.c[one.name] for one in fields(Choice))).where(*_where(owner, directory))
    row = connection.execute(query.with_for_update() if lock else query).first()
    return Choice(*row) if row else Choice()


def _make(connection: sa.Connection, owner: str, directory: str) -> None:
    """Have a row there to lock, whoever makes it."""
    if connection.scalar(sa.select(choice.c.owner).where(*_where(owner, directory))) is None:
        with contextlib.suppress(sa.exc.IntegrityError), connection.begin_nested():
            connection.execute(choice.insert().values(owner=owner, directory=directory, **_values(Choice())))


def _values(now: Choice) -> dict[str, Any]:
    return {**asdict(now), "linked": dict(now.linked), "approve": dict(now.approve)}


def _where(owner: str, directory: str) -> tuple[sa.ColumnElement[bool], ...]:
    return choice.c.owner == owner, choice.c.directory == directory
