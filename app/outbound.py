"""Outbound: the one way this server asks other servers for something.

`request` and `client` (and their `_async` twins) take URLs that somebody typed. They ask for the host's
addresses once, check every one of them, and connect to a checked address, so that neither a name, a
redirect nor a second answer of the DNS can lead inside. `trusted` and `trusted_async` call models at base
URLs from the environment or an admin: no checks, no cap, bounded waits. None of them takes proxies or
passwords from the environment. The library is httpx2, which the model SDKs want; its types are named here
so that nobody else imports it before it is wanted: a server that calls nobody does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.bounds import Bounds, Rules
from app.gate import SCHEMES, NotAllowed, check_form

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Client, Response
    from httpx2 import HTTPError as Failed

__all__ = [
    "MODEL",
    "REQUEST",
    "USUAL",
    "AsyncClient",
    "Bounds",
    "Client",
    "Failed",
    "NotAllowed",
    "Response",
    "Rules",
    "check",
    "client",
    "client_async",
    "request",
    "request_async",
    "trusted",
    "trusted_async",
]
MOST_REDIRECTS = 3
REQUEST = Bounds()
MODEL = Bounds(first_byte=60, between_bytes=90, total=None, size=None)
USUAL = Rules()
_TYPES = {"AsyncClient": "AsyncClient", "Client": "Client", "Failed": "HTTPError", "Response": "Response"}


def __getattr__(name: str) -> Any:
    """The library's types, by our names."""
    if name not in _TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import httpx2

    return getattr(httpx2, _TYPES[name])


def request(method: str, url: str, *, bounds: Bounds = REQUEST, rules: Rules = USUAL, **given: Any) -> Response:
    """Ask once and read the whole answer; given is httpx's own (headers, json, content, data, params, auth).

    Raises NotAllowed for the URL or one it redirects to, TooLarge beyond the cap, Failed if nobody answers.
    """
    check(url)
    with client(bounds=bounds, rules=rules) as one:
        return one.request(method, url, **given)


async def request_async(
    method: str, url: str, *, bounds: Bounds = REQUEST, rules: Rules = USUAL, **given: Any
) -> Response:
    """The same for async callers."""
    check(url)
    async with client_async(bounds=bounds, rules=rules) as one:
        return await one.request(method, url, **given)


def client(*, bounds: Bounds = REQUEST, rules: Rules = USUAL, **given: Any) -> Client:
    """A client whose every hop is checked; given is httpx's own (headers, auth, base_url).

    `check` the URLs you give it: one that can't be parsed raises httpx2.InvalidURL, as httpx does.
    """
    import httpx2

    from app.dial import Checked

    transport = Checked(rules, bounds)
    return httpx2.Client(transport=transport, **_settings(bounds), **given)


def client_async(*, bounds: Bounds = REQUEST, rules: Rules = USUAL, **given: Any) -> AsyncClient:
    """The same for async callers, such as MCP and model SDKs with a base URL that a member typed."""
    import httpx2

    from app.dial import CheckedAsync

    transport = CheckedAsync(rules, bounds)
    return httpx2.AsyncClient(transport=transport, **_settings(bounds), **given)


def trusted(bounds: Bounds = MODEL, **given: Any) -> Client:
    """A client for model calls: any target, no redirects, no cap, bounded waits."""
    import httpx2

    from app.dial import Bounded

    return httpx2.Client(transport=Bounded(bounds), **_settings(bounds), **given)


def trusted_async(bounds: Bounds = MODEL, **given: Any) -> AsyncClient:
    """The same for async callers: what http_client of openai, anthropic and pydantic-ai takes."""
    import httpx2

    from app.dial import BoundedAsync

    return httpx2.AsyncClient(transport=BoundedAsync(bounds), **_settings(bounds), **given)


def check(url: str, *, rules: Rules = USUAL, look_up: bool = False) -> None:
    """Refuse a URL before it is stored: its form always, with look_up all that a call would check now."""
    import httpx2

    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        raise NotAllowed("it can't be read") from None
    if "\\" in url or url != url.strip():
        raise NotAllowed("it can't be read")
    check_form(parsed)
    if look_up:
        port = parsed.port or SCHEMES[parsed.scheme]
        rules.gate().addresses(parsed.scheme, parsed.raw_host.decode(), port)


def _settings(bounds: Bounds) -> dict[str, Any]:
    import httpx2

    return {
        "trust_env": False,
        "timeout": httpx2.Timeout(bounds.between_bytes, connect=bounds.connect, read=bounds.first_byte),
        "follow_redirects": bounds.redirects > 0,
        "max_redirects": min(bounds.redirects, MOST_REDIRECTS),
    }
