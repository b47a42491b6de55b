"""What people have chosen for themselves: how pages look to them, and who sees the sessions that they begin."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

import sqlalchemy as sa

from app import config, db, record
from app.accounts.models import look as table
from app.actor import Actor
from app.errors import Invalid, NotFound

# "" is what nobody has chosen: pages then go by the browser's own cookie, and it by the system.
THEMES = ("", "system", "light", "dark")
DENSITIES = ("", "normal", "compact")
VISIBILITIES = ("", *config.VISIBILITIES)


@dataclass(frozen=True)
class Look:
    """One person's choices; "" where they have made none."""

    theme: str = ""
    density: str = ""
    visibility: str = ""


_columns = [table.c[one.name] for one in fields(Look)]
_by_user = sa.select(*_columns).where(table.c.user_id == sa.bindparam("user"))


def look_of(user: str) -> Look:
    """What a person has chosen."""
    with db.read() as conn:
        row = conn.execute(_by_user, {"user": user}).first()
    return Look(*row) if row else Look()


def change_look(actor: Actor, theme: str, density: str) -> Look:
    """Choose theme and density. Raises Invalid; NotFound for what is no person."""
    _check("theme", theme, THEMES)
    _check("density", density, DENSITIES)
    with db.transaction() as conn:
        return _put(conn, actor, theme=theme, density=density)


def change_visibility(actor: Actor, visibility: str) -> Look:
    """Choose who sees the actor's new sessions: private, team, or "" for what the server has. Raises as above."""
    _check("visibility", visibility, VISIBILITIES)
    with db.transaction() as conn:
        new = _put(conn, actor, visibility=visibility)
        record.audit(conn, actor, "user.visibility", actor.user, {"visibility": visibility})
    return new


def _put(conn: sa.Connection, actor: Actor, **chosen: str) -> Look:
    if actor.kind != "user":
        raise NotFound("user", actor.user)
    row = conn.execute(_by_user.with_for_update(), {"user": actor.user}).first()
    new = replace(Look(*row) if row else Look(), **chosen)
    if row is None:
        try:
            with conn.begin_nested():
                conn.execute(table.insert().values(user_id=actor.user, **asdict(new)))
                return new
        except sa.exc.IntegrityError:  # another page of theirs was quicker
            new = replace(Look(*conn.execute(_by_user.with_for_update(), {"user": actor.user}).one()), **chosen)
    conn.execute(table.update().where(table.c.user_id == actor.user).values(**asdict(new)))
    return new


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise Invalid(f"{name} is one of {', '.join(filter(None, known))}.", name)
