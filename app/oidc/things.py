"""What OIDC speaks of: providers, what they say of themselves and of people, and why somebody is not let in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app import ids
from app.errors import Problem

SCOPES = ("openid", "email", "profile")
# Signatures that are taken: by key pairs, never by a shared secret.
ALGORITHMS = ("RS256", "ES256")
BASIC, POST = "client_secret_basic", "client_secret_post"
Purpose = Literal["page", "api", "test", "link"]


@dataclass(frozen=True)
class Wanted:
    """How a provider shall be; secret None leaves the stored one, "" is none.

    role_claim names the claim whose values say what somebody is; role_map gives each value its role, and with an empty
    one a value means the role of that name. None leaves the stored one.
    """

    id: str
    name: str
    issuer: str
    client_id: str
    secret: str | None = None
    scopes: tuple[str, ...] = SCOPES
    auto_register: bool = True
    default_role: str = "base"
    role_claim: str = ""
    role_map: Mapping[str, str] | None = None
    enabled: bool = True


@dataclass(frozen=True)
class Metadata:
    """What a provider says of itself, checked: addresses to call, and what it can."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    algorithms: tuple[str, ...] = ALGORITHMS
    secret_by: str = BASIC
    says_issuer: bool = False


@dataclass(frozen=True)
class Provider:
    """A provider as it is; ceiling is what who set it up held, people for how many it has vouched; times in unix ms."""

    id: str
    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    auto_register: bool
    default_role: str
    role_claim: str
    role_map: Mapping[str, str]
    enabled: bool
    ceiling: tuple[str, ...]
    set_by: str
    metadata: Metadata
    fetched: int
    created: int
    updated: int
    people: int = 0


@dataclass(frozen=True)
class Claims:
    """What a provider says of somebody, its signature and purpose checked; all that it said is in `said`.

    `proved` is when they signed in there, in unix ms; None where it does not say.
    """

    issuer: str
    subject: str
    name: str
    email: str
    is_verified: bool
    said: Mapping[str, Any]
    proved: int | None = None


# Why somebody is not let in, in plain words, by a stable code. {name} is the provider's.
WORDS = {
    "STATE": "This sign-in was used already, took longer than ten minutes, or began elsewhere. Begin anew.",
    "BROWSER": "This sign-in began in another browser. Begin anew in this one.",
    "REFUSED": "{name} did not let you in: {said}",
    "ISSUER": "The answer came from another provider than the one you went to. Nothing was taken from it.",
    "NO_CODE": "{name} sent you back without a code. Begin anew.",
    "UNREACHED": "{name} does not answer as it should, so it could not vouch for you. Try again later.",
    "EXCHANGE": "{name} did not take the code it gave you. Begin anew.",
    "TOKEN": "What {name} says of you could not be trusted, so nothing was taken from it.",
    "GONE": "You are no longer a member here. Ask an admin.",
    "KNOWN_EMAIL": "Somebody with this email address is here already. Sign in as before, then connect {name}.",
    "NOT_INVITED": "{name} knows you, but you are not a member here yet. Ask an admin for an invite.",
    "CEILING": "You hold more rights than whoever set {name} up last. An owner has to save it again.",
    "OFF": "{name} is switched off here. Sign in another way.",
    "OTHER_PERSON": "This account at {name} belongs to somebody else here.",
    "UNVERIFIED": "{name} does not confirm that this email address is yours, so it was not connected.",
}
_STATUS = {"NOT_INVITED": 403, "OFF": 404}


class Refused(Problem):
    """Somebody is not let in; `reason` is a key of WORDS, `incident` the id under which the audit log has it.

    `provider` is the id of the provider they went to, "" where that is not known.
    """

    status = 401

    def __init__(self, reason: str, name: str = "The provider", said: str = "", detail: str = "") -> None:
        super().__init__(WORDS[reason].format(name=name, said=said), code=f"OIDC_{reason}")
        self.status = _STATUS.get(reason, 401)
        self.reason = reason
        self.provider = ""
        self.detail = detail
        self.incident = ids.random("inc")
