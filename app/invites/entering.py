"""The verbs of who comes by a link: look at it, come in by it once, decline it, ask for one."""

from __future__ import annotations

import dataclasses
import functools

import sqlalchemy as sa

from app import db, dispatch, ids, mail, record
from app.accounts import service as accounts
from app.accounts.service import User
from app.actor import Actor
from app.errors import Invalid, Taken
from app.invites import mailing, making, rows
from app.invites.models import link as table
from app.invites.things import SIGN_IN_LIFE, Accepted, Gone, Invite, Shown

LONGEST = 200
BASE = "base"
MOST_ASKED = 5
ASKED = "invites.asked"


def look(secret: str) -> Shown:
    """What a link is for, without using it up; raises Gone."""
    with db.read() as conn:
        invite = rows.find(conn, secret[:LONGEST])
        maker = accounts.find_person(invite.made_by)
        person = accounts.find_person_by_email(invite.email)
    if maker is None:
        raise Gone
    shown = dataclasses.replace(invite, maker=maker.name)
    return Shown(shown, person is not None, accounts.words_of(invite.roles or (BASE,)))


def accept(
    secret: str,
    address: str,
    agent: str = "",
    *,
    name: str = "",
    password: str = "",
    for_client: bool = False,
) -> Accepted:
    """Come in by a link, which is used up by that: in a browser, or as a client.

    Who is not here is added with this name, and with the password if one is given. What who made the link may not do
    any more it does not do either. Raises Gone, Invalid for a bad name or password, Limited.
    """
    accounts.check_pace(address)
    try:
        with db.read() as conn:
            invite = rows.find(conn, secret[:LONGEST])
        made = accounts.make_password(password, invite.email, name) if password else None
        come = functools.partial(_come, secret[:LONGEST], name, made, address, agent, for_client)
        try:
            return come()
        except Taken:  # they came by another link at the same moment, and are here now
            return come()
    except Gone:
        with db.transaction() as conn:
            stranger = Actor(id="", kind="user", user="", name="", grants=(), address=address)
            record.audit(conn, stranger, "signin.link", result="denied")
            accounts.note_failure(address)
        raise


def decline(secret: str, address: str) -> None:
    """End an invite that somebody does not want; raises Gone."""
    with db.transaction() as conn:
        invite = rows.find(conn, secret[:LONGEST])
        rows.revoke(conn, table.c.id == invite.id)
        stranger = Actor(id="", kind="user", user="", name="", grants=(), address=address)
        record.audit(conn, stranger, "invite.decline", invite.id, {"email": invite.email})


def ask(email: str, address: str) -> None:
    """Have a sign-in link mailed to somebody who is here; to nobody else, and nobody is told which it was.

    Raises Invalid where mail is off, Limited.
    """
    if not mail.is_on():
        raise Invalid("This server sends no mail.", "email")
    with db.transaction():
        accounts.check_pace(address)
        # Whoever asks is counted, so that no limit tells who is here.
        accounts.note_failure(address)
        # And looked for in the background, so that neither does the time that the answer takes.
        dispatch.wake(ASKED, db.storable(email).strip().lower(), address)


@dispatch.actor(ASKED)
def mail_who_is_here(email: str, address: str) -> None:
    """Mail a sign-in link to who has this address, if somebody does and got no more than a few lately."""
    with db.transaction() as conn:
        person = accounts.find_person_by_email(email)
        lately = table.c.kind == "signin", table.c.created > ids.now() - SIGN_IN_LIFE, table.c.email == email
        count = sa.select(sa.func.count()).where(*lately)
        if person is not None and (conn.scalar(count) or 0) < MOST_ASKED:
            made = rows.make(conn, "signin", email, (), person.id, SIGN_IN_LIFE, address=address)
            mailing.queue(made)


def _come(secret: str, name: str, made: str | None, address: str, agent: str, for_client: bool) -> Accepted:
    """Use the link up and open what they come by, or nothing of it; raises Taken where they were added meanwhile."""
    with db.transaction() as conn:
        invite = rows.spend(conn, secret)
        person, is_new = _person(invite, name)
        if made is not None and is_new:
            accounts.keep_password(person.id, made)
        return _opened(conn, invite, person, address, agent, for_client)


def _person(invite: Invite, name: str) -> tuple[User, bool]:
    """Who comes in and whether they are new, by what who made the link may do now; raises Gone where they may not."""
    maker = accounts.acting_for(invite.made_by, "system")
    person = accounts.find_person_by_email(invite.email)
    if maker is None or not making.may_give(maker, invite.roles):
        raise Gone
    if invite.kind == "signin" and (person is None or person.id != invite.made_by):
        raise Gone  # their address is another one by now
    if person is None:
        return _added(maker, invite, name), True
    if not making.may_let_in(maker, person):
        raise Gone
    for role in invite.roles:
        if role not in person.roles:
            accounts.assign_role(maker, person.id, role)
    return accounts.find_person(person.id) or person, False


def _added(maker: Actor, invite: Invite, name: str) -> User:
    if not (accounts.may(maker, making.PEOPLE) or accounts.may(maker, making.INVITE)):
        raise Gone
    # They were let invite: that is what adding people means here.
    by = dataclasses.replace(maker, grants=(*maker.grants, making.PEOPLE))
    first, *others = invite.roles or (BASE,)
    person = accounts.create_user(by, name.strip() or invite.email.partition("@")[0], invite.email, first)
    for role in others:
        accounts.assign_role(by, person.id, role)
    return accounts.find_person(person.id) or person


def _opened(conn: sa.Connection, invite: Invite, person: User, address: str, agent: str, for_client: bool) -> Accepted:
    actor = Actor(id=person.id, kind="user", user=person.id, name=person.name, grants=person.grants, address=address)
    record.audit(conn, actor, "signin.link", invite.id, {"kind": invite.kind, "by": invite.made_by})
    if for_client:
        return Accepted(invite, person, tokens=accounts.let_client_in(person.id, address, agent))
    return Accepted(invite, person, opened=accounts.let_in(person.id, address, agent))
