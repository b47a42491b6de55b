"""Modes of Roo's shape as modes of ours: what their groups grant, and what bounds them."""

from __future__ import annotations

from dataclasses import replace

from app.agent.builtin_modes import ALWAYS, EDITING, MODES, Mode
from app.agent.mode_config import Group, ModeConfig
from app.approvals import service as approvals
from app.approvals.service import Limits, Only

# The tools of each group; those of MCP servers make the group mcp. What other groups are called grants nothing.
TOOLS: dict[str, tuple[str, ...]] = {
    "read": ("read", "grep", "glob", "list", "webfetch"),
    "edit": EDITING,
    "command": ("bash",),
    "mcp": (),
}


def of_server(config: ModeConfig, was: Mode | None, everywhere: Mode) -> Mode:
    """A mode that somebody wrote for the server, in place of a built-in one of its slug.

    `everywhere` is what holds for every mode.
    """
    return replace(_granted(config, everywhere), kind=was.kind if was else "primary", source="user")


def of_project(config: ModeConfig, was: Mode | None, everywhere: Mode) -> Mode:
    """A mode that came with a repository: over another of its slug it keeps all that bounds that one."""
    new = replace(_granted(config, everywhere), source="project")
    if was is None:
        return replace(new, rules=tuple(rule for rule in new.rules if rule.action != "allow"))
    return replace(
        was,
        **{name: getattr(new, name) for name in _WORDS},
        source="project",
        tools=tuple(name for name in new.tools or () if was.tools is None or name in was.tools or name in ALWAYS),
        with_mcp=new.with_mcp and (was.with_mcp or was.tools is None),
        own=approvals.limits_of(was.own, new.own),
        rules=tuple(rule for rule in was.rules if rule.action != "allow"),
    )


_WORDS = ("description", "role", "title", "groups", "instructions", "when")


def is_taken_away(slug: str, found: dict[str, Mode]) -> bool:
    """Whether it is a built-in mode that a configuration took away: no repository brings it back."""
    return slug in MODES and slug not in found


def _granted(config: ModeConfig, everywhere: Mode) -> Mode:
    names = [group.name for group in config.groups]
    granted = tuple(tool for name in names for tool in TOOLS.get(name, ()))
    return replace(
        everywhere,
        name=config.slug,
        title=config.name,
        description=config.description or config.when_to_use or "",
        role=config.role_definition,
        instructions=config.custom_instructions or "",
        when=config.when_to_use or "",
        groups=config.groups,
        tools=(*granted, *ALWAYS),
        with_mcp="mcp" in names,
        own=_limits(config.slug, config.groups),
    )


def _limits(slug: str, groups: tuple[Group, ...]) -> Limits:
    by_name = {group.name: group for group in groups}
    edit = by_name.get("edit")
    only = (Only(edit.pattern, edit.why, slug),) if edit and edit.pattern else ()
    return Limits(edits=edit is not None, only=only, commands="all" if "command" in by_name else "none")
