"""The verbs of who makes links: invite, generate, list, resend, revoke.

A link lets somebody in, with roles or as who they are, so whoever makes one in a browser has shown lately who they are.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import quote

import sqlalchemy as sa

from app import config, db, record
from app.accounts import service as accounts
from app.accounts.service import User
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound
from app.invites import mailing, rows
from app.invites.models import link as table
from app.invites.things import INVITE_LIFE, MINUTE, Invite, Kind, Made

PEOPLE, INVITE = "users:write", "auth.invite"
LEAST, USUAL, MOST = MINUTE, 15 * MINUTE, 24 * 60 * MINUTE
MOST_ROLES = 32
MOST_OPEN = 1000
CONSUME = "/api/v1/auth/magic-link/consume"
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")


def url_of(made: Made) -> str:
    """The address that lets somebody in; links of programs have RootCX's."""
    path = CONSUME if made.invite.kind == "link" else "/join"
    return f"{config.current().url}{path}?token={quote(made.secret)}"


def invite(actor: Actor | None, email: str, roles: tuple[str, ...]) -> Made:
    """Invite somebody who is not here, in place of an earlier invite of theirs; mailed where mail is on.

    Raises Invalid, Conflict for somebody who is here, Denied for roles beyond what the actor holds, Stale.
    """
    actor = _require_maker(actor)
    address = _email(email)
    _check_roles(actor, roles)
    with db.transaction() as conn:
        if accounts.find_person_by_email(address) is not None:
            raise Conflict("Somebody with this email address is here already.")
        for old in rows.revoke(conn, table.c.email == address, table.c.kind == "invite"):
            record.audit(conn, actor, "invite.revoke", old)
        made = _make(conn, actor, "invite", address, roles, INVITE_LIFE, "")
        mailing.queue(made)
    return made


def generate(
    actor: Actor | None, email: str, roles: tuple[str, ...] = (), redirect: str = "", life: int | None = None
) -> Made:
    """A link for a program to deliver, for somebody who is here or not; life in ms, bent into a minute to a day, and a
    quarter of an hour without.

    Raises Invalid, Denied for roles beyond what the actor holds and for somebody whom they do not outrank, Stale.
    """
    actor = _require_maker(actor)
    address = _email(email)
    _check_roles(actor, roles)
    if redirect:
        accounts.way_back(redirect, "redirectUri")
    person = accounts.find_person_by_email(address)
    if person is not None and not may_let_in(actor, person):
        raise Denied("You can make a link only for people whose rights you hold.")
    with db.transaction() as conn:
        bent = min(max(USUAL if life is None else life, LEAST), MOST)
        return _make(conn, actor, "link", address, roles, bent, redirect)


def list_invites(actor: Actor | None) -> list[Invite]:
    """The invites that nobody has used: all for who may change people, else one's own."""
    actor = _require(actor)
    mine = [] if accounts.may(actor, PEOPLE) else [table.c.made_by == actor.user]
    with db.read() as conn:
        found = rows.waiting(conn, table.c.kind == "invite", *mine)
        makers = {user_id: accounts.find_person(user_id) for user_id in {one.made_by for one in found}}
    return [dataclasses.replace(one, maker=_name(makers[one.made_by])) for one in found]


def resend(actor: Actor | None, invite_id: str) -> Made:
    """A new link for an invite; the old one lets nobody in any more. Raises NotFound, Denied, Stale."""
    actor = _require_maker(actor)
    with db.transaction() as conn:
        found = _mine(conn, actor, invite_id)
        _check_roles(actor, found.roles)
        made = rows.renew(conn, found, INVITE_LIFE)
        # Whoever sends it anew vouches for it from now on.
        conn.execute(table.update().where(table.c.id == invite_id).values(made_by=actor.user))
        record.audit(conn, actor, "invite.resend", invite_id, {"email": found.email, "roles": list(found.roles)})
        mailing.queue(made)
    return made


def revoke(actor: Actor | None, invite_id: str) -> None:
    """End an invite; raises NotFound for one that is used or ended already."""
    actor = _require(actor)
    with db.transaction() as conn:
        found = _mine(conn, actor, invite_id)
        rows.revoke(conn, table.c.id == invite_id)
        record.audit(conn, actor, "invite.revoke", invite_id, {"email": found.email})


def end_claimed(conn: sa.Connection, actor: Actor, email: str) -> None:
    """End the links for an address that somebody has just taken: whoever opens one would come in as them, and give them
    the roles that were meant for another.
    """
    for ended in rows.revoke(conn, table.c.email == email.lower()):
        record.audit(conn, actor, "invite.revoke", ended, {"email": email})


def roles_to_give(actor: Actor | None) -> list[str]:
    """The roles that the actor can invite somebody with, the weakest that does something first."""
    actor = _require(actor)
    names = [role.name for role in accounts.roles_within(actor)]
    return sorted(names, key=lambda name: name != "member")


def may_let_in(actor: Actor, person: User) -> bool:
    """Whether a link of this actor lets somebody in who is here: themselves, or whoever they outrank.

    A token's own person may hold more than it does, or see more than its project: for it they are like anybody else.
    """
    if person.id == actor.user and actor.token is None:
        return True
    is_above = accounts.covers(actor.grants, person.grants) and actor.project is None
    return is_above and (person.id == actor.user or accounts.may(actor, PEOPLE))


def may_give(actor: Actor, roles: tuple[str, ...]) -> bool:
    """Whether the actor holds all that these roles grant."""
    return all(accounts.holds(actor.grants, role) for role in roles)


def _require(actor: Actor | None) -> Actor:
    return accounts.require(actor, PEOPLE if accounts.may(actor, PEOPLE) else INVITE)


def _require_maker(actor: Actor | None) -> Actor:
    found = _require(actor)
    accounts.require_fresh_browser(found)
    return found


def _make(
    conn: sa.Connection, actor: Actor, kind: Kind, email: str, roles: tuple[str, ...], life: int, redirect: str
) -> Made:
    count = conn.scalar(sa.select(sa.func.count()).where(table.c.made_by == actor.user, table.c.used.is_(None))) or 0
    if count >= MOST_OPEN:
        raise Conflict(f"You have {MOST_OPEN} open links; revoke some first.")
    made = rows.make(conn, kind, email, roles, actor.user, life, redirect=redirect, address=actor.address)
    told = {"email": email, "roles": list(roles), "kind": kind}
    record.audit(conn, actor, "invite.create", made.invite.id, told)
    return made


def _mine(conn: sa.Connection, actor: Actor, invite_id: str) -> Invite:
    found = rows.get(conn, invite_id)
    is_mine = found.made_by == actor.user or accounts.may(actor, PEOPLE)
    if found.kind != "invite" or found.state in ("used", "revoked") or not is_mine:
        raise NotFound("invite", invite_id)
    return found


def _check_roles(actor: Actor, roles: tuple[str, ...]) -> None:
    if len(roles) > MOST_ROLES:
        raise Invalid(f"A link gives {MOST_ROLES} roles at most.", "roles")
    for role in roles:
        if not accounts.is_role(role):
            raise Invalid(f"role '{role[:64]}' is not defined", "roles")
    if not may_give(actor, roles):
        raise Denied("You can give only rights that you hold.")


def _email(text: str) -> str:
    found = text.strip().lower()
    if not _EMAIL.fullmatch(found):
        raise Invalid("This is not an email address.", "email")
    return found


def _name(person: User | None) -> str:
    return person.name if person else "somebody who is gone"


accounts.register_claim(end_claimed)
