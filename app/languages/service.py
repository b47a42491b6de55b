"""The verbs of languages: servers stand, begin and end; names are found, faults told, and files formed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import config, db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, NotFound
from app.languages import formatted, formatters, running, servers, standing, trial
from app.languages.client import Diagnostic, Failed, is_range, path_of
from app.languages.formatted import Formatted
from app.languages.running import Serving, start_background, stop
from app.languages.servers import Server, binary, root_of, serving
from app.languages.standing import Standing
from app.languages.trial import Trial
from app.projects.service import Place

__all__ = [
    "Diagnostic",
    "Formatted",
    "Formatting",
    "Serving",
    "Standing",
    "Symbol",
    "Trial",
    "begin",
    "diagnose",
    "end",
    "find_symbols",
    "format_text",
    "last_trial",
    "list_formatters",
    "list_servers",
    "list_standings",
    "refusal",
    "restart",
    "start_background",
    "stop",
    "try_server",
]

READ, RUN = "files:read", "processes:write"
BEGIN_WAIT, ASK_WAIT = 10.0, 5.0  # seconds that a search for symbols waits
MOST_FILES = 5


@dataclass(frozen=True)
class Symbol:
    """A name that is defined somewhere: its kind is the protocol's number, its range of lines and characters from 0."""

    name: str
    kind: int
    uri: str
    range: dict[str, Any]


@dataclass(frozen=True)
class Formatting:
    """A formatter, the endings of the files it is for, and whether it formats what agents edit in a place."""

    name: str
    extensions: tuple[str, ...]
    is_enabled: bool


def list_servers(actor: Actor, place: Place) -> list[Serving]:
    """The language servers of a place that run or failed; those that nobody has needed yet are not among them."""
    accounts.require(actor, READ, place.project)
    return [Serving(one.server.id, one.root, one.why) for one in running.within(place) if one.is_shown]


def list_standings(actor: Actor, place: Place) -> list[Standing]:
    """Every language server there is, and how each stands in a place; several times where it has several roots."""
    accounts.require(actor, READ, place.project)
    return standing.of(place)


def refusal(actor: Actor, place: Place) -> str:
    """Why no language server may begin in a place, in a sentence; nothing if they may."""
    accounts.require(actor, READ, place.project)
    return standing.refusal()


def begin(actor: Actor, place: Place, server: str, root: str = "") -> None:
    """Begin a server aside, also one that failed a moment ago; how it went is announced.

    `root` is that of one which was begun before, relative to the place, else "". Raises NotFound for another,
    Unavailable where none may begin, Conflict when it is not installed or too many are kept.
    """
    accounts.require(actor, RUN, place.project)
    one, at = _known(place, server, root)
    standing.check()
    _audit(actor, place, "languages.start", one, root)
    _begin(place, one, at)


def restart(actor: Actor, place: Place, server: str, root: str = "") -> None:
    """End a server and begin it anew; raises as `begin` does."""
    accounts.require(actor, RUN, place.project)
    one, at = _known(place, server, root)
    standing.check()
    _audit(actor, place, "languages.restart", one, root)
    _end(place, one, at)
    _begin(place, one, at)


def end(actor: Actor, place: Place, server: str, root: str = "") -> None:
    """End a server aside; it begins again when it is next wanted. One that does not run is as good as ended."""
    accounts.require(actor, RUN, place.project)
    one, at = _known(place, server, root)
    _audit(actor, place, "languages.stop", one, root)
    _end(place, one, at)


def try_server(actor: Actor, place: Place, server: str, root: str = "") -> Trial:
    """Begin a server if it does not run, and ask it for the symbols of a file; raises as `begin` does, and Limited."""
    accounts.require(actor, RUN, place.project)
    one, at = _known(place, server, root)
    standing.check()
    _audit(actor, place, "languages.test", one, root)
    return trial.run(actor, place, one, at)


def last_trial(actor: Actor, place: Place, one: Standing) -> Trial | None:
    """What the last test of a server showed; None since this process began."""
    accounts.require(actor, READ, place.project)
    return trial.last(place, one.server, place.directory / one.root)


def find_symbols(actor: Actor, place: Place, query: str, limit: int = 10) -> list[Symbol]:
    """Names of the project that hold these letters, the likeliest first, from each of its language servers.

    For those who may run commands there, servers begin for it; others find what running ones know.
    """
    accounts.require(actor, READ, place.project)
    if config.current().language_servers and accounts.may(actor, RUN, place.project):
        _enter_marked(place)
        entries = running.within(place)
    else:
        entries = [one for one in running.within(place) if one.is_connected]
    deadline = time.monotonic() + BEGIN_WAIT
    found: list[Symbol] = []
    for one in entries:
        client = one.ready(max(0.0, deadline - time.monotonic()))
        if client is None:
            continue
        try:
            told = client.symbols(query, ASK_WAIT)
        except Failed:
            continue  # its status says so, if it failed altogether
        found += [symbol for item in told if (symbol := _symbol(item, place.root)) is not None]
    wanted = query.lower()
    ranked = sorted(
        dict.fromkeys((_rank(one.name.lower(), wanted), one.name, one.uri, number) for number, one in enumerate(found))
    )
    return [found[number] for *_key, number in ranked[:limit]]


def diagnose(actor: Actor, place: Place, texts: Mapping[str, str | None], wait: float) -> dict[str, list[Diagnostic]]:
    """What is wrong in files (absolute paths) whose text is now this, None for one that is gone.

    A file is left out when no server knows its language, or none has told within so many seconds, for all together.
    """
    accounts.require(actor, READ, place.project)
    if not config.current().language_servers:
        return {}
    deadline = time.monotonic() + wait
    found: dict[str, list[Diagnostic]] = {}
    for path, text in list(texts.items())[:MOST_FILES]:
        server = serving(path, place.root)
        if server is None:
            continue
        entry = running.entry(place, server, root_of(server, Path(path), place.directory))
        client = entry.ready(max(0.0, deadline - time.monotonic())) if entry else None
        if entry is None or client is None:
            continue
        try:
            if text is None:
                client.forget(path)
            else:
                language = server.languages[Path(path).suffix.lower()]
                found[path] = client.diagnose(path, text, language, max(0.0, deadline - time.monotonic()))
            entry.note(answered=True)
        except Failed:
            entry.note(answered=False)  # an edit is not held up, nor lost, by what helps with it
    return found


def list_formatters(actor: Actor, place: Place) -> list[Formatting]:
    """Every formatter that is known, and whether a place has it: none where the server's setting is off."""
    accounts.require(actor, READ, place.project)
    if not config.current().formatters:
        return []
    return [
        Formatting(
            one.name,
            one.extensions,
            formatters.binary(one, place) is not None and formatters.is_at_home(one, place.directory, place.root),
        )
        for one in formatters.FORMATTERS
    ]


def format_text(actor: Actor, place: Place, path: Path, text: str, cancel: threading.Event) -> Formatted | None:
    """A text as the formatter of its file (an absolute path, which need not exist) has it; None where there is none.

    Nothing is written. It takes 10 seconds at most; one that fails gives the text as it is, and says why.
    """
    accounts.require(actor, READ, place.project)
    if not config.current().formatters or len(text) > formatted.LARGEST:
        return None
    found = formatters.formatting(path, place)
    return formatted.run(place, *found, path, text, cancel) if found is not None else None


def _enter_marked(place: Place) -> None:
    """Know the servers of languages whose marks lie in the place, the first installed of each language."""
    known: set[str] = set()
    for server in servers.SERVERS:
        endings = set(server.languages)
        is_marked = any((place.directory / mark).is_file() for mark in server.marks)
        if is_marked and not endings & known and binary(server, place.root) is not None:
            known |= endings
            running.entry(place, server, place.directory)


def _known(place: Place, server: str, root: str) -> tuple[Server, Path]:
    """A server by its id, and a root that it has in the place; no other path is taken."""
    one = next((one for one in servers.SERVERS if one.id == server), None)
    if one is None:
        raise NotFound("language server", server)
    roots = {standing.root_of(place, entry.root) for entry in running.within(place) if entry.server.id == server}
    if root and root not in roots:
        raise NotFound("root", root)
    return one, place.directory / root


def _begin(place: Place, server: Server, root: Path) -> None:
    if why := servers.missing(server, place.root):
        raise Conflict(why)
    entry = running.entry(place, server, root)
    if entry is None:
        raise Conflict(trial.FULL)
    entry.begin_now()


def _end(place: Place, server: Server, root: Path) -> None:
    """A server gets its time to end, but nobody waits for it."""
    if (entry := running.take_out(place, server, root)) is not None:
        threading.Thread(target=entry.drop, name="language-end", daemon=True).start()


def _audit(actor: Actor, place: Place, act: str, server: Server, root: str) -> None:
    with db.transaction() as conn:
        record.audit(
            conn, actor, act, f"{place.project.id}/{server.id}", {"directory": str(place.directory), "root": root}
        )


def _symbol(item: dict[str, Any], top: Path) -> Symbol | None:
    """What a server tells, if it is whole and lies in the project."""
    name, kind, location = item.get("name"), item.get("kind"), item.get("location")
    if not isinstance(name, str) or not isinstance(kind, int) or not isinstance(location, dict):
        return None
    uri, range_ = location.get("uri"), location.get("range")
    if not isinstance(uri, str) or not isinstance(range_, dict) or not is_range(range_):
        return None
    if not Path(path_of(uri)).is_relative_to(top):
        return None
    return Symbol(name, kind, uri, range_)


def _rank(name: str, wanted: str) -> int:
    if name == wanted:
        return 0
    return 1 if name.startswith(wanted) else 2 if wanted in name else 3
