"""A project, and the home of who runs the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app import config
from app.actor import Actor
from app.db import Database
from app.projects import service as projects
from app.projects.service import Place


@pytest.fixture
def database(either_database: Database, tmp_path: Path) -> Database:
    """Alice is known in the database that the test is about; no project may lie in its server's data directory."""
    (tmp_path / "data").mkdir(mode=0o700)
    config.use(replace(config.current(), data_dir=tmp_path / "data"))
    return either_database


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of OpenCode's configuration in that home."""
    folder = tmp_path / "home/.config/opencode"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def shop(database: Database, alice: Actor, home: Path, tmp_path: Path) -> Place:
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
