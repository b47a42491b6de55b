"""The servers that a project's own `.roo/mcp.json` names. It comes with a repository, from anywhere: nothing of it is
started before somebody has said yes to exactly what is written, and when that changes they are asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.errors import NotFound, Problem
from app.files.paths import Root
from app.mcp import written
from app.mcp.things import Server
from app.mcp.written import FILE, Written
from app.projects.service import Place

CHANGED = f"The project's {FILE} says something else than what was allowed, or nothing any more: look at it again."


@dataclass(frozen=True)
class Named:
    """A server of the file. It asks, was allowed as it is now, or was changed since; `is_taken` if a server that
    people added has its name, which it would take the place of.
    """

    one: Written
    state: Literal["asks", "allowed", "changed"]
    is_taken: bool = False


@dataclass(frozen=True)
class Repository:
    """What the file names, and what is wrong with it as a whole, "" if nothing is."""

    servers: tuple[Named, ...] = ()
    fault: str = ""


def look(place: Place, stored: list[Server]) -> Repository:
    """What the project's file names, beside the servers that there are."""
    try:
        found = read(place)
    except Problem as wrong:
        return Repository(fault=wrong.message)
    known = {server.name: server.terms.mark for server in stored}
    return Repository(tuple(_named(one, known) for one in found))


def read(place: Place, values: Mapping[str, str] | None = None) -> list[Written]:
    """The servers of the project's file, none if there is none; raises Problem for one that cannot be read."""
    try:
        text = Root(place.project.path).read_text(FILE, written.LARGEST)
    except NotFound:
        return []
    return written.read(place, written.servers_of(text), values)


def changed(place: Place, servers: list[Server]) -> set[str]:
    """The ids of those servers that came from the file and are not what it says now."""
    theirs = [server for server in servers if server.terms.mark]
    if not theirs:
        return set()
    try:
        now = {one.name: one.mark for one in read(place)}
    except Problem:
        now = {}
    return {server.id for server in theirs if now.get(server.name) != server.terms.mark}


def _named(one: Written, known: Mapping[str, str]) -> Named:
    mark = known.get(one.name)
    if mark is None:
        return Named(one, "asks")
    if not mark:
        return Named(one, "asks", is_taken=True)
    return Named(one, "allowed" if mark == one.mark else "changed")
