"""What the vault holds of a remote server's sign-in: the client that we are there, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from app import config, db, redact
from app.errors import NotFound
from app.mcp.things import OAuth, Server
from app.secrets import service as secrets

CONFIGURED, CLIENT, TOKENS = "configured", "client", "tokens"
CALLBACK = "/mcp-servers/callback"


@dataclass(frozen=True)
class Keys:
    """A server's place in the vault; every method may wait for the database."""

    server_id: str
    server: str
    url: str

    @classmethod
    def of(cls, server: Server) -> Keys:
        """Those of a server."""
        return cls(server.id, server.name, server.target[0])

    def configure(self, oauth: OAuth) -> None:
        """Keep how it is signed in to, in the open transaction."""
        if oauth != OAuth():
            self.hold(CONFIGURED, vars(oauth))

    @property
    def oauth(self) -> OAuth:
        """How it is signed in to."""
        return OAuth(**(self.held(CONFIGURED) or {}))

    def hold(self, name: str, value: dict[str, Any]) -> None:
        """Keep something in place of what was there."""
        secrets.hold(self._scope(name), name, orjson.dumps(value).decode())
        self._watch(value)

    def held(self, name: str) -> dict[str, Any] | None:
        """What is kept; from now on nothing shows its secrets."""
        try:
            value: dict[str, Any] = orjson.loads(secrets.held(self._scope(name), name))
        except NotFound:
            return None
        self._watch(value)
        return value

    def has_tokens(self) -> bool:
        """Whether somebody has signed in."""
        return self.held(TOKENS) is not None

    def forget(self, *names: str) -> None:
        """Forget these, all without names."""
        with db.transaction():
            for name in names or (CONFIGURED, CLIENT, TOKENS):
                secrets.let_go(self._scope(name))

    def _scope(self, name: str) -> str:
        return f"mcp:{self.server_id}:{name}"

    def _watch(self, value: dict[str, Any]) -> None:
        for name in ("client_secret", "access_token", "refresh_token", "registration_access_token"):
            if secret := value.get(name) or value.get("token", {}).get(name):
                redact.watch(f"{self.server}/{name}", secret)


def callback() -> str:
    """Where somebody who has signed in comes back to."""
    return f"{config.current().url}{CALLBACK}"
