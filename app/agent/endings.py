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


def unknown(message: str) -> Error:
    """An error that has no name of its own."""
    return {"name": "UnknownError", "data": {"message": message}}


def error_of(provider: str, failed: ProviderFailed) -> Error:
    """What a provider's failure is in the transcript."""
    if failed.auth:
        return {"name": "ProviderAuthError", "data": {"providerID": provider, "message": failed.message}}
    return {"name": "APIError", "data": api_error(failed)}


def api_error(failed: ProviderFailed) -> Error:
    """The data of an APIError: message, isRetryable, and the status if there was one."""
    data = {"message": failed.message, "isRetryable": failed.retryable, "statusCode": failed.status}
    return {name: value for name, value in data.items() if value is not None}


def has_invalid_call(step: Message) -> bool:
    """Whether the model called a tool in this step with something that is not a JSON object."""
    calls = [part for part in step.parts if part.type == "tool" and not was_retried(part)]
    return any(part.data["state"].get("error") == INVALID_JSON for part in calls)


def tokens(usage: Usage) -> dict[str, Any]:
    """A step's usage as the transcript stores it."""
    cache = {"read": usage.cache_read, "write": usage.cache_write}
    return {"input": usage.input, "output": usage.output, "reasoning": usage.reasoning, "cache": cache}


ABORTED: Error = {"name": "MessageAbortedError", "data": {"message": "The run was stopped."}}
BROKEN = unknown("Something broke on the server. The work is kept.")
