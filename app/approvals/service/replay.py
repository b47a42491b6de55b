"""What a rule would have let through: it is held against the calls that asked lately, before anybody adds it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import patterns, rows, rules
from app.approvals.presets import MODES, UNLIMITED, Action
from app.approvals.rows import ASKS
from app.approvals.rules import Ground, Rule, Stance
from app.approvals.things import Ask

MONTH = 30 * 86_400_000
LOOKED_AT = 100
SHOWN = 8


@dataclass(frozen=True)
class Past:
    """A call that asked once and that the rule would have let through; when in unix ms."""

    id: str
    title: str
    reply: str
    name: str
    word: str
    when: int


@dataclass(frozen=True)
class Replay:
    """What came of it: how many of the calls looked at would have run unasked, and the first of them.

    `cut` says that there were more calls within 30 days than were looked at.
    """

    looked_at: int
    cut: bool
    through: int
    rejected: int
    shown: list[Past]


def replay(actor: Actor | None, ask: Ask) -> Replay:
    """Hold the rules that "always" would add against the last calls that asked in this project, rejected ones first.

    Only calls that the actor may read count.
    """
    actor = accounts.require(actor, "approvals:read", ask)
    this = (ASKS.c.project == ask.project, ASKS.c.created > ids.now() - MONTH, ASKS.c.id != ask.id)
    with db.read() as connection:
        found = rows.past(connection, *this, limit=LOOKED_AT + 1)
        readable = rows.readable_past(actor, found[:LOOKED_AT])
    added = [Rule(rule["tool"], rule["pattern"], cast("Action", rule["action"])) for rule in ask.always]
    passing = [row for row, directory in readable if _would_pass(row, directory, added)]
    passing.sort(key=lambda row: row.reply != "reject")
    rejected = sum(row.reply == "reject" for row in passing)
    return Replay(
        len(readable), len(found) > LOOKED_AT, len(passing), rejected, [_past(row) for row in passing[:SHOWN]]
    )


def _would_pass(row: sa.Row[Any], directory: str, added: Sequence[Rule]) -> bool:
    """Whether each part that asked then would be allowed now; what was allowed then stays so."""
    asked = {(part["tool"], part["text"]) for part in row.parts if part["action"] == "ask"}
    if not asked or not all(any(_may_cover(rule, *part) for rule in added) for part in asked):
        return False
    stance = Stance("ask", mode=row.mode, limits=MODES.get(row.mode, UNLIMITED))
    decided = rules.decide(row.tool, row.input, Ground(directory), stance, added)
    actions = {(part.tool, part.text): part.action for part in decided.parts}
    return all(actions.get(part) == "allow" for part in asked)


def _may_cover(rule: Rule, tool: str, text: str) -> bool:
    """Whether a closer look is worth it: a command without quotes holds the first word of a rule that covers it."""
    if not patterns.match_name(rule.tool, tool):
        return False
    first = re.split(r"[\s*?\\'\"]", rule.pattern, maxsplit=1)[0]
    return tool != "bash" or first in text or re.search(r"[\\'\"$]", text) is not None


def _past(row: sa.Row[Any]) -> Past:
    reply = "withdrawn" if row.state == "withdrawn" else row.reply
    return Past(row.id, row.title, reply, row.answered_name, row.word, row.answered or row.created)
