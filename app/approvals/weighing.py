"""Weighs one part of a call: what rules of all layers, preset, mode and the floors above them say together.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.approvals import patterns
from app.approvals.places import HIDDEN, OURS, Place
from app.approvals.presets import Action, Base, Stance, base_of

OUTSIDE = "external_directory"
LAYERS = ("server", "team", "user", "project", "session")
STRENGTH: dict[Action, int] = {"allow": 0, "ask": 1, "deny": 2}
Test = Callable[["Rule"], patterns.Match]


@dataclass(frozen=True)
class Rule:
    """Allow, ask or deny for a tool (a glob over names) and a pattern over what it touches.

    A denial of commands leaves out what patterns of `unless` cover, read as narrowly as those that allow.
    """

    tool: str
    pattern: str
    action: Action
    layer: str = "session"
    unless: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.action} {self.tool} {self.pattern}"


@dataclass(frozen=True)
class PartDecision:
    """One part of a call with its answer, the reason in words, and the rule that gave it."""

    text: str
    action: Action
    why: str
    rule: Rule | None = None
    tool: str = ""
    always: Rule | None = None


@dataclass(frozen=True)
class Decision:
    """The answer for a whole call; `always` are rules that would let its asking parts pass, one for each."""

    action: Action
    parts: tuple[PartDecision, ...]
    why: str
    always: tuple[Rule, ...] = ()


def conclude(parts: Iterable[PartDecision]) -> Decision:
    """The strongest of the parts decides; the suggestions are theirs, each once."""
    parts = tuple(parts)
    first = max(parts, key=lambda part: STRENGTH[part.action])
    always = (
        ()
        if first.action == "deny"
        else tuple(dict.fromkeys(part.always for part in parts if part.always is not None and part.action == "ask"))
    )
    return Decision(first.action, parts, f"{_short(first.text)}: {first.why}", always)


def weigh(
    tool: str,
    text: str,
    base: Base,
    rules: Sequence[Rule],
    test: Test,
    *,
    floor: str = "",
    suggest: Rule | None = None,
    also: str = "",
) -> PartDecision:
    """Decide one part: `test` says whether a rule covers it, `floor` why it asks whatever the rules say.

    Rules may speak of it by the name of its tool, or by what it is `also` called.
    """
    named = (tool, also) if also else (tool,)
    found = [(rule, match) for rule, match in (_last(rules, layer, named, test) for layer in LAYERS) if rule]
    denied = next((rule for rule, match in found if rule.action == "deny" and match == "yes"), None)
    if denied is not None:
        return PartDecision(text, "deny", _by(denied), denied, tool)
    if base.final and base.action == "deny":
        return PartDecision(text, "deny", base.why, None, tool)
    unsure = next((rule for rule, match in found if match == "maybe"), None)
    if floor or base.final or unsure is not None:
        why = floor or (base.why if base.final else f"may be what {unsure} forbids")
        return PartDecision(text, "ask", why, None if floor else unsure, tool)
    action, why, rule = (
        (found[-1][0].action, _by(found[-1][0]), found[-1][0]) if found else (base.action, base.why, None)
    )
    always = suggest if action == "ask" and suggest is not None and test(suggest) == "yes" else None
    return PartDecision(text, action, why, rule, tool, always)


def path_parts(tool: str, text: str, place: Place, stance: Stance, rules: Sequence[Rule]) -> list[PartDecision]:
    """Decide the use of one path by `edit` or a reading tool: leaving the project is a part of its own."""
    if place.hidden:
        return [kept_part(tool, text)]
    writes = tool == "edit"
    floor = f"{place.protected} is protected" if place.protected and (writes or place.secret) else ""
    floor = floor or (f"{place.shown} may hold secrets" if place.secret else "")
    if place.protected == OURS:
        floor = f"{OURS} is protected"
    suggest = None if floor else Rule(tool, patterns.literal_path(place.shown), "allow")
    base = base_of(stance, tool, subject=place.shown)
    own = weigh(tool, text, base, rules, _path_test(place), floor=floor, suggest=suggest)
    return [own] if place.inside else [outside_part(text, place, stance, rules, writes=writes), own]


def kept_part(tool: str, text: str) -> PartDecision:
    """The part of a path that is kept from agents: no rule opens it."""
    return PartDecision(text, "deny", HIDDEN, None, tool)


def outside_part(text: str, place: Place, stance: Stance, rules: Sequence[Rule], *, writes: bool) -> PartDecision:
    """Decide leaving the project: asked unless a rule names the place; under `auto` for writing only.

    A rule for `external_directory:read` or `external_directory:edit` speaks of one of the two alone.
    """
    free = stance.effective == "auto" and not writes
    asks = Base("ask", f"{place.absolute} is outside the project")
    base = Base("allow", "the preset auto") if free else asks
    folder = place.absolute.rpartition("/")[0]
    suggest = Rule(OUTSIDE, f"{patterns.literal_path(folder)}/*", "allow") if folder else None
    also = f"{OUTSIDE}:{'edit' if writes else 'read'}"
    return weigh(OUTSIDE, text, base, rules, _path_test(place), suggest=suggest, also=also)


def _path_test(place: Place) -> Test:
    def test(rule: Rule) -> patterns.Match:
        wide = rule.action != "allow"
        names = (place.relative, place.absolute) if place.inside else (place.absolute,)
        return "yes" if any(patterns.match_path(rule.pattern, name, wide=wide) for name in names) else "no"

    return test


def _last(rules: Sequence[Rule], layer: str, named: tuple[str, ...], test: Test) -> tuple[Rule | None, patterns.Match]:
    """The last rule of a layer that covers the part, and how surely."""
    for rule in reversed(rules):
        if rule.layer == layer and any(patterns.match_name(rule.tool, name) for name in named):
            match = test(rule)
            if match != "no":
                return rule, match
    return None, "no"


def _by(rule: Rule) -> str:
    return f"{rule.layer} rule: {rule.action} {rule.pattern}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"
