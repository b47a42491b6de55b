"""The page of checkpoints: the timeline of a session, what going back would do, going back, and comparing two."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, get_args

from flask import Response, render_template, request, url_for

from app import live, slots, web
from app.accounts import service as accounts
from app.actor import Actor
from app.checkpoints import bp, events, service
from app.checkpoints.pages import timeline
from app.checkpoints.service import Checkpoint, FileDiff, Held, Preview, Scopes
from app.errors import Invalid, NotFound, Problem
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Session

OFFERED = 40
VIEWS = ("now", "step", "start")
FRESH = 30.0
_held: dict[str, tuple[float, Held]] = {}


@dataclass(frozen=True)
class Now:
    """What differs on disk from the newest checkpoint; `problem` says why that can't be told."""

    files: int = 0
    additions: int = 0
    deletions: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Done:
    """A restore that just was: the checkpoint it made, what it did in words, and why it can't be undone or ""."""

    one: Checkpoint
    words: str
    why_not: str


@bp.get("/checkpoints")
def index() -> Response:
    """A session's checkpoints: the timeline, and beside it what going back to one would do, or a comparison."""
    actor = web.actor()
    offered = _offered(actor)
    session = _session(actor, offered)
    if session is None:
        return web.page("checkpoints/index.html", session=None, rows=[], offered=[], tab="none")
    found = service.of_session(actor, session.id)
    rows = timeline.of(found, sessions.transcript(actor, session.id))
    context: dict[str, Any] = {
        "session": session,
        "offered": [session, *(one for one in offered if one.id != session.id)],
        "project": _project_name(actor, session),
        "rows": rows,
        "failed": [one for one in reversed(found) if one.kind == "failed"],
        "held": _kept(actor, session.project),
        "next": found[-1].number + 1 if found else 0,
        "now": _now(actor, session) if rows else Now(),
        "done": _done(session, found),
        "watch": {"checkpoints": session.id},
    }
    if request.args.get("from") is not None or "compare" in request.args:
        context |= _comparison(actor, session, rows)
    else:
        context |= _chosen(actor, rows)
    if web.is_htmx():
        return web.fragment("checkpoints/index.html", "difference", **context)
    return web.page("checkpoints/index.html", **context)


@bp.post("/checkpoints/<checkpoint_id>/restore")
def restore(checkpoint_id: str) -> Response:
    """Go back: the chosen files, the conversation, or both."""
    actor, scope = web.actor(), web.form("scope", "code")
    if scope not in get_args(Scopes):
        raise Invalid(f"The scope is one of {', '.join(get_args(Scopes))}.", "scope")
    paths = request.form.getlist("path")
    if scope == "code" and not paths:
        raise Invalid("Choose at least one file to go back.", "path")
    made = service.restore(actor, checkpoint_id, paths, scope=scope)  # type: ignore[arg-type]
    return _shown(made)


@bp.post("/checkpoints/<checkpoint_id>/undo")
def undo(checkpoint_id: str) -> Response:
    """Undo the restore that made this checkpoint."""
    return _shown(service.undo(web.actor(), checkpoint_id))


@slots.draws(events.CheckpointAdded, events.FilesRestored)
def draw_more(_actor: Actor, fact: Any) -> list[str]:
    """The page of this session says that there is more to see."""
    if request.args.get("checkpoints") != fact.event.session_id:
        return []
    more = render_template("checkpoints/_more.html", session_id=fact.event.session_id)
    return [live.partial("#checkpoints-more", "innerHTML", more)]


def _shown(made: Checkpoint) -> Response:
    return web.back(url_for("checkpoints.index", session=made.session_id, done=made.number))


def _offered(actor: Actor) -> list[Session]:
    """The sessions to choose from, newest first: those that changed files stand before the others."""
    found = sessions.find_page(actor, limit=OFFERED, archived=None)
    return sorted(found, key=lambda session: not session.files)


def _session(actor: Actor, offered: list[Session]) -> Session | None:
    wanted = request.args.get("session", "")
    if wanted:
        return sessions.get(actor, wanted)
    return offered[0] if offered else None


def _project_name(actor: Actor, session: Session) -> str:
    try:
        return projects.get(actor, session.project).name
    except Problem:
        # A project that was taken off the list keeps its sessions.
        return ""


def _kept(actor: Actor, project: str) -> Held:
    """What the project's checkpoints come to, at most half a minute old: to measure them walks a directory."""
    accounts.require(actor, "checkpoints:read")
    known = _held.get(project)
    if known is None or known[0] < time.monotonic():
        if len(_held) > 200:
            _held.clear()
        known = _held[project] = (time.monotonic() + FRESH, service.held(actor, project))
    return known[1]


def _now(actor: Actor, session: Session) -> Now:
    try:
        files = service.changed_now(actor, session.id)
    except Problem as problem:
        return Now(problem=problem.message)
    added, removed = (sum(file[name] for file in files) for name in ("additions", "deletions"))
    return Now(len(files), added, removed)


def _done(session: Session, found: list[Checkpoint]) -> Done | None:
    """What the URL says was just done, if the session has it."""
    number = request.args.get("done", "")
    one = next((one for one in found if str(one.number) == number and one.kind == "restore"), None)
    if one is None:
        return None
    return Done(one, _told(one), service.why_not_undone(one, session, found))


def _told(one: Checkpoint) -> str:
    files = f"{len(one.files)} {'file' if len(one.files) == 1 else 'files'}"
    words = [files] if one.files or one.talk is None else []
    words += ["the conversation"] if one.talk is not None else []
    act = "is" if words in (["the conversation"], ["1 file"]) else "are"
    what = " and ".join(words)
    return f"{what[0].upper()}{what[1:]} {act} set back." if "undoing" not in one.note else "The restore is undone."


def _number(name: str) -> int | None:
    """A checkpoint's number in the URL; None for now. Raises NotFound for what is no number."""
    text = request.args.get(name, "")
    if text in ("", "now"):
        return None
    if not text.isdecimal() or len(text) > 9:
        raise NotFound("checkpoint", text[:20])
    return int(text)


def _chosen(actor: Actor, rows: list[timeline.Row]) -> dict[str, Any]:
    """The checkpoint that is looked at, and what is shown of it."""
    number = _number("at")
    usable = [row for row in rows if not row.one.lost]
    row = usable[0] if number is None and usable else next((row for row in rows if row.number == number), None)
    if number is not None and row is None:
        raise NotFound("checkpoint", f"#{number}")
    context: dict[str, Any] = {"tab": "restore", "step": row, "open": number is not None}
    if row is None:
        return context
    view = request.args.get("view", "now")
    context |= {"view": view if view in VIEWS else "now", "preview": None, "files": [], "problem": ""}
    try:
        context |= _view(actor, row.one, context["view"], rows[-1].number)
    except Problem as problem:
        if problem.status in (401, 403, 404):
            raise
        context["problem"] = problem.message
    return {**context, **_file(context["files"])}


def _view(actor: Actor, one: Checkpoint, view: str, first: int) -> dict[str, Any]:
    if view == "step":
        return {"files": service.diff_of(actor, one.id)}
    if view == "start":
        return {"files": service.compare_two(actor, one.session_id, first, one.number)}
    found: Preview = service.preview(actor, one.id)
    return {"preview": found, "files": [*found.put_back, *found.removed]}


def _comparison(actor: Actor, session: Session, rows: list[timeline.Row]) -> dict[str, Any]:
    """Two checkpoints, or one and now, and what differs."""
    numbers = [row.number for row in rows]
    first = _number("from")
    first = numbers[-1] if first is None and numbers else first
    last = _number("to")
    context: dict[str, Any] = {"tab": "compare", "first": first, "last": last, "files": [], "problem": "", "open": True}
    try:
        if first is not None:
            context["files"] = service.compare_two(actor, session.id, first, last)
    except Problem as problem:
        if problem.status in (401, 403, 404):
            raise
        context["problem"] = problem.message
    return context


def _file(files: list[FileDiff]) -> dict[str, Any]:
    """The file whose difference is shown: the one the URL names, else the first."""
    wanted = request.args.get("file", "")
    return {"file": next((one for one in files if one.path == wanted), files[0] if files else None)}
