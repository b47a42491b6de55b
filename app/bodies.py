"""Bodies that are read as they come: each piece when it is there, not when a buffer is full.

gunicorn's body object waits until it has as much as it was asked for. What stands behind it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import ParseException

from app.errors import Invalid, TooLarge
from app.guard import BODY_LIMIT, TOO_LARGE, CountedBody
from app.pace import PacedReader

PIECE = 64 * 1024


def pieces(environ: dict[str, Any], pause: float) -> Iterator[bytes]:
    """The body of the request in hand, whose client may rest up to `pause` seconds between two pieces.

    Raises TooLarge beyond the limit of its path, TooSlow after a longer rest, Invalid for a broken one.
    """
    limit, length = environ[BODY_LIMIT], 0
    for piece in _read(environ["wsgi.input"], pause):
        length += len(piece)
        if length > limit:
            raise TooLarge(TOO_LARGE)
        yield piece


def _read(given: Any, pause: float) -> Iterator[bytes]:
    body = given.inner if isinstance(given, CountedBody) else given
    reader = body.reader if isinstance(body, Body) else None
    if isinstance(reader, ChunkedReader):
        return _watched(body, _chunked(reader, pause))
    if isinstance(reader, LengthReader):
        return _watched(body, _counted(reader, pause))
    return iter(lambda: given.read(PIECE), b"")


def _watched(body: Body, read: Iterator[bytes]) -> Iterator[bytes]:
    """Tell gunicorn when it can no longer know where the next request begins."""
    body.failed = True
    try:
        yield from read
    except (OSError, ParseException) as error:
        raise Invalid("The body is broken off.") from error
    body.failed = False


def _chunked(reader: ChunkedReader, pause: float) -> Iterator[bytes]:
    _allow(reader.req.unreader, pause)
    while reader.parser:
        try:
            yield next(reader.parser)
        except StopIteration:
            reader.parser = None


def _counted(reader: LengthReader, pause: float) -> Iterator[bytes]:
    _allow(reader.unreader, pause)
    while reader.length:
        data = reader.unreader.read(None, read_ahead=reader.length)
        if not data:
            raise Invalid("The body is broken off.")
        if len(data) > reader.length:
            reader.unreader.unread(data[reader.length :])
            data = data[: reader.length]
        reader.length -= len(data)
        yield data


def _allow(unreader: Any, pause: float) -> None:
    if isinstance(unreader, PacedReader):
        unreader.allow_rests(pause)
