"""Answering an approval: by people and their tokens only, once for all, with the rules that "always" adds."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app import db, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import rows, rulebook
from app.approvals.rows import ASKS
from app.approvals.service.keeping import SCOPES
from app.approvals.service.settling import go_on, settle, to_answer
from app.approvals.things import Ask
from app.errors import Denied, Invalid

REPLIES = ("once", "always", "reject")


def answer(
    actor: Actor | None,
    ask_id: str,
    reply: str,
    word: str = "",
    scope: str = "session",
    rules: Sequence[dict[str, str]] | None = None,
) -> Ask:
    """Answer an ask once for all: once, always (adds the shown rules, or the given ones of them), reject.

    Raises Invalid, NotFound, Denied, or Conflict if somebody was faster.
    """
    if reply not in REPLIES:
        raise Invalid(f"reply is one of {', '.join(REPLIES)}.", "reply")
    with db.transaction() as connection:
        actor, found = to_answer(actor, connection, ask_id, "approval")
        added = _chosen(found, rules) if reply == "always" else []
        target = _target(actor, found, scope) if added else ""
        answered = settle(connection, actor, found, reply, word=word, added=added)
        runs = {found.run_id}
        if added:
            rulebook.add(connection, added, scope, target, found.id, actor.id)
        if added and scope == "session":
            runs |= _release(connection, actor, answered)
        _audit(connection, actor, answered, scope if added else "")
        go_on(connection, sorted(runs))
    return answered


def _audit(connection: sa.Connection, actor: Actor, answered: Ask, scope: str) -> None:
    """Write down who let which exact call pass, and the rules that came with it."""
    detail = {
        "reply": answered.reply,
        "word": redact.text(answered.word),
        "tool": answered.tool,
        "input": redact.data(answered.input),
        "call": answered.call_hash,
        "session": answered.session_id,
        "rules": redact.data(answered.added),
        "scope": scope,
    }
    record.audit(connection, actor, "approval.answer", answered.id, detail)


def _release(connection: sa.Connection, actor: Actor, answered: Ask) -> set[str]:
    """Let those other waiting asks of the session pass whose every asking part these rules were shown for.

    Returns their runs.
    """
    mine = (ASKS.c.session_id == answered.session_id, ASKS.c.state == "waiting", ASKS.c.kind == "approval")
    released = set()
    for other in rows.many(connection, *mine):
        asking = [part for part in other.parts if part["action"] == "ask"]
        if asking and all(part["always"] in answered.added for part in asking):
            settle(connection, actor, other, "once", word=f"By the rule added with {answered.id}.")
            detail = {"reply": "once", "by_rule_of": answered.id, "tool": other.tool, "input": redact.data(other.input)}
            record.audit(connection, actor, "approval.release", other.id, detail)
            released.add(other.run_id)
    return released


def _chosen(found: Ask, wanted: Sequence[dict[str, str]] | None) -> list[dict[str, str]]:
    """The suggested rules to add: all of them, or those wanted; never one that was not shown."""
    chosen = found.always if wanted is None else [dict(rule) for rule in wanted]
    if any(rule not in found.always for rule in chosen):
        raise Invalid("Only a rule that was shown with this approval can be added.", "rules")
    return chosen


def _target(actor: Actor, found: Ask, scope: str) -> str:
    """For whom a rule of this scope holds; Invalid or Denied."""
    targets = {"session": found.session_id, "user": actor.user, "project": found.project, "server": ""}
    if scope not in targets:
        raise Invalid(f"scope is one of {', '.join(SCOPES)}.", "scope")
    if scope == "user" and actor.user != found.owner:
        raise Denied("This session is somebody else's: a rule of yours would not hold in it.")
    if scope in ("user", "server") and actor.project is not None:
        raise Denied("A token bound to a project adds no rule that holds in others.")
    if scope in ("project", "server"):
        accounts.require(actor, "settings:write")
    return targets[scope]
