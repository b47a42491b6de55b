"""What the rules that stand for a project say to tools of somebody else, each as it is described now.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.approvals import patterns
from app.approvals.rules import LAYERS, Rule

PINNED = "definition:"


@dataclass(frozen=True)
class Said:
    """allowed or denied by a rule; changed: what a rule allows is described in another way now; else it asks."""

    state: Literal["allowed", "denied", "changed", "asks"]
    rule: str = ""


def said(rules: Sequence[Rule], tools: Mapping[str, str]) -> dict[str, Said]:
    """For each tool, by its name with its definition, what the rules of all layers say; the oldest come first."""
    return {name: _said(rules, name, definition) for name, definition in tools.items()}


def _said(rules: Sequence[Rule], name: str, definition: str) -> Said:
    about = [rule for rule in rules if patterns.match_name(rule.tool, name)]
    holding = [rule for rule in about if patterns.match_name(rule.pattern or "*", definition)]
    last = {rule.layer: rule for rule in holding}
    denied = next((rule for rule in last.values() if rule.action == "deny"), None)
    if denied is not None:
        return Said("denied", _words(denied))
    narrowest = max(last.values(), key=lambda rule: LAYERS.index(rule.layer), default=None)
    if narrowest is not None:
        return Said("allowed" if narrowest.action == "allow" else "asks", _words(narrowest))
    stale = next((rule for rule in about if rule.action == "allow" and rule.pattern.startswith(PINNED)), None)
    return Said("changed", _words(stale)) if stale is not None else Said("asks")


def _words(rule: Rule) -> str:
    return f"{rule}, by a rule of the {rule.layer}"
