"""People who want to be told, servers that listen, and agents that ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.notifications import delivery
from app.projects import service as projects
from tests.model_server import ModelServer
from tests.notifications.listener import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server of somebody's own that is told."""
    running = Listener()
    yield running
    running.stop()


@pytest.fixture
def settings(settings: Config, listener: Listener, scripted: ModelServer) -> Config:
    """A server that may tell the listener; its sessions ask the scripted model."""
    return replace(settings, model="openai/scripted", outbound_allow=(listener.place,))


@pytest.fixture
def project(app: Cabin, alice: Actor, tmp_path: Path) -> Path:
    """Where agents work."""
    made = tmp_path / "project"
    made.mkdir()
    projects.add(alice, str(made))
    return made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put off is due at once: tests wait for what comes, never for time."""
    monkeypatch.setattr(delivery, "PAUSES", (0, 0, 0, 0))
