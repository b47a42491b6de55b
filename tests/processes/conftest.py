"""A world to run commands in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import config
from app.processes import child, sandbox
from app.processes.spawn import Finished, sandbox_state, spawn
from tests.patience import PATIENCE


@dataclass(frozen=True)
class World:
    """A data directory with a private directory in it, and a workspace outside."""

    data: Path
    workspace: Path
    private: Path

    def run(self, *argv: str, cwd: Path | None = None, **options: object) -> Finished:
        options = {"sandbox": True, "timeout": PATIENCE, **options}
        place = {"workspace": self.workspace, "private": self.private}
        return spawn(argv, cwd=cwd or self.workspace, **place, **options)  # type: ignore[arg-type]

    def sh(self, script: str, **options: object) -> Finished:
        return self.run("sh", "-c", script, **options)

    def python(self, script: str, **options: object) -> Finished:
        return self.run("/usr/bin/env", "python3", "-I", "-c", script, **options)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    data.mkdir()
    workspace.mkdir()
    (data / "master.key").write_text("the key")
    before = config._current
    config.use(config.Config(data_dir=data, testing=True))
    yield World(data, workspace, data / "private" / "prj_1")
    child.drop_spare()
    config._current = before


@pytest.fixture(autouse=True)
def works() -> None:
    state = sandbox_state()
    if sys.platform.startswith("linux") and not state.on:
        pytest.fail(f"the sandbox is off: {state.why} Install it: {sandbox.INSTALL}", pytrace=False)
