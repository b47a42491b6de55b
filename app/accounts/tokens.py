"""API tokens: minted once shown, kept as hashes, bound to scopes, an end and a project."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, ids, record
from app.accounts import digests, fresh, grants, people, reach
from app.accounts.authority import may, require
from app.accounts.events import PrincipalRevoked, TokenMinted
from app.accounts.models import token
from app.actor import Actor, Scope
from app.errors import Conflict, Denied, Invalid, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
_PREFIX = {"rootcx": "sc_rootcx"}
# E2B's clients take no key of another form.
_HEX = ("e2b",)


@dataclass(frozen=True)
class Token:
    """An API token without its secret; times in unix ms, project is a project id or None for all."""

    id: str
    user_id: str
    name: str
    scopes: tuple[str, ...]
    project: str | None
    dialect: str
    created: int
    expires: int | None
    last_used: int | None
    revoked: int | None
    is_agent: bool = False

    @property
    def owner(self) -> str:
        """The user it acts for."""
        return self.user_id

    @property
    def visibility(self) -> str:
        """A token is its owner's own affair."""
        return "private"


_columns = [token.c[field.name] for field in dataclasses.fields(Token)]


def mint_token(
    actor: Actor,
    name: str,
    scopes: tuple[str, ...] = (grants.EVERYTHING,),
    expires: int | None = None,
    project: str | None = None,
    dialect: str = "",
    *,
    is_agent: bool = False,
) -> tuple[Token, str]:
    """Make a token for the actor's user and give its secret, which is shown this once.

    The default scope means all that the user may do at the time of use. What an agent is to hold never answers an ask,
    configures, mints or shares, whatever its scopes. Raises Invalid, Conflict for a name in use, Denied for a scope,
    project or life beyond the actor's own, Stale for a sign-in that is not fresh.
    """
    require(actor, "tokens:write")
    fresh.require_fresh(actor)
    new = Token(
        id=ids.random("tok"),
        user_id=actor.user,
        name=_name(name),
        scopes=_scopes(actor, scopes),
        project=_project(actor, project),
        dialect=dialect,
        created=ids.now(),
        expires=_expires(expires),
        last_used=None,
        revoked=None,
        is_agent=is_agent,
    )
    secret = ids.hex_secret(dialect) if dialect in _HEX else ids.secret(_PREFIX.get(dialect, "sc"))
    with db.transaction() as conn:
        people.get(conn, actor.user)
        _outlives_nobody(conn, actor, new)
        _insert(conn, actor, new, secret)
    return new, secret


def lend_token(actor: Actor, name: str, secret: str, scopes: tuple[str, ...], project: str, only_in: str) -> Token:
    """Keep a secret that another room has made as a token of the actor's user, good in one dialect alone.

    It holds what the actor holds of the scopes, and ends with the token that the actor came with.
    """
    require(actor, "system:read")
    with db.transaction() as conn:
        people.get(conn, actor.user)
        end = conn.execute(sa.select(token.c.expires).where(token.c.id == actor.token)).scalar()
        new = Token(
            id=ids.random("tok"),
            user_id=actor.user,
            name=_name(name),
            scopes=grants.meet(actor.grants, scopes),
            project=project,
            dialect=only_in,
            created=ids.now(),
            expires=end,
            last_used=None,
            revoked=None,
            is_agent=actor.kind == "agent",
        )
        _insert(conn, actor, new, secret, only_in=only_in, parent=actor.token or "")
    return new


def take_back(token_id: str) -> None:
    """End a lent token, within the transaction of who lent it; one that has ended already is left alone."""
    with db.transaction() as conn:
        living = token.c.id == token_id, token.c.revoked.is_(None)
        user_id = conn.execute(sa.select(token.c.user_id).where(*living)).scalar()
        if user_id is not None:
            conn.execute(token.update().where(*living).values(revoked=ids.now()))
            people.announce_end(conn, PrincipalRevoked(token_id, "token", user_id))


def is_good(token_id: str, secret: str) -> bool:
    """Whether a token lives and has this secret."""
    query = sa.select(token.c.id).where(
        token.c.id == token_id,
        token.c.hash == digests.digest(secret),
        token.c.revoked.is_(None),
        sa.or_(token.c.expires.is_(None), token.c.expires > ids.now()),
    )
    with db.read() as conn:
        return conn.execute(query).first() is not None


def may_hold(actor: Actor, token_id: str) -> bool:
    """Whether the actor may be given the secret of a living token of its own user: with it, it does no more than
    without.
    """
    mine = token.c.id == token_id, token.c.user_id == actor.user, token.c.revoked.is_(None)
    with db.read() as conn:
        row = conn.execute(sa.select(token.c.scopes, token.c.is_agent).where(*mine)).first()
        if row is None or (actor.kind == "agent" and not row.is_agent):
            return False
        held = reach.of(conn, actor.user).within(row.scopes)
    return grants.covers_all(actor.grants, held.grants) and held.lent <= actor.lent


def revoke_token(actor: Actor, token_id: str) -> None:
    """End a token at once: one's own, or with `users:write` one of somebody one outranks."""
    require(actor, "tokens:write")
    with db.transaction() as conn:
        found = _get(conn, actor, token_id)
        if found.revoked is not None:
            return
        conn.execute(token.update().where(token.c.id == token_id).values(revoked=ids.now()))
        record.audit(conn, actor, "token.revoke", token_id, {"name": found.name})
        people.announce_end(conn, PrincipalRevoked(token_id, "token", found.user_id))
        for lent in conn.scalars(sa.select(token.c.id).where(token.c.parent == token_id)).all():
            take_back(lent)


def list_tokens(actor: Actor, *, everyone: bool = False) -> list[Token]:
    """The actor's living tokens, newest first; of everyone with `users:write`."""
    require(actor, "tokens:read")
    query = sa.select(*_columns).where(token.c.revoked.is_(None)).order_by(token.c.created.desc(), token.c.id)
    if everyone:
        require(actor, "users:write")
    else:
        query = query.where(token.c.user_id == actor.user)
    if actor.project is not None:
        query = query.where(token.c.project == actor.project)
    with db.read() as conn:
        return [_read(row) for row in conn.execute(query).mappings()]


def _insert(conn: sa.Connection, actor: Actor, new: Token, secret: str, *, only_in: str = "", parent: str = "") -> None:
    """Store a token, write it down and announce it; raises Conflict for a name in use."""
    taken = sa.select(token.c.id).where(token.c.name == new.name, token.c.revoked.is_(None))
    if conn.execute(taken).first():
        raise Conflict(f"A token named {new.name} exists; revoke it first or choose another name.")
    row = {**dataclasses.asdict(new), "scopes": list(new.scopes), "hash": digests.digest(secret)}
    conn.execute(token.insert(), {**row, "only_in": only_in, "parent": parent})
    detail = {"name": new.name, "scopes": list(new.scopes)} | ({"agent": True} if new.is_agent else {})
    record.audit(conn, actor, "token.mint", new.id, detail)
    scope = Scope(owner=actor.user, project="", visibility="private")
    record.event(conn, TokenMinted(new.id, actor.user, new.name), scope)


def _get(conn: sa.Connection, actor: Actor, token_id: str) -> Token:
    row = conn.execute(sa.select(*_columns).where(token.c.id == token_id)).mappings().first()
    found = _read(row) if row else None
    if found is None or (actor.project is not None and found.project != actor.project):
        raise NotFound("token", token_id)
    if found.user_id != actor.user:
        if not may(actor, "users:write"):
            raise NotFound("token", token_id)
        people.outranks(actor, people.get(conn, found.user_id))
    return found


def _read(row: sa.RowMapping) -> Token:
    return Token(**{**row, "scopes": tuple(row["scopes"])})


def _name(name: str) -> str:
    if not _NAME.fullmatch(name.strip()):
        raise Invalid("A token's name has 1 to 60 letters, digits, spaces and . _ - characters.", "name")
    return name.strip()


def _scopes(actor: Actor, scopes: tuple[str, ...]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(scopes))
    if not 1 <= len(asked) <= 100 or not all(grants.is_grant(scope) for scope in asked):
        raise Invalid("Scopes are 1 to 100 grants such as sessions:read, tool:* or *.", "scopes")
    if asked == (grants.EVERYTHING,):
        return asked if actor.token is None else actor.grants
    # What was lent counts too: when the token is used, it holds of that what is lent then, and over no more.
    if not grants.covers_all((*actor.grants, *(key for key, _place in actor.lent)), asked):
        raise Denied("A token can hold only what you hold yourself.")
    return asked


def _project(actor: Actor, project: str | None) -> str | None:
    if actor.project is not None and project not in (None, actor.project):
        raise Denied("A token bound to a project can mint only tokens for that project.")
    return project or actor.project


def _outlives_nobody(conn: sa.Connection, actor: Actor, new: Token) -> None:
    end = conn.execute(sa.select(token.c.expires).where(token.c.id == actor.token)).scalar()
    if end is not None and (new.expires is None or new.expires > end):
        raise Denied("A token can mint only tokens that end no later than itself.")


def _expires(expires: int | None) -> int | None:
    if expires is not None and expires <= ids.now():
        raise Invalid("The end of a token lies in the future.", "expires")
    return expires
