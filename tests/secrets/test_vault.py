"""The vault gives values to the server only, opens nothing that was moved or changed, and rotates live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import config, db, record, redact
from app.actor import SYSTEM, Actor
from app.config import Config
from app.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated, Unavailable
from app.secrets import keys, master, models
from app.secrets import service as vault

VALUE = "sk-ant-the-secret-value-0123456789"
ALICE = Actor(id="usr_alice", kind="user", user="usr_alice", name="Alice", grants=("secrets:*",))
BOB = Actor(id="usr_bob", kind="user", user="usr_bob", name="Bob", grants=("sessions:*",))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(config, "_current", Config(data_dir=tmp_path, testing=True))
    database = db.Database(f"sqlite:///{tmp_path / 'signalcabin.db'}")
    tables = [models.masters, models.keys, models.secrets, models.grants, record.audit_rows, record.events]
    db.metadata.create_all(database.engine, tables=tables)
    monkeypatch.setattr(db, "_current", database)
    monkeypatch.setattr(keys, "_known", {})
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    yield tmp_path
    database.close()


def bytes_on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def audited() -> list[tuple[str, str]]:
    with db.read() as conn:
        rows = conn.execute(sa.select(record.audit_rows.c.action, record.audit_rows.c.target))
        return [(row.action, row.target) for row in rows]


def change(table: sa.Table, scope: str, **values: object) -> None:
    with db.transaction() as conn:
        conn.execute(table.update().where(table.c.scope == scope).values(**values))


def test_it_gives_back_what_was_put(data_dir: Path) -> None:
    first = vault.put(ALICE, "provider", "anthropic", VALUE)
    second = vault.put(ALICE, "provider", "anthropic", VALUE + "-new")
    assert (first.version, second.version, second.by) == (1, 2, "usr_alice")
    assert second.created == first.created
    assert vault.reveal(SYSTEM, "provider", "anthropic") == VALUE + "-new"
    assert vault.names(ALICE, "provider") == ["anthropic"]
    assert vault.names(ALICE, "project:prj_1") == []
    assert VALUE not in repr(vault.describe(ALICE, "provider"))


def test_it_deletes_and_then_knows_nothing(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "openai", VALUE)
    vault.delete(ALICE, "provider", "openai")
    for verb in (vault.reveal, vault.delete):
        with pytest.raises(NotFound):
            verb(ALICE, "provider", "openai")
    assert audited() == [("secrets.put", "provider/openai"), ("secrets.delete", "provider/openai")]


def test_it_stores_no_value_in_the_clear(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    vault.rotate_key(ALICE)
    assert VALUE.encode() not in bytes_on_disk(data_dir)


def test_it_makes_a_private_key_file(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    assert (data_dir / "master.key").stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex((data_dir / "master.key").read_text())) == 32
    assert {path.name for path in data_dir.iterdir() if "key" in path.name} == {"master.key"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644], ids=oct)
def test_it_refuses_a_key_file_that_others_can_read(data_dir: Path, mode: int) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    (data_dir / "master.key").chmod(mode)
    with pytest.raises(Unavailable, match="chmod 600") as refusal:
        vault.check()
    assert refusal.value.code == "MASTER_KEY"


@pytest.mark.parametrize("replaced", [True, False], ids=["another", "none"])
def test_it_refuses_a_wrong_key_and_names_the_right_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    wanted = next(iter(master.ring()))
    (data_dir / "master.key").unlink()
    if replaced:
        master.create()
    monkeypatch.setattr(keys, "_known", {})
    for verb in (
        vault.check,
        lambda: vault.reveal(SYSTEM, "provider", "anthropic"),
        lambda: vault.put(ALICE, "provider", "anthropic", VALUE),
        lambda: vault.rotate_key(ALICE),
    ):
        with pytest.raises(Unavailable, match=wanted):
            verb()
    assert (data_dir / "master.key").exists() == replaced


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31])
def test_it_refuses_what_is_no_key(data_dir: Path, text: str) -> None:
    (data_dir / "master.key").write_text(text)
    (data_dir / "master.key").chmod(0o600)
    with pytest.raises(Unavailable, match="32 bytes"):
        vault.put(ALICE, "provider", "anthropic", VALUE)


def test_it_takes_the_operators_keys(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "11" * 32, "22" * 32
    monkeypatch.setenv("SIGNALCABIN_MASTER_KEY", old)
    vault.put(ALICE, "provider", "anthropic", VALUE)
    monkeypatch.setenv("SIGNALCABIN_MASTER_KEY", f"{new},{old}")
    assert vault.rotate_key(ALICE) == master.key_id(bytes.fromhex(new))
    monkeypatch.setenv("SIGNALCABIN_MASTER_KEY", new)
    monkeypatch.setattr(keys, "_known", {})
    assert vault.reveal(SYSTEM, "provider", "anthropic") == VALUE
    assert not (data_dir / "master.key").exists()


def test_it_finds_every_flipped_byte(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    for table in (models.secrets, models.keys):
        with db.read() as conn:
            sealed = conn.scalar(sa.select(table.c.sealed))
        assert sealed is not None
        for place in range(len(sealed)):
            change(table, "provider", sealed=sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
            with pytest.raises(Conflict) as refusal:
                vault.reveal(SYSTEM, "provider", "anthropic")
            assert refusal.value.code == "SECRET_UNREADABLE"
        for cut in (b"", sealed[:5], sealed[:-1]):
            change(table, "provider", sealed=cut)
            with pytest.raises(Conflict):
                vault.reveal(SYSTEM, "provider", "anthropic")
        change(table, "provider", sealed=sealed)
    assert vault.reveal(SYSTEM, "provider", "anthropic") == VALUE


def test_it_opens_no_row_in_anothers_place(data_dir: Path) -> None:
    for name in ("one", "two"):
        vault.put(ALICE, "provider", name, VALUE + name)
    table = models.secrets
    with db.transaction() as conn:
        sealed = {row.name: row.sealed for row in conn.execute(sa.select(table.c.name, table.c.sealed))}
        for name, other in (("one", "two"), ("two", "one")):
            conn.execute(table.update().where(table.c.name == name).values(sealed=sealed[other]))
    for name in ("one", "two"):
        with pytest.raises(Conflict):
            vault.reveal(SYSTEM, "provider", name)


@pytest.mark.parametrize("values", [{"version": 2}, {"name": "other"}, {"scope": "project:x"}, {"key_id": "key_x"}])
def test_it_opens_no_row_with_a_changed_label(data_dir: Path, values: dict[str, object]) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    vault.put(ALICE, "project:x", "anthropic-x", VALUE)
    with db.transaction() as conn:
        conn.execute(models.secrets.update().where(models.secrets.c.scope == "provider").values(values))
    scope, name = str(values.get("scope", "provider")), str(values.get("name", "anthropic"))
    with pytest.raises(Conflict):
        vault.reveal(SYSTEM, scope, name)


def test_it_rotates_to_new_keys_and_drops_the_old(data_dir: Path) -> None:
    for scope in ("provider", "project:prj_1"):
        vault.put(ALICE, scope, "name", VALUE + scope)
    before = (data_dir / "master.key").read_text()
    newest = vault.rotate_key(ALICE)
    assert list(master.ring()) == [newest]
    assert before not in (data_dir / "master.key").read_text()
    assert vault.reveal(SYSTEM, "provider", "name") == VALUE + "provider"
    assert vault.reveal(SYSTEM, "project:prj_1", "name") == VALUE + "project:prj_1"
    assert vault.describe(ALICE, "provider")[0].version == 1
    assert audited()[-1] == ("secrets.rotate_key", newest)


def test_it_survives_a_crash_in_the_middle_of_a_rotation(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.put(ALICE, "provider", "name", VALUE)

    def crash(*_: object) -> None:
        raise RuntimeError("power cut")

    for place in ((record, "audit"), (master, "keep_only")):
        with monkeypatch.context() as patch:
            patch.setattr(*place, crash)
            with pytest.raises(RuntimeError):
                vault.rotate_key(ALICE)
        monkeypatch.setattr(keys, "_known", {})
        assert vault.reveal(SYSTEM, "provider", "name") == VALUE
    newest = vault.rotate_key(ALICE)
    assert list(master.ring()) == [newest]
    assert vault.reveal(SYSTEM, "provider", "name") == VALUE


def test_it_rotates_past_a_row_that_is_unreadable(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "good", VALUE)
    vault.put(ALICE, "provider", "bad", VALUE)
    with db.transaction() as conn:
        conn.execute(models.secrets.update().where(models.secrets.c.name == "bad").values(sealed=b"x" * 40))
    vault.rotate_key(ALICE)
    assert vault.reveal(SYSTEM, "provider", "good") == VALUE
    with pytest.raises(Conflict):
        vault.reveal(SYSTEM, "provider", "bad")


def test_it_rotates_while_others_read_and_write(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "name", VALUE)
    done, failures = threading.Event(), []

    def use(number: int) -> None:
        try:
            while not done.is_set():
                assert vault.reveal(SYSTEM, "provider", "name") == VALUE
                vault.put(ALICE, f"project:p{number}", "name", VALUE)
                keys._known.clear()  # as another process, which has to read the file
        except BaseException as failure:  # noqa: BLE001 - told to the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        vault.rotate_key(ALICE)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(master.ring()) == 1


def test_it_asks_for_rights(data_dir: Path) -> None:
    vault.put(ALICE, "provider", "name", VALUE)
    for verb in (vault.names, vault.describe, lambda actor, scope: vault.reveal(actor, scope, "name")):
        with pytest.raises(Denied):
            verb(BOB, "provider")
        with pytest.raises(Unauthenticated):
            verb(None, "provider")
    for write in (
        lambda actor: vault.put(actor, "provider", "name", VALUE),
        lambda actor: vault.delete(actor, "provider", "name"),
        vault.rotate_key,
    ):
        with pytest.raises(Denied):
            write(BOB)
    agent = Actor(id="run_1", kind="agent", user="usr_alice", name="Agent", grants=("*",))
    with pytest.raises(Denied):
        vault.reveal(agent, "provider", "name")


def test_it_keeps_a_projects_token_to_its_project(data_dir: Path) -> None:
    vault.put(ALICE, "project:prj_2", "name", VALUE)
    bound = Actor(id="tok_1", kind="token", user="usr_alice", name="CI", grants=("*",), project="prj_1")
    assert vault.names(bound, "project:prj_1") == []
    for scope in ("project:prj_2", "provider"):
        with pytest.raises(NotFound):
            vault.names(bound, scope)


@pytest.mark.parametrize(
    ("scope", "name", "value"),
    [
        ("Provider", "name", VALUE), ("a|b", "name", VALUE), ("provider", "", VALUE),
        ("provider", "a|b", VALUE),
        ("provider", "n" * 129, VALUE), ("provider", "name", ""), ("provider", "name", "x" * 16385),
    ],
)  # fmt: skip
def test_it_refuses_what_it_cannot_keep(data_dir: Path, scope: str, name: str, value: str) -> None:
    with pytest.raises(Invalid):
        vault.put(ALICE, scope, name, value)


def test_it_tells_the_redactor_every_value(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.put(ALICE, "provider", "anthropic", VALUE)
    assert redact.text(VALUE) == "[secret:anthropic]"
    for learn in (lambda: vault.reveal(SYSTEM, "provider", "anthropic"), vault.watch_all):
        monkeypatch.setattr(redact, "_live", redact.Redactor())
        assert redact.text(VALUE) == VALUE
        learn()
        assert redact.text(VALUE) == "[secret:anthropic]"


def test_what_other_rooms_have_us_hold_is_sealed_rotated_and_let_go(data_dir: Path) -> None:
    vault.hold("sandbox:1", "environment", VALUE)
    vault.hold("sandbox:1", "environment", VALUE + "!")
    assert vault.held("sandbox:1", "environment") == VALUE + "!"
    assert VALUE.encode() not in bytes_on_disk(data_dir)
    vault.rotate_key(ALICE)
    assert vault.held("sandbox:1", "environment") == VALUE + "!"
    vault.watch_all()
    assert redact.text(VALUE + "!") == VALUE + "!"
    for missing in (("sandbox:2", "environment"), ("sandbox:1", "other")):
        with pytest.raises(NotFound):
            vault.held(*missing)
    vault.let_go("sandbox:1")
    with pytest.raises(NotFound):
        vault.held("sandbox:1", "environment")


def test_no_verb_that_takes_a_scope_reaches_what_is_held(data_dir: Path) -> None:
    owner = replace(ALICE, grants=("*",))
    vault.hold("notifications", "vapid", VALUE)
    for verb in (
        lambda: vault.names(owner, "held:notifications"),
        lambda: vault.put(owner, "held:notifications", "vapid", VALUE),
        lambda: vault.delete(owner, "held:notifications", "vapid"),
        lambda: vault.reveal(SYSTEM, "held:notifications", "vapid"),
    ):
        with pytest.raises(NotFound):
            verb()
    assert vault.held("notifications", "vapid") == VALUE


def test_what_is_held_and_was_changed_from_outside_says_so(data_dir: Path) -> None:
    for scope in ("sandbox:1", "sandbox:2"):
        vault.hold(scope, "environment", VALUE + scope)
    with db.read() as conn:
        sealed = conn.scalar(sa.select(models.secrets.c.sealed).where(models.secrets.c.scope == "held:sandbox:2"))
    change(models.secrets, "held:sandbox:1", sealed=sealed)
    with pytest.raises(Conflict) as caught:
        vault.held("sandbox:1", "environment")
    assert caught.value.code == "SECRET_UNREADABLE"
    assert vault.held("sandbox:2", "environment") == VALUE + "sandbox:2"


def test_a_rotation_that_ends_during_a_look_at_what_is_held_fails_no_look(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.hold("sandbox:1", "environment", VALUE)
    look, looks = keys.for_reading, list[str]()

    def rotated_meanwhile(conn: sa.Connection, scope: str, key_id: str) -> bytes:
        looks.append(scope)
        if len(looks) == 1:
            vault.rotate_key(ALICE)
            keys._known.clear()
        return look(conn, scope, key_id)

    monkeypatch.setattr(keys, "for_reading", rotated_meanwhile)
    assert vault.held("sandbox:1", "environment") == VALUE
    assert len(looks) > 1


def test_a_derived_secret_is_the_same_while_the_master_key_is(data_dir: Path) -> None:
    first = vault.derive("purpose", "name")
    assert len(bytes.fromhex(first)) == 32
    assert vault.derive("purpose", "name") == first
    assert len({first, vault.derive("purpose", "other"), vault.derive("other", "name")}) == 3
    assert first.encode() not in bytes_on_disk(data_dir)
    vault.put(ALICE, "provider", "key", VALUE)
    vault.rotate_key(ALICE)
    assert vault.derive("purpose", "name") != first
