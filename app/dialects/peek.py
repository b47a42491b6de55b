"""Looking at the beginning of a request's body before anybody reads it, and putting it back."""

from __future__ import annotations

from typing import Any

from app.errors import Problem

MOST = 64 * 1024


class _Body:
    """A body whose beginning was read already; what went wrong then goes wrong again for who reads it now."""

    def __init__(self, begun: bytes, rest: Any, failure: Problem | None) -> None:
        self._begun = begun
        self._rest = rest
        self._failure = failure

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, all of them below zero."""
        if self._failure is not None:
            raise self._failure
        if size is None or size < 0:
            begun, self._begun = self._begun, b""
            return begun + bytes(self._rest.read())
        if self._begun:
            begun, self._begun = self._begun[:size], self._begun[size:]
            return begun
        return bytes(self._rest.read(size))


def beginning(environ: dict[str, Any]) -> bytes:
    """At most 64 KiB of the body, which stays to be read; b"" of one that came too slowly or is too large."""
    length = environ.get("CONTENT_LENGTH") or ""
    size = min(int(length), MOST) if length.isdigit() else MOST if environ.get("wsgi.input_terminated") else 0
    source, failure, begun = environ["wsgi.input"], None, b""
    try:
        begun = _read(source, size)
    except Problem as problem:
        failure = problem
    environ["wsgi.input"] = _Body(begun, source, failure)
    return begun


def _read(source: Any, size: int) -> bytes:
    pieces: list[bytes] = []
    while size > 0 and (piece := source.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
