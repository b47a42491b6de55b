"""The room's things as other rooms see them: the call that asks, the ask, a stored rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from app.approvals import commands, subjects
from app.approvals.presets import LIMIT, LOOP, READS
from app.approvals.rules import PartDecision, Rule

LEGIBLE = 96


@dataclass(frozen=True)
class Call:
    """One tool call of an agent; `metadata` is what the tool adds for people to see, such as a diff."""

    tool: str
    input: dict[str, Any]
    call_id: str
    message_id: str
    part_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def hash(self, session_id: str) -> str:
        """The sha256 of exactly this call: another input, or the same once more, is another call."""
        exact = [session_id, self.message_id, self.call_id, self.tool, self.input]
        return hashlib.sha256(orjson.dumps(exact, option=orjson.OPT_SORT_KEYS)).hexdigest()


def repeated(call: Call) -> Call:
    """What asks whether a call, made several times in a row already, may be made once more."""
    return replace(call, tool=LOOP, input={"tool": call.tool, "input": call.input})


def limited(call: Call, count: float, kind: str) -> Call:
    """What asks whether it may go on with this call, after so many requests or so much cost that nobody was asked
    about; kind is `requests` or `cost`.
    """
    return replace(call, tool=LIMIT, input={"count": count, "type": kind, "tool": call.tool, "input": call.input})


@dataclass(frozen=True)
class Ask:
    """A call or a question that waits for a human, or once did; times in unix ms."""

    id: str
    kind: str
    session_id: str
    above: str
    run_id: str
    message_id: str
    part_id: str
    call_id: str
    call_hash: str
    tool: str
    input: dict[str, Any]
    title: str
    metadata: dict[str, Any]
    patterns: list[str]
    why: str
    parts: list[dict[str, Any]]
    always: list[dict[str, str]]
    questions: list[dict[str, Any]]
    mode: str
    owner: str
    project: str
    visibility: str
    state: str
    reply: str
    word: str
    answers: list[list[str]]
    added: list[dict[str, str]]
    answered_by: str
    answered_name: str
    created: int
    answered: int | None
    session_title: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the call may run."""
        return self.state == "answered" and self.reply in ("once", "always", "answer")

    @property
    def call(self) -> Call:
        """The call that asks."""
        return Call(self.tool, self.input, self.call_id, self.message_id, self.part_id, self.metadata)

    def erased(self) -> Ask:
        """The ask without anything that its session said or did: for facts that outlive the session."""
        nothing: dict[str, Any] = dict.fromkeys(("title", "why", "word", "session_title"), "")
        nothing |= {name: [] for name in ("patterns", "parts", "always", "questions", "answers", "added")}
        return replace(self, **nothing, input={}, metadata={})

    def plain(self) -> dict[str, Any]:
        """The ask as JSON-able data, for events."""
        return dict(vars(self))


@dataclass(frozen=True)
class StoredRule:
    """A rule that a person added: its id, for whom it holds, where it came from."""

    id: str
    layer: str
    target: str
    tool: str
    pattern: str
    action: str
    ask_id: str
    created_by: str
    created: int


def is_legible(ask: Ask) -> bool:
    """Whether the whole call can be read on one row; otherwise it is answered on its own page only."""
    if ask.kind != "approval":
        return False
    kind = subjects.kind_of(ask.tool)
    if kind == "bash":
        known = {"command", "description", "timeout"}
        return _is_short(subjects.command_of(ask.input)) and set(ask.input) <= known
    if kind in READS:
        return _is_short(" ".join(str(value) for value in ask.input.values()))
    if kind == "network":
        return _is_short(subjects.target_of(ask.input))
    known = {"url", "format", "timeout"}
    return kind == "webfetch" and _is_short(subjects.text_of(ask.input, "url")) and set(ask.input) <= known


def likeness(ask: Ask) -> tuple[str, ...]:
    """What asks have in common that may be answered together: a reading tool or command, and what of it asks.

    Empty for an ask that is answered alone: it does more than read, its call is not legible on a row, or it asks
    for something that no rule can allow, such as a secret.
    """
    asking = [part for part in ask.parts if part["action"] == "ask"]
    if not is_legible(ask) or not asking or not all(part["always"] for part in asking):
        return ()
    is_shell = subjects.kind_of(ask.tool) == "bash"
    names = commands.reading(subjects.command_of(ask.input)) if is_shell else (ask.tool,) if ask.tool in READS else ()
    return ("bash" if is_shell else "", *names, *sorted({part["tool"] for part in asking})) if names else ()


def plain_rule(rule: Rule) -> dict[str, str]:
    """A suggestion as JSON-able data: tool, pattern, action."""
    return {"tool": rule.tool, "pattern": rule.pattern, "action": rule.action}


def plain_part(part: PartDecision) -> dict[str, Any]:
    """A decided part as JSON-able data: text, action, why, tool, rule, always."""
    return {
        "text": part.text,
        "action": part.action,
        "why": part.why,
        "tool": part.tool,
        "rule": {**plain_rule(part.rule), "layer": part.rule.layer} if part.rule else None,
        "always": plain_rule(part.always) if part.always else None,
    }


def _is_short(text: str) -> bool:
    return 0 < len(text) <= LEGIBLE and text.isprintable()
