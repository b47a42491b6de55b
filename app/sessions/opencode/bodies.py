"""What OpenCode's clients send to the session routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SessionId = Annotated[str, StringConstraints(pattern=r"^ses")]
MessageId = Annotated[str, StringConstraints(pattern=r"^msg", max_length=40)]
PartId = Annotated[str, StringConstraints(pattern=r"^prt", max_length=40)]
Name = Annotated[str, StringConstraints(max_length=64)]
Time = Annotated[int, Field(ge=0, le=2**53)]


class Body(BaseModel):
    """Unknown keys are let through: clients of several generations send their own."""

    model_config = ConfigDict(extra="ignore", strict=False)


class CreateSession(Body):
    """POST /session; `worktree` is ours: the session gets a git worktree of its own."""

    parentID: SessionId | None = None
    title: Annotated[str, StringConstraints(max_length=2000)] | None = None
    agent: Name | None = None
    worktree: bool = False


class UpdateTime(Body):
    """The times a client may set."""

    archived: Time | None = None


class UpdateSession(Body):
    """PATCH /session/{id}."""

    title: Annotated[str, StringConstraints(max_length=2000)] | None = None
    time: UpdateTime | None = None


class TextPart(Body):
    """A piece of the prompt."""

    type: Literal["text"]
    id: PartId | None = None
    text: str
    synthetic: bool | None = None
    ignored: bool | None = None


class FilePart(Body):
    """A file or picture that goes with the prompt."""

    type: Literal["file"]
    id: PartId | None = None
    mime: str
    filename: str | None = None
    url: str
    source: dict[str, Any] | None = None


class AgentPart(Body):
    """A mention of an agent."""

    type: Literal["agent"]
    id: PartId | None = None
    name: str
    source: dict[str, Any] | None = None


class Model(Body):
    """Which model to ask."""

    providerID: Name
    modelID: Annotated[str, StringConstraints(max_length=128)]


class Prompt(Body):
    """POST /session/{id}/message."""

    parts: Annotated[list[Annotated[TextPart | FilePart | AgentPart, Field(discriminator="type")]], Field(min_length=1)]
    messageID: MessageId | None = None
    model: Model | None = None
    agent: Name | None = None
    system: str | None = None
    tools: dict[str, bool] | None = None
    noReply: bool = False


class Summarize(Body):
    """POST /session/{id}/summarize."""

    providerID: Name
    modelID: Annotated[str, StringConstraints(max_length=128)]
    auto: bool = False


class ListSessions(Body):
    """GET /session."""

    directory: str | None = None
    search: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    start: Time | None = None
    roots: bool | None = None


class ListMessages(Body):
    """GET /session/{id}/message."""

    limit: Annotated[int, Field(ge=1, le=100_000)] | None = None
    before: str | None = None
