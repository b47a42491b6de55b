"""Rows of sessions, as lists and the page stream draw them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
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
HEADS = {"needs": "Needs you", "running": "Running", "today": "Today", "yesterday": "Yesterday", "earlier": "Earlier"}
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
    """What a session did last, or what it asks this person, also while it runs."""
    if not session.is_busy or ask is None:
        return session.last_act
    return str(ask.questions[0].get("question", "") if ask.kind == "question" else ask.title)[:200]


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


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by the key of their heading in HEADS; a subagent's row follows that of its session."""
    known = {row.session.id for row in rows}
    below: dict[str, list[Row]] = {}
    heads: dict[str, list[Row]] = {head: [] for head in HEADS}
    for row in rows:
        parent = row.session.parent_id
        if parent in known:
            below.setdefault(str(parent), []).append(row)
        else:
            heads[head_of(row.session)].append(row)
    return {head: _with_children(found, below) for head, found in heads.items()}


def head_of(session: Session) -> str:
    """Under which heading a session stands: it needs somebody, it runs, or the day of its last event (UTC)."""
    if session.state in ("waiting", "running", "queued"):
        return "needs" if session.state == "waiting" else "running"
    days = ids.now() // DAY - session.updated // DAY
    return {0: "today", 1: "yesterday"}.get(max(days, 0), "earlier")


def _with_children(rows: list[Row], below: dict[str, list[Row]]) -> list[Row]:
    found = []
    for row in rows:
        found += [row, *_with_children(below.get(row.session.id, []), below)]
    return found


@slots.draws(events.SessionCreated, events.SessionUpdated)
def draw_row(actor: Actor, fact: Any) -> list[str]:
    """The session's row in the table and at the left of a session, and how many run."""
    return _drawn(actor, Session(**fact.event.session))


@slots.fill("session.row")
def fill_row(actor: Actor, session_id: str) -> dict[str, Any]:
    """The same partials for a room above that has changed what the row shows; none for a session that is gone."""
    session = service.get_many(actor, [session_id]).get(session_id)
    return {"partials": _drawn(actor, session) if session else []}


def _drawn(actor: Actor, session: Session) -> list[str]:
    row = of(actor, [session])[0]
    places = [live.partial(f"#row-{session.id}", "outerHTML", render_template("sessions/_rows.html", rows=[row]))]
    if session.archived:
        places.append(live.partial(f"#side-{session.id}", "delete"))
    else:
        # A session's own page says which row is its own.
        side = render_template("sessions/_side_row.html", row=row, at=request.args.get("at", ""))
        places.append(live.partial(f"#side-{head_of(session)}", "into", side))
    return [*places, *draw_on_home(actor, row), *draw_running(actor)]


def draw_on_home(actor: Actor, row: Row) -> list[str]:
    """The session among those that run on Home, or among the recent ones, or in neither."""
    session = row.session
    gone = [live.partial(f"#run-{session.id}", "delete"), live.partial(f"#recent-{session.id}", "delete")]
    if session.state in ("running", "queued"):
        runs = service.live_runs(actor, [session.id]).get(session.id, [])
        drawn = render_template("sessions/_running.html", r=_running(session, runs))
        return [gone[1], live.partial("#running", "into", drawn)]
    if session.archived or session.parent_id or row.ask:
        return gone
    return [gone[0], live.partial("#recent", "into", render_template("sessions/_recent.html", row=row))]


@slots.fill("worktrees")
def fill_worktrees(actor: Actor, directories: list[str]) -> dict[str, Any]:
    """The newest session that works in each of these directories, and the glyph of its state's name."""
    if not accounts.may(actor, "sessions:read"):
        return {}
    found = {one: service.find_page(actor, directory=one, limit=1) for one in directories}
    return {"sessions_in": {directory: page[0] for directory, page in found.items() if page}}


@slots.draws(events.SessionDeleted, events.SessionHidden)
def draw_gone(actor: Actor, fact: Any) -> list[str]:
    """The session's rows go, where it is deleted or out of this person's sight."""
    places = [f"#{kind}-{fact.event.session_id}" for kind in ("row", "new", "side", "run", "recent")]
    return [*(live.partial(place, "delete") for place in places), *draw_running(actor)]


def draw_running(actor: Actor) -> list[str]:
    """How many sessions run, at the rail's entry and on Home."""
    running = service.count_running(actor)
    return [
        live.partial("#rail-running", "innerHTML", f"{running} running" if running else ""),
        live.partial("#running-count", "innerHTML", str(running)),
    ]


def count_running(counts: dict[str, int]) -> int:
    """How many of the counted sessions run or wait for their turn."""
    return counts.get("running", 0) + counts.get("queued", 0)


@slots.fill("projects")
def fill_projects(actor: Actor) -> dict[str, Any]:
    """How each project's sessions stand, for the page of projects."""
    return {"sessions": service.count_by_project(actor)}


@slots.fill("names")
def fill_names(actor: Actor, targets: Collection[str]) -> dict[str, Any]:
    """What those of the targets are called that are sessions."""
    found = service.labels(actor, [one for one in targets if one.startswith("ses_")])
    return {session_id: label.title for session_id, label in found.items()}


@slots.fill("home")
def fill_home(actor: Actor) -> dict[str, Any]:
    """What runs, what failed within a day, and what was worked on last, for Home."""
    running = service.find_page(actor, state="queued,running", limit=ON_HOME)
    failed = service.find_page(actor, state="failed", since=ids.now() - DAY, limit=3, archived=False)
    rest = "idle,failed,waiting"
    recent = of(actor, service.find_page(actor, state=rest, limit=ON_HOME, archived=False, parent_id=None))
    told = {session.id for session in failed}
    runs = service.live_runs(actor, [session.id for session in running])
    return {
        "running": [_running(session, runs.get(session.id, [])) for session in running],
        "failed": [{"session": session, "words": _why(actor, session)} for session in failed],
        # What stands above, because it needs this person, does not stand here once more.
        "recent": [row for row in recent if row.ask is None and row.session.id not in told],
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
