"""What came of answering several asks together, told from what is stored of each."""

from __future__ import annotations

from collections import Counter

from app.actor import Actor
from app.approvals import service
from app.approvals.service import Ask

MOST = 50
MINE = {"once": "allowed", "always": "allowed", "reject": "rejected", "answer": "answered"}


def sentence(actor: Actor, word: str) -> str:
    """How many were allowed or rejected, and who was faster: "3 allowed, 1 was answered by Mei before you."."""
    wanted = [part for part in dict.fromkeys(word.split(".")) if part][:MOST]
    if not wanted:
        return ""
    found = service.get_many(actor, wanted)
    counts = Counter(_what(actor, ask) for ask in found)
    counts["gone"] = len(wanted) - len(found)
    pieces = [_piece(what, number) for what, number in counts.items() if number]
    return f"{', '.join(pieces)}."


def _what(actor: Actor, ask: Ask) -> str:
    """One's own answer by its word, anybody else's by their name, or the state in which it is."""
    if ask.state != "answered":
        return ask.state
    return MINE.get(ask.reply, ask.reply) if ask.answered_by == actor.id else f"by {ask.answered_name}"


def _piece(what: str, number: int) -> str:
    were = "was" if number == 1 else "were"
    if what.startswith("by "):
        return f"{number} {were} answered {what} before you"
    others = {
        "waiting": f"{number} still wait{'s' if number == 1 else ''}",
        "withdrawn": f"{number} {were} withdrawn before you, because the run ended",
        "gone": f"{number} {'is' if number == 1 else 'are'} not there any more",
    }
    return others.get(what, f"{number} {what}")
