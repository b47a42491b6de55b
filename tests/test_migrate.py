"""The migrations lead to exactly the tables that the code speaks of, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app import db, migrate, rooms


def differences(url: str) -> list[object]:
    """What a further revision would have to change after migrating an empty database."""
    rooms.import_models()
    migrate.upgrade(url)
    migrate.upgrade(url)
    database = db.Database(url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": migrate.is_declared})
        found = compare_metadata(context, db.metadata)
    database.close()
    return [one for one in found if "test" not in str(one)]


def test_they_agree_with_the_tables_on_sqlite(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path / 'new.db'}") == []


@pytest.mark.postgres
def test_they_agree_with_the_tables_on_postgresql(postgres_url: str) -> None:
    assert differences(postgres_url) == []
