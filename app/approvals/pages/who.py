"""Who may answer an ask, in words for somebody who may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import g

from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import bp, service
from app.approvals.service import Ask

NAMED = 3


@bp.app_context_processor
def words() -> dict[str, Callable[[Ask], Any]]:
    """`who_answers(ask)` and `likeness(ask)` for the templates."""
    return {"who_answers": lambda ask: who_answers(g.actor, ask), "likeness": service.likeness}


def who_answers(actor: Actor, ask: Ask) -> str:
    """A sentence with the names of those who may answer, the session's owner first."""
    if not accounts.may(actor, "users:read"):
        return "Whoever started the session answers."
    people = sorted(_people(actor), key=lambda one: one.user != ask.owner)
    names = [one.name for one in people if accounts.may(one, "approvals:answer", ask)]
    shown, rest = names[:NAMED], len(names) - NAMED
    if rest > 0:
        shown.append(f"{rest} more")
    *firsts, last = shown or ["Nobody"]
    return f"{', '.join(firsts)} or {last} can answer." if firsts else f"{last} can answer."


def _people(actor: Actor) -> list[Actor]:
    """Everybody who is here with what they may do, looked up once for all asks of a page."""
    if "people_who_answer" not in g:
        g.people_who_answer = accounts.list_acting(actor)
    found: list[Actor] = g.people_who_answer
    return found
