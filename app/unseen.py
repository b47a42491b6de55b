"""Characters that nobody sees and that make text look like another one: named on every page, escaped in the log.

Foreign text may hold terminal sequences and marks that turn the direction of what follows (a command that is not the
one that runs). They are named on the whole page at once, so that no template can forget it. What a form holds is left:
a text must be saved as it was.
"""

from __future__ import annotations

import re

# Most of a page; control characters but tab, line feed and carriage return are no part of it.
_PLAIN = bytes({*range(0x20, 0x7F), 0x09, 0x0A, 0x0D})
# The other control characters; marks and overrides of direction.
_UNSEEN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)
_IN_A_LOG = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_HELD = re.compile(rb'(<textarea\b[^>]*>.*?</textarea>|\bvalue="[^"]*")', re.DOTALL)


def shown(html: bytes) -> bytes:
    """UTF-8 markup of ours with such characters named, `[U+202E]`, but in what forms hold; the same object if none."""
    # What is left without the plain characters is short; none of UTF-8's sequences can come about by that.
    if _UNSEEN.search(html.translate(None, _PLAIN)) is None:
        return html
    pieces = _HELD.split(html)
    return b"".join(piece if i % 2 else _UNSEEN.sub(_name, piece) for i, piece in enumerate(pieces))


def escaped(text: str) -> str:
    r"""A text for a log that is read in a terminal: such characters as `\x1b` and `\u202e`; lines and tabs stay."""
    return _IN_A_LOG.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""The same on one line: nobody writes a second entry into the first."""
    return escaped(text).replace("\n", "\\n")


def _name(match: re.Match[bytes]) -> bytes:
    return f"[U+{ord(match[0].decode()):04X}]".encode()
