"""Connect, the protocol of envd's remote calls, in its JSON codec: codes, envelopes, proto-JSON, deadlines.

A unary call is a POST of JSON answered by JSON. A stream is answered by envelopes, each of a byte of flags, four bytes
of length and JSON; the last has flag 2 and says how it ended, so its HTTP status is 200 even when it failed.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, TypeVar

import orjson
from flask import Request, Response, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from app import bodies, web
from app.errors import Invalid, Problem, TooLarge, UnsupportedMedia

UNARY, STREAM = "application/json", "application/connect+json"
COMPRESSED, LAST = 1, 2
LARGEST = 4 << 20  # bytes of one message
PAUSE = 20.0  # seconds that a client may rest in the middle of its one message
KEEPALIVE = 90.0  # seconds between two signs of life, where the client names none
_STATUS = {
    "canceled": 499,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "aborted": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "unauthenticated": 401,
}
_CODES = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    405: "unimplemented",
    408: "deadline_exceeded",
    409: "already_exists",
    413: "resource_exhausted",
    415: "unimplemented",
    429: "resource_exhausted",
    499: "canceled",
    501: "unimplemented",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
    507: "resource_exhausted",
}


class DeadlineExceeded(Problem):
    """The time that the client gave is over."""

    status, code = 504, "deadline_exceeded"


class Message(BaseModel):
    """A message in proto-JSON: lowerCamel or original names, null for what is not set, unknown fields passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


M = TypeVar("M", bound=Message)


def _decoded(given: Any) -> Any:
    """Read base64, of either alphabet, with or without its padding."""
    if isinstance(given, bytes):
        return given
    if not isinstance(given, str):
        raise ValueError("bytes are base64 text")
    text = given.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("this is not base64") from None


Bytes = Annotated[bytes, BeforeValidator(_decoded)]


def encoded(data: bytes) -> str:
    """Return bytes as proto-JSON spells them."""
    return base64.b64encode(data).decode()


def code_of(problem: Problem) -> str:
    """Return the Connect code of a problem."""
    return problem.code if problem.code in _STATUS else _CODES.get(problem.status, "internal")


def error(problem: Problem) -> dict[str, str]:
    """Return a problem as Connect spells it."""
    return {"code": code_of(problem), "message": problem.message}


def refusal(problem: Problem, *, is_stream: bool) -> Response:
    """Return the answer that a call fails with.

    A stream's is 200 with an envelope, except where the call was not taken at all: who has no credentials or another
    codec reads it from the status.
    """
    if is_stream and problem.status not in (401, 415):
        return Response(last(error(problem)), 200, content_type=STREAM)
    status = problem.status if problem.status in (401, 415) else _STATUS[code_of(problem)]
    answer = web.json(error(problem), status, web.problem_headers(problem))
    if problem.status == 415:
        answer.headers["Accept-Post"] = f"{UNARY}, {STREAM}"
    return answer


def envelope(value: Any, flags: int = 0) -> bytes:
    """Return one message of a stream."""
    raw = orjson.dumps(value)
    return struct.pack(">BI", flags, len(raw)) + raw


def last(failure: dict[str, str] | None = None) -> bytes:
    """Return the envelope that ends a stream, well or with a failure."""
    return envelope({"error": failure} if failure else {}, LAST)


def check_type(given: Request, *, is_stream: bool) -> None:
    """Refuse another codec, in words that say which are spoken; raises UnsupportedMedia."""
    wanted = STREAM if is_stream else UNARY
    if given.mimetype != wanted:
        raise UnsupportedMedia(
            f"This call takes Connect's JSON codec, {wanted}; protobuf and gRPC are not spoken here."
        )
    header = "Connect-Content-Encoding" if is_stream else "Content-Encoding"
    if given.headers.get(header, "identity").lower() not in ("", "identity"):
        raise UnsupportedMedia("Messages are taken as they are, without compression.")


def messages(pause: float) -> Iterator[Any]:
    """Yield the messages of the request's envelopes as they come, with at most so many seconds between two pieces.

    Raises Invalid, TooLarge.
    """
    body = _Body(bodies.pieces(request.environ, pause))
    while head := body.read(5):
        if len(head) < 5:
            raise Invalid("The envelope is cut off.")
        flags, size = struct.unpack(">BI", head)
        if size > LARGEST:
            raise TooLarge(f"A message has at most {LARGEST} bytes.")
        raw = body.read(size)
        if len(raw) < size:
            raise Invalid("The message is cut off.")
        if flags & COMPRESSED:
            raise Invalid("Messages are taken as they are, without compression.")
        if flags & LAST:
            return
        yield loads(raw)


def only_message() -> Any:
    """Return the one message that a server's stream is asked for with; raises Invalid."""
    found = list(islice(messages(PAUSE), 2))
    if len(found) != 1:
        raise Invalid(f"This call takes one message, not {len(found)}.")
    return found[0]


def parsed(kind: type[M], given: Any) -> M:
    """Return one of a stream's messages; raises Invalid."""
    try:
        return kind.model_validate(given)
    except ValidationError as failure:
        issue = failure.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(word) for word in issue["loc"])
        raise Invalid(f"{where}: {issue['msg']}" if where else issue["msg"], where or None) from None


def loads(raw: bytes) -> Any:
    """Read a message; raises Invalid."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as failure:
        raise Invalid(f"The message is not valid JSON: {failure.msg} at character {failure.pos}.") from None


def timeout_of(given: Request) -> float | None:
    """Return how long the client waits for the end, in seconds; None for ever. Raises Invalid."""
    text = given.headers.get("Connect-Timeout-Ms", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise Invalid("Connect-Timeout-Ms is a number of milliseconds.")
    return int(text) / 1000 or None


def keepalive_of(given: Request) -> float:
    """Return after how many seconds without a word the client wants a sign of life."""
    text = given.headers.get("Keepalive-Ping-Interval", "")
    return float(max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 6 else KEEPALIVE


class _Body:
    """Pieces that are read in other sizes than they came in."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end only."""
        parts = [self._rest]
        length = len(self._rest)
        while length < size and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            length += len(piece)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]
