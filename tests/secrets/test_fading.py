"""A value that was replaced or deleted stays hidden while a command may have it, then shows again (THREATS 6.2)."""

from __future__ import annotations

import time

import pytest

from app import db, redact
from app.actor import SYSTEM
from app.secrets import fading
from app.secrets import service as secrets
from app.secrets.events import SecretChanged

OLD, NEW, OTHER = "tractor-lamp-nine", "seventeen-small-boats", "eleven-quiet-rooms"


def test_what_is_gone_stays_hidden_for_a_while(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    monkeypatch.setattr(fading, "_clock", lambda: now)
    monkeypatch.setattr(fading, "_watch_all", secrets.watch_all)
    redact.watch("elsewhere", "watched-by-another-room")
    for scope, name, value in (("platform", "A", OLD), ("platform", "B", OTHER), ("app:crm", "A", NEW)):
        secrets.put(SYSTEM, scope, name, value)
    secrets.put(SYSTEM, "platform", "A", NEW)
    secrets.delete(SYSTEM, "platform", "B")
    secrets._learn(SecretChanged("platform", "B"))
    now += fading.kept_for() - 1
    fading.let_pass()
    assert redact.text(f"{OLD} {OTHER} {NEW}") == "[secret:A] [secret:B] [secret:A]"
    now += 2
    fading.let_pass()
    hidden = redact.text(f"{OLD} {OTHER} {NEW} watched-by-another-room")
    assert hidden == f"{OLD} {OTHER} [secret:A] [secret:elsewhere]"


def test_a_value_is_as_hidden_as_before_while_it_is_looked_through(
    database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redact, "_live", redact.Redactor())
    secrets.put(SYSTEM, "platform", "A", OLD)
    shown: list[str] = []

    def watch_all() -> None:
        shown.append(redact.text(OLD))
        secrets.watch_all()

    monkeypatch.setattr(fading, "_watch_all", watch_all)
    monkeypatch.setattr(fading, "_changed", fading._clock() - fading.kept_for())
    fading.let_pass()
    assert [*shown, redact.text(OLD)] == ["[secret:A]", "[secret:A]"]
