"""multipart/form-data read as it comes: one part after the other, nothing kept, so files go straight to disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app.errors import Invalid

CHUNK = 256 * 1024
MOST_PARTS = 1_000


class Part:
    """One part: its name, its file name ("" for a plain field), and its bytes, to be read before the next part."""

    def __init__(self, parts: Parts, name: str, filename: str) -> None:
        self.name = name
        self.filename = filename
        self._parts = parts
        self._rest = b""
        self._is_over = False

    def read(self, size: int = -1, /) -> bytes:
        """Read at most so many bytes, all of them below zero; b"" at the end. Raises Invalid for a broken body."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        while not self._rest and not self._is_over:
            self._rest, self._is_over = self._parts.data()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Parts:
    """The parts of a body in their order."""

    def __init__(self, body: IO[bytes], content_type: str) -> None:
        """Raise Invalid for a content type without a boundary."""
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        if not boundary or len(boundary) > 200 or not boundary.isascii():
            raise Invalid("A multipart body has a boundary in its Content-Type.")
        self._body = body
        self._decoder = MultipartDecoder(boundary.encode(), max_parts=MOST_PARTS)
        self._is_done = False

    def __iter__(self) -> Iterator[Part]:
        while True:
            event = self._next()
            if isinstance(event, Epilogue):
                return
            if isinstance(event, Field | File):
                part = Part(self, event.name or "", (event.filename or "") if isinstance(event, File) else "")
                yield part
                while part.read(CHUNK):  # what nobody wanted
                    continue

    def data(self) -> tuple[bytes, bool]:
        """The next bytes of the part in hand, and whether they are its last."""
        event = self._next()
        if not isinstance(event, Data):
            raise Invalid("The multipart body is broken.")
        return bytes(event.data), not event.more_data

    def _next(self) -> object:
        while True:
            try:
                event = self._decoder.next_event()
            except (ValueError, HTTPException) as error:
                raise Invalid("The multipart body is broken, or has too many parts.") from error
            if not isinstance(event, NeedData):
                return event
            if self._is_done:
                raise Invalid("The multipart body ends too early.")
            data = self._body.read(CHUNK)
            self._is_done = not data
            try:
                self._decoder.receive_data(data or None)
            except (ValueError, HTTPException) as error:
                raise Invalid("The multipart body is broken.") from error
