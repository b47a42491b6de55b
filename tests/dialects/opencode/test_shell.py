"""POST /session/{id}/shell: the real server's form, the documents' further fields, and what is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.accounts import service as accounts
from app.actor import Actor
from app.config import Config
from app.dialects.mount import Cabin
from tests import repository
from tests.conftest import Caller
from tests.dialects.opencode_schemas import check, check_new, check_refusal
from tests.dialects.opencode_turns import begin, idle
from tests.model_server import ModelServer
from tests.running import Running
from tests.sse import Follower
from tests.visitor import until


@pytest.fixture
def settings(settings: Config, tmp_path: Path) -> Config:
    """A server on a small repository."""
    return replace(settings, project=repository.make(tmp_path.resolve() / "shop", files=3), model="openai/scripted")


def shell(call: Caller, session_id: str, **body: Any) -> Any:
    """Run a command; the whole response."""
    return call.post(f"/opencode/session/{session_id}/shell", {"agent": "build", **body})


def ran(call: Caller, **body: Any) -> dict[str, Any]:
    """Run a command in a new session; the answer."""
    answer = shell(call, begin(call), **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_it_answers_as_the_real_server_and_as_the_documents_say(call: Caller, scripted: ModelServer) -> None:
    answer = ran(call, command="echo out; echo err >&2; exit 3", model={"providerID": "openai", "modelID": "scripted"})
    info, (part,) = answer["info"], answer["parts"]
    check("AssistantMessage", info)
    check("ToolPart", part)
    check_new("AssistantMessage", info)
    check_new("ToolPart", part)
    assert (part["tool"], part["state"]["status"]) == ("bash", "completed")
    assert sorted(part["state"]["output"].split()) == ["err", "out"]
    assert part["state"]["metadata"]["stderr"] == "err\n"
    assert (info["exitCode"], info["command"]) == (3, "echo out; echo err >&2; exit 3")
    assert info["workingDirectory"] == info["path"]["cwd"]
    assert isinstance(info["duration"], int)
    assert part["input"] == info["command"]
    assert (part["status"], part["output"]) == ("completed", part["state"]["output"])
    assert part["state"]["timings"] == {"duration": part["state"]["time"]["end"] - part["state"]["time"]["start"]}
    assert (info["providerID"], info["modelID"], info["mode"], info["agent"]) == (
        "openai", "scripted", "build", "build",
    )  # fmt: skip


def test_arguments_are_a_vector_and_none_are_a_line(call: Caller) -> None:
    words = ["%s\n", "a  b", "$HOME;id"]
    assert ran(call, command="printf", args=words)["parts"][0]["state"]["output"] == "a  b\n$HOME;id\n"
    assert ran(call, command="printf 'a  b'", args=[])["parts"][0]["state"]["output"] == "a  b"


def test_a_script_keeps_its_form(call: Caller) -> None:
    script = "cat <<'END'\n  two\n\n    lines\nEND\nfalse"
    answer = ran(call, command=script, multiline=True)
    assert answer["parts"][0]["state"]["output"] == "  two\n\n    lines\n"
    assert answer["info"]["exitCode"] == 1
    assert answer["info"]["command"] == script


def test_it_runs_in_a_directory_of_the_session(call: Caller) -> None:
    answer = ran(call, command="ls", directory="shop")
    assert "basket.py" in answer["parts"][0]["state"]["output"]
    assert answer["info"]["workingDirectory"].endswith("/shop/shop")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"command": "ls", "agent": None}, "agent"),
        ({"command": "ls", "agent": "nobody"}, "agent"),
        ({"command": ""}, "command"),
        ({"command": 7}, "command"),
        ({}, "command"),
        ({"command": "ls", "args": "-l"}, "args"),
        ({"command": "ls", "args": [1]}, "args"),
        ({"command": "ls", "directory": "/etc"}, "directory"),
        ({"command": "ls", "directory": "../.."}, "directory"),
        ({"command": "ls", "directory": "nowhere"}, "directory"),
        ({"command": "ls\npwd", "multiline": False}, "multiline"),
        ({"command": "ls", "multiline": True, "args": ["x"]}, "args"),
        ({"command": "ls", "multiline": "yes"}, "multiline"),
        ({"command": "ls", "messageID": "ses_1"}, "messageID"),
        ({"command": "ls", "model": {"providerID": "openai"}}, "modelID"),
    ],
)
def test_what_makes_no_sense_is_told(call: Caller, body: dict[str, Any], field: str) -> None:
    session_id = begin(call)
    answer = shell(call, session_id, **body)
    check_refusal(answer, 400, "BadRequest")
    assert field in str(answer.json["error"][0]["path"])
    assert call.get(f"/opencode/session/{session_id}/message").json == []


def test_only_who_may_run_commands_runs_one(app: Cabin, call: Caller, stranger: Caller, alice: Actor) -> None:
    session_id = begin(call)
    scopes = ("sessions:*", "projects:read", "settings:read", "events:read")
    narrow = Caller(app, None)
    narrow.headers["Authorization"] = f"Bearer {accounts.mint_token(alice, 'narrow', scopes)[1]}"
    check_refusal(shell(stranger, session_id, command="id"), 401, "UnauthorizedError")
    check_refusal(shell(narrow, session_id, command="id"), 403, "ForbiddenError")
    check_refusal(shell(call, "ses_nothere", command="id"), 404, "NotFoundError")
    assert call.get(f"/opencode/session/{session_id}/message").json == []


def test_a_message_keeps_the_id_of_its_client_and_no_second_one_gets_it(call: Caller) -> None:
    session_id = begin(call)
    given = "msg_200000000001abcdefghijklmn"
    answer = shell(call, session_id, command="true", messageID=given)
    assert answer.json["info"]["parentID"] == given
    check_refusal(shell(call, session_id, command="true", messageID=given), 409, "ConflictError")


def test_it_ends_by_abort_and_meanwhile_the_session_is_busy(call: Caller, scripted: ModelServer) -> None:
    session_id = begin(call)
    answers: list[Any] = []
    waits = threading.Thread(
        target=lambda: answers.append(shell(call, session_id, command="echo begun; sleep 62")), daemon=True
    )
    waits.start()

    def printed() -> bool:
        messages = call.get(f"/opencode/session/{session_id}/message").json
        parts = [part for one in messages for part in one["parts"] if part["type"] == "tool"]
        return any(part["state"].get("metadata", {}).get("output") == "begun\n" for part in parts)

    until(printed)
    busy = shell(call, session_id, command="true")
    check_refusal(busy, 409, "ConflictError")
    check_new("SessionBusyError", {name: busy.json[name] for name in ("_tag", "sessionID", "message")})
    assert call.get("/opencode/session/status").json == {session_id: {"type": "busy"}}
    assert call.post(f"/opencode/session/{session_id}/abort").json is True
    waits.join()
    (answer,) = answers
    assert answer.status_code == 200
    assert answer.json["info"]["error"]["name"] == "MessageAbortedError"
    (part,) = answer.json["parts"]
    check("ToolPart", part)
    assert (part["status"], part["output"]) == ("error", "begun\n")
    assert part["error"] == {"message": "The command was stopped.", "stack": ""}
    idle(call, session_id)


@pytest.mark.chaos
def test_a_killed_server_leaves_its_outcome_unknown_and_does_not_run_it_again(tmp_path: Path) -> None:
    root = repository.make(tmp_path.resolve() / "shop", files=3)
    lines = root / "lines.txt"
    with Running(tmp_path / "data", root) as running:
        session_id = running.call("POST", "/session", {})[1]["id"]
        client = Follower(running)
        body = {"agent": "build", "command": "echo line >> lines.txt; echo begun; sleep 62"}
        lost: list[Any] = []

        def wait() -> None:
            try:
                running.call("POST", f"/session/{session_id}/shell", body)
            except OSError as error:
                lost.append(error)

        waits = threading.Thread(target=wait, daemon=True)
        waits.start()
        client.until(
            lambda frames: any("begun\\n" in str(frame.data) and "running" in str(frame.data) for frame in frames)
        )
        running.kill()
        waits.join()
        assert lost
        running.start()
        client.until(lambda frames: any(frame.data["type"] == "session.idle" for frame in frames))
        client.close()
        (_prompt, answer) = running.call("GET", f"/session/{session_id}/message")[1]
        (part,) = answer["parts"]
        assert part["state"]["status"] == "error"
        assert "outcome unknown" in part["state"]["error"]
        assert part["state"]["metadata"]["output"] == "begun\n"
        assert lines.read_text() == "line\n"
