"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class FileEdited(Event, kind="agent.file_edited"):
    """The agent wrote or removed a file: its absolute path, and what became of it: add, change or unlink."""

    session_id: str
    file: str
    change: str = "change"


@dataclass(frozen=True)
class CommandExecuted(Event, kind="agent.command_executed"):
    """The run of a slash command came to its end: its name and arguments, and its last answer."""

    session_id: str
    name: str
    arguments: str
    message_id: str
