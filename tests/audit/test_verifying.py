"""A look at the whole chain goes on aside, tells how far it is, and works on a copy and with a printed checkpoint."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from app import config, db, record
from app.audit import anchor, service, verifying
from app.audit.service import Checkpoint, Sealer
from app.cli import main
from app.errors import Invalid
from tests.audit.disarmed import disarm
from tests.audit.test_exporting import write
from tests.audit.test_looking import ALICE
from tests.patience import PATIENCE

ROWS = 40
SWAP = """
UPDATE audit SET seq = CASE seq WHEN 9 THEN -12 WHEN 12 THEN -9 END WHERE seq IN (9, 12);
UPDATE audit SET seq = -seq WHERE seq < 0
"""


@pytest.fixture
def sealed(either_database: db.Database) -> None:
    """Forty entries, sealed and anchored."""
    write(ROWS)
    sealer = Sealer()
    sealer.seal()
    sealer.anchor()


def kinds() -> list[str]:
    with db.read() as conn:
        return list(conn.scalars(sa.select(record.events.c.kind).order_by(record.events.c.seq)))


def look() -> None:
    service.start_verifying(ALICE)
    service._verifier.wait(PATIENCE)


def test_what_it_found_is_an_entry_itself(sealed: None) -> None:
    assert service.standing(ALICE) == service.Standing(ROWS, None, None)
    look()
    standing = service.standing(ALICE)
    assert standing.progress is None
    assert standing.look is not None
    assert (standing.look.ok, standing.look.sealed, standing.look.user) == (True, ROWS, "usr_alice")
    assert kinds()[-1] == "audit.verified"


@pytest.mark.parametrize(
    ("statement", "first_bad", "reason"),
    [
        ("UPDATE audit SET target = 'forged' WHERE seq = 17", 17, "changed"),
        ("DELETE FROM audit WHERE seq = 17", 17, "gone"),
        ("DELETE FROM audit WHERE seq > 30", 31, "gone"),
        ("DELETE FROM audit_seal WHERE seq > 30", 31, "cut off"),
    ],
    ids=["edited", "removed", "cut", "seals cut"],
)
def test_a_flaw_is_named_and_written_down(sealed: None, statement: str, first_bad: int, reason: str) -> None:
    disarm()
    with db.transaction() as conn:
        conn.execute(sa.text(statement))
    look()
    found = service.standing(ALICE).look
    assert found is not None
    assert (found.ok, found.first_bad) == (False, first_bad)
    assert reason in found.reason
    [entry] = service.entries(ALICE, [service.Condition("action", "audit.verify")])
    assert entry.result == "failed"


def test_swapped_entries_are_found_on_both_databases(sealed: None) -> None:
    disarm()
    with db.transaction() as conn:
        for old, new in ((20, 1000), (30, 20), (1000, 30)):
            conn.execute(sa.text(f"UPDATE audit SET seq = {new} WHERE seq = {old}"))
    assert service.verify(ALICE).first_bad == 20


def test_it_tells_how_far_it_is_and_a_second_look_waits_for_none(sealed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "CHUNK", 10)
    monkeypatch.setattr(verifying, "_linked", verifying._linked.limit(10))
    monkeypatch.setattr(verifying, "TELL_EVERY", 0)
    reached, go = threading.Event(), threading.Event()
    tell = service._verifier._tell

    def wait(done: int, of: int) -> None:
        tell(done, of)
        reached.set()
        assert go.wait(PATIENCE)

    monkeypatch.setattr(service._verifier, "_tell", wait)
    service.start_verifying(ALICE)
    assert reached.wait(PATIENCE)
    assert service.standing(ALICE).progress == (10, ROWS)
    service.start_verifying(ALICE)
    write(5)  # nobody waits for it
    go.set()
    service._verifier.wait(PATIENCE)
    assert kinds().count("audit.verifying") == ROWS // 10
    assert len(service.entries(ALICE, [service.Condition("action", "audit.verify")])) == 1


def test_the_end_of_the_process_breaks_it_off(sealed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    tell = service._verifier._tell

    def wait(done: int, of: int) -> None:
        assert go.wait(PATIENCE)
        tell(done, of)

    monkeypatch.setattr(service._verifier, "_tell", wait)
    service.start_verifying(ALICE)
    service._verifier._ended.set()
    go.set()
    service._verifier.wait(PATIENCE)
    assert service.standing(ALICE).look is None
    monkeypatch.undo()
    look()
    assert service.standing(ALICE).look is not None


def test_a_checkpoint_that_was_printed_is_held_against_the_chain(sealed: None) -> None:
    whole = service.verify(ALICE)
    noted = Checkpoint.parse(f"{whole.sealed}:{whole.head}")
    write(3)
    Sealer().seal()
    assert service.verify(ALICE, checkpoint=noted).ok
    assert service.verify(ALICE, checkpoint=Checkpoint(2, whole.head)).first_bad == 2
    disarm()
    with db.transaction() as conn:
        conn.execute(sa.text("DELETE FROM audit_seal"))
        conn.execute(sa.text("UPDATE audit SET actor = 'forged' WHERE seq = 40"))
    (config.current().data_dir / anchor.KEY_FILE).unlink()
    (config.current().data_dir / anchor.HEAD_FILE).unlink()
    Sealer().seal()
    assert service.verify(ALICE).ok, "whoever has all of the server can write a record anew"
    assert service.verify(ALICE, checkpoint=noted).first_bad == ROWS


@pytest.mark.parametrize("text", ["", "7", "x:" + "0" * 64, "7:abc", "-1:" + "0" * 64])
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Checkpoint.parse(text)


def test_a_look_during_the_first_anchor_waits_for_its_head(
    either_database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(3)
    sealer = Sealer()
    sealer.seal()
    between, go = threading.Event(), threading.Event()
    sign = anchor._sign

    def slow(key: bytes, head: anchor.Head) -> str:
        if threading.current_thread() is anchoring:
            between.set()
            assert go.wait(PATIENCE)
        return sign(key, head)

    monkeypatch.setattr(anchor, "_sign", slow)
    anchoring = threading.Thread(target=sealer.anchor)
    anchoring.start()
    assert between.wait(PATIENCE)
    assert (config.current().data_dir / anchor.KEY_FILE).exists()
    verdicts: list[service.Verdict] = []
    looking = threading.Thread(target=lambda: verdicts.append(service.verify(ALICE)))
    looking.start()
    looking.join(0.2)
    assert verdicts == []
    go.set()
    looking.join(PATIENCE)
    anchoring.join(PATIENCE)
    assert verdicts == [service.Verdict(True, None, 3, 0)]


class TestTheCommand:
    """`python -m app audit verify`, on the database in use and on a copy of it."""

    @pytest.fixture
    def run(self, database: db.Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
        settings = config.current()
        monkeypatch.setenv("SIGNALCABIN_DATA_DIR", str(settings.data_dir))
        write(ROWS)
        sealer = Sealer()
        sealer.seal()
        sealer.anchor()
        yield CliRunner()
        db.use(database)
        config.use(settings)

    def copy(self, tmp_path: Path, statement: str = "") -> Path:
        """A copy of the database, in which somebody may have done something."""
        copied = tmp_path / "copies" / "copy.db"
        copied.parent.mkdir()
        source, target = sqlite3.connect(config.current().data_dir / "signalcabin.db"), sqlite3.connect(copied)
        source.backup(target)
        for table in ("audit", "audit_seal"):
            for verb in ("update", "delete"):
                target.execute(f"DROP TRIGGER {table}_no_{verb}")
        target.executescript(statement)
        target.close()
        source.close()
        return copied

    def test_it_prints_the_head(self, run: CliRunner) -> None:
        result = run.invoke(main, ["audit", "verify"])
        assert result.exit_code == 0, result.output
        assert f"Whole: {ROWS} entries, 0 not yet sealed." in result.output
        printed = result.output.split("Checkpoint ")[1].strip()
        assert run.invoke(main, ["audit", "verify", "--checkpoint", printed]).exit_code == 0
        refused = run.invoke(main, ["audit", "verify", "--checkpoint", "7"])
        assert (refused.exit_code, "place of an entry" in refused.output) == (1, True)

    def test_a_whole_copy_holds_and_is_left_as_it_was(self, run: CliRunner, tmp_path: Path) -> None:
        copied = self.copy(tmp_path)
        before = copied.read_bytes()
        assert run.invoke(main, ["audit", "verify", "--copy", str(copied)]).exit_code == 0
        assert copied.read_bytes() == before
        assert [path.name for path in copied.parent.iterdir()] == ["copy.db"]

    @pytest.mark.parametrize(
        ("statement", "says"),
        [
            ("UPDATE audit SET detail = '{}' WHERE seq = 9", "Entry 9: This row was changed."),
            ("DELETE FROM audit WHERE seq = 9", "Entry 9: This row is gone."),
            (
                "DELETE FROM audit WHERE seq = 9; DELETE FROM audit_seal WHERE seq = 9",
                "Entry 9: A row and its seal are gone.",
            ),
            ("DELETE FROM audit WHERE seq > 33; DELETE FROM audit_seal WHERE seq > 33", "Entry 34: The end"),
            (
                SWAP,
                "Entry 9: This row was changed.",
            ),
        ],
        ids=["edited", "removed", "removed with its seal", "tail cut", "swapped"],
    )
    def test_what_was_done_to_a_copy_is_found(self, run: CliRunner, tmp_path: Path, statement: str, says: str) -> None:
        result = run.invoke(main, ["audit", "verify", "--copy", str(self.copy(tmp_path, statement))])
        assert result.exit_code == 1
        assert says in result.output

    def test_it_exports(self, run: CliRunner, tmp_path: Path) -> None:
        out = tmp_path / "record.csv"
        assert run.invoke(main, ["audit", "export", "--format", "csv", "--out", str(out)]).exit_code == 0
        assert len(out.read_text().splitlines()) == 1 + ROWS + 1


def test_a_copy_with_a_log_beside_it_is_read_too(database: db.Database, tmp_path: Path) -> None:
    from app.cli import _reading

    write(3)
    Sealer().seal()
    target = tmp_path / "elsewhere"
    target.mkdir()
    for name in ("signalcabin.db", "signalcabin.db-wal"):
        shutil.copy(config.current().data_dir / name, target / name)
    verdict = service.follow(_reading(target / "signalcabin.db"), config.current().data_dir)
    assert (verdict.ok, verdict.sealed) == (True, 3)
