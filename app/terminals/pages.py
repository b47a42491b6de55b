"""Terminals in the browser: the list beside the one that is open, and the form that sends a line without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, g, render_template, request, url_for

from app import live, slots, sockets, web
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, Problem
from app.projects import service as projects
from app.terminals import bp, events, service
from app.terminals.service import Size, Terminal
from app.terminals.talk import Talk

SCREEN = 40
CHANGES = (events.TerminalCreated, events.TerminalUpdated, events.TerminalExited, events.TerminalDeleted)


@dataclass(frozen=True)
class Row:
    """A terminal in the list: what runs in it and where, as people read it."""

    one: Terminal
    words: str
    cwd: str
    is_busy: bool
    is_mine: bool

    @property
    def state(self) -> str:
        """One of the six glyphs."""
        if self.one.ended is None:
            return "running" if self.is_busy else "idle"
        return "failed" if self.one.ended.exit_code else "done"


@dataclass(frozen=True)
class Choice:
    """A directory in which a terminal can be opened."""

    id: str
    name: str


@bp.get("/terminals")
def index() -> Response:
    """The list, and the form that opens one."""
    return _page(web.actor(), None)


@bp.post("/terminals")
def create() -> Response:
    """Open one in a project's directory or a worktree."""
    actor, directory = web.actor(), web.form("directory")
    try:
        made = service.create(actor, projects.resolve(actor, directory or None), size=_size(), title=web.form("title"))
    except Problem as problem:
        if problem.status in (401, 404):
            raise
        return _page(actor, None, problem.status, problem=problem.message, directory=directory)
    return web.back(url_for("terminals.show", terminal_id=made.id))


@bp.get("/terminals/<terminal_id>")
def show(terminal_id: str) -> Response:
    """One of them, with a second one beside it if the address says so."""
    actor = web.actor()
    return _page(actor, service.get(actor, terminal_id))


@bp.get("/terminals/<terminal_id>/socket")
def connect(terminal_id: str) -> Response:
    """The page's own connection: CodeBuddy's messages, and who is here."""
    actor = web.actor()
    terminal = service.check_room(actor, terminal_id)
    after = request.args.get("after", "")
    place = int(after) if after.isdecimal() and len(after) < 16 else None
    client = request.args.get("client", "")[:64]
    return sockets.Upgrade(sockets.handshake(), Talk(actor, terminal.id, place, client, is_page=True))


@bp.post("/terminals/<terminal_id>/rename")
def rename(terminal_id: str) -> Response:
    """Give it a name of its own; without one it is called by what runs in it."""
    service.rename(web.actor(), terminal_id, web.form("title"))
    return web.back(url_for("terminals.show", terminal_id=terminal_id))


@bp.post("/terminals/<terminal_id>/send")
def send(terminal_id: str) -> Response:
    """Type a line, for a page without a script."""
    actor = web.actor()
    line = request.form.get("line", "")
    typed = {"interrupt": "\x03", "end": "\x04"}.get(web.form("key"), f"{line}\r")
    try:
        service.write(actor, terminal_id, typed)
    except Conflict as problem:
        return _page(actor, service.get(actor, terminal_id), problem.status, problem=problem.message, line=line)
    return web.back(url_for("terminals.show", terminal_id=terminal_id))


@bp.post("/terminals/<terminal_id>/end")
def end(terminal_id: str) -> Response:
    """End it; when something runs in it, only after that was said."""
    actor = web.actor()
    terminal = service.get(actor, terminal_id)
    if service.is_busy(actor, terminal_id) and web.form("anyway") != "yes":
        return _page(actor, terminal, 409, ending=True)
    service.end(actor, terminal_id)
    return web.back(url_for("terminals.index"))


@slots.fill("stream")
def fill_stream(actor: Actor, watch: Mapping[str, str]) -> dict[str, Any]:
    """The list of an open page, with the terminal that it shows."""
    return {"terminals": _List(actor, watch.get("terminal", ""))} if "terminal" in watch else {}


class _List:
    """Draws the list anew whenever a terminal comes, goes, ends or is called otherwise."""

    def __init__(self, actor: Actor, chosen: str) -> None:
        self._actor = actor
        self._chosen = chosen

    def keeps(self, fact: Any) -> bool:
        """Whether a fact changes the list."""
        return isinstance(fact.event, CHANGES)

    def draw(self, fact: Any) -> list[str]:
        """The whole list; it is short."""
        if not self.keeps(fact):
            return []
        drawn = render_template("terminals/_list.html", **_listed(self._actor), chosen=self._chosen)
        return [live.partial("#terminal-list", "outerHTML", drawn)]


def _page(actor: Actor, terminal: Terminal | None, status: int = 200, **more: Any) -> Response:
    beside = request.args.get("beside", "") if terminal is not None else ""
    shown = [terminal] if terminal is not None else []
    if terminal is not None and beside and beside != terminal.id:
        shown.append(service.get(actor, beside))
    listed = _listed(actor)
    places = _choices(actor) if accounts.may(actor, "terminals:write") else []
    response = web.page(
        "terminals/index.html",
        status,
        **{"problem": "", "line": "", "ending": False, "directory": "", **more},
        **listed,
        places=places,
        shown=[(_row(actor, one), one.lines(SCREEN)) for one in shown],
        chosen=terminal.id if terminal is not None else "",
        others=[row for row in listed["rows"] if row.one.ended is None and row.one not in shown],
        watch={"terminal": terminal.id if terminal is not None else ""},
    )
    g.kind = "terminal_page"
    return response


def _listed(actor: Actor) -> dict[str, Any]:
    """The rows: those that run by project, the actor's own first, then those that have ended."""
    rows = [_row(actor, one) for one in service.list_all(actor)]
    running = sorted((row for row in rows if row.one.ended is None), key=lambda row: not row.is_mine)
    groups: dict[str, list[Row]] = {}
    for row in running:
        groups.setdefault(row.one.project_name, []).append(row)
    ended = [row for row in reversed(rows) if row.one.ended is not None]
    mine = sum(row.is_mine for row in running)
    return {"rows": rows, "groups": groups, "ended": ended, "mine": mine, "most": service.most()}


def _row(actor: Actor, one: Terminal) -> Row:
    look = one.look()
    return Row(one, look.words, look.cwd, look.is_busy, one.owner == actor.user)


def _choices(actor: Actor) -> Sequence[Choice]:
    """The directories of projects and worktrees, those of the default project first."""
    found: list[Choice] = []
    known = projects.list_all(actor)
    usual = projects.resolve(actor, None).project.id if any(one.state == "ready" for one in known) else ""
    for project in sorted(known, key=lambda one: one.id != usual):
        if project.state != "ready" or actor.project not in (None, project.id):
            continue
        found.append(Choice(project.root, project.name))
        trees = projects.directories_of(actor, project)
        found += [Choice(one, f"{project.name}: {one.rpartition('/')[2]}") for one in trees]
    return found


def _size() -> Size | None:
    """The size that a page with a script measured; the usual one without."""
    try:
        return Size(int(web.form("cols", "80")), int(web.form("rows", "24")))
    except (ValueError, Invalid):
        return None
