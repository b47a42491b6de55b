"""Following the chain from its first link: finds edits, gaps, swaps and a cut end, and names the row."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import anchor, chain
from app.audit.events import Verified, Verifying
from app.audit.models import seal
from app.audit.sealer import EVERYBODY, unsealed_count
from app.errors import Invalid

CHUNK = 2000
TELL_EVERY = 1.0
Read = Callable[[], AbstractContextManager[sa.Connection]]
Progress = Callable[[int, int], None]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """Whether the record is whole; if not, the seq of the first row that is not, and a sentence.

    `head` is the hash of the last link that was reached.
    """

    ok: bool
    first_bad: int | None
    sealed: int
    unsealed: int
    reason: str = ""
    head: str = field(default="", compare=False)


@dataclass(frozen=True)
class Look:
    """The last look at the whole chain, as the record itself has it: when (unix ms), by whom, and what it found."""

    at: int
    user: str
    ok: bool
    sealed: int
    first_bad: int | None
    reason: str


@dataclass(frozen=True)
class Checkpoint:
    """A link that was noted elsewhere: its place and its hash."""

    place: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """One that was printed as `PLACE:HASH`; raises Invalid."""
        place, _, digest = text.strip().partition(":")
        if not (place.isascii() and place.isdecimal() and len(place) < 16 and len(digest) == len(chain.GENESIS)):
            raise Invalid("A checkpoint is the place of an entry and its hash with a colon between.", "checkpoint")
        return cls(int(place), digest)


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


def verify(actor: Actor, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Verdict:
    """Follow the whole chain and compare it with the anchor, and with a link that was noted elsewhere."""
    accounts.require(actor, "audit:read")
    return follow(db.read, config.current().data_dir, progress, checkpoint)


def follow(
    read: Read, directory: Path, progress: Progress | None = None, checkpoint: Checkpoint | None = None
) -> Verdict:
    """The same on any database: each chunk is a look of its own, so that a long way keeps nobody from writing."""
    with read() as conn:
        unsealed = unsealed_count(conn)
        of = conn.scalar(sa.select(sa.func.max(seal.c.place))) or 0
    walk = _Walk()
    while walk.flaw is None:
        with read() as conn:
            found = conn.execute(_linked.where(seal.c.place > walk.place)).mappings().all()
            if not found or not all(walk.step(conn, row) for row in found):
                break
        if progress is not None:
            progress(walk.place, max(of, walk.place))
    with read() as conn:
        flaw = walk.flaw or _anchor_flaw(conn, walk, directory) or _checkpoint_flaw(conn, walk, checkpoint)
    if flaw is None:
        return Verdict(True, None, walk.place, unsealed, head=walk.hash)
    return Verdict(False, flaw[0], walk.place, unsealed, flaw[1], head=walk.hash)


class _BrokenOff(Exception):
    """The process ends."""


class Verifier:
    """Follows the chain aside, one look at a time, and tells how far it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._told = 0.0
        self._ended = threading.Event()
        self._at: tuple[int, int] | None = None

    @property
    def progress(self) -> tuple[int, int] | None:
        """(links followed, of all) while a look goes on in this process."""
        return self._at

    def start(self, actor: Actor) -> None:
        """Begin, unless one goes on."""
        with self._lock:
            if self._at is None:
                self._at = (0, 0)
                self._ended.clear()
                self._thread = threading.Thread(target=self._run, args=(actor,), name="audit-verify", daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the end of a look."""
        if self._thread is not None:
            self._thread.join(seconds)

    def stop(self, seconds: float) -> None:
        """Break off a look that goes on: it finds nothing."""
        self._ended.set()
        self.wait(seconds)

    def _run(self, actor: Actor) -> None:
        try:
            self._told = time.monotonic()
            verdict = follow(db.read, config.current().data_dir, self._tell)
            self._at = None
            detail = {"ok": verdict.ok, "sealed": verdict.sealed, "first_bad": verdict.first_bad, "head": verdict.head}
            with db.transaction() as conn:
                said = {**detail, "reason": verdict.reason}
                record.audit(conn, actor, "audit.verify", "", said, "done" if verdict.ok else "failed")
                record.event(conn, Verified(verdict.ok), EVERYBODY)
        except _BrokenOff:
            _logger.info("the look at the audit log was broken off by the end of the process")
        except Exception:
            _logger.exception("the audit log could not be verified")
        finally:
            self._at = None

    def _tell(self, done: int, of: int) -> None:
        if self._ended.is_set():
            raise _BrokenOff
        self._at = (done, of)
        if time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            with db.transaction() as conn:
                record.event(conn, Verifying(done, of), EVERYBODY)


def find_last_look(conn: sa.Connection) -> Look | None:
    """The last look that ended, None before the first."""
    table = record.audit_rows
    query = sa.select(table).where(table.c.action == "audit.verify").order_by(table.c.seq.desc()).limit(1)
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    said = row.detail
    return Look(row.at, row.user, said["ok"], said["sealed"], said["first_bad"], said["reason"])


class _Walk:
    """The way along the chain so far; `flaw` is the seq and the reason of its end."""

    def __init__(self) -> None:
        self.place, self.seq, self.hash = 0, 0, chain.GENESIS
        self.flaw: tuple[int | None, str] | None = None

    def step(self, conn: sa.Connection, row: sa.RowMapping) -> bool:
        """Go on by one link; False if it does not hold."""
        self.flaw = self._look(conn, row)
        if self.flaw is None:
            self.place, self.seq, self.hash = row["place"], row["sealed_seq"], row["link_hash"]
        return self.flaw is None

    def _look(self, conn: sa.Connection, row: sa.RowMapping) -> tuple[int | None, str] | None:
        if row["place"] != self.place + 1:
            return self.seq + 1, "A row and its seal are gone."
        if row["seq"] is None:
            return row["sealed_seq"], "This row is gone."
        if chain.link(row["link_prev"], dict(row)) != row["link_hash"]:
            return row["sealed_seq"], "This row was changed."
        if row["link_prev"] == self.hash:
            return None
        if self.seq == 0 or _is_linked(conn, row["link_prev"]):
            return row["sealed_seq"], "This row was moved."
        return self.seq, "This row was changed and sealed anew."


def _is_linked(conn: sa.Connection, prev_hash: str) -> bool:
    """Whether the row's true predecessor is still somewhere in the chain."""
    query = sa.select(seal.c.place).where(seal.c.hash == prev_hash)
    return conn.execute(query.limit(1)).first() is not None


def _anchor_flaw(conn: sa.Connection, walk: _Walk, directory: Path) -> tuple[int | None, str] | None:
    try:
        head = anchor.read(directory)
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


def _checkpoint_flaw(conn: sa.Connection, walk: _Walk, checkpoint: Checkpoint | None) -> tuple[int | None, str] | None:
    if checkpoint is None:
        return None
    found = conn.execute(sa.select(seal.c.seq, seal.c.hash).where(seal.c.place == checkpoint.place)).one_or_none()
    if found is None:
        return walk.seq + 1, "The end of the record was cut off: the entry of the checkpoint is gone."
    return None if found.hash == checkpoint.hash else (found.seq, "The record is another one than the checkpoint's.")
