"""The verbs of the room: decide a call, ask a human, answer, withdraw, list what waits, keep the rules.

Agents decide and ask with their hold; only people and their tokens answer. An ask is bound to one exact call
and is answered once; the answer is stored with it and puts the waiting run back into the queue.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app import config, db, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import events, models, rows, rulebook, rules, titles
from app.approvals.presets import MODES, UNLIMITED, Limits
from app.approvals.rules import Decision, Ground, Rule, Stance
from app.approvals.things import Ask, Call, StoredRule, is_legible, plain_part, plain_rule
from app.errors import Conflict, Denied, Invalid, NotFound
from app.events import service as log
from app.sessions import events as sessions_events
from app.sessions import service as sessions
from app.sessions.service import Hold, Session

__all__ = [
    "Ask",
    "Call",
    "Decision",
    "Limits",
    "Rule",
    "StoredRule",
    "add_rule",
    "answer",
    "answer_question",
    "answered_today",
    "ask",
    "count_waiting",
    "decide",
    "get",
    "is_legible",
    "is_unanswered",
    "is_waiting",
    "of_session",
    "question",
    "reject_question",
    "remove_rule",
    "rules_of",
    "start",
    "verdict",
    "waiting",
    "withdraw",
]

ASKS = models.asks
REPLIES = ("once", "always", "reject")
SCOPES = ("session", "user", "project", "server")
DAY = 86_400_000
SAID = {"once": "allowed", "always": "allowed from now on", "reject": "rejected", "answer": "answered"}


def decide(
    hold: Hold,
    call: Call,
    *,
    given: Sequence[Rule] = (),
    ceiling: str = "auto",
    limits: Limits | None = None,
    roots: tuple[str, ...] = (),
) -> Decision:
    """Decide a call under preset, mode and all rules; `given` are further rules, from settings.

    `limits` are those of a mode that is not built in, `roots` further folders the agent may use.
    """
    with db.read() as connection:
        stored = rulebook.holding(connection, hold.session)
    stance = _stance(hold.session, hold.run.mode, ceiling, limits)
    return rules.decide(call.tool, call.input, _ground(hold.session, roots), stance, [*given, *stored])


def ask(hold: Hold, call: Call, decision: Decision) -> Ask:
    """Ask a human about a call; the same call asks only once."""
    return _store(
        hold,
        call,
        {
            "kind": "approval",
            "id": ids.ascending("per"),
            "title": titles.title(call),
            "why": decision.why,
            "metadata": titles.metadata(call, decision),
            "patterns": titles.patterns(call, decision),
            "parts": [plain_part(part) for part in decision.parts],
            "always": [plain_rule(rule) for rule in decision.always],
        },
    )


def question(hold: Hold, call: Call, questions: list[dict[str, Any]]) -> Ask:
    """Ask a human the agent's questions: [{question, header, options: [{label, description}], multiple?}]."""
    if not questions:
        raise Invalid("There is no question.", "questions")
    title = str(questions[0].get("question", ""))
    return _store(
        hold,
        call,
        {
            "kind": "question",
            "id": ids.ascending("que"),
            "title": title,
            "questions": questions,
            "why": "The agent asks.",
        },
    )


def verdict(hold: Hold, call: Call) -> Ask | None:
    """The ask of exactly this call with its answer, if there is one; None if it never asked."""
    with db.read() as connection:
        return rows.latest(connection, hold.session, call)


def is_unanswered(hold: Hold) -> Callable[[sa.Connection], bool]:
    """Whether an ask of this run still waits, as `sessions.wait` wants to know it."""
    return lambda connection: is_waiting(connection, hold.run_id)


def is_waiting(connection: sa.Connection, run_id: str) -> bool:
    """Whether an ask of this run still waits for its answer."""
    query = sa.select(ASKS.c.id).where(ASKS.c.run_id == run_id, ASKS.c.state == "waiting").limit(1)
    return connection.scalar(query) is not None


def answer(
    actor: Actor | None,
    ask_id: str,
    reply: str,
    word: str = "",
    scope: str = "session",
    rules: Sequence[dict[str, str]] | None = None,
) -> Ask:
    """Answer an ask once for all: once, always (adds the shown rules, or the given ones of them), reject."""
    if reply not in REPLIES:
        raise Invalid(f"reply is one of {', '.join(REPLIES)}.", "reply")
    with db.transaction() as connection:
        found = _to_answer(connection, actor, ask_id, "approval")
        assert actor is not None
        added = _chosen(found, rules) if reply == "always" else []
        target = _target(actor, found, scope) if added else ""
        answered = _settle(connection, actor, found, reply, word=word, added=added)
        if added:
            rulebook.add(connection, added, scope, target, found.id, actor.id)
        if added and scope == "session":
            _release(connection, actor, answered)
        record.audit(
            connection,
            actor,
            "approval.answer",
            found.id,
            {
                "reply": reply,
                "word": word,
                "tool": found.tool,
                "input": found.input,
                "call": found.call_hash,
                "session": found.session_id,
                "rules": added,
                "scope": scope if added else "",
            },
        )
        _go_on(connection, found.run_id)
    return answered


def answer_question(actor: Actor | None, ask_id: str, answers: list[list[str]]) -> Ask:
    """Answer a question: for each of its questions the chosen labels, or own words."""
    with db.transaction() as connection:
        found = _to_answer(connection, actor, ask_id, "question")
        assert actor is not None
        if len(answers) != len(found.questions):
            raise Invalid(f"There are {len(found.questions)} questions to answer.", "answers")
        return _answer_question(connection, actor, found, "answer", answers)


def reject_question(actor: Actor | None, ask_id: str) -> Ask:
    """Leave a question unanswered: the agent is told so."""
    with db.transaction() as connection:
        found = _to_answer(connection, actor, ask_id, "question")
        assert actor is not None
        return _answer_question(connection, actor, found, "reject", [])


def withdraw(connection: sa.Connection, *, session_id: str = "", run_id: str = "") -> int:
    """Nobody needs to answer any more what a run or a session asked; returns how many asks that were."""
    which = ASKS.c.run_id == run_id if run_id else ASKS.c.session_id == session_id
    count = 0
    for found in rows.many(connection, which, ASKS.c.state == "waiting"):
        if rows.change(connection, found.id, {"state": "withdrawn", "answered": ids.now()}):
            gone = rows.one(connection, found.id)
            record.event(connection, events.Withdrawn(gone.session_id, gone.plain()), gone)
            count += 1
    return count


def waiting(actor: Actor | None, session_id: str | None = None) -> list[Ask]:
    """What waits for a human and the actor may read, oldest first; of one session with its subagents."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        below = ASKS.c.above.contains(f"/{session_id}/", autoescape=True)
        family = sa.or_(ASKS.c.session_id == session_id, below)
        found = rows.many(connection, ASKS.c.state == "waiting", *([family] if session_id else []))
        return rows.readable(actor, found)


def of_session(actor: Actor | None, session_id: str) -> list[Ask]:
    """Every ask of a session, answered ones too, and what its subagents wait for; oldest first."""
    actor = accounts.require(actor, "approvals:read")
    below = sa.and_(ASKS.c.above.contains(f"/{session_id}/", autoescape=True), ASKS.c.state == "waiting")
    with db.read() as connection:
        return rows.readable(actor, rows.many(connection, sa.or_(ASKS.c.session_id == session_id, below)))


def count_waiting(actor: Actor | None) -> int:
    """How many asks wait that the actor may answer."""
    return sum(accounts.may(actor, "approvals:answer", found) for found in waiting(actor))


def answered_today(actor: Actor | None, limit: int = 20) -> list[Ask]:
    """What was answered within a day, the latest first."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        found = rows.many(connection, ASKS.c.state == "answered", ASKS.c.answered > ids.now() - DAY)
        return sorted(rows.readable(actor, found), key=lambda each: (-(each.answered or 0), each.id))[:limit]


def get(actor: Actor | None, ask_id: str) -> Ask:
    """One ask, whatever its state."""
    actor = accounts.require(actor, "approvals:read")
    with db.read() as connection:
        readable = rows.readable(actor, [rows.one(connection, ask_id)])
    if not readable:
        raise NotFound("ask", ask_id)
    return readable[0]


def rules_of(actor: Actor | None, layer: str, target: str = "") -> list[StoredRule]:
    """The rules that people added at a layer: for the server, a user, a project, or a session."""
    actor = accounts.require(actor, "approvals:read")
    _require_rules(actor, layer, target, writes=False)
    with db.read() as connection:
        return rulebook.listed(connection, layer, target)


def add_rule(actor: Actor | None, rule: Rule, target: str = "") -> None:
    """Add a rule at its layer for a target."""
    actor = accounts.require(actor, "approvals:answer")
    _require_rules(actor, rule.layer, target, writes=True)
    if not rule.tool or not rule.pattern or rule.action not in ("allow", "ask", "deny"):
        raise Invalid("A rule has a tool, a pattern, and one of allow, ask, deny.", "rule")
    with db.transaction() as connection:
        rulebook.add(connection, [plain_rule(rule)], rule.layer, target, "", actor.id)
        detail = {"rule": str(rule), "layer": rule.layer, "target": target}
        record.audit(connection, actor, "approval.rule_add", target, detail)


def remove_rule(actor: Actor | None, rule_id: str) -> None:
    """Take a rule back; what it let pass has passed."""
    actor = accounts.require(actor, "approvals:answer")
    with db.transaction() as connection:
        found = rulebook.find(connection, rule_id)
        if found is None:
            raise NotFound("rule", rule_id)
        _require_rules(actor, found.layer, found.target, writes=True)
        rulebook.remove(connection, models.rules.c.id == rule_id)
        rule = f"{found.action} {found.tool} {found.pattern}"
        detail = {"rule": rule, "layer": found.layer, "target": found.target}
        record.audit(connection, actor, "approval.rule_remove", rule_id, detail)


@cache
def start() -> None:
    """At start, once: withdraw what an ended run or a deleted session asked."""
    log.listen(sessions_events.RunEnded, lambda fact: _on_end(run_id=fact.run_id))
    log.listen(sessions_events.SessionDeleted, lambda fact: _on_end(session_id=fact.session_id))


def _on_end(*, session_id: str = "", run_id: str = "") -> None:
    with db.transaction() as connection:
        withdraw(connection, session_id=session_id, run_id=run_id)
        if session_id:
            own = (models.rules.c.layer == "session", models.rules.c.target == session_id)
            rulebook.remove(connection, *own)


def _store(hold: Hold, call: Call, values: dict[str, Any]) -> Ask:
    session = hold.session
    row = {
        "session_id": session.id,
        "above": _above(hold),
        "run_id": hold.run_id,
        "message_id": call.message_id,
        "part_id": call.part_id,
        "call_id": call.call_id,
        "call_hash": call.hash(session.id),
        "tool": call.tool,
        "input": call.input,
        "metadata": {},
        "patterns": [],
        "parts": [],
        "always": [],
        "questions": [],
        "mode": hold.run.mode,
        "owner": session.owner,
        "project": session.project,
        "visibility": session.visibility,
        "state": "waiting",
        "reply": "",
        "word": "",
        "answers": [],
        "added": [],
        "answered_by": "",
        "answered_name": "",
        "created": ids.now(),
        "answered": None,
        **values,
    }
    with db.transaction() as connection:
        hold.check(connection)
        earlier = rows.latest(connection, session, call)
        if earlier is not None and earlier.state == "waiting":
            return earlier
        connection.execute(ASKS.insert().inline(), row)
        new = rows.one(connection, row["id"])
        record.event(connection, events.Asked(session.id, new.plain()), session)
    return new


def _above(hold: Hold) -> str:
    """The sessions above a subagent's, so that its asks show there too."""
    found: list[str] = []
    parent = hold.session.parent_id
    while parent and parent not in found and len(found) < 16:
        found.append(parent)
        known = sessions.get_many(hold.actor, [parent]).get(parent)
        parent = known.parent_id if known else None
    return "".join(f"/{each}" for each in found) + "/"


def _to_answer(connection: sa.Connection, actor: Actor | None, ask_id: str, kind: str) -> Ask:
    """The ask, if the actor may answer it and nobody has."""
    actor = accounts.require(actor, "approvals:read")
    found = next(iter(rows.readable(actor, [rows.one(connection, ask_id)])), None)
    if found is None or found.kind != kind:
        raise NotFound("ask", ask_id)
    if actor.kind == "agent":
        raise Denied("An agent never answers for people.")
    accounts.require(actor, "approvals:answer", found)
    if found.state != "waiting":
        raise Conflict(_too_late(found))
    return found


def _too_late(found: Ask) -> str:
    if found.state == "withdrawn":
        return "Nobody needs to answer this any more: the run was stopped."
    seconds = max(0, (ids.now() - (found.answered or 0)) // 1000)
    return f"Answered by {found.answered_name} {seconds} s before you: {SAID.get(found.reply, found.reply)}."


def _settle(connection: sa.Connection, actor: Actor, found: Ask, reply: str, **values: Any) -> Ask:
    """Store an answer unless somebody was faster, and announce it."""
    stored = {
        "state": "answered",
        "reply": reply,
        "answered_by": actor.id,
        "answered_name": actor.name,
        "answered": ids.now(),
        **values,
    }
    if not rows.change(connection, found.id, stored):
        raise Conflict(_too_late(rows.one(connection, found.id)))
    answered = rows.one(connection, found.id)
    record.event(connection, events.Answered(answered.session_id, answered.plain()), found)
    return answered


def _answer_question(connection: sa.Connection, actor: Actor, found: Ask, reply: str, answers: list[list[str]]) -> Ask:
    answered = _settle(connection, actor, found, reply, answers=answers)
    detail = {"reply": reply, "session": found.session_id}
    record.audit(connection, actor, "question.answer", found.id, detail)
    _go_on(connection, found.run_id)
    return answered


def _go_on(connection: sa.Connection, run_id: str) -> None:
    if not is_waiting(connection, run_id):
        sessions.requeue(connection, run_id)


def _release(connection: sa.Connection, actor: Actor, answered: Ask) -> None:
    """Let those other waiting asks of the session pass whose every asking part these rules were shown for."""
    mine = (ASKS.c.session_id == answered.session_id, ASKS.c.state == "waiting", ASKS.c.kind == "approval")
    for other in rows.many(connection, *mine):
        asking = [part for part in other.parts if part["action"] == "ask"]
        if asking and all(part["always"] in answered.added for part in asking):
            _settle(connection, actor, other, "once", word=f"By the rule added with {answered.id}.")
            detail = {"reply": "once", "by_rule_of": answered.id, "tool": other.tool, "input": other.input}
            record.audit(connection, actor, "approval.release", other.id, detail)
            _go_on(connection, other.run_id)


def _chosen(found: Ask, wanted: Sequence[dict[str, str]] | None) -> list[dict[str, str]]:
    """The suggested rules to add: all of them, or those wanted; never one that was not shown."""
    chosen = found.always if wanted is None else [dict(rule) for rule in wanted]
    if any(rule not in found.always for rule in chosen):
        raise Invalid("Only a rule that was shown with this approval can be added.", "rules")
    return chosen


def _target(actor: Actor, found: Ask, scope: str) -> str:
    targets = {"session": found.session_id, "user": actor.user, "project": found.project, "server": ""}
    if scope not in targets:
        raise Invalid(f"scope is one of {', '.join(SCOPES)}.", "scope")
    if scope == "user" and actor.user != found.owner:
        raise Denied("This session is somebody else's: a rule of yours would not hold in it.")
    if scope in ("project", "server"):
        accounts.require(actor, "settings:write")
    return targets[scope]


def _require_rules(actor: Actor, layer: str, target: str, *, writes: bool) -> None:
    if layer == "session":
        session = sessions.get(actor, target)
        accounts.require(actor, "approvals:answer" if writes else "approvals:read", session)
    elif layer == "user":
        if target != actor.user:
            accounts.require(actor, "users:write" if writes else "users:read")
    elif layer in ("project", "server"):
        accounts.require(actor, "settings:write" if writes else "settings:read")
    else:
        raise Invalid(f"layer is one of {', '.join(SCOPES)}.", "layer")


def _stance(session: Session, mode: str, ceiling: str, limits: Limits | None) -> Stance:
    return Stance(session.preset, ceiling, mode, limits or MODES.get(mode, UNLIMITED))


def _ground(session: Session, roots: tuple[str, ...]) -> Ground:
    data_dir = os.path.realpath(config.current().data_dir)
    return Ground(session.directory, roots, data_dir, str(Path.home()), os.path.realpath)
