"""Dial: the transports under app.outbound, which check, time and measure whatever goes over them.

The check stands in the dialer, so that what was checked is what is dialled. The host's name stays in the
request, so that SNI, certificate and Host header are those of the URL.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from functools import cache
from typing import Any

import anyio
import httpcore2
import httpx2

from app.bounds import Bounds, Rules
from app.errors import TooLarge
from app.gate import SCHEMES, Gate, check_form

SocketOptions = Iterable[httpcore2.SOCKET_OPTION] | None
UNREACHED = (httpcore2.ConnectError, httpcore2.ConnectTimeout)

_deadline: ContextVar[float | None] = ContextVar("outbound_deadline", default=None)


@cache
def _certificates() -> ssl.SSLContext:
    # The operator's SSL_CERT_FILE counts here: a private authority is why people set it.
    return httpx2.create_ssl_context()


# Time


def _left(deadline: float | None, timeout: float | None) -> float | None:
    """What is left of a timeout before the deadline."""
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("The answer took too long.")
    return left if timeout is None else min(left, timeout)


def _start(request: httpx2.Request, bounds: Bounds) -> float | None:
    """The moment when all hops of this request have to be done; a redirect inherits it."""
    if bounds.total is None:
        return None
    deadline: float = request.extensions.get("deadline") or time.monotonic() + bounds.total
    request.extensions = {**request.extensions, "deadline": deadline}
    return deadline


def _bound(request: httpx2.Request, bounds: Bounds) -> dict[str, float | None]:
    """Set our waits on the request, whatever its caller set; the dict stays in use while the body is read."""
    waits: dict[str, float | None] = {
        "connect": bounds.connect,
        "read": bounds.first_byte,
        "write": bounds.between_bytes,
        "pool": bounds.first_byte,
    }
    request.extensions = {**request.extensions, "timeout": waits}
    return waits


class _Timed(httpcore2.NetworkStream):
    """A connection that ends at its deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float | None) -> None:
        self.stream = stream
        self.deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _left(self.deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, _left(self.deadline, timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self.stream.start_tls(ssl_context, server_hostname, _left(self.deadline, timeout))
        return _Timed(secured, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


class _TimedAsync(httpcore2.AsyncNetworkStream):
    """The same for async callers."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, deadline: float | None) -> None:
        self.stream = stream
        self.deadline = deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the form of httpcore
        return await self.stream.read(max_bytes, _left(self.deadline, timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the form of httpcore
        await self.stream.write(buffer, _left(self.deadline, timeout))

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the form of httpcore
    ) -> httpcore2.AsyncNetworkStream:
        secured = await self.stream.start_tls(ssl_context, server_hostname, _left(self.deadline, timeout))
        return _TimedAsync(secured, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


# Connecting


class _Dialer(httpcore2.SyncBackend):
    def __init__(self, gate: Gate, scheme: str) -> None:
        self.gate = gate
        self.scheme = scheme

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore2.NetworkStream:
        deadline = _deadline.get()
        addresses = self.gate.addresses(self.scheme, host, port)
        for address in addresses[:-1]:
            try:
                wait = _left(deadline, timeout)
                return _Timed(super().connect_tcp(address, port, wait, local_address, socket_options), deadline)
            except UNREACHED:
                continue
        wait = _left(deadline, timeout)
        return _Timed(super().connect_tcp(addresses[-1], port, wait, local_address, socket_options), deadline)


class _DialerAsync(httpcore2.AnyIOBackend):
    def __init__(self, gate: Gate, scheme: str) -> None:
        self.gate = gate
        self.scheme = scheme

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the form of httpcore
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore2.AsyncNetworkStream:
        deadline = _deadline.get()
        addresses = await self._addresses(host, port, _left(deadline, timeout))
        for address in addresses[:-1]:
            try:
                wait = _left(deadline, timeout)
                stream = await super().connect_tcp(address, port, wait, local_address, socket_options)
                return _TimedAsync(stream, deadline)
            except UNREACHED:
                continue
        wait = _left(deadline, timeout)
        stream = await super().connect_tcp(addresses[-1], port, wait, local_address, socket_options)
        return _TimedAsync(stream, deadline)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:  # noqa: ASYNC109 - the form of httpcore
        try:
            with anyio.fail_after(timeout):
                return await anyio.to_thread.run_sync(
                    self.gate.addresses, self.scheme, host, port, abandon_on_cancel=True
                )
        except TimeoutError:
            raise httpcore2.ConnectTimeout("The host's address was not found in time.") from None


def _pool(bounds: Bounds, tls: ssl.SSLContext | None) -> dict[str, Any]:
    # With a total bound every connection serves one request: its deadline is that request's.
    return {
        "ssl_context": tls or _certificates(),
        "max_connections": None,
        "max_keepalive_connections": 20 if bounds.total is None else 0,
        "keepalive_expiry": 30.0,
    }


class Bounded(httpx2.HTTPTransport):
    """httpx's transport with our waits and, if given, our dialer."""

    def __init__(self, bounds: Bounds, dialer: _Dialer | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.bounds = bounds
        self._pool = httpcore2.ConnectionPool(network_backend=dialer, **_pool(bounds, tls))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send with our waits."""
        waits = _bound(request, self.bounds)
        response = super().handle_request(request)
        waits["read"] = self.bounds.between_bytes
        return response


class BoundedAsync(httpx2.AsyncHTTPTransport):
    """The same for async callers."""

    def __init__(self, bounds: Bounds, dialer: _DialerAsync | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.bounds = bounds
        self._pool = httpcore2.AsyncConnectionPool(network_backend=dialer, **_pool(bounds, tls))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send with our waits."""
        waits = _bound(request, self.bounds)
        response = await super().handle_async_request(request)
        waits["read"] = self.bounds.between_bytes
        return response


class Checked(httpx2.BaseTransport):
    """Each hop: its form, its addresses, its time and its size."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        gate = rules.gate()
        self.bounds = bounds
        self.by_scheme = {scheme: Bounded(bounds, _Dialer(gate, scheme), rules.tls) for scheme in SCHEMES}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send if the gate lets it; NotAllowed, TooLarge or an httpx2.HTTPError otherwise."""
        check_form(request.url)
        _ask_unpacked(request, self.bounds)
        token = _deadline.set(_start(request, self.bounds))
        try:
            response = self.by_scheme[request.url.scheme].handle_request(request)
        finally:
            _deadline.reset(token)
        return _measured(response, self.bounds)

    def close(self) -> None:
        """Close the connections of both schemes."""
        for transport in self.by_scheme.values():
            transport.close()


class CheckedAsync(httpx2.AsyncBaseTransport):
    """The same for async callers."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        gate = rules.gate()
        self.bounds = bounds
        self.by_scheme = {s: BoundedAsync(bounds, _DialerAsync(gate, s), rules.tls) for s in SCHEMES}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send if the gate lets it; fails as the other does."""
        check_form(request.url)
        _ask_unpacked(request, self.bounds)
        token = _deadline.set(_start(request, self.bounds))
        try:
            response = await self.by_scheme[request.url.scheme].handle_async_request(request)
        finally:
            _deadline.reset(token)
        return _measured(response, self.bounds)

    async def aclose(self) -> None:
        """Close the connections of both schemes."""
        for transport in self.by_scheme.values():
            await transport.aclose()


# Size


def _ask_unpacked(request: httpx2.Request, bounds: Bounds) -> None:
    if bounds.size is not None:
        request.headers["Accept-Encoding"] = "gzip"  # the one packing that the meter opens


def _measured(response: httpx2.Response, bounds: Bounds) -> httpx2.Response:
    """Put a meter between the wire and httpx, which would unpack a bomb before anybody counts."""
    if bounds.size is not None:
        meter = _Meter(bounds.size, response.headers)
        response.stream = _Body(response.stream, meter)
    return response


class _Meter:
    """Unpacks and counts what comes in; TooLarge beyond the size."""

    def __init__(self, size: int, headers: MutableMapping[str, str]) -> None:
        self.size = self.left = size
        packing = headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip", "x-gzip"):
            raise httpx2.DecodingError(f"The answer is packed as {packing}, which was not asked for.")
        self.unpack = None if packing == "identity" else zlib.decompressobj(wbits=31)
        if self.unpack:
            del headers["content-encoding"]
            headers.pop("content-length", None)

    def take(self, chunk: bytes) -> bytes:
        if self.unpack:
            try:
                chunk = self.unpack.decompress(chunk, self.left + 1)
            except zlib.error:
                raise httpx2.DecodingError("The answer is not the gzip it says it is.") from None
        self.left -= len(chunk)
        if self.left < 0:
            raise TooLarge(f"The answer is larger than {self.size:,} bytes.")
        return chunk


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A metered body; sync or async as the one inside."""

    def __init__(self, inner: Any, meter: _Meter) -> None:
        self.inner = inner
        self.meter = meter

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.inner:
            yield self.meter.take(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.inner:
            yield self.meter.take(chunk)

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()
