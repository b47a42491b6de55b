"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class ConfigChanged(Event, kind="settings.config_changed"):
    """What clients have read of a directory's configuration may be out of date; "" for that of all directories."""

    directory: str
