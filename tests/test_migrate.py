"""The migrations lead to exactly the tables that the code speaks of, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app import db, migrate, rooms
from tests import postgres


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


def upgraded(url: str) -> list[tuple[object, ...]]:
    """What a checkpoint of the first schema is like after the move to this one."""
    migrate.upgrade(url, "0001")
    database = db.Database(url)
    first = sa.Table("checkpoint", sa.MetaData(), autoload_with=database.engine)
    row = {column.name: 1 if isinstance(column.type, sa.Integer) else "[]" for column in first.columns}
    with database.engine.begin() as connection:
        connection.execute(first.insert(), {**row, "id": "chk_1", "note": "kept"})
    migrate.upgrade(url)
    with database.engine.connect() as connection:
        found = [tuple(one) for one in connection.execute(sa.text("SELECT id, note, lost, talk FROM checkpoint"))]
    database.close()
    return found


def test_what_an_older_version_kept_is_kept_on_sqlite(tmp_path: Path) -> None:
    assert upgraded(f"sqlite:///{tmp_path / 'old.db'}") == [("chk_1", "kept", "", None)]


@pytest.mark.postgres
def test_what_an_older_version_kept_is_kept_on_postgresql(postgres_server: postgres.Server) -> None:
    assert upgraded(postgres_server.create("older")) == [("chk_1", "kept", "", None)]


def roles_after_the_move(url: str) -> list[tuple[object, ...]]:
    """Who holds what after the move, of a person who was an admin and of one who was removed."""
    migrate.upgrade(url, "0006")
    database = db.Database(url)
    user = sa.Table("user", sa.MetaData(), autoload_with=database.engine)
    with database.engine.begin() as connection:
        for name, revoked in (("ada", None), ("gone", 7)):
            row = {"id": f"usr_{name}", "name": name, "role": "admin", "created": 5, "revoked": revoked}
            connection.execute(user.insert(), row)
    migrate.upgrade(url)
    with database.engine.connect() as connection:
        found = [
            tuple(one) for one in connection.execute(sa.text("SELECT user_id, role, assigned FROM role_assignment"))
        ]
    database.close()
    return found


def test_people_keep_their_role_on_sqlite(tmp_path: Path) -> None:
    assert roles_after_the_move(f"sqlite:///{tmp_path / 'old.db'}") == [("usr_ada", "admin", 5)]


@pytest.mark.postgres
def test_people_keep_their_role_on_postgresql(postgres_server: postgres.Server) -> None:
    assert roles_after_the_move(postgres_server.create("before_roles")) == [("usr_ada", "admin", 5)]
