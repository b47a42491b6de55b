"""Modes that files describe, as OpenCode has them: Markdown with a head, and `agent` or `mode` in opencode.json.

A project's files may come with a repository from anywhere: they may ask and deny, never allow, so that opening a
repository lets nothing run unasked. Those of the person who runs the server may do all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.agent import front_matter
from app.agent.providers import catalog
from app.approvals.service import Rule
from app.errors import Problem
from app.files.paths import Root

FOLDERS = ("agent", "agents", "mode", "modes")
OF_USER = ".config/opencode"
OF_PROJECT = ".opencode"
KINDS: Mapping[str, Literal["primary", "subagent", "all"]] = {
    "primary": "primary",
    "subagent": "subagent",
    "all": "all",
}
ACTIONS: Mapping[str, Literal["allow", "ask", "deny"]] = {"allow": "allow", "ask": "ask", "deny": "deny"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LARGEST, MOST = 256 * 1024, 100
LONGEST_DESCRIPTION = 1_024


@dataclass(frozen=True)
class Written:
    """What a file says of a mode; what it does not say is empty or None."""

    name: str
    origin: str
    description: str = ""
    role: str = ""
    kind: Literal["primary", "subagent", "all"] | None = None
    switches: Mapping[str, bool] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    provider: str = ""
    model: str = ""
    temperature: float | None = None
    hidden: bool | None = None
    disabled: bool = False


def found(directory: Path | None) -> Iterator[Written]:
    """All that files say of modes in a directory; a later one has the last word."""
    *ours, project = catalog.configs(directory)
    for config in reversed(ours):
        yield from _of_config(config, "user")
    yield from _of_files(Root((Path.home() / OF_USER).resolve()), "", "user")
    if directory is not None:
        yield from _of_config(project, "project")
        yield from _of_files(Root(directory), OF_PROJECT, "project")


def _of_config(config: Mapping[str, Any], origin: str) -> Iterator[Written]:
    for key in ("mode", "agent"):
        given = config.get(key)
        for name, about in list(given.items())[:MOST] if isinstance(given, dict) else ():
            if isinstance(about, dict) and NAME.fullmatch(str(name)):
                prompt = about.get("prompt")
                # `{file:…}` was filled where it may be; a project's stays what it is, and is no role.
                role = prompt if isinstance(prompt, str) and not prompt.startswith("{file:") else ""
                yield _written(str(name), about, role, origin, is_mode=key == "mode")


def _of_files(root: Root, below: str, origin: str) -> Iterator[Written]:
    for folder in FOLDERS:
        try:
            entries = [entry for entry in root.scan(f"{below}/{folder}".strip("/")) if entry.name.endswith(".md")]
        except Problem:
            continue
        for entry in entries[:MOST]:
            name = entry.name.removesuffix(".md")
            if not NAME.fullmatch(name):
                continue
            try:
                head, body = front_matter.split(root.read_text(entry.path, LARGEST))
            except Problem:
                continue
            yield _written(name, head, body, origin, is_mode=folder.startswith("mode"))


def _written(name: str, about: Mapping[str, Any], role: str, origin: str, *, is_mode: bool) -> Written:
    provider, _, model = front_matter.text_of(dict(about), "model").partition("/")
    temperature = about.get("temperature")
    is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    kind = KINDS.get(front_matter.text_of(dict(about), "mode"), "primary" if is_mode else None)
    return Written(
        name=name,
        origin=origin,
        description=" ".join(front_matter.text_of(dict(about), "description").split())[:LONGEST_DESCRIPTION],
        role=role.strip(),
        kind=kind,
        switches=_switches(about.get("tools")),
        rules=tuple(_rules(about.get("permission"), origin)),
        provider=provider if model else "",
        model=model,
        temperature=float(temperature) if is_number and 0 <= float(temperature) <= 2 else None,  # type: ignore[arg-type]
        hidden=about["hidden"] if isinstance(about.get("hidden"), bool) else None,
        disabled=about.get("disable") is True,
    )


def _switches(given: Any) -> dict[str, bool]:
    if not isinstance(given, dict):
        return {}
    return {str(name): value for name, value in list(given.items())[:MOST] if isinstance(value, bool)}


def _rules(given: Any, origin: str) -> Iterator[Rule]:
    """The rules of `permission`: an action for all, or by tool, or by tool and pattern."""
    by_tool = {"*": given} if isinstance(given, str) else given
    for tool, by_pattern in list(by_tool.items())[:MOST] if isinstance(by_tool, dict) else ():
        patterns = {"*": by_pattern} if isinstance(by_pattern, str) else by_pattern
        for pattern, action in list(patterns.items())[:MOST] if isinstance(patterns, dict) else ():
            word = ACTIONS.get(action) if isinstance(action, str) else None
            if word and not (origin == "project" and word == "allow"):
                yield Rule(str(tool), str(pattern) or "*", word, origin)
