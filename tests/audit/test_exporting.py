"""The record leaves as JSON lines or CSV, whole, and nothing in it becomes a formula."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import orjson
import pytest

from app import db, record
from app.actor import Actor
from app.audit import exporting, service
from app.audit.service import Condition, Sealer
from app.errors import Denied, Invalid, Limited
from tests.audit.test_looking import ALICE, BOB

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t1",
    "\r1",
    "\n1",
    "\uff1d1+1",
    " =1",
    "\u00a0-1",
    '"=1',
]
# What begins a cell where the reader splits at semicolons or tabs, or takes the end of a line for that of a row.
INNER = ["a;=1+1", 'a";=1+1', "a; @SUM(A1)", "a;;\uff1d1", "a\t-2+3", "a\r=1", 'a"\n=1', 'a;"=1']
FORMULA = re.compile(r"[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
PLAIN = ["a=1", "paint-the-shed", "alice@example.com", "a; b", "1-2", "it's"]


def write(count: int, actor: Actor = ALICE) -> None:
    with db.transaction() as conn:
        for number in range(count):
            record.audit(conn, actor, "test.act", f"thing {number}", {"n": number})


def lines(kind: str, *conditions: Condition) -> list[dict[str, object]]:
    text = b"".join(service.export(ALICE, kind, conditions)).decode()
    if kind == "csv":
        return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    return [orjson.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kind", exporting.KINDS)
def test_it_holds_every_entry_in_order_over_many_chunks(
    either_database: db.Database, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 10)
    write(35)
    Sealer(tmp_path).seal()
    found = lines(kind)
    assert [row["target"] for row in found] == [f"thing {number}" for number in range(35)] + [""]
    assert [str(row["place"]) for row in found[:35]] == [str(place) for place in range(1, 36)]
    assert found[1]["prev_hash"] == found[0]["hash"]
    assert found[-1]["action"] == "audit.export"


def test_it_holds_what_fits_the_filters_and_says_so_in_the_record(either_database: db.Database) -> None:
    write(3)
    assert [row["target"] for row in lines("jsonl", Condition("target", "thing 1"))] == ["thing 1"]
    assert service.entries(ALICE)[0].detail == {"format": "jsonl", "filters": ["target eq thing 1"]}


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(either_database: db.Database, text: str) -> None:
    with db.transaction() as conn:
        record.audit(conn, Actor(text, "user", text, text, (), address=text), "test.act", text)
    [row] = lines("csv", Condition("action", "test.act"))
    assert [row["target"], row["actor"], row["address"]] == [f"'{text}"] * 3
    [plain] = lines("jsonl", Condition("action", "test.act"))
    assert plain["target"] == text


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_wherever_the_reader_splits(database: db.Database, separator: str) -> None:
    with db.transaction() as conn:
        for text in (*FORMULAS, *INNER):
            record.audit(conn, ALICE, "test.act", text, {"said": text})
    text = b"".join(service.export(ALICE, "csv")).decode()
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        assert [cell for cell in row if FORMULA.match(cell)] == []


def test_what_is_no_formula_leaves_as_it_is(database: db.Database) -> None:
    with db.transaction() as conn:
        for text in PLAIN:
            record.audit(conn, ALICE, "test.act", text)
    assert [row["target"] for row in lines("csv", Condition("action", "test.act"))] == PLAIN


def test_two_are_written_at_once_and_the_places_come_back(either_database: db.Database) -> None:
    write(1)
    first, second = service.export(ALICE, "jsonl"), service.export(ALICE, "csv")
    with pytest.raises(Limited):
        service.export(ALICE, "csv")
    first.close()  # type: ignore[attr-defined]
    first.close()  # type: ignore[attr-defined]
    assert b"".join(second)
    assert len(lines("jsonl")) == 4
    assert len(lines("csv")) == 5


def test_it_is_for_those_who_may_read_it_and_in_the_forms_there_are(either_database: db.Database) -> None:
    with pytest.raises(Denied):
        service.export(BOB, "csv")
    with pytest.raises(Invalid):
        service.export(ALICE, "xlsx")


def test_no_row_no_export(either_database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(record, "audit", refuse)
        for _ in range(exporting.AT_ONCE + 1):
            with pytest.raises(OSError, match="disk full"):
                service.export(ALICE, "csv")
    assert lines("csv")[-1]["action"] == "audit.export"
