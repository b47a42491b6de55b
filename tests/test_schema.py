"""A server, a worker and a command on a database of another version say in a line what is wrong, and do nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from app import db, migrate, schema
from app.errors import Unavailable
from tests import postgres
from tests.accounts.conftest import database
from tests.running import free_port

__all__ = ["database"]
ROOT = Path(__file__).parent.parent


def run(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"SIGNALCABIN_DATA_DIR": str(data_dir), "SIGNALCABIN_PORT": str(free_port()), "PATH": "/usr/bin:/bin"}
    line = [sys.executable, "-m", "app", *words]
    return subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


def stamp(revision: str) -> None:
    with db.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


def test_the_newest_file_is_where_the_migrations_lead() -> None:
    directory = ScriptDirectory(str(ROOT / "migrations"))
    assert schema.head() == directory.get_current_head()


@pytest.mark.parametrize("words", [["serve"], ["worker"], ["signin"], ["token", "laptop"], ["export", "ses_x"]])
def test_nothing_begins_on_an_empty_database(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path, *words)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "The database is empty. Make its tables: python -m app migrate" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("revision", "words"), [("0001", "has the schema 0001, this"), ("9999", "a newer version")])
def test_another_version_s_database_is_left_alone(database: db.Database, revision: str, words: str) -> None:
    schema.check()
    stamp(revision)
    with pytest.raises(Unavailable, match=words):
        schema.check()


@pytest.mark.postgres
def test_it_is_told_on_postgresql_too(postgres_server: postgres.Server) -> None:
    url = postgres_server.create("unfit")
    with opened(url), pytest.raises(Unavailable, match="is empty"):
        schema.check()
    migrate.upgrade(url)
    with opened(url):
        schema.check()


@contextmanager
def opened(url: str) -> Iterator[None]:
    """The database in use for as long as that."""
    database = db.Database(url)
    db.use(database)
    yield
    database.close()
