"""OpenCode's terminals: the shapes of its document, a WebSocket of plain text, tickets, and the events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app.actor import Actor
from app.dialects.mount import Cabin
from tests.conftest import Caller
from tests.running import TOKEN, Running
from tests.sse import Follower
from tests.terminals.conftest import PATIENCE, plain

NONE = "pty_" + "0" * 26
PTY = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^pty"},
        "title": {"type": "string"},
        "command": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
        "cwd": {"type": "string"},
        "status": {"enum": ["running", "exited"]},
        "pid": {"type": "integer", "minimum": 0},
        "exitCode": {"type": "integer", "minimum": 0},
    },
    "required": ["id", "title", "command", "args", "cwd", "status", "pid"],
    "additionalProperties": False,
}
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "", None), ("PUT", "", {"title": "x"}), ("DELETE", "", None), ("POST", "/connect-token", None),
    ("GET", "/connect", None),
]  # fmt: skip


def check(value: Any) -> None:
    jsonschema.Draft202012Validator(PTY).validate(value)


def opened(running: Running, **body: Any) -> dict[str, Any]:
    status, made = running.call("POST", "/pty", body)
    assert status == 200, made
    check(made)
    found: dict[str, Any] = made
    return found


class Text:
    """One WebSocket to a terminal, in plain text with a cursor."""

    def __init__(self, running: Running, terminal_id: str, query: str = "", **headers: str) -> None:
        given = headers or {"Authorization": f"Bearer {TOKEN}"}
        self.socket: ClientConnection = connect(
            f"ws://127.0.0.1:{running.port}/pty/{terminal_id}/connect{query}",
            additional_headers=given, legacy=True, compression=None, max_size=None,
        )  # fmt: skip
        self.text = ""
        self.cursor = -1

    def hear(self) -> None:
        """The next message, counted as OpenCode's own page counts."""
        message = self.socket.recv(timeout=PATIENCE)
        if isinstance(message, bytes):
            assert message[0] == 0
            self.cursor = json.loads(message[1:])["cursor"]
        else:
            self.text += message
            self.cursor += len(message.encode("utf-16-le")) // 2

    def until(self, words: str) -> None:
        """Read until the text holds these words."""
        while words not in plain(self.text):
            self.hear()


def test_a_terminal_is_created_listed_changed_and_removed(served: Running) -> None:
    made = opened(served, command="/bin/sh", args=["-c", "sleep 1000"], title="Sleeper", env={"GREETING": "hello"})
    assert (made["title"], made["command"], made["args"]) == ("Sleeper", "/bin/sh", ["-c", "sleep 1000"])
    _, listed = served.call("GET", "/pty")
    assert made in listed
    _, changed = served.call("PUT", f"/pty/{made['id']}", {"title": "Other", "size": {"rows": 10, "cols": 40}})
    assert changed == {**made, "title": "Other"}
    assert served.call("GET", f"/pty/{made['id']}") == (200, changed)
    assert served.call("DELETE", f"/pty/{made['id']}") == (200, True)
    status, told = served.call("GET", f"/pty/{made['id']}")
    assert (status, told["_tag"], told["ptyID"]) == (404, "PtyNotFoundError", made["id"])


def test_without_a_command_it_is_a_shell(served: Running) -> None:
    made = opened(served)
    assert made["title"] == f"Terminal {made['id'][-4:]}"
    _, shells = served.call("GET", "/pty/shells")
    assert made["command"] in [one["path"] for one in shells]
    assert all(set(one) == {"path", "name", "acceptable"} for one in shells)
    served.call("DELETE", f"/pty/{made['id']}")


@pytest.mark.parametrize(
    "body",
    [{"command": 7}, {"args": "x"}, {"env": {"A": 1}}, {"cwd": "/etc"}, {"unknown": 1}, {"env": {"A=B": "x"}}],
    ids=str,
)
def test_what_cannot_be_is_told(served: Running, body: Any) -> None:
    status, told = served.call("POST", "/pty", body)
    assert (status, told["name"]) == (400, "BadRequest")


def test_a_command_that_is_not_there_has_exited_with_127(served: Running) -> None:
    with_exit = Follower(served)
    made = opened(served, command="/no/such/command")
    with_exit.until(lambda frames: any(_is(frame.data, "pty.exited", made["id"]) for frame in frames))
    with_exit.close()
    _, shown = served.call("GET", f"/pty/{made['id']}")
    check(shown)
    assert (shown["status"], shown["exitCode"]) == ("exited", 127)


@pytest.mark.parametrize(("method", "rest", "body"), ROUTES, ids=str)
def test_unknown_and_unsigned_are_turned_away(served: Running, method: str, rest: str, body: Any) -> None:
    status, told = served.call(method, f"/pty/{NONE}{rest}", body)
    assert (status, told["_tag"]) == (404, "PtyNotFoundError")
    assert served.call(method, f"/pty/{NONE}{rest}", body, Authorization="")[0] == 401


def test_others_of_the_team_only_watch(app: Cabin, call: Caller, bob: Actor) -> None:
    made = call.post("/opencode/pty", {}).json
    watcher = Caller(app, bob)
    assert watcher.get(f"/opencode/pty/{made['id']}").json == made
    assert watcher("PUT", f"/opencode/pty/{made['id']}", {"title": "mine"}).status_code == 403
    assert watcher("DELETE", f"/opencode/pty/{made['id']}").status_code == 403


def test_the_connection_is_text_and_goes_on_behind_its_cursor(served: Running) -> None:
    made = opened(served, command="/bin/sh", args=["-c", "stty -echo; echo grüße 🚂; cat"])
    first = Text(served, made["id"])
    first.until("🚂")
    first.socket.send("one\n")
    first.until("one")
    first.socket.close()
    second = Text(served, made["id"], f"?cursor={first.cursor}")
    second.hear()
    assert second.cursor == first.cursor
    second.socket.send("two\n")
    second.until("two")
    assert plain(second.text) == "two\r\n"
    whole = Text(served, made["id"], "?cursor=0")
    whole.until("two")
    assert "grüße" in whole.text
    late = Text(served, made["id"], "?cursor=-1")
    late.hear()
    assert late.text == ""
    for one in (second, whole, late):
        one.socket.close()
    served.call("DELETE", f"/pty/{made['id']}")


def test_the_connection_ends_with_the_terminal(served: Running) -> None:
    made = opened(served, command="/bin/sh", args=["-c", "read line; exit 2"])
    line = Text(served, made["id"])
    line.socket.send("x\n")
    with pytest.raises(ConnectionClosed) as closed:
        line.until("never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_a_ticket_opens_one_connection_without_credentials(served: Running) -> None:
    made = opened(served)
    _, given = served.call("POST", f"/pty/{made['id']}/connect-token")
    assert set(given) == {"ticket", "expires_in"}
    line = Text(served, made["id"], f"?ticket={given['ticket']}", **{"X-Nothing": "1"})
    line.until("$")
    line.socket.close()
    for query in (f"?ticket={given['ticket']}", "?ticket=wrong", ""):
        with pytest.raises(InvalidStatus) as refused:
            Text(served, made["id"], query, **{"X-Nothing": "1"})
        assert refused.value.response.status_code == 401
    _, other = served.call("POST", f"/pty/{made['id']}/connect-token")
    assert served.call("GET", f"/pty/{made['id']}?ticket={other['ticket']}", Authorization="")[0] == 401
    served.call("DELETE", f"/pty/{made['id']}")


def test_its_events_reach_both_streams_of_its_directory(served: Running, tmp_path: Path) -> None:
    here = served.call("GET", "/path")[1]["directory"]
    local, everywhere = Follower(served, f"/event?directory={here}"), Follower(served, "/global/event")
    made = opened(served, command="/bin/sh", args=["-c", "read x; exit 5"])
    served.call("PUT", f"/pty/{made['id']}", {"title": "told"})
    served.call("POST", f"/codebuddy/api/v1/pty/{made['id']}/input/send", {"data": "\n"})
    local.until(lambda frames: any(_is(frame.data, "pty.exited", made["id"]) for frame in frames))
    served.call("DELETE", f"/pty/{made['id']}")
    for follower in (local, everywhere):
        follower.until(lambda frames: any(_is(_payload(frame.data), "pty.deleted", made["id"]) for frame in frames))
        told = [_payload(frame.data) for frame in follower.frames if made["id"] in json.dumps(frame.data)]
        assert [one["type"] for one in told] == ["pty.created", "pty.updated", "pty.exited", "pty.deleted"]
        check(told[0]["properties"]["info"])
        assert told[1]["properties"]["info"]["title"] == "told"
        assert told[2]["properties"] == {"id": made["id"], "exitCode": 5}
        follower.close()
    assert everywhere.frames[-1].data["directory"] == here


def _payload(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data.get("payload", data)
    return found


def _is(data: dict[str, Any], kind: str, terminal_id: str) -> bool:
    return data.get("type") == kind and data["properties"].get("id") == terminal_id
