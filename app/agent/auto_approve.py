"""Roo's switches of what runs without asking, as rules of their person's own sessions in a workspace.

The ceiling of presets, denials, protected paths and what a mode has not got hold as ever: an allowing rule reaches
only what would be asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen
from app.approvals.service import Rule
from app.errors import Invalid
from app.projects.service import Place

LAYER = "user"
MOST_COMMANDS, LONGEST_COMMAND = 200, 400


@dataclass(frozen=True)
class Switches:
    """The switches, as Roo names them; nothing counts without the first of them.

    A command runs unasked only if it begins with an allowed one, word by word. Three switches are kept for those who
    read them back, and change nothing: reading inside the workspace never asks here; a model that failed is asked again
    in any case; a tool of an MCP server runs unasked by a rule of its own.
    """

    auto_approval_enabled: bool = False
    always_allow_read_only: bool = False
    always_allow_write: bool = False
    always_allow_execute: bool = False
    always_allow_browser: bool = False
    always_allow_mcp: bool = False
    always_approve_resubmit: bool = False
    always_allow_mode_switch: bool = False
    always_allow_subtasks: bool = False
    allowed_commands: tuple[str, ...] = ("git log", "git diff", "git show")
    denied_commands: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The switches as JSON-able data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


NAMES = tuple(one.name for one in fields(Switches))
BOOLEANS = tuple(one.name for one in fields(Switches) if isinstance(one.default, bool))
COMMANDS = tuple(name for name in NAMES if name not in BOOLEANS)


def get(actor: Actor | None, place: Place) -> Switches:
    """The actor's switches in a workspace."""
    return _of(chosen.get(actor, place).approve)


def change(actor: Actor | None, place: Place, changes: Mapping[str, bool | list[str]]) -> Switches:
    """Set some of them, all or nothing, by whoever may answer approvals. Raises Invalid for a command that is none."""
    accounts.require(actor, "approvals:answer")
    for name in COMMANDS:
        _check(name, changes.get(name, ()))
    return _of(chosen.choose(actor, place, approve=changes).approve)


def rules_of(owner: str, directory: str) -> tuple[Rule, ...]:
    """The rules that the switches of a session's owner make in its directory."""
    return rules(_of(chosen.of(owner, directory).approve))


def rules(given: Switches) -> tuple[Rule, ...]:
    """What the switches let run, and the denied commands, which need no switch."""
    denied = [Rule("bash", f"{one} *", "deny", LAYER) for one in given.denied_commands]
    if not given.auto_approval_enabled:
        return tuple(denied)
    allowed = [Rule("bash", f"{one} *", "allow", LAYER) for one in given.allowed_commands if given.always_allow_execute]
    tools = [
        ("edit", given.always_allow_write),
        ("webfetch", given.always_allow_browser),
        ("switch_mode", given.always_allow_mode_switch),
        ("new_task", given.always_allow_subtasks),
    ]
    return (*(Rule(tool, "*", "allow", LAYER) for tool, is_on in tools if is_on), *allowed, *denied)


def _of(kept: Mapping[str, Any]) -> Switches:
    return Switches(**{name: _frozen(value) for name, value in kept.items() if name in NAMES})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check(name: str, commands: Any) -> None:
    if len(commands) > MOST_COMMANDS or any(not one.strip() or len(one) > LONGEST_COMMAND for one in commands):
        raise Invalid(f"{name}: at most {MOST_COMMANDS} commands of at most {LONGEST_COMMAND} characters.", name)
