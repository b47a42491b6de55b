"""The verbs of the room: the configuration in force, setting parts of it, and what is wrong with its files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from pydantic import ValidationError

from app import db, outbound, record, redact
from app.accounts import service as accounts
from app.actor import Actor, Scope
from app.errors import Conflict, Invalid
from app.events import service as events
from app.projects.service import Place
from app.settings import jsonc, layers, refusals, sealing, stored
from app.settings.choices import choice, choose
from app.settings.events import ConfigChanged
from app.settings.jsonc import Fault
from app.settings.layers import File, Layer, addressed, merged, narrowing, spelled, without_nulls
from app.settings.schema import Config
from app.settings.stored import Document

__all__ = [
    "Config",
    "Fault",
    "File",
    "Layer",
    "Theirs",
    "Written",
    "addressed",
    "choice",
    "choose",
    "config",
    "dispose",
    "may_set",
    "merged",
    "narrowing",
    "of_directory",
    "replace",
    "set_values",
    "shown",
    "spelled",
    "start",
    "written",
]
LARGEST = 256 * 1024
_PLACE = re.compile(r"\{(?:env|file):")
# What says which model is asked, and nothing of what agents may do: no fresh sign-in is wanted for it alone.
_HARMLESS = frozenset(("model", "small_model"))
_SERVER = Scope(owner="", project="")


@dataclass(frozen=True)
class Theirs:
    """A file that the page only shows: its text ("" for one of who runs the server, which may hold secrets), its
    faults, and what it says in vain, each at its line.
    """

    name: str
    text: str
    faults: tuple[Fault, ...]
    narrowed: tuple[Fault, ...]


@dataclass(frozen=True)
class Written:
    """What stands where: the text that was set, with marks for its secrets, and a stamp of this state of it; the
    files of the project, or those of who runs the server.
    """

    text: str
    stamp: str
    files: tuple[Theirs, ...] = ()


def config(actor: Actor | None, place: Place | None) -> Config:
    """The configuration in force in a place, secrets and all; without one that which no project has a part in.

    What is not as OpenCode's schema has it is left out key by key; `written` tells of it.
    """
    accounts.require(actor, "settings:read", place.project if place else None)
    return _valid(merged(of_directory(place.directory if place else None)))


def start() -> None:
    """At start-up: hear what other processes change."""
    events.listen(ConfigChanged, _on_changed)


def of_directory(directory: Path | None) -> list[Layer]:
    """All that is written for a directory, from the widest to the nearest, as it is written."""
    return layers.of(directory)


def shown(config: Config) -> dict[str, Any]:
    """A configuration as plain data in OpenCode's spelling, without its secrets."""
    return sealing.without(config.shown())


def set_values(actor: Actor | None, place: Place | None, given: Config) -> dict[str, Any]:
    """Set the given keys for the place's project, or for the server without one; the same without its secrets.

    Objects are changed key by key, null takes a key away. Raises Invalid for what would never take effect, Stale for a
    sign-in that is not fresh, unless only models are chosen.
    """
    patch = given.shown()

    def change(before: Document) -> Mapping[str, Any]:
        return without_nulls(layers.over(before.data, patch))

    _change(actor, place, change, sorted(patch))
    return sealing.without(patch)


def replace(actor: Actor | None, place: Place | None, text: str, stamp: str = "") -> None:
    """Set all of it as JSON with comments (which are not kept), in place of the state that the stamp is of.

    Raises Invalid, with line and column in its words, Conflict if somebody else changed it since, Stale.
    """
    if len(text) > LARGEST:
        raise Invalid(f"A configuration has at most {LARGEST // 1024} KiB.", "text")
    try:
        data = jsonc.parse(text)
    except Fault as fault:
        raise Invalid(_said(fault), "text") from None
    if faults := _faults(data, text) or _placed(refusals.of(without_nulls(data)), text):
        raise Invalid("\n".join(_said(fault) for fault in faults), "text")

    def change(before: Document) -> Mapping[str, Any]:
        if stamp and stamp != _stamp(_text(before)):
            raise Conflict("Somebody changed it since you opened it.")
        return without_nulls(data)

    gone = stored.get(_scope(place)).data.keys() - data.keys()
    _change(actor, place, change, sorted({*data, *gone}))


def written(actor: Actor | None, place: Place | None) -> Written:
    """What was set for the place's project or the server, as text, and the project's files with their faults."""
    accounts.require(actor, "settings:read", place.project if place else None)
    text = _text(stored.get(_scope(place)))
    found = of_directory(place.directory if place else None)
    trusted = merged([layer for layer in found if layer.is_trusted])
    if place is None:
        own = [file for layer in found for file in layer.files]
        return Written(text, _stamp(text), tuple(Theirs(file.name, "", _all_faults(file), ()) for file in own))
    theirs = [file for layer in found if not layer.is_trusted for file in layer.files]
    return Written(text, _stamp(text), tuple(_theirs(file, trusted) for file in theirs))


def _theirs(file: File, trusted: Mapping[str, Any]) -> Theirs:
    said = [*refusals.narrowings(file.data, trusted), *refusals.of(file.data)]
    once = dict(reversed(said))  # the first that speaks of a place is the one that tells
    return Theirs(file.name, file.text, _all_faults(file), _placed(once.items(), file.text))


def _placed(said: Iterable[tuple[tuple[str, ...], str]], text: str) -> tuple[Fault, ...]:
    """What is said of places in a configuration, in the order of its text."""
    found = [Fault(f"{'.'.join(path)}: {why}", *jsonc.find(text, path)) for path, why in said]
    return tuple(sorted(found, key=lambda one: (one.line, one.column)))


def _text(document: Document) -> str:
    return json.dumps(dict(document.data), indent=2, ensure_ascii=False) if document.data else "{\n}"


def _stamp(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def may_set(actor: Actor | None, place: Place | None) -> bool:
    """Whether somebody may set the place's configuration, or the server's."""
    return accounts.may(actor, "settings:write", place.project if place else _SERVER)


def dispose(actor: Actor | None, place: Place | None) -> None:
    """Let clients read anew what they know of a directory, or of all."""
    accounts.require(actor, "settings:write", place.project if place else _SERVER)
    with db.transaction() as conn:
        _announce(conn, place)


def _change(
    actor: Actor | None, place: Place | None, change: Callable[[Document], Mapping[str, Any]], keys: list[str]
) -> None:
    actor = accounts.require(actor, "settings:write", place.project if place else _SERVER)
    if not _HARMLESS.issuperset(keys):
        accounts.require_fresh(actor)
    scope = _scope(place)
    with db.transaction() as conn:
        before = stored.get_for_update(conn, scope)
        data, kept, empty = sealing.taken_out(change(before), before.secrets)
        if empty:
            raise Invalid(f"Nothing is kept for {empty[0]}: write the value itself.", empty[0])
        _valid(data, strictly=True)
        if len(orjson.dumps(data)) > LARGEST:
            raise Invalid(f"A configuration has at most {LARGEST // 1024} KiB.", next(iter(keys), ""))
        _check(data)
        if kept != before.secrets or _addresses(data) != _addresses(before.data):
            accounts.require(actor, "secrets:write", place.project if place else _SERVER)
        stored.put(conn, actor, scope, Document(data, kept))
        record.audit(conn, actor, "settings.set", scope, {"keys": keys})
        _announce(conn, place)
    for at, value in sealing.secrets_of(kept):
        redact.watch(f"config {at}", value)


def _check(data: Mapping[str, Any]) -> None:
    """Refuse what is not for the API to say: values from the server's own surroundings, and what has no effect."""
    for at, why in refusals.of(data):
        raise Invalid(f"{'.'.join(at)}: {why}", at[0])
    for path, text in _texts(data, ()):
        if _PLACE.search(text):
            raise Invalid(f"{'.'.join(path)}: only files of who runs the server take from its environment.", path[0])
    for name, url in _addresses(data).items():
        try:
            outbound.check(url)
        except Invalid as wrong:
            raise Invalid(f"provider.{name}.options.baseURL: {wrong.message}", "provider") from None


def _addresses(data: Mapping[str, Any]) -> dict[str, str]:
    """The addresses of providers that a valid configuration names."""
    found = {name: (one.get("options") or {}).get("baseURL") for name, one in (data.get("provider") or {}).items()}
    return {name: url for name, url in found.items() if url}


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, (*path, str(key)))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, path)


def _on_changed(_fact: ConfigChanged) -> None:
    stored.forget()


def _announce(conn: sa.Connection, place: Place | None) -> None:
    fact = ConfigChanged(str(place.directory) if place else "")
    record.event(conn, fact, place.project.scope if place else _SERVER)


def _scope(place: Place | None) -> str:
    return place.project.id if place else stored.SERVER


def _valid(data: Mapping[str, Any], *, strictly: bool = False) -> Config:
    """The configuration with what is valid of it; strictly, Invalid names what is not."""
    try:
        return Config.model_validate(dict(data))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        if strictly:
            raise Invalid(f"{_path(first['loc'])}: {first['msg']}", str(first["loc"][0])) from None
        bad = {str(error["loc"][0]) for error in wrong.errors(include_url=False)}
    return Config.model_validate({key: value for key, value in data.items() if key not in bad})


def _all_faults(file: File) -> tuple[Fault, ...]:
    return (file.fault,) if file.fault else _faults(file.data, file.text)


def _faults(data: Mapping[str, Any], text: str) -> tuple[Fault, ...]:
    """What OpenCode's schema has against a configuration, each at its key in the text."""
    try:
        Config.model_validate(dict(data))
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False, include_context=False)
        found = {_path(one["loc"]): (one["loc"], one["msg"], one["type"]) for one in reversed(errors)}
        return tuple(
            Fault(f"There is no key {at}." if kind == "extra_forbidden" else f"{at}: {said}.", *jsonc.find(text, loc))
            for at, (loc, said, kind) in sorted(found.items(), key=lambda one: jsonc.find(text, one[1][0]))
        )[:20]
    return ()


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(word) for word in loc)


def _said(fault: Fault) -> str:
    where = f"Line {fault.line}, column {fault.column}: " if fault.line else ""
    return f"{where}{fault.message}"
