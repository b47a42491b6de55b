"""The inbox's list under its headings: by session, by what is asked for, or by age."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app import ids
from app.actor import Actor
from app.approvals import service
from app.approvals.service import Ask
from app.sessions import service as sessions
from app.web_filters import through

BY = {"session": "Session", "command": "Same command", "age": "Age"}
HOUR = 3_600_000
AGES = ((24 * HOUR, "Over a day"), (HOUR, "Over an hour"), (0, "Within the hour"))


@dataclass(frozen=True)
class Group:
    """Asks under one heading, with a note beside it.

    `alike` is the first of the most numerous identical reads among them, `many` how many there are; "" without two.
    """

    title: str
    note: str
    asks: list[Ask]
    alike: str = ""
    many: int = 0

    def ticked(self, chosen: str) -> set[str]:
        """The ids of those that are like the chosen one, if it is among them."""
        first = next((ask for ask in self.asks if ask.id == chosen), None)
        kind = service.likeness(first) if first else ()
        return {ask.id for ask in self.asks if kind and service.likeness(ask) == kind}


def of(actor: Actor, asks: list[Ask], by: str, places: dict[str, str]) -> list[Group]:
    """The asks in groups, those first whose oldest ask is the oldest."""
    name = {"session": _session, "command": _command, "age": _age}[by]
    found: dict[str, list[Ask]] = {}
    for ask in asks:
        found.setdefault(name(ask), []).append(ask)
    note = _notes(actor, asks, places) if by == "session" else _count
    return [_group(key if by == "age" else _title(asked[0], by), note(asked), asked) for key, asked in found.items()]


def _group(title: str, note: str, asks: list[Ask]) -> Group:
    kinds = Counter(kind for ask in asks if (kind := service.likeness(ask)))
    kind, many = kinds.most_common(1)[0] if kinds else ((), 0)
    alike = next(ask.id for ask in asks if service.likeness(ask) == kind) if many > 1 else ""
    return Group(title, note, asks, alike, many)


def _session(ask: Ask) -> str:
    return ask.session_id


def _command(ask: Ask) -> str:
    return f"{ask.kind} {ask.tool} {ask.title}"


def _age(ask: Ask) -> str:
    return next(words for least, words in AGES if ids.now() - ask.created >= least or not least)


def _title(ask: Ask, by: str) -> str:
    return (ask.session_title or "Untitled") if by == "session" else ask.title


def _count(asked: list[Ask]) -> str:
    number = len({ask.session_id for ask in asked})
    return f"{number} sessions" if number > 1 else ""


def _notes(actor: Actor, asks: list[Ask], places: dict[str, str]) -> Callable[[list[Ask]], str]:
    """Where a session works and how it came."""
    about = sessions.get_many(actor, list({ask.session_id for ask in asks}))

    def note(asked: list[Ask]) -> str:
        session = about.get(asked[0].session_id)
        via = f"via {through(session.via)}" if session and session.via else ""
        return ", ".join(word for word in (places.get(asked[0].project, ""), via) if word)

    return note
