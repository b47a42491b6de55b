"""The cast and a database of their own, for the tests of accounts and of what stands around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import config, db, ids
from app.accounts import grants, identity, models
from app.actor import Actor
from tests import migrated


class Clock:
    """The wall clock in unix ms, as `ids.now` gives it; it goes on only when it is told."""

    def __init__(self) -> None:
        self.time = 1_760_000_000_000

    def __call__(self) -> int:
        return self.time

    def pass_by(self, *, hours: float = 0, minutes: float = 0) -> None:
        self.time += int((hours * 60 + minutes) * 60_000)
        identity.forget()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock to turn."""
    clock = Clock()
    monkeypatch.setattr(ids, "now", clock)
    return clock


@pytest.fixture
def database(tmp_path: Path) -> Iterator[db.Database]:
    """A new SQLite database in use, with every table."""
    config.use(config.Config(data_dir=tmp_path, testing=True))
    migrated.copy_into(tmp_path)
    database = db.Database(f"sqlite:///{tmp_path / 'signalcabin.db'}")
    db.use(database)
    yield database
    database.close()


def person(name: str, role: str) -> Actor:
    """Somebody who is here, as the actor they are in a browser."""
    user_id = f"usr_{name}"
    row = {"id": user_id, "name": name.capitalize(), "email": f"{name}@example.org"}
    with db.transaction() as conn:
        conn.execute(models.user.insert(), {**row, "created": ids.now()})
        conn.execute(models.role_assignment.insert(), {"user_id": user_id, "role": role, "assigned": ids.now()})
    return Actor(id=user_id, kind="user", user=user_id, name=row["name"], grants=grants.ROLES[role])


@pytest.fixture
def alice(database_in_use: None) -> Actor:
    """Alice owns the place."""
    return person("alice", "owner")


@pytest.fixture
def bob(alice: Actor) -> Actor:
    """Bob is on the team."""
    return person("bob", "member")


@pytest.fixture
def charlie(bob: Actor) -> Actor:
    """Charlie has an account and must see nothing."""
    return person("charlie", "base")
