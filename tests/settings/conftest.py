"""A project, and the home of who runs the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.actor import Actor
from app.db import Database
from app.projects import service as projects
from app.projects.service import Place


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of OpenCode's configuration in that home."""
    folder = tmp_path / "home/.config/opencode"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def shop(either_database: Database, alice: Actor, home: Path, tmp_path: Path) -> Place:
    """Alice's project."""
    root = tmp_path / "shop"
    root.mkdir()
    projects.add(alice, str(root))
    return projects.resolve(alice, str(root))


def write(folder: Path, name: str, text: str) -> None:
    """Put a file somewhere below a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
