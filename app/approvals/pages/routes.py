"""The inbox, one ask, and the answer."""

from __future__ import annotations

from flask import Response, request, url_for

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import bp, service
from app.approvals.pages import before
from app.approvals.service import Ask
from app.errors import Conflict, Invalid
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.service import Session

TABS = ("waiting", "others", "answered")
TODAY, ALL_OF_TODAY = 8, 200


@bp.get("/inbox")
def index() -> Response:
    """What waits, by session, with the chosen ask beside it."""
    actor = web.actor()
    tab = request.args.get("tab", "")
    tab = tab if tab in TABS else "waiting"
    waiting = service.waiting(actor)
    mine = _answerable(actor, waiting)
    others = [ask for ask in waiting if ask not in mine]
    listed = {"waiting": mine, "others": others}.get(tab, [])
    chosen, places = _chosen(actor, listed), _places(actor)
    place = places.get(chosen.project, "") if chosen else ""
    limit = {"waiting": TODAY, "others": 0}.get(tab, ALL_OF_TODAY)
    return web.page(
        "approvals/index.html",
        tab=tab,
        counts={"waiting": len(mine), "others": len(others)},
        groups=_groups(actor, listed, places),
        chosen=chosen,
        open=bool(chosen and request.args.get("ask")),
        place=place,
        directory=_directory(actor, chosen) if chosen else "",
        before=before.calls(actor, chosen) if chosen else [],
        answered=service.answered_today(actor, limit) if limit else [],
        next=url_for("approvals.index"),
    )


@bp.get("/inbox/<ask_id>")
def show(ask_id: str) -> Response:
    """One ask as a page of its own."""
    actor = web.actor()
    return _show(actor, service.get(actor, ask_id))


@bp.post("/inbox/<ask_id>")
def answer(ask_id: str) -> Response:
    """Answer once, always or with a rejection; who comes second is told who was first."""
    actor = web.actor()
    asked = service.get(actor, ask_id)
    try:
        _answer(actor, asked)
    except Conflict as conflict:
        return _conflict(actor, ask_id, conflict)
    if web.is_htmx():
        return web.page("approvals/_ask.html", ask=service.get(actor, ask_id))
    here = url_for("sessions.show", session_id=asked.session_id)
    return web.back(web.own_path(web.form("next"), here))


def _answer(actor: Actor, asked: Ask) -> None:
    reply = web.form("reply")
    if asked.kind != "question":
        service.answer(actor, asked.id, reply, web.form("word")[:4000], web.form("scope") or "session")
    elif reply == "reject":
        service.reject_question(actor, asked.id)
    else:
        answers = [_choice(n, bool(one.get("multiple"))) for n, one in enumerate(asked.questions)]
        service.answer_question(actor, asked.id, answers)


def _choice(number: int, multiple: bool) -> list[str]:
    """What was picked for one question; an empty choice stands for one's own words."""
    picked = request.form.getlist(f"choice.{number}")
    own = web.form(f"other.{number}")
    labels = [label for label in picked if label]
    if own and ("" in picked or not labels):
        labels.append(own)
    if not labels:
        raise Invalid("Choose an answer, or write your own.", f"choice.{number}")
    return labels if multiple else labels[:1]


def _conflict(actor: Actor, ask_id: str, conflict: Conflict) -> Response:
    """What came in between, on the card for HTMX, else on the ask's own page."""
    found = service.get(actor, ask_id)
    if web.is_htmx():
        return web.page("approvals/_ask.html", ask=found, late=conflict.message)
    return _show(actor, found, conflict.status, conflict.message)


def _show(actor: Actor, asked: Ask, status: int = 200, problem: str = "") -> Response:
    waiting = [ask.id for ask in _answerable(actor, service.waiting(actor))]
    at = waiting.index(asked.id) if asked.id in waiting else None
    urls = [url_for("approvals.show", ask_id=ask_id) for ask_id in waiting]
    following = urls[at + 1] if at is not None and at + 1 < len(urls) else ""
    return web.page(
        "approvals/show.html",
        status,
        ask=asked,
        place=_places(actor).get(asked.project, ""),
        directory=_directory(actor, asked),
        before=before.calls(actor, asked),
        problem=problem or None,
        previous=urls[at - 1] if at else "",
        place_of={"at": at + 1, "all": len(waiting)} if at is not None else None,
        following=following,
        next=following or url_for("approvals.index"),
    )


def _answerable(actor: Actor, found: list[Ask]) -> list[Ask]:
    return [ask for ask in found if accounts.may(actor, "approvals:answer", ask)]


def _chosen(actor: Actor, listed: list[Ask]) -> Ask | None:
    """The ask that the URL names, also one answered meanwhile; else the first that waits."""
    named = request.args.get("ask", "")
    found = next((ask for ask in listed if ask.id == named), None)
    if found is None and named:
        return service.get(actor, named)
    return found or (listed[0] if listed else None)


def _groups(actor: Actor, asks: list[Ask], places: dict[str, str]) -> list[tuple[str, str, list[Ask]]]:
    """The asks by session: its title, where it works and how it came, its asks."""
    found: dict[str, list[Ask]] = {}
    for ask in asks:
        found.setdefault(ask.session_id, []).append(ask)
    about = sessions.get_many(actor, list(found))
    return [
        (asked[0].session_title or "Untitled", _note(places.get(asked[0].project), about.get(key)), asked)
        for key, asked in found.items()
    ]


def _directory(actor: Actor, ask: Ask) -> str:
    session = sessions.get_many(actor, [ask.session_id]).get(ask.session_id)
    return session.directory if session else ""


def _note(place: str | None, session: Session | None) -> str:
    via = f"via {session.via}" if session and session.via else ""
    return ", ".join(word for word in (place, via) if word)


def _places(actor: Actor) -> dict[str, str]:
    """The names of the projects that the actor may see, by their id."""
    if not accounts.may(actor, "projects:read"):
        return {}
    return {project.id: project.name for project in projects.list_all(actor)}
