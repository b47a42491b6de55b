"""What a provider says of itself, fetched by our way out and checked before anything of it is believed."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import orjson

from app import outbound
from app.errors import Invalid, Problem
from app.oidc.things import ALGORITHMS, BASIC, POST, Metadata

WELL_KNOWN = "/.well-known/openid-configuration"
BOUNDS = outbound.Bounds(connect=5, total=10, size=512 * 1024)
LONGEST = 500
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def discover(issuer: str) -> Metadata:
    """Fetch and check; raises Invalid in plain words for whatever is not as it has to be."""
    check_url(issuer, "issuerUrl")
    said = fetch_json(issuer.rstrip("/") + WELL_KNOWN, "The discovery document")
    if said.get("issuer") != issuer:
        told = said.get("issuer") if isinstance(said.get("issuer"), str) else "nothing"
        raise Invalid(f"It calls itself {str(told)[:200]}, not {issuer}. The two have to be the same.", "issuerUrl")
    for name in _ENDPOINTS:
        check_url(said.get(name), name)
    if said.get("userinfo_endpoint") is not None:
        check_url(said["userinfo_endpoint"], "userinfo_endpoint")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=said["authorization_endpoint"],
        token_endpoint=said["token_endpoint"],
        jwks_uri=said["jwks_uri"],
        userinfo_endpoint=said.get("userinfo_endpoint") or "",
        algorithms=_algorithms(said),
        secret_by=_secret_by(said),
        says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )


def fetch_json(url: str, what: str, **given: Any) -> dict[str, Any]:
    """An object in JSON from a URL; raises Invalid, which says what was wrong with it."""
    try:
        answer = outbound.request("GET", url, bounds=BOUNDS, **given)
    except outbound.NotAllowed as problem:
        hint = "An operator can open a private address by SIGNALCABIN_OUTBOUND_ALLOW."
        raise Invalid(f"{what} is not fetched: {problem.why}. {hint}", "issuerUrl", code=problem.code) from None
    except Problem as problem:
        raise Invalid(f"{what} is too large. {problem.message}", "issuerUrl") from None
    except outbound.Failed as problem:
        raise Invalid(f"{what} did not come: {type(problem).__name__}.", "issuerUrl") from None
    if answer.status_code != 200:
        raise Invalid(f"{what} was answered with status {answer.status_code}.", "issuerUrl")
    try:
        said = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Invalid(f"{what} is not an object in JSON.", "issuerUrl")
    return said


def check_url(url: Any, field: str) -> None:
    """Raise Invalid unless it is an address that we may call or send people to: https, or http on this machine."""
    if not isinstance(url, str) or not 0 < len(url) <= LONGEST or not url.isprintable():
        raise Invalid(f"{field} is not an address.", field)
    outbound.check(url)
    parts = urlsplit(url)
    if parts.fragment or (field == "issuerUrl" and parts.query):
        raise Invalid(f"{field} has a part that it may not have.", field)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise Invalid(f"{field} has to begin with https://.", field)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _algorithms(said: dict[str, Any]) -> tuple[str, ...]:
    told = _words(said, "id_token_signing_alg_values_supported", ("RS256",))
    found = tuple(name for name in ALGORITHMS if name in told)
    if not found:
        raise Invalid("It signs with neither RS256 nor ES256, and nothing else is taken.", "issuerUrl")
    if "code" not in _words(said, "response_types_supported", ("code",)):
        raise Invalid("It does not offer the code flow.", "issuerUrl")
    if "S256" not in _words(said, "code_challenge_methods_supported", ("S256",)):
        raise Invalid("It does not offer PKCE with S256.", "issuerUrl")
    return found


def _secret_by(said: dict[str, Any]) -> str:
    told = _words(said, "token_endpoint_auth_methods_supported", (BASIC,))
    return next((way for way in (BASIC, POST) if way in told), BASIC)


def _words(said: dict[str, Any], name: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    found = said.get(name)
    if found is None:
        return otherwise
    return tuple(word for word in found if isinstance(word, str)) if isinstance(found, list) else ()
