"""From rows to things, and the writes that several modules share."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import sqlalchemy as sa

from app import ids, record
from app.accounts import service as accounts
from app.actor import Scope
from app.notifications import models
from app.notifications.events import NoticeChanged
from app.notifications.things import Channel, Notice, Rules

NO_ADDRESS = "you have no email address here any more"


def channels(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Channel]:
    """The channels that fit, oldest first."""
    query = sa.select(*(models.channel.c[one.name] for one in fields(Channel))).where(*where)
    found = connection.execute(query.order_by(models.channel.c.created, models.channel.c.id)).all()
    return [_as_it_leads(Channel(*row)) for row in found]


def _as_it_leads(channel: Channel) -> Channel:
    """Mail goes to the address that its owner has by now: an earlier one may be somebody else's."""
    if channel.kind != "mail":
        return channel
    person = accounts.find_person(channel.owner)
    address = person.email if person else None
    return replace(channel, address=address) if address else replace(channel, ended=channel.ended or NO_ADDRESS)


def rules_of(connection: sa.Connection, owner: str) -> Rules:
    """When this person is told; what holds by default until they say otherwise."""
    columns = [models.rules.c[one.name] for one in fields(Rules)]
    row = connection.execute(sa.select(*columns).where(models.rules.c.owner == owner)).first()
    return Rules(*row) if row else Rules()


def wanting(connection: sa.Connection, occasion: str, owner: str, *, others: bool) -> list[tuple[Channel, int]]:
    """The working channels for such an occasion in this owner's work, each with its delay; with `others` also those of
    whoever wants to know of others' work.
    """
    columns = [models.channel.c[one.name] for one in fields(Channel)]
    whose = models.channel.c.owner == owner
    query = (
        sa.select(*columns, sa.func.coalesce(models.rules.c.delay, Rules().delay))
        .outerjoin_from(models.channel, models.rules, models.rules.c.owner == models.channel.c.owner)
        .where(models.channel.c.ended == "", sa.or_(whose, models.rules.c.others) if others else whose)
    )
    found = connection.execute(query.order_by(models.channel.c.created, models.channel.c.id))
    every = [(Channel(*row[:-1]), int(row[-1])) for row in found]
    return [(channel, delay) for channel, delay in every if occasion in channel.occasions]


def notices(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Notice]:
    """The notices that fit, newest first."""
    query = sa.select(*(models.notice.c[one.name] for one in fields(Notice))).where(*where)
    newest = query.order_by(models.notice.c.created.desc(), models.notice.c.id.desc()).limit(limit)
    return [Notice(*row) for row in connection.execute(newest)]


def add(connection: sa.Connection, new: Notice) -> bool:
    """Write a notice down, and whether it was new: by one channel nobody is told twice of the same."""
    try:
        with connection.begin_nested():
            connection.execute(models.notice.insert().values(**asdict(new)))
    except sa.exc.IntegrityError:
        return False
    return True


def settle(connection: sa.Connection, one: Notice, state: str, why: str = "", **more: Any) -> None:
    """Say how it came out, to the row and to the page of its owner."""
    values = {"state": state, "why": why[:400], "settled": ids.now(), **more}
    connection.execute(models.notice.update().where(models.notice.c.id == one.id).values(**values))
    fact = NoticeChanged(session_id="", id=one.id)
    record.event(connection, fact, Scope(owner=one.owner, project="", visibility="private"))
