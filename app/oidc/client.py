"""Talking to a provider in its protocol: Authlib's client, with our own way out in place of its."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import quote, urlencode

from authlib.oauth2.auth import ClientAuth, TokenAuth
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client

from app import outbound
from app.errors import Problem
from app.oidc import discovery
from app.oidc.things import BASIC, Metadata, Provider

Sent = tuple[str, dict[str, str], str]


class Unanswered(Exception):
    """The provider gave no token: `is_reached` tells whether it said so itself."""

    def __init__(self, why: str, *, is_reached: bool) -> None:
        super().__init__(why)
        self.is_reached = is_reached


class _WayOut:
    """What Authlib takes for a session of `requests`: one POST, by our rules."""

    def post(self, url: str, data: dict[str, str], headers: dict[str, str], auth: ClientAuth) -> outbound.Response:
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return outbound.request("POST", url, headers=sent, content=body.encode(), bounds=discovery.BOUNDS)


class _Client(OAuth2Client):  # type: ignore[misc]
    client_auth_class = ClientAuth
    token_auth_class = TokenAuth
    oauth_error_class = OAuth2Error
    SESSION_REQUEST_PARAMS = ()


def address(provider: Provider, callback: str, state: str, key: str, *, is_again: bool = False) -> str:
    """Where to send a browser that holds this key; to sign in there anew, whoever is signed in there, if `is_again`."""
    url, _state = _client(provider, "", callback).create_authorization_url(
        provider.metadata.authorization_endpoint,
        state=state,
        code_verifier=verifier(key),
        nonce=nonce(key),
        **({"prompt": "login"} if is_again else {}),
    )
    return str(url)


def redeem(provider: Provider, secret: str, callback: str, code: str, key: str) -> dict[str, Any]:
    """The tokens for a code; raises Unanswered."""
    metadata = provider.metadata
    try:
        found = _client(provider, secret, callback).fetch_token(
            metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier(key)
        )
    except OAuth2Error as problem:
        raise Unanswered(f"it said {str(problem.error)[:100]}", is_reached=True) from problem
    except (outbound.Failed, Problem) as problem:
        raise Unanswered(f"the token endpoint: {type(problem).__name__}", is_reached=False) from problem
    except (ValueError, RecursionError) as problem:
        raise Unanswered("the token endpoint answered with no object in JSON", is_reached=False) from problem
    return dict(found)


def ask_about(metadata: Metadata, access_token: str, subject: str) -> dict[str, Any]:
    """What the provider adds to a token that said little, if it is about the same person; raises Invalid."""
    said = discovery.fetch_json(
        metadata.userinfo_endpoint, "What it says of you", headers={"Authorization": f"Bearer {access_token}"}
    )
    return said if said.get("sub") == subject else {}


def verifier(key: str) -> str:
    """The PKCE verifier of the browser that holds this key, so that no table has it."""
    return _derived(key, b"verifier")


def nonce(key: str) -> str:
    """The nonce of the browser that holds this key."""
    return _derived(key, b"nonce")


def _derived(key: str, purpose: bytes) -> str:
    made = hmac.new(key.encode("utf-8", "backslashreplace"), b"oidc " + purpose, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _client(provider: Provider, secret: str, callback: str) -> _Client:
    made = _Client(
        _WayOut(),
        client_id=provider.client_id,
        client_secret=secret,
        token_endpoint_auth_method=provider.metadata.secret_by if secret else "none",
        scope=" ".join(provider.scopes),
        redirect_uri=callback,
        code_challenge_method="S256",
    )
    made.register_client_auth_method((BASIC, _basic))
    return made


def _basic(client: ClientAuth, _method: str, url: str, headers: dict[str, str], body: str) -> Sent:
    # RFC 6749 2.3.1 has both words form-encoded first, which the library leaves out.
    words = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    return url, {**headers, "Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}, body
