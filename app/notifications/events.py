"""What this room announces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from app.record import Event


@dataclass(frozen=True)
class NoticeChanged(Event, kind="notifications.changed"):
    """Something was told to its owner, could not be, or needs not be any more."""

    is_personal: ClassVar[bool] = True
    session_id: str
    id: str
