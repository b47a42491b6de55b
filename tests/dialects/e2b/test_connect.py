"""Connect's JSON codec: envelopes, proto-JSON, deadlines, and how errors are spelled."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from werkzeug.test import EnvironBuilder

from app.dialects import connect
from app.dialects.connect import Bytes, DeadlineExceeded, Message
from app.dialects.mount import Cabin
from app.errors import (
    Conflict,
    Denied,
    Invalid,
    Limited,
    NoSpace,
    NotFound,
    Problem,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from tests.dialects.e2b.client import envelope, frames


class Sample(Message):
    some_bytes: Bytes = b""
    a_number: int = 0
    a_word: str | None = None


def test_an_envelope_is_flags_length_and_json() -> None:
    assert connect.envelope({"a": "ü"}) == b"\0\0\0\0\x0a" + '{"a":"ü"}'.encode()
    assert connect.last() == b"\2\0\0\0\2{}"
    failed = {"code": "not_found", "message": "none"}
    assert list(frames(iter([connect.envelope([1]) + connect.last(failed)]))) == [(0, [1]), (2, {"error": failed})]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"someBytes": "aGk=", "aNumber": "5"}, (b"hi", 5)),
        ({"some_bytes": "aGk", "a_number": 5}, (b"hi", 5)),
        ({"someBytes": "-_8="}, (b"\xfb\xff", 0)),
        ({"someBytes": None, "aNumber": None, "aWord": None}, (b"", 0)),
        ({"someBytes": "", "unknown": {"field": 1}}, (b"", 0)),
    ],
)
def test_messages_are_proto_json(given: Any, wanted: tuple[bytes, int]) -> None:
    read = connect.parsed(Sample, given)
    assert (read.some_bytes, read.a_number) == wanted


@pytest.mark.parametrize(
    "given", [{"someBytes": "a"}, {"someBytes": "§"}, {"someBytes": 5}, {"aNumber": "x"}, [], None]
)
def test_other_messages_are_refused_in_words(given: Any) -> None:
    with pytest.raises(Invalid):
        connect.parsed(Sample, given)
    with pytest.raises(ValidationError):
        Sample.model_validate(given)


def request_of(app: Cabin, body: bytes, **headers: str) -> Any:
    """A request in hand with this body."""
    builder = EnvironBuilder(method="POST", data=body, headers={"Host": "localhost", **headers})
    environ = builder.get_environ()
    environ["signalcabin.body_limit"] = 1 << 20
    return app.request_context(environ)


def test_messages_come_one_by_one(app: Cabin) -> None:
    with request_of(app, envelope({"a": 1}) + envelope({"b": 2}) + envelope({}, 2) + b"rubbish"):
        assert list(connect.messages(1)) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\0\0", Invalid),
        (b"\0\0\0\0\5{}", Invalid),
        (b"\0\0\0\0\2{]", Invalid),
        (b"\1\0\0\0\2{}", Invalid),
        (b"\0\xff\xff\xff\xff{}", TooLarge),
    ],
)
def test_broken_envelopes_are_refused(app: Cabin, body: bytes, kind: type[Problem]) -> None:
    with request_of(app, body), pytest.raises(kind):
        list(connect.messages(1))


@pytest.mark.parametrize("body", [b"", envelope({}) * 2])
def test_a_servers_stream_is_asked_for_with_one_message(app: Cabin, body: bytes) -> None:
    with request_of(app, body), pytest.raises(Invalid):
        connect.only_message()


@pytest.mark.parametrize(
    ("header", "wanted"), [({}, None), ({"Connect-Timeout-Ms": "1500"}, 1.5), ({"Connect-Timeout-Ms": "0"}, None)]
)
def test_a_deadline_is_in_milliseconds(header: dict[str, str], wanted: float | None) -> None:
    assert connect.timeout_of(EnvironBuilder(headers=header).get_request()) == wanted


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "12345678901", "٣"])
def test_other_deadlines_are_refused(text: str) -> None:
    builder = EnvironBuilder(headers={})
    builder.headers["Connect-Timeout-Ms"] = text
    with pytest.raises(Invalid):
        connect.timeout_of(builder.get_request())


@pytest.mark.parametrize(("text", "wanted"), [("50", 50.0), ("0", 1.0), ("", 90.0), ("x", 90.0)])
def test_signs_of_life_come_as_often_as_the_client_wants(text: str, wanted: float) -> None:
    headers = {"Keepalive-Ping-Interval": text} if text else {}
    assert connect.keepalive_of(EnvironBuilder(headers=headers).get_request()) == wanted


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        (Invalid("x"), 400, "invalid_argument"),
        (Unauthenticated(), 401, "unauthenticated"),
        (Denied("x"), 403, "permission_denied"),
        (NotFound("file"), 404, "not_found"),
        (Conflict("x"), 409, "already_exists"),
        (TooLarge("x"), 429, "resource_exhausted"),
        (Limited("x", 5), 429, "resource_exhausted"),
        (NoSpace("x"), 429, "resource_exhausted"),
        (Unavailable("x"), 503, "unavailable"),
        (DeadlineExceeded("x"), 504, "deadline_exceeded"),
        (UnsupportedMedia("x"), 415, "unimplemented"),
        (Problem("x"), 500, "internal"),
    ],
)
def test_errors_have_connects_codes(app: Cabin, problem: Problem, status: int, code: str) -> None:
    with request_of(app, b""):
        answer = connect.refusal(problem, is_stream=False)
        assert (answer.status_code, answer.get_json()["code"]) == (status, code)
        assert answer.get_json()["message"] == problem.message
        stream = connect.refusal(problem, is_stream=True)
    if status in (401, 415):
        assert stream.status_code == status
    else:
        assert stream.status_code == 200
        [(flags, last)] = frames(iter([stream.get_data()]))
        assert (flags, last["error"]["code"]) == (2, code)
