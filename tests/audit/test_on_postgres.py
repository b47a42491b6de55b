"""The same verbs on PostgreSQL, where transactions commit out of order and starts race."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import config, db, record
from app.accounts import models
from app.accounts import service as accounts
from app.actor import SYSTEM, Credentials
from app.audit import service
from app.audit.sealer import Sealer
from tests.patience import PATIENCE

pytestmark = pytest.mark.postgres


@pytest.fixture
def on_postgres(postgres_database: str, tmp_path: Path) -> Iterator[None]:
    """An empty PostgreSQL database in use."""
    config.use(config.Config(data_dir=tmp_path, testing=True))
    database = db.Database(postgres_database)
    db.use(database)
    yield
    database.close()


def test_a_transaction_that_commits_late_breaks_no_chain(on_postgres: None) -> None:
    written, go = threading.Event(), threading.Event()

    def late() -> None:
        with db.transaction() as conn:
            record.audit(conn, SYSTEM, "test.late")
            written.set()
            go.wait(PATIENCE)

    thread = threading.Thread(target=late)
    thread.start()
    assert written.wait(PATIENCE)
    with db.transaction() as conn:
        record.audit(conn, SYSTEM, "test.early", detail={"half": 0.5, "whole": 2.0, "word": "é"})
    sealer = Sealer()
    assert sealer.seal() == 1
    go.set()
    thread.join(PATIENCE)
    assert sealer.seal() == 1
    sealer.anchor()
    assert service.verify(SYSTEM) == service.Verdict(True, None, 2, 0)


def test_starts_at_once_make_one_owner(on_postgres: None) -> None:
    threads = [threading.Thread(target=accounts.first_start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    with db.read() as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(models.user)).scalar_one() == 1


def test_signing_in_and_tokens_work(on_postgres: None) -> None:
    actor, sid = accounts.redeem(accounts.first_start() or "", "127.0.0.1")
    _, secret = accounts.mint_token(actor, "laptop", ("sessions:*",))
    assert accounts.authenticate(Credentials(cookie=sid)) is not None
    found = accounts.authenticate(Credentials(bearer=secret))
    assert found is not None
    assert found.grants == ("sessions:*",)
    bob = accounts.create_user(actor, "Bob", "bob@example.org", "member")
    accounts.revoke_user(actor, bob.id)
