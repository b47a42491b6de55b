"""Settings: what runs without asking, and what that would have done to the last calls that asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request, url_for

from app import config, web
from app.accounts import service as accounts
from app.actor import Actor
from app.agent import auto_approve, bp
from app.agent.auto_approve import BOOLEANS, COMMANDS, NUMBERS, Switches
from app.agent.pages import placeless
from app.agent.tools import mcp
from app.approvals import service as approvals
from app.approvals.service import Foresight
from app.errors import Invalid, Problem
from app.projects import service as projects
from app.projects.service import Place

MASTER = BOOLEANS[0]
SHOWN = 8
# The switches as people read them, and what each lets run; what stands for no effect here is not offered.
WORDS = {
    "always_allow_read_only": ("Read", "inside the workspace reading never asks; this one goes with Read outside"),
    "always_allow_read_only_outside_workspace": ("Read outside", "paths outside the workspace, where Read is on too"),
    "always_allow_write": ("Write", "in the workspace, protected files keep asking"),
    "always_allow_write_outside_workspace": ("Write outside", "other paths, where Write is on too"),
    "always_allow_execute": ("Execute", "commands that begin with an allowed one, each part of a line"),
    "always_allow_mcp": ("MCP", "tools that the settings of their server always allow"),
    "always_allow_browser": ("Fetch", "web pages; hosts that commands want to reach keep asking"),
    "always_allow_mode_switch": ("Modes", "switch to another mode"),
    "always_allow_subtasks": ("Subtasks", "start a task in another mode, and end it"),
    "always_allow_followup_questions": ("Questions", "take their first suggestion once the time below is over"),
}


@dataclass(frozen=True)
class Row:
    """One switch; `needs` is the preset that this server would have to allow, "" if it does."""

    name: str
    title: str
    words: str
    is_on: bool
    needs: str


@bp.get("/settings/auto-approve")
def auto_approve_page() -> Response:
    """The switches of the person who looks, in one project."""
    actor = web.actor()
    if page := placeless.find(actor, "auto-approve"):
        return page
    place = projects.resolve_project(actor, request.args.get("project", ""))
    return _page(actor, place, auto_approve.get(actor, place), saved=bool(request.args.get("saved")))


@bp.post("/settings/auto-approve")
def save_auto_approve() -> Response:
    """Set all of them as they are ticked."""
    actor = web.actor()
    place = projects.resolve_project(actor, web.form("project"))
    try:
        auto_approve.change(actor, place, _ticked())
    except (Invalid, accounts.Stale) as problem:
        return _page(actor, place, _as_ticked(actor, place), problem.status, problem=problem)
    return web.back(url_for("agent.auto_approve_page", project=place.project.id, saved=1))


@bp.post("/settings/auto-approve/preview")
def preview_auto_approve() -> Response:
    """What they would allow as they are ticked; nothing is kept."""
    actor = web.actor()
    place = projects.resolve_project(actor, web.form("project"))
    try:
        auto_approve.check(_ticked())
    except Invalid as problem:
        if web.is_htmx():
            raise
        return _page(actor, place, _as_ticked(actor, place), problem.status, problem=problem)
    given = _as_ticked(actor, place)
    if web.is_htmx():
        return web.page("agent/_foresight.html", **_foreseen(actor, place, given))
    return _page(actor, place, given)


def _page(
    actor: Actor,
    place: Place,
    given: Switches,
    status: int = 200,
    *,
    saved: bool = False,
    problem: Problem | None = None,
) -> Response:
    typed = {name: web.form(name) for name in NUMBERS} if problem else _numbers(given)
    return web.page(
        "agent/auto_approve.html",
        status,
        rows=_rows(given),
        commands={name: "\n".join(getattr(given, name)) for name in COMMANDS},
        numbers=typed,
        ceiling=config.current().preset_ceiling,
        may_write=accounts.may(actor, "approvals:answer"),
        saved=saved,
        problem=problem.message if problem else "",
        is_stale=not accounts.is_fresh(actor),
        offered=projects.list_ready(actor),
        **_foreseen(actor, place, given),
    )


def _rows(given: Switches) -> list[Row]:
    locked = auto_approve.locked()
    return [
        Row(name, title, words, getattr(given, name), locked.get(name, "")) for name, (title, words) in WORDS.items()
    ]


def _foreseen(actor: Actor, place: Place, given: Switches) -> dict[str, Any]:
    """What the panel beside the switches shows."""
    return {"place": place, "master": given.auto_approval_enabled, "seen": _foresee(actor, place, given), "most": SHOWN}


def _foresee(actor: Actor, place: Place, given: Switches) -> Foresight | None:
    if not accounts.may(actor, "approvals:read", place.project):
        return None
    asks_mcp = given.always_allow_mcp and accounts.may(actor, "mcp:read", place.project)
    tools = mcp.always_allowed(actor, str(place.directory)) if asks_mcp else ()
    return approvals.foresee(actor, place.project, auto_approve.rules(given, tools))


def _ticked() -> dict[str, Any]:
    """The form as changes; raises Invalid for a number that is none."""
    ticked: dict[str, Any] = {name: name in request.form for name in (MASTER, *WORDS)}
    ticked |= {name: _lines(request.form.get(name, "")) for name in COMMANDS}
    seconds = _number(NUMBERS[0])
    requests, cost = (_number(name) for name in NUMBERS[1:])
    if requests is not None and requests != int(requests):
        raise Invalid("Requests are counted in whole ones.", NUMBERS[1])
    limits = {NUMBERS[1]: None if requests is None else int(requests), NUMBERS[2]: cost}
    return {**ticked, **limits, **({} if seconds is None else {NUMBERS[0]: int(seconds * 1000)})}


def _as_ticked(actor: Actor, place: Place) -> Switches:
    """The switches as the form has them, as far as it can be read."""
    try:
        ticked: Mapping[str, Any] = _ticked()
    except Invalid:
        ticked = {name: name in request.form for name in (MASTER, *WORDS)}
        ticked |= {name: _lines(request.form.get(name, "")) for name in COMMANDS}
    return auto_approve.read({**auto_approve.get(actor, place).plain(), **ticked})


def _numbers(given: Switches) -> dict[str, str]:
    """Limits as they stand in the fields; times in seconds."""
    found = (given.followup_auto_approve_timeout_ms / 1000, given.allowed_max_requests, given.allowed_max_cost)
    return {name: "" if value is None else f"{value:.10g}" for name, value in zip(NUMBERS, found, strict=True)}


def _number(name: str) -> float | None:
    text = web.form(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise Invalid(f"{text[:40]!r} is no number.", name) from None
    if not 0 < value < 10**9:
        raise Invalid("A limit is a positive number, or left empty.", name)
    return value


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
