"""What the record announces: that it grew, and how a look at its chain goes."""

from __future__ import annotations

from dataclasses import dataclass

from app.record import Event


@dataclass(frozen=True)
class RecordGrew(Event, kind="audit.grew"):
    """Entries were sealed: how many, and the place of the last one in the chain."""

    count: int
    place: int


@dataclass(frozen=True)
class Verifying(Event, kind="audit.verifying"):
    """The chain is being followed: so many links of so many."""

    done: int
    of: int


@dataclass(frozen=True)
class Verified(Event, kind="audit.verified"):
    """The chain was followed to its end, or to the first flaw."""

    ok: bool
