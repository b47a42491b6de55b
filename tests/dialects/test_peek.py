"""A body that was looked at is read afterwards as if nobody had."""

from __future__ import annotations

import io
from typing import Any

import pytest

from app.dialects import peek
from app.errors import TooSlow


class Pieces(io.BytesIO):
    """Gives a few bytes at a time, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size) if size is not None and size >= 0 else 7)


class Slow:
    """A client that sends nothing in time."""

    def read(self, _size: int = -1, /) -> bytes:
        raise TooSlow("The body came too slowly.")


def environ(source: Any, **more: Any) -> dict[str, Any]:
    return {"wsgi.input": source, **more}


def read_all(body: Any, size: int) -> bytes:
    found = b""
    while piece := body.read(size):
        found += piece
    return found


@pytest.mark.parametrize("size", [1, 100, 1 << 20, -1])
@pytest.mark.parametrize("length", [0, 10, peek.MOST, peek.MOST + 10])
def test_all_of_it_is_still_there(length: int, size: int) -> None:
    raw = bytes(number % 251 for number in range(length))
    given = environ(Pieces(raw), CONTENT_LENGTH=str(length))
    assert peek.beginning(given) == raw[: peek.MOST]
    assert read_all(given["wsgi.input"], size) == raw


def test_a_body_of_unknown_length_is_looked_at_where_it_has_an_end() -> None:
    ended = environ(Pieces(b'{"email":1}'), **{"wsgi.input_terminated": True})
    assert peek.beginning(ended) == b'{"email":1}'
    endless = environ(Pieces(b"never read"))
    assert peek.beginning(endless) == b""


def test_no_more_is_read_than_belongs_to_the_request() -> None:
    given = environ(Pieces(b"0123456789next request"), CONTENT_LENGTH="10")
    assert peek.beginning(given) == b"0123456789"


def test_what_goes_wrong_goes_wrong_for_who_reads_it() -> None:
    given = environ(Slow(), CONTENT_LENGTH="10")
    assert peek.beginning(given) == b""
    with pytest.raises(TooSlow):
        given["wsgi.input"].read(10)
