"""The room's things as other rooms see them: frozen copies of rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import sqlalchemy as sa

from app.actor import Actor
from app.sessions import models


@dataclass(frozen=True)
class Session:
    """One conversation; times in unix ms, cost in dollars."""

    id: str
    project: str
    directory: str
    parent_id: str | None
    title: str
    mode: str
    provider: str
    model: str
    preset: str
    owner: str
    visibility: str
    via: str
    state: str
    cost: float
    tokens: dict[str, Any]
    additions: int
    deletions: int
    files: int
    todos: list[dict[str, Any]]
    revert: dict[str, Any] | None
    last_act: str
    created: int
    updated: int
    archived: int | None
    compacting: int | None = None
    version: int = 1
    share_slug: str | None = None
    share: dict[str, Any] | None = None
    share_until: int | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a run is queued, running or waiting."""
        return self.state in ("queued", "running", "waiting")

    def plain(self) -> dict[str, Any]:
        """The row as JSON-able data, for events."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Share:
    """How a session is shared: since when (unix ms), by which user, their name, whether with what tools gave back.

    `was` is who saw it before, and sees it once the link has ended; `until` is when that is (unix ms), None for never.
    """

    at: int
    by: str
    name: str
    output: bool
    was: str = "team"
    until: int | None = None


@dataclass(frozen=True)
class Part:
    """One piece of a message; `data` holds the fields of its type, as OpenCode names them."""

    id: str
    message_id: str
    session_id: str
    type: str
    data: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """The part as JSON-able data, for events."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Message:
    """One message of a person or the agent, with its parts in order."""

    id: str
    session_id: str
    role: str
    data: dict[str, Any]
    created: int
    completed: int | None
    parts: list[Part] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The message without its parts as JSON-able data, for events."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "parts"}

    def answers(self, prompt_id: str) -> bool:
        """Whether it was written by the run of this prompt, be it as an answer or as a summary on the way."""
        return self.role == "assistant" and prompt_id in (self.data.get("parentID"), self.data.get("for"))

    def part(self, part_id: str) -> Part | None:
        """The part with this id, if it is in here."""
        return next((part for part in self.parts if part.id == part_id), None)


@dataclass(frozen=True)
class Run:
    """One turn of the engine, from a prompt to idle."""

    id: str
    session_id: str
    message_id: str
    state: str
    mode: str
    provider: str
    model: str
    lease_owner: str | None
    lease_until: int | None
    fence: int
    takeovers: int
    abort: bool
    error: dict[str, Any] | None
    created: int
    started: int | None
    ended: int | None
    parent_run: str | None = None


# The lock keeps a take-over out until the writes that this let pass are committed (SQLite has one writer anyway).
_held = (
    sa.select(models.runs.c.abort, models.runs.c.session_id, models.sessions.c.owner, models.sessions.c.visibility)
    .join(models.sessions, models.sessions.c.id == models.runs.c.session_id)
    .where(
        models.runs.c.id == sa.bindparam("run"),
        models.runs.c.fence == sa.bindparam("held"),
        models.runs.c.state == "running",
    )
    .with_for_update(read=True, of=models.runs)
)
_seen = sa.select(models.sessions.c.owner, models.sessions.c.visibility).where(
    models.sessions.c.id == sa.bindparam("session")
)


class Fenced(Exception):
    """Somebody else took the run over, or it is deleted: this process must not write to it any more."""


class Aborted(Exception):
    """A person stopped the run."""


class Hold:
    """A held lease on a run: who may write to its session's transcript, and the way to tell it to stop."""

    def __init__(self, run: Run, session: Session, actor: Actor) -> None:
        self.run = run
        self.run_id = run.id
        self.session = session
        self.actor = actor
        self.fence = run.fence
        self.owner = run.lease_owner or ""
        self.cancelled = threading.Event()
        self.draining = threading.Event()
        self._lock = threading.Lock()
        self._on_cancel: dict[int, Callable[[], None]] = {}
        self._on_drain: Callable[[], None] = self.draining.set

    def check(self, connection: sa.Connection) -> None:
        """Raise Fenced unless the lease is still ours; the first line of every write inside a run.

        On the way it notices that a person asked to stop, and who may see the session by now.
        """
        row = connection.execute(_held, {"run": self.run_id, "held": self.fence}).first()
        if row is None:
            raise Fenced(self.run_id)
        if row.abort and not self.cancelled.is_set():
            self.cancel()
        owner, visibility = row.owner, row.visibility
        if connection.dialect.name == "postgresql":
            # The lock may have waited for a change of who sees it, which the statement that waited does not see.
            owner, visibility = connection.execute(_seen, {"session": row.session_id}).one()
        if (owner, visibility) != (self.session.owner, self.session.visibility):
            self.session = replace(self.session, owner=owner, visibility=visibility)

    def cancel(self) -> None:
        """Stop now: whatever waits on a model, a tool or a pause is told."""
        self.cancelled.set()
        with self._lock:
            callbacks = list(self._on_cancel.values())
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the run is stopped (at once if it already was); returns how to take it back."""
        with self._lock:
            key = max(self._on_cancel, default=0) + 1
            self._on_cancel[key] = callback
        if self.cancelled.is_set():
            callback()
        return lambda: (self._on_cancel.pop(key, None), None)[1]

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until the run is stopped or the server drains; True if the time is over."""
        woken = threading.Event()
        forget = self.on_cancel(woken.set)
        with self._lock:
            self._on_drain = woken.set
        if self.draining.is_set():
            woken.set()
        try:
            return not woken.wait(seconds)
        finally:
            forget()

    def drain(self) -> None:
        """The server goes down: stop at the next step boundary, and don't wait for anything any more."""
        self.draining.set()
        with self._lock:
            callback = self._on_drain
        callback()

    def raise_if_cancelled(self) -> None:
        """Raise Aborted once a person has stopped the run."""
        if self.cancelled.is_set():
            raise Aborted(self.run_id)


def session_of(row: Any) -> Session:
    """A row of the session table as a Session."""
    return Session(*row)


def run_of(row: Any) -> Run:
    """A row of the run table as a Run."""
    return Run(*row)


def part_of(row: Any) -> Part:
    """A row of the part table as a Part; its growing text lives in a column of its own."""
    part_id, message_id, session_id, kind, text, data = row
    return Part(part_id, message_id, session_id, kind, data if text is None else {**data, "text": text})


def message_of(row: Any, parts: list[Part] | None = None) -> Message:
    """A row of the message table as a Message."""
    message_id, session_id, role, data, created, completed, _version = row
    return Message(message_id, session_id, role, data, created, completed, parts or [])
