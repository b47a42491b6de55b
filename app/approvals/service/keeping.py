"""The rules that people keep: for the server, a user, a project or a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.approvals import models, rulebook, tool_rules
from app.approvals.rules import Rule
from app.approvals.things import StoredRule, plain_rule
from app.approvals.tool_rules import Said
from app.errors import Denied, Invalid, NotFound
from app.projects.service import Project
from app.sessions import service as sessions
from app.sessions.service import Session

SCOPES = ("session", "user", "project", "server")


def rules_of(actor: Actor | None, layer: str, target: str = "") -> list[StoredRule]:
    """The rules that people added at a layer: for the server, a user, a project, or a session."""
    actor = accounts.require(actor, "approvals:read")
    _require_rules(actor, layer, target, writes=False)
    with db.read() as connection:
        return rulebook.listed(connection, layer, target)


def said_of(actor: Actor | None, project: Project, tools: Mapping[str, str]) -> dict[str, Said]:
    """What the actor's rules in a project say to tools, given by name with what each is described as now."""
    actor = accounts.require(actor, "approvals:read", project)
    with db.read() as connection:
        standing = rulebook.standing(connection, actor.user, project.id)
    return tool_rules.said(standing, tools)


def add_rule(actor: Actor | None, rule: Rule, target: str = "") -> None:
    """Add a rule at its layer for a target; raises Stale for one that allows, if the sign-in is not fresh."""
    actor = accounts.require(actor, "approvals:answer")
    _require_rules(actor, rule.layer, target, writes=True)
    if rule.action == "allow":
        accounts.require_fresh(actor)
    if not rule.tool or not rule.pattern or rule.action not in ("allow", "ask", "deny"):
        raise Invalid("A rule has a tool, a pattern, and one of allow, ask, deny.", "rule")
    with db.transaction() as connection:
        rulebook.add(connection, [plain_rule(rule)], rule.layer, target, "", actor.id)
        detail = {"rule": str(rule), "layer": rule.layer, "target": target}
        record.audit(connection, actor, "approval.rule_add", target, detail)


def remove_rule(actor: Actor | None, rule_id: str) -> None:
    """Take a rule back; what it let pass has passed. Raises Stale for one that does not allow, if the sign-in is not
    fresh.
    """
    actor = accounts.require(actor, "approvals:answer")
    with db.transaction() as connection:
        found = rulebook.find(connection, rule_id)
        if found is None:
            raise NotFound("rule", rule_id)
        _require_rules(actor, found.layer, found.target, writes=True)
        if found.action != "allow":
            accounts.require_fresh(actor)
        rulebook.remove(connection, models.rules.c.id == rule_id)
        rule = f"{found.action} {found.tool} {found.pattern}"
        detail = {"rule": rule, "layer": found.layer, "target": found.target}
        record.audit(connection, actor, "approval.rule_remove", rule_id, detail)


def keep_given(connection: sa.Connection, actor: Actor, session: Session, given: Sequence[dict[str, str]]) -> None:
    """Add rules that a client gives a session ({tool, pattern, action}) to the session's own, in its transaction.

    Who may run the session may forbid things in it; anything else is an answer given beforehand.
    """
    if actor.kind == "agent":
        raise Denied("An agent never changes what it may do.")
    if any(rule["action"] != "deny" for rule in given):
        accounts.require(actor, "approvals:answer", session)
    rulebook.add(connection, given, "session", session.id, "", actor.id)
    detail = {"rules": list(given), "layer": "session", "target": session.id}
    record.audit(connection, actor, "approval.rule_add", session.id, detail)


def own_rules(connection: sa.Connection, session_id: str) -> list[dict[str, str]]:
    """A session's own rules as plain data: tool, pattern, action; oldest first."""
    listed = rulebook.listed(connection, "session", session_id)
    return [{"tool": rule.tool, "pattern": rule.pattern, "action": rule.action} for rule in listed]


def _require_rules(actor: Actor, layer: str, target: str, *, writes: bool) -> None:
    if layer == "session":
        session = sessions.get(actor, target)
        accounts.require(actor, "approvals:answer" if writes else "approvals:read", session)
    elif layer == "user":
        if target != actor.user:
            accounts.require(actor, "users:write" if writes else "users:read")
    elif layer in ("project", "server"):
        # A project that is closed to the actor is as good as none.
        where = Scope(actor.user, target) if layer == "project" else None
        accounts.require(actor, "settings:write" if writes else "settings:read", where)
    else:
        raise Invalid(f"layer is one of {', '.join(SCOPES)}.", "layer")
