"""The Anthropic wire: the Messages API (platform.claude.com/docs/en/api/messages), streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.agent.providers import Request, anthropic_messages
from app.agent.providers.anthropic_answer import AnthropicAnswer
from app.agent.providers.openai_wire import OpenAICompatible
from app.agent.providers.wire import Wire

VERSION = "2023-06-01"
BETA = "anthropic-beta"
BINDING_BETA = "thinking-binding-controls-2026-08-01"


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

    def headers(self, body: Mapping[str, Any]) -> Mapping[str, str]:
        """With the beta that `thinking.block_binding` still needs."""
        if "block_binding" not in (body.get("thinking") or {}):
            return self._headers
        given = self._headers.get(BETA)
        return {**self._headers, BETA: f"{given},{BINDING_BETA}" if given else BINDING_BETA}

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """See anthropic_messages."""
        return anthropic_messages.body(request)
