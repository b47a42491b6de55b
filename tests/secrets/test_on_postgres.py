"""The vault on PostgreSQL, where transactions overlap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import config, db
from app.errors import NotFound
from app.secrets import keys, models, sealing
from app.secrets import service as vault
from tests.visitor import until

pytestmark = pytest.mark.postgres
VALUE = "sk-ant-the-secret-value-0123456789"


@pytest.fixture
def on_postgres(postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty PostgreSQL database in use."""
    config.use(config.Config(data_dir=tmp_path, testing=True))
    monkeypatch.setattr(keys, "_known", {})
    database = db.Database(postgres_database)
    db.use(database)
    yield
    database.close()


def test_a_key_does_not_go_while_something_is_sealed_with_it(on_postgres: None) -> None:
    vault.hold("sandbox:1", "first", VALUE)
    gone = threading.Thread(target=vault.let_go, args=("sandbox:1",))
    with db.transaction() as conn:
        key_id, key = keys.for_writing(conn, "held:sandbox:1")
        gone.start()
        until(lambda: not gone.is_alive() or somebody_waits())
        sealed = sealing.seal(key, VALUE.encode(), "secret", "held:sandbox:1", "second", 1)
        row = {"scope": "held:sandbox:1", "name": "second", "version": 1, "key_id": key_id, "sealed": sealed}
        conn.execute(models.secrets.insert().values(**row, by="usr_alice", created=1, updated=1))
    gone.join()
    for name in ("first", "second"):
        with pytest.raises(NotFound):
            vault.held("sandbox:1", name)


def somebody_waits() -> bool:
    """Whether a transaction of the PostgreSQL in use waits for another."""
    with db.current().engine.connect() as other:
        return bool(other.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
