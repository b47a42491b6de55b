"""What was set is read once for a while, and anew as soon as it is changed, here or in another process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, record, remembered
from app.actor import SYSTEM, Actor, Scope
from app.dialects.mount import Cabin
from app.events import service as events
from app.settings import service, stored
from app.settings.events import ConfigChanged
from app.settings.models import configurations
from app.settings.schema import Config
from tests.patience import PATIENCE
from tests.processes.test_spawn import until


def model() -> Any:
    return service.config(SYSTEM, None).shown().get("model")


def set_model(alice: Actor, name: str) -> None:
    """Set it, and wait until this process has heard of that too."""
    with events.subscribe(SYSTEM, keep=lambda fact: isinstance(fact.event, ConfigChanged)) as told:
        service.set_values(alice, None, Config.model_validate({"model": name}))
        assert next(told.facts(heartbeat=PATIENCE)) is not None


def test_what_another_process_set_is_known_here_by_its_event(
    app: Cabin, alice: Actor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process is played by a transaction after which this one forgets nothing by itself."""
    monkeypatch.setattr(remembered, "SECONDS", 10 * PATIENCE)
    set_model(alice, "a/here")
    assert model() == "a/here"
    with db.transaction() as connection:
        connection.execute(configurations.update().values(document={"model": "a/there"}))
    assert model() == "a/here"
    with db.transaction() as connection:
        record.event(connection, ConfigChanged(""), Scope("", ""))
    assert until(lambda: model() == "a/there")


def test_a_change_is_seen_within_its_transaction_and_by_nobody_once_it_is_taken_back(
    app: Cabin, alice: Actor, home: Path
) -> None:
    service.set_values(alice, None, Config.model_validate({"model": "a/before"}))
    assert model() == "a/before"
    with db.transaction() as connection:
        service.set_values(alice, None, Config.model_validate({"model": "a/never"}))
        assert model() == "a/never"
        connection.rollback()
    assert model() == "a/before"


def test_it_is_not_read_again_while_nothing_changes(
    app: Cabin, alice: Actor, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "SECONDS", 10 * PATIENCE)
    set_model(alice, "a/b")
    asked: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread() is threading.main_thread():  # others have work of their own
            asked.append(statement)

    stored.of(None)
    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        assert [stored.of(place)[0] for place in (None, tmp_path, None)] == [{"model": "a/b"}] * 3
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)
    assert asked == []
