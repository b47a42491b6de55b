"""What a command printed: the last of it, bounded, in pieces that begin and end where a reader may begin and end.

A place in the output is an offset: how many bytes the command had printed before it, ever growing. Output is cut
only between characters and between a terminal's escape sequences, so what is kept, replayed or sent never begins or
ends within one. A sequence beyond `LONGEST` is cut all the same, because it may never end.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 4096
PIECE = 16 * 1024
MOST_PIECES = 4096
# A sequence that has begun and not ended: ESC alone, CSI, one with intermediates, OSC, and DCS, SOS, PM or APC. An
# ESC ends whatever was open before it.
_OPEN = re.compile(
    rb"\x1b(?:|\[[\x00-\x17\x19\x1c-\x3f]*|[\x20-\x2f]+|\][^\x07\x18\x1a\x1b]*|[PX^_][^\x18\x1a\x1b]*)\Z"
)
_CLOSES = re.compile(rb"[\x07\x18\x1a\x1b]")


def boundary(data: bytes) -> int:
    """The last place at or before the end of the data where it may be cut, if it may be cut where it begins."""
    end = _whole_characters(data, len(data))
    while (escape := data.rfind(b"\x1b", 0, end)) >= 0 and _OPEN.match(data, escape, end):
        end = escape  # which may stand within the one before it: ESC \\ ends an OSC
    return end


def _whole_characters(data: bytes, end: int) -> int:
    """The end without a UTF-8 character that has begun and may still become whole."""
    for back in range(1, min(3, end) + 1):
        byte = data[end - back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return end - back if byte <= 0xF4 and needed > back else end
        if byte < 0x80:
            break
    return end


class Cutter:
    """One stream of output as it comes; holds back the sequence or character that has not ended yet."""

    def __init__(self) -> None:
        self._held = b""
        self.inside = False  # a sequence beyond LONGEST goes on

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Take what came; yields pieces and whether each begins within a sequence."""
        data = self._held + data
        start = 0
        while start < len(data):
            piece = data[start : start + PIECE]
            end = boundary(piece)
            if len(piece) - end > LONGEST:
                end = len(piece)
            if end == 0:
                break
            yield piece[:end], self.inside
            self.inside = self._goes_on(piece[:end])
            start += end
        self._held = data[start:]

    def flush(self) -> bytes:
        """The stream has ended: the rest of it."""
        rest, self._held = self._held, b""
        return rest

    def _goes_on(self, piece: bytes) -> bool:
        """Whether a long sequence is still open after this piece."""
        escape = piece.rfind(b"\x1b")
        if escape >= 0:
            return _OPEN.match(piece, escape) is not None
        return self.inside and _CLOSES.search(piece) is None


@dataclass
class _Piece:
    """Bytes of one stream in the ring, at an offset; `inside` marks one that begins within a sequence."""

    offset: int
    stream: str
    data: bytearray
    inside: bool

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class Ring:
    """The last `size` bytes of output; not safe by itself, its command's lock guards it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.end = 0  # the offset of what comes next
        self._pieces: deque[_Piece] = deque()

    @property
    def start(self) -> int:
        """The offset of the first byte that is kept."""
        return self._pieces[0].offset if self._pieces else self.end

    @property
    def opening(self) -> int:
        """Where a new reader may begin: at the first byte that is kept, unless it stands within a sequence."""
        return self._opening_from(self._pieces)

    def add(self, stream: str, data: bytes, inside: bool = False) -> None:
        """Keep a piece, and drop the oldest ones that are too much."""
        last = self._pieces[-1] if self._pieces else None
        joins = last is not None and last.stream == stream and not (inside or last.inside)
        if last is not None and joins and len(last.data) + len(data) <= PIECE:
            last.data += data
        else:
            self._pieces.append(_Piece(self.end, stream, bytearray(data), inside))
        self.end += len(data)
        while self.end - self.start > self.size or len(self._pieces) > MOST_PIECES:
            self._pieces.popleft()

    def read(self, offset: int, most: int) -> tuple[str, bytes]:
        """What stands at an offset that is kept: the stream and up to `most` bytes of it, b"" at the end."""
        pieces = self._from(offset)
        first = next(pieces, None)
        if first is None:
            return "", b""
        data = bytes(first.data[offset - first.offset :])
        if len(data) > most:
            return first.stream, data[: boundary(data[:most]) or most]
        for piece in pieces:
            if piece.stream != first.stream or len(data) + len(piece.data) > most:
                break
            data += piece.data
        return first.stream, data

    def settle(self, offset: int) -> int:
        """Where a reader may begin who wants what comes after an offset: there, or a little before it."""
        offset = min(max(offset, self.start), self.end)
        pieces = list(self._from(offset))
        if not pieces or pieces[0].inside:
            return self._opening_from(pieces)
        return pieces[0].offset + boundary(bytes(pieces[0].data[: offset - pieces[0].offset]))

    def _opening_from(self, pieces: Iterable[_Piece]) -> int:
        return next((piece.offset for piece in pieces if not piece.inside), self.end)

    def _from(self, offset: int) -> Iterator[_Piece]:
        """The pieces from the one that holds the offset; readers are mostly near the end."""
        found = []
        for piece in reversed(self._pieces):
            if piece.end <= offset:
                break
            found.append(piece)
        return reversed(found)
