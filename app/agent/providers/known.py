"""Providers we know by name: their wire and address, their key in the environment, what to begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["env", "config", "vault", "builtin", "own"]
WireName = Literal["openai", "anthropic", "google"]
# The version that the SDKs' own base URLs leave out; OpenAI's has it.
VERSIONS: dict[WireName, str] = {"anthropic": "/v1", "google": "/v1beta"}
_VERSIONED = re.compile(r"/v\d\w*$")


@dataclass(frozen=True)
class ModelInfo:
    """A model; context and output in tokens, prices in dollars per million, None if unknown.

    `price_cached` is of tokens read from the provider's cache, `price_written` of those written to it. Tools and
    pictures are sent unless somebody wrote that it takes none; `reasoning` is None where nobody says if it thinks.
    """

    id: str
    name: str
    context: int | None = None
    output: int | None = None
    price_in: float | None = None
    price_out: float | None = None
    tools: bool = True
    price_cached: float | None = None
    price_written: float | None = None
    images: bool = True
    reasoning: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Known:
    """A provider we know; `keys` are the variables its key may be in, `prices` is its name in genai-prices."""

    id: str
    name: str
    base_url: str
    keys: tuple[str, ...]
    prices: str
    defaults: tuple[str, ...]
    wire: WireName = "openai"
    base_url_key: str = ""

    def key_in(self, environ: Mapping[str, str]) -> str:
        """Its key in an environment; nothing if there is none."""
        return next((key for name in self.keys if (key := environ.get(name, "").strip())), "")


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
    wire: WireName = "openai"

    @property
    def known(self) -> Known | None:
        """The provider we know, if this is it at its own address: only then its prices hold."""
        known = KNOWN.get(self.id)
        return known if known and self.base_url.rstrip("/") == known.base_url else None


KNOWN = {
    known.id: known
    for known in (
        Known("openai", "OpenAI", "https://api.openai.com/v1", ("OPENAI_API_KEY",), "openai",
              ("gpt-5.2", "gpt-5.1", "gpt-5", "gpt-4.1"), base_url_key="OPENAI_BASE_URL"),
        Known("anthropic", "Anthropic", "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",), "anthropic",
              ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"), "anthropic", "ANTHROPIC_BASE_URL"),
        Known("google", "Google", "https://generativelanguage.googleapis.com/v1beta",
              ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"), "google",
              ("gemini-3.8-flash", "gemini-4-argon", "gemini-2.5-pro"), "google", "GOOGLE_GEMINI_BASE_URL"),
        Known("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), "openrouter",
              ("openrouter/auto",)),
        Known("deepseek", "DeepSeek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), "deepseek",
              ("deepseek-chat",)),
        Known("groq", "Groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",), "groq",
              ("openai/gpt-oss-120b", "llama-3.3-70b-versatile")),
        Known("mistral", "Mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), "mistral",
              ("devstral-medium-latest", "mistral-large-latest")),
        Known("xai", "xAI", "https://api.x.ai/v1", ("XAI_API_KEY",), "x-ai", ("grok-4",)),
        Known("together", "Together AI", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",), "together", ()),
        Known("cerebras", "Cerebras", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), "cerebras", ()),
    )
}  # fmt: skip


def from_environ(environ: Mapping[str, str]) -> dict[str, Entry]:
    """The providers whose key is in the environment; a base URL of one's own alone is a server without keys."""
    found = {}
    for known in KNOWN.values():
        key = known.key_in(environ)
        url = based(environ.get(known.base_url_key, "").strip() or known.base_url, known.wire)
        if key or url != known.base_url:
            found[known.id] = Entry(known.id, known.name, "env", url, key or None, wire=known.wire)
    return found


def based(base_url: str, wire: WireName) -> str:
    """A base URL as we write it: with its version, without a slash at its end."""
    url = base_url.rstrip("/")
    return url if _VERSIONED.search(url) else url + VERSIONS.get(wire, "")
