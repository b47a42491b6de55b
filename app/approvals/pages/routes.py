"""The inbox, one ask, and the answer."""

from __future__ import annotations

from typing import Any

from flask import Response, request, url_for

from app import web
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import bp, service
from app.approvals.pages import before, groups, told
from app.approvals.service import Ask
from app.errors import Conflict, Invalid
from app.projects import service as projects
from app.sessions import service as sessions

TABS = ("waiting", "others", "answered")
TODAY, ALL_OF_TODAY = 8, 200
PAGE = 40


@bp.get("/inbox")
def index() -> Response:
    """What waits, under headings, with the chosen ask beside it."""
    actor = web.actor()
    tab, by = _word("tab", TABS), _word("by", tuple(groups.BY))
    mine, others = service.waiting_ids(actor)
    every = {"waiting": mine, "others": others}.get(tab, [])
    shown = _page(every)
    listed = service.get_many(actor, shown)
    chosen, places = _chosen(actor, listed), _places(actor)
    found = groups.of(actor, listed, by, places)
    limit = {"waiting": TODAY, "others": 0}.get(tab, ALL_OF_TODAY)
    here: dict[str, Any] = {"tab": tab if tab != "waiting" else None, "by": by if by != "session" else None}
    return web.page(
        "approvals/index.html",
        tab=tab,
        by=by,
        kinds=groups.BY,
        here=here,
        counts={"waiting": len(mine), "others": len(others)},
        groups=found,
        ticked={ask_id for group in found for ask_id in group.ticked(request.args.get("select", ""))},
        told=told.sentence(actor, request.args.get("told", "")),
        more=_more(every, shown),
        chosen=chosen,
        open=bool(chosen and request.args.get("ask")),
        answered=service.answered_today(actor, limit) if limit else [],
        next=url_for("approvals.index", **here, ask=_following(every, chosen) or None),
        **(_about(actor, chosen, places) if chosen else {}),
    )


@bp.post("/inbox/answers")
def answer_reads() -> Response:
    """Answer the ticked reads together; the inbox then tells what came of each."""
    actor = web.actor()
    wanted = request.form.getlist("ask")
    service.answer_reads(actor, wanted, web.form("reply"), web.form("word")[:4000])
    here: dict[str, Any] = {name: web.form(name) or None for name in ("tab", "by")}
    return web.back(url_for("approvals.index", **here, told=".".join(dict.fromkeys(wanted))))


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
        rules = _ticked_rules(asked) if reply == "always" else None
        service.answer(actor, asked.id, reply, web.form("word")[:4000], web.form("scope") or "session", rules)
    elif reply == "reject":
        service.reject_question(actor, asked.id)
    else:
        answers = [_choice(n, bool(one.get("multiple"))) for n, one in enumerate(asked.questions)]
        service.answer_question(actor, asked.id, answers)


def _ticked_rules(asked: Ask) -> list[dict[str, str]] | None:
    """Those of several rules that are ticked; None where there is nothing to tick."""
    if not web.form("rules"):
        return None
    ticked = [rule for number, rule in enumerate(asked.always) if str(number) in request.form.getlist("rule")]
    if not ticked:
        raise Invalid("Choose a rule to add, or answer once.", "rule")
    return ticked


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
    waiting, _others = service.waiting_ids(actor)
    at = waiting.index(asked.id) if asked.id in waiting else None
    urls = [url_for("approvals.show", ask_id=ask_id) for ask_id in waiting]
    following = urls[at + 1] if at is not None and at + 1 < len(urls) else ""
    return web.page(
        "approvals/show.html",
        status,
        ask=asked,
        problem=problem or None,
        previous=urls[at - 1] if at else "",
        place_of={"at": at + 1, "all": len(waiting)} if at is not None else None,
        following=following,
        next=following or url_for("approvals.index"),
        **_about(actor, asked, _places(actor)),
    )


def _about(actor: Actor, ask: Ask, places: dict[str, str]) -> dict[str, Any]:
    """What helps to decide: where it works, what came before, what its rules would have let through."""
    session = sessions.get_many(actor, [ask.session_id]).get(ask.session_id)
    earlier, says = before.calls(actor, ask)
    return {
        "place": places.get(ask.project, ""),
        "directory": session.directory if session else "",
        "before": earlier,
        "says": says,
        "through": service.replay(actor, ask) if ask.state == "waiting" and ask.always else None,
    }


def _word(name: str, known: tuple[str, ...]) -> str:
    """A word of the URL, if it is known; else the first one."""
    given = request.args.get(name, "")
    return given if given in known else known[0]


def _page(every: list[str]) -> list[str]:
    """The ids that the page shows: from the one that the URL names on, or those around the chosen one."""
    first, chosen = request.args.get("from", ""), request.args.get("ask", "")
    start = every.index(first) if first in every else every.index(chosen) // PAGE * PAGE if chosen in every else 0
    return every[start : start + PAGE]


def _more(every: list[str], shown: list[str]) -> dict[str, Any] | None:
    """How many more there are behind the page, and the first of them."""
    after = every.index(shown[-1]) + 1 if shown else 0
    return {"count": len(every) - after, "first": every[after]} if after < len(every) else None


def _following(every: list[str], chosen: Ask | None) -> str:
    """What waits behind the chosen ask, or in front of the last one; "" if nothing does."""
    if chosen is None or chosen.id not in every:
        return ""
    at = every.index(chosen.id)
    return next(iter(every[at + 1 : at + 2] or every[max(0, at - 1) : at]), "")


def _chosen(actor: Actor, listed: list[Ask]) -> Ask | None:
    """The ask that the URL names, also one answered meanwhile; else the first that waits."""
    named = request.args.get("ask", "")
    found = next((ask for ask in listed if ask.id == named), None)
    if found is None and named:
        return service.get(actor, named)
    return found or (listed[0] if listed else None)


def _places(actor: Actor) -> dict[str, str]:
    """The names of the projects that the actor may see, by their id."""
    if not accounts.may(actor, "projects:read"):
        return {}
    return {project.id: project.name for project in projects.list_all(actor)}
