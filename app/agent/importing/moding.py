"""Custom modes of a file, and the prompts of built-in ones that somebody wrote anew: both are modes of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from app.agent import custom_modes, mode_config
from app.agent.importing.document import shown
from app.agent.importing.items import Given, Item, lacking, sentence
from app.agent.mode_config import ModeConfig
from app.agent.modes import MODES

MOST = 100
_PROMPTS = ("roleDefinition", "whenToUse", "description", "customInstructions")


def modes(given: Given) -> Iterator[Item]:
    """What becomes of each: kept for the whole server, in place of one of its slug."""
    there = {one.slug: one for one in custom_modes.list_all(given.actor)}
    settings, seen = given.export.settings, set()
    written = settings.get("customModes") or []
    if not isinstance(written, list):
        yield Item("setting:customModes", "setting", "customModes", "skipped", why="It is no list.")
        written = []
    every = [*written, *_prompted(settings)]
    for number, one in enumerate(every[:MOST], 1):
        item, mode = _read(number, one)
        if mode is not None and item.key in seen:
            item, mode = replace(item, key=f"{item.key}:{number}", why="Another mode of the file has its slug."), None
        seen.add(item.key)
        yield item if mode is None else _item(given, item, mode, there.get(mode.slug))
    if len(every) > MOST:
        why = f"An import takes {MOST} modes; {len(every) - MOST} more are in the file."
        yield Item("setting:customModes:rest", "setting", "customModes", "skipped", why=why)


def to_come(items: Sequence[Item]) -> dict[str, str]:
    """The titles of the modes that an import brings, by their slugs."""
    return {one.key.removeprefix("mode:"): one.name for one in items if one.kind == "mode" and one.verdict != "skipped"}


def _read(number: int, given: Any) -> tuple[Item, ModeConfig | None]:
    """A mode with the item that tells of it, or None and what is wrong."""
    slug = given.get("slug") if isinstance(given, Mapping) else None
    name = shown(slug) if isinstance(slug, str) else f"mode {number}"
    item = Item(f"mode:{name}", "mode", name, "skipped")
    try:
        mode = ModeConfig.model_validate(given)
    except ValidationError as wrong:
        return replace(item, why=" ".join(mode_config.faults(wrong))[:1_000]), None
    return replace(item, name=mode.name, what=_what(mode)), mode


def _item(given: Given, item: Item, mode: ModeConfig, before: ModeConfig | None) -> Item:
    if before == mode:
        return replace(item, verdict="same")
    if not custom_modes.may_write(given.actor):
        return replace(item, why=lacking("settings:write"))
    notes = ["it takes the place of the one of its slug"] if before else []
    if before is None and mode.slug in MODES:
        notes = ["it takes the place of the built-in mode"]
    why = sentence(notes)
    act = partial(custom_modes.save, given.actor, mode)
    return replace(item, verdict="changed" if why else "taken", why=why, act=act)


def _what(mode: ModeConfig) -> str:
    """Its slug and groups; it is for everybody who works here."""
    groups = ", ".join(f"{one.name} ({one.pattern})" if one.pattern else one.name for one in mode.groups)
    return f"{mode.slug}, for the whole server: {groups or 'no group'}"


def _prompted(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Built-in modes whose prompts were written anew, unless the file has the whole mode, too."""
    prompts = settings.get("customModePrompts")
    whole = settings.get("customModes")
    slugs = {one.get("slug") for one in whole if isinstance(one, dict)} if isinstance(whole, list) else set()
    for slug, given in prompts.items() if isinstance(prompts, dict) else ():
        mode = MODES.get(slug)
        written = {name: given[name] for name in _PROMPTS if given.get(name)} if isinstance(given, dict) else {}
        if mode is None or not mode.title or not written or slug in slugs:
            continue
        groups = [group.shown for group in mode.groups]
        yield {"slug": slug, "name": mode.title, "roleDefinition": mode.role, "groups": groups, **written}
