"""What accounts announces."""

from __future__ import annotations

from dataclasses import dataclass

from app import record


@dataclass(frozen=True)
class SignedIn(record.Event, kind="accounts.signed_in"):
    """Somebody signed in with a browser."""

    user_id: str
    device_id: str
    address: str


@dataclass(frozen=True)
class PrincipalRevoked(record.Event, kind="accounts.principal_revoked"):
    """A principal lost its rights: every stream and socket it holds must be closed.

    `what` is "user" (principal is a user id: close all that acts for it, tokens too), "token" (a token id)
    or "device" (a user id: one browser signed out, its others simply connect again).
    """

    principal: str
    what: str
    user_id: str


@dataclass(frozen=True)
class RightsChanged(record.Event, kind="accounts.rights_changed"):
    """A person holds more or less than before: what they hold open is judged anew, theirs and that of their tokens.

    Streams and sockets simply end: whoever still may connects again.
    """

    user_id: str


@dataclass(frozen=True)
class TokenMinted(record.Event, kind="accounts.token_minted"):
    """An API token was made."""

    token_id: str
    user_id: str
    name: str
