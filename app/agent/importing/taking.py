"""The two verbs: what a file would change, and changing it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic.alias_generators import to_camel

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import auto_approve, modes
from app.agent.importing import choosing, document, moding, providing, serving
from app.agent.importing.items import Given, Item, Plan
from app.agent.importing.meant import Reader
from app.agent.providers import catalog
from app.errors import Conflict, Denied
from app.projects.service import Place

NOWHERE = "Nothing here has it."
CHANGED = "Something was changed since this was shown. Look at it once more."
# What is read of an export's settings beside the switches.
_READ = ("mode", "customInstructions", "customModes", "customModePrompts")
MOST_SETTINGS = 300


@dataclass(frozen=True)
class Done:
    """What was done of a plan, and what of it is left out."""

    items: tuple[Item, ...]
    plan: Plan


def plan(actor: Actor | None, place: Place, data: bytes, values: Mapping[str, str] | None = None) -> Plan:
    """What a file of Roo's would change for this actor in this workspace, item by item; nothing is written.

    `values` are of variables that MCP servers want. Raises TooLarge, and Invalid for what is no such file.
    """
    actor = accounts.require(actor, "sessions:write")
    if actor.kind == "agent":
        raise Denied("An agent never changes what it is told or may do.")
    return Plan(tuple(_items(Given(actor, place, document.read(data), values or {}))))


def apply(
    actor: Actor | None,
    place: Place,
    data: bytes,
    keys: Collection[str] | None = None,
    *,
    stamp: str = "",
    values: Mapping[str, str] | None = None,
) -> Done:
    """Do what a plan says, all of it or nothing: the items with these keys, else all that is usually done.

    Raises as `plan`, and Conflict if the plan is not the one that the stamp is of any more.
    """
    shown = plan(actor, place, data)
    if stamp and shown.stamp != stamp:
        raise Conflict(CHANGED)
    found = plan(actor, place, data, values) if values else shown
    return carry_out(actor, place, found, found.usual if keys is None else keys)


def carry_out(actor: Actor | None, place: Place, found: Plan, keys: Collection[str]) -> Done:
    """Do these items of a plan that was made a moment ago, all of them or none; each asks for its own rights again."""
    actor = accounts.require(actor, "sessions:write")
    todo = found.todo(keys)
    if todo:
        try:
            with db.transaction() as connection:
                for item in todo:
                    item.do()
                detail = {"done": [item.key for item in todo], "skipped": found.count("skipped")}
                record.audit(connection, actor, "agent.import", str(place.directory), detail)
        except sa.exc.IntegrityError:
            raise Conflict(CHANGED) from None
    return Done(todo, found)


def _items(given: Given) -> Iterator[Item]:
    """All items in the order in which they are done: what others refer to comes first."""
    entries = catalog.entries(given.place.directory)
    meant = Reader(given.actor.user, given.export.profiles, entries).read()
    yield from providing.providers(given, meant, entries)
    yield from providing.rows(given, meant)
    yield from choosing.instructions(given)
    yield from choosing.switches(given)
    coming = list(moding.modes(given))
    yield from coming
    yield from choosing.current(given, meant, _modes(given) | moding.to_come(coming))
    yield from serving.servers(given)
    yield from _others(given)


def _modes(given: Given) -> dict[str, str]:
    """The titles of the modes that there are."""
    return {mode.name: mode.title or mode.name for mode in modes.of(given.place.directory) if mode.is_primary}


def _others(given: Given) -> Iterator[Item]:
    """The settings that are left out, by their names alone: some of them are secrets."""
    read = {*_READ, *map(to_camel, auto_approve.NAMES)}
    for name in list(given.export.settings)[:MOST_SETTINGS]:
        if name not in read:
            shown = document.shown(name)
            yield Item(f"setting:{shown}", "setting", shown, "skipped", why=NOWHERE)
    if (more := len(given.export.settings) - MOST_SETTINGS) > 0:
        why = f"An import looks at {MOST_SETTINGS} settings; {more} more are in the file, nothing here has them."
        yield Item("setting:rest", "setting", "globalSettings", "skipped", why=why)
