"""Bounds: how far a call out may go in time and size, and by which rules; app.outbound takes them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from app.gate import Gate, Resolve


@dataclass(frozen=True)
class Bounds:
    """How long (seconds) and how much (bytes, counted unpacked) an answer may take; None is no bound.

    Total covers all redirects and the body; first_byte is the wait for the headers.
    """

    connect: float = 10
    first_byte: float = 10
    between_bytes: float = 10
    total: float | None = 10
    size: int | None = 5 * 1024 * 1024
    redirects: int = 0


@dataclass(frozen=True)
class Rules:
    """What a test or a setting may change about the gate.

    http lets plain http out to the open internet; allow replaces the configured allowlist;
    resolve(host, port) gives the addresses of a host as text and is asked once per connection; tls replaces
    the certificates.
    """

    http: bool = False
    allow: tuple[str, ...] | None = None
    resolve: Resolve | None = None
    tls: ssl.SSLContext | None = None

    def gate(self) -> Gate:
        """The gate these rules make with the configuration in use."""
        return Gate.build(self.http, self.allow, self.resolve)
