"""A small client of envd for tests: unary calls, streams as they come, and the control plane."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from app.accounts import service as accounts
from app.actor import Actor
from app.dialects.mount import Cabin

STREAM = "application/connect+json"
FILES, PROCESS = "/filesystem.Filesystem/", "/process.Process/"


def envelope(value: Any, flags: int = 0) -> bytes:
    """One message of a stream."""
    raw = json.dumps(value).encode()
    return struct.pack(">BI", flags, len(raw)) + raw


def frames(pieces: Iterator[bytes]) -> Iterator[tuple[int, Any]]:
    """Flags and message of each envelope, as they come."""
    held = b""
    for piece in pieces:
        held += piece
        while len(held) >= 5:
            flags, size = struct.unpack(">BI", held[:5])
            if len(held) < 5 + size:
                break
            yield flags, json.loads(held[5 : 5 + size])
            held = held[5 + size :]
    assert held == b"", "an envelope is cut off"


def text(data: str) -> str:
    return base64.b64decode(data).decode()


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


class Running:
    """A stream in hand; closing it hangs up."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self._frames = frames(response.iter_encoded())

    def next(self) -> dict[str, Any]:
        """The next event."""
        flags, message = next(self._frames)
        assert flags == 0, message
        event: dict[str, Any] = message["event"]
        return event

    def until(self, kind: str) -> list[dict[str, Any]]:
        """The events up to the first of a kind, with it."""
        found = [self.next()]
        while kind not in found[-1]:
            found.append(self.next())
        return found

    def rest(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What still comes: the events, and the message of the last envelope."""
        found = list(self._frames)
        flags, last = found.pop()
        assert flags == 2, last
        return [message["event"] for _flags, message in found], last

    def message(self) -> dict[str, Any]:
        """The next message, whatever it holds."""
        flags, message = next(self._frames)
        assert flags == 0, message
        found: dict[str, Any] = message
        return found

    def messages(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The messages that still come, and that of the last envelope."""
        found = list(self._frames)
        flags, last = found.pop()
        assert flags == 2, last
        return [message for _flags, message in found], last

    def close(self) -> None:
        """Hang up."""
        self.response.close()


def printed(events: list[dict[str, Any]], stream: str = "stdout") -> str:
    """What the events say of one stream."""
    return "".join(text(event["data"][stream]) for event in events if stream in event.get("data", {}))


class E2B:
    """Somebody who makes sandboxes."""

    def __init__(self, app: Cabin, actor: Actor) -> None:
        self.app = app
        self.client = app.test_client()
        self.key = accounts.mint_token(actor, f"{actor.name} key", dialect="e2b")[1]

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request of the control plane."""
        given = {"Host": "localhost", "X-API-Key": self.key, **headers}
        more = {"json": body} if body is not None else {}
        return self.client.open(f"/e2b{path}", method=method, headers=given, **more)

    def make(self, template: str = "base", **more: Any) -> Envd:
        """A sandbox."""
        answer = self("POST", "/v2/sandboxes", {"templateID": template, **more})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return Envd(self.app, made["sandboxID"], made["envdAccessToken"])


class Envd:
    """The inside of a sandbox."""

    def __init__(self, app: Cabin, sandbox: str, token: str | None) -> None:
        self.client = app.test_client()
        self.id = sandbox
        self.headers = {"Host": "localhost", "E2b-Sandbox-Id": sandbox}
        if token is not None:
            self.headers["X-Access-Token"] = token

    def __call__(self, method: str, path: str, **more: Any) -> Any:
        """A plain request."""
        headers = {**self.headers, **more.pop("headers", {})}
        return self.client.open(f"/e2b{path}", method=method, headers=headers, **more)

    def call(self, call: str, body: Any = None) -> Any:
        """A unary call."""
        return self("POST", call, json={} if body is None else body)

    def stream(self, call: str, body: Any, **headers: str) -> Running:
        """A stream that goes on."""
        given = {"Connect-Protocol-Version": "1", **headers}
        response = self("POST", call, data=envelope(body), content_type=STREAM, headers=given)
        assert response.status_code == 200, response.text
        assert response.content_type == STREAM
        return Running(response)

    def start(self, *argv: str, timeout: int | None = None, **more: Any) -> Running:
        """A command."""
        headers = {"Connect-Timeout-Ms": str(timeout)} if timeout is not None else {}
        config = {"cmd": argv[0], "args": list(argv[1:]), **more.pop("process", {})}
        return self.stream(f"{PROCESS}Start", {"process": config, "stdin": False, **more}, **headers)

    def run(self, line: str, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """A shell's line to its end."""
        return self.start("/bin/bash", "-l", "-c", line, **more).rest()
