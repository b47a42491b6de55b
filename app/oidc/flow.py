"""A sign-in with a provider: begun for one browser, come back from once, and what it comes to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from app import config, db, ids, record
from app.accounts import service as accounts
from app.accounts.service import User
from app.actor import Actor
from app.errors import Invalid, Limited, NotFound
from app.oidc import claims as people
from app.oidc import discovery, idtokens, providers
from app.oidc.models import state as table
from app.oidc.things import Claims, Provider, Purpose, Refused

LIFE = 10 * 60 * 1000
MOST_PER_ADDRESS = 200
MOST = 10_000
LONGEST = 4000
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Begun:
    """Where to send the browser, and the name and secret of the cookie by which it is known again."""

    url: str
    cookie: str
    key: str


@dataclass(frozen=True)
class Brought:
    """What a browser came back with; `key` is what its cookie for this state holds."""

    state: str
    code: str
    issuer: str | None
    error: str
    key: str
    address: str


@dataclass(frozen=True)
class Pending:
    """A sign-in that is under way."""

    provider: str
    purpose: Purpose
    user_id: str
    going: str


@dataclass(frozen=True)
class Ended:
    """What a sign-in came to: a person for `page` and `api`, for `test` only what was said and the roles it gives;
    `said` is what the claim of roles says.
    """

    pending: Pending
    provider: Provider
    claims: Claims
    person: User | None
    roles: tuple[str, ...]

    @property
    def said(self) -> Any:
        """What the claim of roles says, whatever that is."""
        return people.value_of(self.claims.said, self.provider.role_claim)


def begin(
    provider_id: str,
    address: str,
    *,
    purpose: Purpose = "page",
    going: str = "",
    user_id: str = "",
    is_again: bool = False,
) -> Begun:
    """Begin a sign-in; `going` is where to go on to.

    Who is signed in already and does it again shows who they are: the provider is told not to take it as known.
    Raises NotFound for no such provider or one that is off (but for a test), Limited, Invalid for a target that is not
    ours.
    """
    from app.oidc import client

    provider = providers.find(provider_id)
    if provider is None or not (provider.enabled or purpose == "test"):
        raise NotFound("provider", provider_id)
    if purpose == "api" and going:
        check_target(going)
    provider = providers.current(provider)
    state, key = ids.secret("st"), ids.secret("oidc")
    _keep(state, key, provider, purpose, going, user_id, address)
    url = client.address(provider, providers.callback(), state, key, is_again=is_again)
    return Begun(url, cookie_of(state), key)


def cookie_of(state: str) -> str:
    """The name of the cookie of a sign-in: one each, so that two tabs do not disturb one another."""
    return f"oidc-{accounts.digest(state)[:12]}"


def come_back(brought: Brought, *, user_id: str = "") -> Ended:
    """Finish the sign-in that this state belongs to, once; `user_id` is who is signed in in this browser.

    Raises Refused, which the audit log has under its incident, and Limited.
    """
    accounts.check_pace(brought.address)
    pending: list[Pending] = []
    try:
        return _finish(brought, pending, user_id)
    except Refused as problem:
        note(problem, brought.address, pending[0] if pending else None)
        raise


def exchange(provider_id: str, token: str, address: str) -> User:
    """The person an ID token is about that a client of this provider brings; raises NotFound, Refused, Limited."""
    accounts.check_pace(address)
    provider = providers.find(provider_id)
    if provider is None or not provider.enabled:
        raise NotFound("provider", provider_id)
    try:
        return people.person_of(provider, _claims(provider, token, None, None))
    except Refused as problem:
        note(problem, address, Pending(provider_id, "api", "", ""))
        raise


def check_target(url: str) -> None:
    """Raise Invalid unless a client may be sent back there: our own origin, or this machine at any port."""
    parts = accounts.way_back(url, "redirect_uri")
    own = urlsplit(config.current().url)
    is_own = (parts.scheme, parts.netloc.lower()) == (own.scheme, own.netloc.lower())
    if not is_own and not discovery.is_loopback(parts.hostname or ""):
        raise Invalid("redirect_uri has to be of this server's origin, or of this machine.", "redirect_uri")


def note(problem: Refused, address: str, pending: Pending | None) -> None:
    """Write down that somebody was not let in, and count it against where they come from."""
    provider = problem.provider = pending.provider if pending else ""
    stranger = Actor(id="", kind="user", user="", name="", grants=(), address=address)
    detail = {"reason": problem.reason, "incident": problem.incident, "detail": problem.detail[:200]}
    with db.transaction() as conn:
        record.audit(conn, stranger, "signin.oidc", provider, detail, result="denied")
    accounts.note_failure(address)
    _logger.info("sign-in %s was refused: %s", problem.incident, problem.reason)


def _finish(brought: Brought, told: list[Pending], user_id: str) -> Ended:
    pending, browser = _take(brought.state)
    told.append(pending)
    provider = providers.find(pending.provider)
    if provider is None:
        raise Refused("STATE")
    _check(brought, pending, provider, browser, user_id)
    claims = _redeemed(provider, brought.code, brought.key)
    if pending.purpose == "test":
        return Ended(pending, provider, claims, None, people.roles_of(provider, claims))
    if pending.purpose == "link":
        people.connect(provider, claims, user_id)
    return Ended(pending, provider, claims, people.person_of(provider, claims), ())


def _check(brought: Brought, pending: Pending, provider: Provider, browser: str, user_id: str) -> None:
    if not brought.key or accounts.digest(brought.key) != browser:
        raise Refused("BROWSER", provider.name)
    if pending.purpose in ("test", "link") and pending.user_id != user_id:
        raise Refused("BROWSER", provider.name)
    if not provider.enabled and pending.purpose != "test":
        raise Refused("OFF", provider.name)
    is_silent = brought.issuer is None and not provider.metadata.says_issuer
    if not is_silent and brought.issuer != provider.issuer:
        raise Refused("ISSUER", provider.name)
    if brought.error:
        raise Refused("REFUSED", provider.name, brought.error[:200], brought.error)
    if not brought.code or len(brought.code) > LONGEST:
        raise Refused("NO_CODE", provider.name)


def _redeemed(provider: Provider, code: str, key: str) -> Claims:
    from app.oidc import client

    callback, secret = providers.callback(), providers.secret_of(provider)
    try:
        tokens = client.redeem(provider, secret, callback, code, key)
    except client.Unanswered as problem:
        raise Refused(
            "EXCHANGE" if problem.is_reached else "UNREACHED", provider.name, detail=str(problem)
        ) from problem
    access = tokens.get("access_token")
    return _claims(provider, tokens.get("id_token"), client.nonce(key), access if isinstance(access, str) else None)


def _claims(provider: Provider, token: Any, nonce: str | None, access_token: str | None) -> Claims:
    if not isinstance(token, str):
        raise Refused("TOKEN", provider.name, detail="there is none")
    from app.oidc import client

    metadata = provider.metadata
    try:
        claims = idtokens.read(token, metadata, provider.client_id, nonce=nonce, access_token=access_token)
        more: dict[str, Any] = {}
        if access_token and metadata.userinfo_endpoint and _says_little(provider, claims):
            more = client.ask_about(metadata, access_token, claims["sub"])
    except idtokens.Untrusted as problem:
        raise Refused("TOKEN", provider.name, detail=str(problem)) from problem
    except Invalid as problem:
        raise Refused("UNREACHED", provider.name, detail=problem.message) from problem
    return idtokens.about(claims, more)


def _says_little(provider: Provider, claims: dict[str, Any]) -> bool:
    wanted = ["email", "name", *([provider.role_claim.split(".")[0]] if provider.role_claim else [])]
    return any(name not in claims for name in wanted)


def _keep(state: str, key: str, provider: Provider, purpose: Purpose, going: str, user_id: str, address: str) -> None:
    now = ids.now()
    row = {"hash": accounts.digest(state), "browser": accounts.digest(key), "provider": provider.id}
    with db.transaction() as conn:
        conn.execute(table.delete().where(table.c.expires <= now))
        count = sa.select(sa.func.count()).select_from(table)
        if (conn.scalar(count.where(table.c.address == address)) or 0) >= MOST_PER_ADDRESS or (
            conn.scalar(count) or 0
        ) >= MOST:
            raise Limited("Too many sign-ins are under way; wait a little.", LIFE // 1000, code="AUTH_RATE_LIMITED")
        conn.execute(
            table.insert(),
            {**row, "purpose": purpose, "user_id": user_id, "going": going[:2000], "address": address,
             "expires": now + LIFE},
        )  # fmt: skip


def _take(state: str) -> tuple[Pending, str]:
    """The sign-in of a state, which is gone from then on, and the hash of its browser's key; raises Refused."""
    if not state or len(state) > LONGEST:
        raise Refused("STATE")
    with db.transaction() as conn:
        row = conn.execute(table.delete().where(table.c.hash == accounts.digest(state)).returning(table)).first()
    if row is None or row.expires <= ids.now():
        raise Refused("STATE")
    return Pending(row.provider, row.purpose, row.user_id, row.going), row.browser
