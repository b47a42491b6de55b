"""Answering identical reads together: each is still answered by itself, once, and what came of each is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.accounts import service as accounts
from app.actor import Actor
from app.approvals.service.answers import answer
from app.approvals.service.lists import get_many
from app.approvals.things import Ask, likeness
from app.errors import Conflict, Denied, Invalid, NotFound

MOST = 50
REPLIES = ("once", "reject")


@dataclass(frozen=True)
class Outcome:
    """What came of it: the asks answered now, those that somebody else had settled, those nobody may answer here."""

    answered: list[Ask]
    late: list[Ask]
    left: list[str]


def answer_reads(actor: Actor | None, ask_ids: Sequence[str], reply: str, word: str = "") -> Outcome:
    """Answer several asks once or reject them; all are identical reads, or none is answered.

    Raises Invalid for anything that is no read, or not like the others.
    """
    actor = accounts.require(actor, "approvals:answer")
    wanted = list(dict.fromkeys(ask_ids))
    if reply not in REPLIES:
        raise Invalid(f"reply is one of {', '.join(REPLIES)}.", "reply")
    if not wanted or len(wanted) > MOST:
        raise Invalid(f"Choose at least one read, and at most {MOST}.", "ask")
    found = {ask.id: ask for ask in get_many(actor, wanted)}
    _check(list(found.values()))
    answered: list[Ask] = []
    left = [ask_id for ask_id in wanted if ask_id not in found]
    late: list[str] = []
    for ask_id in found:
        try:
            answered.append(answer(actor, ask_id, reply, word))
        except Conflict:
            late.append(ask_id)
        except (Denied, NotFound):
            left.append(ask_id)
    return Outcome(answered, get_many(actor, late), left)


def _check(found: list[Ask]) -> None:
    """Raise Invalid unless they may be answered in one act."""
    kinds = {likeness(ask) for ask in found}
    if () in kinds:
        raise Invalid("Only reads whose whole call is legible are answered together.", "ask")
    if len(kinds) > 1:
        raise Invalid("Only identical reads are answered together.", "ask")
