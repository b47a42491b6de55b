"""The tests' PostgreSQL, and what the tests expect of it."""

from __future__ import annotations

import psycopg
import pytest

from tests import postgres

pytestmark = pytest.mark.postgres


def test_it_answers_as_postgresql(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT current_setting('server_version_num')::int").fetchone()
    assert row is not None
    assert row[0] >= 160000


def test_a_database_is_a_copy_of_its_template(postgres_server: postgres.Server) -> None:
    with psycopg.connect(postgres_server.create("filled")) as connection:
        connection.execute("CREATE TABLE word AS SELECT 'clear' AS said")
    with psycopg.connect(postgres_server.create("copied", "filled")) as connection:
        assert connection.execute("SELECT said FROM word").fetchall() == [("clear",)]
    postgres_server.drop("copied")
    postgres_server.drop("filled")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgres_server.url("copied"))
