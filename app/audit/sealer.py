"""The sealer: within a second it chains what was audited, on a thread of its own in the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import config, db, ids, record
from app.actor import SYSTEM, Scope
from app.audit import anchor, chain
from app.audit.events import RecordGrew
from app.audit.models import seal

BATCH = 1000
EVERY = 1.0
ANCHOR_ROWS = 1000
ANCHOR_AGE = 5 * 60 * 1000
# A transaction that commits late has a seq not further behind than this; the first round looks at all.
LATE = 10_000
EVERYBODY = Scope(owner=SYSTEM.user, project="")

_LOCK = 0x5EA1  # PostgreSQL's advisory lock: one process seals at a time
_logger = logging.getLogger(__name__)


class Sealer:
    """Seals every second between `start` and `stop`; a process that only writes needs none."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or config.current().data_dir
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._floor = 0
        self._anchored = anchor.Head(0, 0, chain.GENESIS, 0)

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="audit-sealer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Seal and anchor what is there, then end."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def seal(self) -> int:
        """Chain all committed rows that have no seal yet; give how many."""
        total, behind = 0, self._floor
        while rows := self._seal_batch(behind):
            total += len(rows)
            if len(rows) < BATCH:
                break
            # What commits late below this is found by the next round, which begins at the floor.
            behind = rows[-1]["seq"]
        return total

    def anchor(self) -> None:
        """Sign the chain's head and store it, unless the stored one is no longer in the chain."""
        with db.read() as conn:
            last = conn.execute(sa.select(seal).order_by(seal.c.place.desc()).limit(1)).first()
            if last is None or not _holds(conn, self._directory):
                return
        head = anchor.Head(last.place, last.seq, last.hash, ids.now())
        if head.hash != self._anchored.hash:
            anchor.write(self._directory, head)
        self._anchored = head

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            self._round()
        self._round()
        self._attempt(self.anchor)

    def _round(self) -> None:
        self._attempt(self.seal)
        if self._is_due():
            self._attempt(self.anchor)

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            # The rows stay where they are, and the next second tries again.
            _logger.exception("the audit log could not be sealed")

    def _is_due(self) -> bool:
        with db.read() as conn:
            place = conn.execute(sa.select(sa.func.max(seal.c.place))).scalar() or 0
        is_old = ids.now() - self._anchored.at >= ANCHOR_AGE
        return place - self._anchored.place >= (1 if is_old else ANCHOR_ROWS)

    def _seal_batch(self, behind: int) -> Sequence[sa.RowMapping]:
        if not self._has_work(behind):
            return ()
        with db.transaction() as conn:
            if not _is_alone(conn):
                return ()
            rows = conn.execute(_unsealed(behind)).mappings().all()
            links = _links(conn, rows)
            if links:
                conn.execute(seal.insert(), links)
                record.event(conn, RecordGrew(len(links), links[-1]["place"]), EVERYBODY)
        if len(rows) < BATCH:
            self._floor = max(self._floor, (rows[-1]["seq"] if rows else self._floor) - LATE)
        return rows

    def _has_work(self, behind: int) -> bool:
        with db.read() as conn:
            return conn.execute(_unsealed(behind).limit(1)).first() is not None


def unsealed_count(conn: sa.Connection) -> int:
    """How many audited rows have no seal yet."""
    query = sa.select(sa.func.count()).select_from(record.audit_rows)
    return conn.execute(query.where(_has_no_seal())).scalar_one()


def _unsealed(floor: int) -> sa.Select[Any]:
    seq = record.audit_rows.c.seq
    return sa.select(record.audit_rows).where(seq > floor, _has_no_seal()).order_by(seq).limit(BATCH)


def _has_no_seal() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(seal.c.seq == record.audit_rows.c.seq)


def _links(conn: sa.Connection, rows: Any) -> list[dict[str, Any]]:
    last = conn.execute(sa.select(seal).order_by(seal.c.place.desc()).limit(1)).first()
    place, prev_hash = (last.place, last.hash) if last else (0, chain.GENESIS)
    links = []
    for row in rows:
        place, fresh = place + 1, chain.link(prev_hash, row)
        links.append({"place": place, "seq": row["seq"], "prev_hash": prev_hash, "hash": fresh})
        prev_hash = fresh
    return links


def _is_alone(conn: sa.Connection) -> bool:
    if conn.dialect.name != "postgresql":
        return True
    return bool(conn.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))).scalar_one())


def _holds(conn: sa.Connection, directory: Path) -> bool:
    """Whether the stored head is still in the chain: if not, it is the evidence and must stay."""
    try:
        head = anchor.read(directory)
    except anchor.ForgedHead:
        return False
    if head is None:
        return True
    return conn.execute(sa.select(seal.c.hash).where(seal.c.place == head.place)).scalar() == head.hash
