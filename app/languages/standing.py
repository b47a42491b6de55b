"""How the language servers of a place stand, for people: what runs, what failed and why, what could begin."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app import config, ids, redact
from app.errors import Unavailable
from app.languages import running, servers
from app.languages.running import Entry
from app.languages.servers import Server
from app.processes import service as processes
from app.projects.service import Place

State = Literal["running", "starting", "failed", "idle", "missing"]
OFF = "Language servers are switched off on this server (SIGNALCABIN_LANGUAGE_SERVERS=off)."


@dataclass(frozen=True)
class Standing:
    """A language server of a root; `root` is relative to the place, "" for the place itself.

    `why` is a sentence where it failed or is missing, `lines` the last that a failed one wrote. `pid`, `since` (unix
    ms), `errors`, `others` (warnings and hints) and `files` (open ones) are of one that runs.
    """

    server: str
    root: str
    state: State
    command: str
    endings: tuple[str, ...]
    install: str
    why: str = ""
    lines: str = ""
    pid: int | None = None
    since: int | None = None
    errors: int = 0
    others: int = 0
    files: int = 0

    @property
    def key(self) -> str:
        """A name for it within a page."""
        return f"{self.server}-{zlib.crc32(self.root.encode()):08x}"


def of(place: Place) -> list[Standing]:
    """Those that were begun in a place, by root, and for each other one that could be, by name."""
    begun = running.within(place)
    found: list[Standing] = []
    for server in sorted(servers.SERVERS, key=lambda one: one.id):
        mine = [one for one in begun if one.server.id == server.id]
        found += [_begun(one) for one in mine] or [_unbegun(server, place)]
    return found


def refusal() -> str:
    """Why none may begin here, in a sentence; nothing if they may."""
    try:
        check()
    except Unavailable as problem:
        return problem.message
    return ""


def check() -> None:
    """Raise Unavailable where language servers are off, or nothing would keep a team's from the others."""
    if not config.current().language_servers:
        raise Unavailable(OFF)
    processes.check_walls()


def root_of(place: Place, root: Path) -> str:
    """A root as its place's pages name it."""
    return "" if root == place.directory else str(root.relative_to(place.directory))


def _unbegun(server: Server, place: Place) -> Standing:
    why = servers.missing(server, place.root)
    return _standing(server, "", "missing" if why else "idle", why=why)


def _begun(entry: Entry) -> Standing:
    root, client = root_of(entry.place, entry.root), entry.client
    if entry.is_connected and client is not None:
        errors, others, files = client.found_now()
        since = ids.now() - round(client.uptime * 1000)
        return _standing(
            entry.server, root, "running", pid=client.child.pid, since=since, errors=errors, others=others, files=files
        )
    if entry.is_beginning:
        return _standing(entry.server, root, "starting")
    if entry.why:
        lines = redact.text(entry.lines)
        return _standing(entry.server, root, "failed", why=redact.text(entry.why), lines=lines)
    return _standing(entry.server, root, "idle")


def _standing(server: Server, root: str, state: State, **more: object) -> Standing:
    return Standing(
        server.id,
        root,
        state,
        " ".join(server.command),
        tuple(server.languages),
        server.install,
        **more,  # type: ignore[arg-type]
    )
