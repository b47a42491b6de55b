"""What Roo's clients do with a task, in terms of sessions and approvals."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app import config
from app.actor import Actor
from app.agent import chosen, profiles
from app.agent.roo.bodies import Answer, NewTask, Words
from app.agent.roo.records import DENIED
from app.approvals import service as approvals
from app.approvals.service import Ask
from app.errors import Conflict, Denied, Invalid, NotFound, Problem
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session

NOTHING_TO_ANSWER = "Task is not in a state that needs approval"
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


def create(actor: Actor, place: Place, body: NewTask) -> Session:
    """Begin a task's session; nothing is said in it yet, and nothing else has changed.

    Raises NotFound for a mode or a profile, Denied if approving by itself is over what the server's admin allows.
    """
    _parts(body, place.directory)
    if body.mode is not None:
        chosen.check_mode(place, body.mode)
    mode = body.mode or chosen.mode(actor, place)
    profile = profiles.find(actor, place, body.profile) if body.profile else profiles.current(actor, place, mode)
    preset = "auto" if body.auto_approve else ""
    if preset and preset not in sessions.allowed_presets():
        ceiling = config.current().preset_ceiling
        raise Denied(f"auto_approve is not allowed here: this server's limit is '{ceiling}'")
    provider, model = ("", "") if profile.is_built_in else (profile.provider, profile.model)
    return sessions.create(actor, place, mode=mode, preset=preset, provider=provider, model=model)


def begin(actor: Actor, place: Place, session: Session, body: NewTask) -> None:
    """Say the first words: from now on it is the current task, in the current mode and profile that it names.

    What cannot be said leaves no task behind.
    """
    try:
        say(actor, session, body)
    except Problem:
        sessions.delete(actor, session.id)
        raise
    wanted: dict[str, Any] = {} if body.mode is None else {"mode": body.mode}
    if body.profile:
        wanted["profile"] = profiles.find(actor, place, body.profile).id
    chosen.choose(actor, place, task=session.id, **wanted)


def current(actor: Actor, place: Place) -> Session:
    """The current task of a workspace. Raises NotFound."""
    found = chosen.task(actor, place)
    if found is None:
        raise NotFound("active task")
    return found


def make_current(actor: Actor, session: Session) -> None:
    """Whoever speaks to a task goes on with it."""
    chosen.choose(actor, projects.resolve(actor, session.directory), task=session.id)


def say(actor: Actor, session: Session, body: Words) -> None:
    """Say something in a task: it answers a question, turns down what waits for approval, or is the next prompt."""
    parts = _parts(body, session.directory)
    pending = next(iter(approvals.waiting(actor, session.id)), None)
    if pending is not None and body.message.strip():
        if _answer_by_words(actor, pending, body.message) and body.images:
            parts = [part for part in parts if part["type"] == "file"]
        elif not body.images:
            return
    sessions.send(actor, session.id, parts, mode=session.mode)


def respond(actor: Actor, session: Session, body: Answer) -> None:
    """Approve or reject what a task asks, once for all. Raises Invalid if nothing waits, or somebody was faster."""
    waiting = [ask for ask in approvals.waiting(actor, session.id) if ask.kind == "approval"]
    wanted = [ask for ask in waiting if body.ask in (None, ask.id)]
    if not wanted:
        raise Invalid(NOTHING_TO_ANSWER, "response")
    try:
        if body.response == "approve":
            approvals.answer(actor, wanted[0].id, "once")
        else:
            approvals.answer(actor, wanted[0].id, "reject", DENIED)
    except Conflict:
        raise Invalid(NOTHING_TO_ANSWER, "response") from None


def listed(actor: Actor, place: Place, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Tasks of the workspace, the newest created first, and how many there are in all."""
    found, total = sessions.by_creation(actor, project=place.project.id, offset=offset, limit=limit)
    said = sessions.first_prompts(actor, [session.id for session in found])
    return [_row(session, said.get(session.id, session.title)) for session in found], total


def _row(session: Session, message: str) -> dict[str, Any]:
    tokens = session.tokens
    cache = tokens.get("cache") or {}
    return {
        "id": session.id,
        "message": message,
        "timestamp": session.created,
        "updated": session.updated,
        "tokensIn": tokens.get("input", 0),
        "tokensOut": tokens.get("output", 0),
        "cacheWrites": cache.get("write", 0),
        "cacheReads": cache.get("read", 0),
        "cost": session.cost,
        "mode": session.mode,
    }


def _answer_by_words(actor: Actor, pending: Ask, words: str) -> bool:
    """Take a message as the answer to what waits; whether it was one."""
    try:
        if pending.kind == "question":
            approvals.answer_question(actor, pending.id, [[words], *([] for _ in pending.questions[1:])])
        else:
            approvals.answer(actor, pending.id, "reject", words)
    except Conflict:
        return False
    return True


def _parts(body: Words, directory: str | Path) -> list[dict[str, Any]]:
    if body.is_empty:
        raise Invalid("Invalid message format", "message")
    said: list[dict[str, Any]] = [{"type": "text", "text": body.message}] if body.message.strip() else []
    return [*said, *(_picture(image, Path(directory)) for image in body.images or [])]


def _picture(image: str, directory: Path) -> dict[str, Any]:
    """A picture as a part of a prompt: a data URL, an https address, or a path in the workspace."""
    scheme = image.partition(":")[0].lower()
    if scheme == "data":
        mime = image[5:].partition(";")[0].partition(",")[0]
        return {"type": "file", "mime": mime or "image/png", "url": image}
    if scheme in ("http", "https"):
        return {"type": "file", "mime": _mime(urlsplit(image).path), "url": image}
    path = Path(image)
    if path.suffix.lower() not in _PICTURES:
        raise Invalid("Invalid images format", "images")
    return {"type": "file", "mime": _mime(image), "filename": path.name, "url": (directory / path).as_uri()}


def _mime(path: str) -> str:
    guessed = mimetypes.guess_type(path)[0] or ""
    return guessed if guessed.startswith("image/") else "image/png"
