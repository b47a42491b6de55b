"""The record is searched by what RootCX's clients and our page ask for, on both databases alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from app import db, record
from app.actor import SYSTEM, Actor
from app.audit import looking, service
from app.audit.service import Condition, Sealer
from app.errors import Denied, Invalid, NotFound, Unauthenticated

ALICE = Actor("usr_alice", "user", "usr_alice", "Alice", ("*",), address="10.0.0.1")
TOKEN = Actor("tok_ci", "token", "usr_alice", "ci", ("audit:read",), token="tok_ci", via="opencode")
AGENT = Actor("run_1", "agent", "usr_bob", "Agent", ("tool:*",))
BOB = Actor("usr_bob", "user", "usr_bob", "Bob", ("sessions:*",), address="10.0.0.2")
DEEDS = [
    (ALICE, "signin", "dev_1", {}),
    (ALICE, "secrets.put", "app:crm/STRIPE_KEY", {"version": 1}),
    (TOKEN, "token.mint", "tok_2", {}),
    (AGENT, "tool.run", "bash make 100%", {"tool": "bash"}),
    (BOB, "secrets.delete", "platform/OLD_KEY", {}),
    (SYSTEM, "sandbox.expire", "sbx_1", {}),
]


@pytest.fixture
def deeds(either_database: db.Database) -> None:
    """A record of six deeds."""
    for actor, action, target, detail in DEEDS:
        with db.transaction() as conn:
            record.audit(conn, actor, action, target, detail, "denied" if action == "sandbox.expire" else "done")


def found(*conditions: Condition, **more: object) -> list[str]:
    return [entry.action for entry in service.entries(ALICE, conditions, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("condition", "actions"),
    [
        (Condition("who", "usr_alice"), ["token.mint", "secrets.put", "signin"]),
        (Condition("who", "tok_ci"), ["token.mint"]),
        (Condition("who", "usr_bob"), ["secrets.delete", "tool.run"]),
        (Condition("actor_kind", "agent"), ["tool.run"]),
        (Condition("noun", "secrets"), ["secrets.delete", "secrets.put"]),
        (Condition("noun", "signin"), ["signin"]),
        (Condition("noun", "cre", "contains"), ["secrets.delete", "secrets.put"]),
        (Condition("noun", "secrets", "neq"), ["sandbox.expire", "tool.run", "token.mint", "signin"]),
        (Condition("app", "crm"), ["secrets.put"]),
        (Condition("app", looking.SYSTEM_SCHEMA, "neq"), ["secrets.put"]),
        (Condition("operation", "DELETE"), ["sandbox.expire", "secrets.delete"]),
        (Condition("operation", "INSERT"), ["token.mint", "secrets.put", "signin"]),
        (Condition("operation", "UPDATE"), ["tool.run"]),
        (Condition("target", "stripe", "contains"), ["secrets.put"]),
        (Condition("target", "100%", "contains"), ["tool.run"]),
        (Condition("target", "_", "contains"), ["sandbox.expire", "secrets.delete", "token.mint", "secrets.put", "signin"]),
        (Condition("target", "dev_1"), ["signin"]),
        (Condition("action", "tool", "gte"), ["tool.run"]),
        (Condition("result", "denied"), ["sandbox.expire"]),
        (Condition("address", "10.0.0.2"), ["secrets.delete"]),
        (Condition("via", "opencode"), ["token.mint"]),
        (Condition("seq", 2, "lte"), ["secrets.put", "signin"]),
        (Condition("at", 2**52, "gte"), []),
    ],
)  # fmt: skip
def test_it_finds_what_is_asked_for(deeds: None, condition: Condition, actions: list[str]) -> None:
    wanted = actions if condition != Condition("action", "tool", "gte") else ["tool.run"]
    if condition.column == "action":
        assert set(found(condition)) == {name for _, name, _, _ in DEEDS if name >= "tool"}
    else:
        assert found(condition) == wanted


def test_conditions_are_met_together_and_pages_go_on_behind_the_last(deeds: None) -> None:
    assert found(Condition("noun", "secrets"), Condition("who", "usr_bob")) == ["secrets.delete"]
    first = service.entries(ALICE, limit=4)
    rest = service.entries(ALICE, before=first[-1].seq, limit=4)
    assert [entry.action for entry in [*first, *rest]] == [action for _, action, _, _ in reversed(DEEDS)]


def test_it_is_ordered_as_asked(deeds: None) -> None:
    assert found(is_rising=True)[0] == "signin"
    assert found(order="noun", is_rising=True) == [
        "sandbox.expire", "secrets.put", "secrets.delete", "signin", "token.mint", "tool.run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        Condition("at", "yesterday"),
        Condition("seq", 1, "contains"),
        Condition("target", 7),
        Condition("via", "x" * 501),
    ],
)
def test_what_makes_no_sense_is_refused(deeds: None, condition: Condition) -> None:
    with pytest.raises(Invalid):
        service.entries(ALICE, [condition])


def test_an_unknown_order_is_refused(deeds: None) -> None:
    with pytest.raises(Invalid):
        service.entries(ALICE, order="detail")


def test_a_column_of_the_database_says_what_the_entry_says(deeds: None) -> None:
    for entry in service.entries(ALICE):
        for column in ("noun", "app", "operation"):
            same = service.entries(ALICE, [Condition("seq", entry.seq), Condition(column, getattr(entry, column))])
            assert same == [entry], column


def test_an_entry_has_its_link_once_it_is_sealed(deeds: None, tmp_path: Path) -> None:
    assert service.get(ALICE, 1).hash is None
    Sealer(tmp_path).seal()
    first, second = service.get(ALICE, 1), service.get(ALICE, 2)
    assert (first.place, second.place, second.prev_hash) == (1, 2, first.hash)
    with pytest.raises(NotFound):
        service.get(ALICE, 99)


def test_it_is_for_those_who_may_read_it(deeds: None) -> None:
    assert len(service.entries(TOKEN)) == len(DEEDS)
    for verb in (service.entries, service.standing, service.start_verifying, lambda actor: service.get(actor, 1)):
        with pytest.raises(Denied):
            verb(BOB)
        with pytest.raises(Unauthenticated):
            verb(None)


@pytest.mark.parametrize("table", ["audit", "audit_seal"])
@pytest.mark.parametrize("verb", ["UPDATE {table} SET seq = seq", "DELETE FROM {table}"])
def test_the_database_itself_takes_no_change(deeds: None, tmp_path: Path, table: str, verb: str) -> None:
    Sealer(tmp_path).seal()
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.transaction() as conn:
        conn.execute(sa.text(verb.format(table=table)))
    assert len(service.entries(ALICE)) == len(DEEDS)


@pytest.mark.parametrize("table", ["audit", "audit_seal"])
@pytest.mark.postgres
def test_postgresql_does_not_empty_it_at_once_either(postgres_database: str, table: str) -> None:
    opened = db.Database(postgres_database)
    try:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), opened.engine.begin() as conn:
            conn.execute(sa.text(f"TRUNCATE {table}"))
    finally:
        opened.close()
