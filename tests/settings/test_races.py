"""Two who change a configuration at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from app import db
from app.actor import Actor
from app.projects.service import Place
from app.settings import service
from app.settings.service import Config
from tests.patience import PATIENCE

WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.mark.parametrize("either_database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("before", [{}, {"username": "Alice"}], ids=["the first time", "later"])
def test_who_comes_while_another_changes_it_waits_and_adds_to_it(
    shop: Place, alice: Actor, before: dict[str, Any]
) -> None:
    if before:
        service.set_values(alice, shop, config(**before))
    with ThreadPoolExecutor(1) as pool:
        with db.transaction():
            service.set_values(alice, shop, config(theme="dark"))
            second = pool.submit(service.set_values, alice, shop, config(model="acme/x"))
            while not waits_for_another():
                assert not second.done(), second.result()
        second.result(PATIENCE)
    assert service.config(alice, shop).shown() == {**before, "theme": "dark", "model": "acme/x"}


def waits_for_another() -> bool:
    """Whether a connection to this database waits for what another one has locked; asked on a connection of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(count).result(PATIENCE) > 0


def count() -> int:
    with db.read() as conn:
        return conn.scalar(WAITING) or 0


def config(**given: Any) -> Config:
    return Config.model_validate(given)
