"""The OpenAI-compatible wire: chat completions, at OpenAI and at every server that speaks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.agent.providers import Request, openai_messages
from app.agent.providers.openai_answer import OpenAIAnswer
from app.agent.providers.wire import Wire


class OpenAICompatible(Wire):
    """`POST {base_url}/chat/completions`."""

    PATH = "/chat/completions"
    PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
    ANSWER = OpenAIAnswer

    @staticmethod
    def authorization(key: str | None) -> dict[str, str]:
        """A bearer; a local server needs none."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    @staticmethod
    def model_names(answer: Any) -> Iterator[str]:
        """`{"data": [{"id"}]}`."""
        for one in (answer.get("data") if isinstance(answer, dict) else None) or ():
            if isinstance(one, dict) and isinstance(one.get("id"), str):
                yield one["id"]

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """See openai_messages."""
        return openai_messages.body(request)
