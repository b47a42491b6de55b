"""Custom modes of the whole server: written by somebody who may set its settings, for all projects."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql, sqlite

from app import db, ids, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.agent import mode_config
from app.agent.mode_config import ModeConfig
from app.agent.models import custom_mode as table
from app.errors import Conflict, Invalid, NotFound
from app.settings import service as settings

_logger = logging.getLogger(__name__)
_SERVER = Scope(owner="", project="")


def list_all(actor: Actor | None) -> list[ModeConfig]:
    """The custom modes of the server, by slug."""
    accounts.require(actor, "settings:read")
    return of_server()


def of_server() -> list[ModeConfig]:
    """The same for the engine, which asks in nobody's name."""
    with db.read() as connection:
        rows = connection.scalars(sa.select(table.c.definition).order_by(table.c.slug)).all()
    return [mode for row in rows if (mode := _kept(row)) is not None]


def may_write(actor: Actor | None) -> bool:
    """Whether somebody may make, change and remove them."""
    return accounts.may(actor, "settings:write", _SERVER)


def save(actor: Actor | None, given: Mapping[str, Any] | ModeConfig, *, is_new: bool = False) -> ModeConfig:
    """Keep a mode in Roo's spelling in place of the one with its slug, if there is one; agents keep none.

    Raises Invalid, which names the field and what is wrong with it, and Conflict for a new one whose slug is taken.
    """
    actor = accounts.require(actor, "settings:write", _SERVER)
    mode = given if isinstance(given, ModeConfig) else _validated(given)
    row = {"definition": mode.shown(), "by": actor.user, "updated": ids.now()}
    with db.transaction() as connection:
        _check_room(connection, mode.slug)
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        put = insert(table).values(slug=mode.slug, **row)
        if is_new:
            put = put.on_conflict_do_nothing()
        else:
            put = put.on_conflict_do_update(index_elements=["slug"], set_=row)
        if connection.scalar(put.returning(table.c.slug)) is None:
            raise Conflict(f"There is a custom mode {mode.slug!r} already.")
        groups = [group.shown for group in mode.groups]
        record.audit(connection, actor, "agent.custom_mode", mode.slug, {"name": mode.name, "groups": groups})
        settings.dispose(actor, None)
    return mode


def remove(actor: Actor | None, slug: str) -> None:
    """Delete a mode; sessions that are in it cannot go on without choosing another. Raises NotFound."""
    actor = accounts.require(actor, "settings:write", _SERVER)
    with db.transaction() as connection:
        gone = connection.execute(table.delete().where(table.c.slug == slug))
        if not gone.rowcount:
            raise NotFound("mode", slug)
        record.audit(connection, actor, "agent.custom_mode_remove", slug, {})
        settings.dispose(actor, None)


def _kept(row: Mapping[str, Any]) -> ModeConfig | None:
    """A mode as it was kept; None for one that is none any more by what holds now."""
    try:
        return ModeConfig.model_validate(row)
    except ValidationError:
        _logger.exception("the custom mode %r is left out", row.get("slug"))
        return None


def _validated(given: Mapping[str, Any]) -> ModeConfig:
    try:
        return ModeConfig.model_validate(dict(given))
    except ValidationError as wrong:
        field = (wrong.errors()[0]["loc"] or ("mode",))[0]
        raise Invalid("\n".join(mode_config.faults(wrong)), str(field)) from None


def _check_room(connection: sa.Connection, slug: str) -> None:
    others = connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.slug != slug)) or 0
    if others >= mode_config.MOST:
        raise Invalid(f"There are at most {mode_config.MOST} custom modes.", "slug")
