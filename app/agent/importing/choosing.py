"""What is current, the instructions, and what runs unasked: settings that a person has in one workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic.alias_generators import to_camel

from app.accounts import service as accounts
from app.agent import auto_approve, chosen
from app.agent.importing.document import shown, text_of
from app.agent.importing.items import Given, Item, lacking
from app.agent.importing.meant import Meant
from app.errors import Invalid


def switches(given: Given) -> Iterator[Item]:
    """The switches of what runs unasked, as far as there are such here: all of them at once."""
    now = auto_approve.get(given.actor, given.place).plain()
    found, wrong = _switches(given.export.settings)
    yield from wrong
    if not found:
        return
    item = Item("switches", "switches", "What runs unasked", "taken", _told(found))
    if not accounts.may(given.actor, "approvals:answer"):
        yield replace(item, verdict="skipped", why=lacking("approvals:answer"))
    elif all(now[name] == value for name, value in found.items()):
        yield replace(item, verdict="same")
    else:
        yield replace(item, act=partial(auto_approve.change, given.actor, given.place, found))


def instructions(given: Given) -> Iterator[Item]:
    """What all agents are told."""
    said = given.export.settings.get("customInstructions")
    if not isinstance(said, str) or not said.strip():
        return
    item = Item("instructions", "instructions", "Instructions", "taken", f"{len(said):,} characters")
    now = chosen.get(given.actor, given.place).instructions
    if len(said) > chosen.LONGEST:
        why = f"Instructions have at most {chosen.LONGEST:,} characters."
        yield replace(item, verdict="skipped", why=why)
    elif now == said:
        yield replace(item, verdict="same")
    else:
        why = "They take the place of those that are set." if now else ""
        act = partial(chosen.choose, given.actor, given.place, instructions=said)
        yield replace(item, verdict="changed" if now else "taken", why=why, act=act)


def current(given: Given, meant: Sequence[Meant], modes: Mapping[str, str]) -> Iterator[Item]:
    """The profiles of modes, the current mode and profile; `modes` are the titles of those that there will be."""
    now, usable = chosen.get(given.actor, given.place), {one.theirs: one for one in meant if not one.why}
    mode = text_of(given.export.settings, "mode")
    profile = next(
        (one for one in usable.values() if one.name == " ".join(given.export.profiles.current.split())), None
    )
    wanted = given.export.profiles.linked.items()
    linked = {slug: usable[theirs] for slug, theirs in wanted if slug in modes and theirs in usable}
    if mode in modes and profile is not None:
        linked[mode] = profile
    if linked:
        what = ", ".join(f"{slug}: {one.name}" for slug, one in linked.items())
        ids = {slug: one.id for slug, one in linked.items()}
        item = Item("current:linked", "current", "Profiles of modes", "same", what)
        is_so = all(now.linked.get(slug) == ours for slug, ours in ids.items())
        yield item if is_so else _acting(item, partial(_link, given, ids))
    if mode and mode not in modes:
        yield Item("current:mode", "current", "Current mode", "skipped", why=f"There is no mode {shown(mode)!r} here.")
    elif mode:
        item = Item("current:mode", "current", "Current mode", "same", modes[mode])
        yield (
            item
            if (now.mode or chosen.FIRST) == mode
            else _acting(item, partial(chosen.choose, given.actor, given.place, mode=mode))
        )
    if profile is not None:
        item = Item("current:profile", "current", "Current profile", "same", profile.name)
        act = partial(chosen.choose, given.actor, given.place, profile=profile.id)
        yield item if now.profile == profile.id else _acting(item, act)


def _link(given: Given, ids: Mapping[str, str]) -> None:
    before = chosen.get(given.actor, given.place).linked
    chosen.choose(given.actor, given.place, linked={**before, **ids})


def _acting(item: Item, act: Callable[[], object]) -> Item:
    return replace(item, verdict="taken", act=act)


def _switches(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Item]]:
    """Those that are here, by our names, and those that are written wrongly."""
    found: dict[str, Any] = {}
    wrong: list[Item] = []
    for name in auto_approve.NAMES:
        said = to_camel(name)
        if said not in settings or (settings[said] is None and name in auto_approve.BOOLEANS):
            continue
        try:
            value = _value(name, settings[said])
            auto_approve.check({name: value})
        except Invalid as problem:
            wrong.append(Item(f"setting:{said}", "setting", said, "skipped", why=problem.message))
        else:
            found[name] = value
    return found, wrong


def _value(name: str, value: Any) -> Any:
    """A switch's value as it is kept here; raises Invalid."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in auto_approve.BOOLEANS and isinstance(value, bool):
        return value
    if name in auto_approve.NUMBERS and (is_number or (value is None and name != auto_approve.NUMBERS[0])):
        return value
    if name in auto_approve.COMMANDS and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return list(dict.fromkeys(one for one in value if one.strip()))
    raise Invalid("It is written wrongly.")


def _told(found: Mapping[str, Any]) -> str:
    on = [to_camel(name) for name, value in found.items() if value is True]
    lists = [
        f"{to_camel(name)}: {', '.join(value) or 'none'}" for name, value in found.items() if isinstance(value, list)
    ]
    numbers = [f"{to_camel(name)}: {found[name]}" for name in auto_approve.NUMBERS if found.get(name) is not None]
    off = sum(value is False for value in found.values())
    return "; ".join([f"on: {', '.join(on) or 'none'}", f"{off} off", *lists, *numbers])[:2_000]
