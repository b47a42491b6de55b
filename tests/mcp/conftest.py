"""A project with a server of tools in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from app.mcp import service as mcp
from app.mcp.service import Wanted
from app.projects import service as projects
from app.projects.service import Place
from tests.model_server import ModelServer

PEER = Path(__file__).with_name("peer.py")
COMMAND = ("python3", "peer.py")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / ".git").mkdir()
    shutil.copy(PEER, root / "peer.py")
    return root


@pytest.fixture
def settings(settings: Config, workspace: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A server on the small project, whose model is the model server."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    return replace(settings, project=workspace, model="openai/scripted")


@pytest.fixture
def place(app: Cabin, alice: Actor) -> Place:
    return projects.resolve(alice, None)


@pytest.fixture
def peer(alice: Actor, place: Place) -> str:
    """The name of a connected server."""
    status = mcp.add(alice, place, "peer", Wanted("local", COMMAND, {"PEER_KEY": "not-for-anyone"}, timeout=60_000))
    assert status.state == "connected", status
    return "peer"
