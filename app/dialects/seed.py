"""The endpoints that the dialects' documents name, kept in seed.toml: which are built, and in which room."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DIALECTS = ("opencode", "roo", "codebuddy", "rootcx")


@dataclass(frozen=True)
class Endpoint:
    """One line of a document; `method` may be WS, parameters of `path` are written {name}."""

    dialect: str
    room: str
    method: str
    path: str
    built: bool


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """Every endpoint of every document, in the order of the file."""
    with Path(__file__).with_name("seed.toml").open("rb") as file:
        dialects: dict[str, dict[str, dict[str, list[str]]]] = tomllib.load(file)
    return tuple(
        Endpoint(dialect, room, *_words(line), built=state == "built")
        for dialect, rooms in dialects.items()
        for room, states in rooms.items()
        for state, lines in states.items()
        for line in lines
    )


def _words(line: str) -> tuple[str, str]:
    method, _, path = line.partition(" ")
    return method, path


def grid() -> str:
    """A table of rooms by dialects; each cell is `built/named`, the last row and column the sums."""
    rooms = sorted({endpoint.room for endpoint in endpoints()})
    rows = [(room or "all", [_cell(dialect, room) for dialect in (*DIALECTS, None)]) for room in (*rooms, None)]
    return "\n".join(_line(head, cells) for head, cells in [("", [*DIALECTS, "all"]), *rows])


def _line(head: str, cells: list[str]) -> str:
    return (head.ljust(14) + "".join(cell.rjust(11) for cell in cells)).rstrip()


def _cell(dialect: str | None, room: str | None) -> str:
    named = [one for one in endpoints() if dialect in (None, one.dialect) and room in (None, one.room)]
    return f"{sum(one.built for one in named)}/{len(named)}" if named else ""
