"""MCP servers of a file: what is to be added to the project, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from app.accounts import service as accounts
from app.agent.importing.items import Given, Item, lacking, sentence
from app.mcp import service as mcp
from app.mcp.service import Wanted, Written


def servers(given: Given) -> Iterator[Item]:
    """What becomes of each server; only its names of environment and headers are told, never the values."""
    if not given.export.servers or not accounts.may(given.actor, "mcp:read", given.place.project):
        return
    there = {one.server.name for one in mcp.list_servers(given.actor, given.place, only_look=True)}
    may = accounts.may(given.actor, "mcp:write", given.place.project)
    for one in mcp.read_written(given.actor, given.place, given.export.servers, given.values):
        yield _item(given, one, there, may=may)


def _item(given: Given, one: Written, there: set[str], *, may: bool) -> Item:
    item = Item(f"server:{one.name or one.said}", "server", one.said, "skipped", one.reached, one.why, asks=one.asks)
    if one.wanted is None:
        return item
    item = replace(item, what=_what(one, one.wanted))
    notes = [*one.notes, *(["it takes the place of the one of its name"] if one.name in there else [])]
    if not may:
        return replace(item, why=lacking("mcp:write"))
    if mcp.is_there(given.actor, given.place, one.name, one.wanted):
        return replace(item, verdict="same")
    why = sentence(notes)
    act = partial(mcp.put, given.actor, given.place, one.name, one.wanted)
    return replace(item, verdict="changed" if why else "taken", why=why, act=act)


def _what(one: Written, wanted: Wanted) -> str:
    """The exact command line or address, and the rest in words."""
    words = [one.reached]
    if wanted.secret:
        words.append(f"{'environment' if wanted.kind == 'local' else 'headers'}: {', '.join(wanted.secret)}")
    if wanted.cwd:
        words.append(f"in {wanted.cwd}")
    if not wanted.enabled:
        words.append("disabled")
    if wanted.terms.always:
        words.append(f"unasked while alwaysAllowMcp is on: {', '.join(wanted.terms.always)}")
    if wanted.terms.without:
        words.append(f"not offered: {', '.join(wanted.terms.without)}")
    return "; ".join(words)
