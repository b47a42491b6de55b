"""How a turn can end, and in which words the transcript says so."""

from __future__ import annotations

from typing import Any

from app.agent.conversation import was_retried
from app.agent.providers import ProviderFailed, Usage
from app.agent.writer import INVALID_JSON
from app.sessions.service import Message

Error = dict[str, Any]


class Drained(Exception):
    """The server goes down: the run continues at its next start."""


class Failed(Exception):
    """The turn cannot go on; `error` is {name, data} as the transcript shows it."""

    def __init__(self, error: Error) -> None:
        super().__init__(error["data"].get("message", error["name"]))
        self.error = error


class Overflowed(Failed):
    """The model's server refused a request as too long."""


def failed(provider: str, why: ProviderFailed) -> Failed:
    """How a turn ends with a provider's failure."""
    return (Overflowed if why.overflow else Failed)(error_of(provider, why))


def unknown(message: str) -> Error:
    """An error that has no name of its own."""
    return {"name": "UnknownError", "data": {"message": message}}


def error_of(provider: str, failed: ProviderFailed) -> Error:
    """What a provider's failure is in the transcript."""
    if failed.auth:
        return {"name": "ProviderAuthError", "data": {"providerID": provider, "message": failed.message}}
    if failed.overflow:
        return overflow(
            "The conversation is longer than this model can read. "
            "Go on in a new session, or choose a model with a larger context window. "
            f"The provider says: {failed.message}"
        )
    return {"name": "APIError", "data": api_error(failed)}


def api_error(failed: ProviderFailed) -> Error:
    """The data of an APIError: message, isRetryable, and the status if there was one."""
    data = {"message": failed.message, "isRetryable": failed.retryable, "statusCode": failed.status}
    return {name: value for name, value in data.items() if value is not None}


def has_invalid_call(step: Message) -> bool:
    """Whether the model called a tool in this step with something that is not a JSON object."""
    calls = [part for part in step.parts if part.type == "tool" and not was_retried(part)]
    return any(part.data["state"].get("error") == INVALID_JSON for part in calls)


def overflow(message: str) -> Error:
    """The conversation does not fit the model."""
    return {"name": "ContextOverflowError", "data": {"message": message}}


def tokens(usage: Usage) -> dict[str, Any]:
    """A step's usage as the transcript stores it."""
    cache = {"read": usage.cache_read, "write": usage.cache_write}
    return {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cache": cache}


LENGTH: Error = {
    "name": "MessageOutputLengthError",
    "data": {"message": "The answer reached the model's length limit and breaks off. Ask for smaller steps."},
}
FILTERED: Error = {
    "name": "ContentFilterError",
    "data": {"message": "The model, or a filter at its provider, declined to answer this. Put it in other words."},
}
# How a model can stop without having come to an end. Its last call may be cut off as well: none of them is run.
CUT_SHORT = {"length": LENGTH, "content-filter": FILTERED}
ABORTED: Error = {"name": "MessageAbortedError", "data": {"message": "The run was stopped."}}
BROKEN = unknown("Something broke on the server. The work is kept.")
