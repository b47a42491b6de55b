"""Keys of people's own for model providers: kept in the vault for one person, used by what that person owns.

A key is bound to the address that its provider had when it was given: whoever changes where a provider is does not get
what others keep for it. At another address the server's own key is used, if it may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from app import config, ids
from app.accounts import service as accounts
from app.actor import SYSTEM
from app.agent.providers.known import KNOWN, Entry
from app.errors import NotFound
from app.secrets import service as secrets

# Whose key a call is paid with: the session owner's own, the server's, or nobody's where no key is needed.
Payer = Literal["own", "server", ""]
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class OwnKey:
    """A key or login of a person's, and the address that it is for."""

    login: Mapping[str, Any]
    base_url: str


def packed(login: Mapping[str, Any], base_url: str) -> str:
    """A login as the vault keeps it, bound to an address."""
    return orjson.dumps({**login, "for": base_url}).decode()


def find(user: str, provider: str) -> OwnKey | None:
    """What a person keeps for a provider; None for nothing, and for nobody."""
    if not user or user == SYSTEM.user or not _ID.fullmatch(provider):
        return None
    try:
        data = orjson.loads(secrets.own_value(user, provider))
    except NotFound:
        return None
    return OwnKey(data, str(data.get("for", "")))


def note_use(user: str, provider: str) -> None:
    """A model is asked with it now; one that was removed in this moment is used this once more."""
    with suppress(NotFound):
        secrets.note_own_use(user, provider)


def names(user: str) -> list[str]:
    """The providers that a person keeps a key for."""
    return secrets.own_names(user) if user and user != SYSTEM.user else []


def address_of(provider: str, entry: Entry | None) -> str:
    """Where a person's own key for a provider goes: where people here said that it is, else its own address; "" for
    none. A place that a repository names gets nobody's key.
    """
    if entry is not None and entry.trusted:
        return entry.base_url
    known = KNOWN.get(provider)
    return known.base_url if known else ""


def keyed(entry: Entry | None, provider: str, user: str) -> Entry | None:
    """A provider as this person uses it: with their own key, where they keep one for its address."""
    own = find(user, provider)
    if own is None:
        return entry
    url, key = address_of(provider, entry), key_of(own.login)
    if not key or url != own.base_url:
        return entry
    if entry is not None and entry.trusted:
        # Headers that were set for the server may be its key in another place: they go with the server's key alone.
        return replace(entry, key=key, source="own", headers={})
    known = KNOWN[provider]
    return Entry(provider, known.name, "own", url, key, wire=known.wire)


def key_of(kept: Mapping[str, Any]) -> str | None:
    """What opens the provider: its key, its token, or a login's access token until it expires."""
    if kept.get("type") == "oauth":
        expires = kept.get("expires")
        return kept.get("access") if not expires or expires > ids.now() else None
    return (kept.get("token") if kept.get("type") == "wellknown" else kept.get("key")) or None


def payer_of(entry: Entry | None) -> Payer:
    """Whose key a provider is asked with."""
    if entry is None or not (entry.key or entry.headers):
        return ""
    return "own" if entry.source == "own" else "server"


def may_use(entry: Entry, user: str) -> bool:
    """Whether this person's sessions may ask a provider: by their own key, or the server's where that is for them."""
    if config.current().server_keys == "everyone" or user == SYSTEM.user or payer_of(entry) != "server":
        return True
    person = accounts.acting_for(user, "system")
    return person is not None and "*" in person.grants
