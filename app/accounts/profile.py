"""Who one says one is: one's own name and email."""

from __future__ import annotations

import sqlalchemy as sa

from app import db, record
from app.accounts import fresh, identity, people
from app.accounts.models import user
from app.actor import Actor
from app.errors import NotFound, Taken


def change_profile(actor: Actor, name: str, email: str | None) -> people.User:
    """Change the actor's own name and email; another email, by which one signs in, wants a fresh sign-in.

    Raises Invalid, Taken (EMAIL_TAKEN), Stale; NotFound for what is no person.
    """
    if actor.kind != "user":
        raise NotFound("user", actor.user)
    wanted = people.fresh_user(name, email, people.BASE)
    with db.read() as conn:
        person = people.get(conn, actor.user)
    if wanted.email != person.email:
        fresh.require_fresh(actor)
    with db.transaction() as conn:
        rewrite(conn, person, wanted)
        if wanted.email != person.email:
            people.claim(conn, actor, wanted.email)
        record.audit(conn, actor, "user.profile", person.id, {"name": wanted.name, "email": wanted.email or ""})
        db.after_commit(identity.forget)
        return people.get(conn, person.id)


def rewrite(conn: sa.Connection, person: people.User, wanted: people.User) -> None:
    """Give a person another's name and email, within an open transaction; raises Taken."""
    try:
        with conn.begin_nested():
            values = {"name": wanted.name, "email": wanted.email}
            conn.execute(user.update().where(user.c.id == person.id).values(**values))
    except sa.exc.IntegrityError:
        raise Taken(people.IN_USE, wanted.email or "", field="email", code="EMAIL_TAKEN") from None
