"""What OpenCode's clients send to the session routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

SessionId = Annotated[str, StringConstraints(pattern=r"^ses")]
MessageId = Annotated[str, StringConstraints(pattern=r"^msg", max_length=40)]
PartId = Annotated[str, StringConstraints(pattern=r"^prt", max_length=40)]
Name = Annotated[str, StringConstraints(max_length=64)]
Visibility = Literal["private", "team"]
Time = Annotated[int, Field(ge=0, le=2**53)]


class Body(BaseModel):
    """Unknown keys are let through: clients of several generations send their own."""

    model_config = ConfigDict(extra="ignore", strict=False)


class PermissionRule(Body):
    """What a session may do, or must ask for, or never does."""

    permission: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    action: Literal["allow", "ask", "deny"]


Ruleset = Annotated[list[PermissionRule], Field(max_length=200)]


class SessionModel(Body):
    """The model of a session."""

    providerID: Name
    id: Annotated[str, StringConstraints(max_length=128)]


class CreateSession(Body):
    """POST /session; ours are `worktree`, by which the session gets a git worktree of its own, and who sees it."""

    parentID: SessionId | None = None
    title: Annotated[str, StringConstraints(max_length=2000)] | None = None
    agent: Name | None = None
    worktree: bool = False
    visibility: Visibility | None = None
    model: SessionModel | None = None
    permission: Ruleset = []


class Fork(Body):
    """POST /session/{id}/fork."""

    messageID: MessageId | None = None


class UpdateTime(Body):
    """The times a client may set."""

    archived: Time | None = None


class UpdateSession(Body):
    """PATCH /session/{id}; who sees it is ours."""

    visibility: Visibility | None = None
    title: Annotated[str, StringConstraints(max_length=2000)] | None = None
    time: UpdateTime | None = None
    permission: Ruleset = []


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


class AcpConnection(Body):
    """Whose turn the prompt is: a session of another agent that is attached by the Agent Client Protocol."""

    connection: dict[str, Any] = {}
    sessionId: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Prompt(Body):
    """POST /session/{id}/message."""

    parts: Annotated[list[Annotated[TextPart | FilePart | AgentPart, Field(discriminator="type")]], Field(min_length=1)]
    messageID: MessageId | None = None
    model: Model | None = None
    agent: Name | None = None
    system: str | None = None
    tools: dict[str, bool] | None = None
    noReply: bool = False
    acpConnection: AcpConnection | None = None


class Summarize(Body):
    """POST /session/{id}/summarize."""

    providerID: Name
    modelID: Annotated[str, StringConstraints(max_length=128)]
    auto: bool = False


class Span(Body):
    """From when to when, in unix ms."""

    start: Time
    end: Time | None = None


class ChangedPart(Body):
    """What all parts have; ids that are given must be those of the address."""

    id: PartId | None = None
    sessionID: SessionId | None = None
    messageID: MessageId | None = None


class ChangedText(ChangedPart):
    """A text."""

    type: Literal["text"]
    text: str
    synthetic: bool | None = None
    ignored: bool | None = None
    time: Span | None = None
    metadata: dict[str, Any] | None = None


class ChangedReasoning(ChangedPart):
    """A thought."""

    type: Literal["reasoning"]
    text: str
    time: Span
    metadata: dict[str, Any] | None = None


class ChangedFile(ChangedPart):
    """A file that goes with a prompt."""

    type: Literal["file"]
    mime: Annotated[str, StringConstraints(max_length=200)]
    filename: str | None = None
    url: str
    source: dict[str, Any] | None = None


class ChangedAgent(ChangedPart):
    """A mention of an agent."""

    type: Literal["agent"]
    name: Name
    source: dict[str, Any] | None = None


class CompletedState(Body):
    """What a call came to."""

    status: Literal["completed"]
    input: dict[str, Any]
    output: str
    title: str
    metadata: dict[str, Any]
    time: Span
    attachments: list[dict[str, Any]] | None = None


class ErrorState(Body):
    """Why a call failed."""

    status: Literal["error"]
    input: dict[str, Any]
    error: str
    title: str | None = None
    metadata: dict[str, Any] | None = None
    time: Span


class ChangedTool(ChangedPart):
    """A call that has ended."""

    type: Literal["tool"]
    callID: str
    tool: str
    state: Annotated[CompletedState | ErrorState, Field(discriminator="status")]
    metadata: dict[str, Any] | None = None


AnyPart = ChangedText | ChangedReasoning | ChangedFile | ChangedAgent | ChangedTool


class UpdatePart(RootModel[Annotated[AnyPart, Field(discriminator="type")]]):
    """PATCH /session/{id}/message/{mid}/part/{pid}."""


class ListSessions(Body):
    """GET /session."""

    directory: str | None = None
    path: Annotated[str, StringConstraints(max_length=4000)] | None = None
    search: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    start: Time | None = None
    roots: bool | None = None


class ListMessages(Body):
    """GET /session/{id}/message."""

    limit: Annotated[int, Field(ge=1, le=100_000)] | None = None
    before: str | None = None
