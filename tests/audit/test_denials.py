"""Refusals are written down, each kind of one caller once a minute with a count, however many come."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app import db, ids, record
from app.actor import Actor
from app.audit import denials
from app.audit.denials import MOST, Denials

BOB = Actor("usr_bob", "user", "usr_bob", "Bob", (), address="10.0.0.7")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in unix ms, to be moved by hand."""
    time = [1_760_000_000_000]
    monkeypatch.setattr(ids, "now", lambda: time[0])
    return time


def denied() -> list[Any]:
    """The rows of refusals, oldest first."""
    with db.transaction():
        pass  # what was appended before is committed by whoever takes the next turn
    query = sa.select(record.audit_rows).where(record.audit_rows.c.result == "denied")
    with db.read() as connection:
        return list(connection.execute(query.order_by(record.audit_rows.c.seq)))


def counts() -> list[tuple[str, int]]:
    return [(row.target, row.detail["count"]) for row in denied()]


def note(kept: Denials, target: str = "audit:read", actor: Actor = BOB) -> None:
    kept.note(actor, "access", target, {"request": "GET /audit"})


def test_what_comes_again_within_a_minute_is_counted(either_database: db.Database, clock: list[int]) -> None:
    kept = Denials()
    for _ in range(1000):
        note(kept)
    assert counts() == [("audit:read", 1)]
    clock[0] += denials.MINUTE
    kept.flush()
    assert counts() == [("audit:read", 1), ("audit:read", 999)]
    kept.flush()
    assert len(denied()) == 2
    row = denied()[0]
    assert (row.actor, row.address, row.action, row.detail["request"]) == (
        "usr_bob", "10.0.0.7", "access", "GET /audit",
    )  # fmt: skip


def test_the_next_minute_begins_a_row_of_its_own(database: db.Database, clock: list[int]) -> None:
    kept = Denials()
    note(kept)
    clock[0] += denials.MINUTE
    note(kept)
    assert counts() == [("audit:read", 1)] * 2


def test_each_kind_of_each_caller_has_its_row(database: db.Database, clock: list[int]) -> None:
    kept = Denials()
    note(kept)
    note(kept, "users:write")
    note(kept, actor=Actor("usr_dora", "user", "usr_dora", "Dora", ()))
    assert [row.actor for row in denied()] == ["usr_bob", "usr_bob", "usr_dora"]


def test_a_flood_from_everywhere_writes_no_more_than_so_many_rows(database: db.Database, clock: list[int]) -> None:
    kept = Denials()
    for number in range(5000):
        note(kept, actor=Actor("", "user", "", "", (), address=f"10.0.{number % 250}.{number // 250}"))
    assert len(denied()) == MOST
    clock[0] += denials.MINUTE
    kept.flush()
    assert counts()[MOST:] == [(denials.OTHERS, 5000 - MOST)]


def test_the_end_of_the_process_tells_what_was_only_counted(database: db.Database, clock: list[int]) -> None:
    kept = Denials()
    for _ in range(3):
        note(kept)
    kept.flush(ending=True)
    assert counts() == [("audit:read", 1), ("audit:read", 2)]
