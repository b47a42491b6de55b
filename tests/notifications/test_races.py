"""What several processes hear at once is told once, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app import db
from app.actor import Actor
from app.agent import service as agent  # noqa: F401 - what runs wake
from app.approvals.events import Asked
from app.db import Database
from app.notifications import deciding, delivery, models, rows, senders, service
from app.notifications.senders import browser
from app.notifications.service import Rules
from tests.approvals.asking import hold_of, runs


def at_once(work: Callable[[], object], number: int = 12) -> list[object]:
    """What came of it in each of so many threads."""
    start, came = threading.Barrier(number), list[object]()

    def run() -> None:
        start.wait()
        came.append(work())

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == number
    return came


def test_who_hears_of_an_ask_writes_it_down_once(either_database: Database, alice: Actor, tmp_path: Path) -> None:
    service.add_webhook(alice, "Lamp", "https://example.com/lamp")
    ask = runs(hold_of(alice, tmp_path), "make paint")
    fact = Asked(session_id=ask.session_id, ask=ask.plain())
    found = at_once(lambda: len(deciding.of_ask(fact)))
    assert sorted(found) == [0] * 11 + [1]
    assert len(service.list_notices(alice)) == 1


def test_who_is_to_send_it_sends_it_once(
    either_database: Database, alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    service.change_rules(alice, Rules(away_only=False, delay=0))
    service.add_webhook(alice, "Lamp", "https://example.com/lamp")
    ask = runs(hold_of(alice, tmp_path), "make paint")
    (one,) = deciding.of_ask(Asked(session_id=ask.session_id, ask=ask.plain()))
    monkeypatch.setattr(senders, "send", lambda _channel, told: sent.append(told.about))
    at_once(lambda: delivery.deliver(one.id))
    assert sent == [ask.id]
    assert [notice.state for notice in service.list_notices(alice)] == ["sent"]


def test_there_is_one_key_for_all_browsers(either_database: Database, alice: Actor) -> None:
    assert len(set(at_once(browser.public_key))) == 1
    with db.read() as connection:
        assert rows.channels(connection, models.channel.c.owner == alice.user) == []
