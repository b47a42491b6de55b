"""Proxies that are trusted to say for whom they ask: from nobody else does an X-Forwarded header count."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from app.errors import Invalid

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(words: Iterable[str]) -> tuple[_Network, ...]:
    """The networks that these addresses and networks are; raises Invalid for what is neither."""
    found = []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            told = f"SIGNALCABIN_TRUSTED_PROXIES: {word} is neither an address nor a network."
            raise Invalid(told, "TRUSTED_PROXIES") from None
    return tuple(found)


class Proxies:
    """Puts the client's address, name and scheme in place of a trusted proxy's own."""

    def __init__(self, trusted: tuple[_Network, ...]) -> None:
        self._trusted = trusted

    def see_through(self, environ: dict[str, Any]) -> None:
        """Change what a trusted proxy has said of the request; without one nothing."""
        if not self._trusted or not self._is_trusted(_address(environ.get("REMOTE_ADDR", ""))):
            return
        if client := self._client(environ.get("HTTP_X_FORWARDED_FOR", "")):
            environ["REMOTE_ADDR"] = client
        if host := environ.get("HTTP_X_FORWARDED_HOST"):
            environ["HTTP_HOST"] = host
        scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme

    def _client(self, told: str) -> str:
        """The nearest address that is no proxy of ours: what stands before it anybody can have made up."""
        nearest = ""
        for word in reversed(told.split(",")):
            address = _address(word.strip())
            if address is None:
                break
            nearest = str(address)
            if not self._is_trusted(address):
                break
        return nearest

    def _is_trusted(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
