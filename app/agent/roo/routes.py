"""The routes of tasks and messages. A word like `status` in place of an id means the current task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response

from app import ids, streams, web
from app.actor import Actor
from app.agent import bp, tasks
from app.agent.roo import following, listing, records, standing
from app.agent.roo.bodies import Answer, Listing, NewTask, Said, Waits
from app.agent.roo.places import place
from app.agent.tasks import Wanted
from app.approvals import service as approvals
from app.approvals.events import Asked
from app.dialects import roo
from app.events import service as events
from app.events.service import Fact
from app.sessions import service as sessions
from app.sessions.events import SessionDeleted, SessionHidden, SessionIdle
from app.sessions.service import Session

door = roo.door(bp)


@door.post("/api/tasks", body=NewTask)
def create(actor: Actor, body: NewTask) -> dict[str, Any] | Response:
    """Begin a task; with a wait, answer once it ends or needs somebody."""
    here = place(actor)
    wanted = Wanted(body.message, body.images or (), body.mode, body.profile, body.auto_approve)
    session = tasks.create(actor, here, wanted)
    return _done(actor, session, body, lambda: tasks.begin(actor, here, session, wanted), begun=True)


@door.get("/api/tasks", query=Listing)
def index(actor: Actor, query: Listing) -> Response:
    """Tasks of the workspace, newest first; how many there are stands in X-Total-Count."""
    rows, total = listing.listed(actor, place(actor), query.offset, query.limit)
    headers = {"X-Total-Count": str(total)}
    if query.offset + len(rows) < total:
        headers["Link"] = f'</api/tasks?limit={query.limit}&offset={query.offset + len(rows)}>; rel="next"'
    return web.json(rows, headers=headers)


@door.get("/api/tasks/status")
def current_status(actor: Actor) -> dict[str, Any]:
    """How the current task stands."""
    return _status(actor, None)


@door.get("/api/tasks/<task_id>/status")
def status(actor: Actor, task_id: str) -> dict[str, Any]:
    """How a task stands."""
    return _status(actor, task_id)


@door.get("/api/tasks/logs")
def current_logs(actor: Actor) -> dict[str, Any]:
    """All records of the current task, and its conversation with the model."""
    return _logs(actor, None)


@door.get("/api/tasks/<task_id>/logs")
def logs(actor: Actor, task_id: str) -> dict[str, Any]:
    """All records of a task, and its conversation with the model."""
    return _logs(actor, task_id)


@door.get("/api/tasks/events")
def follow_current(actor: Actor) -> Response:
    """The stream of the task that is the current one now: Server-Sent Events in Roo's names."""
    return following.stream(actor, _find(actor, None).id, legacy=roo.is_legacy())


@door.get("/api/tasks/<task_id>/events")
def follow(actor: Actor, task_id: str) -> Response:
    """The stream of a task: Server-Sent Events in Roo's names; replays behind Last-Event-ID."""
    return following.stream(actor, task_id, legacy=roo.is_legacy())


@door.post("/api/tasks/respond", body=Answer)
def current_respond(actor: Actor, body: Answer) -> dict[str, Any] | Response:
    """Approve or reject what the current task asks."""
    return _respond(actor, body, None)


@door.post("/api/tasks/<task_id>/respond", body=Answer)
def respond(actor: Actor, body: Answer, task_id: str) -> dict[str, Any] | Response:
    """Approve or reject what a task asks."""
    return _respond(actor, body, task_id)


@door.post("/api/messages", body=Said)
def current_message(actor: Actor, body: Said) -> dict[str, Any] | Response:
    """Say something in the current task."""
    return _say(actor, body, None)


@door.post("/api/messages/<task_id>", body=Said)
def message(actor: Actor, body: Said, task_id: str) -> dict[str, Any] | Response:
    """Say something in a task."""
    return _say(actor, body, task_id)


def _status(actor: Actor, task_id: str | None) -> dict[str, Any]:
    session = _find(actor, task_id)
    return standing.of(actor, session).shown(legacy=roo.is_legacy())


def _logs(actor: Actor, task_id: str | None) -> dict[str, Any]:
    session = _find(actor, task_id)
    said = sessions.transcript(actor, session.id)
    stands = standing.of(actor, session, said)
    legacy = roo.is_legacy()
    return {
        "id": session.id,
        "messages": [record.shown(legacy=legacy) for record in stands.records],
        "apiConversation": records.conversation(said),
    }


def _respond(actor: Actor, body: Answer, task_id: str | None) -> dict[str, Any] | Response:
    session, approves = _addressed(actor, task_id), body.response == "approve"
    return _done(actor, session, body, lambda: tasks.respond(actor, session, approves=approves, ask_id=body.ask))


def _say(actor: Actor, body: Said, task_id: str | None) -> dict[str, Any] | Response:
    session = _addressed(actor, task_id)
    return _done(actor, session, body, lambda: tasks.say(actor, session, body.message, body.images or ()))


def _done(
    actor: Actor, session: Session, body: Waits, act: Callable[[], None], *, begun: bool = False
) -> dict[str, Any] | Response:
    """Do it and say so; or answer with what is new once the task ends or needs somebody, or time is up."""
    if not body.waits:
        act()
        return {"success": True, **({"id": session.id, "task_id": session.id} if begun else {})}
    since = ids.now()
    source = events.subscribe(actor, keep=_stops(session.id))
    try:
        act()
        is_asking = bool(approvals.waiting(actor, session.id))
    except BaseException:
        source.close()
        raise
    legacy = roo.is_legacy()
    answer = lambda: _waited(actor, session.id, since, legacy=legacy)  # noqa: E731
    if is_asking:
        source.close()
        return answer()
    return streams.Awaited(source, lambda _fact: True, answer, body.patience)


def _stops(task_id: str) -> Callable[[Fact], bool]:
    """Which facts end a wait: the task's end, or somebody is needed, for a subagent of it too."""

    def keep(fact: Fact) -> bool:
        event = fact.event
        if isinstance(event, Asked):
            return event.session_id == task_id or f"/{task_id}/" in event.ask["above"]
        return isinstance(event, SessionIdle | SessionDeleted | SessionHidden) and event.session_id == task_id

    return keep


def _waited(actor: Actor, task_id: str, since: int, *, legacy: bool) -> dict[str, Any]:
    stands = standing.of(actor, sessions.get(actor, task_id), since=since)
    fresh = [record.shown(legacy=legacy) for record in stands.records if record.ts >= since]
    shape = {"success": True, **stands.shown(legacy=legacy), "task_id": task_id, "messages": fresh}
    is_over = stands.status in standing.STOPS or not stands.session.is_busy
    return shape if is_over else {**shape, "timeout": True}


def _find(actor: Actor, task_id: str | None) -> Session:
    return tasks.current(actor, place(actor)) if task_id is None else sessions.get(actor, task_id)


def _addressed(actor: Actor, task_id: str | None) -> Session:
    """The task that is spoken to: from now on it is the current one of its workspace."""
    session = _find(actor, task_id)
    tasks.make_current(actor, session)
    return session
