"""A project of Alice's, with a secret beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app import config
from app.actor import Actor
from app.dialects.mount import Cabin
from app.projects import service as projects
from app.projects.service import Place


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """A plain folder with a few files, links out of it and one within, beside a folder of secrets."""
    work, outside = tmp_path / "depot", tmp_path / "outside"
    (work / "docs" / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("root:x:0:0\n")
    (work / "a.txt").write_text("hello\n")
    (work / "docs" / "guide.md").write_text("# Guide\n")
    (work / "docs" / "deep" / "note.txt").write_text("deep\n")
    (work / "out").symlink_to("../outside")
    (work / "leak").symlink_to("../outside/secret")
    (work / "near").symlink_to("docs/guide.md")
    (work / "gone").symlink_to("nowhere")
    return work


@pytest.fixture
def here(alice: Actor, depot: Path) -> Place:
    """The depot as a place."""
    projects.add(alice, str(depot))
    return projects.resolve(alice, str(depot))


@pytest.fixture
def work(app: Cabin, depot: Path) -> Path:
    """The depot, as the directory that requests mean when they name none."""
    config.use(replace(config.current(), project=depot))
    projects.ensure_defaults()
    return depot
