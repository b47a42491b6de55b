"""What a project's commands may use: grants, and the environment that comes of them.

A value goes out only by a grant, and only to the commands of the project's sessions; what they print is shown
without it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Invalid, NotFound
from app.secrets import models, rows

# Later ones win where two granted secrets have one name.
LENT = ("platform", "app", "project")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What steers a program or the sandbox itself is no place for a secret.
STEERS = re.compile(
    r"PATH|HOME|SHELL|USER|PWD|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|PROMPT_COMMAND|TMPDIR|TERM|LANG|LC_\w+|LD_\w+|DYLD_\w+"
    r"|GIT_\w+|(?:HTTPS?|ALL|NO|FTP)_PROXY|PYTHON\w*|NODE_OPTIONS|PERL5\w+|RUBYOPT|JAVA_TOOL_OPTIONS|SIGNALCABIN_\w+",
    re.IGNORECASE,
)
TOLD = 5_000
_lock = threading.Lock()
_told: OrderedDict[tuple[str, str, str, int], None] = OrderedDict()
_find_project: Callable[[Actor, str], object] = lambda _actor, _project: None  # noqa: E731


def grant(actor: Actor | None, scope: str, name: str, project: str) -> None:
    """Let the commands of a project's sessions have a secret in their environment.

    Raises NotFound, Invalid for a secret that cannot be lent: by its scope, its name, or as too short to be masked.
    """
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, scope))
    accounts.require(actor, "secrets:write", rows.thing(actor, f"project:{project}"))
    _find_project(actor, project)
    _check_lendable(scope, name, project)
    with db.transaction() as conn:
        row = conn.execute(rows.row_of(scope, name).with_for_update()).one_or_none()
        if row is None:
            raise NotFound("secret", name)
        if len(rows.unsealed(conn, row)) < redact.SHORTEST:
            told = f"A value under {redact.SHORTEST} characters cannot be masked, so no command gets it."
            raise Invalid(told, "value")
        if conn.execute(sa.select(models.grants.c.by).where(*_at(scope, name, project))).one_or_none():
            return
        conn.execute(
            models.grants.insert().values(scope=scope, name=name, project=project, by=actor.user, created=ids.now())
        )
        record.audit(conn, actor, "secrets.grant", f"{scope}/{name}", {"project": project})
        rows.announce(conn, actor, scope, name)


def take_away(actor: Actor | None, scope: str, name: str, project: str) -> None:
    """End that, from the next command on; raises NotFound without such a grant."""
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, scope))
    with db.transaction() as conn:
        if conn.execute(models.grants.delete().where(*_at(scope, name, project))).rowcount == 0:
            raise NotFound("grant", name)
        record.audit(conn, actor, "secrets.take_away", f"{scope}/{name}", {"project": project})
        rows.announce(conn, actor, scope, name)


def lend(project: str, actor: Actor, run: str) -> dict[str, str]:
    """What a command of a run finds in its environment: values by name, masked from now on wherever they show.

    Nobody asks for these by name, so this is no verb: the grants say who may. Written down once for each run and
    version, twice if two commands are the first at once. Raises Conflict SECRET_UNREADABLE.
    """
    found = _granted(project)
    if not found:
        return {}
    environment = {}
    for row in found:
        environment[row.name] = rows.taken(row.scope, row.name)
    fresh = [row for row in found if _is_new(run, row)]
    if fresh:
        with db.transaction() as conn:
            for row in fresh:
                detail = {"project": project, "run": run}
                record.audit(conn, actor, "secrets.lend", f"{row.scope}/{row.name}", detail)
            # Not before: a command that comes at the same time must not go by a row that is then not written.
            db.after_commit(lambda: _remember(run, fresh))
    return environment


def hide(project: str, value: Any) -> Any:
    """JSON-able data without what the project's commands were lent: no model can know it, unless one let it slip."""
    found = _granted(project)
    if not found:
        return value
    return redact.Redactor({row.name: rows.opened(row.scope, row.name) for row in found}).data(value)


def find_project(actor: Actor, project: str) -> None:
    """Raise NotFound unless there is such a project, and the actor may see it."""
    _find_project(actor, project)


def projects_of(conn: sa.Connection, scopes: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The projects that may use each secret of these scopes, by (scope, name)."""
    table = models.grants.c
    query = sa.select(table.scope, table.name, table.project).where(table.scope.in_(list(scopes)))
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for scope, name, project in conn.execute(query.order_by(table.created, table.project)):
        found[scope, name] = (*found.get((scope, name), ()), project)
    return found


def end_of_project(conn: sa.Connection, actor: Actor, project: str) -> None:
    """Take back what was granted to a project that goes, in its room's transaction."""
    table = models.grants.c
    for row in conn.execute(sa.select(table.scope, table.name).where(table.project == project)).all():
        conn.execute(models.grants.delete().where(*_at(row.scope, row.name, project)))
        record.audit(conn, actor, "secrets.take_away", f"{row.scope}/{row.name}", {"project": project})
        rows.announce(conn, actor, row.scope, row.name)


def register_project(find: Callable[[Actor, str], object]) -> None:
    """Say how to find a project, raising NotFound; given by the projects room, which this one doesn't know."""
    global _find_project
    _find_project = find


def is_granted(conn: sa.Connection, scope: str, name: str) -> bool:
    """Whether any project may use it."""
    query = sa.select(models.grants.c.project).where(models.grants.c.scope == scope, models.grants.c.name == name)
    return conn.execute(query.limit(1)).first() is not None


def _granted(project: str) -> list[sa.Row[str, str, int]]:
    """What a project may use: one row for each name, the nearest scope's."""
    table, given = models.secrets.c, models.grants.c
    joined = models.grants.join(models.secrets, sa.and_(given.scope == table.scope, given.name == table.name))
    query = sa.select(table.scope, table.name, table.version).select_from(joined).where(given.project == project)
    with db.read() as conn:
        found = conn.execute(query.order_by(table.scope)).all()
    nearest: dict[str, sa.Row[str, str, int]] = {}
    for row in sorted(found, key=lambda row: LENT.index(_kind(row.scope))):
        nearest[row.name] = row
    return list(nearest.values())


def _check_lendable(scope: str, name: str, project: str) -> None:
    if _kind(scope) not in LENT:
        raise Invalid("This secret is for the server's own use, no command gets it.", "scope")
    if _kind(scope) == "project" and scope != f"project:{project}":
        raise Invalid("A project's secret is for that project alone.", "project")
    if not VARIABLE.fullmatch(name):
        raise Invalid("Commands get it as an environment variable: letters, digits and _ only.", "name")
    if STEERS.fullmatch(name):
        raise Invalid(f"{name} steers how commands run, so no secret may take its place.", "name")


def _is_new(run: str, row: sa.Row[str, str, int]) -> bool:
    """Whether it is not known that this run had this version."""
    with _lock:
        return _key(run, row) not in _told


def _remember(run: str, found: Iterable[sa.Row[str, str, int]]) -> None:
    """It is written down; remembered for the latest thousands."""
    with _lock:
        for row in found:
            _told[_key(run, row)] = None
        while len(_told) > TOLD:
            _told.popitem(last=False)


def _key(run: str, row: sa.Row[str, str, int]) -> tuple[str, str, str, int]:
    return (run, row.scope, row.name, row.version)


def _kind(scope: str) -> str:
    return scope.partition(":")[0]


def _at(scope: str, name: str, project: str) -> tuple[sa.ColumnElement[bool], ...]:
    table = models.grants.c
    return table.scope == scope, table.name == name, table.project == project
