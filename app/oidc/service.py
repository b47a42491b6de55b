"""The verbs of OIDC, all in one place."""

from __future__ import annotations

from app.oidc.flow import Begun, Brought, Ended, begin, come_back, cookie_of, exchange
from app.oidc.identities import Identity, disconnect, list_identities
from app.oidc.providers import (
    callback,
    check_provider,
    delete_provider,
    get_provider,
    has_secret,
    list_providers,
    offered,
    roles_to_give,
    save_provider,
    vouches_for,
)
from app.oidc.things import SCOPES, Claims, Metadata, Provider, Refused, Wanted

__all__ = [
    "SCOPES",
    "Begun",
    "Brought",
    "Claims",
    "Ended",
    "Identity",
    "Metadata",
    "Provider",
    "Refused",
    "Wanted",
    "begin",
    "callback",
    "check_provider",
    "come_back",
    "cookie_of",
    "delete_provider",
    "disconnect",
    "exchange",
    "get_provider",
    "has_secret",
    "list_identities",
    "list_providers",
    "offered",
    "roles_to_give",
    "save_provider",
    "vouches_for",
]
