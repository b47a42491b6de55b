"""A person with a workspace and no provider, and a look at all that is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import db, record
from app.actor import Actor
from app.agent.providers.known import KNOWN
from app.config import Config
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place


@pytest.fixture(autouse=True)
def no_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own keys and addresses."""
    for known in KNOWN.values():
        for name in (*known.keys, known.base_url_key):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(settings: Config, tmp_path: Path) -> Config:
    """A server on a small project."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    return replace(settings, project=root)


@pytest.fixture
def place(app: Cabin, alice: Actor) -> Place:
    return projects.resolve(alice, None)


def audited(action: str = "") -> list[dict[str, Any]]:
    """The audit rows of an action, or all."""
    with db.read() as conn:
        rows = conn.execute(record.audit_rows.select().order_by(record.audit_rows.c.seq))
        return [row._asdict() for row in rows if action in ("", row.action)]


def logged() -> list[dict[str, Any]]:
    """All of the log of events."""
    with db.read() as conn:
        return [row._asdict() for row in conn.execute(record.events.select())]
