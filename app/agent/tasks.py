"""A task as other clients than OpenCode's have it: begun at once with its first words, spoken to whatever it waits for,
and approved or rejected without saying what.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app import config
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import chosen, profiles
from app.approvals import service as approvals
from app.approvals.service import Ask
from app.errors import Conflict, Denied, Invalid, NotFound, Problem, TooLarge
from app.projects import service as projects
from app.projects.service import Place
from app.sessions import service as sessions
from app.sessions.service import Session

NOTHING_TO_ANSWER = "Task is not in a state that needs approval"
NO_PICTURES = "Invalid images format"
# What an agent is told of a call that somebody rejected without a word, so that it goes on.
DENIED = "The person denied this operation."
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


@dataclass(frozen=True)
class Wanted:
    """A task to begin: its words and pictures, the mode and the profile that it names (None: the current ones)."""

    message: str
    images: Sequence[str] = ()
    mode: str | None = None
    profile: str | None = None
    auto_approve: bool = False


def create(actor: Actor, place: Place, wanted: Wanted) -> Session:
    """Begin a task's session; nothing is said in it yet, and nothing else has changed.

    Raises NotFound for a mode or a profile, Denied for an agent, and if approving by itself is over what the server's
    admin allows, or the actor may not answer what is asked.
    """
    chosen.require_person(actor)  # a task that is begun is the current one
    _parts(actor, wanted.message, wanted.images, place.directory)
    if wanted.mode is not None:
        chosen.check_mode(place, wanted.mode)
    mode = wanted.mode or chosen.mode(actor, place)
    named = wanted.profile
    profile = profiles.find(actor, place, named) if named is not None else profiles.current(actor, place, mode)
    preset = "auto" if wanted.auto_approve else ""
    if preset and preset not in sessions.allowed_presets():
        ceiling = config.current().preset_ceiling
        raise Denied(f"auto_approve is not allowed here: this server's limit is '{ceiling}'")
    provider, model = ("", "") if profile.is_built_in else (profile.provider, profile.model)
    return sessions.create(actor, place, mode=mode, preset=preset, provider=provider, model=model)


def begin(actor: Actor, place: Place, session: Session, wanted: Wanted) -> None:
    """Say the first words: from now on it is the current task, in the current mode and profile that it names.

    What cannot be said leaves no task behind.
    """
    try:
        say(actor, session, wanted.message, wanted.images)
    except Problem:
        sessions.delete(actor, session.id)
        raise
    changes: dict[str, Any] = {} if wanted.mode is None else {"mode": wanted.mode}
    if wanted.profile is not None:
        changes["profile"] = profiles.find(actor, place, wanted.profile).id
    chosen.choose(actor, place, task=session.id, **changes)


def current(actor: Actor, place: Place) -> Session:
    """The current task of a workspace. Raises NotFound."""
    found = chosen.task(actor, place)
    if found is None:
        raise NotFound("active task")
    return found


def make_current(actor: Actor, session: Session) -> None:
    """Whoever speaks to a task goes on with it."""
    chosen.choose(actor, projects.resolve(actor, session.directory), task=session.id)


def say(actor: Actor, session: Session, message: str, images: Sequence[str] = ()) -> None:
    """Say something in a task: it answers a question, turns down what waits for approval, or is the next prompt."""
    accounts.require(actor, "sessions:run", session)
    parts = _parts(actor, message, images, session.directory)
    pending = next(iter(approvals.waiting(actor, session.id)), None)
    if pending is not None and message.strip() and _answer_by_words(actor, pending, message):
        parts = [part for part in parts if part.get("text") != message]
    if parts:
        sessions.send(actor, session.id, parts, mode=session.mode)


def respond(actor: Actor, session: Session, *, approves: bool, ask_id: str | None = None) -> None:
    """Approve or reject what a task asks, once for all: the oldest of it, or the one that is named.

    A task that was stopped asks whether to go on. Raises Invalid if nothing waits, or somebody was faster.
    """
    waiting = [ask for ask in approvals.waiting(actor, session.id) if ask.kind == "approval"]
    found = next((ask for ask in waiting if ask_id in (None, ask.id)), None)
    try:
        if found is not None:
            approvals.answer(actor, found.id, "once" if approves else "reject", "" if approves else DENIED)
        else:
            _settle_stopped(actor, session, approves=approves, ask_id=ask_id)
    except Conflict:
        raise Invalid(NOTHING_TO_ANSWER, "response") from None


def _settle_stopped(actor: Actor, session: Session, *, approves: bool, ask_id: str | None) -> None:
    stopped = sessions.stopped_run(actor, sessions.get(actor, session.id))
    if stopped is None or ask_id not in (None, stopped.id):
        raise Invalid(NOTHING_TO_ANSWER, "response")
    if approves:
        sessions.resume(actor, session.id)
    else:
        sessions.give_up(actor, session.id)


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


def _parts(actor: Actor, message: str, images: Sequence[str], directory: str | Path) -> list[dict[str, Any]]:
    """A prompt's parts; Invalid where nothing is said and nothing shown, or what is shown is no picture."""
    if not message.strip() and not images:
        raise Invalid("Invalid message format", "message")
    said: list[dict[str, Any]] = [{"type": "text", "text": message}] if message.strip() else []
    try:
        shown = sessions.attached(actor, str(directory), [_picture(image, Path(directory)) for image in images])
    except (Denied, Invalid, TooLarge):
        raise Invalid(NO_PICTURES, "images") from None
    if any(part["type"] == "file" and not part["mime"].startswith("image/") for part in shown):
        raise Invalid(NO_PICTURES, "images")
    return [*said, *shown]


def _picture(image: str, directory: Path) -> dict[str, Any]:
    """A picture as a part of a prompt: a data URL, an https address, or a path in the workspace."""
    scheme = image.partition(":")[0].lower()
    if scheme == "data":
        return {"type": "file", "mime": "", "url": image}
    if scheme == "https":
        return {"type": "file", "mime": _mime(_path(image)), "url": image}
    path = Path(image)
    if path.suffix.lower() not in _PICTURES:
        raise Invalid(NO_PICTURES, "images")
    return {"type": "file", "mime": _mime(image), "filename": path.name, "url": (directory / path).as_uri()}


def _path(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        raise Invalid(NO_PICTURES, "images") from None
    if not parts.hostname:
        raise Invalid(NO_PICTURES, "images")
    return parts.path


def _mime(path: str) -> str:
    guessed = mimetypes.guess_type(path)[0] or ""
    return guessed if guessed.startswith("image/") else "image/png"
