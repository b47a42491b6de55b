"""What a model provider is: neutral turns go in, an iterator of deltas comes out.

A wire is three files: NAME_messages (what goes out), NAME_answer (what comes back) and NAME_wire (where to, and with
which key); what they do alike is in wire, fitting, answers and refusal.

Nothing here knows sessions, the database or the web. A stream is read in the engine's own thread and may be
cancelled from any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of what was said; `signature` is what a model's own server wants back beside it, unchanged."""

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture for the model: a `data:` or `https:` URL and its media type."""

    url: str
    mime: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model thought; `foreign`: not the model that is asked, so its signature counts for nothing.

    A `redacted` one has no words, only the signature that stands for them.
    """

    text: str
    signature: str = ""
    redacted: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asked for; `input` is the decoded JSON object."""

    id: str
    name: str
    input: dict[str, Any]
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to one call; where a wire has no place for pictures they follow as a user message."""

    call_id: str
    name: str
    output: str
    is_error: bool = False
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What the user said."""

    parts: tuple[Text | Image, ...]


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """What the model said, thought and asked for in one step, in its order."""

    parts: tuple[Text | Thought | ToolCall, ...]

    @property
    def text(self) -> str:
        """What it said."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thoughts(self) -> tuple[Thought, ...]:
        """What it thought."""
        return tuple(part for part in self.parts if isinstance(part, Thought))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """What it asked for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class ToolResults:
    """The results of all calls of the assistant turn before it."""

    results: tuple[ToolResult, ...]


Turn = UserTurn | AssistantTurn | ToolResults


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `schema` is the JSON schema of its input."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model; `options` are sampling options by their wire names (temperature, max_tokens …).

    Without `think` no thoughts go back to the model and none are asked for. `purpose` is for models that follow a
    script.
    """

    model: str
    system: str
    messages: Sequence[Turn]
    tools: Sequence[ToolSpec] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    think: bool = True
    purpose: Literal["step", "summary", "title"] = "step"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `input` leaves out both cache figures and `output` leaves out `reasoning`."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.input + self.output + self.reasoning + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of the answer; a signature (see Text) is of all of it so far."""

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A further piece of the model's thinking; a signature ends the thought it is of."""

    text: str
    signature: str = ""
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A further piece of a tool call's arguments; `index` counts the calls of this answer from 0."""

    index: int
    id: str
    name: str
    arguments_piece: str


@dataclass(frozen=True, slots=True)
class CallDone:
    """A complete tool call; `input` stays the raw text where it is not a JSON object."""

    id: str
    name: str
    input: dict[str, Any] | str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer: stop, tool-calls, length, content-filter or other."""

    finish: str
    usage: Usage


Delta = TextDelta | ReasoningDelta | CallDelta | CallDone | Done


@dataclass
class ProviderFailed(Exception):
    """The model could not be asked or broke off; `retry_after` is in seconds, `body` what the server
    answered, `codes` its own words for what went wrong.
    """

    message: str
    status: int | None = None
    retryable: bool = False
    retry_after: float | None = None
    auth: bool = False
    overflow: bool = False
    body: str = ""
    codes: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.message


class Cancelled(Exception):
    """The stream was cancelled; nothing more will come of it."""


class Cancel:
    """A switch another thread may throw; it runs its callbacks at once, in the thread that throws it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> None:
        """Throw the switch; a second time does nothing."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Say whether it was thrown."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep so many seconds, less if it is thrown; say whether it was."""
        return self._event.wait(seconds)

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Run the callback if the switch is thrown inside this block, or was before it."""
        with self._lock:
            thrown = self._event.is_set()
            if not thrown:
                self._callbacks.append(callback)
        if thrown:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks = [one for one in self._callbacks if one is not callback]


class Provider(Protocol):
    """A model wire."""

    id: str

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        """Ask the model; yields deltas and a last `Done`; raises `ProviderFailed` or `Cancelled`."""
        ...
