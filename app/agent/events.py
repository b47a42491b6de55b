"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class FileEdited(Event, kind="agent.file_edited"):
    """The agent wrote a file; its absolute path."""

    session_id: str
    file: str
