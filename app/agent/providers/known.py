"""Providers we know by name: their address, their key in the environment, what to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["env", "config", "vault", "builtin"]


@dataclass(frozen=True)
class ModelInfo:
    """A model; context and output in tokens, prices in dollars per million, None if unknown."""

    id: str
    name: str
    context: int | None = None
    output: int | None = None
    price_in: float | None = None
    price_out: float | None = None
    tools: bool = True
    price_cached: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Known:
    """A provider that speaks the OpenAI-compatible wire; `prices` is its name in genai-prices."""

    id: str
    name: str
    base_url: str
    key: str
    prices: str
    defaults: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A provider as it is configured; trusted base URLs come from the environment or an admin."""

    id: str
    name: str
    source: Source
    base_url: str
    key: str | None = None
    trusted: bool = True
    models: tuple[ModelInfo, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> Known | None:
        """The provider we know, if this is it at its own address: only then its prices hold."""
        known = KNOWN.get(self.id)
        return known if known and self.base_url.rstrip("/") == known.base_url else None


KNOWN = {
    known.id: known
    for known in (
        Known("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai",
              ("gpt-5.2", "gpt-5.1", "gpt-5", "gpt-4.1")),
        Known("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter",
              ("openrouter/auto",)),
        Known("deepseek", "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek",
              ("deepseek-chat",)),
        Known("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq",
              ("openai/gpt-oss-120b", "llama-3.3-70b-versatile")),
        Known("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral",
              ("devstral-medium-latest", "mistral-large-latest")),
        Known("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", "x-ai", ("grok-4",)),
        Known("together", "Together AI", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "together", ()),
        Known("cerebras", "Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "cerebras", ()),
    )
}  # fmt: skip


def from_environ(environ: Mapping[str, str]) -> dict[str, Entry]:
    """The providers whose key is in the environment; OPENAI_BASE_URL alone is a server without keys."""
    found = {}
    for known in KNOWN.values():
        key = environ.get(known.key, "").strip()
        base_url = environ.get("OPENAI_BASE_URL", "").strip() if known.id == "openai" else ""
        if key or base_url:
            url = (base_url or known.base_url).rstrip("/")
            found[known.id] = Entry(known.id, known.name, "env", url, key or None)
    return found
