from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import config, db, record
from app.actor import Actor
from app.audit import anchor, chain, service
from app.audit.models import seal
from app.audit.sealer import Sealer
from app.errors import Denied
from tests.accounts.conftest import Clock
from tests.audit.disarmed import disarm

ROWS = 50
rows = record.audit_rows


def write(actor: Actor, count: int) -> None:
    with db.transaction() as conn:
        for number in range(count):
            record.audit(conn, actor, "test.act", f"thing {number}", {"n": number, "half": number / 2})


def tamper(*statements: sa.Executable) -> None:
    disarm()
    with db.transaction() as conn:
        for statement in statements:
            conn.execute(statement)


@pytest.fixture
def sealer(database: db.Database, alice: Actor) -> Sealer:
    """A sealer that has sealed and anchored fifty rows."""
    write(alice, ROWS)
    sealer = Sealer()
    assert sealer.seal() == ROWS
    sealer.anchor()
    return sealer


def test_a_whole_record_verifies(sealer: Sealer, alice: Actor) -> None:
    write(alice, 3)
    assert service.verify(alice) == service.Verdict(True, None, ROWS, 3)
    assert sealer.seal() == 3
    assert service.verify(alice) == service.Verdict(True, None, ROWS + 3, 0)
    assert sealer.seal() == 0


@pytest.mark.parametrize("column", ["actor", "action", "target", "result", "address", "request_id", "detail", "at"])
@pytest.mark.parametrize("seq", [1, 17, ROWS])
def test_an_edit_is_found(sealer: Sealer, alice: Actor, seq: int, column: str) -> None:
    value = {"at": 1, "detail": {"n": 99}}.get(column, "forged")
    tamper(rows.update().where(rows.c.seq == seq).values({column: value}))
    verdict = service.verify(alice)
    assert (verdict.ok, verdict.first_bad) == (False, seq)


def test_a_row_of_before_requests_had_ids_has_the_link_that_it_got_then() -> None:
    row = {"seq": 7, "at": 1_790_000_000_000, "actor": "usr_1", "actor_kind": "user", "user": "usr_1", "token": None}
    row |= {"action": "signin", "target": "dev_1", "result": "done", "address": "127.0.0.1", "via": "", "detail": {}}
    text = (
        '{"action":"signin","actor":"usr_1","actor_kind":"user","address":"127.0.0.1","at":1790000000000,"detail":{},'
        '"result":"done","seq":7,"target":"dev_1","token":null,"user":"usr_1","via":""}'
    )
    expected = hashlib.sha256((chain.GENESIS + text).encode()).hexdigest()
    assert chain.link(chain.GENESIS, {**row, "request_id": ""}) == expected
    assert chain.link(chain.GENESIS, {**row, "request_id": "0123456789ab"}) != expected


@pytest.mark.parametrize("seq", [1, 17, ROWS])
def test_a_deleted_row_is_found(sealer: Sealer, alice: Actor, seq: int) -> None:
    tamper(rows.delete().where(rows.c.seq == seq))
    assert service.verify(alice).first_bad == seq


@pytest.mark.parametrize("seq", [1, 17, ROWS])
def test_a_row_deleted_with_its_seal_is_found(sealer: Sealer, alice: Actor, seq: int) -> None:
    tamper(rows.delete().where(rows.c.seq == seq), seal.delete().where(seal.c.seq == seq))
    assert service.verify(alice).first_bad == seq


def test_swapped_rows_are_found(sealer: Sealer, alice: Actor) -> None:
    def to(old: int, new: int) -> sa.Update:
        return rows.update().where(rows.c.seq == old).values(seq=new)

    tamper(to(20, 1000), to(30, 20), to(1000, 30))
    assert service.verify(alice).first_bad == 20


def test_swapped_rows_with_their_seals_are_found(sealer: Sealer, alice: Actor) -> None:
    def to(old: int, new: int) -> sa.Update:
        return seal.update().where(seal.c.place == old).values(place=new)

    tamper(to(20, 1000), to(30, 20), to(1000, 30))
    assert service.verify(alice).first_bad == 30


def test_a_row_edited_and_sealed_anew_is_found(sealer: Sealer, alice: Actor) -> None:
    tamper(rows.update().where(rows.c.seq == 17).values(actor="forged"))
    with db.read() as conn:
        row = conn.execute(sa.select(rows).where(rows.c.seq == 17)).mappings().one()
        before = conn.execute(sa.select(seal.c.hash).where(seal.c.seq == 16)).scalar_one()
    tamper(seal.update().where(seal.c.seq == 17).values(hash=chain.link(before, dict(row))))
    assert service.verify(alice).first_bad == 17


@pytest.mark.parametrize("last", [0, 1, 40, ROWS - 1])
def test_a_cut_end_is_found(sealer: Sealer, alice: Actor, last: int) -> None:
    tamper(rows.delete().where(rows.c.seq > last), seal.delete().where(seal.c.seq > last))
    assert service.verify(alice).first_bad == last + 1


def test_a_cut_end_stays_found_when_the_record_goes_on(sealer: Sealer, alice: Actor) -> None:
    tamper(rows.delete().where(rows.c.seq > 40), seal.delete().where(seal.c.seq > 40))
    write(alice, 30)
    sealer.seal()
    sealer.anchor()
    Sealer().anchor()
    verdict = service.verify(alice)
    assert not verdict.ok
    assert verdict.first_bad is not None


def test_a_record_sealed_anew_from_the_start_is_found(sealer: Sealer, alice: Actor) -> None:
    tamper(rows.update().where(rows.c.seq == 17).values(actor="forged"), seal.delete())
    assert Sealer().seal() == ROWS
    assert service.verify(alice).first_bad == ROWS


@pytest.mark.parametrize("forge", ["delete", "delete key", "edit", "empty", "list"])
def test_a_forged_anchor_is_found(sealer: Sealer, alice: Actor, tmp_path: Path, forge: str) -> None:
    head, key = tmp_path / anchor.HEAD_FILE, tmp_path / anchor.KEY_FILE
    if forge == "delete":
        head.unlink()
    elif forge == "delete key":
        key.unlink()
    else:
        edited = head.read_bytes().replace(b'"place":50', b'"place":40')
        head.write_bytes({"edit": edited, "empty": b"", "list": b"[1]"}[forge])
    verdict = service.verify(alice)
    assert (verdict.ok, verdict.first_bad) == (False, None)
    assert "forged" in verdict.reason
    evidence = [path.read_bytes() for path in (head, key) if path.exists()]
    write(alice, 1)
    sealer.seal()
    Sealer().anchor()
    assert [path.read_bytes() for path in (head, key) if path.exists()] == evidence


def test_key_and_head_are_for_the_server_only(sealer: Sealer, tmp_path: Path) -> None:
    for name in (anchor.KEY_FILE, anchor.HEAD_FILE):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.glob("audit.*")) == [anchor.HEAD_FILE, anchor.KEY_FILE]


def test_rows_are_sealed_in_batches(database: db.Database, alice: Actor) -> None:
    write(alice, 2300)
    assert Sealer().seal() == 2300
    assert service.verify(alice) == service.Verdict(True, None, 2300, 0)


def test_two_sealers_make_one_chain(database: db.Database, alice: Actor) -> None:
    write(alice, 500)
    threads = [threading.Thread(target=Sealer().seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    write(alice, 100)
    for thread in threads:
        thread.join(10)
    Sealer().seal()
    assert service.verify(alice) == service.Verdict(True, None, 600, 0)


def test_a_row_that_commits_late_is_sealed_after_those_before_it(sealer: Sealer, alice: Actor) -> None:
    late = {
        "seq": 60,
        "at": 1,
        "actor": "a",
        "actor_kind": "user",
        "user": "a",
        "action": "late",
        "target": "",
    }
    write(alice, 3)
    disarm()
    with db.transaction() as conn:
        conn.execute(rows.update().where(rows.c.seq > ROWS).values(seq=rows.c.seq + 100))
    assert sealer.seal() == 3
    with db.transaction() as conn:
        conn.execute(rows.insert(), {**late, "result": "done", "address": "", "via": "", "detail": {}})
    assert sealer.seal() == 1
    assert service.verify(alice) == service.Verdict(True, None, ROWS + 4, 0)


def test_it_seals_by_itself_and_at_the_stop(database: db.Database, alice: Actor, tmp_path: Path) -> None:
    write(alice, 5)
    service.start()
    service.start()
    write(alice, 5)
    service.stop()
    assert service.verify(alice) == service.Verdict(True, None, 10, 0)
    assert anchor.read(tmp_path) is not None
    service.stop()


def test_a_failing_round_is_told_and_the_next_one_goes_on(
    sealer: Sealer, alice: Actor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise RuntimeError("no disk")

    write(alice, 1)
    with monkeypatch.context() as patch:
        patch.setattr(sealer, "seal", fail)
        sealer._round()
    assert "could not be sealed" in caplog.text
    sealer._round()
    assert service.verify(alice).unsealed == 0


def test_the_head_is_anchored_anew_when_it_is_old(sealer: Sealer, alice: Actor, clock: Clock) -> None:
    sealer._anchored = replace(sealer._anchored, at=clock())
    write(alice, 1)
    sealer._round()
    assert anchor.read(config.current().data_dir).place == ROWS  # type: ignore[union-attr]
    clock.pass_by(minutes=5)
    sealer._round()
    assert anchor.read(config.current().data_dir).place == ROWS + 1  # type: ignore[union-attr]


def test_entries_come_newest_first_in_pages(sealer: Sealer, alice: Actor) -> None:
    first = service.entries(alice, limit=20)
    assert [entry.seq for entry in first] == list(range(50, 30, -1))
    assert first[0].detail == {"n": 49, "half": 24.5}
    assert [entry.seq for entry in service.entries(alice, before=4)] == [3, 2, 1]
    assert len(service.entries(alice, limit=-1)) == 1


def test_only_those_who_may_read_it(bob: Actor) -> None:
    for verb in (service.verify, service.entries):
        with pytest.raises(Denied):
            verb(bob)
