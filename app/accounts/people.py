"""Users: making them, ending them, and acting for them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa

from app import db, ids, once, record, remembered
from app.accounts import grants, identity, reach, roles
from app.accounts.authority import may, require
from app.accounts.events import PrincipalRevoked
from app.accounts.models import (
    access_token,
    browser_session,
    client_session,
    code,
    handover,
    loan,
    password,
    refresh_token,
    role_assignment,
    token,
    user,
)
from app.actor import Actor, Scope
from app.errors import Conflict, Denied, Invalid, NotFound, Taken

TEAM_IDLE = 12 * 3600 * 1000
TEAM_LIFE = 7 * 24 * 3600 * 1000
LOCAL_LIFE = 30 * 24 * 3600 * 1000
LAST_OWNER = "LAST_OWNER"

# Who comes in by themselves holds nothing but that they are here, until somebody gives them a role.
BASE = "base"
IN_USE = "Somebody with this email is here already."

_on_end: list[Callable[[sa.Connection, str], None]] = []
_on_claim: list[Callable[[sa.Connection, Actor, str], None]] = []
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")


@dataclass(frozen=True)
class User:
    """A person: the names of their roles, and what these grant together; created, signed_in and revoked in unix ms."""

    id: str
    name: str
    email: str | None
    created: int
    signed_in: int | None
    revoked: int | None
    roles: tuple[str, ...] = ()
    grants: tuple[str, ...] = field(default=(), repr=False)

    @property
    def role(self) -> str:
        """The role that they have had longest, "" for none."""
        return self.roles[0] if self.roles else ""


_known_alone: tuple[db.Database | None, float] = None, 0.0
_names = ("id", "name", "email", "created", "signed_in", "revoked")
_columns = [user.c[name] for name in _names]


def create_user(actor: Actor, name: str, email: str | None, role: str) -> User:
    """Add a person with a role whose grants the actor holds; the second one begins team mode."""
    require(actor, "users:write")
    with db.transaction() as conn:
        new = fresh_user(name, email, role, _may_give(conn, actor, role))
        add(conn, actor, new)
    return new


def fresh_user(name: str, email: str | None, role: str, held: tuple[str, ...] = ()) -> User:
    """A person who is not here yet, with a role and what it grants; raises Invalid for a bad name or email."""
    return _new(_name(name), _email(email), role, held or grants.ROLES.get(role, ()))


def add(conn: sa.Connection, actor: Actor, new: User) -> None:
    """Take a person in within an open transaction; the second one begins team mode. Raises Conflict."""
    try:
        with conn.begin_nested():
            insert(conn, new)
    except sa.exc.IntegrityError:
        raise Taken(IN_USE, new.email or "", field="email", code="EMAIL_TAKEN") from None
    record.audit(conn, actor, "user.create", new.id, {"name": new.name, "role": new.role})
    if _count(conn, sa.true()) == 2:
        _begin_team(conn, actor)
    db.after_commit(_forget_alone)


def _forget_alone() -> None:
    global _known_alone
    _known_alone = None, 0.0


def revoke_user(actor: Actor, user_id: str) -> None:
    """End a person's rights, tokens and browser sessions at once; the last owner stays."""
    require(actor, "users:write")
    with db.transaction() as conn:
        person = get(conn, user_id, lock=True)
        outranks(actor, person)
        if "owner" in person.roles:
            keep_an_owner(conn)
        now = ids.now()
        conn.execute(user.update().where(user.c.id == user_id).values(revoked=now))
        conn.execute(token.update().where(token.c.user_id == user_id, token.c.revoked.is_(None)).values(revoked=now))
        _erase_sign_ins(conn, user_id)
        conn.execute(role_assignment.delete().where(role_assignment.c.user_id == user_id))
        # Also what others were lent over their things: nobody is there any more who could take it back.
        conn.execute(loan.delete().where(sa.or_(loan.c.user_id == user_id, loan.c.owner == user_id)))
        for end in _on_end:
            end(conn, user_id)
        record.audit(conn, actor, "user.revoke", user_id, {"roles": list(person.roles)})
        announce_end(conn, PrincipalRevoked(user_id, "user", user_id))


def register_end(end: Callable[[sa.Connection, str], None]) -> None:
    """Say what else goes with a person, in the transaction that removes them: a room says so that is not known here."""
    if end not in _on_end:
        _on_end.append(end)


def register_claim(claim: Callable[[sa.Connection, Actor, str], None]) -> None:
    """Say what else an address means to others that somebody takes for themselves, in the transaction that gives it to
    them: nobody has shown that it is theirs.
    """
    if claim not in _on_claim:
        _on_claim.append(claim)


def claim(conn: sa.Connection, actor: Actor, email: str | None) -> None:
    """Somebody takes an address for themselves: what was meant for it is not for them."""
    for claimed in _on_claim if email else ():
        claimed(conn, actor, email or "")


def hold_person(conn: sa.Connection, user_id: str) -> None:
    """Let nobody remove a person before the transaction ends; raises NotFound for who is not here any more."""
    get(conn, user_id, lock=True)


def _erase_sign_ins(conn: sa.Connection, user_id: str) -> None:
    """Take away all that a person could sign in with, or is signed in with."""
    clients = sa.select(client_session.c.id).where(client_session.c.user_id == user_id)
    for table in (access_token, refresh_token):
        conn.execute(table.delete().where(table.c.session_id.in_(clients)))
    for table in (browser_session, client_session, code, handover, password):
        conn.execute(table.delete().where(table.c.user_id == user_id))


def list_users(actor: Actor) -> list[User]:
    """Everybody who is here, oldest first; the removed ones too for those who may change users."""
    require(actor, "users:read")
    with_removed = may(actor, "users:write")
    return once.read(("people", with_removed), lambda: _list(with_removed=with_removed))


def _list(*, with_removed: bool) -> list[User]:
    query = sa.select(*_columns).order_by(user.c.created, user.c.id)
    if not with_removed:
        query = query.where(user.c.revoked.is_(None))
    with db.read() as conn:
        return _read(conn, conn.execute(query).mappings().all())


def everybody(conn: sa.Connection) -> list[User]:
    """All who are here, with what they hold."""
    return _read(conn, conn.execute(_living(sa.select(*_columns))).mappings().all())


def user_of(actor: Actor, email: str) -> User:
    """The living person with this email; raises NotFound."""
    require(actor, "users:read")
    with db.read() as conn:
        found = find_by_email(conn, email.strip().lower())
    if found is None:
        raise NotFound("user", email)
    return found


def me(actor: Actor) -> User:
    """The person that the actor is or acts for; raises NotFound once they are gone."""
    with db.read() as conn:
        return get(conn, actor.user)


def get(conn: sa.Connection, user_id: str, *, lock: bool = False) -> User:
    """One living person; raises NotFound."""
    found = find(conn, user_id, lock=lock)
    if found is None:
        raise NotFound("user", user_id)
    return found


def find(conn: sa.Connection, user_id: str, *, lock: bool = False) -> User | None:
    """One living person, or None; with `lock` nobody else changes or ends them until the transaction does."""
    query = _living(sa.select(*_columns), user.c.id == user_id)
    return _first(conn, query.with_for_update() if lock else query)


def insert(conn: sa.Connection, new: User, *, seat: str | None = None) -> None:
    """Store a person with their roles."""
    conn.execute(user.insert(), {name: getattr(new, name) for name in _names} | {"seat": seat})
    for role in new.roles:
        conn.execute(role_assignment.insert(), {"user_id": new.id, "role": role, "assigned": new.created})


def keep_an_owner(conn: sa.Connection, *, code: str = LAST_OWNER) -> None:
    """Before one owner goes: raise Conflict if nobody else is one. Two who remove each other wait for one another."""
    held = sa.select(role_assignment.c.user_id).where(role_assignment.c.role == "owner")
    conn.execute(held.order_by(role_assignment.c.user_id).with_for_update()).all()
    if len(conn.execute(held).all()) <= 1:
        raise Conflict("The last owner cannot be removed.", code=code)


def find_by_email(conn: sa.Connection, email: str) -> User | None:
    """The living person with this email in lower case, or None."""
    return _first(conn, _living(sa.select(*_columns), user.c.email == email))


def has_moved_on(conn: sa.Connection, email: str, since: int) -> bool:
    """Whether who has or had this email was removed, or had a password set, since then."""
    has_new_password = sa.exists().where(password.c.user_id == user.c.id, password.c.changed > since)
    query = sa.select(user.c.id).where(user.c.email == email, sa.or_(user.c.revoked > since, has_new_password))
    return conn.execute(query.limit(1)).first() is not None


def stranger(address: str) -> Actor:
    """Somebody unknown at an address, as who is written down for what they tried."""
    return Actor(id="", kind="user", user="", name="", grants=(), address=address)


def outranks(actor: Actor, person: User) -> None:
    """Raise Denied unless the actor is the person, or holds every grant of theirs; a token of theirs may hold less."""
    if (person.id != actor.user or actor.token is not None) and not grants.covers_all(actor.grants, person.grants):
        raise Denied(f"{person.name} has rights that you do not hold.")


def owner(conn: sa.Connection) -> User:
    """The person this installation belongs to, made on first use; wants an open transaction."""
    found = find_owner(conn)
    if found is not None:
        return found
    new = _new("Owner", None, "owner", grants.ROLES["owner"])
    try:
        with conn.begin_nested():
            insert(conn, new, seat="first")
    except sa.exc.IntegrityError:
        # Another process took the seat between our look and our insert.
        return _seated(conn)
    return new


def find_owner(conn: sa.Connection) -> User | None:
    """The owner who was here first, or None before the first start."""
    holds = sa.exists().where(role_assignment.c.user_id == user.c.id, role_assignment.c.role == "owner")
    query = _living(sa.select(*_columns), holds).order_by(user.c.created, user.c.id)
    return _first(conn, query.limit(1))


def is_settled(conn: sa.Connection) -> bool:
    """Whether somebody has ever signed in or set a password, so that the installation is theirs."""
    has_signed_in = sa.exists().where(user.c.signed_in.is_not(None))
    return bool(
        conn.execute(sa.select(sa.or_(has_signed_in, sa.exists().where(password.c.user_id.is_not(None))))).scalar()
    )


def is_team(conn: sa.Connection) -> bool:
    """Whether a second person has ever been here; team mode never ends."""
    return conn.execute(_everybody).scalar_one() > 1


def has_team() -> bool:
    """Whether the server is in team mode; a second person of another process is noticed within a second.

    Asked at each start of a command, so that nobody else is here is remembered as long as identities are.
    """
    global _known_alone
    here = db.current()
    of, until = _known_alone
    if of is here and time.monotonic() < until:
        return False
    with db.read() as conn:
        found = is_team(conn)
    if not found:
        _known_alone = here, time.monotonic() + remembered.SECONDS
    return found


def limits(conn: sa.Connection) -> tuple[int, int]:
    """How long a browser session may lie idle and live at all, in ms: 12 h and 7 d, for one person 30 d."""
    return (TEAM_IDLE, TEAM_LIFE) if is_team(conn) else (LOCAL_LIFE, LOCAL_LIFE)


def acting_for(
    user_id: str,
    kind: Literal["agent", "system"],
    *,
    project: str | None = None,
    name: str | None = None,
    via: str = "",
    scopes: tuple[str, ...] | None = None,
) -> Actor | None:
    """An actor with a person's present rights, for a run or a schedule; None once the person is gone.

    With `scopes` it holds no more of them than these.
    """
    with db.read() as conn:
        known = conn.execute(_living(sa.select(user.c.name), user.c.id == user_id)).first()
        held = reach.of(conn, user_id) if known else reach.Reach()
    if known is None:
        return None
    if scopes is not None:
        held = held.within(scopes)
    return replace(_acting(user_id, name or known.name, held, kind), project=project, via=via)


def _acting(user_id: str, name: str, held: reach.Reach, kind: Literal["agent", "system"]) -> Actor:
    return Actor(
        id=f"{kind}:{user_id}",
        kind=kind,
        user=user_id,
        name=name,
        grants=held.grants,
        closed=held.closed,
        lent=held.lent,
    )


def announce_end(conn: sa.Connection, fact: PrincipalRevoked) -> None:
    """Say that a principal is gone, and forget it in this process once that is committed."""
    record.event(conn, fact, Scope(owner=fact.user_id, project="", visibility="private"))
    db.after_commit(identity.forget)


def _begin_team(conn: sa.Connection, actor: Actor) -> None:
    limit = ids.now() + TEAM_LIFE
    conn.execute(browser_session.update().values(idle=TEAM_IDLE))
    conn.execute(browser_session.update().where(browser_session.c.expires > limit).values(expires=limit))
    record.audit(conn, actor, "team.begin")


def list_acting(actor: Actor) -> list[Actor]:
    """Everybody who is here as an actor with their present rights, to be asked what they may; oldest first."""
    require(actor, "users:read")
    query = _living(sa.select(user.c.id, user.c.name)).order_by(user.c.created, user.c.id)
    with db.read() as conn:
        people = conn.execute(query).all()
        reaches = reach.of_everybody(conn)
    return [_acting(person_id, name, reaches.get(person_id, reach.Reach()), "system") for person_id, name in people]


def _living(query: sa.Select[Any], *where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return query.where(user.c.revoked.is_(None), *where)


_everybody = sa.select(sa.func.count()).select_from(user)


def _count(conn: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return conn.execute(sa.select(sa.func.count()).select_from(user).where(*where)).scalar_one()


def _first(conn: sa.Connection, query: sa.Select[Any]) -> User | None:
    return next(iter(_read(conn, conn.execute(query).mappings().all())), None)


def _read(conn: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[User]:
    held = roles.of_users(conn, [row["id"] for row in rows])
    among = roles.known(conn) if any(name not in roles.BUILT_IN for names in held.values() for name in names) else {}
    return [
        User(**row, roles=names, grants=roles.granted(names, among or roles.BUILT_IN))
        for row in rows
        for names in [held.get(row["id"], ())]
    ]


def _new(name: str, email: str | None, role: str, held: tuple[str, ...]) -> User:
    return User(ids.random("usr"), name, email, ids.now(), None, None, (role,), held)


def _seated(conn: sa.Connection) -> User:
    found = _first(conn, sa.select(*_columns).where(user.c.seat == "first"))
    assert found is not None
    return found


def _name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not 1 <= len(cleaned) <= 80 or not cleaned.isprintable():
        raise Invalid("A name has 1 to 80 printable characters.", "name")
    return cleaned


def _email(email: str | None) -> str | None:
    if not email:
        return None
    if not _EMAIL.fullmatch(email.strip()):
        raise Invalid("This is not an email address.", "email")
    return email.strip().lower()


def _may_give(conn: sa.Connection, actor: Actor, role: str) -> tuple[str, ...]:
    """What the role grants. Raises Invalid for an unknown one, Denied for one with more than the actor holds."""
    among = roles.known(conn, lock=True)
    if role not in among:
        raise Invalid(f"A role is one of {', '.join(among)}.", "role")
    if not grants.covers_all(actor.grants, roles.at_most(role, among)):
        raise Denied(f"You can give only rights that you hold; {role} has more.")
    return roles.granted([role], among)


def local_owner() -> Actor:
    """The owner, as who commands at the server's own shell: whoever may write its data directory."""
    with db.transaction() as conn:
        person = owner(conn)
    granted = grants.ROLES["owner"]
    return Actor(id=person.id, kind="user", user=person.id, name=person.name, grants=granted, via="shell")
