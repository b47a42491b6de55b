"""Profiles: a model of a provider under a name that somebody gave it; keys stay with the provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen
from app.agent.models import profile as table
from app.agent.providers import catalog, own_keys, trial
from app.agent.providers.trial import Trial
from app.errors import Conflict, Denied, Invalid, NotFound
from app.projects.service import Place

DEFAULT = "default"
MOST = 100
LONGEST = 100
TAKEN = "There is a profile {0!r} already."


@dataclass(frozen=True)
class Profile:
    """A profile; created in unix ms, 0 for the one that is always there."""

    id: str
    owner: str
    name: str
    provider: str
    model: str
    created: int = 0

    @property
    def is_built_in(self) -> bool:
        """Whether it is the one that stands for whatever model sessions begin with."""
        return self.id == DEFAULT


def list_all(actor: Actor | None, place: Place) -> list[Profile]:
    """The actor's profiles: first that of the usual model, then their own by name."""
    actor = accounts.require(actor, "settings:read", place.project)
    provider, model = catalog.default_model(place.directory, actor.user)
    return [Profile(DEFAULT, actor.user, DEFAULT, provider, model), *own(actor)]


def own(actor: Actor | None) -> list[Profile]:
    """The actor's own alone, by name."""
    actor = accounts.require(actor, "settings:read")
    query = sa.select(table).where(table.c.owner == actor.user).order_by(table.c.name)
    with db.read() as connection:
        return [Profile(*row) for row in connection.execute(query)]


def find(actor: Actor | None, place: Place, name: str) -> Profile:
    """The profile of this name; raises NotFound."""
    return _one(list_all(actor, place), lambda one: one.name == name, name)


def get(actor: Actor | None, place: Place, id: str) -> Profile:
    """The profile with this id; raises NotFound."""
    return _one(list_all(actor, place), lambda one: one.id == id, id)


def current(actor: Actor | None, place: Place, mode: str = "") -> Profile:
    """The one that the next task begins with, in the current mode or this one; the first if the chosen one is gone."""
    every, choice = list_all(actor, place), chosen.get(actor, place)
    wanted = chosen.profile_of(choice, mode) if mode else choice.profile
    return next((one for one in every if one.id == wanted), every[0])


def of_mode(owner: str, directory: str, mode: str) -> tuple[str, str] | None:
    """The provider and model of the profile that a session's owner uses in a mode; None if none goes with it."""
    choice = chosen.of(owner, directory)
    wanted = choice.profile if mode == (choice.mode or chosen.FIRST) else choice.linked.get(mode, "")
    if wanted == DEFAULT:
        return catalog.default_model(Path(directory), owner)
    query = sa.select(table.c.provider, table.c.model).where(table.c.id == wanted, table.c.owner == owner)
    with db.read() as connection:
        row = connection.execute(query).first()
    return (row.provider, row.model) if row else None


def switch(actor: Actor | None, place: Place, name: str) -> Profile:
    """Make a profile the current one, and that of the current mode; raises NotFound."""
    found = find(actor, place, name)
    chosen.choose(actor, place, profile=found.id)
    return found


def save(actor: Actor | None, place: Place, name: str, provider: str, model: str, id: str = "") -> Profile:
    """Make a profile, or change the one with this id; agents change none.

    Raises Invalid, NotFound, Denied, or Conflict for a name that is taken.
    """
    actor = _person(actor)
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST:
        raise Invalid(f"A profile's name has 1 to {LONGEST} characters.", "name")
    if catalog.entry_of(provider, place.directory, user=actor.user) is None and provider != "demo":
        raise Invalid(f"There is no provider {provider!r} that is connected.", "provider")
    if not 0 < len(model.strip()) <= 128:
        raise Invalid("Name a model of the provider.", "model")
    every = list_all(actor, place)
    old = _one(every, lambda one: one.id == id and not one.is_built_in, id) if id else None
    if old is None and len(every) > MOST:
        raise Invalid(f"There are at most {MOST} profiles.", "name")
    if name == DEFAULT:
        raise Conflict(TAKEN.format(name))
    given: dict[str, Any] = {"name": name, "provider": provider, "model": model.strip()}
    new = replace(old, **given) if old else Profile(ids.random("prf"), actor.user, **given, created=ids.now())
    write = table.update().where(table.c.id == new.id, table.c.owner == actor.user) if old else table.insert()
    with db.transaction() as connection:
        try:
            connection.execute(write.values(**asdict(new)))
        except sa.exc.IntegrityError:
            raise Conflict(TAKEN.format(name)) from None
        record.audit(connection, actor, "agent.profile", new.id, {"name": name, "model": f"{provider}/{new.model}"})
    return new


def put(actor: Actor | None, new: Profile) -> None:
    """Keep one of the actor's own under the id that it brings, whether its provider is connected or not.

    Raises Denied, or Conflict for a name that is taken.
    """
    actor = _person(actor)
    values = {**asdict(new), "owner": actor.user, "created": new.created or ids.now()}
    with db.transaction() as connection:
        try:
            changed = connection.execute(
                table.update().where(table.c.id == new.id, table.c.owner == actor.user).values(**values)
            )
            if not changed.rowcount:
                connection.execute(table.insert().values(**values))
        except sa.exc.IntegrityError:
            raise Conflict(TAKEN.format(new.name)) from None
        detail = {"name": new.name, "model": f"{new.provider}/{new.model}"}
        record.audit(connection, actor, "agent.profile", new.id, detail)


def test(actor: Actor | None, place: Place, id: str) -> Trial:
    """Ask a profile's model for one word, as a task that begins with it would.

    Raises NotFound for a profile, or for its provider while that is not connected, Denied, Limited.
    """
    accounts.require(actor, "sessions:run")
    actor = _person(actor)
    found = get(actor, place, id)
    entry = catalog.entry_of(found.provider, place.directory, user=actor.user)
    if entry is None or not own_keys.may_use(entry, actor.user):
        raise NotFound("provider", found.provider)
    return trial.ask(entry, found.model)


def remove(actor: Actor | None, place: Place, id: str) -> None:
    """Delete a profile; tasks that began with it keep their model. Raises NotFound."""
    actor = _person(actor)
    gone = _one(list_all(actor, place), lambda one: one.id == id and not one.is_built_in, id)
    with db.transaction() as connection:
        connection.execute(table.delete().where(table.c.id == id, table.c.owner == actor.user))
        record.audit(connection, actor, "agent.profile_remove", id, {"name": gone.name})


def _person(actor: Actor | None) -> Actor:
    actor = accounts.require(actor, "sessions:write")
    if actor.kind == "agent":
        raise Denied("An agent never changes what others are asked.")
    return actor


def _one(every: list[Profile], fits: Callable[[Profile], bool], wanted: str) -> Profile:
    for one in every:
        if fits(one):
            return one
    raise NotFound("profile", wanted)
