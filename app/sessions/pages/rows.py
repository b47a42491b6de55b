"""Rows of sessions, as lists and the page stream draw them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import render_template, request

from app import git, ids, live, slots
from app.accounts import service as accounts
from app.actor import Actor
from app.projects import service as projects
from app.sessions import events, service
from app.sessions.service import Session

FRESH = 3.0
DAY = 86_400_000
ON_HOME = 8
HEADS = ("Needs you", "Running", "Today", "Yesterday", "Earlier")
_branches: dict[str, tuple[float, str]] = {}


@dataclass(frozen=True)
class Row:
    """A session in a list: where it works, whose it is, what it did last, and what it asks."""

    session: Session
    place: str
    owner: str
    act: str
    ask: Any = None
    cap: float | None = None
    child: bool = False


def of(actor: Actor, found: Sequence[Session]) -> list[Row]:
    """Rows of these sessions, in their order."""
    asks = slots.gather("sessions.rows", actor, [session.id for session in found]).get("asks", {})
    people, known = names(actor), project_names(actor)
    return [
        Row(
            session,
            place_of(session, known),
            people.get(session.owner, "Somebody"),
            act_of(session, asks.get(session.id)),
            asks.get(session.id),
            child=session.parent_id is not None,
        )
        for session in found
    ]


def act_of(session: Session, ask: Any) -> str:
    """What a session did last, or the question that it waits with."""
    if session.state == "waiting" and ask is not None and ask.kind == "question":
        return str(ask.questions[0].get("question", ""))[:200]
    return session.last_act


def names(actor: Actor) -> dict[str, str]:
    """The names of the people that the actor may know, by their id."""
    if not accounts.may(actor, "users:read"):
        return {actor.user: actor.name}
    return {user.id: user.name for user in accounts.list_users(actor)}


def project_names(actor: Actor) -> dict[str, str]:
    """The names of the projects that the actor may see, by their id."""
    if not accounts.may(actor, "projects:read"):
        return {}
    return {project.id: project.name for project in projects.list_all(actor)}


def place_of(session: Session, known: dict[str, str]) -> str:
    """Where a session works: "billing@main", without a branch the project alone."""
    name = known.get(session.project) or Path(session.directory).name
    branch = branch_of(session.directory)
    return f"{name}@{branch}" if branch else name


def branch_of(directory: str) -> str:
    """The branch of a directory, at most three seconds old."""
    until, branch = _branches.get(directory, (0.0, ""))
    if time.monotonic() >= until:
        if len(_branches) > 500:
            _branches.clear()
        branch = git.branch(Path(directory)) if Path(directory).is_dir() else ""
        _branches[directory] = (time.monotonic() + FRESH, branch)
    return branch


def grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows under headings: who needs somebody, what runs, the rest by day (UTC)."""
    heads: dict[str, list[Row]] = {head: [] for head in HEADS}
    words = {"waiting": "Needs you", "running": "Running", "queued": "Running"}
    today = ids.now() // DAY
    days = {today: "Today", today - 1: "Yesterday"}
    for row in rows:
        head = words.get(row.session.state) or days.get(row.session.updated // DAY, "Earlier")
        heads[head].append(row)
    return [(head, found) for head, found in heads.items() if found]


@slots.draws(events.SessionCreated, events.SessionUpdated)
def draw_row(actor: Actor, fact: Any) -> list[str]:
    """The session's row in the table and at the left of a session, and how many run."""
    row = of(actor, [Session(**fact.event.session)])[0]
    # A session's own page says which row is its own.
    side = render_template("sessions/_side_row.html", row=row, at=request.args.get("at", ""))
    return [
        live.partial(f"#row-{row.session.id}", "outerHTML", render_template("sessions/_row.html", row=row)),
        live.partial(f"#side-{row.session.id}", "outerHTML", side),
        draw_running(actor),
    ]


@slots.draws(events.SessionDeleted)
def draw_gone(actor: Actor, fact: Any) -> list[str]:
    """The session's rows go."""
    places = (f"#row-{fact.event.session_id}", f"#side-{fact.event.session_id}")
    return [*(live.partial(place, "delete") for place in places), draw_running(actor)]


def draw_running(actor: Actor) -> str:
    """How many sessions run, at the foot of the rail's entry."""
    running = count_running(service.count_by_state(actor))
    return live.partial("#rail-running", "innerHTML", f"{running} running" if running else "")


def count_running(counts: dict[str, int]) -> int:
    """How many of the counted sessions run or wait for their turn."""
    return counts.get("running", 0) + counts.get("queued", 0)


@slots.fill("projects")
def fill_projects(actor: Actor) -> dict[str, Any]:
    """How each project's sessions stand, for the page of projects."""
    return {"sessions": service.count_by_project(actor)}


@slots.fill("home")
def fill_home(actor: Actor) -> dict[str, Any]:
    """What runs, what failed within a day, and what was worked on last, for Home."""
    running = service.find_page(actor, state="queued,running", limit=ON_HOME)
    failed = service.find_page(actor, state="failed", since=ids.now() - DAY, limit=3, archived=False)
    rest = "idle,failed,waiting"
    recent = service.find_page(actor, state=rest, limit=ON_HOME, archived=False, parent_id=None)
    runs = service.live_runs(actor, [session.id for session in running])
    return {
        "running": [_running(session, runs.get(session.id, [])) for session in running],
        "failed": [{"session": session, "words": _why(actor, session)} for session in failed],
        "recent": of(actor, recent),
    }


def _running(session: Session, runs: list[service.Run]) -> dict[str, Any]:
    started = runs[0].started if runs else None
    return {"session": session, "act": session.last_act, "started": started, "cap": None}


def _why(actor: Actor, session: Session) -> str:
    """Why the last run of a session failed, on one line."""
    run = service.last_run(actor, session.id)
    error = (run.error or {}) if run else {}
    words = str((error.get("data") or {}).get("message") or error.get("name") or "")
    return words.splitlines()[0][:160] if words else ""
