"""Answers that are files: whole or in ranges, only if changed, and sent without a thread that waits for the client.

Where the porter can take the socket, the system copies from the file to it (sendfile). Small answers, and all under any
other server, are written as usual.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import quote

from flask import Response, g, request
from werkzeug.http import is_resource_modified

from app import carrier, config, streams
from app.errors import Limited

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

SMALL = 256 * 1024
CHUNK = 256 * 1024
TURN = 4 << 20  # bytes that one download may send before the next has its turn
MOST = 1_000
RANGES = 16
ZIPS = 16
_ATTRIBUTE = "!#$&+-.^_`|~"  # what RFC 8187 lets stand, beside letters and digits
_packing = threading.BoundedSemaphore(ZIPS)

Span = tuple[int, int]  # first byte and the one behind the last
Piece = bytes | Span


class Handed(Protocol):
    """A file open for reading; mtime in unix seconds, the ETag quoted."""

    @property
    def file(self) -> BinaryIO:
        """The file; whoever answers with it closes it."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def mtime(self) -> float:
        """When it was changed."""
        ...

    @property
    def etag(self) -> str:
        """What changes when it does."""
        ...

    @property
    def kind(self) -> str:
        """Its media type."""
        ...


def answer(found: Handed) -> Response:
    """The file as the request wants it: 200, 206 with one or several ranges, 304 or 416."""
    g.kind = "download"
    headers = {
        "Content-Disposition": disposition(found.name),
        "ETag": found.etag,
        "Last-Modified": formatdate(found.mtime, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    try:
        if not is_resource_modified(request.environ, found.etag, last_modified=headers["Last-Modified"]):
            return _without(found, Response(status=304, headers=headers))
        spans = _spans(found, headers["Last-Modified"])
        if spans == []:
            headers["Content-Range"] = f"bytes */{found.size}"
            return _without(found, Response(status=416, headers=headers))
        if request.method == "HEAD":
            headers["Content-Length"] = str(found.size)
            return _without(found, Response(headers=headers, content_type=found.kind))
        if spans is None:
            return _File(found.file, [(0, found.size)], 200, headers, found.kind)
        if len(spans) == 1:
            headers["Content-Range"] = _content_range(spans[0], found.size)
            return _File(found.file, list(spans), 206, headers, found.kind)
        boundary = secrets.token_hex(12)
        pieces = list(_parts(spans, found, boundary))
        return _File(found.file, pieces, 206, headers, f"multipart/byteranges; boundary={boundary}")
    except BaseException:
        found.file.close()
        raise


def zipped(name: str, chunks: Iterator[bytes]) -> Response:
    """A folder as a zip that is packed while it is sent; raises Limited while too many are."""
    if not _packing.acquire(blocking=False):
        raise Limited("Too many folders are being packed; try again soon.", 5)
    g.kind = "download"
    response = Response(
        chunks, content_type="application/zip", headers={"Content-Disposition": disposition(f"{name}.zip")}
    )
    response.call_on_close(_once(_packing.release))
    return response


def disposition(name: str) -> str:
    """The header that makes a browser keep a file instead of showing it (RFC 6266)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE)}"


def _once(work: Any) -> Any:
    done = threading.Lock()

    def do() -> None:
        if done.acquire(blocking=False):
            work()

    return do


def _without(found: Handed, response: Response) -> Response:
    found.file.close()
    return response


def _spans(found: Handed, modified: str) -> list[Span] | None:
    """The ranges that are asked for, none of them beyond the end; None for the whole."""
    asked = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    if asked is None or request.method != "GET" or condition not in (None, found.etag, modified):
        return None
    unit, _, words = asked.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    spans: list[Span] = []
    listed = words.split(",")
    for word in listed:
        match = re.fullmatch(r"\s*([0-9]{0,18})-([0-9]{0,18})\s*", word)
        if match is None or match[0].strip() == "-" or len(listed) > RANGES:
            return None
        first, last = match[1], match[2]
        if first and last and int(last) < int(first):
            return None
        begin = int(first) if first else max(0, found.size - int(last))
        end = min(int(last) + 1, found.size) if first and last else found.size
        if begin < end:
            spans.append((begin, end))
    return None if len(spans) > 1 and sum(end - begin for begin, end in spans) > found.size else spans


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span[0]}-{span[1] - 1}/{size}"


def _parts(spans: Iterable[Span], found: Handed, boundary: str) -> Iterator[Piece]:
    """Several ranges in one answer."""
    for span in spans:
        head = f"\r\n--{boundary}\r\nContent-Type: {found.kind}\r\nContent-Range: {_content_range(span, found.size)}"
        yield f"{head}\r\n\r\n".encode()
        yield span
    yield f"\r\n--{boundary}--\r\n".encode()


def _size(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


class _File(Response):
    """Pieces of a file, and what stands between them."""

    def __init__(self, file: BinaryIO, pieces: list[Piece], status: int, headers: dict[str, str], kind: str) -> None:
        self._file = file
        self._pieces = pieces
        self._length = sum(map(_size, pieces))
        super().__init__(_read(file, pieces), status, headers, content_type=kind)
        self.content_length = self._length
        self.call_on_close(file.close)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Hand the socket to the porter, if the answer is large and it can be handed over."""
        porter = carrier.porter()
        is_large = environ["REQUEST_METHOD"] == "GET" and self._length > SMALL
        if porter is None or not is_large or len(porter) >= MOST:
            return super().__call__(environ, start_response)
        taken = carrier.take()
        if taken is None:
            return super().__call__(environ, start_response)
        patience = config.current().client_waits[2]
        parcel = Parcel(porter, taken, self._file, [streams.head(self), *self._pieces], patience)
        porter.carry(parcel, parcel.look, patience / 4)
        raise StopIteration


class Parcel(carrier.Outlet):
    """A file on its way to a client that may be slow; it is given up when nothing was taken for `patience` seconds."""

    def __init__(
        self, porter: carrier.Carrier, sock: socket.socket, file: BinaryIO, pieces: list[Piece], patience: float
    ) -> None:
        super().__init__(porter, sock, file.close)
        self._file = file
        self._pieces = deque(pieces)
        self._patience = patience
        self._moved = time.monotonic()
        self._hears = True

    @property
    def has_unsent(self) -> bool:
        """Whether something is left of it."""
        return bool(self._pieces)

    @property
    def mask(self) -> int:
        """What to wait for; a client that has said its last word may still be reading."""
        return super().mask if self._hears else super().mask & ~carrier.READABLE

    def flush(self) -> None:
        """Send what the client takes, but not so much that others wait."""
        left = TURN
        try:
            while self._pieces and left > 0:
                left -= self._send_first(left)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._pieces:
            self.close()

    def hear(self) -> None:
        """The client said something, which is passed over, or that it will say no more."""
        try:
            self._hears = bool(self._socket.recv(carrier.READ))
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._carrier.watch(self)

    def look(self) -> bytes:
        """Give the client up if it takes nothing."""
        if time.monotonic() - self._moved > self._patience:
            self.close()
        return b""

    def _send_first(self, most: int) -> int:
        piece = self._pieces[0]
        if isinstance(piece, bytes):
            sent = self._socket.send(piece, socket.MSG_MORE)
            rest: Piece = piece[sent:]
        else:
            sent = os.sendfile(self._socket.fileno(), self._file.fileno(), piece[0], min(most, _size(piece)))
            rest = piece[0] + sent, piece[1]
            if sent == 0 and _size(piece):
                raise OSError("the file has become shorter")
        self._moved = time.monotonic()
        if _size(rest):
            self._pieces[0] = rest
        else:
            self._pieces.popleft()
        return max(sent, 1)


def _read(file: BinaryIO, pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The pieces, for a thread that waits for its client."""
    with file:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _read_span(file, *piece)


def _read_span(file: BinaryIO, at: int, end: int) -> Iterator[bytes]:
    while at < end and (data := os.pread(file.fileno(), min(CHUNK, end - at), at)):
        yield data
        at += len(data)
