"""No secret passes the redactor, in whatever spelling and however it is cut."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import random
import re
import time
from urllib.parse import quote

import pytest

from app import redact
from app.redact import LogFilter, Redactor

KEY = 'sk-ant/9"Ä\\x+Q&zz=K7\ttail'
SPELLINGS = {
    "plain": KEY,
    "json": json.dumps(KEY)[1:-1],
    "json-utf8": json.dumps(KEY, ensure_ascii=False)[1:-1],
    "url": quote(KEY, safe=""),
    "url-path": quote(KEY),
    "url-lower": re.sub("%..", lambda code: code[0].lower(), quote(KEY, safe="")),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64-bare": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "base64-url": base64.urlsafe_b64encode(KEY.encode()).decode(),
}


def streamed(redactor: Redactor, chunks: list[str]) -> str:
    stream = redactor.stream()
    return "".join([*map(stream.feed, chunks), stream.flush()])


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_it_hides_every_spelling(spelling: str) -> None:
    assert Redactor({"KEY": KEY}).text(f"a {spelling} b") == "a [secret:KEY] b"


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_it_hides_a_secret_cut_at_any_two_places(spelling: str) -> None:
    redactor, text = Redactor({"KEY": KEY}), f"a {spelling} b"
    for first, second in itertools.combinations(range(len(text) + 1), 2):
        assert streamed(redactor, [text[:first], text[first:second], text[second:]]) == "a [secret:KEY] b"
    assert streamed(redactor, list(text)) == "a [secret:KEY] b"


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_it_hides_a_secret_inside_longer_base64(before: str) -> None:
    shown = Redactor({"KEY": KEY}).text(base64.b64encode(f"{before}{KEY}:after".encode()).decode())
    assert "[secret:KEY]" in shown
    assert len(shown) < len(base64.b64encode(f"{before}:after".encode())) + len("[secret:KEY]") + 8


def test_it_hides_the_longer_of_two_secrets_whole() -> None:
    redactor = Redactor({"SHORT": "abcdefgh", "LONG": "abcdefgh-and-more"})
    for cut in range(18):
        text = "abcdefgh-and-more"
        assert streamed(redactor, [text[:cut], text[cut:]]) == "[secret:LONG]"
    assert streamed(redactor, ["abcdefgh", "-and-less"]) == "[secret:SHORT]-and-less"


def test_it_shows_no_secret_of_random_text_in_random_chunks() -> None:
    dice = random.Random(7)
    redactor = Redactor({"A": "aabaabaa", "B": "baabaaba", "C": "abababab"})
    for _ in range(500):
        text = "".join(dice.choice("ab") for _ in range(60))
        chunks, rest = [], text
        while rest:
            size = dice.randint(1, 9)
            chunks.append(rest[:size])
            rest = rest[size:]
        shown = streamed(redactor, chunks)
        assert not any(secret in shown for secret in ("aabaabaa", "baabaaba", "abababab"))


def test_it_lets_short_values_and_other_text_pass() -> None:
    redactor = Redactor({"PIN": "1234567", "EMPTY": "", "KEY": KEY})
    text = "1234567, sk-ant is how they begin; sk-ant/9"
    assert redactor.text(text) == text
    assert streamed(redactor, list(text)) == text


def test_it_holds_back_no_more_than_may_become_a_secret() -> None:
    stream = Redactor({"KEY": "abcdefghij"}).stream()
    assert stream.feed("hello ") == "hello "
    assert stream.feed("abc") == ""
    assert stream.feed("x") == "abcx"
    assert stream.feed("abcdefghi") == ""
    assert stream.flush() == "abcdefghi"
    assert stream.flush() == ""


def test_it_hides_the_lines_of_a_private_key() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n"
    redactor = Redactor({"PEM": key})
    assert redactor.text(f"  {key.splitlines()[1]}") == "  [secret:PEM]"
    assert redactor.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_it_hides_in_nested_data() -> None:
    shown = Redactor({"KEY": KEY}).data({"a": [KEY, 1, None, {KEY: True}], "b": f"x{KEY}"})
    assert shown == {"a": ["[secret:KEY]", 1, None, {"[secret:KEY]": True}], "b": "x[secret:KEY]"}


def test_it_forgets_a_name_and_keeps_old_values_of_others() -> None:
    redactor = Redactor({"KEY": "the-old-value"})
    redactor.watch("KEY", "the-new-value")
    assert redactor.text("the-old-value the-new-value") == "[secret:KEY] [secret:KEY]"
    redactor.forget("KEY")
    assert redactor.text("the-old-value") == "the-old-value"


def test_it_hides_live_values_in_log_lines_and_tracebacks() -> None:
    redact.watch("LOGGED", "live-value-1234")
    try:
        try:
            raise ValueError("bad live-value-1234")
        except ValueError as failure:
            info = (type(failure), failure, failure.__traceback__)
        entry = logging.LogRecord("app", logging.ERROR, "x.py", 1, "used %s", ("live-value-1234",), info)
        entry.stack_info = "Stack: live-value-1234"
        assert LogFilter().filter(entry)
        line = logging.Formatter().format(entry)
        assert line.count("[secret:LOGGED]") >= 3
        assert "live-value-1234" not in line
        assert redact.text("live-value-1234") == redact.data("live-value-1234") == "[secret:LOGGED]"
        assert redact.stream().feed("x live-value-1234.") == "x [secret:LOGGED]."
    finally:
        redact.forget("LOGGED")


def test_it_is_quick_enough_for_every_delta() -> None:
    redactor = Redactor({f"KEY_{n}": f"sk-{n}-{random.Random(n).randbytes(24).hex()}" for n in range(20)})
    stream, began = redactor.stream(), time.process_time()
    for _ in range(1000):
        stream.feed("a few words ")
    assert time.process_time() - began < 10


def test_it_learns_many_values_one_by_one_quickly() -> None:
    redactor, began = Redactor(), time.process_time()
    for n in range(600):
        redactor.watch(f"KEY_{n}", f"sk-{n}-{random.Random(n).randbytes(24).hex()}")
    assert redactor.text(f"sk-599-{random.Random(599).randbytes(24).hex()}") == "[secret:KEY_599]"
    assert time.process_time() - began < 20


def test_it_is_quick_enough_for_every_delta_of_a_full_vault() -> None:
    redactor = Redactor({f"KEY_{n}": random.Random(n).randbytes(32).hex() for n in range(300)})
    pieces = [f"{random.Random(n).randbytes(2).hex()} " for n in range(1, 40_000)]
    assert streamed(redactor, pieces) == "".join(pieces)  # hex, as the values are: any end may become one
    began = time.process_time()
    streamed(redactor, pieces)
    assert time.process_time() - began < 10
