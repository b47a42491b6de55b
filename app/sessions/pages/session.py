"""What the pages of one session and their stream show beside the transcript."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app import slots
from app.actor import Actor
from app.projects import service as projects
from app.sessions import service
from app.sessions.pages import rows
from app.sessions.service import Message, Run, Session, Subagent

_PLAIN = re.compile(r"[\w-]+")
_MENTION = re.compile(r"(?<!\S)@([\w.-]*\w)")


@dataclass(frozen=True)
class Figures:
    """The facts at the right of a session; context and window in tokens, cap in dollars.

    `instructions` are (path, what is wrong with it or "") of the files that the agent is told to follow.
    """

    note: str
    project: str
    branch: str
    directory: str
    started_by: str
    below: float = 0.0
    context: int = 0
    window: int | None = None
    payer: str = ""
    cap: float | None = None
    sandbox: str = ""
    network: str = ""
    instructions: list[tuple[str, str]] = field(default_factory=list)
    changed: list[Any] = field(default_factory=list)


def context(actor: Actor, session: Session) -> dict[str, Any]:
    """The session with its run, figures, asks and whatever the rooms above know of it."""
    given: dict[str, Any] = {"asks": {}, "loose": [], "waits": None, "checkpoints": 0}
    given |= slots.gather("session", actor, session)
    runs = service.live_runs(actor, [session.id]).get(session.id, [])
    people, known = rows.names(actor), rows.project_names(actor)
    figures = Figures(
        note=rows.act_of(session, given["waits"]) if session.is_busy else "",
        project=known.get(session.project) or rows.place_of(session, {}),
        branch=rows.branch_of(session.directory),
        directory=session.directory,
        started_by=people.get(session.owner, "Somebody"),
        below=service.cost_below(actor, session.id),
        context=(session.tokens or {}).get("context", 0),
        window=given.pop("window", None),
        payer=given.pop("payer", ""),
        sandbox=given.pop("sandbox", ""),
        network=given.pop("network", ""),
        instructions=given.pop("instructions", []),
        changed=given.pop("changed", []),
    )
    return {
        **given,
        "session": session,
        "sharing_on": service.is_shared_here(session.directory) and projects.may_open_up(actor, session.project),
        "share_link": service.share_url(session),
        "share_ends": session.share_until,
        "run": runs[0] if runs else service.last_run(actor, session.id),
        "queued": _queued(actor, session, runs),
        "figures": figures,
        "person": figures.started_by,
    }


def subagents(actor: Actor, session: Session, messages: Iterable[Message]) -> dict[str, Subagent]:
    """The subagents that work for these messages now, by the ids of their sessions."""
    working = any(child_of(part.plain()) for message in messages for part in message.parts)
    return service.subagents(actor, session.id) if working else {}


def child_of(part: Mapping[str, Any]) -> str:
    """The session of the subagent that works on a call; "" for a part that has none."""
    state = part["data"].get("state") or {}
    if part["type"] != "tool" or state.get("status") != "running":
        return ""
    return str((state.get("metadata") or {}).get("sessionId") or "")


def watch(session: Session, tab: str = "") -> dict[str, str]:
    """What a page tells its stream: which session it shows on which tab, set back to which point, with which lines, and
    seen by whom.
    """
    seen = seen_of(session)
    return {"at": session.id, "tab": tab, "point": point_of(session), "lines": lines_of(session), "seen": seen}


def is_plain(name: str) -> bool:
    """Whether an id can stand in a selector; clients may bring ids of their own."""
    return _PLAIN.fullmatch(name) is not None


def point_of(session: Session) -> str:
    """The point that a session is set back to, "" for none."""
    revert = session.revert or {}
    return f"{revert['messageID']}.{revert.get('partID') or ''}" if revert.get("messageID") else ""


def composer(actor: Actor, directory: str) -> dict[str, Any]:
    """The modes, models and presets to choose from, the subagents to mention, and the model to begin with."""
    found = slots.gather("composer", actor, directory)
    return {"modes": [], "models": [], "presets": [], "subagents": [], **found}


def with_mode(session: Session, offered: dict[str, Any]) -> dict[str, Any]:
    """What is offered in a session: its own mode too, where that is a subagent's."""
    if session.mode in {one["id"] for one in offered["modes"]}:
        return offered
    return {**offered, "modes": [*offered["modes"], {"id": session.mode, "name": session.mode}]}


def prompt(text: str, offered: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of what somebody wrote: the words, and each subagent that they mention as @name."""
    named = (word for word in _MENTION.findall(text) if word in offered["subagents"])
    return [{"type": "text", "text": text}, *({"type": "agent", "name": name} for name in dict.fromkeys(named))]


def with_model(session: Session, offered: dict[str, Any]) -> Session:
    """The session with the model that its next prompt gets, where none was chosen yet."""
    provider, _slash, model = str(offered.get("model", "")).partition("/")
    return session if session.provider else replace(session, provider=provider, model=model)


def lines_of(session: Session) -> str:
    """How many lines and files of a session differ, as one word to compare."""
    return f"{session.additions}.{session.deletions}.{session.files}"


def seen_of(session: Session) -> str:
    """Who sees a session and how long by a link, as one word to compare; the link itself is not in it."""
    share = session.share or {}
    return f"{session.visibility}.{share.get('at', '')}.{session.share_until or ''}"


def _queued(actor: Actor, session: Session, runs: list[Run]) -> list[dict[str, str]]:
    """The prompts that wait behind the one that is worked on."""
    waiting = [run for run in runs[1:] if run.state == "queued"]
    return [{"id": run.id, "text": _text(service.message(actor, session.id, run.message_id))} for run in waiting]


def _text(message: Message) -> str:
    if any(part.type == "compaction" for part in message.parts):
        return "Sum up the conversation"
    said = (
        part.data.get("text", "") for part in message.parts if part.type == "text" and not part.data.get("synthetic")
    )
    return " ".join(said)
