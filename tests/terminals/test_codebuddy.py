"""CodeBuddy's terminals: the document's own calls, the stream, and the WebSocket with its flow control."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from app.actor import Actor
from app.dialects.mount import Cabin
from app.terminals import seats
from tests.conftest import Caller
from tests.running import TOKEN, Running
from tests.terminals.conftest import PATIENCE, Line, plain, socket_of

NONE = "pty_" + "0" * 26
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "", None), ("GET", "/output", None), ("GET", "/ws", None), ("POST", "/input/send", {"data": "x"}),
    ("POST", "/resize", {"cols": 10, "rows": 10}), ("DELETE", "", None),
]  # fmt: skip


class Feed:
    """The stream of what a terminal shows."""

    opened: ClassVar[list[http.client.HTTPConnection]] = []

    def __init__(self, running: Running, terminal_id: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        self.connection.request("GET", f"/api/v1/pty/{terminal_id}/output", headers=given)
        self.response = self.connection.getresponse()
        self.ids: list[str] = []
        self.opened.append(self.connection)

    def frames(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each event with its data, to the end."""
        event = ""
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                self.ids.append(value)
            elif name == "data":
                yield event, json.loads(value)

    def until(self, words: str) -> str:
        """What it shows, up to and with these words."""
        text = ""
        for event, data in self.frames():
            text += data["data"] if event == "output" else ""
            if words in plain(text):
                return text
        raise AssertionError(f"{words!r} was not shown: {text!r}")


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Close the streams of each test."""
    yield
    while Feed.opened:
        Feed.opened.pop().close()


def test_the_documents_calls_work_as_they_stand(served: Running) -> None:
    status, made = served.call("POST", "/api/v1/pty", {"cols": 120, "rows": 40})
    assert status == 200
    assert set(made["data"]) == {"sessionId", "cols", "rows", "cwd", "shell"}
    assert (made["data"]["cols"], made["data"]["rows"], made["data"]["shell"]) == (120, 40, "bash")
    found = made["data"]["sessionId"]
    _, listed = served.call("GET", "/api/v1/pty")
    row = next(one for one in listed["data"]["sessions"] if one["id"] == found)
    assert {"id", "cols", "rows", "cwd", "createdAt", "shell", "hasClient"} <= set(row)
    assert row["hasClient"] is False
    assert served.call("POST", f"/api/v1/pty/{found}/input/send", {"data": "ls -la\n"}) == (200, {"data": {}})
    assert "README.md" in Feed(served, found).until("README.md")
    assert served.call("POST", f"/api/v1/pty/{found}/resize", {"cols": 200, "rows": 50}) == (200, {"data": {}})
    _, shown = served.call("GET", f"/api/v1/pty/{found}")
    assert set(shown["data"]) == {"sessionId", "cols", "rows", "cwd", "createdAt"}
    assert (shown["data"]["cols"], shown["data"]["rows"]) == (200, 50)
    assert served.call("DELETE", f"/api/v1/pty/{found}")[0] == 204
    status, told = served.call("GET", f"/api/v1/pty/{found}")
    assert (status, told["error"]["code"]) == (404, "TERMINAL_NOT_FOUND")
    assert served.call("DELETE", f"/api/v1/pty/{found}")[0] == 404


def test_a_terminal_without_a_body_has_the_usual_size(served: Running) -> None:
    status, made = served.call("POST", "/api/v1/pty")
    assert (status, made["data"]["cols"], made["data"]["rows"]) == (200, 80, 24)
    assert served.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")[0] == 204


def test_the_directory_is_the_one_it_is_in_now(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.type("cd shop && echo mo''ved\n")
        line.until("moved")
    _, shown = served.call("GET", f"/api/v1/pty/{fresh}")
    assert shown["data"]["cwd"].endswith("/shop/shop")


def test_scratch_and_relative_directories_are_the_places_own(served: Running) -> None:
    for cwd, wanted in (("/tmp", "/tmp"), ("shop", "/shop/shop"), ("~", "/shop"), ("/home/user/shop", "/shop/shop")):
        status, made = served.call("POST", "/api/v1/pty", {"cwd": cwd})
        assert (status, made["data"]["cwd"].endswith(wanted)) == (200, True), made
        served.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")


@pytest.mark.parametrize(
    "body",
    [
        {"cols": "x", "rows": -1}, {"cols": 0}, {"rows": 4097}, {"cols": 80.5}, {"cwd": "/no/such"}, {"cwd": "no-such"},
        {"cwd": "/etc"}, {"cwd": "../.."}, {"cwd": 7}, {"cwd": "a\nb"}, ["cols"],
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_told_and_breaks_nothing(served: Running, body: Any) -> None:
    status, told = served.call("POST", "/api/v1/pty", body)
    assert (status, told["error"]["code"]) == (400, "BAD_REQUEST")
    status, made = served.call("POST", "/api/v1/pty", {})
    assert status == 200
    served.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")


def test_what_is_sent_must_have_its_form(served: Running, fresh: str) -> None:
    for path, body in (
        ("input/send", {}), ("input/send", {"data": 7}), ("resize", {}), ("resize", {"cols": 0, "rows": 0}),
        ("resize", {"cols": "80", "rows": 24}),
    ):  # fmt: skip
        status, told = served.call("POST", f"/api/v1/pty/{fresh}/{path}", body)
        assert (status, told["error"]["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(("method", "rest", "body"), ROUTES, ids=str)
def test_unknown_and_unsigned_are_turned_away(served: Running, method: str, rest: str, body: Any) -> None:
    status, told = served.call(method, f"/api/v1/pty/{NONE}{rest}", body)
    assert (status, told["error"]["code"]) == (404, "TERMINAL_NOT_FOUND")
    status, told = served.call(method, f"/api/v1/pty/{NONE}{rest}", body, Authorization="")
    assert (status, told["error"]["code"]) == (401, "AUTH_REQUIRED")


def test_others_of_the_team_only_watch(app: Cabin, call: Caller, bob: Actor) -> None:
    made = call.post("/api/v1/pty", {}).json["data"]["sessionId"]
    viewer = Caller(app, bob)
    assert viewer.get(f"/api/v1/pty/{made}").status_code == 200
    for path, body in (("/input/send", {"data": "x"}), ("/resize", {"cols": 9, "rows": 9})):
        answer = viewer.post(f"/api/v1/pty/{made}{path}", body)
        assert (answer.status_code, answer.json["error"]["code"]) == (403, "FORBIDDEN")
    assert viewer("DELETE", f"/api/v1/pty/{made}").status_code == 403


def test_the_stream_replays_goes_live_and_says_how_it_ended(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.type("echo be''fore\n")
        line.until("before")
    feed = Feed(served, fresh)
    assert feed.response.getheader("Content-Type", "").startswith("text/event-stream")
    assert "before" in plain(feed.until("before"))
    served.call("POST", f"/api/v1/pty/{fresh}/input/send", {"data": "echo af''ter; exit 3\n"})
    found = list(feed.frames())
    assert "after" in plain("".join(data["data"] for event, data in found if event == "output"))
    assert found[-1] == ("exit", {"code": 3})


def test_who_reads_the_stream_is_a_client_and_there_is_room_for_so_many(
    app: Cabin, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "MOST", 1)
    made = call.post("/api/v1/pty", {}).json["data"]["sessionId"]
    open_one = call.get(f"/api/v1/pty/{made}/output", buffered=False)
    assert call.get("/api/v1/pty").json["data"]["sessions"][0]["hasClient"] is True
    refused = call.get(f"/api/v1/pty/{made}/output")
    assert (refused.status_code, refused.json["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) > 0
    assert call.get(f"/api/v1/pty/{made}/ws").status_code == 429
    open_one.close()
    assert call.get("/api/v1/pty").json["data"]["sessions"][0]["hasClient"] is False


def test_the_stream_goes_on_behind_its_last_id(served: Running, fresh: str) -> None:
    first = Feed(served, fresh)
    served.call("POST", f"/api/v1/pty/{fresh}/input/send", {"data": "echo on''ce\n"})
    first.until("once")
    first.connection.close()
    served.call("POST", f"/api/v1/pty/{fresh}/input/send", {"data": "echo tw''ice\n"})
    second = Feed(served, fresh, **{"Last-Event-ID": first.ids[-1]})
    assert "once" not in plain(second.until("twice"))


def test_the_stream_is_ended_by_delete_with_the_signal(served: Running) -> None:
    _, made = served.call("POST", "/api/v1/pty", {})
    feed = Feed(served, made["data"]["sessionId"])
    feed.until("$")
    served.call("DELETE", f"/api/v1/pty/{made['data']['sessionId']}")
    event, data = list(feed.frames())[-1]
    assert (event, data["code"]) == ("exit", 128 + data["signal"])


def test_the_websocket_speaks_the_messages_of_the_document(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.until("$")
        line.say(type="ping")
        assert line.a("pong") == {"type": "pong"}
        line.say(type="ping", nonce="n1")
        assert line.a("pong") == {"type": "pong", "nonce": "n1"}
        line.say(type="resize", cols=100, rows=30)
        line.type("stty size\n")
        line.until("30 100")
        assert served.call("GET", "/api/v1/pty")[1]["data"]["sessions"][-1]["hasClient"] is True
        for nonsense in ("echo raw\n", "[]", '{"type":"resize","cols":"x","rows":1}', '{"type":"unknown"}', "7", "{"):
            line.socket.send(nonsense)
        line.socket.send(b"\xff\xfe")
        line.type("exit 4\n")
        assert line.closed() == (1000, "PTY exited")
        assert line.messages[-1] == {"type": "exit", "code": 4}
        assert "raw" not in line.text


def test_the_websocket_replays_first(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.type("echo ke''pt\n")
        line.until("kept")
    with Line(served, socket_of(fresh)) as again:
        again.until("kept")


def test_several_may_be_connected_and_all_see_the_same(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as one, Line(served, socket_of(fresh)) as two:
        one.type("echo fr''om one\n")
        two.until("from one")
        two.type("echo fr''om two\n")
        one.until("from two")
        row = served.call("GET", "/api/v1/pty")[1]["data"]["sessions"][-1]
        assert (row["hasClient"], row["viewers"]) == (True, 2)


def test_a_websocket_takes_no_thread(served: Running, fresh: str) -> None:
    assert served.process is not None
    parent = psutil.Process(served.process.pid)

    def threads() -> int:
        return sum(one.num_threads() for one in [parent, *parent.children()])

    with Line(served, socket_of(fresh)) as first:
        first.until("$")
        before = threads()
        lines = [Line(served, socket_of(fresh)) for _ in range(20)]
        for line in lines:
            line.until("$")
        assert threads() < before + 6
        for line in lines:
            line.socket.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}, 403),
    ],
    ids=["nobody", "a wrong token", "a foreign page"],
)
def test_who_may_not_is_turned_away_before_the_upgrade(
    served: Running, fresh: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Line(served, socket_of(fresh), headers)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"")["error"]["code"] in ("AUTH_REQUIRED", "FORBIDDEN")


def test_an_unknown_one_is_404_before_the_upgrade(served: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Line(served, socket_of(NONE))
    assert refused.value.response.status_code == 404


def test_a_plain_get_is_told_to_upgrade(served: Running, fresh: str) -> None:
    assert served.call("GET", socket_of(fresh))[0] == 426


def test_output_pauses_when_nobody_says_what_was_dealt_with(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.type("head -c 3000000 /dev/zero | tr '\\0' x; echo do''ne\n")
        line.a("pause")
        sent = settled(line)
        assert (1 << 20) <= sent < (1 << 20) + 512 * 1024
        kinds = [message["type"] for message in line.messages]
        assert "resume" not in kinds
        # An answer to an acknowledgement comes before the one to the ping behind it: no clock is needed.
        dealt_with = 0
        while "resume" not in kinds[kinds.index("pause") :]:
            line.say(type="ack", bytesReceived=len(line.text) - dealt_with - 200 * 1024)
            dealt_with = len(line.text) - 200 * 1024
            line.say(type="ping")
            line.a("pong")
            kinds = [message["type"] for message in line.messages]
        while "done" not in line.text:
            message = line.hear()
            if message["type"] == "output":
                line.say(type="ack", bytesReceived=len(message["data"]))


def settled(line: Line) -> int:
    """The characters shown so far, once no more come between two pings."""
    while True:
        before = len(line.text)
        line.say(type="ping")
        line.a("pong")
        if len(line.text) == before:
            return before


def test_a_client_that_acknowledges_nothing_gets_it_all_after_a_while(served: Running, fresh: str) -> None:
    with Line(served, socket_of(fresh)) as line:
        line.type("head -c 4000000 /dev/zero | tr '\\0' x; echo do''ne\n")
        line.a("pause")
        began = time.monotonic()
        line.a("resume")
        assert time.monotonic() - began > 4
        line.until("done")
