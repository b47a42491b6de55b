"""The Anthropic wire: the Messages API (platform.claude.com/docs/en/api/messages), streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.agent.providers import Request, anthropic_messages
from app.agent.providers.anthropic_answer import AnthropicAnswer
from app.agent.providers.openai_wire import OpenAICompatible
from app.agent.providers.wire import Wire

VERSION = "2023-06-01"


class Anthropic(Wire):
    """`POST {base_url}/messages`."""

    PATH = "/messages"
    PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
    ANSWER = AnthropicAnswer

    @staticmethod
    def authorization(key: str | None) -> dict[str, str]:
        """The version goes with every call, with a key or without."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    @staticmethod
    def model_names(answer: Any) -> Iterator[str]:
        """`{"data": [{"id"}]}`, as at OpenAI."""
        return OpenAICompatible.model_names(answer)

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """See anthropic_messages."""
        return anthropic_messages.body(request)
