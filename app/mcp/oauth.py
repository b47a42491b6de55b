"""Signing in to remote servers by OAuth, with the official library's flow over our own way out.

The library registers us, makes the address that a person goes to, checks what comes back, and gets and renews tokens.
All its requests go through the client that it is given, so they are checked as all others are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp_types import LATEST_PROTOCOL_VERSION
from pydantic import AnyUrl

from app import outbound
from app.errors import Conflict, Problem, Unavailable
from app.mcp import keys
from app.mcp.keys import Keys
from app.mcp.things import STEPS
from app.mcp.words import words_of

LONGEST = 600.0  # seconds that somebody may take to sign in
STEP = 30.0
ACCEPT = "application/json, text/event-stream"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": LATEST_PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "signalcabin", "version": "1"},
    },
}


class Storage:
    """The library's tokens and client in the vault, with what is needed to renew the tokens after a restart."""

    def __init__(self, held: Keys) -> None:
        self._keys = held
        self.provider: OAuthClientProvider | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens of the last sign-in."""
        held = await asyncio.to_thread(self._keys.held, keys.TOKENS)
        if held is None or self.provider is None:
            return None
        context = self.provider.context
        context.token_expiry_time = held["until"]
        if held["metadata"]:
            context.oauth_metadata = OAuthMetadata.model_validate(held["metadata"])
        if held["resource"]:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(held["resource"])
        return OAuthToken.model_validate(held["token"])

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep new tokens."""
        assert self.provider is not None
        context = self.provider.context
        metadata, resource = context.oauth_metadata, context.protected_resource_metadata
        held = {
            "token": tokens.model_dump(mode="json", exclude_none=True),
            "until": time.time() + tokens.expires_in if tokens.expires_in else None,
            "metadata": metadata.model_dump(mode="json", exclude_none=True) if metadata else None,
            "resource": resource.model_dump(mode="json", exclude_none=True) if resource else None,
        }
        await asyncio.to_thread(self._keys.hold, keys.TOKENS, held)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The client that was registered, by somebody beforehand or by us."""
        given = await asyncio.to_thread(lambda: self._keys.oauth)
        if given.client_id:
            method = "client_secret_post" if given.client_secret else "none"
            return OAuthClientInformationFull(
                client_id=given.client_id, client_secret=given.client_secret or None,
                redirect_uris=[AnyUrl(keys.callback())], token_endpoint_auth_method=method,
            )  # fmt: skip
        held = await asyncio.to_thread(self._keys.held, keys.CLIENT)
        return OAuthClientInformationFull.model_validate(held) if held else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the client that we became."""
        held = client_info.model_dump(mode="json", exclude_none=True)
        await asyncio.to_thread(self._keys.hold, keys.CLIENT, held)


def usual(held: Keys) -> OAuthClientProvider:
    """What puts the tokens into calls and renews them; where that is not enough, somebody has to sign in again."""

    async def go(_url: str) -> None:
        raise Unavailable("Somebody has to sign in again.")

    async def nobody() -> AuthorizationCodeResult:
        raise Unavailable("Somebody has to sign in again.")

    return _provider(held, go, nobody)


class SignIn:
    """Somebody signing in to a server: begun, waiting for what they bring back, ended. Lives on the loop of `links`."""

    def __init__(self, held: Keys, headers: Mapping[str, str], scope: str, ended: Callable[[], None]) -> None:
        self.state = ""
        self.is_finishing = False
        self._keys = held
        self._headers = headers
        self._scope = scope
        self._ended = ended
        self._task: asyncio.Task[int] | None = None

    async def begin(self) -> str:
        """The address to go to; raises Conflict if the server asks nobody to sign in, Unavailable."""
        loop = asyncio.get_running_loop()
        self._url: asyncio.Future[str] = loop.create_future()
        self._code: asyncio.Future[AuthorizationCodeResult] = loop.create_future()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _task: loop.run_in_executor(None, self._ended))
        waiting: list[asyncio.Future[Any]] = [self._task, self._url]
        await asyncio.wait(waiting, timeout=STEP, return_when=asyncio.FIRST_COMPLETED)
        if self._url.done():
            return self._url.result()
        if not self._task.done():
            await self.drop()
            raise Unavailable(f"It did not say within {STEP:g} s where to sign in.")
        self._check()
        raise Conflict("This server asks nobody to sign in.")

    async def finish(self, code: str, state: str, issuer: str | None) -> None:
        """Bring back what the other side gave; raises Unavailable if that opens nothing."""
        assert self._task is not None
        self.is_finishing = True
        if not self._code.done():
            self._code.set_result(AuthorizationCodeResult(code=code, state=state, iss=issuer))
        await asyncio.wait([self._task], timeout=STEP)
        if not self._task.done():
            await self.drop()
            raise Unavailable(f"It gave no token within {STEP:g} s.")
        self._check()

    async def drop(self) -> None:
        """Give it up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _check(self) -> None:
        assert self._task is not None
        if self._task.cancelled():
            raise Unavailable("The sign-in was given up.")
        wrong = self._task.exception()
        if isinstance(wrong, Problem):
            raise wrong
        if wrong is not None:
            raise Unavailable(f"The sign-in failed: {words_of(wrong) or 'it took too long.'}") from wrong
        if self._task.result() in (401, 403):
            raise Unavailable("It gave a token and then refused it.")

    async def _run(self) -> int:
        """Call the server; the flow comes in between, because it refuses."""
        auth = _provider(self._keys, self._go, self._back)
        given = {**self._headers, "Accept": ACCEPT, "MCP-Protocol-Version": LATEST_PROTOCOL_VERSION}
        outbound.check(self._keys.url)
        async with asyncio.timeout(LONGEST), outbound.client_async(auth=auth) as client:
            # The client counts the answers before the last one as redirects, of which it follows none.
            client.max_redirects = STEPS
            async with client.stream("POST", self._keys.url, json=INITIALIZE, headers=given) as response:
                return int(response.status_code)

    async def _go(self, url: str) -> None:
        # The library puts its question behind whatever the address is, one with a question of its own too.
        address, _, question = url.rpartition("?")
        url = f"{address}&{question}" if "?" in address else url
        # Only what a browser opens as a page, never what it would run.
        outbound.check(url)
        if self._scope:
            parts = urlsplit(url)
            query = dict(parse_qsl(parts.query)) | {"scope": self._scope}
            url = parts._replace(query=urlencode(query)).geturl()
        self.state = parse_qs(urlsplit(url).query)["state"][-1]
        self._url.set_result(url)

    async def _back(self) -> AuthorizationCodeResult:
        return await self._code


def _provider(
    held: Keys,
    go: Callable[[str], Awaitable[None]],
    back: Callable[[], Awaitable[AuthorizationCodeResult]],
) -> OAuthClientProvider:
    storage = Storage(held)
    about: dict[str, Any] = {"client_name": "Signalcabin", "application_type": "web"}
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(keys.callback())], **about)
    storage.provider = OAuthClientProvider(held.url, metadata, storage, redirect_handler=go, callback_handler=back)
    return storage.provider
