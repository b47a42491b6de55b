"""A person's command in a session: OpenCode's own form, and the further fields of the documents of this API."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from app.actor import Actor
from app.agent import service
from app.agent.opencode.routes import awaited, door
from app.dialects import opencode
from app.errors import Invalid
from app.sessions import service as sessions
from app.sessions.service import Message, Part

Name = Annotated[StrictStr, Field(max_length=64)]


class ShellModel(BaseModel):
    """The model that the message names: none is asked."""

    model_config = ConfigDict(extra="ignore")

    provider: Name = Field(alias="providerID")
    model: StrictStr = Field(alias="modelID", max_length=128)


class Shell(BaseModel):
    """POST /session/{id}/shell; with `args` the command is a program's name, without them a line or a script."""

    model_config = ConfigDict(extra="ignore")

    agent: Name
    command: StrictStr
    args: list[StrictStr] | None = None
    directory: Annotated[StrictStr, Field(max_length=4096)] | None = None
    multiline: StrictBool | None = None
    model: ShellModel | None = None
    message_id: str | None = Field(default=None, alias="messageID", pattern=r"^msg", max_length=40)


@door.post("/session/<session_id>/shell", body=Shell, answer=dict[str, Any])
def shell(actor: Actor, body: Shell, session_id: str) -> Response:
    """Run a command of one's own in the session and wait for its end."""
    if body.multiline is False and "\n" in body.command.strip("\n"):
        raise Invalid("This command has several lines: send it with multiline.", "multiline")
    if body.multiline and body.args:
        raise Invalid("A script takes no arguments beside it.", "args")
    send = functools.partial(
        service.run_shell,
        actor,
        opencode.checked("ses", session_id),
        body.command,
        body.args or (),
        directory=body.directory or "",
        mode=body.agent,
        provider=body.model.provider if body.model else "",
        model=body.model.model if body.model else "",
        message_id=body.message_id,
    )
    with opencode.modes_are_agents():
        return awaited(actor, session_id, send, lambda sent: _answered(actor, session_id, sent))


def _answered(actor: Actor, session_id: str, sent: Message) -> dict[str, Any]:
    """The answer as OpenCode has it; its call also in the documents' words."""
    answer = next(one for one in sessions.transcript(actor, session_id) if one.data.get("parentID") == sent.id)
    shape = opencode.shape("message", answer)
    parts = zip(answer.parts, shape["parts"], strict=True)
    return {**shape, "parts": [_in_words(part, spelled) if part.type == "tool" else spelled for part, spelled in parts]}


def _in_words(part: Part, spelled: dict[str, Any]) -> dict[str, Any]:
    """The call with what the documents have beside its state; an error's stack is what the command said of it."""
    state, time = part.data["state"], part.data["state"]["time"]
    metadata = state.get("metadata") or {}
    output = state.get("output", metadata.get("output", ""))
    words = {"status": state["status"], "input": state["input"]["command"], "output": output}
    if "error" in state:
        words["error"] = {"message": state["error"], "stack": metadata.get("stderr", "")}
    timings = {"duration": time["end"] - time["start"]}
    return {**spelled, **words, "state": {**spelled["state"], "timings": timings}}
