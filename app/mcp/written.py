"""Servers as Roo's files write them: `{"mcpServers": {NAME: {...}}}`, each read to what can be added here, or why not.

Nothing is started or looked up for it, and nothing of this server's own environment gets into what is read.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import Invalid, Problem
from app.mcp import checks
from app.mcp.things import Terms, Wanted
from app.projects.service import Place

FILE = ".roo/mcp.json"
LARGEST = 256 * 1024
MOST = 100
LONGEST_CONNECT = 120  # seconds
_VARIABLE = re.compile(r"\$\{(?:env:([A-Za-z_][A-Za-z0-9_]{0,99})|workspaceFolder)\}")
Text = Annotated[str, Field(max_length=4_000)]
Texts = Annotated[dict[Text, Text], Field(max_length=100)]
Names = Annotated[list[Text], Field(max_length=300)]


class Entry(BaseModel):
    """One server of a file; what Roo knows and nothing here has a use for is not asked about."""

    model_config = ConfigDict(extra="ignore", strict=True)
    type: Literal["stdio", "sse", "streamable-http"] | None = None
    command: Text | None = None
    args: Annotated[list[Text], Field(max_length=200)] = []
    env: Texts = {}
    cwd: Text = ""
    url: Text | None = None
    headers: Texts = {}
    disabled: bool = False
    timeout: Annotated[float, Field(ge=1, le=3600)] = 60
    always: Names = Field(alias="alwaysAllow", default=[])
    without: Names = Field(alias="disabledTools", default=[])
    watched: Names = Field(alias="watchPaths", default=[])


@dataclass(frozen=True)
class Written:
    """A server of a file: what it is called here and there, a mark of all that is written of it, and what to add;
    `reached` is its exact command line or its address, as people are shown it.

    Where it cannot be added, `wanted` is None and `why` says so; `asks` are variables whose values a person has to
    give. `notes` are what is otherwise here.
    """

    name: str
    said: str
    mark: str
    reached: str = ""
    wanted: Wanted | None = field(default=None, repr=False)
    why: str = ""
    notes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


def servers_of(text: str) -> Mapping[str, Any]:
    """The servers that a file names; raises Invalid, with the place of what is wrong."""
    try:
        data = orjson.loads(text.removeprefix("\ufeff"))
    except orjson.JSONDecodeError as wrong:
        raise Invalid(f"Line {wrong.lineno}, column {wrong.colno}: {wrong.msg}.", "text") from None
    servers = data.get("mcpServers") if isinstance(data, dict) else None
    if not isinstance(servers, dict):
        raise Invalid("There is no mcpServers in it, or it is no object.", "text")
    return servers


def read(place: Place, servers: Mapping[str, Any], values: Mapping[str, str] | None = None) -> list[Written]:
    """The servers for a place, in the order of the file; `values` are those that a person gave for variables."""
    found: list[Written] = []
    for said, entry in list(servers.items())[:MOST]:
        one = _read(place, said, entry, values or {})
        if any(other.name == one.name for other in found):
            one = replace(one, wanted=None, why=f"Another server of the file is called {one.name} here.")
        found.append(one)
    return found


def _read(place: Place, said: str, entry: Any, values: Mapping[str, str]) -> Written:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", said).strip("-_.")[:40]
    shown = "".join(char for char in said[:100] if char.isprintable())
    try:
        exact = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # it reads what is deeper than it writes
        return Written(name, shown, "", why="It is nested too deep.")
    one = Written(name, shown, hashlib.sha256(exact).hexdigest())
    if not name:
        return replace(one, why="Its name has no letter or digit.")
    try:
        given = Entry.model_validate(entry)
        return _wanted(one, given, place, values)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        at = ".".join(str(word) for word in first["loc"])
        return replace(one, why=f"{at}: {first['msg']}." if at else f"{first['msg']}.")
    except Problem as wrong:
        return replace(one, why=wrong.message)


def _wanted(one: Written, given: Entry, place: Place, values: Mapping[str, str]) -> Written:
    kind = _kind(given)
    target = (given.url or "",) if kind == "remote" else (given.command or "", *given.args)
    secret = given.headers if kind == "remote" else given.env
    target = tuple(_filled(word, place, {}) for word in target)
    if any(_asked(target)):
        raise Invalid("It puts a variable into its command or address, which are shown: write it into env or headers.")
    one = replace(one, reached=shlex.join(target) if kind == "local" else target[0])
    asks = tuple(name for name in dict.fromkeys(_asked(secret.values())) if not values.get(name))
    if asks:
        named = ", ".join(asks)
        why = f"It wants {named} of the environment, of which it gets nothing by itself: give the value here."
        return replace(one, asks=asks, why=why)
    wanted = Wanted(
        kind, target, {name: _filled(value, place, values) for name, value in secret.items()}, not given.disabled,
        min(int(given.timeout), LONGEST_CONNECT) * 1_000, _filled(given.cwd, place, {}) if kind == "local" else "",
        terms=Terms(tuple(given.always), tuple(given.without)),
    )  # fmt: skip
    checks.check(one.name, wanted)
    checks.directory(place, wanted.cwd)
    return replace(one, wanted=wanted, notes=tuple(_notes(one, given)))


def _kind(given: Entry) -> Literal["local", "remote"]:
    if given.command is not None and given.url is not None:
        raise Invalid("It has a command and a url: it is one or the other.")
    if given.command is None and given.url is None:
        raise Invalid("It has neither a command nor a url.")
    if given.command is not None:
        if given.type not in (None, "stdio") or given.headers:
            raise Invalid("A command is of the type stdio, and has no headers.")
        return "local"
    if given.type is None:
        raise Invalid("A url wants its type: streamable-http.")
    if given.type == "stdio" or given.args or given.env:
        raise Invalid("A url is of the type streamable-http, and has no args or env.")
    if given.type == "sse":
        raise Invalid("The type sse is not spoken here: see whether the server answers to streamable-http.")
    return "remote"


def _asked(texts: Iterable[str]) -> Iterator[str]:
    """The variables of the environment that these name."""
    return (name for text in texts for name in _VARIABLE.findall(text) if name)


def _filled(text: str, place: Place, values: Mapping[str, str]) -> str:
    """The text with the project's directory and given values in the places of their variables."""

    def value(found: re.Match[str]) -> str:
        return str(place.project.path) if found[1] is None else values.get(found[1], found[0])

    return _VARIABLE.sub(value, text)


def _notes(one: Written, given: Entry) -> Iterator[str]:
    if one.name != one.said:
        yield f"it is called {one.name} here"
    if given.timeout > LONGEST_CONNECT:
        yield f"it has {LONGEST_CONNECT} s to connect"
    if given.watched:
        yield "watchPaths are not watched: connect it again after a change"
