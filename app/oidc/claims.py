"""From what a provider says of somebody to the person they are here and the role that it gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import service as accounts
from app.accounts.service import User
from app.actor import SYSTEM, Actor
from app.errors import Invalid, Taken
from app.oidc import providers
from app.oidc.models import identity
from app.oidc.models import provider as table
from app.oidc.things import Claims, Provider, Refused

MOST_VALUES = 1000


def voucher(provider: Provider) -> Actor:
    """The provider as who gives what it was set up to give, and never more than who set it up held."""
    held = tuple(dict.fromkeys((*provider.ceiling, providers.KEY)))
    return Actor(id=f"oidc:{provider.id}", kind="system", user=provider.set_by, name=provider.name, grants=held)


def person_of(provider: Provider, claims: Claims) -> User:
    """Who this is here, added where the provider may add people, with the role that its claims give them now.

    A person is (issuer, subject): an e-mail address alone leads to nobody who is here already. Raises Refused.
    """
    try:
        return _person_of(provider, claims)
    except (sa.exc.IntegrityError, Taken):  # another sign-in of the same person was quicker
        return _person_of(provider, claims)


def _person_of(provider: Provider, claims: Claims) -> User:
    with db.transaction() as conn:
        row = _known(conn, claims)
        person = _admit(conn, provider, claims) if row is None else accounts.find_person(row.user_id)
        if person is None:
            raise Refused("GONE", provider.name)
        _is_below(provider, person)
        roles = roles_of(provider, claims)
        others = _roles_by_others(conn, claims, person.id)
        _note(conn, claims, roles)
        # Each provider speaks for what it gave itself; what another one gave stays while the person still holds it.
        roles = tuple(dict.fromkeys((*roles, *(role for role in person.roles if role in others)))) if roles else ()
        if roles and accounts.OWNER not in person.roles and set(roles) != set(person.roles):
            accounts.give_roles(voucher(provider), person.id, roles)
        return accounts.find_person(person.id) or person


def _roles_by_others(conn: sa.Connection, claims: Claims, user_id: str) -> set[str]:
    """The roles that this person has by the claims of other providers that are on, as they were at the last sign-ins.

    Sign-ins of one person go one after the other from here on.
    """
    mine = identity.c.user_id == user_id
    list(conn.execute(sa.select(identity.c.id).where(mine).order_by(identity.c.id).with_for_update()))
    is_this = sa.and_(identity.c.issuer == claims.issuer, identity.c.subject == claims.subject)
    on = sa.select(table.c.id).where(table.c.enabled, table.c.role_claim != "")
    query = sa.select(identity.c.roles).where(mine, sa.not_(is_this), identity.c.provider.in_(on))
    return {role for roles in conn.scalars(query) for role in roles}


def connect(provider: Provider, claims: Claims, user_id: str) -> None:
    """Let a person who is signed in sign in with this identity too: only with their own, confirmed address."""
    with db.transaction() as conn:
        row = _known(conn, claims)
        if row is not None and row.user_id != user_id:
            raise Refused("OTHER_PERSON", provider.name)
        person = accounts.find_person(user_id)
        if person is None:
            raise Refused("GONE", provider.name)
        if not claims.is_verified or not claims.email or claims.email != person.email:
            raise Refused("UNVERIFIED", provider.name)
        _is_below(provider, person)
        if row is None:
            _insert(conn, provider, claims, user_id)


def roles_of(provider: Provider, claims: Claims) -> tuple[str, ...]:
    """The roles that the claims give, the default one if they name none; () where no claim decides.

    Never one above what who set the provider up held, and never the owner's.
    """
    if not provider.role_claim:
        return ()
    values = list(_values(claims.said, provider.role_claim))
    named = [provider.role_map.get(value, "") for value in values] if provider.role_map else values
    allowed = [role for role in dict.fromkeys(named) if _may_give(provider, role)]
    return tuple(allowed) or _default(provider)


def _default(provider: Provider) -> tuple[str, ...]:
    return (provider.default_role,) if _may_give(provider, provider.default_role) else ("base",)


def _may_give(provider: Provider, role: str) -> bool:
    return role != accounts.OWNER and accounts.holds(provider.ceiling, role)


def _is_below(provider: Provider, person: User) -> None:
    """Nobody comes in with more than who set the provider up held: else whoever may set one up could be anybody."""
    if not accounts.covers(provider.ceiling, person.grants):
        raise Refused("CEILING", provider.name)


def value_of(said: Mapping[str, Any], name: str) -> Any:
    """What a claim says, None where there is none; a name with dots leads into an object where no claim has all of it
    for its name.
    """
    found: Any = said.get(name)
    if found is None and "." in name:
        found = said
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _values(said: Mapping[str, Any], name: str) -> Iterator[str]:
    """The words of a claim."""
    found = value_of(said, name)
    for value in found[:MOST_VALUES] if isinstance(found, list) else [found]:
        if isinstance(value, str) and 0 < len(value) <= 255:
            yield value


def _admit(conn: sa.Connection, provider: Provider, claims: Claims) -> User:
    """Add a new person; raises Refused for somebody who may be here already, or where nobody is added."""
    if claims.email and accounts.find_person_by_email(claims.email) is not None:
        raise Refused("KNOWN_EMAIL", provider.name, detail="confirmed" if claims.is_verified else "not confirmed")
    if not provider.auto_register:
        raise Refused("NOT_INVITED", provider.name)
    roles = roles_of(provider, claims) or _default(provider)
    # An address that nobody has confirmed would keep its true owner from being invited.
    email = claims.email if claims.is_verified else None
    try:
        person = accounts.create_user(voucher(provider), _name(claims), email, roles[0])
    except Invalid as problem:
        raise Refused("TOKEN", provider.name, detail=problem.message) from problem
    _insert(conn, provider, claims, person.id)
    return person


def _name(claims: Claims) -> str:
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in claims.name).split())
    return shown[:80].strip() or "Somebody"


def _known(conn: sa.Connection, claims: Claims) -> sa.Row[Any] | None:
    query = sa.select(identity).where(identity.c.issuer == claims.issuer, identity.c.subject == claims.subject)
    return conn.execute(query).first()


def _insert(conn: sa.Connection, provider: Provider, claims: Claims, user_id: str) -> None:
    now = ids.now()
    row = {"id": ids.random("idn"), "issuer": claims.issuer, "subject": claims.subject, "provider": provider.id}
    conn.execute(
        identity.insert(),
        {**row, "user_id": user_id, "email": claims.email[:255], "roles": [], "created": now, "seen": now},
    )
    record.audit(conn, SYSTEM, "oidc.connect", user_id, {"provider": provider.id, "identity": row["id"]})


def _note(conn: sa.Connection, claims: Claims, roles: tuple[str, ...]) -> None:
    mine = identity.c.issuer == claims.issuer, identity.c.subject == claims.subject
    given = {"email": claims.email[:255], "roles": list(roles), "seen": ids.now()}
    conn.execute(identity.update().where(*mine).values(given))
