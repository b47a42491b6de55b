"""The one rule of who may do what to which thing."""

from __future__ import annotations

from app.accounts import grants
from app.actor import Actor, Thing
from app.errors import Denied, NotFound, Unauthenticated


def require(actor: Actor | None, key: str, thing: Thing | None = None) -> Actor:
    """Give the actor back if it may use the key on the thing.

    Raises Unauthenticated without an actor, NotFound if it may not even read the thing, else Denied.
    """
    if actor is None:
        raise Unauthenticated
    if thing is not None and not _knows(actor, key, thing):
        raise NotFound(_kind(thing), str(getattr(thing, "id", "")))
    if not _allowed(actor, key, thing):
        raise Denied(f"This needs the grant {key}, which {actor.name} does not hold here.", key=key)
    return actor


def may(actor: Actor | None, key: str, thing: Thing | None = None) -> bool:
    """Whether `require` would let the actor pass."""
    return actor is not None and _allowed(actor, key, thing)


def is_open(actor: Actor, project: str) -> bool:
    """Whether a project is open to the actor's person, by its id; what is in another one is not there for them."""
    return project not in actor.closed


def _allowed(actor: Actor, key: str, thing: Thing | None) -> bool:
    if actor.kind == "agent" and grants.closed_to_agents(key):
        return False
    if not grants.covers(actor.grants, key):
        return False
    if thing is None:
        # A visitor follows events, which are judged one by one, and has no business with lists.
        return actor.kind != "visitor" or key == "events:read"
    return _sees(actor, thing) and (
        thing.owner == actor.user
        or grants.is_reading(key)
        or grants.covers(actor.grants, grants.OTHERS + key)
        or _is_lent(actor, grants.OTHERS + key, thing)
    )


def _is_lent(actor: Actor, key: str, thing: Thing) -> bool:
    return bool(actor.lent) and ((key, thing.project) in actor.lent or (key, thing.owner) in actor.lent)


def _sees(actor: Actor, thing: Thing) -> bool:
    if actor.kind == "visitor":
        return actor.session is not None and getattr(thing, "id", None) == actor.session
    if actor.project is not None and thing.project != actor.project:
        return False
    if thing.project in actor.closed:
        return False  # before whose it is: who was taken out of a project has left there what they made
    if thing.owner == actor.user or thing.visibility in ("team", "shared", "members"):
        return True
    return sees_private(actor)


def sees_private(actor: Actor) -> bool:
    """Whether what others keep to themselves is open to the actor: to the owner of the place, not to their agents."""
    return grants.EVERYTHING in actor.grants and actor.kind != "agent"


def _knows(actor: Actor, key: str, thing: Thing) -> bool:
    if not _sees(actor, thing):
        return False
    return thing.owner == actor.user or any(grants.covers(actor.grants, held) for held in (key, grants.reading(key)))


def _kind(thing: Thing) -> str:
    # The word a verb uses for an unknown id ("session"), so that forbidden reads exactly the same.
    name = type(thing).__name__.lower()
    return "thing" if name in ("scope", "simplenamespace") else name
