"""The wire of the Language Server Protocol: JSON behind a header that says its length in bytes."""

from __future__ import annotations

from typing import IO, Any

import orjson

LONGEST = 32 << 20  # bytes of one message
LONGEST_LINE = 4096
MOST_LINES = 20


class Garbled(Exception):
    """What came is no message of the protocol; nothing behind it can be read."""


def encode(message: dict[str, Any]) -> bytes:
    """A message with its header."""
    body = orjson.dumps(message)
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def read(source: IO[bytes]) -> dict[str, Any] | None:
    """The next message of a buffered source, None at its end; raises Garbled."""
    length = _length(source)
    if length is None:
        return None
    body = source.read(length)
    if len(body) < length:
        return None
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Garbled("a message is no JSON") from None
    if not isinstance(message, dict):
        raise Garbled("a message is no object")
    return message


def _length(source: IO[bytes]) -> int | None:
    length: int | None = None
    for number in range(MOST_LINES):
        line = source.readline(LONGEST_LINE)
        if not line:
            return None
        if not line.endswith(b"\n"):
            raise Garbled("a header's line has no end")
        line = line.strip()
        if not line and number:
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            value = value.strip()
            if not value.isdigit() or len(value) > 9 or int(value) > LONGEST:
                raise Garbled("a message's length is no number, or too large")
            length = int(value)
        elif not value:
            raise Garbled("a header's line has no colon")
    if length is None:
        raise Garbled("a header tells no length")
    return length
