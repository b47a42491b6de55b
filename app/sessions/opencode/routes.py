"""The routes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Response
from orjson import Fragment

from app import streams
from app.actor import Actor
from app.dialects import opencode
from app.errors import Invalid
from app.projects import service as projects
from app.sessions import bp, service
from app.sessions.opencode import shapes
from app.sessions.opencode.bodies import (
    CreateSession,
    Fork,
    ListMessages,
    ListSessions,
    Prompt,
    Summarize,
    UpdatePart,
    UpdateSession,
)
from app.sessions.service import Message, Session

door = opencode.door(bp)
PROMPT_WAIT = 24 * 3600.0


@door.get("/session", query=ListSessions)
def index(actor: Actor, query: ListSessions) -> Fragment:
    """Sessions of the directory, or of the one that `path` names below it, newest updated first."""
    named = opencode.directory()
    place = projects.resolve(actor, named)
    return service.spell_page(
        actor,
        shapes.SESSIONS,
        project=place.project.id,
        directory=str(place.directory / (query.path or "")) if named or query.path else "",
        words=query.search or "",
        since=query.start or 0,
        limit=query.limit,
        parent_id=None if query.roots else "",
    )


@door.get("/session/status")
def status(actor: Actor) -> dict[str, Any]:
    """What is not idle, and what waits to ask its model again."""
    busy = service.busy_ids(actor)
    retries = service.retries(actor, list(busy))
    return {session_id: shapes.status(retries.get(session_id)) for session_id in busy}


@door.post("/session", body=CreateSession)
def create(actor: Actor, body: CreateSession) -> dict[str, Any]:
    """Begin a session in the request's directory."""
    place = projects.resolve(actor, opencode.directory())
    with opencode.modes_are_agents():
        session = service.create(
            actor,
            place,
            title=body.title or "",
            parent_id=body.parentID,
            mode=body.agent or "",
            visibility=body.visibility or "",
            worktree=(body.title or "") if body.worktree else None,
            provider=body.model.providerID if body.model else "",
            model=body.model.id if body.model else "",
            own_rules=[shapes.rule(one) for one in body.permission],
        )
    return _whole(session)


@door.get("/session/<session_id>")
def get(actor: Actor, session_id: str) -> dict[str, Any]:
    """One session."""
    return _whole(service.get(actor, _id(session_id)))


@door.patch("/session/<session_id>", body=UpdateSession)
def update(actor: Actor, body: UpdateSession, session_id: str) -> dict[str, Any]:
    """Change the title or who sees it, archive, or add rules."""
    archived = body.time.archived if body.time else None
    own_rules = [shapes.rule(one) for one in body.permission]
    changes = {"title": body.title, "archived": archived, "visibility": body.visibility}
    return _whole(service.update(actor, _id(session_id), own_rules=own_rules, **changes))


@door.delete("/session/<session_id>")
def delete(actor: Actor, session_id: str) -> bool:
    """Delete a session and all its data."""
    service.delete(actor, _id(session_id))
    return True


@door.post("/session/<session_id>/fork", body=Fork)
def fork(actor: Actor, body: Fork, session_id: str) -> dict[str, Any]:
    """Begin a session with what this one said so far, or before a message."""
    source = service.get(actor, _id(session_id))
    place = projects.resolve(actor, source.directory)
    return _whole(service.fork(actor, place, session_id, body.messageID))


@door.post("/session/<session_id>/share")
def share(actor: Actor, session_id: str) -> dict[str, Any]:
    """Give the session a public address, or tell the one that it has."""
    return _whole(service.share(actor, _id(session_id)))


@door.delete("/session/<session_id>/share")
def unshare(actor: Actor, session_id: str) -> dict[str, Any]:
    """End its public address."""
    return _whole(service.unshare(actor, _id(session_id)))


@door.get("/session/<session_id>/children")
def children(actor: Actor, session_id: str) -> list[dict[str, Any]]:
    """Sessions started from this one."""
    return [shapes.session(child) for child in service.children(actor, _id(session_id))]


@door.get("/session/<session_id>/todo")
def todo(actor: Actor, session_id: str) -> list[dict[str, Any]]:
    """The agent's todo list."""
    return service.get(actor, _id(session_id)).todos


@door.post("/session/<session_id>/abort")
def abort(actor: Actor, session_id: str) -> bool:
    """Stop what runs; whether anything did."""
    return service.abort(actor, _id(session_id))


@door.get("/session/<session_id>/message", query=ListMessages)
def messages(actor: Actor, query: ListMessages, session_id: str) -> Fragment:
    """The transcript in order; with a limit its newest messages."""
    return service.spell_transcript(
        actor, _id(session_id), shapes.MESSAGES, before=query.before or "", limit=query.limit
    )


@door.get("/session/<session_id>/message/<message_id>")
def message(actor: Actor, session_id: str, message_id: str) -> dict[str, Any]:
    """One message with its parts."""
    return shapes.with_parts(service.message(actor, _id(session_id), opencode.checked("msg", message_id)))


@door.delete("/session/<session_id>/message/<message_id>")
def delete_message(actor: Actor, session_id: str, message_id: str) -> bool:
    """Take a message out of the transcript."""
    service.remove_message(actor, _id(session_id), opencode.checked("msg", message_id))
    return True


@door.delete("/session/<session_id>/message/<message_id>/part/<part_id>")
def delete_part(actor: Actor, session_id: str, message_id: str, part_id: str) -> bool:
    """Take a part out of a message."""
    service.remove_part(actor, _id(session_id), opencode.checked("msg", message_id), opencode.checked("prt", part_id))
    return True


@door.patch("/session/<session_id>/message/<message_id>/part/<part_id>", body=UpdatePart)
def update_part(actor: Actor, body: UpdatePart, session_id: str, message_id: str, part_id: str) -> dict[str, Any]:
    """Set a part right."""
    ids = {"sessionID": _id(session_id), "messageID": opencode.checked("msg", message_id)}
    ids["id"] = opencode.checked("prt", part_id)
    given = body.root.model_dump(exclude_none=True)
    for name, value in ids.items():
        if given.pop(name, value) != value:
            raise Invalid(f"The part's {name} is that of its address.", name)
    kind = given.pop("type")
    return shapes.part(service.change_part(actor, session_id, message_id, part_id, kind, given))


@door.post("/session/<session_id>/message", body=Prompt)
def prompt(actor: Actor, body: Prompt, session_id: str) -> dict[str, Any] | Response:
    """Send a prompt and wait for the turn's last answer; while busy it waits its turn."""
    session_id = _id(session_id)
    send = functools.partial(_send, actor, session_id, body)
    if body.noReply:
        return shapes.with_parts(send()[0])
    return _awaited(actor, session_id, send, lambda sent: shapes.with_parts(_answer(actor, session_id, sent)))


@door.post("/session/<session_id>/prompt_async", body=Prompt)
def prompt_async(actor: Actor, body: Prompt, session_id: str) -> Response:
    """Send a prompt and don't wait."""
    _send(actor, _id(session_id), body)
    return Response(status=204)


@door.post("/session/<session_id>/summarize", body=Summarize)
def summarize(actor: Actor, body: Summarize, session_id: str) -> Response:
    """Sum the session up and wait for it; whether the model goes on from the summary."""
    session_id = _id(session_id)
    ask = functools.partial(service.summarize, actor, session_id, body.providerID, body.modelID, auto=body.auto)
    return _awaited(actor, session_id, ask, lambda asked: service.is_summed_up(actor, session_id, asked.id))


def _awaited(
    actor: Actor, session_id: str, ask: Callable[[], tuple[Message, str | None]], answer: Callable[[Message], Any]
) -> Response:
    """What `answer` says of what was asked, once the run that it began has ended."""
    return streams.after(
        service.follow_ends(actor, session_id),
        ask,
        lambda asked, fact: service.is_end_of(asked[1], fact),
        lambda asked: opencode.accent.answer(answer(asked[0])),
        PROMPT_WAIT,
    )


def _send(actor: Actor, session_id: str, body: Prompt) -> tuple[Message, str | None]:
    model = body.model
    with opencode.modes_are_agents():
        return service.send(
            actor,
            session_id,
            [part.model_dump(exclude_none=True) for part in body.parts],
            mode=body.agent or "",
            provider=model.providerID if model else "",
            model=model.modelID if model else "",
            message_id=body.messageID,
            system=body.system,
            tools=body.tools,
            no_reply=body.noReply,
            acp_session=body.acpConnection.sessionId if body.acpConnection else None,
        )


def _answer(actor: Actor, session_id: str, sent: Message) -> Message:
    """The last assistant message that answers the prompt; the prompt itself if it was stopped before one."""
    answers = [m for m in service.transcript(actor, session_id) if m.data.get("parentID") == sent.id]
    return answers[-1] if answers else service.message(actor, session_id, sent.id)


def _whole(session: Session) -> dict[str, Any]:
    """A session with the rules of its own, which lists and events leave out."""
    own = [shapes.permission(rule) for rule in service.rules_of(session)]
    return {**shapes.session(session), **({"permission": own} if own else {})}


def _id(session_id: str) -> str:
    return opencode.checked("ses", session_id)
