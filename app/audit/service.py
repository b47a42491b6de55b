"""The verbs of audit: read the record, and prove that nobody has changed it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, dispatch
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import looking, verifying
from app.audit.acts import ACTS
from app.audit.denials import Denials
from app.audit.exporting import export
from app.audit.looking import COLUMNS, Condition, Entry, Operator
from app.audit.models import seal
from app.audit.sealer import Sealer
from app.audit.verifying import Checkpoint, Look, Verdict, Verifier, follow, verify
from app.errors import Invalid, NotFound

__all__ = [
    "ACTS",
    "Checkpoint",
    "Condition",
    "Entry",
    "Look",
    "Operator",
    "Sealer",
    "Standing",
    "Verdict",
    "entries",
    "export",
    "follow",
    "get",
    "note_denial",
    "standing",
    "start",
    "start_verifying",
    "stop",
    "tell_denials",
    "verify",
]
MOST = 1000
_WAIT = 5.0


@dataclass(frozen=True)
class Standing:
    """How the chain stands: its length, the last look at all of it, and (done, of) while one goes on here."""

    sealed: int
    look: Look | None
    progress: tuple[int, int] | None


_running: list[Sealer] = []
_denials = Denials()
_verifier = Verifier()


def start() -> None:
    """Begin to seal in this process, once."""
    if not _running:
        _running.append(Sealer())
        _running[0].start()


def stop() -> None:
    """Tell what was only counted, seal what is there and end."""
    _verifier.stop(_WAIT)
    _denials.flush(ending=True)
    while _running:
        _running.pop().stop()


def note_denial(actor: Actor, action: str, target: str, detail: dict[str, object]) -> None:
    """Write down that somebody was refused: at most one row a minute for each (actor, address, action, target)."""
    _denials.note(actor, action, target, detail)


@dispatch.every(20.0)
def tell_denials() -> None:
    """Tell how often refusals came again within the minutes that are over."""
    _denials.flush()


def entries(
    actor: Actor,
    conditions: Iterable[Condition] = (),
    before: int | None = None,
    limit: int = 100,
    *,
    order: str = "seq",
    is_rising: bool = False,
) -> list[Entry]:
    """The entries that fit all conditions, newest first or in the order of a column; below the seq `before`.

    At most 1000 at once. Raises Invalid for a column that there is not, or a value that is none of its.
    """
    accounts.require(actor, "audit:read")
    if order not in COLUMNS:
        raise Invalid("There is no such column to order by.", "order_by")
    query = looking.query(conditions)
    if before is not None:
        query = query.where(COLUMNS["seq"] < before)
    by = dict.fromkeys((order, "seq"))
    query = query.order_by(*(COLUMNS[name].asc() if is_rising else COLUMNS[name].desc() for name in by))
    with db.read() as conn:
        return [Entry(*row) for row in conn.execute(query.limit(max(1, min(limit, MOST))))]


def get(actor: Actor, seq: int) -> Entry:
    """One entry; raises NotFound."""
    accounts.require(actor, "audit:read")
    with db.read() as conn:
        row = conn.execute(looking.query([Condition("seq", seq)])).one_or_none()
    if row is None:
        raise NotFound("entry", str(seq))
    return Entry(*row)


def standing(actor: Actor) -> Standing:
    """How the chain stands, without following it."""
    accounts.require(actor, "audit:read")
    with db.read() as conn:
        sealed = conn.scalar(sa.select(sa.func.max(seal.c.place))) or 0
        return Standing(sealed, verifying.find_last_look(conn), _verifier.progress)


def start_verifying(actor: Actor) -> None:
    """Follow the whole chain aside; what it finds is written into the record, by the one who asked."""
    accounts.require(actor, "audit:read")
    _verifier.start(actor)
