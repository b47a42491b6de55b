"""The heart of the room: may this call run? Every part of it is decided; deny wins over ask, ask over allow.

Pure. Rules come in layers from wide to narrow: in a layer the last match counts, a denial of any layer
stands, else the narrowest layer that matches decides, and without a match the preset does. Above all rules:
protected paths and what nobody can read from the text always ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.approvals import commands, patterns, subjects
from app.approvals.places import Ground, place
from app.approvals.presets import HANDING, LIMIT, LOOP, QUIET, READS, Action, Base, Limits, Stance, base_of
from app.approvals.weighing import LAYERS, Decision, PartDecision, Rule, conclude, path_parts, weigh

__all__ = [
    "LAYERS",
    "NONE",
    "Action",
    "Decision",
    "Doubt",
    "Ground",
    "Limits",
    "PartDecision",
    "Rule",
    "Stance",
    "decide",
]

_SUBJECTS = {"task": "subagent_type", "skill": "name", LOOP: "tool", LIMIT: "type"}


@dataclass(frozen=True)
class Doubt:
    """What speaks against handing work to a mode: what it may do that this one may not, "" for nothing; and whether
    no rule can answer for it, because nobody here wrote that mode.
    """

    mode: str = ""
    gains: str = ""
    is_final: bool = False


NONE = Doubt()


def decide(
    tool: str,
    given: dict[str, Any],
    ground: Ground,
    stance: Stance,
    rules: Sequence[Rule],
    *,
    definition: str = "",
    doubt: Doubt = NONE,
) -> Decision:
    """Decide a call of a tool with its input under the rules of all layers.

    `definition` names what a tool of somebody else is now: "always" is said to that, and not to what it becomes.
    `doubt` counts for the tools that hand work to another mode.
    """
    kind = subjects.kind_of(tool)
    if stance.limits.tools is not None and tool not in stance.limits.tools:
        return conclude([PartDecision(tool, "deny", f"the mode {stance.mode} does not have this tool now", tool=kind)])
    if kind == "bash":
        folder = subjects.text_of(given, "workdir")
        parts = commands.decide(subjects.command_of(given), ground, stance, rules, folder=folder)
    elif kind == "edit" or kind in READS:
        parts = _paths(kind, subjects.paths_of(tool, given), ground, stance, rules)
    elif kind == "webfetch":
        parts = [_fetch(subjects.text_of(given, "url"), stance, rules)]
    elif kind == "network":
        parts = [_reach(subjects.target_of(given), stance, rules)]
    elif kind in HANDING:
        parts = [_handing(kind, stance, rules, doubt)]
    else:
        parts = [_plain(kind, given, stance, rules, definition)]
    return conclude(parts)


def _paths(kind: str, paths: list[str], ground: Ground, stance: Stance, rules: Sequence[Rule]) -> list[PartDecision]:
    if not paths:
        return [weigh(kind, kind, base_of(stance, kind), rules, lambda _rule: "no", floor="it names no path")]
    found = [place(ground, path) for path in paths]
    return [part for each in found for part in path_parts(kind, each.shown, each, stance, rules)]


def _fetch(url: str, stance: Stance, rules: Sequence[Rule]) -> PartDecision:
    host = subjects.host_of(url)
    floor = "" if host else "its address cannot be read"
    suggest = Rule("webfetch", host, "allow") if host else None

    def test(rule: Rule) -> patterns.Match:
        pattern = rule.pattern.removeprefix("domain:")
        return "yes" if patterns.match_name(pattern, host) or _fits_url(rule, url) else "no"

    return weigh("webfetch", url, base_of(stance, "webfetch"), rules, test, floor=floor, suggest=suggest)


def _fits_url(rule: Rule, url: str) -> bool:
    return "://" in rule.pattern and patterns.match_name(rule.pattern, url)


def _reach(target: str, stance: Stance, rules: Sequence[Rule]) -> PartDecision:
    """A running command's way to a host, as rules have it: `x.org:443` one port, `x.org` any, `*.x.org` those below."""
    host = target.rpartition(":")[0]
    floor = "" if host else "its host cannot be read"

    def test(rule: Rule) -> patterns.Match:
        return "yes" if any(patterns.match_name(rule.pattern, name) for name in (target, host)) else "no"

    suggest = Rule("network", target, "allow") if host else None
    return weigh("network", target, base_of(stance, "network"), rules, test, floor=floor, suggest=suggest)


def _handing(tool: str, stance: Stance, rules: Sequence[Rule], doubt: Doubt) -> PartDecision:
    """Work for another mode: what that one may do more is asked for, whatever the preset."""
    says = f"the mode {doubt.mode} may do more: {doubt.gains}"
    is_final = bool(doubt.gains) and (doubt.is_final or stance.effective == "read-only")
    base = Base("ask", says) if doubt.gains else base_of(stance, tool)

    def test(rule: Rule) -> patterns.Match:
        return "yes" if patterns.match_name(rule.pattern or "*", doubt.mode) else "no"

    return weigh(tool, doubt.mode or tool, base, rules, test, floor=says if is_final else "")


def _plain(
    tool: str, given: dict[str, Any], stance: Stance, rules: Sequence[Rule], definition: str = ""
) -> PartDecision:
    pinned = definition if tool != LOOP else ""
    subject = pinned or subjects.text_of(given, _SUBJECTS.get(tool, "")) or tool

    def test(rule: Rule) -> patterns.Match:
        return "yes" if patterns.match_name(rule.pattern or "*", subject) else "no"

    always = None if tool in QUIET else Rule(patterns.literal(tool), pinned or "*", "allow")
    if tool == LOOP:
        always = Rule(LOOP, patterns.literal(subject), "allow")
    return weigh(tool, subject if tool in (LOOP, LIMIT) else tool, base_of(stance, tool), rules, test, suggest=always)
