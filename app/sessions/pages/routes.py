"""The pages and forms of sessions."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from flask import Response, request, url_for

from app import config, live, slots, web
from app.actor import Actor
from app.errors import Conflict, Invalid
from app.projects import service as projects
from app.sessions import bp, service
from app.sessions.pages import rows
from app.sessions.pages import session as shown
from app.sessions.pages.drawn import Drawer
from app.sessions.pages.table import Wanted
from app.sessions.service import Session

PAGE = 50
SHOWN = 100
LONGEST_TEXT = 4_000
BESIDE = 40
# A backslash before them makes words of what would be a command.
AS_WORDS = ("\\!", "\\/")
# Who sees a session, in the words of the filter and of the form for a new one.
SEEN = {"private": "its owner alone", "team": "the team", "shared": "anyone with the link"}


@bp.get("/sessions")
def index() -> Response:
    """The sessions that match the URL, newest first."""
    actor = web.actor()
    wanted, before = Wanted.of(request.args), _before()
    found = wanted.find(actor, before=before, limit=PAGE + 1, in_messages=True)
    url: dict[str, Any] = {name: value or None for name, value in vars(wanted).items()}
    url["seen"] = wanted.seen if wanted.seen in SEEN else None
    url["tab"] = wanted.tab if wanted.tab != "all" else None
    people, places = rows.names(actor), rows.project_names(actor)
    context: dict[str, Any] = {
        "rows": rows.of(actor, found[:PAGE]),
        "tab": wanted.tab,
        "counts": _counts(actor),
        "q": wanted.q,
        "filters": _filters(url, people, places),
        "picks": {"owners": _picks(people), "projects": _picks(places), "seen": _picks(SEEN)},
        "older": _older(url, found),
        "clear": url_for("sessions.index"),
        "here": url_for("sessions.index", **url),
        "address": config.current().url,
        "watch": {"table": "1", **{name: value for name, value in vars(wanted).items() if value}} if not before else {},
    }
    if web.is_htmx():
        return web.fragment("sessions/index.html", "rows", **context)
    return web.page("sessions/index.html", **context)


@bp.get("/sessions/<session_id>")
def show(session_id: str) -> Response:
    """One session: its transcript, what it asks, and the composer."""
    actor = web.actor()
    session = service.get(actor, session_id)
    messages, has_earlier = service.window(
        actor, session_id, before=request.args.get("before", ""), at=request.args.get("at", ""), limit=SHOWN
    )
    offered = shown.with_mode(session, shown.composer(actor, session.directory))
    context = shown.context(actor, shown.with_model(session, offered))
    below = shown.subagents(actor, session, messages)
    return web.page(
        "sessions/show.html",
        **context,
        **{name: value for name, value in offered.items() if name != "subagents"},
        messages=messages,
        draw=Drawer(actor, session, context["asks"], context["person"], below).draw,
        earlier=url_for("sessions.show", session_id=session_id, before=messages[0].id) if has_earlier else "",
        watch=shown.watch(session),
        side=_side(actor, session),
        heads=rows.HEADS,
        tab="details" if request.args.get("tab") == "details" else "transcript",
        text=request.args.get("text", "")[:LONGEST_TEXT],
    )


@bp.get("/sessions/<session_id>/changes")
def changes(session_id: str) -> Response:
    """What differs from the start of the session, file by file."""
    actor = web.actor()
    session = service.get(actor, session_id)
    files = slots.gather("session.changes", actor, session).get("files", [])
    return web.page(
        "sessions/changes.html",
        **shown.context(actor, session),
        files=files,
        watch=shown.watch(session, "changes"),
        tab="changes",
    )


@bp.post("/sessions")
def create() -> Response:
    """Begin a session with its first prompt."""
    actor = web.actor()
    text = _words()
    project = projects.get(actor, web.form("project")) if web.form("project") else None
    place = projects.resolve(actor, project.root if project else None)
    offered = shown.composer(actor, str(place.directory))
    chosen = _chosen(offered)
    if "mode" in chosen and offered.get("model") == _model_of(chosen):
        chosen = _without_model(chosen)
    worktree = text[:200].splitlines()[0] if web.form("where") == "worktree" else None
    session = service.create(actor, place, **chosen, worktree=worktree, visibility=web.form("visibility"))
    _say(actor, session, text, offered, {})
    return web.back(url_for("sessions.show", session_id=session.id))


@bp.post("/sessions/<session_id>/send")
def send(session_id: str) -> Response:
    """Send a prompt, which waits its turn while a run is busy; or reject what waits with these words."""
    actor = web.actor()
    session = service.get(actor, session_id)
    text = _words()
    if web.form("as") == "reject":
        if not slots.gather("session.reject", actor, session_id, text).get("rejected"):
            raise Conflict("Nothing waits for an answer here any more.")
    else:
        _prompt(actor, session, text)
    return _done(session_id)


@bp.post("/sessions/<session_id>/summarize")
def summarize(session_id: str) -> Response:
    """Let the model go on from a summary of what was said so far."""
    actor = web.actor()
    session = shown.with_model(service.get(actor, session_id), shown.composer(actor, ""))
    service.summarize(actor, session_id, session.provider, session.model)
    return _done(session_id)


@bp.post("/sessions/<session_id>/summary")
def summary(session_id: str) -> Response:
    """Put a summary aside, so that the model sees the whole conversation again, or take it up again."""
    service.put_summary_aside(web.actor(), session_id, web.form("messageID"), aside=web.form("aside") == "yes")
    return _done(session_id)


@bp.post("/sessions/<session_id>/visibility")
def see(session_id: str) -> Response:
    """Say who sees it: its owner alone, or the team; a link that it has ends."""
    service.update(web.actor(), session_id, visibility=web.form("visibility"))
    return _done(session_id)


@bp.post("/sessions/<session_id>/abort")
def abort(session_id: str) -> Response:
    """Stop what runs, waits or is queued."""
    service.abort(web.actor(), session_id)
    return _done(session_id)


def _prompt(actor: Actor, session: Session, text: str) -> None:
    offered = shown.with_mode(session, shown.composer(actor, session.directory))
    chosen = _chosen(offered)
    preset = chosen.pop("preset", "")
    if preset and preset != session.preset:
        service.update(actor, session.id, preset=preset)
    shown_model = _model_of(shown.with_model(session, offered).plain())
    if chosen.get("mode", session.mode) != session.mode and shown_model == _model_of(chosen):
        chosen = _without_model(chosen)
    _say(actor, session, text, offered, chosen)


def _say(actor: Actor, session: Session, text: str, offered: dict[str, Any], chosen: dict[str, Any]) -> None:
    """Send a prompt, unless a room above knows the words as something else to do."""
    parts = _parts(text[1:] if text.startswith(AS_WORDS) else text, offered)
    files = [part for part in parts if part["type"] == "file"]
    if not slots.gather("session.say", actor, session, text, files, chosen).get("is_done"):
        service.send(actor, session.id, parts, mentions=True, **chosen)


def _model_of(chosen: Mapping[str, Any]) -> str:
    return f"{chosen.get('provider')}/{chosen.get('model')}"


def _without_model(chosen: dict[str, Any]) -> dict[str, Any]:
    """A model that nobody picked, because it stood there already, gives way to that of a mode newly chosen."""
    return {name: value for name, value in chosen.items() if name not in ("provider", "model")}


def _parts(text: str, offered: dict[str, Any]) -> list[dict[str, Any]]:
    """The text of the form, with the subagents it names, and the files that were chosen or pasted with it."""
    parts = shown.prompt(text, offered)
    for file in request.files.getlist("files"):
        if file.filename:
            data = base64.b64encode(file.stream.read()).decode()
            mime = file.mimetype or "application/octet-stream"
            name = file.filename[-200:]
            parts.append({"type": "file", "mime": mime, "filename": name, "url": f"data:{mime};base64,{data}"})
    return parts


def _words() -> str:
    text = web.form("text")
    if not text:
        raise Invalid("Write what should be done first.", "text")
    return text


def _chosen(offered: dict[str, Any]) -> dict[str, Any]:
    """Mode, provider, model and preset of the form, checked; what was left out stays out."""
    found: dict[str, str] = {}
    for name in ("mode", "preset"):
        value = web.form(name)
        if value and value not in {one["id"] for one in offered[f"{name}s"]}:
            raise Invalid(f"There is no {name} {value!r}.", name)
        if value:
            found[name] = value
    provider, _slash, model = (web.form("model") or offered.get("model", "")).partition("/")
    return {**found, "provider": provider, "model": model} if provider and model else found


def _done(session_id: str) -> Response:
    return live.done(url_for("sessions.show", session_id=session_id))


def _side(actor: Actor, session: Session) -> dict[str, list[rows.Row]]:
    found = service.find_page(actor, limit=BESIDE, archived=False)
    if session.id not in {one.id for one in found}:
        found.append(session)
    return rows.grouped(rows.of(actor, found))


def _counts(actor: Actor) -> dict[str, int]:
    found = service.count_by_state(actor)
    every = sum(number for state, number in found.items() if state != "archived")
    return {
        "all": every,
        "needs": found.get("waiting", 0),
        "running": rows.count_running(found),
        "idle": found.get("idle", 0),
        "failed": found.get("failed", 0),
        "archived": found.get("archived", 0),
    }


def _before() -> tuple[int, str] | None:
    """The place of the last row shown, as `older` writes it into the URL."""
    updated, _dot, session_id = request.args.get("before", "").partition(".")
    return (int(updated), session_id) if updated.isdecimal() and len(updated) < 18 else None


def _older(url: dict[str, Any], found: list[Session]) -> str:
    if len(found) <= PAGE:
        return ""
    last = found[PAGE - 1]
    return url_for("sessions.index", **url, before=f"{last.updated}.{last.id}")


def _filters(url: dict[str, Any], people: dict[str, str], places: dict[str, str]) -> list[dict[str, str]]:
    """The filters in force, each with the URL that takes it away."""
    found = []
    for name, called, words in (("owner", "owner", people), ("project", "project", places), ("seen", "seen by", SEEN)):
        value = url[name]
        if value:
            without = url_for("sessions.index", **{**url, name: None})
            found.append({"words": f"{called} {words.get(value, value)}", "without": without})
    return found


def _picks(known: dict[str, str]) -> list[dict[str, Any]]:
    by_name = sorted(known.items(), key=lambda item: item[1].lower())
    return [{"id": key, "name": name} for key, name in by_name]
