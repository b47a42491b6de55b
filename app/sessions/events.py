"""What this room announces. `session`, `message` and `part` hold whole rows as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from app.record import Event


@dataclass(frozen=True)
class SessionCreated(Event, kind="sessions.created"):
    """A session began."""

    session_id: str
    session: dict[str, Any]


@dataclass(frozen=True)
class SessionUpdated(Event, kind="sessions.updated"):
    """Title, state, cost, figures or revert changed."""

    session_id: str
    session: dict[str, Any]


@dataclass(frozen=True)
class SessionDeleted(Event, kind="sessions.deleted"):
    """A session is gone with all its data."""

    is_last: ClassVar[bool] = True
    session_id: str
    session: dict[str, Any]


@dataclass(frozen=True)
class SessionHidden(Event, kind="sessions.hidden"):
    """A session is its owner's alone from now on: told to those who saw it until now, and to nobody else."""

    is_farewell: ClassVar[bool] = True
    session_id: str


@dataclass(frozen=True)
class SessionShown(Event, kind="sessions.shown"):
    """A session that was its owner's alone is the team's too, with all that waits in it."""

    session_id: str


@dataclass(frozen=True)
class ShareEnded(Event, kind="sessions.share_ended"):
    """A session's public address is no more: whoever reads there reads no further."""

    session_id: str
    slug: str


@dataclass(frozen=True)
class SessionIdle(Event, kind="sessions.idle"):
    """The last queued run ended: nothing goes on."""

    session_id: str


@dataclass(frozen=True)
class SessionBusy(Event, kind="sessions.busy"):
    """A run began, or took its next step."""

    session_id: str


@dataclass(frozen=True)
class SessionRetrying(Event, kind="sessions.retrying"):
    """The model failed and is asked again: the how manieth try failed, why, and when the next is (unix ms)."""

    session_id: str
    attempt: int
    message: str
    next: int


@dataclass(frozen=True)
class SessionFailed(Event, kind="sessions.failed"):
    """A run ended with an error: {name, data} as in the transcript."""

    session_id: str
    error: dict[str, Any]


@dataclass(frozen=True)
class SessionCompacted(Event, kind="sessions.compacted"):
    """From now on the model sees a summary in place of what came before it."""

    session_id: str


@dataclass(frozen=True)
class MessageUpdated(Event, kind="sessions.message_updated"):
    """A message is new or changed; without its parts."""

    session_id: str
    message: dict[str, Any]


@dataclass(frozen=True)
class MessageRemoved(Event, kind="sessions.message_removed"):
    """A message and its parts are gone."""

    session_id: str
    message_id: str


@dataclass(frozen=True)
class PartRemoved(Event, kind="sessions.part_removed"):
    """A part is gone; its message stays."""

    session_id: str
    message_id: str
    part_id: str


@dataclass(frozen=True)
class PartUpdated(Event, kind="sessions.part_updated"):
    """A part is new or changed; whole."""

    session_id: str
    part: dict[str, Any]


@dataclass(frozen=True)
class PartDelta(Event, kind="sessions.part_delta"):
    """A text or reasoning part grew by `delta` to `end` characters."""

    session_id: str
    message_id: str
    part_id: str
    type: str
    delta: str
    end: int
    started: int


@dataclass(frozen=True)
class TodosUpdated(Event, kind="sessions.todos_updated"):
    """The agent rewrote its list."""

    session_id: str
    todos: list[dict[str, Any]]


@dataclass(frozen=True)
class RunEnded(Event, kind="sessions.run_ended"):
    """A run came to its end: completed, failed, aborted or interrupted; with the last assistant message."""

    session_id: str
    run_id: str
    state: str
    message_id: str
    answer_id: str


@dataclass(frozen=True)
class AbortAsked(Event, kind="sessions.abort_asked"):
    """Whoever holds this run's lease stops at once."""

    session_id: str
    run_id: str
