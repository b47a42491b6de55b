"""The verbs of providers: list, save with a look at what they say of themselves, test, delete."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app import config, db, ids, record, redact
from app.accounts import service as accounts
from app.actor import Actor
from app.errors import Conflict, Denied, Invalid, NotFound
from app.oidc import discovery, keysets
from app.oidc.models import identity, state
from app.oidc.models import provider as table
from app.oidc.things import Metadata, Provider, Wanted
from app.secrets import service as secrets

KEY = "users:write"
SECRET = "client_secret"  # noqa: S105 - the name that the vault has it under
CALLBACK = "/api/v1/auth/oidc/callback"
FRESH = 24 * 3600 * 1000
MOST = 50
MOST_MAPPED = 200
TAKEN = "A provider with this id is here already."
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")


def callback() -> str:
    """Where providers send people back to; it has to be registered there."""
    return f"{config.current().url}{CALLBACK}"


def offered() -> list[Provider]:
    """The providers that people can sign in with, by name; strangers may know them."""
    with db.read() as conn:
        rows = conn.execute(sa.select(table).where(table.c.enabled).order_by(table.c.name, table.c.id))
        return [_read(row) for row in rows]


def vouches_for(user_ids: list[str]) -> bool:
    """Whether one of these people can sign in with a provider that is on."""
    theirs = identity.c.user_id.in_(user_ids), identity.c.provider == table.c.id, table.c.enabled
    with db.read() as conn:
        return bool(conn.execute(sa.select(sa.exists().where(*theirs))).scalar())


def list_providers(actor: Actor | None) -> list[Provider]:
    """All providers with how many people they have vouched for."""
    accounts.require(actor, KEY)
    people = sa.select(sa.func.count()).where(identity.c.provider == table.c.id).scalar_subquery()
    with db.read() as conn:
        rows = conn.execute(sa.select(table, people.label("people")).order_by(table.c.name, table.c.id))
        return [_read(row, row.people) for row in rows]


def get_provider(actor: Actor | None, provider_id: str) -> Provider:
    """One provider; raises NotFound."""
    found = next((one for one in list_providers(actor) if one.id == provider_id), None)
    if found is None:
        raise NotFound("provider", provider_id)
    return found


def check_provider(actor: Actor | None, wanted: Wanted, *, is_new: bool = False) -> Metadata:
    """What a provider says of itself now, kept nowhere; raises Invalid in words for people, Denied, Conflict."""
    actor = accounts.require(actor, KEY)
    _check(actor, wanted)
    if is_new:
        with db.read() as conn:
            _is_free(conn, wanted.id)
    return discovery.discover(wanted.issuer)


def save_provider(actor: Actor | None, wanted: Wanted, *, is_new: bool = False) -> Provider:
    """Add a provider, or change the one of this id, once what it says of itself is as it has to be.

    Raises Invalid that names the field, Denied for a role beyond what the actor holds or a sign-in that is not fresh,
    and Conflict for a new one whose id is taken.
    """
    actor = accounts.require(actor, KEY)
    accounts.require_fresh(actor)
    _check(actor, wanted)
    if is_new:
        with db.read() as conn:
            _is_free(conn, wanted.id)  # before anybody is asked what they say of themselves
    metadata = discovery.discover(wanted.issuer)
    keysets.forget(metadata.jwks_uri)
    now = ids.now()
    with db.transaction() as conn:
        before = conn.execute(sa.select(table).where(table.c.id == wanted.id).with_for_update()).first()
        if is_new and before is not None:
            raise Conflict(TAKEN)
        _may_replace(conn, actor, before)
        if wanted.role_map is None:
            wanted = dataclasses.replace(wanted, role_map=dict(before.role_map) if before is not None else {})
            _check_roles(actor, wanted)
        row = _row(actor, wanted, metadata, now)
        _store(conn, wanted.id, row, is_new=before is None)
        _keep_secret(wanted, is_new=before is None or before.issuer != wanted.issuer)
        told = {"issuer": wanted.issuer, "client_id": wanted.client_id, "enabled": wanted.enabled,
                "role_claim": wanted.role_claim, "roles": row["role_map"]}  # fmt: skip
        record.audit(conn, actor, "oidc.provider_save", wanted.id, told)
    return get_provider(actor, wanted.id)


def delete_provider(actor: Actor | None, provider_id: str, *, force: bool = False) -> None:
    """Forget a provider, its secret, and that it has vouched for anybody.

    Raises NotFound, and Conflict HAS_PEOPLE where it has and force is not given.
    """
    actor = accounts.require(actor, KEY)
    accounts.require_fresh(actor)
    with db.transaction() as conn:
        before = conn.execute(sa.select(table).where(table.c.id == provider_id).with_for_update()).first()
        if before is None:
            raise NotFound("provider", provider_id)
        _may_replace(conn, actor, before)
        people = conn.scalar(sa.select(sa.func.count()).where(identity.c.provider == provider_id)) or 0
        if people and not force:
            words = f"{people} {'person signs' if people == 1 else 'people sign'} in with it."
            raise Conflict(f"{words} They lose this way in when it is deleted.", code="HAS_PEOPLE")
        conn.execute(table.delete().where(table.c.id == provider_id))
        conn.execute(identity.delete().where(identity.c.provider == provider_id))
        conn.execute(state.delete().where(state.c.provider == provider_id))
        secrets.let_go(_scope(provider_id))
        record.audit(conn, actor, "oidc.provider_delete", provider_id, {"people": people})


def _is_free(conn: sa.Connection, provider_id: str) -> None:
    if conn.execute(sa.select(table.c.id).where(table.c.id == provider_id)).first() is not None:
        raise Conflict(TAKEN)


def roles_to_give(actor: Actor | None) -> list[str]:
    """The roles that the actor can let a provider give."""
    actor = accounts.require(actor, KEY)
    return [role.name for role in accounts.roles_within(actor) if role.name != accounts.OWNER]


def find(provider_id: str) -> Provider | None:
    """A provider as a sign-in needs it, switched off or not."""
    with db.read() as conn:
        row = conn.execute(sa.select(table).where(table.c.id == provider_id)).first()
    return _read(row) if row else None


def current(provider: Provider) -> Provider:
    """The provider with what it says of itself today; what was known is good as long as it says nothing."""
    if ids.now() - provider.fetched < FRESH:
        return provider
    try:
        metadata = discovery.discover(provider.issuer)
    except Invalid:
        return provider
    with db.transaction() as conn:
        values = {"said": dataclasses.asdict(metadata), "fetched": ids.now()}
        conn.execute(table.update().where(table.c.id == provider.id, table.c.issuer == provider.issuer).values(values))
    return dataclasses.replace(provider, metadata=metadata)


def secret_of(provider: Provider) -> str:
    """What proves us to the provider, "" where nothing does; nothing shows it from now on."""
    try:
        value = secrets.held(_scope(provider.id), SECRET)
    except NotFound:
        return ""
    redact.watch(f"{provider.id}/{SECRET}", value)
    return value


def has_secret(actor: Actor | None, provider_id: str) -> bool:
    """Whether one is kept that can be read: another has to be given anew, on the page that asks here."""
    accounts.require(actor, KEY)
    provider = find(provider_id)
    try:
        return provider is not None and bool(secret_of(provider))
    except Conflict:
        return False


def _keep_secret(wanted: Wanted, *, is_new: bool) -> None:
    """Keep a new one; one that was for another issuer is never sent to this one."""
    if wanted.secret:
        secrets.hold(_scope(wanted.id), SECRET, wanted.secret)
        redact.watch(f"{wanted.id}/{SECRET}", wanted.secret)
    elif is_new or wanted.secret == "":
        secrets.let_go(_scope(wanted.id))


def _scope(provider_id: str) -> str:
    return f"oidc:{provider_id}"


def _may_replace(conn: sa.Connection, actor: Actor, before: sa.Row[Any] | None) -> None:
    """Nobody takes over a way in that lets others in with more than they hold themselves."""
    if before is None:
        if (conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0) >= MOST:
            raise Conflict(f"There are {MOST} providers already.")
    elif not accounts.covers(actor.grants, before.ceiling):
        raise Denied("Somebody with more rights than you hold has set this provider up.")


def _check(actor: Actor, wanted: Wanted) -> None:
    """Raise Invalid for what is not of its form, Denied for what the actor can't give."""
    if not _ID.fullmatch(wanted.id):
        raise Invalid("An id has 1 to 63 lower-case letters, digits, _ and -, and begins with no sign.", "id")
    for field, text, most in (("displayName", wanted.name, 80), ("clientId", wanted.client_id, 255)):
        if not 0 < len(text) <= most or not text.isprintable() or text != text.strip():
            raise Invalid(f"{field} has 1 to {most} printable characters.", field)
    if wanted.secret is not None and (len(wanted.secret) > 4000 or not wanted.secret.isprintable()):
        raise Invalid("clientSecret has at most 4,000 printable characters.", "clientSecret")
    if "openid" not in wanted.scopes or len(wanted.scopes) > 30 or not all(map(_SCOPE.fullmatch, wanted.scopes)):
        raise Invalid("scopes are at most 30 words, openid among them.", "scopes")
    if len(wanted.role_claim) > 128 or not wanted.role_claim.isprintable():
        raise Invalid("roleClaim has at most 128 printable characters.", "roleClaim")
    _check_roles(actor, wanted)


def _check_roles(actor: Actor, wanted: Wanted) -> None:
    mapped = wanted.role_map or {}
    if len(mapped) > MOST_MAPPED or any(not 0 < len(value) <= 255 for value in mapped):
        raise Invalid(f"The map has at most {MOST_MAPPED} values of up to 255 characters.", "roleMap")
    named = [("defaultRole", wanted.default_role), *(("roleMap", role) for role in mapped.values())]
    for field, role in named:
        if not accounts.is_role(role):
            raise Invalid(f"There is no role {role[:64]}.", field)
        if role == accounts.OWNER:
            raise Invalid("No provider makes somebody an owner.", field)
        if not accounts.holds(actor.grants, role):
            raise Denied(f"You can give only rights that you hold; {role} has more.")


def _store(conn: sa.Connection, provider_id: str, row: dict[str, Any], *, is_new: bool) -> None:
    if not is_new:
        conn.execute(table.update().where(table.c.id == provider_id).values(row))
        return
    try:
        with conn.begin_nested():
            conn.execute(table.insert(), {**row, "id": provider_id, "created": row["updated"]})
    except sa.exc.IntegrityError:
        raise Conflict("Somebody added a provider with this id meanwhile.") from None


def _row(actor: Actor, wanted: Wanted, metadata: Metadata, now: int) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "issuer": wanted.issuer,
        "client_id": wanted.client_id,
        "scopes": list(wanted.scopes),
        "auto_register": wanted.auto_register,
        "default_role": wanted.default_role,
        "role_claim": wanted.role_claim,
        "role_map": dict(wanted.role_map or {}),
        "enabled": wanted.enabled,
        "ceiling": list(actor.grants),
        "set_by": actor.user,
        "said": dataclasses.asdict(metadata),
        "fetched": now,
        "updated": now,
    }


def _read(row: sa.Row[Any], people: int = 0) -> Provider:
    said: Mapping[str, Any] = row.said
    return Provider(
        id=row.id,
        name=row.name,
        issuer=row.issuer,
        client_id=row.client_id,
        scopes=tuple(row.scopes),
        auto_register=row.auto_register,
        default_role=row.default_role,
        role_claim=row.role_claim,
        role_map=row.role_map,
        enabled=row.enabled,
        ceiling=tuple(row.ceiling),
        set_by=row.set_by,
        metadata=Metadata(**{**said, "algorithms": tuple(said["algorithms"])}),
        fetched=row.fetched,
        created=row.created,
        updated=row.updated,
        people=people,
    )
