"""What rules would have let through: they are held against the calls that asked lately, before anybody adds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import orjson
import sqlalchemy as sa

from app import db, ids
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import patterns, rows, rules
from app.approvals.presets import MODES, UNLIMITED, Action
from app.approvals.rows import ASKS
from app.approvals.rules import Ground, Rule, Stance
from app.approvals.things import Ask
from app.projects.service import Project

MONTH = 30 * 86_400_000
LOOKED_AT = 100
SHOWN = 8
LATELY = 50
Named = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Past:
    """A call that asked once and that the rules would have settled; when in unix ms."""

    id: str
    tool: str
    title: str
    reply: str
    name: str
    word: str
    when: int

    @property
    def kind(self) -> str:
        """Always a call, never a question."""
        return "approval"


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


@dataclass(frozen=True)
class Foresight:
    """What would have come of the last calls that asked: those that would have run unasked, those that people had
    rejected first; those that would have been denied; and how many would have asked all the same.
    """

    looked_at: int
    through: list[Past]
    denied: list[Past]
    asking: int

    @property
    def rejected(self) -> list[Past]:
        """Those that would have run although somebody rejected them."""
        return [past for past in self.through if past.reply == "reject"]

    @property
    def unopposed(self) -> list[Past]:
        """Those that would have run and that nobody rejected."""
        return [past for past in self.through if past.reply != "reject"]


def foresee(actor: Actor | None, project: Project, given: Sequence[Rule], looked_at: int = LATELY) -> Foresight:
    """Hold rules against the last calls of the actor's own sessions that asked in a project; no stored ones count."""
    actor = accounts.require(actor, "approvals:read", project)
    with db.read() as connection:
        this = (ASKS.c.project == project.id, ASKS.c.owner == actor.user)
        readable, _more = rows.past(connection, actor, *this, limit=looked_at)
    decided = _alike(lambda row: _actions(row, given))
    through: list[Past] = []
    denied: list[Past] = []
    for row in readable:
        actions = decided(row)
        if "deny" in actions.values():
            denied.append(_past(row))
        elif _all_allowed(row, actions):
            through.append(_past(row))
    return Foresight(len(readable), through, denied, len(readable) - len(through) - len(denied))


def replay(actor: Actor | None, ask: Ask) -> Replay:
    """Hold the rules that "always" would add against the last calls that asked in this project, rejected ones first.

    Only calls that the actor may read count.
    """
    actor = accounts.require(actor, "approvals:read", ask)
    this = (ASKS.c.project == ask.project, ASKS.c.created > ids.now() - MONTH, ASKS.c.id != ask.id)
    with db.read() as connection:
        readable, more = rows.past(connection, actor, *this, limit=LOOKED_AT)
    added = [Rule(rule["tool"], rule["pattern"], cast("Action", rule["action"])) for rule in ask.always]
    would_pass = _alike(lambda row: _would_pass(row, added))
    passing = [row for row in readable if would_pass(row)]
    passing.sort(key=lambda row: row.reply != "reject")
    rejected = sum(row.reply == "reject" for row in passing)
    return Replay(len(readable), more, len(passing), rejected, [_past(row) for row in passing[:SHOWN]])


def _alike(ask: Callable[[sa.Row[Any]], T]) -> Callable[[sa.Row[Any]], T]:
    """The question, asked once for all calls that are the same: agents ask for the same thing again and again."""
    known: dict[bytes, T] = {}

    def answer(row: sa.Row[Any]) -> T:
        same = orjson.dumps((row.tool, row.mode, row.directory, row.input, row.parts))
        if same not in known:
            known[same] = ask(row)
        return known[same]

    return answer


def _would_pass(row: sa.Row[Any], added: Sequence[Rule]) -> bool:
    """Whether each part that asked then would be allowed now; what was allowed then stays so."""
    return all(any(_may_cover(rule, *part) for rule in added) for part in _asked(row)) and _all_allowed(
        row, _actions(row, added)
    )


def _asked(row: sa.Row[Any]) -> set[Named]:
    return {(part["tool"], part["text"]) for part in row.parts if part["action"] == "ask"}


def _all_allowed(row: sa.Row[Any], actions: Mapping[Named, Action]) -> bool:
    asked = _asked(row)
    return bool(asked) and all(actions.get(part) == "allow" for part in asked)


def _actions(row: sa.Row[Any], given: Sequence[Rule]) -> dict[Named, Action]:
    """What would be decided of each part of a call, with these rules alone."""
    stance = Stance("ask", mode=row.mode, limits=MODES.get(row.mode, UNLIMITED))
    decided = rules.decide(row.tool, row.input, Ground(row.directory), stance, given)
    return {(part.tool, part.text): part.action for part in decided.parts}


def _may_cover(rule: Rule, tool: str, text: str) -> bool:
    """Whether a closer look is worth it: a command without quotes holds the first word of a rule that covers it."""
    if not patterns.match_name(rule.tool, tool):
        return False
    first = re.split(r"[\s*?\\'\"]", rule.pattern, maxsplit=1)[0]
    return tool != "bash" or first in text or re.search(r"[\\'\"$]", text) is not None


def _past(row: sa.Row[Any]) -> Past:
    reply = "withdrawn" if row.state == "withdrawn" else row.reply
    return Past(row.id, row.tool, row.title, reply, row.answered_name, row.word, row.answered or row.created)
