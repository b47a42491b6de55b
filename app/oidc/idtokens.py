"""Reading an ID token: nothing of it is believed before its signature, sender, reader and time are right."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from app import ids
from app.oidc import keysets
from app.oidc.things import Claims, Metadata

SKEW = 60
LONGEST = 32 * 1024
LONGEST_HEADER = 4096


class Untrusted(Exception):
    """A token that is not believed, and why: for the audit log, not for whoever brought it."""


def read(
    token: str, metadata: Metadata, client_id: str, *, nonce: str | None = None, access_token: str | None = None
) -> dict[str, Any]:
    """The claims of a token that this provider made for this client now; raises Untrusted.

    With a nonce it has to hold that one; with an access token its at_hash, if it has one, has to fit. Raises
    Invalid where the provider's keys can't be had.
    """
    header, claims = _opened(token, metadata)
    _is_theirs(claims, metadata.issuer)
    _is_for(claims, client_id)
    _is_in_time(claims)
    if nonce is not None and not _is_same(claims.get("nonce"), nonce):
        raise Untrusted("its nonce is another one")
    if access_token is not None and claims.get("at_hash") is not None:
        _is_with(claims["at_hash"], access_token, header["alg"])
    return claims


def about(claims: Mapping[str, Any], more: Mapping[str, Any]) -> Claims:
    """What was said of somebody; `more` is what the provider said when it was asked, which the token overrules."""
    said = {**more, **claims}
    email = said.get("email")
    # The two belong together: what one side says of its address tells nothing about the other's.
    source = claims if "email" in claims else more
    names = (said.get(key) for key in ("name", "preferred_username", "nickname", "email"))
    name = next((word for word in names if isinstance(word, str) and word.strip()), "Somebody")
    return Claims(
        issuer=claims["iss"],
        subject=claims["sub"],
        name=name,
        email=email.strip().lower() if isinstance(email, str) else "",
        is_verified=source.get("email_verified") is True,
        said=said,
        proved=_signed_in(claims.get("auth_time")),
    )


def _signed_in(told: Any) -> int | None:
    """When they signed in there, in unix ms and not after now; None where that is not told."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return int(max(0.0, min(float(told), ids.now() / 1000)) * 1000)


def _opened(token: str, metadata: Metadata) -> tuple[dict[str, Any], dict[str, Any]]:
    from joserfc import jws
    from joserfc.errors import JoseError

    if len(token) > LONGEST or token.count(".") != 2:
        raise Untrusted("it is no signed token")
    registry = jws.JWSRegistry(algorithms=list(metadata.algorithms), strict_check_header=False)
    registry.max_header_length = LONGEST_HEADER
    try:
        taken = jws.extract_compact(token.encode(), registry=registry)
        header = taken.headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in metadata.algorithms:
            raise Untrusted(f"its algorithm {str(algorithm)[:20]} is not taken")
        if kid is not None and not isinstance(kid, str):
            raise Untrusted("its key has no proper name")
        key = keysets.of(metadata.jwks_uri).find(kid, algorithm)
        if key is None:
            raise Untrusted("its key is unknown")
        if not jws.validate_compact(taken, key, registry=registry):
            raise Untrusted("its signature is wrong")
        claims = orjson.loads(taken.payload)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
        raise Untrusted(f"it can't be read: {type(wrong).__name__}") from wrong
    if not isinstance(claims, dict):
        raise Untrusted("it holds no claims")
    return header, claims


def _is_theirs(claims: dict[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise Untrusted("its issuer is another one")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise Untrusted("it names nobody")


def _is_for(claims: dict[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise Untrusted("it is for somebody else")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise Untrusted("it was given to somebody else")


def _is_in_time(claims: dict[str, Any]) -> None:
    now = ids.now() / 1000
    ends, made = _moment(claims, "exp"), _moment(claims, "iat")
    begins = _moment(claims, "nbf") if "nbf" in claims else made
    if now >= ends + SKEW:
        raise Untrusted("its time is over")
    if max(made, begins) > now + SKEW:
        raise Untrusted("its time has not come")


def _moment(claims: dict[str, Any], name: str) -> float:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Untrusted(f"its {name} is no time")
    return float(found)


def _is_with(at_hash: Any, access_token: str, algorithm: str) -> None:
    from authlib.oidc.core.util import create_half_hash

    if not _is_same(at_hash, create_half_hash(access_token, algorithm).decode()):
        raise Untrusted("it does not belong to its access token")


def _is_same(found: Any, wanted: str) -> bool:
    return isinstance(found, str) and hmac.compare_digest(found.encode("utf-8", "replace"), wanted.encode())
