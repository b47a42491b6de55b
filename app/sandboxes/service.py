"""The verbs of sandboxes: made, found, given more time, paused, taken down; and the workspace that a request means."""

from __future__ import annotations

import secrets as random
import string
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from app import db, dispatch, ids, record
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, Limited, NotFound
from app.projects import service as projects
from app.projects.service import Place, Project
from app.sandboxes import ending, rows, tokens
from app.sandboxes.ending import register_ender, start
from app.sandboxes.models import sandbox as table
from app.sandboxes.rows import OnTimeout, Sandbox, State

__all__ = [
    "BASE",
    "DEFAULT_SECONDS",
    "LONGEST",
    "Sandbox",
    "State",
    "Wanted",
    "Workspace",
    "check_name",
    "connect",
    "create",
    "environment_of",
    "get",
    "kill",
    "list_all",
    "may_reach",
    "pause",
    "register_ender",
    "secret_for",
    "secret_of",
    "set_environment",
    "set_timeout",
    "show_environment",
    "start",
    "workspace",
]
BASE = "base"
DEFAULT_SECONDS = 300
LONGEST = 86_400
# How many one person may have at a time.
MOST = 100
# Clients without a control plane call their one sandbox so.
NAMELESS = ("", "debug_sandbox_id")
# What the commands of a sandbox call its directory and its scratch directory.
OWN_TOPS = ("/home/user", "/tmp")  # noqa: S108
LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Wanted:
    """What a new sandbox is to be: `base` for an empty directory, or the name or id of a project for a worktree of it.

    seconds is its time; environment goes to each command in it; key names the request, so that it can be repeated.
    """

    template: str
    seconds: int
    metadata: Mapping[str, str]
    environment: Mapping[str, str]
    on_timeout: OnTimeout = "kill"
    reach: bool | None = None
    key: str | None = None


@dataclass(frozen=True)
class Workspace:
    """Where a request works; the sandbox is None for a client that names none and so works in a project."""

    place: Place
    sandbox: Sandbox | None


def create(actor: Actor, wanted: Wanted) -> Sandbox:
    """Make a sandbox: a directory of its own, or a worktree. A repeated request finds the one that it made.

    Raises NotFound for an unknown template, Invalid, Denied, Limited, Conflict. Whoever gets a sandbox gets what lets
    in there, so a token that may do less than the one that made it gets none.
    """
    accounts.require(actor, "sandboxes:write")
    seconds = _checked_seconds(wanted.seconds)
    with db.read() as conn:
        mine = rows.select(conn, table.c.owner == actor.user)
    known = next((one for one in mine if wanted.key and one.key == wanted.key), None)
    if known is not None and actor.project not in (None, known.project):
        raise NotFound("template", wanted.template[:100])
    if known is not None:
        return _checked_holder(actor, _repeated(known, wanted))
    if len(mine) >= MOST:
        raise Limited(f"You have {MOST} sandboxes, which is the most. Kill one first.", retry_after=60)
    sandbox_id = "i" + "".join(random.choice(LETTERS) for _ in range(19))
    place = _place(actor, wanted.template, sandbox_id)
    try:
        made = _store(actor, sandbox_id, place, wanted, seconds)
    except sa.exc.IntegrityError:
        ending.take_away(place.project.id, str(place.directory))
        raise Conflict("The same request made a sandbox just now. Ask again to get it.") from None
    except BaseException:
        ending.take_away(place.project.id, str(place.directory))
        raise
    dispatch.at(made.ends, ending.EXPIRE, made.id)
    return made


def get(actor: Actor, sandbox_id: str) -> Sandbox:
    """Return one of the actor's sandboxes; raises NotFound."""
    accounts.require(actor, "sandboxes:read")
    with db.read() as conn:
        return _living(_own(conn, actor, sandbox_id))


def list_all(actor: Actor, states: tuple[State, ...] = ("running", "paused")) -> list[Sandbox]:
    """Return the actor's sandboxes in these states, oldest first."""
    accounts.require(actor, "sandboxes:read")
    with db.read() as conn:
        found = rows.select(conn, table.c.state.in_(states), *rows.of(actor))
    return [one for one in found if _is_living(one) and accounts.is_open(actor, one.project)]


def connect(actor: Actor, sandbox_id: str, seconds: int) -> tuple[Sandbox, bool]:
    """Return a sandbox to go on with, and whether it was paused until now; a running one gets no less time.

    Raises NotFound, Denied for a token that may do less than the one that made it.
    """
    accounts.require(actor, "sandboxes:write")
    ends = ids.now() + _checked_seconds(seconds) * 1000
    with db.transaction() as conn:
        one = _living(_own(conn, actor, sandbox_id))
        was_paused = one.state == "paused"
        changed = rows.update(conn, one, state="running", ends=ends if was_paused else max(ends, one.ends))
        if was_paused:
            record.audit(conn, actor, "sandbox.resume", sandbox_id)
        changed = _checked_holder(actor, tokens.renewed(actor, changed))
    dispatch.at(changed.ends, ending.EXPIRE, changed.id)
    return changed, was_paused


def set_timeout(actor: Actor, sandbox_id: str, seconds: int, *, no_less: bool = False) -> Sandbox:
    """Give a running sandbox so many seconds from now; raises NotFound, Invalid."""
    accounts.require(actor, "sandboxes:write")
    ends = ids.now() + _checked_seconds(seconds) * 1000
    with db.transaction() as conn:
        one = _living(_own(conn, actor, sandbox_id))
        if one.state != "running":
            raise NotFound("sandbox", sandbox_id)
        changed = rows.update(conn, one, ends=max(ends, one.ends) if no_less else ends)
    dispatch.at(changed.ends, ending.EXPIRE, changed.id)
    return changed


def pause(actor: Actor, sandbox_id: str) -> None:
    """End what runs in a sandbox and keep its files until it is resumed; raises NotFound, Conflict if it is paused."""
    accounts.require(actor, "sandboxes:write")
    with db.transaction() as conn:
        one = _living(_own(conn, actor, sandbox_id))
        if one.state == "paused":
            raise Conflict(f"Sandbox {sandbox_id} is paused already.")
        record.audit(conn, actor, "sandbox.pause", sandbox_id)
        ending.put_aside(conn, one)
    ending.end_processes(one)


def kill(actor: Actor, sandbox_id: str) -> None:
    """Take a sandbox down: its processes, its access and its files; a worktree with work of its own stays listed."""
    accounts.require(actor, "sandboxes:write")
    with db.transaction() as conn:
        one = _own(conn, actor, sandbox_id)
        record.audit(conn, actor, "sandbox.kill", sandbox_id)
        ending.begin(conn, one)
    ending.finish(one)


def secret_of(sandbox: Sandbox) -> str:
    """Return the access token of a sandbox that the caller was just given."""
    return tokens.secret_of(sandbox.id, sandbox.salt)


def secret_for(actor: Actor, sandbox: Sandbox) -> str | None:
    """Return the same for who only looks at a sandbox; None for a token that may do less than it lets one do."""
    return secret_of(sandbox) if accounts.may_hold(actor, sandbox.token) else None


def environment_of(workspace: Workspace) -> dict[str, str]:
    """Return what a sandbox's maker wants in the environment of each of its commands."""
    return ending.held_environment(workspace.sandbox) if workspace.sandbox else {}


def show_environment(actor: Actor, workspace: Workspace) -> dict[str, str]:
    """Return the same to who looks, as far as they may see what runs there: it may hold secrets."""
    accounts.require(actor, "processes:read", workspace.place.project)
    return environment_of(workspace)


def may_reach(workspace: Workspace) -> bool:
    """Tell whether commands may have a network, as far as this server gives any."""
    return workspace.sandbox is None or workspace.sandbox.reach is not False


def set_environment(actor: Actor, workspace: Workspace, environment: Mapping[str, str]) -> None:
    """Put further variables into the environment of a sandbox's commands; raises Invalid where there is no sandbox."""
    accounts.require(actor, "processes:write", workspace.place.project)
    if workspace.sandbox is None:
        raise Invalid("There is no sandbox to keep variables for; give them to each command.", "envVars")
    with db.transaction():
        ending.hold_environment(workspace.sandbox, {**environment_of(workspace), **environment})


def workspace(actor: Actor, named: str) -> Workspace:
    """Return where a request works: the sandbox that its token was made for or that it names, else its project.

    Raises NotFound, also for one that is paused, and for another one than the token's.
    """
    accounts.require(actor, "projects:read")
    with db.read() as conn:
        of_token = rows.select(conn, table.c.token == actor.token) if actor.token else []
        if not of_token and named in NAMELESS:
            return Workspace(projects.resolve(actor, None), None)
        one = of_token[0] if of_token else _own(conn, actor, named)
    if not accounts.is_open(actor, one.project):
        raise NotFound("sandbox", named or one.id)
    if named not in ("", one.id) or one.state != "running" or one.ends <= ids.now():
        raise NotFound("sandbox", named or one.id)
    return Workspace(Place(projects.get(actor, one.project), one.path, one.path), one)


def _own(conn: sa.Connection, actor: Actor, sandbox_id: str) -> Sandbox:
    """Return one of the actor's sandboxes; raise NotFound also for one of a project that is closed to them by now."""
    one = rows.own(conn, actor, sandbox_id)
    if not accounts.is_open(actor, one.project):
        raise NotFound("sandbox", sandbox_id[:100])
    return one


def _store(actor: Actor, sandbox_id: str, place: Place, wanted: Wanted, seconds: int) -> Sandbox:
    """Store a new sandbox with its access token and what its commands find in their environment."""
    salt, now = tokens.new_salt(), ids.now()
    with db.transaction() as conn:
        made = Sandbox(
            id=sandbox_id,
            owner=actor.user,
            project=place.project.id,
            directory=str(place.directory),
            template=wanted.template,
            metadata=dict(wanted.metadata),
            state="running",
            on_timeout=wanted.on_timeout,
            reach=wanted.reach,
            started=now,
            ends=now + seconds * 1000,
            salt=salt,
            token=tokens.lend(actor, sandbox_id, salt, place.project.id),
            key=wanted.key,
        )
        rows.insert(conn, made)
        ending.hold_environment(made, wanted.environment)
        record.audit(conn, actor, "sandbox.create", sandbox_id, {"template": wanted.template, "seconds": seconds})
    return made


def check_name(workspace: Workspace, name: str) -> None:
    """Insist that a file's name means something in the sandbox: other directories of its project are not its own.

    Raises NotFound; a client without a sandbox may name whatever its token may.
    """
    one = workspace.sandbox
    tops = (*OWN_TOPS, one.directory) if one else ()
    if one and name.startswith("/") and not any(name == top or name.startswith(f"{top}/") for top in tops):
        raise NotFound("file", name[-200:])


def _place(actor: Actor, template: str, sandbox_id: str) -> Place:
    """Return a new place for a sandbox of this template."""
    if template == BASE:
        if actor.project is not None:
            raise Denied("A token bound to a project makes sandboxes of that project: name it as the template.")
        project = projects.open_scratch(actor.user, sandbox_id)
        return Place(project, project.path, project.path)
    project = _template(actor, template)
    return projects.with_worktree(actor, project, project.path, f"sandbox {sandbox_id}")


def _template(actor: Actor, template: str) -> Project:
    """Return the project that a template names by its id or its name."""
    seen = [one for one in projects.list_all(actor) if one.state == "ready" and not projects.is_scratch(one)]
    found = [one for one in seen if one.id == template] or [one for one in seen if one.name == template]
    if not found or (actor.project is not None and found[0].id != actor.project):
        raise NotFound("template", template[:100])
    if len(found) > 1:
        raise Conflict(f"{len(found)} projects are called {template}. Name one by its id: {found[0].id}, …")
    return found[0]


def _repeated(known: Sandbox, wanted: Wanted) -> Sandbox:
    """Return the sandbox that an earlier try of the same request has made."""
    if known.template != wanted.template or known.metadata != dict(wanted.metadata) or known.state == "ending":
        raise Conflict("This idempotency key was used for another sandbox.")
    return known


def _checked_holder(actor: Actor, one: Sandbox) -> Sandbox:
    """Insist that the actor may be given the sandbox's access token."""
    if not accounts.may_hold(actor, one.token):
        raise Denied("This sandbox lets its client do more than this token may do itself.")
    return one


def _is_living(one: Sandbox) -> bool:
    """Tell whether a sandbox's time is not over, though nobody may have taken it down yet."""
    return one.state == "paused" or one.ends > ids.now() or one.on_timeout == "pause"


def _living(one: Sandbox) -> Sandbox:
    if not _is_living(one):
        raise NotFound("sandbox", one.id)
    return one


def _checked_seconds(seconds: int) -> int:
    if not 0 <= seconds <= LONGEST:
        raise Invalid(f"A sandbox lives 0 to {LONGEST} seconds.", "timeout")
    return seconds
