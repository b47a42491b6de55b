"""What a command printed is kept bounded, and cut only where a reader may begin and end."""

from __future__ import annotations

import random
import re

import pytest

from app.processes.ring import LONGEST, PIECE, Cutter, Ring, boundary

WORDS = [
    b"plain text\r\n",
    "grüße, 中文, 🚂".encode(),
    b"\x1b[31mred\x1b[0m",
    b"\x1b[38;2;10;20;30m",
    b"\x1b]0;a title\x07",
    b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
    b"\x1bP1$r0 q\x1b\\",
    b"\x1b_an application's words\x1b\\",
    b"\x1b(B",
    b"\x1bM",
    b"\x1b7\x1b8",
    b"\x1b[?2004h",
    b"\xff\xfe\x80 no UTF-8",
    b"\x1b[12\x18 given up",
]
OPEN = re.compile(rb"\x1b(?:|\[[0-9;?]*|\][^\x07\x1b]*|[PX^_][^\x1b]*|\()\Z")


def printed(seed: int, count: int = 200) -> bytes:
    chosen = random.Random(seed)
    return b"".join(chosen.choice(WORDS) for _ in range(count))


def in_bits(data: bytes, seed: int) -> list[bytes]:
    """The data as reads might bring it."""
    chosen, bits, at = random.Random(seed), [], 0
    while at < len(data):
        size = chosen.choice([1, 1, 2, 3, 7, 50])
        bits.append(data[at : at + size])
        at += size
    return bits


def is_whole(piece: bytes) -> bool:
    """Whether a piece ends neither in a sequence nor in a character (told by another rule than the ring's own)."""
    if OPEN.search(piece):
        return False
    for back in range(1, min(3, len(piece)) + 1):
        tail = piece[-back:]
        if tail[0] in range(0xC2, 0xF5):
            needed = 2 if tail[0] < 0xE0 else 3 if tail[0] < 0xF0 else 4
            return len(tail) >= needed
    return True


@pytest.mark.parametrize("seed", range(30))
def test_every_piece_ends_between_characters_and_sequences_and_nothing_is_lost(seed: int) -> None:
    whole, cutter = printed(seed), Cutter()
    pieces = [piece for bit in in_bits(whole, seed) for piece, _inside in cutter.feed(bit)]
    assert b"".join(pieces) + cutter.flush() == whole
    assert [piece for piece in pieces if not is_whole(piece)] == []
    assert len(pieces) > 100


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_begins_where_a_piece_began(seed: int) -> None:
    whole, cutter, ring = printed(seed, 3000), Cutter(), Ring(20_000)
    for bit in in_bits(whole, seed):
        for piece, inside in cutter.feed(bit):
            ring.add("pty", piece, inside)
    assert 2000 < ring.end - ring.start <= 20_000
    assert is_whole(whole[: ring.start])
    kept, at = b"", ring.start
    while at < ring.end:
        _stream, data = ring.read(at, 700)
        assert is_whole(data)
        kept, at = kept + data, at + len(data)
    assert kept == whole[ring.start : ring.end]


@pytest.mark.parametrize("seed", range(10))
def test_a_reader_that_comes_back_anywhere_begins_between_characters_and_sequences(seed: int) -> None:
    whole, cutter, ring = printed(seed), Cutter(), Ring(1 << 20)
    for piece, inside in cutter.feed(whole):
        ring.add("pty", piece, inside)
    for offset in range(0, ring.end, 7):
        place = ring.settle(offset)
        assert offset - 64 < place <= offset
        assert is_whole(whole[:place])


@pytest.mark.parametrize("end", [b"\x1b", b"\x1b[", b"\x1b[3", b"\x1b]0;title", b"\x1bPq", b"\x1b(", b"\xf0\x9f\x9a"])
def test_an_unfinished_end_is_held_back(end: bytes) -> None:
    assert boundary(b"shown" + end) == 5
    cutter = Cutter()
    assert [piece for piece, _inside in cutter.feed(b"shown" + end)] == [b"shown"]
    assert cutter.flush() == end


@pytest.mark.parametrize(
    "end", [b"\xff", b"\x80", b"\xc3\xa9", b"\xf5", b"\x1b[m", b"\x1b]0;t\x07", b"\x1b\\", b"\xe2\x28"]
)
def test_a_finished_or_broken_end_is_not(end: bytes) -> None:
    assert boundary(b"shown" + end) == 5 + len(end)


def test_a_sequence_that_never_ends_is_let_through_and_never_begins_what_is_kept() -> None:
    cutter, ring = Cutter(), Ring(4 * PIECE)
    for bit in [b"before", b"\x1b]52;c;" + b"A" * 5 * PIECE, b"A" * LONGEST + b"\x07", b"after"]:
        for piece, inside in cutter.feed(bit):
            ring.add("pty", piece, inside)
    _stream, data = ring.read(ring.opening, 1 << 20)
    assert data == b"after"


def test_many_small_pieces_of_two_streams_stay_in_order() -> None:
    ring = Ring(1 << 20)
    for number in range(10_000):
        ring.add("stdout" if number % 2 else "stderr", b"%d\n" % number)
    found, at = [], ring.start
    while at < ring.end:
        stream, data = ring.read(at, 1 << 16)
        found.append((stream, data))
        at += len(data)
    numbers = [int(data) for _stream, data in found]
    assert numbers == list(range(numbers[0], 10_000))
    assert {stream for stream, data in found if int(data) % 2} == {"stdout"}
