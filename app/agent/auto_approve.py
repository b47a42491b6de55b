"""Roo's switches of what runs without asking, as rules of their person's own sessions in a workspace.

Denials, protected paths and what a mode has not got hold as ever: an allowing rule reaches only what would be asked
about. A switch that lets all of a kind run counts only where this server allows the preset that does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from app import config, dispatch
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen
from app.approvals.service import Rule, literal
from app.config import PRESETS
from app.errors import Invalid
from app.projects.service import Place

LAYER = "user"
MOST_COMMANDS, LONGEST_COMMAND = 200, 400
ANY = "*"
DAY = 86_400_000


@dataclass(frozen=True)
class Switches:
    """The switches, as Roo names them; nothing counts without the first of them.

    A command runs unasked only if it begins with an allowed one, word by word; of allowed and denied ones that it
    begins with the longest counts. A tool of an MCP server runs unasked where its server's settings say so, too. After
    so many requests to the model, or so much cost in US dollars, somebody is asked whether it may go on. A question is
    answered with its first suggestion after a time in ms.

    Three switches are kept for those who read them back, and change nothing: reading inside the workspace never asks
    here, protected files ask always, and a model that failed is asked again in any case.
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
    always_allow_read_only_outside_workspace: bool = False
    always_allow_write_outside_workspace: bool = False
    always_allow_write_protected: bool = False
    always_allow_followup_questions: bool = False
    followup_auto_approve_timeout_ms: int = 60_000
    allowed_max_requests: int | None = None
    allowed_max_cost: float | None = None
    allowed_commands: tuple[str, ...] = ("git log", "git diff", "git show")
    denied_commands: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The switches as JSON-able data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def is_on(self, *names: str) -> bool:
        """Whether all of these count: they are on, as the first of all is, and this server allows them."""
        over = locked()
        return self.auto_approval_enabled and all(getattr(self, name) and name not in over for name in names)


NAMES = tuple(one.name for one in fields(Switches))
BOOLEANS = tuple(one.name for one in fields(Switches) if isinstance(one.default, bool))
COMMANDS = ("allowed_commands", "denied_commands")
NUMBERS = ("followup_auto_approve_timeout_ms", "allowed_max_requests", "allowed_max_cost")
# The preset that does by itself what a switch does.
_NEEDS = {
    "always_allow_write": "accept-edits",
    "always_allow_execute": "ask",
    "always_allow_mcp": "ask",
    "always_allow_mode_switch": "ask",
    "always_allow_subtasks": "ask",
    "always_allow_browser": "auto",
    "always_allow_read_only_outside_workspace": "auto",
    "always_allow_write_outside_workspace": "auto",
}


def get(actor: Actor | None, place: Place) -> Switches:
    """The actor's switches in a workspace."""
    return read(chosen.get(actor, place).approve)


def change(actor: Actor | None, place: Place, changes: Mapping[str, Any]) -> Switches:
    """Set some of them, all or nothing, by whoever may answer approvals.

    Raises Invalid for a command that is none, or a number that is out of bounds; Stale where more would run unasked
    than before and the sign-in is not fresh.
    """
    actor = accounts.require(actor, "approvals:answer")
    check(changes)
    before = get(actor, place)
    if widens(before, read({**before.plain(), **changes})):
        accounts.require_fresh(actor)
    now = read(chosen.choose(actor, place, approve=changes).approve)
    if now.is_on("always_allow_followup_questions"):
        dispatch.wake("agent.time_questions")
    return now


def widens(before: Switches, after: Switches) -> bool:
    """Whether more runs unasked with the switches after than with those before, or without an end."""
    on = any(getattr(after, name) and not getattr(before, name) for name in BOOLEANS)
    allowed = set(after.allowed_commands) - set(before.allowed_commands)
    denied = set(before.denied_commands) - set(after.denied_commands)
    limits = any(_is_looser(getattr(before, name), getattr(after, name)) for name in NUMBERS[1:])
    sooner = after.followup_auto_approve_timeout_ms < before.followup_auto_approve_timeout_ms
    return on or bool(allowed or denied) or limits or sooner


def check(changes: Mapping[str, Any]) -> None:
    """Raise Invalid unless these can be set."""
    for name in COMMANDS:
        commands = changes.get(name, ())
        if len(commands) > MOST_COMMANDS or any(not one.strip() or len(one) > LONGEST_COMMAND for one in commands):
            raise Invalid(f"{name}: at most {MOST_COMMANDS} commands of at most {LONGEST_COMMAND} characters.", name)
    if not 0 < changes.get(NUMBERS[0], 1) <= DAY:
        raise Invalid(f"{NUMBERS[0]}: more than 0, and a day at most.", NUMBERS[0])
    for name in NUMBERS[1:]:
        value = changes.get(name)
        if value is not None and not 0 < value < 10**9:
            raise Invalid(f"{name}: a positive number, or nothing for no limit.", name)


def of(owner: str, directory: str) -> Switches:
    """The switches of a session's owner in its directory."""
    return read(chosen.of(owner, directory).approve)


def of_many(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Switches]:
    """Those of many (owner, directory), those that nobody has set are left out."""
    return {pair: read(found.approve) for pair, found in chosen.of_many(pairs).items()}


def locked() -> dict[str, str]:
    """The switches that do not count on this server, each with the preset that it would have to allow."""
    ceiling = PRESETS.index(config.current().preset_ceiling)
    return {name: preset for name, preset in _NEEDS.items() if PRESETS.index(preset) > ceiling}


def rules(given: Switches, tools: Iterable[str] = ()) -> tuple[Rule, ...]:
    """What the switches let run, and the denied commands, which need no switch; `tools` are those of MCP servers that
    their settings always allow, by their ids.
    """
    outside = "external_directory"
    kinds = [
        ("edit", ("always_allow_write",)),
        ("webfetch", ("always_allow_browser",)),
        ("switch_mode", ("always_allow_mode_switch",)),
        ("new_task", ("always_allow_subtasks",)),
        (f"{outside}:read", ("always_allow_read_only", "always_allow_read_only_outside_workspace")),
        (f"{outside}:edit", ("always_allow_write", "always_allow_write_outside_workspace")),
        *((literal(tool), ("always_allow_mcp",)) for tool in tools),
    ]
    allowed = [(tool, ANY) for tool, names in kinds if given.is_on(*names)]
    if given.is_on("always_allow_execute"):
        is_any = config.current().preset_ceiling == "auto"
        allowed += [("bash", _pattern(one)) for one in given.allowed_commands if one.strip() != ANY or is_any]
    return (*(Rule(tool, pattern, "allow", LAYER) for tool, pattern in allowed), *_denials(given))


def read(kept: Mapping[str, Any]) -> Switches:
    """The switches as they were kept."""
    return Switches(**{name: _frozen(value) for name, value in kept.items() if name in NAMES})


def _denials(given: Switches) -> list[Rule]:
    """What is denied, but for longer commands that are allowed."""
    allowed = [(_pattern(one), _words(one)) for one in given.allowed_commands]
    denied = [(_pattern(one), _words(one)) for one in given.denied_commands]
    return [
        Rule("bash", pattern, "deny", LAYER, tuple(it for it, whole in allowed if _is_in(words, whole)))
        for pattern, words in denied
    ]


def _pattern(command: str) -> str:
    """The pattern of all that begins with a command, word by word."""
    return ANY if command.strip() == ANY else f"{command} {ANY}"


def _words(command: str) -> list[str]:
    return command.split() if command.strip() != ANY else []


def _is_in(short: list[str], long: list[str]) -> bool:
    """Whether a command begins with a shorter one."""
    return len(long) > len(short) and long[: len(short)] == short


def _is_looser(before: float | None, after: float | None) -> bool:
    """Whether a limit lets more pass than the one before; None is no limit."""
    return before is not None and (after is None or after > before)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
