"""Whether a key opens a provider, before it is kept: the provider is asked for its models with it."""

from __future__ import annotations

from dataclasses import dataclass

from app import outbound
from app.accounts import service as accounts
from app.actor import Actor
from app.agent.providers import catalog
from app.agent.providers.known import KNOWN, WireName, based
from app.agent.providers.refusal import refusal
from app.errors import Invalid

TEST = outbound.Bounds(connect=5, first_byte=10, between_bytes=10, total=None, size=None)


@dataclass(frozen=True)
class Tested:
    """What a key's test showed, in a sentence, and the models it opens."""

    ok: bool
    message: str
    models: tuple[str, ...] = ()


def test_key(actor: Actor | None, provider: str, base_url: str, key: str) -> Tested:
    """Ask a provider for its models with a key, before it is kept."""
    accounts.require(actor, "secrets:write")
    known = KNOWN.get(provider)
    wire: WireName = known.wire if known else "openai"
    url = based(base_url or (known.base_url if known else ""), wire)
    if not url:
        raise Invalid(f"The base URL of {provider} is not known; give it.", "base_url")
    outbound.check(url)
    try:
        with outbound.trusted(bounds=TEST) as client:
            response = client.get(f"{url}/models", headers=catalog.WIRES[wire].authorization(key))
    except outbound.Failed as broken:
        return Tested(False, f"{url} cannot be reached: {broken}")
    if response.status_code != 200:
        if refusal(response.status_code, catalog.decoded(response)).auth:
            return Tested(False, "The key was refused.")
        return Tested(False, f"The server answered {response.status_code}.")
    names = tuple(catalog.names_in(response, wire))
    return Tested(True, f"The key works; {len(names)} models.", names)


test_key.__test__ = False  # type: ignore[attr-defined]
