"""What a request carries to be kept: its body as it is, or the files of a multipart form, never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from flask import request
from gunicorn.http.errors import ParseException
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app import pace
from app.errors import Invalid

CHUNK = 256 * 1024
HELD = 4 * CHUNK  # of a form, in memory: a part's header may be that long
PARTS = 1_000
BROKEN_OFF = "The upload broke off before all of it had come."


class Reading(Protocol):
    """What a body is read from: b"" at its end."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes."""
        ...


class Body:
    """The request's body; `length` in bytes, None where only its end will tell."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input: Reading = environ["wsgi.input"]
        given = environ.get("CONTENT_LENGTH") or ""
        is_open = bool(environ.get("wsgi.input_terminated") and environ.get("HTTP_TRANSFER_ENCODING"))
        self.length = int(given) if given else None if is_open else 0
        self._left = self.length
        self._direct = pace.direct(environ["wsgi.input"])

    def readinto(self, view: memoryview, /) -> int:
        """Read into the view, from the connection itself where that can be; as `read`."""
        if self._direct is None:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        try:
            return self._direct.readinto(view)
        except OSError:
            raise Invalid(BROKEN_OFF) from None

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; raises Invalid for a body that breaks off in the middle of its framing."""
        if self._left is not None:
            size = min(size, self._left)
        if size <= 0:
            return b""
        try:
            data = self._input.read(size)
        except (OSError, ParseException):
            raise Invalid(BROKEN_OFF) from None
        if self._left is not None:
            self._left -= len(data)
        return data


class Part:
    """A file of a form: the field's name, the file's own name, and its content, to be read before the next part."""

    def __init__(self, name: str, filename: str, form: Form) -> None:
        self.name = name
        self.filename = filename
        self._form = form

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; raises Invalid for a form that breaks off."""
        return self._form.read(size)


class Form:
    """The files of a multipart form in their order; fields without a file's name are passed over."""

    def __init__(self, body: Reading, boundary: str) -> None:
        self._body = body
        self._decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), HELD, max_parts=PARTS)
        self._rest = b""
        self._in_part = False

    def __iter__(self) -> Iterator[Part]:
        while True:
            while self._in_part:  # what nobody has read of the last part
                self.read(CHUNK)
            event = self._next()
            if isinstance(event, File):
                self._in_part = True
                yield Part(event.name or "", event.filename or "", self)
            elif isinstance(event, Field):
                self._in_part = True
            elif isinstance(event, Epilogue):
                return

    def read(self, size: int, /) -> bytes:
        """Read on in the part at hand."""
        while not self._rest and self._in_part:
            event = self._next()
            if isinstance(event, Data):
                self._rest, self._in_part = event.data, event.more_data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _next(self) -> Any:
        """The decoder's next event, with as much of the body as it needs."""
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                self._decoder.receive_data(self._body.read(CHUNK) or None)
        except ValueError:  # also what Werkzeug makes of a form without an end
            raise Invalid("The multipart form can't be read.") from None
        return event


def body() -> Body:
    """The body of the request in hand."""
    return Body(request.environ)


def is_form() -> bool:
    """Whether the request carries a multipart form."""
    return request.mimetype == "multipart/form-data"


def files(content: Reading | None = None) -> Iterator[Part]:
    """The files of the request's multipart form, one after the other; raises Invalid.

    `content` is read instead of the body: the same, unpacked.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or len(boundary) > 200:
        raise Invalid("The multipart form names no boundary.")
    return iter(Form(content or body(), boundary))
