"""Directories to take snapshots of, with and without git, and an agent that changes them step by step."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import config, db, dispatch, git
from app.accounts import service as accounts
from app.actor import Actor
from app.checkpoints import service as checkpoints
from app.checkpoints.shadow import Shadow
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Hold, Session

Write = Callable[..., None]
Act = Callable[[], object]


@dataclass
class Agent:
    """Drives runs of one session by hand: a prompt, then steps that change files."""

    actor: Actor
    session: Session
    hold: Hold | None = None
    prompt: str = ""

    @property
    def place(self) -> Path:
        return Path(self.session.directory)

    def ask(self, text: str) -> str:
        """Send a prompt and take its run; returns the message's id."""
        message, run_id = sessions.send(self.actor, self.session.id, [{"type": "text", "text": text}])
        assert run_id is not None
        self.hold, self.prompt = sessions.take(run_id), message.id
        return message.id

    def step(self, *acts: Act, paths: tuple[str, ...] = ()) -> list[str]:
        """One assistant message with a tool part for each act; returns the ids of message and parts."""
        assert self.hold is not None
        message = sessions.add_message(self.hold, {"parentID": self.prompt})
        found = [message.id]
        for act in acts:
            part = sessions.add_part(self.hold, message.id, "tool", {"tool": "edit", "state": {}})
            checkpoints.before(self.hold, message.id, part.id, paths=paths)
            act()
            checkpoints.after(self.hold, message.id, part.id, paths=paths)
            found.append(part.id)
        return found

    def rest(self) -> None:
        """End the run."""
        assert self.hold is not None
        sessions.finish(self.hold, "completed")

    def turn(self, text: str, *acts: Act) -> str:
        """A prompt, one step, and idle; returns the prompt's id."""
        asked = self.ask(text)
        self.step(*acts)
        self.rest()
        return asked

    def writes(self, path: str, content: str) -> Act:
        return lambda: write(self.place, path, content)

    def content(self, path: str) -> str | None:
        file = self.place / path
        return file.read_text() if file.exists() else None

    def now(self) -> Session:
        return sessions.get(self.actor, self.session.id)


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


@pytest.fixture
def agent(alice: Actor, repository: Path) -> Agent:
    projects.add(alice, str(repository))
    return Agent(alice, sessions.create(alice, projects.resolve(alice, str(repository)), title="Fix"))


@pytest.fixture
def either_agent(either_database: db.Database, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent on each database in turn; no engine takes its runs."""
    monkeypatch.setitem(dispatch._works, "agent.advance", lambda *args: None)
    config.use(dataclasses.replace(config.current(), data_dir=repository.parent / "var"))
    owner = accounts.local_owner()
    projects.add(owner, str(repository))
    return Agent(owner, sessions.create(owner, projects.resolve(owner, str(repository)), title="Fix"))
