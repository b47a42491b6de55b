"""Asks on pages of other rooms: in a session's transcript, in lists of sessions, on Home, and live."""

from __future__ import annotations

from typing import Any

from flask import render_template
from markupsafe import escape

from app import live, slots
from app.accounts import service as accounts
from app.actor import Actor
from app.approvals import events, service
from app.approvals.service import Ask
from app.projects import service as projects
from app.sessions import service as sessions
from app.sessions.events import SessionHidden, SessionShown
from app.sessions.service import Session

ON_HOME = 4
WORDS = {
    "read-only": "nothing, only reads",
    "ask": "before writes",
    "accept-edits": "before commands",
    "auto": "never",
}


@slots.fill("composer")
def fill_composer(_actor: Actor, _directory: str) -> dict[str, Any]:
    """The presets, by what an agent asks before."""
    offered = [{"id": name, "name": WORDS[name]} for name in sessions.allowed_presets()]
    return {"presets": offered, "preset": sessions.lowered_preset("ask")}


@slots.fill("sessions.rows")
def fill_rows(actor: Actor, session_ids: list[str]) -> dict[str, Any]:
    """What each of the sessions asks this person first."""
    found = service.waiting_in(actor, session_ids) if accounts.may(actor, "approvals:read") else []
    first: dict[str, Ask] = {}
    for ask in found:
        if accounts.may(actor, "approvals:answer", ask):
            first.setdefault(ask.session_id, ask)
    return {"asks": first}


@slots.fill("session")
def fill_session(actor: Actor, session: Session) -> dict[str, Any]:
    """The asks of a session by call, those of its subagents, and the first that waits."""
    found = service.of_session(actor, session.id) if accounts.may(actor, "approvals:read") else []
    waits = [ask for ask in found if ask.state == "waiting"]
    now = sessions.lowered_preset(session.preset)
    return {
        "preset_now": now,
        "preset_lowered": WORDS[now] if now != session.preset else "",
        "asks": _by_call(found, session),
        "loose": [ask for ask in waits if ask.session_id != session.id],
        "waits": waits[0] if waits else None,
    }


@slots.fill("session.asks")
def fill_asks(actor: Actor, session: Session) -> dict[str, Any]:
    """The asks of a session by call."""
    found = service.of_session(actor, session.id) if accounts.may(actor, "approvals:read") else []
    return {"asks": _by_call(found, session)}


@slots.fill("session.reject")
def reject(actor: Actor, session_id: str, word: str) -> dict[str, Any]:
    """Reject the first call that waits in a session, its own before those of its subagents, with a word."""
    waiting = [ask for ask in service.waiting(actor, session_id) if ask.kind != "question"]
    waiting.sort(key=lambda ask: ask.session_id != session_id)
    if waiting:
        service.answer(actor, waiting[0].id, "reject", word[:4000])
    return {"rejected": bool(waiting)}


@slots.fill("home")
def fill_home(actor: Actor) -> dict[str, Any]:
    """The asks that have waited longest, and how many more there are."""
    mine = service.waiting_ids(actor)[0] if accounts.may(actor, "approvals:read") else []
    more = f"{len(mine) - ON_HOME} more" if len(mine) > ON_HOME else ""
    return {"asks": service.get_many(actor, mine[:ON_HOME]) if mine else [], "more": more, "waiting": len(mine)}


@slots.fill("session.stream")
def draw_in_session(actor: Actor, session: Session, fact: Any) -> dict[str, Any]:
    """An ask in its place in the transcript; one of a subagent stands at the transcript's end."""
    if not isinstance(fact.event, (events.Asked, events.Answered, events.Withdrawn)):
        return {}
    ask = service.get(actor, fact.event.ask["id"])
    if ask.session_id != session.id:
        card = render_template("approvals/_ask.html", ask=ask, session=session)
        return {"approvals": [live.partial("#loose", "upsert", card)]}
    message = sessions.message(actor, session.id, ask.message_id)
    part = message.part(ask.part_id)
    if part is None:
        return {}
    context = {"part": part, "message": message, "session": session, **fill_asks(actor, session)}
    drawn = render_template("sessions/_part.html", person="", **context)
    return {"approvals": [live.partial(f"#events-{message.id}", "upsert", drawn)]}


@slots.draws(events.Asked)
def draw_asked(actor: Actor, fact: Any) -> list[str]:
    """The count, a word to those who listen, and the row on Home."""
    return _asked(actor, service.get(actor, fact.event.ask["id"]))


def _asked(actor: Actor, ask: Ask) -> list[str]:
    if not accounts.may(actor, "approvals:answer", ask):
        return []
    said = f"{'Question' if ask.kind == 'question' else 'Approval asked'}: {ask.title[:120]}"
    partials = [_count(actor), live.partial("#say", "innerHTML", str(escape(said)))]
    if ask.state == "waiting":
        place = projects.get(actor, ask.project).name if accounts.may(actor, "projects:read") else ""
        row = render_template("approvals/_row.html", ask=ask, place=place)
        more = render_template("approvals/_more.html", fresh=True)
        partials += [
            live.partial("#needs-you", "upsert", row),
            live.partial("#inbox-more", "outerHTML", more),
        ]
    return [*partials, *_session_row(actor, ask)]


@slots.draws(events.Answered, events.Withdrawn)
def draw_answered(actor: Actor, fact: Any) -> list[str]:
    """The count, and the row goes."""
    ask = Ask(**fact.event.ask)
    if not accounts.may(actor, "approvals:answer", ask):
        return []
    return [_count(actor), live.partial(f"#ask-row-{ask.id}", "delete"), *_session_row(actor, ask)]


@slots.draws(SessionHidden)
def draw_hidden(actor: Actor, fact: Any) -> list[str]:
    """What a session asks goes from the pages of those who see it no more."""
    if not accounts.may(actor, "approvals:read"):
        return []
    gone = service.waiting_ids_of(actor, fact.event.session_id)
    return [_count(actor), *(live.partial(f"#ask-row-{ask_id}", "delete") for ask_id in gone)]


@slots.draws(SessionShown)
def draw_shown(actor: Actor, fact: Any) -> list[str]:
    """What a session asks comes to the pages of those who see it from now on."""
    found = service.waiting_in(actor, [fact.event.session_id])
    return [partial for ask in found for partial in _asked(actor, ask)]


def _session_row(actor: Actor, ask: Ask) -> list[str]:
    """The session in lists: other asks change its state, which draws it; one for a host leaves it running."""
    if ask.tool != "network":
        return []
    partials: list[str] = slots.gather("session.row", actor, ask.session_id)["partials"]
    return partials


def _count(actor: Actor) -> str:
    number = service.count_waiting(actor)
    return live.partial(".inbox-count", "innerHTML", str(number) if number else "")


class _ByCall(dict[str, Ask]):
    """The asks of a session by call; those of running commands about hosts are in `hosts`, several for a call."""

    def __init__(self, own: list[Ask]) -> None:
        super().__init__({ask.call_id: ask for ask in own if ask.tool != "network"})
        self.hosts: dict[str, list[Ask]] = {}
        for ask in own:
            if ask.tool == "network":
                self.hosts.setdefault(ask.call_id, []).append(ask)


def _by_call(found: list[Ask], session: Session) -> _ByCall:
    return _ByCall([ask for ask in found if ask.session_id == session.id])
