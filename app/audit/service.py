"""The verbs of audit: read the record, and prove that nobody has changed it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app import config, db, dispatch, record
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import anchor, chain
from app.audit.denials import Denials
from app.audit.models import seal
from app.audit.sealer import Sealer, unsealed_count

__all__ = ["Entry", "Sealer", "Verdict", "entries", "note_denial", "start", "stop", "tell_denials", "verify"]

CHUNK = 2000


@dataclass(frozen=True)
class Entry:
    """One deed: when (unix ms), who, what, on what, with which result, and from where."""

    seq: int
    at: int
    actor: str
    actor_kind: str
    user: str
    token: str | None
    action: str
    target: str
    result: str
    address: str
    via: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether the record is whole; if not, the seq of the first row that is not, and a sentence."""

    ok: bool
    first_bad: int | None
    sealed: int
    unsealed: int
    reason: str = ""


_columns = [record.audit_rows.c[field.name] for field in dataclasses.fields(Entry)]
_linked = (
    sa.select(
        seal.c.place,
        seal.c.seq.label("sealed_seq"),
        seal.c.prev_hash.label("link_prev"),
        seal.c.hash.label("link_hash"),
        *(record.audit_rows.c[name] for name in chain.COVERED),
    )
    .select_from(seal.outerjoin(record.audit_rows, record.audit_rows.c.seq == seal.c.seq))
    .order_by(seal.c.place)
    .limit(CHUNK)
)


_running: list[Sealer] = []
_denials = Denials()


def start() -> None:
    """Begin to seal in this process, once."""
    if not _running:
        _running.append(Sealer())
        _running[0].start()


def stop() -> None:
    """Tell what was only counted, seal what is there and end."""
    _denials.flush(ending=True)
    while _running:
        _running.pop().stop()


def note_denial(actor: Actor, action: str, target: str, detail: dict[str, Any]) -> None:
    """Write down that somebody was refused: at most one row a minute for each (actor, address, action, target)."""
    _denials.note(actor, action, target, detail)


@dispatch.every(20.0)
def tell_denials() -> None:
    """Tell how often refusals came again within the minutes that are over."""
    _denials.flush()


def entries(actor: Actor, before: int | None = None, limit: int = 100) -> list[Entry]:
    """The record, newest first, below the given seq; at most 500 at once."""
    accounts.require(actor, "audit:read")
    query = sa.select(*_columns).order_by(record.audit_rows.c.seq.desc()).limit(max(1, min(limit, 500)))
    if before is not None:
        query = query.where(record.audit_rows.c.seq < before)
    with db.read() as conn:
        return [Entry(**row) for row in conn.execute(query).mappings()]


def verify(actor: Actor) -> Verdict:
    """Follow the whole chain and compare its end with the anchor; finds edits, gaps, swaps and a cut end."""
    accounts.require(actor, "audit:read")
    with db.read() as conn:
        unsealed = unsealed_count(conn)
        walk = _Walk(conn)
        while walk.flaw is None and (rows := _next(conn, walk.place)):
            for row in rows:
                if not walk.step(row):
                    break
        flaw = walk.flaw or _anchor_flaw(conn, walk)
    if flaw is None:
        return Verdict(True, None, walk.place, unsealed)
    return Verdict(False, flaw[0], walk.place, unsealed, flaw[1])


class _Walk:
    """The way along the chain so far; `flaw` is the seq and the reason of its end."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn
        self.place, self.seq, self.hash = 0, 0, chain.GENESIS
        self.flaw: tuple[int | None, str] | None = None

    def step(self, row: sa.RowMapping) -> bool:
        """Go on by one link; False if it does not hold."""
        self.flaw = self._look(row)
        if self.flaw is None:
            self.place, self.seq, self.hash = row["place"], row["sealed_seq"], row["link_hash"]
        return self.flaw is None

    def _look(self, row: sa.RowMapping) -> tuple[int | None, str] | None:
        if row["place"] != self.place + 1:
            return self.seq + 1, "A row and its seal are gone."
        if row["seq"] is None:
            return row["sealed_seq"], "This row is gone."
        if chain.link(row["link_prev"], dict(row)) != row["link_hash"]:
            return row["sealed_seq"], "This row was changed."
        if row["link_prev"] == self.hash:
            return None
        if self.seq == 0 or self._is_linked(row["link_prev"]):
            return row["sealed_seq"], "This row was moved."
        return self.seq, "This row was changed and sealed anew."

    def _is_linked(self, prev_hash: str) -> bool:
        """Whether the row's true predecessor is still somewhere in the chain."""
        query = sa.select(seal.c.place).where(seal.c.hash == prev_hash)
        return self._conn.execute(query.limit(1)).first() is not None


def _next(conn: sa.Connection, place: int) -> list[sa.RowMapping]:
    return list(conn.execute(_linked.where(seal.c.place > place)).mappings())


def _anchor_flaw(conn: sa.Connection, walk: _Walk) -> tuple[int | None, str] | None:
    try:
        head = anchor.read(config.current().data_dir)
    except anchor.ForgedHead:
        return None, "The signed head of the record is missing or forged."
    if head is None:
        return None
    found = conn.execute(sa.select(seal.c.hash).where(seal.c.place == head.place)).scalar()
    if found is None:
        return walk.seq + 1, "The end of the record was cut off."
    if found != head.hash:
        return head.seq, "The record was written anew after it had been anchored."
    return None
