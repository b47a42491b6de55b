"""Directories to take snapshots of, with and without git."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import config, git
from app.checkpoints.shadow import Shadow

Write = Callable[..., None]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory in use, away from the projects."""
    before = config._current
    config.use(config.Config(data_dir=tmp_path / "var", testing=True))
    yield tmp_path / "var"
    config._current = before


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory without git."""
    place = tmp_path / "plain"
    place.mkdir()
    write(place, "a.txt", "one\ntwo\n")
    write(place, "deep/b.txt", "b\n")
    return place


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two committed files."""
    place = tmp_path / "repository"
    place.mkdir()
    write(place, "a.txt", "one\ntwo\n")
    write(place, "deep/b.txt", "b\n")
    write(place, ".gitignore", "*.log\nbuild/\n")
    git.commit_all(place, "First", "2026-01-05T09:00:00Z")
    return place


@pytest.fixture
def shadow(data_dir: Path) -> Shadow:
    """The shadow of a project that has none yet."""
    return Shadow.of("prj_test")


def write(place: Path, path: str, content: str | bytes) -> None:
    """Write a file with the directories above it."""
    target = place / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(target)
