"""The Google wire: the Gemini API's streamGenerateContent (ai.google.dev/api/generate-content), as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.agent.providers import Request, google_messages
from app.agent.providers.google_answer import GoogleAnswer
from app.agent.providers.wire import Wire


class Google(Wire):
    """`POST {base_url}/models/{model}:streamGenerateContent?alt=sse`."""

    PATH = "/models/{model}:streamGenerateContent?alt=sse"
    PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
    ANSWER = GoogleAnswer

    @staticmethod
    def authorization(key: str | None) -> dict[str, str]:
        """The key has a header of its own, so that it stands in no log of addresses."""
        return {"x-goog-api-key": key} if key else {}

    @staticmethod
    def model_names(answer: Any) -> Iterator[str]:
        """`{"models": [{"name": "models/NAME", "supportedGenerationMethods"}]}`: those that generate content."""
        for one in (answer.get("models") if isinstance(answer, dict) else None) or ():
            if isinstance(one, dict) and "generateContent" in one.get(
                "supportedGenerationMethods", ["generateContent"]
            ):
                yield str(one.get("name", "")).removeprefix("models/")

    @staticmethod
    def body(request: Request) -> dict[str, Any]:
        """See google_messages."""
        return google_messages.body(request)
