"""The vault: a master key seals a data key per scope, and that the values; only `reveal` gives one back."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import sqlalchemy as sa

from app import db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Invalid, NotFound
from app.events import service as events
from app.secrets import fading, holding, keys, lending, models, rows, sealing
from app.secrets.events import SecretChanged
from app.secrets.holding import derive, derive_all, held, hold, hold_once, let_go, let_go_old
from app.secrets.lending import end_of_project, grant, hide, lend, register_project, take_away
from app.secrets.personal import (
    forget_own,
    holders,
    keep_own,
    list_own,
    note_own_use,
    own_names,
    own_value,
)
from app.secrets.rotating import KeyUse, check, keys_in_use, rotate_key
from app.secrets.rows import Secret

__all__ = [
    "KeyUse",
    "Secret",
    "check",
    "delete",
    "derive",
    "derive_all",
    "describe",
    "end_of_project",
    "environment",
    "forget_own",
    "get",
    "grant",
    "held",
    "hide",
    "hold",
    "hold_once",
    "holders",
    "keep_own",
    "keys_in_use",
    "lend",
    "let_go",
    "let_go_old",
    "list_all",
    "list_own",
    "names",
    "note_own_use",
    "own_names",
    "own_value",
    "put",
    "put_app",
    "put_platform",
    "put_project",
    "register_project",
    "reveal",
    "rotate_key",
    "scope_of_app",
    "start",
    "take_away",
    "watch_all",
]
PROVIDER, PLATFORM = "provider", "platform"
LONGEST_NAME = 128
# What people see of the vault; the rest is other rooms' own.
SHOWN = (PROVIDER, PLATFORM, "app:", "project:")
_SCOPE = re.compile(r"[a-z]+(:[A-Za-z0-9_.-]+)?")
_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z0-9_]{1,128}")
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Ids that no app can have.
_SYSTEM_APPS = re.compile(r"rootcx_system|information_schema|pg_.*")
_logger = logging.getLogger(__name__)


def put(actor: Actor | None, scope: str, name: str, value: str) -> Secret:
    """Keep a value, as a new version if there is one; scope is `provider`, `platform`, `app:ID`, `project:ID`…"""
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, scope))
    _check(scope, name, value)
    now = ids.now()
    with db.transaction() as conn:
        key_id, key = keys.for_writing(conn, scope)
        row = conn.execute(rows.row_of(scope, name).with_for_update()).one_or_none()
        if row and len(value) < redact.SHORTEST and lending.is_granted(conn, scope, name):
            raise Invalid(f"Commands use it: a value under {redact.SHORTEST} characters cannot be masked.", "value")
        version = row.version + 1 if row else 1
        sealed = sealing.seal(key, value.encode(), rows.TABLE, scope, name, version)
        fresh = {"version": version, "key_id": key_id, "sealed": sealed, "by": actor.user, "updated": now}
        if row:
            conn.execute(models.secrets.update().where(*rows.at(scope, name)).values(fresh))
        else:
            conn.execute(models.secrets.insert().values(scope=scope, name=name, created=now, **fresh))
        record.audit(conn, actor, "secrets.put", f"{scope}/{name}", {"version": version})
        rows.announce(conn, actor, scope, name)
    rows.watch(name, value)
    return Secret(scope, name, version, actor.user, row.created if row else now, now, row.used if row else None)


def put_platform(actor: Actor | None, name: str, value: str) -> Secret:
    """Keep a value for the whole server, whose name can be an environment variable's."""
    if not _VARIABLE.fullmatch(name):
        accounts.require(actor, "secrets:write")
        raise Invalid("A platform secret's key has 1 to 128 letters, digits and _.", "key")
    return put(actor, PLATFORM, name, value)


def put_app(actor: Actor | None, app: str, name: str, value: str) -> Secret:
    """Keep a value for an app, whether or not there is one of this id yet."""
    return put(actor, scope_of_app(actor, app), name, value)


def put_project(actor: Actor | None, project: str, name: str, value: str) -> Secret:
    """Keep a value for a project; raises NotFound for one that the actor does not see."""
    scope = f"project:{project}"
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, scope))
    lending.find_project(actor, project)
    return put(actor, scope, name, value)


def get(actor: Actor | None, scope: str, name: str) -> Secret:
    """What may be shown of one secret; raises NotFound."""
    found = next((one for one in describe(actor, scope) if one.name == name), None)
    if found is None:
        raise NotFound("secret", name)
    return found


def scope_of_app(actor: Actor | None, app: str) -> str:
    """The scope of an app's secrets; Invalid for what is no app's id, said to those who may read secrets alone."""
    accounts.require(actor, "secrets:read")
    if not _APP.fullmatch(app) or _SYSTEM_APPS.fullmatch(app.lower()):
        raise Invalid("An app's id has 1 to 64 letters, digits, _ and -, and is no system schema's.", "app_id")
    return f"app:{app}"


def reveal(actor: Actor | None, scope: str, name: str) -> str:
    """The value, for use inside the server, never for a page; it is redacted everywhere from now on.

    Raises NotFound, Conflict SECRET_UNREADABLE for a tampered row, Unavailable MASTER_KEY for a wrong key.
    """
    accounts.require(actor, "secrets:read", rows.thing(actor, scope))
    return rows.taken(scope, name)


def environment(actor: Actor | None) -> dict[str, str]:
    """The platform's secrets with their values, by name: each look is written down, and a browser must have signed in
    lately. A row that cannot be read fails all of it, by name.
    """
    actor = accounts.require(actor, "secrets:export", rows.thing(actor, PLATFORM))
    accounts.require_fresh(actor)
    stored = _described(models.secrets.c.scope == PLATFORM)
    found = {one.name: rows.opened(PLATFORM, one.name) for one in stored}
    with db.transaction() as conn:
        record.audit(conn, actor, "secrets.export", PLATFORM, {"names": sorted(found)})
    return {name: rows.taken(PLATFORM, name) for name in found}


def names(actor: Actor | None, scope: str) -> list[str]:
    """The names of the scope's secrets."""
    return [secret.name for secret in describe(actor, scope)]


def describe(actor: Actor | None, scope: str) -> list[Secret]:
    """The scope's secrets by name, without their values."""
    actor = accounts.require(actor, "secrets:read", rows.thing(actor, scope))
    return _shown(actor, _described(models.secrets.c.scope == scope))


def list_all(actor: Actor | None) -> list[Secret]:
    """All that people have set, by scope and name, of what the actor may see; without values."""
    actor = accounts.require(actor, "secrets:read")
    scope = models.secrets.c.scope
    shown = [scope.startswith(one, autoescape=True) if one.endswith(":") else scope == one for one in SHOWN]
    found = _described(sa.or_(*shown))
    return _shown(actor, [one for one in found if accounts.may(actor, "secrets:read", rows.thing(actor, one.scope))])


def _shown(actor: Actor, found: list[Secret]) -> list[Secret]:
    """The same, granted to projects that are open to the actor alone."""
    if not actor.closed:
        return found
    return [
        replace(one, projects=tuple(project for project in one.projects if accounts.is_open(actor, project)))
        for one in found
    ]


def delete(actor: Actor | None, scope: str, name: str) -> None:
    """Forget a secret and who may use it; raises NotFound."""
    actor = accounts.require(actor, "secrets:write", rows.thing(actor, scope))
    granted = models.grants.c
    with db.transaction() as conn:
        if conn.execute(models.secrets.delete().where(*rows.at(scope, name))).rowcount == 0:
            raise NotFound("secret", name)
        conn.execute(models.grants.delete().where(granted.scope == scope, granted.name == name))
        record.audit(conn, actor, "secrets.delete", f"{scope}/{name}")
        rows.announce(conn, actor, scope, name)


def start() -> None:
    """At start-up: let the redactor know every value, and each that is set later in whichever process."""
    fading.register_watch(watch_all)
    watch_all()
    events.listen(SecretChanged, _learn)


def watch_all() -> None:
    """Let the redactor know every value, so that none shows even before it is used."""
    with db.read() as conn:
        ours = models.secrets.c.scope.not_like(f"{holding.PREFIX}%")
        found = conn.execute(sa.select(models.secrets.c.scope, models.secrets.c.name).where(ours)).all()
    for row in found:
        _watch_stored(row.scope, row.name)


def _learn(fact: SecretChanged) -> None:
    fading.note()
    _watch_stored(fact.scope, fact.name)


def _watch_stored(scope: str, name: str) -> None:
    """Hide a value that is stored; one that is gone, or that nobody can read, shows nowhere anyhow."""
    try:
        rows.watch(name, rows.opened(scope, name))
    except NotFound:
        return
    except Conflict as unreadable:
        _logger.warning("%s", unreadable.message)


def _described(condition: sa.ColumnElement[bool]) -> list[Secret]:
    table = models.secrets.c
    shown = (table.scope, table.name, table.version, table.by, table.created, table.updated, table.used)
    with db.read() as conn:
        found = conn.execute(sa.select(*shown).where(condition).order_by(table.scope, table.name)).all()
        projects = lending.projects_of(conn, {row.scope for row in found})
    return [Secret(*row, projects.get((row.scope, row.name), ())) for row in found]


def _check(scope: str, name: str, value: str) -> None:
    if not _SCOPE.fullmatch(scope) or len(scope) > LONGEST_NAME:
        raise Invalid("A scope is a word, or a word and an id with a colon between.", "scope")
    if not _NAME.fullmatch(name):
        raise Invalid("A secret's name has 1 to 128 letters, digits and . _ - /", "name")
    rows.check_value(value)
