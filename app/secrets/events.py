"""What the vault announces: never a value."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class SecretChanged(Event, kind="secret.changed"):
    """A secret was set, deleted, granted or taken away."""

    scope: str
    name: str
