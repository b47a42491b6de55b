"""What a measurement comes to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal


class Failed(Exception):
    """A figure could not be measured; the message says why, for the table's notes."""


@dataclass(frozen=True)
class Goal:
    """A figure's name, its unit, and the value to reach: at most (`less`) or at least (`more`) so much."""

    name: str
    unit: str
    value: float | None
    better: Literal["less", "more"] = "less"

    def is_met(self, value: float) -> bool:
        """Whether so much is good enough; without a value to reach it always is."""
        if self.value is None:
            return True
        return value <= self.value if self.better == "less" else value >= self.value

    def ratio(self, ours: float, theirs: float) -> float:
        """How many times better ours is than theirs."""
        high, low = (theirs, ours) if self.better == "less" else (ours, theirs)
        return high / low if low else 0.0


@dataclass(frozen=True)
class Figure:
    """A value measured for a goal; `note` says what the reader must know of it."""

    goal: Goal
    value: float
    note: str = ""


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left == 0.0
