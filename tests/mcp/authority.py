"""A small authorization server, and an MCP server that lets nobody in without its tokens, on one real socket."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.peer import Peer, reply

TOOL = {"name": "whoami", "description": "Says who calls.", "inputSchema": {"type": "object", "properties": {}}}


class Authority(Peer):
    """Registers clients, sends people back with a code, gives and renews tokens; what it was asked is in `log`."""

    def __init__(self) -> None:
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.clients: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.refresh = ""
        self.lives = 3_600
        self.says_issuer = True
        self.token_endpoint = ""
        self.authorization_endpoint = ""
        self.lock = threading.Lock()
        super().__init__(self._answer)

    def consent(self, url: str) -> str:
        """What a person's browser does there: agree, and the address that it is sent back to."""
        parts = urlsplit(url)
        asked = {name: value[0] for name, value in parse_qs(parts.query).items()}
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        assert asked["redirect_uri"] in self.clients[asked["client_id"]]["redirect_uris"]
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.url})}"

    def asked(self, what: str) -> list[dict[str, Any]]:
        """What it was asked of a kind."""
        return [given for kind, given in self.log if kind == what]

    def expire(self) -> None:
        """All tokens that it gave are none any more."""
        self.tokens.clear()

    def _answer(self, visit: Any) -> None:
        body = visit.rfile.read(int(visit.headers.get("Content-Length") or 0))
        path = urlsplit(visit.path).path
        if path.startswith("/.well-known/oauth-protected-resource"):
            self._json(visit, {"resource": f"{self.url}/mcp", "authorization_servers": [self.url]})
        elif path.startswith("/.well-known/oauth-authorization-server"):
            self._json(visit, self._metadata())
        elif path == "/register":
            self._register(visit, json.loads(body))
        elif path == "/token":
            self._token(visit, {name: value[0] for name, value in parse_qs(body.decode()).items()})
        elif path == "/mcp":
            self._mcp(visit, body)
        else:
            reply(visit, 404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": self.authorization_endpoint or f"{self.url}/authorize",
            "token_endpoint": self.token_endpoint or f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.says_issuer,
        }

    def _register(self, visit: Any, given: dict[str, Any]) -> None:
        client = {**given, "client_id": secrets.token_urlsafe(8), "client_secret": secrets.token_urlsafe(24)}
        client["token_endpoint_auth_method"] = "client_secret_post"
        self.clients[client["client_id"]] = client
        self.log.append(("register", given))
        self._json(visit, client, 201)

    def _token(self, visit: Any, given: dict[str, str]) -> None:
        self.log.append(("token", given))
        client = self.clients.get(given.get("client_id", ""), {})
        is_client = client.get("client_secret") in (None, given.get("client_secret"))
        if given["grant_type"] == "authorization_code":
            asked = self.codes.pop(given["code"], {})
            challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest())
            fits = asked.get("code_challenge") == challenge.decode().rstrip("=")
            is_good = fits and asked["redirect_uri"] == given["redirect_uri"] and given["resource"] == f"{self.url}/mcp"
        else:
            is_good = given["refresh_token"] == self.refresh
        if not (client and is_client and is_good):
            self._json(visit, {"error": "invalid_grant"}, 400)
            return
        token, self.refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.tokens.add(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lives}
        self._json(visit, {**answer, "refresh_token": self.refresh})

    def _mcp(self, visit: Any, body: bytes) -> None:
        token = (visit.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            where = f'Bearer resource_metadata="{self.url}/.well-known/oauth-protected-resource/mcp"'
            reply(visit, 401, b"", WWW_Authenticate=where)
            return
        if visit.command != "POST":
            reply(visit, 405)
            return
        asked = json.loads(body)
        self.log.append(("mcp", {"method": asked["method"], "token": token}))
        if "id" not in asked:
            reply(visit, 202)
            return
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": asked.get("params", {}).get("protocolVersion"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "closed", "version": "1"},
            },
            "tools/list": {"tools": [TOOL]},
            "tools/call": {"content": [{"type": "text", "text": f"you came with {token}"}]},
        }
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": results.get(asked["method"], {})}
        self._json(visit, answer)

    def _json(self, visit: Any, value: Any, status: int = 200) -> None:
        reply(visit, status, json.dumps(value).encode(), Content_Type="application/json")
