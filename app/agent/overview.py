"""The modes of a place as people look them over: where each comes from, what it has, and what its patterns find."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, custom_modes, mode_config, mode_tools, modes, profiles, roomodes
from app.agent.builtin_modes import MODES
from app.agent.mode_config import ModeConfig
from app.agent.modes import Mode
from app.approvals import service as approvals
from app.approvals.service import BadPattern, TooSlow
from app.errors import NotFound
from app.files import service as files
from app.projects.service import Place

Origin = Literal["built in", "this server", ".roomodes", "opencode.json", ".opencode"]
MOST_FILES = 20_000
SHOWN = 8
PATIENCE = 1.0


@dataclass(frozen=True)
class Row:
    """A mode with the groups whose tools it has, and the profile or model that goes with it ("" for none).

    `config` is the server's own custom mode of its slug, if there is one.
    """

    mode: Mode
    origin: Origin
    groups: tuple[str, ...]
    goes_with: str
    config: ModeConfig | None = None

    @property
    def replaces(self) -> bool:
        """Whether it stands in place of a built-in one."""
        return bool(self.mode.source) and self.mode.name in MODES


@dataclass(frozen=True)
class Matching:
    """How many of a place's files a pattern finds, the first of them, and what is wrong with it ("" if nothing)."""

    found: int = 0
    total: int = 0
    shown: tuple[str, ...] = ()
    fault: str = ""
    is_cut: bool = False


def of(actor: Actor | None, place: Place) -> list[Row]:
    """Every mode of a place, built-in ones first."""
    actor = accounts.require(actor, "settings:read", place.project)
    choice = chosen.get(actor, place)
    names = {one.id: one.name for one in profiles.list_all(actor, place) if not one.is_built_in}
    configs = {one.slug: one for one in custom_modes.list_all(actor)}
    local = {one.slug for one in roomodes.of(place.directory).modes}
    return [
        Row(
            mode,
            _origin(mode, configs, local),
            _groups(mode),
            names.get(chosen.profile_of(choice, mode.name), "") or "/".join(mode.model or ()),
            configs.get(mode.name),
        )
        for mode in modes.of(place.directory)
        if not mode.hidden
    ]


def fault_of_file(actor: Actor | None, place: Place) -> str:
    """What is wrong with the project's own modes, "" if nothing is."""
    accounts.require(actor, "settings:read", place.project)
    return roomodes.of(place.directory).fault


def matching(actor: Actor | None, place: Place, pattern: str) -> Matching:
    """Hold a pattern against the files of a place."""
    actor = accounts.require(actor, "files:read", place.project)
    if fault := approvals.fault_of_pattern(pattern):
        return Matching(fault=fault)
    every = files.find_files(actor, place, "", kind="file", limit=MOST_FILES + 1)
    looked_at, until, found = every[:MOST_FILES], time.monotonic() + PATIENCE, []
    for path in looked_at:
        try:
            if approvals.finds_pattern(pattern, path):
                found.append(path)
        except (TooSlow, BadPattern):
            return Matching(fault=f"it takes too long, on {path} for one")
        if time.monotonic() > until:
            return Matching(fault="it takes too long for the files here")
    return Matching(len(found), len(looked_at), tuple(found[:SHOWN]), is_cut=len(every) > MOST_FILES)


def exported(actor: Actor | None, slug: str = "") -> str:
    """The server's custom modes, or one of them, as the text of a .roomodes file; raises NotFound."""
    actor = accounts.require(actor, "settings:read")
    found = [one for one in custom_modes.list_all(actor) if slug in ("", one.slug)]
    if slug and not found:
        raise NotFound("mode", slug)
    return mode_config.written(found)


def _origin(mode: Mode, configs: dict[str, ModeConfig], local: set[str]) -> Origin:
    if not mode.source:
        return "built in"
    if mode.source == "project":
        return ".roomodes" if mode.name in local else ".opencode"
    return "this server" if mode.name in configs else "opencode.json"


def _groups(mode: Mode) -> tuple[str, ...]:
    """The groups of Roo's whose tools it has, whoever wrote it."""
    has = {spec.name for spec in mode_tools.offered(mode)}
    held = {
        "read": "read" in has,
        "edit": mode.may_edit and "edit" in has,
        "command": mode.may_run and "bash" in has,
        "mcp": mode.tools is None or mode.with_mcp,
    }
    return tuple(name for name, is_held in held.items() if is_held)
