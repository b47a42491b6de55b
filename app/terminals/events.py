"""What terminals announce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app import record


@dataclass(frozen=True)
class TerminalCreated(record.Event, kind="terminals.created"):
    """A terminal was opened in a directory of projects; `terminal` is what `Terminal.shape` gives."""

    terminal: dict[str, Any]
    directory: str


@dataclass(frozen=True)
class TerminalUpdated(record.Event, kind="terminals.updated"):
    """A terminal has another title or size."""

    terminal: dict[str, Any]
    directory: str


@dataclass(frozen=True)
class TerminalExited(record.Event, kind="terminals.exited"):
    """What ran in a terminal has ended; after signal n the code is 128 + n and `signal` its name."""

    terminal_id: str
    exit_code: int
    signal: str | None
    directory: str


@dataclass(frozen=True)
class TerminalDeleted(record.Event, kind="terminals.deleted"):
    """A terminal is there no more."""

    terminal_id: str
    directory: str
