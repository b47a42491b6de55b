"""A small OIDC provider on a real socket that can be told to do each thing wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from app import ids
from tests.peer import Peer, reply

CLIENT, SECRET = "cabin", "s3cret/with:signs"
Twist = Callable[[dict[str, Any]], None]


class Issuer(Peer):
    """It lets everybody in as `person`; `twist` changes the claims, `sign` the token, `discovery` what it says of itself."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.published = [self.key.as_dict(private=False)]
        self.person: dict[str, Any] = {
            "sub": "mei-1",
            "email": "mei@example.com",
            "email_verified": True,
            "name": "Mei",
        }
        self.discovery: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.twist: Twist = lambda _claims: None
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.asked: list[dict[str, str]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.instead: Callable[[Any], None] | None = None
        self.lock = threading.Lock()
        super().__init__(self._answer)

    @property
    def issuer(self) -> str:
        """What it calls itself."""
        return self.url

    def consent(self, url: str, **more: str) -> str:
        """What a browser does there: the address that it is sent back to. `more` goes into that address."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        asked = {name: value[0] for name, value in parse_qs(parts.query).items()}
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.issuer} | more
        return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in back.items() if value})}"

    def claims(self, nonce: str | None = None) -> dict[str, Any]:
        """What a good token holds."""
        now = ids.now() // 1000
        made = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **self.person}
        return made | ({"nonce": nonce} if nonce else {})

    def signed(self, claims: dict[str, Any], key: Any = None, **header: Any) -> str:
        """A token, by RS256 with the first key unless told otherwise."""
        head = {"alg": "RS256", "kid": "k1"} | header
        key = key or self.key
        return jws.serialize_compact(head, json.dumps(claims), key, algorithms=[head["alg"]])

    def unsigned(self, claims: dict[str, Any]) -> str:
        """A token that says it needs no signature."""
        return f"{segment({'alg': 'none', 'kid': 'k1'})}.{segment(claims)}."

    def signed_with_public_key(self, claims: dict[str, Any]) -> str:
        """A token signed by HS256 with what everybody knows."""
        words = f"{segment({'alg': 'HS256', 'kid': 'k1'})}.{segment(claims)}"
        made = hmac.new(self.key.as_pem(private=False), words.encode(), hashlib.sha256).digest()
        return f"{words}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is published no more."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})
        self.published = [self.key.as_dict(private=False)]
        self.sign = lambda claims: self.signed(claims, kid=self.key.kid)

    def use_curve(self) -> None:
        """Sign by ES256."""
        key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
        self.published = [key.as_dict(private=False)]
        self.sign = lambda claims: self.signed(claims, key, alg="ES256", kid="ec")

    def fetched(self, path: str) -> int:
        """How often it was asked for a path."""
        return sum(urlsplit(hit).path == path for hit in self.hits)

    def _answer(self, visit: Any) -> None:
        body = visit.rfile.read(int(visit.headers.get("Content-Length") or 0))
        path = urlsplit(visit.path).path
        if path == "/.well-known/openid-configuration":
            if self.instead is not None:
                self.instead(visit)
            else:
                self._json(visit, self._metadata())
        elif path == "/jwks":
            self._json(visit, {"keys": self.published})
        elif path == "/token":
            self._token(visit, {name: value[0] for name, value in parse_qs(body.decode()).items()})
        elif path == "/userinfo" and self.userinfo is not None:
            self._json(visit, self.userinfo)
        else:
            reply(visit, 404)

    def _metadata(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        if self.userinfo is not None:
            said["userinfo_endpoint"] = f"{self.url}/userinfo"
        return {name: value for name, value in (said | self.discovery).items() if value is not None}

    def _token(self, visit: Any, given: dict[str, str]) -> None:
        self.asked.append({**given, "authorization": visit.headers.get("Authorization") or ""})
        with self.lock:
            asked = self.codes.pop(given["code"], {})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest())
        if (
            asked.get("code_challenge") != challenge.decode().rstrip("=")
            or asked["redirect_uri"] != given["redirect_uri"]
        ):
            self._json(visit, {"error": "invalid_grant"}, 400)
            return
        claims = self.claims(asked["nonce"])
        self.twist(claims)
        token = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 300, "id_token": self.sign(claims)}
        self._json(visit, token)

    def _json(self, visit: Any, value: Any, status: int = 200) -> None:
        reply(visit, status, json.dumps(value).encode(), Content_Type="application/json")


def segment(value: dict[str, Any]) -> str:
    """An object as a token has it."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def half_hash(text: str) -> str:
    """What at_hash is for RS256 and ES256."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()
