"""Turns of a scripted model, asked for and watched through OpenCode's routes."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Caller
from tests.visitor import until

MODEL = {"providerID": "openai", "modelID": "scripted"}


def begin(call: Caller, **body: Any) -> str:
    """A new session; its id."""
    answer = call.post("/opencode/session", body)
    assert answer.status_code == 200, answer.text
    session_id: str = answer.json["id"]
    return session_id


def said(*parts: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """The body of a prompt to the scripted model."""
    typed = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"parts": typed, "model": MODEL, **more}


def called(tool: str, given: dict[str, Any]) -> str:
    """A prompt that makes the scripted model call a tool, then end."""
    return f"[[call {tool} {json.dumps(given)}]] [[say Done.]]"


def ask(call: Caller, session_id: str, prompt: dict[str, Any]) -> dict[str, Any]:
    """Send a prompt and wait for its answer."""
    answer = call.post(f"/opencode/session/{session_id}/message", prompt)
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json
    return message


def send(call: Caller, session_id: str, prompt: dict[str, Any]) -> None:
    """Send a prompt and don't wait."""
    answer = call.post(f"/opencode/session/{session_id}/prompt_async", prompt)
    assert (answer.status_code, answer.data) == (204, b""), answer.text


def waiting(call: Caller, kind: str) -> dict[str, Any]:
    """The permission or question that comes to wait."""
    found: dict[str, Any] = until(lambda: next(iter(call.get(f"/opencode/{kind}").json), None))
    return found


def idle(call: Caller, session_id: str) -> None:
    """Wait until nothing of the session runs or waits."""
    until(lambda: session_id not in call.get("/opencode/session/status").json)


def tools(call: Caller, session_id: str) -> list[tuple[str, str]]:
    """The tool calls of a session: name and state."""
    messages = call.get(f"/opencode/session/{session_id}/message").json
    parts = [part for message in messages for part in message["parts"] if part["type"] == "tool"]
    return [(part["tool"], part["state"]["status"]) for part in parts]
