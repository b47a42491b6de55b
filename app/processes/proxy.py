"""One connection of a command to its proxy: its request read and judged, then bytes carried both ways.

HTTP/1.1 as proxies speak it: `CONNECT host:port` opens a tunnel, `GET http://host/…` (any method) is one request, after
which the connection ends. So every host that is reached was named in a request that was judged.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 10.0
LINGER_SECONDS = 1.0
HEADERS = 100
ANSWER_HEAD_BYTES = 64 * 1024
CHUNK = 64 * 1024
END = b"\r\n\r\n"
NAMES = {400: "Bad Request", 403: "Not Allowed Here", 408: "Request Timeout", 431: "Request Header Too Large",
         502: "Bad Gateway"}  # fmt: skip
# What concerns one leg of the way only, and what would keep a connection for another host open.
OF_ONE_LEG = frozenset((b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"upgrade", b"te"))
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]{1,8192}) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_URL = re.compile(r"http://([^/?#@\\]+)((?:[/?][^#\\]*)?)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([0-9a-z_.-]{1,253}))(?::([0-9]{1,5}))?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
Connect = Callable[["Target"], AbstractContextManager[socket.socket]]


class Refused(Exception):
    """The proxy doesn't do this; `why` says it to who reads the answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True)
class Target:
    """A host (a name in lower case, or an address) and a port; the scheme is https for every tunnel."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Request:
    """What a command asks of its proxy; `head` is what goes on to the host, empty for a tunnel."""

    target: Target
    head: bytes = b""


def answer(client: socket.socket, connect: Connect) -> None:
    """Serve one connection to its end; `connect` opens the way to a host, or raises Refused."""
    try:
        head, rest = read_head(client, HEAD_BYTES, time.monotonic() + HEAD_SECONDS)
        if head:
            _forward(client, parse(head), rest, connect)
    except Refused as refused:
        _refuse(client, refused)


def parse(head: bytes) -> Request:
    """Read a request's head (with its empty line); Refused unless it is plainly one for a proxy."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    words = _LINE.fullmatch(first)
    if words is None:
        raise Refused(400, "This proxy reads HTTP/1.1 requests only.")
    method, what = words[1], words[2].decode("ascii")
    headers = _headers(lines)
    if method == b"CONNECT":
        return Request(_target("https", what, None))
    url = _URL.fullmatch(what)
    if url is None:
        raise Refused(400, "This proxy takes CONNECT host:port, and http:// addresses as a whole.")
    target = _target("http", url[1], 80)
    path = url[2] if url[2].startswith("/") else f"/{url[2]}"
    host = str(target).removesuffix(":80").encode()
    kept = _of_both_legs(headers, also=(b"host",))
    return Request(target, _head(b"%s %s HTTP/1.1" % (method, path.encode()), [(b"Host", host), *kept]))


def read_head(source: socket.socket, most: int, deadline: float | None, begun: bytes = b"") -> tuple[bytes, bytes]:
    """Read up to the empty line; gives the head with it and what came behind it, both empty if nothing came.

    Refused when it is longer, breaks off, or takes longer than the deadline (monotonic).
    """
    data = bytearray(begun)
    while (end := data.find(END)) < 0:
        if len(data) > most:
            raise Refused(431, f"A request's head has at most {most:,} bytes here.")
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise Refused(408, "The request did not come to its end in time.")
        source.settimeout(left)
        try:
            chunk = source.recv(CHUNK)
        except TimeoutError:
            continue
        if not chunk and data:
            raise Refused(400, "The request broke off.")
        if not chunk:
            return b"", b""
        data += chunk
    if end > most:
        raise Refused(431, f"A request's head has at most {most:,} bytes here.")
    return bytes(data[: end + len(END)]), bytes(data[end + len(END) :])


def socket_for(address: str) -> socket.socket:
    """A socket to reach this address with."""
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)


def reaches(made: socket.socket, address: str, port: int, timeout: float) -> bool:
    """Connect it; False if nobody answers there within `timeout` seconds, or if it is shut meanwhile."""
    made.settimeout(timeout)
    try:
        made.connect((address, port))
    except OSError:
        return False
    made.settimeout(None)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return True


def _forward(client: socket.socket, request: Request, rest: bytes, connect: Connect) -> None:
    with connect(request.target) as server:
        client.settimeout(None)
        if request.head:
            _exchange(client, server, request.head + rest)
            return
        client.sendall(b"HTTP/1.1 200 Connection Established" + END)
        server.sendall(rest)
        _carry(client, server)


def _target(scheme: str, authority: str, usual: int | None) -> Target:
    """Read `host:port`; an address must be written as everybody writes it, not as 0x7f.1 or 2130706433."""
    words = _AUTHORITY.fullmatch(authority)
    port = int(words[3] or usual or 0) if words else 0
    if words is None or not 0 < port < 65536:
        raise Refused(400, "The request names no host and port that can be read.")
    host = (words[1] or words[2]).lower().rstrip(".")
    if words[1] or _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            host = str(ipaddress.IPv6Address(host) if words[1] else ipaddress.IPv4Address(host))
        except ValueError:
            raise Refused(400, "The request's address can't be read.") from None
    if not host:
        raise Refused(400, "The request names no host.")
    return Target(scheme, host, port)


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    found = [_HEADER.fullmatch(line) for line in lines]
    if len(lines) > HEADERS or None in found:
        raise Refused(400, "The request's headers can't be read.")
    return [(match[1], match[2]) for match in found if match]


def _of_both_legs(headers: list[tuple[bytes, bytes]], also: Iterable[bytes] = ()) -> list[tuple[bytes, bytes]]:
    named = b",".join(value for name, value in headers if name.lower() == b"connection").lower().split(b",")
    left_out = {*OF_ONE_LEG, *also, *(name.strip() for name in named)} - {b"content-length", b"transfer-encoding"}
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def _head(first: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%s: %s" % header for header in (*headers, (b"Connection", b"close"))]
    return b"\r\n".join([first, *lines]) + END


def _exchange(client: socket.socket, server: socket.socket, request: bytes) -> None:
    """Carry one request and its answer, which tells the client that no other follows."""
    upwards = threading.Thread(target=_copy, args=(client, server), daemon=True)
    try:
        server.sendall(request)
        upwards.start()
        head, rest = read_head(server, ANSWER_HEAD_BYTES, None)
        while head.startswith((b"HTTP/1.0 1", b"HTTP/1.1 1")):
            client.sendall(head)
            head, rest = read_head(server, ANSWER_HEAD_BYTES, None, rest)
        if not head:
            raise Refused(502, "The host hung up.")
        client.sendall(_last(head) + rest)
        _copy(server, client)
    except (Refused, OSError):
        _refuse(client, Refused(502, "The host gave no answer that can be read."))
    finally:
        _end(client, server)
        if upwards.ident is not None:
            upwards.join()


def _last(head: bytes) -> bytes:
    """An answer's head, saying that the connection ends with it."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    pairs = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return _head(first, _of_both_legs(pairs))


def _carry(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until both sides have said all they have to say."""
    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
    back.start()
    _copy(client, server)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        _end(source, sink)  # whoever waits for the other direction must not wait for ever


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _refuse(client: socket.socket, refused: Refused) -> None:
    """Say why; the client may have gone."""
    body = f"{refused.why}\n".encode()
    kind = b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d" % len(body)
    status = f"HTTP/1.1 {refused.status} {NAMES[refused.status]}\r\n".encode()
    with suppress(OSError):
        client.settimeout(HEAD_SECONDS)
        client.sendall(status + kind + b"\r\nConnection: close" + END + body)
        client.shutdown(socket.SHUT_WR)
        _drain(client)


def _drain(client: socket.socket) -> None:
    """Read on for a moment: a connection closed on unread words is reset, and the client may never see the answer."""
    deadline = time.monotonic() + LINGER_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        client.settimeout(left)
        if not client.recv(HEAD_BYTES):
            return
