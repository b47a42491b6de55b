"""Characters that nobody sees are named on a page, and kept in its forms (THREATS 2.7)."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from app import redact, unseen

UNSEEN = [*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F]
UNSEEN += [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]


@pytest.mark.parametrize("code", UNSEEN, ids=hex)
def test_each_of_them_is_named(code: int) -> None:
    html = f"<p>é{chr(code)}—</p>".encode()
    assert unseen.shown(html).decode() == f"<p>é[U+{code:04X}]—</p>"


def test_what_a_form_holds_is_left() -> None:
    held = '<textarea name="text">a\u202eb</textarea><input value="a\u202eb">'
    assert unseen.shown(f"<b>\x1b</b>{held}".encode()).decode() == f"<b>[U+001B]</b>{held}"


def test_all_other_text_is_left_as_it_is() -> None:
    html = "".join(map(chr, set(range(1, 0x3000)) - set(UNSEEN))).encode()
    assert unseen.shown(html) is html


class TestTheLog:
    """What goes into the log through the filter of its handlers."""

    @pytest.fixture
    def written(self) -> Iterator[io.StringIO]:
        """What a handler with the filter writes of the logger `hostile`."""
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.addFilter(redact.LogFilter())
        logger = logging.getLogger("hostile")
        logger.addHandler(handler)
        yield out
        logger.removeHandler(handler)

    def test_an_entry_is_one_line_of_what_can_be_seen(self, written: io.StringIO) -> None:
        logging.getLogger("hostile").warning("at %s", "a\x1b]52;c;ZXZpbA==\x07\r\n\u202eb\x9b2J\u2028c\td")
        assert written.getvalue() == "at a\\x1b]52;c;ZXZpbA==\\x07\\r\\n\\u202eb\\x9b2J\\u2028c\td\n"

    def test_of_a_traceback_the_lines_stay(self, written: io.StringIO) -> None:
        try:
            raise ValueError("\x1b[2J\u202e")
        except ValueError:
            logging.getLogger("hostile").exception("broken")
        assert written.getvalue().endswith("ValueError: \\x1b[2J\\u202e\n")
        assert len(written.getvalue().splitlines()) > 3
